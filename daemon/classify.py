"""``firstread classify``: films from files to files, without network or database."""

from collections.abc import Iterable
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.errors import InvalidDicomError

from daemon import service
from daemon.config import Config
from daemon.part10 import data_set_bytes
from daemon.results import film, kinds, object_set
from model.decode import UnreadableFilm
from model.findings import Reading
from model.reader import Reader, prepare
from model.scope import OutOfScope


def run(config: Config, files: Iterable[Path], out: Path) -> bool:
    """Read films and write ``NAME-SC.dcm``, ``NAME-SR.dcm`` and a preview ``NAME.png`` for each.

    Parameters
    ----------
    config : Config
        Its model, scope and results.
    files : iterable of Path
    out : Path
        Made if absent.

    Returns
    -------
    bool
        Whether every file could be read or was out of scope; a line for each is printed.
    """
    out.mkdir(parents=True, exist_ok=True)
    reader = Reader(config.model.version, 1)
    well = True
    for path in files:
        try:
            print(f"{path}: {_describe(_classify(config, reader, path, out))}")
        except OutOfScope as error:
            print(f"{path}: not analysed: {error}")
        except (UnreadableFilm, InvalidDicomError) as error:
            print(f"{path}: unreadable: {error}")
            well = False
    return well


def _classify(config: Config, reader: Reader, path: Path, out: Path) -> Reading:
    prepared = prepare(path, config.scope, reader.input_sizes)
    [reading] = reader.read([prepared])
    if isinstance(reading, OutOfScope):
        raise reading
    header = pydicom.dcmread(path, stop_before_pixels=True)
    built = object_set.of_reading(
        kinds.DEFAULT_OBJECTS, header, prepared, reading, data_set_bytes(path).digest,
        service.now().astimezone(), config.results,
    )  # fmt: skip
    for name, ds in built:
        kind = object_set.kind(name, is_refused=False)
        with (out / f"{path.stem}-{kind}.dcm").open("wb") as file:
            film.write(ds, file)
        if name == "capture":
            Image.fromarray(ds.pixel_array).save(out / f"{path.stem}.png")
    return reading


def _describe(reading: Reading) -> str:
    steps = [reading.step1] + ([reading.step2] if reading.step2 else [])
    scores = [
        f"{label} {100 * score:.1f}"
        for step in steps
        for label, score in zip(step.labels, step.scores, strict=True)
    ]
    return f"{reading.decision} ({', '.join(scores)})"
