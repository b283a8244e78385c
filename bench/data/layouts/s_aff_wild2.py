"""s-Aff-Wild2: frames of the films of Aff-Wild2 with expression and action units, for multi-task learning.

    training_set_annotations.txt      or in annotations/, Annotations/ or MTL_Challenge/
    validation_set_annotations.txt
        image,valence,arousal,expression,aus
        video79_left/00001.jpg,0.25,-0.1,4,0,0,0,1,1,1,1,0,0,0,1,0
    cropped_aligned/<film>/00001.jpg          also cropped_aligned_new_50_vids/<film>/
    MTL_Challenge_test_set_release.txt        names only, labels were never released: not read

The header has five names, the rows have 16 values: path, valence, arousal, expression and twelve action units. They are
offered as the columns `expression` (0 neutral, 1 anger, 2 disgust, 3 fear, 4 happiness, 5 sadness, 6 surprise, 7 other,
-1 invalid) and `au1`, `au2`, `au4`, ... `au26` (0 absent, 1 present, -1 invalid). Valence and arousal (-1 to 1, -5
invalid) are no classes and not offered. The split of a row is its file: `training` or `validation`; its group is the
film. `<film>_left` and `<film>_right` are the two faces of one film and one group.

Quirks, which `write` reproduces:

- Some releases end each row in a comma.
- Some of the action units of a frame may be invalid. As in public loaders, all twelve count as invalid then.
- Rows without one valid annotation of the three, and rows whose image is not there (no face was found in the frame),
  are left out by name.

Sources: Kollias, ABAW: Valence-Arousal Estimation, Expression Recognition, Action Unit Detection & Multi-Task Learning
Challenges, https://arxiv.org/abs/2202.10659; https://ibug.doc.ic.ac.uk/resources/aff-wild2/; rows, invalid values and
masks as public loaders read them, among them sb-ai-lab/EmotiEffLib (abaw4_mtl_train.ipynb) and msy1412/ABAW4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.data.layouts._files import (
    OUTSIDE,
    fields_of,
    first_present,
    inside,
    is_relative_name,
    names_in,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.reading import Reading, Skipped, chosen_columns
from bench.errors import DataError
from bench.specs.model import Frozen

VARIANTS = ("mtl",)
FOLDERS = ("", "annotations/", "Annotations/", "MTL_Challenge/")
FILES = {"training": "training_set_annotations.txt", "validation": "validation_set_annotations.txt"}
IMAGES = ("cropped_aligned", "cropped_aligned_new_50_vids")
HEADER = ("image", "valence", "arousal", "expression", "aus")
UNITS = ("au1", "au2", "au4", "au6", "au7", "au10", "au12", "au15", "au23", "au24", "au25", "au26")
VALUES = 4 + len(UNITS)
INVALID = "-1"
NO_AFFECT = -5.0
"""Valence or arousal that is invalid."""

LAST_EXPRESSION = 7
MOST_LOST = 0.05
"""Largest part of the rows that may have no image."""

NO_IMAGE = "no image, as no face was found in the frame"
NO_ANNOTATION = "no valid annotation"


class Options(Frozen):
    """There is nothing to choose."""


def columns(options: Options) -> list[str]:
    """The expression and the twelve action units."""
    return ["expression", *UNITS]


def recognise(root: Path, options: Options) -> str:
    """Both lists and a folder of images must be there."""
    label_files(root, options)
    first_present(root, IMAGES, "the folder of images")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The lists of training and validation."""
    return [_list_of(root, split) for split in FILES]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of the lists, training first. Raises `DataError` for malformed rows or many missing images."""
    recognise(root, options)
    skipped = Skipped()
    films = _Films(root)
    rows: list[_Row] = []
    count = 0
    for split in FILES:
        for row in _rows_of(root, split, skipped):
            count += 1
            row.image = films.image(row.name)
            if row.image:
                rows.append(row)
            else:
                skipped.add(NO_IMAGE, row.name)
    lost = skipped.counts.get(NO_IMAGE, 0)
    if lost > MOST_LOST * count:
        raise DataError(
            f"{root}: {lost} of {count} annotated images are not there, such as {skipped.names[NO_IMAGE][0]}",
            hint="unpack all parts of cropped_aligned into one folder beside the lists",
        )
    values = {"expression": [row.expression for row in rows]}
    values |= {unit: [row.units[place] for row in rows] for place, unit in enumerate(UNITS)}
    arrays = {
        "image": pa.array([row.image for row in rows], pa.string()),
        "split": pa.array([row.split for row in rows], pa.string()),
        "group": pa.array([_group(row.name) for row in rows], pa.string()),
    }
    return Reading(pa.table(arrays | chosen_columns(columns, values, root)), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Both lists and the images, with one frame without an image and one without a valid annotation in each list.

    Of units that are all invalid only the first is written so; rows of validation end in a comma.
    """
    for split, file in FILES.items():
        lines = [",".join(HEADER)]
        for row in rows.to_pylist():
            write_picture(root / row["image"], (16, 16))
            if row["split"] == split:
                lines.append(_line(row) + ("," if split == "validation" else ""))
        if len(lines) > 20:  # rows without an image are refused where they are many
            lines.insert(2, f"lost/00001.jpg,0.1,0.2,3,{','.join('0' * len(UNITS))}")
        lines.append(f"lost/00002.jpg,-5,-5,-1,{','.join([INVALID] * len(UNITS))}")
        write_lines(root / file, lines)
    (root / IMAGES[0]).mkdir(parents=True, exist_ok=True)


@dataclass
class _Row:
    """One row: `name` as in the list, `image` under the root (blank as long as it is not found)."""

    name: str
    split: str
    expression: str
    units: list[str]
    image: str = ""


def _list_of(root: Path, split: str) -> Path:
    return first_present(root, [folder + FILES[split] for folder in FOLDERS], f"the list of {split}")


def _rows_of(root: Path, split: str, skipped: Skipped) -> Iterator[_Row]:
    """Rows of one list that have a valid annotation and a path of film and frame."""
    file = _list_of(root, split)
    lines = fields_of(root, file)
    number, header = next(lines, (1, []))
    if tuple(header) != HEADER:
        raise DataError(f"{file}:{number}: expected the header {','.join(HEADER)}, found '{','.join(header)[:80]}'")
    for number, fields in lines:
        where = f"{file}:{number}"
        if len(fields) == VALUES + 1 and not fields[-1]:
            fields.pop()
        if len(fields) != VALUES:
            raise DataError(
                f"{where}: {len(fields)} values, expected {VALUES}: path, 2 of affect, expression, 12 units"
            )
        name = fields[0]
        if not is_relative_name(name):
            skipped.add(OUTSIDE, f"{file.name}:{number}: {name[:80]}")
            continue
        if name.count("/") != 1:
            raise DataError(f"{where}: expected a path such as film/00001.jpg, found '{name[:80]}'")
        affect = [_affect(field, where) for field in fields[1:3]]
        expression = str(_code(fields[3], where, LAST_EXPRESSION))
        units = [str(_code(field, where, 1)) for field in fields[4:]]
        if INVALID in units:
            units = [INVALID] * len(UNITS)
        if NO_AFFECT in affect and expression == INVALID and units[0] == INVALID:
            skipped.add(NO_ANNOTATION, name)
        else:
            yield _Row(name, split, expression, units)


def _code(text: str, where: str, high: int) -> int:
    return int(text) if text in ("0", "1") else whole_number(text, where, low=-1, high=high)


def _affect(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (-1 <= value <= 1 or value == NO_AFFECT):
        raise DataError(f"{where}: expected valence and arousal from -1 to 1, or -5; found '{text[:40]}'")
    return value


class _Films:
    """Which frames have an image; the folder of each film is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, tuple[str, frozenset[str]]] = {}

    def image(self, name: str) -> str:
        """The path under the root of `film/frame.jpg`, blank if there is none."""
        film, _, frame = name.partition("/")
        if film not in self._found:
            self._found[film] = self._listed(film)
        folder, frames = self._found[film]
        return f"{folder}/{name}" if frame in frames else ""

    def _listed(self, film: str) -> tuple[str, frozenset[str]]:
        for folder in IMAGES:
            path = inside(self._root, f"{folder}/{film}")
            if path is not None and path.is_dir():
                return folder, frozenset(names_in(path))
        return IMAGES[0], frozenset()


def _group(name: str) -> str:
    """The film that a frame is from."""
    return re.sub(r"_(left|right)$", "", name.partition("/")[0])


def _line(row: dict[str, Any]) -> str:
    units = [row.get(f"value:{unit}", "0") for unit in UNITS]
    if INVALID in units:
        units = [INVALID, *["0"] * (len(UNITS) - 1)]
    name = row["image"].partition("/")[2]
    return ",".join([name, "0.25", "-0.125", row.get("value:expression", "0"), *units])
