"""DeepFashion: counted lists joined by path, names with blanks, three values of attributes, and the fine annotation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import code_columns, columns_of
from bench.data.layouts import deepfashion as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.layouts.deepfashion import FOLDERS, OUTSIDE
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError

from . import contract
from .contract import quick, without_figures

COARSE, FINE = layout.Options(), layout.Options(annotation="fine")
COLUMNS = ["category", "floral print", "v-neck", "a-line"]

ATTRIBUTES = "garment_attributes"


def options_for(variant):
    return FINE if variant == "fine" else COARSE


def write_list(root, file, lines, *, count=None):
    write_lines(root / file, [str(len(lines) if count is None else count), "names of columns", *lines])


def copy_of(root, images, *, attributes=("floral  1", "abstract chevron print   1"), folder="Anno_coarse", **lists):
    """A coarse copy by hand: its images, and lists that may be given line by line without their first two lines."""
    names = [f"img/{name}" for name in images]
    write_list(root, f"{folder}/list_category_cloth.txt", lists.get("categories", ["Blouse  1", "Dress  3"]))
    write_list(root, f"{folder}/list_attr_cloth.txt", list(attributes))
    write_list(root, f"{folder}/list_category_img.txt", lists.get("category", [f"{name}   1" for name in names]))
    write_list(root, f"{folder}/list_attr_img.txt", lists.get("attribute", [f"{name}   -1  1" for name in names]))
    write_list(root, "Eval/list_eval_partition.txt", lists.get("split", [f"{name}   train" for name in names]))
    write_list(root, f"{folder}/list_bbox.txt", lists.get("box", [f"{name}  1 2 11 22" for name in names]))
    for name in names:
        write_picture(root / name)
    (root / "img").mkdir(exist_ok=True)
    return root


def read(root, columns=("category", "floral", "abstract chevron print"), options=COARSE):
    return layout.read(root, options, list(columns))


@st.composite
def copies(draw):
    """A variant, and rows as `read` gives them."""
    variant = draw(st.sampled_from(layout.VARIANTS))
    item = st.sampled_from(["Sheer_Blouse", "Boyfriend_Jeans", "V-Neck_Tee"])
    keys = draw(st.lists(st.tuples(item, st.integers(1, 60)), min_size=1, max_size=6, unique=True))
    if variant == "fine":  # its lists stand split by split
        code, number = st.sampled_from("01"), st.integers(0, 300)
    else:
        code, number = st.sampled_from(["0", "1", "-1"]), st.integers(0, 300)
    corner, side = st.tuples(number, number), st.tuples(st.integers(1, 300), st.integers(1, 300))
    rows = {
        "image": [f"img/{folder}/img_{place:08d}.jpg" for folder, place in keys],
        "split": [draw(st.sampled_from(layout.SPLITS)) for _ in keys],
        "group": [f"img/{folder}" for folder, _ in keys],
    }
    if draw(st.booleans()):
        rows["file"] = [f"Img/{image}" for image in rows["image"]]
    rows["box"] = [draw(st.one_of(st.none(), st.builds(lambda a, b: [*a, *b], corner, side))) for _ in keys]
    rows["value:category"] = [draw(st.sampled_from(["Blouse", "Button-Down", "Dress"])) for _ in keys]
    rows |= {f"value:{column}": [draw(code) for _ in keys] for column in COLUMNS[1:]}
    return variant, contract.rows_of(**rows)


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(case=copies())
def test_what_is_written_is_read_back(tmp_path, case):
    variant, rows = case
    reading = contract.assert_read_back(layout, tmp_path / "copy", options_for(variant), rows, COLUMNS, variant)
    assert reading.skipped.counts == {}


EXAMPLE = contract.rows_of(
    image=[f"img/Item_{i // 3}/img_{i:08d}.jpg" for i in range(9)],
    split=["train", "train", "val", "val", "test", "test", "test", "train", "val"],
    group=[f"img/Item_{i // 3}" for i in range(9)],
    box=[[i, 2 * i, 50, 60] for i in range(9)],
    **{
        "value:category": [["Blouse", "Dress", "Tee"][i % 3] for i in range(9)],
        "value:floral print": list("010110101"),
        "value:v-neck": list("110010110"),
    },
)


@pytest.mark.parametrize("variant", ["coarse", "fine"])
@settings(quick, max_examples=60)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, variant, damage):
    columns = ["category", "floral print", "v-neck"]
    contract.assert_survives(layout, tmp_path, options_for(variant), EXAMPLE, columns, variant, damage)


# ------------------------------------------------------------------------------------------------------ the lists


def test_attributes_are_found_by_names_with_blanks_whatever_their_order(tmp_path):
    names = ["abstract chevron print  1", "faux  leather\t2", "floral 1"]
    copy_of(tmp_path, ["A/1.jpg"], attributes=names, attribute=["img/A/1.jpg     -1  0  1 "])
    rows = read(tmp_path, ["floral", "abstract chevron print", "faux  leather"]).rows
    assert [rows[name].to_pylist() for name in rows.column_names[-3:]] == [["1"], ["-1"], ["0"]]


def test_one_attribute_alone_is_read(tmp_path):
    assert read(copy_of(tmp_path, ["A/1.jpg"]), ["floral"]).rows["value:floral"].to_pylist() == ["-1"]


def test_lists_in_another_order_are_joined_by_path(tmp_path):
    copy_of(
        tmp_path,
        ["A/1.jpg", "A/2.jpg", "B/1.jpg"],
        split=["img/B/1.jpg test", "img/A/1.jpg train", "img/A/2.jpg val"],
        category=["img/A/2.jpg 2", "img/B/1.jpg 1", "img/A/1.jpg 2"],
        attribute=["img/A/1.jpg 1 0", "img/A/2.jpg -1 0", "img/B/1.jpg 0 0"],
        box=["img/A/2.jpg 1 2 11 22", "img/A/1.jpg 0 0 5 5", "img/B/1.jpg 3 3 9 9"],
    )
    rows = read(tmp_path).rows
    assert rows["image"].to_pylist() == ["img/B/1.jpg", "img/A/1.jpg", "img/A/2.jpg"]
    assert rows["split"].to_pylist() == ["test", "train", "val"]
    assert rows["group"].to_pylist() == ["img/B", "img/A", "img/A"]
    assert rows["value:category"].to_pylist() == ["Blouse", "Dress", "Dress"]
    assert rows["value:floral"].to_pylist() == ["0", "1", "-1"]
    assert rows["box"].to_pylist() == [[3, 3, 6, 6], [0, 0, 5, 5], [1, 2, 10, 20]]


def test_a_box_without_extent_counts_as_none(tmp_path):
    names = ["A/1.jpg", "A/2.jpg", "A/3.jpg"]
    copy_of(tmp_path, names, box=["img/A/1.jpg 5 5 5 9", "img/A/2.jpg 5 5 9 4", "img/A/3.jpg 5 5 6 6"])
    assert read(tmp_path).rows["box"].to_pylist() == [None, None, [5, 5, 1, 1]]


def test_the_list_of_boxes_must_be_there(tmp_path):
    (copy_of(tmp_path, ["A/1.jpg"]) / "Anno_coarse/list_bbox.txt").unlink()
    with pytest.raises(DataError, match=r"Anno_coarse/list_bbox\.txt is missing"):
        read(tmp_path)


def test_images_may_lie_in_a_folder_of_their_own_and_keep_their_names(tmp_path):
    copy_of(tmp_path, ["A/1.jpg"])
    (tmp_path / "Img").mkdir()
    (tmp_path / "img").rename(tmp_path / "Img" / "img")
    rows = read(tmp_path).rows
    assert (rows["image"].to_pylist(), rows["file"].to_pylist()) == (["img/A/1.jpg"], ["Img/img/A/1.jpg"])


@pytest.mark.parametrize(
    "name", ["../../outside.jpg", "/etc/hostname", "img/../../x.jpg", "img/A/..", "img/A\\..\\x.jpg", "..\\x.jpg"]
)
def test_paths_out_of_the_copy_are_left_out_by_name(tmp_path, name):
    lists = {
        "split": [f"{name} train", "img/A/1.jpg train"],
        "category": [f"{name} 1", "img/A/1.jpg 1"],
        "attribute": [f"{name} 1 1", "img/A/1.jpg 1 1"],
        "box": [f"{name} 1 2 3 4", "img/A/1.jpg 1 2 3 4"],
    }
    reading = read(copy_of(tmp_path, ["A/1.jpg"], **lists))
    assert reading.rows["image"].to_pylist() == ["img/A/1.jpg"]
    assert reading.skipped.names == {OUTSIDE: [name]}


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"attribute": ["img/A/1.jpg -1 1 1"]}, r"list_attr_img\.txt:3: expected 2 times 1, 0 or -1, found 3 values"),
        ({"attribute": ["img/A/1.jpg -1"]}, r":3: expected 2 times 1, 0 or -1, found 1 values"),
        ({"attribute": ["img/A/1.jpg -1 2"]}, "found '2'"),
        ({"attribute": ["img/A/1.jpg -2 1"]}, "found '-2'"),
        ({"attribute": ["img/A/1.jpg - 1 1"]}, "found '-'"),
        ({"attribute": ["img/A/1.jpg 1 1.0"]}, r"found '1\.0'"),
        ({"attribute": ["img/A/1.jpg 1 nan"]}, "found 'nan'"),
        ({"attribute": ["img/A/1.jpg 1 é"]}, "found 'é'"),
        ({"attribute": ["img/A/1.jpg"]}, r":3: expected a path and what belongs to it"),
        ({"category": ["img/A/1.jpg 3"]}, r"list_category_img\.txt:3: expected a category from 1 to 2, found '3'"),
        ({"category": ["img/A/1.jpg 0"]}, "found '0'"),
        ({"category": ["img/A/1.jpg -1"]}, "found '-1'"),
        ({"category": ["img/A/1.jpg 1 2"]}, "found '1 2'"),
        ({"split": ["img/A/1.jpg validation"]}, r"partition\.txt:3: expected train, val or test, found 'validation'"),
        ({"box": ["img/A/1.jpg 1 2 3"]}, r"list_bbox\.txt:3: expected the four numbers of a box, found '1 2 3'"),
        ({"box": ["img/A/1.jpg 1 2 3 nan"]}, "expected a box in pixels"),
        ({"categories": ["Blouse"]}, "list_category_cloth.txt:3: expected a name and its type, found 'Blouse'"),
        ({"categories": ["Blouse 1", "Dress shirt 3"]}, "expected categories of one word, .* found 'Dress shirt'"),
        ({"categories": ["Blouse 1", "Blouse 3"]}, "all different; found 'Blouse'"),
        ({"attributes": ["floral 1", "very striped"]}, r"list_attr_cloth\.txt:4: the type of 'very': expected a whole"),
        ({"category": ["img/A/2.jpg 1"]}, r"img/A/1\.jpg stands in .*partition\.txt and not in .*list_category_img"),
        ({"split": ["img/A/1.jpg train"] * 2}, r"partition\.txt: img/A/1\.jpg stands there twice"),
        ({"category": ["img/A/1.jpg 1"] * 2}, r"list_category_img\.txt: 1 images stand there twice"),
        ({"box": ["img/A/1.jpg 1 2 3 4", "img/A/9.jpg 1 2 3 4"]}, r"img/A/9\.jpg stands in .*bbox\.txt and not in"),
    ],
)
def test_a_malformed_list_is_refused_by_file_and_line(tmp_path, lists, said):
    with pytest.raises(DataError, match=said):
        read(copy_of(tmp_path, ["A/1.jpg"], **lists), ["category", "floral"])


@pytest.mark.parametrize("name", ["category_img", "attr_img", "attr_cloth", "category_cloth", "bbox"])
def test_a_list_must_have_as_many_rows_as_it_says(tmp_path, name):
    copy_of(tmp_path, ["A/1.jpg"], box=["img/A/1.jpg 1 2 3 4"])
    file = tmp_path / f"Anno_coarse/list_{name}.txt"
    count, *rest = file.read_text().splitlines()
    write_lines(file, [str(int(count) + 1), *rest])
    with pytest.raises(DataError, match=rf"list_{name}\.txt: {count} rows, but its first line says {int(count) + 1}"):
        read(tmp_path)
    write_lines(file, ["image_name values", *rest])
    with pytest.raises(DataError, match=rf"list_{name}\.txt:1: the number of rows: expected a whole number"):
        read(tmp_path)


def test_unknown_and_repeated_attributes_are_refused_if_asked_for(tmp_path):
    copy_of(tmp_path, ["A/1.jpg"], attributes=["floral 1", "floral 2"])
    assert read(tmp_path, ["category"]).rows.num_rows == 1
    with pytest.raises(DataError, match="the attribute 'floral' stands there twice"):
        read(tmp_path, ["floral"])
    with pytest.raises(DataError, match="there is no column 'florall'; did you mean 'floral'"):
        read(tmp_path, ["florall"])


def test_wrong_roots_and_partial_copies_are_told(tmp_path):
    with pytest.raises(DataError, match=r"the folder of annotations is not there \(looked for Anno_coarse, Anno;"):
        layout.recognise(tmp_path, COARSE)
    with pytest.raises(DataError, match=r"looked for Anno_fine;"):
        layout.recognise(tmp_path, FINE)
    (tmp_path / "Anno").mkdir()
    with pytest.raises(DataError, match=r"the folder of images is not there \(looked for Img/img, img;"):
        layout.recognise(tmp_path, COARSE)
    (tmp_path / "img").mkdir()
    assert layout.recognise(tmp_path, COARSE) == "original"
    (tmp_path / "Anno_coarse").mkdir()
    assert layout.recognise(tmp_path, COARSE) == "coarse"
    with pytest.raises(DataError, match="the list of splits is not there"):
        layout.label_files(tmp_path, COARSE)
    write_list(tmp_path, "Eval/list_eval_partition.txt", [])
    with pytest.raises(DataError, match=r"Anno_coarse/list_attr_cloth\.txt is missing"):
        read(tmp_path)


# ------------------------------------------------------------------------------------------------------ fine


def test_rows_of_fine_lists_belong_together_and_must_be_as_many(tmp_path):
    layout.write(tmp_path, EXAMPLE, FINE, "fine")
    file = tmp_path / "Anno_fine/val_cate.txt"
    write_lines(file, file.read_text().splitlines()[1:])
    with pytest.raises(DataError, match=r"val_cate\.txt: 2 rows, but .*val\.txt has 3"):
        read(tmp_path, ["category"], FINE)
    assert read(tmp_path, ["v-neck"], FINE).rows.num_rows == 9
    write_lines(tmp_path / "Anno_fine/test_attr.txt", ["1 1 1", "1 1", "1 1 1"])
    with pytest.raises(DataError, match=r"test_attr\.txt:2: expected 3 times 1, 0 or -1, found 2 values"):
        read(tmp_path, ["v-neck"], FINE)


def test_both_annotations_of_one_copy_are_told_apart(tmp_path):
    layout.write(tmp_path, EXAMPLE, COARSE, "coarse")
    layout.write(tmp_path, EXAMPLE.slice(0, 3), FINE, "fine")
    assert (layout.recognise(tmp_path, COARSE), layout.recognise(tmp_path, FINE)) == ("coarse", "fine")
    assert [read(tmp_path, ["v-neck"], options).rows.num_rows for options in (COARSE, FINE)] == [9, 3]
    for options, variant in ((COARSE, "coarse"), (FINE, "fine")):
        folders = {file.parent.name for file in layout.label_files(tmp_path, options)}
        assert folders <= {FOLDERS[variant], "Eval"}


# ------------------------------------------------------------------------------------------------- the shipped specs


def copy_with_labels(root, name, categories, marks):
    """A copy in which each image has one category and one attribute, by the columns of a spec of ours."""
    dataset, tasks = without_figures(name)
    columns = [column for column in code_columns(dataset, tasks) if column != "category"]
    variant = "fine" if name == "deepfashion_fine" else "coarse"
    absent = "0" if variant == "fine" else "-1"
    count = max(len(categories), len(marks))
    rows = contract.rows_of(
        image=[f"img/Item_{i}/img_{i:08d}.jpg" for i in range(count)],
        split=[layout.SPLITS[i % 3] for i in range(count)],
        box=[[0, 0, 20, 20]] * count,
        **{"value:category": [categories[i % len(categories)] for i in range(count)]},
        **{f"value:{c}": ["1" if marks[i % len(marks)] == c else absent for i in range(count)] for c in columns},
    )
    layout.write(root, rows, options_for(variant), variant)
    return rows.to_pylist()


@pytest.mark.parametrize("name", ["deepfashion", "deepfashion_fine"])
def test_labels_come_out_under_the_right_names(tmp_path, name):
    dataset, tasks = without_figures(name)
    by_column = {column: label for label, column in columns_of(dataset.tasks[ATTRIBUTES], tasks[ATTRIBUTES]).items()}
    categories = list(dataset.tasks["garment_category"].codes)
    written = copy_with_labels(tmp_path, name, categories, list(by_column))
    labels = read_labels(dataset, tasks, tmp_path).labels
    place_of = {image: place for place, image in enumerate(labels.images)}
    assert len(written) == len(place_of) == 46
    for row in written:
        place = place_of[row["image"]]
        category = tasks["garment_category"].labels[labels.tasks["garment_category"][place]]
        assert category == row["value:category"].lower()
        marks = dict(zip(tasks["garment_attributes"].labels, labels.tasks["garment_attributes"][place], strict=True))
        present = {label for label, mark in marks.items() if mark == 1}
        assert present == {by_column[column] for column in by_column if row[f"value:{column}"] == "1"}
        assert {label for label, mark in marks.items() if mark >= 0} == set(by_column.values())
        assert labels.splits[place] == layout.SPLITS.index(row["split"])


def test_official_names_of_coarse_attributes_mean_what_the_fine_ones_do():
    coarse, _ = without_figures("deepfashion")
    fine, tasks = without_figures("deepfashion_fine")
    assert set(columns_of(fine.tasks["garment_attributes"], tasks["garment_attributes"])) == set(
        tasks["garment_attributes"].labels
    )
    for label, column in coarse.tasks["garment_attributes"].columns.items():
        assert label in (column, f"{column}_length", f"{column.replace('-neck', '_neckline')}")


def test_a_category_out_of_use_is_an_error(tmp_path):
    dataset, tasks = without_figures("deepfashion")
    copy_with_labels(tmp_path, "deepfashion", ["Cape"], ["floral"])
    with pytest.raises(DataError, match="the code 'Cape' has no meaning for task 'garment_category'"):
        read_labels(dataset, tasks, tmp_path)


def test_a_copy_is_prepared_cropped_by_its_boxes(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    dataset, tasks = without_figures("deepfashion")
    copy_with_labels(tmp_path / "copy", "deepfashion", ["Tee", "Dress", "Romper"], ["floral"])
    store = Preparation(dataset, tasks, 16, tmp_path / "copy").prepare()
    assert store.manifest.refused == {}
    assert store.images.shape == (3, 16, 16, 3)
