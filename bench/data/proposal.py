"""What a folder of images, a table or Parquet files look like: a proposal of how a dataset spec would read them.

A proposal is a start that a person looks through, so it is made by plain rules, each told in `Proposal.notes`; nothing
is decoded, and every value that is proposed stands in the files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.data.layouts import _parquet, image_folder, parquet
from bench.data.layouts import csv as tables
from bench.data.layouts._files import inside, listing
from bench.errors import DataError, UsageError, did_you_mean
from bench.specs.dataset import SplitName

SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval"), "test"),
}
GROUP_WORDS = ("group", "subject", "person", "patient", "identity", "user", "photographer", "owner", "product", "video")
IMAGE_WORDS = (
    "file",
    "filename",
    "file_name",
    "image",
    "image_path",
    "path",
    "img",
    "photo",
    "picture",
    "id",
    "image_id",
)
SEPARATORS = {";": True, "|": True, ", ": False, ",": False, " ": False}
"""What may stand between labels, and whether it hardly ever stands within one."""
USUAL_SPLITS: dict[str, SplitName] = {"train": "train", "val": "validation", "test": "test"}
PRESENT_CODES = {"1": True, "0": False, "yes": True, "no": False, "true": True, "false": False, "-1": False}
MISSING_WORDS = ("n/a", "na", "null", "none", "nan", "-", "?", "unknown")
MOST_CLASSES = 200
SHARES: dict[SplitName, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True)
class ProposedTask:
    """One task: its labels, and where they stand. `columns` is given for attributes, `column` for classes.

    `missing` are words of the files that are no labels, but say that there is none.
    """

    name: str
    labels: tuple[str, ...]
    column: str | None = None
    columns: Mapping[str, str] | None = None
    codes: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return "multiclass" if self.column is not None else "multilabel"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should look at, one line each."""
        if not self.missing:
            return ()
        where = ", ".join(
            f"'{column}'" for column in ((self.columns or {}).values() if self.column is None else [self.column])
        )
        return (
            f"column {where}: {_quoted(self.missing)} is taken for `missing` (not annotated); where it is a class, "
            "move it to `labels` of the task",
        )


@dataclass(frozen=True)
class Proposal:
    """A layout with its options, splits and tasks; `notes` say what was seen and what was left out."""

    layout: str
    options: Mapping[str, Any]
    splits: Mapping[str, Any]
    tasks: tuple[ProposedTask, ...]
    notes: tuple[str, ...]


@dataclass
class _Look:
    """What was seen so far: values of all rows by column."""

    root: Path
    columns: dict[str, list[str]]
    options: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    parts: list[str] = field(default_factory=list)
    """The name of the split of each row as the files tell it; none where they do not."""
    lists: list[ProposedTask] = field(default_factory=list)

    @property
    def rest(self) -> list[str]:
        return [name for name in self.columns if name not in self.used]


def propose(
    path: Path, *, image: str | None = None, split: str | None = None, group: str | None = None
) -> tuple[Path, Proposal]:
    """The root of the copy, and what is proposed for it. `image`, `split`, `group` name columns that are known already.

    `path` is a folder, or a table beside its images. Raises `DataError` where there is nothing to propose from.
    """
    given = {"image": image, "split": split, "group": group}
    if path.is_file():
        return path.parent, _from_tables(path.parent, [path.name], given)
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}", hint="give a folder, or a table of labels")
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    written = [name for name in names if name.lower().endswith((".csv", ".tsv")) and (path / name).is_file()]
    if written:
        by_split = [name for name in written if Path(name).stem.lower() in SPLIT_WORDS]
        return path, _from_tables(path, by_split if len(by_split) > 1 else [_main(written)], given)
    if any(path.glob("**/*.parquet")):
        return path, _from_parquet(path, given)
    return path, _from_folders(path)


def usual(layout: str, *, image: str | None = None, split: str | None = None, group: str | None = None) -> Proposal:
    """A layout with its usual names, where there are no files to look at. Raises `UsageError` for one without such."""
    column = "class" if layout == "image_folder" else "label"
    by_layout: dict[str, dict[str, Any]] = {
        "csv": {"file": "labels.csv", "images": "images", "image": image or "file", "split": split or "split"},
        "image_folder": {"levels": ["split", "class"]},
        "parquet": {"image": image or "image"} | ({"split": split} if split else {}),
        "hub": {"image": image or "image"} | ({"split": split} if split else {}),
    }
    if layout not in by_layout:
        raise UsageError(
            f"there is no layout '{layout}'{did_you_mean(layout, by_layout)}",
            hint=f"give --layout {', '.join(by_layout)} or custom",
        )
    options = by_layout[layout] | ({} if group is None else {"group": group})
    task = ProposedTask(column, ("first", "second"), column=column)
    note = "made without a look at files: mend columns and labels"
    return Proposal(layout, options, {"official": USUAL_SPLITS}, (task,), (note,))


def _main(names: Sequence[str]) -> str:
    """The table that is meant: the one called labels, else the first."""
    return next((name for name in names if Path(name).stem.lower() in ("labels", "label", "annotations")), names[0])


def _from_tables(root: Path, names: Sequence[str], given: Mapping[str, str | None]) -> Proposal:
    delimiter = _delimiter(root / names[0])
    options = {"file": names[0] if len(names) == 1 else list(names), "delimiter": delimiter}
    headers = [_header(root / name, delimiter) for name in names]
    common = [column for column in headers[0] if all(column in header for header in headers)]
    if not common:
        raise DataError(f"{root / names[0]} has no columns", hint="the first line of a table names its columns")
    reading = tables.read(
        root, tables.Options(file=tuple(names), delimiter=delimiter, image=common[0], images="."), common
    )
    look = _Look(root, {column: reading.rows[f"value:{column}"].to_pylist() for column in common}, options)
    if not look.columns[common[0]]:
        raise DataError(f"{root / names[0]} has no rows", hint="give a table with a row an image")
    _find_images(look, given["image"])
    if len(names) > 1 and given["split"] is None:
        look.splits["official"] = {Path(name).stem: SPLIT_WORDS[Path(name).stem.lower()] for name in names}
        look.parts = reading.rows["split"].to_pylist()
    else:
        _find_split(look, given["split"])
    _find_group(look, given["group"])
    return _finished("csv", look)


def _from_parquet(root: Path, given: Mapping[str, str | None]) -> Proposal:
    files = parquet.label_files(root, parquet.Options())
    schema = pq.read_schema(files[0])
    kinds = {name: _parquet.readable(schema.field(name).type) for name in schema.names}
    plain = [name for name, kind in kinds.items() if kind == "values"]
    images = [name for name, kind in kinds.items() if kind == "images"]
    image = given["image"] or next(iter((*images, *(name for name in plain if name.lower() in IMAGE_WORDS))), None)
    if image is None:
        raise DataError(f"{files[0]}: no column holds images or paths of them", hint="name it by --image")
    plain = [name for name in plain if name != image]
    reading = parquet.read(root, parquet.Options(image=image), plain)
    look = _Look(root, {name: reading.rows[f"value:{name}"].to_pylist() for name in plain}, {"image": image})
    for name, kind in kinds.items():
        if name != image and kind == "lists":
            _find_lists(look, name, _parquet.listed(root, parquet.Options(), name), reading.rows.num_rows)
        elif name != image and kind != "values":
            what = "images" if kind == "images" else str(schema.field(name).type)[:60]
            look.notes.append(f"column '{name}' is left out: it holds {what}, not labels")
    _find_split(look, given["split"])
    if "split" not in look.options:
        look.parts = reading.rows["split"].to_pylist()
        words = sorted(set(look.parts))
        if len(words) > 1 and all(word.lower() in SPLIT_WORDS for word in words):
            look.splits = {"official": {word: SPLIT_WORDS[word.lower()] for word in words}}
    _find_group(look, given["group"])
    return _finished("parquet", look)


def _find_lists(look: _Look, column: str, found: Sequence[str], rows: int) -> None:
    """A task of a column of lists, or why there is none."""
    if not all(_is_label(value) for value in found):
        look.notes.append(f"column '{column}' is left out: its lists hold no labels")
    elif 2 <= len(found) <= MOST_CLASSES and 2 * len(found) <= rows:
        look.lists.append(_of_lists(look, column, found))
    else:
        look.notes.append(f"column '{column}' is left out: {len(found)} different values in lists are no labels")


def _from_folders(root: Path) -> Proposal:
    start = root
    options: dict[str, Any] = {}
    inner = _folders(root)
    if len(inner) == 1 and _folders(root / inner[0]):
        start, options = root / inner[0], {"images": inner[0]}
        inner = _folders(start)
    if not inner:
        raise DataError(
            f"{root}: no table (.csv, .tsv), no Parquet files and no folders of images; there is {listing(root)}",
            hint="give the folder that holds them",
        )
    by_split = all(name.lower() in SPLIT_WORDS for name in inner)
    levels: tuple[image_folder.Level, ...] = ("split", "class") if by_split else ("class",)
    options["levels"] = list(levels)
    reading = image_folder.read(root, image_folder.Options(levels=levels, images=options.get("images", ".")), ["class"])
    look = _Look(root, {"class": reading.rows["value:class"].to_pylist()}, options)
    if by_split:
        look.splits = {"official": {name: SPLIT_WORDS[name.lower()] for name in inner}}
    for reason, count in reading.skipped.counts.items():
        look.notes.append(f"{count} files are left out: {reason}")
    return _finished("image_folder", look)


def _folders(folder: Path) -> list[str]:
    return sorted(e.name for e in folder.iterdir() if e.is_dir() and not e.is_symlink() and not e.name.startswith("."))


def _finished(layout: str, look: _Look) -> Proposal:
    tasks = (*_find_tasks(look), *look.lists)
    if not tasks:
        raise DataError(
            f"{look.root}: no column looks like labels (2 to {MOST_CLASSES} different values, each for several "
            f"images); there is {', '.join(look.columns) or 'none'}",
            hint="write the spec by hand: README, 'Your own data'",
        )
    return Proposal(layout, look.options, _complete(look), tasks, tuple(look.notes))


def _delimiter(file: Path) -> str:
    """The delimiter that the first line has most of."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(1 << 20)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as a table: {error}", hint="a table is UTF-8 text") from error
    return max((",", ";", "\t", "|"), key=line.count)


def _header(file: Path, delimiter: str) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream, delimiter=delimiter), [])


def _no_column(look: _Look, column: str) -> DataError:
    return DataError(
        f"there is no column '{column}'{did_you_mean(column, look.columns)}",
        hint=f"name one of {', '.join(look.columns)}",
    )


def _find_images(look: _Look, given: str | None) -> None:
    """The column of image paths, the folder that they start from, and the ending that they lack."""
    order = sorted(look.columns, key=lambda name: name.lower() not in IMAGE_WORDS)
    candidates = [given] if given is not None else order
    for column in candidates:
        if column not in look.columns:
            raise _no_column(look, column)
        first = next((value for value in look.columns[column] if value), "")
        for folder in (".", *_folders(look.root)):
            for ending in ("", *image_folder.IMAGES):
                file = inside(look.root, f"{folder}/{first}{ending}") if first else None
                if file is not None and file.is_file():
                    look.options |= {"images": folder, "image": column} | ({"ending": ending} if ending else {})
                    look.used.add(column)
                    return
    by_ending = [c for c in candidates if look.columns[c][0].lower().endswith(image_folder.IMAGES)]
    if not by_ending:
        raise DataError(
            f"{look.root}: no column names image files that are there", hint="name the column of images by --image"
        )
    look.options |= {"images": ".", "image": by_ending[0]}
    look.used.add(by_ending[0])
    look.notes.append(f"the images of column '{by_ending[0]}' were not found: say by `images` where they start")


def _find_split(look: _Look, given: str | None) -> None:
    for column in [given] if given is not None else look.rest:
        told = look.columns.get(column, [])
        values = set(told)
        known = {value: SPLIT_WORDS[value.lower()] for value in sorted(values) if value.lower() in SPLIT_WORDS}
        if "train" in known.values() and len(known) > 1 and len(known) == len(values):
            look.options["split"] = column
            look.splits["official"] = known
            look.parts = told
            look.used.add(column)
            return
    if given is not None:
        seen = sorted(set(look.columns.get(given, ())))[:6]
        raise DataError(
            f"the column '{given}' does not name splits (it holds: {', '.join(seen) or 'nothing'})",
            hint=f"leave --split out, or call splits as one of {', '.join(SPLIT_WORDS)}",
        )


def _find_group(look: _Look, given: str | None) -> None:
    for column in [given] if given is not None else look.rest:
        if column not in look.columns:
            raise _no_column(look, column)
        values = look.columns[column]
        words = re.split(r"[^a-z]+", column.lower())
        if given is not None or (any(w in GROUP_WORDS for w in words) and 1 < len(set(values)) < len(values)):
            look.options["group"] = column
            look.used.add(column)
            if given is None:
                look.notes.append(
                    f"the group was guessed from the name of column '{column}': images of one group belong together, "
                    "such as those of a person; take `group` away where they do not"
                )
            return


def _complete(look: _Look) -> dict[str, Any]:
    """Splits with all that is needed: a validation part, and a test part."""
    by = {"by": "group"} if "group" in look.options else {}
    official = look.splits.get("official")
    if official is None:
        look.notes.append(
            "no column and no folder tells the split: images are divided by a hash of their group or name"
        )
        return {"shares": SHARES} | by
    if "test" not in official.values():
        official = {value: "test" if split == "validation" else split for value, split in official.items()}
        look.notes.append("there is no test part: validation serves as test, and validation is carved from training")
    look.notes += _divided(look, official)
    if "validation" in official.values():
        return {"official": official}
    return {"official": official, "carve_validation": 0.1} | by


def _divided(look: _Look, official: Mapping[str, str]) -> Iterable[str]:
    """A note where official splits divide groups, and what can be done about it."""
    if "group" not in look.options:
        return
    splits: dict[str, set[str]] = {}
    for group, part in zip(look.columns[look.options["group"]], look.parts, strict=True):
        if group:
            splits.setdefault(group, set()).add(official[part])
    divided = sum(len(found) > 1 for found in splits.values())
    if divided:
        shares = ", ".join(f"{split}: {share}" for split, share in SHARES.items())
        yield (
            f"{divided} of {len(splits)} groups stand in several of the official splits, so that what is tested on was "
            f"trained on: write `shares: {{{shares}}}` and `by: group` instead of `official`, or, where that is the "
            "protocol, `by: image` beside it"
        )


def _find_tasks(look: _Look) -> tuple[ProposedTask, ...]:
    tasks: list[ProposedTask] = []
    marks: dict[str, _Marks] = {}
    for column in look.rest:
        values = [value.strip() for value in look.columns[column]]
        different, missing = _labels_of(values)
        labelled = sum(value != "" and value not in missing for value in values)
        if not all(_is_label(value) for value in different):
            look.notes.append(f"column '{column}' is left out: its values are no labels")
        elif len(different) == 2 and all(value.lower() in PRESENT_CODES for value in different):
            marks[column] = _Marks(different, missing)
        elif listed := _listed(values) if look.options.get("file") else None:
            separator, labels = listed
            if look.options.setdefault("separator", separator) == separator:
                tasks.append(_of_lists(look, column, labels))
            else:
                look.notes.append(f"column '{column}' is left out: its labels stand between other separators")
        elif 2 <= len(different) <= MOST_CLASSES and 2 * len(different) <= labelled:
            tasks.append(ProposedTask(column, different, column=column, missing=missing))
        else:
            look.notes.append(f"column '{column}' is left out: {len(different)} different values are no classes")
    return (*tasks, *_attributes(marks))


def _labels_of(values: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Different values, and words among them for none; these count as labels where hardly any other would be left."""
    different = sorted(set(values) - {""})
    missing = [value for value in different if value.lower() in MISSING_WORDS]
    labels = [value for value in different if value not in missing]
    return (tuple(labels), tuple(missing)) if len(labels) > 1 else (tuple(different), ())


def _of_lists(look: _Look, column: str, found: Iterable[str]) -> ProposedTask:
    """A task of a column whose cells list labels; layouts offer it label by label."""
    labels, words = _labels_of(found)
    if words:
        look.notes.append(
            f"column '{column}': a list that holds {_quoted(words)} is read as if no label held; where it is not "
            "annotated, leave its cell blank in the files"
        )
    return ProposedTask(column, labels, columns={label: f"{column}.{label}" for label in labels})


@dataclass(frozen=True)
class _Marks:
    """Values of a column that says yes or no, and its words for neither."""

    codes: tuple[str, ...]
    missing: tuple[str, ...]


def _attributes(marks: Mapping[str, _Marks]) -> Iterable[ProposedTask]:
    """One task of all columns that say yes or no in the same words; a lone one is a task of two classes."""
    by_codes: dict[tuple[str, ...], list[str]] = {}
    for column, mark in marks.items():
        by_codes.setdefault(mark.codes, []).append(column)
    for number, (found, columns) in enumerate(by_codes.items()):
        missing = tuple(sorted({word for column in columns for word in marks[column].missing}))
        if len(columns) == 1:
            yield ProposedTask(columns[0], found, column=columns[0], missing=missing)
            continue
        meanings = {code: "present" if PRESENT_CODES[code.lower()] else "absent" for code in found}
        name = "attributes" + (str(number + 1) if number else "")
        yield ProposedTask(
            name, tuple(columns), columns={column: column for column in columns}, codes=meanings, missing=missing
        )


def _listed(values: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """The separator of cells that list labels, and these; labels must be fewer than what is listed together."""
    for separator, is_rare in SEPARATORS.items():
        several = sum(separator in value.strip() for value in values)
        if not several:
            continue
        labels = sorted({part.strip() for value in values for part in value.split(separator)} - {""})
        different = len({value.strip() for value in values} - {""})
        if 2 <= len(labels) <= MOST_CLASSES and (is_rare or len(labels) < different) and 2 * len(labels) <= len(values):
            return separator, tuple(labels)
    return None


def _is_label(value: str) -> bool:
    return len(value) <= 200 and not any(ord(character) < 32 or ord(character) == 127 for character in value)


def _quoted(words: Iterable[str]) -> str:
    return " or ".join(f"'{word}'" for word in words)
