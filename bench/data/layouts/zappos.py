"""UT Zappos50K: catalogue photographs of shoes by category, sub-category, brand and product.

    ut-zap50k-images-square/    136 x 136, variant `square`; taken where both are there
    ut-zap50k-images/           136 x 102, variant `plain`
        <Category>/<SubCategory>/<Brand>/<CID with a dot>.jpg       Shoes/Oxfords/Bostonian/100627.72.jpg
    ut-zap50k-data/meta-data-bin.csv
        CID,Category.Shoes,...,SubCategory.Oxfords,...,ToeStyle.Medallion       100627-72,1,...,1,...,0

The table has a column of 0 and 1 for each value of eight families. `Category`, `SubCategory` and `HeelHeight` have at
most one 1 in a row and are offered as the columns `category`, `subcategory` and `heel_height`, whose codes are the
names after the family's, such as `Knee.High`; the other families may have several. Each column of the table is offered
under its own name, such as `Material.Faux.Leather`. A family without a 1 is not annotated in that row: all its columns
are blank. Only this table is read for labels; `meta-data.csv` says the same in text.

The group of a row is its product, the CID before the dash; what follows is the colour. Products come in several
colours that look alike but for it, so splits are by group.

Quirks, which `write` reproduces:

- Rows and images belong together by the CID: brand folders that end in a dot lose it on some file systems, so paths
  from `image-path.mat` do not hold, and its order is not relied on.
- Names in the header have dots for whatever is no letter or digit, though `ToeStyle.Round Toe` is also seen: they are
  compared, and offered, with dots.
- One brand's images stand in two folders, one of them with its name percent-encoded: the other one is taken. Six
  images have no row. Both are left out by name.

Not confirmed against the files: that the folders of an image name the category and the sub-category of its row, but
for case and punctuation. It is asserted for every row (option `folders`).

Sources: Yu and Grauman 2014, https://vision.cs.utexas.edu/projects/finegrained/utzap50k/; columns as public loaders
read them, among them Tushar-N/attributes-as-operators; families, doubles (50,066 images to 50,025 rows, 35 of them
doubles) and 24,523 products as AeonMuffinz/shoe-atlas found them in the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.data.layouts._files import fields_of, first_present, inside, write_lines, write_picture
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean, is_infrastructure
from bench.specs.model import Frozen

FOLDERS = {"square": "ut-zap50k-images-square", "plain": "ut-zap50k-images"}
VARIANTS = tuple(FOLDERS)
TABLES = (
    "ut-zap50k-data/meta-data-bin.csv",
    "meta-data-bin.csv",
    "ut-zap50k-images-square/ut-zap50k-data/meta-data-bin.csv",
)
FAMILIES = ("Category", "SubCategory", "HeelHeight", "Insole", "Closure", "Gender", "Material", "ToeStyle")
SINGLE = {"category": "Category", "subcategory": "SubCategory", "heel_height": "HeelHeight"}
"""Columns made from families with at most one 1 in a row."""

MOST_LOST = 0.05
"""Largest part of the rows that may have no image, or disagree with its folders."""


class Options(Frozen):
    """How far the folders are trusted."""

    folders: Literal["agree", "ignored"] = Field(
        default="agree",
        description="`agree`: an image whose folders name another category than its row is left out. `ignored`: the "
        "table alone counts.",
    )


def columns(options: Options) -> None:
    """Only the table knows all of them."""


def recognise(root: Path, options: Options) -> str:
    """Square images if they are there, else the others; the table must be there too."""
    first_present(root, TABLES, "the table of labels")
    folder = first_present(root, list(FOLDERS.values()), "the folder of images")
    return next(variant for variant, name in FOLDERS.items() if name == folder.name)


def label_files(root: Path, options: Options) -> list[Path]:
    """The table."""
    return [first_present(root, TABLES, "the table of labels")]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows sorted by path. Raises `DataError` for a malformed table, or where images and rows do not match."""
    variant = recognise(root, options)
    table = _read_table(root)
    skipped = Skipped()
    images = _images_of(root, FOLDERS[variant], set(table.cids), skipped)
    found = [images.get(cid, "") for cid in table.cids]
    lost = [cid for cid, image in zip(table.cids, found, strict=True) if not image]
    for cid in lost:
        skipped.add("row without an image", f"{table.file.name}: {cid}")
    _refuse_many(lost, found, f"rows of {table.file} have no image under {root / FOLDERS[variant]}")
    if options.folders == "agree":
        found = _agreeing(table, found, skipped)
    rows = sorted((row for row, image in enumerate(found) if image), key=found.__getitem__)
    arrays = {
        "image": pa.array([found[row] for row in rows], pa.string()),
        "group": pa.array([_product(table.cids[row]) for row in rows], pa.string()),
    }
    arrays |= {f"value:{column}": pa.array(table.values(column)[rows], pa.string()) for column in columns}
    return Reading(pa.table(arrays), variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """A copy with these rows, a picture without a row, and a second picture of the first shoe in an encoded folder."""
    ones = [_ones(row) for row in rows.to_pylist()]
    asked = {name.removeprefix("value:") for name in rows.column_names if name.startswith("value:")}
    given = {f"{SINGLE[name]}.Unlisted" if name in SINGLE else name for name in asked}
    header = sorted(given.union(*ones), key=lambda name: (FAMILIES.index(_family(name)), name))
    images = rows["image"].to_pylist()
    lines = [",".join(["CID", *map(_as_in_header, header)])]
    for image, names in zip(images, ones, strict=True):
        lines.append(",".join([_cid(image), *("1" if name in names else "0" for name in header)]))
        write_picture(root / image, _size(variant))
    write_lines(root / TABLES[0], lines)
    folder = PurePosixPath(FOLDERS[variant])
    write_picture(root / folder / "Shoes" / "Oxfords" / "Nobody Co." / "0.0.jpg", _size(variant))
    if images:
        first = PurePosixPath(images[0])
        write_picture(root / first.parent.parent / f"{first.parent.name}%2E" / first.name, _size(variant))


@dataclass(frozen=True)
class _Table:
    """meta-data-bin.csv: `marks` is uint8 [rows, names] of 0 and 1; names have dots."""

    file: Path
    cids: list[str]
    lines: list[int]
    names: list[str]
    marks: NDArray[np.uint8]

    def values(self, column: str) -> NDArray[np.str_]:
        """Codes of one column by row, blank where its family is not annotated. Raises `DataError` if there is none."""
        if column in SINGLE:
            return self._single(column, SINGLE[column])
        if column not in self.names:
            raise DataError(f"{self.file}: there is no column '{column}'{did_you_mean(column, [*SINGLE, *self.names])}")
        annotated = self.marks[:, self._columns(_family(column))].any(axis=1)
        codes = np.array(["0", "1", ""])
        return codes[np.where(annotated, self.marks[:, self.names.index(column)], 2)]

    def _single(self, column: str, family: str) -> NDArray[np.str_]:
        places = self._columns(family)
        if not places:
            raise DataError(f"{self.file}: there is no column '{family}.…', which '{column}' is made from")
        marks = self.marks[:, places]
        several = np.flatnonzero(marks.sum(axis=1) > 1)
        if len(several):
            row = int(several[0])
            both = " and ".join(self.names[places[i]] for i in np.flatnonzero(marks[row]))
            raise DataError(f"{self.file}:{self.lines[row]}: {self.cids[row]} is both {both}; expected one of {family}")
        codes = np.array(["", *(self.names[place].removeprefix(f"{family}.") for place in places)])
        return codes[np.where(marks.any(axis=1), marks.argmax(axis=1) + 1, 0)]

    def _columns(self, family: str) -> list[int]:
        return [place for place, name in enumerate(self.names) if _family(name) == family]


def _read_table(root: Path) -> _Table:
    file = first_present(root, TABLES, "the table of labels")
    names: list[str] = []
    cids: list[str] = []
    lines: list[int] = []
    content = bytearray()
    for number, (cid, *fields) in fields_of(root, file):
        if not names:
            names = _header(f"{file}:{number}", cid, fields)
            continue
        if len(fields) != len(names) or not {"0", "1"}.issuperset(fields):
            raise DataError(f"{file}:{number}: expected a CID and {len(names)} times 0 or 1; {_oddity(fields, names)}")
        cids.append(cid)
        lines.append(number)
        content += "".join(fields).encode("ascii")
    if not cids:
        raise DataError(f"{file} has no rows", hint="get this file anew")
    _refuse_repeated(file, cids, lines)
    marks_of_rows = np.frombuffer(bytes(content), np.uint8).reshape(len(cids), len(names)) - ord("0")
    return _Table(file, cids, lines, names, marks_of_rows.astype(np.uint8))


def _header(where: str, first: str, fields: list[str]) -> list[str]:
    """Names of the columns after the first, with dots."""
    if first != "CID":
        raise DataError(f"{where}: the first column is '{first[:40]}', expected 'CID'")
    names = [_dotted(field) for field in fields]
    for name, field in zip(names, fields, strict=True):
        if _family(name) not in FAMILIES or name == _family(name):
            raise DataError(f"{where}: the column '{field[:40]}' is of no known family ({', '.join(FAMILIES)})")
        if names.count(name) > 1:
            raise DataError(f"{where}: the column '{name}' stands twice in the header")
    if not names:
        raise DataError(f"{where}: no columns but the first")
    return names


def _oddity(fields: list[str], names: list[str]) -> str:
    """What is wrong with a row."""
    for name, field in zip(names, fields, strict=False):
        if field not in ("0", "1"):
            return f"under {name} stands '{field[:40]}'"
    return f"there are {len(fields)} values"


def _refuse_repeated(file: Path, cids: list[str], lines: list[int]) -> None:
    seen: dict[str, int] = {}
    for cid, line in zip(cids, lines, strict=True):
        if seen.setdefault(cid, line) != line:
            raise DataError(f"{file}:{line}: {cid} stands in line {seen[cid]} already")


def _images_of(root: Path, top: str, wanted: set[str], skipped: Skipped) -> dict[str, str]:
    """The path under `root` of each shoe's image, by CID; of several the one with the plainest name."""
    folder = inside(root, top)
    if folder is None or not folder.is_dir():
        raise DataError(f"{root / top} is no folder of images", hint="unpack the archive of the images anew")
    found: dict[str, str] = {}
    for path in sorted(_walk(folder, top), key=lambda path: (path.count("%"), path)):
        cid = _cid(path)
        if cid not in wanted:
            skipped.add("image without a row", path)
        elif cid in found:
            skipped.add("second image of the same shoe", path)
        else:
            found[cid] = path
    return found


def _walk(folder: Path, name: str, depth: int = 3) -> Iterator[str]:
    """JPEG files that lie `depth` folders deep, as `name/...`; linked folders and hidden ones are passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if depth == 0 and entry.name.lower().endswith(".jpg"):
                    yield f"{name}/{entry.name}"
                elif depth and entry.is_dir(follow_symlinks=False):
                    yield from _walk(folder / entry.name, f"{name}/{entry.name}", depth - 1)
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error


def _agreeing(table: _Table, images: list[str], skipped: Skipped) -> list[str]:
    """The images, without those whose folders name another category or sub-category than their row does."""
    kept, odd = list(images), []
    of_row = zip(images, table.values("category"), table.values("subcategory"), strict=True)
    for row, (image, category, subcategory) in enumerate(of_row):
        if not image:
            continue
        folders = image.split("/")[-4:-2]
        if any(
            code and _letters(code) != _letters(name)
            for name, code in zip(folders, (category, subcategory), strict=True)
        ):
            skipped.add("folders name another category than the table", image)
            odd.append(f"{image} ({category}, {subcategory})")
            kept[row] = ""
    _refuse_many(
        odd,
        images,
        f"images stand in folders of another category than {table.file} says",
        "images and table are not of one release; if the copy is right, give the layout `folders: ignored`",
    )
    return kept


def _refuse_many(odd: list[str], rows: list[str], what: str, hint: str = "complete the copy") -> None:
    if len(odd) > MOST_LOST * len(rows):
        raise DataError(f"{len(odd)} of {len(rows)} {what}: {', '.join(odd[:3])}, ...", hint=hint)


def _dotted(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", ".", name)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _family(name: str) -> str:
    return name.partition(".")[0]


def _cid(path: str) -> str:
    """100627-72 of .../100627.72.jpg."""
    return path.rpartition("/")[2].rpartition(".")[0].replace(".", "-")


def _product(cid: str) -> str:
    return cid.partition("-")[0]


def _ones(row: dict[str, Any]) -> set[str]:
    """Columns of the table that are 1 in a row; a family that is annotated but has none gets an unlisted one."""
    values = {name.removeprefix("value:"): value for name, value in row.items() if name.startswith("value:")}
    category, subcategory = map(_dotted, row["image"].split("/")[-4:-2])
    single = {"category": category, "subcategory": subcategory} | values
    ones = {f"{family}.{single[column]}" for column, family in SINGLE.items() if single.get(column)}
    ones |= {name for name, value in values.items() if "." in name and value == "1"}
    annotated = {_family(name) for name, value in values.items() if "." in name and value == "0"}
    return ones | {f"{family}.Unlisted" for family in annotated - {_family(name) for name in ones}}


def _as_in_header(name: str) -> str:
    family, _, value = name.partition(".")
    return f"{family}.{value.replace('.', ' ')}" if family == "ToeStyle" else name


def _size(variant: str) -> tuple[int, int]:
    return (136, 136) if variant == "square" else (136, 102)
