"""Distribution matching against a plain loop over its formulas, and what must hold of it in the limits."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.methods.objective import Targets
from bench.methods.terms import distribution_matching
from bench.methods.terms.distribution_matching import Options, matching_loss

from .samples import ATTRIBUTES, CLASSES, GROUPS, HIERARCHY, PARTS, coupling, slope

FORMS, TARGETS = ("positive", "bernoulli", "kl"), ("attributes", "classes", "both")
SWITCHES = [
    pytest.param(Options(form=form, target=target, detach_target=detach), id=f"{form}-{target}-{detach}")
    for form, target, detach in itertools.product(FORMS, TARGETS, (True, False))
]
PAIRS = {
    "attributes": coupling(ATTRIBUTES, [0, 1, 2, 3], exclusive=False),
    "some attributes, in another order": coupling(ATTRIBUTES[:, [3, 0]], [3, 0], exclusive=False),
    "classes": coupling(HIERARCHY, [0, 1, 2], exclusive=True),
    "some classes, in another order": coupling(HIERARCHY[:, [2, 1]] / 2 + 0.2, [2, 1], exclusive=True),
}
EACH_PAIR = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
EACH_SWITCH = pytest.mark.parametrize("options", SWITCHES)


def logits_for(pair, count=5, seed=0, scale=1.5):
    rng = np.random.default_rng(seed)
    return scale * rng.normal(size=(count, 3)), scale * rng.normal(size=(count, 3 if pair.exclusive else 4))


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def kept_inside(row, exclusive):
    """A row of the relatedness without exact zeros and ones."""
    inside = [min(max(p, 1e-6), 1 - 1e-6) for p in row]
    return [p / sum(inside) for p in inside] if exclusive else inside


def probabilities(pair, class_row, second_row):
    """q (implied by the classes) and p (predicted) of one image, over the covered labels."""
    matrix, shares = [kept_inside(row, pair.exclusive) for row in pair.matrix.tolist()], softmax(class_row)
    implied = [sum(s * row[i] for s, row in zip(shares, matrix, strict=True)) for i in range(len(matrix[0]))]
    own = softmax(second_row) if pair.exclusive else [1 / (1 + math.exp(-z)) for z in second_row]
    return implied, [own[i] for i in pair.covered.tolist()]


def divergence(form, exclusive, target, student):
    """One image: summed over the outcome of a class task, averaged over attributes."""

    def cost(t, s):
        return t * (math.log(t / s) if form == "kl" else -math.log(s)) if t else 0.0

    if exclusive:
        return sum(cost(t, s) for t, s in zip(target, student, strict=True))
    both = form != "positive"
    cells = [cost(t, s) + (cost(1 - t, 1 - s) if both else 0.0) for t, s in zip(target, student, strict=True)]
    return sum(cells) / len(cells)


def by_hand(options, pair, student, target=None):
    """The loss where soft targets come from the logits `target` (class, second) and the rest from `student`."""
    values = []
    for i in range(len(student[0])):
        q, p = probabilities(pair, student[0][i], student[1][i])
        q_target, p_target = probabilities(pair, *(side[i] for side in target)) if target is not None else (q, p)
        directions = {"attributes": [(p_target, q)], "classes": [(q_target, p)]}
        directions["both"] = directions["attributes"] + directions["classes"]
        found = [divergence(options.form, pair.exclusive, t, s) for t, s in directions[options.target]]
        values.append(sum(found) / len(found))
    return sum(values) / len(values)


def measured(options, pair, classes, second):
    return float(matching_loss(options, pair, torch.tensor(classes), torch.tensor(second)))


def gradients(options, pair, classes, second):
    inputs = [torch.tensor(side, requires_grad=True) for side in (classes, second)]
    found = torch.autograd.grad(matching_loss(options, pair, *inputs), inputs, allow_unused=True)
    return [np.zeros_like(side) if g is None else g.numpy() for side, g in zip((classes, second), found, strict=True)]


@EACH_SWITCH
@EACH_PAIR
@pytest.mark.parametrize("count", [1, 5])
def test_the_loss_is_its_formula(options, pair, count):
    logits = logits_for(pair, count)
    assert measured(options, pair, *logits) == pytest.approx(by_hand(options, pair, logits), rel=1e-9)


@EACH_SWITCH
@EACH_PAIR
def test_gradients_flow_where_the_switch_says(options, pair):
    """Detached: as if targets were constants. Not detached: the slope of the whole."""
    logits = logits_for(pair, 2)
    frozen = logits if options.detach_target else None
    for side, found in enumerate(gradients(options, pair, *logits)):

        def moved(value, side=side):
            student = [value if side == i else other for i, other in enumerate(logits)]
            return by_hand(options, pair, student, frozen)

        np.testing.assert_allclose(found, slope(moved, logits[side]), atol=1e-8)


@EACH_PAIR
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("target", "taught"), [("attributes", 0), ("classes", 1)])
def test_a_detached_target_is_not_moved(pair, form, target, taught):
    found = gradients(Options(form=form, target=target), pair, *logits_for(pair))
    assert np.abs(found[taught]).max() > 1e-3
    assert not found[1 - taught].any()


@EACH_PAIR
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS)
def test_autograd_agrees_with_itself(pair, form, target):
    options = Options(form=form, target=target, detach_target=False)
    inputs = tuple(torch.tensor(side, requires_grad=True) for side in logits_for(pair, 3))
    assert torch.autograd.gradcheck(lambda *sides: matching_loss(options, pair, *sides), inputs)


def agreement(pair, count=4):
    """Logits at which both tasks say the same."""
    classes = np.random.default_rng(3).normal(size=(count, 3))
    implied = np.array([probabilities(pair, row, np.zeros(4))[0] for row in classes])
    return classes, (np.log(implied) if pair.exclusive else np.log(implied / (1 - implied)))


WHOLE_PAIRS = pytest.mark.parametrize("pair", [PAIRS["attributes"], PAIRS["classes"]], ids=["attributes", "classes"])


@WHOLE_PAIRS
@pytest.mark.parametrize("form", ["bernoulli", "kl"])
@pytest.mark.parametrize("target", TARGETS)
def test_agreement_is_a_resting_point_and_the_minimum(pair, form, target):
    options = Options(form=form, target=target)
    classes, second = agreement(pair)
    for found in gradients(options, pair, classes, second):
        np.testing.assert_allclose(found, 0, atol=1e-12)
    least = by_hand(options, pair, (classes, second))
    if form == "kl":
        assert measured(options, pair, classes, second) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = (classes + rng.normal(size=classes.shape), second + rng.normal(size=second.shape))
        assert by_hand(options, pair, moved, (classes, second)) > least


@WHOLE_PAIRS
def test_the_positive_form_does_not_rest_at_agreement(pair):
    """Why it is not the default: with attributes it is least where nothing is predicted."""
    found = gradients(Options(form="positive", detach_target=False), pair, *agreement(pair))
    assert np.abs(np.concatenate(found, axis=None)).max() > 1e-3


@EACH_PAIR
@pytest.mark.parametrize("target", TARGETS)
def test_kl_is_the_cross_entropy_less_the_entropy_of_the_target(pair, target):
    logits = logits_for(pair)
    cross, relative = (measured(Options(form=form, target=target), pair, *logits) for form in ("bernoulli", "kl"))
    entropies = {"attributes": [], "classes": []}
    for class_row, second_row in zip(*logits, strict=True):
        q, p = probabilities(pair, class_row, second_row)
        entropies["attributes"].append(divergence("bernoulli", pair.exclusive, p, p))
        entropies["classes"].append(divergence("bernoulli", pair.exclusive, q, q))
    means = {name: float(np.mean(values)) for name, values in entropies.items()}
    entropy = sum(means.values()) / 2 if target == "both" else means[target]
    assert relative == pytest.approx(cross - entropy, rel=1e-9)


def test_a_one_hot_relatedness_compares_classes_with_attributes_one_to_one():
    pair = coupling(np.eye(3), [0, 1, 2], exclusive=False)
    classes, second = logits_for(pair)
    q = torch.tensor(classes).softmax(1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(second[:, :3]), q)
    assert measured(Options(target="classes"), pair, classes, second) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_relatedness_that_is_the_same_for_all_classes_teaches_the_classes_nothing(form, target):
    pair = coupling(np.tile([0.2, 0.7, 0.5, 0.9], (3, 1)), [0, 1, 2, 3], exclusive=False)
    for detach in (True, False):
        options = Options(form=form, target=target, detach_target=detach)
        found, _ = gradients(options, pair, *logits_for(pair))
        np.testing.assert_allclose(found, 0, atol=1e-12)


@EACH_SWITCH
def test_attributes_outside_the_relatedness_are_left_alone(options):
    pair = PAIRS["some attributes, in another order"]
    classes, second = logits_for(pair)
    _, found = gradients(options, pair, classes, second)
    assert not found[:, [1, 2]].any()
    other = second.copy()
    other[:, [1, 2]] += 5
    assert measured(options, pair, classes, second) == measured(options, pair, classes, other)


@EACH_SWITCH
@pytest.mark.parametrize("kind", ["attributes", "classes"])
@pytest.mark.parametrize("certain", [(1e4, 1e4), (1e4, -1e4), (-1e4, 1e4), (-1e4, -1e4)])
def test_certain_predictions_and_certain_relations_stay_finite(options, kind, certain):
    """The relatedness holds exact zeros and ones; logits of 1e4 make probabilities exactly 0 and 1."""
    matrix = np.eye(3) if kind == "attributes" else HIERARCHY
    pair = coupling(matrix, [0, 1, 2], exclusive=kind == "classes")
    classes = torch.tensor([[certain[0], 0.0, 0.0], [0.0, certain[0], -certain[0]]], requires_grad=True)
    second = torch.zeros(2, 3 if kind == "classes" else 4)
    second[:, 0], second[:, 1] = certain[1], -certain[1]
    second.requires_grad_()
    value = matching_loss(options, pair, classes, second)
    value.backward()
    assert torch.isfinite(value)
    for side in (classes, second):
        assert side.grad is None or torch.isfinite(side.grad).all()


def test_classes_that_are_confidently_wrong_are_still_taught():
    """All belief in a class that excludes the attribute, which is clearly there: the gradient must not die out."""
    pair = coupling([[1.0], [0.0]], [0], exclusive=False)
    classes = torch.tensor([[-12.0, 12.0]], requires_grad=True)
    matching_loss(Options(target="attributes"), pair, classes, torch.full((1, 4), 9.0)).backward()
    assert classes.grad is not None
    assert classes.grad[0, 0] < -1e-6 < 1e-6 < classes.grad[0, 1]


@EACH_SWITCH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(options, dtype):
    pair = PAIRS["attributes"]
    halves = [torch.tensor(side, dtype=dtype) for side in logits_for(pair)]
    value = matching_loss(options, pair, *halves)
    assert value.dtype == torch.float32
    assert torch.equal(value, matching_loss(options, pair, *(side.float() for side in halves)))


def test_pairs_are_told_apart_and_labels_do_not_matter():
    tasks = {task.name: task for task in (CLASSES, PARTS, GROUPS)}
    pairs = [replace(PAIRS["attributes"], name="first"), replace(PAIRS["classes"], name="second")]
    classes, parts = (torch.tensor(side) for side in logits_for(pairs[0]))
    outputs = {"kind": classes, "parts": parts, "group": torch.tensor(logits_for(pairs[1], seed=5)[1])}
    nothing = {"kind": torch.full((5,), -1), "parts": torch.full((5, 4), -1), "group": torch.full((5,), -1)}
    everything = {name: torch.zeros_like(known) for name, known in nothing.items()}
    options = Options()
    found = distribution_matching.losses(options, tasks, pairs, outputs, Targets(nothing))
    each = {pair.name: matching_loss(options, pair, classes, outputs[pair.second_task]) for pair in pairs}
    assert found == each
    assert found["first"] != found["second"]
    assert found == distribution_matching.losses(options, tasks, pairs, outputs, Targets(everything))
    assert distribution_matching.losses(options, tasks, [], outputs, Targets(nothing)) == {}
