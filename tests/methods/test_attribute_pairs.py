"""Distribution matching of two attribute tasks, cell by cell, against a plain loop and in its limits."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.objective import Targets, coupling_of
from bench.methods.terms import distribution_matching
from bench.methods.terms.distribution_matching import Options, matching_loss
from bench.specs.run import RunRelatedness

from .samples import CLASSES, PARTS, TAGS, attribute_pair, coupling, slope

NAN = math.nan
FORMS, TARGETS = ("positive", "bernoulli", "kl"), ("attributes", "classes", "both")
EACH_SWITCH = pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(form=form, target=target, detach_target=detach), id=f"{form}-{target}-{detach}")
        for form, target, detach in itertools.product(FORMS, TARGETS, (True, False))
    ],
)
PRESENT = [[0.9, NAN, 0.2], [NAN, NAN, NAN], [0.6, 1.0, NAN]]
ABSENT = [[0.3, NAN, 0.7], [NAN, NAN, NAN], [0.1, 0.0, NAN]]
PAIR = attribute_pair(PRESENT, ABSENT, [3, 0, 2])
SINGLE = attribute_pair([[0.9], [NAN], [NAN]], [[0.2], [NAN], [NAN]], [1])


def logits(count=4, seed=0, scale=1.5):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(count, 3)), scale * rng.normal(size=(count, 4))


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def by_hand(options, pair, student, target=None):
    """A loop over images and listed cells; soft targets come from the logits `target`, the rest from `student`."""

    def inside(p):
        return min(max(p, 1e-6), 1 - 1e-6)

    def cost(t, s):
        return t * (math.log(t / s) if options.form == "kl" else -math.log(s))

    def divergence(t, s):
        return cost(t, s) + (0 if options.form == "positive" else cost(1 - t, 1 - s))

    def both(sides, n, i, j):
        p = sigmoid(sides[0][n][i])
        q = p * inside(float(pair.matrix[i, j])) + (1 - p) * inside(float(pair.absent[i, j]))
        return q, sigmoid(sides[1][n][int(pair.covered[j])])

    values = []
    for n in range(len(student[0])):
        for i, j in itertools.product(*map(range, pair.matrix.shape)):
            if math.isnan(pair.matrix[i, j]):
                continue
            q, p = both(student, n, i, j)
            q_target, p_target = both(target or student, n, i, j)
            ways = {"attributes": [(p_target, q)], "classes": [(q_target, p)]}
            ways["both"] = ways["attributes"] + ways["classes"]
            found = [divergence(t, s) for t, s in ways[options.target]]
            values.append(sum(found) / len(found))
    return sum(values) / len(values)


def measured(options, pair, first, second):
    return float(matching_loss(options, pair, torch.tensor(first), torch.tensor(second)))


def gradients(options, pair, first, second):
    inputs = [torch.tensor(side, requires_grad=True) for side in (first, second)]
    found = torch.autograd.grad(matching_loss(options, pair, *inputs), inputs, allow_unused=True)
    return [np.zeros_like(side) if g is None else g.numpy() for side, g in zip((first, second), found, strict=True)]


@EACH_SWITCH
@pytest.mark.parametrize("pair", [PAIR, SINGLE], ids=["several cells", "one cell"])
@pytest.mark.parametrize("count", [1, 4])
def test_the_loss_is_its_formula(options, pair, count):
    sides = logits(count)
    assert measured(options, pair, *sides) == pytest.approx(by_hand(options, pair, sides), rel=1e-9)


@EACH_SWITCH
def test_gradients_are_slopes_and_flow_where_the_switch_says(options):
    sides = logits(2)
    frozen = sides if options.detach_target else None
    for side, found in enumerate(gradients(options, PAIR, *sides)):

        def moved(value, side=side):
            student = tuple(value if side == i else other for i, other in enumerate(sides))
            return by_hand(options, PAIR, student, frozen)

        np.testing.assert_allclose(found, slope(moved, sides[side]), atol=1e-8)


tables = st.lists(st.one_of(st.none(), st.tuples(st.floats(0, 1), st.floats(0, 1))), min_size=9, max_size=9)


@settings(max_examples=60)
@given(tables.filter(any), st.sampled_from(FORMS), st.sampled_from(TARGETS), st.integers(0, 99))
def test_any_table_gives_what_the_loop_gives(cells, form, target, seed):
    present, absent = (
        np.array([NAN if cell is None else cell[side] for cell in cells]).reshape(3, 3) for side in (0, 1)
    )
    pair, options, sides = (
        attribute_pair(present, absent, [0, 1, 2]),
        Options(form=form, target=target),
        logits(2, seed),
    )
    expected = by_hand(options, pair, sides)
    assert measured(options, pair, *sides) == pytest.approx(expected, rel=1e-8, abs=1e-9)


@EACH_SWITCH
def test_cells_that_nothing_is_said_about_leak_nowhere(options):
    """What is not listed moves nothing: neither a label without any cell, nor an uncovered one, nor the mean."""
    first, second = logits()
    found = gradients(options, PAIR, first, second)
    assert all(np.isfinite(side).all() for side in found)
    assert not found[0][:, 1].any() and not found[1][:, 1].any()
    other_first, other_second = first.copy(), second.copy()
    other_first[:, 1] = 50
    other_second[:, 1] = -50
    assert measured(options, PAIR, other_first, other_second) == measured(options, PAIR, first, second)
    alone = attribute_pair([[0.9], [NAN], [0.6]], [[0.3], [NAN], [0.1]], [3])
    wider = attribute_pair([[0.9, NAN], [NAN, NAN], [0.6, NAN]], [[0.3, NAN], [NAN, NAN], [0.1, NAN]], [3, 1])
    assert measured(options, alone, first, second) == pytest.approx(measured(options, wider, first, second), rel=1e-12)


def test_attributes_that_do_not_depend_on_each_other_give_the_base_rate():
    pair = attribute_pair([[0.3], [NAN], [NAN]], [[0.3], [NAN], [NAN]], [1])
    first, second = logits()
    z = torch.tensor(second[:, 1])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.full_like(z, 0.3))
    assert measured(Options(target="classes"), pair, first, second) == pytest.approx(float(expected), rel=1e-12)
    found, _ = gradients(Options(detach_target=False), pair, first, second)
    np.testing.assert_allclose(found, 0, atol=1e-12)


@pytest.mark.parametrize(("certain", "says"), [(60.0, 0.9), (-60.0, 0.2)])
def test_a_certain_first_attribute_gives_its_row(certain, says):
    """p_i = 1 leaves p(j | i), p_i = 0 leaves p(j | not i)."""
    first, second = np.full((1, 3), certain), np.zeros((1, 4))
    second[0, 1] = math.log(says / (1 - says))
    assert measured(Options(form="kl"), SINGLE, first, second) == pytest.approx(0, abs=1e-12)
    second[0, 1] += 0.5
    assert measured(Options(form="kl"), SINGLE, first, second) > 1e-3


@pytest.mark.parametrize("same", [True, False])
def test_attributes_that_determine_each_other_are_compared_one_to_one(same):
    pair = attribute_pair([[float(same)], [NAN], [NAN]], [[float(not same)], [NAN], [NAN]], [1])
    first, second = logits()
    q = torch.tensor(first[:, 0] if same else -first[:, 0]).sigmoid()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(second[:, 1]), q)
    assert measured(Options(target="classes"), pair, first, second) == pytest.approx(float(expected), rel=1e-5)


def test_two_classes_as_one_attribute_match_as_classes_do():
    """A class task of two classes is one attribute: softmax over (z, 0) is the sigmoid of z."""
    rows = np.array([[0.9, 0.2], [0.3, 0.7]])
    as_classes = coupling(rows, [0, 1], exclusive=False)
    as_attribute = attribute_pair([rows[0]], [rows[1]], [0, 1])
    first, second = logits()
    one = first[:, :1]
    two = np.concatenate([one, np.zeros_like(one)], 1)
    for form, target in itertools.product(FORMS, TARGETS):
        options = Options(form=form, target=target)
        expected = measured(options, as_classes, two, second)
        assert measured(options, as_attribute, one, second) == pytest.approx(expected, rel=1e-12)


@EACH_SWITCH
@pytest.mark.parametrize("certain", [(1e4, 1e4), (1e4, -1e4), (-1e4, 1e4), (-1e4, -1e4)])
def test_certain_predictions_and_certain_cells_stay_finite(options, certain):
    pair = attribute_pair([[1.0, 0.0], [NAN, 1.0], [NAN, NAN]], [[0.0, 1.0], [NAN, 1.0], [NAN, NAN]], [0, 1])
    first = torch.full((2, 3), certain[0], requires_grad=True)
    second = torch.full((2, 4), certain[1], requires_grad=True)
    value = matching_loss(options, pair, first, second)
    value.backward()
    assert torch.isfinite(value)
    for side in (first, second):
        assert side.grad is None or torch.isfinite(side.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(dtype):
    pair = attribute_pair(PRESENT, ABSENT, [3, 0, 2], dtype=torch.float32)
    halves = [torch.tensor(side, dtype=dtype) for side in logits()]
    value = matching_loss(Options(), pair, *halves)
    assert value.dtype == torch.float32
    assert torch.equal(value, matching_loss(Options(), pair, *(side.float() for side in halves)))


def test_a_run_s_relatedness_becomes_this_loss():
    """From None in a run's description to the term, beside a pair of a class task."""
    told = RunRelatedness(
        name="attributes",
        first_task="tags",
        second_task="parts",
        covered=("s", "p"),
        matrix=((0.9, None), (None, None), (0.6, 1.0)),
        absent=((0.3, None), (None, None), (0.1, 0.0)),
    )
    tasks = {task.name: task for task in (CLASSES, PARTS, TAGS)}
    pairs = [coupling_of(told, tasks, "cpu"), replace(coupling([[0.5], [0.1], [0.9]], [2], exclusive=False), name="c")]
    first, second = logits()
    outputs = {"tags": torch.tensor(first), "parts": torch.tensor(second), "kind": torch.tensor(first)}
    labels = {"tags": torch.full((4, 3), -1), "parts": torch.full((4, 4), -1), "kind": torch.full((4,), -1)}
    found = distribution_matching.losses(Options(), tasks, pairs, outputs, Targets(labels))
    assert set(found) == {"attributes", "c"}
    by_loop = attribute_pair([[0.9, NAN], [NAN, NAN], [0.6, 1.0]], [[0.3, NAN], [NAN, NAN], [0.1, 0.0]], [3, 0])
    assert float(found["attributes"]) == pytest.approx(by_hand(Options(), by_loop, (first, second)), rel=1e-6)
