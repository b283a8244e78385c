"""Random loss weighting: the softmax of standard normal numbers, drawn anew in each step (Lin et al., TMLR 2022,
algorithm 2, arXiv 2111.10603). Weights add up to 1, as in the authors' code. The numbers belong to the run's seed and
the step, so nothing needs to be remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen
from bench.specs.streams import stream

KIND: Literal["loss"] = "loss"
check = no_objection


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _Random(seed)


class _Random(LossBalancer):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def combined(self, losses: Tensor, step: int) -> Tensor:
        drawn = stream(self._seed, "balancer", step).standard_normal(len(losses))
        weights = torch.softmax(torch.from_numpy(drawn), dim=0)
        return (weights.to(losses) * losses).sum()
