"""Model versions on disk: listed, verified, described."""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model import cascade

VERSIONS = Path(__file__).with_name("versions")


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

    @property
    def cascade(self) -> cascade.Cascade:
        """What the version can say.

        Raises
        ------
        WeightsInvalid
            If its ``model.toml`` does not tell.
        """
        return read_cascade(self.folder, self.recipe)

    @property
    def lungs(self) -> bool:
        """Whether its films show lungs, which are then looked for: true where ``model.toml`` does not tell.

        Raises
        ------
        WeightsInvalid
        """
        found, file = self.recipe.get("lungs", True), self.folder / "model.toml"
        if not isinstance(found, bool):
            raise WeightsInvalid(f"{file}: lungs: found {found!r}, expected true or false")
        if not found and "framing" in self.recipe:
            raise WeightsInvalid(
                f"{file}: found lungs = false and [framing], which cuts at the lungs; remove one of them"
            )
        return found


def weights_file(part: str) -> str:
    """File name of the weights of a step, or of the network that answers both."""
    return f"{part}.weights.h5"


def available() -> list[str]:
    """Names of the versions that ship with the node."""
    return sorted(recipe.parent.name for recipe in VERSIONS.glob("*/model.toml"))


def read_recipe(folder: Path) -> dict:
    """The version's ``model.toml``.

    Raises
    ------
    WeightsInvalid
        If it is no TOML.
    """
    try:
        return tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise WeightsInvalid(f"{folder / 'model.toml'}: found no TOML ({error}), mend that place") from error


def read_cascade(folder: Path, recipe: dict) -> cascade.Cascade:
    """What a version can say, see `model.cascade.of_recipe`.

    Raises
    ------
    WeightsInvalid
        With the file and what is wrong in it.
    """
    try:
        return cascade.of_recipe(recipe)
    except cascade.RecipeInvalid as error:
        raise WeightsInvalid(f"{folder / 'model.toml'}: {error}") from error


def folder_of(name: str | Path) -> Path:
    """Folder of a version; `name` as for `open_version`.

    Raises
    ------
    WeightsInvalid
        If no version goes by that name.
    """
    if isinstance(name, Path) or "/" in name:
        return Path(name)
    if name not in available():
        raise WeightsInvalid(
            f"found no model version {name!r}, expected one of {', '.join(available())}, or a folder's path"
        )
    return VERSIONS / name


def open_version(name: str | Path) -> Version:
    """Read a version and verify its weights.

    Parameters
    ----------
    name : str or Path
        Name of a version that ships with the node; or the folder of one that does not, a Path or a text with
        a slash.

    Raises
    ------
    WeightsInvalid
        If the version is unknown, a file is missing, or its SHA-256 is not the manifest's.
    """
    folder = folder_of(name)
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


def spoken_by(version: Version, finder: Version | None) -> str:
    """SHA-256 over a version's weights and then, where lungs are looked for, the lung network's, hexadecimal.

    It is what a reading names.
    """
    return digest([*version.weights, *(finder.weights if version.lungs else ())])


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over files one after the other, hexadecimal."""
    together = hashlib.sha256()
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()
