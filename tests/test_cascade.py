"""What a version can say, and what is told of a ``model.toml`` that does not say it."""

import copy
import dataclasses

import pytest

from model.cascade import Cascade, RecipeInvalid, of_recipe
from model.weights import VERSIONS, WeightsInvalid, available, open_version, read_cascade, read_recipe

RECIPE = read_recipe(VERSIONS / "gao-2020")


def changed(**tables) -> dict:
    """The recipe with keys of its tables replaced, or removed where None."""
    recipe = copy.deepcopy(RECIPE)
    for name, keys in tables.items():
        table = recipe
        for part in name.split("__"):
            table = table[part]
        for key, value in keys.items():
            if value is None:
                del table[key]
            else:
                table[key] = value
    return recipe


@pytest.mark.parametrize("name", available())
def test_the_shipped_versions_say_the_same(name):
    """All but the labels of the training set, of which firstread-1 has one more."""

    def said(cascade: Cascade) -> tuple:
        steps = [[dataclasses.replace(label, films=()) for label in step] for step in cascade.steps]
        return steps, cascade.after, cascade.harmless, cascade.classes

    assert said(open_version(name).cascade) == said(of_recipe(RECIPE))


def test_a_class_is_said_by_each_step_in_its_way():
    cascade = of_recipe(RECIPE)
    assert cascade.outcomes == ("normal", "bacterial", "COVID-19", "other virus")
    assert cascade.findings == ("bacterial", "viral", "COVID-19", "other virus")
    assert cascade.answers("bacterial") == ("bacterial", "not viral")
    assert cascade.answers("COVID-19") == ("viral", "COVID-19")
    assert [cascade.class_of(label) for label in ("viral", "covid19", "tumour")] == ["viral", "covid19", None]
    assert (cascade.label("viral").word("mi"), cascade.label("viral").word("sv")) == ("huaketo", "viral")
    assert Cascade().labels(1) == ()


def test_films_that_two_labels_may_be_true_of_have_no_class():
    assert open_version("firstread-1").cascade.class_of("pneumonia") is None


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"step1__labels": {"mixed": ["a"]}}, "found 4 labels, expected 2 to 3"),
        ({"step1__labels": {"viral": "covid19"}}, "found 'covid19', expected a list"),
        ({"step2": {"after": "normal"}}, "step2.after: found 'normal', expected one of bacterial, viral"),
        ({"step2": {"harmless": None}}, "step2.harmless: found None, expected one of COVID-19, other virus"),
        ({"step2__labels": {"viral": ["viral"], "other virus": None}}, "found in two steps"),
        (
            {"classes": {"covid19": "viral"}},
            "expected one for each of COVID-19, bacterial, normal, other virus",
        ),
        ({"results": {"viral": None}}, "found nothing for viral"),
        ({"results": {"influenza": {}}}, "found influenza, expected the labels of the steps"),
        ({"results__viral": {"code": None}}, "expected a code; add it"),
        ({"results__viral": {"code": ["1", "SCT"]}}, 'expected \\["value", "scheme", "meaning"\\]'),
        ({"results__viral": {"code": ["1" * 17, "SCT", "x"]}}, "found the value '1{17}', expected 1 to 16"),
        ({"results__viral": {"code": ["V", "99OTHER", "x"]}}, "found the private scheme 99OTHER"),
        ({"results__viral": {"code": RECIPE["results"]["normal"]["code"]}}, "found the codes of 'normal'"),
        ({"results__viral": {"severity": 2}}, "found 2, expected a number from 0 to 1"),
        ({"results__viral": {"colour": "red"}}, "found colour, expected code, narrowed_by, words"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(tables, told):
    with pytest.raises(RecipeInvalid, match=told):
        of_recipe(changed(**tables))


def test_the_file_is_named_too(tmp_path):
    recipe = changed(results={"viral": None})
    with pytest.raises(WeightsInvalid, match=r"model\.toml: \[results\]: found nothing for viral"):
        read_cascade(tmp_path, recipe)
    (tmp_path / "model.toml").write_text("name = ")
    with pytest.raises(WeightsInvalid, match="found no TOML"):
        read_recipe(tmp_path)
