"""How long runs will take: from records of the same backbone on this machine, else from a short measurement."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.runs.environment import environment
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import Record, RecordStore
from bench.specs.run import RunSpec

EVALUATION_COST = 1 / 3
"""Seconds of an image in evaluation, relative to one in training: a forward without its backward."""


def forecast(plan: SuitePlan, runs: Sequence[PlannedRun], store: RecordStore) -> float:
    """Seconds that `runs` will take one after the other."""
    if not runs:
        return 0.0
    rates = _recorded_rates(store.records(plan.provenance))
    total = 0.0
    for run in runs:
        key = _key(run.spec)
        if key not in rates:
            rates[key] = _measured_rate(run.spec)
        total += rates[key] * _work(plan, run.spec)
    return total


def _work(plan: SuitePlan, run: RunSpec) -> float:
    """Images that pass through the network, those of evaluation at their lower cost."""
    evaluated = 0
    for source in run.sources:
        preparation = plan.preparations[source.dataset]
        if preparation.copy is None:
            declared = preparation.dataset.standin
            counts = declared.images.model_dump() if declared else {}
        else:
            counts = preparation.open().manifest.counts
        limited = {split: min(count, run.limit or count) for split, count in counts.items()}
        evaluated += run.recipe.evaluations * limited["validation"] + limited["test"]
    return run.images_seen + EVALUATION_COST * evaluated


def _key(run: RunSpec) -> tuple[str, int, str]:
    return run.backbone.timm, run.backbone.input_size or run.recipe.image_size, run.recipe.precision


def _recorded_rates(records: Iterable[Record]) -> dict[tuple[str, int, str], float]:
    """Median seconds an image by backbone, size and precision, over records made on hardware like this."""
    hardware = environment()["hardware"]
    found: dict[tuple[str, int, str], list[float]] = {}
    for record in records:
        if record.cost is not None and record.environment.get("hardware") == hardware:
            rate = record.cost.seconds["train"] / max(record.cost.images, 1)
            found.setdefault(_key(record.run), []).append(rate)
    return {key: statistics.median(values) for key, values in found.items()}


def _measured_rate(run: RunSpec) -> float:
    from bench.training.timing import seconds_per_image

    return seconds_per_image(run)
