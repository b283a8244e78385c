"""Several runs at once, with real workers: the same numbers, and nothing lost, doubled or left behind when some die.

What does not need a training is tested with stub workers in `tests/runs/test_processes.py`.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.errors import Interrupted

from ..conftest import World
from ..runs.worlds import call, make_world, results_of, wait_for

RUNS = 4
ENDED = re.compile(r"^\[\d+/\d+\] (.+? seed \d):", re.MULTILINE)


def slow_world(root: Path) -> World:
    """Four runs of 30 steps with a checkpoint after each."""
    world = make_world(root)
    world.change("tiny_budget", "steps: 6", "steps: 30")
    world.change("tiny_budget", "seeds: 2", "seeds: 1")
    world.change("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 1")
    return world


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    world = slow_world(tmp_path_factory.mktemp("one_by_one"))
    assert call(world, "run", "--suite", "tiny") == 0
    return results_of(world)


def workers(pid: int) -> list[int]:
    """Worker processes of a master, whichever of its threads has started them."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text(encoding="ascii").split()):
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


def under_way(world: World) -> set[str]:
    """Runs that somebody carries out and that have a checkpoint."""
    begun = {file.parent.name for file in world.results.glob("runs/.work/*/checkpoint.safetensors")}
    return begun & {file.parent.name for file in world.results.glob("runs/.work/*/progress.json")}


def leftovers(world: World) -> list[Path]:
    return [*world.results.glob("runs/.work/*"), *world.results.glob("runs/.locks/*"), *world.results.rglob("*.tmp")]


def while_it_runs(act: Callable[[], object], world: World, *arguments: str) -> tuple[int, str]:
    """Run bench in this process, and act from a second thread; gives the exit code and what was said."""
    acting, said = threading.Thread(target=act), io.StringIO()
    acting.start()
    with redirect_stderr(said):
        code = call(world, "run", "--suite", "tiny", *arguments)
    acting.join()
    return code, said.getvalue()


@dataclass
class Story:
    """What happened to one suite: its master is killed, then it is stopped, then a worker is killed, and it ends."""

    world: World
    codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    workers: list[list[int]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    world = slow_world(tmp_path_factory.mktemp("story"))
    told, ours = Story(world), os.getpid()

    master = world.process("run", "--suite", "tiny", "--jobs", "2")
    wait_for(lambda: len(under_way(world)) == 2, master)
    told.workers.append(workers(master.pid))
    master.kill()
    master.communicate()
    wait_for(lambda: not any(map(alive, told.workers[0])))
    told.left.append(len(list(world.results.glob("runs/.work/*/checkpoint.safetensors"))))

    def press_ctrl_c() -> None:
        wait_for(lambda: len(workers(ours)) == 2 and not under_way(world))  # what the killed ones left is gone
        wait_for(lambda: under_way(world))
        told.workers.append(workers(ours))
        os.kill(ours, signal.SIGINT)

    def kill_a_worker() -> None:
        wait_for(lambda: len(workers(ours)) == 2 and len(under_way(world)) == 2)
        told.workers.append(workers(ours))
        os.kill(told.workers[-1][0], signal.SIGKILL)

    for act in (press_ctrl_c, kill_a_worker):
        code, said = while_it_runs(act, world, "--jobs", "2")
        told.codes.append(code)
        told.said.append(said)
    return told


def test_workers_end_with_their_master_and_keep_checkpoints(story):
    assert len(story.workers[0]) == 2
    assert story.left[0] >= 1


def test_ctrl_c_ends_with_130_and_leaves_nobody(story):
    assert story.codes[0] == Interrupted.exit_code
    assert "error: stopped on request" in story.said[0] and "Traceback" not in story.said[0]
    assert len(story.workers[1]) == 2
    assert not any(map(alive, story.workers[1]))


def test_a_killed_worker_costs_only_time(story):
    assert story.codes[1] == 0, story.said[1]
    assert story.said[1].count("was killed by SIGKILL; it is tried again") == 1
    assert "going on from its checkpoint" in story.said[1]


def test_after_all_that_every_run_was_done_once_with_the_numbers_of_one_by_one(story, one_by_one):
    ended = [title for said in story.said for title in ENDED.findall(said)]
    assert len(ended) == len(set(ended)) <= RUNS
    assert results_of(story.world) == one_by_one
    assert leftovers(story.world) == []
    for file in story.world.results.glob("runs/standin/*/record.json"):
        assert json.loads(file.read_text())["environment"]["hardware"]["threads"] == 1


def test_two_masters_do_every_run_exactly_once_and_students_wait_for_teachers_of_either(tmp_path):
    world = slow_world(tmp_path)
    world.change("tiny", "multi_task, distribution_matching]", "distillation]")
    other = world.process("run", "--suite", "tiny", "--jobs", "2")
    wait_for(lambda: under_way(world), other)
    code, said = while_it_runs(lambda: None, world)
    _, said_too = other.communicate(timeout=120)
    assert (code, other.returncode) == (0, 0), said + said_too
    carried_out = ENDED.findall(said) + ENDED.findall(said_too)
    assert len(carried_out) == len(set(carried_out)) == len(world.scores()) == 3


def test_a_store_that_is_removed_under_a_running_suite_is_made_again_or_said(tmp_path, one_by_one):
    world = slow_world(tmp_path)

    def remove() -> None:
        wait_for(lambda: under_way(world))
        while world.results.exists():
            shutil.rmtree(world.results, ignore_errors=True)

    code, said = while_it_runs(remove, world)
    assert code in (0, 4), said
    assert "Traceback" not in said
    assert call(world, "run", "--suite", "tiny") == 0
    assert results_of(world) == one_by_one
