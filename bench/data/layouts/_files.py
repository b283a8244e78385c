"""What readers of layouts share: finding files under a root, reading text strictly, and writing fixtures."""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from bench.data.reading import Skipped
from bench.errors import DataError, did_you_mean, is_infrastructure

MAX_LINE = 1 << 20
"""Characters in one line of a label file; more means that it is no such file."""
OUTSIDE = "path leads out of the copy"
"""Why rows are skipped whose path is not relative (see `is_relative_name`)."""
_ODD_PATH = r"(^|/)\.{1,2}(/|$)|//"
"""A path that may be spelt otherwise: each image has one name."""


def inside(root: Path, name: str) -> Path | None:
    """`root/name` if that lies under `root` once links are followed, else None. The file need not exist."""
    if not is_relative_name(name):
        return None
    try:
        path = root / name
        return path if path.resolve().is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file can have
        return None


def _below(path: str) -> str:
    if not is_relative_name(path):
        raise PydanticCustomError("path", "'{path}' is no path below the root of the copy", {"path": path})
    return path


PathInCopy = Annotated[str, AfterValidator(_below)]
"""An option of a layout: a path below the root of the copy, `.` for the root itself."""


def held(root: Path, name: str) -> Path:
    """`root/name`. Raises `DataError` if that does not lie under `root` once links are followed."""
    path = inside(root, name)
    if path is None:
        raise DataError(f"{root / name} leads out of {root}", hint="a copy must hold its files itself")
    return path


def is_there(root: Path, name: str) -> bool:
    """Whether `root/name` exists and lies under `root`."""
    path = inside(root, name)
    return path is not None and path.exists()


def is_relative_name(name: str) -> bool:
    """Whether a path taken from a label file stays below where it starts: not absolute, no `..`, no odd characters."""
    if not name or "\x00" in name or "\\" in name or len(name) > 4096:
        return False
    return name[0] != "/" and (".." not in name or ".." not in name.split("/"))


def paths_inside(given: pa.ChunkedArray, folder: str, skipped: Skipped) -> pa.ChunkedArray:
    """Paths of images from the root, of paths from `folder` (`.`: the root); null and skipped where one climbs out."""
    names = given if folder == "." else pc.binary_join_element_wise(folder, given, "/")
    if not pc.any(pc.match_substring_regex(names, _ODD_PATH)).as_py():
        return names
    found: list[str | None] = []
    for name in names.to_pylist():
        path = posixpath.normpath(name).lstrip("/")
        outside = path.startswith("..")
        found.append(None if outside else path)
        if outside:
            skipped.add(OUTSIDE, name)
    return pa.chunked_array([pa.array(found, pa.string())])


def first_present(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of some places under `root` that is there. Raises `DataError` that names all of them."""
    for name in names:
        path = inside(root, name)
        if path is not None and path.exists():
            return path
    raise DataError(
        f"{root}: {what} is not there (looked for {', '.join(names)}; there is {listing(root)})",
        hint="give the folder that the data set was unpacked into: `bench data add NAME PATH`",
    )


def listing(folder: Path, most: int = 6) -> str:
    """Names in a folder for messages, shortened."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        return f"nothing readable: {error.strerror}"
    if not names:
        return "nothing"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def names_in(folder: Path) -> list[str]:
    """Sorted names in a folder that is known to lie inside the copy. Raises `DataError` where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{folder} cannot be listed: {error.strerror}", hint="complete the copy") from error


def names_if_there(root: Path, name: str) -> list[str]:
    """Sorted names in the folder `root/name`; none where there is no such folder."""
    folder = inside(root, name)
    return names_in(folder) if folder is not None and folder.is_dir() else []


def refuse_unknown(columns: Iterable[str], known: Iterable[str], where: object) -> None:
    """Raises `DataError` for a column that a layout does not have."""
    for column in columns:
        if column not in known:
            raise DataError(f"{where}: there is no column '{column}'{did_you_mean(column, known)}")


def lines_of(root: Path, file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 text file with their numbers from 1, without line ends; blank lines are passed over.

    Raises `DataError` for a file that is missing, outside `root`, not text, or has endless lines.
    """
    try:
        if not file.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{file} leads out of {root}", hint="a copy must hold its files itself")
        with file.open(encoding="utf-8-sig", newline=None) as stream:
            number = 0
            while line := stream.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE or "\x00" in line:
                    raise DataError(f"{file}:{number}: not a text file", hint="get this file anew")
                if line.strip():
                    yield number, line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error.reason})", hint="get this file anew") from error
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing", hint="complete the copy, or give its right place") from error
    except (OSError, RuntimeError) as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{file} cannot be read: {error}") from error


def fields_of(root: Path, file: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of a delimited file, each with its line number; quotes are understood, blanks around values taken off."""
    for number, line in lines_of(root, file):
        try:
            values = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise DataError(f"{file}:{number}: not readable as a table: {error}") from error
        yield number, [value.strip() for value in values]


def table_of(
    root: Path, file: Path, needed: Iterable[str], delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a delimited file with a header, by column. Raises `DataError` for missing columns and short rows."""
    header: list[str] = []
    for number, values in fields_of(root, file, delimiter):
        if not header:
            header = values
            absent = [name for name in needed if name not in header]
            if absent:
                raise DataError(f"{file}:{number}: no column {', '.join(absent)}; there is {', '.join(header[:12])}")
            if len(set(header)) < len(header):
                raise DataError(f"{file}:{number}: a column stands twice in the header")
            continue
        if len(values) != len(header):
            raise DataError(f"{file}:{number}: {len(values)} values under {len(header)} columns")
        yield number, dict(zip(header, values, strict=True))
    if not header:
        raise DataError(f"{file} is empty", hint="get this file anew")


def whole_number(text: str, where: str, *, low: int, high: int) -> int:
    """An integer within bounds, also if written as `3.0`. Raises `DataError` that says where it stands."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number != number or number != round(number, 0) or not low <= number <= high:
        raise DataError(f"{where}: expected a whole number from {low} to {high}, found '{text[:40]}'")
    return int(number)


def numbered_images(rows: pa.Table, folder: str, ending: str = ".jpg") -> pa.Table:
    """Made-up rows with `image`: numbered files under `folder`."""
    start = "" if folder == "." else f"{folder}/"
    images = pa.array([f"{start}{number:04d}{ending}" for number in range(rows.num_rows)], pa.string())
    return rows.add_column(0, "image", images)


def colour_of(name: str) -> tuple[int, int, int]:
    """A colour that follows from a name."""
    number = sum((i + 1) * byte for i, byte in enumerate(name.encode()))
    return number % 256, number // 7 % 256, number // 49 % 256


def write_picture(file: Path, size: tuple[int, int] = (24, 20)) -> None:
    """A small picture of one colour that follows from its name, in the format of the name's ending (else JPEG)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if file.suffix.lower() == ".png" else "JPEG"
    Image.fromarray(np.full((size[1], size[0], 3), colour_of(file.name), np.uint8)).save(file, kind)


def write_lines(file: Path, lines: Iterable[str], end: str = "\n") -> None:
    """A text file of some lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(line + end for line in lines).encode("utf-8"))
