"""Multiple-gradient descent: the shortest vector among the convex combinations of the tasks' gradients, along which no
task gets worse to first order (Désidéri, Comptes Rendus Mathématique 350, 2012; solved by Frank and Wolfe's method as
in Sener and Koltun, NeurIPS 2018, algorithm 2, arXiv 1810.04650). Weights add up to 1. Solved by TorchJD.

`at: features` is the upper bound of Sener and Koltun (MGDA-UB): if it vanishes, the parameters are Pareto stationary
too, provided that the features depend on them with full rank (their theorem 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torchjd.aggregation import MGDAWeighting

from bench.methods.balance import GradientBalancer, Place, no_objection
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"
check = no_objection


class Options(Frozen):
    """`at`: where gradients are compared."""

    at: Place = "parameters"


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    weighting = MGDAWeighting()
    return GradientBalancer(lambda gramian, step: weighting(gramian), options.at)
