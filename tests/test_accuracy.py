"""Accuracy parameters against scikit-learn, statsmodels, published examples and sums done by hand."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binom
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint
from test_metrics import judged, random_films

from model.evaluation import bootstrap
from model.evaluation.answers import CLASSES
from model.study import curves, rates
from model.study.accuracy import PREVALENCES, accuracy
from model.study.intervals import Family, at_prevalence
from model.study.questions import questions

RECIPE = {
    "step1": {"labels": {"normal": ["normal"], "bacterial": ["bacterial"], "viral": ["viral", "covid19"]}},
    "step2": {
        "after": "viral",
        "labels": {"not viral": ["normal", "bacterial"], "COVID-19": ["covid19"], "other virus": ["viral"]},
    },
}
FILMS = random_films()
FOUND = accuracy(FILMS, RECIPE)
MATRICES = st.integers(2, 5).flatmap(lambda k: arrays.arrays(int, (k, k), elements=st.integers(0, 40)))


def answers(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and answer of every film of a confusion matrix."""
    true, said = np.indices(confusion.shape)
    return np.repeat(true.ravel(), confusion.ravel()), np.repeat(said.ravel(), confusion.ravel())


@pytest.mark.parametrize(
    ("part", "whole", "wilson", "clopper_pearson"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_intervals_of_shares_are_those_that_newcombe_published(part, whole, wilson, clopper_pearson):
    # R. G. Newcombe, Stat Med 1998; 17: 857-872, table I, methods 3 and 5.
    found = Family(1).of(part, whole)
    assert found["wilson"] == pytest.approx(wilson, abs=5e-5)
    assert found["clopper_pearson"] == pytest.approx(clopper_pearson, abs=5e-5)


def test_every_share_has_the_intervals_of_its_family():
    told = FOUND["intervals"]
    # Five shares of each of 4 + 3 + 3 labels, and the accuracy of each of three questions.
    assert told["comparisons"] == 5 * 10 + 3
    assert told["level_of_each"] == pytest.approx(1 - 0.05 / 53)
    shares = list(all_shares(FOUND["questions"]))
    assert len(shares) == told["comparisons"] + 2 * 10  # precision and recall are no shares of their own
    for share in shares:
        assert share["value"] == pytest.approx(share["part"] / share["whole"], abs=5e-5)
        for name, method in (("wilson", "wilson"), ("clopper_pearson", "beta")):
            limits = proportion_confint(share["part"], share["whole"], 0.05 / 53, method)
            assert share[name] == pytest.approx(limits, abs=5e-5)
        assert share["bootstrap"][0] <= share["value"] <= share["bootstrap"][1]


def all_shares(found):
    if isinstance(found, list):
        for value in found:
            yield from all_shares(value)
    elif isinstance(found, dict):
        if "whole" in found:
            yield found
        else:
            for value in found.values():
                yield from all_shares(value)


@pytest.mark.parametrize("true", [0.5, 0.8, 0.97])
def test_intervals_of_a_family_hold_all_at_once(true):
    """The chance that Clopper and Pearson's intervals of 20 shares hold what is true, summed exactly."""
    whole, family = 60, Family(20)
    limits = [family.of(part, whole)["clopper_pearson"] for part in range(whole + 1)]
    holds = [low <= true <= high for low, high in limits]
    each = binom.pmf(range(whole + 1), whole, true)[holds].sum()
    assert each**20 >= 0.95
    alone = [Family(1).of(part, whole)["clopper_pearson"] for part in range(whole + 1)]
    each = binom.pmf(range(whole + 1), whole, true)[[low <= true <= high for low, high in alone]].sum()
    assert each**20 < 0.95  # without the correction they do not


def test_figures_of_every_question_are_those_of_scikit_learn():
    for name, question in questions(FILMS, RECIPE).items():
        found, labels = FOUND["questions"][name], list(question.labels)
        report = sk.classification_report(
            question.truth, question.said, labels=range(len(labels)), target_names=labels, output_dict=True,
            zero_division=np.nan,
        )  # fmt: skip
        assert found["confusion"] == sk.confusion_matrix(question.truth, question.said).tolist()
        assert found["accuracy"]["value"] == pytest.approx(report["accuracy"], abs=5e-5)
        for mean in ("macro", "weighted"):
            for figure, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                assert found[mean][figure]["value"] == pytest.approx(report[f"{mean} avg"][theirs], abs=5e-5)
        for i, label in enumerate(labels):
            of_label, positive = found["per_label"][label], question.truth == i
            tn, fp, fn, tp = sk.confusion_matrix(positive, question.said == i).ravel()
            counted = {"tp": tp, "fp": fp, "tn": tn, "fn": fn, "support": tp + fn}
            assert {cell: of_label[cell] for cell in counted} == counted
            assert of_label["precision"]["value"] == pytest.approx(report[label]["precision"], abs=5e-5)
            assert of_label["recall"]["value"] == pytest.approx(report[label]["recall"], abs=5e-5)
            assert of_label["f1"]["value"] == pytest.approx(report[label]["f1-score"], abs=5e-5)
            assert of_label["specificity"]["value"] == pytest.approx(tn / (tn + fp), abs=5e-5)
            assert of_label["npv"]["value"] == pytest.approx(tn / (tn + fn), abs=5e-5)
            score = question.scores[:, i]
            assert of_label["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(positive, score), abs=5e-5)
            assert of_label["average_precision"]["value"] == pytest.approx(
                sk.average_precision_score(positive, score), abs=5e-5
            )


def test_steps_are_asked_of_the_films_that_the_cascade_asks_them_of():
    asked = questions(FILMS, RECIPE)
    viral = FILMS.step1.argmax(axis=1) == 2
    assert asked["step1"].labels == ("normal", "bacterial", "viral")
    assert list(asked["step1"].truth) == [min(truth, 2) for truth in FILMS.truth]
    assert np.array_equal(asked["step2"].scores, FILMS.step2[viral])
    mapped = {"normal": 0, "bacterial": 0, "covid19": 1, "viral": 2}
    assert list(asked["step2"].truth) == [mapped[CLASSES[truth]] for truth in FILMS.truth[viral]]
    assert asked["step2"].groups == tuple(film.group for film in FILMS.films[viral])


@pytest.mark.parametrize(
    ("viral", "found"), [(["covid19"], "found 0 labels"), (["viral", "covid19", "normal"], "found 2 labels")]
)
def test_a_class_must_have_one_label_in_each_step(viral, found):
    labels = RECIPE["step1"]["labels"] | {"viral": viral}
    with pytest.raises(
        ValueError, match=rf"\[step1.labels\]: {found} for films of (viral|normal), expected one"
    ):
        accuracy(FILMS, RECIPE | {"step1": {"labels": labels}})


def test_what_the_films_cannot_tell_is_none_and_json_can_hold_it():
    films = judged(["normal", "normal", "bacterial"], [(0.9, 0.1, 0.0), (0.2, 0.8, 0.0), (0.3, 0.7, 0.0)])
    found = accuracy(films, RECIPE)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    step2 = found["questions"]["step2"]  # no film is called viral
    assert (step2["films"], step2["patients"], step2["confusion"]) == (0, 0, [[0] * 3] * 3)
    nothing = {"value": None, "bootstrap": None}
    assert step2["accuracy"] == nothing | {"part": 0, "whole": 0, "wilson": None, "clopper_pearson": None}
    assert step2["calibration"] == {"reliability": [], "ece": nothing, "brier": nothing}
    covid19 = found["questions"]["classes"]["per_label"]["covid19"]
    assert (covid19["sensitivity"]["value"], covid19["roc"], covid19["roc_auc"]) == (None, None, nothing)
    assert covid19["specificity"]["value"] == 1
    assert covid19["at_prevalence"][0]["ppv"] == nothing | {"wilson": None, "clopper_pearson": None}


@given(MATRICES)
def test_recall_weighted_by_support_is_accuracy(confusion):
    rate = rates.of_labels(confusion)["recall"]
    weighted = rates.weighted(rate, confusion.sum(axis=1))
    if confusion.sum():
        assert weighted == pytest.approx(np.trace(confusion) / confusion.sum())
    else:
        assert np.isnan(weighted)


@given(MATRICES)
def test_cells_add_up_and_means_lie_between_the_labels(confusion):
    cells = rates.cells(confusion)
    assert (sum(cells.values()) == confusion.sum()).all()
    assert cells["fp"].sum() == cells["fn"].sum()  # one film's wrong answer is both
    for rate in rates.of_labels(confusion).values():
        known = rate[np.isfinite(rate)]
        if len(known):
            assert rates.macro(rate) == pytest.approx(known.mean())
            assert known.min() - 1e-12 <= rates.macro(rate) <= known.max() + 1e-12
        else:
            assert np.isnan(rates.macro(rate))


@given(MATRICES)
def test_where_every_film_counts_once_a_draw_is_the_confusion_matrix_itself(confusion):
    truth, said = answers(confusion)
    drawn = bootstrap.confusion(np.ones((1, len(truth))), truth, said, len(confusion))
    assert np.array_equal(drawn[0], confusion)


def test_a_draw_of_the_area_below_precision_and_recall_is_that_of_the_repeated_films():
    rng = np.random.default_rng(6)
    positive, score = rng.random(80) < 0.3, rng.integers(0, 9, 80) / 9  # with ties
    weights = rng.integers(0, 4, (6, 80)).astype(float)
    for row, found in zip(weights, curves.average_precision(weights, positive, score), strict=True):
        times = row.astype(int)
        repeated = np.repeat(positive, times), np.repeat(score, times)
        assert found == pytest.approx(sk.average_precision_score(*repeated))
    one_kind = np.where(positive, 0.0, 1.0)[np.newaxis]
    assert np.isnan(curves.average_precision(one_kind, positive, score)).all()


def test_curves_end_where_all_and_none_are_found():
    for label in FOUND["questions"]["classes"]["per_label"].values():
        roc, recalled = label["roc"], label["precision_recall"]
        assert (roc["false_positive_rate"][0], roc["true_positive_rate"][0], roc["threshold"][0]) == (
            0,
            0,
            None,
        )
        assert (roc["false_positive_rate"][-1], roc["true_positive_rate"][-1]) == (1, 1)
        assert (recalled["recall"][-1], recalled["threshold"][-1]) == (0, None)
        assert len({len(column) for column in roc.values()}) == 1
        assert len({len(column) for column in recalled.values()}) == 1
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert label["roc_auc"]["value"] == pytest.approx(area, abs=1e-3)  # corners have four digits


def test_predictive_values_at_a_prevalence_follow_bayes():
    # 1000 people, 10 % ill: 90 of 100 flagged, and 45 of 900; cleared 855, and 10 that are ill.
    family = Family(1)
    share = {"value": 0.9, **family.of(90, 100)}, {"value": 0.95, **family.of(855, 900)}
    found = at_prevalence(*share, 0.1)
    assert found["ppv"]["value"] == pytest.approx(90 / 135)
    assert found["npv"]["value"] == pytest.approx(855 / 865)


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from(PREVALENCES))
def test_predictive_values_lie_between_their_limits(hit, cleared, prevalence):
    family = Family(10)
    shares = [{"value": part / 50, **family.of(part, 50)} for part in (hit, cleared)]
    for figure in at_prevalence(*shares, prevalence).values():
        if np.isnan(figure["value"]):
            assert (figure["wilson"], figure["clopper_pearson"]) == (None, None)
            continue
        for method in ("wilson", "clopper_pearson"):
            low, high = figure[method]
            assert low - 1e-9 <= figure["value"] <= high + 1e-9


def test_predictive_values_are_told_at_the_prevalences_asked_for():
    for label in FOUND["questions"]["step1"]["per_label"].values():
        rows = label["at_prevalence"]
        assert [row["prevalence"] for row in rows] == [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
        ppv, npv = ([row[name]["value"] for row in rows] for name in ("ppv", "npv"))
        assert ppv == sorted(ppv)
        assert npv == sorted(npv, reverse=True)


def test_net_benefit_by_hand():
    # 10 films, 4 ill. From 0.2 on, 3 ill and 2 others are treated: (3 - 2 * 0.25) / 10.
    positive = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    score = np.array([0.9, 0.6, 0.2, 0.1, 0.7, 0.2, 0.1, 0.1, 0.0, 0.0])
    found = curves.decision_curve(np.ones((2, 10)), positive, score)
    place = list(found["threshold"]).index(0.2)
    assert found["net_benefit"][place] == pytest.approx(0.25)
    # To treat all: 0.4 less 0.6 * 0.25; at a threshold that is the prevalence it does no good.
    assert found["treat_all"][place] == pytest.approx(0.25)
    assert found["treat_all"][list(found["threshold"]).index(0.4)] == pytest.approx(0)
    assert found["prevalence"] == pytest.approx(0.4)
    assert found["bootstrap"][place] == [0.25, 0.25]


@given(arrays.arrays(bool, 30), arrays.arrays(float, 30, elements=st.floats(0, 1)))
def test_net_benefit_lies_between_that_of_perfect_and_of_needless_treatment(positive, score):
    once = np.ones((1, 30))
    net = curves.net_benefit(once, positive, score)[0]
    odds = curves.THRESHOLDS / (1 - curves.THRESHOLDS)
    assert (net <= positive.mean() + 1e-12).all()
    assert (net >= -(~positive).mean() * odds - 1e-9).all()
    perfect = curves.net_benefit(once, positive, positive.astype(float))[0]
    assert perfect == pytest.approx(np.full(99, positive.mean()))


def test_decision_curves_treat_every_label_but_the_first():
    found = FOUND["questions"]["classes"]["decision_curves"]
    assert [curve["labels"] for curve in found] == [list(CLASSES[1:]), *([label] for label in CLASSES[1:])]
    assert found[0]["prevalence"] == pytest.approx((FILMS.truth > 0).mean(), abs=5e-5)


def test_films_of_one_patient_make_the_bootstraps_intervals_no_narrower():
    """Each film four times: Wilson's interval narrows, that of patients stays."""
    four = np.repeat(np.arange(len(FILMS.truth)), 4)
    arrays_of = ("films", "truth", "logits1", "logits2", "step1", "step2", "features", "decisions", "inside")
    repeated = replace(FILMS, **{name: getattr(FILMS, name)[four] for name in arrays_of})
    found, once = (one["questions"]["classes"]["accuracy"] for one in (accuracy(repeated, RECIPE), FOUND))
    assert found["value"] == once["value"]
    assert found["bootstrap"] == once["bootstrap"]
    assert np.ptp(found["wilson"]) < 0.6 * np.ptp(once["wilson"])


@pytest.mark.parametrize("name", ["gao-2020", "gao-2020-small", "firstread-1"])
def test_the_steps_of_every_version_are_understood(name):
    path = Path(__file__).parents[1] / "model" / "versions" / name / "model.toml"
    asked = questions(FILMS, tomllib.loads(path.read_text(encoding="utf-8")))
    assert np.array_equal(asked["step2"].truth, questions(FILMS, RECIPE)["step2"].truth)
