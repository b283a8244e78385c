"""`bench run --tracker`: a tracker is told what the record says, and nothing of it changes a number."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.errors import UsageError
from bench.runs.monitoring import monitoring

RUNS = ("run", "--suite", "tiny", "--seeds", "1", "--only", "single_task")


def told_of(folder):
    """Every scalar of a folder of TensorBoard: (step, value) by tag; and the names of the hyper-parameters."""
    scalars = EventAccumulator(str(folder)).Reload()
    tags = scalars.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in scalars.Scalars(tag)] for tag in tags}


def test_tensorboard_is_told_what_the_record_says(world, bench):
    assert bench(*RUNS).code == 0
    plain = world.scores()
    for file in world.results.glob("runs/[a-z]*/*/record.json"):
        file.unlink()
    told = bench(*RUNS, "--tracker", "tensorboard", "--profile", "--jobs", "2")
    assert told.code == 0, told.err
    assert world.scores() == plain
    assert len(list(world.results.glob("profiles/*.json.gz"))) == len(plain)

    folders = {folder.name.rpartition(" ")[2]: folder for folder in (world.results / "trackers").iterdir()}
    assert set(folders) == set(plain)
    for file in world.results.glob("runs/[a-z]*/*/record.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        told = told_of(folders[record["id"]])
        for entry in record["curve"]:
            for name, value in entry["losses"].items():
                assert (entry["step"], pytest.approx(value)) in told[f"loss/{name}"]
        validated = [
            (entry["step"], entry["validation"]) for entry in record["curve"] if entry.get("validation") is not None
        ]
        assert told.get("validation/score", []) == [(step, pytest.approx(score)) for step, score in validated]
        for dataset, tasks in record["scores"].items():
            for task, metrics in tasks.items():
                for metric, score in metrics.items():
                    assert told[f"test/{dataset}.{task}.{metric}"] == [(6, pytest.approx(score["value"]))]
        settings = next(folders[record["id"]].rglob("hparams.yml")).read_text(encoding="utf-8")
        assert f"method: {record['run']['method']}" in settings
        assert "optimizer.learning_rate: 0.001" in settings


def test_a_tracker_that_fails_on_the_way_is_told_no_more_and_the_records_are_good(world, bench, monkeypatch):
    log, finish = Mock(side_effect=OSError("the server is gone")), Mock(side_effect=OSError("nor is it back"))
    monkeypatch.setattr("accelerate.tracking.TensorBoardTracker.log", log)
    monkeypatch.setattr("accelerate.tracking.TensorBoardTracker.finish", finish)
    done = bench(*RUNS, "--tracker", "tensorboard")
    assert done.code == 0, done.err
    records = [json.loads(file.read_text()) for file in world.results.glob("runs/[a-z]*/*/record.json")]
    assert {record["status"] for record in records} == {"done"}
    assert log.call_count == len(records) == done.err.count("the server is gone") == done.err.count("nor is it back")
    assert "the tracker 'tensorboard' failed and is told no more of this run: OSError" in done.err


def test_a_tracker_that_nobody_knows_is_refused_with_the_nearest(bench):
    told = bench(*RUNS, "--tracker", "tensorbord")
    assert told.code == 2
    assert "tracker 'tensorbord' is unknown" in told.err
    assert "tensorboard" in told.err


def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr("bench.runs.monitoring.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        monitoring(profile=False, trackers=["tensorboard"])
    assert caught.value.hint == "`pip install 'mtl-bench[tensorboard]'`"


def test_a_tracker_that_cannot_start_ends_everything_in_words(world, bench):
    (world.results / "trackers").parent.mkdir(parents=True)
    (world.results / "trackers").write_text("in the way", encoding="utf-8")
    told = bench(*RUNS, "--tracker", "tensorboard")
    assert told.code == 2
    assert "the tracker 'tensorboard' could not be started" in told.err
    assert world.scores() == {}
