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
from bench.runs.estimate import count_attribute_pairs, count_pairs, estimate, wilson_interval
from bench.runs.matrices import DECIMALS, known_matrices, run_relatedness
from bench.specs.dataset import SPLITS
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

MANY = settings(max_examples=100)
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
        "first_task": "kinds",
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
    first, second = (run_relatedness(relatedness(), KINDS, PARTS, Prepared(t)) for t in (labels, other))
    assert first == second
    moved = LabelTable(labels.images, np.roll(labels.splits, 1), labels.groups, labels.tasks)
    assert run_relatedness(relatedness(), KINDS, PARTS, Prepared(moved)) != first


def test_the_matrix_is_rounded_and_names_its_columns():
    labels = table(0, [0] * 40)
    found = run_relatedness(relatedness(0.5), KINDS, PARTS, Prepared(labels))
    assert (found.first_task, found.second_task, found.name) == ("kinds", "parts", "r")
    assert found.covered == PARTS.labels and found.absent is None
    expected = by_hand(labels.tasks["kinds"], labels.tasks["parts"], 2, 3, 0.5, multilabel=True)
    np.testing.assert_allclose(found.matrix, expected, atol=0.5 * 10**-DECIMALS)
    assert all(round(p, DECIMALS) == p for row in found.matrix for p in row)


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


# ------------------------------------------------------------------------------------------------ pairs of attributes

COATS = task("coats", "multilabel", "stripes", "spots")


def spec_of(**changes):
    spec = {"kind": "relatedness", "name": "r", "title": "R", "first_task": "coats", "second_task": "parts", **changes}
    return RelatednessSpec.model_validate_json(json.dumps(spec))


def pairs_spec(smoothing=1.0, least=0.3):
    origin = {"type": "estimated", "dataset": "pets", "smoothing": smoothing, "least_difference": least}
    return spec_of(origin=origin)


def pairs_table(coats, parts):
    count = len(coats)
    names = np.array([str(i) for i in range(count)])
    tasks = {"coats": np.array(coats, np.int8), "parts": np.array(parts, np.int8)}
    return LabelTable(names, np.zeros(count, np.int8), np.full(count, ""), tasks)


@st.composite
def two_attribute_tasks(draw):
    count = draw(st.integers(1, 30))
    return tuple(draw(arrays.arrays(np.int8, (count, labels), elements=st.integers(-1, 1))) for labels in (2, 3))


def shares_by_hand(coats, parts, i, j, smoothing):
    """p(j | i present), p(j | i absent), and on how many images each is counted."""
    held, known = {1: 0, 0: 0}, {1: 0, 0: 0}
    for coat, part in zip(coats.tolist(), parts.tolist(), strict=True):
        if coat[i] >= 0 and part[j] >= 0:
            known[coat[i]] += 1
            held[coat[i]] += part[j]
    return [(held[state] + smoothing) / (known[state] + 2 * smoothing) for state in (1, 0)], [known[1], known[0]]


@MANY
@given(two_attribute_tasks(), SMOOTHING, st.sampled_from([0.0, 0.1, 0.3]))
def test_pairs_are_counted_both_ways_and_the_telling_ones_listed(case, smoothing, least):
    coats, parts = case
    expected = {}
    for i, j in np.ndindex(2, 3):
        (given_present, given_absent), known = shares_by_hand(coats, parts, i, j, smoothing)
        if min(known) and abs(given_present - given_absent) >= least:
            expected[COATS.labels[i], PARTS.labels[j]] = (given_present, given_absent)
    prepared = Prepared(pairs_table(coats, parts))
    if not expected:
        with pytest.raises(DataError):
            run_relatedness(pairs_spec(smoothing, least), COATS, PARTS, prepared)
        return
    found = run_relatedness(pairs_spec(smoothing, least), COATS, PARTS, prepared)
    assert found.covered == tuple(label for label in PARTS.labels if label in {j for _, j in expected})
    listed = {}
    for i, row in enumerate(found.matrix):
        for j, p in enumerate(row):
            assert (p is None) == (found.absent[i][j] is None)
            if p is not None:
                listed[COATS.labels[i], found.covered[j]] = (p, found.absent[i][j])
    assert listed.keys() == expected.keys()
    for cell, shares in expected.items():
        assert listed[cell] == pytest.approx(shares, abs=0.5 * 10**-DECIMALS)


@MANY
@given(two_attribute_tasks())
def test_attribute_counts_equal_those_of_a_class_task_of_two(case):
    """An attribute is a class task of two classes; what is not annotated counts in neither."""
    coats, parts = case
    for i in range(2):
        held, known = count_pairs(coats[:, i], parts, 2, 3, multilabel=True)
        for state in (0, 1):
            found = count_attribute_pairs(coats == state, parts)
            np.testing.assert_array_equal(found[0][i], held[state])
            np.testing.assert_array_equal(found[1][i], known[state])


def test_a_pair_that_was_counted_one_way_only_is_not_listed():
    """Every coat has stripes: what holds without them is smoothing alone, and no reason to relate."""
    coats = [[1, 1], [1, 1], [1, 0], [1, 0]] * 5
    parts = [[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]] * 5
    found = estimate(pairs_spec(), COATS, PARTS, Prepared(pairs_table(coats, parts)))
    assert found.covered == ("tail",)
    assert np.isnan(found.matrix[0]).all() and found.absent is not None
    assert (found.matrix[1, 0], found.absent.matrix[1, 0]) == pytest.approx((11 / 12, 1 / 12))
    assert (found.held[1, 0], found.known[1, 0]) == (10, 10)
    assert (found.absent.held[1, 0], found.absent.known[1, 0]) == (0, 10)
    assert found.absent.low[1, 0] == pytest.approx(0) and found.absent.high[1, 0] < 0.3


def test_where_no_pair_tells_enough_the_nearest_is_named():
    coats, parts = [[1, 0], [0, 1]] * 10, [[1, 1, 0], [1, 0, 0]] * 9 + [[1, 0, 0], [1, 0, 0]]
    with pytest.raises(DataError, match=r"by 0\.95 or more; 'stripes' changes 'tail' most, by 0\.750") as told:
        estimate(pairs_spec(least=0.95), COATS, PARTS, Prepared(pairs_table(coats, parts)))
    assert "least_difference" in str(told.value.hint)


def test_attributes_that_are_never_annotated_together_are_told():
    coats, parts = [[1, 0], [-1, -1]] * 10, [[-1, -1, -1], [1, 0, 1]] * 10
    with pytest.raises(DataError, match="no training image of 'pets' carries both 'coats' and 'parts'"):
        estimate(pairs_spec(), COATS, PARTS, Prepared(pairs_table(coats, parts)))


# ------------------------------------------------------------------------------------------------------- of knowledge


def test_knowledge_of_attributes_lists_its_cells():
    spec = spec_of(
        origin={"type": "knowledge", "source": "a book"},
        probabilities={"spots": {"paw": 0.123456789, "ear": 1.0}},
        given_absent={"spots": {"ear": 0.0, "paw": 0.5}},
    )
    found = run_relatedness(spec, COATS, PARTS, None)
    assert found.covered == ("paw", "ear")
    assert found.matrix == ((None, None), (0.123456789, 1.0))
    assert found.absent == ((None, None), (0.5, 0.0))


def test_knowledge_of_classes_has_whole_rows():
    spec = spec_of(
        first_task="kinds",
        origin={"type": "knowledge", "source": "a book"},
        probabilities={"dog": {"paw": 0.9}, "cat": {"ear": 0.8}},
        unlisted=0.05,
    )
    found = run_relatedness(spec, KINDS, PARTS, None)
    assert (found.covered, found.absent) == (("paw", "ear"), None)
    assert found.matrix == ((0.05, 0.8), (0.9, 0.05))
    assert known_matrices(spec, KINDS)[1] is None
