"""Runs on real Ray clusters of two nodes on this machine (`make cluster`): one is killed, and numbers stay the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import Interrupted

from ..conftest import Finished, World
from ..runs.worlds import call, results_of, wait_for
from .test_jobs import ENDED, leftovers, slow_world

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("default")]
STEPS = 300


def world_of(root: Path) -> World:
    """Four runs that take some seconds each."""
    world = slow_world(root)
    world.change("tiny_budget", "steps: 30", f"steps: {STEPS}")
    return world


def taught_world(root: Path) -> World:
    """Two twins, and a student that learns from their networks."""
    world = slow_world(root)
    world.change("tiny", "multi_task, distribution_matching]", "distillation]")
    return world


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    world = world_of(tmp_path_factory.mktemp("one_by_one"))
    assert call(world, "run", "--suite", "tiny") == 0
    return results_of(world)


class Cluster:
    """A head and a second node, of one core each, with caches of their own."""

    def __init__(self, root: Path) -> None:
        from ray.cluster_utils import Cluster as RayNodes

        self.root, self.caches = root, [root / "head", root / "second"]
        self.nodes = RayNodes(initialize_head=True, head_node_args=self._node("head"))
        self.second = self.nodes.add_node(**self._node("second"))

    def _node(self, name: str) -> dict[str, Any]:
        return {"num_cpus": 1, "include_dashboard": False, "env_vars": {"BENCH_CACHE": str(self.root / name)}}

    def kill_the_second(self) -> None:
        """Kill a node as a power cut does, with the processes on it."""
        raylet = self.second.all_processes["raylet"][0].process
        for pid in (raylet.pid, *descendants(raylet.pid)):
            os.kill(pid, signal.SIGKILL)

    def replace_the_second(self) -> None:
        """Put a node with the same cache in the place of a killed one."""
        self.second = self.nodes.add_node(**self._node("second"))

    def run(self, world: World, *arguments: str, act: Callable[[Any], None] = lambda process: None) -> Finished:
        process = world.process(*self.command(*arguments))
        act(process)
        out, err = process.communicate(timeout=240)
        return Finished(process.returncode, out, err)

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("run", "--suite", "tiny", "--executor", "ray", "--address", self.nodes.address, *arguments)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.nodes.shutdown()


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in map(int, (task / "children").read_text(encoding="ascii").split()):
            found += [child, *descendants(child)]
    return found


def processes_of(world: World) -> list[str]:
    """Commands of all processes that were started with the folders of a world."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"BENCH_RESULTS={world.results}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is another's
            continue
    return found


def training(world: World) -> list[Path]:
    return list(world.results.glob("runs/.work/*/progress.json"))


def test_a_killed_node_costs_only_time_and_numbers_are_those_of_one_process(cluster, tmp_path, one_by_one):
    world = world_of(tmp_path)

    def kill_the_second(process: Any) -> None:
        wait_for(lambda: len(training(world)) == 2, process)
        cluster.kill_the_second()

    done = cluster.run(world, act=kill_the_second)
    cluster.replace_the_second()
    assert done.code == 0, done.err
    assert len(re.findall(r"was lost \(\w+\); it is tried again", done.err)) == 1, done.err
    ended = ENDED.findall(done.err)
    assert len(ended) == len(set(ended)) == 4
    assert results_of(world) == one_by_one
    assert leftovers(world) == []
    for file in world.results.glob("runs/standin/*/record.json"):
        assert json.loads(file.read_text())["environment"]["hardware"]["threads"] == 1


def test_students_get_the_networks_of_their_teachers_and_an_exception_is_not_tried_again(cluster, tmp_path):
    alone, world = taught_world(tmp_path / "alone"), taught_world(tmp_path / "cluster")
    assert call(alone, "run", "--suite", "tiny") == 0
    done = cluster.run(world)
    assert done.code == 0, done.err
    assert results_of(world) == results_of(alone)
    (student,) = [f for f in world.results.glob("runs/standin/*/record.json") if '"distillation"' in f.read_text()]
    shutil.rmtree(student.parent)
    for network in world.results.glob("runs/.networks/*"):
        network.write_bytes(b"not a network")
    done = cluster.run(world)
    assert done.code == 4, done.err
    assert "tried again" not in done.err and done.err.count("failed: distillation") == 1
    assert json.loads(student.read_text())["failure"]["kind"] == "error"

    for network in world.results.glob("runs/.networks/*"):
        network.unlink()  # teachers are trained once more, where the student is
    done = cluster.run(world)
    assert done.code == 0, done.err
    assert results_of(world) == results_of(alone)


def test_stores_come_once_to_each_node(cluster, tmp_path):
    world = slow_world(tmp_path)
    assert cluster.run(world).code == 0
    for cache in cluster.caches:
        places = sorted(place.name.rpartition("-")[0] for place in (cache / "staged").iterdir() if place.is_dir())
        assert [place.partition("-")[0] for place in places] == ["tiny_faces", "tiny_units"]
        assert list((cache / "seats").glob("*/")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_leaves_nobody_and_goes_on_when_repeated(tmp_path, one_by_one, number):
    world = world_of(tmp_path)
    command = ("run", "--suite", "tiny", "--executor", "ray", "--jobs", "2")
    process = world.process(*command, start_new_session=True)
    wait_for(lambda: len(training(world)) == 2, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == Interrupted.exit_code, said
    assert "error: stopped on request" in said and "Traceback" not in said
    wait_for(lambda: not processes_of(world))
    assert len(list(world.results.glob("runs/.work/*/checkpoint.safetensors"))) == 2
    again = world.run(*command)
    assert again.code == 0, again.err
    assert again.err.count("going on from its checkpoint") == 2
    assert results_of(world) == one_by_one
    assert processes_of(world) == []


def test_a_killed_master_leaves_nobody(tmp_path):
    world = world_of(tmp_path)
    process = world.process("run", "--suite", "tiny", "--executor", "ray", "--jobs", "2")
    wait_for(lambda: len(training(world)) == 2, process)
    process.kill()
    process.communicate()
    wait_for(lambda: not processes_of(world))


def test_what_no_node_has_is_refused(cluster, tmp_path):
    world = slow_world(tmp_path)
    world.change("tiny_budget", "seeds: 1", "seeds: 1\nresources: {cpus: 64}")
    done = cluster.run(world)
    assert done.code == 2
    assert "no machine of the Ray cluster has 64 cores" in done.err
