"""Views of standings: one table, or a table a data set or backbone, or averages over data sets or backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import groupby
from statistics import fmean
from typing import Any

from bench.analysis.best import among_best
from bench.analysis.standings import Cost, Entry, Evidence, Row, Standings
from bench.analysis.statistics import t_interval
from bench.analysis.transfer import Outcome
from bench.errors import UnknownName, UsageError


class By(StrEnum):
    dataset = "dataset"
    task = "task"
    method = "method"
    backbone = "backbone"


@dataclass(frozen=True)
class Column:
    """What a column is about; no data set where it averages over all of them."""

    dataset: str | None
    task: str
    metric: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.dataset or "all data sets", self.task, self.metric)


@dataclass(frozen=True)
class Value:
    """A cell, or the average of several, seed by seed: its mean over seeds and the 95 % interval of that.

    An average is None where any cell or seed of it is missing. `outcomes` are the verdicts of all its cells. `best`:
    the best of its column, or not distinguishable from it. `values` by seed.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    expected: int
    absent: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    best: bool
    values: dict[int, float]
    higher_is_better: bool


@dataclass(frozen=True)
class Line:
    """A row of a view; no backbone where it averages over all of them. `rank` counts within the view."""

    backbone: str | None
    method: str
    rank: int | None
    average: float | None
    delta_m: float | None
    values: tuple[Value, ...]
    cost: Cost | None
    evidence: Evidence | None
    pinned: bool = False


@dataclass(frozen=True)
class View:
    """One table of a leaderboard. `heading` says what of the whole it is about, if not all."""

    heading: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    def positions(self, names: Sequence[str]) -> Mapping[str, int]:
        """Places of columns by each name that they go by: "disfa action_units mean_f1", "disfa/action_units"."""
        found: dict[str, int] = {}
        for i, column in enumerate(self.columns):
            found |= {" ".join(column.names): i, "/".join(column.names[:2]): i}
        return {name: place for name, place in found.items() if name not in names}


def views(board: Standings, by: By | None = None) -> tuple[View, ...]:
    """Tables of a leaderboard.

    None: one, a row a method and backbone, a column a task of a data set. `dataset` and `backbone`: such a table for
    each, ranked by what it holds. `task`: a column a task, averaged over the data sets that annotate it. `method`: a
    row a method, averaged over the backbones; only where all of them are complete.
    """
    columns = tuple(Column(*column) for column in board.columns)
    lines = tuple(_line(row, board.columns) for row in board.rows)
    match by:
        case None:
            made = [View("", columns, lines)]
        case By.dataset:
            datasets = dict.fromkeys(dataset for dataset, _, _ in board.columns)
            made = [_of_dataset(name, columns, lines) for name in datasets]
        case By.backbone:
            names = dict.fromkeys(row.backbone for row in board.rows)
            made = [View(name, columns, _ranked([line for line in lines if line.backbone == name])) for name in names]
        case By.task:
            made = [_over_datasets(columns, lines)]
        case By.method:
            made = [View("", columns, _over_backbones(lines))]
    return tuple(_marked(view) for view in made)


def filtered(found: Sequence[View], patterns: Mapping[str, Sequence[str]]) -> tuple[View, ...]:
    """Only rows and columns that match a glob of each key (`method`, `backbone`, `dataset`, `task`).

    Ranks, averages, verdicts and marks stay those of the whole. Raises `UsageError` where nothing is left, or where a
    key says nothing of these tables.
    """
    for key, globs in patterns.items():
        about = [part for view in found for part in (*view.lines, *view.columns)]
        known = {name for part in about if (name := getattr(part, key, None))}
        if not known:
            raise UsageError(f"these tables average over every {key}, so there is nothing to choose by {key}")
        unmatched = next((glob for glob in globs if not any(fnmatchcase(name, glob) for name in known)), None)
        if unmatched is not None:
            raise UnknownName(key, unmatched, known)

    def chosen(about: Line | Column) -> bool:
        return all(
            any(fnmatchcase(getattr(about, key), glob) for glob in globs)
            for key, globs in patterns.items()
            if hasattr(about, key)
        )

    left = []
    for view in found:
        kept = [i for i, column in enumerate(view.columns) if chosen(column)]
        lines = tuple(replace(line, values=tuple(line.values[i] for i in kept)) for line in view.lines if chosen(line))
        if kept and lines:
            left.append(View(view.heading, tuple(view.columns[i] for i in kept), lines))
    if not left:
        raise UsageError("no row or column matches all filters", hint="leave out one of them")
    return tuple(left)


def ordered(view: View, column: str) -> View:
    """Rows by a column: what is best or smallest first, with a `-` before the name last; what is missing at the end.

    Raises `UnknownName`.
    """
    name = column.removeprefix("-")
    key = _key(view, name)
    there = [line for line in view.lines if key(line) is not None]
    missing = [line for line in view.lines if key(line) is None]
    return replace(view, lines=(*sorted(there, key=key, reverse=column != name), *missing))


def pinned(view: View, method: str) -> View:
    """The rows of a method first. Raises `UnknownName`."""
    methods = dict.fromkeys(line.method for line in view.lines)
    if method not in methods:
        raise UnknownName("method", method, methods)
    first = (replace(line, pinned=True) for line in view.lines if line.method == method)
    return replace(view, lines=(*first, *(line for line in view.lines if line.method != method)))


KEYS: dict[str, Callable[[Line], Any]] = {
    "rank": lambda line: line.rank,
    "backbone": lambda line: line.backbone,
    "method": lambda line: line.method,
    "average": lambda line: None if line.average is None else -line.average,
    "Δm %": lambda line: None if line.delta_m is None else -line.delta_m,
    "steps": lambda line: line.cost and line.cost.steps,
    "images": lambda line: line.cost and line.cost.images,
    "min": lambda line: line.cost and line.cost.minutes,
}
"""What rows are ordered by under the columns that every table has, smallest first."""


def _key(view: View, name: str) -> Callable[[Line], Any]:
    if name in KEYS:
        return KEYS[name]
    places = view.positions(tuple(KEYS))
    if name not in places:
        raise UnknownName("column", name, [*KEYS, *places])
    place = places[name]

    def score(line: Line) -> float | None:
        value = line.values[place]
        return None if value.mean is None else -value.mean if value.higher_is_better else value.mean

    return score


def _line(row: Row, columns: Sequence[tuple[str, str, str]]) -> Line:
    delta = row.transfer.delta_m if row.transfer else None
    found = {(entry.cell.dataset, entry.cell.task, entry.metric): _value(entry) for entry in row.entries}
    values = tuple(found.get(column, _NOT_PLANNED) for column in columns)
    return Line(row.backbone, row.method, row.rank, row.average, delta, values, row.cost, row.evidence)


def _value(entry: Entry) -> Value:
    outcomes = (entry.outcome,) if entry.outcome else ()
    return Value(
        entry.mean, entry.low, entry.high, entry.n, entry.expected, entry.absent, outcomes, False, entry.values,
        entry.higher_is_better,
    )  # fmt: skip


_NOT_PLANNED = Value(None, None, None, 0, 0, ("not planned",), (), False, {}, True)


def _of_dataset(name: str, columns: Sequence[Column], lines: Sequence[Line]) -> View:
    kept = [i for i, column in enumerate(columns) if column.dataset == name]
    made = []
    for line in lines:
        values = tuple(line.values[i] for i in kept)
        made.append(replace(line, values=values, average=_average(values), delta_m=None, cost=None))
    return View(name, tuple(columns[i] for i in kept), _ranked(made))


def _over_datasets(columns: Sequence[Column], lines: Sequence[Line]) -> View:
    places: dict[tuple[str, str], list[int]] = {}
    for i, column in enumerate(columns):
        places.setdefault((column.task, column.metric), []).append(i)
    averaged = [tuple(_mean([line.values[i] for i in some]) for some in places.values()) for line in lines]
    made = tuple(replace(line, values=values) for line, values in zip(lines, averaged, strict=True))
    return View("", tuple(Column(None, *about) for about in places), made)


def _over_backbones(lines: Sequence[Line]) -> tuple[Line, ...]:
    by_method = {name: list(some) for name, some in groupby(sorted(lines, key=_method), key=_method)}
    made = []
    for method in dict.fromkeys(line.method for line in lines):
        some = by_method[method]
        vouched = [line.evidence for line in some if line.evidence is not None]
        made.append(
            Line(
                backbone=None,
                method=method,
                rank=None,
                average=_mean_of([line.average for line in some]),
                delta_m=_mean_of([line.delta_m for line in some]),
                values=tuple(_mean(column) for column in zip(*(line.values for line in some), strict=True)),
                cost=_mean_cost([line.cost for line in some]),
                evidence=min(vouched, key=list(Evidence).index, default=None),
            )
        )
    return _ranked(made)


def _method(line: Line) -> str:
    return line.method


def _mean(values: Sequence[Value]) -> Value:
    """The average of cells, seed by seed; nothing where one is incomplete."""
    outcomes = tuple(outcome for value in values for outcome in value.outcomes)
    absent = tuple(sorted({why for value in values for why in value.absent}))
    n, expected = min(value.n for value in values), max(value.expected for value in values)
    if absent or len({value.higher_is_better for value in values}) > 1:
        return Value(None, None, None, n, expected, absent, outcomes, False, {}, values[0].higher_is_better)
    by_seed = {seed: fmean(value.values[seed] for value in values) for seed in values[0].values}
    low, high = t_interval(list(by_seed.values()))
    known = low == low  # NaN with one seed
    mean = fmean(by_seed.values()) if by_seed else None
    return Value(
        mean, low if known else None, high if known else None, n, expected, (), outcomes, False, by_seed,
        values[0].higher_is_better,
    )  # fmt: skip


def _average(values: Sequence[Value]) -> float | None:
    return None if any(value.absent for value in values) else _mean_of([value.mean for value in values])


def _mean_of(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return fmean(known) if known and len(known) == len(numbers) else None


def _mean_cost(costs: Sequence[Cost | None]) -> Cost | None:
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    steps, images, minutes = (fmean(getattr(cost, name) for cost in known) for name in ("steps", "images", "minutes"))
    return Cost(known[0].runs, steps, images, minutes)


def _ranked(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Complete rows by average, best first and equals alike, then the incomplete ones in their order."""
    averages = [line.average for line in lines if line.average is not None]
    told = [
        replace(line, rank=None if line.average is None else 1 + sum(other > line.average for other in averages))
        for line in lines
    ]
    return tuple(sorted(told, key=lambda line: (line.rank is None, line.rank or 0)))


def _marked(view: View) -> View:
    """Best values of each column marked; values of which seeds are missing take no part."""
    marks = []
    for i in range(len(view.columns)):
        column = [line.values[i] for line in view.lines]
        complete = [{} if value.absent else value.values for value in column]
        marks.append(among_best(complete, higher_is_better=all(value.higher_is_better for value in column)))
    return replace(
        view,
        lines=tuple(
            replace(line, values=tuple(replace(v, best=marks[i][row]) for i, v in enumerate(line.values)))
            for row, line in enumerate(view.lines)
        ),
    )
