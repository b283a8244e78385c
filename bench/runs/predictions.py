"""Recorded test predictions, read back with care: what is not the file that a run recorded is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
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
        table = pq.read_table(file, columns=["image", "group", "reference", "scores"])
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
