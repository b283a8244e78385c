"""A probe: looks at a sample of steps of a training, and changes nothing of it.

At a step it asks how the tasks' own losses pull at the shared backbone: the cosines between their gradients by depth,
those with the gradients of couplings too, and the affinity of tasks by one-step lookahead. On validation images it asks
how well what the network predicts agrees with the relatedness.

**Affinity** (Fifty, Amid, Zhao, Yu, Anil and Finn, "Efficiently Identifying Task Groupings for Multi-Task Learning",
NeurIPS 2021, arXiv 2109.04617, section 4): Z_ij = 1 - L_j(theta after a step on task i) / L_j(theta) on the same batch,
where the step is theta_s - rate * grad L_i on the shared parameters alone, at the training's current learning rate.
Positive: a step on i lowers the loss of j. The authors' code (google-research/tag, `taskonomy/tag.patch`) also adds
weight decay to the step and divides Z by the rate; we keep the paper's own definition and store the rate beside it.
Runs that train by Adam make other steps than this one; the paper's step is kept, so that affinities mean the same.

All is computed in float32 whatever the precision of the run: a single step changes weights by less than half precision
can tell. Losses are the tasks' own, before a balancer weighs them, and couplings with their weights. Forwards are those
of training (batch statistics, dropout); every forward of one look draws the same random numbers. Running statistics,
random streams and parameters are afterwards what they were, to the bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.augmentation import to_input
from bench.data.batches import SourceData
from bench.methods.objective import Coupling, Objective, Targets, coupling_of, load_term
from bench.models.network import Network, normalisation_of, without_traces
from bench.specs.model import Frozen
from bench.specs.run import RunRelatedness, RunSpec
from bench.specs.streams import stream

Gram = NDArray[np.float64]
WHOLE = "whole"
"""The name of all depths together."""
MOST_MEMBERS = 6
SHARE = 0.05
"""Part of the time of training that looks may take by default; what agreement takes comes on top."""
AGREEMENT_IMAGES = 256
"""Validation images, over all data sets, that agreement is measured on."""
_IN_FULL = {
    "float32": 1,
    "bfloat16": 8,
    "float16": 8,
}  # steps in the run's precision that take as long as one in float32


class Cosine(Frozen):
    """The cosine between the gradients of two losses, by depth; None where one of them vanishes."""

    first: str
    second: str
    by_depth: dict[str, float | None]


class Look(Frozen):
    """What was seen at one step, before it was made.

    `losses` by name: tasks, and couplings as `term.relatedness`; `norms` of their gradients by depth and loss;
    `affinity[i][j]`: what a step on task i does for task j. None stands for what is not defined or not finite.
    """

    step: int
    rate: float
    losses: dict[str, float | None]
    norms: dict[str, dict[str, float | None]]
    cosines: tuple[Cosine, ...]
    affinity: dict[str, dict[str, float | None]]


class Agreement(Frozen):
    """How the prediction p of a second task agrees with q, which the first task's prediction implies, after some steps.

    `difference`: mean |q - p| over images and labels that the relatedness covers, in 0..1; `divergence`: mean
    KL(q || p) in nats, over images and (for attributes) labels.
    """

    step: int
    relatedness: str
    images: int
    difference: float | None
    divergence: float | None


class RunProbe:
    """Looks at every `every`-th step of a run and at its last one, and at each validation.

    `looks` and `agreements` fill up in the order of steps. `relatedness` is what predictions are compared with, whether
    the run's method uses it or not.
    """

    def __init__(
        self, run: RunSpec, sources: Sequence[SourceData], relatedness: Sequence[RunRelatedness], every: int
    ) -> None:
        self.looks: list[Look] = []
        self.agreements: list[Agreement] = []
        self._run, self._sources, self._relatedness, self._every = run, sources, relatedness, every

    def wants(self, step: int) -> bool:
        """Whether the step, counted from 0, is to be looked at."""
        return step % self._every == 0 or step == self._run.recipe.steps - 1

    def look(
        self,
        *,
        step: int,
        network: Network,
        objective: Objective,
        images: Tensor,
        targets: Targets,
        rate: float,
    ) -> None:
        """Look at a step before it is made: `images` normalised float [n, 3, side, side], `rate` its learning rate."""
        groups = depths(network.backbone)
        parameters = [parameter for members in groups.values() for parameter in members]
        with _full_precision(self._run):
            tasks, losses, gradients = _pulls(network, objective, images, targets, parameters)
            after = {
                task: _losses_after_step(network, objective, images, targets, parameters, gradients[task], rate)
                for task in tasks
            }
        names = list(losses)
        grams = _grams({depth: len(members) for depth, members in groups.items()}, list(gradients.values()))
        before = {name: float(value) for name, value in losses.items()}
        self.looks.append(
            Look(
                step=step,
                rate=rate,
                losses={name: _number(value) for name, value in before.items()},
                norms={
                    depth: {name: _number(math.sqrt(gram[i, i])) for i, name in enumerate(names)}
                    for depth, gram in grams.items()
                },
                cosines=tuple(
                    Cosine(first=a, second=b, by_depth={depth: _cosine(gram, i, j) for depth, gram in grams.items()})
                    for i, a in enumerate(names)
                    for j, b in enumerate(names[i + 1 :], i + 1)
                ),
                affinity={
                    i: {j: _number(_affinity(before[j], float(value))) for j, value in after[i].items()} for i in tasks
                },
            )
        )

    def validated(self, *, step: int, network: Network) -> None:
        """Look at how predictions on validation images agree with the relatedness, after `step` steps."""
        if not self._relatedness:
            return
        device = next(network.parameters()).device
        tasks = {task.name: task for task in self._run.tasks}
        outputs = self._predicted(network, device)
        for one in self._relatedness:
            pair = coupling_of(one, tasks, device)
            difference, divergence = agreement(outputs[pair.first_task], outputs[pair.second_task], pair)
            found = Agreement(
                step=step,
                relatedness=one.name,
                images=len(self._validation),
                difference=_number(difference),
                divergence=_number(divergence),
            )
            self.agreements.append(found)

    @torch.no_grad()
    def _predicted(self, network: Network, device: torch.device) -> dict[str, Tensor]:
        """Logits on the sample of validation images, as in evaluation; the network stays in the mode it was in."""
        norm = normalisation_of(network.backbone)
        mean, std = (torch.tensor(values, device=device) for values in (norm.mean, norm.std))
        training = network.training
        network.eval()
        try:
            with _full_precision(self._run):
                return _logits(network, to_input(self._validation.to(device), mean, std))
        finally:
            network.train(training)

    @cached_property
    def _validation(self) -> Tensor:
        """A sample of validation images, each data set with its share; the same in every run of a suite."""
        rows = [source.store.rows("validation") for source in self._sources]
        part = min(AGREEMENT_IMAGES / sum(map(len, rows)), 1.0)
        parts = []
        for source, own in zip(self._sources, rows, strict=True):
            order = stream("diagnosis", source.dataset).permutation(len(own))
            parts.append(source.store.gather(np.sort(own[order[: math.ceil(part * len(own))]])))
        return torch.from_numpy(np.concatenate(parts))


def default_every(run: RunSpec, relatedness: Sequence[RunRelatedness]) -> int:
    """How many steps to go from look to look, so that looks take about `SHARE` of the time of training.

    A forward taken as 1 and a backward as 2, a step takes 3, and a look one forward, a backward for each loss and
    another forward for each task. A method that does not couple tasks is taken for one that does, if the suite has a
    `relatedness`, so that both are looked at in the same steps. In half precision, where a GPU is several times faster
    than in float32, looks are rarer.
    """
    couplings = max(sum(not load_term(term.name).BALANCED for term in run.terms), 1) * len(relatedness)
    tasks = len(run.tasks)
    cost = (1 + 2 * (tasks + couplings) + tasks) / 3
    return math.ceil(_IN_FULL[run.recipe.precision] * cost / SHARE)


def depths(backbone: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters of a backbone from the first layers to the last, in at most eight groups.

    The body of a backbone are its numbered parts, which are its stages or blocks: siblings whose names differ in digits
    only and that hold at least half of all parameters together (`layer1` to `layer4`, `stages.0` to `stages.3`), sought
    from the outside in. Each is a group, neighbours together where there are more than six. `stem` is what comes
    before, `top` what comes after; what stands between two parts goes with the first.
    """
    members = _body(backbone)
    names = _group_names(members)
    found: dict[str, list[nn.Parameter]] = {}
    place, last = -1, len(members) - 1
    for name, parameter in backbone.named_parameters():
        own = next((i for i, member in enumerate(members) if name.startswith(f"{member}.")), None)
        place = place if own is None else own
        outside = "stem" if place < 0 else "top" if place == last else names[place]
        if parameter.requires_grad:
            found.setdefault(outside if own is None else names[own], []).append(parameter)
    return found


def implied(logits: Tensor, pair: Coupling) -> Tensor:
    """q, what the first task's predictions say of the second's covered labels: probabilities [n, covered].

    Of a class task q = sum_c p(c|x) p(second | c). Of attributes the mean, over those that the relatedness speaks of,
    of p(a|x) p(second | a present) + (1 - p(a|x)) p(second | a absent); NaN where it speaks of none.
    """
    matrix = pair.matrix.to(logits.dtype)
    if pair.absent is None:
        return logits.softmax(1) @ matrix
    there, said = logits.sigmoid(), ~matrix.isnan()
    absent = pair.absent.to(logits.dtype)
    total = there @ matrix.nan_to_num(0.0) + (1 - there) @ absent.nan_to_num(0.0)
    return total / said.sum(0)


def agreement(first: Tensor, second: Tensor, pair: Coupling) -> tuple[float, float]:
    """Mean |q - p| and mean KL(q || p) of what two tasks predict; logits float [n, labels], computed in float64.

    Classes of a second class task that the relatedness does not cover have q = 0.
    """
    z = second.double()
    q = implied(first.double(), pair)
    if pair.exclusive:
        log_p = F.log_softmax(z, dim=1)[:, pair.covered]
        each = torch.xlogy(q, q) - q * log_p
        return float((q - log_p.exp()).abs().mean()), float(each.sum(1).mean())
    spoken = ~q.isnan().any(0)
    q, z = q[:, spoken], z[:, pair.covered][:, spoken]
    each = torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q) - q * F.logsigmoid(z) - (1 - q) * F.logsigmoid(-z)
    return float((q - z.sigmoid()).abs().mean()), float(each.mean())


def _pulls(
    network: Network, objective: Objective, images: Tensor, targets: Targets, parameters: Sequence[nn.Parameter]
) -> tuple[list[str], dict[str, Tensor], dict[str, tuple[Tensor, ...]]]:
    """The tasks, every loss of a batch by name (the tasks' first), and its gradient by each shared parameter."""
    with without_traces(network):
        made = objective(_logits(network, images), targets)
        losses = {**made.balanced, **made.rest}
        gradients = {name: _gradient(loss, parameters) for name, loss in losses.items()}
    return list(made.balanced), {name: loss.detach() for name, loss in losses.items()}, gradients


def _gradient(loss: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
    if not loss.requires_grad:  # a term may have nothing to say of a batch
        return tuple(torch.zeros_like(parameter) for parameter in parameters)
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)


@torch.no_grad()
def _losses_after_step(
    network: Network,
    objective: Objective,
    images: Tensor,
    targets: Targets,
    parameters: Sequence[nn.Parameter],
    gradient: Sequence[Tensor],
    rate: float,
) -> dict[str, Tensor]:
    """The tasks' losses on the same batch after a step of gradient descent on the shared parameters, then undone."""
    kept = [parameter.clone() for parameter in parameters]
    try:
        for parameter, slope in zip(parameters, gradient, strict=True):
            parameter.sub_(slope, alpha=rate)
        with without_traces(network):
            return objective(_logits(network, images), targets).balanced
    finally:
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)


def _logits(network: Network, images: Tensor) -> dict[str, Tensor]:
    """Not by calling the network, which mixed precision may have wrapped."""
    features = network.features(images)
    return {task: head(features) for task, head in network.heads.items()}


def _grams(sizes: Mapping[str, int], gradients: Sequence[Sequence[Tensor]]) -> dict[str, Gram]:
    """Inner products of gradients by depth, [losses, losses]; `sizes` is how many parameters each depth has."""
    rows = (torch.stack([gradient.flatten() for gradient in ones]) for ones in zip(*gradients, strict=True))
    products: NDArray[np.float64] = torch.stack([one @ one.T for one in rows]).double().cpu().numpy()
    parts = np.split(products, np.cumsum(list(sizes.values()))[:-1])
    return {depth: part.sum(0) for depth, part in [(WHOLE, products), *zip(sizes, parts, strict=True)]}


def _cosine(gram: Gram, i: int, j: int) -> float | None:
    scale = math.sqrt(gram[i, i]) * math.sqrt(gram[j, j])
    return None if scale == 0 else _number(float(np.clip(gram[i, j] / scale, -1, 1)))


def _affinity(before: float, after: float) -> float:
    return math.nan if before == 0 else 1 - after / before


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _body(backbone: nn.Module) -> list[str]:
    """Names of the numbered parts that hold at least half of all parameters; see `depths`.

    Where there are none, the parts of the innermost module that does.
    """
    whole, path, module = _size(backbone), "", backbone
    while True:
        children = {name: child for name, child in module.named_children() if _size(child)}
        families: dict[str, list[str]] = {}
        for name in children:
            families.setdefault(re.sub(r"\d+", "#", name), []).append(name)
        for family in families.values():
            if len(family) > 1 and sum(_size(children[name]) for name in family) >= whole / 2:
                return [path + name for name in family]
        largest = max(children, key=lambda name: _size(children[name]), default=None)
        if largest is None or _size(children[largest]) < whole / 2 or not _has_parts(children[largest]):
            return [path + name for name in children]
        path, module = f"{path}{largest}.", children[largest]


def _group_names(members: Sequence[str]) -> list[str]:
    """The name of each member's group: its own, or `blocks.0-1` for neighbours that are put together."""
    names: list[str] = []
    count = min(len(members), MOST_MEMBERS)
    for places in np.array_split(np.arange(len(members)), count) if count else ():
        group = [members[place] for place in places]
        names += [group[0] if len(group) == 1 else _joined(group[0], group[-1])] * len(group)
    return names


def _joined(first: str, last: str) -> str:
    if re.sub(r"\d+", "#", first) != re.sub(r"\d+", "#", last):
        return f"{first} to {last}"
    number = re.findall(r"\d+", last)[-1]
    return f"{first}-{number}"


def _has_parts(module: nn.Module) -> bool:
    return any(_size(child) for child in module.children())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _full_precision(run: RunSpec) -> Iterator[None]:
    """No TF32, whose ten bits do not tell weights before from weights after a step, and no compiled network."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    eager = torch.compiler.set_stance("force_eager") if run.recipe.compile is not None else nullcontext()
    try:
        with eager:
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products
