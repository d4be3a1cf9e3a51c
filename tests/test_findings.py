"""The decision of the cascade, and which of several reasons to say nothing is given."""

import dataclasses
import pickle

import numpy as np
import pytest
from readings import STEP1_LABELS, STEP2_LABELS, covid

from model.findings import Decision, Indeterminate, StepScores, decide

NORMAL, VIRAL, WEAKLY_VIRAL = (0.9, 0.1, 0.0), (0.1, 0.1, 0.8), (0.3, 0.2, 0.5)
NOT_VIRAL, COVID, WEAKLY_COVID = (0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.3, 0.5, 0.2)


@pytest.mark.parametrize(
    "step1, step2, reasons, decision",
    [
        (NORMAL, None, {}, "normal"),
        (VIRAL, COVID, {}, "COVID-19"),
        (VIRAL, WEAKLY_COVID, {}, "viral"),
        (VIRAL, NOT_VIRAL, {}, Indeterminate.STEPS_DISAGREE),
        (WEAKLY_VIRAL, COVID, {}, Indeterminate.BELOW_THRESHOLD),
        (WEAKLY_VIRAL, NOT_VIRAL, {}, Indeterminate.STEPS_DISAGREE),
        (WEAKLY_VIRAL, NOT_VIRAL, {"unlike_training": True}, Indeterminate.UNLIKE_TRAINING),
        (NORMAL, None, {"unlike_training": True}, Indeterminate.UNLIKE_TRAINING),
        (VIRAL, COVID, {"outside_lungs": True}, Indeterminate.OUTSIDE_LUNGS),
        (
            WEAKLY_VIRAL,
            NOT_VIRAL,
            {"outside_lungs": True, "unlike_training": True},
            Indeterminate.OUTSIDE_LUNGS,
        ),
    ],
)
def test_the_first_reason_that_holds_is_the_decision(step1, step2, reasons, decision):
    second = StepScores(STEP2_LABELS, step2, 0.6) if step2 else None
    assert decide(StepScores(STEP1_LABELS, step1, 0.6), second, **reasons) == decision


def test_only_the_reasons_to_say_nothing_are_indeterminate():
    assert all(Decision(reason).indeterminate for reason in Indeterminate)
    assert not any(Decision(label).indeterminate for label in (*STEP1_LABELS, *STEP2_LABELS))
    assert str(Decision(Indeterminate.OUTSIDE_LUNGS)) == "indeterminate: outside the lungs"


def test_a_reading_comes_out_of_its_pickle_as_it_was():
    reading = covid()
    pickled = pickle.dumps(reading)
    again = pickle.loads(pickled)
    assert len(pickled) < reading.lungs.nbytes
    for field in dataclasses.fields(reading):
        was, found = getattr(reading, field.name), getattr(again, field.name)
        assert np.array_equal(was, found) if isinstance(was, np.ndarray) else was == found
