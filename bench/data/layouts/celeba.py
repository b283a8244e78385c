"""CelebA: aligned photographs of celebrities with forty attributes and the identity of each.

`drive`, as its owners serve it, flat or in the sub-folders named behind:

    img_align_celeba/000001.jpg             Img/    178 x 218 pixels
    list_attr_celeba.txt                    Anno/   the number of rows, forty names, `000001.jpg -1  1  1 -1 ...`
    identity_CelebA.txt                     Anno/   `000001.jpg 2880`
    list_landmarks_align_celeba.txt         Anno/   number of rows, names, `000001.jpg 69  109  106  113 ...`
    list_eval_partition.txt                 Eval/   `000001.jpg 0`: 0 train, 1 validation, 2 test

`kaggle`, a copy of it in which the lists are comma-separated and the folder of images may stand in another of its name:

    img_align_celeba/img_align_celeba/000001.jpg
    list_attr_celeba.csv                    `image_id,5_o_Clock_Shadow,...`, `000001.jpg,-1,1,...`
    list_landmarks_align_celeba.csv, list_eval_partition.csv

Either may stand in a folder `celeba` under the root. Columns: the attributes by their names, 1 present and -1 absent
(there is no code for missing), and `identity`, a number from 1. The group of an image is its identity. The Kaggle copy
has no list of identities: that of the drive may be put into it. Points are those of the aligned images, if their list
is there; points and identities may be left out of a copy, the other lists not. Images are named img_align_celeba/...
wherever they stand.

Quirks, which `write` reproduces: one or two blanks between values, a blank at the end of the names of attributes, no
name above the images in the lists with a count. `list_bbox_celeba` is not read: its boxes are those of the photographs
before these were aligned (https://github.com/pytorch/vision/issues/9008).

Asserted: lists name the same images; in most rows the points are where a face has them, the left eye being the one on
the left of the image (option `eyes`).

Sources: Liu, Luo, Wang and Tang, ICCV 2015, http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; files as public loaders
read them, among them torchvision (datasets/celeba.py) and cvat-ai/datumaro (celeba.py).
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.data.layouts._files import (
    OUTSIDE,
    fields_of,
    first_present,
    is_relative_name,
    lines_of,
    refuse_unknown,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.layouts._places import LEAST, MOST_PIXELS, lists_of, share_of_faces
from bench.data.reading import POINTS, Reading, Skipped
from bench.errors import DataError
from bench.specs.model import Frozen, PositiveInt

ENDINGS = {"drive": ".txt", "kaggle": ".csv"}
VARIANTS = tuple(ENDINGS)
TOPS = ("", "celeba/", "CelebA/")
ATTRIBUTES, PARTITION, LANDMARKS = "list_attr_celeba", "list_eval_partition", "list_landmarks_align_celeba"
IDENTITIES = "identity_CelebA.txt"
IMAGES = "img_align_celeba"
IDENTITY = "identity"
NAMES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)  # fmt: skip
POINT_NAMES = [f"{part}_{axis}" for part in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for axis in "xy"]
CODES = ("-1", "1")
SPLITS = ("0", "1", "2")

_PLAIN = re.compile(r"[0-9A-Za-z_]+\.[a-z]+")
"""Names of files as they all are: no path needs to be taken apart."""

_PLACE_OF = {code: place for place, code in enumerate(CODES)}
MOST_IDENTITIES = 10_000_000


class Options(Frozen):
    """Which people are used, and how points are read."""

    identities: PositiveInt | None = Field(
        default=None, description="Only images of the people with the numbers from 1 to this; left out: all."
    )
    eyes: Literal["by_image", "any"] = Field(
        default="by_image",
        description="`by_image`: refuse points whose left eye is not mostly on the left of the image, above the mouth. "
        "`any`: take them as they are.",
    )


def columns(options: Options) -> Sequence[str]:
    """The attributes, and the identity."""
    return (*NAMES, IDENTITY)


def recognise(root: Path, options: Options) -> str:
    """Which variant the list of attributes tells; the list of splits and the images must be there too."""
    copy = _Copy.under(root)
    copy.needed(PARTITION)
    copy.images()
    return copy.variant


def label_files(root: Path, options: Options) -> list[Path]:
    """The lists that are there."""
    copy = _Copy.under(root)
    optional = [copy.optional(LANDMARKS + ENDINGS[copy.variant]), copy.optional(IDENTITIES)]
    return [copy.needed(ATTRIBUTES), copy.needed(PARTITION), *(file for file in optional if file is not None)]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of the list of attributes. Raises `DataError` for malformed lists, or lists that disagree."""
    refuse_unknown(columns, (*NAMES, IDENTITY), root)
    copy, skipped = _Copy.under(root), Skipped()
    top = copy.images()
    names, codes = _attributes(copy)
    arrays: dict[str, Any] = {"image": pa.array([f"{IMAGES}/{name}" for name in names], pa.string())}
    if top != IMAGES:
        arrays["file"] = pa.array([f"{top}/{name}" for name in names], pa.string())
    arrays["split"] = pa.array(_splits(copy, names), pa.string())
    people = _identities(copy, names, needed=IDENTITY in columns or options.identities is not None)
    if people is not None:
        arrays["group"] = pa.array(people).cast(pa.string())
    points = _points(copy, names, options)
    if points is not None:
        arrays["points"] = lists_of(points, POINTS)
    for column in columns:
        if column == IDENTITY:
            arrays[f"value:{column}"] = arrays["group"]
        else:
            arrays[f"value:{column}"] = pa.array(CODES).take(pa.array(codes[:, NAMES.index(column)]))
    used = _used(names, people, options, skipped)
    return Reading(pa.table(arrays).filter(pa.array(used)), copy.variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows, in sub-folders if `file` says so; attributes that no column gives are absent."""
    given = rows.to_pylist()
    folders = bool(given) and given[0].get("file", "").startswith("Img/")
    anno, evaluation = ("Anno/", "Eval/") if folders else ("", "")
    of_row = {row["image"].removeprefix(f"{IMAGES}/"): row for row in given}
    for row in given:
        write_picture(root / row.get("file", row["image"]), (18, 22))
    (root / ("Img" if folders else "") / IMAGES).mkdir(parents=True, exist_ok=True)
    codes = {name: [row.get(f"value:{column}", "-1") for column in NAMES] for name, row in of_row.items()}
    _write_list(root / anno / ATTRIBUTES, list(NAMES), codes, variant)
    if "points" in rows.column_names:
        points = {name: [f"{value:.9g}" for value in row["points"]] for name, row in of_row.items()}
        _write_list(root / anno / LANDMARKS, POINT_NAMES, points, variant)
    splits = {name: row["split"] for name, row in of_row.items()}
    if variant == "kaggle":
        write_lines(root / f"{PARTITION}.csv", ["image_id,partition", *map(",".join, splits.items())])
    else:
        write_lines(root / evaluation / f"{PARTITION}.txt", map(" ".join, splits.items()))
    if "group" in rows.column_names:
        write_lines(root / anno / IDENTITIES, [f"{name} {row['group']}" for name, row in of_row.items()])


def _write_list(file: Path, header: list[str], values: dict[str, list[str]], variant: str) -> None:
    """A list with a header, as one of the variants has it; `file` without its ending."""
    if variant == "kaggle":
        lines = [",".join(["image_id", *header]), *(",".join([name, *row]) for name, row in values.items())]
    else:
        padded = (" ".join([name, *(f"{value:>2}" for value in row)]) for name, row in values.items())
        lines = [str(len(values)), " ".join(header) + " ", *padded]
    write_lines(file.with_suffix(ENDINGS[variant]), lines)


@dataclass(frozen=True)
class _Copy:
    """Where a copy stands: `top` is the folder of all of it under the root, blank or with a slash at its end."""

    root: Path
    top: str
    variant: str

    @classmethod
    def under(cls, root: Path) -> _Copy:
        """The copy under a root. Raises `DataError` if there is no list of attributes."""
        places = {
            f"{top}{folder}{ATTRIBUTES}{ending}": cls(root, top, variant)
            for top in TOPS
            for variant, ending in ENDINGS.items()
            for folder in ("", "Anno/")
        }
        found = first_present(root, list(places), "the list of attributes of CelebA")
        return places[found.relative_to(root).as_posix()]

    def needed(self, stem: str) -> Path:
        """A list that every copy has. Raises `DataError` if it is missing."""
        return first_present(self.root, self._places(stem + ENDINGS[self.variant]), f"the list {stem}")

    def optional(self, name: str) -> Path | None:
        """A list that a copy may lack. A link that leads out of the copy, or nowhere, is refused when it is read."""
        places = (self.root / place for place in self._places(name))
        return next((place for place in places if os.path.lexists(place)), None)

    def images(self) -> str:
        """The folder of images, under the root. Raises `DataError` if it is missing."""
        outer = [f"{self.top}{IMAGES}", f"{self.top}Img/{IMAGES}"]
        places = [*(f"{place}/{IMAGES}" for place in outer), *outer]
        return first_present(self.root, places, "the folder of images").relative_to(self.root).as_posix()

    def _places(self, name: str) -> list[str]:
        return [f"{self.top}{folder}{name}" for folder in ("", "Anno/", "Eval/")]

    def rows(self, file: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """Rows with a value for each name of the header behind the image, with their line numbers.

        Raises `DataError` for another header, or a list with more or fewer rows than it says.
        """
        lines = _values_of(self.root, file)
        counted = file.suffix == ENDINGS["drive"]
        expected = len(header) + 1
        number, values = next(lines, (1, [""]))
        count = whole_number(values[0], f"{file}:{number}: the number of rows", low=0, high=10**9) if counted else -1
        if counted:
            number, values = next(lines, (number, []))
        if (values if counted else values[1:]) != [*header]:
            raise DataError(f"{file}:{number}: expected the names {', '.join(header)}; found {', '.join(values)[:400]}")
        seen = 0
        for number, values in lines:
            if len(values) != expected:
                raise DataError(f"{file}:{number}: expected an image and {len(header)} values, found {len(values) - 1}")
            seen += 1
            yield number, values
        if counted and seen != count:
            raise DataError(
                f"{file} says that it has {count} rows, and has {seen}",
                hint="get this file anew; if rows were taken out on purpose, put their number into its first line",
            )


def _values_of(root: Path, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Values of each line with its number: separated by blanks, or by commas in a .csv file."""
    if file.suffix == ENDINGS["kaggle"]:
        return fields_of(root, file)
    return ((number, line.split()) for number, line in lines_of(root, file))


def _attributes(copy: _Copy) -> tuple[list[str], NDArray[np.uint8]]:
    """Names of the images, n, and places of their codes in `CODES`, [n, attributes]."""
    file = copy.needed(ATTRIBUTES)
    names: list[str] = []
    codes = bytearray()
    for number, (name, *values) in copy.rows(file, NAMES):
        try:
            codes += bytes(map(_PLACE_OF.__getitem__, values))
        except KeyError as error:
            raise DataError(f"{file}:{number}: expected 1 or -1, found '{str(error.args[0])[:40]}'") from None
        names.append(name)
    _refuse_repeated(names, file)
    return names, np.frombuffer(bytes(codes), np.uint8).reshape(-1, len(NAMES))


def _splits(copy: _Copy, names: Sequence[str]) -> list[str]:
    file = copy.needed(PARTITION)
    splits: dict[str, str] = {}
    listed = copy.rows(file, ["partition"]) if copy.variant == "kaggle" else _pairs(copy.root, file)
    for number, (name, split) in listed:
        if split not in SPLITS:
            raise DataError(f"{file}:{number}: expected the split 0, 1 or 2, found '{split[:40]}'")
        _refuse_second(name, splits, f"{file}:{number}")
        splits[name] = split
    _refuse_differing(names, splits, file)
    return [splits[name] for name in names]


def _identities(copy: _Copy, names: Sequence[str], *, needed: bool) -> NDArray[np.int64] | None:
    """Number of the person in each image, or None where the copy does not tell and nobody asks."""
    file = copy.optional(IDENTITIES)
    if file is None and needed:
        raise DataError(
            f"{copy.root / copy.top}: {IDENTITIES} is not there, and the identities are asked for"
            + (" (the Kaggle copy of CelebA comes without it)" if copy.variant == "kaggle" else ""),
            hint=f"get {IDENTITIES} from the folder Anno of the drive that "
            "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html links to, and put it beside the list of attributes",
        )
    if file is None:
        return None
    people: dict[str, int] = {}
    for number, (name, person) in _pairs(copy.root, file):
        _refuse_second(name, people, f"{file}:{number}")
        people[name] = whole_number(person, f"{file}:{number}", low=1, high=MOST_IDENTITIES)
    _refuse_differing(names, people, file)
    return np.array([people[name] for name in names], np.int64)


def _pairs(root: Path, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a list without a header, of an image and one value."""
    for number, values in _values_of(root, file):
        if len(values) != 2:
            raise DataError(f"{file}:{number}: expected an image and a value, found {len(values)} values")
        yield number, values


def _points(copy: _Copy, names: Sequence[str], options: Options) -> NDArray[np.float32] | None:
    """Points of each image, float32 [n, 10], or None where the copy has none."""
    file = copy.optional(LANDMARKS + ENDINGS[copy.variant])
    if file is None:
        return None
    lines: dict[str, int] = {}
    found = array("d")
    for number, (name, *values) in copy.rows(file, POINT_NAMES):
        _refuse_second(name, lines, f"{file}:{number}")
        lines[name] = number
        try:
            found.extend(map(float, values))
        except ValueError as error:
            raise DataError(f"{file}:{number}: expected ten numbers: {error}") from None
    _refuse_differing(names, lines, file)
    table = np.frombuffer(found, np.float64).reshape(-1, len(POINT_NAMES))
    odd = np.flatnonzero(~(np.abs(table) < MOST_PIXELS).all(axis=1))
    if len(odd):
        raise DataError(f"{file}:{list(lines.values())[odd[0]]}: expected ten numbers of pixels, found {table[odd[0]]}")
    place_of = {name: place for place, name in enumerate(lines)}
    points: NDArray[np.float32] = table[[place_of[name] for name in names]].astype(np.float32)
    if options.eyes == "by_image":
        _refuse_misread(points, file)
    return points


def _refuse_misread(points: NDArray[np.float32], file: Path) -> None:
    share = share_of_faces(points)
    if share < LEAST:
        raise DataError(
            f"{file}: only in {share:.0%} of the rows the left eye stands on the left, and the eyes above "
            "the mouth; expected nearly all",
            hint="check the order of the points; if the copy is right, say `eyes: any` under `layout` in the spec",
        )


def _used(names: Sequence[str], people: NDArray[np.int64] | None, options: Options, skipped: Skipped) -> list[bool]:
    """Which rows are used; the others are counted."""
    used = [_PLAIN.fullmatch(name) is not None or is_relative_name(name) for name in names]
    for name, inside in zip(names, used, strict=True):
        if not inside:
            skipped.add(OUTSIDE, name)
    if people is None or options.identities is None:
        return used
    reason = f"person with a number over {options.identities}"
    for place in np.flatnonzero(people > options.identities).tolist():
        if used[place]:
            skipped.add(reason, names[place])
            used[place] = False
    return used


def _refuse_repeated(names: Sequence[str], file: Path) -> None:
    seen: set[str] = set()
    for name in names if len(set(names)) < len(names) else ():
        if name in seen:
            raise DataError(f"{file}: '{name[:80]}' stands twice")
        seen.add(name)


def _refuse_second(name: str, seen: dict[str, Any], where: str) -> None:
    if name in seen:
        raise DataError(f"{where}: '{name[:80]}' stands twice")


def _refuse_differing(names: Sequence[str], listed: dict[str, Any], file: Path) -> None:
    """Refuse a list that names other images than the list of attributes; `names` has no repeats."""
    absent = next((name for name in names if name not in listed), None)
    if absent is not None:
        raise DataError(f"{file} does not name '{absent[:80]}', which {ATTRIBUTES} does", hint="get both files anew")
    if len(listed) > len(names):
        known = set(names)
        strange = next(name for name in listed if name not in known)
        raise DataError(f"{file} names '{strange[:80]}', which {ATTRIBUTES} does not", hint="get both files anew")
