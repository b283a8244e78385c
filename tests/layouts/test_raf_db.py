"""RAF-DB: codes in its own order, people from files of their own, boxes and points where the photographs are used."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.layouts import raf_db as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.dataset import SPLITS, DatasetSpec

from . import contract
from .contract import quick, shipped

OPTIONS = layout.Options()
ORIGINAL = layout.Options(images="original")
COLUMNS = list(layout.COLUMNS)
EXPRESSIONS = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
FACE = [10.0, 10.0, 30.0, 10.0, 20.0, 20.5, 12.0, 30.0, 28.0, 30.0]

faces = st.tuples(
    st.sampled_from(["train", "test"]),
    st.sampled_from("1234567"),
    st.sampled_from("012"),
    st.sampled_from("012"),
    st.sampled_from("01234"),
    st.integers(-40, 40),
    st.integers(1, 400),
)


def rows_with(given_faces, options=OPTIONS, variant="official"):
    """Rows as `read` gives them, training images first: split, expression, gender, race, age, shift and scale each."""
    given_faces = sorted(given_faces, key=lambda face: face[0] == "test")
    columns = {"image": [], "file": [], "split": []} | {f"value:{name}": [] for name in COLUMNS}
    if options.images == "original":
        columns |= {"box": [], "points": []}
    for i, (split, *codes, shift, scale) in enumerate(given_faces):
        stem = f"{split}_{i + 1:05d}" if split == "train" else f"{split}_{i + 1:04d}"
        end = "_aligned.jpg" if options.images == "aligned" else ".jpg"
        folder = f"basic/Image/{options.images}" if variant == "official" else f"DATASET/{split}/{codes[0]}"
        cells = [f"{stem}.jpg", f"{folder}/{stem}{end}", split, *codes]
        if options.images == "original":
            side = 45.0 * scale / 4
            cells += [[float(shift), shift / 2, side, side], _placed(shift, scale)]
        for values, cell in zip(columns.values(), cells, strict=True):
            values.append(cell)
    return contract.rows_of(**columns)


def _placed(shift, scale):
    return [number * scale / 4 + (shift if i % 2 == 0 else shift / 2) for i, number in enumerate(FACE)]


GIVEN = [
    ("train", "4", "0", "0", "2", 0, 4),
    ("train", "7", "1", "2", "4", 0, 4),
    ("train", "1", "2", "1", "0", 0, 4),
    ("test", "6", "0", "0", "3", 0, 4),
    ("test", "2", "1", "0", "1", 0, 4),
]
EXAMPLE = rows_with(GIVEN)
IN_FOLDERS = rows_with(GIVEN, variant="folders")


def copy_of(root, *, rows=EXAMPLE, options=OPTIONS, variant="official"):
    layout.write(root, rows, options, variant)
    return root


def read(root, *columns, options=OPTIONS):
    return layout.read(root, options, list(columns))


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=25)
@given(
    given_faces=st.lists(faces, min_size=1, max_size=6),
    images=st.sampled_from(["aligned", "original"]),
    box=st.sampled_from(["corners", "size"]),
)
def test_what_is_written_is_read_back(tmp_path, given_faces, images, box):
    options = layout.Options(images=images, box=box)
    rows = rows_with(given_faces, options)
    contract.assert_read_back(layout, tmp_path / "copy", options, rows, COLUMNS, "official")


@settings(quick, max_examples=15)
@given(given_faces=st.lists(faces, min_size=1, max_size=6))
def test_what_is_written_into_folders_is_read_back(tmp_path, given_faces):
    rows = rows_with(given_faces, variant="folders")
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, ["expression"], "folders")


@settings(quick, max_examples=80)
@given(damage=contract.damages(), images=st.sampled_from(["aligned", "original"]))
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage, images):
    options = layout.Options(images=images)
    rows = rows_with([("train", "4", "0", "0", "2", 3, 8)] * 4 + [("test", "1", "1", "2", "0", 0, 4)], options)
    contract.assert_survives(layout, tmp_path / images, options, rows, COLUMNS, "official", damage)


# ------------------------------------------------------------------------------------------------------------- quirks


def test_names_do_not_depend_on_the_images_or_on_where_the_copy_begins(tmp_path):
    """They decide about the carved validation."""
    copy_of(tmp_path / "aligned")
    copy_of(tmp_path / "original", rows=rows_with(GIVEN, ORIGINAL), options=ORIGINAL)
    copy_of(tmp_path / "folders", rows=IN_FOLDERS, variant="folders")
    names = read(tmp_path / "aligned").rows["image"].to_pylist()
    assert names == ["train_00001.jpg", "train_00002.jpg", "train_00003.jpg", "test_0004.jpg", "test_0005.jpg"]
    assert read(tmp_path / "aligned" / "basic").rows["image"].to_pylist() == names
    assert read(tmp_path / "original", options=ORIGINAL).rows["image"].to_pylist() == names
    assert read(tmp_path / "folders").rows["image"].to_pylist() == names
    assert read(tmp_path / "folders" / "DATASET").rows["image"].to_pylist() == names


@pytest.mark.parametrize(
    "text",
    [
        "10\t10\n30 10\n20\t20\n12 30\n28\t30\n1\n2\n4",
        "10.0  10.0\r\n30 10\r\n20 20\r\n12 30\r\n28 30\r\n1\r\n2\r\n4\r\n\r\n",
    ],
)
def test_annotations_may_be_separated_and_ended_in_any_way(tmp_path, text):
    copy_of(tmp_path)
    (tmp_path / "basic" / layout.MANUAL / "train_00001_manu_attri.txt").write_bytes(text.encode())
    row = read(tmp_path, "gender", "race", "age").rows.to_pylist()[0]
    assert [row[f"value:{name}"] for name in ("gender", "race", "age")] == ["1", "2", "4"]


def test_an_image_without_its_own_annotation_is_left_out_by_name_if_it_is_asked_for(tmp_path):
    copy_of(tmp_path)
    (tmp_path / "basic" / layout.MANUAL / "train_00002_manu_attri.txt").unlink()
    assert read(tmp_path, "expression").rows.num_rows == 5
    reading = read(tmp_path, "expression", "age")
    assert reading.rows.num_rows == 4
    assert reading.skipped.names == {"no annotation of gender, race and age group": ["train_00002.jpg"]}


def test_a_photograph_without_a_box_is_left_out_by_name(tmp_path):
    copy_of(tmp_path, rows=rows_with([("train", "4", "0", "0", "2", 0, 4)] * 3, ORIGINAL), options=ORIGINAL)
    (tmp_path / "basic" / layout.BOXES / "train_00003_boundingbox.txt").unlink()
    reading = read(tmp_path, options=ORIGINAL)
    assert reading.rows["image"].to_pylist() == ["train_00001.jpg", "train_00002.jpg"]
    assert reading.skipped.names == {"no bounding box": ["train_00003.jpg"]}


def test_boxes_that_are_read_in_the_wrong_way_are_noticed(tmp_path):
    """Far from the corner of the photograph, corners read as sizes and sizes read as corners miss the nose."""
    sizes = layout.Options(images="original", box="size")
    rows = rows_with([("train", "4", "0", "0", "2", 200, 4)] * 3, ORIGINAL)
    copy_of(tmp_path, rows=rows, options=sizes)
    with pytest.raises(DataError, match="0% of the boxes hold the tip of the nose") as caught:
        read(tmp_path, options=ORIGINAL)
    assert "box: size" in caught.value.hint
    assert read(tmp_path, options=sizes).rows["box"].to_pylist() == rows["box"].to_pylist()


def test_points_in_another_order_are_noticed(tmp_path):
    rows = rows_with([("train", "4", "0", "0", "2", 0, 4)] * 3, ORIGINAL)
    copy_of(tmp_path, rows=rows, options=ORIGINAL)
    mirrored = "30 10\n10 10\n20 20\n28 30\n12 30\n0\n0\n2\n"
    for number in (1, 2):
        (tmp_path / "basic" / layout.MANUAL / f"train_0000{number}_manu_attri.txt").write_text(mirrored)
    with pytest.raises(DataError, match="in 33% of the annotations the points are those of a face"):
        read(tmp_path, options=ORIGINAL)


def test_other_files_in_folders_are_left_out_by_name(tmp_path):
    copy_of(tmp_path, rows=IN_FOLDERS, variant="folders")
    for name in ("notes.txt", ".DS_Store"):
        (tmp_path / "DATASET" / "train" / "4" / name).write_text("")
    reading = read(tmp_path)
    assert reading.rows.num_rows == 5
    assert reading.skipped.names == {"no image of RAF-DB by its name": ["DATASET/train/4/notes.txt"]}


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00001.jpg 0", "list_patition_label.txt:6: expected a name and a code from 1 to 7"),
        ("train_00009.jpg 8", "list_patition_label.txt:6: expected a name and a code from 1 to 7"),
        ("train_00009.jpg", "list_patition_label.txt:6: expected a name and a code from 1 to 7"),
        ("train_00009.jpg,5", "list_patition_label.txt:6: expected a name and a code from 1 to 7"),
        ("valid_00009.jpg 5", "list_patition_label.txt:6: expected a name such as train_00001.jpg"),
        ("train_00009.png 5", "list_patition_label.txt:6: expected a name such as train_00001.jpg"),
        ("train_00001.jpg 5", "list_patition_label.txt:6: train_00001.jpg stands twice"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, message):
    file = copy_of(tmp_path) / "basic" / layout.LIST
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path)


def test_a_path_that_leads_out_is_left_out_by_name(tmp_path):
    file = copy_of(tmp_path) / "basic" / layout.LIST
    file.write_text(file.read_text() + "../train_00009.jpg 5\n/etc/train_00010.jpg 5\n")
    assert read(tmp_path).skipped.names == {"path leads out of the copy": [f"{file}:6", f"{file}:7"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 10\n30 10\n20 20\n12 30\n28 30\n3\n0\n0\n", "(gender): expected a whole number from 0 to 2, found '3'"),
        ("10 10\n30 10\n20 20\n12 30\n28 30\n0\n-1\n0\n", "(race): expected a whole number from 0 to 2, found '-1'"),
        ("10 10\n30 10\n20 20\n12 30\n28 30\n0\n0\n5\n", "(age): expected a whole number from 0 to 4, found '5'"),
        ("10 10\n30 10\n20 20\n12 30\n28 30\n0\n0\n", "expected five points and three codes, found 12 numbers"),
        ("10 10\n30 nan\n20 20\n12 30\n28 30\n0\n0\n0\n", "expected places in an image, in pixels"),
        ("10 10\n30 x\n20 20\n12 30\n28 30\n0\n0\n0\n", "expected places in an image, in pixels"),
        ("é", "not a text of numbers"),
        ("1" * 70000, "is too large to be a label file"),
    ],
)
def test_other_annotations_are_refused_by_name(tmp_path, text, message):
    copy_of(tmp_path)
    (tmp_path / "basic" / layout.MANUAL / "train_00002_manu_attri.txt").write_text(text)
    with pytest.raises(DataError, match="train_00002_manu_attri.txt.*" + re.escape(message)):
        read(tmp_path, "gender")
    assert read(tmp_path, "expression").rows.num_rows == 5


def test_folders_say_nothing_of_people_and_hold_no_photographs(tmp_path):
    copy_of(tmp_path, rows=IN_FOLDERS, variant="folders")
    with pytest.raises(DataError, match="tells no gender, race, age"):
        read(tmp_path, "expression", "race")
    with pytest.raises(DataError, match="has aligned images only"):
        read(tmp_path, options=ORIGINAL)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("train/5/test_0009_aligned.jpg", "test_0009_aligned.jpg stands among the images of 'train'"),
        ("train/5/train_00001_aligned.jpg", "are the same image"),
        (
            "train/0/train_00009_aligned.jpg",
            "expected a folder for each code from 1 to 7, and nothing else; there is 0",
        ),
    ],
)
def test_folders_that_cannot_be_right_are_refused(tmp_path, file, message):
    copy_of(tmp_path, rows=IN_FOLDERS, variant="folders")
    write_picture(tmp_path / "DATASET" / file)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_incomplete_copies_and_other_folders_are_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"a copy of RAF-DB is not there .*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / layout.LIST, ["train_00001.jpg 5"])
    with pytest.raises(DataError, match="folder of aligned images is not there"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / "Image" / "aligned").mkdir(parents=True)
    with pytest.raises(DataError, match="manual cannot be listed"):
        read(tmp_path, "gender")
    copy_of(tmp_path / "web", rows=IN_FOLDERS, variant="folders")
    (tmp_path / "web" / "DATASET" / "test" / "7").rmdir()
    with pytest.raises(DataError, match="7 is missing"):
        read(tmp_path / "web")


def test_an_annotation_that_leads_out_is_not_read(tmp_path):
    copy_of(tmp_path / "copy")
    file = tmp_path / "copy" / "basic" / layout.MANUAL / "train_00002_manu_attri.txt"
    file.rename(tmp_path / "elsewhere.txt")
    file.symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(DataError, match=r"train_00002_manu_attri\.txt leads out of"):
        read(tmp_path / "copy", "gender")
    folder = file.parent
    folder.rename(tmp_path / "manual")
    folder.symlink_to(tmp_path / "manual", target_is_directory=True)
    with pytest.raises(DataError, match="manual leads out of"):
        read(tmp_path / "copy", "gender")


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match="no column 'sex'"):
        read(copy_of(tmp_path), "sex")


# --------------------------------------------------------------------------------------------------- the shipped specs


@pytest.mark.parametrize("variant", ["official", "folders"])
def test_expressions_of_the_shipped_spec_have_the_right_names(tmp_path, variant):
    given_faces = [(split, code, "0", "0", "0", 0, 4) for split in ("train", "test") for code in "1234567"]
    copy_of(tmp_path, rows=rows_with(given_faces, variant=variant), variant=variant)
    dataset, tasks = shipped("raf_db")
    labels = read_labels(dataset, tasks, tmp_path).labels
    names = [tasks["expression"].labels[index] for index in labels.tasks["expression"]]
    assert names == [*EXPRESSIONS, *EXPRESSIONS]
    assert [SPLITS[place] == "test" for place in labels.splits] == [False] * 7 + [True] * 7


def test_people_of_the_shipped_spec_have_the_right_names(tmp_path):
    genders, races = {"0": "male", "1": "female", "2": None}, {"0": "caucasian", "1": "african-american", "2": "asian"}
    ages = dict(zip("01234", ["0 to 3", "4 to 19", "20 to 39", "40 to 69", "70 and more"], strict=True))
    codes = [(g, r, a) for g in genders for r in races for a in ages]
    copy_of(tmp_path, rows=rows_with([("train", "4", *each, 0, 4) for each in codes]))
    dataset, tasks = shipped("raf_db_people")
    labels = read_labels(dataset, tasks, tmp_path).labels
    for i, (gender, race, age) in enumerate(codes):
        said = {"expression": "happiness", "face_gender": genders[gender]}
        said |= {"face_race": races[race], "face_age_group": ages[age]}
        for name, expected in said.items():
            index = labels.tasks[name][i]
            assert (tasks[name].labels[index] if index >= 0 else None) == expected


def test_photographs_are_cropped_at_their_boxes(tmp_path, monkeypatch):
    """A box holds the only bright part of a photograph, so that is what is seen."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    rows = rows_with([("train", "4", "0", "0", "2", 20, 4)] * 30 + [("test", "4", "0", "0", "2", 20, 4)], ORIGINAL)
    copy_of(tmp_path / "copy", rows=rows, options=ORIGINAL)
    for row in rows.to_pylist():
        pixels = np.zeros((100, 100, 3), np.uint8)
        x, y, width, height = map(int, row["box"])
        pixels[y : y + height, x : x + width] = 250
        Image.fromarray(pixels).save(tmp_path / "copy" / row["file"], quality=95)
    dataset, tasks = shipped("raf_db")
    crop = {"by": "box"}
    spec = DatasetSpec.model_validate(
        dataset.model_dump() | {"layout": {"name": "raf_db", "images": "original"}, "crop": crop, "expected": {}}
    )
    store = Preparation(spec, tasks, 32, tmp_path / "copy").prepare()
    assert store.manifest.refused == {}
    assert store.images.mean() > 240
