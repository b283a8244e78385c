"""No room on the disk: said as what it is, nothing half-written taken for whole, and done when there is room.

A limit on the size of files stands in for a full disk; it strikes wherever something larger is written.
"""

from __future__ import annotations

import resource
from functools import partial

import pytest

from bench.data.store import MANIFEST, open_store
from bench.runs.records import read_record

from ..conftest import World
from ..runs.worlds import call, make_world, results_of


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def small_world(root) -> World:
    world = make_world(root)
    world.change("tiny_budget", "seeds: 2", "seeds: 1")
    world.change("tiny", ", distribution_matching]", "]")
    return world


@pytest.fixture(scope="module")
def with_room(tmp_path_factory):
    world = small_world(tmp_path_factory.mktemp("with_room"))
    assert call(world, "run", "--suite", "tiny") == 0
    return results_of(world)


# Sizes between those of a prepared image array (74 kB), a checkpoint (some MB) and a record with its predictions (kB).
@pytest.mark.parametrize(
    ("size", "checkpoint_every", "prepared_before"),
    [(20_000, 2, False), (1_000_000, 2, False), (2_500, 1000, True)],
    ids=["preparation", "checkpoint", "record"],
)
def test_a_full_disk(tmp_path, with_room, size, checkpoint_every, prepared_before):
    world = small_world(tmp_path)
    world.change("tiny_budget", "checkpoint_every: 2", f"checkpoint_every: {checkpoint_every}")
    if prepared_before:
        for name in ("tiny_faces", "tiny_units"):
            assert call(world, "data", "prepare", name, "--size", "16") == 0

    full = world.run("run", "--suite", "tiny", preexec_fn=partial(limit_files, size))
    assert full.code == 4, full.err
    assert "error: results can no longer be stored" in full.err
    assert "what to do: free some space" in full.err
    assert "Traceback" not in full.err
    for folder in world.results.glob("runs/[a-z]*/*"):
        read_record(folder)
    assert not world.scores()
    for manifest in world.cache.glob(f"stores/*/{MANIFEST}"):
        open_store(manifest.parent)
    assert not list(world.results.rglob("*.tmp"))

    assert call(world, "run", "--suite", "tiny") == 0
    assert results_of(world) == with_room
