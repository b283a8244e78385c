"""Animals with Attributes 2: attributes come from the class by name, and lists that do not fit together are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.layouts import awa2 as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.readers import read_labels
from bench.errors import DataError

from . import contract
from .contract import quick, shipped

OPTIONS = layout.Options()
CLASSES = ["antelope", "grizzly+bear", "killer+whale", "fox"]
PREDICATES = ["black", "fish", "nestspot"]
COLUMNS = ["class", *PREDICATES]


def rows_with(kinds, table, predicates=PREDICATES):
    """Rows as `read` gives them: images of the classes `kinds`, with the attributes that `table` gives each class."""
    images = [f"JPEGImages/{kind}/{kind}_{10001 + i}.jpg" for i, kind in enumerate(kinds)]
    values = {"value:class": [kind.replace("+", " ") for kind in kinds]}
    values |= {f"value:{name}": [table[kind][i] for kind in kinds] for i, name in enumerate(predicates)}
    return contract.rows_of(image=images, **values)


EXAMPLE = rows_with([*CLASSES, *CLASSES], dict(zip(CLASSES, ["010", "100", "011", "111"], strict=True)))


def copy_of(root, *, rows=EXAMPLE):
    layout.write(root, rows, OPTIONS)
    return root


def read(root, *columns):
    return layout.read(root, OPTIONS, list(columns)).rows.to_pydict()


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(CLASSES), min_size=1, max_size=8),
    table=st.fixed_dictionaries(dict.fromkeys(CLASSES, st.text("01", min_size=3, max_size=3))),
)
def test_what_is_written_is_read_back(tmp_path, kinds, table):
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows_with(kinds, table), COLUMNS, "official")


@settings(quick, max_examples=150)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, COLUMNS, "official", damage)


# ------------------------------------------------------------------------------------------------------------- quirks


def test_the_archive_may_be_given_with_or_without_its_folder(tmp_path):
    copy_of(tmp_path / "Animals_with_Attributes2")
    inner = layout.read(tmp_path / "Animals_with_Attributes2", OPTIONS, COLUMNS).rows
    outer = layout.read(tmp_path, OPTIONS, COLUMNS).rows
    assert outer.drop_columns("file").equals(inner), "names differ, so images would change their splits"
    assert outer["file"].to_pylist() == [f"Animals_with_Attributes2/{image}" for image in inner["image"].to_pylist()]


def test_rows_stand_by_class_as_listed_and_then_by_name(tmp_path):
    found = read(copy_of(tmp_path), "class")
    assert [image.rpartition("_")[2] for image in found["image"]] == [
        f"{number}.jpg" for number in (10001, 10005, 10002, 10006, 10003, 10007, 10004, 10008)
    ]
    assert found["value:class"][:4] == ["antelope", "antelope", "grizzly bear", "grizzly bear"]


def test_columns_of_the_table_go_by_the_order_of_the_predicates(tmp_path):
    """With another order of the lists the labels are the same, if the table is ordered alike."""
    copy_of(tmp_path)
    before = {row["image"]: row for row in layout.read(tmp_path, OPTIONS, COLUMNS).rows.to_pylist()}
    table = [line.split() for line in (tmp_path / layout.LISTS[2]).read_text().splitlines()]
    write_lines(tmp_path / layout.LISTS[0], [f"    {i}\t{name}" for i, name in enumerate(reversed(CLASSES), 1)])
    write_lines(tmp_path / layout.LISTS[1], [f"    {i}\t{name}" for i, name in enumerate(reversed(PREDICATES), 1)])
    write_lines(tmp_path / layout.LISTS[2], [" ".join(reversed(line)) for line in reversed(table)])
    assert {row["image"]: row for row in layout.read(tmp_path, OPTIONS, COLUMNS).rows.to_pylist()} == before


def test_other_files_in_a_folder_of_a_class_are_left_out_by_name(tmp_path):
    copy_of(tmp_path)
    (tmp_path / "JPEGImages" / "fox" / "notes.txt").write_text("")
    (tmp_path / "JPEGImages" / "fox" / ".DS_Store").write_text("")
    (tmp_path / "JPEGImages" / ".thumbnails").mkdir()
    write_picture(tmp_path / "JPEGImages" / "fox" / "fox_1.JPG")
    reading = layout.read(tmp_path, OPTIONS, [])
    assert reading.rows.num_rows == EXAMPLE.num_rows + 1
    assert reading.skipped.names == {"no JPEG file": ["JPEGImages/fox/notes.txt"]}


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "classes.txt",
            "    2\tgrizzly+bear",
            "    3\tgrizzly+bear",
            "classes.txt:2: expected the number 2 and a name",
        ),
        ("classes.txt", "grizzly+bear", "grizzly bear", "classes.txt:2: expected the number 2 and a name"),
        ("classes.txt", "grizzly+bear", "antelope", "classes.txt:2: 'antelope' stands twice"),
        ("classes.txt", "grizzly+bear", "../outside", "classes.txt:2: '../outside' is no name"),
        ("classes.txt", "    4\tfox\n", "", "predicate-matrix-binary.txt has 4 rows, expected 3"),
        ("predicates.txt", "    3\tnestspot\n", "", "binary.txt:1: expected 2 times 0 or 1"),
        (
            "predicate-matrix-binary.txt",
            "1 0 0",
            "1 0 2",
            "binary.txt:2: expected 3 times 0 or 1, one for each predicate",
        ),
        ("predicate-matrix-binary.txt", "1 0 0", "1 0", "binary.txt:2: expected 3 times 0 or 1"),
        ("predicate-matrix-binary.txt", "1 0 0", "1 0 -1", "found '-1'"),
        ("predicate-matrix-binary.txt", "1 0 0\n", "", "binary.txt has 3 rows, expected 4, one for each class"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(tmp_path, file, old, new, message):
    text = (copy_of(tmp_path) / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, "class")


def test_a_class_without_a_folder_and_a_folder_without_a_class_are_refused(tmp_path):
    copy_of(tmp_path)
    (tmp_path / "JPEGImages" / "fox").rename(tmp_path / "JPEGImages" / "foxes")
    with pytest.raises(DataError, match="has no folder for the class 'fox'"):
        read(tmp_path)
    (tmp_path / "JPEGImages" / "fox").mkdir()
    with pytest.raises(DataError, match=r"classes\.txt does not name the class 'foxes'; did you mean 'fox'"):
        read(tmp_path)


def test_a_folder_that_leads_out_is_not_read(tmp_path):
    copy_of(tmp_path / "copy")
    (tmp_path / "copy" / "JPEGImages" / "fox").rename(tmp_path / "elsewhere")
    (tmp_path / "copy" / "JPEGImages" / "fox").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="has no folder for the class 'fox'"):
        read(tmp_path / "copy")


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"list of classes is not there .*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / "classes.txt", ["    1\tfox"])
    with pytest.raises(DataError, match=r"`predicates\.txt` is not there"):
        layout.recognise(tmp_path, OPTIONS)


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no column 'blak'; did you mean 'black'"):
        read(copy_of(tmp_path), "blak")


# ---------------------------------------------------------------------------------------------------- the shipped spec


def test_labels_of_the_shipped_spec_have_the_right_names(tmp_path):
    """Each class has the attributes at its own places, in lists of another order than the tasks have."""
    dataset, tasks = shipped("awa2")
    kinds = [name.replace(" ", "+") for name in sorted(tasks["animal_class"].labels)]
    predicates = sorted(tasks["animal_attributes"].labels)
    table = {kind: "".join(str(int((i + j) % 7 == 0)) for j in range(85)) for i, kind in enumerate(kinds)}
    copy_of(tmp_path, rows=rows_with(kinds, table, predicates))
    labels = read_labels(dataset, tasks, tmp_path).labels
    assert len(labels) == 50
    for image, kind, attributes in zip(
        labels.images, labels.tasks["animal_class"], labels.tasks["animal_attributes"].tolist(), strict=True
    ):
        folder = image.split("/")[1]
        assert tasks["animal_class"].labels[kind] == folder.replace("+", " ")
        found = dict(zip(tasks["animal_attributes"].labels, attributes, strict=True))
        assert "".join(str(found[name]) for name in predicates) == table[folder]


def test_a_copy_without_one_of_the_attributes_is_refused_by_name(tmp_path):
    dataset, tasks = shipped("awa2")
    predicates = [name for name in tasks["animal_attributes"].labels if name != "tusks"]
    copy_of(tmp_path, rows=rows_with(["fox"], {"fox": "1" * 84}, predicates))
    with pytest.raises(DataError, match="there is no column 'tusks'"):
        read_labels(dataset, tasks, tmp_path)


def test_the_halves_share_no_training_image(tmp_path):
    predicates = shipped("awa2")[1]["animal_attributes"].labels
    copy_of(tmp_path, rows=rows_with(["fox"] * 40 + ["ox"] * 40, {"fox": "1" * 85, "ox": "0" * 85}, predicates))
    contract.assert_halves(tmp_path, "awa2", "awa2_classes", "awa2_attributes")
