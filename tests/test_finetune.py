"""What the fine-tuning learns from: partial labels, shares of sources, changed films."""

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from collection import make_collection
from conftest import chest_pixels
from PIL import Image

from model.evaluation.films import prepare_file, prepare_picture
from model.framing import GRID
from model.reader import Reader
from model.training.films import LabelledFilm, files_found, network_inputs, sample, untyped_pneumonia
from model.training.finetune import batches_of, cached, freeze, shares
from model.training.partial_labels import OneOf, may_be, right
from model.training.restyle import degrade, mix_spectra, restyle, softened
from model.weights import VERSIONS, read_recipe

RECIPE = read_recipe(VERSIONS / "firstread-1")
AMOUNTS = RECIPE["augmentation"]
STEP1, STEP2 = RECIPE["step1"]["labels"], RECIPE["step2"]["labels"]


def labelled(label: str, source: str = "kaggle") -> LabelledFilm:
    return LabelledFilm("x.png", label, "a", source, 0)


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    coarse = np.random.default_rng(1).random((4, 16, 16, 1))
    return np.rint(255 * np.kron(coarse, np.ones((1, 16, 16, 1)))).astype(np.uint8)


def test_pneumonia_without_a_cause_is_anything_but_normal_and_tells_step_2_nothing():
    assert may_be([labelled("pneumonia")], STEP1).tolist() == [[0, 1, 1]]
    assert may_be([labelled("pneumonia")], STEP2).tolist() == [[1, 1, 1]]
    assert may_be([labelled("covid19")], STEP1).tolist() == [[0, 0, 1]]


def test_a_film_that_may_be_anything_costs_nothing():
    loss = OneOf(0.1).call(np.ones((1, 3), np.float32), np.array([[5.0, -3.0, 0.0]], np.float32))
    assert float(loss[0]) == 0


def test_without_smoothing_the_loss_of_one_class_is_the_cross_entropy():
    logits = np.array([[2.0, 0.5, -1.0]], np.float32)
    scores = np.exp(logits) / np.exp(logits).sum()
    one = OneOf(0.0).call(np.array([[0, 1, 0]], np.float32), logits)
    assert float(one[0]) == pytest.approx(-np.log(scores[0, 1]), rel=1e-5)
    two = OneOf(0.0).call(np.array([[0, 1, 1]], np.float32), logits)
    assert float(two[0]) == pytest.approx(-np.log(scores[0, 1] + scores[0, 2]), rel=1e-5)


def test_any_class_a_film_may_be_is_right():
    logits = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]], np.float32)
    assert right(np.array([[0, 1, 1], [0, 1, 1]], np.float32), logits).numpy().tolist() == [1, 0]


def test_a_small_source_is_drawn_more_often_than_its_films_and_less_often_than_its_equal_part():
    drawn = [labelled("normal")] * 90 + [labelled("normal", "nih")] * 10 + [labelled("viral")] * 5
    share = shares(drawn, {"normal": 1.0, "viral": 1.0})
    assert share.sum() == pytest.approx(1)
    assert share[:100].sum() == pytest.approx(0.5)
    assert 0.05 < share[90:100].sum() < 0.25


def test_a_sample_has_its_counts_and_too_few_films_are_refused():
    films = [labelled("normal")] * 9 + [labelled("viral")] * 5
    drawn = sample(films, {"normal": 4, "viral": 5}, seed=1)
    assert Counter(film.label for film in drawn) == {"normal": 4, "viral": 5}
    with pytest.raises(ValueError, match="5 films are viral, expected 6 or more"):
        sample(films, {"viral": 6}, seed=1)


def test_only_films_said_to_show_pneumonia_are_taken_from_the_unlabelled(tmp_path):
    path = tmp_path / "unlabelled.csv"
    path.write_text(
        "file,label,group_id,source,fold,other\n"
        "a.png,unlabelled,a,nih,0,Effusion|Pneumonia\n"
        "b.png,unlabelled,b,nih,0,Mass\n"
    )
    assert untyped_pneumonia(path) == [LabelledFilm("a.png", "pneumonia", "a", "nih", 0)]
    assert files_found(path, "Mass") == {"b.png"}


def test_changed_films_keep_range_and_shape_and_follow_their_seed(films):
    import tensorflow as tf

    seed = tf.constant([1, 2], tf.int64)
    degraded = tf.stack([degrade(tf.constant(film), seed + i, AMOUNTS) for i, film in enumerate(films)])
    assert degraded.shape == films.shape
    found = restyle(degraded, 208, seed, AMOUNTS).numpy()
    assert found.shape == (4, 208, 208, 1)
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.array_equal(found, restyle(degraded, 208, seed, AMOUNTS).numpy())
    assert not np.allclose(found, restyle(degraded, 208, seed + 1, AMOUNTS).numpy(), atol=0.1)


def test_augmentation_of_no_strength_gives_the_film_and_of_full_strength_is_the_recipes(films):
    import tensorflow as tf

    still = {**softened(AMOUNTS, 0.0), "flip": False}
    given = tf.constant(films, tf.float32) / 255
    # Rectangles without a side cover nothing.
    found = restyle(given, 256, tf.constant([1, 2], tf.int64), still).numpy()
    assert np.abs(found - given).max() < 1e-3
    assert softened(AMOUNTS, 1.0) == AMOUNTS


def test_mixing_the_spectrum_with_ones_own_changes_nothing(films):
    one = np.repeat(films[:1] / np.float32(255), 2, axis=0)
    always = np.full(2, -1.0, np.float32), np.ones(2, np.float32)
    assert np.allclose(mix_spectra(one, *always, share=1.0, most=1.0), one, atol=1e-3)


def test_an_epoch_is_the_same_at_every_call_and_unlike_the_next(films):
    allowed = may_be([labelled("normal")] * 4, STEP1), may_be([labelled("normal")] * 4, STEP2)
    small = RECIPE | {"training": RECIPE["training"] | {"batch_size": 2}}

    def batch(epoch: int) -> np.ndarray:
        return next(iter(batches_of(films, allowed, np.arange(4), small, 1, epoch)))[0].numpy()

    assert batch(1).shape == (2, 192, 192, 3)
    assert np.array_equal(batch(1), batch(1))
    assert not np.allclose(batch(1), batch(2), atol=0.1)


def test_the_frozen_blocks_are_the_first():
    from model.networks import efficientnet_lite

    network = efficientnet_lite.build([3, 3])
    freeze(network, 5)
    frozen = [layer.name for layer in network.layers if not layer.trainable]
    assert frozen[-1].startswith("block4_")
    assert network.get_layer("block5_expand_convolution").trainable
    assert network.get_layer("step1_logits").trainable
    freeze(network, 0)
    assert network.get_layer("stem_convolution").trainable


FRAMING = """
[framing]
margin = 0.1
masked = true
"""


@pytest.mark.parametrize("framing", ["", FRAMING], ids=["whole film", "framed"])
@pytest.mark.parametrize("name", ["firstread-1", "gao-2020"])
def test_a_version_is_trained_on_the_pixels_that_it_is_served(name, framing, tmp_path):
    folder = shutil.copytree(VERSIONS / name, tmp_path / name)
    (folder / "model.toml").write_text((folder / "model.toml").read_text() + framing)
    films = []
    for number in range(3):
        picture = np.roll(chest_pixels(300, 280) >> 4, 8 * number, axis=1).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        films.append(replace(labelled("normal"), file=f"{number}.png"))
    reader = Reader(folder, batch_size=4)
    prepared = [prepare_file(tmp_path / film.file, reader.input_sizes) for film in films]
    served = np.stack([reader._shown(*pair) for pair in zip(prepared, reader.look(prepared), strict=True)])
    table = read_recipe(folder).get("framing")
    assert (table is None) == np.array_equal(served, np.stack([film.network_input for film in prepared]))
    assert np.array_equal(network_inputs(films, tmp_path, reader.input_sizes.steps, table), served)
    if name == "firstread-1":
        assert cached(films, tmp_path, table).shape == (3, 256, 256, 1)


def test_a_framed_version_answers_over_the_whole_film(tmp_path):
    folder = shutil.copytree(VERSIONS / "gao-2020", tmp_path / "framed")
    (folder / "model.toml").write_text((folder / "model.toml").read_text() + FRAMING)
    reader = Reader(folder, batch_size=2)
    picture = (chest_pixels(300, 280) >> 4).astype(np.uint8)
    beside = np.pad(picture, ((0, 0), (0, 140)))  # the film lies in the left two thirds of the picture
    films = [prepare_picture(of, reader.input_sizes) for of in (picture, beside, picture)]
    answers = reader.answer(films, reader.look(films))
    assert answers.activations1.shape == (3, 3, GRID, GRID)
    assert not answers.activations1[1, ..., 3 * GRID // 4 :].any()
    assert answers.activations2.max() > 0
    assert reader.answer([], []).step1_logits.shape == (0, 3)


RUN = """
import sys
from pathlib import Path

import numpy as np

from model.training.films import read_manifest
from model.training.finetune import finetune
from model.weights import VERSIONS, read_recipe

root, keep, cycles = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
recipe = read_recipe(VERSIONS / "firstread-1")
own = [film for film in read_manifest(root / "manifest.csv") if film.source == "kaggle"]
train, validate = ([film for film in own if film.fold in folds] for folds in ({0, 1}, {7}))
of_both_kinds = [cycle | {"epochs": 1, "rate_falls_until": 2} for cycle in recipe["training"]["cycles"][-2:]]
limits = recipe["training"] | {"cycles": of_both_kinds[:cycles], "films_per_epoch": 16, "batch_size": 8}
network = finetune(recipe | {"training": limits}, train, validate, root, keep).network
np.savez(keep / "weights", *network.get_weights())
"""


@pytest.mark.timeout(900)  # three trainings
def test_a_run_broken_off_between_cycles_gives_the_weights_of_a_whole_one(tmp_path):
    assert [cycle["frozen_blocks"] for cycle in RECIPE["training"]["cycles"][-2:]] == [5, 0]
    make_collection(tmp_path)

    def weights(folder: str, cycles: int) -> list[np.ndarray]:
        # In a process of its own, as a training is: how TensorFlow uses threads is set before it starts.
        command = [sys.executable, "-c", RUN, str(tmp_path), str(tmp_path / folder), str(cycles)]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(tmp_path / folder / "weights.npz") as arrays:
            return list(arrays.values())

    whole, half = weights("whole", 2), weights("broken off", 1)
    assert not all(np.array_equal(one, other) for one, other in zip(whole, half, strict=True))
    resumed = weights("broken off", 2)
    assert all(np.array_equal(one, other) for one, other in zip(whole, resumed, strict=True))
