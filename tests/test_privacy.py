"""One node with films that name their patient in odd places, and everything it says searched for the patient.

The same node's log shows that one film can be followed through all processes.
"""

import json
import sqlite3

import pytest
import requests
import servers
from node import Node, Pacs
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

PLANTED = ("PLANTEDNAME", "PLANTEDGIVEN", "PLANTEDID", "19010203")
VIEWER = {"X-User": "vera", "X-Role": "viewer"}
FILMS = 5


def planted_film(**changes: object) -> Dataset:
    """A real chest film of a patient whose name, ID and birth date are found again wherever they stand."""
    ds = dcmread(get_testdata_file("RG1_J2KI.dcm", download=False))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "PLANTEDNAME^PLANTEDGIVEN", "PLANTEDID", "19010203"
    with disable_value_validation():
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
    return ds


def odd_films() -> list[Dataset]:
    """What is read, and what is refused, broken, and named in elements that are not for it."""
    broken = planted_film(StudyDescription="PLANTEDNAME PLANTEDGIVEN", RescaleType="PLANTEDID")
    broken.PixelData = broken.PixelData[:400]
    return [
        planted_film(Manufacturer="PLANTEDNAME", InstitutionName="PLANTEDID"),
        planted_film(BodyPartExamined="PLANTEDNAME"),
        planted_film(ViewPosition="PLANTEDID"),
        planted_film(PatientAge="PLANTEDNAME", SeriesDescription="PLANTEDNAME hand"),
        broken,
    ]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The node after all films came to their end, its console still running."""
    pacs = Pacs()

    def refuse(ds: Dataset) -> Dataset:
        answer = Dataset()
        answer.Status = 0x0000 if ds.Modality == "SR" else 0xC123
        if answer.Status:
            answer.ErrorComment = f"{ds.PatientName} ({ds.PatientID}, {ds.PatientBirthDate}) unknown"[:64]
        return answer

    pacs.answer = refuse
    console = {"proxy_user_header": "X-User", "proxy_role_header": "X-Role", "trusted_proxies": ["127.0.0.1"]}
    tables = {"node": {"log_format": "json"}, "console": console}
    node = Node(tmp_path_factory.mktemp("planted"), {"pacs": pacs.port}, tables=tables)
    with node.running("receive", "read", "send", "console"):
        films = odd_films()
        with disable_value_validation(), node.association(*films, ae_title="XR-ED-1") as assoc:
            assert [assoc.send_c_store(ds).Status for ds in films] == [0x0000] * FILMS
        node.wait_for_ends(FILMS, 240)
        yield node
    node.engine.dispose()
    pacs.close()


def get(node: Node, path: str) -> str:
    return requests.get(f"http://127.0.0.1:{node.console_port}{path}", headers=VIEWER, timeout=60).text


def found_in(text: str) -> list[str]:
    return [word for word in PLANTED if word in text.upper()]


def test_the_films_met_what_they_were_made_for(ended):
    assert [row.state for row in ended.films()] == ["READ", "SKIPPED", "SKIPPED", "READ", "FAILED"]
    reasons = [row.reason for row in ended.films()]
    assert reasons[1].startswith("NOT_CHEST: found [...]")
    assert reasons[2].startswith("NOT_FRONTAL: found [...]")
    refused = {row.kind: row.reason for row in ended.deliveries()}
    assert refused["SC"].startswith("status 0xC123: [...] ([...], [...]) unknown")


def test_no_log_line_names_the_patient(ended):
    assert found_in(ended.log_text()) == []


def test_no_row_of_any_table_names_the_patient(ended):
    with sqlite3.connect(ended.folder / "firstread.db") as connection:
        dump = "\n".join(connection.iterdump())
    assert 'INSERT INTO "film"' in dump
    assert found_in(dump) == []


def test_no_file_name_names_the_patient(ended):
    assert found_in(" ".join(str(path) for path in ended.folder.rglob("*"))) == []


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/node", "/node/now", "/metrics", "/api/node", "/api/monitoring", "/api/jobs"]
)
def test_no_page_names_the_patient_to_a_viewer(ended, path):
    page = get(ended, path)
    assert len(page) > 200
    assert found_in(page) == []


def test_one_film_is_followed_through_all_processes_by_its_job(ended):
    lines = [json.loads(line) for line in ended.log_text().splitlines() if line.startswith("{")]
    of_job = [line for line in lines if line.get("job") == 1]
    assert list(dict.fromkeys(line["process"] for line in of_job)) == ["receive", "read", "send"]
    received, uid = of_job[0], ended.films()[0].sop_instance_uid
    assert (received["association"], received["calling_ae_title"]) == (1, "XR-ED-1")
    assert {line["sop_instance_uid"] for line in of_job if line["process"] != "send"} == {uid}
    assert {line["destination"] for line in of_job if line["process"] == "send"} == {"pacs"}
    assert all(line["time"] and line["level"] and line["message"] for line in lines)


def test_every_step_of_a_film_is_measured(ended):
    told = servers.wait_until(lambda: get(ended, "/metrics"), what="metrics")
    values = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    for step, times in (("receive", FILMS), ("wait", FILMS), ("decode", 2)):
        assert float(values[f"firstread_{step}_seconds_count"]) == times
    assert 1 <= float(values["firstread_inference_seconds_count"]) <= 2
    assert float(values['firstread_delivery_seconds_count{destination="pacs"}']) == 2
    assert float(values['firstread_films_total{reason="",state="READ"}']) == 2
    assert float(values['firstread_films_total{reason="NOT_CHEST",state="SKIPPED"}']) >= 1
    assert float(values['firstread_deliveries_total{destination="pacs",state="FAILED"}']) == 2
    assert float(values['firstread_destination_up{destination="pacs"}']) == 1
    assert float(values["firstread_films_waiting"]) == 0
