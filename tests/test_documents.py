"""README and conformance statement say what the code does."""

import re
from pathlib import Path

import pytest
from pydicom.uid import UID

from daemon import (
    audit_messages,
    audit_trail,
    backfill,
    commitment_scu,
    dicomweb,
    header,
    http_connection,
    mllp,
    outcomes,
    receive,
    retrieve,
    send,
    storing,
    webhook,
)
from daemon.config import Config, DimseDestination
from daemon.results import (
    encapsulated_pdf,
    key_objects,
    kinds,
    not_analysed,
    presentation_state,
    secondary_capture,
    segmentation,
    structured_report,
)
from model.scope import REFUSALS
from model.weights import available, open_version
from storage import backfills
from storage.retry import FIRST_WAIT_SECONDS, LONGEST_PROBE_WAIT_SECONDS, LONGEST_WAIT_SECONDS
from storage.states import DELIVERY_MOVES, FILM_MOVES, Role

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


def test_conformance_lists_the_series_of_every_object():
    listed = {name: (int(number), text) for name, number, text in rows(CONFORMANCE, "object")}
    made = {
        "capture": secondary_capture.SERIES_DESCRIPTION,
        "overlay": secondary_capture.OVERLAY_SERIES_DESCRIPTION,
        "report, report-comprehensive, report-enhanced": structured_report.SERIES_DESCRIPTION,
        "segmentation": segmentation.SERIES_DESCRIPTION,
        "presentation-state": presentation_state.SERIES_DESCRIPTION,
        "pdf": encapsulated_pdf.SERIES_DESCRIPTION,
        "key-object": key_objects.SERIES_DESCRIPTION,
        "rejection note": key_objects.NOTE_SERIES_DESCRIPTION,
        "report or not-analysed-capture of a film that is not read": not_analysed.SERIES_DESCRIPTION,
    }
    assert {name: text for name, (_, text) in listed.items()} == made
    numbers = {number for number, _ in listed.values()}
    assert numbers == set(range(9001, 9010))
    assert listed["segmentation"][0] == segmentation.SERIES_NUMBER
    assert listed["rejection note"][0] == key_objects.NOTE_SERIES_NUMBER


def test_readme_and_config_name_every_object_that_can_be_asked_for():
    shipped = (ROOT / "etc" / "firstread.toml").read_text(encoding="utf-8")
    for name in kinds.OBJECTS:
        assert f"`{name}`" in README
        assert re.search(rf"[ ,:]{name}[ ,.]", shipped)


def test_conformance_names_the_classes_that_are_sent():
    section = CONFORMANCE.partition("## 4")[2].partition("### Storage Commitment SCU")[0]
    for name, uid, _ in rows(section, "SOP class"):
        assert name == UID(uid).name


def test_conformance_states_the_limits_of_the_defaults():
    node = Config().node
    for number in (
        receive.MAXIMUM_PDU_BYTES,
        node.most_associations,
        f"ACSE {node.acse_timeout_seconds:g} s, DIMSE {node.dimse_timeout_seconds:g} s",
        f"idle {node.idle_timeout_seconds:g} s",
        f"of one host {node.most_associations_a_host} ",
        f"{node.most_unassociated} (`most_unassociated`)",
        f"{node.most_pdu_kib} KiB",
        f"{node.slowest_kib_a_second:g} KiB/s over {node.dimse_timeout_seconds:g} s",
        f"{header.MOST_ELEMENTS:,} elements",
        f"nested deeper than {header.MOST_DEPTH}",
        f"({node.most_film_mib} MiB)",
        f"connection {outcomes.CONNECTION_TIMEOUT_SECONDS:g} s, "
        f"response {outcomes.RESPONSE_TIMEOUT_SECONDS:g} s",
    ):
        assert str(number) in CONFORMANCE


def test_conformance_states_the_waits_of_delivery():
    destination = DimseDestination(name="pacs", ae_title="PACS", host="h", port=104)
    minutes = {
        seconds: f"{seconds / 60:g} min" for seconds in (LONGEST_WAIT_SECONDS, LONGEST_PROBE_WAIT_SECONDS)
    }
    for said in (
        f"after {FIRST_WAIT_SECONDS:g} s, doubling to {minutes[LONGEST_WAIT_SECONDS]}, with jitter",
        f"after {FIRST_WAIT_SECONDS:g} s, doubling to {minutes[LONGEST_PROBE_WAIT_SECONDS]}, with jitter",
        f"`give_up_hours` ({destination.give_up_hours:g})",
        f"`commitment_hours` ({destination.commitment_hours:g})",
        f"names up to {send.BATCH} objects",
        f"stays open for {commitment_scu.LINGER_SECONDS:g} s",
        f"asked again after {commitment_scu.ASK_AGAIN.total_seconds() / 60:g} min",
    ):
        assert said in CONFORMANCE, said


def test_conformance_states_the_codes_and_limits_of_dicomweb_messages_and_webhooks():
    section = CONFORMANCE.partition("## 8")[2]
    later = ", ".join(map(str, http_connection.LATER))
    for said in (
        f"may\nlast {outcomes.RESPONSE_TIMEOUT_SECONDS:g} s in all",
        f"may have {http_connection.MOST_ANSWER_BYTES >> 20} MiB",
        f"may have {mllp.MOST_ANSWER_BYTES >> 10} KiB",
        f"| {', '.join(map(str, dicomweb.NOT_OF_THE_OBJECT))} | the same",
        f"| {', '.join(map(str, dicomweb.JUDGED))} with a failure |",
        f"| {later}, 3xx, 5xx | the same",
        f"| {later}, 3xx, 5xx | that notification again",
        f"| {', '.join(mllp.TAKEN)} | SENT |",
        f"| {', '.join(mllp.REFUSED)} | FAILED with the text of MSA and ERR, "
        f"at most {mllp.MOST_REASON_CHARACTERS} characters",
        f"more than {webhook.REPLAY_WINDOW_SECONDS} s",
        f"({webhook.LEAST_SECRET_BYTES} to {webhook.MOST_SECRET_BYTES}; `{webhook.SECRET_PREFIX}` may",
    ):
        assert said in section, said


def test_conformance_states_the_classes_and_limits_of_a_backfill():
    section = CONFORMANCE.partition("### Query/Retrieve SCU")[2].partition("## 5")[0]
    for name, uid, _ in rows(section, "SOP class"):
        assert name == UID(uid).name
    first, second = (f"{FIRST_WAIT_SECONDS * factor:g} s" for factor in (1, 2))
    assert backfills.MOST_ATTEMPTS == 3
    for said in (
        f"A response may last {retrieve.RESPONSE_TIMEOUT_SECONDS:g} s",
        f"names up to {backfill.MOST_A_MOVE} instances",
        f"after {first}, doubling to {LONGEST_PROBE_WAIT_SECONDS / 60:g} min, with jitter",
        f"asked for again after {first} and {second}, then FAILED",
        f"the next one waits {first}, doubling to {LONGEST_WAIT_SECONDS / 60:g} min, with jitter",
        f"C-FIND 0x{retrieve.OUT_OF_RESOURCES:04X}",
        f"C-MOVE 0x{retrieve.MOVE_DESTINATION_UNKNOWN:04X}",
    ):
        assert said in section, said


def test_conformance_lists_the_answers_to_a_report_of_storage_commitment():
    listed = [cells[0] for cells in rows(CONFORMANCE, "N-EVENT-REPORT answer")]
    answered = (
        commitment_scu.SUCCESS,
        commitment_scu.PROCESSING_FAILURE,
        commitment_scu.NO_SUCH_EVENT_TYPE,
        commitment_scu.INVALID_ARGUMENT_VALUE,
    )
    assert listed == [f"0x{status:04X}" for status in answered]


def test_conformance_lists_the_statuses_that_are_answered():
    listed = [cells[0] for cells in rows(CONFORMANCE, "status")]
    answered = (
        storing.SUCCESS,
        storing.OUT_OF_RESOURCES,
        storing.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        storing.CANNOT_UNDERSTAND,
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


def test_every_test_that_readme_names_for_a_promise_is_there():
    named = set(re.findall(r"`(test_\w+)`", README))
    written = set()
    for path in (ROOT / "tests").glob("test_*.py"):
        written |= set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= written


def test_conformance_lists_the_events_of_the_audit_trail_and_how_they_are_sent():
    section = CONFORMANCE.partition("### Audit trail")[2].partition("## 8")[0]
    events = {
        audit_messages.INSTANCES_ACCESSED,
        audit_messages.USER_AUTHENTICATION,
        audit_messages.SECURITY_ALERT,
        audit_messages.APPLICATION_ACTIVITY,
    }
    listed = {(cells[0].partition(" (")[0], cells[1]) for cells in rows(section, "event")}
    assert listed == {(event.meaning, event.value) for event in events}
    for said in (
        f"PRI {audit_trail.PRIORITY}, MSGID `{audit_trail.MESSAGE_ID}`",
        f"`most_mib` ({Config().audit.most_mib})",
        f"after {audit_trail.FIRST_WAIT_SECONDS:g} s, doubling to {audit_trail.LONGEST_WAIT_SECONDS:g} s",
    ):
        assert said in section, said


def test_readme_lists_the_roles():
    assert [role for role, _ in rows(README, "role")] == [str(role) for role in Role]
