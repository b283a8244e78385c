"""Soft co-annotation against plain loops over its formulas, and what must hold of it in the limits."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import log_softmax, softmax

from bench.methods.objective import Targets
from bench.methods.terms import soft_co_annotation
from bench.methods.terms.soft_co_annotation import Options

from .samples import CLASSES, GROUPS, HIERARCHY, PARTS, TAGS, attribute_pair, coupling, slope

TASKS = {task.name: task for task in (CLASSES, PARTS, GROUPS, TAGS)}
NAN = math.nan

# The last class has no attribute that counts, as neutral has none.
BARE = np.array([[0.9, 0.25, 0.0, 0.5], [0.1, 0.6, 1.0, 0.5], [0.05, 0.05, 0.05, 0.0]])
FULL = np.array([[0.9, 0.25, 0.0, 0.5], [0.1, 0.6, 1.0, 0.5], [0.3, 0.05, 0.7, 0.0]])
PAIRS = {
    "attributes": coupling(FULL, [0, 1, 2, 3], exclusive=False),
    "a class without attributes": coupling(BARE, [0, 1, 2, 3], exclusive=False),
    "some attributes, in another order": coupling(FULL[:, [3, 0]], [3, 0], exclusive=False),
    "classes": coupling(HIERARCHY, [0, 1, 2], exclusive=True),
    "some classes, in another order": coupling(HIERARCHY[:, [2, 1]], [2, 1], exclusive=True),
    "two attribute tasks": attribute_pair(
        [[0.9, NAN], [0.2, 0.6], [NAN, 0.3]], [[0.1, NAN], [0.7, 0.5], [NAN, 0.0]], [3, 1]
    ),
}
EACH_PAIR = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
SWITCHES = [
    pytest.param(Options(direction=direction, neutral=neutral, temperature=t), id=f"{direction}-{neutral}-{t}")
    for direction, neutral, t in itertools.product(
        ("indicator", "prediction"), ("absent_of_all", "exclude"), (1.0, 0.3)
    )
]
EACH_SWITCH = pytest.mark.parametrize("options", SWITCHES)


def batch(count=9, seed=0):
    """Logits and labels of all tasks; about every third image carries a class."""
    rng = np.random.default_rng(seed)
    outputs = {name: 1.5 * rng.normal(size=(count, len(task.labels))) for name, task in TASKS.items()}
    labels = {
        name: rng.integers(-1, 2, size=(count, len(task.labels))).astype(np.int8)
        if task.type == "multilabel"
        else rng.integers(-1, 3, size=count)
        for name, task in TASKS.items()
    }
    labels["kind"][rng.uniform(size=count) < 0.6] = -1
    return outputs, labels


def class_target(options, pair, second):
    """The scores of one image by class, None where there is none, before the temperature."""
    matrix = pair.matrix.tolist()
    covered = pair.covered.tolist()
    if pair.exclusive:
        if second not in covered:
            return [None] * len(matrix)
        return [math.log(max(row[covered.index(second)], 1e-6)) for row in matrix]
    scores = []
    for row in matrix:
        weights = {i: r for i, r in zip(covered, row, strict=True) if r >= options.observational and second[i] >= 0}
        total = sum(weights.values())
        scores.append(sum(r for i, r in weights.items() if second[i] == 1) / total if total else None)
    if options.neutral == "absent_of_all" and any(score is not None for score in scores):
        largest = max(score for score in scores if score is not None)
        bare = [max(row) < options.observational for row in matrix]
        scores = [1 - largest if alone else score for alone, score in zip(bare, scores, strict=True)]
    return scores


def classes_by_hand(options, pair, logits, kind, second):
    images = []
    for z, known, other in zip(logits, kind, second, strict=True):
        scores = class_target(options, pair, other)
        among = [c for c, score in enumerate(scores) if score is not None]
        if known >= 0 or not among:
            continue
        log_q = log_softmax([scores[c] / options.temperature for c in among])
        log_p = log_softmax([z[c] for c in among])
        target, student = (log_q, log_p) if options.direction == "indicator" else (log_p, log_q)
        images.append(-sum(math.exp(t) * s for t, s in zip(target, student, strict=True)))
    return sum(images) / len(images) if images else 0.0


def attributes_by_hand(options, pair, logits, first, second):
    present, absent, images = pair.matrix.tolist(), pair.absent.tolist(), []
    for z, tags, parts in zip(logits, first, second, strict=True):
        cells = []
        for column, i in enumerate(pair.covered.tolist()):
            said = [(present if a else absent)[j][column] for j, a in enumerate(tags) if a >= 0]
            said = [q for q in said if not math.isnan(q)]
            if parts[i] >= 0 or not said:
                continue
            q, p = min(max(sum(said) / len(said), 1e-6), 1 - 1e-6), 1 / (1 + math.exp(-z[i]))
            t, s = (q, p) if options.direction == "indicator" else (p, q)
            cells.append(-t * math.log(s) - (1 - t) * math.log(1 - s))
        if cells:
            images.append(sum(cells) / len(cells))
    return sum(images) / len(images) if images else 0.0


def by_hand(options, pair, outputs, labels):
    first, second = labels[pair.first_task], labels[pair.second_task]
    if pair.absent is not None:
        return attributes_by_hand(options, pair, outputs["parts"], first, second)
    return classes_by_hand(options, pair, outputs["kind"], first, second)


def learner(pair):
    return "kind" if pair.absent is None else "parts"


def measure(options, pair, outputs, labels):
    """The loss as a tensor; arrays are made tensors."""
    made = {name: torch.as_tensor(value) for name, value in outputs.items()}
    targets = Targets({name: torch.as_tensor(value) for name, value in labels.items()})
    return soft_co_annotation.losses(options, TASKS, [pair], made, targets)["pair"]


def gradient(options, pair, outputs, labels):
    moved = torch.tensor(outputs[learner(pair)], requires_grad=True)
    (found,) = torch.autograd.grad(measure(options, pair, {**outputs, learner(pair): moved}, labels), moved)
    return found.numpy()


@EACH_SWITCH
@EACH_PAIR
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_its_formula(options, pair, seed):
    outputs, labels = batch(seed=seed)
    expected = by_hand(options, pair, outputs, labels)
    assert expected > 0
    assert measure(options, pair, outputs, labels).item() == pytest.approx(expected, rel=1e-9)


@EACH_SWITCH
@EACH_PAIR
def test_the_gradient_is_the_slope_of_the_formula(options, pair):
    outputs, labels = batch(5)
    name = learner(pair)
    expected = slope(lambda value: by_hand(options, pair, {**outputs, name: value}, labels), outputs[name])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient(options, pair, outputs, labels), expected, atol=1e-8)


@EACH_SWITCH
@EACH_PAIR
def test_autograd_agrees_with_itself(options, pair):
    outputs, labels = batch(4)
    logits = torch.tensor(outputs[learner(pair)], requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda value: measure(options, pair, {**outputs, learner(pair): value}, labels), (logits,)
    )


@EACH_SWITCH
@EACH_PAIR
def test_without_annotations_there_is_no_loss_and_no_gradient(options, pair):
    outputs, labels = batch()
    nothing = {name: np.full_like(value, -1) for name, value in labels.items()}
    assert measure(options, pair, outputs, nothing).item() == 0
    assert not gradient(options, pair, outputs, nothing).any()


@EACH_SWITCH
@EACH_PAIR
def test_what_has_a_label_is_left_to_the_supervised_term(options, pair):
    outputs, labels = batch()
    name = learner(pair)
    known = labels[name] >= 0
    assert known.any()
    assert not gradient(options, pair, outputs, labels)[known].any()
    labels[name] = np.zeros_like(labels[name])
    assert measure(options, pair, outputs, labels).item() == 0


def teach(pair, attributes, logits, **options):
    """Loss and gradient of images with these second labels and no class."""
    labels = {pair.first_task: np.full(len(attributes), -1), pair.second_task: np.array(attributes)}
    outputs = {"kind": np.array(logits, float)}
    made = Options(**options)
    return measure(made, pair, outputs, labels).item(), gradient(made, pair, outputs, labels)


def test_a_one_hot_relatedness_makes_an_attribute_its_class():
    """One-hot indicators: at a low temperature the loss is the supervised one."""
    identity = coupling(np.eye(3), [0, 1, 2], exclusive=False)
    logits = np.random.default_rng(0).normal(size=(3, 3))
    value, _ = teach(identity, np.eye(3, 4, dtype=np.int8), logits, temperature=0.01)
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.arange(3))
    assert value == pytest.approx(expected.item(), rel=1e-9)


def test_at_temperature_1_the_target_of_seven_classes_is_far_from_certain():
    seven = coupling(np.eye(7), range(7), exclusive=False)
    _, found = teach(seven, np.eye(1, 7, dtype=np.int8), np.zeros((1, 7)))
    assert 1 / 7 - found[0, 0] == pytest.approx(math.e / (math.e + 6)) == pytest.approx(0.31, abs=0.005)


@pytest.mark.parametrize("kind", ["attributes", "classes"])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_a_uniform_relatedness_asks_for_uniform_classes(kind, temperature):
    exclusive = kind == "classes"
    uniform = coupling(np.full((3, 3), 1 / 3), [0, 1, 2], exclusive=exclusive)
    labels = np.array([0, 2]) if exclusive else np.array([[1, 0, -1, 0], [0, 0, 1, 1]], np.int8)
    _, found = teach(uniform, labels, np.zeros((2, 3)), temperature=temperature)
    np.testing.assert_allclose(found, 0, atol=1e-12)
    _, found = teach(uniform, labels, [[1.0, 0, 0], [0, 0, 0]], temperature=temperature)
    np.testing.assert_allclose(found[0], (softmax([1.0, 0, 0]) - 1 / 3) / 2, atol=1e-12)


def test_prediction_of_q_is_the_minimum_and_the_only_resting_point():
    pair = PAIRS["attributes"]
    attributes = np.array([[1, 0, -1, 0]], np.int8)
    options = Options(temperature=0.4)
    q = softmax([score / 0.4 for score in class_target(options, pair, attributes[0])])
    least, found = teach(pair, attributes, [np.log(q)], temperature=0.4)
    np.testing.assert_allclose(found, 0, atol=1e-12)
    assert least == pytest.approx(-(q * np.log(q)).sum())
    for seed in range(10):
        moved = np.log(q) + np.random.default_rng(seed).normal(size=3)
        assert teach(pair, attributes, [moved], temperature=0.4)[0] > least


def test_where_the_prediction_is_the_target_it_moves_to_the_largest_indicator():
    attributes, logits = np.array([[1, 0, 0, 0]], np.int8), np.zeros((1, 3))
    for _ in range(200):
        logits = logits - teach(PAIRS["attributes"], attributes, logits, direction="prediction", temperature=0.1)[1]
    assert softmax(logits[0])[0] > 0.95


def test_one_class_alone_teaches_nothing():
    alone = coupling(FULL[:1], [0, 1, 2, 3], exclusive=False)
    value, found = teach(alone, np.array([[1, 0, -1, 0]], np.int8), [[0.7]])
    assert value == 0
    assert not found.any()


def test_neutral_is_absent_of_all():
    """No attribute there: all other indicators are 0, that of neutral is 1. One is complete: neutral is 0."""
    pair, logits = PAIRS["a class without attributes"], np.zeros((1, 3))
    for attributes, scores in (([0, 0, 0, 0], [0, 0, 1]), ([1, 1, -1, 1], [1, 1, 0]), ([1, 0, 0, 1], None)):
        scores = scores or [1.4 / 1.65, 0.5 / 2.1, 1 - 1.4 / 1.65]
        _, found = teach(pair, np.array([attributes], np.int8), logits)
        np.testing.assert_allclose(found, [1 / 3 - softmax(scores)], atol=1e-12)


def test_of_an_excluded_neutral_nothing_is_said():
    pair = PAIRS["a class without attributes"]
    attributes = np.array([[0, 0, 0, 0], [1, 0, 0, 1]], np.int8)
    value, found = teach(pair, attributes, [[0.0, 1.0, 2.0], [0.5, 0.0, -3.0]], neutral="exclude")
    assert not found[:, 2].any()
    assert found[:, :2].all()
    other, _ = teach(pair, attributes, [[0.0, 1.0, 9.0], [0.5, 0.0, 7.0]], neutral="exclude")
    assert value == other


@pytest.mark.parametrize("neutral", ["absent_of_all", "exclude"])
def test_of_a_class_whose_attributes_nobody_looked_for_nothing_is_said(neutral):
    pair = coupling([[0.9, 0.0, 0.0, 0.0], [0.0, 0.9, 0.0, 0.0], [0.0, 0.0, 0.9, 0.5]], [0, 1, 2, 3], exclusive=False)
    _, found = teach(pair, np.array([[1, 0, -1, -1]], np.int8), [[0.0, 0.0, 5.0]], neutral=neutral)
    q = softmax([1.0, 0.0])
    np.testing.assert_allclose(found, [[0.5 - q[0], 0.5 - q[1], 0]], atol=1e-12)


def test_if_no_class_has_attributes_nothing_is_taught():
    bare = coupling(np.full((3, 4), 0.05), [0, 1, 2, 3], exclusive=False)
    value, found = teach(bare, np.array([[1, 1, 0, 0]], np.int8), [[0.0, 1.0, 2.0]])
    assert value == 0
    assert not found.any()


def test_a_second_class_asks_for_what_bayes_says():
    _, found = teach(PAIRS["classes"], np.array([1]), np.zeros((1, 3)))
    np.testing.assert_allclose(found, [1 / 3 - np.array([0.0, 0.5, 0.1]) / 0.6], atol=1e-5)


@pytest.mark.parametrize("direction", ["indicator", "prediction"])
def test_a_second_class_that_no_class_has_says_nothing(direction):
    pair = coupling([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [0, 1], exclusive=True)
    value, found = teach(pair, np.array([1]), [[0.0, 1.0, 2.0]], direction=direction)
    assert value == 0
    assert not found.any()


def test_a_first_attribute_that_is_there_or_not_asks_for_the_chance_of_the_second():
    pair = PAIRS["two attribute tasks"]
    outputs = {"parts": np.zeros((3, 4))}
    labels = {
        "tags": np.array([[1, -1, -1], [0, -1, -1], [1, 0, 1]], np.int8),
        "parts": np.full((3, 4), -1, np.int8),
    }
    found = gradient(Options(), pair, outputs, labels) * 3
    expected = np.zeros((3, 4))
    expected[0, 3], expected[1, 3] = 0.5 - 0.9, 0.5 - 0.1
    expected[2, 3], expected[2, 1] = (0.5 - 0.8) / 2, (0.5 - 0.4) / 2  # means of 0.9 and 0.7, of 0.5 and 0.3
    np.testing.assert_allclose(found, expected, atol=1e-12)


@EACH_SWITCH
@EACH_PAIR
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_certain_predictions_stay_finite(options, pair, size):
    outputs, labels = batch()
    outputs = {name: np.sign(value) * size for name, value in outputs.items()}
    assert np.isfinite(measure(options, pair, outputs, labels).item())
    assert np.isfinite(gradient(options, pair, outputs, labels)).all()


@EACH_PAIR
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(pair, dtype):
    """Where the relatedness is float32, as in training."""
    outputs, labels = batch()
    absent = None if pair.absent is None else pair.absent.float()
    single = replace(pair, matrix=pair.matrix.float(), absent=absent)
    halves = {name: torch.tensor(value, dtype=dtype) for name, value in outputs.items()}
    value = measure(Options(), single, halves, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, measure(Options(), single, {n: v.float() for n, v in halves.items()}, labels))


def test_every_pair_has_its_own_loss():
    outputs, labels = batch()
    pairs = [replace(pair, name=name) for name, pair in PAIRS.items()]
    made = {name: torch.tensor(value) for name, value in outputs.items()}
    targets = Targets({name: torch.from_numpy(value) for name, value in labels.items()})
    found = soft_co_annotation.losses(Options(), TASKS, pairs, made, targets)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: measure(Options(), pair, outputs, labels).item() for name, pair in PAIRS.items()}
    )


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"observational": 0.0}, {"direction": "both"}, {"neutral": "absent"}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        Options(**options)
