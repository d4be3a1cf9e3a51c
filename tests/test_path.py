"""The whole path between programs that are not ours: DCMTK's storescu, the node, Orthanc as the PACS."""

import json
import subprocess
from pathlib import Path

import foreign
import pydicom
import pytest
import requests
import servers
from node import Node
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from daemon.results import kinds

RESULTS = {SecondaryCaptureImageStorage, Comprehensive3DSRStorage}


def storescu(path, port, called):
    """Send a file as DCMTK does."""
    program = foreign.require("storescu", "dcmtk")
    subprocess.run(
        [program, "-aet", "MODALITY", "-aec", called, "127.0.0.1", str(port), path],
        check=True,
        env={"TCP_NODELAY": "1"},
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory, rg1_path):
    """RG1 stored at Orthanc and sent to the node by storescu; yields Orthanc, node and study UID."""
    with servers.orthanc() as orthanc:
        node = Node(tmp_path_factory.mktemp("node"), {"pacs": orthanc.dicom_port})

        storescu(rg1_path, orthanc.dicom_port, "PACS")
        with node.running("run"):
            storescu(rg1_path, node.port, "FIRSTREAD")
            node.wait_for_ends(1)
        yield orthanc, node, str(pydicom.dcmread(rg1_path, stop_before_pixels=True).StudyInstanceUID)
        node.engine.dispose()


def get(url, **parameters):
    answer = requests.get(url, timeout=10, **parameters)
    answer.raise_for_status()
    return answer.json()


def test_rest_finds_capture_and_report_in_the_study_of_the_film(study):
    orthanc, _, study_uid = study
    studies = get(f"{orthanc.url}/studies?expand")
    assert [one["MainDicomTags"]["StudyInstanceUID"] for one in studies] == [study_uid]
    series = [get(f"{orthanc.url}/series/{identifier}") for identifier in studies[0]["Series"]]
    described = {one["MainDicomTags"].get("SeriesDescription", "") for one in series}
    assert {
        "Firstread AI - not for diagnosis - heatmap",
        "Firstread AI - not for diagnosis - report",
    } <= described
    assert len(series) == 3


def test_dicomweb_finds_capture_and_report_in_the_study_of_the_film(study):
    orthanc, _, study_uid = study
    found = get(
        f"{orthanc.url}/dicom-web/studies/{study_uid}/instances",
        headers={"Accept": "application/dicom+json"},
    )
    assert {one["00080016"]["Value"][0] for one in found} >= RESULTS
    assert len(found) == 3


def test_orthanc_has_one_patient_for_film_and_results(study):
    orthanc, _, _ = study
    assert len(get(f"{orthanc.url}/patients")) == 1


def test_orthanc_renders_the_capture(study):
    orthanc, _, _ = study
    for identifier in get(f"{orthanc.url}/instances"):
        tags = get(f"{orthanc.url}/instances/{identifier}/simplified-tags")
        if tags["SOPClassUID"] == SecondaryCaptureImageStorage:
            preview = requests.get(f"{orthanc.url}/instances/{identifier}/preview", timeout=10)
            assert preview.headers["Content-Type"] == "image/png"
            return
    pytest.fail("no Secondary Capture at Orthanc")


def test_the_node_knows_that_orthanc_took_both(study):
    _, node, _ = study
    assert [(row.kind, row.state, row.peer_status) for row in node.deliveries()] == [
        ("SC", "SENT", 0),
        ("SR", "SENT", 0),
    ]


def test_orthanc_with_the_script_of_etc_sends_films_on_and_gets_results_without_a_loop(tmp_path, rg1_path):
    script = Path(__file__).parents[1] / "etc" / "orthanc.lua"
    port = servers.free_port()
    with servers.orthanc(
        LuaScripts=[str(script)], DicomModalities={"firstread": ["FIRSTREAD", "127.0.0.1", port]}
    ) as orthanc:
        node = Node(tmp_path, {"pacs": orthanc.dicom_port}, tables={"node": {"port": port}})
        with node.running("run"):
            storescu(rg1_path, orthanc.dicom_port, "PACS")
            node.wait_for_ends(1)
            servers.wait_until(lambda: len(get(f"{orthanc.url}/instances")) == 3)
        assert [row.calling_ae_title for row in node.films()] == ["PACS"]
        node.engine.dispose()


def test_orthanc_takes_every_object_and_the_note_that_rejects_them(tmp_path, film, chest):
    tables = {"model": {"version": "gao-2020-small"}, "results": {"longest_side": 512, "jpeg": True}}
    objects = [name for name in kinds.OBJECTS if name != "not-analysed-capture"]
    with servers.orthanc() as orthanc:
        node = Node(tmp_path, {"pacs": orthanc.dicom_port}, tables=tables)
        node.config.write_text(f"{node.config.read_text()}\nobjects = {json.dumps(objects)}\n")
        with node.running("receive", "read", "send"):
            node.store(film(pixels=chest[::3, ::3]))
            [row] = node.wait_for_ends(1)
            assert node.firstread("withdraw", "1").returncode == 0
            servers.wait_until(lambda: len(node.deliveries()) == len(objects) + 1)
            node.wait_for_ends(1)
        node.engine.dispose()
        described = [one["MainDicomTags"] for one in get(f"{orthanc.url}/series?expand")]
        kept = [
            get(f"{orthanc.url}/instances/{one['ID']}/simplified-tags")["SOPClassUID"]
            for one in get(f"{orthanc.url}/instances?expand")
        ]
    assert row.decision == "COVID-19"
    assert {one.state for one in node.deliveries()} == {"SENT"}
    assert sorted(int(one["SeriesNumber"]) for one in described) == [
        9001, 9002, 9003, 9004, 9005, 9007, 9008, 9009,
    ]  # fmt: skip
    assert len(kept) == len(objects) + 1
