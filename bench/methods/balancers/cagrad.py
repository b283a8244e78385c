"""Conflict-averse gradient descent: of all updates within a ball around the mean gradient, the one that does most for
the task it helps least (Liu et al., NeurIPS 2021, algorithm 1, arXiv 2110.14048). Solved by TorchJD and cvxpy.

Gradients are compared at the parameters only, where the task that is helped least is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal

from pydantic import Field
from torch import Tensor
from torchjd.aggregation import CAGradWeighting

from bench.errors import UsageError
from bench.methods.balance import GradientBalancer
from bench.specs.model import Frozen

KIND: Literal["gradient"] = "gradient"

SOLVERS = ("cvxpy", "clarabel")
INSTALL = "pip install 'mtl-bench[balancers]'"


class Options(Frozen):
    """`c`: radius of the ball, as a part of the mean gradient's length; 0 is the mean itself (0.4: the authors')."""

    c: float = Field(default=0.4, ge=0, lt=1)


def check(options: Options, tasks: Sequence[str]) -> Sequence[str]:
    """Packages that are not installed."""
    missing = [name for name in SOLVERS if find_spec(name) is None]
    return [f"it needs {' and '.join(missing)}: {INSTALL}"] if missing else ()


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    """Raises `UsageError` without the solvers."""
    for message in check(options, tasks):
        raise UsageError(f"the balancer 'cagrad' cannot be used: {message}", hint=INSTALL)
    weighting = CAGradWeighting(c=options.c)

    def weigh(gramian: Tensor, step: int) -> Tensor:
        return weighting(gramian / gramian.trace())  # TorchJD takes gradients shorter than 0.01 for zero

    return GradientBalancer(weigh)
