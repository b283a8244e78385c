"""bench diagnose from the command line to its files and tables."""

from __future__ import annotations

import json
import os
import signal

import pytest

from bench.reports.table import STANDIN_WARNING
from bench.training.probe import RunProbe

COUPLING = "distribution_matching.emotion_action_units"


def files(world):
    return {file.stem: file for file in world.results.glob("diagnoses/standin/*.json")}


def by_method(found, key):
    return {row["method"]: row for row in found[key]}


@pytest.fixture
def looks(monkeypatch):
    """Counts the looks that are taken."""
    taken = []
    plain = RunProbe.look

    def counted(probe, **about):
        taken.append(about["step"])
        plain(probe, **about)

    monkeypatch.setattr(RunProbe, "look", counted)
    return taken


def test_a_suite_is_diagnosed_once(done, redo, looks):
    first = redo("diagnose", "tiny", "--every", "2", "--json")
    assert first.code == 0, first.err
    assert looks == [0, 2, 4, 5] * 2
    assert "multi_task tiny_net seed 0: 4 looks" in first.err
    (found,) = first.json
    assert (found["suite"], found["seeds"], found["every"]) == ("tiny", [0], [2])
    pairs = {(row["method"], row["first"], row["second"]) for row in found["cosines"]}
    assert pairs == {
        ("multi_task", "expression", "action_units"),
        ("distribution_matching", "expression", "action_units"),
        ("distribution_matching", "expression", COUPLING),
        ("distribution_matching", "action_units", COUPLING),
    }
    assert list(found["cosines"][0]["by_depth"]) == ["whole", "stem", "layer1", "layer2", "layer3", "layer4"]
    agreements = by_method(found, "agreements")
    assert agreements.keys() == {"multi_task", "distribution_matching"}  # with coupling and without it
    assert [point["step"] for point in agreements["multi_task"]["points"]] == [0, 3, 6]
    untrained = {row["points"][0]["difference"] for row in found["agreements"]}
    ended = {row["points"][-1]["difference"] for row in found["agreements"]}
    assert (len(untrained), len(ended)) == (1, 2)  # the same start, another end
    assert {(c["cell"]["method"], c["cell"]["task"]) for c in found["calibrations"]} == {
        (method, task)
        for method in ("single_task", "multi_task", "distribution_matching")
        for task in ("expression", "action_units")
    }
    assert all(0 <= c["by_seed"]["0"] <= 1 for c in found["calibrations"])
    assert found["failed"] == found["differing"] == []

    kept = files(done)
    assert len(kept) == 2
    for run_id, file in kept.items():
        content = json.loads(file.read_text())
        assert (content["id"], content["diagnosis_version"], content["same_as_record"]) == (run_id, 1, True)
    assert not list(done.results.glob("diagnoses/**/*.tmp"))

    again = redo("diagnose", "tiny", "--every", "2", "--json")
    assert again.json == first.json
    assert looks == [0, 2, 4, 5] * 2
    assert again.err.count("4 looks, of an earlier time") == 2

    shown = redo("diagnose", "tiny", "--every", "2", "--only", "multi_task").out
    for title in ("Cosines between gradients on tiny_net", "Norms of", "Task affinity", "Agreement of", "Calibration"):
        assert title in shown
    assert COUPLING not in shown
    assert STANDIN_WARNING in shown
    assert "emotion_action_units" in shown  # known from the coupled runs that --only leaves out

    other = redo("diagnose", "tiny", "--every", "5", "--only", "multi_task")
    assert other.code == 0
    assert looks[8:] == [0, 5]


def test_a_recorded_run_is_diagnosed_beside_its_twins(done, redo):
    records = [json.loads(file.read_text()) for file in done.results.glob("runs/standin/*/record.json")]
    run = next(r for r in records if r["run"]["method"] == "multi_task" and r["run"]["seed"] == 1)
    told = redo("diagnose", run["id"], "--json")
    assert told.code == 0, told.err
    (found,) = told.json
    assert found["seeds"] == [1]
    assert list(files(done)) == [run["id"]]
    assert {(c["cell"]["method"], *c["by_seed"]) for c in found["calibrations"]} == {
        ("single_task", "1"),
        ("multi_task", "1"),
    }
    assert by_method(found, "agreements").keys() == {"multi_task"}

    single = next(r for r in records if r["run"]["method"] == "single_task")
    for arguments, message in (
        ([single["id"]], "learns one task"),
        (["0123456789abcdef"], "recorded run '0123456789abcdef' is unknown"),
        (["tinyy"], "did you mean 'tiny'?"),
        ([run["id"], "--seeds", "2"], "choose among the runs of a suite"),
        (["tiny", "--only", "single_task"], "nothing of suite 'tiny' learns several tasks"),
    ):
        wrong = redo("diagnose", *arguments)
        assert wrong.code == 2, arguments
        assert message in wrong.err

    elsewhere = done.root / "elsewhere"
    elsewhere.mkdir()
    done.environment["BENCH_SPECS"] = str(elsewhere)
    unknown = redo("diagnose", run["id"])
    del done.environment["BENCH_SPECS"]
    assert unknown.code == 2
    assert f"run {run['id']} is of suite 'tiny', which no spec describes here" in unknown.err
    assert "--specs DIR" in unknown.err

    done.change("tiny_budget", "learning_rate: 1e-3", "learning_rate: 2e-3")
    changed = redo("diagnose", run["id"])
    assert changed.code == 2
    assert f"run {run['id']} is not one of suite 'tiny' any more" in changed.err
    assert "--budget NAME" in changed.err


def test_a_control_is_compared_with_the_true_relatedness(done, redo):
    assert redo("run", "--suite", "tiny", "--controls", "--seeds", "1").code == 0
    records = [json.loads(file.read_text()) for file in done.results.glob("runs/standin/*/record.json")]
    run = next(r for r in records if r["run"]["method"] == "distribution_matching_permuted")
    assert redo("diagnose", run["id"]).code == 0
    content = json.loads(files(done)[run["id"]].read_text())
    coupled = next(r for r in records if r["run"]["method"] == "distribution_matching")
    assert content["relatedness"] == coupled["run"]["relatedness"] != run["run"]["relatedness"]


def test_a_damaged_diagnosis_is_made_anew_and_one_of_another_version_too(done, redo, looks):
    arguments = ("diagnose", "tiny", "--every", "5", "--only", "multi_task", "--json")
    first = redo(*arguments)
    ((run_id, file),) = files(done).items()
    whole = file.read_text()
    for broken in (whole[:100], whole.replace(run_id, "0" * 16)):
        file.write_text(broken)
        again = redo(*arguments)
        assert again.json == first.json
        assert "it is made anew" in again.err
    file.write_text(whole.replace('"diagnosis_version": 1', '"diagnosis_version": 0'))
    assert redo(*arguments).json == first.json
    assert looks == [0, 5] * 4


def test_another_training_than_the_recorded_one_is_told(done, redo):
    for file in done.results.glob("runs/standin/*/record.json"):
        content = json.loads(file.read_text())
        content["curve"][-1]["losses"]["supervised.expression"] = 9.0
        file.write_text(json.dumps(content))
    told = redo("diagnose", "tiny", "--every", "6", "--only", "multi_task")
    assert told.code == 0
    assert "multi_task tiny_net seed 0 did not come to the numbers of its record" in told.err


def test_altered_predictions_are_refused(done, redo):
    for file in done.results.glob("runs/standin/*/tiny_faces.expression.parquet"):
        file.write_bytes(file.read_bytes() + b"x")
    told = redo("diagnose", "tiny", "--every", "6", "--only", "multi_task")
    assert told.code == 2
    assert "tiny_faces.expression.parquet is not the file that run" in told.err


def test_runs_that_cannot_be_trained_do_not_hold_up_the_others(world, bench):
    """Without `bench run` there are no single-task networks to learn from, and nothing to be calibrated."""
    world.change("tiny", "multi_task, distribution_matching", "multi_task, distillation")
    told = bench("diagnose", "tiny", "--every", "6", "--json")
    assert told.code == 4
    assert "failed: distillation tiny_net seed 0: it learns from single-task networks" in told.err
    (found,) = told.json
    assert {row["method"] for row in found["cosines"]} == {"multi_task"}
    assert found["calibrations"] == []
    # What the suite says of its tasks is asked of predictions whether or not a method uses it.
    assert {row["method"] for row in found["agreements"]} == {"multi_task"}
    assert len(files(world)) == 1
    assert json.loads(next(iter(files(world).values())).read_text())["same_as_record"] is None

    hopeless = bench("diagnose", "tiny", "--every", "6", "--only", "distillation")
    assert hopeless.code == 5
    assert "no run of 'tiny' could be looked at" in hopeless.err


def test_a_run_that_diverges_is_told(world, bench):
    world.change("tiny_budget", "learning_rate: 1e-3", "learning_rate: 1e30")
    told = bench("diagnose", "tiny", "--every", "2")
    assert told.code == 5
    assert told.err.count("failed: ") == 2
    assert "not finite" in told.err
    assert files(world) == {}


def test_interrupted_it_keeps_what_is_finished_and_goes_on(done, redo, monkeypatch):
    plain = RunProbe.look
    coupled = []

    def interrupting(probe, **about):
        plain(probe, **about)
        if probe._run.method == "distribution_matching":
            coupled.append(about["step"])
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunProbe, "look", interrupting)
    told = redo("diagnose", "tiny", "--every", "3")
    assert told.code == 130
    assert coupled == [0]
    assert "starts anew" in told.err
    assert len(files(done)) == 1
    monkeypatch.undo()
    on = redo("diagnose", "tiny", "--every", "3")
    assert on.code == 0
    assert on.err.count("of an earlier time") == 1
    assert len(files(done)) == 2
