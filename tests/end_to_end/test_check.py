"""bench report freeze and bench check: planted regressions are caught, and what has not changed raises no alarm."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from ruamel.yaml import YAML

from ..conftest import World
from ..runs.worlds import call, caller, make_world


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A world whose suite has learnt enough to lose something, measured and frozen; nobody may change it."""
    world = make_world(tmp_path_factory.mktemp("reported"))
    for name in ("tiny_faces", "tiny_units"):
        world.change(name, "train: 48, validation: 24, test: 24", "train: 160, validation: 40, test: 160")
    world.change("tiny_budget", "steps: 6", "steps: 40")
    world.change("tiny_budget", "learning_rate: 1e-3", "learning_rate: 1e-2")
    assert call(world, "run", "--suite", "tiny") == 0
    assert call(world, "report", "freeze", "tiny") == 0
    return world


@pytest.fixture
def mine(reported, tmp_path):
    """A copy to change."""
    return World(shutil.copytree(reported.root, tmp_path / "mine"))


@pytest.fixture
def check(mine, capsys):
    """`bench check tiny`, which runs the suite again in this process."""
    bench = caller(mine, capsys)
    return lambda *arguments: bench("check", "tiny", *arguments)


def report_of(world):
    return world.results / "reported" / "tiny.yaml"


def counts(answer):
    found = answer.json["comparison"]["findings"]
    return {status: sum(one["status"] == status for one in found) for status in {one["status"] for one in found}}


def test_what_has_not_changed_is_the_same_and_passes_and_vouches_for_records(check, mine, capsys):
    bench = caller(mine, capsys)

    def sources(*more):
        return {row["method"]: row["evidence"] for row in bench("leaderboard", "tiny", "--json", *more).json[0]["rows"]}

    assert set(sources().values()) == {"self-reported"}
    answer = check("--format", "json")
    assert answer.code == 0, answer.err
    assert counts(answer) == {"same": 18}
    assert answer.json["comparison"]["exact"] and answer.json["exit_code"] == 0
    assert answer.json["summary"] == "18 numbers over 2 seeds: 18 same"
    assert set(sources().values()) == {"verified here"} == set(sources("--rescored").values())
    assert bench("why", "tiny", "tiny_faces/expression/tiny_net/multi_task").out.count("verified here") == 2
    records = [file for file in mine.results.glob("runs/*/*/record.json") if '"multi_task"' in file.read_text("utf-8")]
    content = json.loads(records[0].read_text("utf-8"))
    content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] += 1e-9
    records[0].write_text(json.dumps(content), "utf-8")
    assert sources() == {
        "single_task": "verified here",
        "multi_task": "self-reported",
        "distribution_matching": "verified here",
    }


def test_even_counts_of_stand_ins_say_so(check):
    assert "STAND-IN DATA" in check("--recorded").out


def test_ten_repeats_of_what_has_not_changed_raise_no_alarm(finished, tmp_path, capsys):
    world = World(shutil.copytree(finished.root, tmp_path / "copy"))
    bench = caller(world, capsys)
    assert bench("report", "freeze", "tiny").code == 0
    for _ in range(10):
        answer = bench("check", "tiny")
        assert answer.code == 0 and "18 numbers over 2 seeds: 18 same" in answer.out


def swapped_labels(patch):
    from bench.training import labelling

    plain = labelling._labels

    def swapped(values, task, count):
        found = plain(values, task, count)
        if task.type == "multiclass":
            one, other = found == task.labels.index("happiness"), found == task.labels.index("neutral")
            found = found.copy()
            found[one], found[other] = task.labels.index("neutral"), task.labels.index("happiness")
        return found

    patch.setattr(labelling, "_labels", swapped)


def no_augmentation(patch):
    from bench.data import batches

    plain = batches.draw_changes
    patch.setattr(
        batches,
        "draw_changes",
        lambda augmentation, *rest: plain(augmentation.model_copy(update={"flip": False, "shift": 0.0}), *rest),
    )


def wrong_mask(patch):
    from bench.methods.terms import supervised

    plain = supervised.attributes_loss
    patch.setattr(
        supervised, "attributes_loss", lambda logits, labels, weights=None: plain(logits, labels.clamp(min=0), weights)
    )


def metric_bug(patch):
    from bench.metrics import _local, macro_f1

    patch.setattr(macro_f1, "class_counts", lambda s, r: _local.class_counts(np.roll(np.asarray(s), 1, axis=1), r))


def tenth_of_the_rate(patch):
    from bench.training import loop

    plain = loop.learning_rate_factor
    patch.setattr(loop, "learning_rate_factor", lambda *arguments: plain(*arguments) / 10)


@pytest.mark.parametrize("plant", [swapped_labels, no_augmentation, wrong_mask, metric_bug, tenth_of_the_rate])
def test_a_planted_regression_is_caught(check, monkeypatch, plant):
    plant(monkeypatch)
    answer = check("--format", "json")
    assert answer.code == answer.json["exit_code"] == 3
    assert counts(answer)["regressed"] >= 1


def test_a_metric_whose_code_is_another_is_not_compared_and_named(check, monkeypatch):
    from bench.runs import assembly

    plain = assembly.part_fingerprint
    monkeypatch.setattr(
        assembly, "part_fingerprint", lambda package, name: "0" * 16 if name == "mean_f1" else plain(package, name)
    )
    answer = check()
    assert answer.code == 5
    assert answer.out.count("cannot be compared: other code") == 15  # all but the single-task runs of expressions
    assert "3 same" in answer.out


def test_nothing_comparable_runs_nothing_and_does_not_pass(mine, check):
    mine.change("tiny_budget", "learning_rate: 1e-2", "learning_rate: 1e-3")
    answer = check()
    assert answer.code == 5
    assert "18 cannot be compared" in answer.out and "other budget" in answer.out
    assert "no reported number of suite 'tiny' could be compared" in answer.err
    assert "[1/" not in answer.err


def test_a_run_that_fails_is_no_pass(check, monkeypatch):
    from bench.errors import Diverged
    from bench.runs import job

    plain = job.train

    def breaking(run, *arguments, **options):
        if run.method == "multi_task":
            raise Diverged("the loss was not finite at step 3")
        return plain(run, *arguments, **options)

    monkeypatch.setattr(job, "train", breaking)
    answer = check()
    assert answer.code == 4
    assert "missing: 2 of 2 seeds: diverged" in answer.out


def test_records_can_be_taken_as_they_are(mine, check):
    assert check("--recorded").code == 0
    for file in mine.results.glob("runs/standin/*/record.json"):
        content = json.loads(file.read_text())
        if content["run"]["method"] == "multi_task":
            content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] -= 0.05
            file.write_text(json.dumps(content))
    answer = check("--recorded")
    assert answer.code == 3
    assert "REGRESSED" in answer.out and "1 REGRESSED, 17 same" in answer.out
    shutil.rmtree(mine.results / "runs")
    empty = check("--recorded")
    assert empty.code == 5 and "18 missing" in empty.out


def test_what_only_leaves_out_has_no_say(mine, capsys):
    """Runs of other methods were made elsewhere or have failed: nothing of them is frozen or checked."""
    for number, file in enumerate(sorted(mine.results.glob("runs/standin/*/record.json"))):
        content = json.loads(file.read_text())
        if content["run"]["method"] == "distribution_matching":
            content["environment"]["hardware"]["threads"] = 64
            if number % 2:
                content |= {"status": "failed", "cost": None, "scores": {}, "predictions": []}
                content["failure"] = {"kind": "diverged", "message": "the loss was not finite", "traceback": ""}
            file.write_text(json.dumps(content))
    bench, report = caller(mine, capsys), str(mine.root / "part.yaml")
    frozen = bench("report", "freeze", "tiny", "--only", "multi_task", "--only", "single_task", "--file", report)
    assert frozen.code == 0 and "held to the bit" in frozen.out, frozen.err
    answer = bench("check", "tiny", "--file", report, "--recorded", "--format", "json")
    assert answer.code == 0 and answer.json["comparison"]["exact"]
    assert counts(answer) == {"same": 12}


def test_a_store_of_another_version_is_nothing_measured(mine, check):
    for file in mine.results.glob("runs/standin/*/record.json"):
        content = json.loads(file.read_text())
        content["record_version"] = 1
        file.write_text(json.dumps(content))
    answer = check("--recorded")
    assert answer.code == 5 and "record version 1" in answer.err


def test_files_for_others_say_the_same(mine, check, monkeypatch):
    page, xml, steps = (mine.root / name for name in ("comment.md", "check.xml", "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(steps))
    steps.write_text("before\n")
    tenth_of_the_rate(monkeypatch)
    answer = check("--junit", str(xml), "--comment", str(page), "--format", "json")
    found = answer.json["comparison"]["findings"]
    suite = ElementTree.parse(xml).getroot().find("testsuite")
    assert suite.get("tests") == "18" == str(len(suite.findall("testcase")))
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == counts(answer)["regressed"]
    assert steps.read_text() == "before\n" + page.read_text()
    assert page.read_text().count("REGRESSED") == counts(answer)["regressed"] + 1
    lines = [line for line in answer.err.splitlines() if line.startswith("::error ")]
    assert len(lines) == counts(answer)["regressed"]
    text = report_of(mine).read_text().splitlines()
    for line, finding in zip(lines, (one for one in found if one["status"] == "regressed"), strict=True):
        place = int(re.search(r"line=(\d+)", line)[1])
        assert text[place - 2].strip() == f"{finding['metric']}:" and finding["key"][4] in line


def test_a_report_is_not_replaced_unless_asked(mine, capsys):
    bench = caller(mine, capsys)
    before = report_of(mine).read_text()
    assert bench("report", "freeze", "tiny").code == 0  # the same numbers once more
    for file in mine.results.glob("runs/standin/*/record.json"):
        content = json.loads(file.read_text())
        if content["run"]["method"] == "multi_task":
            content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] -= 0.05
            file.write_text(json.dumps(content))
    refused = bench("report", "freeze", "tiny", "--repeats", "0")
    assert refused.code == 2 and "other numbers" in refused.err and "--update" in refused.err
    assert "tiny_faces/expression/tiny_net/multi_task/macro_f1" in refused.err
    assert report_of(mine).read_text() == before
    assert bench("report", "freeze", "tiny", "--repeats", "0", "--update").code == 0
    assert YAML(typ="safe").load(report_of(mine))["exact"] is False


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r"seeds: \[0, 1\]", "seeds: [0, 1, 2]", "scores for 3 seeds"),
        ("provenance: standin", "", "provenance: this key is needed"),
        ("budget: tiny_budget", "budgte: tiny_budget", "unknown key 'budgte'; did you mean 'budget'?"),
        ("kind: reported", "kind: suite", "expected 'reported', found 'suite'"),
        ("format: 1", "format: 2", "format"),
        ("exact: true", "exact: yes", "exact"),
        ("exact: true", "exact: false", "exact: is false, but repeats agreed on one machine: this file was edited"),
        (r"mean: 0\.\d+", "mean: 0.9", "mean: is 0.9, but the scores give 0."),
        (r"tolerance: 0\.\d+", "tolerance: 0.9", "is not what the scores give"),
        (r"scores: \[[\d.]+, ", "scores: [0.99, ", "this file was edited"),
    ],
)
def test_a_report_that_was_edited_is_refused_with_its_place(mine, check, old, new, said):
    file = report_of(mine)
    text, count = re.subn(old, new, file.read_text(), count=1)
    assert count == 1
    file.write_text(text)
    answer = check()
    assert answer.code == 2 and said in answer.err
    assert re.search(r"tiny\.yaml:\d+:\d+: ", answer.err)


def test_what_is_not_there_is_said(mine, check, capsys):
    report_of(mine).unlink()
    answer = check()
    assert answer.code == 2 and "there is no report" in answer.err and "bench report freeze" in answer.err
    shutil.rmtree(mine.results / "runs")
    nothing = caller(mine, capsys)("report", "freeze", "tiny")
    assert nothing.code == 5 and "36 results are missing" in nothing.err and not report_of(mine).exists()
    one = caller(mine, capsys)("report", "freeze", "tiny", "--seeds", "1")
    assert one.code == 2 and "no spread" in one.err
