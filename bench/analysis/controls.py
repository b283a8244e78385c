"""Negative controls: does the gain of coupling vanish where it must?

The gain of a coupled method is its mean relative change against the same method without coupling (the reference), so
what is asked is not whether coupling helps over single tasks, but whether what it adds comes from the relatedness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from bench.analysis.scores import CellScores, cell_scores
from bench.analysis.statistics import holm, paired_t, t_interval
from bench.analysis.transfer import ALPHA, paired_differences, relative_change
from bench.runs.controls import Control, Kind, reference_of
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record

Finding = Literal["none shown", "vanishes", "shrinks", "remains", "inconclusive"]


@dataclass(frozen=True)
class Change:
    """Differences of one kind, one for each seed, in percent of the reference.

    Mean, standard deviation, 95 % interval, and p of no change. With a result missing there are none: n is 0, p is 1.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float
    p: float

    @property
    def is_gain(self) -> bool:
        return self.p < ALPHA and self.mean > 0

    @property
    def is_flat(self) -> bool:
        """Whether seeds differ by one and the same amount, so that there is no spread to test against."""
        return self.deviation == 0 and self.mean != 0


@dataclass(frozen=True)
class ControlVerdict:
    """A coupled method against one of its controls, over all cells of a backbone on primary metrics.

    `gain` and `control_gain` are the changes of the method and of the control against the reference, `lost` is their
    difference: what goes with the relatedness. p of `gain` is Holm-adjusted over the coupled methods, p of `lost` over
    all controls; p of `control_gain` is not adjusted, which errs against the method. `furthest`, of a zero control: the
    largest difference of any score to the reference, which must be 0; None of other controls and where one is missing.
    """

    backbone: str
    method: str
    control: str
    kind: Kind
    reference: str
    gain: Change
    control_gain: Change
    lost: Change
    finding: Finding
    furthest: float | None
    note: str = ""


@dataclass(frozen=True)
class ControlCell:
    """One cell of a coupled method beside its control and its reference: means over the `seeds` that all three have.

    `difference` is method minus control, in the metric's unit and so that more is better, with its 95 % interval.
    """

    cell: Cell
    control: str
    metric: str
    seeds: tuple[int, ...]
    reference_score: float
    method_score: float
    control_score: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class ControlReport:
    """The controls that a plan is about.

    `family` is the number of those in the whole suite, which tests are adjusted over, whatever `--only` shows;
    `unjudged` says what was not judged.
    """

    suite: str
    provenance: str
    standin: bool
    family: int
    verdicts: tuple[ControlVerdict, ...]
    cells: tuple[ControlCell, ...]
    unjudged: tuple[str, ...]


@dataclass(frozen=True)
class _Trial:
    """One control with a backbone; `cells` are (method, control, reference)."""

    backbone: str
    control: Control
    reference: str
    cells: tuple[tuple[CellScores, CellScores, CellScores], ...]


def controls(plan: SuitePlan, records: Mapping[str, Record]) -> ControlReport:
    """Judge every negative control of a plan. `records` by run id."""
    trials: list[_Trial] = []
    unjudged: dict[str, None] = {}
    for backbone in plan.suite.backbones:
        for control in plan.controls.values():
            found = _trial(plan, records, backbone.name, control)
            if isinstance(found, str):
                unjudged[found] = None
            else:
                trials.append(found)
    told = set(plan.control_cells)
    judged = zip(trials, _judge(plan.whole, records, trials), strict=True)
    verdicts = tuple(verdict for trial, verdict in judged if any(other.cell in told for _, other, _ in trial.cells))
    cells = tuple(_cell(*scores) for trial in trials for scores in trial.cells if scores[1].cell in told)
    return ControlReport(plan.name, plan.provenance, plan.standin, len(trials), verdicts, cells, tuple(unjudged))


def finding_of(gain: Change, control_gain: Change, lost: Change) -> tuple[Finding, str]:
    """What a control says, and why it says nothing.

    `none shown`: the method has no significant gain, so nothing could vanish. `vanishes`: the method gains, and more
    than the control, which does not gain. `shrinks`: so it does, but the control gains too, so part of the gain has
    another cause. `remains`: the control gains, and the method not significantly more. `inconclusive`: results are
    missing or cannot be tested, or the method gains and the control is neither shown to gain nor to gain less.
    """
    if lost.n < 2:
        return "inconclusive", "fewer than two seeds"
    if gain.is_flat:
        return "inconclusive", "the same gain at every seed: no spread to test against"
    if not gain.is_gain:
        return "none shown", ""
    if lost.is_gain:
        return ("shrinks" if control_gain.is_gain else "vanishes"), ""
    return ("remains" if control_gain.is_gain else "inconclusive"), ""


def _trial(plan: SuitePlan, records: Mapping[str, Record], backbone: str, control: Control) -> _Trial | str:
    """What a control is judged by, or why it cannot be."""
    reference = reference_of(control.method, plan.suite.methods)
    if reference is None:
        return f"{control.of}: the suite has no method that is the same without coupling, to compare with"
    whole = plan.whole
    cells = [cell for cell in whole.control_cells if (cell.backbone, cell.method) == (backbone, control.name)]
    names = (control.of, control.name, reference.name)
    wanted = [[replace(cell, method=name) for name in names] for cell in cells]
    return _Trial(
        backbone,
        control,
        reference.name,
        tuple(_scores(whole, records, method, other, plain) for method, other, plain in wanted),
    )


def _scores(
    plan: SuitePlan, records: Mapping[str, Record], method: Cell, control: Cell, reference: Cell
) -> tuple[CellScores, CellScores, CellScores]:
    metric = plan.suite.tasks[method.task].primary
    first, second, third = (
        cell_scores(plan, records, cell, metric, primary=True) for cell in (method, control, reference)
    )
    return first, second, third


def _judge(plan: SuitePlan, records: Mapping[str, Record], trials: Sequence[_Trial]) -> list[ControlVerdict]:
    gains = [_by_seed(plan, [(method, plain) for method, _, plain in trial.cells]) for trial in trials]
    others = [_by_seed(plan, [(control, plain) for _, control, plain in trial.cells]) for trial in trials]
    lost = [_between(gain, other) for gain, other in zip(gains, others, strict=True)]
    by_method = {(trial.backbone, trial.control.of): gain for trial, gain in zip(trials, gains, strict=True)}
    gain_p = dict(zip(by_method, _adjusted(list(by_method.values())), strict=True))
    lost_p = _adjusted(lost)
    verdicts = []
    for i, trial in enumerate(trials):
        control = trial.control
        gain = _change(gains[i], gain_p[trial.backbone, control.of])
        other, gone = _change(others[i], paired_t(others[i]).p), _change(lost[i], lost_p[i])
        finding, why = finding_of(gain, other, gone)
        verdicts.append(
            ControlVerdict(
                backbone=trial.backbone,
                method=control.of,
                control=control.name,
                kind=control.kind,
                reference=trial.reference,
                gain=gain,
                control_gain=other,
                lost=gone,
                finding=finding,
                furthest=_furthest(plan, records, trial) if control.kind == "zero" else None,
                note=_missing(trial) or why,
            )
        )
    return verdicts


def _by_seed(plan: SuitePlan, pairs: list[tuple[CellScores, CellScores]]) -> list[float]:
    """The mean relative change of each seed in percent; none at all where one is missing or not defined."""
    if not all(one.complete and plain.complete for one, plain in pairs):
        return []
    changes = [relative_change(pairs, seed) for seed in plan.seeds]
    defined = [change for change in changes if change is not None]
    return defined if len(defined) == len(changes) else []


def _between(gains: list[float], others: list[float]) -> list[float]:
    return [gain - other for gain, other in zip(gains, others, strict=True)] if gains and others else []


def _adjusted(families: list[list[float]]) -> list[float]:
    return holm([paired_t(values).p for values in families])


def _change(values: list[float], p: float) -> Change:
    test, (low, high) = paired_t(values), t_interval(values)
    return Change(test.n, test.mean, test.deviation, low, high, p)


def _missing(trial: _Trial) -> str:
    """Which results are missing and why, or that a change relative to a score of 0 is not defined."""
    every = list(chain(*trial.cells))
    absent = {f"{s.cell} seed {seed}: {why}" for s in every for seed, why in s.absent.items()}
    if absent:
        first = min(absent)
        return first if len(absent) == 1 else f"{len(absent)} results are missing, such as {first}"
    zeros = {str(plain.cell) for _, _, plain in trial.cells if 0 in plain.values.values()}
    return f"no change relative to a score of 0 is defined: {', '.join(sorted(zeros))}" if zeros else ""


def _furthest(plan: SuitePlan, records: Mapping[str, Record], trial: _Trial) -> float | None:
    """The largest difference of a score between control and reference, over all metrics; None where one is missing."""
    furthest = 0.0
    for _, control, plain in trial.cells:
        for metric in plan.suite.tasks[control.cell.task].metrics:
            one, other = (cell_scores(plan, records, s.cell, metric, primary=False) for s in (control, plain))
            if not (one.complete and other.complete):
                return None
            furthest = max(furthest, *(abs(one.values[seed] - other.values[seed]) for seed in one.values))
    return furthest


def _cell(method: CellScores, control: CellScores, plain: CellScores) -> ControlCell:
    seeds = tuple(sorted(method.values.keys() & control.values.keys() & plain.values.keys()))
    by_seed = paired_differences(method, control)
    differences = [by_seed[seed] for seed in seeds]
    low, high = t_interval(differences)
    reference, with_method, with_control = (_mean([s.values[seed] for seed in seeds]) for s in (plain, method, control))
    return ControlCell(
        cell=method.cell,
        control=control.cell.method,
        metric=method.metric,
        seeds=seeds,
        reference_score=reference,
        method_score=with_method,
        control_score=with_control,
        difference=_mean(differences),
        low=low,
        high=high,
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
