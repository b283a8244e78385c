"""Killed or asked to stop at any moment, and started again: the same numbers as if nothing had happened."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import Interrupted
from bench.runs.stopping import stop_requests

from ..conftest import World
from ..runs.worlds import call, make_world, results_of, wait_for

RUNS = 3


def long_world(root: Path) -> World:
    """Three runs of 24 steps with a checkpoint after each, over a data set that takes a while to prepare."""
    world = make_world(root)
    world.change("tiny_faces", "train: 48", "train: 600")
    world.change("tiny_budget", "steps: 6", "steps: 24")
    world.change("tiny_budget", "seeds: 2", "seeds: 1")
    world.change("tiny_budget", "evaluations: 2", "evaluations: 5")
    world.change("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 1")
    world.change("tiny", ", distribution_matching]", "]")
    return world


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    world = long_world(tmp_path_factory.mktemp("uninterrupted"))
    assert call(world, "run", "--suite", "tiny") == 0
    found = results_of(world)
    assert len(found) == RUNS
    assert all(record["status"] == "done" and "curve" in record for record in found.values())
    return found


def preparing(world: World) -> bool:
    return any(world.cache.glob("stores/*.partial/images.npy"))


def checkpoints(world: World) -> list[Path]:
    return list(world.results.glob("runs/.work/*/checkpoint.safetensors"))


def saved(world: World, count: int) -> Callable[[], bool]:
    """Tells when so many checkpoints have appeared since now."""
    seen: set[int] = {file.stat().st_mtime_ns for file in checkpoints(world)}
    start = len(seen)

    def happened() -> bool:
        for file in checkpoints(world):
            try:
                seen.add(file.stat().st_mtime_ns)
            except FileNotFoundError:  # the run has ended between the two looks
                continue
        return len(seen) >= start + count

    return happened


def stop_when(world: World, happened: Callable[[], object], how: signal.Signals) -> tuple[int, str]:
    process = world.process("run", "--suite", "tiny")
    wait_for(happened, process)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def test_killed_again_and_again_it_ends_with_the_same_numbers(tmp_path, uninterrupted):
    world = long_world(tmp_path)

    code, _ = stop_when(world, lambda: preparing(world), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not list(world.cache.glob("stores/*/manifest.json"))

    for count in (1, 3, 5):
        code, _ = stop_when(world, saved(world, count), signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert checkpoints(world), "the kill did not land inside a run"
        assert len(world.scores()) < RUNS

    last = world.run("run", "--suite", "tiny")
    assert last.code == 0, last.err
    assert "going on from its checkpoint" in last.err
    assert results_of(world) == uninterrupted
    assert not checkpoints(world)


def test_killed_between_two_runs_the_finished_one_is_kept(tmp_path, uninterrupted):
    world = long_world(tmp_path)
    first = world.results / "runs" / "standin"
    code, _ = stop_when(world, lambda: first.is_dir() and any(first.iterdir()), signal.SIGKILL)
    assert code == -signal.SIGKILL
    kept = results_of(world)
    stamps = {name: (first / name / "record.json").stat().st_mtime_ns for name in kept}
    assert 1 <= len(kept) < RUNS
    assert all(kept[name] == uninterrupted[name] for name in kept)

    assert call(world, "run", "--suite", "tiny") == 0
    assert results_of(world) == uninterrupted
    assert stamps == {name: (first / name / "record.json").stat().st_mtime_ns for name in kept}


def test_asked_to_stop_it_says_so_keeps_a_checkpoint_and_goes_on(tmp_path, uninterrupted):
    world = long_world(tmp_path)

    code, err = stop_when(world, lambda: preparing(world), signal.SIGINT)
    assert code == Interrupted.exit_code, err
    assert "error: stopped on request while data was prepared" in err

    for how in (signal.SIGINT, signal.SIGTERM):
        code, err = stop_when(world, saved(world, 2), how)
        assert code == Interrupted.exit_code, err
        assert "error: stopped on request" in err
        assert "Traceback" not in err
        assert checkpoints(world)

    assert call(world, "run", "--suite", "tiny") == 0
    assert results_of(world) == uninterrupted


def test_a_request_before_anything_has_begun_is_not_lost(world):
    """With all data prepared, nothing but the start of the next run asks whether to stop."""
    assert call(world, "data", "prepare", "tiny_faces", "--size", "16") == 0
    assert call(world, "data", "prepare", "tiny_units", "--size", "16") == 0
    process = world.process("run", "--suite", "tiny")
    maps = Path(f"/proc/{process.pid}/maps")
    wait_for(lambda: "libtorch" in maps.read_text(), process)  # far into the imports, long before the first run
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == Interrupted.exit_code, err
    assert "stopped on request" in err
    assert world.scores() == {}


def test_a_second_ctrl_c_stops_at_once():
    with pytest.raises(Interrupted, match="stopped at once"), stop_requests() as should_stop:
        assert not should_stop()
        signal.raise_signal(signal.SIGINT)
        assert should_stop()
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second request was not obeyed")


def test_of_several_processes_none_stops_at_once(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with stop_requests() as should_stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert should_stop()


def test_repeated_sigterm_is_patient_and_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_requests() as should_stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert should_stop()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_work_and_locks_are_no_results(done, redo):
    before = redo("leaderboard", "tiny", "--json").json
    runs = done.results / "runs"
    for name in ("0123456789abcdef", "fedcba9876543210"):
        half = runs / ".work" / name / "record"
        half.mkdir(parents=True)
        (half / "record.json").write_text("{")
        (runs / ".locks" / f"{name}.lock").touch()
    (runs / ".work" / "0123456789abcdef" / "checkpoint.tmp").write_bytes(b"half")
    assert redo("leaderboard", "tiny", "--json").json == before
    assert before[0]["others"] == {"differing": {}, "refused": {}, "unproven": []}
    states = [run["state"] for run in redo("status", "tiny", "--json").json[0]["runs"]]
    assert states == ["done"] * 8


def test_a_damaged_checkpoint_only_costs_time(done, redo):
    expected = results_of(done)
    record = sorted((done.results / "runs" / "standin").iterdir())[0]
    for file in record.iterdir():
        file.unlink()
    record.rmdir()
    work = done.results / "runs" / ".work" / record.name
    work.mkdir(parents=True)
    (work / "checkpoint.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    assert [r["state"] for r in redo("status", "tiny", "--json").json[0]["runs"]].count("started") == 1
    assert redo("run", "--suite", "tiny").code == 0
    assert results_of(done) == expected
