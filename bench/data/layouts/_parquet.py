"""Parquet files that hold a row an image: what the layouts `hub` and `parquet` share.

The column of images holds pairs of bytes and path (the feature `Image` of `datasets`), bytes, or, for `parquet`, paths
of image files. Labels are read through the features that `datasets` writes into the files:

- a column of `ClassLabel` gives names of classes, -1 (no label) is blank;
- a list of `ClassLabel` in the column C is offered class by class, as `C.NAME`: 1 if the row's list has it, else 0,
  blank where there is no list; lists of texts or numbers likewise;
- texts and numbers are given as they are, true and false as 1 and 0, missing values and NaN as blank.

An encoded image is named by its path where all rows of the copy have one and no two the same, else by file and row, as
`data/train-00000-of-00002.parquet#17`. Nothing is decoded here and nothing is fetched.

Source: https://huggingface.co/docs/datasets/about_dataset_features (classes and lists of them)
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from bench.data.layouts._files import colour_of, inside, is_relative_name, listing, paths_inside, write_picture
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean, is_infrastructure
from bench.specs.model import Frozen

VARIANTS = ("parquet",)
Images = Literal["encoded", "encoded with paths", "paths"]
SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5,7})-of-(?P<all>\d{5,7})(-[0-9a-f]+)?")
BLANK = pa.scalar("", pa.string())


class Options(Frozen):
    """Which files and which columns. Splits are named by the files unless a column names them."""

    files: tuple[str, ...] = Field(
        default=("**/*.parquet",), min_length=1, description="Patterns of the files, such as `data/*.parquet`."
    )
    image: str = Field(default="image", description="Column of images.")
    split: str | None = Field(default=None, description="Column of split names.")
    group: str | None = Field(default=None, description="Column of groups that must not be divided between splits.")

    @field_validator("files")
    @classmethod
    def _below(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not is_relative_name(pattern):
                raise PydanticCustomError("files", "'{pattern}' leads out of the copy", {"pattern": pattern})
            if not pattern.lower().endswith(".parquet"):
                raise PydanticCustomError("files", "'{pattern}' must end in .parquet", {"pattern": pattern})
        return patterns


def columns(options: Options) -> None:
    """Only the files know."""


def recognise(root: Path, options: Options) -> str:
    """There is one variant; at least one file must be there, and all that the names of others count."""
    _files(root, options)
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The Parquet files: they hold the labels too."""
    return [root / name for name in _files(root, options)]


def readable(kind: pa.DataType) -> Literal["images", "values", "lists", "nothing"]:
    """What a column of this type can be read as: encoded images, one value a row, lists offered label by label."""
    if _is_binary(kind) or (pa.types.is_struct(kind) and _is_binary(_type_within(kind, "bytes"))):
        return "images"
    if _is_list(kind):  # numbers with fractions in lists are boxes, points or features
        inner = kind.value_type
        return "lists" if _is_value(inner) and not pa.types.is_floating(inner) else "nothing"
    return "values" if _is_value(kind) else "nothing"


def listed(root: Path, options: Options, column: str) -> list[str]:
    """The different labels in the lists of a column over all files, sorted.

    Raises `DataError` for damaged files, and for one that does not have such a column.
    """
    found: set[str] = set()
    for name in _files(root, options):
        file = root / name
        with _reading(file), pq.ParquetFile(file) as table:
            schema = table.schema_arrow
            if column not in schema.names or readable(schema.field(column).type) != "lists":
                raise DataError(f"{file}: the column '{column}' holds no lists, as it does in other files")
            lists = table.read(columns=[column])[column].combine_chunks()
        opened = _File(file, name, schema, _features(file, schema), pa.table({}), len(lists), "encoded")
        found |= set(opened._plain(pc.list_flatten(lists), column).to_pylist())
    return sorted(found - {""})


def read_rows(root: Path, options: Options, columns: Sequence[str], folder: str | None = None) -> Reading:
    """Rows by file and place in it; `folder` is where paths of image files start from, None where there are none.

    Raises `DataError` for damaged files, and for columns that a file does not have.
    """
    names = _files(root, options)
    files = [_File.opened(root, name, options, columns, may_be_paths=folder is not None) for name in names]
    kinds = {file.images == "paths" for file in files}
    if len(kinds) > 1:
        raise DataError(f"{root}: the column '{options.image}' holds images in some files and paths in others")
    rows = pa.concat_tables([file.rows(options, columns) for file in files]).combine_chunks()
    for column in columns:
        if not any(file.knows(column) for file in files) and not pc.any(pc.equal(rows[f"value:{column}"], "1")).as_py():
            raise DataError(f"{root}: no row has '{column}'", hint="check how the label is spelt in the files")
    if folder is not None and kinds == {True}:
        return _beside(rows, folder)
    images = rows["path"] if _tells_apart(rows["path"]) else _numbered(rows)
    rows = rows.drop_columns("path").add_column(0, "image", images.cast(pa.string()))
    return Reading(rows, VARIANTS[0], column=options.image)


def _beside(rows: pa.Table, folder: str) -> Reading:
    """Rows whose images are files of their own."""
    skipped = Skipped()
    images = paths_inside(pc.fill_null(rows["path"], ""), folder, skipped)
    rows = rows.drop_columns(["path", "file", "item"]).add_column(0, "image", images)
    return Reading(rows.filter(pc.is_valid(images)), VARIANTS[0], skipped)


def write_rows(root: Path, rows: pa.Table, options: Options, folder: str | None = None) -> None:
    """Files with these rows, as `datasets` writes them; labels of a column `C.NAME` become a list in the column `C`.

    Names of classes stand in another order in each file. Pages of five rows have checksums. Rows without `file` have
    their images as files under `folder`, and stand in one Parquet file a split.
    """
    by_file: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        by_file.setdefault(row.get("file") or _home_of(row["split"], options), []).append(row)
    asked = [name.removeprefix("value:") for name in rows.column_names if name.startswith("value:")]
    for number, (name, members) in enumerate(by_file.items()):
        members.sort(key=lambda row: int(row.get("item", 0)))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        encoded = "file" in rows.column_names
        images = [_written_image(row) if encoded else _written_path(root, row["image"], folder) for row in members]
        content: dict[str, list[Any]] = {options.image: images}
        for key, column in (("split", options.split), ("group", options.group)):
            if column is not None:
                content[column] = [row[key] for row in members]
        features = _written_features(asked, rows, options, encoded=encoded, turned=bool(number % 2))
        content |= _written_labels(members, features)
        schema = features.arrow_schema
        arrays = [pa.array(content[field.name], field.type) for field in schema]
        table = pa.Table.from_arrays(arrays, schema=schema)
        pq.write_table(table, root / name, row_group_size=5, write_page_checksum=True)


def named_rows(rows: pa.Table, options: Options) -> pa.Table:
    """Made-up rows with `image`, `file` and `item`; one file a split."""
    files = [_home_of(split, options) for split in rows["split"].to_pylist()]
    items = [files[:place].count(file) for place, file in enumerate(files)]
    images = [f"{file}#{item}" for file, item in zip(files, items, strict=True)]
    rows = rows.add_column(0, "image", pa.array(images, pa.string()))
    rows = rows.add_column(1, "file", pa.array(files, pa.string()))
    return rows.add_column(2, "item", pa.array(items, pa.int32()))


def _files(root: Path, options: Options) -> list[str]:
    """Paths of the files under the root, sorted; hidden folders, such as `.cache`, are passed over."""
    found: set[str] = set()
    try:
        for pattern in options.files:
            found |= {path.relative_to(root).as_posix() for path in root.glob(pattern)}
    except (OSError, RuntimeError) as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{root} cannot be listed: {error}") from error
    names = [name for name in sorted(found) if _is_file(root, name)]
    if not names:
        raise DataError(
            f"{root}: no Parquet files (looked for {', '.join(options.files)}; there is {listing(root)})",
            hint="give the folder that the repository was downloaded into: `bench data add NAME PATH`",
        )
    _refuse_partial(root, names)
    return names


def _is_file(root: Path, name: str) -> bool:
    """Whether it is one of the files. Raises `DataError` for a link that leads out of the copy, or to nothing."""
    if any(part.startswith(".") for part in name.split("/")):
        return False
    path = inside(root, name)
    if path is None:
        raise DataError(
            f"{root / name} leads out of {root}",
            hint="a copy must hold its files itself: `hf download --repo-type dataset --local-dir PATH` makes one",
        )
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is no file", hint="complete the copy")
    return path.is_file()


def _refuse_partial(root: Path, names: Sequence[str]) -> None:
    """Raises `DataError` if files are missing that the names of others count."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for name in names:
        shard = SHARD.fullmatch(PurePosixPath(name).stem)
        if shard is not None:
            key = (PurePosixPath(name).parent.as_posix(), shard["split"], int(shard["all"]))
            found.setdefault(key, set()).add(int(shard["number"]))
    for (folder, split, count), numbers in found.items():
        lost = sorted(set(range(count)) - numbers)
        if lost:
            raise DataError(
                f"{root / folder}: {len(lost)} of {count} files of '{split}' are missing, such as number {lost[0]}",
                hint="complete the copy",
            )


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Faults of a Parquet file as `DataError`."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{file}: not readable as Parquet: {str(error)[:300]}", hint="get this file anew") from error


@dataclass(frozen=True)
class _Place:
    """Where a column that is asked for stands: a column of the file, and a label in its lists."""

    column: str
    label: str | None = None


@dataclass(frozen=True)
class _File:
    """What stands in one Parquet file: what was asked for, and nothing of the images but their paths.

    `features` are the columns as `datasets` knows them; `images` is what the column of images holds.
    """

    file: Path
    name: str
    schema: pa.Schema
    features: Any
    content: pa.Table
    count: int
    images: Images

    @classmethod
    def opened(cls, root: Path, name: str, options: Options, columns: Sequence[str], *, may_be_paths: bool) -> _File:
        """Raises `DataError` if it is damaged or does not have these columns."""
        file = root / name
        with (
            _reading(file),
            file.open("rb") as stream,
            pq.ParquetFile(stream, page_checksum_verification=True) as table,
        ):
            schema, count = table.schema_arrow, table.metadata.num_rows
            read = cls(file, name, schema, _features(file, schema), pa.table({}), count, "encoded")
            images = read._kind_of_images(options.image, may_be_paths=may_be_paths)
            needed = {read._place_of(column).column for column in (*columns, options.split, options.group) if column}
            if images != "encoded":
                needed.add(options.image if images == "paths" else f"{options.image}.path")
            return replace(read, content=table.read(columns=sorted(needed)), images=images)

    def rows(self, options: Options, columns: Sequence[str]) -> pa.Table:
        """path (null where there is none), file, item, split, group and values, one row each."""
        arrays: dict[str, Any] = {
            "path": self._paths(options.image),
            "file": self._repeated(self.name),
            "item": pa.array(np.arange(self.count, dtype=np.int32)),
            "split": self._texts(_Place(options.split)) if options.split else self._repeated(_split_of(self.name)),
        }
        if options.group:
            arrays["group"] = self._texts(_Place(options.group))
        return pa.table(arrays | {f"value:{column}": self._texts(self._place_of(column)) for column in columns})

    def knows(self, column: str) -> bool:
        """Whether it is sure that there is such a column: labels in lists of plain texts may be misspelt."""
        place = self._place_of(column)
        return place.label is None or self._names(place.column) is not None

    def _repeated(self, text: str) -> pa.Array:
        return pa.repeat(pa.scalar(text), self.count)

    def _paths(self, column: str) -> pa.Array:
        if self.images == "encoded":
            return pa.nulls(self.count, pa.string())
        values = self.content[column]
        return (pc.struct_field(values, "path") if self.images != "paths" else values).cast(pa.string())

    def _kind_of_images(self, column: str, *, may_be_paths: bool) -> Images:
        """Raises `DataError` for a column that holds no images."""
        if column not in self.schema.names:
            raise self._absent(column)
        kind = self.schema.field(column).type
        if pa.types.is_struct(kind) and _is_binary(_type_within(kind, "bytes")):
            return "encoded with paths" if _is_text(_type_within(kind, "path")) else "encoded"
        if _is_binary(kind):
            return "encoded"
        if may_be_paths and _is_text(kind):
            return "paths"
        expected = "images or paths of them" if may_be_paths else "images"
        raise DataError(f"{self.file}: the column '{column}' holds {kind}, expected {expected}", hint="option `image`")

    def _place_of(self, asked: str) -> _Place:
        """Raises `DataError` for a column, or a class of a list, that is not there."""
        if asked in self.schema.names:
            if _is_list(self.schema.field(asked).type):
                raise DataError(f"{self.file}: the column '{asked}' holds lists; ask for '{asked}.LABEL'")
            return _Place(asked)
        for column in self.schema.names:
            label = asked.removeprefix(f"{column}.")
            if label != asked and _is_list(self.schema.field(column).type):
                names = self._names(column)
                if names is not None and label not in names:
                    raise DataError(
                        f"{self.file}: the lists in '{column}' have no '{label}'{did_you_mean(label, names)}"
                    )
                return _Place(column, label)
        raise self._absent(asked)

    def _texts(self, place: _Place) -> pa.Array:
        """The values of all rows as text."""
        column = self.content[place.column].combine_chunks()
        if place.label is None:
            return self._plain(column, place.column)
        flat = self._plain(pc.list_flatten(column), place.column)
        holds = np.zeros(len(column), bool)
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        holds[parents[pc.equal(flat, place.label).to_numpy(zero_copy_only=False).astype(bool)]] = True
        marks = pc.if_else(pa.array(holds), pa.scalar("1"), pa.scalar("0"))
        return pc.if_else(pc.is_null(column), BLANK, marks)

    def _plain(self, values: pa.Array, column: str) -> pa.Array:
        names, kind = self._names(column), values.type
        if pa.types.is_dictionary(kind):
            values = values.dictionary_decode()
            kind = values.type
        if names is not None and pa.types.is_integer(kind):
            texts = self._named(values, names, column)
        elif _is_text(kind):
            texts = pc.utf8_trim_whitespace(values)
        elif pa.types.is_boolean(kind):
            texts = pc.if_else(values, pa.scalar("1"), pa.scalar("0"))
        elif pa.types.is_floating(kind):
            texts = pc.if_else(pc.is_nan(values), BLANK, pc.cast(values, pa.string()))
        elif pa.types.is_integer(kind) or pa.types.is_null(kind):
            texts = pc.cast(values, pa.string())
        else:
            raise DataError(
                f"{self.file}: the column '{column}' holds {kind}, expected texts, numbers or lists of them"
            )
        return pc.fill_null(pc.cast(texts, pa.string()), BLANK)

    def _named(self, values: pa.Array, names: Sequence[str], column: str) -> pa.Array:
        numbers = pc.fill_null(values, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        odd = np.flatnonzero((numbers < -1) | (numbers >= len(names)))
        if len(odd):
            raise DataError(
                f"{self.file}: the column '{column}' has class {numbers[odd[0]]} (value {odd[0] + 1}), but there are "
                f"{len(names)} classes, from 0"
            )
        return pa.array([*names, ""], pa.string()).take(pa.array(np.where(numbers < 0, len(names), numbers)))

    def _names(self, column: str) -> list[str] | None:
        """Names of the classes of a column, or of the lists in it; None where it has none."""
        feature = self.features[column]
        names = getattr(getattr(feature, "feature", feature), "names", None)
        return None if names is None else [str(name).strip() for name in names]

    def _absent(self, column: str) -> DataError:
        return DataError(f"{self.file}: there is no column '{column}'{did_you_mean(column, self.schema.names)}")


def _features(file: Path, schema: pa.Schema) -> Any:
    """What `datasets` knows of the columns by its note in the file, plain types where there is none."""
    import datasets

    try:
        return datasets.Features.from_arrow_schema(schema)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{file}: its features cannot be read: {str(error)[:300]}", hint="get this file anew"
        ) from error


def _type_within(kind: pa.StructType, name: str) -> pa.DataType | None:
    place = kind.get_field_index(name)
    return None if place < 0 else kind.field(place).type


def _is_binary(kind: pa.DataType | None) -> bool:
    return kind is not None and bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType | None) -> bool:
    return kind is not None and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_value(kind: pa.DataType) -> bool:
    """Whether `_File._plain` gives such values as text."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    known = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return _is_text(inner) or any(is_it(inner) for is_it in known)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _split_of(name: str) -> str:
    """The split that the name of a file tells."""
    path = PurePosixPath(name)
    shard = SHARD.fullmatch(path.stem)
    if shard is not None:
        return shard["split"]
    return path.parent.name if path.stem.isdigit() else path.stem


def _tells_apart(paths: pa.ChunkedArray) -> bool:
    """Whether each row has a path, all are different, and they can serve as names."""
    if paths.null_count or pc.count_distinct(paths).as_py() < len(paths):
        return False
    return all(is_relative_name(path) for path in paths.to_pylist())


def _numbered(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["file"], rows["item"].cast(pa.string()), "#")


def _written_image(row: dict[str, Any]) -> dict[str, Any]:
    """A small picture of one colour that follows from the row's name, and its path unless that is file and row."""
    stream = io.BytesIO()
    Image.new("RGB", (24, 20), colour_of(row["image"])).save(stream, "JPEG")
    path = None if row["image"] == f"{row['file']}#{row['item']}" else row["image"]
    return {"bytes": stream.getvalue(), "path": path}


def _written_path(root: Path, image: str, folder: str | None) -> str:
    """A small picture beside the files; returns its path from `folder`."""
    write_picture(root / image)
    return image if folder in (None, ".") else image.removeprefix(f"{folder}/")


def _home_of(split: str, options: Options) -> str:
    """A Parquet file for rows of a split: one that the patterns find and, where possible, named after it."""
    fillers = (f"{split}-00000-of-00001", "00000-of-00001", split)
    names = [
        pattern.replace("**", "data").replace("*", filler).replace("?", "0")
        for pattern in options.files
        for filler in fillers
    ]
    return next((name for name in names if _split_of(name) == split), names[0])


def _written_features(asked: Sequence[str], rows: pa.Table, options: Options, *, encoded: bool, turned: bool) -> Any:
    """Features of a file; names of classes stand in reverse order if `turned`."""
    import datasets

    features: dict[str, Any] = {options.image: datasets.Image() if encoded else datasets.Value("string")}
    features |= {name: datasets.Value("string") for name in (options.split, options.group) if name is not None}
    lists: dict[str, list[str]] = {}
    for column in asked:
        head, _, label = column.partition(".")
        if label:
            lists.setdefault(head, []).append(label)
        else:
            names = sorted(set(rows[f"value:{column}"].to_pylist()) - {""}, reverse=turned)
            features[column] = datasets.ClassLabel(names=names)
    for column, names in lists.items():
        classes = datasets.ClassLabel(names=sorted(names, reverse=turned))
        features[column] = datasets.List(classes)
    return datasets.Features(features)


def _written_labels(rows: list[dict[str, Any]], features: Any) -> dict[str, list[Any]]:
    """Numbers of classes, and lists of them, by column."""
    content: dict[str, list[Any]] = {}
    for column, feature in features.items():
        names = getattr(feature, "names", None)
        within = getattr(getattr(feature, "feature", None), "names", None)
        if names is not None:
            content[column] = [names.index(row[f"value:{column}"]) if row[f"value:{column}"] else None for row in rows]
        elif within is not None:
            marks = [[row[f"value:{column}.{name}"] for name in within] for row in rows]
            content[column] = [
                None if "" in marked else [i for i, mark in enumerate(marked) if mark == "1"] for marked in marks
            ]
    return content
