"""The interval of one run's metric against `scipy.stats.bootstrap` on the same statistic."""

from __future__ import annotations

import statistics
import time

import numpy as np
from comparison import Measured
from scipy import stats

from bench.analysis.counts import COUNTED
from bench.analysis.intervals import RESAMPLES, bootstrap, cluster_sums, interval
from bench.metrics.mean_f1 import Metric

IMAGES, LABELS = 100_000, 12
CLUSTERS = {41: 1.0, IMAGES: 5.0}
"""Numbers of clusters, and the seconds on two cores that 10,000 resamples may take."""
PEER_RESAMPLES = 10
"""scipy takes time in proportion to its resamples; so many of them tell how long 10,000 would take."""


def bootstrapping(clusters: int, repeats: int) -> Measured:
    """Seconds of scipy / ours for 10,000 resamples of mean F1, from predictions; and if both are given counts."""
    rng = np.random.default_rng(0)
    references = (rng.random((IMAGES, LABELS)) < 0.3).astype(np.int8)
    scores = np.clip(references * 0.3 + rng.random((IMAGES, LABELS)) * 0.7, 0, 1).astype(np.float32)
    number = rng.permutation(np.arange(IMAGES) % clusters)
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    metric = COUNTED["mean_f1"]
    sums = cluster_sums(metric.counts(scores, references), number)
    table = sums.toarray()

    def of_predictions(drawn):  # type: ignore[no-untyped-def]
        rows = drawn if clusters == IMAGES else np.concatenate([members[i] for i in drawn])
        return Metric.score(scores[rows], references[rows])[0]

    def of_counts(drawn):  # type: ignore[no-untyped-def]
        return metric.value(table[drawn].sum(axis=0, dtype=np.float64))

    ratios, given_counts, seconds = [], [], []
    bootstrap(sums, metric.value, resamples=100, seed=0)  # to warm up
    for seed in range(repeats):  # another one each time: what was drawn once is kept
        seconds.append(
            _seconds(lambda seed=seed: interval(metric.counts(scores, references), number, metric.value, seed=seed))
        )
        ratios.append(_scipys(clusters, of_predictions, PEER_RESAMPLES) / seconds[-1])
        plain = _seconds(lambda seed=seed: bootstrap(sums, metric.value, resamples=RESAMPLES, seed=repeats + seed))
        given_counts.append(_scipys(clusters, of_counts, max(PEER_RESAMPLES, IMAGES // clusters)) / plain)
    return Measured(
        f"interval of mean F1, {IMAGES:,} images x {LABELS} labels, {clusters:,} clusters: scipy / bench, seconds",
        "at least 10",
        ratios,
        f"{statistics.median(seconds):.2f} s for {RESAMPLES:,} resamples (wanted: at most {CLUSTERS[clusters]:.0f} s); "
        f"{statistics.median(given_counts):.0f} times if scipy, too, is given the counts by cluster",
    )


def _seconds(action) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _scipys(clusters: int, statistic, resamples: int) -> float:  # type: ignore[no-untyped-def]
    """Seconds that scipy would take for as many resamples as we make."""
    settings = {"n_resamples": resamples, "method": "percentile", "vectorized": False, "rng": 0}
    return _seconds(lambda: stats.bootstrap((np.arange(clusters),), statistic, **settings)) * RESAMPLES / resamples
