"""Submissions that were tampered with: each change is found and named, also where the hashes were made to fit."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.verification import verify
from bench.errors import UsageError
from bench.runs.submission import Submission

from ..runs.worlds import call

FACES, UNITS = "tiny_faces.expression.parquet", "tiny_units.action_units.parquet"
ESCAPE = "\x1b[31m::error::<b>$x$"


@pytest.fixture(scope="module")
def original(finished, tmp_path_factory):
    """A sound submission of the tiny suite; look, and change nothing."""
    folder = tmp_path_factory.mktemp("packed") / "submission"
    assert call(finished, "submit", "pack", "tiny", "--out", str(folder)) == 0
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it that may be changed."""
    return Path(shutil.copytree(original, tmp_path / "submission"))


def content(file):
    return json.loads(file.read_text("utf-8"))


def write(file, value):
    file.write_text(json.dumps(value), "utf-8")


def records(folder):
    return sorted(folder.glob("runs/*/*/record.json"))


def record_of(folder, method, seed=0, holding=UNITS):
    for file in records(folder):
        run = content(file)["run"]
        if (run["method"], run["seed"]) == (method, seed) and (file.parent / holding).is_file():
            return file
    raise AssertionError((method, seed))


def edit_manifest(folder, change, *, reseal=True):
    """Change the manifest; with the id that it then has, as someone does who means to deceive."""
    file = folder / "submission.json"
    told = content(file)
    change(told)
    if reseal:
        told["id"] = Submission.model_validate_json(json.dumps(told)).own_id
    write(file, told)


def reseal(folder):
    """Let the manifest list the files that are there now, with their hashes."""

    def listed(told):
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "submission.json"]
        told["files"] = [
            {
                "path": file.relative_to(folder).as_posix(),
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in files
        ]

    edit_manifest(folder, listed)


def edit_record(file, change):
    told = content(file)
    change(told)
    write(file, told)


def edit_predictions(file, change, *, name=UNITS):
    """Change a prediction table, and let the record vouch for what came of it."""
    parquet = file.parent / name
    pq.write_table(change(pq.read_table(parquet)), parquet)
    vouch(file, parquet)


def vouch(file, parquet):
    def stated(told):
        about = next(one for one in told["predictions"] if one["file"] == parquet.name)
        about["sha256"] = hashlib.sha256(parquet.read_bytes()).hexdigest()
        about["rows"] = pq.read_metadata(parquet).num_rows

    edit_record(file, stated)


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def lists(values, kind):
    flat = pa.array(np.ascontiguousarray(values).reshape(-1).astype(kind))
    return pa.FixedSizeListArray.from_arrays(flat, np.shape(values)[1])


def matrix(column):
    return np.array(column.to_pylist())


def told(folder, **options):
    """Problems as lines."""
    return [f"{one.file}: {one.what}" for one in verify(folder, **options).problems]


def only(lines, *parts):
    """The one line that says all this, among others or alone."""
    found = [line for line in lines if all(part in line for part in parts)]
    assert len(found) == 1, lines
    return found[0]


def test_a_sound_submission_has_no_problem_and_every_score_is_recomputed(original):
    found = verify(original)
    assert (found.problems, found.notes, found.holds) == ((), (), True)
    # two seeds of two single-task runs and two joint runs of both tasks, three metrics a task
    assert found.records == 8
    assert found.scores == {"same": 2 * 6 * 3}
    assert found.standin
    assert found.missing == ()


# ---- what is stored is not what the manifest says ----


def test_an_edited_score_is_named_with_what_the_predictions_say(folder):
    file = record_of(folder, "multi_task")
    before = content(file)["scores"]["tiny_units"]["action_units"]["mean_f1"]["value"]
    edit_record(file, lambda r: r["scores"]["tiny_units"]["action_units"]["mean_f1"].update(value=0.987))
    place = file.relative_to(folder).as_posix()
    lines = told(folder)
    only(lines, f"{place}: was altered")
    only(lines, place, f"mean_f1 of tiny_units/action_units is recorded as 0.987, and predictions say {before}")
    reseal(folder)
    assert told(folder) == [only(told(folder), place, "mean_f1", "0.987")]


def test_an_edited_label_score_and_a_turned_metric_are_named(folder):
    file = record_of(folder, "multi_task")

    def change(record):
        scores = record["scores"]["tiny_units"]["action_units"]["mean_f1"]
        scores["per_label"]["AU12"] = 0.5
        scores["higher_is_better"] = False

    edit_record(file, change)
    reseal(folder)
    lines = told(folder)
    only(lines, "mean_f1", "recorded otherwise than predictions say for AU12")
    only(lines, "mean_f1", "higher is better, and the record says otherwise")
    assert len(lines) == 2


def test_a_flipped_byte_of_predictions_is_named(folder):
    parquet = record_of(folder, "multi_task").parent / UNITS
    data = bytearray(parquet.read_bytes())
    data[len(data) // 3] ^= 1
    parquet.write_bytes(data)
    lines = told(folder)
    only(lines, f"{parquet.relative_to(folder)}: was altered: its SHA-256")
    only(lines, "is not the file that run", "recorded")


def test_edited_predictions_are_found_by_scores_even_if_every_hash_fits(folder):
    file = record_of(folder, "multi_task")
    edit_predictions(file, lambda t: with_column(t, "scores", lists(1 - matrix(t["scores"]), np.float32)))
    reseal(folder)
    lines = told(folder)
    assert any("mean_f1 of tiny_units/action_units is recorded as" in line for line in lines)
    assert all(line.startswith(file.relative_to(folder).as_posix()) for line in lines)


def test_predictions_and_scores_edited_together_are_found_by_the_labels_of_other_runs(folder):
    """The forger computes perfect scores; only the true labels had to be changed for it, or the images left out."""
    file = record_of(folder, "multi_task")
    edit_predictions(file, lambda t: with_column(t, "reference", lists(matrix(t["scores"]) > 0.5, np.int8)))
    reseal(folder)
    line = only(told(folder), "has other test images, groups or labels than")
    assert line.startswith((file.parent / UNITS).relative_to(folder).as_posix())


def test_images_left_out_of_the_test_are_found(folder):
    file = record_of(folder, "multi_task")
    edit_predictions(file, lambda t: t.slice(4))
    reseal(folder)
    lines = told(folder)
    only(lines, "is not as the submitted specs say: the number of test images of tiny_units")
    only(lines, "has other test images")


def test_truncated_predictions_are_found(folder):
    file = record_of(folder, "multi_task")
    parquet = file.parent / UNITS
    parquet.write_bytes(parquet.read_bytes()[:-40])
    for line in (told(folder), (reseal(folder), told(folder))[1]):
        only(line, f"{parquet.relative_to(folder)}: cannot be read")
        only(line, "action_units cannot be scored")


def test_a_truncated_record_is_found(folder):
    file = record_of(folder, "multi_task")
    file.write_text(file.read_text()[:-200])
    lines = told(folder)
    only(lines, f"{file.relative_to(folder)}: cannot be read")
    only(lines, "says that multi_task tiny_net seed 0 is done, and there is no sound record")


@pytest.mark.parametrize("key", ["learning_rate", "momentum"])
def test_a_run_described_otherwise_is_no_longer_that_run(folder, key):
    file = record_of(folder, "multi_task")
    edit_record(file, lambda record: record["run"]["recipe"]["optimizer"].update({key: 0.5}))
    reseal(folder)
    only(told(folder), f"{file.relative_to(folder)}: ", "says it is run", "it was altered")


def forged(folder, file, change):
    """Change a run, and give it the id, the folder and the line of the plan that it then has."""
    from bench.runs.records import Record

    told = content(file)
    change(told["run"])
    old = told["id"]
    new = Record.model_validate_json(json.dumps(told)).run.id
    told["id"] = new
    write(file, told)
    file.parent.rename(file.parent.with_name(new))
    edit_manifest(folder, lambda m: [run.update(id=new) for run in m["runs"] if run["id"] == old])
    reseal(folder)
    return f"runs/standin/{new}/record.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["recipe"]["optimizer"].update(learning_rate=0.5), "`optimizer.learning_rate` of the budget"),
        (lambda run: run["recipe"].update(steps=600), "`steps` of the budget"),
        (lambda run: run["recipe"]["augmentation"].update(flip=False), "`augmentation` of the budget"),
        (lambda run: run["backbone"].update(timm="resnet50"), "backbone tiny_net"),
        (lambda run: run.update(terms=[]), "`terms` of method multi_task"),
        (lambda run: run["tasks"][0].update(primary="accuracy"), "task expression"),
        (lambda run: run["sources"].pop(), "which data sets and tasks are learnt"),
    ],
)
def test_a_run_that_is_not_of_the_submitted_specs_is_found_even_with_a_fitting_id(folder, change, said):
    place = forged(folder, record_of(folder, "multi_task"), change)
    assert any(line == f"{place}: is not as the submitted specs say: {said}" for line in told(folder)), told(folder)


def test_runs_on_other_data_or_other_code_than_the_rest_are_found(folder):
    place = forged(folder, record_of(folder, "multi_task"), lambda run: run["sources"][0].update(data="0" * 16))
    only(told(folder), f"{place}: stands on data tiny_faces at 16 pixels {'0' * 16}, and other runs on")
    place = forged(folder, folder / place, lambda run: run["metrics"].update(macro_f1="f" * 16))
    only(told(folder), f"{place}: stands on metric macro_f1 {'f' * 16}")


def test_code_that_is_another_here_is_a_note_and_no_problem(folder):
    for file in records(folder):
        forged(folder, file, lambda run: run["terms"][0].update(code="f" * 16))
    found = verify(folder)
    assert found.problems == ()
    assert found.notes == ("the term 'supervised' has other code here: not comparable with runs made here",)


# ---- plan ----


def test_a_record_of_another_suite_is_found(folder):
    file = record_of(folder, "multi_task")
    place = forged(folder, file, lambda run: run.update(seed=7))
    lines = told(folder)
    only(lines, place, "is multi_task tiny_net seed 7, and the plan says multi_task tiny_net seed 0")
    edit_manifest(folder, lambda m: m["runs"].remove(next(r for r in m["runs"] if r["id"] == place.split("/")[2])))
    lines = told(folder)
    only(lines, f"{place}: is multi_task tiny_net seed 7", "which is not in the submitted plan")
    only(lines, "submission.json: multi_task tiny_net seed 0 of tiny is not listed, not even as missing")


def test_a_duplicated_record_is_found(folder):
    file = record_of(folder, "multi_task")
    copy = file.parent.with_name("0" * 16)
    shutil.copytree(file.parent, copy)
    only(told(folder), f"{copy.relative_to(folder)}/record.json: is not expected: the manifest does not name it")
    reseal(folder)
    only(told(folder), f"{copy.relative_to(folder)}/record.json: ", "it was altered")
    shutil.rmtree(copy)
    real = folder / "runs" / "real" / file.parent.name
    shutil.copytree(file.parent, real)
    reseal(folder)
    only(told(folder), f"{real.relative_to(folder)}/record.json: stands in the wrong place")


def test_a_seed_that_is_a_copy_of_another_is_found(folder):
    first, second = record_of(folder, "multi_task", 0), record_of(folder, "multi_task", 1)
    for name in (FACES, UNITS):
        shutil.copy(first.parent / name, second.parent / name)
        vouch(second, second.parent / name)
    edit_record(second, lambda record: record.update(scores=content(first)["scores"]))
    reseal(folder)
    lines = told(folder)
    assert len(lines) == 2
    assert all("is the same file as that of seed" in line for line in lines)


def test_a_missing_run_is_found_and_may_only_be_missing_if_the_manifest_says_so(folder):
    file = record_of(folder, "multi_task")
    run_id = file.parent.name
    shutil.rmtree(file.parent)
    lines = told(folder)
    only(lines, f"{file.relative_to(folder)}: is not there, and the manifest names it")
    only(lines, "says that multi_task tiny_net seed 0 is done, and there is no sound record")
    reseal(folder)
    edit_manifest(folder, lambda m: [run.update(state="missing") for run in m["runs"] if run["id"] == run_id])
    only(told(folder), "says `complete: true`, and its runs say otherwise")
    edit_manifest(folder, lambda m: m.update(complete=False))
    found = verify(folder)
    assert found.holds
    assert [run.title for run in found.missing] == ["multi_task tiny_net seed 0"]
    edit_manifest(folder, lambda m: m.update(runs=[run for run in m["runs"] if run["id"] != run_id], complete=True))
    assert told(folder) == ["submission.json: multi_task tiny_net seed 0 of tiny is not listed, not even as missing"]


def test_chosen_seeds_are_found(folder):
    """Of more seeds the best two cannot be submitted as two seeds: they count from 0."""
    edit_manifest(folder, lambda m: m.update(seeds=1))
    lines = told(folder)
    assert len(lines) == 4
    assert all("seed 1 is no run of tiny with 1 seeds" in line for line in lines)


def test_a_run_listed_twice_is_found(folder):
    edit_manifest(folder, lambda m: m["runs"].append(m["runs"][0]))
    lines = told(folder)
    only(lines, "submission.json: run ", "of tiny is listed 2 times")


def test_a_failed_run_is_no_result(folder):
    def fail(record):
        record.update(status="failed", failure={"kind": "error", "message": "x", "traceback": ""})

    file = record_of(folder, "multi_task")
    edit_record(file, fail)
    reseal(folder)
    lines = told(folder)
    only(lines, "failed (error): such runs are made again, not submitted")
    only(lines, "failed, and has results")


def test_a_run_that_diverged_is_no_run_that_is_done(folder):
    def fail(record):
        failure = {"kind": "diverged", "message": "x", "traceback": ""}
        record.update(status="failed", failure=failure, scores={}, predictions=[])

    file = record_of(folder, "multi_task")
    edit_record(file, fail)
    for name in (FACES, UNITS):
        (file.parent / name).unlink()
    reseal(folder)
    assert told(folder) == [f"{file.relative_to(folder)}: is diverged, and the plan says done"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run["tasks"][0].update(metrics=["made_up"]), "metric 'made_up' is unknown"),
        (lambda run: run["tasks"][0].update(metrics=["mean_f1"]), "mean_f1 is no metric of the multiclass task"),
        (lambda run: run["tasks"][0].update(labels=[]), "task expression has too few labels"),
        (lambda run: run["tasks"].pop(), "task action_units of tiny_units is not described"),
        (lambda run: run["tasks"].append(run["tasks"][0]), "a task is described twice"),
        (lambda run: run.update(sources=run["sources"] * 2), "its data sets and tasks are not told, or told twice"),
    ],
)
def test_a_run_that_is_made_up_is_not_scored(folder, change, said):
    place = forged(folder, record_of(folder, "multi_task"), change)
    assert any(line.startswith(f"{place}: cannot be scored again: {said}") for line in told(folder)), told(folder)


# ---- manifest ----


def test_an_edited_manifest_is_found(folder):
    edit_manifest(folder, lambda m: m.update(by="Somebody else"), reseal=False)
    only(told(folder), "submission.json: was edited")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(submission_version=2), "has version 2, and this bench reads 1"),
        (lambda m: m.pop("submission_version"), "has version None"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.pop("runs"), "runs"),
        (lambda m: m["files"][0].update(path="../../etc/passwd"), "files.0.path"),
        (lambda m: m["files"][0].update(path="/etc/passwd"), "files.0.path"),
        (lambda m: m["files"][0].update(path="runs/standin/../../../x/record.json"), "files.0.path"),
        (lambda m: m["files"][0].update(path="specs/own/suite/x\n.yaml"), "files.0.path"),
        (lambda m: m["files"].append(m["files"][0]), "is listed twice"),
        (lambda m: next(f for f in m["files"] if "record" in f["path"]).update(apart=True), "may not stand apart"),
        (lambda m: m.update(name=ESCAPE), "name"),
        (lambda m: m.update({ESCAPE: 1}), "Extra inputs"),
        (lambda m: m.update(environments=[{"x": float("nan")}]), "NaN is no number"),
        (lambda m: m.update(seeds=-1), "seeds"),
        (lambda m: m.update(runs=[]), "runs"),
    ],
)
def test_a_manifest_that_is_none_is_no_submission(folder, change, said):
    file = folder / "submission.json"
    manifest = content(file)
    change(manifest)
    write(file, manifest)
    with pytest.raises(UsageError) as refused:
        verify(folder)
    assert said in refused.value.message
    assert "is not a submission" in refused.value.message
    assert "\x1b" not in refused.value.message
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"submission_version": 1, "submission_version": 1}',
        b'{"submission_version": ' + b"1" * 5000 + b"}",
    ],
    ids=range(8),
)
def test_a_manifest_that_is_no_json_is_no_submission(folder, text):
    (folder / "submission.json").write_bytes(text)
    with pytest.raises(UsageError, match="is not a submission"):
        verify(folder)


def test_a_huge_manifest_is_not_read(folder):
    with (folder / "submission.json").open("r+b") as stream:
        stream.truncate(1 << 34)  # sparse
    with pytest.raises(UsageError, match="17,179,869,184 bytes, over 16,777,216"):
        verify(folder)


def test_folders_that_are_no_submission(tmp_path, folder):
    for place, said in ((tmp_path / "nothing", "is not a folder"), (tmp_path, "has no submission.json")):
        with pytest.raises(UsageError, match=said):
            verify(place)
    (folder / "submission.json").unlink()
    (folder / "submission.json").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match=r"its submission\.json is not a file"):
        verify(folder)


# ---- files ----


def test_what_does_not_belong_is_named_and_left_closed(folder):
    (folder / "README.md").write_text("hello")
    (folder / "published").mkdir()
    (folder / "published" / "fake.yaml").write_text("kind: published")
    (folder / "runs" / "standin" / "passwd").symlink_to("/etc/passwd")
    (folder / "specs" / "more").symlink_to("/etc", target_is_directory=True)
    os.mkfifo(folder / "pipe")
    (folder / "a" / "b" / "c" / "d" / "e").mkdir(parents=True)
    (folder / f"{ESCAPE.replace('/', '')}.txt").write_text("x")
    lines = told(folder)
    for part in ("README.md: is not expected", "published/fake.yaml: is not expected"):
        only(lines, part)
    only(lines, "runs/standin/passwd: is a link")
    only(lines, "specs/more: is a link")
    only(lines, "pipe: is neither a file nor a folder")
    only(lines, "a/b/c/d: is a folder where there should be none")
    only(lines, "specs: are not read")
    assert all("\x1b" not in line for line in lines)


def test_a_file_that_became_a_link_is_not_followed(folder, tmp_path):
    file = record_of(folder, "multi_task")
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")
    only(told(folder), f"{file.relative_to(folder)}: is a link")


def test_files_that_are_too_large_are_not_read(folder):
    file = record_of(folder, "multi_task")
    with file.open("r+b") as stream:
        stream.truncate(1 << 33)
    with (file.parent / UNITS).open("r+b") as stream:
        stream.truncate(1 << 33)
    with (folder / "specs" / "own" / "suite" / "tiny.yaml").open("r+b") as stream:
        stream.truncate(1 << 33)
    lines = told(folder)
    only(lines, f"{file.relative_to(folder)}: has 8,589,934,592 bytes, and may have 8,388,608")
    only(lines, f"{UNITS}: has 8,589,934,592 bytes, and may have 268,435,456")
    only(lines, "tiny.yaml: has 8,589,934,592 bytes, and may have 1,048,576")


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b"\xff", b"null"], ids=range(5)
)
def test_records_made_to_harm_are_problems(folder, text):
    file = record_of(folder, "multi_task")
    file.write_bytes(text)
    reseal(folder)
    only(told(folder), f"{file.relative_to(folder)}: ", "cannot be read")


def test_a_number_that_is_none_inside_a_run_is_a_problem(folder):
    file = record_of(folder, "multi_task")
    edit_record(file, lambda record: record["run"]["terms"][0]["options"].update(weight=float("nan")))
    reseal(folder)
    only(told(folder), f"{file.relative_to(folder)}: ", "it was altered")


def bomb(path, rows, image="x", size=12):
    """A small file of many equal rows."""
    count = 1_000_000
    schema = pa.schema(
        [
            ("image", pa.string()),
            ("group", pa.string()),
            ("reference", pa.list_(pa.int8(), size)),
            ("scores", pa.list_(pa.float32(), size)),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, count):
            part = min(count, rows - start)
            names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(part, np.int32)), [image]).cast(pa.string())
            zeros = np.zeros((part, size))
            writer.write_table(pa.table([names, names, lists(zeros, np.int8), lists(zeros, np.float32)], schema=schema))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 5_000_001, "size": 1}, "has 5,000,001 rows, over 5,000,000"),
        ({"rows": 200, "size": 5_000}, "expands to more than 8 MiB"),
        ({"rows": 200, "image": "y" * 2000}, "has names of more than 1,024 bytes"),
    ],
)
def test_a_small_file_that_stands_for_a_huge_table_is_not_expanded(folder, options, said, monkeypatch):
    monkeypatch.setattr("bench.runs.predictions.MAX_EXPANDED", 8 << 20)  # so that the test is quick
    file = record_of(folder, "multi_task")
    bomb(file.parent / UNITS, **options)
    vouch(file, file.parent / UNITS)
    reseal(folder)
    only(told(folder), f"{UNITS}: cannot be read: {said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.append_column("secret", t["image"]), "has the columns image, group, reference, scores, secret"),
        (lambda t: t.drop_columns(["group"]), "has the columns image, reference, scores"),
        (lambda t: with_column(t, "image", pa.array(range(len(t)))), "has names of type int64, not text"),
        (
            lambda t: with_column(t, "scores", t["scores"].cast(pa.list_(pa.float32()))),
            "lists that are not of one size",
        ),
        (lambda t: t.replace_schema_metadata({"by": "/home/ann/x"}), "holds the local path '/home/ann/x'"),
        (lambda t: with_column(t, "image", pa.array(["/home/ann/a.png"] * len(t))), "the local path '/home/ann/a.png'"),
        (lambda t: with_column(t, "group", pa.array([ESCAPE] * len(t))), "holds control characters"),
    ],
)
def test_predictions_with_more_or_other_than_predictions(folder, change, said):
    file = record_of(folder, "multi_task")
    edit_predictions(file, change)
    reseal(folder)
    assert any(f"{UNITS}: " in line and said in line for line in told(folder)), told(folder)


# ---- specs ----


def test_an_edited_spec_is_found_by_the_runs_that_it_does_not_describe(folder):
    file = folder / "specs" / "own" / "budget" / "tiny_budget.yaml"
    text = file.read_text()
    assert "steps: 6" in text
    file.write_text(text.replace("steps: 6", "steps: 7"))
    lines = told(folder)
    only(lines, "specs/own/budget/tiny_budget.yaml: was altered")
    assert sum("is not as the submitted specs say: `steps` of the budget" in line for line in lines) == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: suite\nname: tiny\ntitle: &a [*a, *a]\n", "anchors and aliases are not used"),
        ("kind: suite\nname: tiny\ntitle: !!python/object/apply:os.system ['x']\n", "tags such as"),
        ("kind: suite\nname: tiny\ntitle: " + "[" * 5000 + "\n", "nested too deeply"),
        ("kind: suite\nname: other\ntitle: x\nincludes: [tiny]\n", "suite 'tiny' is unknown"),
        ("\x00", "specs"),
    ],
)
def test_specs_made_to_harm_are_problems(folder, text, said):
    (folder / "specs" / "own" / "suite" / "tiny.yaml").write_text(text)
    reseal(folder)
    assert any(said in line for line in told(folder)), told(folder)


def test_a_spec_that_nothing_uses_is_named(folder):
    shutil.copy(folder / "specs/bench/task/expression.yaml", folder / "specs/bench/task/other.yaml")
    text = (folder / "specs/bench/task/other.yaml").read_text()
    (folder / "specs/bench/task/other.yaml").write_text(text.replace("name: expression", "name: other"))
    reseal(folder)
    only(told(folder), "specs/bench/task/other.yaml: is not expected: the suite does not use this spec")


def test_a_missing_spec_is_named(folder):
    (folder / "specs/own/dataset/tiny_faces.yaml").unlink()
    lines = told(folder)
    only(lines, "specs/own/dataset/tiny_faces.yaml: is not there")
    only(lines, "specs: are not read")
    reseal(folder)
    only(told(folder), "dataset 'tiny_faces' is unknown")


# ---- privacy ----


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /home/ann/data/x.png", "/home/ann/data/x.png"),
        ("C:\\Users\\Ann\\data", "C:\\Users\\Ann\\data"),
        ("~ann/results", "~ann/results"),
        ("file:///srv/x", "file:///srv/x"),
        ("\\\\server\\share\\x", "\\\\server\\share\\x"),
    ],
)
def test_local_paths_in_records_and_in_the_manifest_are_found(folder, text, found):
    file = record_of(folder, "multi_task")
    edit_record(file, lambda record: record.update(command=["bench", text]))
    reseal(folder)
    edit_manifest(folder, lambda m: m.update(note=text))
    lines = told(folder)
    only(lines, f"{file.relative_to(folder)}: holds the local path {found!r}")
    only(lines, f"submission.json: holds the local path {found!r}")
    assert len(lines) == 2


def test_names_are_looked_for_where_they_are_known(folder):
    file = record_of(folder, "multi_task")
    edit_record(file, lambda record: record["environment"].update(host="ZEBRAwinkle-7"))
    reseal(folder)
    edit_manifest(folder, lambda m: m.update(by="Dr Zebrawinkle"))  # on purpose
    assert told(folder) == []
    line = only(told(folder, names={"zebrawinkle"}), "holds the name 'ZEBRAwinkle' of a user or machine")
    assert line.startswith(file.relative_to(folder).as_posix())


# ---- anything at all ----


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), reseals=st.booleans())
def test_no_damage_is_a_fault_of_the_verifier(original, tmp_path_factory, seed, reseals):
    """A random value of a random file is replaced, or random bytes are: it is a problem, a note, or nothing at all."""
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("damaged") / "submission"
    shutil.copytree(original, folder)
    file = rng.choice([file for file in sorted(folder.rglob("*")) if file.is_file()])
    if file.suffix == ".json" and rng.random() < 0.8:
        value = content(file)
        replaced(value, rng)
        write(file, value)
        if file.name == "record.json" and rng.random() < 0.7 and isinstance(value.get("run"), dict):
            refit(folder, file)
    else:
        data = bytearray(file.read_bytes())
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
    if reseals:
        with suppress(ValueError):  # a manifest that is none has no id
            reseal(folder)
    with suppress(UsageError):
        verify(folder)
    shutil.rmtree(folder)


def replaced(value, rng):
    """Walk down to some value, and put another in its place."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys:
            return
        key = rng.choice(list(keys))
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.9:
            value = value[key]
            continue
        others = [None, 0, -1, 1e308, 2**70, "", "x", ESCAPE, [], {}, [1], {"a": 1}, True, "multilabel", "multiclass"]
        value[key] = rng.choice(others)
        return


def refit(folder, file):
    """Give a changed record the id and the folder that it then has, if it still is one."""
    with suppress(ValueError, OSError):
        forged(folder, file, lambda run: None)
