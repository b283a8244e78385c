"""EmotioNet: photographs from the web with action units, by hand or by machine.

    EmotioNet_FACS_aws.xlsx                    variant `manual_2017`; its sheets have a header, then the link of an
                                               image, its original link, AU 1 to AU 60. It is shipped under a password;
                                               copies without one are called EmotioNet_FACS_aws_without_passw.xlsx
    EmotioNet_FACS_aws_2020_24600.csv          variant `manual_2020`, 24,600 rows; also as .xlsx
    emotioNet_challenge_files_server_*/dataFile_0001.txt, ...
                                               variant `automatic`, 950,000 rows: tabs, no header, 62 columns as above
    images/N_0000000001/N_0000000001_00001.jpg     as the links have it, or all images in one folder

Files stand in the root or in `labels`. Codes: 0 absent, 1 present, 999 or blank or NaN not known; a whole number that
was saved as `1.0` is read as `1`. Headers and links carry stray quotes and blanks (`"'AU 1'"`). Columns that a file
names are found by name; without a header AU n is the column n + 2 of 62.

Images are not shipped, only links, and some are dead: rows whose image is not there are left out and counted, as are
rows without a link. Names of people are not known, so that no split can keep them apart.

Sources: Benitez-Quiroz, Srinivasan and Martinez, EmotioNet, CVPR 2016; https://cbcsl.ece.ohio-state.edu; files as read
by radekd91/inferno (inferno/datasets/EmotioNetDataModule.py) and cosanlab/py-feat.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pyarrow as pa
from pydantic import Field

from bench.data.layouts._files import (
    held,
    lines_of,
    listing,
    names_if_there,
    refuse_unknown,
    write_lines,
    write_picture,
)
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, did_you_mean, is_infrastructure
from bench.specs.model import Frozen, PositiveInt, Share

VARIANTS = ("manual_2017", "manual_2020", "automatic")

COLUMNS = {f"au{number}": number for number in range(1, 61)}

NO_IMAGE = "image not there: a dead link, or not fetched"
NO_LINK = "row without a link"
ODD_LINK = "link that names no image of the set"

_FILES = {
    "manual_2017": re.compile(r"EmotioNet_FACS_aws(?!_2020).*\.xlsx", re.IGNORECASE),
    "manual_2020": re.compile(r"EmotioNet_FACS_aws_2020.*\.(?:csv|xlsx)", re.IGNORECASE),
    "automatic": re.compile(r"dataFile_[0-9]+\.txt", re.IGNORECASE),
}
_SERVER_FILES = re.compile(r"emotioNet_challenge_files.*", re.IGNORECASE)
_IMAGES = ("images", "Images", "imgs")
_LINK = re.compile(r"(?:.*/)?((N_[0-9]+)_[0-9]+\.[A-Za-z]+)", re.DOTALL)
_UNIT = re.compile(r"AU\s*0*([1-9][0-9]?)", re.IGNORECASE)
_WHOLE = re.compile(r"(-?[0-9]+)\.0*")
_WIDTH = 62
_PASSWORD = b"\xd0\xcf\x11\xe0"
"""How an encrypted workbook begins: it is an OLE container with the real one inside."""
_MOST_UNPACKED = 1 << 29
"""Bytes that a workbook may unpack to."""
_MOST_ROWS = 1 << 20
"""Rows that a sheet can have (a limit of the format)."""
_BLANK = ("", "nan")


class Options(Frozen):
    """Which annotation is read, and how complete it must be."""

    labels: Literal["manual_2017", "manual_2020", "automatic"] | None = Field(
        default=None, description="Which annotation is read; left out: the first of these whose files are there."
    )
    images: str | None = Field(default=None, description="Folder of the images; left out: images, Images or imgs.")
    rows: PositiveInt | None = Field(default=None, description="Rows that the label files must list, if that is known.")
    least_present: Share = Field(
        default=0.8, description="Share of the listed images that must be there; fewer are a copy that is not complete."
    )


def columns(options: Options) -> Sequence[str]:
    """au1 to au60; which of them were annotated, only the files know."""
    return tuple(COLUMNS)


def recognise(root: Path, options: Options) -> str:
    """Which annotation is there, the first of `VARIANTS`. Raises `DataError` where there is none, or no images."""
    _image_folder(root, options)
    return _found(root, options)[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """The workbook or table, or all `dataFile_*.txt`."""
    return _found(root, options)[1]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Read all rows whose image is there. Raises `DataError`."""
    refuse_unknown(columns, COLUMNS, root)
    variant, files = _found(root, options)
    pictures, skipped, parts, listed = _Pictures(root, _image_folder(root, options)), Skipped(), [], 0
    for file in files:
        for sheet in _sheets(root, file):
            part, count = _read_sheet(sheet, columns, pictures, skipped)
            parts.append(part)
            listed += count
    if not listed:
        raise DataError(f"{files[0]} lists no image", hint="get this file anew")
    rows = pa.concat_tables(parts)
    _check_counts(root, options, rows.num_rows, listed)
    return Reading(rows, variant, skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str) -> None:
    """Write a fixture: images where the rows have them, and label files of all 60 units (999 where rows have none).

    Links and headers are quoted as the real ones are. The manual files end in a row of a dead link, and that of 2020
    in a row of nothing but NaN.
    """
    for row in rows.to_pylist():
        write_picture(root / row["file"])
    lines = [_line(row["image"], row) for row in rows.to_pylist()]
    dead = _line("N_0000009999/N_0000009999_00001.jpg", {})
    if variant == "manual_2017":
        _write_workbook(root / "EmotioNet_FACS_aws_without_passw.xlsx", [*lines, dead])
    elif variant == "manual_2020":
        quoted = [",".join([f"\"'{line[0]}'\"", f"\"'{line[1]}'\"", *line[2:]]) for line in [*lines, dead]]
        head = ",".join(["URL", " URL orig", *(f"\"'AU {unit}'\"" for unit in COLUMNS.values())])
        write_lines(root / "EmotioNet_FACS_aws_2020_24600.csv", [head, *quoted, ",".join(["NaN"] * _WIDTH)])
    else:
        folder, half = root / "emotioNet_challenge_files_server_challenge_1.2_aws", (len(lines) + 1) // 2
        for number, part in enumerate((lines[:half], lines[half:]), 1):
            write_lines(folder / f"dataFile_{number:04d}.txt", map("\t".join, part))


def _check_counts(root: Path, options: Options, present: int, listed: int) -> None:
    if options.rows is not None and listed != options.rows:
        raise DataError(
            f"{root}: the label files list {listed} rows, expected {options.rows}",
            hint="get the label file anew; if it is right, change `layout.rows` in the dataset spec",
        )
    if present < options.least_present * listed:
        raise DataError(
            f"{root}: {present} of {listed} listed images are there, expected at least {options.least_present:.0%}",
            hint="complete the copy, name the folder of images (`layout.images`), or lower `layout.least_present`",
        )


# ------------------------------------------------------------------------------------------------ where things are


def _found(root: Path, options: Options) -> tuple[str, list[Path]]:
    """The variant and its label files."""
    for variant in VARIANTS if options.labels is None else (options.labels,):
        files = _files_of(root, variant)
        if files:
            return variant, files
    wanted = options.labels or "EmotioNet_FACS_aws*.xlsx, EmotioNet_FACS_aws_2020_24600.csv or dataFile_*.txt"
    raise DataError(
        f"{root}: no label files of EmotioNet (looked for {wanted}; there is {listing(root)})",
        hint="give the folder that holds the label files and the images",
    )


def _files_of(root: Path, variant: str) -> list[Path]:
    """Label files of one variant: all numbered ones, or the workbook or table that is easiest to read."""
    folders = [".", "labels", *(name for name in names_if_there(root, ".") if _SERVER_FILES.fullmatch(name))]
    for folder in folders:
        files = [root / folder / name for name in names_if_there(root, folder) if _FILES[variant].fullmatch(name)]
        if files and variant == "automatic":
            return files
        if files:
            return [
                min(files, key=lambda file: (file.suffix.lower() == ".xlsx", "without" not in file.name, file.name))
            ]
    return []


def _image_folder(root: Path, options: Options) -> str:
    """Name of the folder of images."""
    names = _IMAGES if options.images is None else (options.images,)
    for name in names:
        if names_if_there(root, name):
            return name
    raise DataError(
        f"{root}: no folder of images (looked for {', '.join(names)}; there is {listing(root)})",
        hint="fetch the images from the links, and name their folder under `layout.images` in the dataset spec",
    )


class _Pictures:
    """Which images a copy holds. Every folder is listed once."""

    def __init__(self, root: Path, folder: str) -> None:
        self._root, self._folder = root, folder
        self._flat = frozenset(names_if_there(root, folder))
        self._nested: dict[str, frozenset[str]] = {}

    def find(self, folder: str, file: str) -> str | None:
        """Path under the root of the image `folder/file`, wherever it is, or None."""
        if file in self._flat:
            return f"{self._folder}/{file}"
        if folder not in self._flat:
            return None
        if folder not in self._nested:
            self._nested[folder] = frozenset(names_if_there(self._root, f"{self._folder}/{folder}"))
        return f"{self._folder}/{folder}/{file}" if file in self._nested[folder] else None


# ------------------------------------------------------------------------------------------------ tables and sheets


@dataclass(frozen=True)
class _Sheet:
    """A table of text: where it stands, and its rows with their numbers from 1."""

    place: str
    rows: Iterator[tuple[int, list[str]]]


def _read_sheet(sheet: _Sheet, columns: Sequence[str], pictures: _Pictures, skipped: Skipped) -> tuple[pa.Table, int]:
    """Rows whose image is there, and how many were listed."""
    found: dict[str, list[str]] = {name: [] for name in ("image", "file", *(f"value:{column}" for column in columns))}
    values = list(found.values())
    listed, places, width, same = 0, [0], 0, _Shared()
    for number, row in sheet.rows:
        if not width:
            width = len(row)
            places, is_header = _places(sheet.place, number, row, columns)
            if is_header:
                continue
        if len(row) != width:
            raise DataError(f"{sheet.place}:{number}: {len(row)} values, expected {width}", hint="get this file anew")
        listed += 1
        named = _name(row[0])
        if isinstance(named, str):
            skipped.add(named, f"{sheet.place}:{number}")
            continue
        file = pictures.find(*named)
        if file is None:
            skipped.add(NO_IMAGE, "/".join(named))
            continue
        values[0].append("/".join(named))
        values[1].append(file)
        for column, place in zip(values[2:], places, strict=True):
            column.append(same[row[place]])
    return pa.table({name: pa.array(texts, pa.string()) for name, texts in found.items()}), listed


class _Shared(dict[str, str]):
    """Each code as text without quotes and blanks, one object for all rows."""

    def __missing__(self, text: str) -> str:
        bare = _bare(text)
        whole = _WHOLE.fullmatch(bare)
        self[text] = code = whole[1] if whole is not None else bare
        return code


def _bare(text: str) -> str:
    return text.strip(" '\"\t")


def _name(link: str) -> tuple[str, str] | str:
    """Folder and file of the image that a link names, or why it names none."""
    bare = _bare(link)
    if bare.lower() in _BLANK:
        return NO_LINK
    match = _LINK.fullmatch(bare)
    return ODD_LINK if match is None else (match[2], match[1])


def _places(place: str, number: int, row: list[str], columns: Sequence[str]) -> tuple[list[int], bool]:
    """Where the columns stand, and whether the first row is a header."""
    units: dict[int, int] = {}
    for i, name in enumerate(row):
        match = _UNIT.fullmatch(_bare(name))
        if match is None:
            continue
        if int(match[1]) in units:
            raise DataError(f"{place}:{number}: the column AU {match[1]} stands twice in the header")
        units[int(match[1])] = i
    if not units:
        if len(row) != _WIDTH:
            raise DataError(
                f"{place}:{number}: expected a header such as URL, URL orig, AU 1, ..., or {_WIDTH} columns; found "
                f"{len(row)} columns: {', '.join(row)[:80]}",
                hint="get this file anew",
            )
        return [COLUMNS[column] + 1 for column in columns], _bare(row[0]).upper() == "URL"
    for column in columns:
        if COLUMNS[column] not in units:
            raise DataError(f"{place}:{number}: no column for {column}{did_you_mean(column, _named(units))}")
    return [units[COLUMNS[column]] for column in columns], True


def _named(units: Iterable[int]) -> list[str]:
    return [f"au{unit}" for unit in units]


def _sheets(root: Path, file: Path) -> Iterator[_Sheet]:
    """The tables of one label file, one after the other."""
    if file.suffix.lower() == ".xlsx":
        yield from _workbook(root, file)
    elif file.suffix.lower() == ".csv":
        yield _Sheet(str(file), ((n, _split(line)) for n, line in lines_of(root, file)))
    else:
        yield _Sheet(str(file), ((n, line.split("\t")) for n, line in lines_of(root, file)))


def _split(line: str) -> list[str]:
    """Values of a line; quotes stand also where they mean nothing, so this is as lenient as csv allows."""
    return next(csv.reader([line], skipinitialspace=True), [])


# openpyxl lets pass whatever its parsers meet in a damaged file
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,  # of XML
    TypeError,
    ValueError,
)


def _workbook(root: Path, file: Path) -> Iterator[_Sheet]:
    """Sheets of a workbook that hold anything."""
    import openpyxl

    _check_workbook(root, file)
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except _UNREADABLE as error:
        _refuse(file, error)
    try:
        for sheet in book.worksheets:
            yield _Sheet(f"{file}[{sheet.title}]", _sheet_rows(file, sheet))
    finally:
        book.close()


def _check_workbook(root: Path, file: Path) -> None:
    """Refuse what is outside the copy, has a password, or would unpack to more than memory."""
    place = held(root, file.relative_to(root).as_posix())
    try:
        with place.open("rb") as stream:
            if stream.read(len(_PASSWORD)) == _PASSWORD:
                raise DataError(
                    f"{file} has a password",
                    hint="open it with the password that came with it, and save it without one beside it as "
                    "EmotioNet_FACS_aws_without_passw.xlsx",
                )
        with zipfile.ZipFile(place) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except _UNREADABLE as error:
        _refuse(file, error)
    if unpacked > _MOST_UNPACKED:
        raise DataError(f"{file} would unpack to {unpacked:,} bytes: this is no list of images")


def _sheet_rows(file: Path, sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, filled up to the width of the first, since a sheet leaves out blank cells at the end."""
    width = 0
    try:
        sheet.reset_dimensions()  # files may state wrong ones
        for number, row in enumerate(sheet.iter_rows(max_row=_MOST_ROWS, values_only=True), 1):
            texts = ["" if value is None else str(value) for value in row]
            while texts and not texts[-1]:
                texts.pop()
            if texts:
                width = width or len(texts)
                yield number, texts + [""] * (width - len(texts))
    except _UNREADABLE as error:
        _refuse(file, error)


def _refuse(file: Path, error: Exception) -> NoReturn:
    """Say that a workbook cannot be read, unless the machine is at fault."""
    if is_infrastructure(error):
        raise error
    raise DataError(
        f"{file}: not readable as a workbook ({type(error).__name__})", hint="get this file anew"
    ) from error


# ------------------------------------------------------------------------------------------------ writing


def _line(image: str, row: Mapping[str, str]) -> list[str]:
    links = (f"https://cbcsl.ece.ohio-state.edu/emotionet/Images/{image}", f"http://example.org/{image}")
    return [*links, *(row.get(f"value:{column}", "999") for column in COLUMNS)]


def _write_workbook(file: Path, lines: Sequence[list[str]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for number, part in enumerate((lines[::2], lines[1::2])):
        sheet = book.active if number == 0 else book.create_sheet()
        sheet.append(["URL", "URL orig", *(f"AU {unit}" for unit in COLUMNS.values())])
        for line in part:
            values = [int(text) if text.isascii() and text.isdigit() else text or None for text in line[2:]]
            sheet.append([f"'{line[0]}'", f"'{line[1]}'", *values])
    book.create_sheet()  # as spreadsheet programs do
    file.parent.mkdir(parents=True, exist_ok=True)
    book.save(file)
