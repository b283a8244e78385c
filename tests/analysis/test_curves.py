"""Curves along an axis: Δm and scores at each value by a float loop, and what is missing left out of no average."""

from __future__ import annotations

import csv
import io
import re
from statistics import mean, stdev

import pytest
from scipy import stats

from bench.analysis.curves import curves
from bench.reports.curve import curve_records, gain_table, picture, score_tables, write_files
from bench.reports.table import STANDIN_WARNING, to_csv
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog

from ..conftest import STANDIN
from .samples import record_of

SEEDS = 3
FRACTION = "tiny_both/action_units"
BOTH = STANDIN.format(name="tiny_both", task="expression").replace(
    "expression: {}", "expression: {}\n      action_units: {}"
)
THIN = """
    kind: suite
    name: thin
    title: Thinned-out labels
    datasets: [tiny_both]
    backbones: [tiny_net]
    methods: [single_task, multi_task]
    budget: tiny_budget
    margins: {macro_f1: 0.05, mean_f1: 0.05}
    axes:
      overlap: [1, 0, 0.5]
      label_fraction: {tiny_both/action_units: [1, 0.5]}
"""


@pytest.fixture
def planned(world, monkeypatch):
    world.write("tiny_both", BOTH)
    world.write("thin", THIN)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)

    def make(**choices):
        return plan(open_catalog([]), "thin", **({"seeds": SEEDS} | choices))

    return make


def score_of(one, method, task, seed):
    """Made up: learning together gains with overlap and loses with scarce labels; each seed is its own."""
    base = 0.5 + 0.04 * seed + (0.1 if task == "expression" else 0)
    if method == "single_task":
        return base
    gain = 0.1 * one.point.overlap - 0.03 * (one.point.label_fraction[FRACTION] < 1)
    return base * (1 + gain) + 0.01 * (seed - 1) * (1 if task == "expression" else 2)


def made_up(one, run, *, diverged=False):
    return record_of(one, run, lambda _, task, __: score_of(one, run.method, task, run.seed), diverged=diverged)


def measured(plans, *, without=lambda one, run: False, diverged=lambda one, run: False):
    found = []
    for one in plans:
        runs = [run for run in one.runs if not without(one, run)]
        found.append((one, {run.spec.id: made_up(one, run, diverged=diverged(one, run)) for run in runs}))
    return found


def interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def at(plans, overlap, fraction=1.0):
    (one,) = [p for p in plans if (p.point.overlap, p.point.label_fraction[FRACTION]) == (overlap, fraction)]
    return one


def test_gain_and_scores_at_each_value_by_a_loop(planned):
    plans = planned()
    assert [one.name for one in plans] == [
        "thin[overlap=1]",
        "thin[overlap=0]",
        "thin[overlap=0.5]",
        "thin[tiny_both.action_units=0.5]",
    ]
    found = curves(measured(plans), "overlap")
    assert (found.values, found.held, found.complete) == ((0.0, 0.5, 1.0), {FRACTION: 1.0}, True)
    (line,) = found.gains
    assert (line.backbone, line.method) == ("tiny_net", "multi_task")
    for point in line.points:
        one = at(plans, point.value)
        changes = []
        for seed in range(SEEDS):
            pairs = [
                (score_of(one, "multi_task", task, seed), score_of(one, "single_task", task, seed))
                for task in ("expression", "action_units")
            ]
            changes.append(100 * mean((joint - single) / single for joint, single in pairs))
        assert point.mean == pytest.approx(mean(changes), rel=1e-12)
        assert (point.low, point.high) == pytest.approx(interval(changes), rel=1e-9)
    assert [(line.method, line.task, line.metric) for line in found.scores] == [
        ("single_task", "action_units", "mean_f1"),
        ("multi_task", "action_units", "mean_f1"),
        ("single_task", "expression", "macro_f1"),
        ("multi_task", "expression", "macro_f1"),
    ]
    for line in found.scores:
        for point in line.points:
            values = [score_of(at(plans, point.value), line.method, line.task, seed) for seed in range(SEEDS)]
            assert point.mean == pytest.approx(mean(values), rel=1e-12)
            assert (point.low, point.high) == pytest.approx(interval(values), rel=1e-9)


def test_the_other_axis_starts_where_the_first_does(planned):
    """The point where both axes stand at their first value is planned and run once, and is on both curves."""
    plans = planned()
    found = curves(measured(plans), FRACTION)
    assert (found.values, found.held) == ((0.5, 1.0), {"overlap": 1.0})
    along_overlap = curves(measured(plans), "overlap")
    assert found.gains[0].points[1].mean == along_overlap.gains[0].points[2].mean
    assert found.gains[0].points[0].mean < found.gains[0].points[1].mean


@pytest.mark.parametrize(
    ("method", "told"), [("multi_task", ("no result",)), ("single_task", ("single_task no result",))]
)
def test_a_missing_result_leaves_a_gap_that_says_why(planned, method, told):
    """One seed of one point is missing: nothing is said of Δm there, and all is said everywhere else."""
    plans = planned()
    found = curves(
        measured(
            plans,
            without=lambda one, run: (
                one.point.overlap == 0.5 and run.method == method and run.seed == 1 and run.task in (None, "expression")
            ),
        ),
        "overlap",
    )
    assert not found.complete
    (line,) = found.gains
    assert [(point.mean is None, point.absent) for point in line.points] == [(False, ()), (True, told), (False, ())]
    gaps = {(line.method, line.task) for line in found.scores if line.points[1].mean is None}
    assert gaps == (
        {("multi_task", "expression"), ("multi_task", "action_units")}
        if method == "multi_task"
        else {("single_task", "expression")}
    )
    assert gain_table(found).rows[0][3] == told[0]
    assert {tuple(row.values())[-2] for row in csv_rows(found) if not row["mean"]} == {*told, "no result"}


def test_a_run_that_diverged_is_told_as_such(planned):
    found = curves(
        measured(planned(), diverged=lambda one, run: one.point.overlap == 0 and run.method == "multi_task"), "overlap"
    )
    assert found.gains[0].points[0].absent == ("diverged",)
    assert gain_table(found).rows[0][2] == "diverged"
    assert [row[2] for table in score_tables(found) for row in table.rows if row[1] == "multi_task"] == ["diverged"] * 2


def csv_rows(found):
    return list(csv.DictReader(io.StringIO(to_csv(curve_records(found)))))


def test_csv_has_every_number_in_full_and_tables_have_them_rounded(planned):
    found = curves(measured(planned()), "overlap")
    rows = csv_rows(found)
    points = [point for line in (*found.gains, *found.scores) for point in line.points]
    assert len(rows) == len(points) == 15
    for row, point in zip(rows, points, strict=True):
        assert [float(row[key]) for key in ("value", "mean", "low", "high")] == [
            point.value,
            point.mean,
            point.low,
            point.high,
        ]
        assert row["warning"] == STANDIN_WARNING
    table = gain_table(found)
    assert (table.headers, table.warning) == (("backbone", "method", "0", "0.5", "1"), STANDIN_WARNING)
    for cell, point in zip(table.rows[0][2:], found.gains[0].points, strict=True):
        assert cell == f"{point.mean:+.1f} ± {(point.high - point.low) / 2:.1f}"
    for shown, task in zip(score_tables(found), ("action_units", "expression"), strict=True):
        assert shown.title.startswith(f"tiny_both/{task} m")
        lines = [line for line in found.scores if line.task == task]
        assert [row[1] for row in shown.rows] == [line.method for line in lines] == ["single_task", "multi_task"]
        assert shown.rows[1][2].startswith(f"{lines[1].points[0].mean:.3f} ± ")


def test_the_picture_is_the_same_bytes_and_says_what_it_shows(planned):
    plans = planned()
    whole = curves(measured(plans), "overlap")
    gappy = curves(
        measured(plans, without=lambda one, run: one.point.overlap == 0.5 and run.method == "multi_task"), "overlap"
    )
    drawn = picture(whole, ".svg")
    assert drawn == picture(whole, ".svg") != picture(gappy, ".svg")
    comments = re.findall(r"<!-- (.*?) -->", drawn.decode())
    assert any("STAND-IN DATA" in text for text in comments)
    assert {"single_task", "multi_task", "overlap"} <= set(comments)
    assert "gaps: missing results" in picture(gappy, ".svg").decode()
    assert "gaps: missing results" not in drawn.decode()
    assert picture(whole, ".png").startswith(b"\x89PNG")


def test_files_are_named_for_suite_and_axis(planned, tmp_path):
    found = curves(measured(planned()), FRACTION)
    files = write_files(tmp_path, found)
    stem = "thin.standin.along.tiny_both.action_units"
    assert [file.name for file in files] == [f"{stem}.{ending}" for ending in ("md", "csv", "svg")]
    assert files[0].read_text().count(STANDIN_WARNING) == 3
    assert files[1].read_text() == to_csv(curve_records(found))
    assert files[2].read_bytes() == picture(found, ".svg")
    assert sorted((tmp_path / "leaderboards").iterdir()) == sorted(files)
