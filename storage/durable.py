"""Files that are there after a power cut: their bytes, and the name that the folder has for them."""

import os
from pathlib import Path


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
