"""The front door: a film made ready in any process, and the answer of the network in one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import BinaryIO, NamedTuple

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from scipy.special import softmax

from model import framing, gate
from model.activation import share_inside
from model.cascade import STEPS
from model.decode import UnreadableFilm
from model.findings import ModelVersion, Reading, StepScores, decide, deciding
from model.gpus import Share
from model.header import UNREADABLE_VALUE, own_judgement
from model.lungs import UNSOUGHT, Found, LungFinder
from model.networks import loading
from model.pixels import display_picture
from model.preprocess import network_input, network_inputs
from model.scope import OutOfScope, ScopeRules, check_header
from model.unlike import open_known
from model.weights import open_version, spoken_by


class InputSizes(NamedTuple):
    """Rows and columns of the inputs of the lung network, if there is one, and of the network that reads."""

    lungs: int | None
    steps: int


@dataclass(frozen=True)
class PreparedFilm:
    """A film within scope, decoded and made ready for the networks.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels, longest side at most 1024.
    lungs_input : (size, size, 1) float32
        0 to 1, for the network that finds the lungs; empty where none does.
    network_input : (size, size, 3) float32
        0 to 1, the whole film for the network that reads.
    rows, columns : int
        Matrix of the film itself.
    warnings : tuple of str
        What was ignored in its header, and why.
    """

    display: np.ndarray
    lungs_input: np.ndarray
    network_input: np.ndarray
    rows: int
    columns: int
    warnings: tuple[str, ...] = ()

    def answered(self) -> "PreparedFilm":
        """Without the networks' inputs, half of it and of no more use when they have answered."""
        nothing = np.empty(0, np.float32)
        return replace(self, lungs_input=nothing, network_input=nothing)


def prepare(
    film: str | PathLike[str] | BinaryIO | Dataset, rules: ScopeRules, sizes: InputSizes
) -> PreparedFilm:
    """Decide by its header whether a film is to be read, decode it, and make the networks' inputs.

    Loads no TensorFlow, so that it can run in many small processes.

    Parameters
    ----------
    film : path, binary file or Dataset
        A Part 10 file, of which the pixels are read only if the header is within scope; or one read whole.
    rules : ScopeRules
    sizes : InputSizes
        `Reader.input_sizes`.

    Returns
    -------
    PreparedFilm

    Raises
    ------
    OutOfScope
        If the header is not of the kind that is read, or the picture is blank.
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
        gate.check_contrast(display)
        return ready(display, sizes, int(ds.Rows), int(ds.Columns), warnings)


def ready(
    display: np.ndarray, sizes: InputSizes, rows: int, columns: int, warnings: tuple[str, ...] = ()
) -> PreparedFilm:
    """A film from its display picture; the arguments are its fields."""
    *lungs, steps = network_inputs(display, *(size for size in sizes if size is not None))
    lungs_input = lungs[0][..., :1] if lungs else np.empty(0, np.float32)
    return PreparedFilm(display, lungs_input, steps, rows, columns, warnings)


def _read_file(film: str | PathLike[str] | BinaryIO, stop_before_pixels: bool) -> Dataset:
    """Read a Part 10 file; what cannot be parsed is unreadable, what cannot be opened is the disk's error."""
    try:
        if not isinstance(film, str | PathLike):
            film.seek(0)
        return dcmread(film, stop_before_pixels=stop_before_pixels)
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
        No unit; step 2 answers every film, asked or not. A version of one step has no classes in the second.
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
    """A model version and, where its films show lungs, the network that finds them; loaded once, warmed up.

    Parameters
    ----------
    version_name : str or Path
        Name of a version (`model.weights.available`), or the Path of a folder with one.
    batch_size : int
        Most films that a network takes in one call.
    share : Share, optional
        Of the GPUs; without one TensorFlow chooses.

    Attributes
    ----------
    model : ModelVersion
    device : str
        What the networks run on; empty without a share.
    input_sizes : InputSizes

    Raises
    ------
    WeightsInvalid
        If the version's or the lung network's files are missing or not the right ones.
    GpuMissing
    """

    def __init__(
        self, version_name: str | PathLike[str], batch_size: int, share: Share | None = None
    ) -> None:
        version = open_version(version_name)
        cascade = version.cascade
        network = loading.load(version.recipe["network"])
        self.device = loading.load("devices").take(share) if share else ""
        self._finder = LungFinder(batch_size=batch_size) if version.lungs else None
        finder = self._finder and self._finder.version
        self.model = ModelVersion(
            version.recipe["name"],
            version.recipe["version"],
            "{name} {version}".format_map(finder.recipe) if finder else "",
            spoken_by(version, finder),
            network.METHOD,
            network.cells(version.recipe["input_size"]),
            cascade,
        )
        self.input_sizes = InputSizes(self._finder and self._finder.input_size, version.recipe["input_size"])
        self._framing = version.recipe.get("framing")
        self._batch_size = batch_size
        self._thresholds = version.manifest["thresholds"]
        self._least_inside = self._thresholds["inside_lungs"]
        self._temperatures = version.manifest.get("temperature", {})
        self._known = open_known(version.folder, version.manifest)
        outputs = [len(of_step) for of_step in cascade.steps]
        self._network = network.answering(network.load(version.weights, outputs))
        lungs, steps = self.input_sizes
        if self._finder:
            self._finder.find(np.zeros((1, lungs, lungs, 1), np.float32))  # warmed up
        self._none = tuple(array[:0] for array in self._call(np.zeros((1, steps, steps, 3), np.float32)))

    def read(self, films: Sequence[PreparedFilm]) -> list[Reading | OutOfScope]:
        """Answer any number of films; a film's answer does not depend on the others.

        Parameters
        ----------
        films : sequence of PreparedFilm

        Returns
        -------
        list of Reading or OutOfScope
            One for each film, in their order; why it is not read, where the picture is none that is.

        Raises
        ------
        ValueError
            If a film's input or the network's answer holds a NaN or infinity.
        """
        refusals, passed, lungs = self.admit(films)
        readings = iter(self.decide(passed, lungs, self.answer(passed, lungs)))
        return [refusal or next(readings) for refusal in refusals]

    def admit(
        self, films: Sequence[PreparedFilm]
    ) -> tuple[list[OutOfScope | None], list[PreparedFilm], list[Found]]:
        """Part the films whose picture is to be read from the others.

        Parameters
        ----------
        films : sequence of PreparedFilm

        Returns
        -------
        refusals : list of OutOfScope or None
            One for each film, from `model.gate.refusals`; where no lungs are looked for, none is refused.
        passed : list of PreparedFilm
            Those that are not refused.
        lungs : list of Found
            What was found in these.
        """
        if not films or self._finder is None:
            return [None] * len(films), list(films), self.look(films)
        inputs = np.stack([film.lungs_input for film in films])
        found = self._finder.find(inputs)
        refusals = gate.refusals(self._finder, inputs, found)
        passed = [i for i, refusal in enumerate(refusals) if refusal is None]
        return refusals, [films[i] for i in passed], [found[i] for i in passed]

    def look(self, films: Sequence[PreparedFilm]) -> list[Found]:
        """Where the lungs of films are, whether or not they would be read."""
        if not films or self._finder is None:
            return [UNSOUGHT] * len(films)
        return self._finder.find(np.stack([film.lungs_input for film in films]))

    def decide(
        self, films: Sequence[PreparedFilm], lungs: Sequence[Found], answers: Answers
    ) -> list[Reading]:
        """Turn what the network says into readings.

        Parameters
        ----------
        films : sequence of PreparedFilm
        lungs : sequence of Found
            From `look`.
        answers : Answers
            From `answer`.

        Returns
        -------
        list of Reading
        """
        scores = self.scores(answers)
        activations = answers.activations1, answers.activations2
        unlike = np.zeros(len(films), bool) if self._known is None else self._known.unlike(answers.features)
        return [
            self._reading(
                film,
                found.lungs,
                [of_step[i] for of_step in scores],
                [of_step[i] for of_step in activations],
                unlike[i],
            )
            for i, (film, found) in enumerate(zip(films, lungs, strict=True))
        ]

    def scores(self, answers: Answers) -> tuple[np.ndarray, ...]:
        """Scores of each step, (n, classes) float32, 0 to 1, sum 1, at the version's temperatures."""
        return tuple(
            softmax(logits / self._temperatures.get(step, 1.0), axis=1) if logits.size else logits
            for step, logits in zip(STEPS, (answers.step1_logits, answers.step2_logits), strict=True)
        )

    def answer(self, films: Sequence[PreparedFilm], lungs: Sequence[Found]) -> Answers:
        """What the network says of any number of films.

        Parameters
        ----------
        films : sequence of PreparedFilm
        lungs : sequence of Found
            From `look`; what a version is shown of a film may follow from them.

        Returns
        -------
        Answers
            One row for each film, in their order.

        Raises
        ------
        ValueError
            If a film's input or the network's answer holds a NaN or infinity.
        """
        batches = []
        for start in range(0, len(films), self._batch_size):
            batch = slice(start, start + self._batch_size)
            shown = [self._shown(*pair) for pair in zip(films[batch], lungs[batch], strict=True)]
            said = self._call(np.stack(shown))
            batches.append(said if self._framing is None else self._brought_back(said, lungs[batch]))
        return Answers(*(np.concatenate(arrays) for arrays in zip(*(batches or [self._none]), strict=True)))

    def _shown(self, film: PreparedFilm, lungs: Found) -> np.ndarray:
        """What the version sees of a film."""
        if self._framing is None:
            return film.network_input
        part = framing.framed(film.display, lungs.lungs, self._framing)
        return network_input(part, self.input_sizes.steps)

    def _brought_back(self, said: tuple[np.ndarray, ...], lungs: Sequence[Found]) -> tuple[np.ndarray, ...]:
        """The fields of `Answers` with activations over the whole film instead of the part that was shown."""
        *others, of_step1, of_step2 = said
        whole = [
            np.stack(
                [
                    framing.on_the_film(film, found.lungs, self._framing)
                    for film, found in zip(of_step, lungs, strict=True)
                ]
            )
            for of_step in (of_step1, of_step2)
        ]
        return *others, *whole

    def _call(self, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The fields of `Answers` for at most one batch."""
        logits, activations, features = self._network(inputs)
        if len(logits) == 1:  # there is no second step: it has no classes
            logits, activations = (*logits, logits[0][:, :0]), (*activations, activations[0][:, :0])
        answers = [array.numpy() for array in (*logits, features, *activations)]
        # The network's ReLU turns a NaN of the input into a plain 0, so the input is looked at too.
        if not all(np.isfinite(numbers).all() for numbers in (inputs, *answers)):
            raise ValueError("found NaN or infinity in the network's input or answer, expected numbers")
        return tuple(answers)

    def _reading(
        self,
        film: PreparedFilm,
        lungs: np.ndarray,
        scores: Sequence[np.ndarray],
        activations: Sequence[np.ndarray],
        unlike_training: bool,
    ) -> Reading:
        """Scores of both steps to a decision and the activation that goes with it."""
        cascade = self.model.cascade
        said = [
            StepScores(cascade.labels(number), tuple(np.clip(of, 0, 1).tolist()), self._thresholds[step])
            for number, (step, of, _) in enumerate(zip(STEPS, scores, cascade.steps, strict=False), start=1)
        ]
        step1 = said[0]
        asked = said[1] if step1.leading == cascade.after else None
        plain = decide(step1, asked)
        step = deciding(step1, asked, plain)
        number = 1 if step is step1 else 2
        label = str(plain) if plain in step.labels else step1.leading
        activation = activations[number - 1][step.labels.index(label)].astype(np.float32)
        inside = share_inside(activation, lungs) if self._finder else None
        outside = label != step1.absence and inside is not None and inside.both < self._least_inside
        return Reading(
            model=self.model,
            step1=step1,
            step2=asked,
            decision=decide(step1, asked, outside_lungs=outside, unlike_training=unlike_training),
            activation_label=label,
            activation_step=number,
            activation=activation,
            lungs=lungs,
            inside=inside,
            least_inside=self._least_inside,
            warnings=film.warnings,
        )
