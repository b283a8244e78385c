"""Co-annotation: labels of one task that follow from another task's, by their relatedness.

Of a class c, the second labels with R[c, i] >= `prototypical` are prototypical, those with R[c, i] >= `observational`
are observational, all others are no part of it.

- Class to attributes: an image of class c gets the prototypical attributes as positive labels of weight 1, the
  observational ones as positive labels of weight R[c, i]. Nothing becomes negative: that an attribute is no part of a
  class does not say that it is absent from the image.
- Attributes to class: an image gets class c if every prototypical attribute of c is annotated and present, and no
  observational one is annotated as absent. Of several such classes that wins of which most attributes are present,
  which is the class that requires most; a tie leaves the image without a class. A class without prototypical
  attributes (neutral) is never given.
- Two class tasks: an image of class c gets the second class s if R[c, s] >= `prototypical`, and an image of second
  class s gets class c if R[c, s] / sum_c R[c, s] >= `prototypical` (Bayes, all classes alike before); weight 1. So a
  fine class gives the coarse one, and a coarse class a fine one only where that is nearly certain.
- Two attribute tasks: a first label, whether present or absent, gives the second labels that then hold with
  probability >= `prototypical`, as positive labels of weight 1. Nothing is derived the other way, which would need to
  know how frequent the first labels are.

All is derived from the labels that were there before; of several pairs of tasks the earlier one speaks first, and
labels that are known stay as they are.

The rule for classes and attributes is that of Kollias, Sharmanska and Zafeiriou (arXiv 1910.11111) as we reconstruct
it, where all prototypical and observational attributes of a class are to be present. What it leaves open is our
reading: that an observational attribute which nobody annotated in an image does not count against a class, and all
that is said above of ties and of pairs that are not a class and attributes. The thresholds are those of its source,
Du, Tao and Martinez (PNAS 111(15), 2014): more than 70 % of the subjects use a prototypical action unit, and units
that fewer than 20 % use are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.methods.objective import Coupling
from bench.methods.training_labels import MISSING, LabelChange, TrainingLabels
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = True
NEEDS_TEACHERS = False

CELLS = 2**22
"""Images times classes that are compared at a time: some tens of megabytes."""

Derived = tuple[NDArray[Any], NDArray[np.float32]]
"""Labels of one task, of the shape and with the places of its training labels, -1 = none; and how much each counts."""


class Options(Frozen):
    """`prototypical` and `observational`: least probabilities in 0..1 for an attribute to be that of a class.

    `adds`: which labels are added: those of second tasks (`attributes`), of first tasks (`classes`), or `both`.
    `weight` multiplies the weight of every added label; with 0 none is added.
    """

    weight: float = Field(default=1.0, ge=0)
    prototypical: float = Field(default=0.7, gt=0, le=1)
    observational: float = Field(default=0.2, gt=0, le=1)
    adds: Literal["attributes", "classes", "both"] = "both"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.observational > self.prototypical:
            raise PydanticCustomError(
                "observational",
                "an observational attribute is less certain than a prototypical one, so this is at most {most}",
                {"most": self.prototypical},
            )
        return self


def transform(
    options: Options, tasks: Mapping[str, RunTask], relatedness: Sequence[Coupling], known: TrainingLabels
) -> tuple[TrainingLabels, dict[str, LabelChange]]:
    """Add what follows; changes are told of every task that labels are derived for."""
    if options.weight == 0:
        return known, {}
    said: dict[str, Derived] = {}
    for pair in relatedness:
        for task, derived in _derived(options, pair, tasks[pair.second_task], known):
            said[task] = _first_of(said[task], derived) if task in said else derived
    found, changes = known, {}
    for task, (labels, weights) in said.items():
        found, changes[task] = found.with_added(task, labels, np.float32(options.weight) * weights)
    return found, changes


def _derived(options: Options, pair: Coupling, about: RunTask, known: TrainingLabels) -> Iterator[tuple[str, Derived]]:
    """What follows from one pair of tasks, for the second, which is told `about`, and for the first."""
    first, second = known.labels[pair.first_task], known.labels[pair.second_task]
    matrix, covered, count = pair.matrix.numpy(), pair.covered.numpy(), len(about.labels)
    if options.adds != "classes":
        if pair.absent is not None:
            implied = implied_attributes(options.prototypical, matrix, pair.absent.numpy(), first)
            yield pair.second_task, _plain(_spread(implied, covered, (len(first), count)))
        elif pair.exclusive:
            likely = most_likely(matrix, options.prototypical)
            yield pair.second_task, _plain(_looked_up(np.where(likely == MISSING, MISSING, covered[likely]), first))
        else:
            yield pair.second_task, attributes_of_classes(options, matrix, covered, first, count)
    if options.adds != "attributes" and pair.absent is None:
        if pair.exclusive:
            by_second = np.full(count, MISSING, np.int64)
            by_second[covered] = most_likely(_given_second(matrix), options.prototypical)
            yield pair.first_task, _plain(_looked_up(by_second, second))
        else:
            yield pair.first_task, _plain(classes_of_attributes(options, matrix, second[:, covered]))


def attributes_of_classes(
    options: Options, matrix: NDArray[np.float32], covered: NDArray[np.int64], classes: NDArray[Any], count: int
) -> Derived:
    """Positive labels of images by their class; `matrix` [classes, covered], `classes` [n], `count` of attributes."""
    shape = (len(matrix), count)
    listed = _spread(np.where(matrix >= options.observational, 1, MISSING), covered, shape)
    weights = np.ones(shape, np.float32)
    weights[:, covered] = np.where(matrix >= options.prototypical, 1, matrix)
    # Place -1, "no class", is the last row.
    return _looked_up(listed, classes), np.vstack([weights, np.ones((1, count), np.float32)])[classes]


def classes_of_attributes(options: Options, matrix: NDArray[np.float32], attributes: NDArray[Any]) -> NDArray[np.int64]:
    """Classes int64 [n] that follow from the covered attributes [n, covered], -1 = none."""
    prototypical = (matrix >= options.prototypical).astype(np.float32)
    listed = (matrix >= options.observational).astype(np.float32)
    needed = prototypical.sum(1)
    found = np.full(len(attributes), MISSING, np.int64)
    annotated = np.flatnonzero((attributes == 1).any(1))
    for rows in np.array_split(annotated, -(-len(annotated) * len(matrix) // CELLS) or 1):
        present, absent = ((attributes[rows] == value).astype(np.float32) for value in (1, 0))
        matches = (needed > 0) & (present @ prototypical.T == needed) & (absent @ listed.T == 0)
        required = np.where(matches, present @ listed.T, 0)
        found[rows] = np.where(_unique(required), required.argmax(1), MISSING)
    return found


def implied_attributes(
    threshold: float, present: NDArray[np.float32], absent: NDArray[np.float32], first: NDArray[Any]
) -> NDArray[np.int8]:
    """Second labels int8 [n, covered]: 1 where some first label [n, first labels] makes it likely enough, else -1."""
    # Cells that nothing is said about are NaN, which is not above any threshold.
    said = (first == 1).astype(np.float32) @ (present >= threshold).astype(np.float32)
    said += (first == 0).astype(np.float32) @ (absent >= threshold).astype(np.float32)
    return np.where(said > 0, 1, MISSING).astype(np.int8)


def most_likely(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Place of the largest of each row [rows, outcomes]; -1 where that is below the threshold or not the only one."""
    sure = (probabilities.max(1) >= threshold) & _unique(probabilities)
    return np.where(sure, probabilities.argmax(1), MISSING).astype(np.int64)


def _given_second(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """p(class | second class) [covered, classes], all classes alike before; zeros where no class has the second."""
    total = matrix.sum(0)
    found: NDArray[np.float32] = (matrix / total.clip(min=np.finfo(np.float32).tiny)).T
    return found


def _unique(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether one score of each row is above 0 and above all others; bool [rows]."""
    largest = scores.max(1, keepdims=True)
    found: NDArray[np.bool_] = (largest[:, 0] > 0) & ((scores == largest).sum(1) == 1)
    return found


def _spread(labels: NDArray[Any], covered: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Labels of the covered attributes among all attributes; -1 elsewhere."""
    found = np.full(shape, MISSING, np.int8)
    found[:, covered] = labels
    return found


def _looked_up(table: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """What a table says of each class; nothing of an image without one, whose place -1 is the last row."""
    nothing = np.full((1, *table.shape[1:]), MISSING, table.dtype)
    found: NDArray[Any] = np.concatenate([table, nothing])[classes]
    return found


def _plain(labels: NDArray[Any]) -> Derived:
    """Labels that all count fully."""
    return labels, np.broadcast_to(np.float32(1), labels.shape)


def _first_of(earlier: Derived, later: Derived) -> Derived:
    """What the earlier says, and what the later says where the earlier says nothing."""
    silent = earlier[0] == MISSING
    return np.where(silent, later[0], earlier[0]), np.where(silent, later[1], earlier[1])
