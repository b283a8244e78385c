"""What the pages are made of: everything that analysis says of the records of some plans."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote

from bench.analysis.controls import ControlReport, controls
from bench.analysis.curves import Curve, curves
from bench.analysis.others import Others, others_of
from bench.analysis.ranking import Ranking, ranking
from bench.analysis.rescoring import SuiteRescored, borne_out, evidence, rescore
from bench.analysis.standings import Row, Standings, standings
from bench.analysis.transfer import Transfer, transfer
from bench.reports.table import warning_of
from bench.runs.archive import Archive
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record
from bench.specs.published import Published
from bench.training.evaluation import Predictions

MOST_PREDICTED = 400
"""So many predictions of a suite are scored again, and so many cells show theirs: opening them takes most time."""


@dataclass(frozen=True)
class SuiteContent:
    """One plan: a suite, or a point of its axes."""

    plan: SuitePlan
    records: Mapping[str, Record]
    board: Standings
    report: Transfer
    ranks: Ranking
    controls: ControlReport | None
    rescored: SuiteRescored
    repeated: frozenset[str]

    @property
    def place(self) -> str:
        """The folder of its pages, as links name it."""
        return quote(f"{self.plan.suite.name}/{self.plan.point.label}".rstrip("/"), safe="/=")

    @property
    def warning(self) -> str:
        return warning_of(self.plan.provenance, self.plan.standin)

    @cached_property
    def planned(self) -> int:
        return sum(run.method not in self.plan.controls for run in self.plan.runs)

    @cached_property
    def done(self) -> int:
        return self._with_status("done")

    @cached_property
    def failed(self) -> int:
        return self._with_status("failed")

    @property
    def counts(self) -> dict[str, int]:
        """Cells by verdict; a cell without any result is not counted."""
        words = ("harm", "benefit", "equivalent", "inconclusive")
        judged: list[str] = [v.outcome for v in self.report.verdicts if v.seeds and v.primary]
        return {word: judged.count(word) for word in words}

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Rows of the leaderboard of which a run is recorded."""
        return tuple(row for row in self.board.rows if (row.backbone, row.method) in self._recorded)

    @cached_property
    def unmeasured(self) -> dict[str, tuple[str, ...]]:
        """By backbone, the methods that have no record at all."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self.board.rows:
            if (row.backbone, row.method) not in self._recorded:
                found[row.backbone] = (*found.get(row.backbone, ()), row.method)
        return found

    @cached_property
    def told(self) -> Transfer:
        """The verdicts without those of methods that have no record at all."""
        return replace(
            self.report,
            verdicts=tuple(v for v in self.report.verdicts if (v.cell.backbone, v.cell.method) in self._recorded),
            methods=tuple(m for m in self.report.methods if (m.backbone, m.method) in self._recorded),
        )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Cells that have a page, in the order of the leaderboard."""
        return tuple(entry.cell for row in self.rows for entry in row.entries)

    @cached_property
    def _recorded(self) -> frozenset[tuple[str, str]]:
        return frozenset((run.backbone, run.method) for run in self.plan.runs if run.spec.id in self.records)

    def _with_status(self, status: str) -> int:
        found = (self.records.get(run.spec.id) for run in self.plan.runs if run.method not in self.plan.controls)
        return sum(record is not None and record.status == status for record in found)


@dataclass(frozen=True)
class Content:
    """A whole site. `left_out` says, in sentences, what is recorded and not shown."""

    suites: tuple[SuiteContent, ...]
    curves: tuple[Curve, ...]
    left_out: tuple[str, ...]
    published: tuple[Published, ...]

    @property
    def by_suite(self) -> dict[str, tuple[SuiteContent, ...]]:
        """The plans of each suite; several where it has axes."""
        found: dict[str, tuple[SuiteContent, ...]] = {}
        for one in self.suites:
            found[one.plan.suite.name] = (*found.get(one.plan.suite.name, ()), one)
        return found


def gather(
    plans: Sequence[SuitePlan],
    archive: Archive,
    read: Callable[[Record, str, str], Predictions | None],
    *,
    left_out: Sequence[str] = (),
    published: Sequence[Published] = (),
    repeated: Collection[str] = (),
) -> Content:
    """Judge and rank all plans that have a record, and score `MOST_PREDICTED` predictions of each again.

    `read(record, data set, task)` gives recorded predictions; see `bench.runs.predictions`. `repeated` are ids of runs
    that gave the same when they were carried out again; see `bench.runs.repeated`.
    """
    suites = []
    for one in plans:
        records = {run.spec.id: archive.records[run.spec.id] for run in one.runs if run.spec.id in archive.records}
        if any(record.status == "done" for record in records.values()):
            suites.append(_suite(one, records, others_of(one, archive), read, repeated))
    lines = [
        line
        for name in dict.fromkeys(one.plan.suite.name for one in suites)
        for line in _curves([one for one in suites if one.plan.suite.name == name], plans)
    ]
    unreadable = [f"record {folder}: {error.message}" for folder, error in archive.unreadable.items()]
    return Content(tuple(suites), tuple(lines), (*left_out, *unreadable), tuple(published))


def _suite(
    one: SuitePlan,
    records: Mapping[str, Record],
    others: Others,
    read: Callable[[Record, str, str], Predictions | None],
    repeated: Collection[str],
) -> SuiteContent:
    again = rescore(one, records, read, runs=_first_to_score(one, records), intervals="primary")
    kept, apart = borne_out(again, records, others)
    again_done = frozenset(repeated) & kept.keys()
    measured = any(run.method in one.controls for run in one.runs if run.spec.id in kept)
    report = transfer(one, kept)
    return SuiteContent(
        plan=one,
        records=kept,
        board=standings(one, kept, others=apart, evidence=evidence(again.vouched, again_done), judged=report),
        report=report,
        ranks=ranking(one, kept),
        controls=controls(one, kept) if measured else None,
        rescored=again,
        repeated=again_done,
    )


def _first_to_score(one: SuitePlan, records: Mapping[str, Record]) -> set[str]:
    """Runs that make up the first `MOST_PREDICTED` predictions: seed by seed, so that every cell comes to its turn."""
    found: set[str] = set()
    predictions = 0
    for run in sorted(one.runs, key=lambda run: run.seed):
        record = records.get(run.spec.id)
        if record is not None and record.status == "done":
            predictions += sum(len(tasks) for tasks in record.scores.values())
            if predictions > MOST_PREDICTED:
                break
            found.add(run.spec.id)
    return found


def _curves(measured: Sequence[SuiteContent], plans: Sequence[SuitePlan]) -> list[Curve]:
    """A curve an axis; points without a record are gaps."""
    suite = measured[0].plan.suite
    if suite.spec.axes is None:
        return []
    records = {one.plan.name: one.records for one in measured}
    points = [(one, records.get(one.name, {})) for one in plans if one.suite.name == suite.name]
    return [curves(points, axis) for axis in suite.spec.axes.names]
