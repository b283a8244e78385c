"""DISFA: frames of films mapped to their labels and points, thresholds, subjects and extracted images."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.io import savemat

from bench.data.decode import TEMPLATE
from bench.data.labels import labels_from_codes
from bench.data.layouts import disfa as layout
from bench.data.layouts.disfa import NO_IMAGE, SUBJECTS, UNITS, Frames, Options
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.catalog import open_catalog
from bench.specs.components import read_options
from bench.specs.dataset import DatasetSpec

from . import contract
from .contract import quick, shipped, without_figures

FEW = settings(quick, max_examples=25)
FILMS = {
    "left": "Videos_LeftCamera/LeftVideo{}_comp.avi",
    "right": "Video_RightCamera/RightVideo{}_Comp.avi",
}
INTENSITIES = [f"intensity_au{unit}" for unit in UNITS]


def film_rows(frames, camera="left", points=None, **values):
    """Rows of frames `(subject, number from 1)` in films."""
    given = {} if points is None else {"points": points}
    return contract.rows_of(
        image=[f"{subject}/{frame:04d}" for subject, frame in frames],
        group=[subject for subject, _ in frames],
        file=[FILMS[camera].format(subject) for subject, _ in frames],
        item=[frame - 1 for _, frame in frames],
        **given,
        **{f"value:{column}": codes for column, codes in values.items()},
    )


FRAMES = st.lists(
    st.tuples(st.sampled_from(["SN001", "SN010", "SN032"]), st.integers(1, 24)), min_size=1, max_size=8, unique=True
).map(sorted)


def face(x=100.0, y=50.0, eyes=40.0):
    """Five points of an upright face, in whole pixels: its left eye, and how far the eyes are apart."""
    return [x, y, x + eyes, y, x + eyes / 2, y + eyes / 2, x + eyes / 10, y + eyes, x + eyes * 9 / 10, y + eyes]


FACES = st.builds(face, *[st.integers(-5, 1000).map(float)] * 2, st.sampled_from([10.0, 140.0]))


# -------------------------------------------------------------------------------------------------- round trip


@FEW
@given(frames=FRAMES, camera=st.sampled_from(["left", "right"]), data=st.data())
def test_films_are_read_back(tmp_path, frames, camera, data):
    code = st.lists(st.sampled_from("012345"), min_size=len(frames), max_size=len(frames))
    rows = film_rows(frames, camera, **{column: data.draw(code) for column in INTENSITIES})
    options = Options(camera=camera, subjects=tuple({subject for subject, _ in frames}))
    reading = contract.assert_read_back(layout, tmp_path / "copy", options, rows, INTENSITIES, "films")
    places = list(zip(reading.rows["file"].to_pylist(), reading.rows["item"].to_pylist(), strict=True))
    assert places == sorted(places)


@FEW
@given(frames=FRAMES, data=st.data())
def test_points_of_films_are_read_back(tmp_path, frames, data):
    points = data.draw(st.lists(FACES, min_size=len(frames), max_size=len(frames)))
    rows = film_rows(frames, points=points, au1=["1"] * len(frames))
    options = Options(subjects=tuple({subject for subject, _ in frames}))
    contract.assert_read_back(layout, tmp_path / "copy", options, rows, ["au1"], "films")


@FEW
@given(frames=FRAMES, first=st.sampled_from([0, 1]), data=st.data())
def test_extracted_frames_are_read_back(tmp_path, frames, first, data):
    code = data.draw(st.lists(st.sampled_from("01"), min_size=len(frames), max_size=len(frames)))
    rows = contract.rows_of(
        image=[f"{subject}/{frame:04d}" for subject, frame in frames],
        group=[subject for subject, _ in frames],
        file=[f"aligned/Left{subject}/{subject}_{frame - 1 + first}.png" for subject, frame in frames],
        **{"value:au9": code},
    )
    options = Options(
        subjects=tuple({subject for subject, _ in frames}), frames=Frames(folder="aligned/Left{subject}", first=first)
    )
    contract.assert_read_back(layout, tmp_path / "copy", options, rows, ["au9"], "frames")


ROWS = film_rows(
    [("SN001", frame) for frame in range(1, 10)],
    au1=["0", "1", "0", "0", "1", "1", "0", "0", "1"],
    au26=["1", "0", "0", "0", "1", "0", "1", "0", "0"],
)


@settings(quick, max_examples=150)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    options = Options(subjects=("SN001",))
    rows = ROWS.append_column("points", contract.rows_of(points=[face(x) for x in range(9)])["points"])
    contract.assert_survives(layout, tmp_path, options, rows, ["au1", "au26"], "films", damage)


# -------------------------------------------------------------------------------------------------- labels and frames


def test_a_label_belongs_to_the_frame_of_its_number_counted_from_1(tmp_path):
    layout.write(tmp_path, ROWS, Options(subjects=("SN001",)), "films")
    rows = layout.read(tmp_path, Options(subjects=("SN001",)), ["au1"]).rows.to_pylist()
    assert (tmp_path / "ActionUnit_Labels/SN001/SN001_au1.txt").read_bytes().startswith(b"1,0\r\n2,2\r\n3,0\r\n")
    with av.open(str(tmp_path / rows[1]["file"])) as film:
        greys = [frame.to_ndarray(format="gray").mean() for frame in film.decode(video=0)]
    assert [row["item"] for row in rows] == list(range(9))
    assert rows[1] == rows[1] | {"image": "SN001/0002", "value:au1": "1", "item": 1}
    assert greys == pytest.approx([layout.grey_of(item) for item in range(9)], abs=3)


@pytest.mark.parametrize("threshold", range(1, 6))
def test_a_unit_is_present_at_the_threshold(tmp_path, threshold):
    frames = [("SN002", frame) for frame in range(1, 7)]
    layout.write(tmp_path, film_rows(frames, intensity_au12=list("012345")), Options(), "films")
    options = Options(subjects=("SN002",), threshold=threshold)
    found = layout.read(tmp_path, options, ["au12", "intensity_au12", "au25"]).rows
    assert found["value:au12"].to_pylist() == ["1" if level >= threshold else "0" for level in range(6)]
    assert found["value:intensity_au12"].to_pylist() == list("012345")
    assert found["value:au25"].to_pylist() == ["0"] * 6


def write_labels(root, text, *, unit=4, subject="SN001"):
    """Labels of one subject, those of one unit as given; the film is empty."""
    for each in UNITS:
        file = root / "ActionUnit_Labels" / subject / f"{subject}_au{each}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if each == unit else "1,0\n2,0\n")
    film = root / FILMS["left"].format(subject)
    film.parent.mkdir(exist_ok=True)
    film.write_bytes(b"")


@pytest.mark.parametrize("text", ["1,3\n2,0", "1,3\r\n2,0\r\n", "\ufeff 1, 3\n\n2 ,0\n", "1,3.0\n2,0.000\n"])
def test_spelling_of_a_line_does_not_matter(tmp_path, text):
    write_labels(tmp_path, text)
    rows = layout.read(tmp_path, Options(subjects=("SN001",)), ["intensity_au4"]).rows
    assert rows["value:intensity_au4"].to_pylist() == ["3", "0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,0\n2,6\n", r"au4\.txt:2: expected `frame,intensity` with an intensity from 0 to 5, found '2,6'"),
        ("1,0\n2,-1\n", r"au4\.txt:2: expected `frame,intensity`"),
        ("1,0\n2,2.5\n", r"au4\.txt:2: expected `frame,intensity`"),
        ("1,0\n2,nan\n", r"au4\.txt:2: expected `frame,intensity`"),
        ("1,0\n2\n", r"au4\.txt:2: expected `frame,intensity`"),
        ("1 0\n2 0\n", r"au4\.txt:1: expected `frame,intensity`"),
        ("0,0\n1,0\n", r"au4\.txt:1: expected a frame number above 0, found 0"),
        ("1,0\n1,0\n", r"au4\.txt:2: expected a frame number above 1, found 1"),
        ("1,0\n3,0\n", r"au4\.txt: 2 frames, 2 in SN001_au1\.txt; frame 2 is in one of them only"),
        ("1,0\n", r"au4\.txt: 1 frames, 2 in SN001_au1\.txt"),
        ("", r"au4\.txt labels no frame"),
    ],
)
def test_a_malformed_file_is_refused_by_file_and_line(tmp_path, text, said):
    write_labels(tmp_path, text)
    with pytest.raises(DataError, match=said):
        layout.read(tmp_path, Options(subjects=("SN001",)), ["au1"])


def test_a_missing_unit_is_refused(tmp_path):
    write_labels(tmp_path, "1,0\n2,0\n")
    (tmp_path / "ActionUnit_Labels/SN001/SN001_au25.txt").unlink()
    with pytest.raises(DataError, match=r"SN001_au25\.txt is missing"):
        layout.read(tmp_path, Options(subjects=("SN001",)), ["au1"])


def test_a_column_that_is_not_coded_is_refused(tmp_path):
    write_labels(tmp_path, "1,0\n2,0\n")
    with pytest.raises(DataError, match="there is no column 'au7'"):
        layout.read(tmp_path, Options(subjects=("SN001",)), ["au7"])


# -------------------------------------------------------------------------------------------------- roots and copies


@pytest.mark.parametrize(
    ("camera", "folder", "film"),
    [
        ("left", "Video_LeftCamera", "LeftVideoSN001_comp.avi"),
        ("left", "Videos_LeftCamera", "leftvideosn001_Comp.AVI"),
        ("right", "Videos_RightCamera", "RightVideoSN001_comp.avi"),
        ("right", "Video_RightCamera", "RightVideoSN001_Comp.avi"),
    ],
)
def test_folders_and_films_are_found_however_they_are_spelt(tmp_path, camera, folder, film):
    write_labels(tmp_path, "1,0\n2,0\n")
    (tmp_path / "Videos_LeftCamera").rename(tmp_path / folder)
    (tmp_path / folder / "LeftVideoSN001_comp.avi").rename(tmp_path / folder / film)
    options = Options(subjects=("SN001",), camera=camera)
    assert layout.recognise(tmp_path, options) == "films"
    assert layout.read(tmp_path, options, ["au1"]).rows["file"].to_pylist() == [f"{folder}/{film}"] * 2


def test_a_wrong_root_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataError, match="looked for ActionUnit_Labels; there is holiday"):
        layout.recognise(tmp_path, Options())
    (tmp_path / "ActionUnit_Labels").write_text("")
    with pytest.raises(DataError, match="ActionUnit_Labels cannot be listed: Not a directory"):
        layout.recognise(tmp_path, Options())


def test_a_copy_of_some_subjects_is_refused_until_the_spec_says_so(tmp_path):
    write_labels(tmp_path, "1,0\n2,0\n")
    with pytest.raises(DataError, match="labels of 26 of 27 subjects are missing: SN002, SN003") as caught:
        layout.recognise(tmp_path, Options())
    assert "layout.subjects" in caught.value.hint
    assert layout.recognise(tmp_path, Options(subjects=("SN001",))) == "films"


def test_a_stranger_is_no_subject(tmp_path):
    for subject in (*SUBJECTS, "SN033"):
        (tmp_path / "ActionUnit_Labels" / subject).mkdir(parents=True)
    with pytest.raises(DataError, match="SN033 is not among the 27 subjects"):
        layout.recognise(tmp_path, Options())


def test_a_missing_film_is_named(tmp_path):
    write_labels(tmp_path, "1,0\n2,0\n")
    (tmp_path / FILMS["left"].format("SN001")).unlink()
    with pytest.raises(DataError, match=r"1 of 1 films are missing: LeftVideoSN001_comp\.avi \(there is nothing\)"):
        layout.recognise(tmp_path, Options(subjects=("SN001",)))
    with pytest.raises(DataError, match="the folder of the right camera's films is not there"):
        layout.recognise(tmp_path, Options(subjects=("SN001",), camera="right"))


# -------------------------------------------------------------------------------------------------- extracted frames


def write_frames(root, *names):
    write_labels(root, "1,0\n2,0\n")
    folder = root / "frames" / "SN001"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")


def read_frames(root, first):
    options = Options(subjects=("SN001",), frames=Frames(folder="frames/{subject}", first=first))
    return layout.read(root, options, ["au1"])


def test_frames_without_an_image_are_named_and_padding_does_not_matter(tmp_path):
    write_frames(tmp_path, "LeftVideo_00001.jpg")
    reading = read_frames(tmp_path, 0)
    assert reading.rows["image"].to_pylist() == ["SN001/0002"]
    assert reading.rows["file"].to_pylist() == ["frames/SN001/LeftVideo_00001.jpg"]
    assert reading.skipped.names == {NO_IMAGE: ["SN001/0001"]}


@pytest.mark.parametrize(("names", "first", "other"), [(("0.png", "1.png"), 1, 0), (("1.png", "2.png"), 0, 1)])
def test_a_wrong_first_number_is_noticed(tmp_path, names, first, other):
    write_frames(tmp_path, *names)
    with pytest.raises(DataError, match=f"1 frames have no image when images are numbered from {first}, 0 when"):
        read_frames(tmp_path, first)
    assert read_frames(tmp_path, other).skipped.total == 0


def test_a_folder_that_leads_out_of_the_copy_is_not_read(tmp_path):
    root, outside = tmp_path / "copy", tmp_path / "outside"
    write_frames(root, "1.png", "2.png")
    (root / "frames" / "SN001").rename(outside)
    with pytest.raises(DataError, match="frames/SN001 cannot be listed"):
        read_frames(root, 1)
    (root / "frames" / "SN001").symlink_to(outside)
    with pytest.raises(DataError, match="leads out of"):
        read_frames(root, 1)


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        Options(camera="right", frames=Frames(folder="{subject}", first=0))
    with pytest.raises(ValidationError, match="where the subject stands"):
        Frames(folder="frames", first=0)


# -------------------------------------------------------------------------------------------------- points

POINTS = "Landmark_Points/{}/{}"
MARKUP = np.arange(132.0).reshape(66, 2)


def write_copy(root, count=9, subject="SN001", places=None):
    """Films of one subject, with points that move by 10 pixels from frame to frame."""
    points = [face(10.0 * t) for t in range(count)] if places is None else places
    rows = film_rows([(subject, t + 1) for t in range(count)], points=points)
    layout.write(root, rows, Options(), "films")
    (folder,) = root.glob(POINTS.format(subject, "*"))
    return folder


def points_of(root, subject="SN001", **options):
    return layout.read(root, Options(subjects=(subject,), **options), ["au1"]).rows["points"].to_pylist()


def test_the_five_points_are_taken_from_the_common_markup(tmp_path):
    """Whole markup with known places: eyes are means of six points, not a corner; x and y are not confused."""
    folder = write_copy(tmp_path, 1)
    markup = np.zeros((66, 2))
    markup[36:42] = [(10, 20), (12, 18), (14, 18), (16, 20), (14, 22), (12, 22)]
    markup[42:48] = [(30, 21), (32, 19), (34, 19), (36, 21), (34, 23), (32, 23)]
    markup[[30, 48, 54]] = (23, 31), (15, 40), (31, 41)
    savemat(folder / "SN001_0000_lm.mat", {"pts": markup})
    assert points_of(tmp_path) == [[13, 20, 33, 21, 23, 31, 15, 40, 31, 41]]


@pytest.mark.parametrize(
    ("subject", "folder", "names"),
    [
        ("SN001", "frame_lm", ["SN001_0000_lm.mat", "SN001_0001_lm.mat", "SN001_0002_lm.mat"]),
        ("SN003", "tmp_frame_lm", ["SN003_0000_lm.mat", "SN003_0001_lm.mat", "SN003_0002_lm.mat"]),
        ("SN002", "tmp_frame_lm", ["l00000_lm.mat", "l00001_lm.mat", "l00002_lm.mat", "l00003_lm.mat"]),
    ],
)
def test_files_are_numbered_from_0_or_by_their_other_name_from_1(tmp_path, subject, folder, names):
    assert write_copy(tmp_path, 3, subject).name == folder
    assert sorted(file.name for file in tmp_path.glob(POINTS.format(subject, "*/*"))) == names
    assert points_of(tmp_path, subject) == [face(0.0), face(10.0), face(20.0)]


def test_files_beside_are_passed_over(tmp_path):
    folder = write_copy(tmp_path)
    for name in ("SN002_0000_lm.mat", "l1_lm.mat.bak", ".SN001_0000_lm.mat", "readme.txt"):
        (folder / name).write_bytes(b"no points")
    assert points_of(tmp_path) == [face(10.0 * t) for t in range(9)]


def test_points_unpacked_one_folder_deeper_are_found(tmp_path):
    write_copy(tmp_path)
    (tmp_path / "Landmark_Points").rename(tmp_path / "deeper")
    (tmp_path / "Landmark_Points").mkdir()
    (tmp_path / "deeper").rename(tmp_path / "Landmark_Points" / "Landmark_Points")
    assert points_of(tmp_path)[1] == face(10.0)


def test_a_frame_without_a_file_or_with_nan_has_no_points(tmp_path):
    folder = write_copy(tmp_path, 60)
    (folder / "SN001_0003_lm.mat").unlink()
    savemat(folder / "SN001_0005_lm.mat", {"pts": np.full((66, 2), np.nan)})
    found = points_of(tmp_path)
    assert [t for t, points in enumerate(found) if points is None] == [3, 5]
    assert found[4] == face(40.0) and found[6] == face(60.0)


def test_too_few_points_are_refused_unless_the_spec_does_without(tmp_path):
    folder = write_copy(tmp_path, 19)
    (folder / "SN001_0003_lm.mat").unlink()
    with pytest.raises(DataError, match=r"frame_lm: 1 of 19 frames have no points, the first is SN001/0004") as caught:
        points_of(tmp_path)
    assert "landmarks: false" in caught.value.hint
    read = layout.read(tmp_path, Options(subjects=("SN001",), landmarks=False), ["au1"])
    assert read.rows.num_rows == 19 and "points" not in read.rows.column_names


def test_a_copy_with_points_of_some_subjects_is_refused(tmp_path):
    write_copy(tmp_path, subject="SN002")
    write_labels(tmp_path, "1,0\n2,0\n")
    options = Options(subjects=("SN001", "SN002"))
    with pytest.raises(DataError, match="points of 1 of 2 subjects are missing: Landmark_Points/SN001/tmp_frame_lm"):
        layout.recognise(tmp_path, options)
    with pytest.raises(DataError, match="there is SN002"):
        layout.read(tmp_path, options, ["au1"])


def test_a_copy_without_points_gives_none(tmp_path):
    layout.write(tmp_path, ROWS, Options(), "films")
    assert "points" not in layout.read(tmp_path, Options(subjects=("SN001",)), ["au1"]).rows.column_names


def test_points_belong_to_the_films_of_the_left_camera(tmp_path):
    write_copy(tmp_path)
    (tmp_path / "Videos_LeftCamera").rename(tmp_path / "Video_RightCamera")
    film = tmp_path / "Video_RightCamera" / "LeftVideoSN001_comp.avi"
    film.rename(film.with_name("RightVideoSN001_Comp.avi"))
    options = Options(subjects=("SN001",), camera="right")
    assert "points" not in layout.read(tmp_path, options, ["au1"]).rows.column_names
    for other in ({"camera": "right"}, {"frames": Frames(folder="{subject}", first=0)}):
        with pytest.raises(ValidationError, match="they belong to the left camera's films"):
            Options(landmarks=False, **other)


def test_points_that_are_not_those_of_a_face_are_refused(tmp_path):
    mirrored = [
        [x for i in (2, 0, 4, 8, 6) for x in points[i : i + 2]] for points in [face(10.0 * t) for t in range(9)]
    ]
    write_copy(tmp_path / "mirrored", places=mirrored)
    with pytest.raises(DataError, match="only in 0% of the frames the left eye stands on the left") as caught:
        points_of(tmp_path / "mirrored")
    assert "landmarks: false" in caught.value.hint
    write_copy(tmp_path / "turned", places=[[-x for x in face()]] * 9)
    with pytest.raises(DataError, match="only in 0%"):
        points_of(tmp_path / "turned")
    write_copy(tmp_path / "some", places=[mirrored[0]] * 4 + [face()] * 5)
    assert len(points_of(tmp_path / "some")) == 9


def test_one_matrix_of_66_points_is_taken_whatever_its_name(tmp_path):
    folder = write_copy(tmp_path, 2)
    whole = np.round(MARKUP)
    whole[[48, 54], 1] = 200  # a mouth
    savemat(folder / "SN001_0001_lm.mat", {"note": "by hand", "count": 66.0, "landmarks": whole.astype(np.uint8)})
    assert points_of(tmp_path)[1] == [77, 78, 89, 90, 60, 61, 96, 200, 108, 200]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"pts": MARKUP[:65]}, r"expected one matrix of 66 x 2 numbers, found pts, double \[65, 2\]"),
        ({"pts": MARKUP.T}, r"found pts, double \[2, 66\]"),
        ({"a": MARKUP, "b": MARKUP}, r"found a, double \[66, 2\]; b, double \[66, 2\]"),
        ({"pts": MARKUP + 1j}, r"found pts, complex"),
        ({}, "found no variables"),
        ({"pts": MARKUP + 1e6}, "points lie more than 100000 pixels away"),
        ({"pts": MARKUP - np.inf}, "points lie more than 100000 pixels away"),
    ],
)
def test_a_file_without_points_is_named(tmp_path, content, said):
    savemat(write_copy(tmp_path) / "SN001_0007_lm.mat", content)
    with pytest.raises(DataError, match=r"SN001_0007_lm\.mat: .*" + said):
        points_of(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a MATLAB file"),
        (b"x" * 126 + b"IM" + b"x" * 99, "is a MATLAB file of version 7.3"),
        (b"x" * 70000, "is too large"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, said):
    (write_copy(tmp_path) / "SN001_0007_lm.mat").write_bytes(content)
    with pytest.raises(DataError, match=rf"SN001_0007_lm\.mat {said}"):
        points_of(tmp_path)


def test_a_cut_file_is_named(tmp_path):
    file = write_copy(tmp_path) / "SN001_0007_lm.mat"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"SN001_0007_lm\.mat is damaged"):
        points_of(tmp_path)


def test_two_files_of_one_frame_are_refused(tmp_path):
    folder = write_copy(tmp_path)
    (folder / "l00002_lm.mat").write_bytes((folder / "SN001_0001_lm.mat").read_bytes())
    with pytest.raises(DataError, match=r"SN001_0001_lm\.mat and l00002_lm\.mat are both of frame 2"):
        points_of(tmp_path)


def test_points_that_lead_out_of_the_copy_are_not_read(tmp_path):
    root, outside = tmp_path / "copy", tmp_path / "outside"
    folder = write_copy(root)
    (folder / "SN001_0004_lm.mat").rename(outside)
    (folder / "SN001_0004_lm.mat").symlink_to(outside)
    with pytest.raises(DataError, match=r"SN001_0004_lm\.mat leads out of"):
        points_of(root)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="points of 1 of 1 subjects are missing"):
        points_of(root)


def test_folders_of_points_count_as_label_files(tmp_path):
    folder = write_copy(tmp_path)
    assert layout.label_files(tmp_path, Options(subjects=("SN001",)))[12:] == [folder]
    assert len(layout.label_files(tmp_path, Options(subjects=("SN001",), landmarks=False))) == 12


# -------------------------------------------------------------------------------------------------- the shipped specs


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("disfa", ["au1", "au2", "au4", "au6", "au9", "au12", "au25", "au26"]),
        ("disfa_12", [f"au{unit}" for unit in UNITS]),
    ],
)
def test_the_shipped_spec_names_each_unit_rightly(tmp_path, name, units):
    """In each frame one unit is present, at 2; the others are at 1, which is absent."""
    spec, tasks = shipped(name)
    assert spec.layout is not None
    assert list(spec.tasks["action_units"].annotated) == units
    frames = [("SN031", frame) for frame in range(1, len(units) + 1)]
    levels = {f"intensity_{unit}": ["2" if i == k else "1" for i in range(len(units))] for k, unit in enumerate(units)}
    options = read_options(Options, spec.layout.options | {"subjects": ["SN031"]})
    layout.write(tmp_path, film_rows(frames, **levels), options, "films")
    labels = labels_from_codes(layout.read(tmp_path, options, units).rows, spec, tasks).labels
    names = tasks["action_units"].labels
    for image, values in zip(labels.images.tolist(), labels.tasks["action_units"].tolist(), strict=True):
        found = dict(zip(names, values, strict=True))
        assert [label for label, value in found.items() if value == 1] == [units[int(image[-4:]) - 1]]
        assert {label for label, value in found.items() if value == -1} == set(names) - set(units)


def test_the_three_folds_hold_every_subject_once_and_are_tested_in_turn():
    tested = []
    for name in ("disfa", "disfa_fold2", "disfa_fold3"):
        spec, _ = shipped(name)
        assert spec.splits.folds is not None
        assert spec.copy_name == "disfa"
        assert sorted(s for fold in spec.splits.folds.values() for s in fold) == sorted(SUBJECTS)
        tested.append(spec.splits.folds[spec.splits.test_fold])
        assert sum(spec.expected["any"].images.values()) == 130_814 == 27 * 4845 - 1
        assert spec.expected["any"].images["test"] == 9 * 4845 - ("SN010" in tested[-1])
    assert sorted(s for fold in tested for s in fold) == sorted(SUBJECTS)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
MARKS = [RED, RED, BLUE, GREEN, GREEN]


def write_marked_film(file, faces):
    """Frames of 160 x 120, grey, with red eyes, a blue nose and a green mouth."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=20, options={"qscale": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 4_000_000
        for points in faces:
            pixels = np.full((120, 160, 3), 90, np.uint8)
            for (x, y), colour in zip(np.array(points, int).reshape(5, 2), MARKS, strict=True):
                pixels[y - 4 : y + 5, x - 4 : x + 5] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def copy_of_six(tmp_path, monkeypatch):
    """A copy of six subjects of all parts, whose faces move by more than a mark from frame to frame."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    subjects, root = ("SN001", "SN002", "SN003", "SN006", "SN009", "SN012"), tmp_path / "copy"
    faces = [face(30.0 + 15 * t, 25.0 + 9 * t, 34.0) for t in range(5)]
    frames = [(subject, t + 1) for subject in subjects for t in range(5)]
    layout.write(root, film_rows(frames, points=faces * 6, au1=["0", "1"] * 15), Options(), "films")
    for subject in subjects:
        write_marked_film(root / FILMS["left"].format(subject), faces)
    dataset, tasks = without_figures("disfa")
    options = dataset.layout.model_copy(update={"subjects": subjects})
    return dataset.model_copy(update={"layout": options}), tasks, root


def test_faces_are_cropped_by_the_points_of_their_frames(copy_of_six):
    dataset, tasks, root = copy_of_six
    store = Preparation(dataset, tasks, 64, root).prepare()
    assert len(store.images) == 30
    for image in store.images:
        for (x, y), colour in zip((TEMPLATE * 64).astype(int), MARKS, strict=True):
            assert np.abs(image[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1)) - colour).max() < 110, (x, y)


def test_a_copy_without_points_is_read_whole_by_a_spec_that_says_so(copy_of_six, tmp_path):
    dataset, tasks, root = copy_of_six
    (root / "Landmark_Points").rename(tmp_path / "Landmark_Points")
    with pytest.raises(DataError, match=r"crops by points, and .*copy \('films'\) has none"):
        read_labels(dataset, tasks, root)
    text = "kind: dataset\nname: whole\ntitle: Whole frames\nextends: disfa\ncrop: null\n"
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "whole.yaml").write_text(text)
    whole = open_catalog([tmp_path / "specs"]).get(DatasetSpec, "whole")
    assert whole.crop is None and whole.copy_name == "disfa"
    whole = whole.model_copy(update={"layout": dataset.layout, "expected": {}})
    store = Preparation(whole, tasks, 64, root).prepare()
    assert len(store.images) == 30
    for row, name in enumerate(store.labels.images.tolist()):
        reddish = np.argwhere(store.images[row][..., 0].astype(int) - store.images[row][..., 2] > 80)
        y, x = reddish.mean(0) * 120 / 64
        t = int(name[-1]) - 1
        assert (x + 20, y) == pytest.approx((47 + 15 * t, 25 + 9 * t), abs=2)  # between the eyes, where the film has it
