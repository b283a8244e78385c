"""CUB-200-2011: photographs of birds by species, with 312 attributes as annotators saw them.

    attributes.txt                                  `2 has_bill_shape::dagger`
    CUB_200_2011/                                   (or its content)
        images/001.Black_footed_Albatross/*.jpg
        images.txt                                  `1 001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg`
        classes.txt                                 `1 001.Black_footed_Albatross`
        image_class_labels.txt                      `1 1`: image, class
        train_test_split.txt                        `1 0`: image, 1 train or 0 test
        bounding_boxes.txt                          `1 60.0 27.0 325.0 304.0`: image, x, y, width, height
        attributes/certainties.txt                  1 not visible, 2 guessing, 3 probably, 4 definitely
        attributes/image_attribute_labels.txt       `1 2 0 1 27.7080`: image, attribute, 1 present or 0, certainty, time

All numbers count from 1. attributes.txt is expected above CUB_200_2011, where the archive has it, in that folder, or in
its `attributes`, where the readme has it.

Columns:

- `species`: the name in classes.txt after its number and the dot. Spelling is that of the files (`Artic_Tern`).
- each attribute by its name: presence and certainty, such as `1/4` (definitely present) or `0/1` (not visible).
- `class::` and the name of an attribute: 1 or 0 for all images of a species, as concept bottleneck models are trained
  on: present if at least half of the training images of the species say so, not counting negatives that are marked not
  visible. As there, an attribute that nothing is counted of is present. There, a random fifth of the training images,
  that nobody can draw again, was left out of the count as validation; here all are counted. Test images never are. The
  codes are blank for a species without a training image.

Quirks, which `write` reproduces: some rows of image_attribute_labels.txt (606 of 3,677,856 in a published count) have
more than five fields. The first four are right, the rest is not used. attributes.txt stands outside the folder of all
other files.

Asserted: every list numbers the same images, in order; the folder of an image is its class; each pair of image and
attribute stands once; what the numbers of certainties mean.

Sources: Wah, Branson, Welinder, Perona and Belongie, Caltech 2011, https://data.caltech.edu/records/65de6-vp158, and
the readme in the archive; malformed rows and labels of classes as yewsiang/ConceptBottleneck has it
(CUB/data_processing.py, CUB/generate_new_data.py; Koh et al., ICML 2020).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from bench.data.layouts._files import (
    OUTSIDE,
    first_present,
    is_relative_name,
    lines_of,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.layouts._places import MOST_PIXELS, lists_of
from bench.data.reading import BOX, Reading, Skipped
from bench.errors import DataError, did_you_mean, is_infrastructure
from bench.specs.model import Frozen

VARIANTS = ("official",)
FOLDER = "CUB_200_2011"
SPECIES = "species"
OF_CLASS = "class::"
LISTS = ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")
ATTRIBUTES, LABELS, CERTAINTIES = (
    "attributes.txt",
    "attributes/image_attribute_labels.txt",
    "attributes/certainties.txt",
)
CERTAINTY_NAMES = ("not visible", "guessing", "probably", "definitely")
CODES = tuple(f"{present}/{certainty}" for present in (0, 1) for certainty in (1, 2, 3, 4))
"""Codes of attributes, by the place that stands for each while they are read."""

NOT_VISIBLE, FIRST_PRESENT, NOTHING = CODES.index("0/1"), CODES.index("1/1"), len(CODES)

_FIELDS = ("image", "attribute", "present", "certainty", "time")
_CLASS = re.compile(r"\d+\.([^/\\\s]+)")


class Options(Frozen):
    """There are none: whether boxes are used is said by `crop` in the dataset spec."""


def columns(options: Options) -> None:
    """Only attributes.txt knows all of them."""


def recognise(root: Path, options: Options) -> str:
    """There is one variant: the lists, and the folder of images beside them."""
    base = _base(root)
    for name in (*LISTS, "images"):
        first_present(root, [_under(root, base, name)], f"`{name}`")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """All lists that are there."""
    base = _base(root)
    files = [base / name for name in (*LISTS, LABELS, CERTAINTIES)]
    return [file for file in (*files, *_attribute_places(root, base)) if file.is_file()]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of images.txt. Raises `DataError` for malformed lists, or lists that disagree."""
    recognise(root, options)
    base, skipped = _base(root), Skipped()
    images = [name for _, (name,) in _numbered(root, base / LISTS[0], "a path")]
    used = np.array([is_relative_name(name) for name in images], bool)
    for place in np.flatnonzero(~used):
        skipped.add(OUTSIDE, images[place])
    classes = _classes(root, base / LISTS[1])
    class_of = _classes_of(root, base / LISTS[2], images, classes)
    splits = _splits(root, base / LISTS[3], len(images))
    arrays: dict[str, Any] = {"image": pa.array([f"images/{name}" for name in images], pa.string())}
    if base != root:
        arrays["file"] = pa.array([f"{FOLDER}/images/{name}" for name in images], pa.string())
    arrays["split"] = pa.array(splits, pa.string())
    boxes = _boxes(root, base / LISTS[4], len(images))
    arrays["box"] = lists_of(boxes, BOX)
    values = {SPECIES: pa.array([name.partition(".")[2] for name in classes], pa.string()).take(pa.array(class_of))}
    attributes = [column for column in columns if column != SPECIES]
    if attributes:
        seen = _Seen.under(root, base, attributes, len(images))
        values |= {column: seen.values(column, class_of, splits == "1") for column in attributes}
    arrays |= {f"value:{column}": values[column] for column in columns}
    return Reading(pa.table(arrays).filter(pa.array(used)), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows, as `file` says with its folder or without; one row of attributes has two fields more."""
    given = rows.to_pylist()
    base = root / FOLDER if any("file" in row for row in given) else root
    names = [row["image"].removeprefix("images/") for row in given]
    for row in given:
        write_picture(root / row.get("file", row["image"]))
    (base / "images").mkdir(parents=True, exist_ok=True)
    classes = sorted({name.partition("/")[0] for name in names})
    write_lines(base / LISTS[0], [f"{i} {name}" for i, name in enumerate(names, 1)])
    write_lines(base / LISTS[1], [f"{i} {name}" for i, name in enumerate(classes, 1)])
    numbers = [classes.index(name.partition("/")[0]) + 1 for name in names]
    write_lines(base / LISTS[2], [f"{i} {number}" for i, number in enumerate(numbers, 1)])
    write_lines(base / LISTS[3], [f"{i} {row['split']}" for i, row in enumerate(given, 1)])
    boxes = [" ".join(f"{value:.9g}" for value in row["box"]) for row in given]
    write_lines(base / LISTS[4], [f"{i} {box}" for i, box in enumerate(boxes, 1)])
    values = [name.removeprefix("value:") for name in rows.column_names if name.startswith("value:")]
    attributes = list(dict.fromkeys(name.removeprefix(OF_CLASS) for name in values if name != SPECIES))
    if attributes:
        write_lines(root / ATTRIBUTES, [f"{i} {name}" for i, name in enumerate(attributes, 1)])
        write_lines(base / CERTAINTIES, [f"{i} {name}" for i, name in enumerate(CERTAINTY_NAMES, 1)])
        write_lines(base / LABELS, _label_lines(given, attributes))


def _label_lines(rows: Sequence[dict[str, Any]], attributes: Sequence[str]) -> Iterator[str]:
    """Lines of image_attribute_labels.txt; where only the class is known, every image of it says the same."""
    for image, row in enumerate(rows, 1):
        for number, name in enumerate(attributes, 1):
            code = row.get(f"value:{name}") or f"{row[f'value:{OF_CLASS}{name}'] or '0'}/4"
            more = " 0 0" if (image, number) == (1, 1) else ""
            yield f"{image} {number} {code.replace('/', ' ')}{more} 1.509"


def _base(root: Path) -> Path:
    """The folder that holds images.txt."""
    return first_present(root, [LISTS[0], f"{FOLDER}/{LISTS[0]}"], "the list of images").parent


def _under(root: Path, base: Path, name: str) -> str:
    return (base / name).relative_to(root).as_posix()


def _attribute_places(root: Path, base: Path) -> list[Path]:
    return list(dict.fromkeys(folder / ATTRIBUTES for folder in (root, base, base / "attributes")))


def _numbered(root: Path, file: Path, *values: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a list that numbers them from 1, as line number and values; `values` says what each is, for messages."""
    for count, (line, text) in enumerate(lines_of(root, file), 1):
        number, *found = text.split()
        if number != str(count) or len(found) != len(values):
            expected = ", ".join([f"the number {count}", *values])
            raise DataError(f"{file}:{line}: expected {expected}; found '{text[:80]}'", hint="get this file anew")
        yield line, found


def _refuse_other_count(file: Path, found: int, images: int) -> None:
    if found != images:
        raise DataError(f"{file} has {found} rows, expected {images}, one for each image", hint="get this file anew")


def _classes(root: Path, file: Path) -> list[str]:
    """Names of the classes with their numbers, such as `001.Black_footed_Albatross`."""
    classes: list[str] = []
    for line, (name,) in _numbered(root, file, "a name"):
        if not _CLASS.fullmatch(name):
            raise DataError(f"{file}:{line}: expected a name such as 001.Black_footed_Albatross, found '{name[:80]}'")
        classes.append(name)
    species = [name.partition(".")[2] for name in classes]
    twice = next((name for name in species if species.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: the species '{twice}' stands twice", hint="get this file anew")
    return classes


def _classes_of(root: Path, file: Path, images: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Place of each image's class, int64 [n]. Raises `DataError` where its folder has another name."""
    found: list[int] = []
    for line, (number,) in _numbered(root, file, "a class"):
        place = whole_number(number, f"{file}:{line}", low=1, high=len(classes)) - 1
        if len(found) < len(images) and _folder_of(images[len(found)]) not in (classes[place], ".."):
            raise DataError(
                f"{file}:{line}: image {len(found) + 1} is of class {classes[place]}, and lies in the folder "
                f"'{_folder_of(images[len(found)])[:80]}'",
                hint="get this file, images.txt and classes.txt anew, from one archive",
            )
        found.append(place)
    _refuse_other_count(file, len(found), len(images))
    return np.array(found, np.int64)


def _folder_of(image: str) -> str:
    """The folder of an image; `..` for a path that leads out of the copy, which is not used."""
    return image.partition("/")[0] if is_relative_name(image) else ".."


def _splits(root: Path, file: Path, images: int) -> NDArray[np.str_]:
    """Codes of splits, "1" or "0", [n]."""
    found: list[str] = []
    for line, (split,) in _numbered(root, file, "1 or 0"):
        if split not in ("0", "1"):
            raise DataError(f"{file}:{line}: expected 1 (train) or 0 (test), found '{split[:40]}'")
        found.append(split)
    _refuse_other_count(file, len(found), images)
    return np.array(found, np.str_)


def _boxes(root: Path, file: Path, images: int) -> NDArray[np.float32]:
    """x, y, width and height in pixels, float32 [n, 4]."""
    found: list[list[float]] = []
    for line, values in _numbered(root, file, "x", "y", "a width", "a height"):
        try:
            x, y, width, height = (float(value) for value in values)
        except ValueError:
            x = y = width = height = float("nan")
        if not (abs(x) < MOST_PIXELS and abs(y) < MOST_PIXELS and 0 < width < MOST_PIXELS and 0 < height < MOST_PIXELS):
            raise DataError(
                f"{file}:{line}: expected x, y, width and height in pixels, found '{' '.join(values)[:80]}'"
            )
        found.append([x, y, width, height])
    _refuse_other_count(file, len(found), images)
    return np.array(found, np.float32).reshape(-1, 4)


@dataclass(frozen=True)
class _Seen:
    """What annotators saw: `place_of` gives the column of an attribute in `codes`, uint8 [images, attributes]."""

    place_of: dict[str, int]
    codes: NDArray[np.uint8]

    @classmethod
    def under(cls, root: Path, base: Path, asked: Sequence[str], images: int) -> _Seen:
        """Read the attributes of all images. Raises `DataError` also for one that is asked for and not there."""
        places = [place.relative_to(root).as_posix() for place in _attribute_places(root, base)]
        file = first_present(root, places, f"the list of attributes (the archive has it beside {FOLDER}, not in it)")
        names = [name for _, (name,) in _numbered(root, file, "a name")]
        place_of = {name: place for place, name in enumerate(names)}
        if len(place_of) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{file}: the attribute '{twice}' stands twice", hint="get this file anew")
        for column in asked:
            if column.removeprefix(OF_CLASS) not in place_of:
                near = did_you_mean(column.removeprefix(OF_CLASS), [SPECIES, *names])
                raise DataError(f"{file}: there is no column '{column}'{near}")
        _refuse_other_certainties(root, base / CERTAINTIES)
        labels = first_present(root, [_under(root, base, LABELS)], "the labels of attributes")
        return cls(place_of, _codes(labels, images, len(names)))

    def values(self, column: str, class_of: NDArray[np.int64], train: NDArray[np.bool_]) -> pa.Array:
        """Codes of a column by image, [images]; `train` are the images that say what their class has."""
        codes = self.codes[:, self.place_of[column.removeprefix(OF_CLASS)]]
        if not column.startswith(OF_CLASS):
            return pa.array(CODES).take(pa.array(codes))
        classes = int(class_of.max(initial=-1)) + 1
        present, counted = codes >= FIRST_PRESENT, train & (codes != NOT_VISIBLE)
        votes_for = np.bincount(class_of[counted & present], minlength=classes)
        votes_against = np.bincount(class_of[counted & ~present], minlength=classes)
        untrained = np.bincount(class_of[train], minlength=classes) == 0
        of_class = np.where(untrained, 2, votes_for >= votes_against)
        return pa.array(["0", "1", ""]).take(pa.array(of_class[class_of]))


def _refuse_other_certainties(root: Path, file: Path) -> None:
    names = [text.split(maxsplit=1) for _, text in lines_of(root, file)]
    expected = [[str(number), name] for number, name in enumerate(CERTAINTY_NAMES, 1)]
    if [[*map(str.strip, name)] for name in names] != expected:
        raise DataError(
            f"{file}: expected {', '.join(' '.join(name) for name in expected)}; found "
            f"{', '.join(' '.join(name) for name in names)[:200]}",
            hint="get this file anew",
        )


def _codes(file: Path, images: int, attributes: int) -> NDArray[np.uint8]:
    """Places in `CODES`, [images, attributes]. Raises `DataError` unless each pair is told once."""
    rows, mended = _label_rows(file)
    image, attribute, present, certainty = rows
    right = (image >= 1) & (image <= images) & (attribute >= 1) & (attribute <= attributes)
    right &= (present >= 0) & (present <= 1) & (certainty >= 1) & (certainty <= len(CERTAINTY_NAMES))
    if not right.all():
        place = int(np.flatnonzero(~right)[0])
        found = " ".join(map(str, rows[:, place].tolist()))
        raise DataError(
            f"{file}:{_line_of(place, len(image), mended)}: expected an image from 1 to {images}, an attribute from 1 "
            f"to {attributes}, 1 or 0, and a certainty from 1 to 4; found '{found}'"
        )
    pair = (image.astype(np.int64) - 1) * attributes + attribute - 1
    told = np.bincount(pair, minlength=images * attributes)
    if (told != 1).any():
        odd = int(np.flatnonzero(told != 1)[0])
        raise DataError(
            f"{file}: image {odd // attributes + 1}, attribute {odd % attributes + 1} stands {told[odd]} times, "
            "expected once",
            hint="get this file anew",
        )
    codes = np.full(images * attributes, NOTHING, np.uint8)
    codes[pair] = present * len(CERTAINTY_NAMES) + certainty - 1
    return codes.reshape(images, attributes)


def _label_rows(file: Path) -> tuple[NDArray[np.int32], list[int]]:
    """The first four fields of each row, int32 [4, rows], those of rows with other than five last, and their lines.

    Raises `DataError` for a row that does not begin with four whole numbers.
    """
    mended: list[list[int]] = []
    lines: list[int] = []

    def mend(row: pa_csv.InvalidRow) -> str:
        fields = row.text.split()
        if len(fields) < 4 or not all(field.isdecimal() and len(field) < 9 for field in fields[:4]):
            return "error"
        mended.append([int(field) for field in fields[:4]])
        lines.append(row.number)
        return "skip"

    try:
        _refuse_other_than_ascii(file)
        table = pa_csv.read_csv(
            file,
            read_options=pa_csv.ReadOptions(column_names=_FIELDS, use_threads=False),  # threads lose line numbers
            parse_options=pa_csv.ParseOptions(delimiter=" ", quote_char=False, invalid_row_handler=mend),
            convert_options=pa_csv.ConvertOptions(
                include_columns=_FIELDS[:4], column_types=dict.fromkeys(_FIELDS[:4], pa.int32()), null_values=[]
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        if is_infrastructure(error):
            raise
        at = re.search(r"Row #(\d+)", str(error))
        where = f"{file}:{at[1]}" if at is not None else f"{file}"
        raise DataError(
            f"{where}: expected image, attribute, 1 or 0, certainty and time, separated by blanks: {str(error)[:200]}",
            hint="get this file anew",
        ) from error
    rows = np.stack([table[name].to_numpy() for name in _FIELDS[:4]])
    return np.concatenate([rows, np.array(mended, np.int32).reshape(-1, 4).T], axis=1), lines


def _refuse_other_than_ascii(file: Path) -> None:
    """Arrow would lose an error in the text of a row that it hands over to be mended."""
    with file.open("rb") as stream:
        while block := stream.read(1 << 24):
            if not block.isascii():
                raise DataError(f"{file}: not a table of numbers: it has other characters", hint="get this file anew")


def _line_of(place: int, rows: int, mended: Sequence[int]) -> int:
    """The line of a row, where the rows of the `mended` lines were put to the end."""
    plain = np.setdiff1d(np.arange(1, rows + 1), mended)
    return int(np.concatenate([plain, np.array(mended, np.int64)])[place])
