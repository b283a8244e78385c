"""Transfer verdicts: does learning together help or harm, per data set, task, metric, backbone and method?

Compared is with the single-task twin, or with any method of the suite that is named as the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.analysis.scores import CellScores, all_cell_scores
from bench.analysis.statistics import (
    equivalence_p,
    holm,
    minimum_detectable_effect,
    paired_t,
    pairs_to_decide,
    t_interval,
)
from bench.errors import UnknownName
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record

ALPHA = 0.05
POWER = 0.8
Outcome = Literal["harm", "benefit", "equivalent", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """One cell against that of the reference method: its single-task twin, if no other is named.

    `difference` is the mean over seeds of `score` minus `reference_score`, in the metric's unit and so that more is
    better; `low`, `high`: its 95 % interval, this cell alone; `p`: Holm-adjusted paired t; `p_equivalent`:
    Holm-adjusted TOST against `margin`; `detectable`: the true difference found with 80 % power at these seeds, this
    spread and this family; `more_seeds`: how many further seeds an inconclusive cell needs (see `pairs_to_decide`; at
    the level of Holm's first step, so at most so many), None where it needs none or that cannot be told;
    `worse_by_mean`: the paper's literal criterion for one cell. `seeds` are those that both have, `expected` is how
    many were planned, `absent` why others are missing ("diverged", "twin no result").
    """

    cell: Cell
    reference: str
    metric: str
    primary: bool
    seeds: tuple[int, ...]
    score: float
    reference_score: float
    difference: float
    low: float
    high: float
    p: float
    p_equivalent: float
    margin: float | None
    detectable: float
    more_seeds: int | None
    outcome: Outcome
    expected: int
    absent: tuple[str, ...]
    note: str = ""

    @property
    def worse_by_mean(self) -> bool | None:
        return None if math.isnan(self.difference) else self.difference < 0


@dataclass(frozen=True)
class MethodTransfer:
    """A method with a backbone, over all its cells on primary metrics.

    `counts` of verdicts, over cells that have any result; `worst`: the cell with the lowest difference, by its mean.
    `delta_m`: mean relative change of the primary metrics against the reference, in percent, as defined by Maninis,
    Radosavovic and Kokkinos (CVPR 2019), positive = better; `low`, `high`: its 95 % interval over seeds.
    `literal_flag`: negative transfer as Kollias et al. (AAAI 2024) put it, "worse than that of at least one
    single-task model", by means alone. All are None where cells are missing; `absent` says why. `undefined` names the
    cells of the reference that score 0 with some seed, relative to which there is no change, so that `delta_m` is None.
    """

    backbone: str
    method: str
    counts: dict[Outcome, int]
    worst: Verdict | None
    delta_m: float | None
    low: float | None
    high: float | None
    literal_flag: bool | None
    absent: tuple[str, ...] = ()
    undefined: tuple[Cell, ...] = ()

    @property
    def judged(self) -> int:
        """Cells that have any result."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Transfer:
    """All verdicts of a suite against one method. `family` is the number of tests that Holm's adjustment ran over."""

    suite: str
    reference: str
    provenance: str
    standin: bool
    family: int
    verdicts: tuple[Verdict, ...]
    methods: tuple[MethodTransfer, ...]
    missing: tuple[str, ...]


def transfer(
    plan: SuitePlan, records: Mapping[str, Record], *, every_metric: bool = False, reference: str | None = None
) -> Transfer:
    """Judge every cell of a plan against the cell of a reference method, the single-task twin if none is named.

    `records` by run id, also of runs that `--only` leaves out. The family is all cells of the suite that are compared
    with that method: what is looked at decides what is told, not how it is judged. Raises `UnknownName`.
    """
    against = reference or plan.suite.twin.name
    if against not in {method.name for method in plan.suite.methods}:
        raise UnknownName(f"method of suite '{plan.suite.name}'", against, [m.name for m in plan.suite.methods])
    scores = all_cell_scores(plan.whole, records, every_metric=every_metric)
    pairs = [
        (found, scores[replace(cell, method=against), metric])
        for (cell, metric), found in scores.items()
        if cell.method != against
    ]
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
        _method_transfer(plan, scores, mine)
        for backbone in plan.suite.backbones
        for method in plan.suite.methods
        if (mine := [v for v in verdicts if (v.cell.backbone, v.cell.method) == (backbone.name, method.name)])
    )
    return Transfer(
        plan.name, against, plan.provenance, plan.standin, len(family), tuple(verdicts), methods, tuple(missing)
    )


def paired_differences(scores: CellScores, reference: CellScores) -> dict[int, float]:
    """A cell minus its reference by seed, for the seeds that both have, so that more is better."""
    sign = 1.0 if scores.higher_is_better else -1.0
    shared = sorted(scores.values.keys() & reference.values.keys())
    return {seed: sign * (scores.values[seed] - reference.values[seed]) for seed in shared}


def judge(pairs: list[tuple[CellScores, CellScores]], margins: Mapping[str, float]) -> list[Verdict]:
    """Verdicts over one family of (cell, cell of the reference).

    Equivalent: within the margin by TOST. Else harm or benefit: a difference by the paired t test. Else inconclusive.
    Both tests are Holm-adjusted over the family, each on its own; a metric without a margin cannot be equivalent.
    """
    differences = [list(paired_differences(cell, reference).values()) for cell, reference in pairs]
    tests = [paired_t(values) for values in differences]
    limits = [margins.get(cell.metric) for cell, _ in pairs]
    adjusted = holm([test.p for test in tests])
    same = [equivalence_p(v, m) if m is not None else 1.0 for v, m in zip(differences, limits, strict=True)]
    equivalent = holm(same)
    verdicts = []
    for i, (cell, reference) in enumerate(pairs):
        test = tests[i]
        low, high = t_interval(differences[i], 1 - ALPHA)
        seeds = tuple(paired_differences(cell, reference))
        outcome, note = _outcome(test.n, test.mean, test.deviation, adjusted[i], equivalent[i])
        margin, level = limits[i], ALPHA / len(pairs)
        needed = pairs_to_decide(test.deviation, margin, level, POWER) if margin and outcome == "inconclusive" else None
        verdicts.append(
            Verdict(
                cell=cell.cell,
                reference=reference.cell.method,
                metric=cell.metric,
                primary=cell.primary,
                seeds=seeds,
                score=_mean([cell.values[seed] for seed in seeds]),
                reference_score=_mean([reference.values[seed] for seed in seeds]),
                difference=test.mean,
                low=low,
                high=high,
                p=adjusted[i],
                p_equivalent=equivalent[i],
                margin=margin,
                detectable=minimum_detectable_effect(test.deviation, test.n, level, POWER),
                more_seeds=max(needed - test.n, 0) if needed is not None else None,
                outcome=outcome,
                expected=len(cell.values) + len(cell.absent),
                absent=_absent(cell, reference),
                note=note,
            )
        )
    return verdicts


def _absent(cell: CellScores, reference: CellScores) -> tuple[str, ...]:
    """Why results are missing, each reason once."""
    return tuple(
        sorted({*cell.absent.values(), *(f"{reference.cell.method} {why}" for why in reference.absent.values())})
    )


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
    plan: SuitePlan, scores: Mapping[tuple[Cell, str], CellScores], verdicts: list[Verdict]
) -> MethodTransfer:
    """Of the verdicts of one method with one backbone."""
    mine = [verdict for verdict in verdicts if verdict.primary]
    backbone, method, reference = mine[0].cell.backbone, mine[0].cell.method, mine[0].reference
    outcomes: tuple[Outcome, ...] = ("harm", "benefit", "equivalent", "inconclusive")
    # A cell without any result is no inconclusive one.
    counts = {outcome: sum(v.outcome == outcome and bool(v.seeds) for v in mine) for outcome in outcomes}
    worst = min((v for v in mine if v.seeds), key=lambda v: v.difference, default=None)
    cells = [(scores[v.cell, v.metric], scores[replace(v.cell, method=reference), v.metric]) for v in mine]
    if not all(cell.complete and other.complete for cell, other in cells):
        absent = tuple(sorted({why for v in mine for why in v.absent}))
        return MethodTransfer(backbone, method, counts, worst, None, None, None, None, absent)
    flag = any(v.difference < 0 for v in mine) if reference == plan.suite.twin.name else None
    changes = [relative_change(cells, seed) for seed in plan.seeds]
    by_seed = [change for change in changes if change is not None]
    if len(by_seed) < len(changes):  # a reference that scores 0: the ratio is not defined, and no seed is left out
        zeros = tuple(other.cell for _, other in cells if 0 in other.values.values())
        return MethodTransfer(backbone, method, counts, worst, None, None, None, flag, undefined=zeros)
    low, high = t_interval(by_seed)
    delta = _mean(by_seed)
    return MethodTransfer(backbone, method, counts, worst, delta, _number(low), _number(high), flag)


def relative_change(cells: list[tuple[CellScores, CellScores]], seed: int) -> float | None:
    """Δm of one seed in percent: mean over cells of (score - reference) / reference, more is better.

    Maninis, Radosavovic and Kokkinos, CVPR 2019, arXiv 1904.08918, with the sign so that positive is better. None
    where a score of the reference is 0, so that the ratio is not defined.
    """
    changes = []
    for cell, reference in cells:
        if reference.values[seed] == 0:
            return None
        changes.append(paired_differences(cell, reference)[seed] / abs(reference.values[seed]))
    return 100 * _mean(changes)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
