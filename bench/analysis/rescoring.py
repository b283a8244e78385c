"""Records checked against their own per-sample predictions: every metric computed again, with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.analysis.counts import COUNTED
from bench.analysis.intervals import Interval, interval
from bench.analysis.others import Others
from bench.analysis.standings import Evidence
from bench.data.labels import MISSING, Names
from bench.errors import RecordError
from bench.runs.plan import Cell, PlannedRun, SuitePlan
from bench.runs.records import Record, Score
from bench.specs.run import Provenance
from bench.training.evaluation import Predictions, all_scores

ROUNDING = 1e-12
Agreement = Literal["same", "rounding", "differs"]
Unit = Literal["groups", "images"]
Intervals = Literal["all", "primary", "none"]


@dataclass(frozen=True)
class Rescored:
    """One metric of one record: what is recorded, and what its predictions say; None where it is not defined.

    `differing`: the labels whose own values differ. `interval`: over test clusters, which are `unit`; None where none
    was asked for, and for a metric that is not known as sums of counts.
    """

    run: str
    dataset: str
    task: str
    backbone: str
    method: str
    seed: int
    metric: str
    recorded: float | None
    recomputed: float | None
    agreement: Agreement
    differing: tuple[str, ...]
    interval: Interval | None
    unit: Unit

    @property
    def difference(self) -> float | None:
        """Recorded minus recomputed; None where one of them is not defined."""
        if self.recorded is None or self.recomputed is None:
            return None
        return self.recorded - self.recomputed


@dataclass(frozen=True)
class Refused:
    """A record, or a part of it, that could not be scored."""

    run: str
    title: str
    why: str


@dataclass(frozen=True)
class SuiteRescored:
    """What came of all records of a plan; `absent`: runs without a result, by what they are."""

    suite: str
    provenance: Provenance
    standin: bool
    rows: tuple[Rescored, ...]
    refused: tuple[Refused, ...]
    absent: dict[str, int]

    @property
    def agrees(self) -> bool:
        return not self.refused and not self.contradicted

    @property
    def contradicted(self) -> frozenset[str]:
        """Ids of runs whose predictions say other than their record."""
        return frozenset(row.run for row in self.rows if row.agreement == "differs")

    @property
    def vouched(self) -> frozenset[str]:
        """Ids of runs all of whose numbers follow from their predictions."""
        refused = {one.run for one in self.refused}
        return frozenset(row.run for row in self.rows if row.run not in refused) - self.contradicted

    def of(self, cell: Cell, metric: str) -> dict[str, Rescored]:
        """One metric of one cell, by run id."""
        return {
            row.run: row
            for row in self.rows
            if (row.dataset, row.task, row.backbone, row.method, row.metric)
            == (cell.dataset, cell.task, cell.backbone, cell.method, metric)
        }


def borne_out(
    again: SuiteRescored, records: Mapping[str, Record], others: Others
) -> tuple[dict[str, Record], Others, dict[str, Evidence]]:
    """Records without those whose predictions say otherwise, what is left out by now, and which were re-scored."""
    kept = {run_id: record for run_id, record in records.items() if run_id not in again.contradicted}
    return kept, others.without(len(again.contradicted)), dict.fromkeys(again.vouched, Evidence.rescored)


def rescore(
    plan: SuitePlan,
    records: Mapping[str, Record | RecordError],
    read: Callable[[Record, str, str], Predictions | None],
    *,
    runs: Collection[str] | None = None,
    intervals: Intervals = "all",
) -> SuiteRescored:
    """Score every record of a plan again, or those of some runs.

    `runs` are ids; `intervals`, which take longest, are of the metrics that are asked for. `records` by run id, with
    the error of those that cannot be read; `read(record, data set, task)` gives recorded predictions, None where the
    record names none, and raises `RecordError`.
    """
    rows: list[Rescored] = []
    refused: list[Refused] = []
    absent: Counter[str] = Counter()
    for planned in {one.spec.id: one for one in plan.everything if runs is None or one.spec.id in runs}.values():
        record = records.get(planned.spec.id)
        if record is None:
            absent["not run"] += 1
        elif isinstance(record, RecordError):
            refused.append(Refused(planned.spec.id, planned.title, record.message))
        elif record.status == "failed":
            absent[record.failure.kind if record.failure else "failed"] += 1
        else:
            for found in rescored_run(planned, record, read, intervals=intervals):
                rows.append(found) if isinstance(found, Rescored) else refused.append(found)
    return SuiteRescored(plan.name, plan.provenance, plan.standin, tuple(rows), tuple(refused), dict(absent))


def rescored_run(
    run: PlannedRun,
    record: Record,
    read: Callable[[Record, str, str], Predictions | None],
    *,
    intervals: Intervals = "all",
) -> Iterator[Rescored | Refused]:
    """Every metric of one record, in the order of its run; `intervals`, which take longest, as in `rescore`."""
    known = [(source.dataset, task) for source in run.spec.sources for task in source.tasks]
    for dataset, task in known:
        try:
            made = read(record, dataset, task)
        except RecordError as error:
            yield Refused(record.id, run.title, error.message)
            continue
        if made is None:
            yield Refused(record.id, run.title, f"run {record.id} names no predictions of {dataset}/{task}")
            continue
        for name, found in all_scores(made, run.spec.task(task)).items():
            recorded = record.score(dataset, task, name)
            wanted = intervals == "all" or (intervals == "primary" and name == run.spec.task(task).primary)
            about = _interval(name, made) if wanted else None
            yield _row(run, recorded, made, name, found["value"], found["per_label"], about)
    for dataset, tasks in record.scores.items():
        for task, scores in tasks.items():
            metrics = run.spec.task(task).metrics if (dataset, task) in known else ()
            for name in scores.keys() - set(metrics):
                why = f"run {record.id} records {name} of {dataset}/{task}, which it does not measure"
                yield Refused(record.id, run.title, why)


def _row(
    run: PlannedRun,
    score: Score | None,
    made: Predictions,
    name: str,
    recomputed: float | None,
    labels: dict[str, float | None],
    about: Interval | None,
) -> Rescored:
    recorded = score.value if score else None
    before = score.per_label if score else {}
    differing = {label: _agreement(before.get(label), labels.get(label)) for label in dict.fromkeys([*labels, *before])}
    verdicts = {_agreement(recorded, recomputed), *differing.values()}
    if score is None or before.keys() != labels.keys():
        verdicts.add("differs")
    return Rescored(
        run.spec.id,
        made.dataset,
        made.task,
        run.backbone,
        run.method,
        run.seed,
        name,
        recorded,
        recomputed,
        next(one for one in ("differs", "rounding", "same") if one in verdicts),
        tuple(label for label, agreement in differing.items() if agreement == "differs"),
        about,
        clusters_of(made.groups)[1],
    )


def _agreement(recorded: float | None, recomputed: float | None) -> Agreement:
    if recorded == recomputed:
        return "same"
    if recorded is None or recomputed is None or not abs(recorded - recomputed) <= ROUNDING:
        return "differs"
    return "rounding"


def clusters_of(groups: Names) -> tuple[NDArray[np.int64], Unit]:
    """The number of each image's cluster, [n]: its group, or itself where it has none; and what clusters are."""
    numbers, names = groups.encoded()
    found = numbers.astype(np.int64)
    if "" in names:
        single = found == names.index("")
        found[single] = len(names) + np.arange(single.sum())
    return found, "groups" if len(np.unique(found)) < len(found) else "images"


def _interval(name: str, made: Predictions) -> Interval | None:
    """Over clusters with an annotated image: others have no part in the metric."""
    counted = COUNTED.get(name)
    if counted is None:
        return None
    annotated = made.references != MISSING
    if annotated.ndim > 1:
        annotated = annotated.any(axis=1)
    clusters, _ = clusters_of(made.groups)
    counts = counted.counts(made.scores[annotated], made.references[annotated])
    return interval(counts, clusters[annotated], counted.value)
