"""Records as runs leave them, with random scores, for what is measured on many."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from bench.data.store import Store
from bench.runs.environment import environment
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import RECORD_VERSION, Cost, Record, Score
from bench.training.evaluation import Predictions

Scores = dict[str, dict[str, dict[str, dict[str, Any]]]]


def random_scores(run: PlannedRun, rng: np.random.Generator) -> Scores:
    """By data set, task and metric."""
    return {
        source.dataset: {
            task: {
                metric: {
                    "value": float(rng.uniform(0.3, 0.9)),
                    "per_label": {label: float(rng.uniform()) for label in run.spec.task(task).labels},
                }
                for metric in run.spec.task(task).metrics
            }
            for task in source.tasks
        }
        for source in run.spec.sources
    }


def record_of(one: SuitePlan, run: PlannedRun, scores: Scores, rng: np.random.Generator) -> Record:
    measured = {
        dataset: {
            task: {metric: Score(**told, higher_is_better=True) for metric, told in metrics.items()}
            for task, metrics in by_task.items()
        }
        for dataset, by_task in scores.items()
    }
    tasks = [task.name for task in run.spec.tasks]
    curve = tuple(
        {"step": 20 * i, "losses": {f"supervised.{task}": float(rng.uniform()) for task in tasks}} for i in range(50)
    )
    cost = Cost(steps=300, images=19200, seconds={"train": rng.uniform(5, 500)}, parameters=375_000, device="cpu")
    return Record(
        record_version=RECORD_VERSION,
        id=run.spec.id,
        run=run.spec,
        status="done",
        suite=one.name,
        command=("bench", "run", "--suite", "many"),
        started=datetime.now(UTC),
        finished=datetime.now(UTC),
        environment=environment(),
        scores=measured,
        curve=curve,
        cost=cost,
    )


def predictions(run: PlannedRun, stores: dict[str, Store], rng: np.random.Generator) -> list[Predictions]:
    found = []
    for source in run.spec.sources:
        labels = stores[source.dataset].labels
        rows = stores[source.dataset].rows("test")
        for task in source.tasks:
            scores = rng.uniform(size=(len(rows), len(run.spec.task(task).labels))).astype(np.float32)
            names = (labels.images[rows], labels.groups[rows])
            found.append(Predictions(source.dataset, task, *names, scores, labels.tasks[task][rows]))
    return found
