"""``firstread evaluate --report``: one page that needs nothing else, its PDF, and what both say."""

import csv
import json
import re
import tomllib
from pathlib import Path

import judges
import numpy as np
import pytest
from browser import assert_accessible, browser  # noqa: F401 - a fixture
from conftest import chest_pixels
from lxml import html
from PIL import Image
from tinyhtml5.parser import HTMLParser

from daemon.cli import main
from model.decode import UnreadableFilm
from model.evaluation.answers import CLASSES
from model.evaluation.films import JudgedFilm, prepare_file
from model.reader import InputSizes
from model.study.report_checklists import CHECKLISTS, FOLDER
from model.study.report_films import may_be_shown
from model.study.report_page import WARNING
from model.study.report_parts import percent, title

STUDY = Path(__file__).parents[1] / "model" / "study"
FREE, NOT_FREE = "CC BY 4.0", "CC BY-NC-ND 4.0"
FLOW = {"admissions": 41, "films": 97, "admissions without a film for suspected pneumonia": 5,
        "first films": 36, "last films": 20}  # fmt: skip


pytestmark = pytest.mark.timeout(900)  # a report is half a minute of work, on a machine that does much else


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn chests of every class, two of them blank, their manifest, and the summary of a cohort."""
    root = tmp_path_factory.mktemp("films")
    chest = (chest_pixels() // 16).astype(float)
    columns = ["file", "label", "group_id", "source", "fold", "age", "sex", "ethnicity", "view", "licence"]
    rows = []
    for number in range(26):
        label = CLASSES[number % 4]
        picture = np.clip(chest * (0.75 + 0.02 * number), 0, 255).astype(np.uint8)[number : 600 - number]
        picture = np.full((300, 300), 90, np.uint8) if number >= 24 else picture
        Image.fromarray(picture).save(root / f"{number}.png")
        source, licence = ("north", FREE) if number % 3 else ("south", NOT_FREE)
        sex, ethnicity = ("F", "Maori") if number % 2 else ("M", "European")
        rows.append(
            (f"{number}.png", label, str(number // 2), source, 8, 30 + number, sex, ethnicity, "PA", licence)
        )
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([columns, *rows])
    sets = {"training": {"normal": 9}, "test": {"normal": 13, "covid19": 13}}
    (root / "cohort.json").write_text(json.dumps({"flow": FLOW, "sets": sets}), encoding="utf-8")
    return root


def evaluate(folder, *more: str) -> int:
    manifest, root = str(folder / "manifest.csv"), str(folder)
    return main(["evaluate", "--model", "gao-2020", "--manifest", manifest, "--root", root, *more])


@pytest.fixture(scope="module")
def report(folder):
    """The folder of a report."""
    written = folder / "report"
    assert evaluate(folder, "--report", str(written)) == 0
    return written


@pytest.fixture(scope="module")
def page(report):
    return html.fromstring((report / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(report):
    return json.loads((report / "report.json").read_text(encoding="utf-8"))


def table(page, key: str) -> list[list[str]]:
    """Rows of a table, those that head groups with one cell; an interval follows its figure after a blank."""
    (part,) = page.xpath(f"//div[@id='{key}']//table")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in part.iterfind(".//tbody/tr")]


def test_the_page_asks_for_nothing_from_elsewhere(page, report):
    fetched = [*page.xpath("//@src"), *page.xpath("//link/@href"), *page.xpath("//script")]
    fetched += re.findall(r"url\(([^)]*)\)|@import", "".join(page.xpath("//style/text()")))
    assert len(fetched) > 8
    assert all(address.startswith("data:") for address in fetched)
    assert set(page.xpath("//a/@href[not(starts-with(., '#'))]")) == {"card.md"}
    assert (report / "card.md").exists()


def test_a_picture_cut_short_is_unreadable_where_reports_are_made(folder, tmp_path):
    cut = tmp_path / "cut.png"
    cut.write_bytes((folder / "0.png").read_bytes()[:5000])
    with pytest.raises(UnreadableFilm):
        prepare_file(cut, InputSizes(steps=64, lungs=192))


def test_every_reference_leads_to_one_place(page):
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in page.xpath("//a/@href[starts-with(., '#')]")} <= set(ids)
    assert {name for names in page.xpath("//@aria-labelledby") for name in names.split()} <= set(ids)
    assert "[[" not in page.text_content()


def test_the_page_is_html_without_an_error(report):
    judge = HTMLParser()
    judge.parse((report / "report.html").read_bytes())
    assert judge.errors == []


def test_tables_and_pictures_are_there_for_who_cannot_see_them(page, found):
    assert page.get("lang") == "en"
    tables = page.xpath("//table")
    assert len(tables) > 10
    for one in tables:
        assert one.find("caption").text_content().strip()
        assert all(head.get("scope") for head in one.iterfind(".//th"))
    assert all(len(alt) > 30 for alt in page.xpath("//img/@alt"))
    assert len(page.xpath("//img/@alt")) == len(page.xpath("//img"))
    (alt,) = page.xpath("//figure[@id='roc']/img/@alt")
    for label, of in found["accuracy"]["questions"]["classes"]["per_label"].items():
        if of["roc_auc"]["value"] is not None:
            assert f"{title(label)} {of['roc_auc']['value']:.3f}" in alt


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_in_light_and_dark_without_a_network(browser, report, scheme):  # noqa: F811
    context = browser.new_context(color_scheme=scheme, offline=True)
    shown = context.new_page()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto((report / "report.html").as_uri())
    assert_accessible(shown)
    assert shown.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert shown.evaluate("document.fonts.check('16px Report')")
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
    context.close()


def test_parts_are_numbered_in_their_order(page):
    for kind, path in (("Table", "//caption/b"), ("Figure", "//figcaption/b")):
        names = [name.text_content().rstrip(".") for name in page.xpath(path)]
        assert names == [f"{kind} S{number}" for number in range(1, len(names) + 1)]


def test_no_figure_of_accuracy_differs_from_the_json(page, found):
    questions = {name: one for name, one in found["accuracy"]["questions"].items() if one["films"]}
    per_class = [row for row in table(page, "per-class") if len(row) > 1]
    expected = [
        (title(label, name), of) for name, one in questions.items() for label, of in one["per_label"].items()
    ]
    assert len(per_class) == len(expected) >= 7
    for row, (called, of) in zip(per_class, expected, strict=True):
        assert row[0] == called
        assert row[1:6] == [str(of[key]) for key in ("support", "tp", "fp", "tn", "fn")]
        for cell, key in zip(
            row[6:11], ("accuracy", "sensitivity", "specificity", "ppv", "npv"), strict=True
        ):
            assert_shown(cell, of[key]["value"], of[key]["wilson"], 100)
        assert_shown(row[11], of["f1"]["value"], of["f1"]["bootstrap"], 100)
    areas = [row for row in table(page, "areas") if len(row) > 1]
    for row, (_, of) in zip(areas, expected, strict=True):
        assert_shown(row[2], of["roc_auc"]["value"], of["roc_auc"]["bootstrap"], 1)
        assert_shown(row[3], of["average_precision"]["value"], of["average_precision"]["bootstrap"], 1)
    means = iter(row for row in table(page, "means") if len(row) > 1)
    for one in questions.values():
        for kind in ("macro", "weighted"):
            for cell, measure in zip(next(means)[1:], one[kind].values(), strict=True):
                assert_shown(cell, measure["value"], measure["bootstrap"], 100)
    errors = iter(table(page, "errors"))
    for one in questions.values():
        for cell, key in zip(next(errors)[1:], ("ece", "brier"), strict=True):
            measure = one["calibration"][key]
            assert_shown(cell, measure["value"], measure["bootstrap"], 1)
    prevalence = iter(row for row in table(page, "prevalence") if len(row) > 1)
    for of in questions["classes"]["per_label"].values():
        for key in ("ppv", "npv"):
            for cell, at in zip(next(prevalence)[1:], of["at_prevalence"], strict=True):
                assert_shown(cell, at[key]["value"], at[key]["wilson"], 100)


def assert_shown(cell: str, value: float | None, interval: list | None, times: int) -> None:
    """A cell says this figure and this interval, to the places that it has."""
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", cell)]
    expected = [] if value is None else [value, *(interval or [])]
    assert len(numbers) == len(expected), (cell, value, interval)
    for number, one in zip(numbers, expected, strict=True):
        assert number == pytest.approx(times * one, abs=0.051 if times == 100 else 0.00051)


def test_all_three_intervals_of_every_proportion_are_shown(page, found):
    rows = iter(row for row in table(page, "intervals") if len(row) > 1)
    for one in found["accuracy"]["questions"].values():
        if not one["films"]:
            continue
        shares = [one["accuracy"]]
        for of in one["per_label"].values():
            shares += [of[key] for key in ("accuracy", "sensitivity", "specificity", "ppv", "npv")]
        for share in shares:
            row = next(rows)
            assert row[1] == f"{share['part']}/{share['whole']}"
            for cell, kind in zip(row[3:], ("wilson", "clopper_pearson", "bootstrap"), strict=True):
                if share[kind] is not None:
                    assert cell == percent(share["value"], share[kind]).below.strip("()")
    assert next(rows, None) is None


def test_groups_are_shown_with_the_figures_of_the_json(page, found):
    rows = table(page, "equity-shares")
    texts = {row[0]: row for row in rows}
    everyone = found["equity"]["figures"]["accuracy"]
    assert_shown(texts["All"][4], everyone["value"], everyone["ci95"], 100)
    (maori,) = [of for group, of in found["equity"]["by"]["ethnicity"]["groups"].items() if "ori" in group]
    row = next(row for row in rows if row[0] == "Māori")
    assert row[1:4] == [str(maori[key]) for key in ("n", "patients", "n_refused")]


def test_the_flow_goes_from_admissions_to_answers(page, found):
    (alt,) = page.xpath("//figure[@id='flow']/img/@alt")
    assert (
        "Admissions, n = 41 (97 films), left out: No film for suspected pneumonia, n = 5 admissions." in alt
    )
    assert "36 first, 20 last" in alt
    assert "Films to be judged, n = 26, left out: Refused, n = 2, Blank: 2." in alt
    assert table(page, "refused") == [["Blank", "1", "1", "0", "0", "2"]]


def test_every_page_says_what_it_is_not_for(report, page):
    pages = judges.pdf_pages(report / "report.pdf")
    assert len(pages) > 8
    for number, text in enumerate(pages, 1):
        assert WARNING in text
        assert f"{number} / {len(pages)}" in text
    assert WARNING in page.xpath("string(//body/header)")
    whole = " ".join(pages)
    for caption in page.xpath("//caption"):
        assert " ".join(caption.text_content().split()) in whole


def test_no_raw_name_reaches_the_reader(page):
    for hidden in page.xpath("//style"):
        hidden.getparent().remove(hidden)
    words = page.text_content()
    assert set(re.findall(r"\b[a-z0-9]+_[a-z0-9_]+\b", words)) == set()
    assert re.findall(r"\bNone\b|\bnan\b|\bcovid19\b", words) == []


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("CC BY 4.0 (image set, per README)", True), ("CC BY 3.0", True), ("CC0 1.0", True),
        ("Public Domain", True), ("NIH: no restriction on use; cite the CVPR 2017 paper", True),
        ("CC BY-NC-ND 4.0", False), ("CC BY-NC-SA", False), ("CC BY-SA 4.0", False), ("none stated", False),
        ("not stated for this image", False), ("", False),
    ],
)  # fmt: skip
def test_films_are_shown_where_their_licence_lets_everyone(licence, free):
    assert may_be_shown(JudgedFilm("a.png", "normal", "1", "north", 8, licence=licence)) is free


def test_films_of_other_licences_are_left_out_and_it_is_said(page):
    words = page.xpath("string(//section[@id='examples'])")
    assert "8 of 24 films are never shown here" in words
    assert FREE in words
    assert NOT_FREE not in words
    assert len(page.xpath("//section[@id='examples']//img[starts-with(@src, 'data:image/jpeg')]")) == 1


def test_a_report_may_compare_two_versions_and_show_no_films(folder, tmp_path):
    bare = tmp_path / "bare"
    assert evaluate(folder, "--report", str(bare), "--films", "none", "--against", "gao-2020-small") == 0
    text = (bare / "report.html").read_text(encoding="utf-8")
    assert "This report shows no films." in text
    assert "data:image/jpeg" not in text
    rows = {row[0]: row for row in table(html.fromstring(text), "compared")}
    compared = json.loads((bare / "report.json").read_text(encoding="utf-8"))["comparison"]
    accuracy = compared["accuracy"]
    assert compared["with"]["model"] == "gao-2020-small"
    for cell, key in zip(rows["Accuracy, per cent"][1:3], ("first", "second"), strict=True):
        assert_shown(cell, accuracy[key], None, 100)
    assert f"{accuracy['both_right']} films were answered rightly by both" in text


@pytest.mark.parametrize(("name", "items"), [("tripod_ai", 27), ("claim", 44)])
def test_a_checklist_is_whole_and_refers_to_what_a_report_has(name, items):
    checklist = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows = [item for section in checklist["section"] for item in section["items"]]
    numbers = list(dict.fromkeys(int(re.match(r"\d+", item["number"])[0]) for item in rows))
    assert numbers == list(range(1, items + 1))
    assert len({item["number"] for item in rows}) == len(rows)
    source = "".join(path.read_text(encoding="utf-8") for path in STUDY.glob("report*.py"))
    for item in rows:
        for key in item.get("where", ()):
            assert f'"{key}"' in source, key


def test_checklists_are_filled_from_the_report(page):
    for name in CHECKLISTS:
        answers = [row[-1] for row in table(page, name) if len(row) > 1]
        assert any(
            re.match(r"Reported in (Table|Figure) S\d+|Reported in Section \d+", one) for one in answers
        )
        assert "Not known to the tool: fill in" in answers
    where = {row[0]: row[-1] for row in table(page, "tripod_ai") if len(row) > 1}
    assert where["20a"] == "Reported in Figure S1"


def test_what_cannot_be_reported_is_told_in_a_line(folder, tmp_path, capsys):
    wanted = ["--report", str(tmp_path / "none")]
    assert evaluate(folder, *wanted, "--folds", "3") == 1
    assert "no film in folds [3]" in capsys.readouterr().err
    rows = (folder / "manifest.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "manifest.csv").write_text("\n".join([rows[0], *rows[25:]]), encoding="utf-8")
    for row in rows[25:]:
        name = row.partition(",")[0]
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert evaluate(tmp_path, *wanted) == 1
    assert "all 2 films were refused (BLANK" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert evaluate(folder, "--films", "none") == 2
    assert "--report" in capsys.readouterr().err
