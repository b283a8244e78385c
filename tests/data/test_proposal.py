"""What files look like: words for no label, and what becomes of every column."""

from __future__ import annotations

import csv

import pytest

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
