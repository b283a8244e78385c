"""Reported numbers against those of now: tolerances, and what is said of each number."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy import stats

from bench.analysis.regression import (
    Comparison,
    altered_tolerances,
    changed,
    compare,
    differences,
    freeze,
    surroundings_of,
    tolerance,
)
from bench.errors import NothingMeasured, UsageError
from bench.runs.plan import plan
from bench.runs.records import Score, read_record
from bench.specs.catalog import open_catalog

ZERO = Score(value=0.0, higher_is_better=True)


@pytest.fixture
def measured(finished, monkeypatch):
    """The plan of a finished suite, and its records by run id."""
    for name, value in finished.variables.items():
        monkeypatch.setenv(name, value)
    plans = plan(open_catalog([]), "tiny")
    return plans, {f.name: read_record(f) for f in (finished.results / "runs" / "standin").iterdir()}


@pytest.fixture
def frozen(measured):
    plans, records = measured
    return freeze(plans, records, [records], on=date(2026, 1, 1))


def moved(records, by, *, method="multi_task", seeds=(0, 1), metric="macro_f1"):
    """Records in which a metric of a method's expressions is another."""
    found = {}
    for run_id, record in records.items():
        if record.run.method == method and record.run.seed in seeds and "tiny_faces" in record.scores:
            task = dict(record.scores["tiny_faces"]["expression"])
            task[metric] = task[metric].model_copy(update={"value": task[metric].value + by})
            scores = {**record.scores, "tiny_faces": {"expression": task}}
            record = record.model_copy(update={"scores": scores})
        found[run_id] = record
    return found


def elsewhere(records):
    """The same records, made on a machine with more threads."""
    return {
        run_id: record.model_copy(
            update={
                "environment": {
                    **record.environment,
                    "hardware": {**record.environment["hardware"], "threads": 64},
                }
            }
        )
        for run_id, record in records.items()
    }


def judged(frozen, plans, records) -> Comparison:
    return compare(frozen, plans, records, surroundings_of(next(iter(records.values()))))


def of(found, metric="macro_f1", method="multi_task"):
    (one,) = [f for f in found.findings if (f.metric, f.key[1], f.key[4]) == (metric, "tiny_faces", method)]
    return one


def test_a_report_holds_every_number_with_its_spread(measured, frozen):
    records = measured[1]
    assert len(frozen.cells) == 6 and frozen.exact and frozen.seeds == (0, 1)
    for cell in frozen.cells:
        for metric, number in cell.numbers.items():
            values = [
                score.value
                for record in sorted(records.values(), key=lambda record: record.run.seed)
                if record.run.method == cell.method and (score := record.score(cell.dataset, cell.task, metric))
            ]
            assert list(number.scores) == values
            assert number.mean == pytest.approx(np.mean(values)) and number.deviation == pytest.approx(
                np.std(values, ddof=1)
            )
            assert number.repeat == 0


def test_a_tolerance_is_that_of_a_two_sample_t_test(frozen):
    rng = np.random.default_rng(0)
    for cell in frozen.cells:
        for number in cell.numbers.values():
            then = np.array(number.scores)
            if not then.std():
                continue
            # Where two samples of this spread lie just so far apart, their t test says alpha / K.
            other = then + number.tolerance
            assert stats.ttest_ind(then, other).pvalue == pytest.approx(0.05 / 18)
    values = rng.normal(0.5, 0.1, 5)
    moved_by = tolerance(values.var(ddof=1), 5, 40)
    assert stats.ttest_ind(values, values - moved_by).pvalue == pytest.approx(0.05 / 40)


def test_a_tolerance_is_widened_where_seeds_spread_more_now(measured, frozen):
    plans, records = measured
    number = next(c for c in frozen.cells if (c.dataset, c.method) == ("tiny_faces", "multi_task")).numbers["macro_f1"]
    spread = moved(moved(records, 0.3, seeds=(0,)), -0.3, seeds=(1,))
    then = np.array(number.scores)
    now = then + np.array([0.3, -0.3])
    limit = of(judged(frozen, plans, elsewhere(spread))).tolerance
    assert limit == pytest.approx(tolerance((then.var(ddof=1) + now.var(ddof=1)) / 2, 2, 18))
    assert limit > number.tolerance


def test_numbers_that_are_the_same_are_the_same(measured, frozen):
    plans, records = measured
    found = judged(frozen, plans, records)
    assert {finding.status for finding in found.findings} == {"same"}
    assert (found.exact, found.compared, found.unreported) == (True, 18, 0)


@pytest.mark.parametrize(("by", "status"), [(-1e-6, "regressed"), (1e-6, "improved"), (1e-15, "same")])
def test_on_the_same_machine_any_fall_is_a_regression(measured, frozen, by, status):
    plans, records = measured
    found = judged(frozen, plans, moved(records, by, seeds=(1,)))
    assert of(found).status == status
    assert found.count("same") == 18 - (status != "same")


def test_scores_that_trade_places_are_a_regression_there(measured, frozen):
    plans, records = measured
    swapped = moved(moved(records, 0.01, seeds=(0,)), -0.01, seeds=(1,))
    assert of(judged(frozen, plans, swapped)).status == "regressed"


@pytest.mark.parametrize(
    ("times", "status"), [(-0.9, "within_noise"), (0.9, "within_noise"), (-1.1, "regressed"), (1.1, "improved")]
)
def test_elsewhere_a_mean_may_move_as_far_as_its_tolerance(measured, frozen, times, status):
    plans, records = measured
    number = next(c for c in frozen.cells if (c.dataset, c.method) == ("tiny_faces", "multi_task")).numbers["macro_f1"]
    found = judged(frozen, plans, elsewhere(moved(records, times * number.tolerance)))
    assert not found.exact and found.differing == ("threads: 1, now 64",)
    assert of(found).status == status
    assert of(found).change == pytest.approx(times * number.tolerance)


def test_elsewhere_seeds_without_spread_tell_nothing(measured):
    plans, records = measured
    flat = {
        run_id: moved({run_id: record}, 0.5 - (record.score("tiny_faces", "expression", "macro_f1") or ZERO).value)[
            run_id
        ]
        for run_id, record in records.items()
    }
    report = freeze(plans, flat, [flat], on=date(2026, 1, 1))
    assert of(judged(report, plans, moved(flat, -0.1))).status == "regressed"  # here it is the same to the bit
    found = of(judged(report, plans, elsewhere(moved(flat, -0.1))))
    assert (found.status, found.change) == ("incomparable", pytest.approx(-0.1))
    assert "do not spread" in found.why
    assert of(judged(report, plans, elsewhere(flat))).status == "same"


def test_repeats_that_differ_are_written_down_and_take_exactness_away(measured):
    plans, records = measured
    report = freeze(plans, records, [moved(records, 0.004)], on=date(2026, 1, 1))
    number = next(c for c in report.cells if (c.dataset, c.method) == ("tiny_faces", "multi_task")).numbers["macro_f1"]
    assert not report.exact and number.repeat == pytest.approx(0.004)
    assert not freeze(plans, records, [], on=date(2026, 1, 1)).exact
    assert of(judged(report, plans, moved(records, -1e-6))).status == "within_noise"


def test_records_of_several_machines_promise_nothing_to_the_bit(measured):
    plans, records = measured
    first, *_ = records
    mixed = records | {first: elsewhere(records)[first]}
    report = freeze(plans, mixed, [mixed], on=date(2026, 1, 1))
    assert len(report.surroundings) == 2 and not report.exact
    assert differences(report.surroundings, surroundings_of(records[first])) == ()


def test_what_is_missing_is_missing_and_a_report_is_whole(measured, frozen):
    plans, records = measured
    gone = next(run_id for run_id, record in records.items() if record.run.method == "multi_task")
    left = {run_id: record for run_id, record in records.items() if run_id != gone}
    found = judged(frozen, plans, left)
    assert (of(found).status, of(found).why) == ("missing", "1 of 2 seeds: no result")
    assert found.count("missing") == 6 and found.failed == 0
    with pytest.raises(NothingMeasured, match="6 results are missing"):
        freeze(plans, left, [], on=date(2026, 1, 1))


def test_one_seed_cannot_be_frozen(measured):
    with pytest.raises(UsageError, match="no spread"):
        freeze(plan(open_catalog([]), "tiny", seeds=1), measured[1], [], on=date(2026, 1, 1))


@pytest.mark.parametrize("part", ["budget", "data", "code", "specs"])
def test_other_fingerprints_are_not_compared_and_the_part_is_named(measured, frozen, part):
    plans, records = measured
    cells = tuple(
        cell.model_copy(update={"fingerprints": cell.fingerprints.model_copy(update={part: "0" * 16})})
        if cell.method == "multi_task"
        else cell
        for cell in frozen.cells
    )
    found = judged(frozen.model_copy(update={"cells": cells}), plans, records)
    assert (of(found).status, of(found).why, of(found).now) == ("incomparable", f"other {part}", None)
    assert found.count("same") == 12


def test_a_cell_that_the_suite_lost_and_one_that_it_won_are_told(measured, frozen):
    plans, records = measured
    lost = frozen.cells[0].model_copy(update={"method": "gone"})
    found = judged(frozen.model_copy(update={"cells": (lost, *frozen.cells[1:])}), plans, records)
    assert found.findings[0].status == "missing" and "any more" in found.findings[0].why
    assert found.unreported == len(lost.numbers)


def test_an_edited_tolerance_is_found(frozen):
    assert altered_tolerances(frozen) == {}
    cell = frozen.cells[2]
    metric, number = next(iter(cell.numbers.items()))
    wider = cell.model_copy(update={"numbers": cell.numbers | {metric: number.model_copy(update={"tolerance": 0.9})}})
    edited = frozen.model_copy(update={"cells": (*frozen.cells[:2], wider, *frozen.cells[3:])})
    assert altered_tolerances(edited) == {(2, metric): pytest.approx(number.tolerance)}
    assert changed(frozen, frozen) == []


@pytest.mark.parametrize(("seeds", "uneven"), [(2, 1.0), (3, 1.0), (3, 4.0), (5, 1.0), (5, 4.0)])
def test_elsewhere_false_alarms_are_rare(seeds, uneven):
    """Suites in which nothing changed, drawn anew: a regression or improvement in at most 5 % of them."""
    rng = np.random.default_rng(seeds)
    spread, count, repeats = np.where(np.arange(20) < 5, 0.01 * uneven, 0.01), 20, 2000
    alarms = 0
    for _ in range(repeats):
        then, now = (0.5 + spread[:, None] * rng.normal(0, 1, (count, seeds)) for _ in range(2))
        first, both = then.var(1, ddof=1), (then.var(1, ddof=1) + now.var(1, ddof=1)) / 2
        limits = [max(tolerance(a, seeds, count), tolerance(b, seeds, count)) for a, b in zip(first, both, strict=True)]
        alarms += bool((np.abs(now.mean(1) - then.mean(1)) > limits).any())
    assert stats.binomtest(alarms, repeats, 0.05, alternative="greater").pvalue > 1e-3


def test_elsewhere_large_falls_are_found():
    """A fall of six spreads in one cell of twenty is found in nearly every suite of five seeds."""
    rng = np.random.default_rng(1)
    caught = 0
    for _ in range(200):
        then, now = rng.normal(0.5, 0.01, 5), rng.normal(0.44, 0.01, 5)
        both = (then.var(ddof=1) + now.var(ddof=1)) / 2
        caught += then.mean() - now.mean() > max(tolerance(then.var(ddof=1), 5, 20), tolerance(both, 5, 20))
    assert caught > 180
