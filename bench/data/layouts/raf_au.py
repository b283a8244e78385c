"""RAF-AU: photographs of blended expressions from the web, coded for action units by hand.

    RAF-AU/                             (or its content)
        RAFAU_label.txt                 "0001.jpg 4+L12+25" or "0001.jpg null", 4,601 lines
        aligned/0001_aligned.jpg

Columns: au1 to au39, those that public loaders know of this file, 1 or 0. A line lists the units that are present,
joined by `+`; `null` stands for none of them, not for a missing label. Units may carry L or R (one side of the face
only), T or B (one lip only), AD (action descriptor) before the number and an intensity from A to E after it: such a
unit counts as present.

Quirks that are read, and written: blanks at the end of some lines (421 of the real ones). Names with fewer than four
digits are filled up with zeros, as the images have them. A line with a unit of another form is left out by name: there
are 77 different ones, not all of which public loaders tell of.

There is no official division of the images. They are those of RAF-ML, and a few per cent may also be in RAF-DB.

Sources: Yan, Li, Que, Pei and Deng, ACCV 2020, https://arxiv.org/abs/2008.05196; http://whdeng.cn/RAF/model3.html;
as lingjivoo/OpenGraphAU reads it (tool/dataset_process.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from bench.data.layouts._files import (
    OUTSIDE,
    first_present,
    is_relative_name,
    lines_of,
    refuse_unknown,
    write_lines,
    write_picture,
)
from bench.data.reading import Reading, Skipped
from bench.errors import DataError
from bench.specs.model import Frozen, PositiveInt

VARIANTS = ("official",)
LIST = "RAFAU_label.txt"
NO_UNIT = "null"
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27, 32, 39)
COLUMNS = {f"au{unit}": unit for unit in UNITS}

_NAME = re.compile(r"([0-9]{1,4})\.jpg")
_UNIT = re.compile(r"(?:AD|[LRTB]{0,2})([0-9]{1,2})[A-E]?", re.IGNORECASE)


class Options(Frozen):
    """What is asserted of the list."""

    rows: PositiveInt | None = Field(default=None, description="Lines that the list must have, if that is known.")


def columns(options: Options) -> Sequence[str]:
    """au1 to au39."""
    return tuple(COLUMNS)


def recognise(root: Path, options: Options) -> str:
    """There is one variant: the list and the folder of aligned images beside it."""
    base = _base(root)
    first_present(root, [f"{base}aligned"], "the folder of aligned images")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The list."""
    return [root / _base(root) / LIST]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of the list. Raises `DataError` for a line of another form and an image that stands twice."""
    refuse_unknown(columns, COLUMNS, root)
    variant, base, skipped = recognise(root, options), _base(root), Skipped()
    file = root / base / LIST
    present: dict[str, frozenset[int]] = {}
    listed = 0
    for number, line in lines_of(root, file):
        listed += 1
        found = _line(line, f"{file}:{number}")
        if isinstance(found, str):
            skipped.add(found, f"{file}:{number}")
            continue
        name, units = found
        if name in present:
            raise DataError(f"{file}:{number}: {name} stands twice", hint="keep one line an image")
        present[name] = units
    if options.rows is not None and listed != options.rows:
        raise DataError(
            f"{file} has {listed} lines, expected {options.rows}",
            hint="get this file anew; if it is right, change `layout.rows` in the dataset spec",
        )
    arrays = {"image": pa.array(list(present), pa.string())}
    if base:
        arrays["file"] = pa.array([f"{base}{name}" for name in present], pa.string())
    for column in columns:
        codes = ["1" if COLUMNS[column] in units else "0" for units in present.values()]
        arrays[f"value:{column}"] = pa.array(codes, pa.string())
    return Reading(pa.table(arrays), variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows. Every third unit is coded for one side only, every other line ends in a blank."""
    lines, coded = [], 0
    for i, row in enumerate(rows.to_pylist()):
        write_picture(root / (row.get("file") or row["image"]), (100, 100))
        units = []
        for column, unit in COLUMNS.items():
            if row.get(f"value:{column}") == "1":
                coded += 1
                units.append(f"L{unit}" if coded % 3 == 0 else str(unit))
        name = Path(row["image"]).name.replace("_aligned", "")
        lines.append(f"{name} {'+'.join(units) or NO_UNIT}{' ' * (i % 2)}")
    inner = "file" in rows.column_names
    write_lines(root / ("RAF-AU" if inner else ".") / LIST, lines)


def _base(root: Path) -> str:
    """The folder that holds the list, as the beginning of paths under the root: blank, or with a slash at its end."""
    file = first_present(root, [LIST, f"RAF-AU/{LIST}"], f"`{LIST}`")
    return "" if file.parent == root else "RAF-AU/"


def _line(line: str, where: str) -> tuple[str, frozenset[int]] | str:
    """The image and the units that are present, or why the line is left out."""
    fields = line.split()
    if len(fields) != 2:
        raise DataError(f"{where}: expected a name and units, such as 0001.jpg 4+L12+25; found '{line[:60]}'")
    if not is_relative_name(fields[0]):
        return OUTSIDE
    name = _NAME.fullmatch(fields[0])
    if name is None:
        raise DataError(f"{where}: expected the name of an image such as 0001.jpg, found '{fields[0][:60]}'")
    image = f"aligned/{name[1].zfill(4)}_aligned.jpg"
    if fields[1] == NO_UNIT:
        return image, frozenset()
    units = [_UNIT.fullmatch(token) for token in fields[1].split("+")]
    if any(unit is None for unit in units):
        return "a unit of unknown form"
    return image, frozenset(int(unit[1]) for unit in units if unit is not None)
