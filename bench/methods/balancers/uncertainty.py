"""Uncertainty weighting: each task's loss is divided by a variance that is learnt along with the network.

With s_i the logarithm of the variance of task i, the loss is sum_i exp(-s_i) L_i + s_i / 2, the form for classification
(Kendall, Gal and Cipolla, CVPR 2018, equation 10, arXiv 1705.07115; with a factor of 1/2 before the first term it is
their form for regression). All s_i start at 0, so that training starts at the plain sum. They are trained by the
network's optimiser at its learning rate, without weight decay. A task without a label in the batch leaves its own s_i
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"
check = no_objection


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _Uncertainty(len(tasks))


class _Uncertainty(LossBalancer):
    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(tasks))

    def combined(self, losses: Tensor, step: int) -> Tensor:
        weighed = torch.exp(-self.log_variances) * losses + self.log_variances / 2
        return torch.where(losses.detach() == 0, losses, weighed).sum()
