"""Two versions compared: against the definitions, published examples and SciPy."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score
from test_evaluate import collection  # noqa: F401  a fixture
from test_evaluate import evaluate as run_evaluate
from test_metrics import random_films

from daemon import cli_evaluate
from daemon.cli import main
from model.evaluation.answers import CLASSES
from model.study.comparison import NoCommonFilms, compare
from model.study.delong import paired_areas, placements

FILMS = random_films()
SCORES = arrays.arrays(int, 24, elements=st.integers(0, 6))


def worse(share: float):
    """The same films with scores that lean less to what is right."""
    other = np.roll(FILMS.step1, 7, axis=0)
    return replace(FILMS, step1=share * FILMS.step1 + (1 - share) * other)


def of_pairs(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """1, 1/2 or 0 for every pair of a positive and a negative, as DeLong et al. define it."""
    ill, well = score[positive][:, np.newaxis], score[~positive][np.newaxis]
    return (ill > well) + (ill == well) / 2


def by_definition(
    positive: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Areas and their covariance, equations 4 to 6 of DeLong et al. 1988."""
    pairs = [of_pairs(positive, score) for score in (first, second)]
    v10 = np.array([pair.mean(axis=1) for pair in pairs])
    v01 = np.array([pair.mean(axis=0) for pair in pairs])
    return v10.mean(axis=1), np.cov(v10) / positive.sum() + np.cov(v01) / (~positive).sum()


@given(SCORES, SCORES, arrays.arrays(bool, 24))
def test_areas_and_variance_are_those_of_the_definition(first, second, positive):
    found = paired_areas(positive, first, second)
    if min(positive.sum(), (~positive).sum()) < 2:
        assert found is None
        return
    areas, covariance = by_definition(positive, first, second)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if found is None:
        assert variance == pytest.approx(0, abs=1e-12)
        return
    assert (found.first, found.second) == pytest.approx(tuple(areas))
    assert found.variance == pytest.approx(variance, abs=1e-12)
    assert found.first == pytest.approx(roc_auc_score(positive, first))


@given(SCORES, arrays.arrays(bool, 24))
def test_placements_are_shares_of_pairs(score, positive):
    if not positive.any() or positive.all():
        return
    pairs = of_pairs(positive, score)
    of_ill, of_well = placements(positive, score)
    assert of_ill == pytest.approx(pairs.mean(axis=1))
    assert of_well == pytest.approx(pairs.mean(axis=0))


def test_area_of_hanley_and_mcneil_has_its_published_interval():
    # 109 CT images rated 1 to 5, J. A. Hanley and B. J. McNeil, Radiology 1982; 143: 29-36, table II. Stata's
    # manual (roctab) gives DeLong's standard error 0.0307 and the interval 0.83295 to 0.95339.
    well, ill = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    rating = np.concatenate([np.repeat(range(1, 6), well), np.repeat(range(1, 6), ill)])
    positive = np.repeat([False, True], [sum(well), sum(ill)])
    found = paired_areas(positive, rating, np.zeros(109))  # against chance, whose area is known to be 0.5
    assert found.first == pytest.approx(0.8932, abs=5e-5)
    assert found.variance**0.5 == pytest.approx(0.0307, abs=5e-5)
    assert [0.5 + limit for limit in found.interval(0.05)] == pytest.approx([0.83295, 0.95339], abs=5e-6)


def test_equal_areas_are_seldom_found_to_differ():
    """Of 600 pairs of scores that are alike about 5 % have p below 0.05."""
    rng = np.random.default_rng(9)
    few = 0
    for _ in range(600):
        positive = np.arange(120) < 50
        truth = rng.normal(positive * 1.0)
        first, second = (truth + rng.normal(size=120) for _ in range(2))
        few += paired_areas(positive, first, second).p < 0.05
    assert few / 600 == pytest.approx(0.05, abs=3.3 * math.sqrt(0.05 * 0.95 / 600))


def test_the_comparison_says_what_its_parts_are():
    other = worse(0.6)
    found = compare(FILMS, other)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["films"], found["patients"], found["left_out"]) == (200, 100, {"first": 0, "second": 0})
    assert found["tests"]["comparisons"] == 5
    assert found["tests"]["level_of_each"] == pytest.approx(0.99)
    answers = found["accuracy"]
    right, also = (one.scores.argmax(axis=1) == one.truth for one in (FILMS, other))
    assert (answers["both_right"], answers["both_wrong"]) == ((right & also).sum(), (~right & ~also).sum())
    assert (answers["first_only"], answers["second_only"]) == ((right & ~also).sum(), (~right & also).sum())
    assert answers["difference"] == pytest.approx(right.mean() - also.mean(), abs=5e-5)
    # McNemar's exact test is a binomial test of the films that one of them alone answers rightly.
    alone = answers["first_only"], answers["second_only"]
    assert answers["p"] == pytest.approx(binomtest(alone[0], sum(alone)).pvalue, rel=1e-3)
    for i, label in enumerate(CLASSES):
        area, positive = found["roc_auc"][label], FILMS.truth == i
        areas, covariance = by_definition(positive, FILMS.scores[:, i], other.scores[:, i])
        error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        assert (area["first"], area["second"]) == pytest.approx(tuple(areas), abs=5e-5)
        assert area["z"] == pytest.approx((areas[0] - areas[1]) / error, abs=5e-5)
        assert area["p"] == pytest.approx(2 * norm.sf(abs(areas[0] - areas[1]) / error), rel=1e-3)
        half = 2.5758 * error  # the normal distribution's 0.995 quantile
        assert area["ci"] == pytest.approx([area["difference"] - half, area["difference"] + half], abs=2e-4)
        assert area["bootstrap"][0] <= area["difference"] <= area["bootstrap"][1]


def test_p_values_are_adjusted_together_by_holm():
    found = compare(FILMS, worse(0.9))
    tests = sorted([found["accuracy"], *found["roc_auc"].values()], key=lambda test: test["p"])
    largest = 0.0
    for place, test in enumerate(tests):
        largest = min(1.0, max(largest, (len(tests) - place) * test["p"]))
        assert test["p_adjusted"] == pytest.approx(largest, rel=2e-3)


def test_the_second_before_the_first_turns_the_signs():
    other = worse(0.6)
    found, turned = compare(FILMS, other), compare(other, FILMS)
    assert turned["accuracy"]["difference"] == -found["accuracy"]["difference"]
    assert turned["accuracy"]["p"] == found["accuracy"]["p"]
    for label, area in found["roc_auc"].items():
        assert turned["roc_auc"][label]["z"] == pytest.approx(-area["z"])
        assert turned["roc_auc"][label]["p"] == area["p"]


def test_a_version_does_not_differ_from_itself():
    found = compare(FILMS, FILMS)
    answers = found["accuracy"]
    assert (answers["difference"], answers["bootstrap"], answers["p"]) == (0, [0, 0], 1)
    for area in found["roc_auc"].values():
        assert (area["difference"], area["bootstrap"]) == (0, [0, 0])
        assert (area["z"], area["p"], area["p_adjusted"], area["ci"]) == (None,) * 4  # nothing to test by


def test_films_that_one_alone_read_are_left_out_and_counted():
    names = [film.file for film in FILMS.films]
    first, second = (
        FILMS.by(lambda film: film.file not in names[:3]),
        FILMS.by(lambda film: film.file != names[9]),
    )
    found = compare(first, second)
    assert (found["films"], found["left_out"]) == (196, {"first": 1, "second": 3})
    with pytest.raises(NoCommonFilms, match="no film that both versions read"):
        compare(FILMS.of(file=names[0]), FILMS.of(file=names[1]))
    with pytest.raises(ValueError, match="another order or with another label"):
        compare(FILMS, replace(FILMS, films=FILMS.films[::-1]))


def test_two_versions_are_compared_at_the_terminal(collection, capsys):  # noqa: F811
    assert run_evaluate(collection, "--against", "gao-2020-small", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["first"]["model"], found["second"]["model"]) == ("gao-2020", "gao-2020-small")
    assert found["films"] == 3  # one is blank
    cli_evaluate.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gao-2020 ")
    assert lines[0].endswith("3 films of 3 patients read by both")
    assert any("accuracy (McNemar)" in line for line in lines)
    assert any("AUC viral (DeLong)" in line and line.split()[-1] == "-" for line in lines)  # no such film
    assert lines[-1] == "p adjusted for 5 comparisons by Holm's method"


def test_a_comparison_is_of_versions(collection, capsys):  # noqa: F811
    assert run_evaluate(collection, "--against", "gao-2020-small", "--card") == 2
    manifest = str(collection / "manifest.csv")
    both = ["evaluate", "--lungs", "--manifest", manifest, "--root", str(collection), "--against", "gao-2020"]
    assert main(both) == 2
    assert capsys.readouterr().err.count("--against compares versions") == 2
