"""DISFA: one film a subject and camera, with the intensity of twelve action units for every frame.

    ActionUnit_Labels/SN001/SN001_au1.txt        `frame,intensity`, frames from 1, intensity 0 to 5, no header
    Videos_LeftCamera/LeftVideoSN001_comp.avi    also spelt Video_LeftCamera
    Video_RightCamera/RightVideoSN001_Comp.avi   singular and a capital C; also spelt Videos_RightCamera
    Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat   66 points of a face; `frame_lm` for some subjects, and
                                                           `l00001_lm.mat`; also unpacked one folder deeper

Rows are frames: `file` is the film and `item` the frame's number less one. Both cameras show the same frames, so only
one is read and a row has the same name for both. Owners ship no single frames; who holds extracted ones names their
folder (`frames`), and has to say whether they are numbered from 0 (as ME-GraphAU and JAA-Net do) or from 1 (FG-Net).
Frames whose image is not there (no face was found in it) are then left out and counted.

No code means missing: 0 is absent. `au1` is "1" where the intensity reaches `threshold`, else "0"; `intensity_au1` is
the intensity itself. The usual threshold is 2 (ME-GraphAU); some public code takes 1, which is another task.

There are 27 subjects with 4,845 frames each, but for SN010 with 4,844.

Points are those of the left camera's film, x and y in its pixels, as one matrix [66, 2] a file (`pts` in all that we
know of; its name does not matter). They are the first 60 of the common 68 points, and six of the inner lips: eyes are
points 36 to 41 and 42 to 47 from 0, whose means are taken, the tip of the nose is 30, the corners of the mouth are 48
and 54. Files called by the subject count frames from 0, those called `l` from 1; a file more than there are frames is
passed over. A frame without a file (known: one of SN031), or with NaN in it, has no points. Fewer than 19 in 20 frames
with points, or points that do not lie as a face has them in most of those, are refused (option `landmarks`). They were
tracked and are off the face in places.

Sources: Mavadati et al., DISFA, IEEE Transactions on Affective Computing 4(2), 2013; files as read by
CVI-SZU/ME-GraphAU (tool/DISFA_image_label_process.py), TadasBaltrusaitis/FERA-2015 and sharpstill/AU_R-CNN; points as
public loaders read them, and as two frames of them stand in ZhiwenShao/PyTorch-JAANet
(dataset/DISFA_combine_1_2_66land.txt).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.data.layouts._files import (
    first_present,
    is_there,
    lines_of,
    listing,
    names_in,
    refuse_unknown,
    write_lines,
    write_picture,
)
from bench.data.layouts._folders import MOST_BYTES, Folder
from bench.data.layouts._frames import numbered_images
from bench.data.layouts._matlab import matrix_of
from bench.data.layouts._places import LEAST, MOST_PIXELS, share_of_faces
from bench.data.reading import POINTS, Reading, Skipped
from bench.errors import DataError
from bench.specs.model import AllDifferent, Frozen

VARIANTS = ("films", "frames")

SUBJECTS = tuple(f"SN{number:03d}" for number in (*range(1, 14), 16, 17, 18, 21, *range(23, 33)))
UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
COLUMNS = (*(f"au{unit}" for unit in UNITS), *(f"intensity_au{unit}" for unit in UNITS))

NO_IMAGE = "frame without an image"

_LABELS = "ActionUnit_Labels"
_SUBJECT = re.compile(r"SN[0-9]{3}")
_LINE = re.compile(r"\s*([0-9]{1,7})\s*,\s*([0-5])(?:\.0*)?\s*", re.ASCII)
_FOLDERS = {"left": ("Videos_LeftCamera", "Video_LeftCamera"), "right": ("Video_RightCamera", "Videos_RightCamera")}
_FILMS = {"left": "LeftVideo{subject}_comp.avi", "right": "RightVideo{subject}_Comp.avi"}
_PLACE = "{subject}"

LANDMARKS = "Landmark_Points"
LEAST_WITH_POINTS = 0.95
"""The least share of a subject's frames that must have points: fewer mean that files are missing."""
_MARKUP = (66, 2)
_POINT_FOLDERS = ("tmp_frame_lm", "frame_lm")
_POINTS_FILE = re.compile(r"(?:(SN[0-9]{3})_|l)([0-9]{1,6})_lm\.mat", re.ASCII)
_WITHOUT_POINTS = "`layout: {name: disfa, landmarks: false}` and `crop: null` in a dataset spec that extends this one"
_READERS = 4
"""Threads that read files of points: most of the time goes by in waiting for the disk."""
_PIECE = 256
"""Files that one of them reads in a row."""


class Frames(Frozen):
    """Extracted images instead of films."""

    folder: str = Field(description="Folder of one subject's images under the root; `{subject}` stands for SN001, ...")
    first: Literal[0, 1] = Field(description="Number of the image of a film's first frame.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if _PLACE not in self.folder:
            raise PydanticCustomError("folder", "say with `{place}` where the subject stands", {"place": _PLACE})
        return self


class Options(Frozen):
    """What is read, and from which intensity on a unit counts as present."""

    camera: Literal["left", "right"] = Field(default="left", description="Whose films are read.")
    threshold: int = Field(default=2, ge=1, le=5, description="A unit is present at this intensity or more.")
    subjects: Annotated[tuple[str, ...], Field(min_length=1), AllDifferent] | None = Field(
        default=None, description="Subjects to read, such as SN001; left out: all 27, and all must be there."
    )
    frames: Frames | None = Field(default=None, description="Images to read in place of films; `camera` is not used.")
    landmarks: bool = Field(
        default=True, description="Read the points of the left camera's films, for `crop`, where the copy has them."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frames is not None and "camera" in self.model_fields_set:
            raise PydanticCustomError("camera", "give `camera` (films) or `frames` (images), not both")
        if "landmarks" in self.model_fields_set and (self.camera == "right" or self.frames is not None):
            raise PydanticCustomError("landmarks", "leave out `landmarks`: they belong to the left camera's films")
        return self


def columns(options: Options) -> Sequence[str]:
    """Presence and intensity of each unit."""
    return COLUMNS


def recognise(root: Path, options: Options) -> str:
    """Films or frames, as the options say. Raises `DataError` where anything of a subject is missing."""
    subjects = _subjects(root, options)
    if options.frames is not None:
        return "frames"
    _films(root, options, subjects)
    _point_folders(root, options, subjects)
    return "films"


def label_files(root: Path, options: Options) -> list[Path]:
    """Twelve files a subject, and the folder of its points."""
    subjects = _subjects(root, options)
    labels = [_label_file(root, subject, unit) for subject in subjects for unit in UNITS]
    return labels + [root / folder for folder in _point_folders(root, options, subjects).values()]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read every labelled frame. Raises `DataError`."""
    refuse_unknown(columns, COLUMNS, root)
    subjects = _subjects(root, options)
    if options.frames is not None:
        return _read_frames(root, options, options.frames, subjects, columns)
    films, parts = _films(root, options, subjects), []
    points = _point_folders(root, options, subjects)
    for subject in subjects:
        frames, levels = _coded(root, subject)
        table = _table(subject, frames, levels, options, columns)
        table = table.append_column("file", pa.repeat(pa.scalar(films[subject]), len(frames)))
        table = table.append_column("item", pa.array(frames - 1))
        if points:
            table = table.append_column("points", _points(Folder(root, points[subject]), subject, frames - 1))
        parts.append(table)
    return Reading(pa.concat_tables(parts), "films")


def write(root: Path, rows: pa.Table, options: Options, variant: str) -> None:
    """Write a fixture: all label files of the rows' subjects, and films (frame t is grey, see `grey_of`) or images.

    Intensities come from `value:intensity_au*` where rows have them, else `value:au*` stands for 0 or the threshold.
    Points are written where rows have them.
    """
    by_subject: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows.to_pylist():
        subject, _, frame = row["image"].partition("/")
        by_subject.setdefault(subject, {})[int(frame)] = row
    for subject, frames in by_subject.items():
        for unit in UNITS:
            lines = (f"{frame},{_level(frames[frame], unit, options)}" for frame in sorted(frames))
            write_lines(_label_file(root, subject, unit), lines, end="\r\n")
        if variant == "films":
            film = root / _FOLDERS[options.camera][0] / _FILMS[options.camera].format(subject=subject)
            _write_film(film, max(frames))
            given = {frame - 1: row["points"] for frame, row in frames.items() if row.get("points") is not None}
            _write_points(root / LANDMARKS / subject, subject, given)
        else:
            for row in frames.values():
                write_picture(root / row["file"])


def _read_frames(
    root: Path, options: Options, extracted: Frames, subjects: Sequence[str], columns: Sequence[str]
) -> Reading:
    """The same from extracted images, as far as they are there."""
    skipped, absent, parts = Skipped(), {0: 0, 1: 0}, []
    for subject in subjects:
        images = numbered_images(root, extracted.folder.replace(_PLACE, subject))
        frames, levels = _coded(root, subject)
        for first in absent:
            absent[first] += sum(frame - 1 + first not in images for frame in frames.tolist())
        files = [images.get(frame - 1 + extracted.first) for frame in frames.tolist()]
        table = _table(subject, frames, levels, options, columns)
        for frame, file in zip(frames.tolist(), files, strict=True):
            if file is None:
                skipped.add(NO_IMAGE, f"{subject}/{frame:04d}")
        files_column = pa.array(files, pa.string())
        parts.append(table.append_column("file", files_column).filter(files_column.is_valid()))
    other = 1 - extracted.first
    if absent[other] < absent[extracted.first]:
        raise DataError(
            f"{root}: {absent[extracted.first]} frames have no image when images are numbered from {extracted.first}, "
            f"{absent[other]} when they are numbered from {other}",
            hint=f"look at some images; it seems that `layout.frames.first` in the dataset spec should be {other}",
        )
    return Reading(pa.concat_tables(parts), "frames", skipped)


_PRESENT = pa.array(["0", "1"])
_LEVELS = pa.array(["0", "1", "2", "3", "4", "5"])


def _table(
    subject: str, frames: NDArray[np.int32], levels: NDArray[np.int8], options: Options, columns: Sequence[str]
) -> pa.Table:
    """Image names, groups and values of one subject; `levels` are intensities [frames, units]."""
    found = {
        "image": pa.array([f"{subject}/{frame:04d}" for frame in frames.tolist()], pa.string()),
        "group": pa.repeat(pa.scalar(subject), len(frames)),
    }
    for column in columns:
        level = levels[:, UNITS.index(int(column.rpartition("au")[2]))]
        if column.startswith("intensity_"):
            found[f"value:{column}"] = _LEVELS.take(pa.array(level))
        else:
            found[f"value:{column}"] = _PRESENT.take(pa.array((level >= options.threshold).astype(np.int8)))
    return pa.table(found)


def _coded(root: Path, subject: str) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Frame numbers [frames], ascending from 1, and intensities [frames, units], of one subject."""
    frames: NDArray[np.int32] | None = None
    levels: list[NDArray[np.int8]] = []
    for unit in UNITS:
        file = _label_file(root, subject, unit)
        mine, level = _annotation(root, file)
        if frames is None:
            frames = mine
        elif not np.array_equal(frames, mine):
            odd = np.setxor1d(frames, mine)[0]
            raise DataError(
                f"{file}: {len(mine)} frames, {len(frames)} in {_label_file(root, subject, UNITS[0]).name}; "
                f"frame {odd} is in one of them only",
                hint="all twelve files of a subject must label the same frames: get them anew",
            )
        levels.append(level)
    assert frames is not None  # there are units
    return frames, np.stack(levels, axis=1)


def _annotation(root: Path, file: Path) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Frame numbers and intensities of one unit's file."""
    frames: list[int] = []
    levels: list[int] = []
    last = 0
    for number, line in lines_of(root, file):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{file}:{number}: expected `frame,intensity` with an intensity from 0 to 5, found '{line[:40]}'",
                hint="get this file anew",
            )
        frame = int(match[1])
        if frame <= last:
            raise DataError(
                f"{file}:{number}: expected a frame number above {last}, found {frame}",
                hint="frames count from 1: get this file anew",
            )
        frames.append(frame)
        levels.append(int(match[2]))
        last = frame
    if not frames:
        raise DataError(f"{file} labels no frame", hint="get this file anew")
    return np.array(frames, np.int32), np.array(levels, np.int8)


def _label_file(root: Path, subject: str, unit: int) -> Path:
    return root / _LABELS / subject / f"{subject}_au{unit}.txt"


def _subjects(root: Path, options: Options) -> tuple[str, ...]:
    """Who is read, sorted. Raises `DataError` unless exactly those are there that are expected."""
    folder = first_present(root, (_LABELS,), "the folder of action unit labels")
    there = {name for name in names_in(folder) if _SUBJECT.fullmatch(name)}
    wanted = set(SUBJECTS if options.subjects is None else options.subjects)
    absent = sorted(wanted - there)
    if absent:
        raise DataError(
            f"{folder}: labels of {len(absent)} of {len(wanted)} subjects are missing: {', '.join(absent[:6])} "
            f"(there is {listing(folder)})",
            hint="complete the copy, or list the subjects that it has under `layout.subjects` in the dataset spec",
        )
    strange = sorted(there - wanted)
    if strange and options.subjects is None:
        raise DataError(
            f"{folder}: {', '.join(strange[:6])} is not among the 27 subjects of DISFA",
            hint="if the copy is right, list its subjects under `layout.subjects` in the dataset spec",
        )
    return tuple(sorted(wanted))


def _films(root: Path, options: Options, subjects: Sequence[str]) -> Mapping[str, str]:
    """Path of each subject's film under the root; how file names are capitalised does not matter."""
    folder = first_present(root, _FOLDERS[options.camera], f"the folder of the {options.camera} camera's films")
    names = {name.lower(): name for name in names_in(folder)}
    wanted = {subject: _FILMS[options.camera].format(subject=subject) for subject in subjects}
    absent = [film for film in wanted.values() if film.lower() not in names]
    if absent:
        raise DataError(
            f"{folder}: {len(absent)} of {len(wanted)} films are missing: {', '.join(absent[:3])} "
            f"(there is {listing(folder)})",
            hint="complete the copy, or list the subjects that it has under `layout.subjects` in the dataset spec",
        )
    return {subject: f"{folder.name}/{names[film.lower()]}" for subject, film in wanted.items()}


def _point_folders(root: Path, options: Options, subjects: Sequence[str]) -> dict[str, str]:
    """Where under the root each subject's points are; none where they are not read, or the copy has none of anybody."""
    if not options.landmarks or options.camera == "right" or options.frames is not None:
        return {}
    if not is_there(root, LANDMARKS):
        return {}
    deeper = f"{LANDMARKS}/{LANDMARKS}"
    top = deeper if is_there(root, deeper) else LANDMARKS
    places = {subject: [f"{top}/{subject}/{name}" for name in _POINT_FOLDERS] for subject in subjects}
    found = {subject: next((place for place in of if is_there(root, place)), "") for subject, of in places.items()}
    absent = [places[subject][0] for subject, place in found.items() if not place]
    if absent:
        raise DataError(
            f"{root}: points of {len(absent)} of {len(found)} subjects are missing: {', '.join(absent[:3])} "
            f"(in {top} there is {listing(root / top)})",
            hint=f"complete the copy, or do without points: {_WITHOUT_POINTS}",
        )
    return found


def _points(folder: Folder, subject: str, items: NDArray[np.int32]) -> pa.Array:
    """Points of the frames `items` (from 0) as a column, null where a frame has none."""
    files = _files_by_item(folder, subject)
    there = np.array([item in files for item in items.tolist()])
    points = np.full((len(items), 10), np.nan, np.float32)
    points[there] = _five_of_each(folder, [files[item] for item in items[there].tolist()])
    known = np.isfinite(points).all(1)
    if known.mean() < LEAST_WITH_POINTS:
        raise DataError(
            f"{folder.place}: {(~known).sum()} of {len(items)} frames have no points, the first is {subject}/"
            f"{items[~known][0] + 1:04d} (there is {listing(folder.place)}); expected a file for nearly each, "
            f"{subject}_0000_lm.mat or l00001_lm.mat for the first frame",
            hint=f"complete the copy, or do without points: {_WITHOUT_POINTS}",
        )
    share = share_of_faces(points[known])
    if share < LEAST:
        raise DataError(
            f"{folder.place}: only in {share:.0%} of the frames the left eye stands on the left, and the eyes above "
            "the mouth; expected nearly all",
            hint=f"get these files anew; if the copy is right, do without points: {_WITHOUT_POINTS}",
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), type=POINTS, mask=pa.array(~known))


def _files_by_item(folder: Folder, subject: str) -> dict[int, str]:
    """Files of points by the frame that they are of, from 0."""
    found: dict[int, str] = {}
    for name in sorted(folder.names):
        match = _POINTS_FILE.fullmatch(name)
        if match is None or match[1] not in (None, subject):
            continue
        item = int(match[2]) - (match[1] is None)
        if item in found:
            raise DataError(
                f"{folder.place}: {found[item]} and {name} are both of frame {item + 1}",
                hint=f"keep one of them for each frame, or do without points: {_WITHOUT_POINTS}",
            )
        found[item] = name
    return found


def _five_of_each(folder: Folder, files: Sequence[str]) -> NDArray[np.float32]:
    """The five points of each file [n, 10]. Raises `DataError` for a file that holds no such points."""
    pieces = [files[start : start + _PIECE] for start in range(0, len(files), _PIECE)]
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda piece: [_markup_of(folder, file) for file in piece], pieces)
        markups = [markup for piece in read for markup in piece]
    found = np.array(markups).reshape(-1, *_MARKUP)
    odd = np.flatnonzero((np.abs(found) > MOST_PIXELS).any((1, 2)))
    if len(odd):
        raise DataError(
            f"{folder.place}/{files[odd[0]]}: points lie more than {MOST_PIXELS} pixels away", hint="get this file anew"
        )
    eyes = [found[:, start : start + 6].mean(1) for start in (36, 42)]
    five = [*eyes, *(found[:, point] for point in (30, 48, 54))]
    return np.concatenate(five, axis=1).astype(np.float32)


def _markup_of(folder: Folder, file: str) -> NDArray[np.float64]:
    return matrix_of(folder.read(file), _MARKUP, folder.place / file, MOST_BYTES)


def grey_of(item: int) -> int:
    """Grey level of frame `item` (from 0) in a film that `write` made; frames in a row differ by 8 or more."""
    return 16 + item * 8 % 216


def _level(row: Mapping[str, Any], unit: int, options: Options) -> str:
    present = {"1": str(options.threshold), "0": "0"}
    return row.get(f"value:intensity_au{unit}") or present[row.get(f"value:au{unit}", "0")]


def _write_film(file: Path, count: int) -> None:
    """A film of `count` frames at 20 a second, as DISFA's are."""
    import av

    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for item in range(count):
            pixels = np.full((32, 48, 3), grey_of(item), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _write_points(folder: Path, subject: str, given: Mapping[int, Sequence[float]]) -> None:
    """Points of frames from 0: counted from 0 or, for subjects of even number, from 1, with a file too many before."""
    if not given:
        return
    from scipy.io import savemat

    odd = int(subject[2:]) % 2 == 1
    place = folder / _POINT_FOLDERS[subject == "SN001"]
    place.mkdir(parents=True, exist_ok=True)
    names = {f"{subject}_{item:04d}_lm.mat" if odd else f"l{item + 1:05d}_lm.mat": item for item in given}
    if not odd:
        names["l00000_lm.mat"] = min(given)
    for name, item in names.items():
        five = np.array(given[item], np.float64).reshape(5, 2)
        markup = np.repeat(five[2:3], _MARKUP[0], axis=0)
        markup[36:42], markup[42:48], markup[48], markup[54] = five[0], five[1], five[3], five[4]
        savemat(place / name, {"pts": markup}, do_compression=odd)
