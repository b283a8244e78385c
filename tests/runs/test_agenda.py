"""The order of runs, what waits for what, and how long it all takes."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs import agenda, shares
from bench.runs.agenda import Agenda, Tally, in_order, makespan
from bench.runs.job import Ended
from bench.runs.shares import Share


def planned(name, seconds, *, kind="joint", teachers=(), trial=None):
    spec = SimpleNamespace(id=name, type=kind, teachers=[SimpleNamespace(id=teacher) for teacher in teachers])
    return SimpleNamespace(spec=spec, seconds=seconds, trial=trial, title=name)


def job(run):
    return SimpleNamespace(id=run.spec.id, run=run)


def seconds_of(run):
    return run.seconds


def names(runs):
    return [run.spec.id for run in runs]


def test_trials_then_twins_and_cheap_runs_as_planned_then_the_longest_first():
    runs = [
        planned("twin0", 3, kind="single"),
        planned("cheap0", 2),
        planned("joint0", 8),
        planned("dear0", 9),
        planned("twin1", 1, kind="single"),
        planned("joint1", 8),
        planned("trial", 5, trial="t"),
    ]
    expected = ["trial", "twin0", "cheap0", "twin1", "dear0", "joint0", "joint1"]
    assert names(in_order(runs, seconds_of)) == expected
    assert names(in_order([*runs, *runs], seconds_of)) == expected


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 4))
def test_the_makespan_equals_a_simulation_by_the_second(durations, workers):
    runs = [planned(str(i), seconds) for i, seconds in enumerate(durations)]
    left, busy, clock = list(durations), [0] * workers, 0
    while left or any(busy):
        for i in range(workers):
            if busy[i] == 0 and left:
                busy[i] = left.pop(0)
        busy, clock = [max(seconds - 1, 0) for seconds in busy], clock + 1
    assert makespan(runs, seconds_of, workers) == clock


def test_students_prolong_the_makespan_and_nothing_takes_no_time():
    student = planned("student", 2, teachers=["teacher"])
    assert makespan([planned("teacher", 5), student], seconds_of, 2) == 7
    assert makespan([student], seconds_of, 2) == 2  # its teacher is there already
    assert makespan([], seconds_of, 3) == 0


def test_students_come_after_their_teachers_have_ended_however_they_did():
    teacher, student = job(planned("teacher", 1)), job(planned("student", 1, teachers=["teacher", "done before"]))
    for state in ("done", "failed", "diverged"):
        todo = Agenda([student, teacher], Mock(), Tally())
        assert todo.take() is teacher
        assert todo.take() is None
        todo.ended(teacher, Ended(state))
        assert todo.take() is student
        assert not todo.finished
        todo.ended(student, Ended("done"))
        assert todo.finished


def test_held_runs_come_again_after_all_others_and_it_is_told_once(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(agenda.time, "monotonic", lambda: next(clock) * 0.6)
    held, free = job(planned("held", 1)), job(planned("free", 1))
    observer = Mock()
    todo = Agenda([held, free], observer, Tally())
    assert todo.take() is held
    todo.ended(held, Ended("held"))
    assert todo.take() is free
    assert todo.take() is None
    assert todo.take() is held
    observer.waiting.assert_called_once_with(held.run)


def test_only_runs_that_fit_are_taken_held_ones_among_them(monkeypatch):
    monkeypatch.setattr(agenda.time, "monotonic", itertools.count(step=10).__next__)
    small, large = job(planned("small", 1)), job(planned("large", 1))
    todo = Agenda([small, large], Mock(), Tally())
    assert todo.take(lambda one: one is large) is large
    todo.ended(large, Ended("held"))
    assert todo.take(lambda one: one is not large and one is not small) is None
    assert todo.waiting == (small, large)
    assert todo.take(lambda one: one is large) is large
    assert todo.take(lambda one: one is large) is None
    assert todo.take() is small


def test_what_came_is_counted_and_told():
    runs = {state: job(planned(state, 1)) for state in ("done", "failed", "diverged")}
    trial = job(planned("trial", 1, trial="t"))
    observer, tally = Mock(), Tally()
    todo = Agenda([*runs.values(), trial], observer, tally)
    for state, one in runs.items():
        todo.ended(one, Ended(state, record="made now" if state == "done" else None))
    todo.ended(trial, Ended("diverged"))
    assert tally == Tally(done={"done", "trial"}, failed={"failed", "diverged"})
    observer.finished.assert_called_once_with(runs["done"].run, "made now")


def test_lost_runs_come_again_first_and_not_without_end(monkeypatch):
    given_up = Mock(return_value=Ended("failed", record="r"))
    monkeypatch.setattr(agenda, "lost", given_up)
    one, other = job(planned("one", 1)), job(planned("other", 1))
    tally = Tally()
    todo = Agenda([one, other], Mock(), tally)
    for _ in range(agenda.MOST_LOSSES + 1):
        assert todo.take() is one
        todo.lost(one, "was killed")
    given_up.assert_called_once_with(one, "the process that carried it out was killed, 3 times in all")
    assert tally.failed == {"one"}
    assert todo.take() is other


@pytest.mark.parametrize(
    ("jobs", "limits", "threads"),
    [
        (1, {}, 8),
        (2, {}, 4),
        (3, {}, 2),
        (20, {}, 1),
        (2, {"OMP_NUM_THREADS": "1"}, 1),
        (2, {"MKL_NUM_THREADS": ""}, 4),
    ],
)
def test_cores_are_shared(monkeypatch, jobs, limits, threads):
    monkeypatch.setattr(shares, "cores", lambda: 8)
    assert shares.core_shares(jobs, limits=limits) == [Share(threads)] * jobs
    gpus = shares.gpu_shares(2, ["3", "5"], limits=limits)
    assert [one.gpu for one in gpus] == ["3", "5", "3", "5"]
    assert {one.threads for one in gpus} == {1 if "OMP_NUM_THREADS" in limits else 2}


def test_a_share_is_told_to_its_process():
    limits = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    assert Share(3).environment == limits
    assert Share(3, "5").environment == {**limits, "CUDA_VISIBLE_DEVICES": "5"}
