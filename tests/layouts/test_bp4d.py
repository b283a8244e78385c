"""BP4D and BP4D+: padding, headers, frame numbers and codes as they are shipped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import columns_of, labels_from_codes
from bench.data.layouts import bp4d as layout
from bench.data.layouts.bp4d import NO_IMAGE, SUBJECTS, TASKS, Options
from bench.errors import DataError
from bench.specs.components import read_options

from . import contract
from .contract import quick, shipped

FEW = settings(quick, max_examples=25)
COLUMNS = ["au1", "au2", "au12"]
FOLDERS = {"training": "BP4D-training/", "sequences": "Sequences(2D+3D)/", "bare": "", "plus": "2D+3D/"}


def options_for(variant, *subjects, **given):
    return Options(subjects=subjects, release="plus" if variant == "plus" else "bp4d", **given)


@st.composite
def copies(draw):
    """A variant, and rows of one or two subjects in some tasks; images are named with 3 or 4 digits."""
    variant = draw(st.sampled_from(layout.VARIANTS))
    tasks = st.sampled_from(TASKS["plus" if variant == "plus" else "bp4d"])
    frames = draw(
        st.lists(
            st.tuples(st.sampled_from(["F013", "M002", "M011"]), tasks, st.integers(0, 9999)),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    code = st.sampled_from(["0", "1", "9"])
    rows = contract.rows_of(
        image=[f"{FOLDERS[variant]}{s}/{t}/{f:0{3 if s == 'M011' else 4}d}.jpg" for s, t, f in frames],
        group=[subject for subject, _, _ in frames],
        **{f"value:{column}": [draw(code) for _ in frames] for column in COLUMNS},
    )
    return variant, rows


@FEW
@given(case=copies())
def test_what_is_written_is_read_back(tmp_path, case):
    variant, rows = case
    subjects = sorted(set(rows["group"].to_pylist()))
    reading = contract.assert_read_back(
        layout, tmp_path / "copy", options_for(variant, *subjects), rows, COLUMNS, variant
    )
    assert reading.rows.column_names == ["image", "group", *(f"value:{column}" for column in COLUMNS)]
    assert reading.skipped.counts == {NO_IMAGE: len(subjects) * (4 if variant == "plus" else 8)}


ROWS = contract.rows_of(
    image=[f"BP4D-training/F001/T{i % 3 + 1}/{2440 + i}.jpg" for i in range(12)],
    group=["F001"] * 12,
    **{f"value:{column}": [str((i * k) % 2) for i in range(12)] for k, column in enumerate(COLUMNS, 1)},
)


@settings(quick, max_examples=80)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, Options(subjects=("F001",)), ROWS, COLUMNS, "training", damage)


# -------------------------------------------------------------------------------------------------- headers, by hand


def write_copy(root, text, *, images=("2440.jpg", "2441.jpg"), subject="F001"):
    """A copy of one subject whose table of the first task is `text`."""
    for task in TASKS["bp4d"]:
        folder = root / "BP4D-training" / subject / task
        folder.mkdir(parents=True)
        for name in images:
            (folder / name).write_bytes(b"")
        table = root / "AUCoding" / "AU_OCC" / f"{subject}_{task}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(text if task == "T1" else "0,1,2,4,12\n1,0,0,0,0\n")


def line_of(frame, **codes):
    """A line of 100 columns: not coded, but for the units given."""
    return ",".join([str(frame), *(codes.get(f"au{unit}", "9") for unit in range(1, 100))])


def values_of(root, columns):
    rows = layout.read(root, Options(subjects=("F001",)), columns).rows
    return [rows[f"value:{column}"].to_pylist() for column in columns]


HUNDRED = ",".join(map(str, range(100)))


@pytest.mark.parametrize(
    "text",
    [
        f"{HUNDRED}\n{line_of(2440, au1='1', au12='0')}\n{line_of(2441, au1='0', au12='1')}\n",
        f"{line_of(2440, au1='1', au12='0')}\n{line_of(2441, au1='0', au12='1')}\n",  # no header: by position
        "1,1,2,12\n2440,1,9,0\n2441,0,9,1\n",  # the header names the first unit twice
        "0,12,1\r\n2440,0,1\r\n2441,1,0\r\n",  # in another order
        "frame,AU01,AU12,note\n 2440, 1, 0,x\n2441,0,1,y\n",
        "\ufeff0,1,12\n2440,1,0\n\n2441,0,1\n",
    ],
    ids=["hundred", "none", "doubled", "order", "named", "mark"],
)
def test_units_are_found_by_name_else_by_position(tmp_path, text):
    write_copy(tmp_path, text)
    assert values_of(tmp_path, ["au1", "au12"]) == [["1", "0"], ["0", "1"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,1,2\n2440,0,0\n", "no column for au12; there is 0, 1, 2"),
        ("2440,0,0,1\n", "expected a header of unit numbers, or 100 columns"),
        ("0,1,1,12\n2440,0,0,1\n", "expected a header of unit numbers, or 100 columns"),
        ("0,1,12\n2440,0\n", r"F001_T1\.csv:2: 2 values under 3 columns"),
        ("0,1,12\n2440,0,1\n2440,0,1\n", r"F001_T1\.csv:3: frame 2440 is coded twice"),
        ("0,1,12\nx,0,1\n", r"F001_T1\.csv:2: expected a whole number"),
        ("0,1,12\n-3,0,1\n", r"F001_T1\.csv:2: expected a whole number"),
        ("0,1,12\n", "codes no frame"),
        ("", "found 0 columns"),
        ("0;1;12\n2440;0;1\n", "no column for au1; there is 0;1;12"),
    ],
)
def test_a_malformed_table_is_refused_by_file_and_line(tmp_path, text, said):
    write_copy(tmp_path, text)
    with pytest.raises(DataError, match=said) as caught:
        values_of(tmp_path, ["au1", "au12"])
    assert "F001_T1.csv" in caught.value.message


def test_a_column_that_no_release_has_is_refused(tmp_path):
    write_copy(tmp_path, "0,1\n2440,0\n")
    with pytest.raises(DataError, match="there is no column 'au122'; did you mean '"):
        layout.read(tmp_path, Options(subjects=("F001",)), ["au122"])


# ------------------------------------------------------------------------------------------- images and frame numbers


def test_padding_does_not_matter_and_frames_without_an_image_are_named(tmp_path):
    images = ("001.jpg", "0002.JPG", "10.jpg", "Thumbs.db", "notes.txt")
    write_copy(tmp_path, "0,1\n1,0\n2,1\n3,1\n10,1\n", images=images)
    reading = layout.read(tmp_path, Options(subjects=("F001",)), ["au1"])
    names = [f"BP4D-training/F001/T1/{name}" for name in ("001.jpg", "0002.JPG", "10.jpg")]
    assert reading.rows["image"].to_pylist()[:3] == names
    assert reading.rows["value:au1"].to_pylist()[:3] == ["0", "1", "1"]
    assert reading.skipped.counts == {NO_IMAGE: 1}
    assert reading.skipped.names == {NO_IMAGE: ["F001/T1/3"]}


def test_two_images_of_one_number_are_refused(tmp_path):
    write_copy(tmp_path, "0,1\n1,0\n", images=("001.jpg", "0001.jpg"))
    with pytest.raises(DataError, match=r"0001\.jpg and 001\.jpg are both image 1"):
        layout.read(tmp_path, Options(subjects=("F001",)), ["au1"])


def test_images_that_are_numbered_one_less_are_noticed_and_said_by_an_option(tmp_path):
    write_copy(tmp_path, "0,1\n1,0\n2,1\n3,1\n", images=("000.jpg", "001.jpg", "002.jpg"))
    with pytest.raises(DataError, match="seem to be numbered one less") as caught:
        layout.read(tmp_path, Options(subjects=("F001",)), ["au1"])
    assert "frame_offset" in caught.value.hint
    shifted = layout.read(tmp_path, Options(subjects=("F001",), frame_offset=-1), ["au1"])
    assert [name[-7:-4] for name in shifted.rows["image"].to_pylist()[:3]] == ["000", "001", "002"]
    assert shifted.rows["value:au1"].to_pylist()[:3] == ["0", "1", "1"]
    said_so = layout.read(tmp_path, Options(subjects=("F001",), frame_offset=0), ["au1"])
    assert said_so.skipped.names == {NO_IMAGE: ["F001/T1/3"]}


@pytest.mark.parametrize("variant", ["training", "plus"])
def test_an_offset_is_written_and_read_alike(tmp_path, variant):
    rows = contract.rows_of(
        image=[f"{FOLDERS[variant]}M012/T6/{frame:03d}.jpg" for frame in (0, 1, 7)],
        group=["M012"] * 3,
        **{"value:au4": ["0", "1", "9"]},
    )
    options = options_for(variant, "M012", frame_offset=-1)
    contract.assert_read_back(layout, tmp_path / "copy", options, rows, ["au4"], variant)


# -------------------------------------------------------------------------------------------------- roots and copies


def test_a_wrong_root_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataError, match="AUCoding/AU_OCC, AUCoding; there is holiday"):
        layout.recognise(tmp_path, Options())
    (tmp_path / "AUCoding").mkdir()
    with pytest.raises(DataError, match=r"BP4D-training/F001, Sequences\(2D\+3D\)/F001"):
        layout.recognise(tmp_path, Options())
    (tmp_path / "2D+3D").mkdir()
    (tmp_path / "2D+3D" / "F001.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"looked for 2D\+3D/F001;") as caught:
        layout.recognise(tmp_path, Options(release="plus"))
    assert "unpack" in caught.value.hint


def test_tables_may_be_missing_for_nobody(tmp_path):
    write_copy(tmp_path, "0,1\n1,0\n", images=("1.jpg",))
    with pytest.raises(DataError, match=r"320 action unit tables are missing: F002_T1\.csv") as caught:
        layout.read(tmp_path, Options(), ["au1"])
    assert "layout.subjects" in caught.value.hint
    (tmp_path / "AUCoding" / "AU_OCC" / "F001_T7.csv").unlink()
    with pytest.raises(DataError, match=r"1 action unit tables are missing: F001_T7\.csv"):
        layout.read(tmp_path, Options(subjects=("F001",)), ["au1"])


def test_a_stranger_is_no_subject(tmp_path):
    write_copy(tmp_path, "0,1\n1,0\n", images=("1.jpg",), subject="F024")
    with pytest.raises(DataError, match="F024 is not among the 41 subjects"):
        layout.read(tmp_path, Options(), ["au1"])


def test_a_sequence_without_images_is_refused(tmp_path):
    write_copy(tmp_path, "0,1\n1,0\n", images=("1.jpg",))
    for file in (tmp_path / "BP4D-training" / "F001" / "T4").iterdir():
        file.unlink()
    (tmp_path / "BP4D-training" / "F001" / "T4").rmdir()
    with pytest.raises(DataError, match="F001/T4 cannot be listed"):
        layout.read(tmp_path, Options(subjects=("F001",)), ["au1"])


def test_folders_that_lead_out_of_the_copy_are_not_read(tmp_path):
    root, outside = tmp_path / "copy", tmp_path / "outside"
    write_copy(root, "0,1\n1,0\n", images=("1.jpg",))
    (root / "BP4D-training" / "F001" / "T4").rename(outside)
    (root / "BP4D-training" / "F001" / "T4").symlink_to(outside)
    with pytest.raises(DataError, match="leads out of"):
        layout.read(root, Options(subjects=("F001",)), ["au1"])


# -------------------------------------------------------------------------------------------------- the shipped specs


@pytest.mark.parametrize("name", ["bp4d", "bp4d_plus"])
def test_the_shipped_spec_names_each_unit_rightly(tmp_path, name):
    """Of each frame one unit is present and another not coded; both come out under their own names."""
    spec, tasks = shipped(name)
    variant = "plus" if name == "bp4d_plus" else "training"
    units = list(columns_of(spec.tasks["action_units"], tasks["action_units"]))
    count = len(units)
    assert units == ["au1", "au2", "au4", "au6", "au7", "au10", "au12", "au14", "au15", "au17", "au23", "au24"]
    rows = contract.rows_of(
        image=[f"{FOLDERS[variant]}F013/T1/{i:04d}.jpg" for i in range(count)],
        group=["F013"] * count,
        **{
            f"value:{unit}": ["1" if i == k else "9" if i == (k + 1) % count else "0" for i in range(count)]
            for k, unit in enumerate(units)
        },
    )
    assert spec.layout is not None
    options = read_options(Options, spec.layout.options | {"subjects": ["F013"]})
    layout.write(tmp_path, rows, options, variant)
    labels = labels_from_codes(layout.read(tmp_path, options, units).rows, spec, tasks).labels
    names = tasks["action_units"].labels
    for image, values in zip(labels.images.tolist(), labels.tasks["action_units"].tolist(), strict=True):
        i = int(image[-8:-4])
        found = dict(zip(names, values, strict=True))
        assert [label for label, value in found.items() if value == 1] == [units[i]]
        unknown = {label for label, value in found.items() if value == -1}
        assert unknown == {units[i - 1]} | (set(names) - set(units))


def test_the_three_folds_hold_every_subject_once_and_are_tested_in_turn():
    tested = []
    for name in ("bp4d", "bp4d_fold2", "bp4d_fold3"):
        spec, _ = shipped(name)
        assert spec.splits.folds is not None
        assert spec.copy_name == "bp4d"
        assert sorted(s for fold in spec.splits.folds.values() for s in fold) == sorted(SUBJECTS)
        tested.append(spec.splits.folds[spec.splits.test_fold])
        images = spec.expected["any"].images
        assert sum(images.values()) == 146_847
    assert sorted(s for fold in tested for s in fold) == sorted(SUBJECTS)
    assert [len(fold) for fold in tested] == [13, 14, 14]


def test_every_column_offered_is_a_unit():
    assert all(re.fullmatch(r"au[1-9][0-9]?", column) for column in layout.columns(Options()))
