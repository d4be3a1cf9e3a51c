"""Texture of the lungs of a film and of the place where the model looked most.

No library gives IBSI's values in the time that a film may take. For both lungs on a picture of 1024 pixels
nyxus 0.11 takes 2.5 s of one processor, nearly all for the size zones; MIRP 2.7 takes 0.5 s for one lung on a
picture of 512; scikit-image and mahotas have neither runs nor zones nor tone differences. So the matrices are
made here, with NumPy and SciPy, and the tests hold each feature against the published values.
"""

import numpy as np
from PIL import Image

from model.lungs import SIDES
from model.texture.co_occurrence import co_occurrence
from model.texture.features import FEATURES
from model.texture.first_order import histogram, statistics
from model.texture.neighbours import binary_patterns, tone_differences
from model.texture.runs_and_zones import run_lengths, size_zones

LONGEST_SIDE = 512  # pixels: films of any matrix are measured at one, since texture depends on it
LEVELS = 32
GREYS = 256  # of a display picture
REGION = "region"
PLACES = (*SIDES, REGION)


def textures(
    display: np.ndarray, lungs: np.ndarray, region: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Texture inside each lung and, where there is one, inside the main region.

    Parameters
    ----------
    display : (rows, columns) uint8
        Display grey levels, black at 0, square pixels; larger than 512 pixels it is made smaller, each pixel
        the mean of its part.
    lungs : (lung_rows, lung_columns, 2) bool
        Right and left, over the film's whole area.
    region : (region_rows, region_columns) bool or None
        Over the film's whole area.

    Returns
    -------
    dict of str to dict of str to float
        For right, left and region the features by `Feature.key`; what is not there, or too small for one
        pixel, is left out, and so is a feature that has no value there. Intensities are 0 black to 1 white;
        levels are 1 to 32, of 8 display grey levels each: a fixed bin size from 0 (IBSI Q3RU).

    References
    ----------
    A. Zwanenburg et al., "The Image Biomarker Standardization Initiative", Radiology 295 (2020); its
    reference manual, arXiv 1612.07003.
    """
    picture = _measured(display)
    masks = {side: lungs[..., number] for number, side in enumerate(SIDES)}
    if region is not None:
        masks[REGION] = region
    rows, columns = picture.shape
    found = {}
    for place, mask in masks.items():
        inside = np.asarray(Image.fromarray(mask).resize((columns, rows)))
        if inside.any():
            found[place] = texture(picture, inside)
    return found


def texture(picture: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Features of one region.

    Parameters
    ----------
    picture : (rows, columns) uint8
    inside : (rows, columns) bool
        At least one pixel.

    Returns
    -------
    dict of str to float
        By `Feature.key`, in the table's order; what has no value is left out.
    """
    # With one pixel round it: local binary patterns look at the neighbours of the outermost.
    box = tuple(
        slice(max(lines[0] - 1, 0), lines[-1] + 2)
        for lines in (np.flatnonzero(inside.any(axis=way)) for way in (1, 0))
    )
    levels = np.where(inside[box], picture[box] // (GREYS // LEVELS) + 1, 0)
    counts = np.bincount(picture[inside], minlength=GREYS)
    found = {
        "statistics": statistics(np.arange(GREYS) / (GREYS - 1), counts),
        "histogram": histogram(counts.reshape(LEVELS, -1).sum(axis=1)),
        "glcm": co_occurrence(levels, LEVELS),
        "glrlm": run_lengths(levels),
        "glszm": size_zones(levels),
        "ngtdm": tone_differences(levels, LEVELS),
        "lbp": binary_patterns(picture[box], inside[box]),
    }
    figures = {feature.key: found[feature.family][feature.name] for feature in FEATURES}
    return {key: figure for key, figure in figures.items() if np.isfinite(figure)}


def _measured(display: np.ndarray) -> np.ndarray:
    """The picture that is measured."""
    rows, columns = display.shape
    scale = LONGEST_SIDE / max(rows, columns)
    if scale >= 1:
        return display
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    return np.asarray(Image.fromarray(display).resize(size, Image.Resampling.BOX))
