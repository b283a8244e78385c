"""Relatedness counted on training labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from bench.data.labels import LabelTable
from bench.errors import DataError
from bench.runs.estimate import DECIMALS, count_pairs, estimate, estimated_matrix, wilson_interval
from bench.specs.dataset import SPLITS
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

MANY = settings(max_examples=100, deadline=None)
SMOOTHING = st.sampled_from([0.5, 1.0, 2.0])


@st.composite
def annotations(draw, *, multilabel):
    """Class labels and second labels of some images, -1 = missing, and how many of each there are."""
    count, classes, labels = draw(st.integers(0, 30)), draw(st.integers(2, 4)), draw(st.integers(1, 4))
    shape, highest = ((count, labels), 1) if multilabel else (count, labels - 1)
    first = draw(arrays.arrays(np.int32, count, elements=st.integers(-1, classes - 1)))
    return first, draw(arrays.arrays(np.int32, shape, elements=st.integers(-1, highest))), classes, labels


def counted(first, second, classes, labels, *, multilabel, smoothing):
    held, known = count_pairs(first, second, classes, labels, multilabel=multilabel)
    assert (held <= known).all()
    return (held + smoothing) / (known + smoothing * (2 if multilabel else labels))


def by_hand(first, second, classes, labels, smoothing, *, multilabel):
    table = np.zeros((classes, labels))
    for c in range(classes):
        for s in range(labels):
            held = told = 0
            for i in range(len(first)):
                if first[i] != c:
                    continue
                label = second[i][s] if multilabel else second[i]
                told += label >= 0
                held += label == (1 if multilabel else s)
            table[c, s] = (held + smoothing) / (told + smoothing * (2 if multilabel else labels))
    return table


@pytest.mark.parametrize("multilabel", [True, False])
def test_counts_equal_a_loop(multilabel):
    @MANY
    @given(annotations(multilabel=multilabel), SMOOTHING)
    def check(case, smoothing):
        found = counted(*case, multilabel=multilabel, smoothing=smoothing)
        np.testing.assert_allclose(found, by_hand(*case, smoothing, multilabel=multilabel), rtol=1e-12)
        assert (found > 0).all()
        assert (found <= 1).all()
        if not multilabel:
            np.testing.assert_allclose(found.sum(1), 1)

    check()


@MANY
@given(annotations(multilabel=True))
def test_images_without_a_class_and_missing_attributes_do_not_count(case):
    first, second, classes, labels = case
    known = first >= 0
    whole = counted(first, second, classes, labels, multilabel=True, smoothing=1.0)
    some = counted(first[known], second[known], classes, labels, multilabel=True, smoothing=1.0)
    np.testing.assert_array_equal(whole, some)


def test_by_hand():
    first = np.array([0, 0, 0, 1, -1])
    attributes = np.array([[1, 0], [1, -1], [0, -1], [1, 1], [1, 1]])
    found = counted(first, attributes, 2, 2, multilabel=True, smoothing=1.0)
    np.testing.assert_allclose(found, [[3 / 5, 1 / 3], [2 / 3, 2 / 3]])
    groups = np.array([2, 2, 0, -1, 1])
    found = counted(first, groups, 2, 3, multilabel=False, smoothing=1.0)
    np.testing.assert_allclose(found, [[2 / 6, 1 / 6, 3 / 6], [1 / 3, 1 / 3, 1 / 3]])


# -------------------------------------------------------------------------------------------------- of a data set


def task(name, kind, *labels):
    return TaskSpec(name=name, title=name, type=kind, labels=labels, metrics=("x",), primary="x", chance=0.5)


KINDS, PARTS = task("kinds", "multiclass", "cat", "dog"), task("parts", "multilabel", "ear", "tail", "paw")


@dataclass
class Prepared:
    """What stands for a `Preparation`: labels in memory."""

    table: LabelTable

    dataset = SimpleNamespace(name="pets")

    def labels(self):
        return self.table


def relatedness(smoothing=1.0):
    spec = {
        "kind": "relatedness",
        "name": "r",
        "title": "R",
        "class_task": "kinds",
        "second_task": "parts",
        "origin": {"type": "estimated", "dataset": "pets", "smoothing": smoothing},
    }
    return RelatednessSpec.model_validate_json(json.dumps(spec))


def table(seed, splits):
    rng, count = np.random.default_rng(seed), len(splits)
    names = np.array([str(i) for i in range(count)])
    tasks = {
        "kinds": rng.integers(-1, 2, count).astype(np.int32),
        "parts": rng.integers(-1, 2, (count, 3)).astype(np.int8),
    }
    return LabelTable(names, np.array(splits, np.int8), np.full(count, ""), tasks)


def test_only_training_labels_matter():
    splits = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2] * 5
    labels = table(0, splits)
    other = table(1, splits)
    train = np.array(splits) == SPLITS.index("train")
    for name, values in labels.tasks.items():
        other.tasks[name][train] = values[train]
    first, second = (estimated_matrix(relatedness(), KINDS, PARTS, Prepared(t)) for t in (labels, other))
    assert first == second
    moved = LabelTable(labels.images, np.roll(labels.splits, 1), labels.groups, labels.tasks)
    assert estimated_matrix(relatedness(), KINDS, PARTS, Prepared(moved)) != first


def test_the_matrix_is_rounded_and_names_its_columns():
    labels = table(0, [0] * 40)
    covered, matrix = estimated_matrix(relatedness(0.5), KINDS, PARTS, Prepared(labels))
    assert covered == PARTS.labels
    expected = by_hand(labels.tasks["kinds"], labels.tasks["parts"], 2, 3, 0.5, multilabel=True)
    np.testing.assert_allclose(matrix, expected, atol=0.5 * 10**-DECIMALS)
    assert all(round(p, DECIMALS) == p for row in matrix for p in row)


def test_labels_without_annotation_are_not_covered_and_counts_are_told():
    labels = table(0, [0] * 40)
    labels.tasks["parts"][:, 1] = -1
    found = estimate(relatedness(), KINDS, PARTS, Prepared(labels))
    assert found.covered == ("ear", "paw")
    first, parts = labels.tasks["kinds"], labels.tasks["parts"]
    for c in range(2):
        for place, s in enumerate((0, 2)):
            assert found.held[c, place] == sum((first == c) & (parts[:, s] == 1))
            assert found.known[c, place] == sum((first == c) & (parts[:, s] >= 0))


def test_nothing_to_count_is_said():
    labels = table(0, [0] * 40)
    labels.tasks["parts"][:] = -1
    with pytest.raises(DataError, match="no training image of 'pets' carries both 'kinds' and 'parts'"):
        estimate(relatedness(), KINDS, PARTS, Prepared(labels))


@MANY
@given(st.integers(0, 2000), st.floats(0, 1))
def test_intervals_equal_those_of_scipy(known, share):
    held = round(known * share)
    low, high = wilson_interval(np.array([held]), np.array([known]))
    if known == 0:
        assert (low[0], high[0]) == (0, 1)
        return
    expected = stats.binomtest(held, known).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], [expected.low, expected.high], atol=1e-9)
