"""How sure a leaderboard's order is: the probability of each rank by bootstrap over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from bench.analysis.scores import CellScores, all_cell_scores
from bench.runs.plan import SuitePlan
from bench.runs.records import Record

EXACT_SEEDS = 8
"""Up to so many seeds every resample is gone through with its probability; beyond, `RESAMPLES` are drawn."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class RankedRow:
    """A method with a backbone.

    `average` is over seeds and cells on primary metrics; `probabilities` of rank 1, 2, ...; `expected` is the mean
    rank, `low` to `high` the ranks that hold the middle 95 % of resamples.
    """

    backbone: str
    method: str
    average: float
    probabilities: tuple[float, ...]
    expected: float
    low: int
    high: int


@dataclass(frozen=True)
class Ranking:
    """Complete rows, best first; `incomplete` are those left out, which have no rank."""

    suite: str
    provenance: str
    standin: bool
    seeds: int
    rows: tuple[RankedRow, ...]
    incomplete: tuple[tuple[str, str], ...]


def ranking(plan: SuitePlan, records: Mapping[str, Record]) -> Ranking:
    """Rank the rows of a plan under resampling of seeds. `records` by run id.

    All rows are resampled alike, since runs of one seed share split, order and initialisation. With n seeds the
    bootstrap sees a spread that is too small by the factor sqrt((n - 1) / n), so that with few seeds ranks look surer
    than they are; verdicts, not ranks, say what is shown. Ranks are over the whole plan, whatever `--only` shows.
    """
    whole = plan.whole
    scores: dict[tuple[str, str], list[CellScores]] = {}
    for (cell, _), found in all_cell_scores(whole, records).items():
        scores.setdefault((cell.backbone, cell.method), []).append(found)
    width = max(map(len, scores.values()), default=0)
    complete = [row for row, cells in scores.items() if len(cells) == width and all(cell.complete for cell in cells)]
    by_seed = np.array([[_mean(scores[row], seed) for seed in whole.seeds] for row in complete])
    ranked = _ranked(complete, by_seed) if complete else []
    told = {(cell.backbone, cell.method) for cell in plan.cells}
    return Ranking(
        plan.name,
        plan.provenance,
        plan.standin,
        len(whole.seeds),
        tuple(row for row in ranked if (row.backbone, row.method) in told),
        tuple(row for row in scores if row not in complete and row in told),
    )


def rank_probabilities(by_seed: NDArray[np.float64], *, seed: int = 0) -> NDArray[np.float64]:
    """Probability of each rank, float64 [rows, rows], of rows with scores [rows, seeds], more is better.

    Equal rows share the better rank.
    """
    rows, seeds = by_seed.shape
    weights, chances = _resamples(seeds, seed)
    found = np.zeros((rows, rows))
    for sums, chance in zip(weights @ by_seed.T, chances, strict=True):
        found[np.arange(rows), (sums[None, :] > sums[:, None]).sum(1)] += chance
    return found


def _ranked(rows: list[tuple[str, str]], by_seed: NDArray[np.float64]) -> list[RankedRow]:
    averages, probabilities = by_seed.mean(1), rank_probabilities(by_seed)
    cumulated = probabilities.cumsum(1)
    ranks = np.arange(1, len(rows) + 1)
    found = []
    for place in np.argsort(-averages, kind="stable"):
        backbone, method = rows[place]
        low, high = (int(np.searchsorted(cumulated[place], bound) + 1) for bound in (0.025, 0.975 - 1e-12))
        found.append(
            RankedRow(
                backbone,
                method,
                float(averages[place]),
                tuple(probabilities[place].tolist()),
                float(probabilities[place] @ ranks),
                low,
                high,
            )
        )
    return found


def _resamples(seeds: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each seed is drawn [resamples, seeds], and how probable each resample is."""
    if seeds > EXACT_SEEDS:
        drawn = np.random.default_rng(seed).multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
        return drawn.astype(np.float64), np.full(RESAMPLES, 1 / RESAMPLES)
    every = combinations_with_replacement(range(seeds), seeds)
    weights = np.array([np.bincount(one, minlength=seeds) for one in every], dtype=np.float64)
    ways = [math.factorial(seeds) / math.prod(math.factorial(int(k)) for k in row) for row in weights]
    return weights, np.array(ways) / seeds**seeds


def _mean(cells: list[CellScores], seed: int) -> float:
    return float(np.mean([cell.values[seed] for cell in cells]))
