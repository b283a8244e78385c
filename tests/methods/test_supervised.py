"""The supervised term against a plain loop over its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.methods.objective import Targets
from bench.methods.terms import supervised
from bench.methods.terms.supervised import Options, attributes_loss, classes_loss

from .samples import CLASSES, GROUPS, PARTS

TASKS = {task.name: task for task in (CLASSES, PARTS, GROUPS)}


def softplus(value):
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def classes_by_hand(logits, targets, weights=None, possible=None):
    """`possible`: by image, the classes that it is scored among."""
    losses = []
    for i, (row, target) in enumerate(zip(logits, targets, strict=True)):
        if target >= 0:
            among = row if possible is None else [v for v, there in zip(row, possible[i], strict=True) if there]
            largest = max(among)
            loss = largest + math.log(sum(math.exp(v - largest) for v in among)) - row[target]
            losses.append(loss if weights is None else weights[i] * loss)
    return sum(losses) / len(losses) if losses else 0.0


def attributes_by_hand(logits, targets, weights=None):
    images = []
    weights = np.ones_like(logits) if weights is None else weights
    for row, known, counts in zip(logits, targets, weights, strict=True):
        each = zip(row, known, counts, strict=True)
        cells = [w * (softplus(-z) if a == 1 else softplus(z)) for z, a, w in each if a >= 0]
        if cells:
            images.append(sum(cells) / len(cells))
    return sum(images) / len(images) if images else 0.0


def batch(seed, count=7):
    rng = np.random.default_rng(seed)
    outputs = {name: 3 * rng.normal(size=(count, len(task.labels))) for name, task in TASKS.items()}
    targets = {
        "kind": rng.integers(-1, 3, size=count),
        "parts": rng.integers(-1, 2, size=(count, 4)).astype(np.int8),
        "group": rng.integers(-1, 3, size=count),
    }
    return outputs, targets


def tensors(outputs, targets, dtype=torch.float64):
    made = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in outputs.items()}
    return made, {name: torch.from_numpy(value) for name, value in targets.items()}


def each(outputs, labels, *, weights=None, possible=None, **options):
    """The losses by task."""
    targets = Targets(labels, weights or {}, possible=possible or {})
    return supervised.losses(Options(**options), TASKS, [], outputs, targets)


def total(outputs, labels, **options):
    return sum(each(outputs, labels, **options).values())


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "weighted"])
def test_the_losses_are_their_formulas(seed, count, weighted):
    outputs, targets = batch(seed, count)
    rng = np.random.default_rng(seed)
    weights = {name: rng.uniform(size=value.shape) for name, value in targets.items()} if weighted else {}
    by_task = {
        "kind": classes_by_hand(outputs["kind"], targets["kind"], weights.get("kind")),
        "parts": attributes_by_hand(outputs["parts"], targets["parts"], weights.get("parts")),
        "group": classes_by_hand(outputs["group"], targets["group"], weights.get("group")),
    }
    found = each(*tensors(outputs, targets), weights={name: torch.from_numpy(w) for name, w in weights.items()})
    assert {name: value.item() for name, value in found.items()} == pytest.approx(by_task, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_classes_that_a_data_set_does_not_annotate_may_be_left_out(seed):
    outputs, targets = batch(seed)
    possible = np.random.default_rng(seed).uniform(size=(7, 3)) < 0.5
    possible[np.arange(7), targets["kind"].clip(0)] = True  # what an image is labelled as is possible
    made, allowed = tensors(outputs, targets), {"kind": torch.from_numpy(possible)}
    left_out = each(*made, possible=allowed, absent_classes="left_out")
    expected = classes_by_hand(outputs["kind"], targets["kind"], possible=possible)
    assert left_out["kind"].item() == pytest.approx(expected, rel=1e-12)
    negative = each(*made, possible=allowed)
    assert negative["kind"].item() == pytest.approx(classes_by_hand(outputs["kind"], targets["kind"]), rel=1e-12)
    assert left_out["group"].item() == negative["group"].item()
    (slope,) = torch.autograd.grad(left_out["kind"], made[0]["kind"])
    assert not slope[~allowed["kind"]].any()
    assert torch.isfinite(slope).all()


def test_a_label_of_half_weight_pulls_half_as_hard():
    logits = torch.tensor([[0.3, -1.0], [0.3, -1.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[0.5, 1.0], [1.0, 1.0]])
    value = attributes_loss(logits, torch.tensor([[1, -1], [1, -1]], dtype=torch.int8), weights)
    (slope,) = torch.autograd.grad(value, logits)
    assert slope[0, 0].item() == pytest.approx(slope[1, 0].item() / 2, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_right(seed):
    outputs, targets = tensors(*batch(seed, 4))
    names = list(outputs)
    assert torch.autograd.gradcheck(
        lambda *values: total(dict(zip(names, values, strict=True)), targets), tuple(outputs.values())
    )


def test_an_image_counts_the_same_however_many_of_its_labels_are_annotated():
    logits = torch.tensor([[2.0, 0.0], [-1.0, 5.0]])
    both = attributes_loss(logits, torch.tensor([[1, 0], [1, -1]], dtype=torch.int8))
    first = (softplus(-2.0) + softplus(0.0)) / 2
    assert float(both) == pytest.approx((first + softplus(1.0)) / 2, rel=1e-6)


def test_a_batch_without_any_annotation_has_no_loss_and_no_gradient():
    outputs, targets = batch(0)
    outputs, targets = tensors(outputs, {name: np.full_like(value, -1) for name, value in targets.items()})
    value = total(outputs, targets)
    value.backward()
    assert value.item() == 0
    assert all(not logits.grad.any() for logits in outputs.values())


def test_what_is_not_annotated_gets_no_gradient():
    outputs, targets = tensors(*batch(1))
    total(outputs, targets).backward()
    assert not outputs["kind"].grad[targets["kind"] < 0].any()
    assert not outputs["parts"].grad[targets["parts"] < 0].any()
    assert outputs["kind"].grad[targets["kind"] >= 0].all()
    assert outputs["parts"].grad[targets["parts"] >= 0].all()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_certain_predictions_stay_finite(size):
    """Wrong by 1e4 costs 1e4 (a logit), not infinity."""
    logits = torch.tensor([[size, 0.0, 0.0]], requires_grad=True)
    for value in (
        classes_loss(logits, torch.tensor([1 if size > 0 else 0])),
        attributes_loss(logits, torch.tensor([[int(size < 0), -1, -1]], dtype=torch.int8)),
    ):
        (slope,) = torch.autograd.grad(value, logits)
        assert value.item() == pytest.approx(1e4, rel=1e-3)
        assert torch.isfinite(slope).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(dtype):
    outputs, targets = tensors(*batch(2), dtype=dtype)
    value = total(outputs, targets)
    assert value.dtype == torch.float32
    exact = total({name: logits.float() for name, logits in outputs.items()}, targets)
    assert torch.equal(value, exact)
