"""Curves along an axis of a suite: what learning together gains, and what each task scores, as labels get scarcer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.standings import Entry, Row, Standings, standings
from bench.runs.plan import SuitePlan
from bench.runs.records import Record
from bench.specs.suite import Axes

NOT_PLANNED = "left out"
Along = Sequence[tuple[float, Standings | None]]
"""Ascending values of an axis, each with what is measured there; None where nothing of it is planned."""


@dataclass(frozen=True)
class Measured:
    """A number at one value of the axis: mean over seeds and its 95 % interval over seeds.

    `mean` is None where the result of any seed (or, of Δm, of any cell or its twin) is missing; `absent` says why.
    """

    value: float
    mean: float | None
    low: float | None
    high: float | None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class GainLine:
    """Δm of a method with a backbone against the twins of the same point, in percent; positive = better."""

    backbone: str
    method: str
    points: tuple[Measured, ...]


@dataclass(frozen=True)
class ScoreLine:
    """The primary metric of a task of a data set with a method and backbone, the twin's among them."""

    backbone: str
    method: str
    dataset: str
    task: str
    metric: str
    points: tuple[Measured, ...]


@dataclass(frozen=True)
class Curve:
    """All lines along one axis of a suite; every line has a point at each of `values`, which ascend.

    `held` tells at which values the other axes stay.
    """

    suite: str
    title: str
    axis: str
    values: tuple[float, ...]
    held: dict[str, float]
    methods: tuple[str, ...]
    provenance: str
    standin: bool
    budget: str
    seeds: int
    gains: tuple[GainLine, ...]
    scores: tuple[ScoreLine, ...]

    @property
    def complete(self) -> bool:
        """Whether no number is missing."""
        points = [line.points for line in self.gains] + [line.points for line in self.scores]
        return all(point.mean is not None for inner in points for point in inner)


def curves(plans: Sequence[tuple[SuitePlan, Mapping[str, Record]]], axis: str) -> Curve:
    """The lines of one suite along one of its axes; `plans` are its points, each with its records by run id.

    Points of other axes are not looked at. Nothing is averaged around what is missing.
    """
    first = plans[0][0]
    suite = first.suite
    axes = suite.spec.axes
    if axes is None:
        raise ValueError(f"suite '{suite.name}' has no axes")
    by_point = {one.point.label: standings(one, records) for one, records in plans}
    along = [(value, by_point.get(point.label)) for value, point in sorted(axes.along(axis), key=lambda pair: pair[0])]
    order = {name: place for place, name in enumerate(method.name for method in suite.methods)}
    return Curve(
        suite=suite.name,
        title=suite.spec.title,
        axis=axis,
        values=tuple(value for value, _ in along),
        held=_held(axes, axis),
        methods=tuple(order),
        provenance=first.provenance,
        standin=first.standin,
        budget=suite.budget.name,
        seeds=len(first.seeds),
        gains=tuple(sorted(_gains(along), key=lambda line: (line.backbone, order[line.method]))),
        scores=tuple(
            sorted(_scores(along), key=lambda line: (line.backbone, line.dataset, line.task, order[line.method]))
        ),
    )


def _held(axes: Axes, axis: str) -> dict[str, float]:
    return {other: axes.values(other)[0] for other in axes.names if other != axis}


def _gains(along: Along) -> list[GainLine]:
    found: dict[tuple[str, str], dict[float, Measured]] = {}
    for value, board in along:
        for row in board.rows if board is not None else ():
            if row.transfer is not None:
                found.setdefault((row.backbone, row.method), {})[value] = _gain(value, row)
    return [GainLine(*key, _filled(points, along)) for key, points in found.items()]


def _scores(along: Along) -> list[ScoreLine]:
    found: dict[tuple[str, str, str, str, str], dict[float, Measured]] = {}
    for value, board in along:
        for row in board.rows if board is not None else ():
            for entry in row.entries:
                key = (row.backbone, row.method, entry.cell.dataset, entry.cell.task, entry.metric)
                found.setdefault(key, {})[value] = _score(value, entry)
    return [ScoreLine(*key, _filled(points, along)) for key, points in found.items()]


def _filled(points: Mapping[float, Measured], along: Along) -> tuple[Measured, ...]:
    """A point at every value; where a line was not planned it says so."""
    return tuple(points.get(value, Measured(value, None, None, None, (NOT_PLANNED,))) for value, _ in along)


def _gain(value: float, row: Row) -> Measured:
    judged = row.transfer
    assert judged is not None
    if judged.delta_m is None:
        return Measured(value, None, None, None, judged.absent or ("a twin scores 0",))
    return Measured(value, judged.delta_m, judged.low, judged.high)


def _score(value: float, entry: Entry) -> Measured:
    if entry.absent:
        return Measured(value, None, None, None, entry.absent)
    return Measured(value, entry.mean, entry.low, entry.high)
