"""The objective of a run: a weighted sum of terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from bench.specs.components import load_part, read_options
from bench.specs.run import RunRelatedness, RunSpec, RunTask

TERMS = "bench.methods.terms"


@dataclass(frozen=True)
class Coupling:
    """A relatedness as tensors.

    `matrix` float32 [classes, covered] = p(second label | class); `covered` int64 [covered], the places of its columns
    among the labels of the second task; `exclusive`: the second task is multiclass, so rows sum to 1.
    """

    class_task: str
    second_task: str
    matrix: Tensor
    covered: Tensor
    exclusive: bool


class Term(Protocol):
    """What a term module holds; see `bench.methods.terms`."""

    NEEDS_RELATEDNESS: bool
    Options: Any

    def loss(
        self,
        options: Any,
        tasks: Mapping[str, RunTask],
        relatedness: Sequence[Coupling],
        outputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
    ) -> Tensor: ...


def load_term(name: str) -> Term:
    """A term by name. Raises `UnknownName`."""
    return cast("Term", load_part(TERMS, name, "term"))


def coupling_of(relatedness: RunRelatedness, tasks: Mapping[str, RunTask], device: torch.device | str) -> Coupling:
    """Put a relatedness on a device."""
    second = tasks[relatedness.second_task]
    return Coupling(
        relatedness.class_task,
        relatedness.second_task,
        torch.tensor(relatedness.matrix, dtype=torch.float32, device=device),
        torch.tensor([second.labels.index(label) for label in relatedness.covered], device=device),
        exclusive=second.type == "multiclass",
    )


class Objective:
    """The loss of a run."""

    def __init__(self, run: RunSpec, device: torch.device | str) -> None:
        self._tasks = {task.name: task for task in run.tasks}
        self._couplings = [coupling_of(relatedness, self._tasks, device) for relatedness in run.relatedness]
        self._terms: list[tuple[str, Term, Any]] = []
        for term in run.terms:
            module = load_term(term.name)
            self._terms.append((term.name, module, read_options(module.Options, term.options)))

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted value of each term; the loss is their sum."""
        return {
            name: options.weight * module.loss(options, self._tasks, self._couplings, outputs, targets)
            for name, module, options in self._terms
        }
