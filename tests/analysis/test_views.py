"""Views of a leaderboard: the same numbers grouped, averaged, ordered and chosen, and never judged anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.standings import Evidence, standings
from bench.analysis.views import By, filtered, ordered, pinned, views
from bench.errors import UnknownName, UsageError
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog

from .samples import record_of


@pytest.fixture
def one(world, monkeypatch):
    """A plan of two backbones, two data sets, three methods and two seeds."""
    world.write("other_net", (world.specs / "tiny_net.yaml").read_text().replace("tiny_net", "other_net"))
    world.change("tiny", "backbones: [tiny_net]", "backbones: [tiny_net, other_net]")
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    (made,) = plan(open_catalog([]), "tiny")
    return made


@pytest.fixture
def records(one):
    draw = np.random.default_rng(3)
    return {run.spec.id: record_of(one, run, lambda *_: float(draw.uniform(0.2, 0.8))) for run in one.runs}


@pytest.fixture
def board(one, records):
    return standings(one, records)


def entries(board, **about):
    """Values by seed of all entries of which this is said."""
    return [
        entry.values
        for row in board.rows
        for entry in row.entries
        if all(getattr(entry.cell, key) == value for key, value in about.items())
    ]


def test_by_default_everything_stands_in_one_table(board):
    (view,) = views(board)
    assert [(line.rank, line.method) for line in view.lines] == [(row.rank, row.method) for row in board.rows]
    for line, row in zip(view.lines, board.rows, strict=True):
        assert [value.mean for value in line.values] == [entry.mean for entry in row.entries]


def test_by_method_is_the_mean_over_backbones_seed_by_seed(board):
    (view,) = views(board, By.method)
    assert sorted(line.rank for line in view.lines) == [1, 2, 3]
    for line in view.lines:
        for column, value in zip(view.columns, line.values, strict=True):
            found = entries(board, method=line.method, dataset=column.dataset)
            assert len(found) == 2
            by_seed = {seed: (found[0][seed] + found[1][seed]) / 2 for seed in (0, 1)}
            assert value.values == pytest.approx(by_seed)
            assert value.mean == pytest.approx(np.mean(list(by_seed.values())))
        assert line.average == pytest.approx(np.mean([value.mean for value in line.values]))


def test_by_method_averages_nothing_around_a_missing_run(one, records):
    lost = next(run for run in one.runs if (run.method, run.backbone) == ("multi_task", "other_net"))
    (view,) = views(standings(one, {k: r for k, r in records.items() if k != lost.spec.id}), By.method)
    line = next(line for line in view.lines if line.method == "multi_task")
    assert (line.rank, line.average, line.cost) == (None, None, None)
    assert all(value.mean is None and value.absent == ("not run",) and not value.best for value in line.values)
    assert view.lines[-1] is line


def test_by_task_is_the_mean_over_data_sets(board):
    (view,) = views(board, By.task)
    assert [(column.dataset, column.task) for column in view.columns] == [(None, "expression"), (None, "action_units")]
    assert [line.rank for line in view.lines] == [row.rank for row in board.rows]


def test_by_backbone_and_by_data_set_rank_within_each_table(board):
    assert [view.heading for view in views(board, By.backbone)] == list(dict.fromkeys(r.backbone for r in board.rows))
    for view in views(board, By.backbone):
        assert [line.rank for line in view.lines] == [1, 2, 3]
        assert {line.backbone for line in view.lines} == {view.heading}
    for view in views(board, By.dataset):
        assert {column.dataset for column in view.columns} == {view.heading}
        means = [line.values[0].mean for line in view.lines]
        assert means == sorted(means, reverse=True) == [line.average for line in view.lines]


def test_filters_change_no_rank_no_average_and_no_mark(board):
    (whole,) = views(board)
    (part,) = filtered([whole], {"method": ["multi*", "single_task"], "dataset": ["tiny_units"]})
    assert [column.dataset for column in part.columns] == ["tiny_units"]
    kept = [line for line in whole.lines if line.method in ("multi_task", "single_task")]
    assert part.lines == tuple(replace(line, values=line.values[1:]) for line in kept)


@pytest.mark.parametrize(
    ("by", "patterns", "error", "said"),
    [
        (None, {"method": ["multitask"]}, UnknownName, "did you mean 'multi_task'"),
        (By.method, {"backbone": ["tiny_net"]}, UsageError, "average over every backbone"),
        (By.task, {"dataset": ["tiny_units"]}, UsageError, "average over every dataset"),
        (None, {"dataset": ["tiny_faces"], "task": ["action_units"]}, UsageError, "no row or column matches"),
    ],
)
def test_filters_that_leave_nothing_are_refused(board, by, patterns, error, said):
    with pytest.raises(error, match=said):
        filtered(views(board, by), patterns)


@pytest.mark.parametrize("name", ["tiny_units action_units mean_f1", "tiny_units/action_units"])
def test_rows_are_ordered_by_a_column_best_first(board, name):
    (view,) = views(board)
    means = [line.values[1].mean for line in ordered(view, name).lines]
    assert means == sorted(means, reverse=True)
    assert [line.values[1].mean for line in ordered(view, f"-{name}").lines] == sorted(means)


def test_missing_values_come_last_either_way(one, records):
    lost = next(run for run in one.runs if (run.method, run.backbone) == ("multi_task", "other_net"))
    (view,) = views(standings(one, {k: r for k, r in records.items() if k != lost.spec.id}))
    for name in ("average", "-average", "rank", "-rank"):
        assert ordered(view, name).lines[-1].average is None


def test_an_entry_that_lacks_a_seed_is_never_the_best(one):
    """However high what is there: the others may have been measured with seeds that are harder."""
    lost = next(run for run in one.runs if (run.method, run.backbone) == ("multi_task", "other_net"))
    high = {
        run.spec.id: record_of(one, run, lambda *_, method=run.method: 0.9 if method == "multi_task" else 0.5)
        for run in one.runs
        if run.spec.id != lost.spec.id
    }
    (view,) = views(standings(one, high))
    for line in view.lines:
        complete = line.method == "multi_task" and line.backbone == "tiny_net"
        assert [value.best for value in line.values] == [complete or line.method != "multi_task"] * 2


def test_an_unknown_column_is_answered_with_the_nearest(board):
    with pytest.raises(UnknownName, match="did you mean 'average'"):
        ordered(views(board)[0], "avrage")


def test_a_reference_stands_first(board):
    view = pinned(views(board)[0], "single_task")
    assert [line.method for line in view.lines[:2]] == ["single_task"] * 2
    assert [line.pinned for line in view.lines] == [True] * 2 + [False] * 4
    with pytest.raises(UnknownName, match="did you mean 'single_task'"):
        pinned(view, "singletask")


def test_a_row_is_vouched_for_as_weakly_as_the_weakest_of_its_runs(one, records):
    runs = [run.spec.id for run in one.runs if (run.method, run.backbone) == ("multi_task", "tiny_net")]
    found = []
    for known in (runs[:1], runs):
        board = standings(one, records, evidence=dict.fromkeys(known, Evidence.rescored))
        found.append(next(r.evidence for r in board.rows if (r.method, r.backbone) == ("multi_task", "tiny_net")))
    assert found == [Evidence.self_reported, Evidence.rescored]
    assert {row.evidence for row in standings(one, {}).rows} == {None}
