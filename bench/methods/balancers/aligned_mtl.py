"""Aligned-MTL: the mean of the tasks' gradients after their principal components were brought to the length of the
shortest, which makes the system of gradients well conditioned (Senushkin et al., CVPR 2023, algorithm 1, arXiv
2305.19000). Solved by TorchJD.

`at: features` is the authors' own faster form (Aligned-MTL-UB, their section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torchjd.aggregation import AlignedMTLWeighting

from bench.methods.balance import GradientBalancer, Place, no_objection
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"
check = no_objection


class Options(Frozen):
    """`at`: where gradients are compared."""

    at: Place = "parameters"


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    weighting = AlignedMTLWeighting()
    return GradientBalancer(lambda gramian, step: weighting(gramian), options.at)
