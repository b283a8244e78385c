"""Scores of a plan's cells, by seed, out of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record


@dataclass(frozen=True)
class CellScores:
    """One metric of one cell: its value by seed, and by seed why there is none."""

    cell: Cell
    metric: str
    primary: bool
    higher_is_better: bool
    values: dict[int, float]
    absent: dict[int, str]

    @property
    def complete(self) -> bool:
        return not self.absent


def cell_scores(
    plan: SuitePlan, records: Mapping[str, Record], cell: Cell, metric: str, *, primary: bool
) -> CellScores:
    """Collect one metric of one cell; `records` by run id."""
    values: dict[int, float] = {}
    absent: dict[int, str] = {}
    higher = True
    for seed, run in plan.runs_of(cell).items():
        record = records.get(run.spec.id)
        if record is None:
            absent[seed] = "no result"
        elif record.status == "failed":
            absent[seed] = record.failure.kind if record.failure else "failed"
        else:
            score = record.score(cell.dataset, cell.task, metric)
            if score is None or score.value is None:
                absent[seed] = "not defined"
            else:
                values[seed], higher = score.value, score.higher_is_better
    if not plan.runs_of(cell):
        absent = dict.fromkeys(plan.seeds, plan.absence_of(cell))
    return CellScores(cell, metric, primary, higher, values, absent)


def all_cell_scores(
    plan: SuitePlan, records: Mapping[str, Record], *, every_metric: bool = False
) -> dict[tuple[Cell, str], CellScores]:
    """Scores of all cells of a plan on their tasks' primary metrics, or on every metric."""
    found: dict[tuple[Cell, str], CellScores] = {}
    for cell in plan.cells:
        task = plan.suite.tasks[cell.task]
        for metric in task.metrics if every_metric else (task.primary,):
            primary = metric == task.primary
            found[cell, metric] = cell_scores(plan, records, cell, metric, primary=primary)
    return found
