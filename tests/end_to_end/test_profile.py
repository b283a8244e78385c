"""`bench run --profile`: a trace that viewers open, a table, and the same numbers."""

from __future__ import annotations

import gzip
import json

import pytest

ONE = ("run", "--suite", "tiny", "--seeds", "1", "--only", "single_task", "--only", "tiny_faces")


def test_a_profiled_run_leaves_a_trace_and_comes_to_the_same_numbers(world, bench):
    assert bench(*ONE).code == 0
    plain = world.scores()
    for file in world.results.glob("runs/[a-z]*/*/record.json"):
        file.unlink()
    told = bench(*ONE, "--profile")
    assert told.code == 0, told.err
    assert world.scores() == plain

    traces = {file.name.removesuffix(".json.gz"): file for file in world.results.glob("profiles/*.json.gz")}
    assert set(traces) == set(plain)
    for file in traces.values():
        assert str(file) in told.out
        events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
        names = {event.get("name", "") for event in events}
        assert "aten::convolution_backward" in names
        assert sum(name.startswith("ProfilerStep#") for name in names) == 4  # six steps, two to warm up
    assert "convolution_backward" in told.out

    again = bench(*ONE, "--profile")
    assert again.code == 0
    assert "nothing was profiled: no run was left to carry out" in again.err
    assert "convolution_backward" not in again.out


def test_nothing_is_profiled_where_nothing_is_carried_out(bench):
    told = bench(*ONE, "--profile", "--dry-run")
    assert told.code == 2
    assert "--dry-run carries nothing out" in told.err


@pytest.mark.parametrize(("steps", "kept"), [(2, 1), (3, 1), (8, 6), (40, 6)])
def test_a_short_training_is_profiled_too(tmp_path, steps, kept):
    from bench.training.profiling import profiled, read_profile

    file = tmp_path / "trace.json.gz"
    assert list(profiled(range(10, 10 + steps), file)) == list(range(10, 10 + steps))
    assert read_profile(file).steps == kept
