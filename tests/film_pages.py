"""A node whose films have been read, for tests of the console's page of one film."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import requests
from conftest import make_film
from node import Node, Pacs
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

# Jobs of `node_with_films`, in the order in which they are sent.
CHEST, TURNED, KNEE, GARBLED = 1, 2, 3, 4
PLANTED = ("Planted^Person", "PLANTED-ID", "19010203")


def real_film(path: str, **changes: object) -> FileDataset:
    """A film under a UID of its own."""
    ds = dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def turned_film(path: str, **changes: object) -> FileDataset:
    """A film by a quarter turn."""
    ds = real_film(path, **changes)
    pixels = np.ascontiguousarray(np.rot90(ds.pixel_array))
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.tobytes()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def browsing(address: str) -> requests.Session:
    """A program that has opened a page of the console at `address`, and so may send forms."""
    session = requests.Session()
    page = session.get(address, headers={"Accept": "text/html"}, timeout=60).text
    session.headers["X-CSRF-Token"] = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
    return session


@contextlib.contextmanager
def node_with_films(folder: Path, chest: str, **tables: dict[str, object]) -> Iterator[Node]:
    """Chest, turned chest, knee and a chest with a name in undeclared letters, read and delivered.

    One of two destinations refuses the report.
    """
    main, research = Pacs(), Pacs(ae_title="RESEARCH")
    research.answer = lambda ds: 0xA900 if ds.Modality == "SR" else 0x0000
    name, patient_id, born = PLANTED
    identity = {"PatientName": name, "PatientID": patient_id, "PatientBirthDate": born}
    garbled = real_film(chest, AccessionNumber="4714")
    garbled.SpecificCharacterSet = None
    garbled.PatientName = b"Buc^J\xe9r\xf4me"
    films = [
        real_film(chest, AccessionNumber="26110-4711", **identity),
        turned_film(chest, AccessionNumber="26110-4701", **identity),
        make_film(AccessionNumber="26110-4720", BodyPartExamined="KNEE"),
        garbled,
    ]
    node = Node(
        folder,
        {
            "PACS-MAIN": {"ae_title": "PACS", "host": "127.0.0.1", "port": main.port},
            "PACS-RESEARCH": {"ae_title": "RESEARCH", "host": "127.0.0.1", "port": research.port},
        },
        tables=tables,
    )
    try:
        with node.running("receive", "read", "send"):
            for ds in films:
                assert node.store(ds)[0].Status == 0x0000
            node.wait_for_ends(len(films), 240)
        yield node
    finally:
        main.close()
        research.close()
        node.engine.dispose()
