"""Films unlike the training films are told by the distance of their features."""

import json
import shutil

import numpy as np
import pytest
from conftest import make_film

from model import unlike
from model.findings import Indeterminate, decide
from model.reader import Reader, prepare
from model.scope import ScopeRules
from model.weights import VERSIONS, WeightsInvalid


@pytest.fixture(scope="module")
def clouds():
    """Two classes in 20 dimensions of very different widths, of which one is constant."""
    rng = np.random.default_rng(5)
    widths = np.geomspace(10, 0.1, 20) * np.arange(20).clip(0, 1)
    labels = np.arange(600) % 2
    films = rng.normal(size=(1000, 20)) * widths + 50 * np.eye(20)[3]
    films[:600] += labels[:, np.newaxis] * 20 * np.eye(20)[1]
    return films[:600], labels, films[600:], widths


def test_the_distance_counts_in_widths_of_the_class(clouds):
    films, labels, held_back, widths = clouds
    known = unlike.fit(films, labels, held_back)
    place = np.zeros((1, 20)) + 50 * np.eye(20)[3]
    for axis in (1, 10, 19):
        away = place + 9 * widths[axis] * np.eye(20)[axis]
        assert known.distances(away)[0] == pytest.approx(9, rel=0.25) or axis == 1
    assert known.distances(place)[0] < 1.5
    assert known.distances(place + 20 * np.eye(20)[1])[0] < 1.5  # the other class is known as well


def test_a_hundredth_of_the_films_held_back_are_unlike(clouds):
    films, labels, held_back, _ = clouds
    known = unlike.fit(films, labels, held_back)
    assert known.unlike(held_back).mean() == pytest.approx(0.01, abs=0.003)
    assert known.unlike(held_back + 8 * clouds[3]).all()


def test_what_is_saved_is_what_is_opened_and_nothing_else(clouds, tmp_path):
    films, labels, held_back, _ = clouds
    known = unlike.fit(films, labels, held_back)
    manifest = {"unlike": unlike.save(known, tmp_path)}
    again = unlike.open_known(tmp_path, manifest)
    assert np.array_equal(again.distances(held_back), known.distances(held_back))
    assert again.limit == pytest.approx(known.limit, abs=1e-4)
    assert unlike.open_known(tmp_path, {}) is None
    (tmp_path / unlike.FILE).write_bytes(b"other")
    with pytest.raises(WeightsInvalid, match="found SHA-256"):
        unlike.open_known(tmp_path, manifest)
    (tmp_path / unlike.FILE).unlink()
    with pytest.raises(WeightsInvalid, match="no such file"):
        unlike.open_known(tmp_path, manifest)


def test_a_reading_of_a_film_unlike_the_training_films_is_indeterminate(tmp_path, chest):
    folder = shutil.copytree(VERSIONS / "gao-2020", tmp_path / "narrow")
    known = unlike.Known(*(np.zeros(s, np.float32) for s in ((256,), (256, 1), (1, 1))), limit=-1.0)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"unlike": unlike.save(known, folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reader = Reader(folder, 1)
    [reading] = reader.read([prepare(make_film(pixels=chest), ScopeRules(), reader.input_sizes)])
    assert reading.decision == Indeterminate.UNLIKE_TRAINING
    otherwise = decide(reading.step1, reading.step2)
    pointed_at = reading.step1.leading if otherwise.indeterminate else str(otherwise)
    assert reading.activation_label == pointed_at
