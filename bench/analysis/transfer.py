"""Transfer verdicts: does learning together help or harm, per data set, task, metric, backbone and method?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.analysis.scores import CellScores, all_cell_scores
from bench.analysis.statistics import (
    equivalence_p,
    holm,
    minimum_detectable_effect,
    paired_t,
    t_interval,
)
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record

ALPHA = 0.05
POWER = 0.8
Outcome = Literal["harm", "benefit", "equivalent", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """One joint cell against its single-task twin.

    `difference` is the mean over seeds of joint minus single-task, in the metric's unit and so that more is better;
    `low`, `high`: its 95 % interval, this cell alone; `p`: Holm-adjusted paired t; `p_equivalent`: Holm-adjusted TOST
    against `margin`; `detectable`: the true difference found with 80 % power at these seeds, this spread and this
    family; `worse_by_mean`: the paper's literal criterion for one cell. `seeds` are those that both have, `expected` is
    how many were planned, `absent` why others are missing ("diverged", "twin not run").
    """

    cell: Cell
    metric: str
    primary: bool
    seeds: tuple[int, ...]
    joint: float
    single: float
    difference: float
    low: float
    high: float
    p: float
    p_equivalent: float
    margin: float | None
    detectable: float
    outcome: Outcome
    expected: int
    absent: tuple[str, ...]
    note: str = ""

    @property
    def worse_by_mean(self) -> bool | None:
        return None if math.isnan(self.difference) else self.difference < 0


@dataclass(frozen=True)
class MethodTransfer:
    """A joint method with a backbone, over all its cells.

    `delta_m`: mean relative change of the primary metrics against the single-task twins, in percent, as defined by
    Maninis, Radosavovic and Kokkinos (CVPR 2019), positive = better; `low`, `high`: its 95 % interval over seeds.
    `literal_flag`: negative transfer as Kollias et al. (AAAI 2024) put it, "worse than that of at least one
    single-task model", by means alone. Both are None where cells are missing; `absent` says why. `undefined` names the
    twins that score 0 with some seed, relative to which there is no change, so that `delta_m` is None.
    """

    backbone: str
    method: str
    counts: dict[Outcome, int]
    delta_m: float | None
    low: float | None
    high: float | None
    literal_flag: bool | None
    absent: tuple[str, ...] = ()
    undefined: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Transfer:
    """All verdicts of a suite. `family` is the number of tests that Holm's adjustment ran over."""

    suite: str
    provenance: str
    standin: bool
    family: int
    verdicts: tuple[Verdict, ...]
    methods: tuple[MethodTransfer, ...]
    missing: tuple[str, ...]


def transfer(plan: SuitePlan, records: Mapping[str, Record], *, every_metric: bool = False) -> Transfer:
    """Judge every joint cell of a plan. `records` by run id, also of runs that `--only` leaves out.

    The family is all cells of the suite: what is looked at decides what is told, not how it is judged.
    """
    scores = all_cell_scores(plan.whole, records, every_metric=every_metric)
    joint = [key for key in scores if key[0].method != plan.suite.twin.name]
    pairs = [(scores[key], scores[plan.twin_of(key[0]), key[1]]) for key in joint]
    family = judge(pairs, dict(plan.suite.spec.margins))
    told = set(plan.cells)
    verdicts = [verdict for verdict in family if verdict.cell in told]
    missing = sorted(
        f"{s.cell} seed {seed}: {why}"
        for s in scores.values()
        if s.primary and s.cell in told
        for seed, why in s.absent.items()
    )
    methods = tuple(
        _method_transfer(plan, scores, verdicts, backbone.name, method.name)
        for backbone in plan.suite.backbones
        for method in plan.suite.compared
        if any((v.cell.backbone, v.cell.method) == (backbone.name, method.name) for v in verdicts)
    )
    return Transfer(plan.name, plan.provenance, plan.standin, len(family), tuple(verdicts), methods, tuple(missing))


def paired_differences(joint: CellScores, single: CellScores) -> dict[int, float]:
    """Joint minus single-task by seed, for the seeds that both have, so that more is better."""
    sign = 1.0 if joint.higher_is_better else -1.0
    shared = sorted(joint.values.keys() & single.values.keys())
    return {seed: sign * (joint.values[seed] - single.values[seed]) for seed in shared}


def judge(pairs: list[tuple[CellScores, CellScores]], margins: Mapping[str, float]) -> list[Verdict]:
    """Verdicts over one family of (joint, single-task) cells.

    Equivalent: within the margin by TOST. Else harm or benefit: a difference by the paired t test. Else inconclusive.
    Both tests are Holm-adjusted over the family, each on its own; a metric without a margin cannot be equivalent.
    """
    differences = [list(paired_differences(joint, single).values()) for joint, single in pairs]
    tests = [paired_t(values) for values in differences]
    limits = [margins.get(joint.metric) for joint, _ in pairs]
    adjusted = holm([test.p for test in tests])
    same = [equivalence_p(v, m) if m is not None else 1.0 for v, m in zip(differences, limits, strict=True)]
    equivalent = holm(same)
    verdicts = []
    for i, (joint, single) in enumerate(pairs):
        test = tests[i]
        low, high = t_interval(differences[i], 1 - ALPHA)
        seeds = tuple(paired_differences(joint, single))
        outcome, note = _outcome(test.n, test.mean, test.deviation, adjusted[i], equivalent[i])
        verdicts.append(
            Verdict(
                cell=joint.cell,
                metric=joint.metric,
                primary=joint.primary,
                seeds=seeds,
                joint=_mean([joint.values[seed] for seed in seeds]),
                single=_mean([single.values[seed] for seed in seeds]),
                difference=test.mean,
                low=low,
                high=high,
                p=adjusted[i],
                p_equivalent=equivalent[i],
                margin=limits[i],
                detectable=minimum_detectable_effect(test.deviation, test.n, ALPHA / len(pairs), POWER),
                outcome=outcome,
                expected=len(joint.values) + len(joint.absent),
                absent=tuple(sorted({*joint.absent.values(), *(f"twin {why}" for why in single.absent.values())})),
                note=note,
            )
        )
    return verdicts


def _outcome(n: int, mean: float, deviation: float, p: float, p_equivalent: float) -> tuple[Outcome, str]:
    if n < 2:
        return "inconclusive", "fewer than two seeds"
    if p_equivalent < ALPHA:
        return "equivalent", ""
    if p < ALPHA:
        return ("harm" if mean < 0 else "benefit"), ""
    if deviation == 0 and mean != 0:
        return "inconclusive", "the same difference at every seed: no spread to test against"
    return "inconclusive", ""


def _method_transfer(
    plan: SuitePlan,
    scores: Mapping[tuple[Cell, str], CellScores],
    verdicts: list[Verdict],
    backbone: str,
    method: str,
) -> MethodTransfer:
    mine = [v for v in verdicts if (v.cell.backbone, v.cell.method) == (backbone, method) and v.primary]
    outcomes: tuple[Outcome, ...] = ("harm", "benefit", "equivalent", "inconclusive")
    # A cell without any result is no inconclusive one.
    counts = {outcome: sum(v.outcome == outcome and bool(v.seeds) for v in mine) for outcome in outcomes}
    cells = [(scores[v.cell, v.metric], scores[plan.twin_of(v.cell), v.metric]) for v in mine]
    if not all(joint.complete and single.complete for joint, single in cells):
        absent = tuple(sorted({why for v in mine for why in v.absent}))
        return MethodTransfer(backbone, method, counts, None, None, None, None, absent)
    flag = any(v.difference < 0 for v in mine)
    changes = [relative_change(cells, seed) for seed in plan.seeds]
    by_seed = [change for change in changes if change is not None]
    if len(by_seed) < len(changes):  # a twin that scores 0: the ratio is not defined, and no seed is left out
        zeros = tuple(single.cell for _, single in cells if 0 in single.values.values())
        return MethodTransfer(backbone, method, counts, None, None, None, flag, undefined=zeros)
    low, high = t_interval(by_seed)
    delta = _mean(by_seed)
    return MethodTransfer(backbone, method, counts, delta, _number(low), _number(high), flag)


def relative_change(cells: list[tuple[CellScores, CellScores]], seed: int) -> float | None:
    """Δm of one seed in percent: mean over cells of (joint - single) / single, more is better.

    Maninis, Radosavovic and Kokkinos, CVPR 2019, arXiv 1904.08918, with the sign so that positive is better. None
    where a single-task score is 0, so that the ratio is not defined.
    """
    changes = []
    for joint, single in cells:
        if single.values[seed] == 0:
            return None
        changes.append(paired_differences(joint, single)[seed] / abs(single.values[seed]))
    return 100 * _mean(changes)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
