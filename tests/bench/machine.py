"""The machine that figures come from, without anything that says whose it is."""

import importlib.metadata
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

LIBRARIES = ("firstread", "highdicom", "keras", "numpy", "pydicom", "pynetdicom", "tensorflow")
# More than all that the files of a run take, here and at the PACS.
_TOUCHED_BYTES = 2 << 30
PROGRAMS = {"DCMTK": "storescp", "Orthanc": "Orthanc"}


def describe() -> dict[str, object]:
    """Processor, memory, kernel, disk, versions, and how busy it is now."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "disk of temporary files": _disk(),
        "milliseconds of an fsync there": round(1000 * statistics.median(_sync() for _ in range(20)), 2),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        **{name: _version(program) for name, program in PROGRAMS.items()},
        "load average at the start": [round(load, 2) for load in os.getloadavg()],
    }


def touch_memory() -> None:
    """Have the host find memory for a run before the clock runs, for whoever is measured next.

    A host that takes back what a guest has free (free page reporting) lets the next who writes there wait: on
    one such machine 2 ms a MiB in place of 0.2, which a node pays or does not, by who ran before it.
    """
    np.ones(_TOUCHED_BYTES, np.uint8)


def slug(described: dict[str, object]) -> str:
    """The machine in a file name: cores and processor."""
    processor = re.sub(r"\(.*?\)| CPU| Processor|@.*", "", str(described["processor"]))
    words = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    return f"{described['cores']}-cores-{words}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _disk() -> str:
    """File system and kind of disk, which a virtual one does not tell."""
    done = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--target", tempfile.gettempdir()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    file_system, _, source = done.stdout.strip().partition(" ")
    name = Path(source.strip()).name
    for disk in Path("/sys/block").glob("*"):
        if name.startswith(disk.name):
            if disk.name.startswith(("vd", "xvd")):
                return f"{file_system} on a virtual disk"
            turns = (disk / "queue/rotational").read_text(encoding="ascii").strip() == "1"
            return f"{file_system} on a disk that {'turns' if turns else 'does not turn'}"
    return file_system or "unknown"


def _sync() -> float:
    """Seconds until 4 KiB are on disk."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096))
        file.flush()
        began = time.monotonic()
        os.fsync(file.fileno())
        return time.monotonic() - began


def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found.group() if found else "unknown"
