"""Logistic regression of "the network was right" on who the patient is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from statsmodels.stats.multitest import multipletests

from model.evaluation.answers import Judged
from model.evaluation.metrics import forced, number
from model.study.cohort import UNKNOWN, band
from model.study.logistic import Fit, adds, fit, likelihood_ratio, wald

COVARIATES = ("age", "sex", "bmi", "ethnicity")
# A step of a number whose odds ratio is told, and its unit.
STEPS = {"age": (10, "years"), "bmi": (5, "kg/m2")}
SMALL_CELL = 5  # films of a group that were right, or wrong
EVENTS_PER_VARIABLE = 10
FEW_PATIENTS = 40  # clusters below which the sandwich is too narrow (Cameron and Miller 2015)


@dataclass(frozen=True)
class _Term:
    """Columns of a design that stand or fall together: a covariate, or an interaction."""

    name: str
    columns: np.ndarray  # (films, k) float64
    texts: tuple[str, ...]  # what each column compares
    covariate: dict


def regression(judged: Judged) -> dict:
    """Whether age, sex, BMI or ethnicity, alone or in pairs, go with right answers.

    The outcome is that the forced answer is the film's class. Age counts by 10 years and BMI by 5 kg/m2, each
    from its mean; sex and ethnicity by their groups, against the largest. Films that lack one of these are
    left out (complete cases). Odd films raise nothing: what cannot be fitted is None, and a warning says why.

    Parameters
    ----------
    judged : Judged

    Returns
    -------
    dict
        JSON can hold it.

        outcome : str
            In words.
        n, n_complete, patients, right, wrong : int
            All but n are of the complete cases.
        missing : dict of str to int
            By covariate, films without a value.
        covariance : str
            ``cluster-robust by patient`` where a patient has several films, else ``model-based``.
        covariates : dict
            By name (age, sex, bmi, ethnicity; those in the model): {unit, centre} of a number,
            {reference, groups} of the others, groups a dict of group to films.
        left_out : dict of str to str
            Covariate or interaction (``age:sex``) to why it is in no model.
        models : dict
            main and with_interactions, each None (nothing to fit, no interaction) or

            odds_ratios : list of dict
                term (``age`` or ``age:sex``), text (what is compared), odds_ratio, ci95 ([lower, upper]) and
                p (Wald). The last three are None where separation leaves no finite value; a number may be
                very large or small where it nearly does.
            events_per_variable : float
            log_likelihood : float
        tests : list of dict
            term, chi2, df, p, p_wald, p_holm, p_bonferroni: each covariate against the main model without it,
            each interaction against the main model that it is added to. chi2 and p are of the likelihood
            ratio; p_wald is of the cluster-robust Wald test, None where covariance is model-based or where
            separation leaves none.
        adjusted : str
            What Holm and Bonferroni adjust over all tests, ``p`` or ``p_wald``: a likelihood ratio counts
            films of one patient as if they were independent. Where there is no p_wald, p stands in for it.
        warnings : list of str

    References
    ----------
    Hosmer, Lemeshow, Sturdivant, Applied Logistic Regression, 3rd ed. (2013). Peduzzi et al., J Clin
    Epidemiol 49 (1996) 1373: 10 events per variable. Cameron and Miller, J Hum Resour 50 (2015) 317.
    """
    right = forced(judged) == judged.truth
    values = {name: _values(judged, name) for name in COVARIATES}
    kept, left_out = _complete(values)
    missing = {name: sum(value is None for value in of) for name, of in values.items()}
    right, patients = right[kept], np.array([film.group for film in judged.films], str)[kept]
    values = {name: of[kept] for name, of in values.items()}
    main = [_term(name, values[name]) for name in COVARIATES if name not in left_out]
    clusters = patients if len(set(patients)) < len(patients) else None
    found = {
        "outcome": "the forced answer is the film's class",
        "n": len(judged.films),
        "n_complete": len(right),
        "patients": len(set(patients)),
        "right": int(right.sum()),
        "wrong": int((~right).sum()),
        "missing": missing,
        "covariance": "model-based" if clusters is None else "cluster-robust by patient",
        "covariates": {term.name: term.covariate for term in main},
        "left_out": left_out,
        "models": {"main": None, "with_interactions": None},
        "tests": [],
        "adjusted": "p" if clusters is None else "p_wald",
    }
    found["warnings"] = _warnings_of_films(found, right, values)
    if main and 0 < found["right"] < len(right):
        _fit_all(found, main, right, clusters)
    return found


def _fit_all(found: dict, main: Sequence[_Term], right: np.ndarray, clusters: np.ndarray | None) -> None:
    """Fit the models and put them, their tests and their warnings into what was found."""
    pairs = [_interaction(first, second, main) for first, second in combinations(main, 2)]
    for pair in [pair for pair in pairs if not pair.texts]:
        found["left_out"][pair.name] = "its groups do not occur in pairs"
        found["warnings"].append(f"{pair.name} is in no model: its groups do not occur in pairs")
    pairs = [pair for pair in pairs if pair.texts]
    designs = {"main": main} | ({"with_interactions": [*main, *pairs]} if pairs else {})
    fits = {name: fit(right, _columns(terms), clusters) for name, terms in designs.items()}
    for name, terms in designs.items():
        labels = [text for term in terms for text in term.texts]
        found["models"][name] = _model(fits[name], terms, right)
        found["warnings"] += _warnings_of_fit(name.replace("_", " "), fits[name], labels, right)
    found["tests"] = _adjusted(_tests(fits["main"], main, pairs, right, clusters), found["adjusted"])


def _values(judged: Judged, name: str) -> np.ndarray:
    """Numbers, or groups, of each film, (n,) object; None where it is not known."""
    values = np.empty(len(judged.films), object)
    for place, film in enumerate(judged.films):
        value = getattr(film, name)
        if name in STEPS:
            values[place] = value if value is not None and np.isfinite(value) else None
        else:
            group = band(name, value)
            values[place] = None if group == UNKNOWN else group
    return values


def _complete(values: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, str]]:
    """Films with a value of every covariate that is left, (n,) bool, and why others are left out."""
    known = {name: np.array([value is not None for value in of], bool) for name, of in values.items()}
    left_out = {name: "no film says it" for name, of in known.items() if not of.any()}
    while names := [name for name in values if name not in left_out]:
        kept = np.all([known[name] for name in names], axis=0)
        if not kept.any():
            rarest = min(names, key=lambda name: known[name].sum())
            left_out[rarest] = f"the {known[rarest].sum()} films that say it do not say all of the others"
        elif alike := [name for name in names if len(set(values[name][kept])) == 1]:
            left_out[alike[0]] = f"all complete cases have the value {values[alike[0]][kept][0]}"
        else:
            return kept, left_out
    return np.ones(len(next(iter(values.values()))), bool), left_out


def _term(name: str, values: np.ndarray) -> _Term:
    if name in STEPS:
        step, unit = STEPS[name]
        numbers = values.astype(float)
        centre = numbers.mean()
        columns = ((numbers - centre) / step)[:, np.newaxis]
        text = f"{name}, {step} {unit} more"
        return _Term(name, columns, (text,), {"unit": f"{step} {unit}", "centre": number(centre)})
    counts = dict(sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0])))
    reference, *others = counts
    columns = np.stack([values == other for other in others], axis=1).astype(float)
    texts = tuple(f"{name}, {other} against {reference}" for other in others)
    return _Term(name, columns, texts, {"reference": reference, "groups": counts})


def _interaction(first: _Term, second: _Term, main: Sequence[_Term]) -> _Term:
    """The products of two terms; those that say no more than the main terms and each other are left out."""
    products = first.columns[:, :, np.newaxis] * second.columns[:, np.newaxis, :]
    columns = products.reshape(len(products), -1)
    texts = [f"{one} × {other}" for one in first.texts for other in second.texts]
    before = _columns(main)
    kept = adds(np.hstack([before, columns]), before.shape[1])
    return _Term(
        f"{first.name}:{second.name}",
        columns[:, kept],
        tuple(text for text, is_kept in zip(texts, kept, strict=True) if is_kept),
        {},
    )


def _columns(terms: Sequence[_Term]) -> np.ndarray:
    """A constant and the columns of all terms, (films, 1 + k)."""
    return np.hstack([np.ones((len(terms[0].columns), 1)), *(term.columns for term in terms)])


def _places(terms: Sequence[_Term], name: str) -> np.ndarray:
    """Which columns of `_columns` are of a term, (1 + k,) bool."""
    return np.array([False, *(term.name == name for term in terms for _ in term.texts)])


def _model(of: Fit, terms: Sequence[_Term], right: np.ndarray) -> dict:
    labels = [(term.name, text) for term in terms for text in term.texts]
    rows = [
        {
            "term": term,
            "text": text,
            "odds_ratio": number(odds_ratio),
            "ci95": None if np.isnan(lower) else [number(lower), number(upper)],
            "p": None if np.isnan(p) else float(p),
        }
        for (term, text), (odds_ratio, lower, upper), p in zip(
            labels, of.odds_ratios[1:], of.p[1:], strict=True
        )
    ]
    return {
        "odds_ratios": rows,
        "events_per_variable": round(_events(right) / len(labels), 1),
        "log_likelihood": number(of.log_likelihood),
    }


def _events(right: np.ndarray) -> int:
    """Films of the rarer outcome."""
    return int(min(right.sum(), (~right).sum()))


def _tests(
    of_main: Fit,
    main: Sequence[_Term],
    pairs: Sequence[_Term],
    right: np.ndarray,
    clusters: np.ndarray | None,
) -> list[dict]:
    rows = []
    for term in main:
        others = [other for other in main if other is not term]
        without = fit(right, _columns(others) if others else np.ones((len(right), 1)), None)
        rows.append(_row(term, without, of_main, _places(main, term.name), clusters))
    for pair in pairs:
        terms = [*main, pair]
        larger = fit(right, _columns(terms), clusters)
        rows.append(_row(pair, of_main, larger, _places(terms, pair.name), clusters))
    return rows


def _row(term: _Term, smaller: Fit, larger: Fit, places: np.ndarray, clusters: np.ndarray | None) -> dict:
    chi2, df, p = likelihood_ratio(smaller, larger)
    p_wald = None if clusters is None else wald(larger, places)
    return {"term": term.name, "chi2": number(chi2), "df": df, "p": p, "p_wald": p_wald}


def _adjusted(rows: list[dict], name: str) -> list[dict]:
    chosen = [row["p"] if row[name] is None else row[name] for row in rows]
    told = [p for p in chosen if p is not None]
    for method in ("holm", "bonferroni"):
        values = iter(multipletests(told, method=method)[1] if told else ())
        for row, p in zip(rows, chosen, strict=True):
            row[f"p_{method}"] = None if p is None else float(next(values))
    return rows


def _warnings_of_films(found: dict, right: np.ndarray, values: dict[str, np.ndarray]) -> list[str]:
    """What of the films themselves makes the answers weak."""
    said = [f"{name} is in no model: {why}" for name, why in found["left_out"].items()]
    missing = {name: found["missing"][name] for name in found["covariates"] if found["missing"][name]}
    if found["n_complete"] < found["n"]:
        lack = ", ".join(f"{name} of {films}" for name, films in missing.items())
        said.append(
            f"{found['n_complete']} of {found['n']} films are complete cases (not known: {lack}); the answers"
            " are of those alone"
        )
    if not found["covariates"]:
        said.append("no model: no covariate differs between films")
    elif not found["right"] or not found["wrong"]:
        said.append(f"no model: {found['right']} films are right and {found['wrong']} wrong")
    if found["covariance"] != "model-based" and found["patients"] < FEW_PATIENTS:
        said.append(f"{found['patients']} patients are few for intervals by patient: they are too narrow")
    for name, of in found["covariates"].items():
        for group in of.get("groups", ()):
            theirs = right[values[name] == group]
            cells = f"{theirs.sum()} right and {(~theirs).sum()} wrong"
            if min(theirs.sum(), (~theirs).sum()) < SMALL_CELL:
                said.append(f"small cell: {name} {group} has {cells}")
    grouped = [name for name, of in found["covariates"].items() if "groups" in of]
    for first, second in combinations(grouped, 2):
        cells = Counter(zip(values[first], values[second], right, strict=True))
        pairs = product(set(values[first]), set(values[second]))
        small = sum(min(cells[*pair, True], cells[*pair, False]) < SMALL_CELL for pair in pairs)
        if small:
            said.append(
                f"small cells: {small} pairs of {first} and {second} have fewer than {SMALL_CELL} films"
                " right, or wrong"
            )
    return said


def _warnings_of_fit(name: str, of: Fit, labels: Sequence[str], right: np.ndarray) -> list[str]:
    """What of a fitted model makes its answers weak."""
    said, variables = [], len(labels)
    if _events(right) < EVENTS_PER_VARIABLE * variables:
        said.append(
            f"{name}: {_events(right)} films of the rarer outcome for {variables} coefficients, expected"
            f" {EVENTS_PER_VARIABLE} for each: take the odds ratios as descriptions"
        )
    without = [text for text, value in zip(labels, of.coefficients[1:], strict=True) if np.isnan(value)]
    if of.separated == len(right):
        said.append(f"{name}: complete separation, the covariates foretell the outcome of every film")
    elif of.separated:
        said.append(
            f"{name}: quasi-complete separation, the outcome of {of.separated} films is certain; no finite"
            f" odds ratio for {'; '.join(without)}"
        )
    elif without:
        said.append(f"{name}: told by other columns already: {'; '.join(without)}")
    if np.isnan(of.log_likelihood):
        said.append(f"{name}: no maximum of the likelihood was found")
    return said
