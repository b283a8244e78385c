"""CUB-200-2011: species and attributes by name, certainties, malformed rows, and what most images of a species say."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.layouts import cub as layout
from bench.data.layouts._files import write_lines
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.dataset import SPLITS

from . import contract
from .contract import quick, shipped, without_figures

OPTIONS = layout.Options()
TOP = "CUB_200_2011/"
KINDS = ["001.Black_footed_Albatross", "017.Cardinal", "141.Artic_Tern", "200.Common_Yellowthroat"]
ATTRIBUTES = ["has_bill_shape::curved_(up_or_down)", "has_size::very_small_(3_-_5_in)", "has_wing_color::blue"]
COLUMNS = ["species", *ATTRIBUTES]
BOX = [60.0, 27.0, 325.0, 304.0]


def rows_with(kinds, *, splits=None, codes=None, boxes=None, top=TOP, attributes=ATTRIBUTES):
    """Rows as `read` gives them: an image of each of `kinds`; `codes` has a code by attribute for each image."""
    images = [f"images/{kind}/{kind.partition('.')[2]}_{i:04d}_{i * 7}.jpg" for i, kind in enumerate(kinds, 1)]
    columns = {"image": images}
    if top:
        columns["file"] = [top + image for image in images]
    columns["split"] = list(splits or "1" * len(kinds))
    columns["box"] = list(boxes or [BOX] * len(kinds))
    columns["value:species"] = [kind.partition(".")[2] for kind in kinds]
    for i, name in enumerate(attributes):
        columns[f"value:{name}"] = [row[i] for row in codes] if codes else ["0/4"] * len(kinds)
    return contract.rows_of(**columns)


EXAMPLE = rows_with(
    [KINDS[0], KINDS[1], KINDS[0], KINDS[3], KINDS[1]],
    splits="10110",
    codes=[["1/4", "0/1", "0/4"], ["0/2", "1/3", "1/1"], ["1/2", "0/3", "1/4"], ["0/4"] * 3, ["1/4"] * 3],
)


def copy_of(root, rows=EXAMPLE):
    layout.write(root, rows, OPTIONS)
    return root


def read(root, *columns):
    return layout.read(root, OPTIONS, list(columns))


def rewritten(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(data=st.data(), top=st.sampled_from(["", TOP]))
def test_what_is_written_is_read_back(tmp_path, data, top):
    count = data.draw(st.integers(1, 6))
    each = {"min_size": count, "max_size": count}
    places, sizes = st.integers(-20, 500), st.floats(0.5, 900, width=32)
    rows = rows_with(
        data.draw(st.lists(st.sampled_from(KINDS), **each)),
        splits=data.draw(st.text("01", **each)),
        codes=data.draw(st.lists(st.lists(st.sampled_from(layout.CODES), min_size=3, max_size=3), **each)),
        boxes=data.draw(st.lists(st.tuples(places, places, sizes, sizes).map(list), **each)),
        top=top,
    )
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, COLUMNS, "official")


@settings(quick, max_examples=20)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), has=st.lists(st.booleans(), min_size=4, max_size=4)
)
def test_attributes_of_species_are_read_back(tmp_path, kinds, has):
    """The first image of a species trains; what nothing is told of is blank."""
    splits = ["1" if kind not in kinds[:i] and kind != KINDS[3] else "0" for i, kind in enumerate(kinds)]
    told = ["" if kind == KINDS[3] else "01"[has[KINDS.index(kind)]] for kind in kinds]
    rows = rows_with(kinds, splits=splits, attributes=()).append_column("value:class::has_size::big", [told])
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, ["class::has_size::big", "species"], "official")


@settings(quick, max_examples=120)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, COLUMNS, "official", damage)


# ------------------------------------------------------------------------------------------------------------- quirks


def test_rows_of_attributes_with_more_fields_are_mended_in_place(tmp_path):
    """The first row of a fixture has seven fields; others are given more, and less, here."""
    file = copy_of(tmp_path) / TOP / layout.LABELS
    lines = file.read_text().splitlines()
    assert lines[0] == "1 1 1 4 0 0 1.509"
    before = read(tmp_path, *COLUMNS).rows
    lines[4] = "2 2 1 3 0 6.5"
    lines[7] = "3  2 0 3 2.1"
    lines[8] = "3 3 1 4"
    write_lines(file, lines)
    assert read(tmp_path, *COLUMNS).rows.equals(before)


def test_the_archive_may_be_given_with_or_without_its_folder(tmp_path):
    copy_of(tmp_path)
    outer = read(tmp_path, "species").rows
    assert outer["file"].to_pylist() == [f"{TOP}{image}" for image in outer["image"].to_pylist()]
    assert all((tmp_path / file).is_file() for file in outer["file"].to_pylist())
    assert read(tmp_path / TOP, "species").rows.equals(outer.drop_columns("file"))


@pytest.mark.parametrize("place", ["attributes.txt", f"{TOP}attributes.txt", f"{TOP}attributes/attributes.txt"])
def test_the_list_of_attributes_may_stand_where_the_archive_or_its_readme_has_it(tmp_path, place):
    before = read(copy_of(tmp_path), *COLUMNS).rows
    shutil.move(tmp_path / "attributes.txt", tmp_path / place)
    assert read(tmp_path, *COLUMNS).rows.equals(before)
    assert tmp_path / place in layout.label_files(tmp_path, OPTIONS)


def test_a_list_of_attributes_above_the_root_is_asked_for_and_not_read(tmp_path):
    copy_of(tmp_path)
    with pytest.raises(DataError, match="the archive has it beside CUB_200_2011, not in it"):
        read(tmp_path / TOP, *COLUMNS)


def test_species_are_read_without_any_attributes(tmp_path):
    copy_of(tmp_path)
    shutil.rmtree(tmp_path / TOP / "attributes")
    assert set(read(tmp_path, "species").rows["value:species"].to_pylist()) == {
        "Black_footed_Albatross",
        "Cardinal",
        "Common_Yellowthroat",
    }


def test_attributes_go_by_their_numbers_in_the_list(tmp_path):
    before = read(copy_of(tmp_path), *COLUMNS).rows
    write_lines(tmp_path / "attributes.txt", [f"{i} {name}" for i, name in enumerate(reversed(ATTRIBUTES), 1)])
    after = read(tmp_path, *COLUMNS).rows
    assert after[f"value:{ATTRIBUTES[0]}"].equals(before[f"value:{ATTRIBUTES[2]}"])
    assert after[f"value:{ATTRIBUTES[1]}"].equals(before[f"value:{ATTRIBUTES[1]}"])


def test_rows_whose_path_leads_out_are_left_out_by_name(tmp_path):
    name = read(copy_of(tmp_path), "species").rows["image"][1].as_py().removeprefix("images/")
    rewritten(tmp_path / TOP / "images.txt", name, "../../outside.jpg")
    reading = read(tmp_path, *COLUMNS)
    assert reading.rows.num_rows == 4
    assert reading.skipped.names == {"path leads out of the copy": ["../../outside.jpg"]}


# -------------------------------------------------------------------------------------------- attributes of species


@pytest.mark.parametrize(
    ("codes", "answer"),
    [
        (["1/4", "1/3", "0/4"], "1"),
        (["1/4", "0/3", "0/4"], "0"),
        (["1/4", "0/4"], "1"),  # half of them is enough
        (["1/2", "0/1", "0/1", "0/1"], "1"),  # what is not visible does not count against it
        (["1/1", "0/4"], "1"),  # but counts for it, as there
        (["0/1", "0/1"], "1"),  # and where nothing is counted, there is a tie
        (["0/2"], "0"),
    ],
)
def test_a_species_has_what_half_of_its_training_images_have(tmp_path, codes, answer):
    """Images of the test split say the contrary, and so do images of another species."""
    name, other = ATTRIBUTES[0], "0/4" if answer == "1" else "1/4"
    rows = rows_with(
        [KINDS[0]] * (len(codes) + 9) + [KINDS[1]] * 9,
        splits="1" * len(codes) + "0" * 9 + "1" * 9,
        codes=[[code] for code in [*codes, *[other] * 18]],
        attributes=[name],
    )
    found = read(copy_of(tmp_path, rows), f"class::{name}")
    other_answer = "01"[other == "1/4"]
    assert found.rows[f"value:class::{name}"].to_pylist() == [answer] * (len(codes) + 9) + [other_answer] * 9


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("images.txt", "2 017", "3 017", "images.txt:2: expected the number 2, a path; found '3 017"),
        (
            "images.txt",
            "2 017.Cardinal/",
            "2 001.Black_footed_Albatross/",
            "image 2 is of class 017.Cardinal, and lies",
        ),
        ("images.txt", "5 017", "5 a b 017", "images.txt:5: expected the number 5, a path; found"),
        ("classes.txt", "2 017.Cardinal", "2 Cardinal", "classes.txt:2: expected a name such as 001.Black_footed"),
        ("classes.txt", "2 017.Cardinal", "2 017.../x", "classes.txt:2: expected a name such as 001.Black_footed"),
        (
            "classes.txt",
            "2 017.Cardinal",
            "2 017.Common_Yellowthroat",
            "the species 'Common_Yellowthroat' stands twice",
        ),
        ("image_class_labels.txt", "2 2", "2 3", "image_class_labels.txt:2: image 2 is of class 200.Common"),
        ("image_class_labels.txt", "2 2", "2 9", "image_class_labels.txt:2: expected a whole number from 1 to 3"),
        ("image_class_labels.txt", "5 2\n", "", "image_class_labels.txt has 4 rows, expected 5, one for each image"),
        ("train_test_split.txt", "2 0", "2 2", "train_test_split.txt:2: expected 1 (train) or 0 (test), found '2'"),
        ("train_test_split.txt", "5 0\n", "", "train_test_split.txt has 4 rows, expected 5"),
        ("bounding_boxes.txt", "1 60 27 325 304", "1 60 27 -325 304", "bounding_boxes.txt:1: expected x, y, width"),
        ("bounding_boxes.txt", "1 60 27 325 304", "1 60 nan 325 304", "bounding_boxes.txt:1: expected x, y, width"),
        ("bounding_boxes.txt", "1 60 27 325 304", "1 60 27 325", "bounding_boxes.txt:1: expected the number 1, x, y"),
        ("../attributes.txt", "2 has_size", "3 has_size", "attributes.txt:2: expected the number 2, a name"),
        ("../attributes.txt", ATTRIBUTES[1], ATTRIBUTES[2], "the attribute 'has_wing_color::blue' stands twice"),
        ("attributes/certainties.txt", "1 not visible", "1 visible", "certainties.txt: expected 1 not visible, 2"),
        (layout.LABELS, "1 2 0 1 1.509", "1 2 0 5 1.509", "labels.txt:2: expected an image from 1 to 5, an attribute"),
        (layout.LABELS, "1 2 0 1 1.509", "1 2 2 1 1.509", "found '1 2 2 1'"),
        (layout.LABELS, "1 2 0 1 1.509", "1 4 0 1 1.509", "labels.txt:2: expected an image from 1 to 5, an attribute"),
        (layout.LABELS, "1 2 0 1 1.509", "9 2 0 1 1.509", "labels.txt:2: expected an image from 1 to 5, an attribute"),
        (layout.LABELS, "1 1 1 4 0 0 1.509", "1 1 1 7 0 0 1.509", "labels.txt:1: expected an image from 1 to 5"),
        (layout.LABELS, "1 2 0 1 1.509", "1 2 0 yes 1.509", "labels.txt:2: expected image, attribute, 1 or 0"),
        (layout.LABELS, "1 2 0 1 1.509", "1 2 0", "labels.txt:2: expected image, attribute, 1 or 0, certainty and"),
        (layout.LABELS, "1 2 0 1 1.509\n", "", "image 1, attribute 2 stands 0 times, expected once"),
        (layout.LABELS, "1 2 0 1 1.509", "1 3 0 1 1.509", "image 1, attribute 2 stands 0 times, expected once"),
        (
            layout.LABELS,
            "1 2 0 1 1.509\n",
            "1 2 0 1 1.509\n1 2 1 4 1.509\n",
            "attribute 2 stands 2 times, expected once",
        ),
    ],
)
def test_lists_that_are_malformed_or_do_not_fit_together_are_refused(tmp_path, file, old, new, message):
    rewritten(copy_of(tmp_path) / TOP / file, old, new)
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, *COLUMNS)


def test_the_line_of_a_wrong_row_is_right_behind_mended_rows(tmp_path):
    file = copy_of(tmp_path) / TOP / layout.LABELS
    lines = file.read_text().splitlines()
    lines[2] += " 1 1"
    lines[9] = "4 1 0 8 1.509"
    write_lines(file, lines)
    with pytest.raises(DataError, match=re.escape(f"{layout.LABELS}:10: expected an image")):
        read(tmp_path, *COLUMNS)


def test_another_folder_and_a_partial_copy_are_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"the list of images is not there .*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    copy_of(tmp_path)
    for name in (*layout.LISTS[1:], "images"):
        (tmp_path / TOP / name).rename(tmp_path / "away")
        with pytest.raises(DataError, match=f"`{name}` is not there"):
            layout.recognise(tmp_path, OPTIONS)
        (tmp_path / "away").rename(tmp_path / TOP / name)


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no column 'has_wing_color::blu'; did you mean 'has_wing_color::blue'"):
        read(copy_of(tmp_path), "has_wing_color::blu")
    with pytest.raises(DataError, match="no column 'class::has_horns'"):
        read(tmp_path, "class::has_horns")


# --------------------------------------------------------------------------------------------------- the shipped specs


def all_attributes():
    return sorted(without_figures("cub")[1]["bird_attributes"].labels)


def all_kinds():
    """Classes in another order than the task's labels; numbers are not read."""
    return [f"{i:03d}.{name}" for i, name in enumerate(sorted(without_figures("cub")[1]["bird_species"].labels), 1)]


def table_of(rows, attributes):
    """Which image has which attribute, 0 or 1: no two images or attributes are alike."""
    return (np.random.default_rng(11).random((rows, attributes)) < 0.3).astype(int).tolist()


def test_species_and_attributes_come_out_under_their_names(tmp_path):
    dataset, tasks = without_figures("cub")
    names, kinds = all_attributes(), all_kinds()
    assert len(names) == 312
    assert len(kinds) == 200
    table = table_of(len(kinds), len(names))
    codes = [[("0/3", "1/3")[has] if j % 2 else ("0/4", "1/4")[has] for j, has in enumerate(row)] for row in table]
    rows = rows_with(kinds, splits="10" * 100, codes=codes, attributes=names)
    labels = read_labels(dataset, tasks, copy_of(tmp_path, rows)).labels
    assert len(labels) == 200
    row_of = {image: row for row, image in enumerate(rows["image"].to_pylist())}
    for image, split, species, attributes in zip(
        labels.images, labels.splits, *(labels.tasks[task] for task in ("bird_species", "bird_attributes")), strict=True
    ):
        assert tasks["bird_species"].labels[species] == image.split("/")[1].partition(".")[2]
        found = dict(zip(tasks["bird_attributes"].labels, attributes.tolist(), strict=True))
        assert [found[name] for name in names] == table[row_of[image]]
        assert (SPLITS[split] == "test") == (row_of[image] % 2 == 1)


def test_the_halves_read_their_labels_alike():
    whole = without_figures("cub")[0].tasks
    assert without_figures("cub_attributes")[0].tasks == {"bird_attributes": whole["bird_attributes"]}
    assert without_figures("cub_species")[0].tasks == {"bird_species": whole["bird_species"]}
    assert without_figures("cub_112")[0].tasks["bird_species"] == whole["bird_species"]


def test_what_is_not_visible_or_guessed_is_not_known(tmp_path):
    dataset, tasks = without_figures("cub")
    names = all_attributes()
    codes = [list(layout.CODES) * 39]
    rows = rows_with([all_kinds()[0]], codes=codes, attributes=names)
    labels = read_labels(dataset, tasks, copy_of(tmp_path, rows)).labels
    found = dict(zip(tasks["bird_attributes"].labels, labels.tasks["bird_attributes"][0].tolist(), strict=True))
    known = {"0/1": -1, "0/2": -1, "0/3": 0, "0/4": 0, "1/1": -1, "1/2": -1, "1/3": 1, "1/4": 1}
    assert [found[name] for name in names] == [known[code] for code in codes[0]]


def test_the_112_attributes_are_those_of_the_species(tmp_path):
    dataset, tasks = without_figures("cub_112")
    names, kinds = all_attributes(), all_kinds()[:20]
    table = table_of(len(kinds), len(names))
    species = [[("0/4", "1/4")[has] for has in row] for row in table]
    contrary = [[("1/4", "0/4")[has] for has in row] for row in table]
    rows = rows_with(kinds * 2, splits="1" * 20 + "0" * 20, codes=[*species, *contrary], attributes=names)
    labels = read_labels(dataset, tasks, copy_of(tmp_path, rows)).labels
    assert labels.counts()["test"] == 20
    for image, attributes in zip(labels.images, labels.tasks["bird_attributes_112"], strict=True):
        row = kinds.index(image.split("/")[1])
        found = dict(zip(tasks["bird_attributes_112"].labels, attributes.tolist(), strict=True))
        assert len(found) == 112
        assert found == {name: table[row][names.index(name)] for name in found}


def test_the_halves_share_no_training_image(tmp_path):
    kinds = all_kinds()[:2] * 40
    codes = [["0/4"] * 312] * 80
    copy_of(tmp_path, rows_with(kinds, splits="1110" * 20, codes=codes, attributes=all_attributes()))
    contract.assert_halves(tmp_path, "cub", "cub_species", "cub_attributes")


def test_a_copy_is_prepared_and_counted_against_the_literature(tmp_path):
    dataset, tasks = without_figures("cub_species")
    copy = copy_of(tmp_path / "copy", rows_with(all_kinds()[:8], splits="11110000", attributes=()))
    assert Preparation(dataset, tasks, 16, copy).prepare().labels.counts()["test"] == 4
    dataset, tasks = shipped("cub_species")
    with pytest.raises(DataError, match="4 train images instead of 5994; 4 test images instead of 5794"):
        Preparation(dataset, tasks, 24, copy).prepare()
