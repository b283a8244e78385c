"""Several runs at once: the same numbers, and nothing lost, doubled or left behind when processes die."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from bench.errors import Interrupted

from ..conftest import World
from ..runs.worlds import call, make_world, results_of, wait_for

RUNS = 4


def slow_world(root: Path) -> World:
    """Four runs of 60 steps with a checkpoint after each."""
    world = make_world(root)
    world.change("tiny_budget", "steps: 6", "steps: 60")
    world.change("tiny_budget", "seeds: 2", "seeds: 1")
    world.change("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 1")
    return world


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    world = slow_world(tmp_path_factory.mktemp("one_by_one"))
    assert call(world, "run", "--suite", "tiny") == 0
    return results_of(world)


def workers(pid: int) -> list[int]:
    """Worker processes of a master."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    found = []
    for child in map(int, children):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except FileNotFoundError:
            continue
        if b"bench.runs.worker" in command:
            found.append(child)
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def under_way(world: World) -> list[str]:
    return [file.parent.name for file in world.results.glob("runs/.work/*/checkpoint.safetensors")]


def held(world: World) -> list[Path]:
    return list(world.results.glob("runs/.work/*/progress.json"))


def leftovers(world: World) -> list[Path]:
    return [*world.results.glob("runs/.work/*"), *world.results.glob("runs/.locks/*"), *world.results.rglob("*.tmp")]


def test_two_at_once_give_the_numbers_of_one_by_one_and_a_killed_worker_costs_only_time(tmp_path, one_by_one):
    world = slow_world(tmp_path)
    process = world.process("run", "--suite", "tiny", "--jobs", "2")
    wait_for(lambda: len(under_way(world)) == 2, process)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.count("was killed by SIGKILL; it is tried again") == 1
    assert "going on from its checkpoint" in err
    assert len(re.findall(r"^\[\d/4\] ", err, re.MULTILINE)) == RUNS
    assert results_of(world) == one_by_one
    assert leftovers(world) == []
    for file in world.results.glob("runs/standin/*/record.json"):
        assert json.loads(file.read_text())["environment"]["hardware"]["threads"] == 1


def test_a_run_whose_worker_dies_again_and_again_fails_alone(tmp_path):
    world = slow_world(tmp_path)
    victim = "action_units"
    (tmp_path / "deadly").mkdir()
    (tmp_path / "deadly" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'bench.runs.worker' in ' '.join(sys.orig_argv):\n"
        "    from bench.methods.terms import supervised\n"
        "    working = supervised.losses\n"
        "    def losses(options, tasks, *rest):\n"
        f"        if set(tasks) == {{{victim!r}}}:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return working(options, tasks, *rest)\n"
        "    supervised.losses = losses\n"
    )
    world.environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path / "deadly"), os.environ.get("PYTHONPATH", "")))
    done = world.run("run", "--suite", "tiny", "--jobs", "2")
    assert done.code == 4, done.err
    assert done.err.count("it is tried again") == 2
    assert "was killed by SIGKILL; it is given up" in done.err
    records = [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]
    (failed,) = [record for record in records if record["status"] == "failed"]
    assert failed["failure"]["kind"] == "infrastructure"
    assert failed["failure"]["message"] == "the process that carried it out was killed by SIGKILL, 3 times in all"
    assert len(records) == RUNS

    del world.environment["PYTHONPATH"]
    assert call(world, "run", "--suite", "tiny") == 0
    assert len(world.scores()) == RUNS


def test_workers_end_with_their_master_and_their_runs_go_on(tmp_path, one_by_one):
    world = slow_world(tmp_path)
    for how in (signal.SIGKILL, signal.SIGINT):
        process = world.process("run", "--suite", "tiny", "--jobs", "2")
        wait_for(lambda process=process: len(workers(process.pid)) == 2 and len(held(world)) == 2, process)
        mine = workers(process.pid)
        process.send_signal(how)
        _, err = process.communicate(timeout=120)
        if how == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
            wait_for(lambda mine=mine: not any(map(alive, mine)))
        else:
            assert process.returncode == Interrupted.exit_code, err
            assert "error: stopped on request" in err and "Traceback" not in err
        assert not any(map(alive, mine))
        assert under_way(world)

    again = world.run("run", "--suite", "tiny", "--jobs", "2")
    assert again.code == 0, again.err
    assert "going on from its checkpoint" in again.err
    assert results_of(world) == one_by_one
    assert leftovers(world) == []


def test_two_masters_do_every_run_exactly_once_and_students_wait_for_teachers_of_either(tmp_path):
    world = slow_world(tmp_path)
    world.change("tiny", "multi_task, distribution_matching]", "distillation]")
    both = [world.process("run", "--suite", "tiny", "--jobs", "2") for _ in range(2)]
    said = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    carried_out = [title for err in said for title in re.findall(r"^\[\d+/\d+\] (.+? seed \d):", err, re.MULTILINE)]
    assert len(carried_out) == len(set(carried_out)) == len(world.scores()) == 3


def test_a_store_that_is_removed_under_a_running_suite_is_made_again_or_said(tmp_path, one_by_one):
    world = slow_world(tmp_path)
    process = world.process("run", "--suite", "tiny", "--jobs", "2")
    wait_for(lambda: len(under_way(world)) == 2, process)
    while world.results.exists():
        shutil.rmtree(world.results, ignore_errors=True)
        time.sleep(0.01)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 4), err
    assert "Traceback" not in err
    assert call(world, "run", "--suite", "tiny") == 0
    assert results_of(world) == one_by_one


@pytest.mark.usefixtures("world")
def test_what_cannot_be_at_once_is_a_usage_error(bench):
    both = bench("run", "--suite", "tiny", "--jobs", "2", "--gpu-slots", "2")
    assert both.code == 2
    assert "--jobs and --gpu-slots both say how many runs there are at once" in both.err
    none = bench("plan", "tiny", "--gpu-slots", "2")
    assert none.code == 2
    assert "--gpu-slots needs a GPU, and torch sees none here" in none.err
    assert bench("run", "--suite", "tiny", "--jobs", "0").code == 2
