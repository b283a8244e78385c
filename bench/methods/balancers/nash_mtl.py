"""Nash bargaining between tasks: the update G that makes the product of what the tasks gain the largest. Its weights
are positive and solve G w = 1 / w, with G the gradients' inner products (Navon et al., ICML 2022, claim 3.1, arXiv
2202.01017).

The authors (and TorchJD) come near that solution by a sequence of convex programs, each started from the last step's
weights. But it is where the convex function w^T G w / 2 - sum_i log w_i is least, which a few steps of Newton's method
reach to rounding; so nothing needs to be remembered between steps, and no solver is needed. As with the authors, inner
products are scaled to a norm of 1 and an update longer than `max_norm` is shortened to it.

Gradients are compared at the parameters only: at the features the authors saw it do much worse (their appendix C).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from bench.methods.balance import GradientBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"
check = no_objection

# Gradients that point against each other leave nothing to gain, and weights grow without bound: a part of the norm,
# added to the diagonal, bounds them, and moves the others by no more than this part.
RIDGE = 1e-6
MOST_STEPS = 100
CLOSE = 1e-10


class Options(Frozen):
    """`max_norm`: the longest that the combined gradient may be."""

    max_norm: float = Field(default=1.0, gt=0)


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    def weigh(gramian: Tensor, step: int) -> Tensor:
        products = gramian.double().numpy()
        weights = bargained(products / np.linalg.norm(products))
        length = np.sqrt(max(weights @ products @ weights, 0.0))  # rounding may fall below 0
        return torch.from_numpy(weights * options.max_norm / max(length, options.max_norm))

    return GradientBalancer(weigh)


def bargained(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights w > 0, float64 [k], with `products` w = 1 / w; float64 [k, k], positive semi-definite, of norm 1.

    The function is self-concordant, so steps damped by 1 / (1 + decrement) stay positive and arrive from anywhere
    (Boyd and Vandenberghe, Convex Optimization, section 9.6).
    """
    products = products + RIDGE * np.eye(len(products))
    weights = 1 / np.sqrt(products.diagonal())  # the solution where gradients are orthogonal
    for _ in range(MOST_STEPS):
        slope = products @ weights - 1 / weights
        move = np.linalg.solve(products + np.diag(weights**-2), slope)
        decrement = np.sqrt(slope @ move)
        weights = weights - move / (1 + decrement)
        if decrement < CLOSE:
            break
    return weights
