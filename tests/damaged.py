"""Whole films as bytes, small, and what a decoder process does with bytes that may be one."""

import contextlib
import io
from pathlib import Path

from conftest import chest_pixels, make_film
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from model.decode import UnreadableFilm
from model.reader import InputSizes, prepare
from model.scope import OutOfScope, ScopeRules

# Decoders written in C are not for this process: the node too runs them apart.
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless]
RULES = ScopeRules(min_rows=16, min_columns=16)
SIZES = InputSizes(steps=64, lungs=64)


def small_film(syntax: UID) -> bytes:
    """A film in the syntax, as Part 10 file."""
    ds = make_film(pixels=chest_pixels()[::8, ::8])
    if syntax == RLELossless:
        ds.compress(RLELossless)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return file.getvalue()


def read_film(data: bytes, path: Path) -> None:
    """Prepare a film as a decoder process does; anything but the two refusals of the chain is raised."""
    path.write_bytes(data)
    with contextlib.suppress(OutOfScope, UnreadableFilm):
        prepare(path, RULES, SIZES)
