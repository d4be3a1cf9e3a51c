"""Room on the volumes that a film takes: refused in time, no disk ever fills."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine


class OutOfSpace(OSError):
    """A volume is nearly full; nothing new is taken until it has room again."""


def folders(spool: Path, engine: Engine) -> list[Path]:
    """A folder of each volume that grows with a film: the spool's, and the database's if that is a file."""
    path = engine.url.database if engine.dialect.name == "sqlite" else None
    return [spool] + ([Path(path).parent] if path else [])


def require(folders: Iterable[Path], floor_bytes: int, watermark_percent: float) -> None:
    """Raise unless every volume has room.

    Parameters
    ----------
    folders : iterable of Path
        One of each volume.
    floor_bytes : int
        Least free space.
    watermark_percent : float
        Largest share in use, 0 to 100.

    Raises
    ------
    OutOfSpace
        The message names the folder, what was found and what was expected.
    OSError
        If a folder is not there.
    """
    for folder in folders:
        usage = shutil.disk_usage(folder)
        if usage.free < floor_bytes:
            raise OutOfSpace(
                f"{usage.free >> 20} MiB free at {folder}, expected at least {floor_bytes >> 20} MiB"
            )
        # As df(1) counts: what only root may write is neither in use nor free.
        used = 100 * usage.used / max(1, usage.used + usage.free)
        if used > watermark_percent:
            raise OutOfSpace(f"{used:.1f} % in use at {folder}, expected at most {watermark_percent:g} %")
