"""Tasks, couplings and runs for tests of losses, and finite differences to check gradients against."""

from __future__ import annotations

import numpy as np
import torch

from bench.methods.objective import Coupling
from bench.specs.budget import Augmentation, Optimizer, Schedule
from bench.specs.run import RunBackbone, RunPart, RunRecipe, RunRelatedness, RunSpec, RunTask

CLASSES = RunTask(name="kind", type="multiclass", labels=("a", "b", "c"), metrics=("accuracy",), primary="accuracy")
PARTS = RunTask(name="parts", type="multilabel", labels=("p", "q", "r", "s"), metrics=("mean_f1",), primary="mean_f1")
TAGS = RunTask(name="tags", type="multilabel", labels=("t", "u", "v"), metrics=("mean_f1",), primary="mean_f1")
GROUPS = RunTask(name="group", type="multiclass", labels=("x", "y", "z"), metrics=("accuracy",), primary="accuracy")

ATTRIBUTES = np.array([[0.9, 0.2, 0.0, 0.5], [0.1, 0.6, 1.0, 0.5], [0.3, 0.3, 0.7, 0.05]])
HIERARCHY = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])


def coupling(matrix, covered, *, exclusive, second=None, name="pair", dtype=torch.float64):
    """A coupling of `kind` to `parts` or `group`, by default in float64 precision."""
    return Coupling(
        "kind",
        second or ("group" if exclusive else "parts"),
        torch.tensor(np.asarray(matrix), dtype=dtype),
        torch.tensor(list(covered)),
        exclusive,
        name,
    )


def attribute_pair(present, absent, covered, *, name="pair", dtype=torch.float64):
    """A coupling of `tags` to `parts`; cells that nothing is said about are NaN in both tables."""
    tables = [torch.tensor(np.asarray(table), dtype=dtype) for table in (present, absent)]
    return Coupling("tags", "parts", tables[0], torch.tensor(list(covered)), False, name, absent=tables[1])


def run_with(terms, *, tasks=(CLASSES, PARTS), relatedness=()):
    """A run whose objective has these terms (name and options)."""
    return RunSpec(
        method="tested",
        type="joint",
        terms=tuple(RunPart(name=name, options=options, code="0") for name, options in terms),
        backbone=RunBackbone(name="net", timm="test_resnet", options={}, weights=None, input_size=None),
        recipe=RunRecipe(
            steps=1,
            image_size=16,
            optimizer=Optimizer(learning_rate=0.1),
            schedule=Schedule(),
            augmentation=Augmentation(),
            precision="float32",
            evaluations=1,
        ),
        sources=(),
        tasks=tasks,
        relatedness=relatedness,
        metrics={},
        seed=0,
    )


def related(covered=("p", "r"), matrix=((0.9, 0.1), (0.2, 0.6), (0.5, 0.5)), second="parts"):
    return RunRelatedness(name="r", first_task="kind", second_task=second, covered=covered, matrix=matrix)


def slope(function, at, step=1e-6):
    """Central finite differences of a scalar function of a numpy array."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[place] = step
        gradient[place] = (function(at + moved) - function(at - moved)) / (2 * step)
    return gradient
