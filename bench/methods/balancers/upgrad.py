"""Unconflicting projection of gradients: each task's gradient is brought to the nearest vector that conflicts with no
task's, and the mean of these is the update (Quinton and Rey, arXiv 2406.16232). Where nothing conflicts it is the
mean. Weighed by TorchJD; the projection is solved here, by non-negative least squares.

Gradients are compared at the parameters only: what conflicts with none at the features may do so at the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchjd.aggregation import UPGradWeighting
from torchjd.linalg import DualConeProjector, PSDMatrix

from bench.methods.balance import GradientBalancer, no_objection
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"
check = no_objection

RIDGE = 1e-4  # TorchJD's own: a part of the trace, added to the diagonal so that dependent gradients have one solution


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    weighting = UPGradWeighting(projector=LeastSquaresProjector())
    return GradientBalancer(lambda gramian, step: weighting(gramian))


class LeastSquaresProjector(DualConeProjector):
    """Projects onto the dual cone as TorchJD's own solver does, which needs a package under the GPL.

    With G = L L^T and v = u + z, the v >= u that makes v^T G v least is given by the z >= 0 that makes |L^T z + L^T u|
    least: non-negative least squares (Lawson and Hanson, 1974).
    """

    def __call__(self, U: Tensor, G: PSDMatrix) -> Tensor:  # noqa: N803 (names of the overridden method)
        gramian = G.double().numpy()
        root = np.linalg.cholesky(gramian / np.trace(gramian) + RIDGE * np.eye(len(gramian))).T
        projected = [vector + nnls(root, -root @ vector)[0] for vector in U.double().numpy()]
        return torch.from_numpy(np.stack(projected)).to(U.dtype)
