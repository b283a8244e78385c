"""Families of cells with known truths, judged as a suite's cells are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.analysis.scores import CellScores
from bench.analysis.statistics import minimum_detectable_effect
from bench.analysis.transfer import ALPHA, Verdict, judge
from bench.runs.plan import Cell


@dataclass(frozen=True)
class Truth:
    """How scores come about: the difference of joint and single-task, and its spread between seeds.

    `effect` is that of the first `affected` cells, of all where it is None. `shared`: part of the variance of
    differences that all cells of a seed have in common, as cells of one joint run do.
    """

    cells: int
    seeds: int
    effect: float = 0.0
    affected: int | None = None
    spread: float = 0.01
    shared: float = 0.0

    @property
    def effects(self) -> NDArray[np.float64]:
        """By cell."""
        affected = self.cells if self.affected is None else self.affected
        return np.where(np.arange(self.cells) < affected, self.effect, 0.0)


def family(truth: Truth, rng: np.random.Generator, margin: float) -> list[Verdict]:
    """Draw one family and judge it."""
    seed_effect = rng.normal(0, 0.03, (1, truth.seeds))  # the pairing must take this out
    common = rng.normal(0, 1, (1, truth.seeds)) * np.sqrt(truth.shared)
    own = rng.normal(0, 1, (truth.cells, truth.seeds)) * np.sqrt(1 - truth.shared)
    single = 0.6 + seed_effect + rng.normal(0, 0.01, (truth.cells, truth.seeds))
    joint = single + truth.effects[:, None] + truth.spread * (common + own)
    pairs = []
    for number in range(truth.cells):
        cells = [Cell(f"data{number}", "task", "backbone", method) for method in ("joint", "single_task")]
        values = [dict(enumerate(row.tolist())) for row in (joint[number], single[number])]
        pairs.append(tuple(CellScores(c, "accuracy", True, True, v, {}) for c, v in zip(cells, values, strict=True)))
    return judge(pairs, {"accuracy": margin})  # type: ignore[arg-type]


def outcomes(truth: Truth, repeats: int, *, margin: float = 1e-9, seed: int = 0) -> tuple[Counter[str], Counter[str]]:
    """Over many families: how many have at least one cell with each outcome, and how many cells have it.

    `different` counts families with a harm or a benefit, `covered` cells whose interval holds the true difference.
    """
    rng = np.random.default_rng(seed)
    families: Counter[str] = Counter()
    cells: Counter[str] = Counter()
    for _ in range(repeats):
        verdicts = family(truth, rng, margin)
        found = [verdict.outcome for verdict in verdicts]
        families.update({*found, *(["different"] if {"harm", "benefit"} & set(found) else [])})
        cells.update(found)
        cells["covered"] += sum(v.low <= effect <= v.high for v, effect in zip(verdicts, truth.effects, strict=True))
    return families, cells


def detectable(truth: Truth) -> float:
    """The minimum detectable effect at the true spread."""
    return minimum_detectable_effect(truth.spread, truth.seeds, ALPHA / truth.cells)
