"""From losses to gradients: the plain sum, weighted losses, or gradients that are balanced against each other."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from bench.errors import Diverged
from bench.methods.objective import Losses
from bench.specs.components import load_part, read_options
from bench.specs.run import RunSpec

BALANCERS = "bench.methods.balancers"
Backward = Callable[[Tensor], None]
"""Backward through a scalar, as the training's precision wants it (loss scaling)."""

Weigh = Callable[[Tensor, int], Tensor]
"""Weights float [k] of k gradients from their inner products float32 [k, k], on the CPU, and the step.

None of the gradients is zero."""

Place = Literal["parameters", "features"]
"""Where gradients are compared: at the shared parameters, or at the features that enter the heads."""


@dataclass(frozen=True)
class Shared:
    """What a gradient balancer needs to know of the network.

    `features` float [n, features], as they entered the heads in this step; `backbone`: shared parameters; `heads`:
    parameters of each task's head. Where several processes share a step, these are of the images of one of them, and
    `total` adds a tensor up over all processes.
    """

    features: Tensor
    backbone: Sequence[nn.Parameter]
    heads: Mapping[str, Sequence[nn.Parameter]]
    total: Callable[[Tensor], Tensor] = lambda tensor: tensor


class Balancer(nn.Module, ABC):
    """Turns the losses of a step into gradients; its parameters, if any, are trained along with the network's.

    `held_bytes`: memory that it holds for gradients of single tasks, at most; 0 where there are none.
    `looks_again`: whether `after_step` needs the tasks' losses on the same batch after the step.
    """

    looks_again = False

    def __init__(self) -> None:
        super().__init__()
        self.held_bytes = 0

    @abstractmethod
    def backward(self, losses: Losses, step: int, shared: Shared, backward: Backward) -> None:
        """Accumulate gradients of one step; `step` counts from 0."""

    def after_step(self, losses: Tensor) -> None:
        """Told the tasks' losses [tasks] on the same batch after the step, if `looks_again`."""


class Sum(Balancer):
    """The plain sum of all losses."""

    def backward(self, losses: Losses, step: int, shared: Shared, backward: Backward) -> None:
        backward(losses.total)


class LossBalancer(Balancer):
    """Combines the tasks' losses into one scalar by weights.

    A loss of exactly 0 is that of a task without any label in the batch: it has no say in the weights of the others.
    """

    @abstractmethod
    def combined(self, losses: Tensor, step: int) -> Tensor:
        """A scalar of the tasks' losses float [tasks], in the order of the tasks it was made for."""

    def backward(self, losses: Losses, step: int, shared: Shared, backward: Backward) -> None:
        combined = self.combined(torch.stack(list(losses.balanced.values())), step)
        backward(torch.stack([combined, *losses.rest.values()]).sum())


class GradientBalancer(Balancer):
    """Combines the tasks' gradients on the shared backbone by weights that follow from their inner products.

    A head gets the gradient of its own task. A task whose gradient is zero, having no label in the batch, is left out
    of the weighing. With `at="features"` the gradients compared are those at the features of the batch, which cost no
    pass through the backbone each; one pass then takes their combination to the parameters. Where every image carries
    labels of one task only, gradients at the features touch different images and are orthogonal, so that no conflict is
    seen there.
    """

    def __init__(self, weigh: Weigh, at: Place = "parameters") -> None:
        super().__init__()
        self._weigh, self._at = weigh, at

    def backward(self, losses: Losses, step: int, shared: Shared, backward: Backward) -> None:
        at_features = self._at == "features"
        parameters = [parameter for parameter in shared.backbone if parameter.requires_grad]
        places = [shared.features] if at_features else parameters
        jacobians = _jacobians(losses, shared, places, keep_graph=at_features or bool(losses.rest))
        self.held_bytes = sum(jacobian.nbytes for jacobian in jacobians)
        weights = self._weights(jacobians, step, shared.total)
        combined = [torch.tensordot(weights, jacobian, dims=1) for jacobian in jacobians]
        rest = list(losses.rest.values())
        if at_features:
            # The gradient of this scalar at the features is the combination of the tasks' gradients there.
            rest.append((shared.features.to(weights.dtype) * combined[0]).sum())
        else:
            for parameter, gradient in zip(parameters, combined, strict=True):
                _add_gradient(parameter, gradient)
        if rest:
            backward(torch.stack(rest).sum())

    def _weights(self, jacobians: Sequence[Tensor], step: int, total: Callable[[Tensor], Tensor]) -> Tensor:
        """Weights float32 [tasks], on the device; 0 for a task whose gradient is zero. Raises `Diverged`."""
        if self._at == "features":  # every process has other images, so that inner products add up
            products = total(_products(jacobians))
        else:  # every process has a part of each gradient
            products = _products(total(jacobian) for jacobian in jacobians)
        gramian = products.cpu()  # a handful of numbers, which solvers go over many times
        if not bool(torch.isfinite(gramian).all()):
            raise Diverged(f"the gradients were not finite at step {step + 1}", hint="lower the learning rate")
        heard = gramian.diagonal() > 0
        weights = torch.zeros(len(gramian))
        if bool(heard.any()):
            weights[heard] = self._weigh(gramian[heard][:, heard], step).to(weights.dtype)
        return weights.to(products.device)


def _products(jacobians: Iterable[Tensor]) -> Tensor:
    """Inner products of the tasks' gradients, over all places: float32 [tasks, tasks]."""
    rows = (jacobian.flatten(1) for jacobian in jacobians)
    return torch.stack([row @ row.T for row in rows]).sum(0)


def _jacobians(losses: Losses, shared: Shared, places: Sequence[Tensor], *, keep_graph: bool) -> list[Tensor]:
    """Gradients of each task at each place, float32 [tasks, *place]; heads get theirs accumulated."""
    from torchjd.autojac import mtl_backward  # not where only losses are weighed: it costs half a second

    for place in places:
        if not place.is_leaf:
            place.retain_grad()  # TorchJD asks it of whatever shall hold a Jacobian
    heads = [tuple(shared.heads[task]) for task in losses.balanced]
    mtl_backward(
        list(losses.balanced.values()),
        features=shared.features,
        tasks_params=heads,
        shared_params=places,
        retain_graph=keep_graph,
        parallel_chunk_size=1,  # one task after another: three times as fast for convolutions as by vmap, on a CPU
    )
    for parameter in itertools.chain(*heads):
        gradient, parameter.grad = parameter.grad, None
        if gradient is not None:
            _add_gradient(parameter, gradient)
    found: list[Tensor] = []
    for place in places:
        found.append(place.jac.float())  # type: ignore[attr-defined]
        del place.jac  # type: ignore[attr-defined]
    return found


def _add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Accumulate a gradient, laid out in memory as its parameter is.

    Fused optimisers walk over both in the order of memory; autograd sees to it by itself, TorchJD does not.
    """
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    else:
        parameter.grad += gradient


class BalancerModule(Protocol):
    """What a balancer module holds; see `bench.methods.balancers`."""

    KIND: Literal["loss", "gradient"]
    Options: Any

    def check(self, options: Any, tasks: Sequence[str]) -> Sequence[str]: ...
    def make(self, options: Any, tasks: Sequence[str], seed: int) -> Balancer: ...


def no_objection(options: Any, tasks: Sequence[str]) -> Sequence[str]:
    """The `check` of a balancer that takes any tasks on any machine."""
    return ()


def load_balancer(name: str) -> BalancerModule:
    """A balancer's module by name. Raises `UnknownName`."""
    return cast("BalancerModule", load_part(BALANCERS, name, "balancer"))


def balancer_of(run: RunSpec) -> Balancer:
    """The balancer of a run: the plain sum where none is named, or where there is but one task to balance."""
    if run.balancer is None or len(run.tasks) < 2:
        return Sum()
    module = load_balancer(run.balancer.name)
    return module.make(read_options(module.Options, run.balancer.options), [task.name for task in run.tasks], run.seed)
