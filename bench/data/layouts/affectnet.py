"""AffectNet: faces from the web, with one of eleven codes of expression, and valence and arousal.

`manual_2017`, the release with tables:

    Manually_Annotated/Manually_Annotated_Images/<number>/<sha>.jpg        (or without the outer folder)
    Manually_Annotated_file_lists/training.csv, validation.csv              (or in Manually_Annotated/)

    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
    689/737db2.jpg,134,134,899,899,181.64;530.91;...(68 times x;y),1,0.785,-0.055

`cropped_2021`, eight expressions only, images of faces that are cropped already, one file a value:

    train_set/images/<number>.jpg, train_set/annotations/<number>_exp.npy, ..._val.npy, ..._aro.npy
    val_set/ alike

Codes of expression: 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, and in 2017
also 8 none, 9 uncertain, 10 no face. Valence and arousal are from -1 to 1, -2 where they are not annotated. Splits are
`training` and `validation`, which everybody tests on: the owners keep the test part to themselves.

Quirks that are read, and written: a validation.csv without a header; rows without a face (a negative face_width), which
are left out by name; several faces in one photograph. The first face of a photograph is named by its path, each
further one by `path#x,y,width,height`, and all of them are one group, so that validation can be carved by photograph.
A face that is listed twice is read once; if its rows say different expressions, it is left out. validation.csv is read
first, so that a face in both tables stays a test image. Values of 2021 are arrays without dimensions, of texts in the
copies that we know of, of numbers in others.

Boxes may pass the border of the image. The five points are taken from the 68 of 2017: eyes are the means of points 36
to 41 and 42 to 47 (from 0), then 30, 48 and 54. Not read: the images annotated by machine, and `_lnd.npy` of 2021.

Sources: Mollahosseini, Hasani and Mahoor, IEEE TAC 2019, http://mohammadmahoor.com/affectnet/; as public loaders read
it: sb-ai-lab/EmotiEffLib (training_and_examples/affectnet), radekd91/inferno (AffectNetDataModule.py), and
yaoing/DAN (affectnet.py) for the release of 2021.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data.layouts._files import (
    OUTSIDE,
    fields_of,
    first_present,
    is_relative_name,
    is_there,
    refuse_unknown,
    whole_number,
    write_lines,
    write_picture,
)
from bench.data.layouts._folders import Folder
from bench.data.reading import BOX, POINTS, Reading, Skipped
from bench.errors import DataError
from bench.specs.model import Frozen

VARIANTS = ("manual_2017", "cropped_2021")
COLUMNS = {"expression": "exp", "valence": "val", "arousal": "aro"}
"""Columns, and what the files of 2021 call them."""
FIELDS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
LISTS = (
    "Manually_Annotated_file_lists",
    "Manually_Annotated",
    "Manually_Annotated/Manually_Annotated_file_lists",
    ".",
)
PICTURES = ("Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated_Images")
SETS = {"training": "train_set", "validation": "val_set"}

NO_FACE = "no face (its width or height is not positive)"
LISTED_TWICE = "the same face again"
CONTRADICTED = "listed twice with different expressions"
NOT_ANNOTATED = "an image without an annotation"

_LANDMARKS = 68
_CODES = frozenset(str(code) for code in range(11))
_USED = (*range(36, 48), 30, 48, 54)
_NOWHERE = (math.nan,) * 10
_chosen = itemgetter(*(2 * point + axis for point in _USED for axis in (0, 1)))
_NPY = re.compile(
    rb"\x93NUMPY(?:\x01.{3}|\x02.{5})"
    rb"\{'descr': '([<>|](?:U[1-9][0-9]{0,2}|S[1-9][0-9]{0,2}|[iu][1248]|f[248]))', "
    rb"'fortran_order': (?:False|True), 'shape': \((?:1L?, ?)*(?:1L?)?\), \} *\n",
    re.DOTALL,
)
"""The header of an .npy file that holds one text or number, and its type; numpy's own reader tries too much."""
_THREADS = 16
_AT_ONCE = 1000
"""Files that a thread reads before it asks for more: most of the time goes into waiting for the disk."""


class Options(Frozen):
    """There are none."""


def columns(options: Options) -> Sequence[str]:
    """expression, valence and arousal."""
    return tuple(COLUMNS)


def recognise(root: Path, options: Options) -> str:
    """Which release it is. Raises `DataError` where it is neither, both, or not complete."""
    has_tables = any(is_there(root, f"{folder}/{split}.csv") for folder in LISTS for split in SETS)
    has_sets = is_there(root, f"{SETS['training']}/annotations")
    if has_tables and has_sets:
        raise DataError(
            f"{root} holds both releases of AffectNet, that of 2017 and that of 2021",
            hint="give the folder of one of them: `bench data add affectnet PATH`",
        )
    if has_sets:
        for folder in SETS.values():
            for part in ("annotations", "images"):
                first_present(root, [f"{folder}/{part}"], f"the folder of {part} of `{folder}`")
        return VARIANTS[1]
    for split in SETS:
        _table(root, split)
    first_present(root, PICTURES, "the folder of images")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The two tables, or the two folders of annotations."""
    if recognise(root, options) == VARIANTS[0]:
        return [_table(root, split) for split in SETS]
    return [root / folder / "annotations" for folder in SETS.values()]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read all faces. Raises `DataError`."""
    refuse_unknown(columns, COLUMNS, root)
    variant = recognise(root, options)
    read_variant = _read_tables if variant == VARIANTS[0] else _read_sets
    return read_variant(root, columns)


def write(root: Path, rows: pa.Table, options: Options, variant: str) -> None:
    """A copy with these rows; values that they do not have are those of a face that is not annotated (-2)."""
    if variant == VARIANTS[0]:
        _write_tables(root, rows)
    else:
        _write_sets(root, rows)


def _affect(text: str, where: str) -> str:
    """Checks a value of valence or arousal."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -2 <= number <= 1:
        raise DataError(f"{where}: expected a number from -1 to 1, or -2 where there is none; found '{text[:40]}'")
    return text


# ------------------------------------------------------------------------------------------------------------ 2017


def _table(root: Path, split: str) -> Path:
    """Where `training.csv` or `validation.csv` is."""
    return first_present(
        root,
        [f"{folder}/{split}.csv" for folder in LISTS],
        f"`{split}.csv` (2017), or `{SETS['training']}/annotations` (2021),",
    )


def _read_tables(root: Path, columns: Sequence[str]) -> Reading:
    folder = first_present(root, PICTURES, "the folder of images").relative_to(root)
    faces = _Faces(folder.as_posix(), columns)
    for split in ("validation", "training"):
        file = _table(root, split)
        for number, fields in _lines(root, file):
            faces.add(split, fields, f"{file}:{number}")
    return Reading(faces.table(), VARIANTS[0], faces.skipped)


def _lines(root: Path, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines of a table with their values in the order of `FIELDS`, whether it has a header or not."""
    places: list[int] = []
    width = 0
    for number, fields in fields_of(root, file):
        if not places:
            has_header = FIELDS[0] in fields or FIELDS[6] in fields
            if has_header:
                absent = [name for name in FIELDS if name not in fields]
                if absent:
                    raise DataError(f"{file}:{number}: no column {', '.join(absent)}", hint="get this file anew")
            elif len(fields) != len(FIELDS):
                raise DataError(
                    f"{file}:{number}: expected the columns {', '.join(FIELDS)}; found {len(fields)} values, "
                    f"'{', '.join(fields)[:60]}'",
                    hint="get this file anew",
                )
            width = len(fields)
            places = [fields.index(name) for name in FIELDS] if has_header else list(range(width))
            if has_header:
                continue
        if len(fields) != width:
            raise DataError(f"{file}:{number}: {len(fields)} values, expected {width}", hint="get this file anew")
        yield number, [fields[place] for place in places]
    if not places:
        raise DataError(f"{file} is empty", hint="get this file anew")


class _Faces:
    """Rows of the tables, gathered one by one."""

    def __init__(self, folder: str, columns: Sequence[str]) -> None:
        self.skipped = Skipped()
        self._folder, self._columns = folder, columns
        self._names: list[str] = []
        self._photographs: list[str] = []
        self._splits: list[str] = []
        self._codes: list[str] = []
        self._values: dict[str, list[str]] = {column: [] for column in columns if column != "expression"}
        self._boxes, self._points = array("f"), array("f")
        self._without: list[bool] = []  # whether a row has no points
        self._first: dict[str, tuple[str, int]] = {}  # the box and row of the first face of a photograph
        self._further: dict[str, int] = {}  # the rows of the others
        self._contradicted: set[int] = set()

    def add(self, split: str, fields: list[str], where: str) -> None:
        """One more row, unless it has no face or repeats one."""
        path, landmarks, code = fields[0], fields[5], fields[6]
        if not is_relative_name(path):
            self.skipped.add(OUTSIDE, where)
            return
        box = _box(fields[1:5], where)
        if code not in _CODES:
            code = str(whole_number(code, f"{where} (expression)", low=0, high=10))
        if box[2] <= 0 or box[3] <= 0:
            self.skipped.add(NO_FACE, path)
            return
        name = self._named(path, ",".join(fields[1:5]), code)
        if name is None:
            return
        for column, values in self._values.items():
            values.append(_affect(fields[FIELDS.index(column)], f"{where} ({column})"))
        self._names.append(name)
        self._photographs.append(path)
        self._splits.append(split)
        self._codes.append(code)
        self._boxes.extend(box)
        self._points.extend(_five(landmarks, where))
        self._without.append(not landmarks)

    def _named(self, path: str, box: str, code: str) -> str | None:
        """The name of a new face, or None for one that is listed already."""
        first = self._first.setdefault(path, (box, len(self._codes)))
        if first[1] == len(self._codes):
            return path
        name = f"{path}#{box}"
        row = first[1] if first[0] == box else self._further.setdefault(name, len(self._codes))
        if row == len(self._codes):
            return name
        if self._codes[row] == code:
            self.skipped.add(LISTED_TWICE, name)
        else:
            self._contradicted.add(row)
            self.skipped.add(CONTRADICTED, name)
        return None

    def table(self) -> pa.Table:
        photographs = pa.array(self._photographs, pa.string())
        arrays = {
            "image": pa.array(self._names, pa.string()),
            "file": pa.array([f"{self._folder}/{path}" for path in self._photographs], pa.string()),
            "split": pa.array(self._splits, pa.string()),
            "group": photographs,
            "box": pa.FixedSizeListArray.from_arrays(np.frombuffer(self._boxes, np.float32), type=BOX),
            "points": pa.FixedSizeListArray.from_arrays(
                np.frombuffer(self._points, np.float32), type=POINTS, mask=pa.array(self._without, pa.bool_())
            ),
        }
        values = self._values | {"expression": self._codes}
        arrays |= {f"value:{column}": pa.array(values[column], pa.string()) for column in self._columns}
        table = pa.table(arrays)
        for row in sorted(self._contradicted):
            self.skipped.add(CONTRADICTED, self._names[row])
        keep = np.ones(table.num_rows, bool)
        keep[list(self._contradicted)] = False
        return table if keep.all() else table.filter(pa.array(keep))


def _box(fields: Sequence[str], where: str) -> tuple[float, float, float, float]:
    """x, y, width and height."""
    try:
        x, y, width, height = map(float, fields)
    except ValueError:
        x = y = width = height = math.nan
    if not math.isfinite(x + y + width + height):
        raise DataError(f"{where}: expected the place of a face as four numbers, found '{', '.join(fields)[:60]}'")
    return x, y, width, height


def _five(landmarks: str, where: str) -> Sequence[float]:
    """x and y of the five points that stand for 68; NaN where there are none."""
    if not landmarks:
        return _NOWHERE
    numbers = landmarks.split(";")
    if len(numbers) != 2 * _LANDMARKS:
        raise DataError(f"{where}: {len(numbers)} numbers of landmarks, expected {2 * _LANDMARKS}")
    try:
        n = [float(text) for text in _chosen(numbers)]
    except ValueError:
        n = [math.nan]
    if not math.isfinite(sum(n)):
        raise DataError(f"{where}: landmarks are not all numbers: '{landmarks[:60]}'")
    return sum(n[0:12:2]) / 6, sum(n[1:12:2]) / 6, sum(n[12:24:2]) / 6, sum(n[13:24:2]) / 6, *n[24:]


def _write_tables(root: Path, rows: pa.Table) -> None:
    lines: dict[str, list[str]] = {"training": [], "validation": []}
    for row in rows.to_pylist():
        write_picture(root / row["file"])
        lines[row["split"]].append(_written(row))
    lines["training"].append(f"0/nobody.jpg,-1,-1,-1,-1,{_spread([0.0] * 10)},10,-2,-2")
    for split, name in (("training", ",".join(FIELDS)), ("validation", "")):
        write_lines(root / LISTS[0] / f"{split}.csv", [name, *lines[split]] if name else lines[split])


def _written(row: Mapping[str, object]) -> str:
    box, points = row["box"], row["points"]
    assert isinstance(box, list)
    assert isinstance(points, list | None)
    values = [str(row.get(f"value:{column}", "-2")) for column in COLUMNS]
    return ",".join([str(row["group"]), *(f"{n:.9g}" for n in box), _spread(points) if points else "", *values])


def _spread(points: list[float]) -> str:
    """68 landmarks that have these five points."""
    five = list(zip(points[::2], points[1::2], strict=True))
    places = [five[2]] * _LANDMARKS
    places[36:48] = [five[0]] * 6 + [five[1]] * 6
    places[48], places[54] = five[3], five[4]
    return ";".join(f"{number:.9g}" for place in places for number in place)


# ------------------------------------------------------------------------------------------------------------ 2021


def _read_sets(root: Path, columns: Sequence[str]) -> Reading:
    skipped, parts = Skipped(), []
    for split, folder in SETS.items():
        annotations, images = Folder(root, f"{folder}/annotations"), Folder(root, f"{folder}/images")
        stems = sorted(name.removesuffix("_exp.npy") for name in annotations.names if name.endswith("_exp.npy"))
        of_stem = {name.rpartition(".")[0] or name: name for name in sorted(images.names)}
        for stem in sorted(of_stem.keys() - set(stems)):
            skipped.add(NOT_ANNOTATED, f"{folder}/images/{of_stem[stem]}")
        names = [f"{folder}/images/{of_stem.get(stem, stem + '.jpg')}" for stem in stems]
        arrays = {
            "image": pa.array(names, pa.string()),
            "split": pa.array([split] * len(names), pa.string()),
            "group": pa.array(names, pa.string()),
        }
        arrays |= {f"value:{column}": _read_values(annotations, stems, column) for column in columns}
        parts.append(pa.table(arrays))
    return Reading(pa.concat_tables(parts), VARIANTS[1], skipped)


def _read_values(folder: Folder, stems: Sequence[str], column: str) -> pa.Array:
    """One value from the file of each stem."""

    def some(start: int) -> list[str]:
        return [_value(folder, f"{stem}_{COLUMNS[column]}.npy", column) for stem in stems[start : start + _AT_ONCE]]

    with ThreadPoolExecutor(_THREADS) as pool:
        return pa.array(
            [value for part in pool.map(some, range(0, len(stems), _AT_ONCE)) for value in part], pa.string()
        )


def _value(folder: Folder, file: str, column: str) -> str:
    where = f"{folder.place}/{file}"
    if file not in folder.names:
        raise DataError(f"{where} is missing", hint="complete the copy")
    text = _single(folder.read(file), where)
    return str(whole_number(text, where, low=0, high=7)) if column == "expression" else _affect(text, where)


def _single(content: bytes, where: str) -> str:
    """The only value of an .npy file, a text or a number, as text; nothing that is in the file is run."""
    text, header = None, _NPY.match(content)
    if header is not None:
        kind = np.dtype(header[1].decode("ascii"))
        if len(content) == header.end() + kind.itemsize:
            text = _text(content[header.end() :], kind)
    if text is None:
        raise DataError(f"{where}: not an .npy file of one text or number", hint="get this file anew")
    return text.strip()


def _text(value: bytes, kind: np.dtype[np.generic]) -> str | None:
    """A value as text; None for what is no text. numpy itself fails at bytes that are no characters."""
    if kind.kind not in "SU":
        return str(np.frombuffer(value, kind)[0])
    encoding = "ascii" if kind.kind == "S" else "utf-32-be" if kind.str.startswith(">") else "utf-32-le"
    try:
        return value.decode(encoding).rstrip("\x00")
    except UnicodeDecodeError:
        return None


def _write_sets(root: Path, rows: pa.Table) -> None:
    for folder in SETS.values():
        for part in ("annotations", "images"):
            (root / folder / part).mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(rows.to_pylist()):
        write_picture(root / row["image"], (224, 224))
        annotations = (root / row["image"]).parent.with_name("annotations")
        for column, short in COLUMNS.items():
            text = row.get(f"value:{column}", "-2")
            number = int(text) if column == "expression" else float(text)
            as_number = i % 2 == 1 and str(number) == text
            file = annotations / f"{Path(row['image']).stem}_{short}.npy"
            np.save(file, np.array(number if as_number else text), allow_pickle=False)
