"""Recorded test predictions, read back with care: what is not the file that a run recorded is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.data.labels import MISSING, Names
from bench.data.store import file_sha256
from bench.errors import RecordError
from bench.runs.records import Record, RecordStore
from bench.specs.run import RunTask
from bench.training.evaluation import Predictions


def read_predictions(store: RecordStore, record: Record, dataset: str, task: str) -> Predictions | None:
    """Recorded predictions of one task on one data set; None where the record names none.

    Raises `RecordError`, naming the file, for one that is missing, altered or unreadable, and for rows that do not fit
    the task's labels or hold what is no number.
    """
    name = f"{dataset}.{task}.parquet"
    about = next((one for one in record.predictions if one.file == name), None)
    if about is None:
        return None
    file = store.folder(record.run) / name
    hint = f"remove {file.parent}; `bench run` makes it again"
    if not file.is_file() or file_sha256(file) != about.sha256:
        raise RecordError(f"{file} is not the file that run {record.id} recorded: it is missing or altered", hint=hint)
    try:
        table = pq.read_table(file, columns=list(COLUMNS))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise RecordError(f"{file} cannot be read: {error}", hint=hint) from error
    problem = _problem(table, record.run.task(task), about.rows)
    if problem:
        raise RecordError(f"{file} {problem}", hint=hint)
    references = table["reference"].combine_chunks()
    flat = record.run.task(task).type == "multiclass"
    return Predictions(
        dataset,
        task,
        Names(table["image"]),
        Names(table["group"]),
        _matrix(table["scores"]),
        references.to_numpy() if flat else _matrix(table["reference"]),
    )


COLUMNS = ("image", "group", "reference", "scores")
MAX_ROWS = 5_000_000
MAX_NAME_BYTES = 1024
MAX_EXPANDED = 1 << 30
_BATCH = 16_384


def read_texts(file: Path) -> Iterator[str]:
    """All that a prediction file of a stranger holds as text: names of images and groups, and what stands beside them.

    Rows, columns and what the file expands to are bounded before it is read as a whole, and names are read by their
    dictionaries, so that a small file that stands for a huge table costs little. Raises `RecordError`.
    """
    try:
        limits = {"thrift_container_size_limit": 1_000_000, "thrift_string_size_limit": 1 << 24}
        with pq.ParquetFile(file, **limits) as opened:
            about, names = opened.metadata, tuple(opened.schema_arrow.names)
        if names != COLUMNS:
            raise RecordError(f"{file} has the columns {', '.join(names)[:200]}, not {', '.join(COLUMNS)}")
        with pq.ParquetFile(file, metadata=about, read_dictionary=list(COLUMNS[:2]), **limits) as opened:
            wrong = _unbounded(opened)
            if wrong:
                raise RecordError(f"{file} {wrong}")
            for beside in (opened.metadata.metadata, opened.schema_arrow.metadata):
                for key, value in (beside or {}).items():
                    if key != b"ARROW:schema":  # which is types, and the second of the two
                        yield f"{key.decode('utf-8', 'replace')}: {value.decode('utf-8', 'replace')}"
            yield str(opened.metadata.created_by)
            yield from _names(file, opened)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file} cannot be read: {error}") from error


def _unbounded(opened: pq.ParquetFile) -> str:
    """Why a prediction file is not read as a whole; empty if nothing speaks against it."""
    about, schema = opened.metadata, opened.schema_arrow
    for name in COLUMNS[:2]:
        kind = schema.field(name).type
        if not (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)):
            return f"has names of type {kind}, not text"
    kinds = [schema.field(name).type for name in COLUMNS[2:]]
    wide = [kind.list_size if pa.types.is_fixed_size_list(kind) else 1 for kind in kinds]
    if any(pa.types.is_nested(kind) and not pa.types.is_fixed_size_list(kind) for kind in kinds):
        return "has lists that are not of one size"
    if about.num_rows > MAX_ROWS:
        return f"has {about.num_rows:,} rows, over {MAX_ROWS:,}"
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    stated = sum(abs(group.total_byte_size) for group in groups)
    if max(stated, about.num_rows * sum(wide) * 8) > MAX_EXPANDED:
        return f"expands to more than {MAX_EXPANDED >> 20:,} MiB"
    return ""


def _names(file: Path, opened: pq.ParquetFile) -> Iterator[str]:
    """The different names of images and groups, as far as they are not too long."""
    seen: set[str] = set()
    total = 0
    for batch in opened.iter_batches(_BATCH, columns=list(COLUMNS[:2])):
        for column in batch.columns:
            lengths = pc.binary_length(column.dictionary)
            if (pc.max(lengths).as_py() or 0) > MAX_NAME_BYTES:
                raise RecordError(f"{file} has names of more than {MAX_NAME_BYTES:,} bytes")
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
            if total > MAX_EXPANDED:
                raise RecordError(f"{file} has names of more than {MAX_EXPANDED >> 20:,} MiB together")
            new = set(filter(None, column.dictionary.to_pylist())) - seen
            seen |= new
            yield from sorted(new)


def _problem(table: pa.Table, task: RunTask, rows: int) -> str:
    """What is wrong with a table of predictions of a task; empty if nothing is."""
    if len(table) != rows:
        return f"has {len(table)} rows, and the record says {rows}"
    nulls = [name for name in table.column_names if table[name].null_count]
    if nulls:
        return f"has rows without {', '.join(nulls)}"
    count, multiclass = len(task.labels), task.type == "multiclass"
    if not _holds(table["scores"].type, pa.types.is_floating, count):
        return f"has scores of type {table['scores'].type}, not of {count} labels"
    kind = table["reference"].type
    if not (pa.types.is_integer(kind) if multiclass else _holds(kind, pa.types.is_integer, count)):
        return f"has references of type {kind}, which do not fit the {task.type} task '{task.name}'"
    if not np.isfinite(_matrix(table["scores"])).all():
        return "has scores that are no finite numbers"
    references = table["reference"].combine_chunks().to_numpy() if multiclass else _matrix(table["reference"])
    largest = count - 1 if multiclass else 1
    if references.size and (references.min() < MISSING or references.max() > largest):
        return f"has references that do not fit the labels of task '{task.name}'"
    return ""


def _holds(kind: pa.DataType, is_right: Any, count: int) -> bool:
    return pa.types.is_fixed_size_list(kind) and kind.list_size == count and bool(is_right(kind.value_type))


def _matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of lists of one size as [rows, size]; a list with a blank in it gives NaN there."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    found: NDArray[Any] = flat.reshape(len(column), column.type.list_size)
    return found
