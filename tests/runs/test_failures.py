"""Runs that fail: each ends alone, is told as what it is, and only what may end otherwise is tried again."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from datetime import datetime, timedelta

import pytest

from bench.methods.terms import supervised
from bench.runs import job
from bench.training import loop

EXPLODING = """
    kind: method
    name: exploding
    title: A loss that is beyond float32 at once
    type: joint
    terms:
      - {name: supervised, weight: 1e39}
"""


@pytest.fixture
def exploding(world):
    world.write("exploding", EXPLODING)
    world.change("tiny", "distribution_matching]", "exploding]")
    return world


def states(bench, suite="tiny"):
    return {run["id"]: (run["method"], run["state"]) for run in bench("status", suite, "--json").json[0]["runs"]}


def records(world):
    return [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]


def test_a_diverging_run_ends_alone_and_is_not_tried_again(exploding, bench):
    first = bench("run", "--suite", "tiny")
    assert first.code == 4
    assert first.err.count("exploding tiny_net seed") == 4  # as each ends, and once more at the end
    assert "failed: exploding tiny_net seed 0: diverged: the loss was not finite by step 2" in first.err
    assert (
        sorted(states(bench).values())
        == [("exploding", "diverged")] * 2 + [("multi_task", "done")] * 2 + [("single_task", "done")] * 4
    )
    failed = [record for record in records(exploding) if record["status"] == "failed"]
    assert [record["failure"]["kind"] for record in failed] == ["diverged"] * 2
    assert "Traceback" in failed[0]["failure"]["traceback"]
    assert failed[0]["scores"] == {} and failed[0]["selected_step"] is None
    assert not list(exploding.results.glob("runs/.work/*/*"))

    again = bench("run", "--suite", "tiny")
    assert again.code == 4
    assert "8 runs, 0 to do" in again.out
    assert "[1/" not in again.err
    assert "failed: exploding tiny_net seed 1: diverged" in again.err


@pytest.mark.usefixtures("exploding")
def test_a_diverged_method_stays_unranked_and_says_why(bench):
    bench("run", "--suite", "tiny")
    rows = {row["method"]: row for row in bench("leaderboard", "tiny", "--json").json[0]["rows"]}
    assert rows["exploding"]["rank"] is None and rows["exploding"]["average"] is None
    assert [entry["absent"] for entry in rows["exploding"]["entries"]] == [["diverged"], ["diverged"]]
    assert sorted(row["rank"] for row in rows.values() if row["rank"]) == [1, 2]
    report = bench("transfer", "tiny", "--json").json[0]
    assert "tiny_faces/expression/tiny_net/exploding seed 0: diverged" in report["missing"]
    flags = {m["method"]: m["literal_flag"] for m in report["methods"]}
    assert flags["exploding"] is None
    assert flags["multi_task"] is not None
    assert next(m for m in report["methods"] if m["method"] == "exploding")["delta_m"] is None
    for form in ("terminal", "md"):
        line = next(
            line for line in bench("leaderboard", "tiny", "--format", form).out.splitlines() if "explod" in line
        )
        assert line.count("diverged") == 2
        assert line.replace("|", " ").split()[0] == "–"
    why = bench("why", "tiny", "tiny_faces/expression/tiny_net/exploding")
    assert why.out.count("failed: diverged: the loss was not finite") == 2


def test_where_everything_diverges_nothing_is_measured_and_each_failure_is_told(world, bench):
    world.change("tiny_budget", "1e-3", "1e30")
    run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 5
    assert run.err.count("failed: ") == 4
    assert run.err.count("record.json") == 4
    assert "no run of suite 'tiny' has ended well" in run.err
    assert bench("leaderboard", "tiny", "--seeds", "1").code == 5


def test_weights_that_break_in_the_very_last_step_are_noticed(world, bench):
    """The loss of the only step is finite; what the step makes of the weights is not."""
    world.change("tiny_budget", "steps: 6", "steps: 1")
    world.change("tiny_budget", "1e-3", "1e30")
    world.change("tiny_budget", "adamw", "sgd")
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 5
    assert {record["failure"]["kind"] for record in records(world)} == {"diverged"}
    assert all("outputs were not finite after step 1" in record["failure"]["message"] for record in records(world))


def failing_once_for(tasks, error):
    """The supervised loss, failing for runs over just these tasks."""
    working = supervised.losses

    def loss(options, run_tasks, *rest):
        if set(run_tasks) == tasks:
            raise error
        return working(options, run_tasks, *rest)

    return loss


@pytest.mark.parametrize(
    ("error", "kind"),
    [(RuntimeError("a [fault] of the code"), "error"), (MemoryError("no memory left"), "infrastructure")],
    ids=["fault", "memory"],
)
def test_a_fault_ends_one_run_and_is_tried_again(world, bench, monkeypatch, error, kind):
    with monkeypatch.context() as patch:
        patch.setattr(supervised, "losses", failing_once_for({"action_units"}, error))
        run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    assert f"failed: single_task tiny_net tiny_units/action_units seed 0: {kind}: {error}" in run.err
    assert sorted(state for _, state in states(bench).values()).count("done") == 3
    (failed,) = [record for record in records(world) if record["status"] == "failed"]
    assert failed["failure"]["kind"] == kind
    assert failed["failure"]["message"] == str(error)
    assert "test_failures.py" in failed["failure"]["traceback"]

    again = bench("run", "--suite", "tiny", "--seeds", "1")
    assert again.code == 0
    assert "4 runs, 1 to do" in again.out
    assert len(world.scores()) == 4


def test_a_disk_that_fails_ends_everything_and_leaves_no_record(world, bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(supervised, "losses", failing_once_for({"action_units"}, OSError(errno.EIO, "broken disk")))
        run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    assert "broken disk" in run.err and "free some space or mend the disk" in run.err
    assert len(world.scores()) == 1  # the one before it, and none of those after it
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 0


def test_memory_that_lacks_outside_of_a_run_is_not_a_fault_of_bench(bench, monkeypatch):
    from bench.runs import plan

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(plan, "find_preparations", no_memory)
    told = bench("plan", "tiny")
    assert told.code == 4
    assert "the machine failed: MemoryError" in told.err
    assert "Traceback" not in told.err


def removing_before(run, folder):
    """Training, but for a folder that somebody removes before the run of that number."""
    calls = itertools.count()

    def train(*arguments, **options):
        if next(calls) == run:
            shutil.rmtree(folder)
        return loop.train(*arguments, **options)

    return train


def test_prepared_data_that_are_removed_under_a_suite_are_told_and_made_again(world, bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "train", removing_before(1, world.cache))
        run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    assert "is gone; it was there when the store was opened" in run.err
    assert "Traceback" not in run.err
    kept = world.scores()
    assert "done" in {record["status"] for record in kept.values()}
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 0
    assert {record["status"] for record in world.scores().values()} == {"done"}


def test_records_that_are_removed_under_a_suite_are_not_taken_for_done(world, bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "train", removing_before(2, world.results / "runs" / "standin"))
        run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    assert "records of 2 runs were removed from" in run.err
    assert len(world.scores()) == 2
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 0
    assert len(world.scores()) == 4


def test_a_clock_that_is_set_back_makes_no_record_that_ends_before_it_starts(bench, world, monkeypatch):
    class Clock(datetime):
        days = itertools.count(1)

        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 20, tzinfo=tz) - timedelta(days=next(cls.days))

    monkeypatch.setattr(job, "datetime", Clock)
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 0
    for record in records(world):
        started, finished = (datetime.fromisoformat(record[name]) for name in ("started", "finished"))
        assert timedelta(0) < finished - started < timedelta(minutes=5)
        assert all(seconds >= 0 for seconds in record["cost"]["seconds"].values())
