"""The supervised term against a plain loop over its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.methods.terms import supervised
from bench.methods.terms.supervised import Options, attributes_loss, classes_loss

from .samples import CLASSES, GROUPS, PARTS

TASKS = {task.name: task for task in (CLASSES, PARTS, GROUPS)}


def softplus(value):
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def classes_by_hand(logits, targets):
    losses = []
    for row, target in zip(logits, targets, strict=True):
        if target >= 0:
            largest = max(row)
            losses.append(largest + math.log(sum(math.exp(v - largest) for v in row)) - row[target])
    return sum(losses) / len(losses) if losses else 0.0


def attributes_by_hand(logits, targets):
    images = []
    for row, known in zip(logits, targets, strict=True):
        cells = [softplus(-z) if a == 1 else softplus(z) for z, a in zip(row, known, strict=True) if a >= 0]
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


def total(outputs, targets, **options):
    return supervised.loss(Options(**options), TASKS, [], outputs, targets)


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_sum_of_the_formulas(seed, count):
    outputs, targets = batch(seed, count)
    by_task = {
        "kind": classes_by_hand(outputs["kind"], targets["kind"]),
        "parts": attributes_by_hand(outputs["parts"], targets["parts"]),
        "group": classes_by_hand(outputs["group"], targets["group"]),
    }
    made = tensors(outputs, targets)
    assert total(*made).item() == pytest.approx(sum(by_task.values()), rel=1e-12)


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
