"""The split keeps patients apart; a run that was broken off ends as one that was not."""

import numpy as np
import pytest

from model.training.films import LabelledFilm, require_disjoint
from model.training.train import split
from model.weights import VERSIONS, read_recipe

RECIPE = read_recipe(VERSIONS / "gao-2020")


def labelled(group: str, source: str, fold: int) -> LabelledFilm:
    return LabelledFilm(f"{source}-{group}-{fold}.png", "normal", group, source, fold)


def test_a_patient_of_a_held_out_source_trains_nothing():
    films = [labelled("a", "kaggle", 0), labelled("b", "kaggle", 0), labelled("a", "ieee", 3)]
    sides = split(films, RECIPE)
    assert [film.group for film in sides["train"]] == ["b"]
    assert [film.source for film in sides["held_out"]] == ["ieee"]


def test_a_patient_on_two_sides_is_refused():
    with pytest.raises(ValueError, match="1 groups are in both train and test"):
        split([labelled("a", "kaggle", 0), labelled("a", "kaggle", 8)], RECIPE)
    with pytest.raises(ValueError, match="both one and other"):
        require_disjoint(one=[labelled("a", "x", 0)], other=[labelled("a", "y", 0)])


def test_held_out_sources_and_folds_are_apart_in_the_recipe():
    assert not set(RECIPE["sources"]["train"]) & set(RECIPE["sources"]["held_out"])
    folds = RECIPE["folds"]
    assert len(folds["train"] + folds["validate"] + folds["test"]) == 9
    assert len({*folds["train"], *folds["validate"], *folds["test"]}) == 9


@pytest.fixture(scope="module")
def examples():
    from model.training.fit import Examples

    rng = np.random.default_rng(1)
    images = np.repeat(rng.random((24, 64, 64, 1), np.float32), 3, axis=-1)
    return Examples(images, np.arange(24) % 3)


def run(examples, keep, epochs: int) -> list[np.ndarray]:
    import tensorflow as tf

    from model.networks import gao
    from model.training.fit import fit

    tf.keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    recipe = RECIPE | {"training": RECIPE["training"] | {"epochs": epochs, "batch_size": 8}}
    return fit(gao.build(3), examples, examples, recipe, seed=1, keep=keep).get_weights()


# Keras copies arrays in a way that NumPy 2 deprecates; not ours to mend.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_same_seed_gives_the_same_weights_and_so_does_a_resumed_run(examples, tmp_path):
    whole = run(examples, tmp_path / "whole", 2)
    run(examples, tmp_path / "broken", 1)
    resumed = run(examples, tmp_path / "broken", 2)
    for one, other in zip(whole, resumed, strict=True):
        assert np.array_equal(one, other)


def test_augmented_films_stay_within_0_and_1_and_follow_their_seed(examples):
    import tensorflow as tf

    from model.training.augment import augment

    seed = tf.constant([1, 2], tf.int64)
    found = augment(examples.images, seed, RECIPE["augmentation"]).numpy()
    assert found.shape == examples.images.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.array_equal(found, augment(examples.images, seed, RECIPE["augmentation"]).numpy())
    assert not np.allclose(found, examples.images, atol=0.1)
