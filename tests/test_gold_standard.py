"""The gold standard: worked cases, and what holds in every admission that can be made up."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.study.aetiology import Aetiology, Origin
from model.study.gold_standard import Admission, Examination, Rule, judge
from model.study.icd10 import CodeSet, NotACode

AETIOLOGY = Aetiology(
    {"bacterial": ["streptococcus", "haemophilus"], "viral": ["influenza"], "covid19": ["sars-cov-2"]},
    {"bacterial": CodeSet(["J13-J15"]), "viral": CodeSet(["J12"]), "covid19": CodeSet(["U07.1"])},
)
DAY = datetime.datetime(2026, 3, 1, 8, tzinfo=datetime.UTC)


def admission(shown, codes=(), findings=()):
    films = tuple(
        Examination(f"1.2.{place}", DAY + datetime.timedelta(days=place), "standing", True, shows)
        for place, shows in enumerate(shown)
    )
    return Admission("P", "A", films, tuple(codes), tuple(findings), {})


def rules(shown, is_coded):
    return [truth.rule for truth in judge(admission(shown), is_coded, AETIOLOGY)]


# A film that shows pneumonia is 1. What each counts as follows from the rules of the plan, worked by hand.
CODED = {
    "1": [Rule.READ_AND_CODED],
    "0": [Rule.NO_OTHER_FILM_SHOWS_IT],
    "00": [Rule.NO_OTHER_FILM_SHOWS_IT] * 2,
    "10": [Rule.READ_AND_CODED, Rule.OTHER_FILM_SHOWS_IT],
    "01": [Rule.OTHER_FILM_SHOWS_IT, Rule.READ_AND_CODED],
    "101": [Rule.READ_AND_CODED, Rule.BETWEEN_TWO_THAT_SHOW_IT, Rule.READ_AND_CODED],
    "010": [Rule.OTHER_FILM_SHOWS_IT, Rule.READ_AND_CODED, Rule.OTHER_FILM_SHOWS_IT],
    "1001": [Rule.READ_AND_CODED, Rule.OTHER_FILM_SHOWS_IT, Rule.OTHER_FILM_SHOWS_IT, Rule.READ_AND_CODED],
}


@pytest.mark.parametrize("shown", CODED)
def test_worked_cases_of_coded_admissions(shown):
    assert rules([digit == "1" for digit in shown], True) == CODED[shown]


@pytest.mark.parametrize("shown", CODED)
def test_without_a_code_no_film_counts_as_pneumonia(shown):
    truths = judge(admission([digit == "1" for digit in shown]), False, AETIOLOGY)
    assert [truth.label for truth in truths] == ["normal"] * len(shown)
    assert [truth.rule for truth in truths] == [
        Rule.READ_NOT_CODED if digit == "1" else Rule.NEITHER for digit in shown
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_film_read_as_none_in_a_coded_admission_counts_as_none_only_by_both_conditions(shown):
    truths = judge(admission(shown), True, AETIOLOGY)
    for place, truth in enumerate(truths):
        others = shown[:place] + shown[place + 1 :]
        around = [*([shown[place - 1]] if place else []), *shown[place + 1 : place + 2]]
        is_flanked = len(around) == 2 and all(around)
        assert truth.is_pneumonia == (shown[place] or not any(others) or is_flanked)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.booleans())
def test_time_turned_round_changes_no_decision(shown, is_coded):
    assert rules(shown[::-1], is_coded) == rules(shown, is_coded)[::-1]


@pytest.mark.parametrize(
    ("findings", "codes", "label", "origin"),
    [
        (["Streptococcus pneumoniae"], ["U07.1"], "bacterial", Origin.MICROBIOLOGY),
        (["Haemophilus influenzae"], [], "bacterial", Origin.MICROBIOLOGY),
        (["influenza A virus", "SARS-CoV-2 not detected"], [], "viral", Origin.MICROBIOLOGY),
        (["SARS-CoV-2", "influenza B"], [], "", Origin.SEVERAL),
        (["Candida albicans"], ["J13"], "", Origin.UNLISTED),
        (["influenza A negative"], ["J13", "I10"], "bacterial", Origin.CODES),
        ([], ["U07.1", "J18.9"], "covid19", Origin.CODES),
        ([], ["J12.1", "J15.9"], "", Origin.SEVERAL),
        ([], ["J18.9"], "", Origin.NOTHING),
    ],
)
def test_the_cause_comes_from_microbiology_and_else_from_codes(findings, codes, label, origin):
    (truth,) = judge(admission([True], codes, findings), True, AETIOLOGY)
    assert (truth.label, truth.origin) == (label, origin)


def test_codes_are_known_in_every_spelling_and_by_their_category():
    codes = CodeSet(["J12-J18", "U07.1", "A48.1"])
    for code in ("J12", "j18.9", "J189", " J15.2 ", "U071", "U07.1!", "A48.1"):
        assert code in codes, code
    for code in ("J11.0", "J20", "U07.2", "A48", "A48.2", "Z99"):
        assert code not in codes, code


@pytest.mark.parametrize("written", ["pneumonia", "J12.1-J13", "J18-J12", "J1", ""])
def test_what_is_no_code_is_refused(written):
    with pytest.raises(NotACode, match="expected"):
        CodeSet([written])
