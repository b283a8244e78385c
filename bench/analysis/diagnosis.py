"""Why learning together helped or harmed: how tasks pull, what a step on one does for another, agreement, calibration.

Curves over training come from probes (`bench.training.probe`); here they become a few numbers a pair of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.runs.diagnose import Diagnosed, Diagnosis
from bench.runs.plan import Cell, SuitePlan
from bench.runs.records import Record
from bench.training.evaluation import Predictions
from bench.training.probe import Agreement, Look

Key = TypeVar("Key")
Outer = TypeVar("Outer")
BINS = 15


@dataclass(frozen=True)
class Course:
    """What became of a number over training, on `looks` looks at which it was defined, over all seeds.

    `mean` over all of them; `start` and `end` over the first and the last quarter of each run's looks, at least one;
    `negative`: the share of looks at which it was below 0. NaN where it was never defined.
    """

    looks: int
    mean: float
    start: float
    end: float
    negative: float


@dataclass(frozen=True)
class PairCosine:
    """The cosine between the gradients of two losses (tasks, or a coupling) on the shared backbone, by depth."""

    backbone: str
    method: str
    first: str
    second: str
    by_depth: dict[str, Course]


@dataclass(frozen=True)
class LossNorm:
    """The norm of a loss's gradient on the shared backbone, by depth."""

    backbone: str
    method: str
    loss: str
    by_depth: dict[str, Course]


@dataclass(frozen=True)
class TaskAffinity:
    """What a step on `source` does for each task: the part of its loss that goes (Fifty et al. 2021), 1 = all of it."""

    backbone: str
    method: str
    source: str
    on: dict[str, Course]


@dataclass(frozen=True)
class AgreementPoint:
    """Means over seeds after so many steps; see `bench.training.probe.Agreement`."""

    step: int
    difference: float
    divergence: float


@dataclass(frozen=True)
class AgreementCourse:
    """How predictions agree with a relatedness, from the untrained network to the end of training."""

    backbone: str
    method: str
    relatedness: str
    images: int
    points: tuple[AgreementPoint, ...]


@dataclass(frozen=True)
class Calibration:
    """The calibration error (ECE) of a cell's test predictions, by seed and its mean; NaN where it is not defined."""

    cell: Cell
    by_seed: dict[int, float]

    @property
    def mean(self) -> float:
        return _mean(self.by_seed.values())


@dataclass(frozen=True)
class SuiteDiagnosis:
    """All that was found of a suite.

    `failed` says which runs could not be looked at and why; `differing` are those that did not come to the numbers of
    their records when they were trained again.
    """

    suite: str
    provenance: str
    standin: bool
    seeds: tuple[int, ...]
    every: tuple[int, ...]
    cosines: tuple[PairCosine, ...]
    norms: tuple[LossNorm, ...]
    affinities: tuple[TaskAffinity, ...]
    agreements: tuple[AgreementCourse, ...]
    calibrations: tuple[Calibration, ...]
    failed: tuple[str, ...]
    differing: tuple[str, ...]


def suite_diagnosis(
    plan: SuitePlan,
    found: Sequence[Diagnosed],
    records: Mapping[str, Record],
    predictions: Callable[[Record, str, str], Predictions | None],
) -> SuiteDiagnosis:
    """Put together what is known of a plan's runs.

    `records` by run id; `predictions(record, data set, task)` reads test predictions, None where there are none.
    """
    made = [one for one in found if one.diagnosis is not None]
    groups: dict[tuple[str, str], list[Diagnosis]] = {}
    for one in made:
        assert one.diagnosis is not None
        groups.setdefault((one.run.backbone, one.run.method), []).append(one.diagnosis)
    each = [(backbone, method, diagnoses) for (backbone, method), diagnoses in groups.items()]
    return SuiteDiagnosis(
        suite=plan.name,
        provenance=plan.provenance,
        standin=plan.standin,
        seeds=plan.seeds,
        every=tuple(sorted({d.every for _, _, diagnoses in each for d in diagnoses})),
        cosines=tuple(row for group in each for row in pair_cosines(*group)),
        norms=tuple(row for group in each for row in loss_norms(*group)),
        affinities=tuple(row for group in each for row in task_affinities(*group)),
        agreements=tuple(row for group in each for row in agreement_courses(*group)),
        calibrations=calibrations(plan, records, predictions),
        failed=tuple(f"{one.run.title}: {one.failure}" for one in found if one.diagnosis is None),
        differing=tuple(
            one.run.title for one in made if one.diagnosis is not None and one.diagnosis.same_as_record is False
        ),
    )


def course(curves: Sequence[Sequence[float | None]]) -> Course:
    """The course of a number; a curve a seed, in the order of steps, None where it was not defined."""
    known = [value for curve in curves for value in curve if value is not None]
    starts, ends = [], []
    for curve in curves:
        quarter = max(len(curve) // 4, 1)
        starts += [value for value in curve[:quarter] if value is not None]
        ends += [value for value in curve[-quarter:] if value is not None]
    return Course(len(known), _mean(known), _mean(starts), _mean(ends), _mean([float(value < 0) for value in known]))


def pair_cosines(backbone: str, method: str, diagnoses: Sequence[Diagnosis]) -> list[PairCosine]:
    """Every pair of losses, in the order that probes name them; a diagnosis a seed."""
    found = _courses(
        diagnoses, lambda look: {((c.first, c.second), d): v for c in look.cosines for d, v in c.by_depth.items()}
    )
    return [PairCosine(backbone, method, *pair, by_depth) for pair, by_depth in _nested(found).items()]


def loss_norms(backbone: str, method: str, diagnoses: Sequence[Diagnosis]) -> list[LossNorm]:
    """Every loss; a diagnosis a seed."""
    found = _courses(
        diagnoses, lambda look: {(loss, d): v for d, norms in look.norms.items() for loss, v in norms.items()}
    )
    return [LossNorm(backbone, method, loss, by_depth) for loss, by_depth in _nested(found).items()]


def task_affinities(backbone: str, method: str, diagnoses: Sequence[Diagnosis]) -> list[TaskAffinity]:
    """Every task as the source of a step; a diagnosis a seed."""
    found = _courses(diagnoses, lambda look: {(i, j): v for i, on in look.affinity.items() for j, v in on.items()})
    return [TaskAffinity(backbone, method, source, on) for source, on in _nested(found).items()]


def agreement_courses(backbone: str, method: str, diagnoses: Sequence[Diagnosis]) -> list[AgreementCourse]:
    """Every relatedness; a diagnosis a seed."""
    points: dict[str, dict[int, list[Agreement]]] = {}
    for one in (one for diagnosis in diagnoses for one in diagnosis.agreements):
        points.setdefault(one.relatedness, {}).setdefault(one.step, []).append(one)
    return [
        AgreementCourse(
            backbone,
            method,
            relatedness,
            min(one.images for ones in by_step.values() for one in ones),
            tuple(
                AgreementPoint(step, _mean([o.difference for o in ones]), _mean([o.divergence for o in ones]))
                for step, ones in sorted(by_step.items())
            ),
        )
        for relatedness, by_step in points.items()
    ]


def calibrations(
    plan: SuitePlan,
    records: Mapping[str, Record],
    predictions: Callable[[Record, str, str], Predictions | None],
) -> tuple[Calibration, ...]:
    """Every cell of a plan of which there are test predictions, single-task twins and joint methods alike."""
    found = []
    for cell in (*plan.cells, *plan.control_cells):
        by_seed = {}
        for seed, run in plan.runs_of(cell).items():
            record = records.get(run.spec.id)
            made = predictions(record, cell.dataset, cell.task) if record is not None else None
            if made is not None:
                by_seed[seed] = task_calibration_error(made.scores, made.references)
        if by_seed:
            found.append(Calibration(cell, by_seed))
    return tuple(found)


def task_calibration_error(scores: NDArray[np.float32], references: NDArray[np.int32] | NDArray[np.int8]) -> float:
    """How far the probabilities of a task's predictions are from how often they come true; over annotated labels.

    Multiclass: of the most probable class. Multilabel: of each label being there, mean over the labels with any
    annotation. NaN where nothing is annotated.
    """
    if references.ndim == 1:
        known = references >= 0
        top = scores[known]
        return calibration_error(top.max(axis=1, initial=0.0), top.argmax(axis=1) == references[known])
    each = []
    for column, truth in zip(scores.T, references.T, strict=True):
        known = truth >= 0
        if known.any():
            each.append(calibration_error(column[known], truth[known] == 1))
    return _mean(each)


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error with 15 bins of equal width, each open below; in 0..1, NaN of nothing.

    sum over bins of |bin| / n * |share that is correct - mean confidence| (Guo, Pleiss, Sun and Weinberger, "On
    Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, eq. 3). `confidence` float [n] in 0..1,
    `correct` bool [n].
    """
    n = len(confidence)
    if n == 0:
        return math.nan
    precise = confidence.astype(np.float64)
    places = np.digitize(precise, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gaps = np.bincount(places, weights=correct - precise, minlength=BINS)  # |bin| * (accuracy - confidence)
    return float(np.abs(gaps).sum() / n)


def _courses(diagnoses: Sequence[Diagnosis], values: Callable[[Look], Mapping[Key, float | None]]) -> dict[Key, Course]:
    """Courses of what is read off every look, by its key."""
    runs = [[values(look) for look in diagnosis.looks] for diagnosis in diagnoses]
    keys = dict.fromkeys(key for looks in runs for found in looks for key in found)
    return {key: course([[found.get(key) for found in looks] for looks in runs]) for key in keys}


def _nested(found: Mapping[tuple[Outer, str], Course]) -> dict[Outer, dict[str, Course]]:
    nested: dict[Outer, dict[str, Course]] = {}
    for (outer, inner), value in found.items():
        nested.setdefault(outer, {})[inner] = value
    return nested


def _mean(values: Iterable[float | None]) -> float:
    """Over what is defined; NaN of nothing."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
