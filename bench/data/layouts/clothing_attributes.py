"""Clothing Attributes Dataset: photographs of people in the street, one garment each, with 26 attributes.

    ClothingAttributeDataset/           (or its content)
        images/000001.jpg ... 001856.jpg
        labels/<attribute>_GT.mat       variable `GT`, double [1856, 1], a row an image in order of their numbers

Codes count from 1, NaN means that the annotators did not agree and is blank here:

- 23 of two values, 1 no and 2 yes; `gender` 1 male, 2 female; `skin_exposure` 1 low, 2 high;
- `sleevelength` 1 none, 2 short, 3 long; `neckline` 1 V-shape, 2 round, 3 other;
- `category` 1 shirt, 2 sweater, 3 T-shirt, 4 outerwear, 5 suit, 6 tank top, 7 dress.

Sleeve length and neckline are offered once more value by value, as `sleevelength:long` and the like, in the codes of
the others: 2 yes, 1 no, blank where the attribute is.

Quirks: the order of a listed folder says nothing, rows and images belong together by number; images missing from a
copy are found when they are decoded; `sleevelength` is also seen as `sleeve_length`. Public sources disagree whether
category 3 is the T-shirt and 4 the outerwear or the reverse. The counts by category in the paper's table 1 tell them
apart (108 T-shirts, 220 pieces of outerwear), so a whole copy is held against them (option `category_counts`).

Sources: Chen, Gallagher and Girod, Describing Clothing by Semantic Attributes, ECCV 2012 (its table 1 as recalled, not
confirmed against the files); http://huizhongchen.github.io/datasets.html; codes as public loaders read them, among them
nmeripo/Identifying-Clothing-Attributes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.data.layouts._files import first_present, inside, listing, names_in, write_picture
from bench.data.layouts._matlab import column_of
from bench.data.reading import Reading, chosen_columns
from bench.errors import DataError
from bench.specs.model import Frozen

VARIANTS = ("official",)
COLOURS = ("black", "blue", "brown", "cyan", "gray", "green", "many_colors", "purple", "red", "white", "yellow")
PATTERNS = tuple(f"pattern_{name}" for name in ("floral", "graphics", "plaid", "solid", "spot", "stripe"))
BINARY = (*COLOURS, *PATTERNS, "collar", "gender", "necktie", "placket", "scarf", "skin_exposure")
PARTS = {"sleevelength": ("no", "short", "long"), "neckline": ("v-shape", "round", "other")}
CODES = dict.fromkeys(BINARY, 2) | {name: len(values) for name, values in PARTS.items()} | {"category": 7}
"""Attributes and how many codes they have."""

WHOLE = 1856
"""Images of a whole copy."""
MOST_BYTES = 1 << 18
"""Size of a label file, packed or unpacked; the real ones have at most 15 kB."""


class Options(Frozen):
    """What a whole copy is held against."""

    category_counts: tuple[int, ...] | None = Field(
        default=(134, 88, 108, 220, 232, 62, 260),
        description="Images by category code, in a copy of 1,856 images; null does not ask.",
    )


def columns(options: Options) -> list[str]:
    """The attributes, and sleeve length and neckline value by value."""
    return [*CODES, *(f"{name}:{value}" for name, values in PARTS.items() for value in values)]


def recognise(root: Path, options: Options) -> str:
    """There is one variant: a folder of labels with a folder of images beside it."""
    base = _base(root)
    images = inside(root, str(base.relative_to(root) / "images"))
    if images is None or not images.is_dir():
        raise DataError(f"{base}: there is no folder `images` beside `labels`; there is {listing(base)}")
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The files of all attributes."""
    return [_file_of(root, name) for name in CODES]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows by number of the image. Raises `DataError` for files that are no such labels, or do not fit together."""
    recognise(root, options)
    names = dict.fromkeys(column.partition(":")[0] for column in columns if column.partition(":")[0] in CODES)
    codes = {name: _codes_of(root, name) for name in names or ["category"]}
    count = _common_length(codes)
    _refuse_more_images(_base(root) / "images", count)
    if "category" in codes and count == WHOLE:
        _hold_against(codes["category"], options.category_counts, _file_of(root, "category"))
    known = {name: _as_text(values).tolist() for name, values in codes.items()}
    for name in PARTS.keys() & codes.keys():
        for code, value in enumerate(PARTS[name], 1):
            is_it = np.where(codes[name] == code, 2, np.minimum(codes[name], 1))
            known[f"{name}:{value}"] = _as_text(is_it).tolist()
    images = [f"images/{number:06d}.jpg" for number in range(1, count + 1)]
    arrays = {"image": pa.array(images, pa.string())}
    if _base(root) != root:
        arrays["file"] = pa.array([f"{_base(root).name}/{image}" for image in images], pa.string())
    return Reading(pa.table(arrays | chosen_columns(columns, known, _base(root) / "labels")), VARIANTS[0])


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows; attributes that they lack are written as if nobody had annotated them."""
    from scipy.io import savemat

    (root / "labels").mkdir(parents=True, exist_ok=True)
    order = np.argsort(rows["image"].to_pylist())
    for name in CODES:
        values = np.array([[float(code or "nan")] for code in _given_codes(rows, name)]).reshape(-1, 1)[order]
        savemat(root / "labels" / f"{name}_GT.mat", {"GT": values}, do_compression=True)
    for image in rows["image"].to_pylist():
        write_picture(root / image)


def _base(root: Path) -> Path:
    """The folder that holds `labels`."""
    return first_present(root, ["labels", "ClothingAttributeDataset/labels"], "the folder of labels").parent


def _file_of(root: Path, name: str) -> Path:
    labels = (_base(root) / "labels").relative_to(root)
    spellings = [name, "sleeve_length"] if name == "sleevelength" else [name]
    return first_present(root, [str(labels / f"{spelling}_GT.mat") for spelling in spellings], f"`{name}`")


def _codes_of(root: Path, name: str) -> NDArray[np.int64]:
    """Codes of one attribute by row, 0 where there is none."""
    file = _file_of(root, name)
    values = column_of(file, "GT", MOST_BYTES)
    missing = np.isnan(values)
    codes = np.where(missing, 0, values)
    odd = np.flatnonzero(~missing & ~np.isin(codes, np.arange(1, CODES[name] + 1)))
    if len(odd):
        row = int(odd[0])
        raise DataError(
            f"{file}: row {row + 1} (image {row + 1:06d}) holds {values[row]:g}, expected 1 to {CODES[name]} or NaN"
        )
    return codes.astype(np.int64)


def _common_length(codes: dict[str, NDArray[np.int64]]) -> int:
    lengths = {name: len(values) for name, values in codes.items()}
    first, *others = lengths
    for name in others:
        if lengths[name] != lengths[first]:
            raise DataError(
                f"{name}_GT.mat has {lengths[name]} rows and {first}_GT.mat {lengths[first]}; expected as many",
                hint="get the label files anew",
            )
    return lengths[first]


def _refuse_more_images(folder: Path, count: int) -> None:
    """Images beyond the last row show that rows and images do not belong together."""
    last = max((int(name[:6]) for name in names_in(folder) if re.fullmatch(r"[0-9]{6}\.jpg", name)), default=0)
    if last > count:
        raise DataError(
            f"{folder} goes up to {last:06d}.jpg, but the label files have {count} rows",
            hint="get the label files anew; row i must belong to image i",
        )


def _hold_against(codes: NDArray[np.int64], expected: tuple[int, ...] | None, file: Path) -> None:
    found = tuple(np.bincount(codes, minlength=CODES["category"] + 1)[1:].tolist())
    if expected is not None and found != expected:
        raise DataError(
            f"{file}: the categories 1 to 7 have {found} images, expected {expected} as in the paper's table 1",
            hint="if the copy is right, give the layout its `category_counts`, and in `tasks` the codes their names: "
            "3 is the T-shirt where it has 108 images, and outerwear where it has 220",
        )


def _as_text(codes: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.where(codes > 0, codes.astype("U1"), "")


def _given_codes(rows: pa.Table, name: str) -> list[str]:
    """Codes of an attribute in `rows`, from its own column or from those of its values; blank if there is neither."""
    if f"value:{name}" in rows.column_names:
        found: list[str] = rows[f"value:{name}"].to_pylist()
        return found
    found = [""] * rows.num_rows
    for code, value in enumerate(PARTS.get(name, ()), 1):
        column = f"value:{name}:{value}"
        if column in rows.column_names:
            found = [str(code) if it == "2" else old for old, it in zip(found, rows[column].to_pylist(), strict=True)]
    return found
