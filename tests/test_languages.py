"""The Summary in other languages: the same figures, and no letter dropped or replaced."""

import dataclasses
import re
import string
from pathlib import Path

import pytest
import readings
from conftest import NOW, make_film
from judges import dciodvfy_errors, dsr2html_text
from pydicom import dcmread
from pydicom.dataset import Dataset
from received import NATIONAL, write_film, write_national_film

from daemon.results import not_analysed, structured_report, wording
from daemon.results.languages import ENGLISH, LANGUAGES, fits
from model.scope import REFUSALS, OutOfScope

STORED = Path(__file__).parent / "data"
FOREIGN = [language for language in LANGUAGES if language != "en"]


def build(film: Dataset, language: str, reading=None) -> Dataset:
    reading = reading or readings.covid()
    return structured_report.build(film, reading, "digest", NOW, rows=600, columns=560, language=language)


def summary(ds: Dataset) -> Dataset:
    (item,) = [
        item for item in ds.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Summary"
    ]
    return item


def entries(language: str):
    """Every text of a language by its place in the table."""
    for field in dataclasses.fields(LANGUAGES[language]):
        entry = getattr(LANGUAGES[language], field.name)
        if isinstance(entry, str):
            yield field.name, entry
        elif isinstance(entry, dict):
            yield from ((f"{field.name} {key}", text) for key, text in entry.items())


def test_the_languages_are_those_that_were_promised():
    assert list(LANGUAGES) == ["en", "de", "fr", "es", "mi"]
    for language, sentences in LANGUAGES.items():
        assert (sentences.code.value, sentences.code.scheme_designator) == (language, "RFC5646")


@pytest.mark.parametrize("language", FOREIGN)
def test_every_text_has_the_places_for_figures_that_the_english_one_has(language):
    def places(text: str) -> list[str]:
        return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)

    english = dict(entries("en"))
    translated = dict(entries(language))
    assert translated.keys() == english.keys()
    for name, text in translated.items():
        assert places(text) == places(english[name]), name
        assert text.strip() == text != ""


@pytest.mark.parametrize("name", readings.ALL)
@pytest.mark.parametrize("language", FOREIGN)
def test_the_figures_of_the_summary_are_the_same(language, name):
    reading = readings.ALL[name]()
    english = wording.summary(reading, retrospective=True)
    translated = wording.summary(reading, LANGUAGES[language], retrospective=True)
    assert len(translated) == len(english)
    for line, other in zip(translated, english, strict=True):
        figures = [re.findall(r"[<>]?\d+(?:\.\d+)?", text) for text in (line, other)]
        assert figures[0] == figures[1]
        assert line != other or line.startswith("COVID")
        assert "{" not in line


def test_the_words_of_the_table_are_those_of_the_design():
    assert wording.summary(readings.bacterial(), LANGUAGES["de"])[0] == "Höchster Modellwert: bakteriell."
    french = wording.summary(readings.outside_lungs(), LANGUAGES["fr"])
    assert french[0] == ("Indéterminé : 35 % de l'activation se trouvent dans les poumons, seuil 60 %.")
    assert "hors des poumons" in french[3]
    spanish = wording.summary(readings.below_threshold(), LANGUAGES["es"])
    assert spanish[0].endswith("viral 47, está por debajo del umbral 60.")
    assert wording.summary(readings.normal(), LANGUAGES["mi"])[0] == "Kaute tauira teitei rawa: noa."


WRITTEN = [
    ("de", "latin 1", "de"),
    ("fr", "latin 1", "fr"),
    ("es", "latin 1", "es"),
    ("mi", "latin 1", "en"),
    ("mi", "utf-8", "mi"),
    ("de", "chinese", "de"),
    ("mi", "chinese", "mi"),
    ("de", "japanese", "en"),
    ("fr", "korean", "en"),
    ("de", "undeclared", "en"),
    ("de", "misspelt", "en"),
]


# One warning is the film's own: its character set is misspelt.
@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning")
@pytest.mark.parametrize(("asked", "national", "written"), WRITTEN)
def test_the_summary_is_english_where_the_films_letters_do_not_suffice(asked, national, written, tmp_path):
    film = write_national_film(tmp_path / "film.dcm", *NATIONAL[national])
    build(film, asked).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    item = summary(dcmread(tmp_path / "report.dcm"))
    expected = wording.summary(readings.covid(), LANGUAGES[written])
    assert item.TextValue == "\r\n".join(expected)
    if written == "en":
        assert "ContentSequence" not in item
    else:
        (language,) = item.ContentSequence
        assert language.ConceptNameCodeSequence[0].CodeValue == "121049"
        assert language.RelationshipType == "HAS CONCEPT MOD"
        assert language.ConceptCodeSequence[0].CodeValue == written


@pytest.mark.parametrize("language", FOREIGN)
def test_every_reason_not_to_read_a_film_is_said_in_every_language(language):
    sentences = LANGUAGES[language]
    assert list(sentences.reasons) == list(REFUSALS)
    assert len(set(sentences.reasons.values())) == len(REFUSALS)
    first, _ = wording.refusal_summary(OutOfScope("AGE", "7 years", "18 to 120"), readings.MODEL, sentences)
    assert sentences.reasons["AGE"] in first
    assert re.findall(r"\d+", first) == ["7", "18", "120"]


def test_a_report_on_a_film_that_is_not_read_is_in_the_language_asked_for():
    refusal = OutOfScope("NOT_FRONTAL", "LL", "PA or AP")

    def lines(language: str, film: Dataset) -> tuple[str, str]:
        ds = not_analysed.build(film, refusal, readings.MODEL, "digest", NOW, language=language)
        return summary(ds).TextValue.split("\r\n")[0], ds.SOPInstanceUID

    film = make_film()
    german, english, maori = (lines(language, film) for language in ("de", "en", "mi"))
    assert german[0] == "Nicht ausgewertet: keine Frontalaufnahme. Gefunden: LL. Erwartet: PA or AP."
    assert maori == english != german


def test_the_rest_of_the_report_does_not_depend_on_the_language():
    film = make_film(SpecificCharacterSet="ISO_IR 192")

    def rest(ds: Dataset) -> list[Dataset]:
        return [item for item in ds.ContentSequence if item != summary(ds)]

    english = build(film, "en")
    for language in FOREIGN:
        ds = build(film, language)
        assert rest(ds) == rest(english)
        assert ds.SOPInstanceUID != english.SOPInstanceUID
        assert ds.SeriesInstanceUID == english.SeriesInstanceUID


def test_a_letter_too_many_is_found():
    assert fits("Höchster", "ISO_IR 100")
    assert not fits("ngā", "ISO_IR 100")
    assert fits("ngā", "ISO_IR 192")
    assert not fits("Höchster", None)
    for language in FOREIGN:
        texts = "".join(text for _, text in entries(language))
        assert fits(texts, "ISO_IR 192")
        assert fits(texts, "ISO_IR 100") == (language != "mi")
    assert fits("".join(text for _, text in entries("en")), None)
    assert ENGLISH is LANGUAGES["en"]


def test_a_german_report_reads_as_stored(tmp_path):
    """After a wanted change, look at the new text and store it: the failure shows it in full."""
    fixed = {
        f"{level}InstanceUID": f"1.2.3.{number}" for number, level in enumerate(["Study", "Series", "SOP"])
    }
    film = write_film(tmp_path / "film.dcm", make_film(**fixed))
    build(film, "de").save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []
    stored = (STORED / "report-covid-de.txt").read_text(encoding="utf-8")
    assert dsr2html_text(tmp_path / "report.dcm") == stored
