"""s-Aff-Wild2: rows of sixteen values under five names, masks by task, two faces of one film, frames without a face."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.layouts import s_aff_wild2 as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.layouts.s_aff_wild2 import FILES, NO_ANNOTATION, NO_IMAGE, OUTSIDE, UNITS
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError

from . import contract
from .contract import quick, without_figures

OPTIONS = layout.Options()
COLUMNS = layout.columns(OPTIONS)
HEADER = "image,valence,arousal,expression,aus"
NONE = ",".join(["0"] * 12)
MASKED = ",".join(["-1"] * 12)


def copy_of(root, training, validation=(), *, images=None, end="", folder=""):
    """A copy by hand: lines of the two lists under their header, and the image of each line unless told otherwise."""
    for split, lines in (("training", training), ("validation", validation)):
        write_lines(root / folder / FILES[split], [HEADER, *(line + end for line in lines)])
    for name in images if images is not None else [line.split(",")[0] for line in (*training, *validation)]:
        write_picture(root / "cropped_aligned" / name, (16, 16))
    (root / "cropped_aligned").mkdir(exist_ok=True)
    return root


def read(root, columns=COLUMNS):
    return layout.read(root, OPTIONS, columns)


def rows_for(names, splits, expressions, units, folders=("cropped_aligned",)):
    """Rows as `read` gives them; `units` holds twelve codes a row."""
    films = [name.split("/")[0].removesuffix("_left").removesuffix("_right") for name in names]
    return contract.rows_of(
        image=[f"{folders[i % len(folders)]}/{name}" for i, name in enumerate(names)],
        split=list(splits),
        group=films,
        **{"value:expression": list(expressions)},
        **{f"value:{unit}": [row[place] for row in units] for place, unit in enumerate(UNITS)},
    )


@st.composite
def copies(draw):
    films = st.sampled_from(["7", "7_left", "7_right", "video84", "left_9"])
    names = draw(st.lists(st.tuples(films, st.integers(1, 99999)), min_size=1, max_size=6, unique=True))
    code, expression = st.sampled_from("01"), st.sampled_from(["-1", *"01234567"])
    units = st.one_of(st.just(["-1"] * 12), st.lists(code, min_size=12, max_size=12))
    return rows_for(
        [f"{film}/{frame:05d}.jpg" for film, frame in names],
        [draw(st.sampled_from(list(FILES))) for _ in names],
        [draw(expression) for _ in names],
        [draw(units) for _ in names],
    )


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(rows=copies())
def test_what_is_written_is_read_back(tmp_path, rows):
    reading = contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, COLUMNS, "mtl")
    assert reading.skipped.counts == {NO_ANNOTATION: 2}


EXAMPLE = rows_for(
    [f"{'ab'[i % 2]}/{i:05d}.jpg" for i in range(32)],
    ["training", "validation", "training", "training"] * 8,
    [str(i % 9 - 1) for i in range(32)],
    [["-1"] * 12 if i % 5 == 0 else ["01"[(i + k) % 2] for k in range(12)] for i in range(32)],
)


@settings(quick, max_examples=80)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, ["expression", "au1", "au26"], "mtl", damage)


# ------------------------------------------------------------------------------------------------------ quirks


def test_one_invalid_unit_masks_all_twelve_and_nothing_else(tmp_path):
    reading = read(copy_of(tmp_path, [f"a/1.jpg,0,0,3,{'1,' * 11}-1", f"a/2.jpg,0,0,-1,{'1,' * 11}0"]))
    assert [reading.rows[f"value:{unit}"].to_pylist() for unit in UNITS] == [["-1", "1"]] * 11 + [["-1", "0"]]
    assert reading.rows["value:expression"].to_pylist() == ["3", "-1"]


def test_rows_may_end_in_a_comma(tmp_path):
    assert read(copy_of(tmp_path, [f"a/1.jpg,0,0,3,{NONE}"], end=",")).rows.num_rows == 1


def test_rows_without_any_valid_annotation_are_left_out_by_name(tmp_path):
    lines = [
        f"a/1.jpg,-5,-5,-1,{MASKED}",
        f"a/2.jpg,0.5,-5,-1,-1{',0' * 11}",
        f"a/3.jpg,-5,-5,2,{MASKED}",
        f"a/4.jpg,-5,-5,-1,{NONE}",
        f"a/5.jpg,0.5,0.25,-1,{MASKED}",
    ]
    reading = read(copy_of(tmp_path, lines))
    assert reading.rows["image"].to_pylist() == [f"cropped_aligned/a/{i}.jpg" for i in (3, 4, 5)]
    assert reading.skipped.names == {NO_ANNOTATION: ["a/1.jpg", "a/2.jpg"]}


def test_the_two_faces_of_a_film_are_one_group(tmp_path):
    names = ["10_left/1.jpg", "10_right/1.jpg", "10/1.jpg", "right_1/1.jpg", "x_left_2/1.jpg"]
    reading = read(copy_of(tmp_path, [f"{name},0,0,3,{NONE}" for name in names]))
    assert reading.rows["group"].to_pylist() == ["10", "10", "10", "right_1", "x_left_2"]


def test_frames_without_an_image_are_left_out_by_name_where_they_are_few(tmp_path):
    lines = [f"a/{i}.jpg,0,0,3,{NONE}" for i in range(40)]
    reading = read(copy_of(tmp_path, lines, images=[f"a/{i}.jpg" for i in range(39)]))
    assert reading.rows.num_rows == 39
    assert reading.skipped.names == {NO_IMAGE: ["a/39.jpg"]}


def test_a_copy_without_many_of_its_images_is_refused(tmp_path):
    lines = [f"{film}/1.jpg,0,0,3,{NONE}" for film in "abcd"]
    with pytest.raises(DataError, match=r"1 of 4 annotated images are not there, such as d/1\.jpg"):
        read(copy_of(tmp_path, lines, images=[f"{film}/1.jpg" for film in "abc"]))


def test_images_in_the_folder_of_new_films_are_found(tmp_path):
    copy_of(tmp_path, [f"a/1.jpg,0,0,3,{NONE}", f"b/1.jpg,0,0,3,{NONE}"], images=["a/1.jpg"])
    write_picture(tmp_path / "cropped_aligned_new_50_vids/b/1.jpg")
    assert read(tmp_path).rows["image"].to_pylist() == [
        "cropped_aligned/a/1.jpg",
        "cropped_aligned_new_50_vids/b/1.jpg",
    ]


@pytest.mark.parametrize("folder", ["", "annotations", "Annotations", "MTL_Challenge"])
def test_lists_may_lie_in_a_folder(tmp_path, folder):
    copy_of(tmp_path, [f"a/1.jpg,0,0,3,{NONE}"], folder=folder)
    assert layout.recognise(tmp_path, OPTIONS) == "mtl"
    assert [file.parent for file in layout.label_files(tmp_path, OPTIONS)] == [tmp_path / folder] * 2
    assert read(tmp_path).rows.num_rows == 1


def test_paths_out_of_the_copy_are_left_out_by_name(tmp_path):
    lines = [f"../../etc/passwd,0,0,3,{NONE}", f"/etc/passwd,0,0,3,{NONE}", f"a/1.jpg,0,0,3,{NONE}"]
    reading = read(copy_of(tmp_path, lines, images=["a/1.jpg"]))
    assert reading.rows.num_rows == 1
    assert reading.skipped.counts == {OUTSIDE: 2}
    assert reading.skipped.names[OUTSIDE][0] == "training_set_annotations.txt:2: ../../etc/passwd"


def test_films_that_are_linked_from_elsewhere_have_no_images(tmp_path):
    copy_of(tmp_path / "copy", [f"a/1.jpg,0,0,3,{NONE}"], images=[])
    write_picture(tmp_path / "elsewhere/1.jpg")
    (tmp_path / "copy/cropped_aligned/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="1 of 1 annotated images are not there"):
        read(tmp_path / "copy")


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"a/1.jpg,0,0,8,{NONE}", r"training_set_annotations\.txt:2: expected a whole number from -1 to 7, found '8'"),
        (f"a/1.jpg,0,0,-5,{NONE}", "from -1 to 7, found '-5'"),
        (f"a/1.jpg,0,0,,{NONE}", "from -1 to 7, found ''"),
        (f"a/1.jpg,0,0,3,2{',0' * 11}", "from -1 to 1, found '2'"),
        (f"a/1.jpg,1.5,0,3,{NONE}", "valence and arousal from -1 to 1, or -5; found '1.5'"),
        (f"a/1.jpg,nan,0,3,{NONE}", "found 'nan'"),
        (f"a/1.jpg,0,0,3,0,{NONE}", r":2: 17 values, expected 16"),
        ("a/1.jpg,0,0,3,0", r":2: 5 values, expected 16"),
        (f"1.jpg,0,0,3,{NONE}", r"expected a path such as film/00001\.jpg, found '1\.jpg'"),
        (f"a/b/1.jpg,0,0,3,{NONE}", "expected a path such as"),
    ],
)
def test_a_malformed_row_is_refused_by_file_and_line(tmp_path, line, said):
    with pytest.raises(DataError, match=said):
        read(copy_of(tmp_path, [line]))


def test_a_list_without_its_header_is_refused(tmp_path):
    copy_of(tmp_path, [f"a/1.jpg,0,0,3,{NONE}"])
    write_lines(tmp_path / FILES["validation"], [f"a/2.jpg,0,0,3,{NONE}"])
    with pytest.raises(DataError, match=r"validation_set_annotations\.txt:1: expected the header image,valence"):
        read(tmp_path)


def test_wrong_roots_and_partial_copies_are_told(tmp_path):
    with pytest.raises(DataError, match="the list of training is not there"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / FILES["training"], [HEADER])
    with pytest.raises(DataError, match="the list of validation is not there"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / FILES["validation"], [HEADER])
    with pytest.raises(DataError, match="the folder of images is not there"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / "cropped_aligned").mkdir()
    with pytest.raises(DataError, match=r"there is no column 'au3'; did you mean 'au23'"):
        read(tmp_path, ["au3"])


# -------------------------------------------------------------------------------------------------- the shipped spec


def named(tmp_path, training, validation=()):
    """What the spec makes of a copy: image -> expression, units that are present, units that are annotated."""
    dataset, tasks = without_figures("s_aff_wild2")
    labels = read_labels(dataset, tasks, copy_of(tmp_path, training, validation)).labels
    found = {}
    for row, image in enumerate(labels.images):
        expression = labels.tasks["expression_abaw"][row]
        units = dict(zip(tasks["action_units"].labels, labels.tasks["action_units"][row], strict=True))
        found[image.removeprefix("cropped_aligned/")] = (
            tasks["expression_abaw"].labels[expression] if expression >= 0 else None,
            {unit for unit, value in units.items() if value == 1},
            {unit for unit, value in units.items() if value >= 0},
        )
    return found


def test_labels_come_out_under_the_right_names(tmp_path):
    expressions = ["neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other"]
    lines = [f"a/{code}.jpg,0,0,{code},{NONE}" for code in range(8)]
    lines += [f"b/{unit}.jpg,0,0,-1,{','.join(str(int(unit == u)) for u in UNITS)}" for unit in UNITS]
    lines += [f"c/1.jpg,0,0,-1,{MASKED}"]
    found = named(tmp_path, lines)
    for code, expression in enumerate(expressions):
        assert found[f"a/{code}.jpg"] == (expression, set(), set(UNITS))
    for unit in UNITS:
        assert found[f"b/{unit}.jpg"] == (None, {unit}, set(UNITS))
    assert found["c/1.jpg"] == (None, set(), set())


def test_validation_is_tested_on_and_films_stay_together(tmp_path):
    training = [f"{film}_{side}/1.jpg,0,0,3,{NONE}" for film in range(60) for side in ("left", "right")]
    dataset, tasks = without_figures("s_aff_wild2")
    labels = read_labels(dataset, tasks, copy_of(tmp_path, training, [f"v/1.jpg,0,0,3,{NONE}"])).labels
    split_of = {}
    for group, split in zip(labels.groups, labels.splits.tolist(), strict=True):
        assert split_of.setdefault(group, split) == split
    assert split_of.pop("v") == 2
    assert set(split_of.values()) == {0, 1}


def test_a_copy_is_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    dataset, tasks = without_figures("s_aff_wild2")
    copy = copy_of(tmp_path / "copy", [f"{film}/1.jpg,0,0,3,{NONE}" for film in range(30)], [f"v/1.jpg,0,0,3,{NONE}"])
    store = Preparation(dataset, tasks, 16, copy).prepare()
    assert store.manifest.refused == {}
    assert store.images.shape == (31, 16, 16, 3)
