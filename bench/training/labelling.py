"""What a run knows of its training images: labels that are annotated and shown, and what its method makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches import SourceData
from bench.data.shown import training_rows_and_labels
from bench.methods.objective import Targets
from bench.methods.training_labels import MISSING, LabelChange, TrainingLabels, transformed
from bench.specs.run import RunSpec, RunTask

Teach = Callable[[SourceData, NDArray[np.intp], TrainingLabels], Mapping[str, NDArray[np.float32]]]
"""What teachers say of some rows of a data set, by task; see `bench.training.teachers`."""
Changes = dict[str, dict[str, dict[str, LabelChange]]]
"""By data set, label transform and task."""


@dataclass(frozen=True)
class Labelling:
    """Training rows and labels of a run, by data set.

    `rows`: the store's rows that are trained on, int [n]; `known`: the labels of these; `possible`: bool [labels] by
    task, where the data set annotates fewer than all; `changes`: what label transforms did.
    """

    tasks: Mapping[str, RunTask]
    rows: Mapping[str, NDArray[np.intp]]
    known: Mapping[str, TrainingLabels]
    possible: Mapping[str, Mapping[str, NDArray[np.bool_]]]
    changes: Changes

    def targets(self, places: Mapping[str, NDArray[np.intp]]) -> Targets:
        """Targets of a batch, on the CPU: `places` among the training rows, by data set in the order of the batch."""
        counts = [len(chosen) for chosen in places.values()]
        labels = {
            task: np.concatenate([self.known[name].labels[task][chosen] for name, chosen in places.items()])
            for task in self.tasks
        }
        weights, taught, possible = {}, {}, {}
        for task, about in self.tasks.items():
            one = (len(about.labels),)
            shape = () if about.type == "multiclass" else one
            weights[task] = _filled(
                [self.known[n].weights.get(task) for n in places], places.values(), shape, np.float32(1)
            )
            taught[task] = _filled(
                [self.known[n].taught.get(task) for n in places], places.values(), one, np.float32(np.nan)
            )
            allowed = [self.possible[name].get(task) for name in places]
            if any(mask is not None for mask in allowed):
                full = np.ones(one, np.bool_)
                rows = [
                    np.broadcast_to(full if m is None else m, (n, *one)) for m, n in zip(allowed, counts, strict=True)
                ]
                possible[task] = np.concatenate(rows)
        return Targets(_tensors(labels), _tensors(_there(weights)), _tensors(_there(taught)), _tensors(possible))


def label(run: RunSpec, sources: Sequence[SourceData], teach: Teach | None = None) -> Labelling:
    """Collect the training labels of a run, let teachers speak, and apply the method's label transforms."""
    tasks = {task.name: task for task in run.tasks}
    rows: dict[str, NDArray[np.intp]] = {}
    known: dict[str, TrainingLabels] = {}
    changes: Changes = {}
    possible = {source.dataset: possible_labels(source, tasks) for source in sources}
    for source in sources:
        name = source.dataset
        rows[name], shown = training_rows_and_labels(
            source.store.labels, source.store.rows("train"), name, source.about.shown, source.tasks
        )
        labels = {task: _labels(shown.get(task), tasks[task], len(rows[name])) for task in tasks}
        classes = {task: mask for task, mask in possible[name].items() if tasks[task].type == "multiclass"}
        found = TrainingLabels(labels, possible=classes)
        if teach is not None:
            found = replace(found, taught=teach(source, rows[name], found))
        known[name], made = transformed(run, found)
        if made:
            changes[name] = made
    return Labelling(tasks, rows, known, possible, changes)


def possible_labels(source: SourceData, tasks: Mapping[str, RunTask]) -> dict[str, NDArray[np.bool_]]:
    """Which labels a data set annotates, bool [labels] by task; tasks of which it annotates all are not there."""
    named = {task: set(labels) for task, labels in source.about.possible.items() if task in tasks}
    return {task: np.array([label in labels for label in tasks[task].labels]) for task, labels in named.items()}


def _labels(values: NDArray[Any] | None, task: RunTask, count: int) -> NDArray[np.int64] | NDArray[np.int8]:
    """Labels as the losses take them; all missing (without taking memory) for a task that the data set has not."""
    if task.type == "multiclass":
        return np.broadcast_to(np.int64(MISSING), (count,)) if values is None else values.astype(np.int64)
    if values is None:
        return np.broadcast_to(np.int8(MISSING), (count, len(task.labels)))
    return values.astype(np.int8)


def _filled(
    tables: Sequence[NDArray[np.float32] | None],
    places: Iterable[NDArray[np.intp]],
    shape: tuple[int, ...],
    default: np.float32,
) -> NDArray[np.float32] | None:
    """Some rows of each table, one after the other, the default where a table is missing; None where all are."""
    if all(table is None for table in tables):
        return None
    parts = [
        np.full((len(chosen), *shape), default) if table is None else table[chosen]
        for table, chosen in zip(tables, places, strict=True)
    ]
    return np.concatenate(parts)


def _there(arrays: Mapping[str, NDArray[np.float32] | None]) -> dict[str, NDArray[np.float32]]:
    return {name: array for name, array in arrays.items() if array is not None}


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
