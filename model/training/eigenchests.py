"""Make what `model.plausibility` compares with: principal components of chest films."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.plausibility import COMPONENTS, thumbnails
from model.training.films import LabelledFilm, read_picture

REFUSED = 0.007  # share of these films that the limit refuses


def make_eigenchests(films: Sequence[LabelledFilm], root: Path, out: Path) -> None:
    """Write mean, first principal components and limit of the films' thumbnails.

    The file that ships was made from folds 0 to 7 of the sources that train ``gao-2020``, without the
    patients of the held-out sources.

    Parameters
    ----------
    films : sequence of LabelledFilm
        Films to train with; none of those to test with.
    root : Path
        Folder their files are relative to.
    out : Path
        ``.npz`` file to write.
    """
    pictures = thumbnails([read_picture(root / film.file) for film in films])
    mean = pictures.mean(axis=0)
    components = np.linalg.svd(pictures - mean, full_matrices=False)[2][:COMPONENTS]
    rest = pictures - mean
    left = np.linalg.norm(rest - rest @ components.T @ components, axis=1)
    np.savez_compressed(
        out,
        mean=mean.astype(np.float32),
        components=components.astype(np.float32),
        limit=np.float32(np.quantile(left, 1 - REFUSED)),
    )
