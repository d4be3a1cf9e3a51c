"""Figures by hand, and the draws of the bootstrap against scikit-learn."""

import numpy as np
import pytest
from readings import CASCADE, STEP1_LABELS, STEP2_LABELS
from sklearn.metrics import roc_auc_score

from model.evaluation import bootstrap, metrics
from model.evaluation.answers import CLASSES, Judged, forced_scores
from model.evaluation.evaluate import figures, report
from model.evaluation.films import JudgedFilm
from model.evaluation.redrawn import redrawn
from model.findings import Decision, Indeterminate, StepScores, decide


def judged(truth: list[str], step1: list, step2: list | None = None, **parts: list[str]) -> Judged:
    """Films of these labels with these scores, every second pair of one patient, thresholds 0.6."""
    step1 = np.array(step1, float)
    step2 = np.array(step2 if step2 is not None else [(0.3, 0.6, 0.1)] * len(truth), float)
    films, decisions = np.empty(len(truth), object), np.empty(len(truth), object)
    for i, label in enumerate(truth):
        source = parts["source"][i] if "source" in parts else "hospital"
        films[i] = JudgedFilm(f"{i}.png", label, f"patient {i // 2}", source, 8)
        first, second = StepScores(STEP1_LABELS, tuple(step1[i]), 0.6), tuple(step2[i])
        asked = first.leading == "viral"
        decisions[i] = decide(first, StepScores(STEP2_LABELS, second, 0.6) if asked else None)
    places = np.array([CLASSES.index(label) for label in truth])
    none = np.zeros((len(truth), 2))
    inside = np.where(step1[:, 0] < 0.5, np.linspace(0.1, 1, len(truth)), np.nan)
    return Judged(films, places, none, none, step1, step2, none, decisions, inside, (), 1.0, CASCADE)


# Said: normal, normal, COVID-19 (wrong, and below the threshold), COVID-19, bacterial, normal (wrong).
HAND = judged(
    ["normal", "normal", "normal", "covid19", "bacterial", "covid19"],
    [(0.9, 0.1, 0.0), (0.8, 0.1, 0.1), (0.3, 0.2, 0.5), (0.2, 0.2, 0.6), (0.1, 0.9, 0.0), (0.7, 0.1, 0.2)],
)


def random_films(n: int = 200) -> Judged:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, n)
    leaning = np.eye(3)[np.minimum(truth, 2)] * 2
    step1 = rng.dirichlet(np.ones(3), n) + leaning * rng.random((n, 1))
    step2 = rng.dirichlet(np.ones(3), n)
    return judged(
        [CLASSES[i] for i in truth], step1 / step1.sum(axis=1, keepdims=True), step2.round(2) / 1.02
    )


def test_the_forced_answer_is_made_from_what_each_step_can_tell():
    found = forced_scores(np.array([[0.3, 0.1, 0.6]]), np.array([[0.5, 0.4, 0.1]]), CASCADE)
    # Odds for viral: 1.5 of step 1, 1 of step 2.
    viral = 1.5**0.5 / (1 + 1.5**0.5)
    assert found[0] == pytest.approx(
        [(1 - viral) * 0.75, (1 - viral) * 0.25, viral * 0.2, viral * 0.8], abs=1e-6
    )
    nothing = forced_scores(np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]]), CASCADE)
    assert nothing[0] == pytest.approx([0.25] * 4)


def test_steps_that_agree_give_what_they_say():
    classes = np.array([[0.3, 0.2, 0.1, 0.4]])
    step1, step2 = np.array([[0.3, 0.2, 0.5]]), np.array([[0.5, 0.4, 0.1]])
    assert forced_scores(step1, step2, CASCADE) == pytest.approx(classes, abs=1e-6)


def test_the_figures_are_those_worked_by_hand():
    found = metrics.points(HAND)
    assert found["accuracy"] == 0.6667
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3, abs=1e-4)
    normal = found["per_class"]["normal"]
    assert (normal["precision"], normal["recall"], normal["f1"]) == (0.6667, 0.6667, 0.6667)
    assert normal["support"] == 3
    assert found["per_class"]["viral"]["recall"] is None
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3, abs=1e-4)
    assert found["accuracy_in_paper_mix"] is None  # no viral film
    # COVID-19's share of the two: normals 0, 0.33, 0.69; COVID-19s 0.76, 0.43: five of six pairs in order.
    assert found["auc"]["covid19_against_normal"] == 0.8333
    assert found["auc"]["bacterial_against_viral"] is None


def test_the_decision_is_judged_beside_the_forced_answer():
    found = metrics.points(HAND)
    assert metrics.counts(HAND)["n_indeterminate"] == 1
    assert found["coverage"] == 0.8333
    assert found["accuracy_of_answered"] == 0.8
    assert metrics.counts(HAND)["confusion"] == [[2, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert metrics.counts(HAND)["confusion_of_decisions"][0] == [2, 0, 0, 0, 1]
    point = found["operating_points"]["any_pneumonia"]
    assert (point["sensitivity"], point["specificity"]) == (0.6667, 1.0)


def test_the_papers_mix_weighs_the_recall_of_each_class():
    # The paper's own recalls give the paper's accuracy.
    recalls = np.array([0.89, 0.83, 0.82, 1.00])
    assert metrics.in_paper_mix(recalls) == pytest.approx(0.914, abs=1e-3)


def test_predictive_values_follow_bayes():
    # 1000 people, 10 % ill: 90 of 100 flagged, and 45 of 900.
    assert metrics.predictive_values(0.9, 0.95)["10 %"] == pytest.approx(90 / 135)
    assert np.isnan(metrics.predictive_values(0.0, 1.0)["1 %"])


def test_accuracy_at_a_coverage_is_that_of_the_surest():
    weights, right = np.ones((1, 4)), np.array([1.0, 1.0, 0.0, 0.0])
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    assert bootstrap.mean_of_surest(weights, right, sure, 0.5) == 1
    assert bootstrap.mean_of_surest(weights, right, sure, 0.75) == pytest.approx(2 / 3)


def test_where_every_film_counts_once_the_draws_give_the_figures_of_scikit_learn():
    def compare(point: dict, draws: dict) -> None:
        for name, values in draws.items():
            if isinstance(values, dict):
                compare(point[name], values)
            else:
                assert point[name] == pytest.approx(values[0], abs=1e-4), name

    films = random_films()
    compare(metrics.points(films), redrawn(films, np.ones((1, 200))))


def test_the_area_under_a_weighted_curve_is_that_of_the_repeated_films():
    rng = np.random.default_rng(4)
    positive, score = rng.random(60) < 0.4, rng.integers(0, 12, 60) / 12  # with ties
    weights = rng.integers(0, 4, (5, 60)).astype(float)
    for row, found in zip(weights, bootstrap.auc(weights, positive, score), strict=True):
        times = row.astype(int)
        assert found == pytest.approx(roc_auc_score(np.repeat(positive, times), np.repeat(score, times)))


def test_a_patient_is_drawn_with_all_of_its_films():
    weights = bootstrap.draw_weights(["a", "b", "a", "c"], draws=50)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert np.array_equal(weights, bootstrap.draw_weights(["a", "b", "a", "c"], draws=50))


def test_the_interval_of_a_share_is_near_the_textbooks():
    weights = bootstrap.draw_weights([str(i) for i in range(400)], draws=2000)
    right = (np.arange(400) < 360).astype(float)
    low, high = bootstrap.intervals({"accuracy": bootstrap.mean(weights, right)})["accuracy"]
    half = 1.96 * (0.9 * 0.1 / 400) ** 0.5
    assert (low, high) == (pytest.approx(0.9 - half, abs=0.005), pytest.approx(0.9 + half, abs=0.005))


def test_every_figure_lies_in_its_interval_and_each_source_has_its_own():
    films = random_films()
    found = report(films)
    low, high = found["ci95"]["macro_f1"]
    assert low < found["macro_f1"] < high
    assert found["by_source"]["hospital"]["accuracy"] == found["accuracy"]


def test_a_film_that_was_refused_is_counted_and_judged_no_further():
    refused = ((JudgedFilm("a.png", "normal", "a", "ward", 8), "BLANK: found nothing"),)
    films = Judged(**(vars(HAND) | {"refused": refused}))
    found = report(films)
    assert (found["n"], found["n_refused"], found["accuracy"]) == (7, 1, 0.6667)
    assert found["by_source"]["ward"]["n"] == 1
    assert "accuracy" not in found["by_source"]["ward"]
    assert found["refused"] == {"a.png": "BLANK: found nothing"}
    assert (found["refused_for"], found["by_source"]["hospital"]["refused_for"]) == ({"BLANK": 1}, {})
    assert figures(HAND)["n_refused"] == 0


def test_the_share_inside_the_lungs_is_of_the_films_that_point_at_a_place():
    decisions = HAND.decisions.copy()
    decisions[2] = Decision(Indeterminate.OUTSIDE_LUNGS)
    inside = np.array([np.nan, np.nan, 0.2, 0.9, 0.6, np.nan])
    found = figures(Judged(**(vars(HAND) | {"inside": inside, "decisions": decisions})))
    assert (found["outside_lungs"], found["inside_lungs"]) == (0.1667, 0.6)
    assert found["ci95"]["inside_lungs"] == [0.2, 0.6]  # the films at 0.2 and 0.9 are of one patient
    assert found["indeterminate"] == {"indeterminate: outside the lungs": 1}
    nowhere = figures(Judged(**(vars(HAND) | {"inside": np.full(6, np.nan)})))
    assert nowhere["inside_lungs"] is nowhere["ci95"]["inside_lungs"] is None


def test_a_quantile_of_a_draw_counts_each_film_by_its_weight():
    values = np.array([0.3, np.nan, 0.1, 0.2])
    weights = np.array([[1, 1, 1, 1], [0, 5, 3, 1], [4, 0, 1, 0], [0, 2, 0, 0]], float)
    assert bootstrap.quantile(weights, values, 0.5)[:3].tolist() == [0.2, 0.1, 0.3]
    assert np.isnan(bootstrap.quantile(weights, values, 0.5)[3])
