"""bench score: records that say what their predictions say, and those that do not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.analysis.counts import COUNTED
from bench.reports.table import STANDIN_WARNING

ROWS = 2 * 6  # two seeds of one single-task run a task, and of two joint runs of both tasks


def records(world):
    return sorted(world.results.glob("runs/standin/*/record.json"))


def one_with(world, name):
    """A record, its content, and its prediction file of this name."""
    for file in records(world):
        if (file.parent / name).is_file():
            return file, json.loads(file.read_text()), file.parent / name
    raise AssertionError(name)


def rewrite(world, change, name="tiny_units.action_units.parquet"):
    """Change a prediction table, and let the record vouch for what came of it."""
    file, content, parquet = one_with(world, name)
    table = change(pq.read_table(parquet))
    pq.write_table(table, parquet)
    about = next(one for one in content["predictions"] if one["file"] == name)
    about["sha256"] = hashlib.sha256(parquet.read_bytes()).hexdigest()
    file.write_text(json.dumps(content))
    return content, parquet


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def lists(values):
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, np.shape(values)[1])


def matrix(column):
    return np.array(column.to_pylist())


def test_every_record_says_what_its_predictions_say(ask):
    told = ask("score", "tiny", "--json")
    assert told.code == 0, told.err
    (found,) = told.json
    assert (found["suite"], found["provenance"], found["refused"], found["absent"]) == ("tiny", "standin", [], {})
    rows = found["rows"]
    assert len({(row["run"], row["dataset"]) for row in rows}) == ROWS
    assert {row["agreement"] for row in rows} == {"same"}
    for row in rows:
        assert row["recorded"] == row["recomputed"]
        assert row["unit"] in ("images", "groups")
        about = row["interval"]
        assert 2 <= about["clusters"] <= 24
        assert about["low"] <= about["high"]
        assert about["value"] == pytest.approx(row["recomputed"], abs=1e-12)
    assert ask("score", "tiny", "--json").out == told.out


def test_what_is_printed(ask):
    shown = ask("score", "tiny", "--only", "multi_task")
    assert shown.code == 0
    assert "Scores recomputed from predictions: tiny" in shown.out
    assert "distribution_matching" not in shown.out
    assert STANDIN_WARNING in shown.out
    table = ask("score", "tiny", "--format", "md").out
    assert table.startswith("## Scores recomputed") and "DIFFERS" not in table
    rows = list(csv.DictReader(io.StringIO(ask("score", "tiny", "--format", "csv").out)))
    assert {row["recorded"] for row in rows} == {"same"}
    assert all(row["warning"] == STANDIN_WARNING for row in rows)
    assert all(row["over"].endswith((" images", " groups")) for row in rows)


def test_one_run_alone(ask, finished):
    run_id = records(finished)[0].parent.name
    (found,) = ask("score", "tiny", "--run", run_id, "--json").json
    assert {row["run"] for row in found["rows"]} == {run_id}
    wrong = ask("score", "tiny", "--run", "0123456789abcdef")
    assert wrong.code == 2
    assert "run of suite 'tiny' '0123456789abcdef' is unknown" in wrong.err


def test_an_altered_score_does_not_pass(done):
    file, content, _ = one_with(done, "tiny_faces.expression.parquet")
    content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] += 0.1
    file.write_text(json.dumps(content))
    told = done.run("score", "tiny", "--json")
    assert told.code == 4, told.err
    (row,) = [row for row in told.json[0]["rows"] if row["agreement"] != "same"]
    assert (row["run"], row["metric"], row["agreement"]) == (content["id"], "macro_f1", "differs")
    assert row["recorded"] - row["recomputed"] == pytest.approx(0.1)
    shown = done.run("score", "tiny")
    assert shown.code == 4
    assert shown.out.count("DIFFERS by +0.1") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda scores: scores["macro_f1"]["per_label"].update(happiness=0.987), "DIFFERS in labels: happiness"),
        (lambda scores: scores["macro_f1"].update(value=None), "DIFFERS: –"),
        (lambda scores: scores["macro_f1"].update(value=float("nan")), "finite number"),
        (lambda scores: scores["macro_f1"]["per_label"].update(bliss=None), "DIFFERS: not recorded"),
        (lambda scores: scores.pop("macro_f1"), "DIFFERS: –"),
        (lambda scores: scores.update(made_up=scores["macro_f1"]), "records made_up of tiny_faces/expression"),
    ],
)
def test_any_other_number_does_not_pass(done, redo, change, said):
    file, content, _ = one_with(done, "tiny_faces.expression.parquet")
    change(content["scores"]["tiny_faces"]["expression"])
    file.write_text(json.dumps(content))
    told = redo("score", "tiny")
    assert told.code == 4
    assert said in told.out + told.err


def test_rounding_passes_and_is_told(done, redo):
    file, content, _ = one_with(done, "tiny_faces.expression.parquet")
    score = content["scores"]["tiny_faces"]["expression"]["macro_f1"]
    score["value"] = float(np.nextafter(score["value"], 1))
    file.write_text(json.dumps(content))
    told = redo("score", "tiny")
    assert told.code == 0
    assert told.out.count("same but for rounding") == 1


def test_predictions_that_are_not_those_recorded_are_named_and_left_out(done):
    found = [file.parent / "tiny_faces.expression.parquet" for file in records(done)]
    altered, gone, cut = [file for file in found if file.is_file()][:3]
    altered.write_bytes(altered.read_bytes() + b"x")
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    told = done.run("score", "tiny", "--json")
    assert told.code == 4
    for file in (altered, gone, cut):
        assert f"{file} is not the file that run {file.parent.name} recorded: it is missing or altered" in told.err
    (report,) = told.json
    assert len(report["refused"]) == 3
    left_out = {(file.parent.name, "tiny_faces") for file in (altered, gone, cut)}
    assert len({(row["run"], row["dataset"]) for row in report["rows"]} | left_out) == ROWS
    assert not left_out & {(row["run"], row["dataset"]) for row in report["rows"]}


def nan_scores(table):
    scores = matrix(table["scores"]).astype(np.float32)
    scores[0, 0] = np.nan
    return with_column(table, "scores", lists(scores))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nan_scores, "has scores that are no finite numbers"),
        (lambda t: t.slice(0, len(t) - 1), "rows, and the record says"),
        (lambda t: t.drop_columns("reference"), "cannot be read"),
        (lambda t: with_column(t, "scores", lists(matrix(t["scores"])[:, :-1])), "labels"),
        (lambda t: with_column(t, "reference", lists(matrix(t["reference"])[:, :-1])), "do not fit the multilabel"),
        (lambda t: with_column(t, "reference", lists(matrix(t["reference"]) + 1)), "do not fit the labels"),
        (lambda t: with_column(t, "reference", pa.array([0] * len(t))), "do not fit the multilabel task"),
        (lambda t: with_column(t, "group", pa.array([None] * len(t), pa.string())), "has rows without group"),
    ],
    ids=["NaN", "rows", "column", "width", "references", "values", "kind", "blank"],
)
def test_rows_that_do_not_fit_are_refused_even_where_the_record_vouches_for_them(done, redo, change, said):
    content, parquet = rewrite(done, change)
    told = redo("score", "tiny", "--json")
    assert told.code == 4, told.err
    (refused,) = told.json[0]["refused"]
    assert refused["run"] == content["id"]
    assert str(parquet) in refused["why"] and said in refused["why"]


def test_a_file_that_is_no_parquet_is_refused_even_where_the_record_vouches_for_it(done, redo):
    file, content, parquet = one_with(done, "tiny_units.action_units.parquet")
    parquet.write_bytes(parquet.read_bytes()[:200])
    next(p for p in content["predictions"] if p["file"] == parquet.name)["sha256"] = hashlib.sha256(
        parquet.read_bytes()
    ).hexdigest()
    file.write_text(json.dumps(content))
    told = redo("score", "tiny")
    assert told.code == 4
    assert f"{parquet} cannot be read" in told.err


def test_a_record_that_cannot_be_read_or_names_no_predictions_does_not_pass(done, redo):
    file, content, _ = one_with(done, "tiny_units.action_units.parquet")
    file.write_text(json.dumps(content | {"predictions": []}))
    told = redo("score", "tiny")
    assert told.code == 4
    assert f"run {content['id']} names no predictions of tiny_units/action_units" in told.err
    file.write_text("{")
    told = redo("score", "tiny")
    assert told.code == 4
    assert f"{file} cannot be read" in told.err


def test_groups_are_drawn_where_there_are_some(done, redo):
    def grouped(table):
        subjects = [f"s{i // 4}" for i in range(len(table) - 3)]
        return with_column(table, "group", pa.array([*subjects, "", "", ""], pa.string()))

    content, _ = rewrite(done, grouped)
    told = redo("score", "tiny", "--json", "--run", content["id"])
    assert told.code == 0, told.err
    row = next(row for row in told.json[0]["rows"] if row["dataset"] == "tiny_units")
    assert (row["unit"], row["interval"]["clusters"]) == ("groups", -(-21 // 4) + 3)


def test_a_metric_without_counts_has_no_interval_and_that_is_said(ask, monkeypatch):
    monkeypatch.delitem(COUNTED, "mean_f1")
    told = ask("score", "tiny", "--json")
    assert told.code == 0
    without = {row["metric"] for row in told.json[0]["rows"] if row["interval"] is None}
    assert without == {"mean_f1"}
    assert "no counts" in ask("score", "tiny").out


def test_what_is_not_there_is_counted(done, redo, bench):
    nothing = bench("score", "tiny")
    assert nothing.code == 5
    assert "`bench run --suite tiny` measures it" in nothing.err
    first, *others = records(done)
    for file in others:
        shutil.rmtree(file.parent)
    told = redo("score", "tiny", "--json")
    assert told.code == 0
    assert told.json[0]["absent"] == {"no result": len(others)}
    first.unlink()
    told = redo("score", "tiny")
    assert told.code == 5
    assert "nothing of suite 'tiny' could be scored" in told.err
    assert f"{first} cannot be read" in told.err
