"""Orthanc with its Python plug-in doing the work of `bench.straightforward`, loaded by Orthanc itself.

Each film that is stored is read by the same network with the same code; its results are stored in Orthanc, as
users of the plug-in do, and sent on to the modality ``pacs`` on one association.
"""

import json
import os
from io import BytesIO

import orthanc
from bench.straightforward import FILMS, Script
from pydicom import dcmread
from pydicom.dataset import Dataset

SCRIPT = Script(os.environ["BENCH_VERSION"])


def store(result: Dataset) -> str:
    """Keep a result in Orthanc; its number there."""
    encoded = BytesIO()
    result.save_as(encoded, enforce_file_format=True)
    return json.loads(orthanc.RestApiPost("/instances", encoded.getvalue()))["ID"]


def on_change(change: int, _level: int, resource: str) -> None:
    """Read what was stored, if it is a film."""
    if change != orthanc.ChangeType.NEW_INSTANCE:
        return
    ds = dcmread(BytesIO(orthanc.GetDicomForInstance(resource)))
    if ds.SOPClassUID in FILMS:
        results = [store(result) for result in SCRIPT.read(ds)]
        orthanc.RestApiPost("/modalities/pacs/store", json.dumps(results))


orthanc.RegisterOnChangeCallback(on_change)
