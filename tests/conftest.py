"""Fixtures that more than one test module uses."""

import datetime

import numpy as np
import pytest
import servers
from browser import browser, page  # noqa: F401 - fixtures
from node import Node, Pacs
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom.transport import AssociationSocket

from model.pixels import display_picture
from storage import database
from storage.spool import Spool

NOW = datetime.datetime(2026, 11, 25, 1, 20, 7, tzinfo=datetime.timezone(datetime.timedelta(hours=13)))

# Lines that a test module wants at the end of the run's output.
REPORT = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True, scope="session")
def neighbours_close_what_is_reset():
    """Servers that stand for other nodes close connections that ours resets, as those do.

    pynetdicom leaves them to the garbage collector, whose warning fails whatever test runs then.
    """
    shut_down = AssociationSocket._shutdown_socket

    def shut_down_and_close(self):
        connection = self.socket
        shut_down(self)
        if connection is not None and self.assoc.is_acceptor:
            connection.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AssociationSocket, "_shutdown_socket", shut_down_and_close)
        yield


def pytest_terminal_summary(terminalreporter, config):
    """Print the table of the shared films."""
    if lines := config.stash.get(REPORT, None):
        terminalreporter.section("where the shared films ended")
        terminalreporter.write("\n".join(lines) + "\n")


def chest_pixels(rows: int = 600, columns: int = 560) -> np.ndarray:
    """A drawn chest, (rows, columns) uint16, 12 bits, MONOCHROME2, that the lung network takes for one.

    Dark lungs, narrow above and cut off by the diaphragm below, in a lighter body with neck, heart and spine.
    """
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    trunk = 0.3 + 0.85 / (1 + np.exp(-(y + 0.8) * 12))
    lungs = np.zeros_like(x)
    for side in (-1, 1):
        across = (x - 0.42 * side) / (0.18 + 0.2 * np.clip(y + 0.75, 0, 1))
        inside = np.cbrt(np.abs(across) ** 3 + np.abs((y + 0.1) / 0.68) ** 3)
        below = y - (0.42 + 0.6 * (x - 0.42 * side) ** 2)
        lungs += 1 / (1 + np.exp((inside - 1) * 14)) / (1 + np.exp(below * 30))
    heart = 1 / (1 + np.exp((np.hypot((x - 0.12) / 0.32, (y - 0.2) / 0.32) - 1) * 14))
    grey = 2600.0 - 1900.0 * np.clip((np.abs(x) - trunk) / 0.15, 0, 1)
    grey += 400.0 * heart - 1500.0 * lungs * (1 - 0.8 * heart)
    grey += 600.0 * np.exp(-((x / 0.1) ** 2)) + 60.0 * np.sin(y * 40)
    noise = np.random.default_rng(7).normal(0, 20, grey.shape)
    return np.clip(grey + noise, 0, 4095).astype(np.uint16)


def make_film(**changes: object) -> FileDataset:
    """A synthetic CR chest film with a rich header; keywords replace elements, None removes one."""
    ds = FileDataset("film", Dataset(), preamble=b"\0" * 128)
    pixels = changes.pop("pixels", None)
    pixels = chest_pixels() if pixels is None else pixels
    elements = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": generate_uid(),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "StudyDate": "20261124",
        "StudyTime": "231500",
        "ContentDate": "20261124",
        "ContentTime": "231502",
        "AccessionNumber": "A4711",
        "Modality": "CR",
        "Manufacturer": "Synthetic",
        "ReferringPhysicianName": "Smith^John",
        "StudyDescription": "Chest",
        "PatientName": "Buc^Jérôme",
        "PatientID": "PID-0815",
        "IssuerOfPatientID": "HOSPITAL",
        "PatientBirthDate": "19600229",
        "PatientSex": "M",
        "PatientAge": "066Y",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "StudyID": "17",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PatientOrientation": ["L", "F"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "ImagerPixelSpacing": [0.6, 0.6],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
    }
    for keyword, value in (elements | changes).items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def make_bare_film(pixels: np.ndarray | None = None) -> FileDataset:
    """A DX film with almost no tags: what the standard's type 2 elements leave when empty or absent."""
    return make_film(
        pixels=pixels,
        SOPClassUID=DigitalXRayImageStorageForPresentation,
        Modality="DX",
        **dict.fromkeys(
            [
                "SpecificCharacterSet",
                "StudyDate",
                "StudyTime",
                "ContentDate",
                "ContentTime",
                "AccessionNumber",
                "Manufacturer",
                "ReferringPhysicianName",
                "StudyDescription",
                "PatientName",
                "PatientID",
                "IssuerOfPatientID",
                "PatientBirthDate",
                "PatientSex",
                "PatientAge",
                "BodyPartExamined",
                "ViewPosition",
                "StudyID",
                "SeriesNumber",
                "InstanceNumber",
                "PatientOrientation",
                "ImagerPixelSpacing",
                "WindowCenter",
                "WindowWidth",
                "ImageType",
            ]
        ),
    )


@pytest.fixture
def film():
    """Factory of synthetic films."""
    return make_film


@pytest.fixture(scope="session")
def rg1_path() -> str:
    """A real chest PA film (CR, MONOCHROME1, 15 bits) from pydicom-data."""
    return get_testdata_file("RG1_UNCI.dcm", read=False, download=False)


@pytest.fixture(scope="session")
def chest(rg1_path) -> np.ndarray:
    """The picture of that film, (978, 920) uint16, 12 bits, MONOCHROME2: `chest_pixels` are no chest to the
    network that finds the lungs."""
    display, _ = display_picture(dcmread(rg1_path))
    return display.astype(np.uint16) * 16


@pytest.fixture(scope="session")
def postgresql_url():
    """A PostgreSQL server of our own, on a Unix socket in a temporary folder."""
    with servers.postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, tmp_path):
    """An empty, migrated job database; the test runs on each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'firstread.db'}"
    else:
        url = servers.fresh_database(request.getfixturevalue("postgresql_url"))
    engine = database.open_engine(url)
    database.migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def spool(tmp_path):
    """An empty spool without a free-space floor."""
    return Spool(tmp_path / "spool")


@pytest.fixture
def pacs():
    """A real Storage SCP on a free port."""
    pacs = Pacs()
    yield pacs
    pacs.close()


@pytest.fixture
def node(tmp_path, pacs):
    """A node of its own whose results go to `pacs`; not running yet."""
    node = Node(tmp_path, {"pacs": pacs.port})
    yield node
    node.engine.dispose()
