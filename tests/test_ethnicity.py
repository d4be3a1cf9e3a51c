"""Ethnic groups from codes of New Zealand's health sector and from words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.study.cohort import band
from model.study.ethnicity import EUROPEAN, MAORI, MELAA, OTHER, PACIFIC, PRIORITY, ethnic_group


@pytest.mark.parametrize(
    ("text", "group"),
    [
        # Codes of HISO 10001:2017 at levels 1 to 4.
        ("1", EUROPEAN), ("2", MAORI), ("3", PACIFIC), ("4", "Asian"), ("5", MELAA), ("6", OTHER),
        ("11", EUROPEAN), ("21", MAORI), ("32", PACIFIC), ("43", "Asian"), ("53", MELAA), ("61", OTHER),
        ("211", MAORI), ("21111", MAORI), ("31111", PACIFIC), ("10000", EUROPEAN), ("42112", "Asian"),
        ("9", None), ("94", None), ("99", None),
        # Spellings; the second a with a combining macron.
        ("Māori", MAORI), ("Ma\u0304ori", MAORI), ("MAORI", MAORI), (" nz  Maori ", MAORI),
        ("Mäori", MAORI), ("Pacific", PACIFIC), ("Pacific Islander", PACIFIC), ("Samoan", PACIFIC),
        ("Cook Islands Māori", PACIFIC), ("Pākehā", EUROPEAN), ("New Zealand European", EUROPEAN),
        ("NZ European/Pākehā", EUROPEAN), ("Other Asian", "Asian"), ("Indian", "Asian"), ("MELAA", MELAA),
        ("Middle Eastern/Latin American/African", MELAA), ("other", OTHER), ("Other European", EUROPEAN),
        # Several, in any order: prioritised.
        ("European; Māori", MAORI), ("11|31", PACIFIC), ("European/Maori", MAORI), ("Asian, Tongan", PACIFIC),
        ("not stated; 4", "Asian"), ("99; refused to answer", None),
        # Of another country, or of nothing.
        ("White British", "White British"), ("0", "0"), ("7", "7"), ("", None), (None, None),
        ("Unknown", None), ("not stated", None), ("don't know", None),
    ],
)  # fmt: skip
def test_a_group_is_told_from_its_code_and_from_its_names(text, group):
    assert ethnic_group(text) == group


@given(st.text(max_size=20))
def test_a_group_is_the_group_of_itself(text):
    group = ethnic_group(text)
    assert group is None or ethnic_group(group) == group


@given(st.permutations(PRIORITY), st.integers(1, 6))
def test_of_several_groups_the_first_in_priority_counts_in_any_order(groups, n):
    assert ethnic_group("; ".join(groups[:n])) == min(groups[:n], key=PRIORITY.index)


def test_spellings_are_one_band_of_a_cohort():
    assert {band("ethnicity", text) for text in ("2", "Maori", "māori", "211")} == {"Māori"}
    assert {band("ethnicity", text) for text in (None, "", "99")} == {"unknown"}
    assert {band("sex", text) for text in ("f", "F", "Female")} == {"F"}
    assert {band("sex", text) for text in (None, "", "U")} == {"unknown"}
    assert {band("age", value) for value in (None, float("nan"))} == {"unknown"}
    assert {band("bmi", value) for value in (25, 29.9)} == {"25-30"}
