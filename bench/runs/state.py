"""How far runs are, by what the store holds of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.errors import RecordError
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import Record, RecordStore

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
    return _recorded(record)


def states_of(runs: Iterable[PlannedRun], store: RecordStore) -> dict[str, str]:
    """The state of each run by its id; the store is read once."""
    specs = {run.spec.id: run.spec for run in runs}
    begun = store.has_begun()
    states = {run_id: "started" if run_id in begun else "missing" for run_id in specs}
    for provenance in {spec.provenance for spec in specs.values()}:
        for name, found in store.read(provenance, specs, others=False):
            states[name] = _recorded(found) if isinstance(found, Record) else "damaged"
    return states


def to_do(plan: SuitePlan, states: Mapping[str, str]) -> list[PlannedRun]:
    """Runs of a plan that have no result: never carried out, unfinished, or failed by the machine or by a fault."""
    return [run for run in plan.everything if states[run.spec.id] not in OVER]


def _recorded(record: Record) -> str:
    if record.status == "done":
        return "done"
    return "diverged" if record.failure and record.failure.kind == "diverged" else "failed"
