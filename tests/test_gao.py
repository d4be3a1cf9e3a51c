"""The network of the paper, layer by layer, and the one call that answers."""

import numpy as np
import pytest

from model.networks import gao

BATCH = 4


@pytest.fixture(scope="module")
def networks():
    from tensorflow import keras

    keras.utils.set_random_seed(3)
    return [gao.build(3), gao.build(3)]


@pytest.fixture(scope="module")
def answer(networks):
    return gao.answering(networks)


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.random.default_rng(5).random((BATCH, 64, 64, 3), np.float32)


def test_every_layer_has_the_papers_count_of_parameters():
    network = gao.build(2)
    counts = [layer.count_params() for layer in network.layers if layer.count_params()]
    assert counts == [896, 18_496, 73_856, 131_088, 1_088, 8_320, 258]
    assert network.count_params() == 234_002
    assert network.get_layer("flatten").output.shape == (None, 8192)
    assert network.get_layer("dropout").rate == 0.5


def test_the_logits_are_the_networks_own(networks, answer, films):
    for network, logits in zip(networks, answer(films)[0], strict=True):
        raised = np.exp(logits)
        scores = raised / raised.sum(axis=1, keepdims=True)
        assert np.allclose(scores, network(films, training=False), atol=1e-6)


def test_the_features_are_what_the_logits_are_made_from(networks, answer, films):
    logits, _, features = answer(films)
    assert features.shape == (BATCH, 256)
    for i, network in enumerate(networks):
        kernel, bias = network.get_layer("logits").get_weights()
        assert np.allclose(features[:, 128 * i : 128 * (i + 1)] @ kernel + bias, logits[i], atol=1e-5)


def test_every_class_of_both_steps_has_an_activation(answer, films):
    for activations in answer(films)[1]:
        assert activations.shape == (BATCH, 3, 8, 8)
        assert float(activations.numpy().min()) >= 0
        assert float(activations.numpy().max()) == pytest.approx(1)


def test_scores_and_activations_do_not_depend_on_the_batch(answer, films):
    logits, activations, _ = answer(films)
    lone_logits, lone_activations, _ = answer(films[2:3])
    for one, lone in zip(logits, lone_logits, strict=True):
        assert np.abs(one[2] - lone[0]).max() < 1e-5
    for maps, lone_maps in zip(activations, lone_activations, strict=True):
        assert np.abs(maps[2] - lone_maps[0]).max() < 1e-4


def test_nothing_to_show_stays_empty(answer):
    for activations in answer(np.zeros((BATCH, 64, 64, 3), np.float32))[1]:
        assert np.isfinite(activations).all()


def test_the_activation_before_its_relu_explains_the_logit(networks, films):
    # HiResCAM: for a head of linear pieces, gradient times activation sums to the logit without its biases.
    import tensorflow as tf

    network = networks[0]
    for layer in network.layers:
        if layer.name.startswith(("dense", "logits")):
            layer.bias.assign(tf.zeros_like(layer.bias))
    features = tf.constant(films)
    for layer in network.layers[1:7]:
        features = layer(features)
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = features
        for layer in network.layers[7:-1]:
            logits = layer(logits)
        one = logits[0, 1]
    explained = tf.reduce_sum(tape.gradient(one, features) * features)
    assert float(explained) == pytest.approx(float(one), rel=1e-3, abs=1e-5)


def test_batches_of_any_size_share_one_trace(answer, films):
    for size in (1, 2, BATCH):
        assert answer(films[:size])[0][0].shape[0] == size
    assert answer.experimental_get_tracing_count() == 1
