"""Fast adaptive multi-task optimisation: losses are made to fall at the same relative rate (Liu et al., NeurIPS 2023,
algorithm 1, arXiv 2306.03792).

With z the softmax of learnt logits, the loss is c sum_i z_i log(L_i), where c = 1 / sum_i (z_i / L_i) is held fixed: a
convex combination of the tasks' gradients. After the network's step the losses of the same batch are looked at again,
and one step of Adam moves the logits against the fall of each logarithm. The second look costs a forward pass. Losses
are bounded below by 0. The authors' code also clips the gradient's norm to 1; here that is `clip_norm` of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim.adam import adam

from bench.methods.balance import LossBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["loss"] = "loss"
check = no_objection

EPSILON = 1e-8  # added to losses before a logarithm, as in the authors' code


class Options(Frozen):
    """`learning_rate` and `weight_decay` of the logits.

    The paper calls them beta and gamma. A decay of 0.001 is the paper's; the authors' stand-alone code has 0.01.
    """

    learning_rate: float = Field(default=0.025, gt=0)
    weight_decay: float = Field(default=0.001, ge=0)


def make(options: Options, tasks: Sequence[str], seed: int) -> LossBalancer:
    return _Famo(len(tasks), options)


class _Famo(LossBalancer):
    """`logits` are a buffer, for the network's optimiser must not train them; `mean`, `square`, `taken` are Adam's."""

    looks_again = True
    logits: Tensor
    mean: Tensor
    square: Tensor
    taken: Tensor
    before: Tensor

    def __init__(self, tasks: int, options: Options) -> None:
        super().__init__()
        self._options = options
        for name in ("logits", "mean", "square"):
            self.register_buffer(name, torch.zeros(tasks))
        self.register_buffer("taken", torch.zeros(()))
        self.register_buffer("before", torch.zeros(tasks), persistent=False)  # lives for one step only

    def combined(self, losses: Tensor, step: int) -> Tensor:
        self.before.copy_(losses.detach())
        shares = self._shares()
        scale = (shares / (self.before + EPSILON)).sum()
        return (shares / torch.where(scale > 0, scale, 1.0) * torch.log(losses + EPSILON)).sum()

    def after_step(self, losses: Tensor) -> None:
        shares, heard = self._shares(), self.before != 0
        fall = torch.where(heard, torch.log(self.before + EPSILON) - torch.log(losses + EPSILON), 0.0)
        adam(
            [self.logits],
            [shares * (fall - (shares * fall).sum())],  # the fall, through the derivative of the softmax
            [self.mean],
            [self.square],
            [],
            [self.taken],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._options.learning_rate,
            weight_decay=self._options.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def _shares(self) -> Tensor:
        """Softmax of the logits over the tasks that have a label in the batch, 0 for others."""
        heard = self.before != 0
        return torch.where(heard, torch.softmax(self.logits.masked_fill(~heard, -torch.inf), dim=0), 0.0)
