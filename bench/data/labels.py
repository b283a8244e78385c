"""Label tables: which image has which labels, in which split; and how raw codes become labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.errors import DataError, did_you_mean
from bench.specs.dataset import ABSENT, PRESENT, SPLITS, Annotation, DatasetSpec, Splits
from bench.specs.streams import uniform_of
from bench.specs.task import TaskSpec

MISSING = -1
TRAIN, VALIDATION = SPLITS.index("train"), SPLITS.index("validation")

TaskValues = NDArray[np.int32] | NDArray[np.int8]


class Names(Sequence[str]):
    """Many texts, immutable, held as Arrow holds them, so that a million names cost megabytes and open at once.

    Indexed by a number it gives a text; by an array of row numbers or booleans, or by a slice, it gives `Names`.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Iterable[str] | pa.Array | pa.ChunkedArray) -> None:
        if isinstance(texts, Names):
            self._texts: pa.ChunkedArray = texts._texts
        elif isinstance(texts, pa.ChunkedArray):
            self._texts = texts
        else:
            array = texts if isinstance(texts, pa.Array) else pa.array([str(text) for text in texts], pa.string())
            self._texts = pa.chunked_array([array])

    @classmethod
    def joined(cls, parts: Iterable[Names]) -> Names:
        """All names of some parts, one after another."""
        return cls(pa.chunked_array([chunk for part in parts for chunk in part._texts.chunks], pa.string()))

    @property
    def arrow(self) -> pa.ChunkedArray:
        """As an Arrow array of strings."""
        return self._texts

    def tolist(self) -> list[str]:
        texts: list[str] = self._texts.to_pylist()
        return texts

    def encoded(self) -> tuple[NDArray[np.int32], list[str]]:
        """The number of each name among the different ones, in order of first mention, and these."""
        found = pc.dictionary_encode(self._texts).combine_chunks()
        if isinstance(found, pa.ChunkedArray):  # no rows
            return np.zeros(0, np.int32), []
        return found.indices.to_numpy(), found.dictionary.to_pylist()

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice | NDArray[Any] | Sequence[int]) -> Names: ...
    def __getitem__(self, place: int | slice | NDArray[Any] | Sequence[int]) -> str | Names:
        if isinstance(place, int | np.integer):
            text: str = self._texts[int(place)].as_py()
            return text
        if isinstance(place, slice):
            place = np.arange(len(self))[place]
        places = np.asarray(place)
        if places.dtype == np.bool_:
            places = np.flatnonzero(places)
        return Names(self._texts.take(pa.array(places.astype(np.int64))))

    def __iter__(self) -> Iterator[str]:
        for chunk in self._texts.chunks:
            yield from chunk.to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and self._texts.equals(other._texts)

    def __hash__(self) -> int:
        raise TypeError("names are too many to be a key")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.tolist(), dtype=dtype or np.str_)

    def __repr__(self) -> str:
        return f"Names({self.tolist() if len(self) < 8 else [*self[:6].tolist(), '...']})"


@dataclass(frozen=True)
class LabelTable:
    """Labels of n images.

    `images`: n names, unique; `splits`: int8 [n], index into `SPLITS`; `groups`: n names, blank where there is none;
    `tasks`: by task name int32 [n] (multiclass, index of the label) or int8 [n, labels] (multilabel, 0 or 1);
    -1 means not annotated.
    """

    images: Names
    splits: NDArray[np.int8]
    groups: Names
    tasks: dict[str, TaskValues]

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", Names(self.images))
        object.__setattr__(self, "groups", Names(self.groups))

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
        return {split: int((self.splits == place).sum()) for place, split in enumerate(SPLITS)}

    def fingerprint(self) -> str:
        """Hash of all content, independent of any file format."""
        digest = hashlib.sha256()
        for texts in (self.images, self.groups):
            for start in range(0, len(texts), 1 << 16):
                block = texts[start : start + (1 << 16)].tolist()
                digest.update((b"\x1f" if start else b"") + "\x1f".join(block).encode())
            digest.update(b"\x1e")
        digest.update(np.ascontiguousarray(self.splits).tobytes())
        for name in sorted(self.tasks):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.tasks[name]).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def joined(parts: Sequence[LabelTable]) -> LabelTable:
    """Some tables over the same tasks, one after another."""
    return LabelTable(
        Names.joined(part.images for part in parts),
        np.concatenate([part.splits for part in parts]),
        Names.joined(part.groups for part in parts),
        {name: np.concatenate([part.tasks[name] for part in parts]) for name in parts[0].tasks},
    )


def to_arrow(table: LabelTable) -> pa.Table:
    """As an Arrow table: image, split, group, and `task:NAME` (int32, or a fixed-size list of int8)."""
    columns: dict[str, Any] = {
        "image": table.images.arrow,
        "split": pa.array(table.splits, pa.int8()),
        "group": table.groups.arrow,
    }
    for name, values in table.tasks.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        columns[f"task:{name}"] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns).combine_chunks()


def from_arrow(table: pa.Table) -> LabelTable:
    """The inverse of `to_arrow`; nothing is copied."""
    tasks: dict[str, TaskValues] = {}
    for name in table.column_names:
        if not name.startswith("task:"):
            continue
        column = table[name].combine_chunks()
        if isinstance(column, pa.FixedSizeListArray):
            width = column.type.list_size
            tasks[name.removeprefix("task:")] = column.flatten().to_numpy().reshape(-1, width)
        else:
            tasks[name.removeprefix("task:")] = column.to_numpy()
    return LabelTable(Names(table["image"]), table["split"].to_numpy(), Names(table["group"]), tasks)


def label_counts(table: LabelTable, tasks: Mapping[str, Sequence[str]]) -> dict[str, dict[str, dict[str, int]]]:
    """By task, split and label: images of a class, or images that have an attribute. `tasks`: label names by task."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for task, names in tasks.items():
        found[task] = {}
        for split in SPLITS:
            values = table.tasks[task][table.splits == SPLITS.index(split)]
            if values.ndim == 1:
                counts = np.bincount(values[values >= 0], minlength=len(names))
            else:
                counts = (values == 1).sum(0)
            found[task][split] = {name: int(count) for name, count in zip(names, counts, strict=True)}
    return found


def groups_by_split(table: LabelTable) -> tuple[NDArray[np.int64], list[str]]:
    """Images of each group in each split, int64 [groups, splits], and the groups' names; blank is no group."""
    group_of, names = table.groups.encoded()
    counts = np.zeros((len(names), len(SPLITS)), np.int64)
    np.add.at(counts, (group_of, table.splits), 1)
    named = np.array([bool(name) for name in names], bool)
    return counts[named], [name for name in names if name]


@dataclass(frozen=True)
class Labelled:
    """What a dataset spec makes of the rows that its layout read.

    `labels` holds the rows that are used, and `rows` their numbers among those read, ascending. `official` is the same
    for all rows that were not excluded, before validation is carved and parts are left out: what papers count.
    `left_out` counts rows by reason.
    """

    labels: LabelTable
    rows: NDArray[np.intp]
    official: LabelTable
    left_out: dict[str, int]

    @property
    def excluded(self) -> int:
        return self.left_out.get(EXCLUDED, 0)


EXCLUDED = "excluded by their code"
SMALL_GROUP = "in a group with too few images"
OTHER_PART = "in another part of training"


def labels_from_codes(raw: pa.Table, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> Labelled:
    """Apply a dataset spec to what its layout read.

    Raises `DataError` for a code without a meaning, a repeated image, or a split value or group that the spec does not
    know.
    """
    keep = np.ones(raw.num_rows, dtype=bool)
    values: dict[str, TaskValues] = {}
    for name, annotation in dataset.tasks.items():
        if name in tasks:
            values[name], kept = _task_values(raw, annotation, tasks[name], dataset)
            keep &= kept
    rows = np.flatnonzero(keep)
    left_out = {EXCLUDED: int((~keep).sum())}
    raw = raw.select([name for name in ("image", "split", "group") if name in raw.column_names])
    if not keep.all():
        raw = raw.filter(pa.array(keep))
        values = {name: found[keep] for name, found in values.items()}
    images = Names(raw["image"])
    _refuse_repeated(images, dataset)
    groups = Names(raw["group"] if "group" in raw.column_names else pa.array([""] * len(images), pa.string()))
    assert dataset.splits is not None  # the spec model demands it with a layout
    assigned = _assign_splits(raw, images, groups, dataset.splits, dataset.name)
    official = LabelTable(images, assigned.official, groups, values)
    table = LabelTable(images, assigned.carved, groups, official.tasks)
    left_out |= {reason: int(out.sum()) for reason, out in assigned.left_out.items()}
    used = ~np.logical_or.reduce([np.zeros(len(images), bool), *assigned.left_out.values()])
    return Labelled(table.take(used), rows[used], official, {why: count for why, count in left_out.items() if count})


def code_columns(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Columns that the layout must read for these tasks, each once."""
    wanted: list[str] = []
    for name, annotation in dataset.tasks.items():
        if name in tasks:
            wanted += columns_of(annotation, tasks[name]).values()
    return list(dict.fromkeys(wanted))


def columns_of(annotation: Annotation, task: TaskSpec) -> dict[str, str]:
    """The column of each annotated label of a multilabel task; of a class task its one column, under its own name."""
    if task.type == "multiclass":
        return {task.name: annotation.column} if annotation.column is not None else {}
    return annotation.columns or {label: label for label in annotation.labels or task.labels}


def _task_values(
    raw: pa.Table, annotation: Annotation, task: TaskSpec, dataset: DatasetSpec
) -> tuple[TaskValues, NDArray[np.bool_]]:
    if task.type == "multiclass":
        names = annotation.codes or {label: label for label in annotation.labels or task.labels}
        places = {label: place for place, label in enumerate(task.labels)}
        meanings = {code: places[label] for code, label in names.items()}
        assert annotation.column is not None  # checked with the specs
        return _decode(raw, annotation.column, meanings, annotation, task, dataset)
    values = np.full((raw.num_rows, len(task.labels)), MISSING, dtype=np.int8)
    keep = np.ones(raw.num_rows, dtype=bool)
    known = annotation.codes or {"1": PRESENT, "0": ABSENT}
    meanings = {code: int(meaning == PRESENT) for code, meaning in known.items()}
    places = {label: place for place, label in enumerate(task.labels)}
    for label, column in columns_of(annotation, task).items():
        decoded, kept = _decode(raw, column, meanings, annotation, task, dataset)
        values[:, places[label]] = decoded
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
    indices, codes = Names(raw[f"value:{column}"]).encoded()
    lookup = np.full(max(len(codes), 1), MISSING, dtype=np.int32)
    excluded = np.zeros(max(len(codes), 1), dtype=bool)
    for i, code in enumerate(text.strip() for text in codes):
        if code in meanings:
            lookup[i] = meanings[code]
        elif code in annotation.missing:
            continue
        elif code in annotation.exclude or annotation.others == "exclude":
            excluded[i] = True
        elif annotation.others == "error":
            row = int(np.flatnonzero(indices == i)[0])
            raise DataError(
                f"data set '{dataset.name}', column '{column}', row {row + 1} ({raw['image'][row].as_py()}): "
                f"the code '{code}' has no meaning for task '{task.name}'{did_you_mean(code, meanings)}",
                hint=f"give it one in the dataset spec under tasks.{task.name}: codes, missing, exclude or others",
            )
    return lookup[indices], ~excluded[indices]


@dataclass(frozen=True)
class _Assigned:
    """Splits int8 [n] as the data set has them and with validation carved; rows that are left out, by reason."""

    official: NDArray[np.int8]
    carved: NDArray[np.int8]
    left_out: dict[str, NDArray[np.bool_]]


def _assign_splits(raw: pa.Table, images: Names, groups: Names, splits: Splits, dataset: str) -> _Assigned:
    group_of, names = groups.encoded()
    if splits.by == "group":
        _refuse_no_group(images, group_of, names, dataset, "splits are by group")
    keys = _Keys(groups if splits.by == "group" else images)
    if splits.official is not None:
        official = _official(raw, splits.official, dataset)
    elif splits.folds is not None:
        official = _folds(group_of, names, splits, dataset)
    else:
        official = _hashed(keys.numbers("split"), splits)
    carved = official.copy()
    if splits.carve_validation is not None:
        chosen = keys.numbers("validation") < splits.carve_validation
        carved[chosen & (official == TRAIN)] = VALIDATION
    left_out: dict[str, NDArray[np.bool_]] = {}
    if splits.least_per_group is not None:
        _refuse_no_group(images, group_of, names, dataset, "`least_per_group` counts groups")
        left_out[SMALL_GROUP] = np.bincount(group_of, minlength=len(names))[group_of] < splits.least_per_group
    if splits.train_part is not None:
        part = (keys.numbers("part") * splits.train_part.of).astype(np.int64)
        left_out[OTHER_PART] = (carved == TRAIN) & (part != splits.train_part.index)
    return _Assigned(official, carved, left_out)


def _refuse_no_group(images: Names, group_of: NDArray[np.int32], names: Sequence[str], dataset: str, why: str) -> None:
    if "" in names:
        row = int(np.flatnonzero(group_of == names.index(""))[0])
        raise DataError(
            f"data set '{dataset}': row {row + 1} ({images[row]}) has no group, and {why}",
            hint="name the layout's group column, or split by image",
        )


class _Keys:
    """What rows are divided by: a number in [0, 1) for each row, from a hash of its key."""

    def __init__(self, names: Names) -> None:
        self._places, self._names = names.encoded()

    def numbers(self, purpose: str) -> NDArray[np.float64]:
        return np.array([uniform_of(purpose, name) for name in self._names], np.float64)[self._places]


def _official(raw: pa.Table, official: Mapping[str, str], dataset: str) -> NDArray[np.int8]:
    if "split" not in raw.column_names:
        raise DataError(
            f"data set '{dataset}': the spec maps official splits, but the layout names no split column",
            hint="give the layout's `split` option, or divide by `shares`",
        )
    places, values = Names(raw["split"]).encoded()
    for place, value in enumerate(values):
        if value not in official:
            row = int(np.flatnonzero(places == place)[0])
            raise DataError(
                f"data set '{dataset}', row {row + 1}: the split '{value}' is unknown{did_you_mean(value, official)}",
                hint="map it under splits.official in the dataset spec",
            )
    names: tuple[str, ...] = SPLITS
    return np.array([names.index(official[value]) for value in values], np.int8)[places]


def _folds(group_of: NDArray[np.int32], names: Sequence[str], splits: Splits, dataset: str) -> NDArray[np.int8]:
    assert splits.folds is not None
    fold_of = {group: fold for fold, members in splits.folds.items() for group in members}
    for name in names:
        if name not in fold_of:
            raise DataError(
                f"data set '{dataset}': the group '{name}' is in no fold{did_you_mean(name, fold_of)}",
                hint="add it to splits.folds in the dataset spec, or take it out of the copy",
            )
    test = SPLITS.index("test")
    return np.array([test if fold_of[name] == splits.test_fold else TRAIN for name in names], np.int8)[group_of]


def _hashed(numbers: NDArray[np.float64], splits: Splits) -> NDArray[np.int8]:
    assert splits.shares is not None
    bounds = [splits.shares.train, splits.shares.train + splits.shares.validation]
    return np.searchsorted(bounds, numbers, side="right").astype(np.int8)


def _refuse_repeated(images: Names, dataset: DatasetSpec) -> None:
    places, names = images.encoded()
    if len(names) < len(images):
        repeated = names[int(np.flatnonzero(np.bincount(places) > 1)[0])]
        raise DataError(
            f"data set '{dataset.name}': the image {repeated} has more than one row",
            hint="keep one row an image",
        )
