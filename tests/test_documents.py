"""README and conformance statement say what the code does."""

import re
from pathlib import Path

import pytest
from pydicom.uid import UID

from daemon import receive, send
from daemon.config import Config
from model.weights import open_version
from storage.states import DELIVERY_MOVES, FILM_MOVES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFORMANCE = (ROOT / "etc" / "conformance.md").read_text(encoding="utf-8")


def rows(text, heading):
    """Cells of the table rows under the header row that begins with `heading`."""
    table = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize(("heading", "moves"), [("film", FILM_MOVES), ("delivery", DELIVERY_MOVES)])
def test_readme_shows_the_states_and_their_moves(heading, moves):
    shown = {state: set(re.findall(r"[A-Z]{4,}", then)) for state, _, then in rows(README, heading)}
    assert shown == {state.value: {to.value for to in allowed} for state, allowed in moves.items()}


def test_conformance_lists_the_transfer_syntaxes_that_are_accepted():
    listed = [uid for _, uid in rows(CONFORMANCE, "transfer syntax")]
    assert listed == [str(uid) for uid in receive.TRANSFER_SYNTAXES]


def test_conformance_lists_the_classes_that_are_accepted_by_default():
    section = CONFORMANCE.partition("## 3")[2].partition("## 4")[0]
    listed = [cells[1] for cells in rows(section, "SOP class")]
    assert listed == ["1.2.840.10008.1.1", *Config().node.accept]
    for name, uid, _ in rows(section, "SOP class"):
        assert name in UID(uid).name


def test_conformance_states_the_limits_of_the_defaults():
    node = Config().node
    for number in (
        receive.MAXIMUM_PDU_BYTES,
        node.most_associations,
        f"ACSE {node.acse_timeout_seconds:g} s, DIMSE {node.dimse_timeout_seconds:g} s",
        f"idle {node.idle_timeout_seconds:g} s",
        f"({node.most_film_mib} MiB)",
        f"connection {send.CONNECTION_TIMEOUT_SECONDS:g} s, response {send.RESPONSE_TIMEOUT_SECONDS:g} s",
    ):
        assert str(number) in CONFORMANCE


def test_conformance_lists_the_statuses_that_are_answered():
    listed = [cells[0] for cells in rows(CONFORMANCE, "status")]
    answered = (
        receive.SUCCESS,
        receive.OUT_OF_RESOURCES,
        receive.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        receive.CANNOT_UNDERSTAND,
    )
    assert listed == [f"0x{status:04X}" for status in answered]


def test_readme_shows_the_figures_of_the_shipped_model():
    figures = open_version(Config().model.version).manifest["figures"]
    sides = [figures["test_folds"], figures["held_out_sources"]]
    table = {cells[0]: cells[1:] for cells in rows(README, "on patients never trained on")}

    def pair(key, value):
        shown = next(cells for name, cells in table.items() if name.startswith(key))
        assert shown == [value(side) for side in sides]

    pair("accuracy of step 1", lambda side: f"{side['step1']['accuracy']:.2f}")
    pair("accuracy of four", lambda side: f"{side['cascade']['accuracy']:.2f}")
    pair("of the films", lambda side: f"{side['cascade']['accuracy_of_answered']:.2f}")
    classes = ("normal", "bacterial", "covid19", "viral")
    pair(
        "recall",
        lambda side: " / ".join(f"{side['cascade']['per_class'][one]['recall']:.2g}" for one in classes),
    )
