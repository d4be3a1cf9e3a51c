"""A reading as the job row keeps it (`notification.figures`), in the words of the results."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.activation import Inside
from model.cascade import Cascade, Label
from model.findings import Decision, StepScores
from model.weights import (
    Version,
    WeightsInvalid,
    folder_of,
    open_version,
    read_cascade,
    read_recipe,
)

_FOLDERS: dict[str, str] = {}  # of versions that do not ship with the node, by name


@dataclasses.dataclass(frozen=True)
class Kept:
    """What `wording` needs of a reading to name it.

    Parameters
    ----------
    step1, step2 : StepScores or None
        As in `model.findings.Reading`.
    decision : Decision
    inside : Inside or None
    least_inside : float
    cascade : Cascade
    """

    step1: StepScores
    step2: StepScores | None
    decision: Decision
    inside: Inside | None
    least_inside: float
    cascade: Cascade


class ThresholdsUnknown(LookupError):
    """A film was read by a model version that is no longer installed."""


def kept(figures: Mapping[str, Any]) -> Kept:
    """Read the figures of a job row back.

    Raises
    ------
    ThresholdsUnknown
        If the version that read the film is not installed.
    """
    thresholds = _thresholds(figures["model"], figures["version"])
    inside = figures["inside_lungs"]
    return Kept(
        StepScores(tuple(figures["step1"]), tuple(figures["step1"].values()), thresholds["step1"]),
        figures["step2"]
        and StepScores(tuple(figures["step2"]), tuple(figures["step2"].values()), thresholds["step2"]),
        Decision(figures["decision"]),
        inside and Inside(**{name: inside[name] for name in Inside._fields}),
        figures["least_inside"],
        cascade_of(figures),
    )


def cascade_of(figures: Mapping[str, Any]) -> Cascade:
    """What the version that read a film can say; of one that is not installed, as far as the film tells."""
    found = installed_cascade(figures["model"])
    if found.labels(1) == tuple(figures["step1"]):
        return found
    steps = [tuple(figures[step]) for step in ("step1", "step2") if figures[step]]
    leading = max(figures["step1"], key=figures["step1"].get)
    return Cascade(
        tuple(tuple(Label(name) for name in names) for names in steps), leading if figures["step2"] else ""
    )


def install(*versions: str) -> None:
    """Make versions known to this process by the name that their readings go by.

    Parameters
    ----------
    *versions : str
        As in table ``[model]``: a name, or the folder of a version that does not ship with the node.
    """
    for version in versions:
        if "/" in version:
            with contextlib.suppress(OSError, WeightsInvalid):  # `firstread check` and the reader tell of it
                _FOLDERS[read_recipe(Path(version))["name"]] = version


@functools.lru_cache
def installed_version(name: str) -> Version:
    """A version as this process found it first; `open_version` reads all its weights.

    Raises
    ------
    WeightsInvalid
    """
    return open_version(_FOLDERS.get(name, name))


@functools.lru_cache
def installed_cascade(name: str) -> Cascade:
    """What a version can say; nothing of one that is not installed."""
    try:
        folder = folder_of(_FOLDERS.get(name, name))
        return read_cascade(folder, read_recipe(folder))
    except (OSError, WeightsInvalid):
        return Cascade()


@functools.lru_cache
def _thresholds(name: str, version: str) -> Mapping[str, float]:
    try:
        installed = installed_version(name)
    except WeightsInvalid as error:
        raise ThresholdsUnknown(f"found model {name} {version}, expected one that is installed") from error
    if installed.recipe["version"] != version:
        raise ThresholdsUnknown(f"found model {name} {version}, installed is {installed.recipe['version']}")
    return installed.manifest["thresholds"]
