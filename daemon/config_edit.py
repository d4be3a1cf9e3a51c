"""The config file written: one option changed, everything else of it as the admin left it."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

import tomlkit

from daemon import config
from daemon.config_file import read_tables
from storage import durable


def change(path: Path, table: str, values: Mapping[str, str]) -> None:
    """Give options of a table new values; comments, order and what else stands there are kept.

    The file is replaced as a whole, by one of the same owner and mode, once the new one is on disk.

    Parameters
    ----------
    path : Path
    table : str
        Added if it is not there.
    values : mapping of str to str

    Raises
    ------
    BadConfig
        If the file cannot be read or has faults, before or after; it is left as it was.
    OSError
        If it cannot be written.
    """
    config.parse(read_tables(path), str(path))
    path = path.resolve()  # a link goes on pointing at the file
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(
            f"{path}: found a folder that you may not write in; expected root's rights (sudo)"
        )
    document = tomlkit.parse(path.read_bytes().decode("utf-8"))
    if table not in document:
        document.append(table, tomlkit.table())
    for key, value in values.items():
        document[table][key] = value
    text = tomlkit.dumps(document)
    config.parse(tomlkit.parse(text).unwrap(), str(path))
    _replace(path, text.encode("utf-8"))


def _replace(path: Path, content: bytes) -> None:
    before = path.stat()
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            os.fchmod(number, stat.S_IMODE(before.st_mode))
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(number, before.st_uid, before.st_gid)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    durable.sync(path.parent)


def as_toml(value: object) -> str:
    """A value as the config file would have it."""
    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()
