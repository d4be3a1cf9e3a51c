"""``firstread evaluate``: films of every kind through the node's door, figures out."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import chest_pixels, make_film
from PIL import Image

from daemon.cli import main
from model.evaluation.answers import judge
from model.evaluation.films import JudgedFilm, NoFilms, as_film, prepare_file, read_films
from model.pixels import display_picture
from model.reader import InputSizes, Reader
from model.training.films import read_picture


@pytest.fixture
def collection(tmp_path):
    """A manifest and its films: PNG, JPEG, DICOM and one that is blank."""
    picture = Image.fromarray((chest_pixels() // 16).astype(np.uint8))
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.jpg", quality=95)
    make_film().save_as(tmp_path / "c.dcm", enforce_file_format=True)
    Image.new("L", (300, 300), 90).save(tmp_path / "d.png")
    rows = [
        ("a.png", "normal", "1", "north", 8, "adult", "native"),
        ("b.jpg", "covid19", "2", "south", 8, "adult", "native"),
        ("c.dcm", "normal", "3", "north", 7, "unknown", "native"),
        ("d.png", "viral", "4", "south", 8, "unknown", "squashed"),
    ]
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(["file", "label", "group_id", "source", "fold", "age_group", "geometry"])
        writer.writerows(rows)
    return tmp_path


def evaluate(collection, *more: str) -> int:
    manifest, root = str(collection / "manifest.csv"), str(collection)
    return main(["evaluate", "--model", "gao-2020", "--manifest", manifest, "--root", root, *more])


def test_a_picture_comes_through_the_door_as_it_is():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(display_picture(as_film(picture))[0], picture)
    twelve = picture.astype(np.uint16) * 16 + 8
    assert np.abs(display_picture(as_film(twelve))[0].astype(int) - picture).max() <= 1


def test_dicom_jpeg_and_png_of_one_film_give_nearly_the_same_input(collection):
    inputs = [
        prepare_file(collection / name, InputSizes(192, 64)).network_input
        for name in ("a.png", "b.jpg", "c.dcm")
    ]
    assert np.abs(inputs[0] - inputs[1]).mean() < 0.01
    assert np.abs(inputs[0] - inputs[2]).mean() < 0.01


def test_folds_and_sources_choose_the_films(collection):
    manifest = collection / "manifest.csv"
    assert [film.file for film in read_films(manifest, [8], ["south"])] == ["b.jpg", "d.png"]
    assert len(read_films(manifest)) == 4
    with pytest.raises(NoFilms, match="no film in folds"):
        read_films(manifest, [3])


def test_a_manifest_says_who_the_patient_is_as_far_as_it_says_so(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "file,label,group_id,age,sex,bmi,ethnicity,view,manufacturer,position\n"
        "a,normal,1,0.25,F,30.5,Māori, PA ,ACME,lying\n"
        "b,normal,2,early 40s,,,,,,\n"
        "c,normal,3,nan,M,-1,9,AP\n",
        encoding="utf-8",
    )
    one, two, three = read_films(manifest)
    assert (one.age, one.age_group, one.sex, one.bmi) == (0.25, "paediatric", "F", 30.5)
    assert (one.ethnicity, one.view, one.manufacturer, one.position) == ("Māori", "PA", "ACME", "lying")
    assert (two.age, two.age_group, two.sex, two.bmi, two.ethnicity) == (None, "unknown", "", None, "")
    assert (three.age, three.bmi, three.view, three.manufacturer) == (None, None, "AP", "")
    manifest.write_text("file,label,group_id,age,age_group\na,normal,1,1-5 y,paediatric\n", encoding="utf-8")
    (stated,) = read_films(manifest)
    assert (stated.age, stated.age_group) == (None, "paediatric")


def test_the_figures_come_as_one_json_object(collection, capsys):
    assert evaluate(collection, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["n"], found["n_refused"]) == ("gao-2020", 4, 1)
    assert list(found["refused"]) == ["d.png"]
    assert set(found["by_source"]) == {"north", "south"}
    refused = {"n": 1, "n_refused": 1, "refused_for": {"BLANK": 1}, "n_indeterminate": 0}
    assert found["by_geometry"]["squashed"] == refused
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "per_class", "calibration", "outside_lungs"):
        assert name in found
        assert name in found["ci95"]
    assert found["study"]["questions"]["classes"]["confusion"] == found["confusion"]
    assert found["study"]["questions"]["classes"]["accuracy"]["value"] == found["accuracy"]


def test_the_figures_come_as_a_table(collection, capsys):
    assert evaluate(collection, "--folds", "7", "8", "--sources", "north,south") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gao-2020 ")
    assert lines[1].startswith("4 films of north, south, folds [7, 8]: 1 refused")
    assert lines[2] == "refused for 1 BLANK"
    assert any(line.startswith("  by source") for line in lines)


def test_sources_may_be_parted_by_blanks_or_commas(collection, capsys):
    for sources in (["north", "south"], ["north,south"]):
        assert evaluate(collection, "--sources", *sources) == 0
        assert "4 films of north, south, folds all" in capsys.readouterr().out


def test_no_film_to_judge_is_told_in_a_line(collection, capsys):
    assert evaluate(collection, "--folds", "3") == 1
    assert "no film in folds [3]" in capsys.readouterr().err


SET = Path(__file__).parents[2] / "shared" / "data" / "cxr"


@pytest.mark.skipif(not SET.exists(), reason="the labelled films are not beside the project")
def test_what_the_gate_refuses_is_judged_no_further(tmp_path):
    names = sorted((SET / "images" / "openist").iterdir())[:4]
    changes = (np.array, lambda picture: picture[::-1, ::-1], lambda picture: 255 - picture, np.array)
    films = []
    for number, (path, change) in enumerate(zip(names, changes, strict=True)):
        Image.fromarray(np.ascontiguousarray(change(read_picture(path)))).save(tmp_path / f"{number}.png")
        films.append(JudgedFilm(f"{number}.png", "normal", str(number), "openist", 8))
    (tmp_path / "4.dcm").write_bytes(b"no film")
    films.append(JudgedFilm("4.dcm", "normal", "4", "openist", 8))
    reader = Reader("gao-2020", 4)
    judged = judge(reader, films, tmp_path)
    assert [film.file for film in judged.films] == ["0.png", "3.png"]
    refused = {film.file: reason.partition(":")[0] for film, reason in judged.refused}
    assert refused == {"1.png": "ROTATED", "2.png": "POLARITY_INVERTED", "4.dcm": "UNREADABLE"}
    prepared = [prepare_file(tmp_path / name, reader.input_sizes) for name in ("0.png", "3.png")]
    readings = reader.read(prepared)
    assert list(judged.decisions) == [reading.decision for reading in readings]
    for share, reading in zip(judged.inside, readings, strict=True):
        if reading.activation_label == "normal":
            assert np.isnan(share)
        else:
            assert share == pytest.approx(reading.inside.both)
