"""The interval of one run's metric against `scipy.stats.bootstrap` on the same statistic."""

from __future__ import annotations

import statistics
import time

import numpy as np
from comparison import Measured
from scipy import stats

from bench.analysis.counts import COUNTED
from bench.analysis.intervals import RESAMPLES, cluster_sums, interval

IMAGES, LABELS = 100_000, 12
CLUSTERS = {41: 1.0, IMAGES: 5.0}
"""Numbers of clusters, and the seconds on two cores that 10,000 resamples may take."""
PEER_RESAMPLES = 10
"""scipy takes time in proportion to its resamples; so many of them tell how long 10,000 would take."""


def bootstrapping(clusters: int, repeats: int) -> Measured:
    """Seconds of scipy / ours, 10,000 resamples of mean F1; scipy is given the counts by cluster, summed beforehand."""
    rng = np.random.default_rng(0)
    references = (rng.random((IMAGES, LABELS)) < 0.3).astype(np.int8)
    scores = np.clip(references * 0.3 + rng.random((IMAGES, LABELS)) * 0.7, 0, 1).astype(np.float32)
    number = rng.permutation(np.arange(IMAGES) % clusters)
    metric = COUNTED["mean_f1"]
    sums = cluster_sums(metric.counts(scores, references), number).toarray()
    ratios, seconds = [], []
    interval(metric.counts(scores, references), number, metric.value, resamples=100)  # to warm up
    for _ in range(repeats):
        started = time.perf_counter()
        interval(metric.counts(scores, references), number, metric.value)
        seconds.append(time.perf_counter() - started)
        ratios.append(_scipys(sums, metric.value) / seconds[-1])
    return Measured(
        f"interval of mean F1, {IMAGES:,} images x {LABELS} labels, {clusters:,} clusters: scipy / bench, seconds",
        "at least 10",
        ratios,
        f"{statistics.median(seconds):.2f} s for {RESAMPLES:,} resamples (wanted: at most {CLUSTERS[clusters]:.0f} s)",
    )


def _scipys(sums, value) -> float:  # type: ignore[no-untyped-def]
    """Seconds that scipy would take, in the faster of its two ways for this: one resample after another, by rows."""
    resamples = max(PEER_RESAMPLES, min(RESAMPLES, 10**6 // len(sums)))

    def statistic(rows):  # type: ignore[no-untyped-def]
        return value(sums[rows].sum(axis=0, dtype=np.float64))

    started = time.perf_counter()
    stats.bootstrap(
        (np.arange(len(sums)),), statistic, n_resamples=resamples, method="percentile", vectorized=False, rng=0
    )
    return (time.perf_counter() - started) * RESAMPLES / resamples
