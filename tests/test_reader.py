"""The front door, from file to reading."""

import csv
import dataclasses
import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_bare_film, make_film
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage

from model.decode import UnreadableFilm
from model.findings import Indeterminate, Reading
from model.reader import InputSizes, PreparedFilm, Reader, prepare
from model.scope import OutOfScope, ScopeRules
from model.weights import VERSIONS, open_version, weights_file

RULES = ScopeRules()
SIZES = InputSizes(lungs=192, steps=64)
FILMS = Path(__file__).parents[2] / "shared" / "films"
TWINS = ("RG1_UNCI.dcm", "RG1_J2KI.dcm", "RG1_J2KR.dcm")
REPOSITORY = Path(__file__).parents[1]


def published(name: str) -> str:
    return get_testdata_file(name, download=False, read=False)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader("gao-2020", batch_size=4)


@pytest.fixture(scope="module")
def rg1() -> PreparedFilm:
    return prepare(published("RG1_UNCI.dcm"), RULES, SIZES)


def test_a_real_chest_film_is_read(reader, rg1):
    reading = reader.read([rg1])[0]
    assert (rg1.rows, rg1.columns) == (1955, 1841)
    assert rg1.display.shape == (978, 920)
    assert reading.model == reader.model
    assert sum(reading.step1.scores) == pytest.approx(1, abs=1e-5)
    assert reading.activation.shape == (8, 8)
    assert reading.activation.dtype == np.float32
    assert reading.warnings == rg1.warnings == ("PixelSpacing ignored: 0 by 0",)


def test_twins_in_other_transfer_syntaxes_agree(reader):
    films = [prepare(published(name), RULES, SIZES) for name in TWINS]
    scores = np.array([reading.step1.scores for reading in reader.read(films)])
    assert np.ptp(scores, axis=0).max() < 0.02


def test_the_share_inside_the_lungs_goes_with_the_reading(reader, rg1):
    reading = reader.read([rg1])[0]
    assert reading.lungs.shape == (192, 192, 2)
    assert reading.least_inside == open_version("gao-2020").manifest["thresholds"]["inside_lungs"]
    assert min(reading.inside) >= 0
    assert reading.inside.both <= 1
    outside = reading.inside.both < reading.least_inside and reading.activation_label != "normal"
    assert outside == (reading.decision == Indeterminate.OUTSIDE_LUNGS)


def test_polarity_and_slope_do_not_change_the_answer(reader, chest):
    ds = make_film(pixels=chest)
    turned = 4095 - ds.pixel_array
    # LINEAR lies about centre - 0.5 (PS3.3 C.11.2.1.2), so the mirrored centre is one higher.
    forms = [
        ds,
        make_film(pixels=turned, PhotometricInterpretation="MONOCHROME1", WindowCenter=4095 - 2048 + 1),
        make_film(pixels=turned, RescaleSlope=-1, RescaleIntercept=4095),
    ]
    scores = np.array([r.step1.scores for r in reader.read([prepare(form, RULES, SIZES) for form in forms])])
    assert np.ptp(scores, axis=0).max() < 0.01


def test_an_ankle_is_not_a_chest():
    with pytest.raises(OutOfScope) as refused:
        prepare(published("RG3_UNCI.dcm"), RULES, SIZES)
    assert refused.value.code == "NOT_CHEST"


def test_a_film_with_almost_no_tags_is_read(reader, chest):
    [reading] = reader.read([prepare(make_bare_film(chest), RULES, SIZES)])
    assert isinstance(reading, Reading)


def test_any_number_of_films_is_read_and_none_depends_on_the_others(reader, rg1, chest):
    other = prepare(make_film(pixels=chest[:, ::-1]), RULES, SIZES)
    turned = prepare(make_film(pixels=chest[::-1, ::-1]), RULES, SIZES)
    alone = reader.read([rg1])[0]
    assert reader.read([]) == []
    assert [refusal.code for refusal in reader.read([turned])] == ["ROTATED"]
    many = reader.read([other, rg1, turned, other, other, other, rg1])
    assert [type(answer) for answer in many] == [Reading] * 2 + [OutOfScope] + [Reading] * 4
    for reading in (many[1], many[6]):
        assert np.abs(np.subtract(reading.step1.scores, alone.step1.scores)).max() < 1e-6


def test_the_answers_are_what_the_readings_are_made_from(reader, rg1, chest):
    other = prepare(make_film(pixels=chest[:, ::-1]), RULES, SIZES)
    films = [rg1, other, rg1, other, other]
    answers = reader.answer(films, reader.look(films))
    assert answers.features.shape == (5, 256)
    assert answers.activations1.shape == answers.activations2.shape == (5, 3, 8, 8)
    temperature = open_version("gao-2020").manifest["temperature"]["step1"]
    for reading, logits in zip(reader.read(films), answers.step1_logits / temperature, strict=True):
        raised = np.exp(logits - logits.max())
        assert reading.step1.scores == pytest.approx(tuple(raised / raised.sum()), abs=1e-6)
    assert reader.answer([], []).step2_logits.shape == (0, 3)


def test_a_temperature_of_the_manifest_softens_its_step_alone(reader, rg1, tmp_path):
    folder = shutil.copytree(VERSIONS / "gao-2020", tmp_path / "softened")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"temperature": {"step1": 4.0}}))
    softened = Reader(folder, batch_size=1).read([rg1])[0]
    logits = reader.answer([rg1], reader.look([rg1])).step1_logits[0] / 4
    assert softened.step1.scores == pytest.approx(tuple(np.exp(logits) / np.exp(logits).sum()), abs=1e-6)


def test_the_activation_is_that_of_the_decision_in_its_step(reader, rg1):
    rng = np.random.default_rng(2)
    inputs = [np.clip(rg1.network_input * rng.uniform(0, 2, (64, 64, 1)), 0, 1) for _ in range(40)]
    inputs += [np.roll(rg1.network_input, shift, axis=(0, 1)) for shift in range(0, 64, 4)]
    films = [dataclasses.replace(rg1, network_input=i.astype(np.float32)) for i in inputs]
    for reading in reader.read(films):
        assert (reading.step2 is not None) == (reading.step1.leading == "viral")
        if reading.decision in ("COVID-19", "other virus"):
            assert (reading.activation_label, reading.activation_step) == (reading.decision, 2)
        else:
            assert (reading.activation_label, reading.activation_step) == (reading.step1.leading, 1)
        assert reading.activation.max() in (0, pytest.approx(1))


def test_an_input_that_is_no_number_is_an_error(reader, rg1):
    broken = dataclasses.replace(rg1, network_input=np.full((64, 64, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN or infinity"):
        reader.read([broken])


# Keras copies arrays in a way that NumPy 2 deprecates; not ours to mend.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_weights_that_give_no_number_are_found_at_the_start(tmp_path):
    from model.networks import gao

    folder = shutil.copytree(VERSIONS / "gao-2020", tmp_path / "broken")
    network = gao.build(3)
    network.get_layer("logits").bias.assign([0.0, float("nan"), 0.0])
    network.save_weights(folder / weights_file("step1"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["step1"] = hashlib.sha256((folder / weights_file("step1")).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="NaN or infinity"):
        Reader(folder, batch_size=1)


def test_resident_memory_stays_flat(reader, rg1):
    def resident_mib() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    def read_many() -> None:
        for _ in range(50):
            reader.read([rg1] * 3)

    read_many()
    before = resident_mib()
    read_many()
    read_many()
    assert resident_mib() - before < 20


def test_prepared_films_cross_processes(rg1):
    again = pickle.loads(pickle.dumps(rg1))
    assert np.array_equal(again.network_input, rg1.network_input)


@pytest.mark.parametrize("name", ["gao-2020", "firstread-1"])
def test_the_kernels_of_onednn_are_on_and_do_not_change_the_scores(name, tmp_path, monkeypatch):
    script = f"""
import json, pathlib, sys
from model.reader import Reader, prepare
from model.scope import ScopeRules
reader = Reader({name!r}, batch_size=4)
film = prepare({published("RG1_UNCI.dcm")!r}, ScopeRules(), reader.input_sizes)
scores = [of_step[0].tolist() for of_step in reader.scores(reader.answer([film], reader.look([film])))]
pathlib.Path(sys.argv[1]).write_text(json.dumps(scores))
"""
    scores, is_on = [], []
    for kernels in (None, "0"):
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        if kernels:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", kernels)
        command = [sys.executable, "-c", script, tmp_path / "scores.json"]
        run = subprocess.run(command, check=True, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        scores.append(json.loads((tmp_path / "scores.json").read_text()))
        is_on.append("oneDNN custom operations are on" in run.stderr)
    assert is_on == [True, False]
    for ours, plain in zip(*scores, strict=True):
        assert ours == pytest.approx(plain, abs=1e-4)


def test_prepare_does_not_load_tensorflow():
    script = (
        "import sys\n"
        "from model.reader import InputSizes, prepare\n"
        "from model.scope import ScopeRules\n"
        f"prepare({published('RG1_UNCI.dcm')!r}, ScopeRules(), InputSizes(192, 64))\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


def test_pixels_are_not_read_for_a_film_out_of_scope(tmp_path):
    ds = make_film(SOPClassUID=CTImageStorage)
    ds.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    content = (tmp_path / "ct.dcm").read_bytes()
    (tmp_path / "ct.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(OutOfScope, match="SOP_CLASS"):
        prepare(tmp_path / "ct.dcm", RULES, SIZES)


def test_a_file_that_is_no_part_10_file_is_unreadable(tmp_path):
    (tmp_path / "film.dcm").write_bytes(b"\0" * 500)
    with pytest.raises(UnreadableFilm, match="expected a DICOM Part 10 file"):
        prepare(tmp_path / "film.dcm", RULES, SIZES)


def test_a_film_cut_short_anywhere_is_unreadable_or_out_of_scope(tmp_path):
    content = Path(published("RG1_J2KI.dcm")).read_bytes()
    for length in np.linspace(140, 4000, 60, dtype=int):
        (tmp_path / "film.dcm").write_bytes(content[:length])
        with pytest.raises((UnreadableFilm, OutOfScope)):
            prepare(tmp_path / "film.dcm", RULES, SIZES)


def test_a_file_that_is_gone_is_the_disks_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "gone.dcm", RULES, SIZES)


def published_films() -> list[dict[str, str]]:
    if not FILMS.exists():
        return []
    with (FILMS / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.skipif(not FILMS.exists(), reason="the shared films are not beside the repository")
@pytest.mark.parametrize("row", published_films(), ids=lambda row: row["file"])
def test_a_shared_film_is_read_or_refused_as_its_manifest_says(reader, row):
    try:
        [answer] = reader.read([prepare(FILMS / row["file"], RULES, SIZES)])
    except (OutOfScope, UnreadableFilm) as refused:
        answer = refused
    assert isinstance(answer, Reading) == (row["good_node"] == "classify")
    if "polarity" in row["good_node"]:
        assert answer.code == "POLARITY_INVERTED"
    if not isinstance(answer, Reading):
        assert row["patient_id"] not in str(answer) or len(row["patient_id"]) < 6
