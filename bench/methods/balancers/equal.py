"""Equal weights that add up to 1: the mean of the tasks' losses.

Without a balancer the losses are added up (weights of 1 each, the "equal weighting" of most papers). This is the same
direction at the scale of the balancers whose weights add up to 1, so it tells apart what they gain by balancing from
what a smaller loss does (to gradient clipping, to an optimiser that is not invariant to scale, or beside a coupling
term).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"
check = no_objection


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _Mean()


class _Mean(LossBalancer):
    def combined(self, losses: Tensor, step: int) -> Tensor:
        return losses.mean()
