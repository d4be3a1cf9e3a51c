"""The decision of the cascade, and which of several reasons to say nothing is given."""

import pytest

from model.findings import STEP1_LABELS, STEP2_LABELS, Decision, StepScores, decide

NORMAL, VIRAL, WEAKLY_VIRAL = (0.9, 0.1, 0.0), (0.1, 0.1, 0.8), (0.3, 0.2, 0.5)
NOT_VIRAL, COVID, WEAKLY_COVID = (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.3, 0.5, 0.2)


@pytest.mark.parametrize(
    "step1, step2, reasons, decision",
    [
        (NORMAL, None, {}, Decision.NORMAL),
        (VIRAL, COVID, {}, Decision.COVID19),
        (VIRAL, WEAKLY_COVID, {}, Decision.VIRAL),
        (VIRAL, NOT_VIRAL, {}, Decision.STEPS_DISAGREE),
        (WEAKLY_VIRAL, COVID, {}, Decision.BELOW_THRESHOLD),
        (WEAKLY_VIRAL, NOT_VIRAL, {}, Decision.STEPS_DISAGREE),
        (WEAKLY_VIRAL, NOT_VIRAL, {"unlike_training": True}, Decision.UNLIKE_TRAINING),
        (NORMAL, None, {"unlike_training": True}, Decision.UNLIKE_TRAINING),
        (VIRAL, COVID, {"outside_lungs": True}, Decision.OUTSIDE_LUNGS),
        (WEAKLY_VIRAL, NOT_VIRAL, {"outside_lungs": True, "unlike_training": True}, Decision.OUTSIDE_LUNGS),
    ],
)
def test_the_first_reason_that_holds_is_the_decision(step1, step2, reasons, decision):
    second = StepScores(STEP2_LABELS, step2, 0.6) if step2 else None
    assert decide(StepScores(STEP1_LABELS, step1, 0.6), second, **reasons) is decision


def test_only_the_reasons_to_say_nothing_are_indeterminate():
    silent = {decision for decision in Decision if decision.indeterminate}
    assert silent == {
        Decision.BELOW_THRESHOLD,
        Decision.STEPS_DISAGREE,
        Decision.UNLIKE_TRAINING,
        Decision.OUTSIDE_LUNGS,
    }
