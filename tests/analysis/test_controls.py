"""Negative controls: what is said of a gain follows from paired scores, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.controls import controls
from bench.reports.controls import control_cell_table, control_table
from bench.reports.table import STANDIN_WARNING
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog

from .samples import record_of

SEEDS = 5
METHOD = "distribution_matching"
PERMUTED, UNIFORM, ZERO = (f"{METHOD}_{kind}" for kind in ("permuted", "uniform", "zero"))


@pytest.fixture
def planned(world, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)

    def make(**choices):
        (one,) = plan(open_catalog([]), "tiny", **({"seeds": SEEDS, "controls": True} | choices))
        return one

    return make


def records_with(one, score, *, diverged=()):
    """Records of a plan's runs; `score(method, dataset, metric, seed)`."""

    def made(run):
        failed = (run.method, run.seed) in diverged
        return record_of(
            one, run, lambda dataset, _, metric: score(run.method, dataset, metric, run.seed), diverged=failed
        )

    return {run.spec.id: made(run) for run in one.runs}


def scores(factors, spread=0.002):
    """Scores that are those of the reference times a factor by method, with a little noise of their own."""

    def score(method, dataset, metric, seed):
        common = np.random.default_rng([seed, *dataset.encode()])
        base = 0.5 + 0.1 * common.random()
        factor = factors.get(method, 1.0)
        if method in ("multi_task", ZERO):
            return base * factor
        own = np.random.default_rng([seed, *dataset.encode(), *metric.encode(), *method.encode()])
        return base * factor + spread * own.standard_normal()

    return score


def judged(one, score, **options):
    report = controls(one, records_with(one.whole, score, **options))
    return report, {verdict.kind: verdict for verdict in report.verdicts}


@pytest.mark.parametrize(
    ("factors", "findings"),
    [
        ({METHOD: 1.2}, ("vanishes", "vanishes", "vanishes")),
        ({METHOD: 1.2, PERMUTED: 1.2, UNIFORM: 1.1}, ("remains", "shrinks", "vanishes")),
        ({METHOD: 1.0}, ("none shown", "none shown", "none shown")),
        ({METHOD: 0.8, PERMUTED: 1.2}, ("none shown", "none shown", "none shown")),
        ({METHOD: 1.2, PERMUTED: 0.8, UNIFORM: 1.4}, ("vanishes", "remains", "vanishes")),
    ],
)
def test_what_is_said_of_a_gain(planned, factors, findings):
    report, by_kind = judged(planned(), scores(factors))
    assert tuple(by_kind[kind].finding for kind in ("permuted", "uniform", "zero")) == findings
    assert report.family == 3
    assert report.unjudged == ()


def test_a_control_that_scatters_says_nothing_either_way(planned):
    def score(method, dataset, metric, seed):
        value = scores({METHOD: 1.1})(method, dataset, metric, seed)
        return value + 0.2 * (-1) ** seed if method == PERMUTED else value

    _, by_kind = judged(planned(), score)
    assert by_kind["permuted"].finding == "inconclusive"
    assert by_kind["zero"].finding == "vanishes"


def test_every_number_is_that_of_a_plain_computation(planned):
    one, score = planned(), scores({METHOD: 1.05, UNIFORM: 1.02}, spread=0.01)
    report, by_kind = judged(one, score)
    places = [("tiny_faces", "macro_f1"), ("tiny_units", "mean_f1")]

    def gains(method):
        found = []
        for seed in range(SEEDS):
            pairs = [(score(method, d, m, seed), score("multi_task", d, m, seed)) for d, m in places]
            found.append(100 * sum((value - plain) / plain for value, plain in pairs) / len(pairs))
        return np.array(found)

    p_lost = {}
    for kind, control in (("permuted", PERMUTED), ("uniform", UNIFORM)):
        verdict = by_kind[kind]
        p_lost[kind] = stats.ttest_rel(gains(METHOD), gains(control)).pvalue
        alone = stats.ttest_1samp(gains(control), 0)
        assert verdict.gain.mean == pytest.approx(gains(METHOD).mean())
        assert verdict.control_gain.mean == pytest.approx(gains(control).mean())
        assert verdict.control_gain.p == pytest.approx(alone.pvalue)
        assert (verdict.control_gain.low, verdict.control_gain.high) == pytest.approx(
            tuple(alone.confidence_interval())
        )
        assert verdict.lost.mean == pytest.approx((gains(METHOD) - gains(control)).mean())
        assert verdict.gain.p == pytest.approx(stats.ttest_1samp(gains(METHOD), 0).pvalue)  # a family of one
    p_lost["zero"] = stats.ttest_1samp(gains(METHOD), 0).pvalue
    adjusted, largest = {}, 0.0
    for rank, kind in enumerate(sorted(p_lost, key=p_lost.__getitem__)):
        largest = adjusted[kind] = max(largest, min(1.0, (3 - rank) * p_lost[kind]))
    assert {kind: verdict.lost.p for kind, verdict in by_kind.items()} == pytest.approx(adjusted)

    assert len(report.cells) == 6
    for cell in report.cells:
        dataset = cell.cell.dataset
        mine, other, plain = (
            np.array([score(name, dataset, cell.metric, seed) for seed in range(SEEDS)])
            for name in (METHOD, cell.control, "multi_task")
        )
        assert (cell.cell.method, (dataset, cell.metric) in places) == (METHOD, True)
        assert (cell.reference_score, cell.method_score, cell.control_score) == pytest.approx(
            (plain.mean(), mine.mean(), other.mean())
        )
        assert cell.difference == pytest.approx((mine - other).mean())
        interval = stats.ttest_rel(mine, other).confidence_interval()
        assert (cell.low, cell.high) == pytest.approx((interval.low, interval.high))


def test_a_zero_control_is_identical_or_says_how_far_off_it_is(planned):
    one = planned()
    _, by_kind = judged(one, scores({METHOD: 1.2}))
    assert by_kind["zero"].furthest == 0
    assert by_kind["permuted"].furthest is None
    secondary = next(m for m in one.suite.tasks["action_units"].metrics if m != "mean_f1")

    def score(method, dataset, metric, seed):
        off = 1e-7 if (method, metric, seed) == (ZERO, secondary, 2) else 0.0
        return scores({METHOD: 1.2})(method, dataset, metric, seed) + off

    report, by_kind = judged(one, score)
    assert by_kind["zero"].furthest == pytest.approx(1e-7, rel=1e-6)
    assert [row[8] for row in control_table(report).rows] == ["–", "–", "off by up to 1e-07"]


def test_what_has_diverged_is_neither_averaged_over_nor_hidden(planned):
    one = planned()
    report, by_kind = judged(one, scores({METHOD: 1.2}), diverged={(PERMUTED, 3)})
    verdict = by_kind["permuted"]
    assert (verdict.finding, verdict.lost.n, verdict.control_gain.n, verdict.gain.n) == ("inconclusive", 0, 0, SEEDS)
    assert f"tiny_faces/expression/tiny_net/{PERMUTED} seed 3: diverged" in verdict.note
    assert by_kind["uniform"].finding == "vanishes"
    cells = [cell for cell in report.cells if cell.control == PERMUTED]
    assert [cell.seeds for cell in cells] == [(0, 1, 2, 4)] * 2
    table = control_table(report)
    assert table.rows[0][4:7] == ("–", "–", "–")
    assert any(f"{PERMUTED} on tiny_net: 2 results are missing" in note for note in table.notes)

    _, by_kind = judged(one, scores({METHOD: 1.2}), diverged={(ZERO, 0)})
    assert by_kind["zero"].furthest is None
    _, by_kind = judged(one, scores({METHOD: 1.2}), diverged={("multi_task", 0)})
    assert {verdict.finding for verdict in by_kind.values()} == {"inconclusive"}


def test_without_records_everything_is_said_to_be_missing(planned):
    report = controls(planned(), {})
    assert {verdict.finding for verdict in report.verdicts} == {"inconclusive"}
    assert all("no result" in verdict.note for verdict in report.verdicts)


def test_a_change_relative_to_nothing_is_not_defined(planned):
    def score(method, dataset, metric, seed):
        nothing = (method, dataset, seed) == ("multi_task", "tiny_units", 1)
        return 0.0 if nothing else scores({METHOD: 1.2})(method, dataset, metric, seed)

    _, by_kind = judged(planned(), score)
    assert by_kind["permuted"].finding == "inconclusive"
    assert "relative to a score of 0 is defined: tiny_units/action_units/tiny_net/multi_task" in by_kind["zero"].note


def test_one_seed_is_too_few(planned):
    _, by_kind = judged(planned(seeds=1), scores({METHOD: 1.2}))
    assert {(verdict.finding, verdict.note) for verdict in by_kind.values()} == {
        ("inconclusive", "fewer than two seeds")
    }


def test_a_gain_without_spread_cannot_be_tested(planned):
    _, by_kind = judged(planned(), lambda method, *_: 0.75 if method == METHOD else 0.5)
    assert {verdict.finding for verdict in by_kind.values()} == {"inconclusive"}
    assert "no spread" in by_kind["permuted"].note


def test_a_suite_without_the_method_without_coupling_says_so(world, planned):
    world.change("tiny", "multi_task, ", "")
    report, by_kind = judged(planned(), scores({METHOD: 1.2}))
    assert by_kind == {}
    assert report.unjudged == (f"{METHOD}: the suite has no method that is the same without coupling, to compare with",)
    assert any("not judged: distribution_matching" in note for note in control_table(report).notes)


def test_a_part_of_the_controls_is_judged_as_in_the_whole(planned):
    made_up = scores({METHOD: 1.01, PERMUTED: 1.005, UNIFORM: 1.0}, spread=0.005)
    whole, every = judged(planned(), made_up)
    part, by_kind = judged(planned(only=[PERMUTED]), made_up)
    assert by_kind == {"permuted": every["permuted"]}
    assert (part.family, part.unjudged) == (whole.family, ())
    assert {cell.control for cell in part.cells} == {PERMUTED}


def test_tables_show_the_report(planned):
    report, by_kind = judged(planned(), scores({METHOD: 1.2, PERMUTED: 1.2, UNIFORM: 1.1}))
    table = control_table(report)
    assert [row[-1] for row in table.rows] == ["remains", "shrinks", "vanishes"]
    assert table.rows[2][8] == "identical"
    for row, verdict in zip(table.rows, by_kind.values(), strict=True):
        assert row[:3] == ("tiny_net", METHOD, verdict.control)
        for text, change in zip(row[3:6], (verdict.gain, verdict.control_gain, verdict.lost), strict=True):
            assert text == f"{change.mean:+.1f} [{change.low:+.1f}, {change.high:+.1f}]"
    assert all(len(row) == len(table.headers) for row in table.rows)
    cells = control_cell_table(report)
    assert all(len(row) == len(cells.headers) for row in cells.rows)
    assert [row[7] for row in cells.rows] == [f"{cell.method_score:.3f}" for cell in report.cells]
    assert table.warning == cells.warning == STANDIN_WARNING
