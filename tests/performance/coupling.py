"""What coupling adds to a training step of a ResNet-50 at 224 pixels; `make perf` runs it among the others.

Steps with and without all couplings at once (distribution matching, soft co-annotation, and labels that co-annotation
derived, with their weights) are taken in turn. Two steps in a row may differ by more than what is looked for, so the
losses are also timed by themselves, forward and backward on the same logits: what they take more with couplings than
without, over the time of a step, is told beside the ratio.

Without a GPU, what is taken is the processor's time of one thread, which other programs lengthen far less than the time
on the clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from comparison import Measured, in_turn
from torch import Tensor

from bench.methods.balance import Sum
from bench.methods.objective import Objective, Targets
from bench.methods.training_labels import MISSING, TrainingLabels, transformed
from bench.models.network import build_network
from bench.runs.assembly import run_backbone
from bench.runs.parts import LABELS, TERMS, run_parts
from bench.runs.plan import plan
from bench.specs.backbone import BackboneSpec
from bench.specs.catalog import open_catalog
from bench.specs.method import MethodSpec
from bench.specs.run import RunSpec
from bench.training.loop import make_accelerator, make_optimizer

SUITES = ("faces", "species")
"""7 classes with 17 action units, and 200 classes with 312 attributes."""
COUPLINGS = ("distribution_matching", "soft_co_annotation")
SIZE = 224
ALONE = 200
"""Times that the losses are computed by themselves."""


@dataclass(frozen=True)
class Way:
    """One way of computing the loss of a batch, and how long its forward and backward took each time, in seconds."""

    objective: Objective
    targets: Targets
    seconds: list[float] = field(default_factory=list)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def coupling(suite: str, repeats: int) -> Measured:
    """Seconds of a step with all couplings / of one with the supervised losses only."""
    accelerator = make_accelerator("bfloat16" if torch.cuda.is_available() else "float32")
    batch = 128 if accelerator.device.type == "cuda" else 16
    plain, coupled = _runs(suite)
    labels = _labels(coupled, batch)
    derived, _ = transformed(coupled, labels)
    without = Way(Objective(plain, accelerator.device), _targets(labels, accelerator.device))
    all_of_them = Way(Objective(coupled, accelerator.device), _targets(derived, accelerator.device))

    logits = {task.name: torch.randn(batch, len(task.labels), device=accelerator.device) for task in plain.tasks}
    for _ in range(ALONE):
        for one in (without, all_of_them):
            one.seconds.append(_timed(partial(_losses_alone, one, logits), accelerator))
    added = statistics.median(all_of_them.seconds) - statistics.median(without.seconds)

    step = _training(plain, batch, accelerator)
    steps: list[float] = []

    def bare() -> float:
        steps.append(_timed(partial(step, without), accelerator))
        return steps[-1]

    ratios = in_turn(bare, lambda: _timed(partial(step, all_of_them), accelerator), repeats)
    whole = statistics.median(steps[1:])
    return Measured(
        f"a step of ResNet-50, {SIZE} px, batch {batch}, {accelerator.device.type}: all couplings / none, {suite}",
        "at most 1.03",
        ratios,
        f"couplings take {added * 1000:.1f} ms by themselves, {added / whole:.2%} of a step of {whole * 1000:,.0f} ms",
    )


def _runs(suite: str) -> tuple[RunSpec, RunSpec]:
    """A run of the suite's tasks with the supervised term only, and one with all couplings; both with a ResNet-50."""
    catalog = open_catalog()
    planned = plan(catalog, suite, seeds=1, only=["distribution_matching"])[0].runs
    spec = next(run.spec for run in planned if run.method == "distribution_matching")
    backbone = run_backbone(catalog.get(BackboneSpec, "resnet50")).model_copy(update={"weights": None})
    methods = [catalog.get(MethodSpec, name) for name in COUPLINGS]
    terms = {term.name: term for method in methods for term in method.terms}
    derivation = catalog.get(MethodSpec, "co_annotation").labels
    plain = spec.model_copy(update={"backbone": backbone, "terms": run_parts(TERMS, [terms["supervised"]])})
    every = {"terms": run_parts(TERMS, terms.values()), "labels": run_parts(LABELS, derivation)}
    return plain, plain.model_copy(update=every)


def _labels(run: RunSpec, batch: int) -> TrainingLabels:
    """Labels of a batch whose first half shows classes and whose second half shows attributes that fit a class."""
    (pair,) = run.relatedness
    rng = np.random.default_rng(0)
    table = np.array(pair.matrix)
    attributes = run.task(pair.second_task).labels
    covered = [attributes.index(label) for label in pair.covered]
    classes = rng.integers(0, len(table), batch)
    present = np.zeros((batch, len(attributes)), np.int8)
    present[:, covered] = rng.random((batch, len(covered))) < table[classes]
    classes[batch // 2 :] = MISSING
    present[: batch // 2] = MISSING
    return TrainingLabels({pair.first_task: classes, pair.second_task: present})


def _targets(known: TrainingLabels, device: torch.device) -> Targets:
    def on_device(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {task: torch.from_numpy(array).to(device) for task, array in arrays.items()}

    return Targets(on_device(known.labels), on_device(known.weights))


def _losses_alone(one: Way, logits: Mapping[str, Tensor]) -> None:
    leaves = {task: value.detach().requires_grad_() for task, value in logits.items()}
    one.objective(leaves, one.targets).total.backward()


def _training(run: RunSpec, batch: int, accelerator: Accelerator) -> Callable[[Way], None]:
    """A training step on one batch of noise, as the training loop takes it."""
    network = build_network(run.backbone, {task.name: len(task.labels) for task in run.tasks}, seed=0)
    network = network.to(accelerator.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = make_optimizer(network, Sum(), run.recipe.optimizer)
    images = torch.randn(batch, 3, SIZE, SIZE, device=accelerator.device).contiguous(memory_format=torch.channels_last)

    def step(one: Way) -> None:
        with accelerator.autocast():
            response = network(images)
        one.objective(response.logits, one.targets).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _timed(action: Callable[[], None], accelerator: Accelerator) -> float:
    if accelerator.device.type == "cpu":
        started = time.process_time()
        action()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    torch.cuda.synchronize()
    return time.perf_counter() - started
