"""What files look like: words for no label, and what becomes of every column."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from datasets import Image as DatasetImage
from PIL import Image

from bench.data.layouts import parquet as layout
from bench.data.layouts._files import write_picture
from bench.data.proposal import propose

WORDS = ["n/a", "NA", "N/A", "null", "None", "nan", "-", "?", "Unknown"]


def tables(root, **columns):
    """A table of these columns beside its images, which `file` names."""
    count = len(next(iter(columns.values())))
    columns = {"file": [f"{i}.jpg" for i in range(count)]} | columns
    for name in columns["file"]:
        write_picture(root / name)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return propose(root)[1]


@pytest.mark.parametrize("word", WORDS)
def test_words_for_no_label_are_no_class(tmp_path, word):
    found = tables(tmp_path, kind=["hat", "dress", word, ""] * 4)
    (task,) = found.tasks
    assert (task.labels, task.missing) == (("dress", "hat"), (word,))
    (note,) = task.notes
    assert f"column 'kind': '{word}' is taken for `missing`" in note


def test_words_are_labels_where_hardly_any_other_would_be_left(tmp_path):
    (task,) = tables(tmp_path, glasses=["none", "round"] * 4).tasks
    assert (task.labels, task.missing, task.notes) == (("none", "round"), (), ())


def test_marks_may_say_neither_yes_nor_no(tmp_path):
    found = tables(tmp_path, big=["yes", "no", "?"] * 3, new=["no", "yes", "n/a"] * 3)
    (task,) = found.tasks
    assert (task.labels, task.codes) == (("big", "new"), {"no": "absent", "yes": "present"})
    assert task.missing == ("?", "n/a")


def test_lists_that_hold_a_word_for_no_label_are_told(tmp_path):
    found = tables(tmp_path, colours=["red;green", "green;blue", "n/a", "blue"] * 4)
    (task,) = found.tasks
    assert task.labels == ("blue", "green", "red")
    assert any("column 'colours': a list that holds 'n/a' is read as if no label held" in note for note in found.notes)


def test_lists_with_other_separators_are_told(tmp_path):
    lists = {"colours": ["red;green", "blue;red", "blue"] * 4, "shapes": ["round|flat", "long|flat", "long"] * 4}
    found = tables(tmp_path, **lists)
    assert [task.name for task in found.tasks] == ["colours"]
    assert any("column 'shapes' is left out" in note for note in found.notes)


def about_groups(found):
    return [note for note in found.notes if "group" in note]


def test_a_group_that_is_guessed_is_told_and_how_many_the_splits_divide(tmp_path):
    kinds = ["hat", "dress"] * 6
    split = ["train", "val", "test"] * 4
    photographer = ["ada", "ada", "bob", "cyd", "cyd", "bob", "ada", "dot", "bob", "", "", ""]
    guessed, divided = about_groups(tables(tmp_path, kind=kinds, split=split, Photographer=photographer))
    assert guessed.startswith("the group was guessed from the name of column 'Photographer'")
    assert divided.startswith("2 of 4 groups stand in several of the official splits")
    assert "`shares: {train: 0.7, validation: 0.1, test: 0.2}` and `by: group` instead" in divided
    assert "`by: image` beside it" in divided


def test_a_group_that_is_given_and_not_divided_needs_no_word(tmp_path):
    columns = {"kind": ["hat", "dress"] * 6, "who": ["ada", "bob", "cyd"] * 4, "split": ["train", "val", "test"] * 4}
    tables(tmp_path, **columns)
    assert about_groups(propose(tmp_path, group="who")[1]) == []


def test_groups_are_counted_by_the_table_that_they_stand_in(tmp_path):
    for name, numbers, who in (
        ("train", range(8), "ada"),
        ("val", range(8, 12), "ada"),
        ("test", range(12, 16), "bob"),
    ):
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = [(f"{i}.jpg", ("hat", "cap")[i % 2], who) for i in numbers]
            csv.writer(stream).writerows([("file", "kind", "person"), *rows])
    write_picture(tmp_path / "0.jpg")
    _, divided = about_groups(propose(tmp_path)[1])
    assert divided.startswith("1 of 2 groups stand in several")


def test_groups_are_counted_in_parquet_too(tmp_path):
    rows = {"image": pa.array([b"x"] * 8), "kind": pa.array(["hat", "dress"] * 4), "user": pa.array(["ada", "bob"] * 4)}
    for split in ("train", "validation", "test"):
        pq.write_table(pa.table(rows), tmp_path / f"{split}.parquet")
    _, divided = about_groups(propose(tmp_path)[1])
    assert divided.startswith("2 of 2 groups stand in several")


# ---- Parquet ----


def parquet(root, features, **columns):
    """A file of rows with images, in a type of `datasets` where one is given."""
    count = len(next(iter(columns.values())))
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    arrays = {"image": [{"bytes": stream.getvalue(), "path": None}] * count} | columns
    made = Dataset.from_dict(arrays, features=Features({"image": DatasetImage(), **features}) if features else None)
    made.to_parquet(root / "train.parquet")
    return propose(root)[1]


def test_lists_of_texts_are_a_task_of_their_labels(tmp_path):
    found = parquet(tmp_path, None, colours=[["red", "green"], ["blue"], [], None] * 4)
    (task,) = found.tasks
    assert (task.name, task.type, task.labels) == ("colours", "multilabel", ("blue", "green", "red"))
    assert task.columns == {"blue": "colours.blue", "green": "colours.green", "red": "colours.red"}
    read = layout.read(tmp_path, layout.Options(image=found.options["image"]), list(task.columns.values()))
    assert read.rows["value:colours.red"].to_pylist()[:4] == ["1", "0", "0", ""]


def test_lists_of_classes_are_told_by_their_names(tmp_path):
    features = {"colours": List(ClassLabel(names=["red", "green", "unused"])), "kind": Value("string")}
    found = parquet(tmp_path, features, colours=[[0], [0, 1]] * 4, kind=["hat", "dress"] * 4)
    assert {task.name: task.labels for task in found.tasks} == {"kind": ("dress", "hat"), "colours": ("green", "red")}


def test_columns_that_are_no_labels_are_told_with_what_they_hold(tmp_path):
    table = {
        "image": pa.array([b"x"] * 8),
        "mask": pa.array([b"x"] * 8),
        "kind": pa.array(["hat", "dress"] * 4),
        "box": pa.array([[0.0, 1.0, 2.0, 3.0]] * 8),
        "points": pa.array([[[1, 2], [3, 4]]] * 8),
        "about": pa.array([{"colour": "red"}] * 8),
        "seen": pa.array([datetime(2020, 1, 1)] * 8),
        "words": pa.array([[f"word {i}"] for i in range(8)]),
    }
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    found = propose(tmp_path)[1]
    assert [task.name for task in found.tasks] == ["kind"]
    told = {note.split("'")[1]: note.partition(": ")[2] for note in found.notes if note.startswith("column")}
    assert told.keys() == {"mask", "box", "points", "about", "seen", "words"}
    assert told["mask"] == "it holds images, not labels" and "it holds timestamp" in told["seen"]
