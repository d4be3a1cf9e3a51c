"""daemon/withdraw.py, storage/withdrawals.py: results taken back, corrected, or followed by others."""

import copy
import dataclasses
import datetime

import plans
import pytest
import servers
from node import Node
from pydicom.uid import (
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import insert, text

from storage import tables, withdrawals
from storage.films import ReceivedFilm

NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
SMALL = {"model": {"version": "gao-2020-small"}, "results": {"longest_side": 512}}


@pytest.fixture
def node(tmp_path, pacs):
    node = Node(tmp_path, {"pacs": pacs.port}, tables=SMALL)
    yield node
    node.engine.dispose()


@pytest.fixture
def one(film, chest):
    return film(pixels=chest[::3, ::3], PatientID="4711", AccessionNumber="A1")


def of_class(pacs, sop_class):
    return [ds for ds in pacs.received if ds.SOPClassUID == sop_class]


def rejected(note):
    """SOP Instance UIDs that a note names."""
    return {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in note.ContentSequence
        if item.ValueType in ("IMAGE", "COMPOSITE")
    }


def test_withdrawn_results_are_rejected_where_they_are_and_only_once(node, pacs, one):
    with node.running("receive", "read", "send"):
        node.store(one)
        node.wait_for_ends(1)
        sent = {ds.SOPInstanceUID for ds in pacs.received}
        done = node.firstread("withdraw", "1", "--reason", "patient-safety")
        assert (done.stdout, done.returncode) == ("job 1: withdrawn; 1 destinations are told\n", 0)
        servers.wait_until(lambda: of_class(pacs, KeyObjectSelectionDocumentStorage))
        again = node.firstread("withdraw", "1")
    [note] = of_class(pacs, KeyObjectSelectionDocumentStorage)
    assert rejected(note) == sent
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert (note.StudyInstanceUID, note.PatientID) == (one.StudyInstanceUID, "4711")
    assert again.returncode == 1
    assert "its results were withdrawn before" in again.stderr
    assert "its results were withdrawn at" in node.firstread("requeue", "1").stderr


def test_what_has_not_been_sent_is_not_sent_after_a_withdrawal(node, pacs, one):
    with node.running("receive", "read"):
        node.store(one)
        servers.wait_until(lambda: len(node.deliveries()) == 2, 60)
        done = node.firstread("withdraw", "1")
    assert done.stdout == "job 1: withdrawn; 0 destinations are told\n"
    assert "its results were withdrawn at" in node.firstread("requeue", "1").stderr
    with node.running("send"):
        node.wait_for_ends(1)
    assert pacs.received == []
    assert {(row.state, row.reason) for row in node.deliveries()} == {("FAILED", "withdrawn: quality")}


def test_a_film_without_results_is_not_withdrawn(node, one):
    with node.running("receive"):
        node.store(one)
    assert "it is QUEUED and has no results" in node.firstread("withdraw", "1").stderr
    assert node.firstread("withdraw", "2").stderr == "firstread: no job 2\n"


def test_a_corrected_header_gives_results_of_its_own_and_takes_the_first_back(node, pacs, one):
    corrected = copy.deepcopy(one)
    corrected.PatientID, corrected.StudyInstanceUID = "0815", "1.2.3.4"
    with node.running("receive", "read", "send"):
        node.store(one)
        node.wait_for_ends(1)
        before = {ds.SOPInstanceUID for ds in pacs.received}
        node.store(corrected)
        node.wait_for_ends(2)
        servers.wait_until(lambda: of_class(pacs, KeyObjectSelectionDocumentStorage), 60)
    [note] = of_class(pacs, KeyObjectSelectionDocumentStorage)
    assert rejected(note) == before
    assert (note.StudyInstanceUID, note.PatientID) == (one.StudyInstanceUID, "4711")
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    after = [ds for ds in pacs.received if ds.SOPInstanceUID not in before and ds is not note]
    assert {(ds.StudyInstanceUID, ds.PatientID) for ds in after} == {("1.2.3.4", "0815")}
    assert [row.state for row in node.films()] == ["READ", "READ"]
    assert [row.withdrawn_at is None for row in node.films()] == [False, True]


def test_other_pixels_under_a_known_uid_are_kept_apart_and_the_first_result_stands(
    node, pacs, one, film, chest
):
    other = film(pixels=chest[::3, ::3] + 1, SOPInstanceUID=one.SOPInstanceUID)
    other.StudyInstanceUID = one.StudyInstanceUID
    with node.running("receive", "read", "send"):
        node.store(one)
        node.wait_for_ends(1)
        node.store(other)
        rows = node.wait_for_ends(2)
        assert [row.state for row in rows] == ["READ", "SKIPPED"]
        assert rows[1].reason.startswith("CONFLICT: found other pixels under the SOP Instance UID of job 1")
        assert len(pacs.received) == 2
        assert node.firstread("requeue", "2").stdout == "job 2: queued again\n"
        node.wait_for_ends(2)
    assert [row.state for row in node.films()] == ["READ", "READ"]
    assert not of_class(pacs, KeyObjectSelectionDocumentStorage)
    assert len({ds.SOPInstanceUID for ds in pacs.received}) == 4


def test_results_of_a_new_model_name_those_of_the_one_before(node, pacs, one):
    with node.running("receive", "read", "send"):
        node.store(one)
        node.wait_for_ends(1)
    node.config.write_text(node.config.read_text().replace("gao-2020-small", "gao-2020"))
    assert node.firstread("requeue", "1").stdout == "job 1: queued again\n"
    with node.running("read", "send"):
        node.wait_for_ends(1)
        servers.wait_until(lambda: len(pacs.received) == 4)
        assert node.firstread("requeue", "1").stdout == "job 1: queued again\n"
        node.wait_for_ends(1)
    first, second = of_class(pacs, Comprehensive3DSRStorage)
    [study] = second.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in first
    earlier, later = of_class(pacs, SecondaryCaptureImageStorage)
    [reference] = later.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert len(pacs.received) == 4


def test_corrected_films_are_found_without_a_look_at_every_film(engine):
    one = dataclasses.asdict(
        ReceivedFilm("", "1.2", "1.5", "A1", "CR", "1.2.840.10008.1.2.1", "", 10, "", "MOD", "FIRSTREAD", "")
    ) | {"state": "READ", "received_at": NOW, "changed_at": NOW}
    with engine.begin() as connection:
        connection.execute(
            insert(tables.film),
            [one | {"sop_instance_uid": f"1.9.{n}", "digest": str(n)} for n in range(2000)],
        )
        connection.execute(
            insert(tables.film), one | {"sop_instance_uid": "1.9.7", "digest": "other", "conflict_with": 8}
        )
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    with plans.explained(engine) as found:
        assert withdrawals.corrected(engine) == []
    assert "ix_film_conflict_with" in found[0]
    for plan in found:
        assert "SCAN film" not in plan
        assert "Seq Scan on film" not in plan
        assert "ix_film_state" not in plan
