"""`firstread score-archive`: rows of whole archives, by every way in, after kills and with broken films."""

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ranged_store
import servers
from conftest import make_film
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import dataset
from pydicom.config import disable_value_validation
from readings import CASCADE, STEP1_LABELS, STEP2_LABELS

from daemon import classify, cli_archive
from daemon.archive import places, rows, run
from daemon.archive.film import shown as shown_name
from daemon.archive.run import Run, RunRefused
from daemon.archive.scorer import Settings
from daemon.config import Config, load
from model.texture.features import FEATURES

REPOSITORY = Path(__file__).parents[1]
PLANTED = ("PLANTEDNAME", "PLANTEDGIVEN", "PLANTEDID", "19010203")
A_PART = 3
LABELS = (*STEP1_LABELS, *STEP2_LABELS)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "daemon.cli", *map(str, arguments)]


def score(*arguments: object, config: Path, status: int = 0, **environment: str) -> str:
    """Run the verb to its end; what it said on stdout and stderr."""
    done = subprocess.run(
        command("--config", config, "score-archive", *arguments), capture_output=True, text=True,
        env=os.environ | environment, cwd=REPOSITORY, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def table(out: Path) -> pa.Table:
    """All rows, in the order of the films."""
    return dataset.dataset(sorted((out / "scores").glob("*.parquet"))).to_table()


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """A small network, and little time for a film that hangs."""
    path = tmp_path_factory.mktemp("config") / "firstread.toml"
    path.write_text('[model]\nversion = "gao-2020"\nfilm_timeout_seconds = 5\n')
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory, chest) -> Path:
    """An archive as archives are: chests and others, and what is no film at all."""
    folder = tmp_path_factory.mktemp("archive")
    planted = {"PatientName": "PLANTEDNAME^PLANTEDGIVEN", "PatientID": "PLANTEDID"}
    films = {
        "2026/chest.dcm": make_film(pixels=chest, **planted, Manufacturer="PLANTEDNAME & Co"),
        "2026/dark.dcm": make_film(pixels=(chest * 0.8).astype(np.uint16)),
        "2026/turned.dcm": make_film(pixels=chest[::-1, ::-1]),
        "PLANTEDID/11 24/hip ü.dcm": make_film(
            pixels=np.tile(chest, (2, 2)), **planted, BodyPartExamined="HIP"
        ),
        "PLANTEDID/named.dcm": make_film(pixels=chest, **planted, BodyPartExamined="PLANTEDNAME"),
        "uid.dcm": make_film(pixels=chest, StudyInstanceUID=None, ViewPosition=None),
    }
    for name, ds in films.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with disable_value_validation():
            ds.PatientBirthDate = "19010203"
            ds.save_as(path, enforce_file_format=True)
    whole = (folder / "2026/chest.dcm").read_bytes()
    (folder / "2026/short.dcm").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.dcm").touch()
    (folder / "text.txt").write_text("no film")
    return folder


@pytest.fixture(scope="module")
def scored(archive, config, tmp_path_factory) -> tuple[pa.Table, str]:
    """The rows of the archive, read on this machine, and what was said meanwhile."""
    out = tmp_path_factory.mktemp("scores")
    said = score(archive, "--out", out, "--films-a-part", A_PART, config=config)
    return table(out), said


def test_each_film_has_one_row_in_its_place(archive, scored):
    found, said = scored
    names = sorted(str(path.relative_to(archive)) for path in archive.rglob("*") if path.is_file())
    shown = [name.replace("PLANTEDID", "[...]") for name in names]
    assert found["film"].to_pylist() == shown
    assert found.schema.names == rows.schema(CASCADE, texture=False).names
    assert f"{len(names)} films in 3 parts have their rows; of this run 3 read, 3 skipped, 3 failed" in said


def test_rows_say_what_classify_says(archive, scored, config, tmp_path, capsys):
    found, _ = scored
    paths = sorted(path for path in archive.rglob("*") if path.is_file())
    classify.run(load(config), [path for path in paths if path.stem != "uid"], tmp_path)
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    compared = Counter()
    for path, row in zip(paths, found.to_pylist(), strict=True):
        line = said.get(str(path))
        if line is None:
            continue
        if row["state"] == "READ":
            scores = [
                f"{name} {100 * score:.1f}" for name in LABELS if (score := row[rows.score_column(name)])
            ]
            assert line == f"{row['decision']} ({', '.join(scores)})"
        elif row["state"] == "SKIPPED":
            assert line.replace("PLANTEDNAME", "[...]") == f"not analysed: {row['reason']}"
        else:
            assert f"UNREADABLE: {line.removeprefix('unreadable: ')}" == row["reason"]
        compared[row["state"]] += 1
    assert compared == {"READ": 2, "SKIPPED": 3, "FAILED": 3}


def test_a_row_tells_the_film_and_the_model_and_nothing_of_the_patient(archive, scored):
    found, said = scored
    chest = next(row for row in found.to_pylist() if row["film"] == "2026/chest.dcm")
    assert chest["size_bytes"] == (archive / "2026/chest.dcm").stat().st_size
    assert chest["sop_instance_uid"].startswith("1.2.")
    assert chest["study_instance_uid"].startswith("1.2.")
    assert (chest["modality"], chest["manufacturer"], chest["view_position"]) == ("CR", "[...] & CO", "PA")
    assert (chest["model"], len(chest["weights_sha256"])) == ("gao-2020", 64)
    everything = said + json.dumps(found.to_pylist())
    assert [word for word in PLANTED if word in everything.upper()] == []


def test_texture_is_told_of_both_lungs_and_the_region_where_it_is_asked(archive, config, tmp_path):
    (tmp_path / "films.txt").write_text("2026/chest.dcm\n2026/turned.dcm\n")
    arguments = ("--list", tmp_path / "films.txt", "--out", tmp_path / "out")
    score(archive, *arguments, "--texture", config=config)
    found = table(tmp_path / "out")
    assert found.schema.names == rows.schema(CASCADE, texture=True).names
    chest, turned = found.to_pylist()
    for place in ("right", "left") if chest["decision"] == "normal" else ("right", "left", "region"):
        assert 0 < chest[f"statistics_mean_{place}"] < 1
        assert 0 < chest[f"histogram_entropy_{place}"] <= 5
        assert None not in [chest[rows.texture_column(place, feature.key)] for feature in FEATURES]
    assert {turned[name] for name in found.schema.names[len(rows.schema(CASCADE, texture=False)) :]} == {None}
    said = score(archive, *arguments, config=config, status=1)
    assert "texture: true, now false" in said


def test_films_of_a_list_are_read_and_what_cannot_be_is_a_row(archive, scored, config, tmp_path):
    whole, _ = scored
    films = tmp_path / "films"
    films.mkdir()
    os.mkfifo(films / "hangs.dcm")
    (films / "2026").symlink_to(archive / "2026")
    names = [
        "2026/dark.dcm",
        "gone.dcm",
        f"{films}/2026/turned.dcm",
        "hangs.dcm",
        "2026",
        "2026/chest.dcm",
    ]
    listed = tmp_path / "list.txt"
    listed.write_text("\r\n".join(["", *names, ""]))
    said = score(films, "--list", listed, "--out", tmp_path / "out", config=config)
    assert "6 films in 1 parts have their rows; of this run 2 read, 1 skipped, 3 failed" in said
    found = table(tmp_path / "out").to_pylist()
    assert [row["film"] for row in found] == [name.removeprefix(f"{films}/") for name in names]
    assert [row["reason_code"] for row in found] == [None, "MISSING", "ROTATED", "FAULT", "UNREADABLE", None]
    assert "died or ran out of time" in found[3]["reason"]
    before = {row["film"]: row for row in whole.to_pylist()}
    assert found[2] == before["2026/turned.dcm"]
    for row in (found[0], found[5]):
        theirs = before[row["film"]]
        assert row["decision"] == theirs["decision"]
        assert row["score_normal"] == pytest.approx(theirs["score_normal"], abs=1e-5)


def test_a_killed_run_is_gone_on_with_and_no_film_is_read_twice(archive, config, tmp_path):
    films, out = 120, tmp_path / "scores-of"
    (tmp_path / "films").mkdir()
    for number in range(films):
        (tmp_path / "films" / f"{number:04}.dcm").hardlink_to(archive / "2026/chest.dcm")
    arguments = (tmp_path / "films", "--out", out, "--films-a-part", "5", "--workers", "1")
    process = subprocess.Popen(
        command("--config", config, "score-archive", *arguments), cwd=REPOSITORY, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        servers.wait_until(lambda: len(list(out.glob("scores/*.parquet"))) >= 2, 200, "two parts")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("scores/*.parquet")}
    assert 2 <= len(done) < films / 5
    said = score(*arguments, config=config)
    assert f"{films} films in 24 parts have their rows; of this run {films - 5 * len(done)} read" in said
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in done} == done
    found = table(out)
    assert found["film"].to_pylist() == [f"{number:04}.dcm" for number in range(films)]
    assert len(set(found["score_normal"].to_pylist())) == 1
    assert "of this run 0 read" in score(*arguments, config=config)


def test_an_archive_in_an_object_store_has_the_same_rows(archive, scored, config, tmp_path):
    shutil.copytree(archive, tmp_path / "films" / "hospital", copy_function=os.link)
    (tmp_path / "results").mkdir()
    with ranged_store.running(tmp_path) as store:
        arguments = ("s3://films/hospital", "--out", "s3://results/of/hospital", "--films-a-part", A_PART)
        score(*arguments, config=config, **store.environment)
        again = score(*arguments, config=config, **store.environment)
    assert "of this run 0 read" in again
    assert table(tmp_path / "results/of/hospital").equals(scored[0])
    hip = sum(sent for path, sent in store.sent_bytes.items() if "hip" in path)
    assert 0 < hip <= places.FIRST_BYTES < (archive / "PLANTEDID/11 24/hip ü.dcm").stat().st_size / 10


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (firstread[ray])")
def test_a_cluster_makes_the_same_rows(archive, scored, config, tmp_path):
    score(archive, "--out", tmp_path, "--films-a-part", A_PART, "--ray", "local", config=config)
    assert table(tmp_path).equals(scored[0])


def a_run(source: Path, out: Path, version: str = "gao-2020") -> Run:
    settings = Settings(version, 16, 60, Config().scope, 1 << 20)
    return Run(str(source), str(out), None, A_PART, settings)


@pytest.mark.parametrize("change", ["version", "films_a_part"])
def test_a_run_with_other_settings_is_refused(tmp_path, change):
    (tmp_path / "films").mkdir()
    first = a_run(tmp_path / "films", tmp_path / "out")
    run.begin(first)
    run.begin(first)
    other = a_run(
        tmp_path / "films", tmp_path / "out", "gao-2020-small" if change == "version" else "gao-2020"
    )
    if change == "films_a_part":
        other = Run(other.source, other.out, None, A_PART + 1, other.settings)
    with pytest.raises(RunRefused) as refusal:
        run.begin(other)
    told = {"version": 'model: "gao-2020", now "gao-2020-small"', "films_a_part": "films_a_part: 3, now 4"}
    assert told[change] in str(refusal.value)


def test_scores_among_the_films_and_a_second_run_at_once_are_refused(tmp_path):
    with pytest.raises(RunRefused, match="among the films"):
        run.begin(a_run(tmp_path, tmp_path / "scores"))
    of = a_run(tmp_path / "films", tmp_path / "out")
    with run.alone(of), pytest.raises(RunRefused, match="another run"), run.alone(of):
        pass


@pytest.mark.parametrize("by_list", [False, True])
def test_a_listing_that_is_broken_off_goes_on_where_it_was(tmp_path, by_list):
    names = [f"{number:03}.dcm" for number in range(11)]
    films = tmp_path / "films"
    films.mkdir()
    for name in names:
        (films / name).touch()
    if by_list:
        names.reverse()
        (tmp_path / "list").write_text("\n".join(names))
    of = a_run(films, tmp_path / "out")
    of = Run(of.source, of.out, tmp_path / "list" if by_list else None, A_PART, of.settings)

    def break_off(listed: int) -> None:
        if listed >= 2 * A_PART:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run.plan(of, break_off)
    assert not (tmp_path / "out" / "listed.json").exists()
    told = []
    planned = run.plan(of, told.append)
    assert told == [9, 11]
    assert (planned.films, planned.parts, list(planned.left)) == (11, 4, [0, 1, 2, 3])
    assert [name for number in range(4) for name in run.part(of, number).films] == names
    # A listing whose last part was written, and its end not noted.
    (tmp_path / "out" / "listed.json").unlink()
    assert run.plan(of, told.append) == planned


names_of_files = st.text("ab.-/ü", min_size=1, max_size=6).filter(
    lambda name: all(part.strip(".") for part in name.split("/"))
)


@given(wanted=st.sets(names_of_files, max_size=12), after=names_of_files)
def test_a_folder_lists_in_the_order_of_its_names_from_any_of_them_on(tmp_path_factory, wanted, after):
    folder = tmp_path_factory.mktemp("tree")
    for name in wanted:
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "NAMES_IN_MEMORY", 2)
        assert list(places.Folder(folder).names()) == there
        assert list(places.Folder(folder).names(after)) == [name for name in there if name > after]


def test_a_large_folder_is_not_listed_in_memory(tmp_path, monkeypatch):
    films = 20_000
    for number in range(films):
        os.mknod(tmp_path / f"{number:0100}")
    monkeypatch.setattr(places, "NAMES_IN_MEMORY", 500)
    tracemalloc.start()
    try:
        found = sum(1 for _ in places.Folder(tmp_path).names())
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == films
    assert most_bytes < films * 100 / 2


def test_names_that_are_no_text_are_listed_read_and_shown(tmp_path):
    (tmp_path / "films").mkdir()
    name = os.fsdecode(b"films/\xfc\n.dcm")
    (tmp_path / name).write_bytes(b"film")
    of = a_run(tmp_path / "films", tmp_path / "out")
    run.plan(of, lambda _: None)
    (listed,) = run.part(of, 0).films
    with places.place(of.source).open(listed) as file:
        assert file.read() == b"film"
    assert rows.as_parquet([{"film": shown_name(listed)}], rows.schema(CASCADE, texture=False))


def test_progress_without_a_terminal_is_a_line_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr(cli_archive, "LINE_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "firstread.archive"), cli_archive.Shown() as shown:
        shown.listed(7)
        shown.begin(7, 3)
        shown.scored(Counter(READ=2, FAILED=1))
    assert caplog.messages[0] == "7 films listed"
    assert caplog.messages[1].startswith("6 of 7 films; ")
    assert caplog.messages[1].endswith(" a second, 2 read, 0 skipped, 1 failed")


def test_the_readme_names_every_column():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    plain, full = rows.schema(CASCADE, texture=False), rows.schema(CASCADE, texture=True)
    assert [name for name in plain.names if f"`{name}`" not in readme] == []
    assert [one.family for one in FEATURES if f"`{one.family}_" not in readme] == []
    assert f"{len(full) - len(plain)} columns more" in readme
