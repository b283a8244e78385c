"""Standings: the rows of a leaderboard, ranked where they are complete."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from bench.analysis.others import Others
from bench.analysis.scores import CellScores, all_cell_scores
from bench.analysis.statistics import t_interval
from bench.analysis.transfer import MethodTransfer, Outcome, transfer
from bench.data.store import Audit
from bench.runs.plan import Cell, PlannedRun, SuitePlan
from bench.runs.records import Record


class Evidence(StrEnum):
    """What vouches for numbers, the weakest first."""

    self_reported = "self-reported"  # a record says so
    rescored = "re-scored"  # computed again from the predictions of each sample
    verified = "verified here"  # trained again by continuous integration


@dataclass(frozen=True)
class Entry:
    """One cell of a leaderboard: mean over seeds, its 95 % interval over seeds, seeds there are, and the verdict.

    `values` are the scores by seed, `absent` says why others are missing.
    """

    cell: Cell
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    expected: int
    outcome: Outcome | None
    absent: tuple[str, ...]
    values: dict[int, float]
    higher_is_better: bool


@dataclass(frozen=True)
class Cost:
    """What one seed of a row takes, over all runs that make it up; means over seeds."""

    runs: int
    steps: float
    images: float
    minutes: float


@dataclass(frozen=True)
class Effort:
    """How much was tried before the runs: `trials` of each method and of each single-task twin, in this `space`."""

    search: str
    trials: int
    space: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A method with a backbone. `average` is the mean of all entries; None, and no rank, where one is incomplete.

    `evidence` is the weakest of all runs of the row, None where nothing is recorded.
    """

    backbone: str
    method: str
    entries: tuple[Entry, ...]
    average: float | None
    rank: int | None
    transfer: MethodTransfer | None
    cost: Cost | None
    evidence: Evidence | None


@dataclass(frozen=True)
class Standings:
    """A leaderboard's content.

    `columns` are (data set, task, metric); `reference`: the method that verdicts and changes are against, which has
    none itself; `effort` is None where nothing was tuned. `data` are fingerprints and `licences` the licences by data
    set.
    """

    suite: str
    title: str
    reference: str
    provenance: str
    standin: bool
    budget: str
    seeds: int
    columns: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]
    data: dict[str, str]
    licences: dict[str, str]
    chance: dict[str, float]
    others: Others
    audits: dict[str, Audit | None]
    effort: Effort | None


def standings(
    plan: SuitePlan,
    records: Mapping[str, Record],
    *,
    others: Others | None = None,
    evidence: Mapping[str, Evidence] | None = None,
    reference: str | None = None,
) -> Standings:
    """Rank the rows of a plan by the mean of their primary metrics over all (data set, task).

    `records` by run id; `others` tells which were left out. `evidence` by run id, of those whose numbers stand on more
    than their record. `reference`: the method to compare with, the single-task twin if none is named. Raises
    `UnknownName`.
    """
    scores = all_cell_scores(plan, records)
    verdicts = transfer(plan, records, reference=reference)
    outcomes = {verdict.cell: verdict.outcome for verdict in verdicts.verdicts if verdict.seeds}
    by_method = {(m.backbone, m.method): m for m in verdicts.methods}
    columns = tuple(dict.fromkeys((c.dataset, c.task, metric) for c, metric in scores))
    runs: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in plan.runs:
        runs.setdefault((run.backbone, run.method), []).append(run)
    rows = []
    for backbone in plan.suite.backbones:
        for method in plan.suite.methods:
            mine = [s for (c, _), s in scores.items() if (c.backbone, c.method) == (backbone.name, method.name)]
            if mine:
                entries = tuple(_entry(s, outcomes.get(s.cell)) for s in mine)
                average = _average(entries) if all(s.complete for s in mine) and len(mine) == len(columns) else None
                judged = by_method.get((backbone.name, method.name))
                own = runs.get((backbone.name, method.name), [])
                cost = _cost(plan, records, backbone.name, method.name, own)
                vouched = _evidence(own, records, evidence or {})
                rows.append(Row(backbone.name, method.name, entries, average, None, judged, cost, vouched))
    data = {s.dataset: s.data for run in plan.everything for s in run.spec.sources}
    return Standings(
        plan.name,
        plan.suite.spec.title,
        verdicts.reference,
        plan.provenance,
        plan.standin,
        plan.suite.budget.name,
        len(plan.seeds),
        columns,
        _ranked(rows),
        data,
        {dataset.name: dataset.licence for dataset in plan.suite.datasets if dataset.name in data},
        {name: task.chance for name, task in plan.suite.tasks.items()},
        others or Others(),
        plan.audits,
        _effort(plan),
    )


def _entry(scores: CellScores, outcome: Outcome | None) -> Entry:
    values = list(scores.values.values())
    low, high = t_interval(values)
    absent = tuple(sorted(set(scores.absent.values())))
    mean = float(np.mean(values)) if values else None
    expected = len(values) + len(scores.absent)
    return Entry(
        scores.cell,
        scores.metric,
        mean,
        _number(low),
        _number(high),
        len(values),
        expected,
        outcome,
        absent,
        scores.values,
        scores.higher_is_better,
    )


def _average(entries: tuple[Entry, ...]) -> float:
    return float(np.mean([entry.mean for entry in entries if entry.mean is not None]))


def _ranked(rows: list[Row]) -> tuple[Row, ...]:
    """Complete rows by average, best first and equals alike, then the incomplete ones in their order."""
    complete = sorted((r for r in rows if r.average is not None), key=lambda r: -(r.average or 0.0))
    ranked = []
    for row in complete:
        better = sum((other.average or 0.0) > (row.average or 0.0) for other in complete)
        ranked.append(replace(row, rank=better + 1))
    return (*ranked, *(row for row in rows if row.average is None))


def _effort(plan: SuitePlan) -> Effort | None:
    tuning = plan.suite.budget.tuning
    if tuning is None:
        return None
    (trials,) = {search.total for search in plan.searches.values()}  # the same for all, or nothing could be compared
    return Effort(tuning.search, trials, tuple(tuning.space))


def _cost(
    plan: SuitePlan, records: Mapping[str, Record], backbone: str, method: str, runs: Sequence[PlannedRun]
) -> Cost | None:
    """Cost of one seed, without that of trials; None while a run of the row is missing."""
    if any(
        search.absence for slot, search in plan.searches.items() if (slot.backbone, slot.method) == (backbone, method)
    ):
        return None
    found = [records[r.spec.id] for r in runs if r.spec.id in records]
    costs = [record.cost for record in found if record.cost is not None]
    if not runs or len(costs) < len(runs):
        return None
    seeds = len(plan.seeds)
    minutes = sum(sum(cost.seconds.values()) for cost in costs) / 60
    return Cost(
        len(runs) // seeds, sum(c.steps for c in costs) / seeds, sum(c.images for c in costs) / seeds, minutes / seeds
    )


def _evidence(
    runs: Sequence[PlannedRun], records: Mapping[str, Record], known: Mapping[str, Evidence]
) -> Evidence | None:
    found = [known.get(run.spec.id, Evidence.self_reported) for run in runs if run.spec.id in records]
    return min(found, key=list(Evidence).index, default=None)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
