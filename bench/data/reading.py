"""What a layout finds in a copy: one row an image, and what it had to leave out.

Columns of `rows` (all text unless stated otherwise; those marked * may be absent):

    image     a name, unique in the data set; the path of the image under the root where `file` is not given
    file*     path under the root of the file that holds the pixels, where that is another: a photograph with several
              faces, a film, a Parquet file
    item*     int32, which frame of the film or row of the Parquet file, from 0; -1 where the file is one image
    split*    the split as the data set's owners call it
    group*    subject, product, film or person; rows of one group belong together
    box*      fixed-size list of 4 float32: x, y of the upper left corner, width, height, in pixels of the stored image
    points*   fixed-size list of 10 float32: x, y of the left eye, right eye, tip of the nose, left and right corner of
              the mouth, in pixels of the stored image; left is the left side of the image
    value:C   for each column C that was asked for, the code as it stands in the files, without blanks around it

Rows that are in one film or Parquet file stand together, ascending by `item`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from bench.errors import DataError, did_you_mean

MOST_NAMED = 20
"""Names kept for each reason; all are counted."""

BOX = pa.list_(pa.float32(), 4)
POINTS = pa.list_(pa.float32(), 10)


@dataclass
class Skipped:
    """Rows that a reader left out: counted by reason, the first ones by name."""

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """One more row, told by a name that a person finds again: a path, or `file:line`."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        named = self.names.setdefault(reason, [])
        if len(named) < MOST_NAMED:
            named.append(name)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class Reading:
    """What was read: the rows (see the module), which variant of the data set it is, and what was left out.

    `column` holds the encoded images where rows are in Parquet files.
    """

    rows: pa.Table
    variant: str
    skipped: Skipped = field(default_factory=Skipped)
    column: str = "image"


def chosen_columns(columns: Sequence[str], known: Mapping[str, Sequence[str]], where: object) -> dict[str, pa.Array]:
    """The columns asked for as `value:C` text arrays. Raises `DataError` for one that the layout does not have."""
    for column in columns:
        if column not in known:
            raise DataError(f"{where}: there is no column '{column}'{did_you_mean(column, known)}")
    return {f"value:{column}": pa.array(known[column], pa.string()) for column in columns}
