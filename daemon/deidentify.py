"""Films that name nobody: the Basic Application Level Confidentiality Profile (PS3.15 annex E)."""

from collections.abc import Callable

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from daemon import identities
from model import header
from model.study.pseudonyms import Pseudonyms

_EDITION = "dicomfields_2024b"  # of PS3.15 table E.1-1
_UID_TAGS = dicom_anonymization_database_selector(_EDITION)["U_TAGS"]
_TEXTS = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}


class BurnedIn(ValueError):
    """A film whose picture itself names the patient, by its own header."""


def deidentify(ds: Dataset, pseudonyms: Pseudonyms, patient: str) -> None:
    """Take from a film what may name anybody; UIDs become those that stand for them.

    Words of the patient's name, IDs and date of birth go wherever else they stand. Groups of overlays and
    curves go too: what is drawn in them nobody has looked at. The pixels stay as they are.

    Parameters
    ----------
    ds : Dataset
        Changed in place.
    pseudonyms : Pseudonyms
    patient : str
        Pseudonym, for name and ID.

    Raises
    ------
    BurnedIn
        If *Burned In Annotation* (PS3.3 C.7.6.1.1) or *Recognizable Visual Features* says YES.
    """
    for keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures"):
        if header.text(ds, keyword) == "YES":
            raise BurnedIn(f"found {keyword} YES, expected a picture that names nobody")

    def replace_uids(within: Dataset, tag: tuple[int, int]) -> None:
        element = within.get(tag)
        if element is not None and element.value:
            uids = [pseudonyms.uid(str(uid)) for uid in header.as_list(element.value)]
            element.value = uids if element.VM > 1 else uids[0]

    named = identities.of(ds)
    with header.own_judgement():
        for tag in [element.tag for element in ds if element.tag.group & 0xFF00 in (0x5000, 0x6000)]:
            del ds[tag]
        _anonymize(ds, dict.fromkeys(_UID_TAGS, replace_uids))
        _take_out(ds, named)
        ds.PatientName = ds.PatientID = patient
        ds.PatientIdentityRemoved = "YES"
        ds.DeidentificationMethod = "PS3.15 Basic Application Level Confidentiality Profile"
        ds.DeidentificationMethodCodeSequence = Sequence([_profile()])
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID


def _anonymize(ds: Dataset, rules: dict[tuple[int, ...], Callable[[Dataset, tuple[int, int]], None]]) -> None:
    """What the profile says, also of the items of sequences that it keeps."""
    anonymize_dataset(ds, rules, base_rules_gen=lambda: initialize_actions(_EDITION))
    for element in list(ds):
        if element.VR == "SQ":
            for item in element.value:
                _anonymize(item, rules)


def _take_out(ds: Dataset, named: set[str]) -> None:
    """Names of the patient from texts that the profile keeps, where no name should stand."""
    for element in ds.iterall():
        if element.VR in _TEXTS and element.value:
            texts = [identities.without(str(text), named) for text in header.as_list(element.value)]
            element.value = texts if element.VM > 1 else texts[0]


def _profile() -> Dataset:
    """PS3.16 CID 7050."""
    item = Dataset()
    item.CodeValue = "113100"
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = "Basic Application Confidentiality Profile"
    return item
