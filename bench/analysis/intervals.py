"""How sure one run's metric is, as far as its test images decide: percentile intervals by a bootstrap over clusters.

Images of one subject are no independent witnesses, so whole clusters (subjects, or single images where there are no
subjects) are drawn with replacement: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8.
A metric is a function of sums of counts (`bench.analysis.counts`), so that a resample is a row of weights, and many
resamples are one product of matrices.

Such an interval says nothing of another training of the same method: verdicts compare seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from bench.analysis.counts import Sums
from bench.data.decode import cores

RESAMPLES = 10_000
CONFIDENCE = 0.95
EXACT_UP_TO = 256
BINOMIAL_COST = 16
STREAMS = 16
CELLS_AT_ONCE = 2**23
CELLS_KEPT = 2**22
MOST_THREADS = 4
LARGEST_FLOAT32 = 2**24
SPARSE_BELOW = 1 / 32
WORDS = 2**16
SHORTFALL = 3.0

Part = TypeVar("Part")
Statistic = Callable[[Sums], NDArray[np.float64]]
"""A metric of sums of counts, [..., k] -> [...]; NaN where they do not define it."""
Draw = Callable[[np.random.Generator, NDArray[np.floating]], None]
"""Fills weights [resamples, rows]: how often each row is in each resample."""


@dataclass(frozen=True)
class Interval:
    """A percentile interval. `resamples`: how many defined the value; bounds are NaN if none did, or of one cluster."""

    value: float
    low: float
    high: float
    clusters: int
    resamples: int


def interval(
    counts: csr_array,
    clusters: NDArray[np.integer],
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """The interval of a metric: `counts` [n, k] of images, and the cluster of each, int [n] from 0 on."""
    sums = cluster_sums(counts, clusters)
    value = float(statistic(np.asarray(sums.sum(axis=0), np.float64)))
    found = sums.shape[0]
    if found < 2:
        return Interval(value, math.nan, math.nan, found, 0)
    drawn = bootstrap(sums, statistic, resamples=resamples, seed=seed)
    defined = drawn[~np.isnan(drawn)]
    if not defined.size:
        return Interval(value, math.nan, math.nan, found, 0)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), found, len(defined))


def cluster_sums(counts: csr_array, clusters: NDArray[np.integer]) -> csr_array:
    """Counts summed over the images of each cluster, [clusters, k]; a number that no image has is no cluster."""
    if len(clusters) != counts.shape[0]:
        raise ValueError(f"expected the cluster of each of {counts.shape[0]} images, found {len(clusters)}")
    present, place = np.unique(clusters, return_inverse=True)
    rows = np.arange(len(clusters))
    members = csr_array((np.ones(len(rows), np.int64), (place, rows)), shape=(len(present), len(rows)))
    return csr_array(members @ counts)


def bootstrap(clusters: csr_array, statistic: Statistic, *, resamples: int, seed: int) -> NDArray[np.float64]:
    """The statistic of `resamples` samples of as many clusters, with replacement; float64 [resamples].

    `clusters` [clusters, k]: their summed counts. The same seed gives the same numbers with any number of threads.

    Exact: sums of counts, always; weights of up to 256 clusters, or where many have equal counts, which are drawn from
    the multinomial distribution. Quantised: more weights than these are made of independent Poisson variables with a
    rate somewhat under 1, looked up by 16 random bits (each probability within 2**-17 of the true one); what is
    missing to the number of clusters is then drawn cluster by cluster. Given its sum, a vector of independent Poisson
    variables is multinomial; the rare one with too large a sum is drawn again, which conditions on the sum alone.
    """
    rows, shares = _population(clusters)
    count, width = clusters.shape[0], rows.shape[0]
    if shares is None and resamples * width <= CELLS_KEPT:
        return statistic(np.asarray(_even_weights(count, rows.dtype, resamples, seed) @ rows, np.float64))
    draw = _even(count, rows.dtype) if shares is None else _multinomial(count, shares)
    at_once = max(1, CELLS_AT_ONCE // max(rows.shape))

    def part(rng: np.random.Generator, size: int) -> list[NDArray[np.float64]]:
        weights = np.empty((min(size, at_once), width), rows.dtype)
        found = []
        for start in range(0, size, at_once):
            block = weights[: size - start]
            draw(rng, block)
            found.append(statistic(np.asarray(block @ rows, np.float64)))
        return found

    return np.concatenate([block for found in _by_stream(part, resamples, seed) for block in found])


def _by_stream(part: Callable[[np.random.Generator, int], Part], resamples: int, seed: int) -> list[Part]:
    """What `part(generator, resamples)` makes of each stream's share, in order, whatever the number of threads."""
    streams = [np.random.Generator(np.random.SFC64(one)) for one in np.random.SeedSequence(seed).spawn(STREAMS)]
    sizes = [len(piece) for piece in np.array_split(np.arange(resamples), STREAMS)]
    with ThreadPoolExecutor(min(cores(), MOST_THREADS)) as pool:
        return list(pool.map(part, streams, sizes))


def _population(clusters: csr_array) -> tuple[NDArray[np.floating] | csr_array, NDArray[np.float64] | None]:
    """What is drawn from: clusters, all alike (None), or their different counts where these are few, with shares."""
    count, width = clusters.shape
    largest = int(clusters.data.max(initial=0))
    # Sums of whole numbers are exact in float32 as long as none can pass 2**24.
    small = count * max(largest, 1) < LARGEST_FLOAT32
    kind: np.dtype[np.floating] = np.dtype(np.float32) if small else np.dtype(np.float64)
    if count <= EXACT_UP_TO:
        return clusters.toarray().astype(kind), None
    if clusters.nnz < SPARSE_BELOW * count * width:
        return clusters.astype(kind), None
    kinds, times = _different_rows(clusters.toarray().astype(np.min_scalar_type(largest)))
    if len(kinds) * BINOMIAL_COST > count:
        return clusters.toarray().astype(kind), None
    return kinds.astype(kind), times / count


def _multinomial(count: int, shares: NDArray[np.float64]) -> Draw:
    def draw(rng: np.random.Generator, weights: NDArray[np.floating]) -> None:
        weights[:] = rng.multinomial(count, shares, size=len(weights))

    return draw


def _even(count: int, kind: np.dtype[np.floating]) -> Draw:
    return _multinomial(count, np.full(count, 1 / count)) if count <= EXACT_UP_TO else _poissonised(count, kind)


@lru_cache(maxsize=12)
def _even_weights(count: int, kind: np.dtype[np.floating], resamples: int, seed: int) -> NDArray[np.floating]:
    """Weights [resamples, count] of clusters that are all alike; kept, since many runs are tested on the same."""
    draw = _even(count, kind)

    def part(rng: np.random.Generator, size: int) -> NDArray[np.floating]:
        weights = np.empty((size, count), kind)
        draw(rng, weights)
        return weights

    return np.concatenate(_by_stream(part, resamples, seed))


def _different_rows(table: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The different rows of a table, and how often each is there."""
    whole = np.ascontiguousarray(table).view(f"V{table.dtype.itemsize * table.shape[1]}").reshape(-1)
    _, first, times = np.unique(whole, return_index=True, return_counts=True)
    return table[first], times


def _poissonised(count: int, kind: np.dtype[np.floating]) -> Draw:
    """Multinomial weights of many clusters out of Poisson variables; see `bootstrap`."""
    rate = max(0.0, 1 - SHORTFALL / math.sqrt(count))
    bounds = np.round(stats.poisson.cdf(np.arange(32), rate) * WORDS)
    table = np.searchsorted(bounds, np.arange(WORDS), side="right").astype(kind)
    one = kind.type(1)  # of the same type, or adding is slow

    def draw(rng: np.random.Generator, weights: NDArray[np.floating]) -> None:
        for row in weights:
            missing = -1
            while missing < 0:
                words = rng.integers(0, 2**64, size=-(-count // 4), dtype=np.uint64).view(np.uint16)[:count]
                np.take(table, words, out=row, mode="clip")  # no word is out of bounds; the default mode would copy
                missing = count - int(row.sum())
            np.add.at(row, rng.integers(count, size=missing), one)

    return draw
