"""Key Object Selections: a flag on the film, and a note that takes results back (DICOM PS3.3 A.35.4)."""

import datetime
from collections.abc import Sequence

from highdicom import sr
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset

from daemon.results import codes, kinds, wording
from daemon.results.film import complete_header, derive_uid, finish, instance, result_uid, series_uid
from daemon.results.languages import ENGLISH
from daemon.results.structured_report import observer, separate
from model.findings import ModelVersion, Reading

KIND, NOTE_KIND = kinds.KEY_OBJECT, kinds.REJECTION_NOTE
SERIES_NUMBER, NOTE_SERIES_NUMBER = 9008, 9009
SERIES_DESCRIPTION = "Firstread AI - not for diagnosis - flag"
NOTE_SERIES_DESCRIPTION = "Firstread AI - results withdrawn"


def flag(
    film: Dataset,
    reading: Reading,
    film_digest: str,
    now: datetime.datetime,
    *,
    results: Sequence[Dataset] = (),
) -> Dataset | None:
    """Point at a film on which the model finds something, in the film's study.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why).
    reading : Reading
    film_digest : str
        Digest of the film as received; part of the *SOP Instance UID*.
    now : datetime
        Time of production, aware.
    results : sequence of Dataset
        What else to point at, as built: the Secondary Capture, if there is one.

    Returns
    -------
    Dataset or None
        Key Object Selection Document Storage with file meta, Explicit VR Little Endian; the same bytes for
        the same arguments. None where nothing is found or the reading is indeterminate.

    References
    ----------
    DICOM PS3.3 A.35.4; PS3.16 TID 2010 and CID 7010.
    """
    if reading.decision == reading.cascade.absence or reading.decision.indeterminate:
        return None
    model = reading.model
    described = instance(film, model, result_uid(film, film_digest, model, KIND),
                         (series_uid(film, model, KIND), SERIES_NUMBER, SERIES_DESCRIPTION))  # fmt: skip
    statement = f"{wording.headline_with_score(reading)}. {ENGLISH.not_probability}"
    description = f"{wording.RESEARCH_USE}. {statement} {wording.NOT_REVIEWED.capitalize()}."
    header = complete_header(film)
    header.Rows = header.Columns = None  # what highdicom tells an image by
    objects = [header, *results]
    return _document(film, objects, (codes.OF_INTEREST, None), description, model, described, now)


def rejection_note(
    film: Dataset, results: Sequence[Dataset], reason: str, model: ModelVersion, now: datetime.datetime
) -> Dataset:
    """Ask the PACS to take results out of use, as IHE's Imaging Object Change Management has it.

    Parameters
    ----------
    film : Dataset
        Header of the film as received, best fresh from the file (`film.finish` says why).
    results : sequence of Dataset
        The results to reject, as built or as read from their files, without pixels if you like; the film
        itself is not rejected.
    reason : str
        One of `codes.REJECTIONS`.
    model : ModelVersion
        Which model made the results.
    now : datetime
        Time of production, aware.

    Returns
    -------
    Dataset
        Key Object Selection Document Storage with file meta, Explicit VR Little Endian; the same bytes for
        the same arguments.

    Raises
    ------
    ValueError
        If there are no results, or one of them is not of the film's study.

    References
    ----------
    IHE Radiology TF-2, RAD-66 Rejection Note Stored; DICOM PS3.16 TID 2010, CID 7010 and CID 7011.
    """
    if not results:
        raise ValueError("found no results, expected at least one")
    for result in results:
        if result.StudyInstanceUID != film.StudyInstanceUID:
            raise ValueError(f"result {result.SOPInstanceUID} is not of the film's study")
    uid = derive_uid("rejection", reason, *sorted(result.SOPInstanceUID for result in results))
    described = instance(film, model, uid, (series_uid(film, model, NOTE_KIND), NOTE_SERIES_NUMBER,
                                            NOTE_SERIES_DESCRIPTION))  # fmt: skip
    description = f"Results of {model.name}, {wording.model_text(model)}, withdrawn by the site."
    return _document(film, results, codes.REJECTIONS[reason], description, model, described, now)


def _document(
    film: Dataset,
    objects: Sequence[Dataset],
    title: tuple[sr.CodedConcept, sr.CodedConcept | None],
    description: str,
    model: ModelVersion,
    described: dict[str, object],
    now: datetime.datetime,
) -> Dataset:
    """A selection of objects of one study by the model, its title with a modifier or without (TID 2010)."""
    name, modifier = title
    device = observer(model)
    content = KeyObjectSelection(name, objects, observer_device_context=device, description=description)
    if modifier:
        relationship = sr.RelationshipTypeValues.HAS_CONCEPT_MOD
        content[0].ContentSequence.insert(0, sr.CodeContentItem(codes.TITLE_MODIFIER, modifier, relationship))
    separate(content[0])
    # highdicom takes patient and study from the first; names come from the film's own bytes.
    evidence = [_reference(film, item) for item in objects]
    ds = KeyObjectSelectionDocument(evidence, content, **described)
    for item in ds.ContentSequence:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            del item.ConceptNameCodeSequence  # TID 2010 has none, highdicom writes "Source"
    return finish(ds, film, now)


def _reference(film: Dataset, item: Dataset) -> Dataset:
    """A stand-in for an object, with the study's elements empty."""
    reference = complete_header(film)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
        setattr(reference, keyword, item[keyword].value)
    return reference
