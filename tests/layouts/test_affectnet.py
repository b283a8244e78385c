"""AffectNet: both releases give the same labels, and no face is lost, doubled or divided from its photograph."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.layouts import affectnet as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.dataset import SPLITS

from . import contract
from .contract import quick, shipped

OPTIONS = layout.Options()
COLUMNS = list(layout.COLUMNS)
PICTURES = "Manually_Annotated/Manually_Annotated_Images"
LISTS = "Manually_Annotated_file_lists"
HEADER = ",".join(layout.FIELDS)
EXPRESSIONS = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
LANDMARKS = ";".join(str(number) for number in range(136))

numbers = st.sampled_from(["-2", "-1", "-0.0176846", "0", "0.785", "1"])
splits = st.sampled_from(["training", "validation"])


def tables(faces):
    """Rows of 2017 as `read` gives them: split, photograph, x of the box, code, valence, arousal, whether with points.

    Faces of a photograph must differ by the x of their boxes.
    """
    names = ("image", "file", "split", "group", "box", "points", *(f"value:{column}" for column in COLUMNS))
    columns = {name: [] for name in names}
    seen = set()
    for split, photograph, x, *values, has_points in sorted(faces, key=lambda face: face[0] == "training"):
        path = f"{photograph}/{photograph:064x}.jpg"
        name = f"{path}#{x},-3,899,900" if path in seen else path
        seen.add(path)
        points = [float(x + i) for i in range(10)] if has_points else None
        box = [float(x), -3.0, 899.0, 900.0]
        cells = [name, f"{PICTURES}/{path}", split, path, box, points, *values]
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return contract.rows_of(**columns)


def sets(faces):
    """Rows of 2021 as `read` gives them: split, code, valence and arousal each."""
    faces = sorted(faces, key=lambda face: face[0] == "validation")
    images = [f"{layout.SETS[split]}/images/{i}.jpg" for i, (split, *_) in enumerate(faces)]
    values = {f"value:{column}": [face[1 + i] for face in faces] for i, column in enumerate(COLUMNS)}
    return contract.rows_of(image=images, split=[face[0] for face in faces], group=images, **values)


TABLES = tables(
    [
        ("training", 1, 10, "1", "0.785", "-0.055", True),
        ("training", 1, 40, "0", "0", "0", True),
        ("training", 2, 10, "8", "-2", "-2", False),
        ("validation", 3, 10, "7", "-0.5", "0.5", True),
        ("validation", 4, -5, "6", "-1", "1", True),
    ]
)
CROPPED = sets(
    [
        ("training", "0", "0", "0"),
        ("training", "7", "-0.5", "0.785"),
        ("training", "3", "1", "1"),
        ("validation", "6", "-2", "-2"),
        ("validation", "2", "-1", "-0.0176846"),
    ]
)


def line(path="1/a.jpg", box="10,10,50,60", landmarks=LANDMARKS, code="1", values="0.5,0.5"):
    return f"{path},{box},{landmarks},{code},{values}"


def copy_of(root, *training, validation=None, header=HEADER):
    """A copy of 2017 by hand: lines of both tables; left out, the face 9/z.jpg is all that is in validation.csv."""
    write_lines(root / LISTS / "training.csv", [header, *training] if header else training)
    write_lines(root / LISTS / "validation.csv", validation or [line("9/z.jpg")])
    (root / PICTURES).mkdir(parents=True, exist_ok=True)
    return root


def cropped(root, **files):
    """A copy of 2021 by hand with one validation image, and files of the annotation of training image 5."""
    layout.write(root, sets([("validation", "0", "0", "0")]), OPTIONS, "cropped_2021")
    for name, content in files.items():
        (root / f"train_set/annotations/5_{name}.npy").write_bytes(content)
    return root


def encoded(value):
    """The bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def read(root, *columns):
    return layout.read(root, OPTIONS, list(columns))


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=25)
@given(
    faces=st.lists(
        st.tuples(splits, st.integers(0, 4), st.integers(-50, 900), st.sampled_from(sorted(layout._CODES)), numbers,
                  numbers, st.booleans()),
        max_size=8, unique_by=lambda face: face[1:3],
    )
)  # fmt: skip
def test_tables_are_read_back_as_written(tmp_path, faces):
    faces = [*faces, ("training", 9, 1, "1", "0", "0", True), ("validation", 8, 1, "0", "0", "0", True)]
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, tables(faces), COLUMNS, "manual_2017")


@settings(quick, max_examples=25)
@given(faces=st.lists(st.tuples(splits, st.sampled_from("01234567"), numbers, numbers), max_size=6))
def test_sets_are_read_back_as_written(tmp_path, faces):
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, sets(faces), COLUMNS, "cropped_2021")


@settings(quick, max_examples=80)
@given(damage=contract.damages())
def test_damaged_tables_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, TABLES, COLUMNS, "manual_2017", damage)


@settings(quick, max_examples=60)
@given(damage=contract.damages())
def test_damaged_sets_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, CROPPED, COLUMNS, "cropped_2021", damage)


# ------------------------------------------------------------------------------------------------------ quirks of 2017


@pytest.mark.parametrize("lists", layout.LISTS)
@pytest.mark.parametrize("pictures", layout.PICTURES)
def test_tables_and_images_may_be_at_all_known_places(tmp_path, lists, pictures):
    copy_of(tmp_path, line())
    (tmp_path / PICTURES).rmdir()
    for name in ("training.csv", "validation.csv"):
        (tmp_path / LISTS / name).rename(tmp_path / name)
    (tmp_path / LISTS).rmdir()
    (tmp_path / pictures).mkdir(parents=True)
    (tmp_path / lists).mkdir(parents=True, exist_ok=True)
    for name in ("training.csv", "validation.csv"):
        (tmp_path / name).rename(tmp_path / lists / name)
    rows = read(tmp_path).rows
    assert rows["file"].to_pylist() == [f"{pictures}/9/z.jpg", f"{pictures}/1/a.jpg"]
    assert layout.label_files(tmp_path, OPTIONS) == [tmp_path / lists / f"{n}.csv" for n in ("training", "validation")]


def test_headers_may_be_there_or_not_and_in_any_order(tmp_path):
    copy_of(tmp_path / "without", line(), header=None)
    copy_of(tmp_path / "with", line(), validation=[HEADER, line("9/z.jpg")])
    turned = [",".join(reversed(text.split(","))) for text in (HEADER, line())]
    copy_of(tmp_path / "turned", turned[1], header=turned[0])
    expected = read(copy_of(tmp_path / "usual", line()), *COLUMNS).rows
    for name in ("without", "with", "turned"):
        assert read(tmp_path / name, *COLUMNS).rows.equals(expected)


def test_faces_of_one_photograph_are_one_group(tmp_path):
    copy_of(tmp_path, line(box="10,10,50,60", code="1"), line(box="90,10,50,60", code="2"), line("1/b.jpg"))
    rows = read(tmp_path, "expression").rows.to_pydict()
    assert rows["image"] == ["9/z.jpg", "1/a.jpg", "1/a.jpg#90,10,50,60", "1/b.jpg"]
    assert rows["group"] == ["9/z.jpg", "1/a.jpg", "1/a.jpg", "1/b.jpg"]
    assert rows["file"] == [f"{PICTURES}/{group}" for group in rows["group"]]
    assert rows["value:expression"] == ["1", "1", "2", "1"]


def test_a_face_that_is_listed_twice_is_read_once(tmp_path):
    copy_of(tmp_path, line(), line(values="0.4,0.5"), line(box="90,10,50,60"), line(box="90,10,50,60"))
    reading = read(tmp_path, "expression")
    assert reading.rows["image"].to_pylist() == ["9/z.jpg", "1/a.jpg", "1/a.jpg#90,10,50,60"]
    assert reading.skipped.names == {"the same face again": ["1/a.jpg#10,10,50,60", "1/a.jpg#90,10,50,60"]}


def test_a_face_with_two_expressions_is_left_out(tmp_path):
    copy_of(tmp_path, line(code="1"), line("1/b.jpg"), line(code="2"), line(code="3"))
    reading = read(tmp_path, "expression")
    assert reading.rows["image"].to_pylist() == ["9/z.jpg", "1/b.jpg"]
    assert reading.skipped.counts == {"listed twice with different expressions": 3}


def test_a_face_in_both_tables_stays_a_test_image(tmp_path):
    rows = read(copy_of(tmp_path, line(), line("9/z.jpg"))).rows
    assert dict(zip(rows["image"].to_pylist(), rows["split"].to_pylist(), strict=True)) == {
        "9/z.jpg": "validation",
        "1/a.jpg": "training",
    }


@pytest.mark.parametrize("box", ["-1,-1,-1,-1", "10,10,0,60", "10,10,50,0", "10,10,-50,60"])
def test_rows_without_a_face_are_left_out_by_name(tmp_path, box):
    reading = read(copy_of(tmp_path, line(), line("7/none.jpg", box=box, landmarks="", code="10", values="-2,-2")))
    assert reading.rows.num_rows == 2
    assert reading.skipped.names == {layout.NO_FACE: ["7/none.jpg"]}


def test_the_five_points_are_left_to_right_in_the_image(tmp_path):
    """Of the 68, 36 to 41 are around the eye on the left of the image, and 48 is the left corner of the mouth."""
    places = [(0.0, 0.0)] * 68
    for eye, centre in ((36, 30.0), (42, 70.0)):
        for i, shift in enumerate((-6, -3, 3, 6, 3, -3)):
            places[eye + i] = (centre + shift, 40.0 + (-2, 2)[i % 2])
    places[30], places[48], places[54] = (50.0, 60.0), (35.0, 80.5), (65.0, 80.5)
    landmarks = ";".join(f"{x};{y}" for x, y in places)
    rows = read(copy_of(tmp_path, line(landmarks=landmarks))).rows
    assert rows["points"].to_pylist()[1] == [30, 40, 70, 40, 50, 60, 35, 80.5, 65, 80.5]


def test_a_face_without_landmarks_has_no_points(tmp_path):
    assert read(copy_of(tmp_path, line(landmarks=""))).rows["points"].to_pylist()[1] is None


def test_paths_that_lead_out_are_left_out_by_name(tmp_path):
    root = copy_of(tmp_path, line("../a.jpg"), line("/etc/a.jpg"), line("1\\a.jpg"), line())
    reading = read(root)
    file = root / LISTS / "training.csv"
    assert reading.rows.num_rows == 2
    assert reading.skipped.names == {"path leads out of the copy": [f"{file}:{number}" for number in (2, 3, 4)]}


# ------------------------------------------------------------------------------------------------------ quirks of 2021


@pytest.mark.parametrize(
    "value",
    ["3", 3, 3.0, np.int64(3), np.float32(3), [3], ["3"], "3.0", b"3", np.array(3, ">i2"), np.array("3", ">U3")],
)
def test_a_value_may_be_a_text_or_a_number(tmp_path, value):
    assert read(cropped(tmp_path, exp=encoded(value)), "expression").rows["value:expression"].to_pylist() == ["3", "0"]


def test_only_the_files_that_are_asked_for_are_read(tmp_path):
    root = cropped(tmp_path, exp=encoded("3"), val=b"broken")
    assert read(root, "expression").rows.num_rows == 2
    with pytest.raises(DataError, match=r"5_val\.npy: not an \.npy file"):
        read(root, "valence")
    with pytest.raises(DataError, match=r"5_aro\.npy is missing"):
        read(root, "arousal")


def test_images_and_annotations_without_each_other_are_told_of(tmp_path):
    """An annotation without an image is a row, so that decoding names the image that is missing."""
    root = cropped(tmp_path, exp=encoded("3"))
    write_picture(root / "train_set/images/6.jpg")
    reading = read(root, "expression")
    assert reading.rows["image"].to_pylist() == ["train_set/images/5.jpg", "val_set/images/0.jpg"]
    assert reading.skipped.names == {"an image without an annotation": ["train_set/images/6.jpg"]}


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line(code="11"), "training.csv:3 (expression): expected a whole number from 0 to 10, found '11'"),
        (line(code="nan"), "training.csv:3 (expression): expected a whole number from 0 to 10, found 'nan'"),
        (line(values="0.5,1.5"), "training.csv:3 (arousal): expected a number from -1 to 1"),
        (line(values="nan,0"), "training.csv:3 (valence): expected a number from -1 to 1"),
        (line(box="10,x,50,60"), "training.csv:3: expected the place of a face as four numbers"),
        (line(box="10,10,nan,60"), "training.csv:3: expected the place of a face as four numbers"),
        (line(box="10,10,inf,60"), "training.csv:3: expected the place of a face as four numbers"),
        (line(landmarks=LANDMARKS[:-4]), "training.csv:3: 135 numbers of landmarks, expected 136"),
        (line(landmarks=LANDMARKS.replace("60;", "nan;")), "training.csv:3: landmarks are not all numbers"),
        (line(landmarks=LANDMARKS.replace("60;", ";")), "training.csv:3: landmarks are not all numbers"),
        (line() + ",1", "training.csv:3: 10 values, expected 9"),
        (line().replace(",", ";"), "training.csv:3: 1 values, expected 9"),
    ],
)
def test_other_lines_are_refused(tmp_path, bad, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read(copy_of(tmp_path, line("1/b.jpg"), bad), *COLUMNS)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("expression", "emotion"), "training.csv:1: no column expression"),
        (HEADER.replace(",", ";"), "training.csv:1: expected the columns subDirectory_filePath"),
        ("path,label", "training.csv:1: expected the columns subDirectory_filePath"),
    ],
)
def test_other_headers_are_refused(tmp_path, header, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read(copy_of(tmp_path, line(), header=header))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: encoded("8"), "expected a whole number from 0 to 7, found '8'"),
        (lambda: encoded("happy"), "expected a whole number from 0 to 7, found 'happy'"),
        (lambda: encoded(float("nan")), "expected a whole number from 0 to 7"),
        (lambda: encoded([1, 2]), "not an .npy file of one text or number"),
        (lambda: encoded([]), "not an .npy file of one text or number"),
        (lambda: encoded(np.array(Path, object)), "not an .npy file of one text or number"),
        (lambda: encoded(3)[:-1], "not an .npy file of one text or number"),
        (lambda: encoded("3") + "4".encode("utf-32-le"), "not an .npy file of one text or number"),
        (lambda: encoded("3")[:-1] + b"\xff", "not an .npy file of one text or number"),
        (lambda: encoded("3")[:-1], "not an .npy file of one text or number"),
        (lambda: encoded("3") + b"0", "not an .npy file of one text or number"),
        (lambda: b"", "not an .npy file of one text or number"),
        (lambda: b"3\n", "not an .npy file of one text or number"),
        (lambda: encoded("3") + b"0" * 70000, "is too large to be a label file"),
    ],
)
def test_other_annotations_are_refused_by_name(tmp_path, content, message):
    with pytest.raises(DataError, match=r"5_exp\.npy.*" + re.escape(message)):
        read(cropped(tmp_path, exp=content()), "expression")


def test_nothing_that_stands_in_a_file_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    with pytest.raises(DataError, match=r"not an \.npy file of one text or number"):
        read(cropped(tmp_path / "copy", exp=encoded(np.array(Trap(), object))), "expression")
    assert not (tmp_path / "run").exists()


def test_annotations_that_lead_out_are_not_read(tmp_path):
    root = cropped(tmp_path / "copy", exp=encoded("3"))
    file = root / "train_set/annotations/5_exp.npy"
    file.rename(tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(DataError, match=r"5_exp\.npy leads out of"):
        read(root, "expression")


def test_incomplete_copies_and_other_folders_are_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"`training\.csv` \(2017\), or `train_set/annotations` \(2021\), is not there"):
        layout.recognise(tmp_path, OPTIONS)
    copy_of(tmp_path, line())
    (tmp_path / PICTURES).rmdir()
    with pytest.raises(DataError, match="the folder of images is not there"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / PICTURES).mkdir()
    (tmp_path / LISTS / "validation.csv").unlink()
    with pytest.raises(DataError, match=r"`validation\.csv`"):
        layout.recognise(tmp_path, OPTIONS)
    cropped(tmp_path / "new")
    (tmp_path / "new/val_set/images/0.jpg").unlink()
    (tmp_path / "new/val_set/images").rmdir()
    with pytest.raises(DataError, match="the folder of images of `val_set` is not there"):
        layout.recognise(tmp_path / "new", OPTIONS)


def test_two_releases_in_one_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="both releases") as caught:
        layout.recognise(cropped(copy_of(tmp_path, line())), OPTIONS)
    assert "one of them" in caught.value.hint


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no column 'emotion'; there is arousal, expression, valence"):
        read(copy_of(tmp_path, line()), "emotion")


# --------------------------------------------------------------------------------------------------- the shipped specs


def expressions(name, root):
    """Labels by image as a spec of ours names them."""
    dataset, tasks = shipped(name)
    (task,) = tasks
    labels = read_labels(dataset, tasks, root).labels
    return {image: tasks[task].labels[value] for image, value in zip(labels.images, labels.tasks[task], strict=True)}


@pytest.mark.parametrize(("name", "known"), [("affectnet", 7), ("affectnet_8", 8)])
@pytest.mark.parametrize("release", ["manual_2017", "cropped_2021"])
def test_expressions_of_the_shipped_specs_have_the_right_names(tmp_path, name, known, release):
    """Both releases have the same codes; those that a spec does not know are left out."""
    if release == "manual_2017":
        rows = tables([("training", code, 1, str(code), "0", "0", True) for code in range(11)])
    else:
        rows = sets([("training", str(code), "0", "0") for code in range(8)])
    layout.write(tmp_path, rows, OPTIONS, release)
    if release == "manual_2017":
        write_lines(tmp_path / LISTS / "validation.csv", [HEADER])
    expected = dict(zip(rows["image"].to_pylist(), EXPRESSIONS[:known], strict=False))
    assert expressions(name, tmp_path) == expected


def test_validation_is_carved_by_photograph_and_everybody_tests_on_the_official_one(tmp_path):
    faces = [("training", photograph, x, "1", "0", "0", True) for photograph in range(300) for x in (1, 100)]
    layout.write(tmp_path, tables([*faces, ("validation", 999, 1, "1", "0", "0", True)]), OPTIONS, "manual_2017")
    labels = read_labels(*shipped("affectnet"), tmp_path).labels
    of_photograph = {}
    for group, split in zip(labels.groups, labels.splits.tolist(), strict=True):
        of_photograph.setdefault(group, set()).add(SPLITS[split])
    assert all(len(found) == 1 for found in of_photograph.values())
    assert [split for found in of_photograph.values() for split in found].count("test") == 1
    assert 3 <= [split for found in of_photograph.values() for split in found].count("validation") <= 40


def test_faces_of_2017_are_cropped_and_those_of_2021_are_whole(tmp_path, monkeypatch):
    """In a dark photograph with a bright face, the face fills what is seen but for the margin."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    dataset, tasks = shipped("affectnet")
    spec = dataset.model_copy(update={"expected": {}})
    lines = [line(f"1/{i}.jpg", box="60,20,40,40") for i in range(60)]
    copy_of(tmp_path / "old", *lines, validation=[line("9/z.jpg", box="60,20,40,40")])
    pixels = np.zeros((100, 160, 3), np.uint8)
    pixels[20:60, 60:100] = 250
    for name in [*(f"1/{i}" for i in range(60)), "9/z"]:
        (tmp_path / "old" / PICTURES / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "old" / PICTURES / f"{name}.jpg", quality=95)
    old = Preparation(spec, tasks, 40, tmp_path / "old").prepare()
    assert old.manifest.refused == {}
    bright = old.images[0].mean(2) > 128
    assert bright.mean() == pytest.approx(1 / 1.25**2, abs=0.06)
    assert bright[8:32, 8:32].all()
    faces = [("training", "1", "0", "0")] * 60 + [("validation", "0", "0", "0")]
    layout.write(tmp_path / "new", sets(faces), OPTIONS, "cropped_2021")
    new = Preparation(spec, tasks, 40, tmp_path / "new").prepare()
    assert new.manifest.refused == {}
    assert new.manifest.counts["test"] == 1
