"""tests/torture.py in short: what the harness counts after a handful of faults."""

import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("torture.py")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("more", [[], ["--postgresql"]], ids=["sqlite", "postgresql"])
def test_after_kills_and_faults_every_acknowledged_film_has_its_results_once_and_nothing_is_left(
    more, tmp_path
):
    done = subprocess.run(
        [sys.executable, HARNESS, "--films", "24", "--kills", "4", "--seed", "5", *more],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "films READ: 24" in done.stdout
    assert "results at the PACS: 48" in done.stdout
