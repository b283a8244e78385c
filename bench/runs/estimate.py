"""Relatedness counted on training labels, where a suite asks for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.relatedness import Estimated, RelatednessSpec
from bench.specs.task import TaskSpec

DECIMALS = 6
"""Estimates are rounded to this many places, so that a run's description is the same on every machine."""


@dataclass(frozen=True)
class Estimate:
    """p(second | class) of the labels that the data set annotates, from its training rows alone.

    `matrix`: float64 [classes, covered]; `held` and `known`: int64 of the same shape, how many images of the class have
    the label, and of how many it is known; `low`, `high`: Wilson's 95 % interval for held / known, without smoothing.
    """

    dataset: str
    covered: tuple[str, ...]
    matrix: NDArray[np.float64]
    held: NDArray[np.int64]
    known: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def estimate(spec: RelatednessSpec, classes: TaskSpec, second: TaskSpec, preparation: Preparation) -> Estimate:
    """Count a relatedness with Laplace smoothing on the training labels of one data set.

    Labels that the data set never annotates are not covered: nothing was counted of them. Raises `DataError` where no
    training image carries both tasks.
    """
    assert isinstance(spec.origin, Estimated)
    found = _training_labels(preparation, (classes.name, second.name))
    multilabel = second.type == "multilabel"
    held, known = count_pairs(
        found[classes.name], found[second.name], len(classes.labels), len(second.labels), multilabel=multilabel
    )
    annotated = np.flatnonzero(known.sum(0) if multilabel else held.sum(0))
    if not len(annotated):
        raise DataError(
            f"relatedness '{spec.name}': no training image of '{preparation.dataset.name}' carries both "
            f"'{classes.name}' and '{second.name}'",
            hint="estimate it on a data set that annotates both on the same images",
        )
    held, known = held[:, annotated], known[:, annotated]
    smoothing = spec.origin.smoothing
    if multilabel:
        matrix = (held + smoothing) / (known + 2 * smoothing)
    else:
        known = np.broadcast_to(held.sum(1, keepdims=True), held.shape)
        matrix = (held + smoothing) / (known + smoothing * len(annotated))
    low, high = wilson_interval(held, known)
    covered = tuple(second.labels[place] for place in annotated)
    return Estimate(preparation.dataset.name, covered, matrix, held, known, low, high)


def estimated_matrix(
    spec: RelatednessSpec, classes: TaskSpec, second: TaskSpec, preparation: Preparation
) -> tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]:
    """Covered labels and p(second | class), rounded, as a run's description holds them."""
    found = estimate(spec, classes, second, preparation)
    return found.covered, tuple(tuple(round(float(p), DECIMALS) for p in row) for row in found.matrix)


def _training_labels(preparation: Preparation, tasks: tuple[str, ...]) -> dict[str, NDArray[np.integer]]:
    table = preparation.labels()
    rows = table.rows("train")
    return {task: table.tasks[task][rows] for task in tasks}


def wilson_interval(
    held: NDArray[np.int64], known: NDArray[np.int64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval for a share, element by element (Wilson 1927, JASA 22, 209-212); 0 to 1 where n = 0."""
    z = float(norm.ppf(0.5 + level / 2))
    n = np.maximum(known, 1)
    share = held / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    nothing = known == 0
    return np.where(nothing, 0.0, np.maximum(centre - half, 0)), np.where(nothing, 1.0, np.minimum(centre + half, 1))


def count_pairs(
    classes: NDArray[np.integer],
    second: NDArray[np.integer],
    class_count: int,
    second_count: int,
    *,
    multilabel: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many images of a class hold a second label, and of how many that is known: int64 [classes, second labels].

    -1 in either means not annotated and is left out. `second` is int [n, labels] of attributes, or int [n] of classes.
    """
    held = np.zeros((class_count, second_count), np.int64)
    known = np.zeros((class_count, second_count), np.int64)
    for label in range(class_count):
        chosen = second[classes == label]
        if multilabel:
            held[label], known[label] = (chosen == 1).sum(0), (chosen >= 0).sum(0)
        else:
            held[label] = np.bincount(chosen[chosen >= 0], minlength=second_count)
            known[label] = held[label].sum()
    return held, known
