"""``make demo``: real films through a node of its own to a stand-in PACS, and what arrived there."""

import datetime
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pydicom
from node import Node, Pacs
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, generate_uid

OUT = Path("demo")
CHEST, TWINS, ANKLE = "RG1_UNCI.dcm", ("RG1_J2KI.dcm", "RG1_J2KR.dcm"), "RG3_UNCI.dcm"
TWIN_TOLERANCE = 0.02


@dataclass
class Outcome:
    """What became of one film."""

    file: str
    state: str
    decision: str
    scores: dict[str, float]
    delivered: list[str]
    seconds: float | None


def main() -> int:
    """Run the demonstration; 0 only if everything printed was found at the PACS."""
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "node").mkdir(parents=True)
    (OUT / "pacs").mkdir()
    pacs = Pacs()
    node = Node(OUT.resolve() / "node", {"pacs": pacs.port})
    print(
        f"node on 127.0.0.1:{node.port}, PACS on 127.0.0.1:{pacs.port}; log in {OUT}/node/node.log",
        flush=True,
    )
    try:
        with node.running("run"):
            outcomes = [send(node, pacs, file) for file in (CHEST, *TWINS, ANKLE)]
    finally:
        pacs.close()
        node.engine.dispose()
    for outcome in outcomes:
        print_row(outcome)
    faults = [fault for outcome in outcomes for fault in faults_of(outcome, outcomes[0])]
    print(f"\nat the PACS: {OUT}/pacs/*.dcm; each heatmap as *.png, each report's words as *.txt")
    print(f"job database: sqlite3 {OUT}/node/firstread.db < etc/firstread.sql")
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    print("verified at the PACS" if not faults else "NOT as expected")
    return 1 if faults else 0


def send(node: Node, pacs: Pacs, file: str) -> Outcome:
    """Send one film under a fresh UID (these share theirs) and keep what the PACS got for it."""
    ds = pydicom.dcmread(get_testdata_file(file, download=False))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    node.store(ds)
    row = node.wait_for_ends(len(node.films()))[-1]
    ends = [one.changed_at for one in node.deliveries() if one.film_id == row.id]
    results = [one for one in pacs.received if refers_to(one, ds)]
    scores = {}
    for result in results:
        name = OUT / "pacs" / f"{Path(file).stem}-{'SC' if 'PixelData' in result else 'SR'}"
        result.save_as(name.with_suffix(".dcm"), enforce_file_format=True)
        if result.SOPClassUID == SecondaryCaptureImageStorage:
            Image.fromarray(result.pixel_array).save(name.with_suffix(".png"))
        if result.SOPClassUID == Comprehensive3DSRStorage:
            name.with_suffix(".txt").write_text("\n\n".join(words_of(result)) + "\n", encoding="utf-8")
            scores = scores_of(result)
    return Outcome(
        file,
        row.state,
        row.decision or row.reason,
        scores,
        sorted(result.SOPClassUID.name for result in results),
        (max(ends) - row.received_at) / datetime.timedelta(seconds=1) if ends else None,
    )


def refers_to(result: Dataset, film: Dataset) -> bool:
    """Whether a result lies in the film's study and names the film as its source."""
    sources = [*result.get("SourceImageSequence", [])]
    for study in result.get("CurrentRequestedProcedureEvidenceSequence", []):
        sources += [one for series in study.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    return result.StudyInstanceUID == film.StudyInstanceUID and film.SOPInstanceUID in {
        one.ReferencedSOPInstanceUID for one in sources
    }


def words_of(report: Dataset) -> list[str]:
    """The report's texts, in order: the research-use comment and the summary."""
    return [
        item.TextValue
        for item in report.ContentSequence
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
    ]


def scores_of(report: Dataset) -> dict[str, float]:
    """Score of each class that the report has, 0 to 100, by its tracking identifier."""
    scores = {}
    for container in report.ContentSequence:
        for group in container.get("ContentSequence", []):
            items = {
                item.ConceptNameCodeSequence[0].CodeMeaning: item for item in group.get("ContentSequence", [])
            }
            if "Certainty of Finding" in items:
                value = items["Certainty of Finding"].MeasuredValueSequence[0].FloatingPointValue
                scores[items["Tracking Identifier"].TextValue] = value
    return scores


def print_row(outcome: Outcome) -> None:
    """One film in a few lines."""
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.2f} s from last byte in to last result"
    print(f"\n{outcome.file:14} {outcome.state:8} {outcome.decision}")
    if outcome.scores:
        print("   " + ", ".join(f"{name} {score:.1f}" for name, score in outcome.scores.items()))
    print(f"   delivered: {', '.join(outcome.delivered) or 'nothing'}  {seconds}")


def faults_of(outcome: Outcome, twin: Outcome) -> list[str]:
    """What is not as it must be."""
    if outcome.file == ANKLE:
        well = outcome.state == "SKIPPED" and "NOT_CHEST" in outcome.decision and not outcome.delivered
        return [] if well else [f"{ANKLE} was not skipped as another body part: {outcome}"]
    expected = sorted([SecondaryCaptureImageStorage.name, Comprehensive3DSRStorage.name])
    faults = []
    if outcome.state != "READ" or outcome.delivered != expected:
        faults.append(
            f"{outcome.file}: {outcome.state}, at the PACS {outcome.delivered}, expected {expected}"
        )
    for name, score in twin.scores.items():
        if abs(outcome.scores.get(name, -1) - score) > 100 * TWIN_TOLERANCE:
            faults.append(f"{outcome.file}: {name} differs from its uncompressed twin: {outcome.scores}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
