"""Animals with Attributes 2: photographs of fifty kinds of animals, and a table of 85 attributes by kind.

    Animals_with_Attributes2/           (or its content)
        JPEGImages/<class>/*.jpg        JPEGImages/grizzly+bear/grizzly+bear_10001.jpg
        classes.txt                     "    1\tantelope"
        predicates.txt                  "    1\tblack"
        predicate-matrix-binary.txt     a line a class of zeros and ones, a number a predicate

Columns: `class`, with blanks for the `+` of folder names, and each predicate by its name, 0 or 1. Attributes are those
of the class: every image of a class has the same, also if they do not show in it. Splits are therefore by image, and
attribute tasks are relabelings of the class.

Not read: `predicate-matrix-continuous.txt` (percentages, -1 where unknown), and `trainclasses.txt` and
`testclasses.txt`: those, like the proposed split of Xian et al., divide the classes for zero-shot learning, while here
every class stands in every split. There is no official division of the images.

Source: Xian, Lampert, Schiele and Akata, TPAMI 2019, https://cvml.ista.ac.at/AwA2/ (37,322 images); files as public
loaders read them, among them birder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.layouts._files import (
    first_present,
    inside,
    lines_of,
    names_in,
    refuse_unknown,
    write_lines,
    write_picture,
)
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean
from bench.specs.model import Frozen

VARIANTS = ("official",)
CLASS = "class"
LISTS = ("classes.txt", "predicates.txt", "predicate-matrix-binary.txt")


class Options(Frozen):
    """There are none."""


def columns(options: Options) -> None:
    """Only `predicates.txt` knows."""


def recognise(root: Path, options: Options) -> str:
    """There is one variant: the lists and a folder of images beside them."""
    base = _base(root)
    for name in (*LISTS, "JPEGImages"):
        first_present(root, [str(base.relative_to(root) / name)], f"`{name}`")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The lists of classes and predicates, and the table."""
    return [_base(root) / name for name in LISTS]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows by class as listed, then by name. Raises `DataError` for lists that do not fit together."""
    recognise(root, options)
    base, skipped = _base(root), Skipped()
    classes = _names(root, base / LISTS[0])
    predicates = _names(root, base / LISTS[1])
    table = _matrix(root, base / LISTS[2], len(classes), len(predicates))
    refuse_unknown(columns, (CLASS, *predicates), base / LISTS[1])
    listed = [_images_of(root, base, name, skipped) for name in classes]
    _refuse_strangers(base / "JPEGImages", classes)
    images = [image for names in listed for image in names]
    kinds = np.repeat(np.arange(len(classes)), [len(names) for names in listed])
    arrays = {"image": pa.array(images, pa.string())}
    if base != root:
        arrays["file"] = pa.array([f"{base.name}/{image}" for image in images], pa.string())
    codes = {name: table[:, place] for place, name in enumerate(predicates)}
    codes[CLASS] = np.array([name.replace("+", " ") for name in classes])
    arrays |= {f"value:{column}": pa.array(codes[column][kinds], pa.string()) for column in columns}
    return Reading(pa.table(arrays), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows; a class has the attributes of its first row."""
    predicates = [name for name in rows.column_names if name.startswith("value:") and name != f"value:{CLASS}"]
    of_class: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        of_class.setdefault(PurePosixPath(row["image"]).parent.name, [row[name] for name in predicates])
        write_picture(root / row["image"])
    write_lines(root / LISTS[0], [f"{i:5d}\t{name}" for i, name in enumerate(of_class, 1)])
    names = [name.removeprefix("value:") for name in predicates]
    write_lines(root / LISTS[1], [f"{i:5d}\t{name}" for i, name in enumerate(names, 1)])
    write_lines(root / LISTS[2], [" ".join(codes) for codes in of_class.values()])


def _base(root: Path) -> Path:
    """The folder that holds `classes.txt`."""
    return first_present(root, ["classes.txt", "Animals_with_Attributes2/classes.txt"], "the list of classes").parent


def _names(root: Path, file: Path) -> list[str]:
    """Names of a numbered list, in order."""
    names: list[str] = []
    for line, text in lines_of(root, file):
        fields = text.split()
        if len(fields) != 2 or fields[0] != str(len(names) + 1):
            raise DataError(f"{file}:{line}: expected the number {len(names) + 1} and a name, found '{text[:60]}'")
        name = fields[1]
        if "/" in name or name.startswith("."):
            raise DataError(f"{file}:{line}: '{name[:60]}' is no name")
        if name in names:
            raise DataError(f"{file}:{line}: '{name}' stands twice")
        names.append(name)
    if not names:
        raise DataError(f"{file} is empty", hint="get this file anew")
    return names


def _matrix(root: Path, file: Path, height: int, width: int) -> NDArray[np.str_]:
    """The table of classes and predicates, [height, width] of "0" and "1"."""
    rows: list[list[str]] = []
    for line, text in lines_of(root, file):
        codes = text.split()
        odd = next((code for code in codes if code not in ("0", "1")), None)
        if odd is not None or len(codes) != width:
            what = f"{len(codes)} of them" if odd is None else f"'{odd[:40]}'"
            raise DataError(f"{file}:{line}: expected {width} times 0 or 1, one for each predicate; found {what}")
        rows.append(codes)
    if len(rows) != height:
        raise DataError(f"{file} has {len(rows)} rows, expected {height}, one for each class")
    return np.array(rows)


def _images_of(root: Path, base: Path, name: str, skipped: Skipped) -> list[str]:
    """Images of a class, as `JPEGImages/<class>/<file>`, sorted."""
    folder = inside(root, str((base / "JPEGImages" / name).relative_to(root)))
    if folder is None or not folder.is_dir():
        raise DataError(f"{base / 'JPEGImages'} has no folder for the class '{name}'", hint="unpack the archive anew")
    files = [file for file in names_in(folder) if not file.startswith(".")]
    images = [f"JPEGImages/{name}/{file}" for file in files]
    for image in images:
        if not image.lower().endswith(".jpg"):
            skipped.add("no JPEG file", image)
    return [image for image in images if image.lower().endswith(".jpg")]


def _refuse_strangers(folder: Path, classes: Sequence[str]) -> None:
    """A folder of images that no line of `classes.txt` names would be lost without a word."""
    strange = (name for name in names_in(folder) if name not in classes and not name.startswith("."))
    strangers = [name for name in strange if (folder / name).is_dir()]
    if strangers:
        raise DataError(
            f"{folder}: classes.txt does not name the class '{strangers[0]}'{did_you_mean(strangers[0], classes)}",
            hint="get classes.txt anew, or take the folder out",
        )
