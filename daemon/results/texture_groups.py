"""What a report says of texture: measurements of each lung and of the main region (PS3.16 TID 1410)."""

from dataclasses import dataclass

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset

from daemon.results import codes, report_groups
from daemon.results.contours import closed_lines
from daemon.results.film import PRODUCT
from daemon.results.template import StandIns, Value
from model.activation import Region
from model.findings import ModelVersion, Reading
from model.lungs import SIDES
from model.texture.features import FEATURES, Textures

MOST_POINTS = 400  # of a lung's outline
# As `model.texture.regions` measures.
PARAMETERS = (
    "longest side at most 512 pixels",
    "intensities from 0 black to 1 white",
    "32 levels from 1, each 8 of 256 grey levels",
    "2D, distance 1, mean of four directions",
)


@dataclass(frozen=True)
class Measured:
    """What the groups of one place have in common, whatever the figures.

    Parameters
    ----------
    place : str
        right, left or region.
    side : str or None
        Lung that it is or lies in.
    features : frozenset of str
        Those that have a value there, by `Feature.key`.
    """

    place: str
    side: str | None
    features: frozenset[str]

    @property
    def identifier(self) -> str:
        """*Tracking Identifier*."""
        return f"Texture: {self.place} lung" if self.place in SIDES else "Texture: main region"


def measured(textures: Textures, region: Region | None) -> tuple[Measured, ...]:
    """What is told of `textures`; `region` is the place that the reading points at, if it does."""
    return tuple(
        Measured(place, place if place in SIDES else region.side, frozenset(features))
        for place, features in textures.items()
    )


def values(
    textures: Textures, reading: Reading, region: Region | None, uid: str, rows: int, columns: int
) -> dict[str, Value]:
    """What stands in the gaps that `groups` leaves.

    Parameters
    ----------
    textures : Textures
    reading : Reading
    region : Region or None
        In pixels of the film.
    uid : str
        *SOP Instance UID* of the reading's report.
    rows, columns : int
        Matrix of the film, pixels.
    """
    found: dict[str, Value] = {}
    for one in measured(textures, region):
        name = one.identifier
        found[f"uid of {name}"] = report_groups.tracking_uid(uid, name)
        found[f"outline of {name}"] = (
            _outline(reading.lungs[..., SIDES.index(one.place)], rows, columns)
            if one.place in SIDES
            else region.outline
        )
        for feature, figure in textures[one.place].items():
            found[f"{feature} of {name}"] = figure
            found[f"{feature} of {name} as shown"] = f"{figure:.6g}"
    return found


def groups(
    places: tuple[Measured, ...], model: ModelVersion, header: Dataset, stand_ins: StandIns
) -> list[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """One group for each place.

    Parameters
    ----------
    places : tuple of Measured
    model : ModelVersion
    header : Dataset
        `film.complete_header`.
    stand_ins : StandIns
        Gets those of what `values` gives.
    """
    return [_group(one, model, header, stand_ins) for one in places]


def _group(
    one: Measured, model: ModelVersion, header: Dataset, stand_ins: StandIns
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    name = one.identifier
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(stand_ins.uid(f"uid of {name}"), name),
        referenced_region=report_groups.image_region(header, stand_ins.line(f"outline of {name}")),
        algorithm_id=sr.AlgorithmIdentification(
            name=f"{PRODUCT} texture",
            version="IBSI 1",
            manufacturer=PRODUCT,
            family=codes.NEIGHBORHOOD_ANALYSIS,
            parameters=[*PARAMETERS, f"lungs found by {model.lungs}"],
        ),
        finding_sites=[report_groups.lung(one.side)] if one.side else None,
        measurements=[
            report_groups.measurement(
                codes.texture(feature), f"{feature.key} of {name}", stand_ins, codes.NO_UNITS
            )
            for feature in FEATURES
            if feature.key in one.features
        ],
    )


def _outline(lung: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The line round a lung."""
    return max(closed_lines(lung.astype(float), 0.5, rows, columns, MOST_POINTS), key=len)
