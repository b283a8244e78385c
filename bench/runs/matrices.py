"""Relatedness as a run's description holds it, be it known from elsewhere or counted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.data.prepare import Preparation
from bench.runs.estimate import estimate
from bench.specs.relatedness import RelatednessSpec
from bench.specs.run import RunRelatedness
from bench.specs.task import TaskSpec

DECIMALS = 6
"""Estimates are rounded to this many places, so that a run's description is the same on every machine."""

Cells = tuple[tuple[float | None, ...], ...]


def run_relatedness(
    spec: RelatednessSpec, first: TaskSpec, second: TaskSpec, source: Preparation | None
) -> RunRelatedness:
    """A relatedness as numbers; `source` is the data set that an estimated one is counted on, which must be prepared.

    Raises `DataError` where nothing can be counted.
    """
    present: Cells
    absent: Cells | None
    if spec.origin.type == "estimated":
        assert source is not None
        found = estimate(spec, first, second, source)
        covered, present = found.covered, _cells(found.matrix, DECIMALS)
        absent = None if found.absent is None else _cells(found.absent.matrix, DECIMALS)
    else:
        covered, (given, otherwise) = spec.covered, known_matrices(spec, first)
        present, absent = _cells(given), None if otherwise is None else _cells(otherwise)
    return RunRelatedness(
        name=spec.name,
        first_task=spec.first_task,
        second_task=spec.second_task,
        covered=covered,
        matrix=present,
        absent=absent,
    )


def known_matrices(spec: RelatednessSpec, first: TaskSpec) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """p(second | first) of a relatedness of knowledge, float64 [first labels, covered].

    Where the first task is multilabel, also p(second | first is absent), and cells that are not listed are NaN.
    """
    multilabel = first.type == "multilabel"
    missing = math.nan if multilabel else spec.unlisted

    def table(rows: dict[str, dict[str, float]]) -> NDArray[np.float64]:
        return np.array([[rows.get(f, {}).get(s, missing) for s in spec.covered] for f in first.labels])

    return table(spec.probabilities or {}), table(spec.given_absent or {}) if multilabel else None


def _cells(table: NDArray[np.float64], decimals: int | None = None) -> Cells:
    """Python numbers, None for NaN."""

    def cell(p: float) -> float | None:
        if math.isnan(p):
            return None
        return p if decimals is None else round(p, decimals)

    return tuple(tuple(cell(p) for p in row) for row in table.tolist())
