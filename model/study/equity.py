"""For whom does the network do well: figures of every group of patients and of films."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from model.evaluation import bootstrap, metrics
from model.evaluation.answers import Judged
from model.evaluation.films import JudgedFilm
from model.evaluation.redrawn import redrawn
from model.study import ethnicity
from model.study.cohort import BANDS, UNKNOWN, band

PARTS = ("ethnicity", "sex", "age", "bmi", "age_group", "source", "manufacturer", "view", "position")
FEWEST = 10  # patients in a group, for it to have figures
EXCHANGES = 20_000  # of patients between two groups, for p of their difference
_ROUNDING = 1e-9
_UNSTATED = {"", UNKNOWN, "not stated"}


@dataclass(frozen=True)
class _Group:
    """The films of a group, their patients, their figures, and these in every draw."""

    judged: Judged
    patients: np.ndarray  # (n,) str
    figures: dict | None
    draws: dict


def equity(judged: Judged) -> dict:
    """The figures of each group, and how it differs from the largest of its kind.

    Accuracy, macro F1 and the areas are of the forced answer, sensitivity and specificity of the decision for
    any pneumonia, as `model.evaluation.metrics` has them. Films whose group is not known are the group
    ``unknown``, which is compared with none. Where a film says one of New Zealand's ethnic groups, Māori and
    Pacific Peoples have their rows even if no film is theirs.

    Parameters
    ----------
    judged : Judged

    Returns
    -------
    dict
        JSON can hold it.

        n, patients, n_refused : int
        fewest : int
            Patients that a figure needs: of the group, and of the films that a share counts; of either side
            for an area.
        figures : figures
            Of all films; None where no film was read.
        by : dict
            By part (`PARTS`; age and bmi in the bands of `model.study.cohort`):

            reference : str or None
                The largest group with figures.
            groups : dict
                By group, in the order to show them: n, patients, n_refused, figures (None with fewer than
                `fewest` patients) and difference, None for the reference, for ``unknown`` and where there are
                no figures, else by name {value, ci95, p, p_holm}: group less reference, its interval by
                patients drawn again, and for shares p by `exchanged`, None for the rest.
        left_out : dict of str to str
            Part to why it is not shown.
        tests : int
            Comparisons that Holm adjusts: all of the table.
        warnings : list of str

        Figures are by name, accuracy, sensitivity, specificity, macro_f1 and ``auc_`` with each of
        `metrics.questions`: {value, right, n, wilson, ci95}. A share is right of n films; wilson is its 95 %
        interval with films as if independent, ci95 that of patients drawn again. right, n and wilson are None
        for what is no share; value, wilson and ci95 where too few patients tell. Intervals are not corrected
        for their number. macro_f1 is over the classes that a group has, so that groups of other classes do
        not compare by it.

    References
    ----------
    Wilson, JASA 22 (1927) 209. Holm, Scand J Stat 6 (1979) 65.
    """
    weights = bootstrap.draw_weights(_patients(judged)) if len(judged.films) else np.zeros((0, 0))
    everyone = _group(judged, weights, 1)
    found = {
        **_counts(everyone),
        "fewest": FEWEST,
        "figures": everyone.figures,
        "by": {},
        "left_out": {},
        "warnings": [],
    }
    for part in PARTS:
        names = _names(part, judged)
        if set(names) <= {UNKNOWN}:
            found["left_out"][part] = "no film says it"
            continue
        groups = {
            name: _group(
                judged.by(lambda film, name=name, part=part: _name(part, film) == name),
                weights[:, [_name(part, film) == name for film in judged.films]],
                FEWEST,
            )
            for name in names
        }
        found["by"][part] = _compared(groups)
        found["warnings"] += _warnings(part, groups)
    rows = [row for part in found["by"].values() for row in part["groups"].values() if row["difference"]]
    found["tests"] = _adjust([row for of in rows for row in of["difference"].values()])
    return found


def _name(part: str, film: JudgedFilm) -> str:
    """The group of a film."""
    name = band(part, getattr(film, part))
    return UNKNOWN if name.casefold() in _UNSTATED else name


def _names(part: str, judged: Judged) -> list[str]:
    """Groups of all films, refused ones too, in the order to show them."""
    found = {_name(part, film) for film in (*judged.films, *(film for film, _ in judged.refused))}
    order: list[str] = []
    if part in BANDS:
        order = [band(part, limit) for limit in (-np.inf, *BANDS[part])]
    elif part == "ethnicity":
        order = list(ethnicity.PRIORITY)
        if found & set(order):
            found |= {ethnicity.MAORI, ethnicity.PACIFIC}
    known = [name for name in order if name in found]
    others = sorted(found - {*order, UNKNOWN})
    return [*known, *others, *([UNKNOWN] if UNKNOWN in found else [])]


def _patients(judged: Judged) -> np.ndarray:
    return np.array([film.group for film in judged.films], str)


def _group(judged: Judged, weights: np.ndarray, fewest: int) -> _Group:
    patients = _patients(judged)
    if len(set(patients)) < fewest:
        return _Group(judged, patients, None, {})
    draws = _chosen(redrawn(judged, weights))
    points, intervals = _chosen(metrics.points(judged)), bootstrap.intervals(draws)
    shares, told = _shares(judged), _told(judged, patients, fewest)
    figures = {}
    for name, value in points.items():
        figures[name] = {"value": None, "right": None, "n": None, "wilson": None, "ci95": None}
        if name in shares:
            counted, hit = shares[name]
            figures[name] |= {"right": int((counted & hit).sum()), "n": int(counted.sum())}
        if name not in told:
            continue
        figures[name] |= {"value": value, "ci95": intervals[name]}
        if name in shares:
            limits = proportion_confint(figures[name]["right"], figures[name]["n"], method="wilson")
            figures[name]["wilson"] = [metrics.number(limit) for limit in limits]
    return _Group(judged, patients, figures, draws)


def _told(judged: Judged, patients: np.ndarray, fewest: int) -> set[str]:
    """Figures that enough patients tell."""
    sides = {name: [counted] for name, (counted, _) in _shares(judged).items()} | {"macro_f1": []}
    for name, (positive, negative, *_) in metrics.questions(judged).items():
        kinds = (metrics.places(of, judged.classes) for of in (positive, negative))
        sides[f"auc_{name}"] = [np.isin(judged.truth, of) for of in kinds]
    return {name for name, of in sides.items() if all(len(set(patients[side])) >= fewest for side in of)}


def _chosen(figures: Mapping) -> dict:
    """Those of `metrics.points`, or of `redrawn`, that groups are compared by."""
    point = next(iter(figures["operating_points"].values()))  # of any finding, as `metrics.flags` has them
    return {
        "accuracy": figures["accuracy"],
        "sensitivity": point["sensitivity"],
        "specificity": point["specificity"],
        "macro_f1": figures["macro_f1"],
        **{f"auc_{question}": figures["auc"][question] for question in figures["auc"]},
    }


def _shares(judged: Judged) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Films that each share counts, and films that are right in it, two (n,) bool."""
    said, should = metrics.flagged(judged, next(iter(metrics.flags(judged))))
    right = metrics.forced(judged) == judged.truth
    return {
        "accuracy": (np.ones(len(right), bool), right),
        "sensitivity": (should, said),
        "specificity": (~should, ~said),
    }


def _counts(group: _Group) -> dict:
    return {
        "n": len(group.patients),
        "patients": len(set(group.patients)),
        "n_refused": len(group.judged.refused),
    }


def _compared(groups: Mapping[str, _Group]) -> dict:
    """A part of the table."""
    with_figures = [name for name, group in groups.items() if group.figures and name != UNKNOWN]
    reference = max(with_figures, key=lambda name: len(groups[name].patients), default=None)
    return {
        "reference": reference,
        "groups": {
            name: {
                **_counts(group),
                "figures": group.figures,
                "difference": _difference(group, groups[reference])
                if name in with_figures and name != reference
                else None,
            }
            for name, group in groups.items()
        },
    }


def _difference(group: _Group, reference: _Group) -> dict:
    draws = {name: group.draws[name] - reference.draws[name] for name in group.draws}
    intervals = bootstrap.intervals(draws)
    shares, others = _shares(group.judged), _shares(reference.judged)
    found = {}
    for name, interval in intervals.items():
        ours, theirs = group.figures[name]["value"], reference.figures[name]["value"]
        is_told = ours is not None and theirs is not None
        p = None
        if is_told and name in shares:
            p = exchanged(_totals(group, *shares[name]), _totals(reference, *others[name]))
        found[name] = {
            "value": metrics.number(ours - theirs) if is_told else None,
            "ci95": interval if is_told else None,
            "p": p,
            "p_holm": None,
        }
    return found


def _totals(group: _Group, counted: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Films counted and films right of each patient who has one that counts, (patients, 2) int."""
    _, place = np.unique(group.patients, return_inverse=True)
    totals = np.stack([np.bincount(place, counted), np.bincount(place, counted & hit)], axis=1)
    return totals[totals[:, 0] > 0]


def exchanged(group: np.ndarray, reference: np.ndarray) -> float:
    """p of two shares being one, by patients exchanged between the groups.

    A patient's films stay together, so that they make no difference look surer than it is, and p is right
    however few films are wrong. A patient with films in both groups counts as two, which makes p larger.

    Parameters
    ----------
    group, reference : (patients, 2) int
        Films of each patient, and those that were right.

    Returns
    -------
    float
        Two-sided, 1 / (1 + `EXCHANGES`) at least.

    References
    ----------
    Gail et al., Stat Med 15 (1996) 1069: randomisation tests of clusters. Phipson and Smyth, Stat Appl Genet
    Mol Biol 9 (2010) 39: p of draws is never 0.
    """
    # Patients with as many films, and as many right, are alike: draw how many of each kind the group gets.
    kinds, patients = np.unique(np.concatenate([group, reference]), axis=0, return_counts=True)
    drawn = np.random.default_rng(bootstrap.SEED).multivariate_hypergeometric(patients, len(group), EXCHANGES)
    theirs = group.sum(axis=0)
    whole = theirs + reference.sum(axis=0)

    def difference(totals: np.ndarray) -> np.ndarray:
        rest = whole - totals
        return np.abs(totals[..., 1] / totals[..., 0] - rest[..., 1] / rest[..., 0])

    as_large = difference(drawn @ kinds) >= difference(theirs) - _ROUNDING
    return float((1 + as_large.sum()) / (1 + EXCHANGES))


def _adjust(rows: list[dict]) -> int:
    """Put Holm's p into the differences that have one; how many have."""
    tested = [row for row in rows if row["p"] is not None]
    if tested:
        adjusted = multipletests([row["p"] for row in tested], method="holm")[1]
        for row, p in zip(tested, adjusted, strict=True):
            row["p_holm"] = float(p)
    return len(tested)


def _warnings(part: str, groups: Mapping[str, _Group]) -> list[str]:
    few = [f"{name} ({len(set(group.patients))})" for name, group in groups.items() if not group.figures]
    said = []
    if few:
        said.append(f"{part}: no figures with fewer than {FEWEST} patients: {', '.join(few)}")
    patients = [patient for group in groups.values() for patient in set(group.patients)]
    if several := len(patients) - len(set(patients)):
        said.append(f"{part}: {several} times a patient has films in another group too")
    return said
