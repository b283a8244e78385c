"""Verdicts: right by simulation where truths are known, and by construction in single cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.analysis.scores import CellScores
from bench.analysis.statistics import pairs_to_decide
from bench.analysis.transfer import ALPHA, judge, paired_differences, relative_change, transfer
from bench.errors import UnknownName
from bench.reports.transfer import method_table
from bench.runs.plan import Cell, plan
from bench.specs.catalog import open_catalog

from .samples import record_of
from .verdict_simulation import Truth, detectable, family, outcomes

REPEATS = 600


def at_most(rate: float, repeats: int) -> float:
    """The count that chance exceeds once in a thousand when the rate is true."""
    return float(stats.binom.ppf(0.999, repeats, rate))


@pytest.mark.parametrize("shared", [0.0, 0.7], ids=["independent", "correlated"])
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_equal_truths_are_called_harm_in_at_most_five_percent_of_suites(seeds, shared):
    families, _ = outcomes(Truth(cells=10, seeds=seeds, shared=shared), REPEATS)
    assert families["harm"] <= at_most(0.05, REPEATS)
    assert families["harm"] + families["benefit"] <= at_most(0.05, 2 * REPEATS) + at_most(0.025, REPEATS)


@pytest.mark.parametrize("shared", [0.0, 0.7], ids=["independent", "correlated"])
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds, shared):
    cells = 2
    _, counts = outcomes(Truth(cells=cells, seeds=seeds, effect=0.004, shared=shared), REPEATS)
    # Cells of one family may share their luck: counted as if they did wholly.
    assert counts["covered"] / (cells * REPEATS) == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / REPEATS))


@pytest.mark.parametrize("shared", [0.0, 0.7], ids=["independent", "correlated"])
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_the_detectable_effect_is_found_as_often_as_is_said(seeds, shared):
    """It is stated for Holm's first step, the strictest: one effect among cells without any."""
    truth = Truth(cells=10, seeds=seeds, shared=shared, affected=1)
    _, counts = outcomes(replace(truth, effect=-detectable(truth)), REPEATS)
    assert counts["harm"] / REPEATS == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / REPEATS))


def test_a_family_of_one_errs_as_often_as_it_says():
    """Not only at most: half of the five percent fall on each side."""
    _, cells = outcomes(Truth(cells=1, seeds=4), 4 * REPEATS)
    assert cells["harm"] / (4 * REPEATS) == pytest.approx(0.025, abs=0.012)
    assert cells["benefit"] / (4 * REPEATS) == pytest.approx(0.025, abs=0.012)


@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize(("sign", "outcome"), [(-1, "harm"), (1, "benefit")])
def test_twice_the_detectable_effect_is_found(seeds, sign, outcome):
    truth = Truth(cells=10, seeds=seeds)
    effect = sign * 2 * detectable(truth)
    _, cells = outcomes(replace(truth, effect=effect), 60)
    assert cells[outcome] >= 0.95 * 600


def test_differences_within_the_margin_are_equivalent():
    families, cells = outcomes(Truth(cells=5, seeds=5, spread=0.001), 100, margin=0.02)
    assert cells["equivalent"] == 500
    assert not families["harm"]


def test_a_true_difference_at_the_margin_is_rarely_called_equivalent():
    """At the edge of the margin TOST errs at most as often as it says."""
    _, cells = outcomes(Truth(cells=1, seeds=5, effect=-0.02, spread=0.005), REPEATS, margin=0.02)
    assert cells["equivalent"] <= at_most(0.05, REPEATS)


def cell(values: list[float], method: str = "joint", *, higher: bool = True) -> CellScores:
    scores = {seed: value for seed, value in enumerate(values) if not math.isnan(value)}
    absent = {seed: "diverged" for seed, value in enumerate(values) if math.isnan(value)}
    return CellScores(Cell("data", "task", "net", method), "accuracy", True, higher, scores, absent)


def verdict(joint: list[float], single: list[float], margin: float = 0.01, *, higher: bool = True):
    pair = (cell(joint, higher=higher), cell(single, "single_task", higher=higher))
    return judge([pair], {"accuracy": margin})[0]


def test_clear_harm_and_clear_benefit():
    single = [0.80, 0.82, 0.81, 0.79]
    assert verdict([0.70, 0.73, 0.71, 0.70], single).outcome == "harm"
    assert verdict([0.90, 0.93, 0.91, 0.90], single).outcome == "benefit"


def test_where_less_is_better_signs_turn():
    single = [0.80, 0.82, 0.81, 0.79]
    found = verdict([0.70, 0.73, 0.71, 0.70], single, higher=False)
    assert found.outcome == "benefit"
    assert found.difference == pytest.approx(0.095)
    assert found.worse_by_mean is False


def test_pairing_is_by_seed():
    """Seeds vary a lot, differences hardly: unpaired, nothing could be said."""
    single = [0.50, 0.60, 0.70, 0.80]
    joint = [value - 0.05 + 0.001 * i for i, value in enumerate(single)]
    assert verdict(joint, single).outcome == "harm"


def test_only_shared_seeds_count():
    joint, single = cell([0.7, math.nan, 0.7, 0.72]), cell([0.6, 0.6, math.nan, 0.61], "single_task")
    assert paired_differences(joint, single) == pytest.approx({0: 0.1, 3: 0.11})
    assert judge([(joint, single)], {"accuracy": 0.01})[0].seeds == (0, 3)


@pytest.mark.parametrize(
    ("joint", "single", "note"),
    [
        ([0.7], [0.8], "fewer than two seeds"),
        ([math.nan, 0.7], [0.8, 0.8], "fewer than two seeds"),
        ([0.7, 0.7, 0.7], [0.8, 0.8, 0.8], "the same difference at every seed"),
    ],
)
def test_too_little_to_go_by_is_inconclusive_and_says_why(joint, single, note):
    found = verdict(joint, single)
    assert found.outcome == "inconclusive"
    assert note in found.note


def test_without_a_margin_nothing_is_equivalent():
    pair = (cell([0.8, 0.8001, 0.7999]), cell([0.8, 0.8, 0.8], "single_task"))
    assert judge([pair], {"accuracy": 0.01})[0].outcome == "equivalent"
    assert judge([pair], {})[0].outcome == "inconclusive"


def test_a_larger_family_needs_stronger_evidence():
    clear = (cell([0.70, 0.74, 0.69]), cell([0.80, 0.82, 0.81], "single_task"))
    nothing = (cell([0.80, 0.83, 0.80]), cell([0.80, 0.82, 0.81], "single_task"))
    alone = judge([clear], {})[0]
    among = judge([clear, *[nothing] * 19], {})[0]
    assert alone.outcome == "harm"
    assert among.outcome == "inconclusive"
    assert among.p == pytest.approx(20 * alone.p)
    assert among.detectable > alone.detectable


def test_delta_m_by_hand():
    """(0.66 - 0.60) / 0.60 = 10 %, (0.40 - 0.50) / 0.50 = -20 %: Δm = -5 %."""
    pairs = [(cell([0.66]), cell([0.60], "single_task")), (cell([0.40]), cell([0.50], "single_task"))]
    assert relative_change(pairs, 0) == pytest.approx(-5)


def test_delta_m_is_not_defined_over_a_score_of_zero():
    assert relative_change([(cell([0.1]), cell([0.0], "single_task"))], 0) is None


@pytest.fixture
def planned(world, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    return lambda **choices: plan(open_catalog([]), "tiny", **choices)[0]


def made_up(one, changes=None):
    """Records with scores of each seed and data set, and what a method changes about them, with a little noise."""

    def made(run):
        def score(dataset, *_):
            noise = np.random.default_rng([run.seed, *dataset.encode(), *run.method.encode()]).normal(0, 0.001)
            return 0.6 + 0.05 * run.seed + (changes or {}).get(run.method, {}).get(dataset, 0.0) + noise

        return record_of(one, run, score)

    return {run.spec.id: made(run) for run in one.runs}


def test_a_twin_that_scores_nothing_is_named_where_no_relative_change_is_shown(planned):
    one = planned()

    def table(nothing):
        def made(run):
            cell = (run.method, run.seed)
            return record_of(one, run, lambda dataset, *_: 0.0 if (*cell, dataset) == nothing else 0.5 + run.seed / 10)

        return method_table(transfer(one, {run.spec.id: made(run) for run in one.runs}))

    found = table(("single_task", 1, "tiny_units"))
    assert {row[8] for row in found.rows} == {"–"}
    twin = "tiny_units/action_units/tiny_net/single_task"
    assert found.notes[-1] == f"no Δm relative to a reference that scores 0 with some seed: {twin}"
    whole = table(None)
    assert {row[8] for row in whole.rows} == {"+0.0 [+0.0, +0.0]"}
    assert not any("scores 0" in note for note in whole.notes)


def test_what_an_inconclusive_cell_needs_decides_it():
    """At the number of seeds that is told, equal truths come out equivalent, and those a margin apart as harm."""
    spread, margin = 0.01, 0.02
    first, *_ = family(Truth(cells=5, seeds=3, spread=spread), np.random.default_rng(0), margin)
    assert first.outcome == "inconclusive"
    needed = pairs_to_decide(spread, margin, ALPHA / 5)
    _, same = outcomes(Truth(cells=5, seeds=needed, spread=spread), 200, margin=margin)
    assert same["equivalent"] >= 0.76 * 1000
    _, apart = outcomes(Truth(cells=5, seeds=needed, spread=spread, effect=-margin), 200, margin=margin)
    assert apart["harm"] >= 0.76 * 1000
    assert (
        verdict([0.70, 0.74, 0.69], [0.71, 0.72, 0.70], 0.02).more_seeds
        == pairs_to_decide(np.std([-0.01, 0.02, -0.01], ddof=1), 0.02, ALPHA) - 3
    )
    assert verdict([0.70, 0.73, 0.71, 0.70], [0.80, 0.82, 0.81, 0.79]).more_seeds is None


def test_any_method_may_be_the_reference(planned):
    one = planned(seeds=4)
    report = transfer(one, made_up(one), reference="multi_task")
    assert {(v.cell.method, v.reference) for v in report.verdicts} == {
        ("single_task", "multi_task"),
        ("distribution_matching", "multi_task"),
    }
    against_twin = {v.cell: v for v in transfer(one, made_up(one)).verdicts}
    for found in report.verdicts:
        if found.cell.method == "single_task":
            mirrored = against_twin[replace(found.cell, method="multi_task")]
            assert found.difference == pytest.approx(-mirrored.difference)
            assert found.reference_score == mirrored.score
    assert {method.literal_flag for method in report.methods} == {None}
    assert {method.delta_m is not None for method in report.methods} == {True}
    with pytest.raises(UnknownName, match="did you mean 'multi_task'"):
        transfer(one, {}, reference="multi_tsk")


def test_the_worst_cell_and_the_share_of_harmed_cells(planned):
    one = planned(seeds=4)
    report = transfer(one, made_up(one, {"multi_task": {"tiny_units": -0.2}}))
    (method,) = [m for m in report.methods if m.method == "multi_task"]
    assert (method.counts["harm"], method.judged) == (1, 2)
    assert (method.worst.cell.dataset, method.worst.difference) == ("tiny_units", pytest.approx(-0.2, abs=0.01))
    (row,) = [row for row in method_table(report).rows if row[1] == "multi_task"]
    assert row[6:8] == ("50%", f"tiny_units/action_units {method.worst.difference:+.3f}")


def test_what_is_inconclusive_may_be_harmed(planned):
    one = planned(seeds=1)
    report = transfer(one, made_up(one, {"multi_task": {"tiny_units": -0.2}}))
    (method,) = [m for m in report.methods if m.method == "multi_task"]
    undecided = method.counts["inconclusive"]
    assert undecided and not method.counts["harm"]
    (row,) = [row for row in method_table(report).rows if row[1] == "multi_task"]
    assert row[6] == f"0–{undecided / method.judged:.0%}"
