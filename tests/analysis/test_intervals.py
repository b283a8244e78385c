"""Intervals by a bootstrap over clusters, against scipy's and against arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from bench.analysis import intervals
from bench.analysis.counts import COUNTED
from bench.analysis.intervals import bootstrap, cluster_sums, interval
from bench.metrics.mean_f1 import Metric

F1 = COUNTED["mean_f1"]


def sample(count, labels=3, seed=0):
    """Predictions of several labels, some not annotated, whose difficulty differs by row."""
    rng = np.random.default_rng(seed)
    references = (rng.random((count, labels)) < 0.4).astype(np.int8)
    scores = np.clip(references * 0.4 + rng.random((count, labels)) * 0.7, 0, 1).astype(np.float32)
    references[rng.random(references.shape) < 0.1] = -1
    return scores, references


def scipys(scores, references, clusters, resamples=2000):
    """The replicates of `scipy.stats.bootstrap` over whole clusters, with the metric's own arithmetic."""
    members = [np.flatnonzero(clusters == number) for number in np.unique(clusters)]

    def statistic(drawn):
        rows = np.concatenate([members[int(number)] for number in drawn])
        return Metric.score(scores[rows], references[rows])[0]

    return stats.bootstrap(
        (np.arange(len(members)),), statistic, n_resamples=resamples, method="percentile", vectorized=False, rng=0
    ).bootstrap_distribution


def assert_same_distribution(ours, theirs):
    """Location, spread and the ends of the interval, within five standard errors of either sample."""
    smaller = min(len(ours), len(theirs))
    spread = theirs.std()
    error = spread * math.sqrt(1 / len(ours) + 1 / len(theirs))
    assert abs(ours.mean() - theirs.mean()) < 5 * error
    assert ours.std() / spread == pytest.approx(1, abs=5 / math.sqrt(smaller))
    for share in (0.025, 0.975):
        density = stats.norm.pdf(stats.norm.ppf(share)) / spread
        allowed = 5 * math.sqrt(share * (1 - share) / smaller) / density
        assert abs(np.quantile(ours, share) - np.quantile(theirs, share)) < allowed


@pytest.mark.parametrize(("images", "clusters"), [(400, 20), (900, 900), (900, 450)], ids=["few", "by image", "many"])
def test_replicates_are_those_of_scipy(images, clusters):
    scores, references = sample(images, labels=8)
    number = np.random.default_rng(1).permutation(np.arange(images) % clusters)
    sums = cluster_sums(F1.counts(scores, references), number)
    ours = bootstrap(sums, F1.value, resamples=10_000, seed=0)
    assert_same_distribution(ours, scipys(scores, references, number))
    found = interval(F1.counts(scores, references), number, F1.value)
    assert (found.clusters, found.resamples) == (clusters, 10_000)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ours, [0.025, 0.975])))
    assert found.value == pytest.approx(Metric.score(scores, references)[0], abs=1e-12)


def weights_of(count, resamples, **drawn_from):
    """How often each of some rows is drawn: rows of a unit matrix give the weights themselves."""
    found = []

    def keep(sums):
        found.append(sums.copy())
        return sums[..., 0]

    rows = csr_array(np.eye(count)) if not drawn_from else csr_array(np.eye(drawn_from["width"])[drawn_from["kinds"]])
    bootstrap(rows, keep, resamples=resamples, seed=3)
    return np.concatenate(found)


@pytest.mark.parametrize("count", [2, 255, 256, 257, 1001])
def test_weights_are_multinomial(count):
    resamples = 4000
    weights = weights_of(count, resamples)
    assert weights.shape == (resamples, count)
    assert (weights.sum(axis=1) == count).all()
    assert (weights >= 0).all() and (weights == np.round(weights)).all()
    one = weights.ravel()
    seen = np.bincount(one.astype(int), minlength=6)[:6] / one.size
    expected = stats.binom.pmf(np.arange(6), count, 1 / count)
    np.testing.assert_allclose(seen, expected, atol=6 * math.sqrt(0.25 / resamples / min(count, 50)))
    together = (weights[:, 0] * weights[:, 1]).mean()  # covariance -1/n: E[w1 w2] = 1 - 1/n
    assert together == pytest.approx(1 - 1 / count, abs=6 * 1.5 / math.sqrt(resamples))


def test_equal_rows_are_drawn_together():
    kinds = np.repeat([0, 1, 2], [500, 300, 200])
    weights = weights_of(1000, 4000, kinds=kinds, width=3)
    assert (weights.sum(axis=1) == 1000).all()
    np.testing.assert_allclose(weights.mean(axis=0), [500, 300, 200], atol=6 * 16 / math.sqrt(4000))
    np.testing.assert_allclose(weights.var(axis=0), [250, 210, 160], rtol=6 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("count", [50, 700])
def test_the_same_seed_gives_the_same_numbers_with_any_number_of_threads(count, monkeypatch):
    counts, number = F1.counts(*sample(count, labels=8)), np.arange(count)
    first = interval(counts, number, F1.value, resamples=500, seed=1)
    monkeypatch.setattr(intervals, "cores", lambda: 1)
    intervals._even_weights.cache_clear()
    assert interval(counts, number, F1.value, resamples=500, seed=1) == first
    assert interval(counts, number, F1.value, resamples=500, seed=2) != first


def test_memory_is_bounded_by_chunks_which_change_nothing(monkeypatch):
    counts, number = F1.counts(*sample(700, labels=8)), np.arange(700)
    kept = interval(counts, number, F1.value, resamples=300)
    monkeypatch.setattr(intervals, "CELLS_KEPT", 0)
    assert interval(counts, number, F1.value, resamples=300) == kept
    monkeypatch.setattr(intervals, "CELLS_AT_ONCE", 2100)
    assert interval(counts, number, F1.value, resamples=300) == kept


def test_sparse_counts_of_many_classes_are_drawn_as_dense_ones_are(monkeypatch):
    rng = np.random.default_rng(0)
    scores, references = rng.random((600, 150)).astype(np.float32), rng.integers(-1, 150, 600)
    macro = COUNTED["macro_f1"]
    counts = macro.counts(scores, references)
    sparse = interval(counts, np.arange(600), macro.value, resamples=300)
    monkeypatch.setattr(intervals, "SPARSE_BELOW", 0)
    assert interval(counts, np.arange(600), macro.value, resamples=300) == sparse


def test_sums_too_large_for_float32_are_exact():
    big = csr_array(np.array([[2**24 + 1], [2**24 + 3]]))
    drawn = bootstrap(big, lambda sums: sums[..., 0], resamples=200, seed=0)
    assert set(drawn) == {2**25 + 2, 2**25 + 4, 2**25 + 6}


def test_one_cluster_has_no_interval():
    found = interval(F1.counts(*sample(30)), np.zeros(30, int), F1.value)
    assert found.clusters == 1 and found.resamples == 0
    assert math.isnan(found.low) and math.isnan(found.high) and found.value > 0


def test_nothing_annotated_has_no_interval():
    found = interval(F1.counts(np.ones((5, 2)), np.full((5, 2), -1)), np.arange(5), F1.value)
    assert math.isnan(found.value) and math.isnan(found.low) and found.resamples == 0


def test_resamples_that_do_not_define_the_metric_are_left_out():
    references = np.array([[1], [0], [0]])  # without the first image there is no positive: (2/3)**3 of the resamples
    found = interval(F1.counts(np.ones((3, 1)), references), np.arange(3), F1.value)
    assert found.resamples == pytest.approx(10_000 * (1 - (2 / 3) ** 3), abs=6 * 50)
    assert 0 < found.low <= found.high <= 1


def test_what_does_not_fit_is_refused():
    counts = F1.counts(*sample(10))
    with pytest.raises(ValueError, match="cluster of each of 10 images, found 9"):
        interval(counts, np.arange(9), F1.value)
