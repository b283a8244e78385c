"""Dynamic weight average: the faster a task's loss falls, the less it weighs.

The weights are K softmax(r / T) over the K tasks, where r_i is the ratio of task i's mean losses over the last two
windows of steps, the later over the earlier (Liu, Johns and Davison, CVPR 2019, arXiv 1803.10704). Weights add up to K,
and are all 1 in the first two windows. In the paper a window is an epoch; data sets of different sizes have no epoch in
common here, so it is a number of steps. A batch without a label of a task does not count for its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"
check = no_objection


class Options(Frozen):
    """`window`: steps over which losses are averaged; `temperature`: T, the larger, the more even are the weights."""

    window: int = Field(default=20, ge=1)
    temperature: float = Field(default=2.0, gt=0)


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _Dwa(len(tasks), options)


class _Dwa(LossBalancer):
    """`total` and `counted` are of the window under way, `earlier` and `later` the means of those before, 0 = none."""

    total: Tensor
    counted: Tensor
    earlier: Tensor
    later: Tensor

    def __init__(self, tasks: int, options: Options) -> None:
        super().__init__()
        self._window, self._temperature = options.window, options.temperature
        for name in ("total", "counted", "earlier", "later"):
            self.register_buffer(name, torch.zeros(tasks))

    def combined(self, losses: Tensor, step: int) -> Tensor:
        if step > 0 and step % self._window == 0:
            self._end_window()
        rates = torch.where((self.earlier > 0) & (self.later > 0), self.later / self.earlier, 1.0)
        weights = len(losses) * torch.softmax(rates / self._temperature, dim=0)
        self.total += losses.detach()
        self.counted += losses.detach() != 0
        return (weights * losses).sum()

    def _end_window(self) -> None:
        mean = torch.where(self.counted > 0, self.total / self.counted, self.later)
        self.earlier.copy_(self.later)
        self.later.copy_(mean)
        self.total.zero_()
        self.counted.zero_()
