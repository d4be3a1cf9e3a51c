"""Figures by hand."""

from model.evaluation.metrics import summary

LABELS = ("normal", "covid19")


def test_an_answer_that_is_missing_is_a_miss():
    found = summary(LABELS, ["normal"] * 4 + ["covid19"] * 2, ["normal"] * 3 + [None, "covid19", "normal"])
    assert found["confusion"] == [[3, 0, 1], [1, 1, 0]]
    assert found["n"] == 6
    assert found["n_unanswered"] == 1
    assert found["accuracy"] == 0.6667
    assert found["accuracy_of_answered"] == 0.8
    assert found["balanced_accuracy"] == 0.625
    assert found["per_class"]["normal"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert found["macro_f1"] == 0.7083


def test_a_class_that_does_not_occur_counts_for_nothing():
    found = summary(LABELS, ["normal", "normal"], ["normal", "covid19"])
    assert found["balanced_accuracy"] == 0.5
    assert found["per_class"]["covid19"]["recall"] is None


def test_no_film_gives_no_figure():
    assert summary(LABELS, [], [])["accuracy"] is None
