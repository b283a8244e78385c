"""Teachers: single-task networks that label images of data sets which lack a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from safetensors.torch import load_file

from bench.data.batches import SourceData
from bench.methods.training_labels import TrainingLabels
from bench.models.network import Network, build_network, normalisation_of
from bench.specs.run import RunSpec, RunTask, RunTeacher
from bench.training.evaluation import probabilities
from bench.training.labelling import Teach, possible_labels


def teaching(
    run: RunSpec, sources: Sequence[SourceData], weights: Mapping[str, Path], accelerator: Accelerator
) -> Teach | None:
    """What the teachers of a run say; None where it has none. `weights` are the files of their networks, by run id."""
    if not run.teachers:
        return None
    tasks = {task.name: task for task in run.tasks}
    annotated = {source.dataset: possible_labels(source, tasks) for source in sources}

    def teach(source: SourceData, rows: NDArray[np.intp], known: TrainingLabels) -> dict[str, NDArray[np.float32]]:
        """Mean probabilities over the teachers of each task that lacks labels here; float32 [rows, labels] by task.

        A teacher says nothing of labels that its own data set does not annotate; an attribute that no teacher knows is
        NaN, a class that none knows has probability 0.
        """
        taught: dict[str, NDArray[np.float32]] = {}
        for name, task in tasks.items():
            teachers = [teacher for teacher in run.teachers if teacher.task == name]
            if not teachers or known.known(name).all():
                continue
            total = np.zeros((len(rows), len(task.labels)), np.float32)
            count = np.zeros(len(task.labels), np.float32)
            for teacher in teachers:
                network = _network_of(run, teacher, task, weights[teacher.id]).to(accelerator.device)
                speaks = annotated[teacher.dataset].get(name, np.ones(len(task.labels), np.bool_))
                said = probabilities(
                    network, source.store, rows, {name: task}, normalisation_of(network.backbone), accelerator
                )
                total += np.where(speaks, said[name], 0)
                count += speaks
            taught[name] = _mean(total, count, exclusive=task.type == "multiclass")
        return taught

    return teach


def _mean(total: NDArray[np.float32], count: NDArray[np.float32], *, exclusive: bool) -> NDArray[np.float32]:
    """Mean over those teachers that speak of a label; probabilities of classes sum to 1 again."""
    mean: NDArray[np.float32] = (total / np.maximum(count, 1)).astype(np.float32)
    if exclusive:
        mean /= mean.sum(1, keepdims=True)
    else:
        mean[:, count == 0] = np.nan
    return mean


def _network_of(run: RunSpec, teacher: RunTeacher, task: RunTask, file: Path) -> Network:
    plain = run.backbone.model_copy(update={"weights": None})  # all weights come from the file
    network = build_network(plain, {teacher.task: len(task.labels)}, run.seed)
    network.load_state_dict(load_file(file))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
