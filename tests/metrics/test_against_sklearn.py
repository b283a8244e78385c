"""Every metric equals scikit-learn's on what is annotated, whatever is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from bench.metrics import accuracy, macro_f1, mean_accuracy, mean_class_accuracy, mean_f1

MULTICLASS = {"accuracy": accuracy, "macro_f1": macro_f1, "mean_class_accuracy": mean_class_accuracy}
MULTILABEL = {"mean_accuracy": mean_accuracy, "mean_f1": mean_f1}
MANY = settings(max_examples=80)
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.4999999, 0.5, 0.5000001, 0.75, 1.0])  # ties and the threshold come up often


@st.composite
def multiclass(draw):
    count, classes = draw(st.integers(0, 25)), draw(st.integers(1, 6))
    scores = draw(arrays.arrays(np.float64, (count, classes), elements=SCORES))
    return scores, draw(arrays.arrays(np.int64, count, elements=st.integers(-1, classes - 1)))


@st.composite
def multilabel(draw):
    shape = draw(st.integers(0, 25)), draw(st.integers(1, 5))
    scores = draw(arrays.arrays(np.float64, shape, elements=SCORES))
    return scores, draw(arrays.arrays(np.int8, shape, elements=st.integers(-1, 1)))


def expected_of_classes(name, scores, references):
    """The value and one value per class, from scikit-learn."""
    known = references >= 0
    truth, predicted = references[known], scores[known].argmax(1)
    if name == "accuracy":
        return (sk.accuracy_score(truth, predicted) if truth.size else math.nan), np.empty(0)
    if not truth.size:
        return math.nan, np.full(scores.shape[1], math.nan)
    present = np.unique(truth)
    of = sk.f1_score if name == "macro_f1" else sk.recall_score
    each = np.full(scores.shape[1], math.nan)
    each[present] = of(truth, predicted, labels=present, average=None, zero_division=0)
    return of(truth, predicted, labels=present, average="macro", zero_division=0), each


def expected_of_labels(name, scores, references):
    each = []
    for column in range(scores.shape[1]):
        known = references[:, column] >= 0
        truth, predicted = references[known, column], scores[known, column] >= 0.5
        if name == "mean_accuracy":
            each.append(sk.accuracy_score(truth, predicted) if truth.size else math.nan)
        else:
            each.append(sk.f1_score(truth, predicted, zero_division=0) if truth.sum() else math.nan)
    defined = [value for value in each if not math.isnan(value)]
    return (float(np.mean(defined)) if defined else math.nan), np.array(each)


def assert_equal(found, expected):
    assert found[0] == pytest.approx(expected[0], nan_ok=True)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)


@pytest.mark.parametrize("name", MULTICLASS)
@MANY
@given(case=multiclass())
def test_class_metrics_equal_sklearn(name, case):
    assert_equal(MULTICLASS[name].Metric.score(*case), expected_of_classes(name, *case))


@pytest.mark.parametrize("name", MULTILABEL)
@MANY
@given(case=multilabel())
def test_label_metrics_equal_sklearn(name, case):
    assert_equal(MULTILABEL[name].Metric.score(*case), expected_of_labels(name, *case))


@MANY
@given(case=multiclass())
def test_mean_class_accuracy_is_sklearns_balanced_accuracy_when_all_predictions_are_of_present_classes(case):
    scores, references = case
    known = references >= 0
    absent = np.setdiff1d(np.arange(scores.shape[1]), references[known])
    scores[:, absent] = -1  # never predicted
    if len(np.unique(references[known])) > 1:  # scikit-learn warns of a single class
        value, _ = mean_class_accuracy.Metric.score(scores, references)
        assert value == pytest.approx(sk.balanced_accuracy_score(references[known], scores[known].argmax(1)))


@pytest.mark.parametrize("name", MULTICLASS)
@MANY
@given(case=multiclass())
def test_images_without_a_class_never_count(name, case):
    scores, references = case
    known = references >= 0
    score = MULTICLASS[name].Metric.score
    assert_equal(score(scores, references), score(scores[known], references[known]))


@MANY
@given(case=multiclass(), extra=st.integers(1, 3))
def test_classes_that_the_references_do_not_hold_change_nothing(case, extra):
    scores, references = case
    wider = np.hstack([scores, np.full((len(scores), extra), -1.0)])
    for module in MULTICLASS.values():
        assert module.Metric.score(wider, references)[0] == pytest.approx(
            module.Metric.score(scores, references)[0], nan_ok=True
        )


@pytest.mark.parametrize(
    ("name", "scores", "references", "expected"),
    [
        ("accuracy", [[0.9, 0.1]], [0], 1.0),
        ("accuracy", [[0.9, 0.1]], [1], 0.0),
        ("accuracy", [[0.5, 0.5]], [0], 1.0),  # the first of equals
        ("accuracy", [[0.5, 0.5]], [-1], math.nan),
        ("macro_f1", [[0.0, 0.0, 1.0]], [0], 0.0),  # only class 0 is averaged over
        ("macro_f1", [[1.0]] * 3, [0, 0, 0], 1.0),  # a task of one class
        ("macro_f1", [[1, 0], [1, 0]], [0, 1], (2 / 3 + 0) / 2),
        ("macro_f1", [[1, 0], [1, 0]], [-1, -1], math.nan),
        ("mean_class_accuracy", [[1, 0], [1, 0], [1, 0]], [0, 0, 1], 0.5),
        ("mean_class_accuracy", [[1, 0, 0]], [0], 1.0),
        ("mean_f1", [[0.5, 0.9]], [[1, 0]], 1.0),  # 0.5 is a yes; a label without a positive is left out
        ("mean_f1", [[0.4, 0.9]], [[1, 0]], 0.0),
        ("mean_f1", [[0.9, 0.9]], [[0, 0]], math.nan),
        ("mean_f1", [[0.9, 0.9], [0.9, 0.1]], [[1, 1], [-1, 1]], (1 + 2 / 3) / 2),
        ("mean_f1", [[0.9]], [[-1]], math.nan),
        ("mean_accuracy", [[0.9, 0.9], [0.1, 0.9]], [[1, -1], [1, 0]], (0.5 + 0) / 2),
        ("mean_accuracy", [[0.9, 0.9]], [[-1, -1]], math.nan),
    ],
)
def test_by_hand(name, scores, references, expected):
    value, _ = (MULTICLASS | MULTILABEL)[name].Metric.score(scores, references)
    assert value == pytest.approx(expected, nan_ok=True)


CLASSES, LABELS = tuple(MULTICLASS), tuple(MULTILABEL)
REFUSED = [
    *((name, [[0.5, 0.5]], [2], "class indices under 2") for name in CLASSES),
    *((name, [[0.5, 0.5]], [-2], "or -1") for name in CLASSES),
    *((name, [0.5, 0.5], [0, 1], r"expected scores \[n, classes\]") for name in CLASSES),
    *((name, [[0.5, 0.5]], [0, 1], "references") for name in CLASSES),
    *((name, [[0.5, 0.5]], [[0, 1]], "references") for name in CLASSES),
    *((name, [[0.5, math.nan]], [0], "NaN") for name in CLASSES),
    *((name, [[0.5, 0.5]], [0.5], "integers") for name in CLASSES),
    *((name, [[0.5, 0.5]], [[0, 2]], "0, 1 or -1") for name in LABELS),
    *((name, [[0.5, 0.5]], [[0, -2]], "0, 1 or -1") for name in LABELS),
    *((name, [[0.5, 0.5]], [0, 1], r"\[n, labels\]") for name in LABELS),
    *((name, [[0.5, 0.5]], [[0, 1], [0, 1]], r"\[n, labels\]") for name in LABELS),
    *((name, [[0.5, math.nan]], [[0, 1]], "NaN") for name in LABELS),
    *((name, [[0.5, 0.5]], [[0.0, 0.7]], "integers") for name in LABELS),
]


@pytest.mark.parametrize(("name", "scores", "references", "said"), REFUSED)
def test_what_cannot_be_scored_is_refused(name, scores, references, said):
    with pytest.raises(ValueError, match=said):
        (MULTICLASS | MULTILABEL)[name].Metric.score(scores, references)
