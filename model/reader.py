"""The front door: a film made ready in any process, and the answer of the network in one."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from model.decode import UnreadableFilm
from model.findings import ModelVersion, Reading, StepScores, decide
from model.header import UNREADABLE_VALUE, own_judgement
from model.pixels import display_picture
from model.plausibility import check_picture
from model.preprocess import network_input
from model.scope import ScopeRules, check_header
from model.unlike import open_known
from model.weights import STEPS, open_version


@dataclass(frozen=True)
class PreparedFilm:
    """A film within scope, decoded and made ready for the network.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels, longest side at most 1024.
    network_input : (size, size, 3) float32
        0 to 1.
    rows, columns : int
        Matrix of the film itself.
    warnings : tuple of str
        What was ignored in its header, and why.
    """

    display: np.ndarray
    network_input: np.ndarray
    rows: int
    columns: int
    warnings: tuple[str, ...] = ()


def prepare(film: str | PathLike[str] | Dataset, rules: ScopeRules, input_size: int) -> PreparedFilm:
    """Decide whether a film is to be read, decode it, and make the network's input.

    Loads no TensorFlow, so that it can run in many small processes.

    Parameters
    ----------
    film : path or Dataset
        A Part 10 file, of which the pixels are read only if the header is within scope; or one read whole.
    rules : ScopeRules
    input_size : int
        `Reader.input_size`.

    Returns
    -------
    PreparedFilm

    Raises
    ------
    OutOfScope
        If header or picture are not of the kind that is read.
    UnreadableFilm
        If it is no Part 10 file, or its pixels cannot be decoded.
    """
    with own_judgement():
        if isinstance(film, Dataset):
            ds = film
            check_header(ds, rules)
        else:
            check_header(_read_file(film, stop_before_pixels=True), rules)
            ds = _read_file(film, stop_before_pixels=False)
        display, warnings = display_picture(ds)
        check_picture(display)
        return PreparedFilm(
            display, network_input(display, input_size), int(ds.Rows), int(ds.Columns), warnings
        )


def _read_file(path: str | PathLike[str], stop_before_pixels: bool) -> Dataset:
    """Read a Part 10 file; what cannot be parsed is unreadable, what cannot be opened is the disk's error."""
    try:
        return dcmread(path, stop_before_pixels=stop_before_pixels)
    except (InvalidDicomError, EOFError, OSError, *UNREADABLE_VALUE) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = " ".join(str(error).split())[:120]
        raise UnreadableFilm(
            f"found no readable data set ({found}), expected a DICOM Part 10 file"
        ) from error


@dataclass(frozen=True)
class Answers:
    """What the network says of n films, before anything is decided.

    Parameters
    ----------
    step1_logits, step2_logits : (n, classes) float32
        No unit; step 2 answers every film, asked or not.
    features : (n, k) float32
        What the last layer sees of each film.
    activations1, activations2 : (n, classes, grid_rows, grid_columns) float32
        Class activations, 0 to 1, share of the map's own maximum; all 0 where empty.
    """

    step1_logits: np.ndarray
    step2_logits: np.ndarray
    features: np.ndarray
    activations1: np.ndarray
    activations2: np.ndarray


class Reader:
    """A model version, loaded once and warmed up.

    Parameters
    ----------
    version_name : str or Path
        Name of a version (`model.weights.available`), or the Path of a folder with one.
    batch_size : int
        Most films that the network takes in one call.

    Attributes
    ----------
    model : ModelVersion
    input_size : int
        Rows and columns of the network's input.

    Raises
    ------
    WeightsInvalid
        If the version's files are missing or not the right ones.
    """

    def __init__(self, version_name: str | PathLike[str], batch_size: int) -> None:
        version = open_version(version_name)
        network = import_module(f"model.networks.{version.recipe['network']}")  # TensorFlow loads here
        self.model = ModelVersion(
            version.recipe["name"],
            version.recipe["version"],
            version.weights_sha256,
            network.METHOD,
            network.CELLS,
        )
        self.input_size: int = version.recipe["input_size"]
        self._batch_size = batch_size
        self._labels = {step: version.labels(step) for step in STEPS}
        self._thresholds = version.manifest["thresholds"]
        self._temperatures = version.manifest.get("temperature", {})
        self._known = open_known(version.folder, version.manifest)
        loaded = network.load(version.weights, [len(labels) for labels in self._labels.values()])
        self._network = network.answering(loaded)
        warm_up = self._call(np.zeros((1, self.input_size, self.input_size, 3), np.float32))
        self._none = tuple(array[:0] for array in warm_up)

    def read(self, films: Sequence[PreparedFilm]) -> list[Reading]:
        """Answer any number of films; a film's answer does not depend on the others.

        Parameters
        ----------
        films : sequence of PreparedFilm

        Returns
        -------
        list of Reading
            One for each film, in their order.

        Raises
        ------
        ValueError
            If a film's input or the network's answer holds a NaN or infinity.
        """
        return self.decide(films, self.answer(films))

    def decide(self, films: Sequence[PreparedFilm], answers: Answers) -> list[Reading]:
        """Turn what the network says into readings.

        Parameters
        ----------
        films : sequence of PreparedFilm
        answers : Answers
            Of these films.

        Returns
        -------
        list of Reading
        """
        scores = self.scores(answers)
        activations = answers.activations1, answers.activations2
        unlike = np.zeros(len(films), bool) if self._known is None else self._known.unlike(answers.features)
        return [
            self._reading(
                film, [of_step[i] for of_step in scores], [of_step[i] for of_step in activations], unlike[i]
            )
            for i, film in enumerate(films)
        ]

    def scores(self, answers: Answers) -> tuple[np.ndarray, ...]:
        """Scores of each step, (n, classes) float32, 0 to 1, sum 1, at the version's temperatures."""
        return tuple(
            _softmax(logits / self._temperatures.get(step, 1.0))
            for step, logits in zip(STEPS, (answers.step1_logits, answers.step2_logits), strict=True)
        )

    def answer(self, films: Sequence[PreparedFilm]) -> Answers:
        """What the network says of any number of films: what `read` builds on.

        Parameters
        ----------
        films : sequence of PreparedFilm

        Returns
        -------
        Answers
            One row for each film, in their order.

        Raises
        ------
        ValueError
            If a film's input or the network's answer holds a NaN or infinity.
        """
        batches = [self._none]
        for start in range(0, len(films), self._batch_size):
            batch = films[start : start + self._batch_size]
            batches.append(self._call(np.stack([film.network_input for film in batch])))
        return Answers(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True)))

    def _call(self, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The fields of `Answers` for at most one batch."""
        logits, activations, features = self._network(inputs)
        answers = [array.numpy() for array in (*logits, features, *activations)]
        # The network's ReLU turns a NaN of the input into a plain 0, so the input is looked at too.
        if not all(np.isfinite(numbers).all() for numbers in (inputs, *answers)):
            raise ValueError("found NaN or infinity in the network's input or answer, expected numbers")
        return tuple(answers)

    def _reading(
        self,
        film: PreparedFilm,
        scores: Sequence[np.ndarray],
        activations: Sequence[np.ndarray],
        unlike_training: bool,
    ) -> Reading:
        """Scores of both steps to a decision and the activation that goes with it."""
        step1, step2 = (
            StepScores(
                self._labels[step],
                tuple(float(score) for score in np.clip(of_step, 0, 1)),
                self._thresholds[step],
            )
            for step, of_step in zip(STEPS, scores, strict=True)
        )
        asked = step1.leading == "viral"
        decision = decide(step1, step2 if asked else None, unlike_training)
        # Step 2 answers for its own labels; everything else, viral among it, is step 1's.
        number, step = (2, step2) if decision.value in self._labels["step2"] else (1, step1)
        label = decision.value if decision.value in step.labels else step1.leading
        return Reading(
            model=self.model,
            step1=step1,
            step2=step2 if asked else None,
            decision=decision,
            activation_label=label,
            activation_step=number,
            activation=activations[number - 1][step.labels.index(label)].astype(np.float32),
            warnings=film.warnings,
        )


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Scores of each row, 0 to 1, sum 1."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
