"""The decision of the cascade, and which of several reasons to say nothing is given."""

import pytest

from model.findings import STEP1_LABELS, STEP2_LABELS, Decision, StepScores, decide

NORMAL, VIRAL, WEAKLY_VIRAL = (0.9, 0.1, 0.0), (0.1, 0.1, 0.8), (0.3, 0.2, 0.5)
NOT_VIRAL, COVID, WEAKLY_COVID = (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.3, 0.5, 0.2)


@pytest.mark.parametrize(
    "step1, step2, unlike, decision",
    [
        (NORMAL, None, False, Decision.NORMAL),
        (VIRAL, COVID, False, Decision.COVID19),
        (VIRAL, WEAKLY_COVID, False, Decision.VIRAL),
        (VIRAL, NOT_VIRAL, False, Decision.STEPS_DISAGREE),
        (WEAKLY_VIRAL, COVID, False, Decision.BELOW_THRESHOLD),
        (WEAKLY_VIRAL, NOT_VIRAL, False, Decision.STEPS_DISAGREE),
        (WEAKLY_VIRAL, NOT_VIRAL, True, Decision.UNLIKE_TRAINING),
        (NORMAL, None, True, Decision.UNLIKE_TRAINING),
    ],
)
def test_the_first_reason_that_holds_is_the_decision(step1, step2, unlike, decision):
    second = StepScores(STEP2_LABELS, step2, 0.6) if step2 else None
    assert decide(StepScores(STEP1_LABELS, step1, 0.6), second, unlike_training=unlike) is decision


@pytest.mark.parametrize("unlike", [False, True])
@pytest.mark.parametrize(("step1", "step2"), [(VIRAL, COVID), (WEAKLY_VIRAL, NOT_VIRAL), (NORMAL, None)])
def test_what_points_outside_the_lungs_is_not_decided_whatever_else_holds(step1, step2, unlike):
    first, second = StepScores(STEP1_LABELS, step1, 0.6), step2 and StepScores(STEP2_LABELS, step2, 0.6)
    decision = decide(first, second, outside_lungs=True, unlike_training=unlike)
    assert decision is Decision.OUTSIDE_LUNGS


def test_only_the_reasons_to_say_nothing_are_indeterminate():
    silent = {decision for decision in Decision if decision.indeterminate}
    assert silent == {
        Decision.BELOW_THRESHOLD,
        Decision.STEPS_DISAGREE,
        Decision.OUTSIDE_LUNGS,
        Decision.UNLIKE_TRAINING,
    }
