"""Label tables: which image has which labels, in which split; and how raw codes become labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.errors import DataError, did_you_mean
from bench.specs.dataset import ABSENT, PRESENT, SPLITS, Annotation, DatasetSpec, Splits
from bench.specs.streams import uniform_of
from bench.specs.task import TaskSpec

MISSING = -1


@dataclass(frozen=True)
class LabelTable:
    """Labels of n images.

    `images`: n names, unique; `splits`: int8 [n], index into `SPLITS`; `groups`: n names, blank where there is none;
    `tasks`: by task name int32 [n] (multiclass, index of the label) or int8 [n, labels] (multilabel, 0 or 1);
    -1 means not annotated.
    """

    images: NDArray[np.str_]
    splits: NDArray[np.int8]
    groups: NDArray[np.str_]
    tasks: dict[str, NDArray[np.int32] | NDArray[np.int8]]

    def __len__(self) -> int:
        return len(self.splits)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> LabelTable:
        """Some rows, in the order given."""
        tasks = {name: values[rows] for name, values in self.tasks.items()}
        return LabelTable(self.images[rows], self.splits[rows], self.groups[rows], tasks)

    def rows(self, split: str) -> NDArray[np.intp]:
        """Row numbers of a split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def counts(self) -> dict[str, int]:
        """Images by split."""
        return {split: len(self.rows(split)) for split in SPLITS}

    def fingerprint(self) -> str:
        """Hash of all content, independent of any file format."""
        digest = hashlib.sha256()
        for texts in (self.images, self.groups):
            digest.update("\x1f".join(texts.tolist()).encode() + b"\x1e")
        digest.update(np.ascontiguousarray(self.splits).tobytes())
        for name in sorted(self.tasks):
            digest.update(name.encode() + np.ascontiguousarray(self.tasks[name]).tobytes())
        return digest.hexdigest()


def to_arrow(table: LabelTable) -> pa.Table:
    """As an Arrow table: image, split, group, and `task:NAME` (int32, or a fixed-size list of int8)."""
    columns: dict[str, pa.Array] = {
        "image": pa.array(table.images.tolist(), pa.string()),
        "split": pa.array(table.splits, pa.int8()),
        "group": pa.array(table.groups.tolist(), pa.string()),
    }
    for name, values in table.tasks.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        columns[f"task:{name}"] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns)


def from_arrow(table: pa.Table) -> LabelTable:
    """The inverse of `to_arrow`."""
    tasks: dict[str, NDArray[np.int32] | NDArray[np.int8]] = {}
    for name in table.column_names:
        if not name.startswith("task:"):
            continue
        column = table[name].combine_chunks()
        if isinstance(column, pa.FixedSizeListArray):
            width = column.type.list_size
            tasks[name.removeprefix("task:")] = column.flatten().to_numpy().reshape(-1, width)
        else:
            tasks[name.removeprefix("task:")] = column.to_numpy()
    return LabelTable(
        images=np.array(table["image"].to_pylist(), dtype=np.str_),
        splits=table["split"].to_numpy(),
        groups=np.array(table["group"].to_pylist(), dtype=np.str_),
        tasks=tasks,
    )


def labels_from_codes(raw: pa.Table, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> tuple[LabelTable, int]:
    """Apply a dataset spec to what its layout read.

    Returns the table of the rows that are used, and how many rows `exclude` took out. Raises `DataError` for a code
    without a meaning, a repeated image, or a split value that the spec does not know.
    """
    keep = np.ones(raw.num_rows, dtype=bool)
    values: dict[str, NDArray[np.int32] | NDArray[np.int8]] = {}
    for name, annotation in dataset.tasks.items():
        if name in tasks:
            values[name], kept = _task_values(raw, annotation, tasks[name], dataset)
            keep &= kept
    raw = raw.filter(pa.array(keep))
    images = np.array(raw["image"].to_pylist(), dtype=np.str_)
    _refuse_repeated(images, dataset)
    groups = np.array(raw["group"].to_pylist() if "group" in raw.column_names else [""] * len(images), dtype=np.str_)
    assert dataset.splits is not None  # the spec model demands it with a layout
    splits, used = _assign_splits(raw, images, groups, dataset.splits, dataset.name)
    table = LabelTable(images, splits, groups, {name: found[keep] for name, found in values.items()})
    return table.take(used), int((~keep).sum())


def code_columns(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Columns that the layout must read for these tasks, each once."""
    wanted: list[str] = []
    for name, annotation in dataset.tasks.items():
        if name in tasks:
            wanted += (
                [annotation.column] if annotation.column is not None else list((annotation.columns or {}).values())
            )
    return list(dict.fromkeys(wanted))


def _task_values(
    raw: pa.Table, annotation: Annotation, task: TaskSpec, dataset: DatasetSpec
) -> tuple[NDArray[np.int32] | NDArray[np.int8], NDArray[np.bool_]]:
    if task.type == "multiclass":
        names = annotation.codes or {label: label for label in annotation.labels or task.labels}
        meanings = {code: task.labels.index(label) for code, label in names.items()}
        assert annotation.column is not None  # checked with the specs
        return _decode(raw, annotation.column, meanings, annotation, task, dataset)
    values = np.full((raw.num_rows, len(task.labels)), MISSING, dtype=np.int8)
    keep = np.ones(raw.num_rows, dtype=bool)
    known = annotation.codes or {"1": PRESENT, "0": ABSENT}
    meanings = {code: int(meaning == PRESENT) for code, meaning in known.items()}
    for label, column in (annotation.columns or {}).items():
        decoded, kept = _decode(raw, column, meanings, annotation, task, dataset)
        values[:, task.labels.index(label)] = decoded
        keep &= kept
    return values, keep


def _decode(
    raw: pa.Table,
    column: str,
    meanings: Mapping[str, int],
    annotation: Annotation,
    task: TaskSpec,
    dataset: DatasetSpec,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    encoded = pc.dictionary_encode(raw[f"value:{column}"]).combine_chunks()
    codes: list[str] = [code.strip() for code in encoded.dictionary.to_pylist()]
    lookup = np.full(max(len(codes), 1), MISSING, dtype=np.int32)
    excluded = np.zeros(max(len(codes), 1), dtype=bool)
    indices = encoded.indices.to_numpy()
    for i, code in enumerate(codes):
        if code in meanings:
            lookup[i] = meanings[code]
        elif code in annotation.exclude:
            excluded[i] = True
        elif code not in annotation.missing:
            row = int(np.flatnonzero(indices == i)[0])
            raise DataError(
                f"data set '{dataset.name}', column '{column}', row {row + 1} ({raw['image'][row].as_py()}): "
                f"the code '{code}' has no meaning for task '{task.name}'{did_you_mean(code, meanings)}",
                hint=f"give it one in the dataset spec under tasks.{task.name}: codes, missing or exclude",
            )
    return lookup[indices], ~excluded[indices]


def _assign_splits(
    raw: pa.Table, images: NDArray[np.str_], groups: NDArray[np.str_], splits: Splits, dataset: str
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    keys: Sequence[str] = images.tolist() if splits.by == "image" else groups.tolist()
    if splits.by == "group" and (groups == "").any():
        row = int(np.flatnonzero(groups == "")[0])
        raise DataError(
            f"data set '{dataset}': row {row + 1} ({images[row]}) has no group, and splits are by group",
            hint="name the layout's group column, or split by image",
        )
    chosen = np.array(
        _official(raw, splits, dataset) if splits.official is not None else _hashed(keys, splits), np.int8
    )
    if splits.carve_validation is not None:
        carved = np.array([uniform_of("validation", key) < splits.carve_validation for key in keys], dtype=bool)
        chosen[carved & (chosen == SPLITS.index("train"))] = SPLITS.index("validation")
    used = np.ones(len(images), dtype=bool)
    if splits.train_part is not None:
        part = np.array([int(uniform_of("part", key) * splits.train_part.of) for key in keys])
        used = (chosen != SPLITS.index("train")) | (part == splits.train_part.index)
    return chosen, used


def _official(raw: pa.Table, splits: Splits, dataset: str) -> list[int]:
    assert splits.official is not None
    if "split" not in raw.column_names:
        raise DataError(
            f"data set '{dataset}': the spec maps official splits, but the layout names no split column",
            hint="give the layout's `split` option, or divide by `shares`",
        )
    numbers = {value: SPLITS.index(split) for value, split in splits.official.items()}
    found = []
    for row, value in enumerate(raw["split"].to_pylist()):
        if value not in numbers:
            raise DataError(
                f"data set '{dataset}', row {row + 1}: the split '{value}' is unknown{did_you_mean(value, numbers)}",
                hint="map it under splits.official in the dataset spec",
            )
        found.append(numbers[value])
    return found


def _hashed(keys: Sequence[str], splits: Splits) -> list[int]:
    assert splits.shares is not None
    first, second = splits.shares.train, splits.shares.train + splits.shares.validation
    numbers = {key: uniform_of("split", key) for key in set(keys)}
    return [0 if numbers[key] < first else 1 if numbers[key] < second else 2 for key in keys]


def _refuse_repeated(images: NDArray[np.str_], dataset: DatasetSpec) -> None:
    names, counts = np.unique(images, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"data set '{dataset.name}': the image {names[counts > 1][0]} has more than one row",
            hint="keep one row an image",
        )
