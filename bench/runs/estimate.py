"""Relatedness counted on training labels, where a suite asks for that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.relatedness import Estimated, RelatednessSpec
from bench.specs.task import TaskSpec

DECIMALS = 6
"""Estimates are rounded to this many places, so that a run's description is the same on every machine."""


def estimated_matrix(
    spec: RelatednessSpec, classes: TaskSpec, second: TaskSpec, preparations: Mapping[str, Preparation]
) -> tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]:
    """Covered labels and p(second | class) with Laplace smoothing, from the training split alone.

    Labels that the data set never annotates are not covered: nothing was counted of them.
    """
    assert isinstance(spec.origin, Estimated)
    preparation = preparations.get(spec.origin.dataset)
    if preparation is None:
        raise DataError(
            f"relatedness '{spec.name}' is estimated on '{spec.origin.dataset}', which is not a data set of the suite"
        )
    store = preparation.prepare()
    rows = store.labels.rows("train")
    labels = store.labels.tasks
    table = count_relatedness(
        labels[classes.name][rows],
        labels[second.name][rows],
        len(classes.labels),
        len(second.labels),
        multilabel=second.type == "multilabel",
        smoothing=spec.origin.smoothing,
    )
    known = labels[second.name][rows]
    seen = np.arange(len(second.labels))
    annotated = np.flatnonzero(np.isin(seen, known) if known.ndim == 1 else (known >= 0).any(axis=0))
    covered = tuple(second.labels[place] for place in annotated)
    table = table[:, annotated]
    if second.type == "multiclass":
        table = table / table.sum(1, keepdims=True)
    return covered, tuple(tuple(round(float(p), DECIMALS) for p in row) for row in table)


def count_relatedness(
    classes: NDArray[np.integer],
    second: NDArray[np.integer],
    class_count: int,
    second_count: int,
    *,
    multilabel: bool,
    smoothing: float,
) -> NDArray[np.float64]:
    """p(second | class), float64 [classes, second labels]; -1 in either means not annotated and is left out.

    Attributes (`second` int [n, labels]): (positives + s) / (annotated + 2 s). Classes (`second` int [n]):
    (count + s) / (all + s * labels).
    """
    known = classes >= 0
    table = np.zeros((class_count, second_count))
    for label in range(class_count):
        chosen = second[known & (classes == label)]
        if multilabel:
            table[label] = ((chosen == 1).sum(0) + smoothing) / ((chosen >= 0).sum(0) + 2 * smoothing)
        else:
            counts = np.bincount(chosen[chosen >= 0], minlength=second_count)
            table[label] = (counts + smoothing) / (counts.sum() + smoothing * second_count)
    return table
