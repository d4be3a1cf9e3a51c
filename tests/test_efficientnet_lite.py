"""The network with one head for each step, and the one call that answers."""

import numpy as np
import pytest

from model.networks import efficientnet_lite
from model.networks.equalise import equalise

BATCH = 2
SIZE = 208
BORDER = efficientnet_lite.BORDER


def random_network(seed: int):
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    return efficientnet_lite.build([3, 3])


@pytest.fixture(scope="module")
def network():
    return random_network(3)


@pytest.fixture(scope="module")
def answer(network):
    return efficientnet_lite.answering(network)


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    # Ramps and blobs rather than noise, which all looks alike to a convolution.
    rng = np.random.default_rng(5)
    coarse = rng.random((BATCH, 13, 13, 1), np.float32)
    return np.repeat(np.kron(coarse, np.ones((1, 16, 16, 1), np.float32)), 3, axis=-1)


@pytest.fixture(scope="module")
def answered(answer, films):
    logits, activations, features = answer(films)
    return [a.numpy() for a in logits], [a.numpy() for a in activations], features.numpy()


def test_the_backbone_has_the_published_count_of_parameters(network):
    # 4,652,008 with 1000 classes, as published; the head of a class is 1280 weights and a bias.
    trained = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert trained - 6 * 1281 + 1000 * 1281 == 4_652_008


def test_the_logits_are_the_mean_of_the_film_and_its_mirror(network, films, answered):
    seen = efficientnet_lite.seen(films)
    both = zip(network(seen, training=False), network(seen[:, :, ::-1], training=False), strict=True)
    for logits, (one, other) in zip(answered[0], both, strict=True):
        assert np.allclose(logits, (one + other) / 2, atol=1e-4)


def test_the_features_are_what_the_logits_are_made_from(network, answered):
    logits, _, features = answered
    assert features.shape == (BATCH, 1280)
    for step in (1, 2):
        kernel, bias = network.get_layer(f"step{step}_logits").get_weights()
        assert np.allclose(features @ kernel + bias, logits[step - 1], atol=1e-4)


def test_the_class_activation_before_its_relu_explains_the_logit(network, films):
    from tensorflow import keras

    places = keras.Model(network.inputs, network.get_layer("head_relu").output)
    seen = efficientnet_lite.seen(films)
    kernel, bias = network.get_layer("step1_logits").get_weights()
    maps = places(seen, training=False).numpy() @ kernel  # (n, 6, 6, 3)
    assert np.allclose(maps.mean(axis=(1, 2)) + bias, network(seen, training=False)[0], atol=1e-4)


def test_every_class_of_both_steps_has_an_activation_over_the_whole_film(answered):
    for activations in answered[1]:
        assert activations.shape == (BATCH, 3, SIZE // BORDER, SIZE // BORDER)
        assert activations.min() == 0
        assert activations.max() == pytest.approx(1)
        assert not activations[:, :, [0, -1]].any()
        assert not activations[..., [0, -1]].any()


def test_an_empty_map_stays_empty():
    activation = efficientnet_lite._whole_film(np.full((1, 6, 6, 3), -1.0, np.float32), (24, 24)).numpy()
    assert activation.shape == (1, 3, 26, 26)
    assert not activation.any()


def test_other_weights_give_another_map(answered, films):
    # A map that outlived its weights would show the film, not what the network makes of it (Adebayo 2018).
    _, others, _ = efficientnet_lite.answering(random_network(4))(films)
    for activations, other in zip(answered[1], others, strict=True):
        likeness = np.corrcoef(activations.ravel(), other.numpy().ravel())[0, 1]
        assert likeness < 0.9


def test_logits_and_activations_do_not_depend_on_the_batch(answer, films, answered):
    logits, activations, _ = answer(films[1:2])
    for step in (0, 1):
        assert np.abs(logits[step][0] - answered[0][step][1]).max() < 1e-4
        assert np.abs(activations[step][0] - answered[1][step][1]).max() < 1e-3


def test_what_stands_in_the_border_is_not_seen(answer, films, answered):
    marked = films.copy()
    marked[:, :BORDER] = 1
    marked[:, :, -BORDER:] = 0
    assert np.allclose(answer(marked)[0][0], answered[0][0])


def test_a_larger_film_is_answered_on_a_finer_grid_by_the_same_weights(answer):
    logits, activations, features = answer(np.random.default_rng(2).random((1, 240, 240, 3), np.float32))
    assert [of_step.shape for of_step in logits] == [(1, 3), (1, 3)]
    assert activations[0].shape == (1, 3, 30, 30)
    assert features.shape == (1, 1280)
    assert efficientnet_lite.cells(208) == (6, 6)
    assert efficientnet_lite.cells(240) == (7, 7)


def test_a_constant_film_gives_numbers(answer):
    logits, activations, features = answer(np.zeros((BATCH, SIZE, SIZE, 3), np.float32))
    for numbers in (*logits, *activations, features):
        assert np.isfinite(numbers).all()


def test_equalised_films_do_not_know_their_exposure():
    film = np.random.default_rng(1).random((1, 64, 64)).astype(np.float32)
    plain = equalise(film).numpy()
    assert plain.min() >= 0
    assert plain.max() <= 1
    assert np.abs(plain - equalise(film**1.5).numpy()).max() < 0.02
    assert np.abs(plain - equalise(0.2 + 0.6 * film).numpy()).max() < 0.02
    assert not equalise(np.zeros((1, 64, 64), np.float32)).numpy().any()
