"""Relatedness counted on training labels, where a suite asks for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.relatedness import Estimated, RelatednessSpec
from bench.specs.task import TaskSpec


@dataclass(frozen=True)
class Estimate:
    """p(second | first) of the labels that the data set annotates, from its training rows alone.

    `matrix`: float64 [first labels, covered]; `held` and `known`: int64 of the same shape, how many images with the
    first label have the second, and of how many it is known; `low`, `high`: Wilson's 95 % interval for held / known,
    without smoothing. Where the first task is multilabel, `absent` is the same of images whose first label is absent,
    cells that are not listed are NaN in both matrices, and `covered` has the labels of which some cell is listed.
    """

    dataset: str
    covered: tuple[str, ...]
    matrix: NDArray[np.float64]
    held: NDArray[np.int64]
    known: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    absent: Estimate | None = None


def estimate(spec: RelatednessSpec, first: TaskSpec, second: TaskSpec, preparation: Preparation) -> Estimate:
    """Count a relatedness with Laplace smoothing on the training labels of one data set.

    Labels that the data set never annotates are not covered: nothing was counted of them. Raises `DataError` where no
    training image carries both tasks, or where no pair of attributes tells enough of each other to be listed.
    """
    assert isinstance(spec.origin, Estimated)
    found = _training_labels(preparation, (first.name, second.name))
    if first.type == "multilabel":
        return _attribute_pairs(spec, spec.origin, first, second, found)
    multilabel = second.type == "multilabel"
    held, known = count_pairs(
        found[first.name], found[second.name], len(first.labels), len(second.labels), multilabel=multilabel
    )
    annotated = np.flatnonzero(known.sum(0) if multilabel else held.sum(0))
    if not len(annotated):
        raise _nothing_counted(spec, spec.origin)
    held, known = held[:, annotated], known[:, annotated]
    outcomes = 2
    if not multilabel:
        known = np.broadcast_to(held.sum(1, keepdims=True), held.shape)
        outcomes = len(annotated)
    matrix = _smoothed(held, known, spec.origin.smoothing, outcomes)
    covered = tuple(second.labels[place] for place in annotated)
    return Estimate(spec.origin.dataset, covered, matrix, held, known, *wilson_interval(held, known))


def _attribute_pairs(
    spec: RelatednessSpec,
    origin: Estimated,
    first: TaskSpec,
    second: TaskSpec,
    found: Mapping[str, NDArray[np.integer]],
) -> Estimate:
    """Pairs that were counted both ways, with the first attribute and without, and whose shares differ enough."""
    counts = [count_attribute_pairs(found[first.name] == state, found[second.name]) for state in (1, 0)]
    given, otherwise = (_smoothed(held, known, origin.smoothing, 2) for held, known in counts)
    counted = (counts[0][1] > 0) & (counts[1][1] > 0)
    if not counted.any():
        raise _nothing_counted(spec, origin)
    difference = np.where(counted, np.abs(given - otherwise), -1.0)
    listed = difference >= origin.least_difference
    if not listed.any():
        i, j = np.unravel_index(difference.argmax(), difference.shape)
        raise DataError(
            f"relatedness '{spec.name}': no attribute of '{first.name}' changes how frequent one of '{second.name}' is "
            f"by {origin.least_difference:g} or more; '{first.labels[i]}' changes '{second.labels[j]}' most, by "
            f"{difference[i, j]:.3f}",
            hint="lower `least_difference` of its origin, or leave the relatedness out of the suite",
        )
    places = np.flatnonzero(listed.any(0))
    covered = tuple(second.labels[place] for place in places)
    unlisted = ~listed[:, places]

    def part(matrix: NDArray[np.float64], held: NDArray[np.int64], known: NDArray[np.int64]) -> Estimate:
        held, known = held[:, places], known[:, places]
        shown = np.where(unlisted, np.nan, matrix[:, places])
        return Estimate(origin.dataset, covered, shown, held, known, *wilson_interval(held, known))

    return replace(part(given, *counts[0]), absent=part(otherwise, *counts[1]))


def _smoothed(
    held: NDArray[np.int64], known: NDArray[np.int64], smoothing: float, outcomes: int
) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (held + smoothing) / (known + smoothing * outcomes)
    return shares


def _nothing_counted(spec: RelatednessSpec, origin: Estimated) -> DataError:
    return DataError(
        f"relatedness '{spec.name}': no training image of '{origin.dataset}' carries both "
        f"'{spec.first_task}' and '{spec.second_task}'",
        hint="estimate it on a data set that annotates both on the same images",
    )


def _training_labels(preparation: Preparation, tasks: tuple[str, ...]) -> dict[str, NDArray[np.integer]]:
    table = preparation.labels()
    rows = table.rows("train")
    return {task: table.tasks[task][rows] for task in tasks}


def wilson_interval(
    held: NDArray[np.int64], known: NDArray[np.int64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's score interval for a share, element by element (Wilson 1927, JASA 22, 209-212); 0 to 1 where n = 0."""
    z = float(ndtri(0.5 + level / 2))
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


def count_attribute_pairs(
    chosen: NDArray[np.bool_], second: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many images hold a second label, and of how many that is known: int64 [first labels, second labels].

    `chosen` is bool [n, first labels], the images that count for each first label; `second` int [n, labels] of
    attributes, -1 = not annotated, which is left out.
    """
    picked = chosen.T.astype(np.float64)  # a product of float64 is fast, and exact below 2**53 images
    held, known = picked @ (second == 1), picked @ (second >= 0)
    return held.astype(np.int64), known.astype(np.int64)
