"""Write the card of a version: judge it, audit it, draw, and put all of it into words."""

import datetime
import json
from collections import Counter
from pathlib import Path

from model.evaluation import plots
from model.evaluation.answers import CLASSES, judge
from model.evaluation.audit import audit
from model.evaluation.card_text import card_text
from model.evaluation.evaluate import BATCH_SIZE, report
from model.evaluation.films import JudgedFilm, read_films, split
from model.evaluation.robustness import robustness
from model.reader import Reader
from model.weights import WeightsInvalid, open_version

SIDES = ("training sources", "held-out sources")


def write_card(version_name: str | Path, manifest_csv: Path, root: Path, now: datetime.datetime) -> Path:
    """Judge a version in every way and write what was found beside its weights.

    Parameters
    ----------
    version_name : str or Path
        As for `Reader`.
    manifest_csv : Path
        The set's ``manifest.csv``.
    root : Path
        Folder its files, and ``lung_masks.csv`` where there is one, are relative to.
    now : datetime
        Its date goes into the card.

    Returns
    -------
    Path
        The ``card.md``; beside it ``figures.json``, every figure, and ``card/``, the pictures.

    Raises
    ------
    WeightsInvalid
        If the version's classes are not the four that a card has words for.
    """
    version = open_version(version_name)
    if (classes := tuple(name for name, _ in version.cascade.classes)) != CLASSES:
        raise WeightsInvalid(
            f"{version.folder}: found the classes {', '.join(classes)}, expected {', '.join(CLASSES)}: the "
            "words of a card are about these; evaluate without --card gives the figures"
        )
    reader = Reader(version_name, BATCH_SIZE)
    films = read_films(manifest_csv)
    sides = split(films, version.recipe)
    trained_on = judge(reader, sides["train"], root)
    judged = judge(reader, sides["test"] + sides["held_out"], root)
    held_out = set(version.recipe["sources"]["held_out"])
    inside = judged.by(lambda film: film.source not in held_out)
    outside = judged.by(lambda film: film.source in held_out)
    found = {
        "name": version.recipe["name"],
        "version": version.recipe["version"],
        "weights_sha256": reader.model.weights_sha256,
        "lungs": reader.model.lungs,
        "date": now.date().isoformat(),
        "method": reader.model.method,
        "milliseconds_per_film": judged.milliseconds_per_film,
        "data": data(sides),
        "sides": dict(zip(SIDES, (report(inside), report(outside)), strict=True)),
        "audit": audit(reader, trained_on, judged, root),
        "robustness": robustness(reader, sides["test"], root),
        "failures": [],
    }
    pictures = version.folder / "card"
    pictures.mkdir(exist_ok=True)
    plots.draw_calibration(found["sides"], pictures / "calibration.png")
    plots.draw_sources(found["sides"], pictures / "sources.png")
    if places := plots.surest_failures(inside):
        plots.draw_failures(inside, places, root, pictures / "failures.png")
        found["failures"] = [
            {
                "file": inside.films[place].file,
                "is": inside.films[place].label,
                "said": CLASSES[int(inside.scores[place].argmax())],
                "score": round(float(inside.scores[place].max()), 4),
                "decision": str(inside.decisions[place]),
                "licence": inside.films[place].licence,
            }
            for place in places
        ]
    (version.folder / "figures.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    card = version.folder / "card.md"
    card.write_text(card_text(found, version.recipe, version.manifest), encoding="utf-8")
    return card


def data(sides: dict[str, list[JudgedFilm]]) -> dict:
    """How many films each side has, and where they come from.

    Returns
    -------
    dict
        splits: by side films, patients and films of each class; sources: a row for each source, class and age
        group; licences: films by source and licence.
    """
    every = [film for films in sides.values() for film in films]
    rows = Counter((film.source, film.label, film.age_group) for film in every)
    licences = Counter((film.source, film.licence) for film in every)
    return {
        "splits": {
            side: {
                "films": len(films),
                "patients": len({film.group for film in films}),
                **{label: sum(film.label == label for film in films) for label in CLASSES},
            }
            for side, films in sides.items()
        },
        "sources": [
            {"source": source, "label": label, "age_group": age, "films": count}
            for (source, label, age), count in sorted(rows.items())
        ],
        "licences": [
            {"source": source, "licence": licence, "films": count}
            for (source, licence), count in sorted(licences.items())
        ],
    }
