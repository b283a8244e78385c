"""Tables of labels beside a folder of images: a row an image, a column a task, blank = missing.

    labels.csv                  file,split,photographer,category,colours
    images/0001.jpg             0001.jpg,train,ada,hat,red;green

One table or several, as `file: [train.csv, test.csv]`: then, unless a column names it, the split is the name of the
table without its ending. Tables may have columns in different orders.

Where `separator` is given, a cell may list several labels: the column C is offered label by label, as `C.LABEL`: 1 if
the row's cell lists it, else 0, blank where the cell is blank. A cell that holds separators only lists nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic import Field

from bench.data.layouts._files import PathInCopy, held, numbered_images, paths_inside, write_picture
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean
from bench.specs.model import AllDifferent, Frozen

VARIANTS = ("table",)


class Options(Frozen):
    """Where things stand. `split` and `group` may be left out where the tables have no such columns."""

    file: PathInCopy | Annotated[tuple[PathInCopy, ...], Field(min_length=1), AllDifferent] = Field(
        default="labels.csv", description="The table, or a list of tables, under the root of the copy."
    )
    images: PathInCopy = Field(
        default="images", description="The folder that image paths start from; `.` for the root."
    )
    image: str = Field(default="file", description="Column of image paths.")
    ending: str = Field(default="", pattern=r"^(\.\w+)?$", description="What image paths lack, such as `.jpg`.")
    split: str | None = Field(default=None, description="Column of split names.")
    group: str | None = Field(default=None, description="Column of groups that must not be divided between splits.")
    delimiter: str = Field(default=",", pattern=r"^[\t -~]$", description="One ASCII character.")
    separator: str | None = Field(
        default=None, min_length=1, description="What stands between labels in a cell that lists several, such as `;`."
    )

    @property
    def files(self) -> tuple[str, ...]:
        """All tables."""
        return (self.file,) if isinstance(self.file, str) else self.file


def columns(options: Options) -> None:
    """Only the tables know."""


def recognise(root: Path, options: Options) -> str:
    """There is one variant; the tables must be there."""
    for name in options.files:
        _header(root, name, options)
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The tables."""
    return [root / name for name in options.files]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read the tables; all values as text. Raises `DataError` for a missing file or column, or a malformed row."""
    headers = {name: _header(root, name, options) for name in options.files}
    rows = pa.concat_tables([_rows(root, name, header, options, columns) for name, header in headers.items()])
    for column in columns:
        listed = not any(column in header for header in headers.values())
        if listed and not pc.any(pc.equal(rows[f"value:{column}"], "1")).as_py():
            raise DataError(f"{root}: no row has '{column}'", hint="check how the label is spelt in the table")
    skipped = Skipped()
    images = paths_inside(rows["image"], options.images, skipped)
    rows = rows.set_column(0, "image", images)
    return Reading(rows.filter(pc.is_valid(images)), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Write a fixture: the tables, and for each row a small image of one colour."""
    by_table: dict[str, list[dict[str, str]]] = {name: [] for name in options.files}
    for number, row in enumerate(rows.to_pylist()):
        by_split = [name for name in options.files if options.split is None and _split_of(name) == row.get("split")]
        by_table[(by_split or options.files)[number % len(by_split or options.files)]].append(row)
        write_picture(root / row["image"])
    for name, members in by_table.items():
        written = [_written(row, options) for row in members] or [
            _written(dict.fromkeys(rows.column_names, ""), options)
        ]
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(written[0]), delimiter=options.delimiter, lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(written if members else [])


def named(rows: pa.Table, options: Options) -> pa.Table:
    """Made-up rows, their images numbered."""
    return numbered_images(rows, options.images, options.ending or ".jpg")


def _rows(root: Path, name: str, header: list[str], options: Options, columns: Sequence[str]) -> pa.Table:
    """image (as it stands in the table), split, group and values of one table."""
    wanted = {"image": options.image, "split": options.split, "group": options.group}
    named = {key: column for key, column in wanted.items() if column is not None}
    places = {column: _place_of(column, header, options) for column in columns}
    for column in (*named.values(), *(place for place, _ in places.values())):
        if column not in header:
            raise DataError(f"{root / name}: there is no column '{column}'{did_you_mean(column, header)}")
    table = _table(root / name, header, [*named.values(), *(place for place, _ in places.values())], options)
    arrays: dict[str, pa.ChunkedArray | pa.Array] = {key: table[column] for key, column in named.items()}
    if options.ending:
        arrays["image"] = pc.binary_join_element_wise(arrays["image"], options.ending, "")
    if options.split is None and len(options.files) > 1:
        arrays["split"] = pa.repeat(pa.scalar(_split_of(name)), table.num_rows)
    for column, (place, label) in places.items():
        arrays[f"value:{column}"] = table[place] if label is None else _marks(table[place], label, options)
    return pa.table(arrays)


def _place_of(column: str, header: Sequence[str], options: Options) -> tuple[str, str | None]:
    """The column of the table that holds a column, and the label where that lists labels."""
    if column in header or options.separator is None:
        return column, None
    heads = [head for head in header if column.startswith(f"{head}.")]
    head = max(heads, key=len, default=column)
    return head, column.removeprefix(f"{head}.") if heads else None


def _marks(cells: pa.ChunkedArray, label: str, options: Options) -> pa.Array:
    """1 where a cell lists the label, 0 where it lists others, blank where it is blank."""
    found = pc.dictionary_encode(cells).combine_chunks()
    marks = []
    for cell in found.dictionary.to_pylist():
        labels = {part.strip() for part in cell.split(options.separator)}
        marks.append("" if not cell.strip() else "1" if label in labels else "0")
    return pa.array(marks, pa.string()).take(found.indices)


def _table(file: Path, header: Sequence[str], needed: Sequence[str], options: Options) -> pa.Table:
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
    return table


def _header(root: Path, name: str, options: Options) -> list[str]:
    file = held(root, name)
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


def _split_of(name: str) -> str:
    """The split that the name of a table tells where no column does."""
    return PurePosixPath(name).stem


def _written(row: dict[str, str], options: Options) -> dict[str, str]:
    """A row's cells by column; one column may serve twice, as the group and as a label."""
    image = row["image"] if options.images == "." else row["image"].removeprefix(f"{options.images}/")
    cells = {options.image: image.removesuffix(options.ending)}
    cells |= {column: row[key] for key, column in (("split", options.split), ("group", options.group)) if column}
    marks: dict[str, dict[str, str]] = {}
    for key, value in row.items():
        column = key.removeprefix("value:")
        head, _, label = column.partition(".")
        if column == key:
            continue
        if label and options.separator is not None:
            marks.setdefault(head, {})[label] = value
        else:
            cells[column] = value
    for head, by_label in marks.items():
        assert options.separator is not None
        listed = options.separator.join(label for label, mark in by_label.items() if mark == "1")
        cells[head] = "" if "" in by_label.values() else listed or options.separator
    return cells
