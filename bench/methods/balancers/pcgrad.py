"""Projecting conflicting gradients: from each task's gradient its components against the others' are taken away, one
after another in random order, and the results are added up (Yu et al., NeurIPS 2020, algorithm 1, arXiv 2001.06782).
Where nothing conflicts it is the plain sum. Solved by TorchJD.

Gradients are compared at the parameters only: features of different images never conflict, so that nothing would be
done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from bench.methods.balance import GradientBalancer, no_objection
from bench.specs.model import Frozen
from bench.specs.streams import stream_seed

KIND: Literal["gradient"] = "gradient"
check = no_objection


class Options(Frozen):
    """There are none."""


def make(options: Options, tasks: Sequence[str], seed: int) -> GradientBalancer:
    weighting = PCGradWeighting()

    def weigh(gramian: Tensor, step: int) -> Tensor:
        # TorchJD draws the order from torch's own generator, which dropout draws from too.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream_seed(seed, "balancer", step))
            return weighting(gramian)

    return GradientBalancer(weigh)
