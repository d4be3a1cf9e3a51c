"""Does a version read the lungs, or where a film comes from? Tests for shortcuts.

How a version does without one of its sources is shown here for its last layer alone; for all of it that takes
a training of its own, from the recipe that `without_source` gives.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.activation import share_inside
from model.evaluation import bootstrap, metrics
from model.evaluation.answers import CLASSES, Judged, forced_scores
from model.evaluation.bootstrap import DIGITS
from model.evaluation.films import JudgedFilm, prepare_picture
from model.reader import Reader
from model.training.films import read_picture

FEWEST = 15  # patients of a source in a class, for its films to be told apart
FOLDS = 5
MASKS = "lung_masks.csv"
LUNG = 2  # value of the lungs in a mask; 1 is an object over a lung
BORDER = 0.1  # of each side
BATCH = 64
PAIR = ("normal", "covid19")  # the classes that more than one training source has
WEAK = 0.01  # inverse strength of the penalty: more features than films of some sources


def without_source(recipe: Mapping, source: str) -> dict:
    """The recipe of a version that never sees one of its sources: for leave-one-source-out.

    Parameters
    ----------
    recipe : mapping
        ``model.toml``.
    source : str
        One of those it trains on.

    Returns
    -------
    dict
        The same with the source held out, and named after it.
    """
    train = [name for name in recipe["sources"]["train"] if name != source]
    sources = recipe["sources"] | {"train": train, "held_out": [*recipe["sources"]["held_out"], source]}
    return dict(recipe) | {"name": f"{recipe['name']}-without-{source}", "sources": sources}


def source_from_features(judged: Judged) -> dict:
    """Can a plain classifier tell the source from the penultimate features, within one class?

    Parameters
    ----------
    judged : Judged

    Returns
    -------
    dict
        By class, where at least two sources have 15 patients: n, sources, and balanced accuracy of a
        logistic regression, five folds, no patient in two, beside that of guessing.
    """
    found = {}
    for label in CLASSES:
        of_class = judged.of(label=label)
        sources = _sources_of(of_class)
        groups = np.array([film.group for film in of_class.films], str)
        enough = [s for s in np.unique(sources) if len(set(groups[sources == s])) >= FEWEST]
        if len(enough) < 2:
            continue
        kept = np.isin(sources, enough)
        # Balanced, so that a large source is not the answer to everything.
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
        said = cross_val_predict(
            model,
            of_class.features[kept],
            sources[kept],
            groups=groups[kept],
            cv=GroupKFold(FOLDS, shuffle=True, random_state=0),
        )
        found[label] = {
            "n": int(kept.sum()),
            "sources": enough,
            "balanced_accuracy": round(float(balanced_accuracy_score(sources[kept], said)), DIGITS),
            "guessing": round(1 / len(enough), DIGITS),
        }
    return found


def subsets(judged: Judged) -> dict:
    """COVID-19 against normal where source or age cannot tell them apart.

    Parameters
    ----------
    judged : Judged

    Returns
    -------
    dict
        By subset: n of each class, auc and its ci95.
    """
    return {
        "one provider (actualmed)": _covid_against_normal(judged.of(source="actualmed")),
        "adults": _covid_against_normal(judged.of(age_group="adult")),
        "made from the full-size original": _covid_against_normal(judged.of(geometry="native")),
    }


def _covid_against_normal(judged: Judged) -> dict:
    asked, positive, score = metrics.question(judged, "covid19_against_normal")
    counts = {"covid19": int(positive.sum()), "normal": int((~positive).sum())}
    if not all(counts.values()):
        return counts | {"auc": None, "ci95": None}
    films = judged.films[asked]
    weights = bootstrap.draw_weights([film.group for film in films])
    point = bootstrap.auc(np.ones((1, len(films))), positive, score)[0]
    interval = bootstrap.intervals({"auc": bootstrap.auc(weights, positive, score)})
    return counts | {"auc": round(float(point), DIGITS), "ci95": interval["auc"]}


def last_layer_without_each_source(trained_on: Judged, judged: Judged) -> dict:
    """COVID-19 against normal by a last layer that learned from all sources but one: leave-one-source-out.

    The layers before saw the source, so this is the least that leaving it out can cost.

    Parameters
    ----------
    trained_on : Judged
        Films the version was trained with.
    judged : Judged
        Films that trained nothing.

    Returns
    -------
    dict
        By class and source, where the class has another source to learn from: n, films of the class from this
        source; against, films of the other class from all other training sources; and auc of a logistic
        regression without and with the source, with ci95.
    """
    pair = np.isin(trained_on.truth, [CLASSES.index(label) for label in PAIR])
    sources, truth = _sources_of(trained_on)[pair], trained_on.truth[pair]
    features = trained_on.features[pair]
    found = {}
    for label in PAIR:
        of_class = truth == CLASSES.index(label)
        for source in sorted(set(sources[of_class])):
            others = sources != source
            if not (of_class & others).any():
                continue
            asked = _one_source_of(label, source, judged, set(sources))
            models = {
                "without": _covid_model(features[others], truth[others]),
                "with": _covid_model(features, truth),
            }
            scores = {name: model.decision_function(judged.features[asked]) for name, model in models.items()}
            found[f"{label}, {source}"] = _areas(judged, asked, label, scores)
    return found


def _one_source_of(label: str, source: str, judged: Judged, training: set[str]) -> np.ndarray:
    """Films of the class from this source, and of the other class of `PAIR` from the other sources."""
    (other,) = set(PAIR) - {label}
    of = _sources_of(judged)
    one = (judged.truth == CLASSES.index(label)) & (of == source)
    return one | ((judged.truth == CLASSES.index(other)) & np.isin(of, list(training - {source})))


def _covid_model(features: np.ndarray, truth: np.ndarray) -> Pipeline:
    """A last layer of its own that parts COVID-19 from normal."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=WEAK, max_iter=2000, class_weight="balanced")
    )
    return model.fit(features, truth == CLASSES.index("covid19"))


def _areas(judged: Judged, asked: np.ndarray, label: str, scores: Mapping[str, np.ndarray]) -> dict:
    films, truth = judged.films[asked], judged.truth[asked]
    n = int((truth == CLASSES.index(label)).sum())
    row = {"n": n, "against": len(films) - n}
    if not n or n == len(films):
        return row | {"auc": None, "ci95": None}
    weights = np.vstack([np.ones(len(films)), bootstrap.draw_weights([film.group for film in films])])
    positive = truth == CLASSES.index("covid19")
    draws = {name: bootstrap.auc(weights, positive, score) for name, score in scores.items()}
    return row | {
        "auc": {name: metrics.number(values[0]) for name, values in draws.items()},
        "ci95": bootstrap.intervals(draws),
    }


def _sources_of(judged: Judged) -> np.ndarray:
    return np.array([film.source for film in judged.films], str)


def lung_masks(films: Sequence[JudgedFilm], root: Path) -> dict[str, np.ndarray]:
    """Where the lungs are, (rows, columns) bool by file, of those films that a person has outlined."""
    if not (root / MASKS).exists():
        return {}
    with (root / MASKS).open(newline="", encoding="utf-8") as lines:
        paths = {row["file"]: root / row["mask_file"] for row in csv.DictReader(lines)}
    found = {}
    for film in films:
        if film.file in paths:
            with Image.open(paths[film.file]) as mask:
                found[film.file] = np.asarray(mask) == LUNG
    return found


def _only(inside: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The picture with all else at the mean of what is kept."""
    return np.where(inside, picture, picture[inside].mean().astype(np.uint8))


def _border(mask: np.ndarray) -> np.ndarray:
    rows, columns = mask.shape
    inner = np.zeros(mask.shape, bool)
    high, wide = round(BORDER * rows), round(BORDER * columns)
    inner[high : rows - high, wide : columns - wide] = True
    return ~inner


# What of a film the version is shown, from its lung mask and its picture.
PARTS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "whole film": lambda mask, picture: picture,
    "lungs masked out": lambda mask, picture: _only(~mask, picture),
    "only the border": lambda mask, picture: _only(_border(mask), picture),
    "only the lungs": _only,
}


def parts_of_the_film(
    reader: Reader, films: Sequence[JudgedFilm], masks: Mapping[str, np.ndarray], root: Path
) -> dict:
    """What is answered when the version sees a part of the film only.

    No film is refused, and one that is framed by its lungs is framed as the whole film: what is asked is what
    the classifier leans on.

    Parameters
    ----------
    reader : Reader
    films : sequence of JudgedFilm
        Those without a mask are left out.
    masks : mapping
        From `lung_masks`.
    root : Path

    Returns
    -------
    dict
        By part: n, accuracy, and auc of each question, all of the forced answer. What stays high without the
        lungs is no reading of the lungs.
    """
    outlined = [film for film in films if film.file in masks]
    scores: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    for start in range(0, len(outlined), BATCH):
        batch = outlined[start : start + BATCH]
        whole = [prepare_picture(read_picture(root / film.file), reader.input_sizes) for film in batch]
        lungs = reader.look(whole)
        for name, show in PARTS.items():
            shown = [
                prepare_picture(show(masks[film.file], of.display), reader.input_sizes)
                for film, of in zip(batch, whole, strict=True)
            ]
            of_steps = reader.scores(reader.answer(shown, lungs))
            scores[name].append(forced_scores(*of_steps, reader.model.cascade))
    if not outlined:
        return {name: {"n": 0} for name in PARTS}
    return {name: _of_scores(outlined, np.concatenate(of_part)) for name, of_part in scores.items()}


def _of_scores(films: Sequence[JudgedFilm], scores: np.ndarray) -> dict:
    """Accuracy and areas of forced answers."""
    truth = np.array([CLASSES.index(film.label) for film in films])
    weights = np.vstack([np.ones(len(films)), bootstrap.draw_weights([film.group for film in films])])
    right = (scores.argmax(axis=1) == truth).astype(float)
    draws = {"accuracy": bootstrap.mean(weights, right), "auc": {}}
    for name in metrics.QUESTIONS:
        asked, positive, score = metrics.asked_of(truth, scores, name)
        draws["auc"][name] = bootstrap.auc(weights[:, asked], positive, score)
    return {
        "n": len(films),
        "accuracy": metrics.number(draws["accuracy"][0]),
        "auc": {name: metrics.number(values[0]) for name, values in draws["auc"].items()},
        "ci95": bootstrap.intervals(draws),
    }


def activation_in_the_lungs(
    reader: Reader, films: Sequence[JudgedFilm], masks: Mapping[str, np.ndarray], root: Path
) -> dict:
    """Share of the class activation that lies inside the lungs, where a class other than normal leads.

    Parameters
    ----------
    reader, films, masks, root
        As for `parts_of_the_film`.

    Returns
    -------
    dict
        By class of the activation: n, median share, share of films with less than half inside, and lungs,
        the median share of the film that is lung: what an activation would have that knew nothing.
    """
    shares: dict[str, list[tuple[float, float]]] = {}
    outlined = [film for film in films if film.file in masks]
    for start in range(0, len(outlined), BATCH):
        batch = outlined[start : start + BATCH]
        prepared = [prepare_picture(read_picture(root / film.file), reader.input_sizes) for film in batch]
        lungs = reader.look(prepared)
        readings = reader.decide(prepared, lungs, reader.answer(prepared, lungs))
        for film, reading in zip(batch, readings, strict=True):
            mask = masks[film.file]
            # A person's outline does not say which lung is which.
            share = share_inside(reading.activation, np.stack([mask, np.zeros_like(mask)], axis=-1))
            if reading.activation_label != "normal" and share is not None:
                shares.setdefault(reading.activation_label, []).append((share.both, float(mask.mean())))
    return {
        label: {
            "n": len(pairs),
            "median": round(float(np.median([share for share, _ in pairs])), DIGITS),
            "less_than_half": round(float(np.mean([share < 0.5 for share, _ in pairs])), DIGITS),
            "lungs": round(float(np.median([lungs for _, lungs in pairs])), DIGITS),
        }
        for label, pairs in sorted(shares.items())
    }


def audit(reader: Reader, trained_on: Judged, judged: Judged, root: Path) -> dict:
    """All tests for shortcuts.

    Parameters
    ----------
    reader : Reader
    trained_on : Judged
        Films the version was trained with.
    judged : Judged
        Films that trained nothing.
    root : Path
        Folder their files, and ``lung_masks.csv`` where there is one, are relative to.

    Returns
    -------
    dict
        source_from_features, covid19_against_normal (see `subsets`), last_layer_without_each_source,
        parts_of_the_film (of all outlined films and of each source that has more than one class) and
        activation_in_the_lungs.
    """
    films = list(judged.films)
    masks = lung_masks(films, root)
    of_source = {
        source: [film for film in films if film.source == source] for source in _sources(films, masks)
    }
    return {
        "source_from_features": source_from_features(judged),
        "covid19_against_normal": subsets(judged),
        "last_layer_without_each_source": last_layer_without_each_source(trained_on, judged),
        "parts_of_the_film": {
            "all": parts_of_the_film(reader, films, masks, root),
            **{source: parts_of_the_film(reader, of, masks, root) for source, of in of_source.items()},
        },
        "activation_in_the_lungs": activation_in_the_lungs(reader, films, masks, root),
    }


def _sources(films: Sequence[JudgedFilm], masks: Mapping[str, np.ndarray]) -> list[str]:
    """The sources with outlined films of several classes: in others there is nothing to tell apart."""
    labels: dict[str, set[str]] = {}
    for film in films:
        if film.file in masks:
            labels.setdefault(film.source, set()).add(film.label)
    return sorted(source for source, found in labels.items() if len(found) > 1)
