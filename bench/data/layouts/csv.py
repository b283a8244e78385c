"""One table of labels beside a folder of images: a row an image, a column a task, blank = missing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
from PIL import Image
from pydantic import Field

from bench.errors import DataError, did_you_mean
from bench.specs.model import Frozen


class Options(Frozen):
    """Where things stand. `split` and `group` may be left out where the table has no such columns."""

    file: str = Field(default="labels.csv", description="The table, under the root of the copy.")
    images: str = Field(default="images", description="The folder that image paths start from; `.` for the root.")
    image: str = Field(default="file", description="Column of image paths.")
    split: str | None = Field(default=None, description="Column of split names.")
    group: str | None = Field(default=None, description="Column of groups that must not be divided between splits.")
    delimiter: str = Field(default=",", min_length=1, max_length=1)


def label_files(root: Path, options: Options) -> list[Path]:
    """The table."""
    return [root / options.file]


def read(root: Path, options: Options, columns: Sequence[str]) -> pa.Table:
    """Read the table; all values as text. Raises `DataError` for a missing file or column, or a malformed row."""
    file = root / options.file
    wanted = {"image": options.image, "split": options.split, "group": options.group}
    needed = [*(name for name in wanted.values() if name is not None), *columns]
    header = _header(file, options.delimiter)
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
    arrays = {name: table[column] for name, column in wanted.items() if column is not None}
    arrays["image"] = pa.chunked_array(
        [[f"{options.images}/{value}" for value in arrays["image"].to_pylist()]], type=pa.string()
    )
    return pa.table(arrays | {f"value:{column}": table[column] for column in columns})


def write(root: Path, table: pa.Table, options: Options) -> None:
    """Write a fixture: the table, and for each row a small image of one colour."""
    columns = {"image": options.image, "split": options.split, "group": options.group}
    columns |= {name: name.removeprefix("value:") for name in table.column_names if name.startswith("value:")}
    header: dict[str, str] = {}
    for key, name in columns.items():
        if name is not None and key in table.column_names:
            header.setdefault(name, key)  # one column may serve twice, as the group and as a label
    target = root / options.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=options.delimiter)
        writer.writerow(header)
        for row in table.select(list(header.values())).to_pylist():
            image = root / row["image"]
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 20), _colour(row["image"])).save(image)
            row["image"] = row["image"].removeprefix(f"{options.images}/")
            writer.writerow(row.values())


def _colour(text: str) -> tuple[int, int, int]:
    number = sum((i + 1) * byte for i, byte in enumerate(text.encode()))
    return number % 256, number // 7 % 256, number // 49 % 256


def _header(file: Path, delimiter: str) -> list[str]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream, delimiter=delimiter), [])
    except FileNotFoundError as error:
        raise DataError(f"{file} is missing", hint="check the path of the copy: `bench data list`") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not readable as a table: {error}") from error
    for column in header:
        if header.count(column) > 1:
            raise DataError(f"{file}: the column '{column}' stands twice in the header")
    return header
