"""Watching a suite from elsewhere, by the store's files alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from bench.runs import heartbeat
from bench.runs.forecast import RECENT, _Speeds
from bench.runs.heartbeat import Heartbeat, Pulse, read_pulse
from bench.runs.records import RecordStore, read_record

from ..conftest import clean_environment
from .worlds import call, wait_for

HOLDER = """
import sys
from pathlib import Path
from bench.runs.records import RecordStore, read_record
results, folder = map(Path, sys.argv[1:])
with RecordStore(results).hold(read_record(folder).run):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_pulse_tells_steps_and_rate_by_a_clock_that_does_not_jump(tmp_path, monkeypatch):
    clock = iter([100.0, 100.5, 102.0, 104.0])
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(heartbeat.time, "time", lambda: 1 / 0)
    file = tmp_path / "work" / "progress.json"
    beats = Heartbeat(file)
    beats.beat(10, 50)  # goes on from step 10
    assert read_pulse(file) == Pulse(10, 50, 0.0)
    assert read_pulse(file).seconds_left is None
    beats.beat(11, 50)
    assert read_pulse(file).step == 10  # at most one a second
    beats.beat(14, 50)
    assert read_pulse(file) == Pulse(14, 50, 2.0)
    assert read_pulse(file).seconds_left == 18
    beats.beat(30, 50)
    assert read_pulse(file) == Pulse(30, 50, 5.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": 1}', '{"step": "x", "steps": 2, "rate": 1}', "\x00"])
def test_a_pulse_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    assert read_pulse(tmp_path / "progress.json") is None
    assert read_pulse(tmp_path / "nothing.json") is None


def watching(world):
    return world.process("status", "tiny", "--watch")


def test_it_tells_what_is_under_way_and_ends_with_the_last_run(world):
    world.change("tiny_budget", "steps: 6", "steps: 60")
    world.change("tiny_budget", "seeds: 2", "seeds: 1")
    watch = watching(world)
    wait_for(lambda: watch.stdout.readline().startswith("tiny: 4 missing"), watch)
    assert call(world, "run", "--suite", "tiny") == 0
    out, err = watch.communicate(timeout=60)
    assert watch.returncode == 0, err
    assert "1 running" in out and " of 60 " in out
    assert out.rstrip().splitlines()[-1] == "nobody carries out a run of it just now"
    assert "tiny: 4 done" in out


def test_what_a_killed_process_left_is_not_taken_for_running_and_is_cleaned(done, redo):
    folders = sorted((done.results / "runs" / "standin").iterdir())
    store = RecordStore(done.results)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(done.results), str(folders[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert holder.stdout.readline() == "held\n"
    run = read_record(folders[0]).run
    beats = Heartbeat(store.progress_file(run))
    beats.beat(3, 6)
    (store.work_folder(run) / "record").mkdir()
    (store.work_folder(run) / "checkpoint.tmp").write_text("half")
    assert store.is_held(run)
    store.tidy()
    assert store.progress_file(run).is_file()  # somebody holds it

    holder.kill()
    holder.communicate()
    assert not store.is_held(run)
    checkpoint = store.root / ".work" / "0123456789abcdef" / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"may go on")
    assert redo("run", "--suite", "tiny").code == 0
    assert not store.work_folder(run).exists()
    assert list((store.root / ".locks").iterdir()) == []
    assert checkpoint.is_file()


def test_ctrl_c_ends_the_looking_alone(world):
    watch = watching(world)
    wait_for(lambda: watch.stdout.readline().startswith("tiny: "), watch)
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=30)
    assert watch.returncode == 130
    assert "stopped looking; the runs themselves go on" in err
    assert "Traceback" not in err


def test_watching_and_json_do_not_go_together(ask):
    told = ask("status", "tiny", "--watch", "--json")
    assert told.code == 2
    assert "--watch" in told.err


# ------------------------------------------------------------------------------------------------- how long it takes


def slowed(world, factor_of):
    """Give every record the seconds that `factor_of` its description says; returns the seconds of each run."""
    told = {}
    for file in sorted(world.results.glob("runs/standin/*/record.json")):
        record = json.loads(file.read_text())
        train, rest = factor_of(record["run"])
        record["cost"]["seconds"] = {"train": train, "validation": rest / 2, "other": rest / 2}
        file.write_text(json.dumps(record))
        told[record["id"]] = train + rest
    return told


def known_times(run):
    return (100.0, 10.0) if run["type"] == "single" else (400.0, 30.0)


def test_the_estimate_is_right_on_what_was_seen(done, redo):
    """More seeds of a suite with two: each new run takes what those of its kind took, two at once half of it."""
    seconds = slowed(done, known_times)
    assert len(seconds) == 8
    expected = sum(seconds.values())  # two more seeds
    (told,) = redo("plan", "tiny", "--seeds", "4", "--json").json
    assert told["seconds_to_do"] == pytest.approx(expected, rel=0.02)
    (told,) = redo("plan", "tiny", "--seeds", "4", "--jobs", "2", "--json").json
    assert told["seconds_to_do"] == pytest.approx(expected / 2, rel=0.15)


def test_a_busy_hour_does_not_decide_the_estimate(done):
    slowed(done, known_times)
    records = map(read_record, (done.results / "runs" / "standin").iterdir())
    good = next(record for record in records if record.run.type == "joint")
    hardware = good.environment["hardware"]
    threads, rate = hardware["threads"], 400 / good.cost.images
    busy = good.model_copy(update={"cost": good.cost.model_copy(update={"seconds": {"train": 40_000.0, "x": 1.0}})})
    later = good.model_copy(update={"finished": good.finished + timedelta(hours=1)})
    elsewhere = busy.model_copy(update={"environment": {"hardware": {**hardware, "processor": "another"}}})
    wide = busy.model_copy(update={"environment": {"hardware": {**hardware, "threads": threads + 7}}})

    assert _Speeds([busy, busy, good, good, good], threads).of_training(good.run) == pytest.approx(rate)
    assert _Speeds([busy, good, good], threads).of_the_rest(good.run) == pytest.approx(30)
    assert _Speeds([busy] * 50 + [later] * RECENT, threads).of_training(good.run) == pytest.approx(rate)
    assert _Speeds([elsewhere], threads).of_training(good.run) is None
    assert _Speeds([wide, wide, good], threads).of_training(good.run) == pytest.approx(rate)
    assert _Speeds([wide], threads).of_training(good.run) == pytest.approx(100 * rate)
