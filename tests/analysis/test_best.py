"""What is bold: the best of a column and what a paired t test cannot tell from it, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.analysis.best import among_best


def by_seed(*values):
    return dict(enumerate(values))


def expected(columns):
    """The same by scipy's paired test and Holm's step-down procedure."""
    array = np.array(columns)
    best = int(array.mean(1).argmax())
    others = sorted((float(stats.ttest_rel(array[i], array[best]).pvalue), i) for i in range(len(array)) if i != best)
    marked = {best} | {i for _, i in others}
    for rank, (p, i) in enumerate(others):
        if p * (len(others) - rank) >= 0.05:
            break
        marked.remove(i)
    return tuple(i in marked for i in range(len(array)))


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(3, 8))
def test_marks_are_those_of_scipy_and_holm(seed, rows, seeds):
    draw = np.random.default_rng(seed)
    columns = draw.normal(0.6, 0.02, (rows, seeds)) + draw.normal(0, 0.05, (rows, 1))
    assert among_best([by_seed(*map(float, values)) for values in columns]) == expected(columns)


def test_less_may_be_better():
    clear = [by_seed(0.1, 0.11, 0.12), by_seed(0.5, 0.52, 0.51)]
    assert among_best(clear) == (False, True)
    assert among_best(clear, higher_is_better=False) == (True, False)


def test_incomplete_entries_take_no_part():
    assert among_best([{}, by_seed(0.5, 0.6), {}]) == (False, True, False)
    assert among_best([{}, {}]) == (False, False)


def test_with_one_seed_nothing_is_told_apart_so_only_the_best_is_marked():
    assert among_best([by_seed(0.5), by_seed(0.6), by_seed(0.6)]) == (False, True, True)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_same_difference_throughout_is_no_evidence(shift):
    assert among_best([by_seed(0.5, 0.6, 0.7), by_seed(0.5 + shift, 0.6 + shift, 0.7 + shift)]) == (True, True)
