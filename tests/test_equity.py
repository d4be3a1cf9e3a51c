"""Figures by group: by hand, against the plain evaluation, and on cohorts whose differences are known."""

import dataclasses
import json

import admissions
import numpy as np
import pytest
from answered import answered
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from model.evaluation import metrics
from model.evaluation.answers import CLASSES
from model.evaluation.films import JudgedFilm
from model.study import equity as table
from model.study.equity import equity, exchanged


def wards(random, n=400, films_each=1):
    """Films of all classes from patients of two makers' machines, three views and all ages."""
    return [
        JudgedFilm(
            f"{patient}-{film}", CLASSES[patient % 4], str(patient), "hospital", 8,
            age=float(random.integers(0, 96)) if patient % 10 else None,
            manufacturer="SIEMENS" if patient % 3 else "PHILIPS",
            view=("AP", "PA", "AP Supine")[patient % 8 % 3],
        )
        for patient in range(n)
        for film in range(films_each)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def judged():
    random = np.random.default_rng(1)
    films = wards(random, films_each=2)
    right = [random.random() < (0.6 if film.manufacturer == "PHILIPS" else 0.95) for film in films]
    return answered(films, right)


@pytest.fixture(scope="module")
def found(judged):
    return equity(judged)


def test_figures_of_a_group_are_the_evaluation_of_its_films(judged, found):
    philips = found["by"]["manufacturer"]["groups"]["PHILIPS"]
    points = metrics.points(judged.of(manufacturer="PHILIPS"))
    values = {name: figure["value"] for name, figure in philips["figures"].items()}
    assert values == {
        "accuracy": points["accuracy"],
        "sensitivity": points["operating_points"]["any_pneumonia"]["sensitivity"],
        "specificity": points["operating_points"]["any_pneumonia"]["specificity"],
        "macro_f1": points["macro_f1"],
        **{f"auc_{name}": points["auc"][name] for name in metrics.QUESTIONS},
    }
    normal = [film for film in judged.films if film.manufacturer == "PHILIPS" and film.label == "normal"]
    assert philips["figures"]["specificity"]["n"] == len(normal)
    for figure in philips["figures"].values():
        assert figure["ci95"][0] <= figure["value"] <= figure["ci95"][1]


def test_the_wilson_interval_is_the_published_one():
    # Newcombe, Stat Med 17 (1998) 857, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 to 0.1611.
    films = [JudgedFilm(str(n), "normal", str(n), "x", 8) for n in range(263)]
    accuracy = equity(answered(films, [n < 81 for n in range(263)]))["figures"]["accuracy"]
    assert (accuracy["right"], accuracy["n"]) == (81, 263)
    assert accuracy["wilson"] == [0.2553, 0.3662]
    assert equity(answered(films[:20], [False] * 20))["figures"]["accuracy"]["wilson"] == [0.0, 0.1611]


def test_a_machine_that_does_worse_is_found_and_no_other_group(found):
    assert found["by"]["manufacturer"]["reference"] == "SIEMENS"
    difference = found["by"]["manufacturer"]["groups"]["PHILIPS"]["difference"]
    assert difference["accuracy"]["p_holm"] < 0.01
    lower, upper = difference["accuracy"]["ci95"]
    assert lower < -0.35 < upper < 0
    rest = [
        row["p_holm"]
        for part, of in found["by"].items() if part != "manufacturer"
        for group in of["groups"].values() if group["difference"]
        for row in group["difference"].values() if row["p"] is not None
    ]  # fmt: skip
    assert min(rest) > 0.05
    assert found["tests"] == len(rest) + 3


def test_groups_are_in_their_order_and_those_of_nobody_knows_are_compared_with_none(found):
    ages = found["by"]["age"]["groups"]
    assert list(ages) == ["below 5", "5-18", "18-40", "40-65", "65-80", "80 or more", "unknown"]
    assert ages["unknown"]["figures"]["accuracy"]["n"] == 80
    assert ages["unknown"]["difference"] is None
    assert sum(group["n"] for group in ages.values()) == found["n"] == 800
    assert found["left_out"]["bmi"] == "no film says it"


def test_a_group_of_too_few_patients_has_a_number_and_no_figure():
    films = wards(np.random.default_rng(2), 200)
    few = [dataclasses.replace(film, sex="F" if n < 9 else "M") for n, film in enumerate(films)]
    found = equity(answered(few, [n % 5 > 0 for n in range(200)]))
    women = found["by"]["sex"]["groups"]["F"]
    assert women == {"n": 9, "patients": 9, "n_refused": 0, "figures": None, "difference": None}
    assert "sex: no figures with fewer than 10 patients: F (9)" in found["warnings"]


def test_a_figure_that_too_few_patients_tell_has_its_count_alone():
    labels = ["normal"] * 40 + ["bacterial"] * 9
    films = [JudgedFilm(str(n), label, str(n), "x", 8) for n, label in enumerate(labels)]
    figures = equity(answered(films, [True] * 49))["by"]["source"]["groups"]["x"]["figures"]
    assert figures["specificity"]["value"] == 1
    assert figures["sensitivity"] == {"value": None, "right": 9, "n": 9, "wilson": None, "ci95": None}
    assert figures["auc_normal_against_pneumonia"]["value"] is None


def test_ethnic_groups_of_the_made_up_hospital_are_rows_of_their_own_and_the_difference_is_found():
    rows = admissions.hospital(300, 13)
    random = np.random.default_rng(12)
    right = [random.random() < (0.55 if row["ethnicity"] == "Maori" else 0.9) for row in rows]
    spelled = {"Maori": ("Maori", "Māori", "21"), "Pacific": ("Pacific", "3", "Samoan")}
    films = [
        dataclasses.replace(film, ethnicity=spelled.get(film.ethnicity, (film.ethnicity,) * 3)[n % 3])
        for n, film in enumerate(admissions.films(rows))
    ]
    found = equity(answered(films, right))
    groups = found["by"]["ethnicity"]["groups"]
    assert list(groups) == ["Māori", "Pacific Peoples", "Asian", "European"]
    for name, written in (("Māori", "Maori"), ("Pacific Peoples", "Pacific")):
        assert groups[name]["n"] == sum(row["ethnicity"] == written for row in rows)
    assert found["by"]["ethnicity"]["reference"] != "Māori"
    assert groups["Māori"]["difference"]["accuracy"]["p_holm"] < 0.01
    others = [group["difference"] for name, group in groups.items() if name != "Māori"]
    assert min(of["accuracy"]["p_holm"] for of in others if of) > 0.05


def test_maori_and_pacific_people_have_rows_where_ethnicity_is_known_though_no_film_is_theirs():
    films = [dataclasses.replace(film, ethnicity="Asian") for film in wards(np.random.default_rng(3), 40)]
    groups = equity(answered(films, [True] * 40))["by"]["ethnicity"]["groups"]
    assert {name: group["n"] for name, group in groups.items()} == {
        "Māori": 0, "Pacific Peoples": 0, "Asian": 40,
    }  # fmt: skip


def test_films_that_were_refused_are_counted_in_their_group(judged):
    refused = ((judged.films[0], "ROTATED: found 90"), (judged.films[1], "BLANK: found nothing"))
    found = equity(dataclasses.replace(judged, refused=refused))
    groups = found["by"]["manufacturer"]["groups"].values()
    assert found["n_refused"] == sum(group["n_refused"] for group in groups) == 2


def test_without_a_difference_there_are_few_false_alarms_after_holm():
    random, runs = np.random.default_rng(4), 4
    alarms = 0
    for _ in range(runs):
        films = wards(random, 120, films_each=3)
        own = dict(zip(dict.fromkeys(film.group for film in films), random.beta(2, 0.3, 120), strict=True))
        found = equity(answered(films, [random.random() < own[film.group] for film in films]))
        groups = [group for of in found["by"].values() for group in of["groups"].values()]
        rows = [row for group in groups if group["difference"] for row in group["difference"].values()]
        alarms += any(row["p_holm"] is not None and row["p_holm"] < 0.05 for row in rows)
    assert alarms <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def test_p_is_below_a_level_no_more_often_than_the_level_where_groups_are_alike():
    # Few patients in one group, few errors, several films of each: what a normal approximation gets wrong.
    random, runs = np.random.default_rng(5), 150
    below = 0
    for _ in range(runs):
        films = random.integers(1, 6, 92)
        right = random.binomial(films, random.beta(3, 0.15, 92))
        totals = np.stack([films, right], axis=1)
        below += exchanged(totals[:12], totals[12:]) < 0.05
    assert below <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def of_patients(right, wrong, films=1):
    return np.array([(films, films)] * right + [(films, 0)] * wrong)


@pytest.mark.parametrize("counts", [(9, 3, 58, 2), (14, 6, 30, 4), (2, 10, 20, 30)])
def test_p_of_single_films_is_that_of_all_ways_to_part_them(counts):
    a, b, c, d = counts
    sizes, ways = (a + b, c + d), np.arange(0, a + b + 1)
    chances = stats.hypergeom.pmf(ways, a + b + c + d, a + c, a + b)
    apart = np.abs(ways / sizes[0] - (a + c - ways) / sizes[1])
    expected = chances[apart >= abs(a / sizes[0] - c / sizes[1]) - 1e-9].sum()
    found = exchanged(of_patients(a, b), of_patients(c, d))
    spread = np.sqrt(expected * (1 - expected) / table.EXCHANGES)
    assert found == pytest.approx(expected, abs=4 * spread + 2 / table.EXCHANGES)


def test_more_films_of_the_same_patients_make_no_difference_surer():
    single = exchanged(of_patients(14, 6), of_patients(30, 4))
    assert exchanged(of_patients(14, 6, 5), of_patients(30, 4, 5)) == single
    as_if_independent = exchanged(of_patients(70, 30), of_patients(150, 20))
    assert as_if_independent < 0.01 < single


words = st.sampled_from(["", "F", "unknown", "Māori", "Klingon"])
ages = st.one_of(st.none(), st.sampled_from([0.0, 4.9, 30.0, 80.0, 130.0, float("nan")]))


@given(
    st.lists(
        st.tuples(st.sampled_from(CLASSES), ages, words, words, st.integers(0, 30), st.booleans()),
        max_size=60,
    )
)
@settings(max_examples=25, deadline=None)
def test_no_films_however_odd_stop_it_and_every_film_is_in_one_group(rows):
    films = [
        JudgedFilm(str(n), label, str(patient), "x", 8, age=age, sex=sex, ethnicity=ethnicity)
        for n, (label, age, sex, ethnicity, patient, _) in enumerate(rows)
    ]
    found = equity(answered(films, [row[-1] for row in rows]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {*found["by"], *found["left_out"]} == set(table.PARTS)
    for of in found["by"].values():
        assert sum(group["n"] for group in of["groups"].values()) == len(rows)
