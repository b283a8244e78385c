"""Ranks: their probabilities against resampling by a plain loop, and what must hold of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.ranking import rank_probabilities, ranking
from bench.reports.ranking import ranking_table
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog

from .samples import record_of

SCORES = st.integers(1, 4).flatmap(
    lambda seeds: st.lists(
        st.lists(st.integers(0, 5).map(lambda v: v / 8), min_size=seeds, max_size=seeds), min_size=1, max_size=4
    )
)


def by_loop(scores):
    """Every ordered resample of seeds once, rank by counting the better."""
    found = [[0.0] * len(scores) for _ in scores]
    seeds = range(len(scores[0]))
    every = list(itertools.product(seeds, repeat=len(scores[0])))
    for drawn in every:
        means = [sum(row[seed] for seed in drawn) for row in scores]
        for i, mean in enumerate(means):
            found[i][sum(other > mean for other in means)] += 1 / len(every)
    return found


@given(SCORES)
def test_every_resample_counts_once(scores):
    assert rank_probabilities(np.array(scores)) == pytest.approx(np.array(by_loop(scores)))


def test_many_seeds_are_resampled_by_chance_and_come_to_the_same():
    scores = np.random.default_rng(3).normal(0.5, 0.1, (3, 12))
    found = rank_probabilities(scores)
    rng = np.random.default_rng(4)
    expected = np.zeros((3, 3))
    for _ in range(20_000):
        means = scores[:, rng.integers(0, 12, 12)].mean(1)
        expected[np.arange(3), (means[None] > means[:, None]).sum(1)] += 1 / 20_000
    assert found == pytest.approx(expected, abs=0.025)  # 5 standard errors of the difference
    assert (found == rank_probabilities(scores)).all()


@pytest.fixture
def planned(world, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    return lambda **choices: plan(open_catalog([]), "tiny", seeds=3, **choices)[0]


LEVELS = {"single_task": 0.5, "multi_task": 0.6, "distribution_matching": 0.601}


def records(one, **options):
    def made(run):
        swing = 0.01 * (-1) ** run.seed if run.method == "multi_task" else 0.0
        failed = options.get("diverged") == (run.method, run.seed)
        return record_of(one, run, lambda *_: LEVELS[run.method] + swing, diverged=failed)

    return {run.spec.id: made(run) for run in one.whole.runs}


def test_rows_of_a_suite_are_ranked(planned):
    one = planned()
    found = ranking(one, records(one))
    assert [row.method for row in found.rows] == ["multi_task", "distribution_matching", "single_task"]
    first, second, last = found.rows
    assert last.probabilities == (0, 0, 1) and (last.expected, last.low, last.high) == (3, 3, 3)
    # Seeds 0 and 2 lift multi_task over distribution_matching, seed 1 pulls it under: two draws of three decide.
    assert first.probabilities[0] == pytest.approx(20 / 27)
    assert second.probabilities[0] == pytest.approx(7 / 27)
    assert (first.low, first.high, first.expected) == (1, 2, pytest.approx(34 / 27))
    table = ranking_table(found)
    assert table.rows[0][1:] == ("multi_task", "0.603", "1.3", "1–2", "0.74", "0.26", "0.00")
    assert all(len(row) == len(table.headers) for row in table.rows)


def test_a_row_that_lacks_a_result_has_no_rank(planned):
    one = planned()
    found = ranking(one, records(one, diverged=("multi_task", 1)))
    assert [row.method for row in found.rows] == ["distribution_matching", "single_task"]
    assert found.incomplete == (("tiny_net", "multi_task"),)
    assert "multi_task on tiny_net" in ranking_table(found).notes[-1]


def test_a_part_is_ranked_as_in_the_whole(planned):
    part = planned(only=["multi_task"])
    found = ranking(part, records(part))
    assert [(row.method, len(row.probabilities)) for row in found.rows] == [("multi_task", 3), ("single_task", 3)]
    assert found.rows[0].probabilities[0] == pytest.approx(20 / 27)


def test_without_results_nothing_is_ranked(planned):
    found = ranking(planned(), {})
    assert found.rows == () and len(found.incomplete) == 3
    assert ranking_table(found).rows == ()
