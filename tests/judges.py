"""Foreign programs that judge our objects. A missing one skips the test; where CI is true it fails."""

import html
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import foreign
import numpy as np
from PIL import Image

PACKAGES = {
    "dciodvfy": "dicom3tools",
    "dcentvfy": "dicom3tools",
    "dcmp2pgm": "dcmtk",
    "dcmpschk": "dcmtk",
    "dsr2html": "dcmtk",
    "gs": "ghostscript",
    "java": "default-jre-headless",
}
_SEVERITIES = ("Error", "Warning", "Abort")
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


def dciodvfy_remarks(path: Path) -> list[str]:
    """All that dicom3tools says of one object, errors and warnings."""
    return [line for line in _run(["dciodvfy", str(path)]).splitlines() if line.startswith(_SEVERITIES)]


def dcentvfy_remarks(*paths: Path) -> list[str]:
    """All that dicom3tools says of the objects of a study together, without the names of the files."""
    answer = re.sub(r" for file <.*", "", _run(["dcentvfy", *map(str, paths)]), flags=re.MULTILINE)
    return [line for line in answer.splitlines() if line.startswith(_SEVERITIES)]


def dsr2html_errors(path: Path) -> list[str]:
    """What DCMTK finds wrong in a report, relationships and value types included."""
    answer = _run(["dsr2html", "+U8", str(path)])
    if "Cannot open character encoding" in answer:  # of ISO 2022 IR 87, which not every iconv knows
        answer = _run(["dsr2html", str(path)])
    return [line for line in answer.splitlines() if line.startswith(("E:", "F:"))]


def dcentvfy_errors(*paths: Path) -> list[str]:
    """What dicom3tools finds inconsistent between the objects of a study."""
    return _errors(_run(["dcentvfy", *map(str, paths)]))


def dcmpschk_errors(path: Path) -> list[str]:
    """What DCMTK finds wrong in a presentation state."""
    return [line for line in _run(["dcmpschk", str(path)]).splitlines() if line.startswith(("E:", "F:"))]


def dcmp2pgm_picture(film: Path, state: Path) -> np.ndarray:
    """The film as DCMTK displays it under a presentation state, (rows, columns) uint8, without lines."""
    picture = film.with_suffix(".pgm")
    _run(["dcmp2pgm", "-p", str(state), str(film), str(picture)])
    return np.asarray(Image.open(picture).convert("L"))


def pixelmed_errors(*paths: Path, template: str = "TID_1500") -> dict[str, list[str]]:
    """What PixelMed finds wrong in the content of reports, by file name; each takes seconds to start."""
    foreign.require(str(JARS / "pixelmed.jar"), "libpixelmed-java")
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda path: _run([*JAVA, str(path)]), paths)
    errors = {}
    for path, answer in zip(paths, answers, strict=True):
        assert "IOD validation complete" in answer, answer
        assert f"Found Root Template {template}" in answer, answer
        errors[path.name] = _errors(answer)
    return errors


def dsr2html_text(path: Path) -> str:
    """The content of a report as DCMTK shows it, line by line, without mark-up."""
    page = _run(["dsr2html", "+U8", str(path)])
    page = page[page.index("<h1>") : page.index('<div class="footnote">')]
    page = re.sub(r"<br>|</?(p|div|h\d|small)\b[^>]*>", "\n", page.replace("\n", " "))
    lines = (
        re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", line))).strip() for line in page.split("\n")
    )
    return "\n".join(line for line in lines if line) + "\n"


def pdf_pages(path: Path) -> list[str]:
    """The text of each page of a PDF as Ghostscript reads it, one blank between words."""
    with tempfile.TemporaryDirectory() as folder:
        _run(["gs", "-q", "-sDEVICE=txtwrite", "-o", f"{folder}/%04d.txt", str(path)])
        pages = [page.read_text(encoding="utf-8") for page in sorted(Path(folder).iterdir())]
    return [" ".join(page.split()) for page in pages]


def pdf_picture(path: Path, dots_per_inch: int) -> np.ndarray:
    """The first page of a PDF as Ghostscript draws it, (rows, columns, 3) uint8."""
    picture = path.with_suffix(".png")
    _run(["gs", "-q", "-sDEVICE=png16m", f"-r{dots_per_inch}", "-o", str(picture), str(path)])
    return np.asarray(Image.open(picture).convert("RGB"))


def _errors(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.startswith("Error")]


def _run(command: list[str]) -> str:
    foreign.require(command[0], PACKAGES[command[0]])
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")
