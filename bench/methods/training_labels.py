"""Training labels as a method sees them, and the transforms that change them before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.methods.objective import Coupling, coupling_of
from bench.specs.components import load_part, read_options
from bench.specs.model import Frozen
from bench.specs.run import RunSpec, RunTask

LABELS = "bench.methods.labels"
MISSING = -1

LabelArray = NDArray[np.int64] | NDArray[np.int8]


@dataclass(frozen=True)
class TrainingLabels:
    """Labels of the n training images of one data set, for every task of the run.

    `labels`: int64 [n] (multiclass) or int8 [n, labels] (multilabel), -1 = not known. `weights`: float32 of the same
    shape, how much each label counts; a task that is not there counts every label fully. `taught`: float32 [n, labels],
    mean probabilities of the single-task teachers of other data sets; NaN where there is none. `possible`: bool
    [labels], the classes that the data set annotates, for class tasks of which it annotates only some.
    """

    labels: Mapping[str, LabelArray]
    weights: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    taught: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    possible: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def known(self, task: str) -> NDArray[np.bool_]:
        """Which labels of a task are known; bool, of the shape of its labels."""
        found: NDArray[np.bool_] = self.labels[task] != MISSING
        return found

    def with_added(
        self, task: str, labels: NDArray[Any], weights: NDArray[np.float32] | None = None
    ) -> tuple[TrainingLabels, LabelChange]:
        """Put labels where none are known; those that are known stay as they are.

        `labels` has the shape of the task's labels, -1 = says nothing; `weights` tells how much each counts (all: 1).
        A class that the data set does not annotate is not added: its images are taken to be of the others.
        """
        present, known = self.labels[task], self.known(task)
        said = labels != MISSING
        if task in self.possible:
            said &= self.possible[task][labels]
        new = said & ~known
        values = cast("LabelArray", np.where(new, labels, present).astype(present.dtype))
        change = LabelChange(
            before=int(known.sum()), added=int(new.sum()), contradicted=int((said & known & (labels != present)).sum())
        )
        counted = self.weights
        if weights is not None or task in counted:
            kept = counted.get(task, np.ones(present.shape, np.float32))
            given = np.float32(1) if weights is None else weights
            counted = {**counted, task: np.where(new, given, kept).astype(np.float32)}
        return replace(self, labels={**self.labels, task: values}, weights=counted), change


class LabelChange(Frozen):
    """What a transform did to the labels of one task on the training images of one data set.

    For a multilabel task every label of an image counts by itself. `before`: known labels; `added`: new ones;
    `contradicted`: known labels that the transform would have given another value (they were kept).
    """

    before: int
    added: int
    contradicted: int


class LabelTransform(Protocol):
    """What a module of label transforms holds; see `bench.methods.labels`."""

    NEEDS_RELATEDNESS: bool
    NEEDS_TEACHERS: bool
    Options: Any

    def transform(
        self, options: Any, tasks: Mapping[str, RunTask], relatedness: Sequence[Coupling], known: TrainingLabels
    ) -> tuple[TrainingLabels, dict[str, LabelChange]]: ...


def load_transform(name: str) -> LabelTransform:
    """A label transform by name. Raises `UnknownName`."""
    return cast("LabelTransform", load_part(LABELS, name, "label transform"))


def transformed(run: RunSpec, known: TrainingLabels) -> tuple[TrainingLabels, dict[str, dict[str, LabelChange]]]:
    """All label transforms of a run on one data set; and what each did, by its name and by task."""
    tasks = {task.name: task for task in run.tasks}
    couplings = [coupling_of(relatedness, tasks, "cpu") for relatedness in run.relatedness]
    changes: dict[str, dict[str, LabelChange]] = {}
    for part in run.labels:
        module = load_transform(part.name)
        options = read_options(module.Options, part.options)
        known, changes[part.name] = module.transform(options, tasks, couplings, known)
    return known, changes
