"""Parquet files of your own with a row an image: images encoded within, or paths of image files beside them.

    train.parquet, test.parquet             the split is the name, unless a column names it
    photographs/0001.jpg                    the column of images holds `0001.jpg`, the option `images` is `photographs`

How columns become labels and images get their names is told in `_parquet.py`. Rows whose path leads out of the copy are
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from bench.data.layouts import _parquet
from bench.data.layouts._files import PathInCopy, numbered_images
from bench.data.layouts._parquet import VARIANTS, columns, label_files, read_rows, recognise, write_rows
from bench.data.reading import Reading

__all__ = ["VARIANTS", "Options", "columns", "label_files", "named", "read", "recognise", "write"]


class Options(_parquet.Options):
    """Which files and which columns, and where paths of image files start from."""

    images: PathInCopy = Field(
        default=".", description="The folder that paths in the column of images start from; `.` for the root."
    )


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows by file and place in it. Raises `DataError` for damaged files, and for columns that a file does not have."""
    return read_rows(root, options, columns, options.images)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Files with these rows; rows without `file` have their images as files beside them."""
    write_rows(root, rows, options, options.images)


def named(rows: pa.Table, options: Options) -> pa.Table:
    """Made-up rows, their images as files of their own."""
    return numbered_images(rows, options.images)
