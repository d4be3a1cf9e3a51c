"""Programs that are not ours and that tests run: found, or the test is skipped (failed where CI=true)."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def require(program: str, package: str) -> str:
    """Path of `program`, which Debian's `package` installs."""
    found = shutil.which(program) or (program if Path(program).exists() else None)
    if found is None:
        missing(f"{program} is not installed (Debian package {package})")
    return found


def clock_off_by(offset: str) -> list[str]:
    """What stands before a command so that its clock is wrong, by ``+20m`` as faketime(1) has it."""
    # The program itself ends at a signal and leaves the command running.
    program = require("faketime", "faketime")
    library = subprocess.run(
        [program, "-f", "+1s", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return ["env", f"LD_PRELOAD={library}", f"FAKETIME={offset}"]


def missing(message: str) -> NoReturn:
    """Skip the test, or fail it where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def unprivileged() -> dict[str, object]:
    """Arguments for subprocess that drop root, for servers that refuse to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
