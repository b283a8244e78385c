"""BP4D and BP4D+: films of people as numbered images, with one table of action units a sequence.

    AUCoding/AU_OCC/F001_T1.csv           one row a coded frame; the older distribution has AUCoding/F001_T1.csv
    BP4D-training/F001/T1/2440.jpg        variant `training`
    Sequences(2D+3D)/F001/T1/2440.jpg     variant `sequences`; also spelt Sequences_2D+3D
    F001/T1/2440.jpg                      variant `bare`
    2D+3D/F001/T1/0001.jpg                BP4D+ (`release: plus`), variant `plus`; shipped as 2D+3D/F001.zip

Tables: the first column is the frame number, whatever its header says. Mostly the header counts 0, 1, ..., 99 and the
column N is AU N; BP4D+ and some files of BP4D that were released again (such as F013) name some 35 coded units only,
and the header begins `1,1,2,4`. A file without any header is read by position if it has 100 columns. Codes: 0 absent,
1 present, 9 not coded.

BP4D has 41 subjects (F001 to F023, M001 to M018) in 8 tasks each; BP4D+ has 140 subjects, coded in T1, T6, T7 and T8.
Frame numbers do not begin at 1, and image names are padded to 3 or 4 digits, from folder to folder. Public loaders
disagree whether frame f of a BP4D+ table is image f or f - 1: see `frame_offset`. Coded frames without an image are
left out and counted.

Sources: Zhang et al., BP4D-Spontaneous, Image and Vision Computing 32(10), 2014; Zhang et al., Multimodal Spontaneous
Emotion Corpus, CVPR 2016; files as read by CVI-SZU/ME-GraphAU (tool/BP4D_image_label_process.py), cosanlab/py-feat and
ubicomplab/rPPG-Toolbox (BP4DPlusLoader).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field

from bench.data.layouts._files import (
    first_present,
    lines_of,
    listing,
    names_if_there,
    refuse_unknown,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.layouts._frames import numbered_images
from bench.data.reading import Reading, Skipped
from bench.errors import DataError
from bench.specs.model import AllDifferent, Frozen

VARIANTS = ("training", "sequences", "bare", "plus")

SUBJECTS = (*(f"F{number:03d}" for number in range(1, 24)), *(f"M{number:03d}" for number in range(1, 19)))
TASKS = {"bp4d": ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8"), "plus": ("T1", "T6", "T7", "T8")}
"""Tasks that every subject is coded in, by release."""
UNITS = {f"au{number}": number for number in range(1, 99)}
"""Columns by name; the last of 100 columns is no unit."""

NO_IMAGE = "coded frame without an image"

_FOLDERS = {
    "training": ("BP4D-training",),
    "sequences": ("Sequences(2D+3D)", "Sequences_2D+3D"),
    "bare": (".",),
    "plus": ("2D+3D",),
}
_TABLES = ("AUCoding/AU_OCC", "AUCoding")
_TABLE = re.compile(r"([FM][0-9]{3})_(T[1-8])\.csv")
_SUBJECT = re.compile(r"[FM][0-9]{3}")
_COLUMN = re.compile(r"(?:AU)?\s*([0-9]{1,3})", re.IGNORECASE)
_BY_POSITION = 100
_MOST_FRAMES = 1_000_000


class Options(Frozen):
    """Which release, and what of it is there."""

    release: Literal["bp4d", "plus"] = Field(default="bp4d", description="`plus` for BP4D+.")
    subjects: Annotated[tuple[str, ...], Field(min_length=1), AllDifferent] | None = Field(
        default=None, description="Subjects to read, such as F001; left out: all, and all must be there."
    )
    frame_offset: Literal[0, -1] | None = Field(
        default=None,
        description="What is added to a coded frame's number to get its image's. Left out: 0, unless -1 leaves fewer "
        "coded frames without an image, which is refused.",
    )


def columns(options: Options) -> Sequence[str]:
    """au1 to au98; which of them a release codes, only its tables know."""
    return tuple(UNITS)


def recognise(root: Path, options: Options) -> str:
    """Which folder holds the images. Raises `DataError` where images or tables are missing."""
    first_present(root, _TABLES, "the folder of action unit tables")
    return _images(root, options)[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The tables of the subjects that are read, sorted."""
    return [file for _, _, file in _tables(root, options)]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read all coded frames that have an image. Raises `DataError`."""
    variant, folder = _images(root, options)
    refuse_unknown(columns, UNITS, root)
    tables = _tables(root, options)
    _check_complete(root, options, tables)
    found: dict[str, list[str]] = {"image": [], "group": []}
    found |= {f"value:{column}": [] for column in columns}
    skipped, absent = Skipped(), {0: 0, -1: 0}
    for subject, task, file in tables:
        images = numbered_images(root, f"{folder}{subject}/{task}")
        coded = _coded(root, file, columns)
        for offset in absent:
            absent[offset] += sum(frame + offset not in images for frame in coded)
        for frame, codes in coded.items():
            image = images.get(frame + (options.frame_offset or 0))
            if image is None:
                skipped.add(NO_IMAGE, f"{subject}/{task}/{frame}")
                continue
            for name, value in zip(found, (image, subject, *codes), strict=True):
                found[name].append(value)
    if options.frame_offset is None and absent[-1] < absent[0]:
        raise DataError(
            f"{root}: {absent[0]} coded frames have no image of their number, and {absent[-1]} have none of the number "
            "before it: images seem to be numbered one less",
            hint="look at some frames, then set `frame_offset: -1` (or 0) under `layout` in the dataset spec",
        )
    return Reading(pa.table({name: pa.array(values, pa.string()) for name, values in found.items()}), variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str) -> None:
    """Write a fixture: tables of every task of each subject, images, and one coded frame a sequence without an image.

    Images are named as the rows say, under the variant's folder, and one more of each sequence is not coded.
    """
    sequences: dict[tuple[str, str], dict[int, Mapping[str, str]]] = defaultdict(dict)
    for row in rows.to_pylist():
        subject, task, name = row["image"].split("/")[-3:]
        sequences[subject, task][int(Path(name).stem) - (options.frame_offset or 0)] = row
        write_picture(root / row["image"])
    folder = root / (_TABLES[1] if variant == "sequences" else _TABLES[0])
    for subject in sorted({subject for subject, _ in sequences}):
        for task in TASKS[options.release]:
            coded = sequences[subject, task]
            after = max(coded, default=0) + 1
            pad = 3 if subject >= "M009" else 4
            write_picture(root / _FOLDERS[variant][0] / subject / task / f"{after + 5:0{pad}d}.jpg")
            short = variant == "plus" or subject in _NAMED_AGAIN
            lines = [_line(frame, row, short=short) for frame, row in sorted(coded.items())]
            head = ["1", *map(str, _SHORT)] if short else list(map(str, range(_BY_POSITION)))
            write_lines(folder / f"{subject}_{task}.csv", [",".join(head), *lines, _line(after, {}, short=short)])


def _images(root: Path, options: Options) -> tuple[str, str]:
    """The variant, and the folder of the subjects' folders as the beginning of a path under the root."""
    variants = ("plus",) if options.release == "plus" else ("training", "sequences", "bare")
    for variant in variants:
        for name in _FOLDERS[variant]:
            if any(map(_SUBJECT.fullmatch, names_if_there(root, name))):
                return variant, "" if name == "." else f"{name}/"
    looked_for = ", ".join(f"{name}/F001" for variant in variants for name in _FOLDERS[variant])
    raise DataError(
        f"{root}: no folders of images by subject (looked for {looked_for}; there is {listing(root)})",
        hint="give the folder that holds AUCoding and the images; unpack the archives of single subjects first",
    )


def _tables(root: Path, options: Options) -> list[tuple[str, str, Path]]:
    """Subject, task and file of every table that is read, sorted."""
    for name in _TABLES:
        matches = [match for match in map(_TABLE.fullmatch, names_if_there(root, name)) if match is not None]
        if matches:
            wanted = options.subjects
            return [(m[1], m[2], root / name / m[0]) for m in matches if wanted is None or m[1] in wanted]
    raise DataError(
        f"{root}: no table such as {_TABLES[0]}/F001_T1.csv (there is {listing(root)})",
        hint="give the folder that holds AUCoding and the images",
    )


def _check_complete(root: Path, options: Options, tables: Sequence[tuple[str, str, Path]]) -> None:
    """Every subject is there and coded in every task, and nobody else is. BP4D+ is counted by its spec instead."""
    there = {(subject, task) for subject, task, _ in tables}
    subjects = options.subjects or (SUBJECTS if options.release == "bp4d" else sorted({name for name, _ in there}))
    strange = sorted({subject for subject, _ in there} - set(subjects))
    if strange:
        raise DataError(
            f"{root}: {', '.join(strange[:6])} is not among the {len(subjects)} subjects of BP4D",
            hint="if the copy is right, list its subjects under `layout.subjects` in the dataset spec",
        )
    absent = [f"{name}_{task}.csv" for name in subjects for task in TASKS[options.release] if (name, task) not in there]
    if absent:
        raise DataError(
            f"{root}: {len(absent)} action unit tables are missing: {', '.join(absent[:6])}",
            hint="complete the copy, or list the subjects that it has under `layout.subjects` in the dataset spec",
        )


_Lines = Iterator[tuple[int, list[str]]]


def _coded(root: Path, file: Path, columns: Sequence[str]) -> dict[int, list[str]]:
    """Codes of the columns by frame number, in the order of the file."""
    lines: _Lines = ((number, line.split(",")) for number, line in lines_of(root, file))
    places, width, lines = _header(file, lines, columns)
    found: dict[int, list[str]] = {}
    for number, values in lines:
        where = f"{file}:{number}"
        if len(values) != width:
            raise DataError(f"{where}: {len(values)} values under {width} columns", hint="get this file anew")
        frame = whole_number(values[0], where, low=0, high=_MOST_FRAMES)
        if frame in found:
            raise DataError(f"{where}: frame {frame} is coded twice", hint="get this file anew")
        found[frame] = [values[place].strip() for place in places]
    if not found:
        raise DataError(f"{file} codes no frame", hint="get this file anew")
    return found


def _header(file: Path, lines: _Lines, columns: Sequence[str]) -> tuple[list[int], int, _Lines]:
    """Where the columns stand, how many there are, and the lines of codes."""
    number, header = next(lines, (1, []))
    matches = [_COLUMN.fullmatch(name.strip()) for name in header[1:]]
    named = [int(match[1]) for match in matches if match is not None]
    if header and len(set(named)) == len(named):
        by_unit = {int(match[1]): place for place, match in enumerate(matches, 1) if match is not None}
        for column in columns:
            if UNITS[column] not in by_unit:
                raise DataError(f"{file}:{number}: no column for {column}; there is {', '.join(header[:40])}")
        return [by_unit[UNITS[column]] for column in columns], len(header), lines
    if len(header) != _BY_POSITION:
        raise DataError(
            f"{file}:{number}: expected a header of unit numbers, or {_BY_POSITION} columns without one; "
            f"found {len(header)} columns: {', '.join(header[:8])}",
            hint="get this file anew",
        )
    return [UNITS[column] for column in columns], _BY_POSITION, _chained((number, header), lines)


def _chained(first: tuple[int, list[str]], rest: _Lines) -> _Lines:
    yield first
    yield from rest


_NAMED_AGAIN = ("F013",)
"""Subjects whose tables `write` gives the shorter header in BP4D."""


_SHORT = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28, 29, 30, 31, 32, 33, 34,
          35, 36, 37, 38, 39)  # fmt: skip


def _line(frame: int, row: Mapping[str, str], *, short: bool) -> str:
    units = _SHORT if short else range(1, _BY_POSITION)
    return ",".join([str(frame), *(row.get(f"value:au{unit}", "9") for unit in units)])
