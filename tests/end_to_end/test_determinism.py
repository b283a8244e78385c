"""The same numbers to the bit: other processes, folders and hash seeds, several threads. Resuming: test_interrupted."""

from __future__ import annotations

import json
import os

import pytest

from ..runs.worlds import make_world, results_of


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Two worlds that share nothing, in which the same was run by two processes of two threads each."""
    # Threads that wait must sleep: more of them run here than there may be cores.
    made = [make_world(tmp_path_factory.mktemp(f"world{number}")) for number in (1, 2)]
    for number, world in enumerate(made):
        world.environment |= {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": str(number)}
    processes = [world.process("run", "--suite", "tiny", "--seeds", "1") for world in made]
    for process in processes:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    return made


def test_two_processes_give_the_same_numbers_to_the_bit(worlds):
    first, second = map(results_of, worlds)
    assert len(first) == 4
    assert all(record["status"] == "done" and record["curve"] for record in first.values())
    assert first == second


def test_prepared_data_are_the_same_to_the_bit(worlds):
    stores = [{f.parent.name: f.read_bytes() for f in world.cache.glob("stores/*/images.npy")} for world in worlds]
    assert len(stores[0]) == 2
    assert stores[0] == stores[1]


def test_the_number_of_threads_stands_in_the_record(worlds):
    for file in worlds[0].results.glob("runs/*/*/record.json"):
        hardware = json.loads(file.read_text(encoding="utf-8"))["environment"]["hardware"]
        assert hardware["threads"] == min(2, len(os.sched_getaffinity(0)))
