"""Files that are there after a power cut: their bytes, and the name that the folder has for them."""

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_LIBC.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
# linux/fs.h: begin, and wait for nothing.
_SYNC_FILE_RANGE_WRITE = 2


def begin(descriptor: int, offset: int, count: int) -> None:
    """Have a disk begin with bytes that were written, so that a later `sync` has little left to wait for.

    Promises nothing; a file system that cannot is not told of.
    """
    _LIBC.sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes, temporary: Path) -> None:
    """Write a file that is there whole and durable, or as it was: fsync, rename, fsync of the folder.

    Parameters
    ----------
    path : Path
    content : bytes
    temporary : Path
        A name in the same folder for what is half written.
    """
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)
