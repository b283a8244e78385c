"""Gradient balancers against TorchJD's own minimal loop: same network, batch, losses, optimiser and way of weighing.

A step is forward, balanced backward and optimiser; the two loops take steps in turn. Beside the ratio stands what a
step costs as a multiple of one with the plain sum of the losses.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import torch
from comparison import Measured, in_turn
from torch.nn import functional as F
from torchjd import aggregation
from torchjd.autojac import jac_to_grad, mtl_backward

from bench.methods.balance import Balancer, Shared, Sum, load_balancer
from bench.methods.objective import Losses
from bench.models.network import build_network
from bench.specs.components import read_options
from bench.specs.run import RunBackbone

STEPS = 3
TASKS = {"expression": 7, "action_units": 17}
NETWORKS = {"test_resnet": (64, 64), "test_vit": (160, 32)}  # side of an image, images in a batch
AGGREGATORS: dict[str, Callable[[], aggregation.Aggregator]] = {
    "upgrad": aggregation.UPGrad,
    "mgda": aggregation.MGDA,
    "pcgrad": aggregation.PCGrad,
    "cagrad": lambda: aggregation.CAGrad(c=0.4),
    "nash_mtl": lambda: aggregation.NashMTL(len(TASKS)),
    "imtl_g": aggregation.IMTLG,
    "aligned_mtl": aggregation.AlignedMTL,
}


def balancing(timm: str, name: str, repeats: int) -> Measured:
    """A balancer, its gradients compared at the parameters, against TorchJD."""
    module = load_balancer(name)
    balancer = module.make(read_options(module.Options, {}), list(TASKS), 0)
    costs: list[float] = []
    ours, plain = Loop(timm, balancer), Loop(timm, Sum())

    def timed() -> float:
        seconds = ours.seconds()
        costs.append(seconds / plain.seconds())
        return seconds

    with warnings.catch_warnings():
        # What TorchJD itself says of its Nash-MTL, and torch of attention under vmap.
        warnings.filterwarnings("ignore", message="You are solving a parameterized problem that is not DPP")
        warnings.filterwarnings("ignore", message="There is a performance drop because we have not yet implemented")
        ratios = in_turn(timed, TorchJDLoop(timm, AGGREGATORS[name]()).seconds, repeats)
    side, images = NETWORKS[timm]
    return Measured(
        f"balancing: TorchJD's loop / bench, {name}, {timm}, {side} px, batch {images}",
        "at least 1.00",
        ratios,
        f"{statistics.median(costs):.1f} times a step with the plain sum",
    )


class Loop:
    """Steps of training on one batch, half of which is labelled for each task, as the training loop takes them."""

    def __init__(self, timm: str, balancer: Balancer | None) -> None:
        side, images = NETWORKS[timm]
        backbone = RunBackbone(name=timm, timm=timm, options={}, weights=None, input_size=None)
        network = build_network(backbone, TASKS, seed=0)
        self.network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(images, 3, side, side, generator=generator)
        self.images = pixels.contiguous(memory_format=torch.channels_last)
        self.classes = torch.randint(0, 7, (images // 2,), generator=generator)
        self.units = torch.randint(0, 2, (images // 2, 17), generator=generator).float()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-4, fused=True)
        self.balancer = balancer
        self.shared = tuple(self.network.backbone.parameters())
        self.heads = {task: tuple(head.parameters()) for task, head in self.network.heads.items()}

    def seconds(self) -> float:
        """Of `STEPS` steps."""
        started = time.perf_counter()
        for _ in range(STEPS):
            features, logits = self.network(self.images)
            half = len(self.images) // 2
            losses = {
                "expression": F.cross_entropy(logits["expression"][:half], self.classes),
                "action_units": F.binary_cross_entropy_with_logits(logits["action_units"][half:], self.units),
            }
            self.backward(features, losses)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - started

    def backward(self, features: torch.Tensor, losses: dict[str, torch.Tensor]) -> None:
        assert self.balancer is not None
        shared = Shared(features, self.shared, self.heads)
        self.balancer.backward(Losses({}, losses, {}), 0, shared, torch.Tensor.backward)


class TorchJDLoop(Loop):
    """The same by TorchJD, as its documentation shows it."""

    def __init__(self, timm: str, aggregator: aggregation.Aggregator) -> None:
        super().__init__(timm, None)
        self.aggregator = aggregator

    def backward(self, features: torch.Tensor, losses: dict[str, torch.Tensor]) -> None:
        mtl_backward(list(losses.values()), features, tasks_params=list(self.heads.values()), shared_params=self.shared)
        jac_to_grad(self.shared, self.aggregator)
