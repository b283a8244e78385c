"""Weights that are given, by task, and stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.errors import UnknownName, did_you_mean
from bench.methods.balance import LossBalancer
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"


class Options(Frozen):
    """`weights`: by the name of a task; a task that is not named weighs 1."""

    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(min_length=1)


def check(options: Options, tasks: Sequence[str]) -> Sequence[str]:
    """Names that are no task's."""
    unknown = [name for name in options.weights if name not in tasks]
    return [
        f"`weights` names the task '{name}', which is not learnt here{did_you_mean(name, tasks)}" for name in unknown
    ]


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    """Raises `UnknownName` for a weight of no task."""
    for name in options.weights:
        if name not in tasks:
            raise UnknownName("task", name, tasks, hint="mend `weights` of the balancer")
    return _Static(options.weights, tasks)


class _Static(LossBalancer):
    weights: Tensor

    def __init__(self, weights: Mapping[str, float], tasks: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([weights.get(task, 1.0) for task in tasks]), persistent=False)

    def combined(self, losses: Tensor, step: int) -> Tensor:
        return (self.weights * losses).sum()
