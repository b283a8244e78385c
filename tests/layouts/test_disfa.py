"""DISFA: frames of films mapped to their labels, thresholds, subjects and extracted images."""

from __future__ import annotations

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.labels import labels_from_codes
from bench.data.layouts import disfa as layout
from bench.data.layouts.disfa import NO_IMAGE, SUBJECTS, UNITS, Frames, Options
from bench.errors import DataError
from bench.specs.catalog import open_catalog
from bench.specs.components import read_options
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

from . import contract

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILMS = {
    "left": "Videos_LeftCamera/LeftVideo{}_comp.avi",
    "right": "Video_RightCamera/RightVideo{}_Comp.avi",
}
INTENSITIES = [f"intensity_au{unit}" for unit in UNITS]


def film_rows(frames, camera="left", **values):
    """Rows of frames `(subject, number from 1)` in films."""
    return contract.rows_of(
        image=[f"{subject}/{frame:04d}" for subject, frame in frames],
        group=[subject for subject, _ in frames],
        file=[FILMS[camera].format(subject) for subject, _ in frames],
        item=[frame - 1 for _, frame in frames],
        **{f"value:{column}": codes for column, codes in values.items()},
    )


FRAMES = st.lists(
    st.tuples(st.sampled_from(["SN001", "SN010", "SN032"]), st.integers(1, 24)), min_size=1, max_size=8, unique=True
).map(sorted)


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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    options = Options(subjects=("SN001",))
    contract.assert_survives(layout, tmp_path, options, ROWS, ["au1", "au26"], "films", damage)


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
    with pytest.raises(DataError, match="ActionUnit_Labels is a file, expected a folder"):
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
    with pytest.raises(DataError, match="frames/SN001: images are missing"):
        read_frames(root, 1)
    (root / "frames" / "SN001").symlink_to(outside)
    with pytest.raises(DataError, match="leads out of"):
        read_frames(root, 1)


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        Options(camera="right", frames=Frames(folder="{subject}", first=0))
    with pytest.raises(ValidationError, match="where the subject stands"):
        Frames(folder="frames", first=0)


# -------------------------------------------------------------------------------------------------- the shipped specs


def spec_of(name):
    catalog = open_catalog()
    spec = catalog.get(DatasetSpec, name)
    return spec, {task: catalog.get(TaskSpec, task) for task in spec.tasks}


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("disfa", ["au1", "au2", "au4", "au6", "au9", "au12", "au25", "au26"]),
        ("disfa_12", [f"au{unit}" for unit in UNITS]),
    ],
)
def test_the_shipped_spec_names_each_unit_rightly(tmp_path, name, units):
    """In each frame one unit is present, at 2; the others are at 1, which is absent."""
    spec, tasks = spec_of(name)
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
        spec, _ = spec_of(name)
        assert spec.splits.folds is not None
        assert spec.copy_name == "disfa"
        assert sorted(s for fold in spec.splits.folds.values() for s in fold) == sorted(SUBJECTS)
        tested.append(spec.splits.folds[spec.splits.test_fold])
        assert sum(spec.expected["any"].images.values()) == 130_814 == 27 * 4845 - 1
        assert spec.expected["any"].images["test"] == 9 * 4845 - ("SN010" in tested[-1])
    assert sorted(s for fold in tested for s in fold) == sorted(SUBJECTS)
