"""DeepFashion, Category and Attribute Prediction Benchmark: photographs from shops by kind and attributes of a garment.

    Anno_coarse/                        variant `coarse`; Anno/ in copies before 2020, variant `original`
        list_category_cloth.txt         `Blouse  1`: name, and 1 upper body, 2 lower body, 3 full body
        list_category_img.txt           `img/Sheer_Pleated-Front_Blouse/img_00000001.jpg  3`
        list_attr_cloth.txt             `a-line  3`, `abstract chevron print  1`: name, and 1 texture ... 5 style
        list_attr_img.txt               a path and a value for each attribute
        list_bbox.txt                   a path, x and y of the upper left corner, x and y of the lower right one
    Eval/list_eval_partition.txt        a path and train, val or test
    Anno_fine/                          option `annotation: fine`, variant `fine`: 20,000 images, labels made by hand
        list_category_cloth.txt, list_attr_cloth.txt        as above
        train.txt, train_cate.txt, train_attr.txt, train_bbox.txt, and so for val and test: row by row the same image
    Img/img/<item>/img_00000001.jpg     or img/<item>/...

The lists named `list_...` begin with a line that counts their rows and a line of names. The category of an image is a
number, from 1, in the list of categories; it is offered as `category`, under its name in that list, as is each
attribute. Attributes are 1 present, -1 absent, 0 unknown in the coarse lists, 1 and 0 in the fine ones. The group of an
image is its folder, which mostly is one garment.

Quirks, which `write` reproduces:

- Names of attributes contain blanks: the number after the last one is their type. Columns are padded with blanks.
- The list of attributes has 870 MB. It is read line by line, and only what was asked for is kept.
- `Cape`, `Nightdress`, `Shirtdress` and `Sundress` are in the list of 50 categories but not in use: they were merged
  into `Dress`.
- Lists are joined by path. An image that stands in one list and not in another is an error.

A box without extent counts as none. Not confirmed against the files: that -1 is meant where it stands for nearly all
attributes; they were mined from the texts of shops, so many are just not mentioned.

Sources: Liu, Luo, Qiu, Wang and Tang, DeepFashion, CVPR 2016, and the readme that comes with the data,
http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/AttributePrediction.html; files as public loaders read them, among them
open-mmlab/mmfashion (docs/dataset/ATTR_DATASET.md, configs/category_attribute_predict).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.data.layouts._files import (
    OUTSIDE,
    first_present,
    is_relative_name,
    lines_of,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.reading import BOX, Reading, Skipped
from bench.errors import DataError, did_you_mean
from bench.specs.model import Frozen

FOLDERS = {"coarse": "Anno_coarse", "original": "Anno", "fine": "Anno_fine"}
VARIANTS = tuple(FOLDERS)
PARTITION = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")
IMAGES = ("Img/img", "img")
SPLITS = ("train", "val", "test")
CODES = ("0", "1", "-1")
"""Values of attributes, by the character that stands for each while they are read."""

_PACKED = bytes(ord("2") if byte == 0xFF else byte if byte in b"01" else ord("x") for byte in range(256))
"""From bytes of a row, in which 0xFF (which UTF-8 never has) stands for -1, to digits; all else becomes an x."""
ATTRIBUTE_TYPES, CATEGORY_TYPES = 6, 3


class Options(Frozen):
    """Which of the two annotations is read."""

    annotation: Literal["coarse", "fine"] = Field(
        default="coarse",
        description="`coarse`: all images, with 1,000 attributes from the texts of shops. `fine`: 20,000 images with "
        "26 attributes by hand, and a division of their own.",
    )


def columns(options: Options) -> None:
    """Only the list of attributes knows."""


def recognise(root: Path, options: Options) -> str:
    """The folder of annotations tells; the images must be there too."""
    known = ("fine",) if options.annotation == "fine" else ("coarse", "original")
    folder = first_present(root, [FOLDERS[variant] for variant in known], "the folder of annotations")
    _images(root)
    return next(variant for variant in known if FOLDERS[variant] == folder.name)


def label_files(root: Path, options: Options) -> list[Path]:
    """All lists that are read."""
    variant = recognise(root, options)
    folder = root / FOLDERS[variant]
    files = [folder / "list_category_cloth.txt", folder / "list_attr_cloth.txt"]
    if variant == "fine":
        parts = ("", "_cate", "_attr", "_bbox")
        files += [folder / f"{split}{part}.txt" for split in SPLITS for part in parts]
    else:
        files += [folder / f"list_{name}.txt" for name in ("category_img", "attr_img", "bbox")]
        files.append(first_present(root, PARTITION, "the list of splits"))
    return [file for file in files if file.exists()]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of the list of splits. Raises `DataError` for malformed lists, or lists that do not agree."""
    variant = recognise(root, options)
    folder = root / FOLDERS[variant]
    asked = _Asked.among(root, folder, columns)
    skipped = Skipped()
    found = _read_fine(root, folder, asked) if variant == "fine" else _read_coarse(root, folder, asked)
    parts = [name.rpartition("/") for name in found.names]
    inside_copy = _inside_copy(parts)
    for place in np.flatnonzero(~inside_copy):
        skipped.add(OUTSIDE, found.names[place])
    top = _images(root).removesuffix("img")
    arrays: dict[str, Any] = {"image": pa.array(found.names, pa.string())}
    if top:
        arrays["file"] = pa.array([top + name for name in found.names], pa.string())
    arrays["split"] = pa.array(found.splits, pa.string())
    arrays["group"] = pa.array([folder for folder, _, _ in parts], pa.string())
    arrays["box"] = pa.array(found.boxes, BOX)
    for column in columns:
        arrays[f"value:{column}"] = found.values(column, asked)
    return Reading(pa.table(arrays).filter(pa.array(inside_copy)), variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """The lists, and the images where `file` says; an attribute of two words, and four categories out of use."""
    given = rows.to_pylist()
    attributes = sorted(
        {name.removeprefix("value:") for name in rows.column_names if name.startswith("value:")} - {"category"}
    )
    attributes = [*attributes, "abstract chevron print"]
    categories = sorted({row.get("value:category", "Dress") for row in given} | {"Cape", "Sundress"})
    for row in given:
        write_picture(root / row.get("file", row["image"]))
    (root / _place_of(given)).mkdir(parents=True, exist_ok=True)
    folder = root / FOLDERS[variant]
    _write_list(folder / "list_category_cloth.txt", "category_name  category_type", [f"{c:<15}3" for c in categories])
    _write_list(folder / "list_attr_cloth.txt", "attribute_name  attribute_type", [f"{a:<30}1" for a in attributes])
    table = _Written(given, attributes, categories, "0" if variant == "fine" else "-1")
    if variant == "fine":
        _write_fine(folder, table)
    else:
        _write_coarse(root, folder, table)


@dataclass(frozen=True)
class _Asked:
    """What is wanted of the lists: names of categories by number from 0, and places of attributes among `width`."""

    categories: list[str] | None
    attributes: dict[str, int]
    width: int

    @classmethod
    def among(cls, root: Path, folder: Path, columns: Sequence[str]) -> _Asked:
        """Raises `DataError` for a column that the lists do not have, or have twice."""
        file = folder / "list_attr_cloth.txt"
        names = _names(root, file, ATTRIBUTE_TYPES)
        wanted = [column for column in columns if column != "category"]
        for column in wanted:
            if column not in names:
                raise DataError(f"{file}: there is no column '{column}'{did_you_mean(column, ['category', *names])}")
            if names.count(column) > 1:
                raise DataError(f"{file}: the attribute '{column}' stands there twice")
        categories = _category_names(root, folder) if "category" in columns else None
        return cls(categories, {column: names.index(column) for column in wanted}, len(names))


@dataclass
class _Found:
    """What stands in the lists, in the order of `names`; `marks` is uint8 [images, attributes asked for], 0 to 2."""

    names: list[str]
    splits: list[str]
    categories: list[str] = field(default_factory=list)
    marks: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    boxes: list[list[float] | None] = field(default_factory=list)

    def values(self, column: str, asked: _Asked) -> pa.Array:
        if column == "category":
            return pa.array(self.categories, pa.string())
        codes = np.ascontiguousarray(self.marks[:, list(asked.attributes).index(column)])
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.uint8()), pa.array(CODES)).cast(pa.string())


def _images(root: Path) -> str:
    """`Img/img` or `img`."""
    return str(first_present(root, IMAGES, "the folder of images").relative_to(root))


def _inside_copy(parts: list[tuple[str, str, str]]) -> NDArray[np.bool_]:
    """Whether each path, as folder, slash and file, stays below the copy; each folder is looked at once."""
    folders = {folder: is_relative_name(folder) for folder in {folder for folder, _, _ in parts}}
    return np.array(
        [folders[folder] and file not in ("", "..") and "\\" not in file for folder, _, file in parts], bool
    )


def _names(root: Path, file: Path, types: int) -> list[str]:
    """Names in a list of names and types."""
    names: list[str] = []
    for number, line in _counted(root, file):
        *name, kind = line.rsplit(None, 1)
        if not name:
            raise DataError(f"{file}:{number}: expected a name and its type, found '{kind[:40]}'")
        whole_number(kind, f"{file}:{number}: the type of '{name[0].strip()[:40]}'", low=1, high=types)
        names.append(name[0].strip())
    return names


def _category_names(root: Path, folder: Path) -> list[str]:
    file = folder / "list_category_cloth.txt"
    names = _names(root, file, CATEGORY_TYPES)
    for place, name in enumerate(names):
        if len(name.split()) > 1 or name in names[:place]:
            raise DataError(f"{file}: expected categories of one word, all different; found '{name[:40]}'")
    return names


def _counted(root: Path, file: Path) -> Iterator[tuple[int, str]]:
    """Rows of a list after the line that counts them and the line of names. Raises `DataError` if there are others."""
    lines = lines_of(root, file)
    number, first = next(lines, (1, ""))
    count = whole_number(first.strip(), f"{file}:{number}: the number of rows", low=0, high=10**9)
    next(lines, None)
    rows = 0
    for number, line in lines:
        rows += 1
        yield number, line
    if rows != count:
        raise DataError(
            f"{file}: {rows} rows, but its first line says {count}",
            hint="get this file anew; if it is whole, put the right number into its first line",
        )


def _pairs(root: Path, file: Path) -> Iterator[tuple[int, str, str]]:
    """Line numbers, paths and what follows them."""
    for number, line in _counted(root, file):
        name, *rest = line.split(None, 1)
        if not rest:
            raise DataError(f"{file}:{number}: expected a path and what belongs to it, found '{name[:80]}'")
        yield number, name, rest[0].rstrip()


def _read_coarse(root: Path, folder: Path, asked: _Asked) -> _Found:
    file = first_present(root, PARTITION, "the list of splits")
    names: list[str] = []
    splits: list[str] = []
    for number, name, split in _pairs(root, file):
        if split not in SPLITS:
            raise DataError(f"{file}:{number}: expected train, val or test, found '{split[:40]}'")
        names.append(name)
        splits.append(split)
    order = _Order(file, names)
    found = _Found(names, splits)
    if asked.categories is not None:
        found.categories = order.sorted(*_categories(root, folder / "list_category_img.txt", asked.categories))
    if asked.attributes:
        listed, marks = _attributes(root, folder / "list_attr_img.txt", asked)
        found.marks = marks[order.places(folder / "list_attr_img.txt", listed)]
    file = folder / "list_bbox.txt"
    boxes = [(name, _box(text, f"{file}:{number}")) for number, name, text in _pairs(root, file)]
    found.boxes = order.sorted(file, [name for name, _ in boxes], [box for _, box in boxes])
    return found


class _Order:
    """The order of one list, which others are brought into."""

    def __init__(self, file: Path, names: list[str]) -> None:
        self._file, self._names = file, names
        self._place_of = {name: place for place, name in enumerate(names)}
        if len(self._place_of) < len(names):
            twice = next(name for place, name in enumerate(names) if self._place_of[name] != place)
            raise DataError(f"{file}: {twice} stands there twice")

    def sorted(self, file: Path, names: list[str], values: list[Any]) -> list[Any]:
        """`values`, which belong to `names`, in this order."""
        return [values[place] for place in self.places(file, names)]

    def places(self, file: Path, names: list[str]) -> Sequence[int] | NDArray[np.intp]:
        """Where each name of this order stands in another list. Raises `DataError` unless both hold the same names."""
        if names == self._names:
            return range(len(names))
        other = {name: place for place, name in enumerate(names)}
        for here, one, there, two in (
            (self._place_of, self._file, other, file),
            (other, file, self._place_of, self._file),
        ):
            lost = next((name for name in here if name not in there), None)
            if lost is not None:
                raise DataError(f"{lost} stands in {one} and not in {two}", hint="the lists must be of one release")
        if len(other) < len(names):
            raise DataError(f"{file}: {len(names) - len(other)} images stand there twice")
        return np.array([other[name] for name in self._names], np.intp)


def _categories(root: Path, file: Path, categories: list[str]) -> tuple[Path, list[str], list[str]]:
    """The list itself, paths, and names of categories."""
    names: list[str] = []
    values: list[str] = []
    for number, name, code in _pairs(root, file):
        names.append(name)
        values.append(_category(code, f"{file}:{number}", categories))
    return file, names, values


def _category(code: str, where: str, categories: list[str]) -> str:
    if code.isascii() and code.isdigit() and 0 < int(code[:9]) <= len(categories) and len(code) < 9:
        return categories[int(code) - 1]
    raise DataError(f"{where}: expected a category from 1 to {len(categories)}, found '{code[:40]}'")


def _attributes(root: Path, file: Path, asked: _Asked) -> tuple[list[str], NDArray[np.uint8]]:
    """Paths, and the attributes asked for, uint8 [images, attributes]."""
    names: list[str] = []
    chosen = _Chosen(asked)
    for number, name, text in _pairs(root, file):
        names.append(name)
        chosen.add(text, file, number)
    return names, chosen.marks()


class _Chosen:
    """Collects some of the attributes of each row."""

    def __init__(self, asked: _Asked) -> None:
        self._width = asked.width
        self._places = tuple(asked.attributes.values())
        self._get = itemgetter(*self._places, self._places[0])  # of at least two places, so that it gives a tuple
        self._content = bytearray()

    def add(self, text: str, file: Path, number: int) -> None:
        """One row, such as `-1  1 -1  0`. Each value becomes one byte; splitting 1,000 of them takes far longer."""
        packed = text.encode("utf-8").replace(b"-1", b" \xff").translate(_PACKED, b" \t\r")
        if len(packed) != self._width or packed.translate(None, b"012"):
            raise DataError(f"{file}:{number}: expected {self._width} times 1, 0 or -1, {_oddity(text)}")
        self._content += bytes(self._get(packed)[:-1])

    def marks(self) -> NDArray[np.uint8]:
        flat = np.frombuffer(bytes(self._content), np.uint8) - ord("0")
        return flat.reshape(-1, len(self._places))


def _oddity(text: str) -> str:
    odd = [value for value in text.split() if value not in CODES]
    return f"found '{odd[0][:40]}'" if odd else f"found {len(text.split())} values"


def _box(text: str, where: str) -> list[float] | None:
    """x, y, width and height; None for a box without extent."""
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split())
    except ValueError:
        raise DataError(f"{where}: expected the four numbers of a box, found '{text[:60]}'") from None
    if not all(abs(value) < 1e6 for value in (x1, y1, x2, y2)):
        raise DataError(f"{where}: expected a box in pixels, found '{text[:60]}'")
    return [x1, y1, x2 - x1, y2 - y1] if x2 > x1 and y2 > y1 else None


def _read_fine(root: Path, folder: Path, asked: _Asked) -> _Found:
    found = _Found([], [])
    chosen = _Chosen(asked) if asked.attributes else None
    for split in SPLITS:
        file = folder / f"{split}.txt"
        names = [line.strip() for _, line in lines_of(root, file)]
        found.names += names
        found.splits += [split] * len(names)
        if asked.categories is not None:
            beside = folder / f"{split}_cate.txt"
            for number, line in _beside(root, beside, file, len(names)):
                found.categories.append(_category(line.strip(), f"{beside}:{number}", asked.categories))
        if chosen is not None:
            beside = folder / f"{split}_attr.txt"
            for number, line in _beside(root, beside, file, len(names)):
                chosen.add(line, beside, number)
        beside = folder / f"{split}_bbox.txt"
        for number, line in _beside(root, beside, file, len(names)):
            found.boxes.append(_box(line, f"{beside}:{number}"))
    if chosen is not None:
        found.marks = chosen.marks()
    return found


def _beside(root: Path, file: Path, other: Path, count: int) -> list[tuple[int, str]]:
    """Lines of a list whose rows belong to those of another. Raises `DataError` if there are not as many."""
    lines = list(lines_of(root, file))
    if len(lines) != count:
        raise DataError(f"{file}: {len(lines)} rows, but {other} has {count}", hint="get both files anew")
    return lines


@dataclass(frozen=True)
class _Written:
    """What `write` puts into lists; `absent` is the value of attributes that rows do not tell."""

    rows: list[dict[str, Any]]
    attributes: list[str]
    categories: list[str]
    absent: str

    def values(self, row: Mapping[str, Any]) -> str:
        return " ".join(f"{row.get(f'value:{name}', self.absent):>2}" for name in self.attributes)

    def category(self, row: Mapping[str, Any]) -> str:
        return str(self.categories.index(row.get("value:category", "Dress")) + 1)

    def box(self, row: Mapping[str, Any]) -> str:
        x, y, width, height = row.get("box") or (5, 5, 0, 0)
        return f"{x:g} {y:g} {x + width:g} {y + height:g}"


def _place_of(rows: list[dict[str, Any]]) -> str:
    return IMAGES[0] if rows and "file" in rows[0] else IMAGES[1]


def _write_list(file: Path, header: str, lines: list[str]) -> None:
    write_lines(file, [str(len(lines)), header, *lines])


def _write_coarse(root: Path, folder: Path, table: _Written) -> None:
    """The lists with paths; that of boxes begins with the last image."""
    images = [(f"{row['image']:<70} ", row) for row in table.rows]
    turned = images[-1:] + images[:-1]
    parts = {
        folder / "list_bbox.txt": ("x_1 y_1 x_2 y_2", [name + table.box(row) for name, row in turned]),
        folder / "list_category_img.txt": ("category_label", [name + table.category(row) for name, row in images]),
        folder / "list_attr_img.txt": ("attribute_labels", [name + table.values(row) for name, row in images]),
        root / PARTITION[0]: ("evaluation_status", [name + row["split"] for name, row in images]),
    }
    for file, (header, lines) in parts.items():
        _write_list(file, f"image_name  {header}", lines)


def _write_fine(folder: Path, table: _Written) -> None:
    for split in SPLITS:
        rows = [row for row in table.rows if row["split"] == split]
        write_lines(folder / f"{split}.txt", [row["image"] for row in rows])
        write_lines(folder / f"{split}_cate.txt", [table.category(row) for row in rows])
        write_lines(folder / f"{split}_attr.txt", [table.values(row) + " " for row in rows])
        write_lines(folder / f"{split}_bbox.txt", [table.box(row) for row in rows])
