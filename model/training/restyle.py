"""Change what tells a film's source and not its disease: sharpness, compression, exposure, framing."""

import math
from collections.abc import Mapping

import tensorflow as tf

from model.training.augment import move

# Amounts that are 0 where nothing is changed; the zooms are 1 there, and the others are limits.
SCALED = (
    "rotate_degrees", "stretch", "shift", "resampled", "compressed", "spectra_mixed", "sharpen", "shading",
    "noise", "window", "rectangle_side",
)  # fmt: skip


def softened(amounts: Mapping[str, float], strength: float) -> dict[str, float]:
    """The table ``[augmentation]`` with every change made smaller or rarer, 0 for none and 1 for as it is."""
    zooms = {name: 1 + (amounts[name] - 1) * strength for name in ("smallest_zoom", "largest_zoom")}
    return {**amounts, **zooms, **{name: amounts[name] * strength for name in SCALED}}


def degrade(film: tf.Tensor, seed: tf.Tensor, amounts: Mapping[str, float]) -> tf.Tensor:
    """Bring one film to a smaller size, compress it, and bring it back, each for a share of the films.

    Parameters
    ----------
    film : (size, size, 1) uint8
    seed : (2,) int64
        The same seed gives the same picture.
    amounts : mapping
        The table ``[augmentation]`` of ``model.toml``.

    Returns
    -------
    (size, size, 1) float32
        0 to 1.
    """
    size = film.shape[0]
    draws = tf.random.stateless_uniform((4,), seed)
    smallest = amounts["smallest_side"]
    side = tf.cast(smallest + draws[0] * (size - smallest), tf.int32)
    quality = tf.cast(amounts["poorest_jpeg"] + draws[1] * (95 - amounts["poorest_jpeg"]), tf.int32)

    def smaller() -> tf.Tensor:
        return tf.image.resize(film, [side, side], antialias=True)

    def compressed(pixels: tf.Tensor) -> tf.Tensor:
        bytes_of_film = tf.image.adjust_jpeg_quality(tf.cast(pixels, tf.uint8), quality)
        return tf.cast(bytes_of_film, tf.float32)

    pixels = tf.cond(draws[2] < amounts["resampled"], smaller, lambda: tf.cast(film, tf.float32))
    pixels = tf.cond(draws[3] < amounts["compressed"], lambda: compressed(pixels), lambda: pixels)
    pixels = tf.cond(
        tf.shape(pixels)[0] < size, lambda: tf.image.resize(pixels, [size, size]), lambda: pixels
    )
    return tf.ensure_shape(pixels, film.shape) / 255.0


def restyle(films: tf.Tensor, size: int, seed: tf.Tensor, amounts: Mapping[str, float]) -> tf.Tensor:
    """Move each film and give it another exposure, texture and spectrum, each by its own draw.

    Parameters
    ----------
    films : (n, given, given, 1) float32
        0 to 1.
    size : int
        Rows and columns of the answer.
    seed : (2,) int64
        The same seed gives the same pictures.
    amounts : mapping
        The table ``[augmentation]`` of ``model.toml``.

    Returns
    -------
    (n, size, size, 1) float32
        0 to 1.
    """
    n = tf.shape(films)[0]
    draws = tf.random.stateless_uniform((n, 12), seed, -1.0, 1.0)
    zoom = amounts["smallest_zoom"] + (draws[:, 1:2] + 1) / 2 * (
        amounts["largest_zoom"] - amounts["smallest_zoom"]
    )
    stretch = 1.0 + draws[:, 2:3] * amounts["stretch"]
    films = move(
        films,
        size,
        angle=draws[:, 0] * (amounts["rotate_degrees"] * math.pi / 180),
        scale=tf.concat([zoom * stretch, zoom / stretch], axis=1),
        shift=draws[:, 3:5] * amounts["shift"],
        mirror=amounts["flip"] & (draws[:, 5] < 0),
        fill="REFLECT",
    )
    return expose(films, draws[:, 6:], seed, amounts)


def expose(films: tf.Tensor, draws: tf.Tensor, seed: tf.Tensor, amounts: Mapping[str, float]) -> tf.Tensor:
    """Give each film another exposure, texture and spectrum, and move nothing.

    Parameters
    ----------
    films : (n, size, size, 1) float32
        0 to 1.
    draws : (n, 6) float32
        -1 to 1: how much of each change.
    seed : (2,) int64
        The three seeds after it draw shading, noise and rectangles.
    amounts : mapping
        The table ``[augmentation]`` of ``model.toml``.

    Returns
    -------
    (n, size, size, 1) float32
        0 to 1.
    """
    n, size = tf.shape(films)[0], films.shape[1]
    films = mix_spectra(films, draws[:, 0], draws[:, 1], amounts["spectra_mixed"], amounts["spectra_share"])
    columns = tf.reshape(draws, (n, 6, 1, 1, 1))
    smooth = tf.nn.avg_pool2d(films, 9, 1, "SAME")
    films += (films - smooth) * tf.nn.relu(columns[:, 2]) * amounts["sharpen"]
    grid = tf.random.stateless_normal((n, 4, 4, 1), seed + 1) * amounts["shading"]
    films += tf.image.resize(grid, (size, size), method="bicubic")
    noise = tf.random.stateless_normal((n, size, size, 1), seed + 2)
    films += noise * tf.nn.relu(columns[:, 3]) * amounts["noise"]
    black, white = columns[:, 4] * amounts["window"], 1 + columns[:, 5] * amounts["window"]
    return _cut_out(tf.clip_by_value((films - black) / (white - black), 0.0, 1.0), seed + 3, amounts)


def mix_spectra(
    films: tf.Tensor, whether: tf.Tensor, how_much: tf.Tensor, share: float, most: float
) -> tf.Tensor:
    """Give a share of the films an amplitude spectrum between their own and a neighbour's.

    The phase, where the anatomy is, stays the film's own; the amplitude carries much of a source's look.

    Parameters
    ----------
    films : (n, size, size, 1) float32
    whether, how_much : (n,) float32
        Draws from -1 to 1.
    share : float
        Of the films, 0 to 1.
    most : float
        Weight of the neighbour's spectrum at most, 0 to 1.

    Returns
    -------
    (n, size, size, 1) float32

    References
    ----------
    Q. Xu et al., "A Fourier-based framework for domain generalization", 2021.
    """
    spectrum = tf.signal.rfft2d(films[..., 0])  # (n, size, size / 2 + 1)
    amplitude = tf.abs(spectrum)
    weight = tf.where((whether + 1) / 2 < share, (how_much + 1) / 2 * most, 0.0)[:, tf.newaxis, tf.newaxis]
    mixed = (1 - weight) * amplitude + weight * tf.roll(amplitude, 1, axis=0)
    turned = spectrum * tf.cast(tf.math.divide_no_nan(mixed, amplitude), tf.complex64)
    return tf.signal.irfft2d(turned, films.shape[1:3])[..., tf.newaxis]


def _cut_out(films: tf.Tensor, seed: tf.Tensor, amounts: Mapping[str, float]) -> tf.Tensor:
    """Lay rectangles of one grey over each film."""
    n, size = tf.shape(films)[0], films.shape[1]
    place = tf.range(size, dtype=tf.float32) / size
    for i in range(amounts["rectangles"]):
        draws = tf.random.stateless_uniform((n, 5), seed + i)
        half = draws[:, 2:4] * amounts["rectangle_side"] / 2
        rows = tf.abs(place - draws[:, 0:1]) < half[:, 0:1]  # (n, size)
        columns = tf.abs(place - draws[:, 1:2]) < half[:, 1:2]
        inside = (rows[:, :, tf.newaxis] & columns[:, tf.newaxis])[..., tf.newaxis]
        films = tf.where(inside, tf.reshape(draws[:, 4], (n, 1, 1, 1)), films)
    return films
