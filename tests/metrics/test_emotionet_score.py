"""The EmotioNet score is the mean of scikit-learn's accuracy and F1, each averaged over what is annotated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from bench.metrics.emotionet_score import Metric

NAN = math.nan


@st.composite
def cases(draw):
    shape = draw(st.integers(0, 20)), draw(st.integers(1, 5))
    scores = draw(arrays.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.4999999, 0.5, 1.0])))
    return scores, draw(arrays.arrays(np.int8, shape, elements=st.integers(-1, 1)))


@settings(max_examples=80)
@given(case=cases())
def test_equals_sklearn_on_what_is_annotated(case):
    scores, references = case
    accuracies, f1s = [], []
    for score, reference in zip(scores.T, references.T, strict=True):
        known = reference >= 0
        truth, predicted = reference[known], score[known] >= 0.5
        accuracies.append(sk.accuracy_score(truth, predicted) if truth.size else NAN)
        f1s.append(sk.f1_score(truth, predicted, zero_division=0) if truth.sum() else NAN)
    defined = [[value for value in values if not math.isnan(value)] for values in (accuracies, f1s)]
    expected = float(np.mean(defined[0]) + np.mean(defined[1])) / 2 if all(defined) else NAN
    value, each = Metric.score(scores, references)
    assert value == pytest.approx(expected, nan_ok=True)
    np.testing.assert_allclose(each, (np.array(accuracies) + np.array(f1s)) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("scores", "references", "expected"),
    [
        ([[0.9, 0.1]], [[1, 0]], 1.0),
        ([[0.1, 0.1]], [[1, 0]], (0.5 + 0) / 2),
        ([[0.9], [0.9]], [[1], [0]], (1 / 2 + 2 / 3) / 2),
        ([[0.9, 0.9], [0.9, 0.9]], [[1, 0], [1, -1]], (1 / 2 + 1) / 2),  # no positive: counts in accuracy only
        ([[0.9, 0.9]], [[-1, 1]], 1.0),
        ([[0.1]], [[0]], NAN),  # F1 is not defined
        ([[0.9]], [[-1]], NAN),
    ],
)
def test_by_hand(scores, references, expected):
    assert Metric.score(scores, references)[0] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("scores", "references", "said"),
    [
        ([[0.5, 0.5]], [[0, 2]], "0, 1 or -1"),
        ([[0.5, 0.5]], [0, 1], r"\[n, labels\]"),
        ([[0.5, NAN]], [[0, 1]], "NaN"),
    ],
)
def test_what_cannot_be_scored_is_refused(scores, references, said):
    with pytest.raises(ValueError, match=said):
        Metric.score(scores, references)
