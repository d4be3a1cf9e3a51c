"""daemon/routing.py: which destination gets which objects, by its table and by rules."""

import base64
import contextlib
import json
import re

import listeners
import pytest
from conftest import make_film
from node import Node, Pacs
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context
from test_dicomweb import item, response

from daemon import config
from daemon.config import Rule
from daemon.config_file import BadConfig
from daemon.results import kinds
from daemon.routing import plan

SMALL = {"model": {"version": "gao-2020-small"}, "results": {"longest_side": 512}}
SERIES = {
    "capture": 9001,
    "overlay": 9005,
    "report": 9002,
    "report-comprehensive": 9002,
    "report-enhanced": 9002,
    "segmentation": 9003,
    "presentation-state": 9004,
    "pdf": 9007,
    "key-object": 9008,
}


@contextlib.contextmanager
def nodes_of(folder, tables, *more):
    """Two destinations, ``pacs`` and ``triage``, and a node whose config ends with `more` lines."""
    with contextlib.closing(Pacs()) as pacs, contextlib.closing(Pacs(ae_title="TRIAGE")) as triage:
        node = Node(folder, {"pacs": pacs.port, "triage": triage.port}, tables=SMALL | tables)
        node.config.write_text("\n".join([node.config.read_text(), *more]))
        yield node, pacs, triage
        node.engine.dispose()


def series(pacs):
    return sorted(ds.SeriesNumber for ds in pacs.received)


def test_a_destination_gets_the_objects_that_its_table_names(tmp_path, film, chest):
    with (
        nodes_of(tmp_path, {}, f"objects = {json.dumps(list(SERIES))}") as (node, pacs, triage),
        node.running("receive", "read", "send"),
    ):
        node.store(film(pixels=chest[::3, ::3]))
        [row] = node.wait_for_ends(1)
    assert (row.state, row.decision) == ("READ", "COVID-19")
    assert series(pacs) == [9001, 9002]
    assert series(triage) == sorted(SERIES.values())
    assert {one.kind for one in node.deliveries()} == {"SC", "SCO", "SR", "SEG", "PR", "PDF", "KO"}


def test_a_destination_that_rules_name_gets_what_they_let_through_and_the_others_all(tmp_path, film, chest):
    rules = ["[[rule]]", "when = 'sender == \"CR9\"'", 'send = ["triage"]', 'objects = ["report"]']
    with nodes_of(tmp_path, {}, *rules) as (node, pacs, triage):
        one, other = film(pixels=chest[::3, ::3]), film(pixels=chest[::3, ::3] + 1)
        with node.running("receive", "read", "send"):
            node.store(one)
            with node.association(other, ae_title="CR9") as assoc:
                assoc.send_c_store(other)
            node.wait_for_ends(2)
    assert series(pacs) == [9001, 9001, 9002, 9002]
    assert series(triage) == [9002]
    assert triage.received[0].StudyInstanceUID == other.StudyInstanceUID


def test_a_refusal_is_reported_to_whom_a_rule_says(tmp_path, film, chest):
    rules = ["[[rule]]", "when = 'refusal == \"NOT_FRONTAL\"'", 'send = ["triage"]']
    tables = {"results": {"longest_side": 512, "report_not_analysed": ["NOT_FRONTAL", "ROTATED"]}}
    with (
        nodes_of(tmp_path, tables, *rules) as (node, pacs, triage),
        node.running("receive", "read", "send"),
    ):
        node.store(film(pixels=chest[::3, ::3], ViewPosition="LL"), film(pixels=chest[::3, ::3].T.copy()))
        rows = node.wait_for_ends(2)
    assert [row.reason.partition(":")[0] for row in rows] == ["NOT_FRONTAL", "ROTATED"]
    assert series(pacs) == [9006, 9006]
    assert series(triage) == [9006]


def test_a_picture_of_the_refusal_goes_where_it_is_asked_for_and_the_film_was_decoded(tmp_path, film, chest):
    tables = {"results": {"longest_side": 512, "report_not_analysed": ["NOT_FRONTAL", "ROTATED"]}}
    wanted = 'objects = ["not-analysed-capture"]'
    with nodes_of(tmp_path, tables, wanted) as (node, _, triage), node.running("receive", "read", "send"):
        node.store(film(pixels=chest[::3, ::3], ViewPosition="LL"), film(pixels=chest[::3, ::3].T.copy()))
        node.wait_for_ends(2)
    [picture] = triage.received
    assert picture.SOPClassUID == SecondaryCaptureImageStorage
    assert "rotated" in picture.DerivationDescription


@pytest.mark.parametrize("takes_jpeg", [True, False])
def test_a_jpeg_picture_is_sent_as_it_is_or_decoded_for_who_takes_no_jpeg(tmp_path, film, chest, takes_jpeg):
    syntaxes = [ExplicitVRLittleEndian] + ([JPEGBaseline8Bit] if takes_jpeg else [])
    contexts = [build_context(SecondaryCaptureImageStorage, syntaxes)]
    with contextlib.closing(Pacs(contexts=contexts)) as pacs:
        tables = SMALL | {"results": {"longest_side": 512, "jpeg": True}}
        node = Node(tmp_path, {"pacs": pacs.port}, tables=tables)
        node.config.write_text(node.config.read_text() + '\nobjects = ["capture"]\n')
        with node.running("receive", "read", "send"):
            node.store(film(pixels=chest[::3, ::3]))
            node.wait_for_ends(1)
        node.engine.dispose()
    [picture] = pacs.received
    syntax = picture.file_meta.TransferSyntaxUID
    assert syntax == (JPEGBaseline8Bit if takes_jpeg else ExplicitVRLittleEndian)
    assert picture.LossyImageCompression == "01"
    assert picture.pixel_array.shape[2] == 3


def test_the_modality_and_the_language_are_those_of_the_config(tmp_path, film, chest):
    tables = {"results": {"longest_side": 512, "modality": "film", "language": "de"}}
    with nodes_of(tmp_path, tables) as (node, pacs, _), node.running("receive", "read", "send"):
        node.store(film(pixels=chest[::3, ::3]))
        node.wait_for_ends(1)
    by_series = {ds.SeriesNumber: ds for ds in pacs.received}
    assert by_series[9001].Modality == "CR"
    texts = [item.TextValue for item in by_series[9002].ContentSequence if item.ValueType == "TEXT"]
    assert any(text.startswith("Höchster Modellwert: COVID-19.") for text in texts)


def destinations(*names):
    return config.parse(
        {"destination": [{"name": name, "ae_title": "A", "host": "h", "port": 104} for name in names]}, "f"
    ).destination


def test_rules_add_up_and_a_rule_without_objects_means_all(film):
    some = destinations("pacs", "triage")
    rules = (Rule('sender == "A"', ("triage",), ("pdf",)), Rule('sender != "B"', ("triage",)))

    def of_triage(sender):
        return plan(some, rules, film(), sender, None)["triage"]

    assert of_triage("A") == {"pdf", *kinds.DEFAULT_OBJECTS}
    assert of_triage("B") == frozenset()
    assert plan(some, rules, film(), "B", None)["pacs"] == frozenset(kinds.DEFAULT_OBJECTS)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"when": "nosuch == 1", "send": ["pacs"]}, "expected a comparison of decision"),
        ({"when": 'sender == "A"', "send": ["nobody"]}, "no destination nobody"),
        ({"when": 'sender == "A"', "send": []}, "send"),
        ({"when": 'sender == "A"', "send": ["pacs"], "objects": ["hologram"]}, "hologram"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_told_when_the_config_is_read(rule, told):
    pacs = {"name": "pacs", "ae_title": "A", "host": "h", "port": 104}
    with pytest.raises(BadConfig, match=told):
        config.parse({"destination": [pacs], "rule": [rule]}, "f")


def test_each_kind_of_destination_gets_its_kind_of_result():
    of_kinds = (
        config.DimseDestination(name="pacs", ae_title="PACS", host="h", port=104),
        config.DicomwebDestination(kind="dicomweb", name="web", url="http://h", objects=("pdf",)),
        config.Hl7Destination(kind="hl7", name="ris", host="h", port=2575),
        config.WebhookDestination(kind="webhook", name="program", url="http://h", secret_file="s"),
    )
    assert plan(of_kinds, (), make_film(), "", None) == {
        "pacs": {"capture", "report"}, "web": {"pdf"}, "ris": {"message"}, "program": {"notification"},
    }  # fmt: skip


@pytest.fixture
def surroundings():
    """A PACS of DICOMweb, an information system and a program, all stand-ins."""
    with (
        contextlib.closing(listeners.HttpListener()) as web,
        contextlib.closing(listeners.MllpListener()) as ris,
        contextlib.closing(listeners.HttpListener()) as program,
    ):
        web.answer = lambda request: (200, {}, response(referenced=[item(stored(request).SOPInstanceUID)]))
        yield web, ris, program


def stored(request):
    """The object of a STOW-RS request."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    part = request.body.split(b"--" + boundary)[1]
    return dcmread(DicomBytesIO(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")))


def test_one_film_reaches_destinations_of_all_kinds(tmp_path, pacs, chest, surroundings):
    web, ris, program = surroundings
    (tmp_path / "secret").write_text(base64.b64encode(bytes(32)).decode())
    node = Node(
        tmp_path,
        {
            "pacs": pacs.port,
            "web": {"kind": "dicomweb", "url": f"{web.url}/dicom-web"},
            "ris": {"kind": "hl7", "host": "127.0.0.1", "port": ris.port},
            "program": {"kind": "webhook", "url": program.url, "secret_file": str(tmp_path / "secret")},
        },
    )
    film = make_film(pixels=chest, PatientName="PLANTED^NAME", PatientID="PLANTED-4711")
    with node.running("run"):
        node.store(film)
        node.wait_for_ends(1, 120)
    assert {(row.destination, row.kind, row.state) for row in node.deliveries()} == {
        ("pacs", "SC", "SENT"), ("pacs", "SR", "SENT"), ("web", "SC", "SENT"), ("web", "SR", "SENT"),
        ("ris", "ORU", "SENT"), ("program", "JSON", "SENT"),
    }  # fmt: skip
    classes = (SecondaryCaptureImageStorage, Comprehensive3DSRStorage)
    capture, report = (pacs.of(sop_class)[0].SOPInstanceUID for sop_class in classes)
    assert {stored(request).SOPInstanceUID for request in web.received} == {capture, report}
    [message], [request] = (one.received for one in (ris, program))
    # The message was written after the results, whose names are those of the film byte for byte.
    assert str(pacs.received[0].PatientName) == "PLANTED^NAME"
    assert b"|PLANTED-4711^^^HOSPITAL||PLANTED^NAME^^^^^L^A|" in message
    assert f"||{capture}|".encode() in message and f"||{report}|".encode() in message
    assert json.loads(request.body)["results"] == {"SC": capture, "SR": report}
    assert b"PLANTED" not in request.body
    raw = b"".join(path.read_bytes() for path in node.folder.glob("firstread.db*"))
    assert "PLANTED" not in node.log_text() and b"PLANTED" not in raw
    suffixes = sorted(path.suffix for path in node.spooled("results"))
    assert suffixes == [".dcm", ".dcm", ".hl7", ".json"]
    assert not any(re.search("PLANTED", str(path)) for path in node.folder.rglob("*"))
    node.engine.dispose()
