"""Table ``[study]`` of the config: where the hospital's admissions are, and what counts as what in them."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from daemon.config_file import STRICT
from model.study.icd10 import CodeSet


def _codes(written: tuple[str, ...]) -> tuple[str, ...]:
    """ICD-10 codes and ranges of categories."""
    CodeSet(written)
    return written


Codes = Annotated[tuple[str, ...], AfterValidator(_codes)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]
Films = Annotated[int, Field(ge=0, le=10_000_000)]
# Of `model.study.cohort.LABELS`.
FilmsOfEachClass = tuple[Films, Films, Films, Films]


@dataclass(frozen=True, config=STRICT)
class Study:
    """Table ``[study]``: what ``firstread cohort`` asks of whom; the sizes are the paper's."""

    admissions: str = ""
    password_file: str = ""
    table: str = "examination"
    key_file: str = ""
    seed: Annotated[int, Field(ge=1, le=1 << 62)] = 2020
    training: FilmsOfEachClass = (400, 400, 400, 200)
    test: FilmsOfEachClass = (100, 100, 100, 100)
    pneumonia_codes: Codes = ("J12-J18", "J10.0", "J11.0", "A48.1", "B01.2", "B05.2", "B25.0", "U07.1")
    bacterial_codes: Codes = ("J13-J15", "J16.0", "A48.1")
    viral_codes: Codes = ("J10.0", "J11.0", "J12.0", "J12.1", "J12.2", "J12.3", "B01.2", "B05.2", "B25.0")
    covid19_codes: Codes = ("U07.1", "J12.82")
    bacterial_organisms: Names = (
        "acinetobacter", "bordetella", "chlamydia", "chlamydophila", "e. coli", "enterobacter", "escherichia",
        "haemophilus", "klebsiella", "legionella", "moraxella", "mycoplasma", "pneumococcus", "proteus",
        "pseudomonas", "serratia", "staphylococcus", "streptococcus",
    )  # fmt: skip
    viral_organisms: Names = (
        "229E", "adenovirus", "cytomegalovirus", "enterovirus", "HKU1", "influenza", "measles", "MERS-CoV",
        "metapneumovirus", "NL63", "OC43", "parainfluenza", "respiratory syncytial virus", "rhinovirus",
        "RSV", "varicella",
    )  # fmt: skip
    covid19_organisms: Names = ("2019-nCoV", "COVID-19", "SARS coronavirus 2", "SARS-CoV-2")
