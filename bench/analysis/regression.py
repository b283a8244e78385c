"""Reported numbers under regression: is what is measured now what was reported?

Two promises are kept apart. In the same surroundings (packages, processor, threads, device), where repeats agreed to
the bit, a number is the same to the bit, so that any fall is a regression: the tolerance is 0. Elsewhere floating
point rounds otherwise, and training carries that on until two runs of one seed differ about as two seeds do. There the
mean of n seeds may move by

    t(1 - alpha / (2 K), 2 (n - 1)) * s * sqrt(2 / n)

with s the standard deviation between seeds, K how many numbers are reported (Bonferroni), and alpha 5 %: a two-sample t
test. The tolerance in a report takes s from its own seeds; it is widened where the seeds of now spread more, s^2 then
being the mean of both variances, so that what is drawn alike is rejected anywhere in a suite in at most 5 % of checks,
however differently the methods of the suite spread. Runs of the same seeds differ less than the test takes them to.
Where all seeds have one score, as of a network that says the same of every image, there is nothing to judge by.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from scipy import stats

from bench.analysis.others import aspects
from bench.analysis.scores import CellScores, all_cell_scores
from bench.errors import NothingMeasured, UsageError
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record
from bench.specs.reported import Fingerprints, Reported, ReportedCell, ReportedNumber, Surroundings

ALPHA = 0.05
SAME = 1e-12
Status = Literal["same", "within_noise", "improved", "regressed", "incomparable", "missing"]
STATUSES: tuple[Status, ...] = ("regressed", "missing", "incomparable", "improved", "within_noise", "same")
Key = tuple[str, str, str, str, str]
"""Plan, data set, task, backbone, method."""


@dataclass(frozen=True)
class Finding:
    """One reported number against what is measured now. `place` of its cell among the reported ones.

    `change` is the mean of now minus then, so that more is better; `tolerance` is what it was judged by; `why` says
    what is missing or differs.
    """

    place: int
    key: Key
    metric: str
    status: Status
    then: float
    now: float | None
    change: float | None
    tolerance: float | None
    why: str = ""

    @property
    def title(self) -> str:
        return f"{'/'.join(self.key[1:])} {self.metric}"


@dataclass(frozen=True)
class Comparison:
    """All reported numbers of a suite.

    `exact`: judged by the promise of the same surroundings; `differing`: what is other than there; `failed`: how many
    runs failed; `unreported`: how many numbers the suite has beside the reported ones.
    """

    suite: str
    provenance: str
    standin: bool
    seeds: int
    exact: bool
    differing: tuple[str, ...]
    findings: tuple[Finding, ...]
    failed: int
    unreported: int

    def count(self, status: Status) -> int:
        return sum(finding.status == status for finding in self.findings)

    @property
    def compared(self) -> int:
        return len(self.findings) - self.count("missing") - self.count("incomparable")


def surroundings(environment: Mapping[str, Any], device: str) -> Surroundings:
    """As `bench.runs.environment` tells them; `device` is what was computed on."""
    return Surroundings(packages=environment["packages"], hardware=environment["hardware"], device=device)


def surroundings_of(record: Record) -> Surroundings:
    """Of a run that has ended well."""
    assert record.cost is not None
    return surroundings(record.environment, record.cost.device)


def differences(then: Sequence[Surroundings], now: Surroundings) -> tuple[str, ...]:
    """What differs between the surroundings of a report and those of now; nothing where one of them is the same."""
    if now in then:
        return ()
    (one, *more) = then
    if more:
        return ("the report was made on several machines",)
    told = {"device": (one.device, now.device)}
    for kind in ("packages", "hardware"):
        before, after = getattr(one, kind), getattr(now, kind)
        told |= {name: (before.get(name), after.get(name)) for name in sorted({*before, *after})}
    return tuple(f"{name}: {_text(a)}, now {_text(b)}" for name, (a, b) in told.items() if a != b)


def freeze(
    plans: Sequence[SuitePlan],
    records: Mapping[str, Record],
    repeats: Sequence[Mapping[str, Record]],
    *,
    only: Sequence[str] = (),
    on: date,
) -> Reported:
    """Reported numbers of complete plans. `repeats` are records of runs that were made again, by run id.

    Raises `NothingMeasured` where results are missing, `UsageError` where there are fewer than two seeds.
    """
    first = plans[0]
    if len(first.seeds) < 2:
        raise UsageError("one seed has no spread to judge by", hint="freeze at least two: `--seeds 3`")
    found = {one.name: all_cell_scores(one, records, every_metric=True) for one in plans}
    missing = [
        f"{name}: {scores.cell} {scores.metric} seed {seed}: {why}"
        for name, cells in found.items()
        for scores in cells.values()
        for seed, why in scores.absent.items()
    ]
    if missing:
        raise NothingMeasured(
            f"{len(missing)} results are missing, such as {missing[0]}",
            hint=f"`bench run --suite {first.suite.name}` makes them; a report is whole or not at all",
        )
    runs = {run.spec.id for one in plans for run in one.runs}
    made = [surroundings_of(records[run_id]) for run_id in sorted(runs)]
    different = [one for i, one in enumerate(made) if one not in made[:i]]
    again = {one.name: _repeated(one, repeats) for one in plans}
    numbers = [(name, scores) for name, cells in found.items() for scores in cells.values()]
    cells: dict[Key, dict[str, ReportedNumber]] = {}
    for name, scores in numbers:
        values = tuple(scores.values[seed] for seed in first.seeds)
        off = [abs(other - scores.values[seed]) for seed, other in again[name].get((scores.cell, scores.metric), [])]
        cells.setdefault((name, *_key(scores.cell)), {})[scores.metric] = ReportedNumber(
            scores=values,
            mean=statistics.fmean(values),
            deviation=statistics.stdev(values),
            repeat=max(off, default=None),
            tolerance=tolerance(statistics.variance(values), len(values), len(numbers)),
            higher_is_better=scores.higher_is_better,
        )
    by_name = {one.name: one for one in plans}
    whole = bool(repeats) and all(n.repeat == 0 for numbers in cells.values() for n in numbers.values())
    git = records[min(runs)].environment.get("git") or {}
    return Reported(
        name=first.suite.name,
        title=f"Reported numbers of {first.suite.name}",
        description="Written by `bench report freeze`, read by `bench check`.",
        suite=first.suite.name,
        budget=first.suite.budget.name,
        provenance=first.provenance,
        seeds=first.seeds,
        only=tuple(only),
        limit=first.limit,
        frozen=on.isoformat(),
        commit=git.get("commit"),
        exact=whole and len(different) == 1,
        surroundings=tuple(different),
        cells=tuple(
            ReportedCell(
                plan=key[0], dataset=key[1], task=key[2], backbone=key[3], method=key[4],
                fingerprints=fingerprints(by_name[key[0]], Cell(*key[1:])), numbers=dict(sorted(numbers.items())),
            )
            for key, numbers in sorted(cells.items())
        ),
    )  # fmt: skip


def fingerprints(plan: SuitePlan, cell: Cell) -> Fingerprints:
    """Of a cell's runs, but for their seeds."""
    run = next(iter(plan.runs_of(cell).values()))
    return Fingerprints(**aspects(run.spec))


def tolerance(variance: float, seeds: int, numbers: int) -> float:
    """How far the mean of some seeds may move, as one of so many reported numbers. See above."""
    quantile = float(stats.t.ppf(1 - ALPHA / (2 * numbers), 2 * (seeds - 1)))
    return quantile * math.sqrt(variance * 2 / seeds)


def altered_tolerances(reported: Reported) -> dict[tuple[int, str], float]:
    """Tolerances that do not follow from the scores of a report: what follows, by place of the cell and metric."""
    count = reported.count
    return {
        (place, metric): follows
        for place, cell in enumerate(reported.cells)
        for metric, number in cell.numbers.items()
        for follows in [tolerance(statistics.variance(number.scores), len(number.scores), count)]
        if not math.isclose(number.tolerance, follows, rel_tol=1e-6, abs_tol=1e-12)
    }


def changed(before: Reported, after: Reported) -> list[str]:
    """What is not the same in two reports of a suite, in words."""
    numbers = [
        {(*cell.key, metric): number.scores for cell in one.cells for metric, number in cell.numbers.items()}
        for one in (before, after)
    ]
    keys = dict.fromkeys(key for one in numbers for key in one)
    moved = ["/".join(key[1:]) for key in keys if numbers[0].get(key) != numbers[1].get(key)]
    prints = [{cell.key: cell.fingerprints for cell in one.cells} for one in (before, after)]
    moved += [f"fingerprints of {'/'.join(key[1:])}" for key in prints[0] if prints[0][key] != prints[1].get(key)]
    about = ("seeds", "budget", "only", "limit", "exact", "surroundings")
    return moved + [name for name in about if getattr(before, name) != getattr(after, name)]


def incomparable(reported: Reported, plans: Iterable[SuitePlan]) -> dict[int, tuple[Status, str]]:
    """Reported cells, by place, that are planned no more, or whose runs are other ones by now: which part differs."""
    by_name = {one.name: one for one in plans}
    found: dict[int, tuple[Status, str]] = {}
    for place, cell in enumerate(reported.cells):
        one = by_name.get(cell.plan)
        planned = one is not None and Cell(*cell.key[1:]) in one.cells
        if one is None or not planned:
            found[place] = ("missing", "the suite does not have this cell any more")
            continue
        now = fingerprints(one, Cell(*cell.key[1:]))
        parts = [name for name in Fingerprints.model_fields if getattr(now, name) != getattr(cell.fingerprints, name)]
        if parts:
            found[place] = ("incomparable", f"other {' and '.join(parts)}")
    return found


def compare(
    reported: Reported, plans: Sequence[SuitePlan], records: Mapping[str, Record], now: Surroundings | None
) -> Comparison:
    """Judge every reported number. `records` by run id; `now`: where they were made, None if not told."""
    apart = incomparable(reported, plans)
    measured = {one.name: all_cell_scores(one, records, every_metric=True) for one in plans}
    exact = reported.exact and now in reported.surroundings
    findings = []
    for place, cell in enumerate(reported.cells):
        for metric, number in cell.numbers.items():
            told = (place, cell.key, metric)
            if place in apart:
                status, why = apart[place]
                findings.append(Finding(*told, status, number.mean, None, None, None, why))
                continue
            scores = measured[cell.plan].get((Cell(*cell.key[1:]), metric))
            findings.append(_finding(told, number, scores, reported, exact=exact))
    known = {(*cell.key, metric) for cell in reported.cells for metric in cell.numbers}
    every = {(name, *_key(cell), metric) for name, cells in measured.items() for cell, metric in cells}
    failed = sum(record.status == "failed" for one in plans for run in one.runs if (record := records.get(run.spec.id)))
    return Comparison(
        reported.suite,
        reported.provenance,
        any(one.standin for one in plans),
        len(reported.seeds),
        exact,
        differences(reported.surroundings, now) if now is not None else (),
        tuple(findings),
        failed,
        len(every - known),
    )


def _finding(
    told: tuple[int, Key, str],
    number: ReportedNumber,
    scores: CellScores | None,
    reported: Reported,
    *,
    exact: bool,
) -> Finding:
    seeds = reported.seeds
    absent = dict.fromkeys(seeds, "not measured any more") if scores is None else scores.absent
    if scores is None or not scores.complete:
        why = ", ".join(sorted(set(absent.values())))
        return Finding(*told, "missing", number.mean, None, None, None, f"{len(absent)} of {len(seeds)} seeds: {why}")
    values = [scores.values[seed] for seed in seeds]
    sign = 1.0 if number.higher_is_better else -1.0
    now = statistics.fmean(values)
    change = sign * (now - number.mean)
    variance = (statistics.variance(number.scores) + statistics.variance(values)) / 2
    limit = 0.0 if exact else max(number.tolerance, tolerance(variance, len(seeds), reported.count))
    if all(abs(a - b) <= SAME for a, b in zip(values, number.scores, strict=True)):
        status: Status = "same"
    elif exact:
        status = "regressed" if change <= 0 else "improved"
    elif limit == 0:
        why = "elsewhere, and the seeds do not spread, neither then nor now: nothing tells what chance does"
        return Finding(*told, "incomparable", number.mean, now, change, None, why)
    elif abs(change) <= limit:
        status = "within_noise"
    else:
        status = "regressed" if change < 0 else "improved"
    return Finding(*told, status, number.mean, now, change, limit)


def _repeated(
    plan: SuitePlan, repeats: Sequence[Mapping[str, Record]]
) -> dict[tuple[Cell, str], list[tuple[int, float]]]:
    """Scores of runs that were made again: (seed, score) by cell and metric."""
    found: dict[tuple[Cell, str], list[tuple[int, float]]] = {}
    for records in repeats:
        for (cell, metric), scores in all_cell_scores(plan, records, every_metric=True).items():
            found.setdefault((cell, metric), []).extend(scores.values.items())
    return found


def _key(cell: Cell) -> tuple[str, str, str, str]:
    return (cell.dataset, cell.task, cell.backbone, cell.method)


def _text(value: Any) -> str:
    return "none" if value in (None, [], "") else str(value)
