"""The statistics behind verdicts: plain sequences in, plain numbers out.

Differences are joint minus single-task, paired by seed: the two share split, order, augmentation and initialisation
streams, so the pairing takes out what the seed does to both.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

QUADRATURE_NODES = 200
MOST_PAIRS = 4096
"""Where `pairs_to_decide` gives up looking."""


@dataclass(frozen=True)
class PairedTest:
    """A paired t test: mean difference, its standard deviation over pairs, and the two-sided p value."""

    n: int
    mean: float
    deviation: float
    p: float


def paired_t(differences: Sequence[float]) -> PairedTest:
    """Student's paired t test of a mean difference of 0.

    With fewer than two pairs, or pairs that all differ by the same amount other than 0 (nothing to estimate the
    spread from, as happens with few test images), nothing can be concluded and p is 1.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2:
        return PairedTest(n, float(values.mean()) if n else math.nan, math.nan, 1.0)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if _is_flat(mean, deviation):
        return PairedTest(n, mean, 0.0, 1.0)
    t = mean / (deviation / math.sqrt(n))
    return PairedTest(n, mean, deviation, float(2 * stats.t.sf(abs(t), n - 1)))


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean; NaN with fewer than two values."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + confidence) / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return float(array.mean()) - half, float(array.mean()) + half


def equivalence_p(differences: Sequence[float], margin: float) -> float:
    """p value of two one-sided t tests: the mean difference lies within (-margin, margin).

    Schuirmann 1987, https://doi.org/10.1007/BF01068419. Pairs without any difference at all are equivalent (p = 0);
    with fewer than two pairs, or one and the same difference throughout, p is 1.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return 1.0
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if _is_flat(mean, deviation):
        return 0.0 if mean == 0 else 1.0
    error = deviation / math.sqrt(len(values))
    above = stats.t.sf((mean + margin) / error, len(values) - 1)
    below = stats.t.cdf((mean - margin) / error, len(values) - 1)
    return float(max(above, below))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: rejecting those under alpha keeps the chance of any false rejection under alpha.

    Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def power(effect: float, deviation: float, n: int, alpha: float) -> float:
    """Chance that a paired t test over n pairs finds a true mean difference in its direction, two-sided at alpha.

    The tail of a noncentral t: P(Z + shift > critical * sqrt(V / df)) with V chi-squared, integrated over V by
    Gauss-Legendre quadrature on its quantiles. (`scipy.stats.nct` gives NaN for few pairs and small alpha.)
    """
    df, shift = n - 1, effect / deviation * math.sqrt(n)
    scale, weights = _spreads(df)
    return float(np.sum(weights * special.ndtr(shift - _t_quantile(1 - alpha / 2, df) * scale)))


def equivalence_power(margin: float, deviation: float, n: int, alpha: float) -> float:
    """Chance that two one-sided t tests over n pairs, each at alpha, find equivalence where nothing differs.

    They do where |mean| < margin - critical * S / sqrt(n); integrated over S as in `power`.
    """
    df = n - 1
    scale, weights = _spreads(df)
    within = margin / deviation * math.sqrt(n) - _t_quantile(1 - alpha, df) * scale
    return float(np.sum(weights * np.maximum(2 * special.ndtr(within) - 1, 0)))


@cache
def _t_quantile(probability: float, df: int) -> float:
    return float(stats.t.ppf(probability, df))


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(QUADRATURE_NODES)


@cache
def _spreads(df: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of S / sigma, and weights that sum to 1: an integral over the estimated spread is a weighted sum."""
    nodes, weights = _legendre()
    return np.sqrt(2 * special.gammaincinv(df / 2, (nodes + 1) / 2) / df), weights / 2


def minimum_detectable_effect(deviation: float, n: int, alpha: float, wanted_power: float = 0.8) -> float:
    """The smallest true mean difference that is found with `wanted_power`, for that spread and number of pairs.

    NaN with fewer than two pairs or without a spread.
    """
    if n < 2 or not deviation > 0:
        return math.nan
    return deviation * _detectable_in_deviations(n, alpha, wanted_power)


def pairs_to_decide(deviation: float, margin: float, alpha: float, wanted_power: float = 0.8) -> int | None:
    """The least number of pairs with which a cell is likely decided, for that spread of differences.

    With so many, a true difference as large as the margin is found, and where nothing differs equivalence is found,
    each with `wanted_power`. It does not build on the difference that was seen, which is the larger the luckier the
    draw. None without a spread, or where more than `MOST_PAIRS` would be needed.
    """
    if not deviation > 0:
        return None
    ratio = margin / deviation

    def enough(n: int) -> bool:
        return (
            max(_detectable_in_deviations(n, alpha, wanted_power), _equivalent_in_deviations(n, alpha, wanted_power))
            <= ratio
        )

    upper = 2
    while not enough(upper):
        upper *= 2
        if upper > MOST_PAIRS:
            return None
    return bisect_left(range(upper + 1), True, lo=2, key=enough)


@cache
def _detectable_in_deviations(n: int, alpha: float, wanted_power: float) -> float:
    return _least(lambda effect: power(effect, 1.0, n, alpha), wanted_power)


@cache
def _equivalent_in_deviations(n: int, alpha: float, wanted_power: float) -> float:
    return _least(lambda margin: equivalence_power(margin, 1.0, n, alpha), wanted_power)


def _least(rising: Callable[[float], float], wanted: float) -> float:
    """Where a function that rises from 0 reaches a value."""
    upper = 1.0
    while rising(upper) < wanted:
        upper *= 2
    return float(optimize.brentq(lambda value: rising(value) - wanted, 0.0, upper))


def _is_flat(mean: float, deviation: float) -> bool:
    """Whether differences are one and the same number but for rounding."""
    return deviation <= 1e-12 * max(abs(mean), 1e-300)
