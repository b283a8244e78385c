"""The statistics against scipy, closed forms and their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.statistics import (
    equivalence_p,
    equivalence_power,
    holm,
    minimum_detectable_effect,
    paired_t,
    pairs_to_decide,
    power,
    t_interval,
)

moderate = st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 6))
samples = st.lists(moderate, min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-4)


@given(samples)
def test_paired_t_is_scipys_one_sample_t_of_the_differences(values):
    expected = stats.ttest_1samp(values, 0)
    found = paired_t(values)
    assert found.n == len(values)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-15)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))


@given(samples, st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_is_scipys(values, confidence):
    low, high = t_interval(values, confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


@given(samples, st.floats(0.01, 5))
def test_equivalence_is_the_larger_of_two_one_sided_t_tests(values, margin):
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    assert equivalence_p(values, margin) == pytest.approx(max(above, below), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("values", [[], [0.3]])
def test_fewer_than_two_pairs_conclude_nothing(values):
    assert paired_t(values).p == 1
    assert equivalence_p(values, 1) == 1
    assert all(map(math.isnan, t_interval(values)))


@pytest.mark.parametrize("value", [0.02, -0.02, 1 / 3, 1e-9])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_one_and_the_same_difference_at_every_seed_is_no_evidence(value, n):
    """With few test images, seeds often differ by the same few of them; without a spread there is no t test."""
    assert paired_t([value] * n).p == 1
    assert equivalence_p([value] * n, 1.0) == 1


def test_no_difference_at_all_is_equivalent_and_not_different():
    assert paired_t([0.0, 0.0, 0.0]).p == 1
    assert equivalence_p([0.0, 0.0, 0.0], 0.01) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_by_its_definition(p_values):
    """Step down: the k-th smallest p is compared with alpha / (m - k + 1), and the first failure stops."""
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[place] * (len(p_values) - rank) >= alpha:
                break
            rejected.add(place)
        assert {i for i, p in enumerate(adjusted) if p < alpha} == rejected


def test_holm_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("effect", "n", "alpha"), [(2, 3, 0.05), (1.5, 5, 0.05), (1, 8, 0.0025), (0.5, 20, 0.01)])
def test_power_is_the_tail_of_the_noncentral_t(effect, n, alpha):
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    expected = stats.nct.sf(critical, n - 1, effect * math.sqrt(n))
    assert power(effect, 1.0, n, alpha) == pytest.approx(expected, abs=1e-6)
    assert power(effect * 3, 3.0, n, alpha) == pytest.approx(expected, abs=1e-6)  # only the ratio counts


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("family", [1, 20])
def test_power_by_simulation(n, family):
    """Also where scipy's noncentral t gives NaN: few seeds and a large family."""
    alpha = 0.05 / family
    effect = minimum_detectable_effect(1.0, n, alpha)
    rng = np.random.default_rng(7)
    draws = rng.normal(effect, 1.0, (40_000, n))
    t = draws.mean(1) / draws.std(1, ddof=1) * math.sqrt(n)
    found = float((t > stats.t.ppf(1 - alpha / 2, n - 1)).mean())
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / len(draws)))


@given(st.floats(0.001, 10), st.integers(2, 30), st.sampled_from([0.05, 0.0025]))
def test_the_detectable_effect_has_the_wanted_power_and_scales_with_the_spread(deviation, n, alpha):
    effect = minimum_detectable_effect(deviation, n, alpha)
    assert power(effect, deviation, n, alpha) == pytest.approx(0.8, abs=1e-6)
    assert effect == pytest.approx(deviation * minimum_detectable_effect(1.0, n, alpha))


def test_more_seeds_and_smaller_families_detect_smaller_effects():
    by_seeds = [minimum_detectable_effect(1, n, 0.05) for n in range(2, 12)]
    by_family = [minimum_detectable_effect(1, 5, 0.05 / m) for m in (1, 5, 20)]
    assert by_seeds == sorted(by_seeds, reverse=True)
    assert by_family == sorted(by_family)


@pytest.mark.parametrize(("deviation", "n"), [(0.0, 5), (math.nan, 5), (1.0, 1)])
def test_without_spread_or_pairs_nothing_is_detectable(deviation, n):
    assert math.isnan(minimum_detectable_effect(deviation, n, 0.05))


@pytest.mark.parametrize(("n", "margin"), [(3, 4.0), (5, 2.0), (8, 1.2), (30, 0.6)])
def test_the_power_of_equivalence_by_simulation(n, margin):
    draws = np.random.default_rng(n).normal(0, 1, (20_000, n))
    error = draws.std(1, ddof=1) / math.sqrt(n)
    found = (np.abs(draws.mean(1)) + stats.t.ppf(0.95, n - 1) * error < margin).mean()
    assert equivalence_power(margin, 1.0, n, 0.05) == pytest.approx(found, abs=4 * 0.5 / math.sqrt(20_000))


@given(st.floats(0.2, 5), st.sampled_from([0.05, 0.001]))
def test_pairs_to_decide_are_the_least_that_suffice(ratio, alpha):
    n = pairs_to_decide(1 / ratio, 1.0, alpha)

    def decides(pairs):
        return min(power(ratio, 1.0, pairs, alpha), equivalence_power(ratio, 1.0, pairs, alpha)) >= 0.8 - 1e-9

    assert decides(n)
    assert n == 2 or not decides(n - 1)


@pytest.mark.parametrize(("deviation", "margin"), [(0.0, 0.1), (math.nan, 0.1), (1.0, 1e-6)])
def test_where_no_number_of_pairs_can_be_told_there_is_none(deviation, margin):
    assert pairs_to_decide(deviation, margin, 0.05) is None
