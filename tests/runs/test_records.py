"""Records: whole, honest about what they are of, and never shown when they cannot be trusted."""

from __future__ import annotations

import hashlib
import json
import shutil
from unittest.mock import Mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score

from bench.errors import RecordError
from bench.runs.records import Record, RecordStore, read_record

from .worlds import results_of

STANDIN = "runs/standin"


def folders(world):
    return sorted((world.results / STANDIN).iterdir())


def test_a_record_reads_back_as_it_was_written(finished):
    for folder in folders(finished):
        record = read_record(folder)
        assert record == Record.model_validate_json(record.model_dump_json())
        assert record.run.id == record.id == folder.name
        assert record.status == "done" and record.failure is None
        assert record.started <= record.finished and record.started.tzinfo is not None
        assert record.command[:2] == ("bench", "run")
        assert record.environment["packages"]["torch"]
        assert record.selected_step in (3, 6)
        assert [entry["step"] for entry in record.curve if "validation" in entry] == [3, 6]
        assert record.validation_score == max(entry["validation"] for entry in record.curve if "validation" in entry)
        assert record.cost is not None and record.cost.steps == 6 and record.cost.images == record.run.images_seen


def test_the_record_names_each_prediction_file_with_its_hash_and_rows(finished):
    for folder in folders(finished):
        record = read_record(folder)
        cells = {f"{source.dataset}.{task}.parquet" for source in record.run.sources for task in source.tasks}
        assert {p.file for p in record.predictions} == cells == {f.name for f in folder.glob("*.parquet")}
        for prediction in record.predictions:
            content = (folder / prediction.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == prediction.sha256
            assert pq.read_table(folder / prediction.file).num_rows == prediction.rows == 24


def test_scores_follow_from_the_stored_predictions(finished):
    """Each recorded score, worked out anew with scikit-learn from nothing but the prediction file."""
    compared = 0
    for folder in folders(finished):
        record = read_record(folder)
        for prediction in record.predictions:
            dataset, task = prediction.file.split(".")[:2]
            table = pq.read_table(folder / prediction.file)
            scores = np.array(table["scores"].to_pylist())
            truth = np.array(table["reference"].to_pylist())
            expected = by_classes(scores, truth) if task == "expression" else by_labels(scores, truth)
            for metric, score in record.scores[dataset][task].items():
                assert score.value == pytest.approx(expected[metric], abs=1e-9), (folder.name, metric)
                compared += 1
    assert compared > 20


def by_classes(scores, truth):
    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    predicted = scores.argmax(1)
    seen = np.unique(truth)
    recalls = [np.mean(predicted[truth == label] == label) for label in seen]
    used = np.union1d(seen, predicted)
    return {
        "macro_f1": f1_score(truth, predicted, labels=used, average="macro", zero_division=0),
        "accuracy": accuracy_score(truth, predicted),
        "mean_class_accuracy": np.mean(recalls),
    }


def by_labels(scores, truth):
    """Labels that no image is annotated with count in neither metric."""
    f1, accuracy = [], []
    for label in range(scores.shape[1]):
        known = truth[:, label] >= 0
        if not known.any():
            continue
        told, said = truth[known, label], scores[known, label] >= 0.5
        if told.any() or said.any():
            f1.append(f1_score(told, said, zero_division=0))
        accuracy.append(accuracy_score(told, said))
    means = {"mean_f1": np.mean(f1), "mean_accuracy": np.mean(accuracy)}
    return means | {"emotionet_score": np.mean(list(means.values()))}


def altered(folder, change):
    file = folder / "record.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def another_seed(content):
    content["run"]["seed"] += 7


def another_id(content):
    content["id"] = "0" * 16


def another_version(content):
    content["record_version"] = 99


def unknown_key(content):
    content["extra"] = 1


def no_json(folder):
    file = folder / "record.json"
    file.write_text(file.read_text()[:200])


def not_text(folder):
    (folder / "record.json").write_bytes(b"\xff\xfe\x00")


def nothing(folder):
    (folder / "record.json").unlink()


ALTERATIONS = {
    "run spec": lambda folder: altered(folder, another_seed),
    "id": lambda folder: altered(folder, another_id),
    "version": lambda folder: altered(folder, another_version),
    "key": lambda folder: altered(folder, unknown_key),
    "truncated": no_json,
    "not text": not_text,
    "missing": nothing,
}


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_an_altered_record_is_refused(done, alter):
    folder = folders(done)[0]
    alter(folder)
    with pytest.raises(RecordError):
        read_record(folder)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_score_that_is_no_finite_number_is_refused(done, redo, value):
    folder = next(f for f in folders(done) if len(read_record(f).scores) == 2)

    def no_number(content):
        content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] = float(value)

    altered(folder, no_number)
    with pytest.raises(RecordError, match="finite number"):
        read_record(folder)
    told = redo("leaderboard", "tiny")
    assert "scores.tiny_faces.expression.macro_f1.value: Input should be a finite number\n" in told.err
    assert "left out: 1 records that cannot be trusted (1 cannot be read)" in told.out
    assert "nan" not in told.out and "inf" not in told.out.replace("inference", "")


def test_an_environment_may_say_what_json_cannot(done, redo):
    """Nothing is computed from it, so it is no reason to leave a record out, and none to fail."""
    altered(folders(done)[0], lambda content: content["environment"].update(load=float("nan")))
    told = redo("leaderboard", "tiny")
    assert told.code == 0, told.err
    assert "left out" not in told.out


def test_altered_records_are_left_out_said_so_and_made_again(done, redo):
    expected, chosen = results_of(done), folders(done)[: len(ALTERATIONS)]
    for folder, alter in zip(chosen, ALTERATIONS.values(), strict=True):
        alter(folder)
    board = redo("leaderboard", "tiny", "--json")
    assert board.err.count("left out:") == len(chosen)
    assert sum(entry["n"] for row in board.json[0]["rows"] for entry in row["entries"]) < 8
    states = {run["id"]: run["state"] for run in redo("status", "tiny", "--json").json[0]["runs"]}
    assert [states[folder.name] for folder in chosen] == ["damaged"] * len(chosen)

    run = redo("run", "--suite", "tiny")
    assert run.code == 0, run.err
    assert f"8 runs, {len(chosen)} to do" in run.out
    assert run.err.count("a record could not be read and was moved to") == len(chosen)
    assert results_of(done) == expected
    assert len(list((done.results / "runs" / ".damaged").iterdir())) == len(chosen)


def test_a_damaged_record_is_only_moved_by_who_holds_the_lock(done):
    """Or a good record that another process has just put in its place would be moved instead."""
    from bench.runs.job import Ended, Job, Worker
    from bench.runs.plan import plan
    from bench.specs.catalog import open_catalog

    folder = folders(done)[0]
    no_json(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in done.variables.items():
            patch.setenv(name, value)
        (one,) = plan(open_catalog([]), "tiny")
    run = next(run for run in one.runs if run.spec.id == folder.name)
    job = Job(run, done.results, {}, (), keep_network=False, checkpoint_every=1)
    with RecordStore(done.results).hold(run.spec):
        assert Worker(Mock()).attempt(job) == Ended("held")
    assert folder.is_dir()


def test_of_records_that_cannot_be_trusted_the_table_says_how_many_and_why(done, redo):
    first, second, third = folders(done)[:3]
    altered(first, another_version)
    altered(second, another_seed)
    no_json(third)
    for form in ("terminal", "md", "html", "latex"):
        told = redo("leaderboard", "tiny", "--format", form).out.replace("{-}", "-")
        assert "left out: 3 records that cannot be trusted" in told
        assert all(why in told for why in ("1 another record version", "1 altered", "1 cannot be read"))


def test_an_altered_record_cannot_speak_to_the_terminal(done, redo):
    def shouting(content):
        content["record_version"] = "\x1b[31m<b>2</b>\n"

    altered(folders(done)[0], shouting)
    told = redo("leaderboard", "tiny")
    assert "\x1b" not in told.out + told.err
    assert "left out:" in told.err


def test_a_copy_of_a_record_under_another_name_counts_for_nothing(done, redo):
    before = redo("leaderboard", "tiny", "--json").json
    folder = folders(done)[0]
    shutil.copytree(folder, folder.with_name("0" * 16))
    assert redo("leaderboard", "tiny", "--json").json == before
    with pytest.raises(RecordError, match=f"is of run '{folder.name}': a copy, or moved"):
        read_record(folder.with_name("0" * 16))


def test_runs_whose_predictions_are_missing_are_named(done, redo):
    folder = folders(done)[0]
    next(folder.glob("*.parquet")).unlink()
    assert f"predictions are missing of 1 runs, such as {folder.name}" in redo("leaderboard", "tiny").out
    assert redo("leaderboard", "tiny", "--json").json[0]["others"]["unproven"] == [folder.name]


def test_records_of_another_budget_are_counted_as_left_out(done, redo):
    assert redo("leaderboard", "tiny", "--json").json[0]["others"]["differing"] == {}
    done.change("tiny_budget", "1e-3", "2e-3")
    assert redo("leaderboard", "tiny").code == 5  # not one of them is shown as if it were the same
    assert redo("run", "--suite", "tiny", "--seeds", "1").code == 0
    board = redo("leaderboard", "tiny", "--seeds", "1")
    assert "left out: 8 records of this suite with other fingerprints (8 of other budget)" in board.out


@pytest.mark.parametrize("choice", [("--seeds", "1"), ("--only", "multi_task"), ("--only", "tiny_faces")])
def test_runs_that_are_only_not_asked_for_have_no_other_fingerprint(ask, choice):
    assert ask("leaderboard", "tiny", *choice, "--json").json[0]["others"]["differing"] == {}


def test_cut_down_runs_live_apart_and_never_rank_with_others(done, redo):
    before = redo("leaderboard", "tiny", "--json").json
    run = redo("run", "--suite", "tiny", "--limit", "8")
    assert run.code == 0
    assert "CUT-DOWN RUNS" in run.out and "STAND-IN" in run.out
    limited = sorted((done.results / "runs" / "limited").iterdir())
    assert len(limited) == 8
    assert {read_record(folder).run.limit for folder in limited} == {8}
    assert {p.rows for folder in limited for p in read_record(folder).predictions} == {8}
    assert redo("leaderboard", "tiny", "--json").json == before
    board = redo("leaderboard", "tiny", "--limit", "8", "--json").json[0]
    assert board["provenance"] == "limited"
    assert redo("leaderboard", "tiny", "--limit", "9").code == 5
    assert {file.name for file in (done.results / "leaderboards").iterdir()} >= {
        "tiny.standin.md",
        "tiny.limited.md",
        "tiny.limited.csv",
    }


def test_a_failed_record_is_replaced_and_a_store_without_folders_is_empty(tmp_path):
    store = RecordStore(tmp_path / "nowhere")
    assert list(store.records("real")) == []
    assert not (tmp_path / "nowhere").exists()
