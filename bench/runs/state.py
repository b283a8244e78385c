"""How far runs are, by what the store holds of them."""

from __future__ import annotations

from bench.errors import RecordError
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import RecordStore

OVER = ("done", "diverged")
"""States of runs that have a result, and are not carried out again."""


def state_of(run: PlannedRun, store: RecordStore) -> str:
    """`done`, `diverged`, `failed` (to be retried), `started`, `damaged` or `missing`."""
    try:
        record = store.find(run.spec)
    except RecordError:
        return "damaged"
    if record is None:
        return "started" if store.checkpoint(run.spec).is_file() else "missing"
    if record.status == "done":
        return "done"
    return "diverged" if record.failure and record.failure.kind == "diverged" else "failed"


def to_do(plan: SuitePlan, store: RecordStore) -> list[PlannedRun]:
    """Runs of a plan that have no result: never carried out, unfinished, or failed by the machine or by a fault."""
    return [run for run in plan.everything if state_of(run, store) not in OVER]
