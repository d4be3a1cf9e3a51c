"""Is a film unlike those the model was trained on? Distance of its features to theirs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.weights import WeightsInvalid

FILE = "unlike.npz"
MOST_AXES = 64
LEAST_VARIANCE = 1e-4  # of the widest axis; what varies less is noise of the arithmetic


@dataclass(frozen=True)
class Known:
    """Where the features of the training films lie.

    Parameters
    ----------
    mean : (k,) float32
        Of all training films.
    axes : (k, axes) float32
        The widest directions within the classes, each scaled to variance 1 there.
    centres : (classes, axes) float32
        Mean of each class along the axes.
    limit : float
        Largest distance of a film that is like them.
    """

    mean: np.ndarray
    axes: np.ndarray
    centres: np.ndarray
    limit: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance of each film to the nearest class, (n,) float64, no unit.

        References
        ----------
        K. Lee et al., "A simple unified framework for detecting out-of-distribution samples and adversarial
        attacks", NeurIPS 2018.
        """
        placed = (features.astype(float) - self.mean) @ self.axes  # (n, axes)
        return np.linalg.norm(placed[:, np.newaxis] - self.centres, axis=2).min(axis=1)

    def unlike(self, features: np.ndarray) -> np.ndarray:
        """Which films lie further away than the limit, (n,) bool."""
        return self.distances(features) > self.limit


def fit(features: np.ndarray, labels: np.ndarray, held_back: np.ndarray, like: float = 0.99) -> Known:
    """Learn where the training films lie.

    Parameters
    ----------
    features : (n, k) float
        Of the training films.
    labels : (n,) int
    held_back : (m, k) float
        Of films that trained nothing; the training films themselves lie too near.
    like : float
        Share of the films held back that are like the training films.

    Returns
    -------
    Known
    """
    mean = features.mean(axis=0, dtype=float)
    centred = features - mean
    centres = np.stack([centred[labels == label].mean(axis=0) for label in np.unique(labels)])
    within = centred - centres[np.searchsorted(np.unique(labels), labels)]
    variances, directions = np.linalg.eigh(within.T @ within / len(within))
    kept = np.flatnonzero(variances > LEAST_VARIANCE * variances[-1])[-MOST_AXES:]
    axes = directions[:, kept] / np.sqrt(variances[kept])
    known = Known(*(a.astype(np.float32) for a in (mean, axes, centres @ axes)), float("inf"))
    return Known(known.mean, known.axes, known.centres, float(np.quantile(known.distances(held_back), like)))


def save(known: Known, folder: Path) -> dict:
    """Write a version's ``unlike.npz``; what its manifest says of it: limit and sha256."""
    np.savez_compressed(folder / FILE, mean=known.mean, axes=known.axes, centres=known.centres)
    return {"limit": round(known.limit, 4), "sha256": _digest(folder)}


def open_known(folder: Path, manifest: Mapping) -> Known | None:
    """A version's training films as `save` left them; None where its manifest knows of none.

    Raises
    ------
    WeightsInvalid
        If the file is missing or its SHA-256 is not the manifest's.
    """
    if "unlike" not in manifest:
        return None
    try:
        if (found := _digest(folder)) != manifest["unlike"]["sha256"]:
            raise WeightsInvalid(f"{folder / FILE}: found SHA-256 {found}, expected that of manifest.json")
        with np.load(folder / FILE) as arrays:
            return Known(arrays["mean"], arrays["axes"], arrays["centres"], manifest["unlike"]["limit"])
    except FileNotFoundError as error:
        raise WeightsInvalid(
            f"{error.filename}: found no such file, expected it beside manifest.json"
        ) from error


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
