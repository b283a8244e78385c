"""RAF-DB, basic expressions: photographs from the web with expression, gender, race and age group.

`official`:

    basic/                                              (or its content)
        EmoLabel/list_patition_label.txt                "train_00001.jpg 5"; the name is spelt so
        Image/aligned/train_00001_aligned.jpg           100 x 100 pixels
        Image/original/train_00001.jpg                  the photographs
        Annotation/manual/train_00001_manu_attri.txt    five lines of x and y, then gender, race and age group
        Annotation/boundingbox/train_00001_boundingbox.txt

`folders`, copies on the web that hold the aligned images by their code and no other annotation:

    DATASET/{train,test}/{1,...,7}/train_00001_aligned.jpg      (or its content)

Codes: expression 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral; gender 0 male, 1 female,
2 unsure; race 0 Caucasian, 1 African-American, 2 Asian; age group 0 to 3 years, 1 4 to 19, 2 20 to 39, 3 40 to 69,
4 from 70 on. Splits are `train` and `test`, by the name of the image. Images are named as in the list (train_00001.jpg)
in either variant, whether they are aligned or not. Persons are not told.

Quirks that are read, and written: points separated by tabs or by blanks, files without an end of line, boxes with a
blank at their end. Boxes are two corners (x, y, x, y) for most public loaders, x, y, width and height for one of them;
we assert the first by where the tip of the nose lies. Rows whose own annotation is missing are left out by name, if it
is asked for. Not read: `Annotation/auto`, and the compound expressions.

Sources: Li, Deng and Du, CVPR 2017, http://www.whdeng.cn/raf/model1.html; as public loaders read it, among them
yaoing/DAN (rafdb.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    is_there,
    lines_of,
    refuse_unknown,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.layouts._folders import Folder
from bench.data.layouts._places import LEAST, MOST_PIXELS, lists_of, share_of_faces
from bench.data.reading import BOX, POINTS, Reading, Skipped
from bench.errors import DataError
from bench.specs.model import Frozen

VARIANTS = ("official", "folders")
EXPRESSION = "expression"
PEOPLE = {"gender": 2, "race": 2, "age": 4}
"""Columns of the annotation of each image, in their order, and their highest codes."""
COLUMNS = (EXPRESSION, *PEOPLE)
LIST = "EmoLabel/list_patition_label.txt"
MANUAL = "Annotation/manual"
BOXES = "Annotation/boundingbox"
CODES = tuple("1234567")

_NAME = re.compile(r"((train|test)_[0-9]+)\.jpg")
_ALIGNED = re.compile(r"((train|test)_[0-9]+)_aligned\.(?:jpg|png)")


class Options(Frozen):
    """Which images are used."""

    images: Literal["aligned", "original"] = Field(
        default="aligned",
        description="The aligned faces, or the photographs, with boxes and points for `crop` in the dataset spec.",
    )
    box: Literal["corners", "size"] = Field(
        default="corners", description="How files of boxes go on after x and y: with the other corner, or the size."
    )


def columns(options: Options) -> Sequence[str]:
    """expression, gender, race and age."""
    return COLUMNS


def recognise(root: Path, options: Options) -> str:
    """Which variant it is. Raises `DataError` where it is neither, or the images that are asked for are not there."""
    if is_there(root, LIST) or is_there(root, f"basic/{LIST}"):
        first_present(
            root, [f"{_base(root, LIST, 'basic')}Image/{options.images}"], f"the folder of {options.images} images"
        )
        return VARIANTS[0]
    first_present(root, [LIST, f"basic/{LIST}", "train/1", "DATASET/train/1"], "a copy of RAF-DB")
    if options.images != "aligned":
        raise DataError(
            f"{root} has aligned images only, sorted into folders; the spec asks for {options.images} ones",
            hint="get the official copy, or say `images: aligned` under `layout` in the dataset spec",
        )
    return VARIANTS[1]


def label_files(root: Path, options: Options) -> list[Path]:
    """The list and the folders of annotations, or the folders of the expressions."""
    if recognise(root, options) == VARIANTS[1]:
        top = _base(root, "train", "DATASET")
        return [root / f"{top}{split}/{code}" for split in ("train", "test") for code in CODES]
    places = [root / f"{_base(root, LIST, 'basic')}{name}" for name in (LIST, MANUAL, BOXES)]
    return [places[0], *(place for place in places[1:] if place.is_dir())]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows in the order of the list, or by name. Raises `DataError`."""
    refuse_unknown(columns, COLUMNS, root)
    variant, skipped = recognise(root, options), Skipped()
    original, of_people = options.images == "original", any(column in PEOPLE for column in columns)
    if of_people and variant == VARIANTS[1]:
        raise DataError(
            f"{root} tells no {', '.join(PEOPLE)}: its images are sorted by expression, and that is all",
            hint="get the official copy, or use the data set `raf_db`",
        )
    faces = _listed(root, options, skipped) if variant == VARIANTS[0] else _sorted_into_folders(root, skipped)
    if original or of_people:
        faces = _with_people(root, faces, skipped)
    if original:
        faces = _with_boxes(root, faces, skipped)
    arrays = {
        name: pa.array([getattr(face, name) for face in faces], pa.string()) for name in ("image", "file", "split")
    }
    if original:
        points = np.array([face.points for face in faces], np.float32).reshape(-1, 10)
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        arrays["box"] = lists_of(_sized(root, options, boxes, points), BOX)
        arrays["points"] = lists_of(points, POINTS)
    arrays |= {f"value:{name}": pa.array([face.codes[name] for face in faces], pa.string()) for name in columns}
    return Reading(pa.table(arrays), variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str) -> None:
    """A copy with these rows; codes, points and boxes that they do not have are made up."""
    lines = []
    for i, row in enumerate(rows.to_pylist()):
        write_picture(root / row["file"], (100, 100))
        lines.append(f"{row['image']} {row[f'value:{EXPRESSION}']}")
        if variant == VARIANTS[0]:
            _write_annotations(root / "basic", i, row, options)
    if variant == VARIANTS[0]:
        write_lines(root / "basic" / LIST, lines)
        return
    for split in ("train", "test"):
        for code in CODES:
            (root / "DATASET" / split / code).mkdir(parents=True, exist_ok=True)


@dataclass
class _Face:
    """One image: its name in the list, its file, its split, its codes by column, and where the face is."""

    image: str
    file: str
    split: str
    codes: dict[str, str]
    points: Sequence[float] = ()
    box: Sequence[float] = ()

    @property
    def stem(self) -> str:
        return self.image.removesuffix(".jpg")


# ---------------------------------------------------------------------------------------------------- which images


def _base(root: Path, sign: str, inner: str) -> str:
    """The folder that holds `sign`, as the beginning of paths under the root: blank, or `inner` with a slash."""
    return "" if is_there(root, sign) else f"{inner}/"


def _listed(root: Path, options: Options, skipped: Skipped) -> list[_Face]:
    """What the list says, in its order."""
    base = _base(root, LIST, "basic")
    file, end = root / base / LIST, "_aligned.jpg" if options.images == "aligned" else ".jpg"
    found: dict[str, _Face] = {}
    for number, line in lines_of(root, file):
        where, fields = f"{file}:{number}", line.split()
        if len(fields) != 2 or fields[1] not in CODES:
            raise DataError(
                f"{where}: expected a name and a code from 1 to 7, as in 'train_00001.jpg 5'; found '{line[:60]}'"
            )
        if not is_relative_name(fields[0]):
            skipped.add(OUTSIDE, where)
            continue
        name = _NAME.fullmatch(fields[0])
        if name is None:
            raise DataError(
                f"{where}: expected a name such as train_00001.jpg or test_0001.jpg, found '{fields[0][:60]}'"
            )
        if name[0] in found:
            raise DataError(f"{where}: {name[0]} stands twice", hint="keep one line an image")
        place = f"{base}Image/{options.images}/{name[1]}{end}"
        found[name[0]] = _Face(name[0], place, name[2], {EXPRESSION: fields[1]})
    if not found:
        raise DataError(f"{file} lists no image", hint="get this file anew")
    return list(found.values())


def _sorted_into_folders(root: Path, skipped: Skipped) -> list[_Face]:
    """What the folders of the expressions hold, training first, by name."""
    top = _base(root, "train", "DATASET")
    found: dict[str, _Face] = {}
    for split in ("train", "test"):
        faces: list[_Face] = []
        _refuse_other_folders(root, f"{top}{split}")
        for code in CODES:
            folder = f"{top}{split}/{code}"
            for file in sorted(Folder(root, folder).names):
                name = _ALIGNED.fullmatch(file)
                if name is None:
                    skipped.add("no image of RAF-DB by its name", f"{folder}/{file}")
                    continue
                if name[2] != split:
                    raise DataError(f"{root / folder}: {file} stands among the images of '{split}'")
                faces.append(_Face(f"{name[1]}.jpg", f"{folder}/{file}", split, {EXPRESSION: code}))
        for face in sorted(faces, key=lambda face: face.image):
            if face.image in found:
                raise DataError(
                    f"{root}: {face.file} and {found[face.image].file} are the same image",
                    hint="an image has one expression: get the copy anew",
                )
            found[face.image] = face
    return list(found.values())


def _refuse_other_folders(root: Path, folder: str) -> None:
    """Folders beside 1 to 7 mean that the numbers may not be those of RAF-DB."""
    names = Folder(root, folder).names
    others = sorted(names - set(CODES))
    absent = [code for code in CODES if code not in names]
    if others or absent:
        said = f"there is {others[0]}" if others else f"{', '.join(absent)} is missing"
        raise DataError(f"{root / folder}: expected a folder for each code from 1 to 7, and nothing else; {said}")


# ------------------------------------------------------------------------------------------- annotations of each image


def _with_people(root: Path, faces: Sequence[_Face], skipped: Skipped) -> list[_Face]:
    """Those faces whose gender, race, age group and points are told, with these."""
    files = _Files(
        MANUAL, "_manu_attri.txt", 13, "five points and three codes", "no annotation of gender, race and age group"
    )
    kept = []
    for face, words, where in files.of(root, faces, skipped):
        face.points = _numbers(words[:10], where)
        for (column, most), word in zip(PEOPLE.items(), words[10:], strict=True):
            face.codes[column] = str(whole_number(word, f"{where} ({column})", low=0, high=most))
        kept.append(face)
    return kept


def _with_boxes(root: Path, faces: Sequence[_Face], skipped: Skipped) -> list[_Face]:
    """Those faces whose box is told, with its four numbers as they stand."""
    files = _Files(BOXES, "_boundingbox.txt", 4, "a box of four", "no bounding box")
    kept = []
    for face, words, where in files.of(root, faces, skipped):
        face.box = _numbers(words, where)
        kept.append(face)
    return kept


@dataclass(frozen=True)
class _Files:
    """Files of annotations, one an image: their folder, the end of their names, how many numbers each holds of what."""

    folder: str
    ending: str
    count: int
    what: str
    absent: str

    def of(self, root: Path, faces: Sequence[_Face], skipped: Skipped) -> Iterator[tuple[_Face, list[str], str]]:
        """Those faces that have a file, with the numbers in it and where it stands; others are skipped as `absent`."""
        folder = Folder(root, f"{_base(root, LIST, 'basic')}{self.folder}")
        for face in faces:
            file = f"{face.stem}{self.ending}"
            if file not in folder.names:
                skipped.add(self.absent, face.image)
                continue
            where = f"{folder.place}/{file}"
            words = _words(folder.read(file), where)
            if len(words) != self.count:
                raise DataError(f"{where}: expected {self.what}, found {len(words)} numbers")
            yield face, words, where


def _words(content: bytes, where: str) -> list[str]:
    try:
        return content.decode("ascii").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not a text of numbers", hint="get this file anew") from error


def _numbers(words: Sequence[str], where: str) -> list[float]:
    """Places in an image, in pixels."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(abs(number) < MOST_PIXELS for number in numbers):
        raise DataError(f"{where}: expected places in an image, in pixels; found '{' '.join(words)[:60]}'")
    return numbers


def _sized(
    root: Path, options: Options, boxes: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Boxes as x, y, width and height. Raises `DataError` where most points or boxes do not lie as they should."""
    share = share_of_faces(points)
    if share < LEAST:
        raise DataError(
            f"{root}: in {share:.0%} of the annotations the points are those of a face (left eye, right "
            "eye, tip of the nose, left and right corner of the mouth), expected nearly all",
            hint=f"get {MANUAL} anew; if it is right, use the aligned images (`images: aligned` in the dataset spec)",
        )
    sized = boxes.copy()
    if options.box == "corners":
        sized[:, 2:] -= boxes[:, :2]
    ends = sized[:, :2] + sized[:, 2:]
    holds = (sized[:, :2] <= points[:, 4:6]).all(1) & (points[:, 4:6] <= ends).all(1)
    if len(boxes) and holds.mean() < LEAST:
        other = "size" if options.box == "corners" else "corners"
        raise DataError(
            f"{root}: {holds.mean():.0%} of the boxes hold the tip of the nose if their last two numbers are read as "
            f"`{options.box}`, expected nearly all",
            hint=f"get {BOXES} anew; if it is right, say `box: {other}` under `layout` in the dataset spec",
        )
    return sized


def _write_annotations(base: Path, i: int, row: Mapping[str, Any], options: Options) -> None:
    stem = row["image"].removesuffix(".jpg")
    points = row.get("points") or [10.0, 10.0, 30.0, 10.0, 20.0, 20.0, 12.0, 30.0, 28.0, 30.0]
    x, y, width, height = row.get("box") or [0.0, 0.0, 40.0, 40.0]
    tail = (x + width, y + height) if options.box == "corners" else (width, height)
    between = "\t" if i % 2 else " "
    lines = [f"{a:.9g}{between}{b:.9g}" for a, b in zip(points[::2], points[1::2], strict=True)]
    lines += [row.get(f"value:{column}", "0") for column in PEOPLE]
    file = base / MANUAL / f"{stem}_manu_attri.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n" * (i % 2), encoding="ascii")
    write_lines(base / BOXES / f"{stem}_boundingbox.txt", [" ".join(f"{n:.9g}" for n in (x, y, *tail)) + " "], end="")
