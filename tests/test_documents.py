"""README and conformance statement say what the code does."""

import re
from pathlib import Path

import pytest
from pydicom.uid import UID

from daemon import receive, send
from daemon.config import Config
from model.scope import REFUSALS
from model.weights import available, open_version
from storage.states import DELIVERY_MOVES, FILM_MOVES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFORMANCE = (ROOT / "etc" / "conformance.md").read_text(encoding="utf-8")


def rows(text, heading):
    """Cells of the table rows under the header row that begins with `heading`."""
    table = text.partition(f"\n| {heading} |")[2].partition("\n\n")[0].strip()
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


def test_conformance_lists_the_refusals_in_the_words_of_the_report():
    assert rows(CONFORMANCE, "code") == [list(refusal) for refusal in REFUSALS.items()]


FIGURES = {
    "accuracy, four classes": ("accuracy",),
    "macro F1": ("macro_f1",),
    "AUC, normal against any pneumonia": ("auc", "normal_against_pneumonia"),
    "AUC, COVID-19 against normal": ("auc", "covid19_against_normal"),
    "films it decides": ("coverage",),
    "accuracy of these": ("accuracy_of_answered",),
}


@pytest.mark.parametrize("version", available())
def test_readme_shows_the_figures_of_every_shipped_version(version):
    figures = open_version(version).manifest["figures"]

    def shown(side, keys):
        value, interval = figures[side], figures[side]["ci95"]
        for key in keys:
            value, interval = value[key], interval[key]
        return f"{value:.2f} ({interval[0]:.2f}-{interval[1]:.2f})"

    expected = [
        [label, shown("test_folds", keys), shown("held_out_sources", keys)] for label, keys in FIGURES.items()
    ]
    assert rows(README, f"{version}, on patients never trained on") == expected
