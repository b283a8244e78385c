"""Impartial multi-task learning of gradients: the combination whose projections onto all tasks' gradients are equally
long (Liu et al., ICLR 2021), generalised to dependent gradients as in Quinton and Rey (arXiv 2406.16232). Weights add
up to 1 and may be negative. Solved by TorchJD.

`at: features` is what the authors do, "with respect to the last shared feature as a surrogate".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torchjd.aggregation import IMTLGWeighting

from bench.methods.balance import GradientBalancer, Place, no_objection
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"
check = no_objection

# TorchJD takes weights for none at all where they add up to less than 1e-12 before they are scaled to 1: gradients that
# point against each other. They shrink as gradients grow, so with inner products of this size the bound lies well above
# rounding and far below any true sum.
TRACE = 1e14


class Options(Frozen):
    """`at`: where gradients are compared."""

    at: Place = "parameters"


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    weighting = IMTLGWeighting()

    def weigh(gramian: Tensor, step: int) -> Tensor:
        return weighting(gramian / gramian.trace() * TRACE)

    return GradientBalancer(weigh, options.at)
