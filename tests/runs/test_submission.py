"""Packing: everything that a suite stands on, as it was, and nothing that tells of the machine."""

from __future__ import annotations

import json
import random
import shutil

import pyarrow.parquet as pq
import pytest

from bench.runs.packing import new_folder, scrubbed_record
from bench.runs.privacy import harmless, local_names, scrubbed, traces
from bench.runs.records import Record, RecordStore, read_record
from bench.runs.submission import MANIFEST, read_manifest
from bench.specs.catalog import KINDS, Catalog, open_catalog
from bench.specs.document import parse_document
from bench.specs.validation import read_model
from bench.specs.writing import spec_yaml

NAME = "zebrawinkle"


def content(file):
    return json.loads(file.read_text("utf-8"))


def records(folder):
    return sorted(folder.glob("runs/*/*/record.json"))


def failed(kind, message="the loss is not finite"):
    return {"kind": kind, "message": message, "traceback": f'File "/home/{NAME}/x.py", line 1\n{kind}'}


def fail(file, kind, message="the loss is not finite"):
    """Turn a record into that of a run that failed."""
    record = content(file)
    record.update(status="failed", failure=failed(kind, message), scores={}, predictions=[], curve=[])
    file.write_text(json.dumps(record), "utf-8")
    for parquet in file.parent.glob("*.parquet"):
        parquet.unlink()
    return record["id"]


@pytest.mark.parametrize("entry", open_catalog([]).entries, ids=lambda entry: f"{entry.kind}/{entry.name}")
def test_a_spec_reads_back_from_its_text(entry, tmp_path):
    spec = open_catalog([]).get(KINDS[entry.kind], entry.name)
    text = spec_yaml(spec)
    assert read_model(type(spec), parse_document(text, tmp_path / "x.yaml")) == spec
    assert "extends" not in text.split("\n")[0]


# ---- what is packed ----


def test_everything_that_a_suite_stands_on_is_packed(finished, ask, tmp_path):
    folder = tmp_path / "submission"
    made = ask("submit", "pack", "tiny", "--out", str(folder), "--by", "A. Author", "--licence", "CC0-1.0")
    assert made.code == 0, made.err
    assert "8 done" in made.out and f"written: {folder}" in made.out
    about = read_manifest(folder)
    assert (about.suite, about.by, about.licence, about.seeds, about.complete) == (
        "tiny",
        "A. Author",
        "CC0-1.0",
        2,
        True,
    )
    assert {file.path for file in about.files} == {
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST
    }
    store = RecordStore(finished.results)
    assert {run.id for run in about.runs} == {record.id for record in store.records("standin")}
    for file in records(folder):
        packed, kept = read_record(file.parent), read_record(finished.results / "runs" / "standin" / file.parent.name)
        assert packed.run == kept.run and packed.scores == kept.scores and packed.predictions == kept.predictions
        for one in packed.predictions:
            before = store.folder(kept.run) / one.file
            assert (file.parent / one.file).read_bytes() == before.read_bytes()
    assert about.environments == (kept.environment,)


def test_specs_are_packed_whole_those_of_bench_apart(ask, finished, tmp_path):
    folder = tmp_path / "submission"
    assert ask("submit", "pack", "tiny", "--out", str(folder)).code == 0
    own = {file.stem for file in (folder / "specs" / "own").rglob("*.yaml")}
    assert own == {"tiny", "tiny_faces", "tiny_units", "tiny_net", "tiny_budget"}
    packed, known = Catalog([folder / "specs" / "own", folder / "specs" / "bench"]), open_catalog([finished.specs])
    assert len(packed.entries) == 11
    for entry in packed.entries:
        model = KINDS[entry.kind]
        assert packed.get(model, entry.name) == known.get(model, entry.name)


def test_predictions_may_stand_apart_and_must_where_they_are_large(ask, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.runs.packing.MAX_PREDICTIONS_INSIDE", 1000)
    folder, apart = tmp_path / "submission", tmp_path / "predictions"
    refused = ask("submit", "pack", "tiny", "--out", str(folder))
    assert refused.code == 2
    assert "can stand inside a submission" in refused.err and "--predictions DIR" in refused.err
    assert list(tmp_path.iterdir()) == []
    made = ask("submit", "pack", "tiny", "--out", str(folder), "--predictions", str(apart))
    assert made.code == 0, made.err
    assert not list(folder.rglob("*.parquet"))
    assert len(list(apart.rglob("*.parquet"))) == 12
    without = ask("submit", "verify", str(folder))
    assert without.code == 4
    assert "12 prediction files stand apart" in without.out
    assert ask("submit", "verify", str(folder), "--predictions", str(apart)).code == 0
    next(apart.rglob("*.parquet")).write_bytes(b"x")
    assert ask("submit", "verify", str(folder), "--predictions", str(apart)).code == 4
    assert ask("submit", "verify", str(folder), "--predictions", str(tmp_path / "nowhere")).code == 2


# ---- what is refused ----


def test_a_plan_that_is_not_complete_is_refused_or_packed_as_a_part(done, redo, tmp_path):
    file = records(done.results)[0]
    spec = read_record(file.parent).run
    shutil.rmtree(file.parent)
    second = fail(records(done.results)[0], "error")
    folder = tmp_path / "submission"
    refused = redo("submit", "pack", "tiny", "--out", str(folder))
    assert refused.code == 2
    assert "2 runs of suite 'tiny' have no result" in refused.err
    assert f"{spec.method} tiny_net" in refused.err and "(missing)" in refused.err and "(failed)" in refused.err
    assert not folder.exists()
    made = redo("submit", "pack", "tiny", "--out", str(folder), "--partial")
    assert made.code == 0, made.err
    assert "6 done, 2 missing" in made.out
    assert f"missing: {spec.method} tiny_net" in made.out
    about = read_manifest(folder)
    assert not about.complete
    assert {run.id: run.why for run in about.runs if run.state == "missing"} == {spec.id: "", second: "failed"}


def test_a_damaged_record_is_refused_even_as_a_part(done, redo, tmp_path):
    file = records(done.results)[0]
    file.write_text("{")
    refused = redo("submit", "pack", "tiny", "--out", str(tmp_path / "submission"), "--partial")
    assert refused.code == 2
    assert "1 records cannot be trusted" in refused.err and "bench run --suite tiny" in refused.err


def test_a_record_that_its_predictions_do_not_bear_out_is_refused(done, redo, tmp_path):
    file = records(done.results)[0]
    record = content(file)
    scores = next(iter(next(iter(record["scores"].values())).values()))
    next(iter(scores.values()))["value"] = 0.987
    file.write_text(json.dumps(record))
    refused = redo("submit", "pack", "tiny", "--out", str(tmp_path / "submission"))
    assert refused.code == 2
    assert "does not pass verification" in refused.err and "is recorded as 0.987" in refused.err
    next(file.parent.glob("*.parquet")).unlink()
    refused = redo("submit", "pack", "tiny", "--out", str(tmp_path / "submission"))
    assert refused.code == 2
    assert "is not there" in refused.err
    assert list(tmp_path.glob("*submission*")) == []


def test_diverged_runs_are_results(done, redo, tmp_path):
    run_id = fail(records(done.results)[0], "diverged", f"loss of /home/{NAME}/x is nan")
    folder = tmp_path / "submission"
    made = redo("submit", "pack", "tiny", "--out", str(folder))
    assert made.code == 0, made.err
    assert "7 done, 1 diverged" in made.out
    record = content(next(file for file in records(folder) if file.parent.name == run_id))
    assert record["failure"] == {"kind": "diverged", "message": "loss of [path] is nan", "traceback": ""}


def test_nothing_measured(world, bench):
    assert bench("submit", "pack", "tiny", "--out", "submission", "--partial").code == 5
    assert not (world.root / "submission").exists()


def test_what_is_there_already_is_left_alone(ask, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    refused = ask("submit", "pack", "tiny", "--out", str(tmp_path))
    assert refused.code == 2 and "it is left alone" in refused.err
    assert (tmp_path / "mine.txt").read_text() == "mine"
    refused = ask("submit", "pack", "tiny", "--out", str(tmp_path / "mine.txt"))
    assert refused.code == 2
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert ask("submit", "pack", "tiny", "--out", str(tmp_path / "link")).code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine.txt"]


def test_an_empty_folder_is_filled(ask, tmp_path):
    (tmp_path / "empty").mkdir()
    assert ask("submit", "pack", "tiny", "--out", str(tmp_path / "empty")).code == 0
    assert (tmp_path / "empty" / MANIFEST).is_file()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyError), new_folder(tmp_path / "out") as fresh:
        (fresh / "half").write_text("x")
        raise KeyError("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--name", "\x1b[31mred", "name: String should match"),
        ("--by", "x" * 501, "by: String should have at most 500"),
        ("--note", "see /home/ann/notes.txt", "submission.json: holds the local path '/home/ann/notes.txt'"),
        ("--contact", "two\nlines", "contact: String should match"),
    ],
)
def test_what_authors_say_must_be_a_plain_line(ask, tmp_path, option, text, said):
    refused = ask("submit", "pack", "tiny", "--out", str(tmp_path / "submission"), option, text)
    assert refused.code == 2
    assert said in refused.err
    assert list(tmp_path.iterdir()) == []


# ---- what tells of a machine ----


def test_a_record_is_scrubbed_of_paths_and_names_and_stays_the_same_run(finished):
    record = read_record(next(iter(sorted((finished.results / "runs" / "standin").iterdir()))))
    weights = {"timm": None, "file": f"/home/{NAME}/weights.pth", "sha256": "0" * 64}
    run = record.run.model_dump(mode="json") | {}
    run["backbone"]["weights"] = weights
    run = type(record.run).model_validate_json(json.dumps(run))
    told = record.model_copy(
        update={
            "run": run,
            "id": run.id,
            "command": (
                "bench",
                "run",
                f"--specs=/home/{NAME} Jones/my specs",
                f"../{NAME}_specs",
                "C:\\Users\\x y\\z",
            ),
            "environment": {"a": {"b": [f"on {NAME.upper()}-laptop", 3, {"c": "/opt/x/y"}]}, "d": None},
        }
    )
    clean = scrubbed_record(told, {NAME})
    assert clean.command == ("bench", "run", "--specs=[path]", "../[name]_specs", "[path]")
    assert clean.environment == {"a": {"b": ["on [name]-laptop", 3, {"c": "[path]"}]}, "d": None}
    assert clean.run.backbone.weights.file == "weights.pth"
    assert clean.run.id == run.id
    assert clean.scores == told.scores
    assert NAME not in clean.model_dump_json().lower()
    assert Record.model_validate_json(clean.model_dump_json()) == clean


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a/b/c",
        "http://example.org/~ann/x",
        "and/or",
        "images/train/0001.png",
        "affectnet/expression/resnet_micro",
        "1/2/3",
        "p(second / first)",
        "10.1109/CVPR.2020/x",
        "a: b",
        "x ~ y/2",
        "line\nand\ttab",
        "Größe 北京 🙂",
    ],
)
def test_what_is_no_local_path(text):
    assert list(traces(text, {"ann_other"})) == []
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    "path",
    [
        "/home/ann",
        "/root/x/y.z",
        "/Users/ann/Library",
        "/mnt/data-1/x",
        "~/x",
        "~ann/x",
        "C:\\x",
        "d:/data/x",
        "\\\\host\\share",
        "file:///x",
    ],
)
@pytest.mark.parametrize("around", ["{}", "in {} now", "--specs={}", "'{}'", "({})", "at:{}", '"{}"', "[{}]", "<{}>"])
def test_what_is_a_local_path(path, around):
    text = around.format(path)
    assert any("local path" in found for found in traces(text))
    assert path not in scrubbed(text)


def test_names_are_words_whatever_stands_beside_them():
    for text in ("ann", "Ann's", "my_ann_2", "ANN-PC", "ann.smith@x"):
        assert any("name" in found for found in traces(text, {"ann"})), text
    for text in ("annotated", "channel", "Joanna"):
        assert list(traces(text, {"ann"})) == [], text


def test_names_of_user_and_machine_are_known_unless_they_tell_of_nobody(monkeypatch):
    def known(user, home, host):
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.setenv(name, user)
        monkeypatch.setenv("HOME", home)
        monkeypatch.setattr("socket.gethostname", lambda: host)
        return local_names()

    assert known("ann", "/home/Ann Smith", "Annbox.example.org") == {"ann", "ann smith", "annbox.example.org", "annbox"}
    assert known("root", "/root", "localhost") == set()
    assert known("al", "/home/al", "vm") == set()


def test_what_strangers_say_is_printed_harmlessly():
    assert "\x1b" not in harmless("\x1b[31mred\n")
    assert len(harmless("x" * 10_000)) == 500
    rng = random.Random(0)
    for _ in range(200):
        text = harmless("".join(chr(rng.randrange(1, 0x3000)) for _ in range(20)))
        assert "\n" not in text and "\x9b" not in text


def test_no_prediction_file_says_where_it_was_made(finished):
    for file in sorted(finished.results.glob("runs/standin/*/*.parquet")):
        about = pq.ParquetFile(file)
        assert set(about.metadata.metadata or {}) <= {b"ARROW:schema"}
        assert not about.schema_arrow.metadata
