"""Methods that learn from single-task networks: taught once, resumed, and told plainly where a teacher failed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from bench.training import loop

TAUGHT = """
    kind: suite
    name: taught
    title: A suite whose methods learn from single-task networks
    datasets: [tiny_faces, tiny_units]
    backbones: [tiny_net]
    methods: [single_task, multi_task, distillation, eager]
    budget: tiny_budget
    margins: {macro_f1: 0.05, mean_f1: 0.05}
"""
EAGER = """
    kind: method
    name: eager
    title: Pseudo-labels wherever a teacher says anything
    type: joint
    labels:
      - {name: pseudo_labels, threshold: 0.501}
    terms:
      - {name: supervised}
"""


@pytest.fixture
def taught(world):
    world.write("taught", TAUGHT)
    world.write("eager", EAGER)
    return world


def records(world, method=None):
    found = [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]
    return [record for record in found if method is None or record["run"]["method"] == method]


def test_students_learn_from_the_twins_of_their_seed(taught, bench):
    run = bench("run", "--suite", "taught")
    assert run.code == 0, run.err
    twins = {(r["run"]["seed"], r["run"]["tasks"][0]["name"]): r["id"] for r in records(taught, "single_task")}
    for record in records(taught, "distillation"):
        named = {teacher["task"]: teacher["id"] for teacher in record["run"]["teachers"]}
        assert named == {task: twins[record["run"]["seed"], task] for task in ("expression", "action_units")}
        losses = record["curve"][-1]["losses"]
        assert losses["distillation.expression"] > 0 and losses["distillation.action_units"] > 0
    assert not any(record["run"]["teachers"] for record in records(taught, "multi_task"))
    kept = {file.stem for file in taught.results.glob("runs/.networks/*")}
    assert kept == set(twins.values())


def test_what_pseudo_labels_did_is_in_the_record_and_told(taught, bench):
    assert bench("run", "--suite", "taught", "--seeds", "1").code == 0
    (record,) = records(taught, "eager")
    faces, units = (record["label_changes"][name]["pseudo_labels"] for name in ("tiny_faces", "tiny_units"))
    assert faces["action_units"]["before"] == 0 and faces["action_units"]["added"] > 0
    # After six steps no class of seven is more probable than all others together.
    assert units["expression"] == {"before": 0, "added": 0, "contradicted": 0}
    assert "expression" not in faces and "action_units" not in units
    told = bench("why", "taught", "tiny_units/action_units/tiny_net/eager", "--seeds", "1")
    assert "labels of tiny_faces:" in told.out and "contradicted" in told.out


def test_a_network_that_is_gone_is_trained_again_to_the_same_numbers(taught, bench):
    """A suite may have run before a method asked for teachers."""
    assert bench("run", "--suite", "taught", "--seeds", "1", "--only", "single_task", "--only", "multi_task").code == 0
    assert not (taught.results / "runs" / ".networks").exists()
    before = taught.scores()
    assert bench("run", "--suite", "taught", "--seeds", "1").code == 0
    after = taught.scores()
    assert {key: after[key] for key in before} == before
    networks = {file.stem: load_file(file) for file in taught.results.glob("runs/.networks/*")}
    assert len(networks) == 2 and not list(taught.results.glob("runs/.work/*/checkpoint*"))
    for file in taught.results.glob("runs/.networks/*"):
        file.unlink()
    for record in records(taught, "distillation"):
        (taught.results / "runs" / "standin" / record["id"] / "record.json").unlink()
        (taught.results / "runs" / "standin" / record["id"]).rename(taught.root / "aside")
    assert bench("run", "--suite", "taught", "--seeds", "1").code == 0
    assert taught.scores() == after
    for file in taught.results.glob("runs/.networks/*"):
        again = load_file(file)
        assert all(torch.equal(again[name], value) for name, value in networks[file.stem].items())


def test_students_of_a_teacher_that_failed_say_so_and_the_others_go_on(taught, bench, monkeypatch):
    outcome = loop._Training.outcome

    def failing(training):
        if training.run.type == "single" and training.run.tasks[0].name == "action_units":
            raise ValueError("broken on purpose")
        return outcome(training)

    monkeypatch.setattr(loop._Training, "outcome", failing)
    run = bench("run", "--suite", "taught", "--seeds", "1")
    assert run.code == 4
    assert "learns from single-task networks, and those of tiny_units/action_units did not end well" in run.err
    assert {r["run"]["method"] for r in records(taught) if r["status"] == "done"} == {"single_task", "multi_task"}
    monkeypatch.setattr(loop._Training, "outcome", outcome)
    assert bench("run", "--suite", "taught", "--seeds", "1").code == 0
    assert all(record["status"] == "done" for record in records(taught))
