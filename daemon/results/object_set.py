"""The DICOM objects that a destination may have of a film, by the names that the config gives them."""

import datetime
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache

from pydicom.dataset import Dataset

from daemon.config import Results
from daemon.results import (
    encapsulated_pdf,
    key_objects,
    kinds,
    not_analysed,
    presentation_state,
    secondary_capture,
    segmentation,
    structured_report,
    wording,
)
from daemon.results.film import derive_uid
from model.findings import ModelVersion, Reading
from model.header import text
from model.reader import PreparedFilm
from model.scope import OutOfScope
from model.texture.features import Textures


def of_reading(
    names: Collection[str],
    film: Dataset,
    prepared: PreparedFilm,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    look: Results,
    earlier: Sequence[Dataset] = (),
    retrospective: bool = False,
) -> Iterator[tuple[str, Dataset]]:
    """The objects of a film that was read, of each its name.

    Parameters
    ----------
    names : collection of str
        Of `kinds.OBJECTS`; what has nothing to show, such as the outline of a normal film, is
        left out.
    film : Dataset
        Header straight from the file: pydicom keeps the bytes of an element as they are only until it is
        read, and the results copy the patient's elements byte for byte.
    prepared : PreparedFilm
    reading : Reading
    film_digest : str
    now : datetime
        Time of production, aware.
    look : Results
        Table ``[results]``.
    earlier : sequence of Dataset
        UIDs and *Series Number* of results that other models made of the film; those of a kind are named.
    retrospective : bool
        Whether the film was asked of the archive.
    """
    shown = (film, prepared.display, reading, film_digest, now)
    told = (film, reading, film_digest, now)
    where = {"rows": prepared.rows, "columns": prepared.columns}
    drawn = _drawn(film, look)
    said = {"language": look.language, "retrospective": retrospective}

    def capture(number: int, overlay_only: bool) -> Dataset:
        return secondary_capture.build(
            *shown, **drawn, overlay_only=overlay_only, predecessors=_in_series(earlier, number)
        )

    measured = cache(lambda: _textures(prepared, reading)) if look.texture else dict

    def report(iod: str) -> Dataset:
        before = _in_series(earlier, structured_report.SERIES_NUMBER)
        return structured_report.build(
            *told, **where, iod=iod, **said, predecessors=before, textures=measured()
        )

    builders: dict[str, Callable[[], Dataset | None]] = {
        "capture": lambda: capture(secondary_capture.SERIES_NUMBER, False),
        "overlay": lambda: capture(secondary_capture.OVERLAY_SERIES_NUMBER, True),
        **{name: lambda iod=iod: report(iod) for name, iod in kinds.REPORTS.items()},
        "presentation-state": lambda: presentation_state.build(*told, **where),
        "segmentation": lambda: segmentation.build(*told, **where),
        "pdf": lambda: encapsulated_pdf.build(*shown, longest_side=look.longest_side, **said),
    }
    captures = []
    for name, build in builders.items():
        if name in names and (ds := build()) is not None:
            _mark(ds, retrospective)
            captures += [ds] if name in ("capture", "overlay") else []
            yield name, ds
    if "key-object" in names and (ds := key_objects.flag(*told, results=captures)) is not None:
        yield "key-object", _mark(ds, retrospective)


def of_refusal(
    names: Collection[str],
    film: Dataset,
    prepared: PreparedFilm | None,
    refusal: OutOfScope,
    model: ModelVersion,
    film_digest: str,
    now: datetime.datetime,
    look: Results,
    retrospective: bool = False,
) -> Iterator[tuple[str, Dataset]]:
    """The objects of a film that was not read; a picture only where its pixels were.

    Raises
    ------
    not_analysed.NotReportable
    """
    told = (film, refusal, model, film_digest, now)
    for name, iod in kinds.REPORTS.items():
        if name in names:
            ds = not_analysed.build(*told, iod=iod, language=look.language, retrospective=retrospective)
            yield name, _mark(ds, retrospective)
    if "not-analysed-capture" in names and prepared is not None:
        drawn = _drawn(film, look)
        shown = (film, prepared.display, refusal, model, film_digest, now)
        ds = secondary_capture.build_not_analysed(*shown, **drawn)
        yield "not-analysed-capture", _mark(ds, retrospective)


def kind(name: str, is_refused: bool) -> str:
    """Kind of the delivery of an object."""
    return not_analysed.KIND if is_refused and name in kinds.REPORTS else kinds.OBJECTS[name]


def _drawn(film: Dataset, look: Results) -> dict[str, object]:
    modality = text(film, "Modality") if look.modality == "film" else look.modality
    return {"longest_side": look.longest_side, "modality": modality or "OT", "jpeg": look.jpeg}


def _mark(ds: Dataset, retrospective: bool) -> Dataset:
    """Said in the series description of what was asked of the archive.

    A series has one description (PS3.3 C.7.3.1), and films of one may come by themselves and by a backfill:
    so these have series of their own.
    """
    if retrospective:
        ds.SeriesDescription = f"{ds.SeriesDescription} - retrospective"
        ds.SeriesInstanceUID = derive_uid("retrospective", ds.SeriesInstanceUID)
    return ds


def _textures(prepared: PreparedFilm, reading: Reading) -> Textures:
    """Texture of the lungs and of the place that the reading points at."""
    # SciPy's graphs take 0.1 s to load, in each decoder of a node whose reports have no texture.
    from model.texture.regions import textures  # noqa: PLC0415

    return textures(prepared.display, reading.lungs, wording.place_of(reading))


def _in_series(results: Sequence[Dataset], number: int) -> list[Dataset]:
    return [one for one in results if one.SeriesNumber == number]
