"""A data set repository of the Hugging Face Hub, as downloaded: Parquet files that hold images and labels.

    data/train-00000-of-00002.parquet       or train-00000-of-00002-<hash>.parquet: the split is `train`
    default/train/0000.parquet              as the Hub converts data sets: the split is the folder, `train`
    train.parquet                           the split is the name

How columns become labels and images get their names is told in `_parquet.py`.

Source: https://huggingface.co/docs/hub/datasets-file-names-and-splits (names of files)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from bench.data.layouts._parquet import (
    VARIANTS,
    Options,
    columns,
    label_files,
    named_rows,
    read_rows,
    recognise,
    write_rows,
)
from bench.data.reading import Reading

__all__ = ["VARIANTS", "Options", "columns", "label_files", "named", "read", "recognise", "write"]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows by file and place in it. Raises `DataError` for damaged files, and for columns that a file does not have."""
    return read_rows(root, options, columns)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Files with these rows, as `datasets` writes them; see `_parquet.py`."""
    write_rows(root, rows, options)


def named(rows: pa.Table, options: Options) -> pa.Table:
    """Made-up rows, their images in one file a split."""
    return named_rows(rows, options)
