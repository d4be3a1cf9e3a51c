"""The regression on covariates: cohorts whose truth is known, and statsmodels' GLM beside it."""

import json

import admissions
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from answered import answered
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.evaluation.films import JudgedFilm
from model.study import logistic
from model.study.covariates import regression

GROUPS = ("European", "Maori", "Pacific", "Asian")
LOG_ODDS = {
    "age, 10 years more": -0.3,
    "sex, M against F": 0.5,
    "bmi, 5 kg/m2 more": 0.0,
    "ethnicity, Māori against European": -0.8,
    "ethnicity, Pacific Peoples against European": 0.0,
    "ethnicity, Asian against European": 0.0,
}
NONE = dict.fromkeys(LOG_ODDS, 0.0)


def people(n, random, films_each=1):
    """Films of patients; Europeans and women are the most, so that they are the references."""
    made = []
    for patient in range(n):
        person = {
            "age": float(random.integers(18, 95)),
            "sex": random.choice(["F", "M"], p=[0.6, 0.4]),
            "bmi": float(random.normal(27, 5)),
            "ethnicity": random.choice(GROUPS, p=[0.4, 0.2, 0.2, 0.2]),
        }
        made += [
            JudgedFilm(f"{patient}-{film}", "normal", str(patient), "hospital", 8, **person)
            for film in range(films_each)
        ]
    return made


def simulated(random, log_odds, n=500, films_each=1, spread=0.0):
    """People whose films are right with these log odds, and a patient's own share of luck."""
    films = people(n, random, films_each)
    luck = np.repeat(random.normal(0, spread, n), films_each)
    ethnicity = {"Maori": "Māori", "Pacific": "Pacific Peoples"}
    right = []
    for film, own in zip(films, luck, strict=True):
        group = ethnicity.get(film.ethnicity, film.ethnicity)
        odds = (
            1.0
            + own
            + log_odds["age, 10 years more"] * (film.age - 56) / 10
            + log_odds["bmi, 5 kg/m2 more"] * (film.bmi - 27) / 5
            + log_odds["sex, M against F"] * (film.sex == "M")
            + log_odds.get(f"ethnicity, {group} against European", 0.0)
        )
        right.append(random.random() < 1 / (1 + np.exp(-odds)))
    return answered(films, right)


def test_odds_ratios_lie_within_their_intervals_as_often_as_the_intervals_say():
    random, runs = np.random.default_rng(1), 25
    held = dict.fromkeys(LOG_ODDS, 0)
    for _ in range(runs):
        for row in regression(simulated(random, LOG_ODDS))["models"]["main"]["odds_ratios"]:
            lower, upper = row["ci95"]
            held[row["text"]] += lower <= np.exp(LOG_ODDS[row["text"]]) <= upper
    # Fewer than this many of 25 happen by chance once in ten thousand.
    assert min(held.values()) >= stats.binom.ppf(1e-4, runs, 0.95), held


def test_several_films_of_a_patient_make_no_interval_too_narrow():
    random, runs = np.random.default_rng(2), 25
    held, naive = 0, 0
    for _ in range(runs):
        cohort = simulated(random, NONE, n=100, films_each=10, spread=3.0)
        found = regression(cohort)
        assert found["covariance"] == "cluster-robust by patient"
        (row,) = [row for row in found["models"]["main"]["odds_ratios"] if row["term"] == "sex"]
        held += row["ci95"][0] <= 1 <= row["ci95"][1]
        (test,) = [test for test in found["tests"] if test["term"] == "sex"]
        naive += test["p"] >= 0.05
    least = stats.binom.ppf(1e-4, runs, 0.95)
    assert held >= least
    assert naive < least  # the likelihood ratio alone would cry wolf


@pytest.mark.parametrize("films_each", [1, 3])
def test_without_an_effect_there_are_few_false_alarms_after_holm(films_each):
    random, runs = np.random.default_rng(3), 25
    alarms = 0
    for _ in range(runs):
        found = regression(simulated(random, NONE, n=400, films_each=films_each, spread=1.0))
        alarms += any(test["p_holm"] < 0.05 for test in found["tests"])
    assert alarms <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def test_an_effect_and_an_interaction_are_found_by_their_tests():
    random = np.random.default_rng(4)
    films = people(2000, random)
    odds = [
        1.5 - 2 * (film.ethnicity == "Maori") * (film.sex == "M") - 0.5 * (film.age - 56) / 10
        for film in films
    ]
    found = regression(answered(films, random.random(2000) < 1 / (1 + np.exp(-np.array(odds)))))
    small = {test["term"] for test in found["tests"] if test["p_holm"] < 0.001}
    assert {"age", "sex:ethnicity"} <= small
    assert not {"bmi", "age:bmi", "age:sex"} & small
    for test in found["tests"]:
        assert test["p"] <= test["p_holm"] <= test["p_bonferroni"] <= 1


@pytest.mark.parametrize("films_each", [1, 3])
def test_models_and_tests_are_those_of_statsmodels_glm(films_each):
    judged = simulated(np.random.default_rng(5), LOG_ODDS, n=600, films_each=films_each, spread=0.5)
    found = regression(judged)
    frame = pd.DataFrame([film.__dict__ for film in judged.films])
    frame["right"] = (judged.scores.argmax(axis=1) == judged.truth).astype(float)
    frame["age10"] = (frame.age - frame.age.mean()) / 10
    frame["bmi5"] = (frame.bmi - frame.bmi.mean()) / 5
    sex, ethnicity = "C(sex, Treatment('F'))", "C(ethnicity, Treatment('European'))"
    terms = {"age": "age10", "sex": sex, "bmi": "bmi5", "ethnicity": ethnicity}

    def glm(formula, **how):
        return smf.glm(f"right ~ {formula}", frame, family=sm.families.Binomial()).fit(**how)

    how = {}
    if films_each > 1:
        how = {"cov_type": "cluster", "cov_kwds": {"groups": frame.group.astype(int).to_numpy()}}
    main, full = " + ".join(terms.values()), f"({' + '.join(terms.values())}) ** 2"
    for name, formula in (("main", main), ("with_interactions", full)):
        theirs, ours = glm(formula, **how), found["models"][name]
        expected = np.exp(np.column_stack([theirs.params, theirs.conf_int()]))[1:]
        rows = [[row["odds_ratio"], *row["ci95"], row["p"]] for row in ours["odds_ratios"]]
        # The two write the columns of an interaction in other orders.
        expected = np.column_stack([expected, theirs.pvalues.iloc[1:]])
        order = [np.lexsort(np.round(of, 3).T[::-1]) for of in (np.array(rows), expected)]
        assert np.array(rows)[order[0]] == pytest.approx(expected[order[1]], abs=1e-3, rel=1e-3)
        assert ours["log_likelihood"] == pytest.approx(theirs.llf, abs=1e-3)
    for test in found["tests"]:
        names = test["term"].split(":")
        if len(names) == 1:
            larger = glm(main).llf
            smaller = glm(" + ".join(column for name, column in terms.items() if name not in names)).llf
        else:
            larger, smaller = glm(f"{main} + {':'.join(terms[name] for name in names)}").llf, glm(main).llf
        assert test["chi2"] == pytest.approx(2 * (larger - smaller), abs=1e-3)
    if films_each > 1:
        table = glm(main, **how).wald_test_terms(scalar=True).table
        for test in found["tests"][:4]:
            assert test["p_wald"] == pytest.approx(table.loc[terms[test["term"]], "pvalue"], abs=1e-6)


def test_a_group_that_is_always_right_is_told_as_separation_and_the_rest_keeps_its_odds():
    judged = simulated(np.random.default_rng(6), LOG_ODDS, n=800)
    is_asian = np.array([film.ethnicity == "Asian" for film in judged.films])
    right = (judged.scores.argmax(axis=1) == judged.truth) | is_asian
    found = regression(answered(list(judged.films), right))
    (warning,) = [said for said in found["warnings"] if said.startswith("main: quasi-complete separation")]
    assert f"the outcome of {is_asian.sum()} films is certain" in warning
    assert "ethnicity, Asian against European" in warning
    assert any(
        f"ethnicity Asian has {is_asian.sum()} right and 0 wrong" in said for said in found["warnings"]
    )
    rows = {row["text"]: row for row in found["models"]["main"]["odds_ratios"]}
    asian = rows.pop("ethnicity, Asian against European")
    assert (asian["odds_ratio"], asian["ci95"], asian["p"]) == (None, None, None)
    # What is left is the model of all others, whose ages and BMI are counted from another mean.
    others = [(film, one) for film, one in zip(judged.films, right, strict=True) if film.ethnicity != "Asian"]
    alone = regression(answered([film for film, _ in others], [one for _, one in others]))
    for row in alone["models"]["main"]["odds_ratios"]:
        assert rows[row["text"]]["odds_ratio"] == pytest.approx(row["odds_ratio"], abs=2e-4)
        assert rows[row["text"]]["ci95"] == pytest.approx(row["ci95"], abs=2e-3)
    assert {test["term"]: test["p_holm"] for test in found["tests"]}["ethnicity"] < 0.001


def test_covariates_that_foretell_every_answer_are_told_as_complete_separation():
    films = people(300, np.random.default_rng(7))
    found = regression(answered(films, [film.age < 60 for film in films]))
    assert any(said.startswith("main: complete separation") for said in found["warnings"])
    assert {row["odds_ratio"] for row in found["models"]["main"]["odds_ratios"]} == {None}
    assert found["models"]["main"]["log_likelihood"] == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_separation_is_found_exactly_where_a_plane_separates(rows):
    outcome = np.array([row[0] for row in rows])
    design = np.array([(1, *row[1:]) for row in rows], float)
    certain = logistic.separated(outcome, design)
    # In the plane of two covariates a line that separates can be turned until it meets two of the points.
    lines = [np.array([1.0, 0, 0]), np.array([-1.0, 0, 0])]
    points = np.unique(design[:, 1:], axis=0)
    for one in points:
        for other in [*points, *(one + step for step in np.eye(2))]:
            along = other - one
            normal = np.array([-along[1], along[0]])
            for towards in (normal, -normal):
                lines.append(np.array([-towards @ one, *towards]))
    distances = np.array([np.where(outcome, 1, -1) * (design @ line) for line in lines])
    expected = distances[(distances >= 0).all(axis=1)].max(axis=0, initial=0) > 0
    assert expected.any() == certain.any()
    assert (expected <= certain).all()


def test_small_sets_are_warned_of():
    films = people(30, np.random.default_rng(8))
    said = regression(answered(films, [place % 5 != 0 for place in range(30)]))["warnings"]
    assert any("6 films of the rarer outcome for 6 coefficients, expected 10 for each" in one for one in said)
    assert any(one.startswith("small cell: ethnicity ") for one in said)
    assert any(one.startswith("small cells: ") and "pairs of sex and ethnicity" in one for one in said)


def test_what_the_films_do_not_say_is_left_out_and_named():
    random = np.random.default_rng(9)
    films = [
        JudgedFilm(str(n), "normal", str(n // 2), "x", 8, age=float(n) if n % 4 else None, sex="F")
        for n in range(100)
    ]
    found = regression(answered(films, random.random(100) < 0.7))
    assert found["left_out"] == {
        "sex": "all complete cases have the value F",
        "bmi": "no film says it",
        "ethnicity": "no film says it",
    }
    assert (found["n"], found["n_complete"], found["missing"]["age"]) == (100, 75, 25)
    assert list(found["covariates"]) == ["age"]
    assert found["models"]["with_interactions"] is None
    assert any(
        "75 of 100 films are complete cases (not known: age of 25)" in one for one in found["warnings"]
    )


def test_a_difference_of_the_made_up_hospital_is_found():
    rows = admissions.hospital(300, 11)
    random = np.random.default_rng(12)
    right = [random.random() < (0.55 if row["ethnicity"] == "Pacific" else 0.9) for row in rows]
    found = regression(answered(admissions.films(rows), right))
    assert found["patients"] == 300
    p = {test["term"]: test["p_holm"] for test in found["tests"]}
    assert p["ethnicity"] < 1e-6
    assert min(value for term, value in p.items() if term != "ethnicity") > 0.05
    of_pacific = [row for row in found["models"]["main"]["odds_ratios"] if "Pacific Peoples" in row["text"]]
    assert of_pacific or found["covariates"]["ethnicity"]["reference"] == "Pacific Peoples"


def test_as_many_films_as_coefficients_are_separated_and_stop_nothing():
    design = np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]])
    found = logistic.fit(np.array([True, False, True]), design, np.array(["a", "a", "b"]))
    assert np.isnan(found.coefficients).all()
    assert (found.log_likelihood, found.separated) == (0.0, 3)


words = st.sampled_from(["", "F", "male", "unknown", "2", "Māori", "Klingon", "9"])
numbers = st.one_of(st.none(), st.sampled_from([0.0, 30.0, float("nan"), float("inf"), 1e6, 55.5]))


@given(st.lists(st.tuples(numbers, words, numbers, words, st.integers(0, 9), st.booleans()), max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_films_however_odd_stop_it(rows):
    films = [
        JudgedFilm(str(n), "normal", str(patient), "x", 8, age=age, sex=sex, bmi=bmi, ethnicity=ethnicity)
        for n, (age, sex, bmi, ethnicity, patient, _) in enumerate(rows)
    ]
    found = regression(answered(films, [row[-1] for row in rows]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["right"] + found["wrong"] == found["n_complete"] <= found["n"] == len(rows)
    for test in found["tests"]:
        assert test["p"] is None or 0 <= test["p"] <= 1
