"""The objective of a run: a weighted sum of terms, each of which gives a loss for every task or pair of tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bench.specs.components import load_part, read_options
from bench.specs.run import RunRelatedness, RunSpec, RunTask

TERMS = "bench.methods.terms"


@dataclass(frozen=True)
class Coupling:
    """A relatedness as tensors.

    `matrix` float32 [first labels, covered] = p(second label | first label); `covered` int64 [covered], the places of
    its columns among the labels of the second task; `exclusive`: the second task is multiclass, so rows sum to 1.
    Where the first task is multilabel, `absent` float32 of the same shape is p(second label | first label is absent),
    and cells that nothing is said about are NaN in both; for a class task `absent` is None.
    """

    first_task: str
    second_task: str
    matrix: Tensor
    covered: Tensor
    exclusive: bool
    name: str = ""
    absent: Tensor | None = None


@dataclass(frozen=True)
class Targets:
    """What is known of a batch of n images, by task, on the device.

    `labels`: int64 [n] (multiclass) or int8 [n, labels] (multilabel), -1 = not known. `weights`: float32 of the same
    shape, how much a known label counts; a task that is not there counts every label fully. `taught`: float32
    [n, labels], probabilities that single-task teachers give, NaN where none does. `possible`: bool [n, labels], the
    labels that the image's data set annotates; a task that is not there has all labels everywhere.
    """

    labels: Mapping[str, Tensor]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    taught: Mapping[str, Tensor] = field(default_factory=dict)
    possible: Mapping[str, Tensor] = field(default_factory=dict)


class Term(Protocol):
    """What a term module holds; see `bench.methods.terms`."""

    NEEDS_RELATEDNESS: bool
    NEEDS_TEACHERS: bool
    BALANCED: bool
    Options: Any

    def losses(
        self,
        options: Any,
        tasks: Mapping[str, RunTask],
        relatedness: Sequence[Coupling],
        outputs: Mapping[str, Tensor],
        targets: Targets,
    ) -> dict[str, Tensor]: ...


def load_term(name: str) -> Term:
    """A term by name. Raises `UnknownName`."""
    return cast("Term", load_part(TERMS, name, "term"))


def coupling_of(relatedness: RunRelatedness, tasks: Mapping[str, RunTask], device: torch.device | str) -> Coupling:
    """Put a relatedness on a device."""
    second = tasks[relatedness.second_task]

    def table(rows: Sequence[Sequence[float | None]]) -> Tensor:
        values = [[math.nan if cell is None else cell for cell in row] for row in rows]
        return torch.tensor(values, dtype=torch.float32, device=device)

    return Coupling(
        relatedness.first_task,
        relatedness.second_task,
        table(relatedness.matrix),
        torch.tensor([second.labels.index(label) for label in relatedness.covered], device=device),
        exclusive=second.type == "multiclass",
        name=relatedness.name,
        absent=None if relatedness.absent is None else table(relatedness.absent),
    )


@dataclass(frozen=True)
class Losses:
    """The weighted losses of one batch, scalars on the device.

    `parts`: everything, named `term.task` or `term.relatedness`, for logs. `balanced`: by task, what a balancer weighs.
    `rest`: what it leaves alone, couplings above all, named as in `parts`. The loss is the sum of all `parts`.
    """

    parts: dict[str, Tensor]
    balanced: dict[str, Tensor]
    rest: dict[str, Tensor]

    @property
    def total(self) -> Tensor:
        return torch.stack([*self.balanced.values(), *self.rest.values()]).sum()


class Objective:
    """The loss of a run."""

    def __init__(self, run: RunSpec, device: torch.device | str) -> None:
        self._tasks = {task.name: task for task in run.tasks}
        self._couplings = [coupling_of(relatedness, self._tasks, device) for relatedness in run.relatedness]
        self._terms: list[tuple[str, Term, Any]] = []
        for term in run.terms:
            module = load_term(term.name)
            self._terms.append((term.name, module, read_options(module.Options, term.options)))

    def __call__(self, outputs: Mapping[str, Tensor], targets: Targets) -> Losses:
        """The weighted losses; `outputs` are logits float [n, labels] by task."""
        parts: dict[str, Tensor] = {}
        balanced: dict[str, Tensor] = {}
        rest: dict[str, Tensor] = {}
        for name, module, options in self._terms:
            for about, value in module.losses(options, self._tasks, self._couplings, outputs, targets).items():
                weighted = parts[f"{name}.{about}"] = options.weight * value
                if module.BALANCED:
                    balanced[about] = balanced[about] + weighted if about in balanced else weighted
                else:
                    rest[f"{name}.{about}"] = weighted
        return Losses(parts, {task: balanced[task] for task in self._tasks if task in balanced}, rest)
