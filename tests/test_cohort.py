"""`firstread cohort` on a made-up hospital whose truth is known, from CSV and from both databases."""

import csv
import json
import sqlite3
import stat
import subprocess
import sys

import admissions as made_up
import numpy as np
import psycopg
import pytest
import servers
from conftest import make_film
from pydicom import dcmread
from pydicom.dataset import Dataset

from model.evaluation.films import read_films

SIZES = "training = [40, 30, 30, 20]\ntest = [10, 8, 8, 6]\n"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def rows():
    return made_up.hospital(400, 7)


def firstread(folder, settings, *arguments):
    (folder / "key").write_text(KEY, encoding="utf-8")
    config = folder / "firstread.toml"
    config.write_text(f'[study]\nkey_file = "{folder}/key"\n{settings}', encoding="utf-8")
    command = [sys.executable, "-m", "daemon.cli", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def cohort(folder, settings, name="out"):
    """Rows of the cohort, its summary, and what the verb printed."""
    done = firstread(folder, settings, "cohort", "--out", str(folder / name))
    assert done.returncode == 0, done.stderr
    with (folder / name / "cohort.csv").open(newline="", encoding="utf-8") as lines:
        films = list(csv.DictReader(lines))
    return films, json.loads((folder / name / "cohort.json").read_text(encoding="utf-8")), done.stdout


@pytest.fixture(scope="module")
def made(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    made_up.write(folder / "admissions.csv", rows)
    return folder, *cohort(folder, f'admissions = "{folder}/admissions.csv"\n{SIZES}')


def links(folder):
    with (folder / "out" / "links.csv").open(newline="", encoding="utf-8") as lines:
        return {row["film"]: row["study_instance_uid"] for row in csv.DictReader(lines)}


def test_labels_are_the_truth_that_the_hospital_was_made_with(made, rows):
    folder, films, _, _ = made
    by_uid = {row["study_instance_uid"]: row for row in rows}
    for film in films:
        row = by_uid[links(folder)[film["film"]]]
        shows = row["truth"] != "normal" and row["suspected"] == "yes"
        is_only_coded = row["truth"] == "normal" and "J18.9" in row["codes"]
        assert film["pneumonia"] == str(int(shows or is_only_coded)), (film, row)
        assert film["label"] == ("" if is_only_coded else row["truth"] if shows else "normal")


def test_each_admission_gives_its_first_film_and_its_last(made, rows):
    folder, films, summary, _ = made
    admissions = {}
    for row in rows:
        admissions.setdefault((row["patient"], row["admission"]), []).append(row["study_instance_uid"])
    expected = {uids[0] for uids in admissions.values()} | {uids[-1] for uids in admissions.values()}
    assert {links(folder)[film["film"]] for film in films} == expected
    assert summary["flow"]["admissions"] == len(admissions)
    assert summary["flow"]["films"] == len(rows)


def test_sets_have_their_sizes_and_share_no_patient(made):
    _, films, summary, _ = made
    assert summary["sets"]["training"] == {"normal": 40, "bacterial": 30, "viral": 30, "covid19": 20}
    assert summary["sets"]["test"] == {"normal": 10, "bacterial": 8, "viral": 8, "covid19": 6}
    sets = {}
    for film in films:
        if film["set"] != "surplus":
            sets.setdefault(film["patient"], set()).add(film["set"])
    assert {len(theirs) for theirs in sets.values()} == {1}


def test_nothing_but_the_links_names_anybody_and_those_are_for_their_owner_alone(made):
    folder, _, _, printed = made
    told = printed + "".join((folder / "out" / name).read_text() for name in ("cohort.csv", "cohort.json"))
    assert "MRN" not in told
    assert "1.2.826" not in told
    assert "2026-" not in told
    assert stat.S_IMODE((folder / "out" / "links.csv").stat().st_mode) == 0o600


def test_the_same_seed_gives_the_same_sets_and_another_seed_others(made, rows):
    folder, films, _, _ = made
    settings = f'admissions = "{folder}/admissions.csv"\n{SIZES}'
    assert cohort(folder, settings, "again")[0] == films
    other, _, _ = cohort(folder, f"{settings}seed = 3\n", "other-seed")
    assert {film["film"] for film in other} == {film["film"] for film in films}
    assert [film["set"] for film in other] != [film["set"] for film in films]


def test_a_band_of_age_that_only_the_cohort_has_is_told(rows, tmp_path):
    (child,) = [row for row in rows if row["suspected"] == "yes"][:1]
    rows = [row for row in rows if float(row["age"]) >= 18 and row["patient"] != child["patient"]]
    made_up.write(
        tmp_path / "admissions.csv", [*rows, child | {"age": "3", "read": "none", "codes": "J18.9"}]
    )
    _, summary, printed = cohort(tmp_path, f'admissions = "{tmp_path}/admissions.csv"\n{SIZES}')
    assert "below 5" in summary["uncovered"]["training"]["age"]
    assert "not covered: training set, age: below 5" in printed


def test_a_database_gives_the_cohort_of_its_csv_file(made, rows, tmp_path):
    _, films, _, _ = made
    columns = ", ".join(f"{name} text" for name in made_up.COLUMNS)
    values = [tuple(row.get(name, "") for name in made_up.COLUMNS) for row in rows]
    with sqlite3.connect(tmp_path / "his.db") as connection:
        connection.execute(f"create table examination ({columns})")
        marks = ", ".join("?" * len(made_up.COLUMNS))
        connection.executemany(f"insert into examination values ({marks})", values)
    connection.close()
    assert cohort(tmp_path, f'admissions = "sqlite:///{tmp_path}/his.db"\n{SIZES}')[0] == films
    with servers.postgresql() as url:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("create schema his")
            connection.execute(
                "create table his.films (patient text, admission text, discharged_at timestamp,"
                " examined_at timestamp,"
                " study_instance_uid text, position text, suspected boolean, read text, codes text, age int,"
                " sex text,"
                " bmi numeric(4, 1), ethnicity text, microbiology text, admitted_at timestamp)"
            )
            marks = ", ".join(["%s"] * len(made_up.COLUMNS))
            connection.cursor().executemany(
                f"insert into his.films ({', '.join(made_up.COLUMNS)}) values ({marks})", values
            )
        settings = f'admissions = "{url}"\ntable = "his.films"\n{SIZES}'
        assert cohort(tmp_path, settings, "postgresql")[0] == films


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"read": "maybe"}, "row 2: read: Input should be 'pneumonia' or 'none'"),
        ({"codes": "MRN1 pneumonia"}, "row 2: codes: expected ICD-10 codes such as J18.9"),
        ({"examined_at": "yesterday"}, "row 2: examined_at: "),
        ({"age": "-1"}, "row 2: age: Input should be greater than or equal to 0"),
        ({"study_instance_uid": "1.2.826.0.0.0"}, "study 1.2.826.0.0.0 stands in two rows"),
        ({"patient": ""}, "row 2: patient: "),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_nothing_written(change, said, rows, tmp_path):
    made_up.write(tmp_path / "admissions.csv", [rows[0], rows[-1] | change])
    done = firstread(
        tmp_path, f'admissions = "{tmp_path}/admissions.csv"', "cohort", "--out", str(tmp_path / "out")
    )
    assert done.returncode == 1
    assert f"firstread: {said}" in done.stderr
    assert "MRN" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_told(rows, tmp_path):
    out = ("cohort", "--out", str(tmp_path / "out"))
    made_up.write(tmp_path / "admissions.csv", rows[:20])
    here = f'admissions = "{tmp_path}/admissions.csv"\n'
    assert "[study] admissions: found none, expected" in firstread(tmp_path, "", *out).stderr
    assert "training set: " in firstread(tmp_path, here, *out).stderr
    assert "; ask for fewer in [study] training" in firstread(tmp_path, here, *out).stderr
    absent = firstread(tmp_path, f'admissions = "{tmp_path}/none.csv"', *out)
    assert "No such file or directory; expected a CSV file or a database URL" in absent.stderr
    (tmp_path / "admissions.csv").write_text("patient,read\nMRN1,none\n", encoding="utf-8")
    assert "found no column admission, examined_at" in firstread(tmp_path, here, *out).stderr
    database = firstread(tmp_path, f'admissions = "sqlite:///{tmp_path}/empty.db"', *out)
    assert "found no table examination" in database.stderr
    assert "Traceback" not in absent.stderr + database.stderr


def test_films_of_a_cohort_are_copied_without_names_and_can_be_judged(node, tmp_path):
    films = [
        make_film(
            SOPInstanceUID=f"1.2.276.4711.{number}", StudyInstanceUID=f"1.2.826.9.{number}",
            PatientName="ZELENKA^JAN", PatientID="PID-4711-X",
            StudyDescription="Thorax ZELENKA", ViewPosition="PA",
        )
        for number in range(2)
    ]  # fmt: skip
    nested = Dataset()
    nested.PatientName, nested.ReferencedSOPInstanceUID = "ZELENKA^JAN", "1.2.276.4711.7"
    films[0].ReferencedImageSequence = [nested]
    films[1].Manufacturer = "Zelenka Imaging"
    with node.running("receive"):
        assert {answer.Status for answer in node.store(*films)} == {0}
    assert node.firstread("read", "--once").returncode == 0
    assert [row.state for row in node.films()] == ["READ", "READ"]
    rows = [
        {
            "patient": f"MRN{number}", "admission": "1", "examined_at": "2026-03-01", "suspected": "1",
            "study_instance_uid": f"1.2.826.9.{number}", "read": "none", "codes": "I10", "position": "lying",
            "age": "12.5", "sex": "F", "bmi": "31.0", "ethnicity": "2",
        }
        for number in range(3)
    ]  # fmt: skip
    made_up.write(tmp_path / "admissions.csv", rows)
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    with node.config.open("a", encoding="utf-8") as config:
        config.write(
            f'\n[study]\nadmissions = "{tmp_path}/admissions.csv"\nkey_file = "{tmp_path}/key"\n'
            "training = [1, 0, 0, 0]\ntest = [2, 0, 0, 0]\n"
        )
    assert node.firstread("cohort", "--out", str(tmp_path / "study")).returncode == 0
    done = node.firstread("deidentify", str(tmp_path / "study"), "--out", str(tmp_path / "films"))
    assert done.returncode == 0, done.stderr
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["2", "copied"],
        ["1", "not here"],
    ]
    summaries = [tmp_path / folder / "cohort.json" for folder in ("study", "films")]
    assert summaries[0].read_bytes() == summaries[1].read_bytes()
    with (tmp_path / "films" / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        manifest = list(csv.DictReader(lines))
    assert len(manifest) == 2
    assert manifest[0]["manufacturer"] == "SYNTHETIC"
    assert "ZELENKA" not in manifest[1]["manufacturer"]
    covariates = [
        (film.view, film.position, film.sex, film.age, film.age_group, film.bmi, film.ethnicity)
        for film in read_films(tmp_path / "films" / "manifest.csv")
    ]
    assert covariates == [("PA", "lying", "F", 12.5, "paediatric", 31.0, "2")] * 2
    for row, film in zip(manifest, films, strict=True):
        file = tmp_path / "films" / row["file"]
        copied = dcmread(file)
        for word in (b"ZELENKA", b"4711", b"1.2.826.9", b"1.2.276.4711"):
            assert word not in file.read_bytes()
        assert copied.PatientID == row["patient_id"]
        assert (copied.PatientIdentityRemoved, copied.ViewPosition) == ("YES", "PA")
        assert np.array_equal(copied.pixel_array, film.pixel_array)
    judged = node.firstread(
        "evaluate", "--model", "gao-2020", "--manifest", str(tmp_path / "films" / "manifest.csv"),
        "--root", str(tmp_path / "films"), "--json",
    )  # fmt: skip
    assert json.loads(judged.stdout)["n"] == 2, judged.stderr
