"""Where the lungs of a film are, how it lies, and whether it is a chest: one small network, one call."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from model.networks.devices import prepare
from model.networks.dropout import Dropout
from model.networks.equalise import equalise

INPUT_SIZE = 192
FIELDS = ("right", "left")  # the patient's: right is left in the picture
BOXES = ("lung_right", "lung_left", "opacity")
TURNS = (0, 90, 180, 270)  # degrees counter-clockwise that the film was turned by
CELL = 8  # pixels of the input to one place of the boxes
PLACES = INPUT_SIZE // CELL
REACH = 32.0  # pixels: a distance of 1 in the head's own unit
MOST_OVERLAP = 0.5  # intersection over union of two boxes of one name that are both kept, at most
LEAST_SCORE = 0.05
MOST_BOXES = 5  # of each name
STAGES = ((32, 2), (64, 2), (96, 2), (128, 2))  # filters and convolutions at strides 4, 8, 16 and 32
NECK = 48
CLASS_PRIOR = -3.0  # logit: at first few places hold a box


def build() -> keras.Model:
    """Build the network with fresh weights.

    Returns
    -------
    keras.Model
        Equalised films, (n, 192, 192, 1) float32 from -1 to 1, to three: ``fields``, logits of the
        right and the left lung field, (n, 192, 192, 2) float32; ``boxes``, (n, 24, 24, 3, 6)
        float32, for each place and name of `BOXES` the logits of the class and of its centre-ness, then
        the distances to the left, top, right and bottom side in pixels, 0 or more; ``picture``, (n, 6)
        float32, logits of the four `TURNS`, of a negative and of a chest.

    References
    ----------
    J. Long et al., "Fully convolutional networks for semantic segmentation", 2015; T.-Y. Lin et al., "Feature
    pyramid networks for object detection", 2017; Z. Tian et al., "FCOS: Fully convolutional one-stage
    object detection", 2019. Here each name has its own distances, for an opacity lies inside a lung.
    """
    inputs = keras.Input((INPUT_SIZE, INPUT_SIZE, 1))
    x = _convolution(inputs, 16, "stem", stride=2)
    levels = []
    for stage, (filters, convolutions) in enumerate(STAGES, start=2):
        for number in range(convolutions):
            x = _convolution(x, filters, f"stage{stage}_{number}", stride=2 if number == 0 else 1)
        levels.append(x)  # stride 2 ** stage
    coarse = keras.layers.Conv2D(NECK, 1, name="lateral5")(x)
    for stage in (4, 3):
        finer = keras.layers.Conv2D(NECK, 1, name=f"lateral{stage}")(levels[stage - 2])
        coarse = keras.layers.UpSampling2D(2, name=f"finer{stage}")(coarse)
        coarse = keras.layers.Add(name=f"level{stage}")([finer, coarse])
    middle = _convolution(coarse, NECK, "smooth3")  # (n, 24, 24, 48)
    fine = keras.layers.Conv2D(32, 1, name="narrow2")(middle)
    fine = keras.layers.UpSampling2D(2, interpolation="bilinear", name="finer2")(fine)
    fine = keras.layers.Add(name="level2")([fine, keras.layers.Conv2D(32, 1, name="lateral2")(levels[0])])
    fine = _convolution(fine, 32, "smooth2")  # (n, 48, 48, 32)
    scores = keras.layers.Conv2D(len(FIELDS), 1, name="field_scores")(fine)
    fields = keras.layers.UpSampling2D(4, interpolation="bilinear", name="fields")(scores)
    return keras.Model(inputs, [fields, _box_head(middle), _picture_head(x)])


def _box_head(features: keras.KerasTensor) -> keras.KerasTensor:
    """Class, centre-ness and distances at each place."""
    tower = _convolution(features, NECK, "tower")
    prior = keras.initializers.Constant(CLASS_PRIOR)
    each = [
        keras.layers.Conv2D(len(BOXES), 3, padding="same", bias_initializer=prior, name="classes")(tower),
        keras.layers.Conv2D(len(BOXES), 3, padding="same", name="centre_ness")(tower),
        keras.layers.Conv2D(4 * len(BOXES), 3, padding="same", activation="softplus", name="sides")(tower),
    ]
    each = [keras.layers.Reshape((PLACES, PLACES, len(BOXES), -1))(one) for one in each]
    each[2] = keras.layers.Rescaling(REACH, name="distances")(each[2])
    return keras.layers.Concatenate(name="boxes")(each)


def _picture_head(features: keras.KerasTensor) -> keras.KerasTensor:
    """How the film lies, its polarity, and whether it is a chest."""
    deepest = _convolution(features, 128, "whole")
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(deepest)
    pooled = Dropout(0.2, name="dropout")(pooled)
    return keras.layers.Dense(len(TURNS) + 2, name="picture")(pooled)


def _convolution(x: keras.KerasTensor, filters: int, name: str, stride: int = 1) -> keras.KerasTensor:
    x = keras.layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=f"{name}_convolution")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_normalisation")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def load(weights: Sequence[Path]) -> keras.Model:
    """Build the network and give it the weights of the one file that its training made."""
    prepare()
    network = build()
    (path,) = weights
    network.load_weights(path)
    return network


def seen(films: tf.Tensor) -> tf.Tensor:
    """What the network sees of films, (n, size, size, 1) float32 from 0 to 1: each grey as often, -1 to 1."""
    return 2 * equalise(films[..., 0])[..., tf.newaxis] - 1


def middles() -> tf.Tensor:
    """Where the places of the boxes lie in the input, (24, 24, 2) float32: x and y in pixels."""
    along = (tf.range(PLACES, dtype=tf.float32) + 0.5) * CELL
    x, y = tf.meshgrid(along, along)
    return tf.stack([x, y], axis=-1)


def corners(distances: tf.Tensor) -> tf.Tensor:
    """The boxes at every place, cut to the film.

    Parameters
    ----------
    distances : (n, 24, 24, names, 4) float32
        To the left, top, right and bottom side, in pixels, 0 or more.

    Returns
    -------
    (n, 24, 24, names, 4) float32
        Left, top, right and bottom, 0 to 192.
    """
    middle = middles()[:, :, tf.newaxis]
    first, last = middle - distances[..., :2], middle + distances[..., 2:]
    return tf.clip_by_value(tf.concat([first, last], axis=-1), 0.0, float(INPUT_SIZE))


def suppress(boxes: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of boxes of one name that overlap by more than `MOST_OVERLAP`, keep the one that scores best.

    Parameters
    ----------
    boxes : (n, places, names, 4) float32
        Left, top, right, bottom, 0 to 192.
    scores : (n, places, names) float32
        0 to 1.

    Returns
    -------
    boxes : (n, most, 4) float32
        Best first; 0 beyond the last that is kept.
    scores : (n, most) float32
        0 beyond the last.
    names : (n, most) int32
        Place in `BOXES`; -1 beyond the last.
    """
    kept = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=MOST_BOXES,
        max_total_size=MOST_BOXES * len(BOXES),
        iou_threshold=MOST_OVERLAP,
        score_threshold=LEAST_SCORE,
        clip_boxes=False,
    )
    names = tf.where(kept.nmsed_scores > 0, tf.cast(kept.nmsed_classes, tf.int32), -1)
    return kept.nmsed_boxes, kept.nmsed_scores, names


def answering(network: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """One traced call that gives everything the network knows of films.

    Parameters
    ----------
    network : keras.Model
        From `build`.

    Returns
    -------
    callable
        (n, 192, 192, 1) float32, 0 to 1, stretched to the square, to a mapping: ``fields``,
        probabilities of the right and left lung field, (n, 192, 192, 2) float32; ``boxes``, ``scores`` and
        ``names`` as `suppress`; ``turned``, probabilities of the `TURNS`, (n, 4) float32; ``negative`` and
        ``chest``, probabilities, (n,) float32.
    """
    inputs = tf.TensorSpec((None, INPUT_SIZE, INPUT_SIZE, 1), tf.float32)

    @tf.function(input_signature=[inputs], autograph=False)
    def answer(films: tf.Tensor) -> dict[str, tf.Tensor]:
        fields, places, picture = network(seen(films), training=False)
        n = tf.shape(films)[0]
        score = tf.sigmoid(places[..., 0]) * tf.sigmoid(places[..., 1])
        boxes, scores, names = suppress(
            tf.reshape(corners(places[..., 2:]), (n, PLACES**2, len(BOXES), 4)),
            tf.reshape(score, (n, PLACES**2, len(BOXES))),
        )
        return {
            "fields": tf.sigmoid(fields),
            "boxes": boxes,
            "scores": scores,
            "names": names,
            "turned": tf.nn.softmax(picture[:, : len(TURNS)]),
            "negative": tf.sigmoid(picture[:, -2]),
            "chest": tf.sigmoid(picture[:, -1]),
        }

    return answer
