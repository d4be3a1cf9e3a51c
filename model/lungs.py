"""Where the lungs of a film are, how it lies, and whether it is a chest: the lung network's front door."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from model.networks import loading
from model.weights import open_version

FINDERS = Path(__file__).with_name("finders")
LATEST = "lungs-1"
BATCH_SIZE = 16
SIDES = ("right", "left")  # the patient's, as the fields stand in `Found`
INSIDE = 0.5  # probability from which a place is lung
NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)  # of a place: pieces hang together by sides


@dataclass(frozen=True)
class FoundBox:
    """A box, as shares of the film's columns and rows, 0 to 1.

    Parameters
    ----------
    name : str
        lung_right, the one at the left of the picture, lung_left or opacity.
    score : float
        0 to 1: class times centre-ness.
    left, top, right, bottom : float
    """

    name: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Found:
    """What the network sees in a film.

    Parameters
    ----------
    fields : (rows, columns, 2) float32
        Probability of the right and the left lung field, on the network's square over the whole film.
    boxes : tuple of FoundBox
        Best first.
    turned : dict of int to float
        Probability that the film was turned by so many degrees, counter-clockwise.
    negative, chest : float
        Probability that black and white are exchanged; that the picture is a chest.
    """

    fields: np.ndarray
    boxes: tuple[FoundBox, ...]
    turned: dict[int, float]
    negative: float
    chest: float

    @property
    def lies(self) -> int:
        """By how many degrees the film was most probably turned."""
        return max(self.turned, key=self.turned.__getitem__)

    @cached_property
    def lungs(self) -> np.ndarray:
        """The two lungs, (rows, columns, 2) bool: `lungs_of` the fields."""
        return lungs_of(self.fields)

    def mask(self, rows: int, columns: int) -> np.ndarray:
        """Where a lung is, either of the two, on so many rows and columns, bool."""
        either = Image.fromarray(self.fields.max(axis=-1))
        return np.asarray(either.resize((columns, rows), Image.Resampling.BILINEAR)) >= INSIDE


def either_lung(lungs: np.ndarray) -> np.ndarray:
    """Where any of the two lungs, (rows, columns, 2) bool, is, (rows, columns) bool."""
    return lungs[..., 0] | lungs[..., 1]


def lungs_of(fields: np.ndarray) -> np.ndarray:
    """The two lungs: the largest piece of each field, without holes.

    Parameters
    ----------
    fields : (rows, columns, 2) float32
        Probability of the right and the left lung field.

    Returns
    -------
    (rows, columns, 2) bool
    """
    lungs = np.zeros(fields.shape, bool)
    right, left = np.ascontiguousarray(np.moveaxis(fields, -1, 0))
    is_left = left > right
    for side, (field, nearer) in enumerate(((right, ~is_left), (left, is_left))):
        pieces, count = ndimage.label((field >= INSIDE) & nearer, NEIGHBOURS)
        if count:
            largest = np.bincount(pieces.ravel())[1:].argmax() + 1
            lungs[..., side] = _without_holes(pieces == largest)
    return lungs


def _without_holes(piece: np.ndarray) -> np.ndarray:
    """What `scipy.ndimage.binary_fill_holes` gives, step by step, of a mask that is not empty."""
    box = tuple(slice(at[0], at[-1] + 1) for at in (np.flatnonzero(piece.any(axis=axis)) for axis in (1, 0)))
    around, _ = ndimage.label(~np.pad(piece[box], 1), NEIGHBOURS)
    filled = np.zeros_like(piece)
    filled[box] = (around != around[0, 0])[1:-1, 1:-1]
    return filled


# What is known of a film in which nobody looked for lungs.
UNSOUGHT = Found(np.zeros((128, 128, len(SIDES)), np.float32), (), {0: 1.0}, 0.0, 1.0)


class LungFinder:
    """The lung network, verified and ready.

    Parameters
    ----------
    folder : Path, optional
        Of another network than the one that ships with the node.
    batch_size : int, optional
        Most films that it takes in one call.

    Attributes
    ----------
    input_size : int
        Rows and columns of the network's input.

    Raises
    ------
    model.weights.WeightsInvalid
        If a file is missing or its SHA-256 is not the manifest's.
    """

    def __init__(self, folder: Path = FINDERS / LATEST, batch_size: int = BATCH_SIZE) -> None:
        self._batch_size = batch_size
        self.version = open_version(folder)
        self._network = loading.load(self.version.recipe["network"])
        self.input_size: int = self.version.recipe["input_size"]
        self._answer = self._network.answering(self._network.load(self.version.weights))

    def find(self, inputs: np.ndarray) -> list[Found]:
        """Look at films.

        Parameters
        ----------
        inputs : (n, size, size, 1) float32
            Films from `model.preprocess.network_input`, one channel, at `input_size`.

        Returns
        -------
        list of Found
        """
        found = []
        for start in range(0, len(inputs), self._batch_size):
            batch = inputs[start : start + self._batch_size]
            answers = {name: value.numpy() for name, value in self._answer(batch).items()}
            found += [
                self._found({name: value[i] for name, value in answers.items()}) for i in range(len(batch))
            ]
        return found

    def _found(self, answer: dict[str, np.ndarray]) -> Found:
        size = self.input_size
        boxes = tuple(
            FoundBox(self._network.BOXES[name], float(score), *(float(side) / size for side in box))
            for box, score, name in zip(answer["boxes"], answer["scores"], answer["names"], strict=True)
            if name >= 0
        )
        turned = dict(zip(self._network.TURNS, map(float, answer["turned"]), strict=True))
        return Found(answer["fields"], boxes, turned, float(answer["negative"]), float(answer["chest"]))
