"""Geometric loss strategy: the geometric mean of the tasks' losses (Chennupati et al., CVPR Workshops 2019, arXiv
1904.08492), whose gradient is the mean of the relative gradients of the tasks times the geometric mean.

A task without a label in the batch has a loss of 0, which would make the mean 0; it is taken over the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"
check = no_objection


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _GeometricMean()


class _GeometricMean(LossBalancer):
    def combined(self, losses: Tensor, step: int) -> Tensor:
        heard = losses.detach() != 0
        logs = torch.log(torch.where(heard, losses, 1.0))
        return torch.exp(logs.sum() / heard.sum().clamp(min=1)) * heard.any()
