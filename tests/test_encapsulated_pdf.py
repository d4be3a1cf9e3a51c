"""The Encapsulated PDF."""

import re

import numpy as np
import pytest
import readings
from conftest import NOW, chest_pixels, make_bare_film, make_film
from judges import dcentvfy_errors, dciodvfy_errors, pdf_pages, pdf_picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NAME, PATIENT_ID, write_film
from reportlab.pdfbase import pdfmetrics

from daemon.results import encapsulated_pdf, picture, wording
from daemon.results.languages import LANGUAGES

DISPLAY = (chest_pixels() >> 4).astype(np.uint8)


def build(film: Dataset, reading=None, **variant) -> Dataset:
    reading = reading or readings.covid()
    return encapsulated_pdf.build(film, DISPLAY, reading, "digest", NOW, longest_side=512, **variant)


def document(ds: Dataset) -> bytes:
    return ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]


def test_the_object_says_what_it_is_and_which_film_it_is_from():
    film = make_film()
    ds = build(film)
    assert (ds.SOPClassUID, ds.Modality) == ("1.2.840.10008.5.1.4.1.1.104.1", "DOC")
    assert (ds.SeriesNumber, ds.SeriesDescription) == (9007, "Firstread AI - not for diagnosis - summary")
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert ds.DocumentTitle == "Firstread, RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert (ds.VerificationFlag, ds.BurnedInAnnotation) == ("UNVERIFIED", "YES")
    assert (ds.ContentDate, ds.ContentTime) == ("20261125", "012007")
    assert ds.SourceInstanceSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert ds.ContributingEquipmentSequence[0].ManufacturerModelName == "example-1"
    assert document(ds).startswith(b"%PDF-")
    assert document(ds).rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("name", readings.ALL)
def test_one_page_holds_the_sentences_of_the_report(name, tmp_path):
    reading = readings.ALL[name]()
    (tmp_path / "page.pdf").write_bytes(document(build(make_film(), reading)))
    (text,) = pdf_pages(tmp_path / "page.pdf")
    assert text == " ".join((*wording.summary(reading), wording.RESEARCH_USE, wording.NOT_REVIEWED))


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_the_sentences_are_in_the_language_asked_for_whatever_letters_the_film_has(language, tmp_path):
    """Ghostscript finds a letter beyond ASCII, but not which: the font has a glyph for each of them."""
    film = make_film(SpecificCharacterSet=None, PatientName="Buc^Jerome")
    ds = build(film, language=language)
    (tmp_path / "page.pdf").write_bytes(document(ds))
    (text,) = pdf_pages(tmp_path / "page.pdf")
    sentences = LANGUAGES[language]
    banner = (wording.RESEARCH_USE, wording.NOT_REVIEWED, sentences.research_use, sentences.not_reviewed)
    expected = " ".join((*wording.summary(readings.covid(), sentences), *banner))
    assert re.fullmatch(re.sub(r"[^\x00-\x7f]", ".", re.escape(expected)), text)
    for face in (encapsulated_pdf.REGULAR, encapsulated_pdf.BOLD):
        assert set(map(ord, expected)) <= pdfmetrics.getFont(face).face.charToGlyph.keys()
    assert ds.SOPInstanceUID != build(film).SOPInstanceUID


def test_the_page_shows_the_picture_and_no_text_over_it(tmp_path):
    reading = readings.covid()
    (tmp_path / "page.pdf").write_bytes(document(build(make_film(), reading)))
    shown = pdf_picture(tmp_path / "page.pdf", 72)
    drawn = picture.draw(DISPLAY, reading, NOW, 512)
    rows, columns = shown.shape[:2]
    assert (columns, rows) == pytest.approx((595, 842), abs=1)
    height = round(515 * drawn.shape[0] / 512)
    area = shown[41 : 39 + height, 41:554].astype(float)
    places = [np.linspace(0.001, 0.999, count) for count in area.shape[:2]]
    expected = drawn[
        np.ix_(*[(place * side).astype(int) for place, side in zip(places, drawn.shape, strict=False)])
    ]
    assert np.abs(area - expected).mean() < 12
    beside = np.concatenate([shown[:39].ravel(), shown[:, :38].ravel(), shown[:, 558:].ravel()])
    assert (beside == 255).all()


def test_the_banner_stays_clear_of_the_sentences(tmp_path):
    """With the highest picture, the longest sentences and the banner in two languages."""
    tall = np.repeat(DISPLAY[:, ::2], 2, axis=0)
    ds = encapsulated_pdf.build(
        make_film(), tall, readings.outside_lungs(), "digest", NOW, longest_side=512, language="es"
    )
    (tmp_path / "page.pdf").write_bytes(document(ds))
    grey = pdf_picture(tmp_path / "page.pdf", 72).min(axis=(1, 2))
    banner = np.flatnonzero(grey[:-45] < 60)[-1]  # last row above the lower end of the banner
    while grey[banner] < 60:
        banner -= 1
    assert (grey[banner - 3 : banner] == 255).all()


def test_the_same_arguments_give_the_same_bytes_and_name_no_patient(tmp_path):
    first = build(make_film(PatientName=NAME, PatientID=PATIENT_ID))
    assert document(build(make_film())) == document(first)
    first.save_as(tmp_path / "page.dcm", enforce_file_format=True)
    written = (tmp_path / "page.dcm").read_bytes()
    assert written.count(NAME.encode()) == written.count(PATIENT_ID.encode()) == 1


@pytest.mark.parametrize("make", [make_film, make_bare_film])
def test_pages_of_a_rich_and_of_a_bare_film_satisfy_the_validators(make, tmp_path):
    film = write_film(tmp_path / "film.dcm", make())
    ds = build(film)
    ds.save_as(tmp_path / "page.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "page.dcm") == []
    assert dcentvfy_errors(tmp_path / "film.dcm", tmp_path / "page.dcm") == []
    assert document(dcmread(tmp_path / "page.dcm")) == document(ds)
