"""Films on disk as a modality may send them, down to bytes that pydicom would not write."""

import struct
from pathlib import Path

from conftest import make_film
from pydicom import dcmread
from pydicom.dataset import Dataset

# What the results copy, by keyword, in a film that has all of it.
NAME, PATIENT_ID = "ZELENKA^JAN", "PID-4711-X"
NATIONAL = {
    "latin 1": ("ISO_IR 100", "Buc^Jérôme".encode("latin-1")),
    "utf-8": ("ISO_IR 192", "Müller^Jürgen=山田^太郎".encode()),
    "japanese": ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    "korean": ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "undeclared": (None, "Buc^Jérôme".encode("latin-1")),
    "wrongly declared": ("ISO_IR 192", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "misspelt": ("ISO IR 192", "Müller^Jürgen=山田^太郎".encode()),
}


def write_film(path: Path, film: Dataset) -> Dataset:
    """Write a film and read its header back as received."""
    film.save_as(path, enforce_file_format=True)
    return dcmread(path, stop_before_pixels=True)


def write_national_film(path: Path, character_set: str | None, name: bytes) -> Dataset:
    """A film whose name, ID and referring physician hold these very bytes; header as received."""
    name += b" " * (len(name) % 2)
    keywords = {"PatientName": b"N", "PatientID": b"I", "ReferringPhysicianName": b"R"}
    stand_ins = {keyword: (letter * len(name)).decode() for keyword, letter in keywords.items()}
    write_film(path, make_film(**(stand_ins | {"SpecificCharacterSet": None})))
    written = path.read_bytes()
    for letter in keywords.values():
        written = written.replace(letter * len(name), name)
    if character_set is not None:
        value = character_set.encode() + b" " * (len(character_set) % 2)
        image_type = b"\x08\x00\x08\x00CS"
        element = b"\x08\x00\x05\x00CS" + struct.pack("<H", len(value)) + value
        written = written.replace(image_type, element + image_type, 1)
    path.write_bytes(written)
    return dcmread(path, stop_before_pixels=True)
