"""Pseudo-labels: what teachers are sure of, against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from bench.methods.labels.pseudo_labels import Options, transform
from bench.methods.training_labels import LabelChange, TrainingLabels

from .samples import CLASSES, PARTS

TASKS = {task.name: task for task in (CLASSES, PARTS)}
NAN = math.nan


def pseudo_labelled(labels, taught, **options):
    known = TrainingLabels(
        {"kind": np.array(labels.get("kind", [])), "parts": np.array(labels.get("parts", []), np.int8)},
        taught={name: np.array(value, np.float32) for name, value in taught.items()},
    )
    return transform(Options(**options), TASKS, [], known)


def test_the_most_probable_class_is_believed_if_it_is_probable_enough():
    taught = [[0.05, 0.9, 0.05], [0.5, 0.4, 0.1], [NAN] * 3, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    found, changes = pseudo_labelled({"kind": [-1, -1, -1, -1, 1]}, {"kind": taught})
    assert found.labels["kind"].tolist() == [1, -1, -1, 2, 1]
    assert changes == {"kind": LabelChange(before=1, added=2, contradicted=1)}
    assert not found.weights


def test_an_attribute_is_believed_to_be_there_or_not():
    labels = [[-1, -1, -1, -1], [1, 1, -1, -1]]
    found, changes = pseudo_labelled({"parts": labels}, {"parts": [[0.9, 0.1, 0.5, NAN], [0.0, 1.0, 0.8, 0.2]]})
    assert found.labels["parts"].tolist() == [[1, 0, -1, -1], [1, 1, -1, -1]]
    assert found.labels["parts"].dtype == np.int8
    assert changes == {"parts": LabelChange(before=2, added=2, contradicted=1)}


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.9, 1.0])
def test_the_threshold_itself_is_enough(threshold):
    """Though probabilities are float32, which holds hardly any of these."""
    least, less = np.float32(threshold), np.nextafter(np.float32(threshold), np.float32(0))
    taught = {"kind": [[least, 0, 0], [less, 0, 0]], "parts": [[least, less, np.float32(1 - threshold), 0.5]]}
    found, _ = pseudo_labelled({"kind": [-1, -1], "parts": [[-1] * 4]}, taught, threshold=threshold)
    assert found.labels["kind"].tolist() == [0, -1]
    assert found.labels["parts"].tolist() == [[1, -1, 0, -1]]


def test_without_teachers_nothing_changes():
    found, changes = pseudo_labelled({"kind": [0, -1]}, {})
    assert found.labels["kind"].tolist() == [0, -1]
    assert changes == {}


chances = st.one_of(st.just(NAN), st.floats(0, 1, width=32))


@given(arrays.arrays(np.float32, (4, 4), elements=chances), arrays.arrays(np.int8, (4, 4), elements=st.integers(-1, 1)))
def test_what_is_added_follows_from_the_teachers_and_nothing_known_is_changed(taught, labels):
    found, changes = pseudo_labelled({"parts": labels}, {"parts": taught}, threshold=0.75)
    for p, before, after in zip(taught.flat, labels.flat, found.labels["parts"].flat, strict=True):
        believed = 1 if p >= 0.75 else 0 if p <= 0.25 else -1
        assert after == (before if before >= 0 else believed)
    change = changes["parts"]
    assert change.before == (labels >= 0).sum()
    assert change.before + change.added == found.known("parts").sum()
    again, nothing = transform(Options(threshold=0.75), TASKS, [], found)
    np.testing.assert_array_equal(again.labels["parts"], found.labels["parts"])
    assert nothing["parts"].added == 0


@pytest.mark.parametrize("threshold", [0.5, 0.0, 1.01])
def test_a_threshold_that_two_outcomes_could_reach_is_refused(threshold):
    with pytest.raises(ValidationError):
        Options(threshold=threshold)
