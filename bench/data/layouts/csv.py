"""One table of labels beside a folder of images: a row an image, a column a task, blank = missing."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic import Field

from bench.data.layouts._files import OUTSIDE, held, write_picture
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean
from bench.specs.model import Frozen

VARIANTS = ("table",)
ODD_PATH = r"(^|/)\.{1,2}(/|$)|//"
"""A path that may be spelt otherwise: each image has one name."""


class Options(Frozen):
    """Where things stand. `split` and `group` may be left out where the table has no such columns."""

    file: str = Field(default="labels.csv", description="The table, under the root of the copy.")
    images: str = Field(default="images", description="The folder that image paths start from; `.` for the root.")
    image: str = Field(default="file", description="Column of image paths.")
    split: str | None = Field(default=None, description="Column of split names.")
    group: str | None = Field(default=None, description="Column of groups that must not be divided between splits.")
    delimiter: str = Field(default=",", pattern=r"^[\t -~]$", description="One ASCII character.")


def columns(options: Options) -> None:
    """Only the table knows."""


def recognise(root: Path, options: Options) -> str:
    """There is one variant; the table must be there."""
    _header(root, options)
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The table."""
    return [root / options.file]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read the table; all values as text. Raises `DataError` for a missing file or column, or a malformed row."""
    file = root / options.file
    wanted = {"image": options.image, "split": options.split, "group": options.group}
    needed = [*(name for name in wanted.values() if name is not None), *columns]
    header = _header(root, options)
    for column in needed:
        if column not in header:
            raise DataError(f"{file}: there is no column '{column}'{did_you_mean(column, header)}")
    try:
        table = pa_csv.read_csv(
            file,
            parse_options=pa_csv.ParseOptions(delimiter=options.delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(needed)),
                column_types={name: pa.string() for name in header},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: not readable as a table: {error}") from error
    for column in table.column_names:
        if pc.any(pc.match_substring(table[column], "\x00")).as_py():
            raise DataError(
                f"{file}: the column '{column}' holds NUL bytes: not a text file", hint="get this file anew"
            )
    arrays = {name: table[column] for name, column in wanted.items() if column is not None}
    names, skipped = _inside(arrays["image"], options.images)
    arrays["image"] = names
    rows = pa.table(arrays | {f"value:{column}": table[column] for column in columns})
    return Reading(rows.filter(pc.is_valid(names)), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Write a fixture: the table, and for each row a small image of one colour."""
    columns = {"image": options.image, "split": options.split, "group": options.group}
    columns |= {name: name.removeprefix("value:") for name in rows.column_names if name.startswith("value:")}
    header: dict[str, str] = {}
    for key, name in columns.items():
        if name is not None and key in rows.column_names:
            header.setdefault(name, key)  # one column may serve twice, as the group and as a label
    target = root / options.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=options.delimiter)
        writer.writerow(header)
        for row in rows.select(list(header.values())).to_pylist():
            write_picture(root / row["image"])
            row["image"] = row["image"].removeprefix(f"{options.images}/")
            writer.writerow(row.values())


def _inside(given: pa.ChunkedArray, folder: str) -> tuple[pa.ChunkedArray, Skipped]:
    """Paths under the root; null where one climbs out of it."""
    skipped = Skipped()
    names = given if folder == "." else pc.binary_join_element_wise(folder, given, "/")
    if not pc.any(pc.match_substring_regex(names, ODD_PATH)).as_py():
        return names, skipped
    found: list[str | None] = []
    for name in names.to_pylist():
        path = posixpath.normpath(name).lstrip("/")
        outside = path.startswith("..")
        found.append(None if outside else path)
        if outside:
            skipped.add(OUTSIDE, name)
    return pa.chunked_array([pa.array(found, pa.string())]), skipped


def _header(root: Path, options: Options) -> list[str]:
    file = root / options.file
    held(root, options.file)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream, delimiter=options.delimiter), [])
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing", hint="check the path of the copy: `bench data list`") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not readable as a table: {error}") from error
    for column in header:
        if header.count(column) > 1:
            raise DataError(f"{file}: the column '{column}' stands twice in the header")
    return header
