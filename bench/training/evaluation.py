"""Predictions of a network on a split, and their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.augmentation import to_input
from bench.data.batches import SourceData
from bench.data.labels import Names
from bench.data.store import Store
from bench.models.network import Normalisation
from bench.specs.components import load_part
from bench.specs.run import RunTask
from bench.training.feed import on_device
from bench.training.pieces import in_pieces
from bench.training.processes import Processes

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Predictions:
    """What a network says of one task on one data set's images.

    `images`: names [n]; `scores`: float32 [n, labels], probabilities; `references`: int [n] or [n, labels], -1 = none.
    """

    dataset: str
    task: str
    images: Names
    groups: Names
    scores: NDArray[np.float32]
    references: NDArray[np.int32] | NDArray[np.int8]


def predict(
    network: nn.Module,
    source: SourceData,
    split: str,
    tasks: Mapping[str, RunTask],
    normalisation: Normalisation,
    accelerator: Accelerator,
) -> list[Predictions]:
    """Run the network over a split of one data set; one result for each task taken from it."""
    rows = source.store.rows(split)
    wanted = {task: tasks[task] for task in source.tasks}
    scores = probabilities(network, source.store, rows, wanted, normalisation, accelerator)
    labels = source.store.labels
    return [
        Predictions(
            source.dataset,
            task,
            labels.images[rows],
            labels.groups[rows],
            scores[task],
            labels.tasks[task][rows],
        )
        for task in source.tasks
    ]


def probabilities(
    network: nn.Module,
    store: Store,
    rows: NDArray[np.intp],
    tasks: Mapping[str, RunTask],
    normalisation: Normalisation,
    accelerator: Accelerator,
) -> dict[str, NDArray[np.float32]]:
    """What a network says of some images of a store: float32 [rows, labels] by task. It is left in training mode.

    Several processes share the images; each gets what all of them say. Where memory does not hold a batch, smaller ones
    do. Raises `MemoryError` where it does not hold an image.
    """
    device, processes = accelerator.device, Processes.of(accelerator)
    mean = torch.tensor(normalisation.mean, device=device)
    std = torch.tensor(normalisation.std, device=device)
    mine = rows[processes.share(len(rows))]

    def outputs(pieces: int) -> dict[str, Tensor]:
        size = -(-EVALUATION_BATCH // pieces)
        parts = {task: [torch.empty(0, len(about.labels), device=device)] for task, about in tasks.items()}
        batches = (torch.from_numpy(store.gather(mine[at : at + size])) for at in range(0, len(mine), size))
        for images in on_device(batches, device):
            with accelerator.autocast():
                said = network(to_input(images, mean, std)).logits
            for name, task in tasks.items():
                logits = said[name].float()
                parts[name].append(logits.softmax(1) if task.type == "multiclass" else logits.sigmoid())
        return {name: torch.cat(made) for name, made in parts.items()}

    network.eval()
    with torch.inference_mode():
        scores = in_pieces(outputs, EVALUATION_BATCH)
        found = {name: processes.joined(own, len(rows)).cpu().numpy() for name, own in scores.items()}
    network.train()
    return found


@cache
def metric(name: str) -> Any:
    """A metric's `evaluate.Metric`, made once in a process."""
    return load_part("bench.metrics", name, "metric").Metric()


def primary_score(predictions: Predictions, task: RunTask) -> float:
    """The primary metric, NaN where the annotations do not define it."""
    value, _ = metric(task.primary).score(predictions.scores, predictions.references)
    return float(value)


def selection_score(predictions: Sequence[Predictions], tasks: Mapping[str, RunTask]) -> float:
    """What a model is selected by: the mean of the primary metrics on validation, over all cells that define one."""
    scores = [primary_score(p, tasks[p.task]) for p in predictions]
    defined = [score for score in scores if not math.isnan(score)]
    return sum(defined) / len(defined) if defined else math.nan


def all_scores(predictions: Predictions, task: RunTask) -> dict[str, dict[str, Any]]:
    """Every metric of the task: `{metric: {"value": ..., "per_label": {label: ...}}}`; None where not defined."""
    found: dict[str, dict[str, Any]] = {}
    for name in task.metrics:
        value, by_label = metric(name).score(predictions.scores, predictions.references)
        each = dict(zip(task.labels, map(_defined, by_label.tolist()), strict=False))
        found[name] = {"value": _defined(value), "per_label": each}
    return found


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
