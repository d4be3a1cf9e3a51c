"""The lung network: its boxes, what it learns from, and that it sees what lies where."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.evaluation.boxes import overlap
from model.lungs import FINDERS, LATEST, Found, LungFinder
from model.training.films import one_channel, read_picture
from model.training.lung_films import LEFT, OPACITY, RIGHT, lungs_apart
from model.training.not_chests import not_chests
from model.weights import WeightsInvalid, available, open_version, read_recipe

FOLDER = FINDERS / LATEST
AMOUNTS = read_recipe(FOLDER)["augmentation"]
SET = Path(__file__).parents[2] / "shared" / "data" / "cxr"


@pytest.fixture(scope="module")
def network():
    from model.networks import lungs

    return lungs


@pytest.fixture(scope="module")
def finder() -> LungFinder:
    return LungFinder()


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    if not SET.exists():
        pytest.skip("the labelled films are not beside the project")
    return read_picture(min((SET / "images" / "openist").iterdir()))


def two_lungs(size: int = 192) -> np.ndarray:
    """A film of two rectangles, the right one larger, and an opacity in the left: (1, size, size, 2)."""
    pixels = np.full((1, size, size, 2), 200, np.uint8)
    pixels[..., 1] = 0
    pixels[0, 40:150, 30:80] = 30, RIGHT
    pixels[0, 60:150, 110:160] = 30, LEFT
    pixels[0, 100:140, 120:150, 1] |= OPACITY
    return pixels


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (4,), elements=st.floats(0, np.float32(1e6), width=32)))
def test_a_box_lies_in_the_film_whatever_its_distances(network, sides):
    boxes = network.corners(np.broadcast_to(sides, (1, 24, 24, 3, 4))).numpy()
    assert boxes.min() >= 0
    assert boxes.max() <= 192
    assert (boxes[..., 0] <= boxes[..., 2]).all()
    assert (boxes[..., 1] <= boxes[..., 3]).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_two_boxes_of_a_name_overlap_by_more_than_is_allowed(network, seed):
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 150, (2, 60, 3, 2))
    boxes = np.concatenate([first, first + rng.uniform(10, 42, first.shape)], axis=-1).astype(np.float32)
    scores = rng.random((2, 60, 3)).astype(np.float32)
    kept, its_scores, names = (found.numpy() for found in network.suppress(boxes, scores))
    for of_film, of_names in zip(kept, names, strict=True):
        for name in range(3):
            own = of_film[of_names == name].astype(float)
            assert 0 < len(own) <= network.MOST_BOXES
            for i, one in enumerate(own):
                assert all(overlap(tuple(one), tuple(other)) <= 0.5 + 1e-5 for other in own[i + 1 :])
    assert (np.diff(its_scores, axis=1) <= 0).all()


def test_the_network_gives_fields_boxes_and_picture_of_the_stated_shapes(network):
    answer = network.answering(network.build())(np.random.default_rng(1).random((2, 192, 192, 1), np.float32))
    assert answer["fields"].shape == (2, 192, 192, 2)
    assert answer["boxes"].shape[::2] == (2, 4)
    assert np.allclose(np.sum(answer["turned"], axis=1), 1, atol=1e-5)
    assert answer["negative"].shape == answer["chest"].shape == (2,)


def test_the_right_lung_is_at_the_left_of_the_picture():
    bits = two_lungs()[0, ..., 1]
    apart = lungs_apart(bits > 0)
    assert np.array_equal(apart, bits & (RIGHT | LEFT))
    mirrored = lungs_apart(bits[:, ::-1] > 0)
    assert mirrored[100, 40] == RIGHT
    assert lungs_apart(bits == RIGHT) is None


def test_a_mirrored_lung_changes_its_name_and_moves_with_the_film():
    import tensorflow as tf

    from model.training.lungs import moved_with_places

    still = {**AMOUNTS, "rotate_degrees": 0.0, "smallest_zoom": 1.0, "largest_zoom": 1.0, "stretch": 0.0}
    still["shift"] = 0.1
    pixels = tf.constant(np.repeat(two_lungs(), 2, axis=0))
    draws = np.zeros((2, 8), np.float32)
    draws[:, 5] = 1, -1  # the second is mirrored
    draws[:, 3] = 10 / 19.2, 0  # the first shifted by ten pixels
    films, places, inside = (found.numpy() for found in moved_with_places(pixels, tf.constant(draws), still))
    assert np.array_equal(places[1, :, :, 1], (two_lungs()[0, :, ::-1, 1] & RIGHT) > 0)
    assert places[0, 100, 25, 0] == 1
    assert np.allclose(films[places[..., 0] > 0], 30 / 255, atol=0.01)
    assert inside[0, :, -10:].max() == 0
    assert inside[1].min() == 1


def test_what_is_unknown_is_not_learned_from():
    from model.training.lung_losses import box_loss, field_loss, picture_loss

    logits = np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype(np.float32)
    assert np.allclose(field_loss(np.full_like(logits, -1), logits), 0, atol=1e-6)
    boxes = np.zeros((2, 4, 4, 3, 6), np.float32)
    boxes[..., 0] = -1
    assert np.allclose(box_loss(boxes, np.ones_like(boxes)), 0)
    assert np.allclose(picture_loss(np.full((2, 3), -1, np.float32), np.ones((2, 6), np.float32)), 0)


def test_the_places_that_hold_a_box_say_where_its_sides_are(network):
    from model.training.lungs import boxes_at

    bits = two_lungs()[..., 1:]
    places = np.concatenate([bits & bit > 0 for bit in (RIGHT, LEFT, OPACITY)], axis=-1).astype(np.float32)
    truth = boxes_at(places, np.array([[1, 1, 0]], np.float32)).numpy()
    boxes = network.corners(truth[..., 2:]).numpy()
    for name, corners in enumerate(((30, 40, 80, 150), (110, 60, 160, 150))):
        holds = truth[0, :, :, name, 0] == 1
        assert holds.sum() >= 9
        assert np.allclose(boxes[0, :, :, name][holds], corners)
    assert (truth[..., 2, 0] == -1).all()


def test_a_batch_is_the_same_for_the_same_seed_and_tells_turned_films_from_upright():
    import tensorflow as tf

    from model.training.lungs import changed

    pixels, known = np.repeat(two_lungs(), 16, axis=0), np.ones((16, 4), np.float32)
    seed = tf.constant([1, 2], tf.int64)
    films, (fields, _, picture) = changed(pixels, known, seed, AMOUNTS)
    assert np.array_equal(films, changed(pixels, known, seed, AMOUNTS)[0])
    assert films.shape == (16, 192, 192, 1)
    unknown = np.all(fields.numpy() == -1, axis=(1, 2, 3))
    assert np.array_equal(unknown, picture.numpy()[:, 0] > 0)
    assert 0 < unknown.sum() < 16


def test_pictures_without_a_chest_are_the_same_for_the_same_seed():
    films = np.repeat(two_lungs(), 3, axis=0)
    pixels, without_lungs = not_chests(26, films, 1)
    assert np.array_equal(pixels, not_chests(26, films, 1)[0])
    assert pixels[..., 1].max() == 0
    assert without_lungs.sum() == 18
    assert all(len(np.unique(picture)) > 1 for picture in pixels[..., 0])


def test_the_network_that_finds_is_not_listed_among_those_that_classify():
    assert LATEST not in available()


def test_changed_weights_of_the_lung_network_are_refused(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "lungs-1")
    assert len(open_version(folder).weights_sha256) == 64
    weights = folder / "lungs.weights.h5"
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsInvalid, match=r"found SHA-256 \w{64}, expected \w{64}"):
        LungFinder(folder)


def look(finder: LungFinder, *films: np.ndarray) -> list[Found]:
    return finder.find(one_channel(films, finder.input_size))


def _middle(found) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the lung field, and the best box of each lung, as shares of the sides."""
    mask = found.mask(200, 200)
    boxes = {}
    for box in reversed(found.boxes):
        boxes[box.name] = (box.left, box.top, box.right, box.bottom)
    return np.argwhere(mask).mean(axis=0) / 200, np.array([boxes["lung_right"], boxes["lung_left"]])


def test_mask_and_boxes_move_with_the_film(finder, film):
    rows, columns = film.shape
    shifted = np.pad(film, ((rows // 8, 0), (columns // 10, 0)))[:rows, :columns]
    (at, boxes), (shifted_at, shifted_boxes) = map(_middle, look(finder, film, shifted))
    assert np.allclose(shifted_at - at, (1 / 8, 1 / 10), atol=0.04)
    moved = np.clip(np.add(boxes, (0.1, 0.125, 0.1, 0.125)), 0, 1)
    assert all(
        overlap(tuple(one), tuple(other)) >= 0.6 for one, other in zip(shifted_boxes, moved, strict=True)
    )


def test_mask_and_boxes_shrink_with_the_film(finder, film):
    rows, columns = film.shape
    margin = ((rows // 8, rows // 8), (columns // 8, columns // 8))
    whole, smaller = look(finder, film, np.pad(film, margin))
    share = smaller.mask(300, 300).mean() / whole.mask(300, 300).mean()
    assert share == pytest.approx(0.8**2, rel=0.12)
    boxes, smaller_boxes = _middle(whole)[1], _middle(smaller)[1]
    shrunk = 0.5 + (boxes - 0.5) * 0.8
    assert all(
        overlap(tuple(one), tuple(other)) >= 0.6 for one, other in zip(smaller_boxes, shrunk, strict=True)
    )


def test_mirrored_lungs_are_named_by_their_place(finder, film):
    as_is, mirrored = look(finder, film, film[:, ::-1])
    for one in (as_is, mirrored):
        columns = one.fields.mean(axis=0)  # (192, 2)
        right, left = (columns * np.arange(192)[:, None]).sum(axis=0) / columns.sum(axis=0)
        assert right < left
