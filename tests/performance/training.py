"""How fast a run trains and predicts, against what one would write by hand with all images in memory.

The peer does the same job: same network, images, batch, augmentation, precision, optimiser and losses of labels of
which some are missing. It has no logging, no checkpoint, no named random streams and no validation.
"""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison import Measured, in_turn
from torch.nn import functional as F

from bench.data.augmentation import augment, draw_changes, to_input
from bench.data.batches import SourceData
from bench.models.network import build_network, normalisation_of
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog
from bench.specs.run import RunSpec
from bench.training.evaluation import EVALUATION_BATCH, probabilities
from bench.training.loop import make_accelerator, train

STEPS = 60
BUDGET = """
kind: budget
name: measured
title: As `quick`, at another size
steps: {steps}
seeds: 1
image_size: {size}
batch: {{size: 64, allocation: proportional, least: 8}}
optimizer: {{name: adamw, learning_rate: 2.5e-3, weight_decay: 0.02}}
schedule: {{name: linear, warmup: 0.03, final: 0.3}}
augmentation: {{shift: 0.06, flip: true, color: 0.2}}
"""


@cache
def joint_run(backbone: str, size: int) -> tuple[RunSpec, list[SourceData]]:
    """A joint run of `faces` without couplings at so many pixels, and its prepared data."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "measured.yaml").write_text(BUDGET.format(steps=STEPS, size=size), encoding="utf-8")
        one = plan(open_catalog([Path(folder)]), "faces", budget="measured", only=[backbone])[0]
    run = next(run for run in one.runs if run.method == "multi_task").spec
    stores = {name: preparation.prepare() for name, preparation in one.preparations.items()}
    return run, [SourceData(source, stores[source.dataset]) for source in run.sources]


def training_throughput(backbone: str, size: int, repeats: int) -> Measured:
    """Images/s of the training loop / of a bare loop."""
    run, sources = joint_run(backbone, size)
    rates: list[float] = []

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            made = train(run, sources, checkpoint=Path(folder) / "checkpoint", checkpoint_every=10**9)
        rates.append(run.images_seen / made.seconds["train"])
        return made.seconds["train"]

    ratios = in_turn(ours, lambda: bare_training(run, sources), repeats)
    return Measured(
        f"training: bench / bare loop, {backbone}, {size} px, batch {run.batch}",
        "at least 0.97",
        ratios,
        f"{STEPS} steps a repeat, {np.median(rates):,.0f} images/s",
    )


def bare_training(run: RunSpec, sources: list[SourceData]) -> float:
    """Seconds of the steps."""
    recipe, batch = run.recipe, run.batch
    images, classes, units = _in_memory(sources)
    network, mean, std = _network(run)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.02, fused=True)
    rng = np.random.default_rng(0)
    order = torch.randperm(len(images)).repeat(1 + recipe.steps * batch // len(images))
    started = time.perf_counter()
    for step in range(recipe.steps):
        rows = order[step * batch : (step + 1) * batch]
        changes = draw_changes(recipe.augmentation, batch, recipe.image_size, rng)
        outputs = network(augment(images[rows], changes, mean, std, color=True)).logits
        loss = F.cross_entropy(outputs["expression"], classes[rows], ignore_index=-1)
        known = (units[rows] >= 0).float()
        each = F.binary_cross_entropy_with_logits(outputs["action_units"], units[rows], known, reduction="none")
        loss = loss + (each.sum(1) / known.sum(1).clamp(min=1)).sum() / (known.sum(1) > 0).sum().clamp(min=1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def evaluation_throughput(backbone: str, size: int, repeats: int) -> Measured:
    """Images/s of predicting from stores / of bare forward passes without gradients, in batches of the same size."""
    run, sources = joint_run(backbone, size)
    network, mean, std = _network(run)
    normalisation, accelerator = normalisation_of(network.backbone), make_accelerator(run.recipe.precision)
    images = _in_memory(sources)[0]
    tasks = {task.name: task for task in run.tasks}
    rates: list[float] = []

    def ours() -> float:
        started = time.perf_counter()
        for source in sources:
            probabilities(network, source.store, source.store.rows("train"), tasks, normalisation, accelerator)
        rates.append(len(images) / (time.perf_counter() - started))
        return len(images) / rates[-1]

    def theirs() -> float:
        network.eval()
        started = time.perf_counter()
        with torch.no_grad():
            for batch in torch.split(images, EVALUATION_BATCH):
                network(to_input(batch, mean, std))
        return time.perf_counter() - started

    return Measured(
        f"predicting: bench / bare forward, {backbone}, {size} px, batch {EVALUATION_BATCH}",
        "at least 0.97",
        in_turn(ours, theirs, repeats),
        f"{len(images):,} images of {len(sources)} data sets, {np.median(rates):,.0f} images/s",
    )


def _network(run: RunSpec) -> tuple[Any, torch.Tensor, torch.Tensor]:
    network = build_network(run.backbone, {task.name: len(task.labels) for task in run.tasks}, seed=0)
    norm = normalisation_of(network.backbone)
    laid_out = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return laid_out, torch.tensor(norm.mean), torch.tensor(norm.std)


def _in_memory(sources: list[SourceData]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All training images, their classes int64 [n] and their action units float32 [n, 17], -1 where not known."""
    images, classes, units = [], [], []
    for source in sources:
        rows = source.store.rows("train")
        images.append(source.store.gather(rows))
        labels = source.store.labels.tasks
        blank = np.full(len(rows), -1)
        classes.append(labels["expression"][rows] if "expression" in labels else blank)
        units.append(labels["action_units"][rows] if "action_units" in labels else np.full((len(rows), 17), -1))
    together = (torch.from_numpy(np.concatenate(parts)) for parts in (images, classes, units))
    pixels, known_classes, known_units = together
    return pixels, known_classes.long(), known_units.float()
