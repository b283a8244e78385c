"""Distillation against a plain loop over its formulas, and what must hold of it in the limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import expit, softmax
from scipy.stats import entropy

from bench.methods.objective import Targets
from bench.methods.terms import distillation
from bench.methods.terms.distillation import Options, taught_attributes_loss, taught_classes_loss

from .samples import CLASSES, GROUPS, PARTS, slope

TASKS = {task.name: task for task in (CLASSES, PARTS, GROUPS)}
TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5, 5.0])


def batch(count=9, seed=0):
    """Logits, labels (many missing) and what teachers say (not of every label)."""
    rng = np.random.default_rng(seed)
    outputs = {name: 2 * rng.normal(size=(count, len(task.labels))) for name, task in TASKS.items()}
    taught, labels = {}, {}
    for name, task in TASKS.items():
        said = rng.normal(size=outputs[name].shape)
        if task.type == "multiclass":
            taught[name] = softmax(2 * said, axis=1)
            taught[name][rng.uniform(size=count) < 0.3] = np.nan
            labels[name] = np.where(rng.uniform(size=count) < 0.6, -1, rng.integers(0, 3, size=count))
        else:
            taught[name] = expit(2 * said)
            taught[name][rng.uniform(size=said.shape) < 0.3] = np.nan
            labels[name] = rng.integers(-1, 2, size=said.shape).astype(np.int8)
    return outputs, labels, taught


def classes_by_hand(logits, labels, taught, temperature):
    images = []
    for z, known, p in zip(logits, labels, taught, strict=True):
        if known < 0 and not np.isnan(p).any():
            t = p ** (1 / temperature) / (p ** (1 / temperature)).sum()  # softmax(log p / T)
            images.append(temperature**2 * entropy(t, softmax(z / temperature)))
    return sum(images) / len(images) if images else 0.0


def attributes_by_hand(logits, labels, taught, temperature):
    images = []
    for row, known, said in zip(logits, labels, taught, strict=True):
        cells = []
        for z, a, p in zip(row, known, said, strict=True):
            if a < 0 and not math.isnan(p):
                yes, no = p ** (1 / temperature), (1 - p) ** (1 / temperature)  # sigmoid(logit p / T)
                t, s = yes / (yes + no), expit(z / temperature)
                cells.append(temperature**2 * entropy([t, 1 - t], [s, 1 - s]))
        if cells:
            images.append(sum(cells) / len(cells))
    return sum(images) / len(images) if images else 0.0


def each(outputs, labels, taught, **options):
    return distillation.losses(
        Options(**options),
        TASKS,
        [],
        {name: torch.as_tensor(value) for name, value in outputs.items()},
        Targets(
            {name: torch.as_tensor(value) for name, value in labels.items()},
            taught={name: torch.as_tensor(value) for name, value in taught.items()},
        ),
    )


def by_hand(outputs, labels, taught, temperature):
    formulas = {"kind": classes_by_hand, "group": classes_by_hand, "parts": attributes_by_hand}
    return {name: formulas[name](outputs[name], labels[name], taught[name], temperature) for name in TASKS}


def gradients(outputs, labels, taught, **options):
    made = {name: torch.tensor(value, requires_grad=True) for name, value in outputs.items()}
    sum(each(made, labels, taught, **options).values()).backward()
    return {name: value.grad.numpy() for name, value in made.items()}


@TEMPERATURES
@pytest.mark.parametrize("seed", range(3))
def test_the_losses_are_their_formulas(temperature, seed):
    made = batch(seed=seed)
    expected = by_hand(*made, temperature)
    assert min(expected.values()) > 0
    found = {name: value.item() for name, value in each(*made, temperature=temperature).items()}
    assert found == pytest.approx(expected, rel=1e-9)


@TEMPERATURES
def test_gradients_are_the_slopes_of_the_formulas(temperature):
    outputs, labels, taught = batch(5)
    found = gradients(outputs, labels, taught, temperature=temperature)
    for name in TASKS:

        def moved(value, name=name):
            return by_hand({**outputs, name: value}, labels, taught, temperature)[name]

        np.testing.assert_allclose(found[name], slope(moved, outputs[name]), atol=1e-7)


def test_autograd_agrees_with_itself():
    outputs, labels, taught = batch(4)
    logits = {name: torch.tensor(value, requires_grad=True) for name, value in outputs.items()}
    for name, term in (("kind", taught_classes_loss), ("parts", taught_attributes_loss)):
        known, said = torch.from_numpy(labels[name]), torch.from_numpy(taught[name])
        assert torch.autograd.gradcheck(lambda z, t=term, k=known, s=said: t(z, k, s, 2.0), (logits[name],))


@TEMPERATURES
def test_agreement_with_the_teachers_costs_nothing(temperature):
    _, labels, taught = batch()
    logits = {
        "kind": np.log(np.nan_to_num(taught["kind"], nan=0.5)) + 3,  # a shift of all logits changes no probability
        "group": np.log(np.nan_to_num(taught["group"], nan=0.5)),
        "parts": np.log(taught["parts"] / (1 - taught["parts"])),
    }
    logits["parts"] = np.nan_to_num(logits["parts"], nan=7.0)
    for value in each(logits, labels, taught, temperature=temperature).values():
        assert value.item() == pytest.approx(0, abs=1e-12)
    for found in gradients(logits, labels, taught, temperature=temperature).values():
        np.testing.assert_allclose(found, 0, atol=1e-12)


def test_labels_that_are_known_or_not_taught_get_no_gradient():
    outputs, labels, taught = batch()
    for name, found in gradients(outputs, labels, taught).items():
        learnt = np.isfinite(taught[name]) & (
            labels[name] < 0 if labels[name].ndim == 2 else (labels[name] < 0)[:, None]
        )
        assert learnt.any()
        assert found[learnt].all()
        assert not found[~learnt].any()


def test_certain_teachers_are_hard_labels():
    """At temperature 1 the loss is the supervised one of what they say."""
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 1.0]], dtype=torch.float64)
    classes, attributes = torch.tensor([2, 0]), torch.tensor([[1.0, 0, 1], [0, 0, 1]], dtype=torch.float64)
    hard = torch.nn.functional.one_hot(classes, 3).double()
    found = taught_classes_loss(logits, torch.tensor([-1, -1]), hard, 1.0)
    assert found.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, classes).item())
    missing = torch.full((2, 3), -1, dtype=torch.int8)
    found = taught_attributes_loss(logits, missing, attributes, 1.0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, attributes)
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


def test_the_size_of_gradients_hardly_depends_on_a_high_temperature():
    """What the factor T^2 is for: without it, twice the temperature would leave a quarter."""
    made = batch()
    sizes = [np.abs(gradients(*made, temperature=t)["kind"]).sum() for t in (20.0, 40.0)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


@pytest.mark.parametrize("lacking", ["teachers", "their words", "missing labels"])
def test_where_there_is_nothing_to_learn_there_is_no_loss_and_no_gradient(lacking):
    outputs, labels, taught = batch()
    if lacking == "teachers":
        taught = {}
    elif lacking == "their words":
        taught = {name: np.full_like(value, np.nan) for name, value in taught.items()}
    else:
        labels = {name: np.zeros_like(value) for name, value in labels.items()}
    found = each(outputs, labels, taught)
    assert list(found) == list(TASKS)
    assert all(value.item() == 0 for value in found.values())
    assert not any(value.any() for value in gradients(outputs, labels, taught).values())


@pytest.mark.parametrize("size", [1e4, -1e4])
@TEMPERATURES
def test_certain_predictions_and_certain_teachers_stay_finite(size, temperature):
    outputs, labels, taught = batch()
    outputs = {name: np.sign(value) * size for name, value in outputs.items()}
    taught = {name: np.round(value) for name, value in taught.items()}
    for name in ("kind", "group"):
        taught[name][np.isfinite(taught[name]).all(1)] = [0.0, 1.0, 0.0]
    assert all(np.isfinite(value.item()) for value in each(outputs, labels, taught, temperature=temperature).values())
    found = gradients(outputs, labels, taught, temperature=temperature)
    assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(dtype):
    outputs, labels, taught = batch()
    halves = {name: torch.tensor(value, dtype=dtype) for name, value in outputs.items()}
    said = {name: value.astype(np.float32) for name, value in taught.items()}
    exact = each({name: value.float() for name, value in halves.items()}, labels, said)
    for name, value in each(halves, labels, said).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, exact[name])


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": -1.0}, {"weight": -1.0}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        Options(**options)
