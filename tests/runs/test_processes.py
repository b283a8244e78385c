"""The master and its workers: what comes of jobs when these end, fail, hang or die. Nothing is trained here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from bench.errors import InfrastructureError, Interrupted, UsageError
from bench.runs import agenda, processes
from bench.runs.agenda import MOST_LOSSES, Agenda, Tally
from bench.runs.job import Ended
from bench.runs.shares import Share

from .worlds import results_of, wait_for

STUB = str(Path(__file__).with_name("stub_worker.py"))
BROKEN = "import sys; sys.exit(3)"
PIPE = "import os, sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1])); "
DEADLY = PIPE + "from bench.runs.processes import Ready; pipe.send(Ready()); pipe.recv_bytes(); os.kill(os.getpid(), 9)"
SLOW = PIPE + "pipe.recv()"
"""A worker that never says that it is ready, as one that still imports."""


def job(name, what="", place=""):
    run = SimpleNamespace(spec=SimpleNamespace(id=name, teachers=[]), title=name, trial=None)
    return SimpleNamespace(id=name, run=run, what=what, place=str(place))


def children():
    """Processes that this one has started and that are not gone."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text(encoding="ascii").split()
    return found


@pytest.fixture
def pool(monkeypatch):
    """Two stub workers of three threads each; none may be left behind."""
    monkeypatch.setattr(processes, "PROGRAM", (STUB,))
    before = children()
    with processes.processes([Share(3)] * 2) as made:
        yield made
    assert children() == before


@pytest.fixture
def carry_out(pool, monkeypatch):
    """Carries out jobs in the pool; what is given up gets no record, as there is no store."""
    monkeypatch.setattr(agenda, "lost", lambda job, why: Ended("failed", record=f"{job.id}: {why}"))

    def carry(*jobs):
        tally, observer = Tally(), Mock()
        pool.carry_out(Agenda(jobs, observer, tally), observer, lambda: False)
        return tally, observer

    return carry


def told(calls):
    return [one.args[0] for one in calls.call_args_list]


def test_every_job_is_done_once_and_all_is_told(carry_out):
    jobs = [*(job(str(i)) for i in range(6)), job("loud", "warns")]
    tally, observer = carry_out(*jobs)
    assert tally == Tally(done={one.id for one in jobs})
    assert sorted(run.title for run in told(observer.finished)) == sorted(one.id for one in jobs)
    assert {one.args[1] for one in observer.finished.call_args_list} == {"done in 3 threads"}
    assert sorted(run.title for run in told(observer.started)) == sorted(one.id for one in jobs)
    assert observer.stepped.call_args.args[1:] == (1, 2)
    observer.warned.assert_called_once_with("mind the gap")


def test_workers_stay_for_the_next_stage(carry_out, pool):
    first = [worker.process.pid for worker in pool._workers]
    carry_out(job("one"), job("two"))
    carry_out(job("three"), job("four"))
    assert [worker.process.pid for worker in pool._workers] == first


def test_a_failure_ends_one_run_and_is_not_tried_again(carry_out):
    tally, observer = carry_out(job("bad", "fails"), *(job(str(i)) for i in range(3)))
    assert tally == Tally(done={"0", "1", "2"}, failed={"bad"})
    assert told(observer.started).count(job("bad").run) == 1
    observer.warned.assert_not_called()


def test_a_lost_worker_is_replaced_and_its_run_tried_again(carry_out, tmp_path):
    tally, observer = carry_out(job("unlucky", "dies once", tmp_path / "died"), job("one"), job("two"))
    assert tally == Tally(done={"unlucky", "one", "two"})
    message = "unlucky: the process that carried it out ended with exit code 7; it is tried again"
    observer.warned.assert_called_once_with(message)


def test_a_run_whose_worker_dies_again_and_again_fails_alone(carry_out):
    tally, observer = carry_out(job("deadly", "dies"), *(job(str(i)) for i in range(4)))
    assert tally == Tally(done={"0", "1", "2", "3"}, failed={"deadly"})
    lost = "deadly: the process that carried it out was killed by SIGKILL; it is "
    assert told(observer.warned) == [f"{lost}tried again"] * MOST_LOSSES + [f"{lost}given up"]
    given_up = f"deadly: the process that carried it out was killed by SIGKILL, {MOST_LOSSES + 1} times in all"
    assert given_up in [one.args[1] for one in observer.finished.call_args_list]


def test_what_ends_everything_comes_back_as_it_was(pool):
    observer = Mock()
    jobs = [job("other", "ends when asked"), job("full", "ends everything"), job("later")]
    with pytest.raises(UsageError, match="the disk is full") as raised:
        pool.carry_out(Agenda(jobs, observer, Tally()), observer, lambda: False)
    assert raised.value.hint == "empty it"
    assert "later" not in [run.title for run in told(observer.started)]


def test_asked_to_stop_workers_save_what_they_have_and_nothing_more_begins(pool):
    observer, tally = Mock(), Tally()
    jobs = [job("one", "ends when asked"), job("two", "ends when asked"), job("three")]
    with pytest.raises(Interrupted, match="stopped on request"):
        pool.carry_out(Agenda(jobs, observer, tally), observer, lambda: observer.started.call_count == 2)
    assert tally == Tally(done={"one", "two"})
    assert observer.started.call_count == 2


def test_workers_that_hang_are_gone_after_a_second_request(monkeypatch, pool):
    """The fixture sees that none is left."""
    observer = Mock()
    monkeypatch.setattr(pool, "_stop", Mock(side_effect=KeyboardInterrupt))  # it comes while the first is obeyed
    jobs = [job("one", "hangs"), job("two", "hangs")]
    with pytest.raises(KeyboardInterrupt):
        pool.carry_out(Agenda(jobs, observer, Tally()), observer, lambda: observer.started.call_count == 2)


def test_workers_that_cannot_start_are_not_started_without_end(monkeypatch):
    monkeypatch.setattr(processes, "PROGRAM", ("-c", BROKEN))
    with (
        processes.processes([Share(1)]) as pool,
        pytest.raises(InfrastructureError, match="ended with exit code 3 before"),
    ):
        pool.carry_out(Agenda([job("one")], Mock(), Tally()), Mock(), lambda: False)


def test_a_run_that_is_given_up_is_recorded_as_lost_and_tried_by_the_next_command(done, redo):
    expected = results_of(done)
    victim = sorted((done.results / "runs" / "standin").iterdir())[0]
    shutil.rmtree(victim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "PROGRAM", ("-c", DEADLY))
        told = redo("run", "--suite", "tiny", "--jobs", "2")
    assert told.code == 4
    assert told.err.count("it is tried again") == MOST_LOSSES
    assert "A suite for tests (tiny)" in told.out
    record = json.loads((victim / "record.json").read_text())
    assert record["failure"]["kind"] == "infrastructure"
    assert record["failure"]["message"] == "the process that carried it out was killed by SIGKILL, 3 times in all"
    assert redo("run", "--suite", "tiny").code == 0
    assert results_of(done) == expected


def test_ctrl_c_ends_with_130_and_leaves_nobody(world, bench, monkeypatch):
    monkeypatch.setattr(processes, "PROGRAM", ("-c", SLOW))
    before = children()

    def press():
        wait_for(lambda: len(children()) == len(before) + 2)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    told = bench("run", "--suite", "tiny", "--jobs", "2")
    pressing.join()
    assert told.code == Interrupted.exit_code
    assert "error: stopped on request" in told.err and "Traceback" not in told.err
    assert children() == before
    assert world.scores() == {}


@pytest.mark.usefixtures("world")
def test_what_cannot_be_at_once_is_a_usage_error(bench):
    both = bench("run", "--suite", "tiny", "--jobs", "2", "--gpu-slots", "2")
    assert both.code == 2
    assert "--jobs and --gpu-slots both say how many runs there are at once" in both.err
    none = bench("plan", "tiny", "--gpu-slots", "2")
    assert none.code == 2
    assert "--gpu-slots needs a GPU, and torch sees none here" in none.err
    assert bench("run", "--suite", "tiny", "--jobs", "0").code == 2
