"""Model versions on disk: listed, verified, described."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VERSIONS = Path(__file__).with_name("versions")
STEPS = ("step1", "step2")


class WeightsInvalid(ValueError):
    """A version whose files are missing or are not the ones its figures were measured with."""


@dataclass(frozen=True)
class Version:
    """A version's folder, read and verified.

    Parameters
    ----------
    folder : Path
    recipe : dict
        ``model.toml``: how the version is made.
    manifest : dict
        ``manifest.json``: what training made of it, with SHA-256 of the weights, thresholds and figures,
        and a temperature for each step where it was calibrated.
    """

    folder: Path
    recipe: dict
    manifest: dict

    @property
    def weights(self) -> tuple[Path, ...]:
        """The weight files, in the order of the manifest: one for each step, or one for both."""
        return tuple(self.folder / weights_file(part) for part in self.manifest["sha256"])

    @property
    def weights_sha256(self) -> str:
        """SHA-256 over the weight files one after the other, hexadecimal."""
        return digest(self.weights)

    def labels(self, step: str) -> tuple[str, ...]:
        """What `step` can say, in the order of its scores."""
        return tuple(self.recipe[step]["labels"])


def weights_file(part: str) -> str:
    """File name of the weights of a step, or of the network that answers both."""
    return f"{part}.weights.h5"


def available() -> list[str]:
    """Names of the versions that ship with the node."""
    return sorted(recipe.parent.name for recipe in VERSIONS.glob("*/model.toml"))


def read_recipe(folder: Path) -> dict:
    """The version's ``model.toml``."""
    return tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))


def open_version(name: str | Path) -> Version:
    """Read a version and verify its weights.

    Parameters
    ----------
    name : str or Path
        Name of a version that ships with the node, or a Path to the folder of one that does not.

    Raises
    ------
    WeightsInvalid
        If the version is unknown, a file is missing, or its SHA-256 is not the manifest's.
    """
    folder = name if isinstance(name, Path) else VERSIONS / name
    if isinstance(name, str) and name not in available():
        raise WeightsInvalid(f"found no model version {name!r}, expected one of {', '.join(available())}")
    try:
        recipe = read_recipe(folder)
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for part, expected in manifest["sha256"].items():
            found = digest([folder / weights_file(part)])
            if found != expected:
                raise WeightsInvalid(
                    f"{folder / weights_file(part)}: found SHA-256 {found}, expected {expected}; "
                    "install the package again or train the version anew"
                )
    except FileNotFoundError as error:
        raise WeightsInvalid(
            f"{error.filename}: found no such file, expected it beside model.toml; "
            "install the package again or train the version anew"
        ) from error
    return Version(folder, recipe, manifest)


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over files one after the other, hexadecimal."""
    together = hashlib.sha256()
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()
