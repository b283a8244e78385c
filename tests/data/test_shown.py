"""Thinned-out labels: shares that are exact, nested, and the same whatever the order of rows."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import LabelTable
from bench.data.shown import shown_count, training_rows_and_labels, windows
from bench.errors import DataError
from bench.specs.run import ShownLabels
from bench.specs.streams import uniform_of

MANY = settings(max_examples=60)
TASKS = ("kinds", "parts")
COUNTS = st.integers(4, 200)
SHARES = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1.0])
FRACTIONS = st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.7, 1.0])


def table_of(count, tasks=TASKS, *, labelled=1.0, seed=0):
    """Training images with a label of each task; only a share of them labelled, by chance."""
    rng = np.random.default_rng(seed)
    values = {}
    for place, task in enumerate(tasks):
        found = rng.integers(0, 2, count if place % 2 == 0 else (count, 3))
        found[rng.random(count) >= labelled] = -1
        values[task] = found.astype(np.int32 if place % 2 == 0 else np.int8)
    names = np.array([f"photos/{seed}/{number:05d}.png" for number in range(count)])
    return LabelTable(names, np.zeros(count, np.int8), np.array([""] * count), values)


def shown_names(table, shown, dataset="pets"):
    """By task, names of the images whose label is shown, and names of all that are left in training."""
    rows, labels = training_rows_and_labels(table, table.rows("train"), dataset, shown, tuple(shown))
    names = np.array(table.images.tolist())[rows]
    by_task = {task: set(names[_labelled(values)].tolist()) for task, values in labels.items()}
    return by_task, set(names.tolist())


def _labelled(values):
    return values != -1 if values.ndim == 1 else (values != -1).any(1)


def at(tasks, overlap, **fractions):
    shown = windows(tasks, overlap)
    return {task: part.model_copy(update={"fraction": fractions.get(task, 1.0)}) for task, part in shown.items()}


# ------------------------------------------------------------------------------------------------------ overlap


@MANY
@given(COUNTS, SHARES)
def test_the_share_that_two_tasks_have_in_common_is_the_overlap_and_each_has_half(count, overlap):
    by_task, kept = shown_names(table_of(count), at(TASKS, overlap))
    kinds, parts = by_task["kinds"], by_task["parts"]
    assert len(kinds) == len(parts) == count // 2
    assert abs(len(kinds & parts) - overlap * count / 2) <= 1
    assert kept == kinds | parts
    if overlap in (0, 1):
        assert len(kinds & parts) == overlap * (count // 2)


@MANY
@given(COUNTS, SHARES, SHARES)
def test_a_larger_overlap_has_all_that_a_smaller_one_has(count, one, other):
    low, high = sorted((one, other))
    table = table_of(count)
    (few, _), (many, _) = (shown_names(table, at(TASKS, overlap)) for overlap in (low, high))
    assert few["kinds"] & few["parts"] <= many["kinds"] & many["parts"]
    assert few["kinds"] == many["kinds"]


@MANY
@given(st.integers(20, 200), st.integers(3, 5), SHARES)
def test_of_many_tasks_each_has_as_many_labels_and_neighbours_share_the_overlap(count, number, overlap):
    tasks = tuple(f"task{place}" for place in range(number))
    by_task, _ = shown_names(table_of(count, tasks), at(tasks, overlap))
    assert {len(names) for names in by_task.values()} == {count // number}
    for i, first in enumerate(tasks):
        for j, second in enumerate(tasks[i + 1 :], i + 1):
            common = max(0.0, 1 - (j - i) * (1 - overlap)) * count / number
            assert abs(len(by_task[first] & by_task[second]) - common) <= 2


def test_windows_by_hand():
    assert {task: (part.start, part.stop) for task, part in windows(("a", "b"), 0.5).items()} == {
        "a": (0.0, 0.5),
        "b": (0.25, 0.75),
    }
    assert [(part.start, part.stop) for part in windows(("a", "b", "c", "d"), 0).values()] == [
        (0.0, 0.25),
        (0.25, 0.5),
        (0.5, 0.75),
        (0.75, 1.0),
    ]
    assert {(part.start, part.stop) for part in windows(("a", "b", "c"), 1).values()} == {(0.0, 1 / 3)}


# ------------------------------------------------------------------------------------------------------ fraction


@MANY
@given(COUNTS, FRACTIONS, st.sampled_from([0.3, 0.8, 1.0]))
def test_exactly_a_share_of_the_labels_that_there_are_is_shown(count, fraction, labelled):
    table = table_of(count, labelled=labelled, seed=1)
    there = int((table.tasks["parts"] != -1).any(1).sum())
    shown = {"kinds": ShownLabels(), "parts": ShownLabels(fraction=fraction)}
    if not there and not (table.tasks["kinds"] != -1).any():
        return
    by_task, _ = shown_names(table, shown)
    assert len(by_task["parts"]) == math.ceil(round(fraction * there, 6))
    assert len(by_task["kinds"]) == int((table.tasks["kinds"] != -1).sum())


@MANY
@given(COUNTS, FRACTIONS, FRACTIONS, SHARES)
def test_a_larger_share_has_all_of_a_smaller_one_at_any_overlap(count, one, other, overlap):
    low, high = sorted((one, other))
    table = table_of(count)
    few, many = (shown_names(table, at(TASKS, overlap, parts=fraction))[0] for fraction in (low, high))
    assert few["parts"] <= many["parts"]
    assert few["kinds"] == many["kinds"]


def test_the_shares_of_two_tasks_are_chosen_apart():
    """Not the same images for both tasks, nor those that the overlap's order has first."""
    table = table_of(400)
    shown = {task: ShownLabels(fraction=0.5) for task in TASKS}
    by_task, kept = shown_names(table, shown)
    assert abs(len(by_task["kinds"] & by_task["parts"]) - 100) < 30
    assert len(kept) == len(by_task["kinds"] | by_task["parts"])
    first_half = shown_names(table, {"kinds": ShownLabels(stop=0.5)})[0]["kinds"]
    assert abs(len(by_task["kinds"] & first_half) - 100) < 30


# ---------------------------------------------------------------------------------------------- rows and labels


@MANY
@given(COUNTS, SHARES, FRACTIONS, st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(count, overlap, fraction, seed):
    table = table_of(count, labelled=0.9)
    shuffled = table.take(np.random.default_rng(seed).permutation(count))
    shown = at(TASKS, overlap, parts=fraction)
    assert shown_names(table, shown) == shown_names(shuffled, shown)


def test_images_of_other_splits_do_not_matter():
    table = table_of(60)
    more = table_of(30, seed=5)
    whole = LabelTable(
        [*more.images.tolist(), *table.images.tolist()],
        np.repeat(np.array([1, 0], np.int8), (30, 60)),
        [""] * 90,
        {task: np.concatenate([more.tasks[task], table.tasks[task]]) for task in TASKS},
    )
    shown = at(TASKS, 0.25, parts=0.5)
    assert shown_names(whole, shown) == shown_names(table, shown)


@MANY
@given(COUNTS, SHARES, FRACTIONS)
def test_what_is_shown_by_a_loop_over_images(count, overlap, fraction):
    """The whole protocol once more, one image after the other."""
    table = table_of(count, labelled=0.8)
    shown = at(TASKS, overlap, kinds=fraction)
    names = table.images.tolist()
    order = sorted(names, key=lambda name: uniform_of("overlap", "pets", name))
    half = count // 2
    starts = {"kinds": 0, "parts": math.floor((1 - overlap) * count / 2 + 1e-6)}
    expected = {}
    for task in TASKS:
        inside = set(order[starts[task] : starts[task] + half])
        has = [
            name for name, label in zip(names, table.tasks[task], strict=True) if name in inside and np.any(label >= 0)
        ]
        if task == "kinds":
            has.sort(key=lambda name: uniform_of("label fraction", "pets", "kinds", name))
            has = has[: math.ceil(round(fraction * len(has), 6))]
        expected[task] = set(has)
    if not any(expected.values()):
        return
    found, kept = shown_names(table, shown)
    assert found == expected
    assert kept == expected["kinds"] | expected["parts"]


def test_labels_stay_as_they_are_where_shown_and_rows_keep_their_order():
    table = table_of(80)
    rows, labels = training_rows_and_labels(table, table.rows("train"), "pets", at(TASKS, 0.5), TASKS)
    assert np.all(np.diff(rows) > 0)
    hidden = 0
    for task in TASKS:
        there = _labelled(labels[task])
        np.testing.assert_array_equal(labels[task][there], table.tasks[task][rows][there])
        assert np.all(labels[task][~there] == -1)
        assert labels[task].dtype == table.tasks[task].dtype
        hidden += int((~there).sum())
    assert hidden == 40
    assert all(np.all(values != -1) for values in table.tasks.values())  # the table itself is not touched


def test_a_twin_trains_on_the_images_of_the_joint_run():
    """It asks for one task only, and sees images that show another too: as unlabelled ones."""
    table = table_of(80)
    shown = at(TASKS, 0.25)
    joint, both = training_rows_and_labels(table, table.rows("train"), "pets", shown, TASKS)
    twin, one = training_rows_and_labels(table, table.rows("train"), "pets", shown, ("parts",))
    np.testing.assert_array_equal(joint, twin)
    assert list(one) == ["parts"]
    np.testing.assert_array_equal(one["parts"], both["parts"])
    assert 0 < int((~_labelled(one["parts"])).sum()) < len(twin)


def test_without_thinning_everything_is_shown():
    table = table_of(20, labelled=0.5)
    rows, labels = training_rows_and_labels(table, table.rows("train"), "pets", {}, ("kinds",))
    np.testing.assert_array_equal(rows, np.arange(20))
    np.testing.assert_array_equal(labels["kinds"], table.tasks["kinds"])
    assert len(rows) == 20


def test_data_sets_of_other_names_are_thinned_out_otherwise():
    table, shown = table_of(200), at(TASKS, 0)
    one, other = (shown_names(table, shown, dataset)[0]["kinds"] for dataset in ("pets", "beasts"))
    assert 30 < len(one & other) < 70


def test_nothing_shown_is_an_error():
    table = table_of(10)
    table = replace(table, tasks={"kinds": np.full(10, -1, np.int32), "parts": table.tasks["parts"]})
    with pytest.raises(DataError, match="of the 10 training images of data set 'pets' not one shows a label of kinds"):
        training_rows_and_labels(table, table.rows("train"), "pets", {"kinds": ShownLabels(fraction=0.1)}, ("kinds",))


# ------------------------------------------------------------------------------------------------------ planning


@MANY
@given(st.integers(4, 300), st.integers(2, 4), SHARES)
def test_planning_counts_the_images_that_are_left_in_training(count, number, overlap):
    tasks = tuple(f"task{place}" for place in range(number))
    shown = at(tasks, overlap)
    assert shown_count(count, shown) == len(shown_names(table_of(count, tasks), shown)[1])


@MANY
@given(st.integers(100, 400), SHARES, FRACTIONS, FRACTIONS)
def test_planning_expects_about_as_many_with_fractions(count, overlap, first, second):
    shown = at(TASKS, overlap, kinds=first, parts=second)
    found = len(shown_names(table_of(count), shown)[1])
    assert abs(shown_count(count, shown) - found) <= 2 + 4 * math.sqrt(count) / 2


def test_planning_by_hand():
    halves = {"kinds": ShownLabels(fraction=0.5), "parts": ShownLabels(fraction=0.5)}
    assert shown_count(100, halves) == 75
    assert shown_count(100, {"kinds": ShownLabels(stop=0.5, fraction=0.1), "parts": ShownLabels(start=0.5)}) == 55


def test_many_images_take_seconds():
    table = table_of(100_000)
    started = time.process_time()
    rows, _ = training_rows_and_labels(table, table.rows("train"), "pets", at(TASKS, 0.5, parts=0.1), TASKS)
    assert len(rows) > 50_000
    assert time.process_time() - started < 5
