"""Records of planned runs with made-up scores."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.runs.records import RECORD_VERSION, Failure, Record, Score


def record_of(one, run, score, *, diverged=False):
    """A run's record; `score(dataset, task, metric)` is called for every score of it."""
    scores = {
        source.dataset: {
            task: {
                metric: Score(value=score(source.dataset, task, metric), higher_is_better=True)
                for metric in run.spec.task(task).metrics
            }
            for task in source.tasks
        }
        for source in run.spec.sources
    }
    return Record(
        record_version=RECORD_VERSION,
        id=run.spec.id,
        run=run.spec,
        status="failed" if diverged else "done",
        suite=one.name,
        command=("bench",),
        started=datetime.now(UTC),
        finished=datetime.now(UTC),
        environment={},
        failure=Failure(kind="diverged", message="the loss was not finite", traceback="") if diverged else None,
        scores={} if diverged else scores,
    )
