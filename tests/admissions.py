"""A made-up hospital whose truth is known: each patient's illness, and how read, code and laboratory err."""

import csv
import datetime
from pathlib import Path

import numpy as np

from model.evaluation.films import JudgedFilm

COLUMNS = (
    "patient", "admission", "admitted_at", "discharged_at", "examined_at", "study_instance_uid", "position",
    "suspected", "read", "codes", "age", "sex", "bmi", "ethnicity", "microbiology",
)  # fmt: skip
CAUSES = {
    "bacterial": ("Streptococcus pneumoniae", "J13"),
    "viral": ("Influenza A virus", "J12.1"),
    "covid19": ("SARS-CoV-2", "U07.1"),
}
ETHNICITIES = ("Maori", "Pacific", "European", "Asian")
BEGIN = datetime.datetime(2026, 1, 1, 8)


def hospital(patients: int, seed: int) -> list[dict[str, str]]:
    """Rows of examinations; the column ``truth`` is not the table's, and names the illness of the admission.

    Every pneumonia shows on its first film and is coded and cultured, so that its class can be known; later
    films clear. One in twenty of the healthy is coded for a pneumonia that no film shows.
    """
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        person = {
            "patient": f"MRN{patient:06}", "age": f"{random.integers(1, 96)}",
            "sex": random.choice(["F", "M"]),
            "bmi": f"{random.normal(27, 5):.1f}", "ethnicity": random.choice(ETHNICITIES),
        }  # fmt: skip
        for stay in range(random.integers(1, 3)):
            truth = random.choice(["normal", *CAUSES], p=[0.4, 0.25, 0.2, 0.15])
            organism, code = CAUSES.get(truth, ("", "J18.9" if random.random() < 0.05 else "I10"))
            position = random.choice(["standing", "lying"])
            admitted = BEGIN + datetime.timedelta(days=int(random.integers(0, 300)))
            films = int(random.integers(1, 5))
            rows += [
                person | {
                    "admission": f"{patient}-{stay}", "admitted_at": admitted.isoformat(),
                    "discharged_at": (admitted + datetime.timedelta(days=films + 1)).isoformat(),
                    "examined_at": (admitted + datetime.timedelta(days=day, hours=1)).isoformat(),
                    "study_instance_uid": f"1.2.826.{patient}.{stay}.{day}", "position": position,
                    "suspected": "yes" if day == 0 else "no",
                    "read": "pneumonia" if truth != "normal" and day == 0 else "none",
                    "codes": f"Z99.1; {code}", "microbiology": organism, "truth": truth,
                }
                for day in range(films)
            ]  # fmt: skip
    return rows


def films(rows: list[dict[str, str]]) -> list[JudgedFilm]:
    """Each row's film, labelled as `hospital` says."""
    return [
        JudgedFilm(
            row["study_instance_uid"], row["truth"] if row["read"] == "pneumonia" else "normal",
            row["patient"], "hospital", 8, age=float(row["age"]), sex=row["sex"], bmi=float(row["bmi"]),
            ethnicity=row["ethnicity"], position=row["position"],
        )
        for row in rows
    ]  # fmt: skip


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """The table as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
