"""Foreign programs that judge our objects. A missing one skips the test; where CI is true it fails."""

import html
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import foreign

PACKAGES = {
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "dsr2html": "dcmtk",
    "java": "default-jre-headless",
}
JARS = Path("/usr/share/java")
# PixelMed's templates are larger than the limits that Java puts on XPath.
JAVA = [
    "java",
    "-XX:TieredStopAtLevel=1",
    *(f"-Djdk.xml.xpath{limit}=0" for limit in ("ExprGrpLimit", "ExprOpLimit", "TotalOpLimit")),
    "-cp",
    ":".join(str(JARS / name) for name in ("pixelmed.jar", "slf4j-api.jar", "slf4j-nop.jar")),
    "com.pixelmed.validate.DicomSRValidator",
]


def dciodvfy_errors(path: Path) -> list[str]:
    """What dicom3tools finds wrong in one object."""
    return _errors(_run(["dciodvfy", str(path)]))


def dcentvfy_errors(*paths: Path) -> list[str]:
    """What dicom3tools finds inconsistent between the objects of a study."""
    return _errors(_run(["dcentvfy", *map(str, paths)]))


def pixelmed_errors(*paths: Path) -> dict[str, list[str]]:
    """What PixelMed finds wrong in the content of reports, by file name; each takes seconds to start."""
    foreign.require(str(JARS / "pixelmed.jar"), "libpixelmed-java")
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda path: _run([*JAVA, str(path)]), paths)
    errors = {}
    for path, answer in zip(paths, answers, strict=True):
        assert "IOD validation complete" in answer, answer
        assert "Found Root Template TID_1500" in answer, answer
        errors[path.name] = _errors(answer)
    return errors


def dsr2html_text(path: Path) -> str:
    """The content of a report as DCMTK shows it, line by line, without mark-up."""
    page = _run(["dsr2html", str(path)])
    page = page[page.index("<h1>") : page.index('<div class="footnote">')]
    page = re.sub(r"<br>|</?(p|div|h\d|small)\b[^>]*>", "\n", page.replace("\n", " "))
    lines = (
        re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", line))).strip() for line in page.split("\n")
    )
    return "\n".join(line for line in lines if line) + "\n"


def _errors(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.startswith("Error")]


def _run(command: list[str]) -> str:
    foreign.require(command[0], PACKAGES[command[0]])
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")
