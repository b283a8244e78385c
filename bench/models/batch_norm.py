"""Batch normalisation over the batch of several processes, so that a run over many devices is the run over one."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from bench.models._timm import timm

Network = TypeVar("Network", bound=nn.Module)


def synchronised(network: Network, device: torch.device) -> Network:
    """The network with batch normalisation whose statistics are over all processes; weights and names stay.

    On GPUs these are torch's own layers. torch has none for CPUs, where ours does the same.
    """
    if device.type == "cuda":
        converted: Network = timm().layers.convert_sync_batchnorm(network)
        return converted
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            kind = type(module)
            module.__class__ = type(f"Synchronised{kind.__name__}", (_Synchronised, kind), {})
    return network


class _Synchronised(nn.modules.batchnorm._BatchNorm):
    """Mixed into a layer of batch normalisation; in evaluation it does as that layer does."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            evaluated: Tensor = super().forward(x)
            return evaluated
        axes = [0, *range(2, x.ndim)]
        precise = x.float()
        images = precise.new_tensor([x.numel() / x.shape[1]])
        sums, count = torch.split(_total(torch.cat([precise.sum(axes), images])), [x.shape[1], 1])
        mean = sums / count
        shape = (1, -1, *[1] * (x.ndim - 2))
        centred = precise - mean.view(shape)
        variance = _total((centred**2).sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        y = centred * torch.rsqrt(variance.view(shape) + self.eps)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        y = y.to(x.dtype)
        for name in ("drop", "act"):  # timm's layers hold what follows the normalisation
            if hasattr(self, name):
                y = getattr(self, name)(y)
        normalised: Tensor = y
        return normalised

    @torch.no_grad()
    def _remember(self, mean: Tensor, unbiased: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(unbiased, weight)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        summed = own.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        distributed.all_reduce(summed)
        return summed


def _total(own: Tensor) -> Tensor:
    """The sum over all processes, and of its gradients."""
    summed: Tensor = _Total.apply(own)  # type: ignore[no-untyped-call]
    return summed
