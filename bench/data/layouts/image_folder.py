"""Folders whose names are the labels, as `torchvision.datasets.ImageFolder` and many archives have them.

    train/cat/0001.jpg            levels: [split, class], the usual case
    cat/0001.jpg                  levels: [class]
    ada/test/cat/more/0001.jpg    levels: [group, split, class]: what lies deeper belongs to the class above it

The one column is `class`. Images are files with the endings of `IMAGES`, whatever their case; other files are left out
by name. Names that start with a dot are passed over without a word. Links to folders are not followed.

Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from bench.data.layouts._files import PathInCopy, held, inside, listing, refuse_unknown, write_picture
from bench.data.reading import Reading, Skipped
from bench.errors import DataError, is_infrastructure
from bench.specs.model import AllDifferent, Frozen

Level = Literal["split", "class", "group"]
VARIANTS = ("folders",)
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
NO_IMAGE = "not an image by its ending"
LINK = "a link that leads out of the copy, or to a folder"


class Options(Frozen):
    """Where the folders are, and what the names of each level of them mean."""

    images: PathInCopy = Field(default=".", description="The folder that holds the first level; `.` for the root.")
    levels: Annotated[tuple[Level, ...], AllDifferent] = Field(
        default=("split", "class"), description="What folders are called after, from the outside in."
    )

    @field_validator("levels")
    @classmethod
    def _has_class(cls, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if "class" not in levels:
            raise PydanticCustomError("levels", "one of the levels must be `class`")
        return levels


def columns(options: Options) -> Sequence[str]:
    """The one label."""
    return ("class",)


def recognise(root: Path, options: Options) -> str:
    """There is one variant; there must be a folder at the last level."""
    if not _folders(root, options):
        levels = "/".join(level.upper() for level in options.levels)
        start = held(root, options.images)
        raise DataError(
            f"{start}: there are no folders {levels}/ in it; there is {listing(start)}",
            hint="option `levels` says what the folders are called after, option `images` where they start",
        )
    return VARIANTS[0]


def label_files(root: Path, options: Options) -> list[Path]:
    """All folders: files that come and go change them."""
    folders = [root / path for path, _ in _folders(root, options)]
    return [inner for folder in folders for inner in (folder, *_below(folder))]


def read(root: Path, options: Options, columns: Sequence[str]) -> Reading:
    """Rows by folder and name. Raises `DataError` where there are no such folders, or they cannot be listed."""
    refuse_unknown(columns, ("class",), root)
    recognise(root, options)
    skipped = Skipped()
    rows: list[dict[str, str]] = []
    for folder, values in _folders(root, options):
        for image in _images(root, folder, skipped):
            rows.append({"image": image} | values)
    names = {"image": "image"} | {level: "value:class" if level == "class" else level for level in options.levels}
    kept = [name for level, name in names.items() if level != "class" or columns]
    table = {name: pa.array([row[level] for row in rows], pa.string()) for level, name in names.items() if name in kept}
    return Reading(pa.table(table), VARIANTS[0], skipped)


def write(root: Path, rows: pa.Table, options: Options, variant: str = VARIANTS[0]) -> None:
    """Small images of one colour at the places that their names tell, and a hidden file beside each."""
    for image in rows["image"].to_pylist():
        write_picture(root / image)
        (root / image).with_name(".hidden").write_bytes(b"")


def named(rows: pa.Table, options: Options) -> pa.Table:
    """Made-up rows at the places that their labels tell; rows without a class, which no folder holds, are left out."""
    start = "" if options.images == "." else f"{options.images}/"
    rows = rows.filter([bool(label) for label in rows["value:class"].to_pylist()])
    images = []
    for number, row in enumerate(rows.to_pylist()):
        values = {"class": row["value:class"], "split": row["split"], "group": row.get("group", "")}
        images.append(start + "/".join([*(values[level] for level in options.levels), f"{number:04d}.jpg"]))
    return rows.add_column(0, "image", pa.array(images, pa.string()))


def _folders(root: Path, options: Options) -> list[tuple[str, dict[str, str]]]:
    """Folders of the last level, as paths under the root, with the names of the levels; sorted."""
    held(root, options.images)
    found: list[tuple[str, dict[str, str]]] = [("" if options.images == "." else options.images, {})]
    for level in options.levels:
        found = [
            (f"{path}/{entry.name}".lstrip("/"), values | {level: entry.name})
            for path, values in found
            for entry in _entries(root / path)
            if entry.is_dir(follow_symlinks=False)
        ]
    return found


def _below(folder: Path) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
            yield from _below(Path(entry.path))


def _images(root: Path, folder: str, skipped: Skipped) -> Iterator[str]:
    """Paths under the root of all images in a folder and below it."""
    for entry in _entries(root / folder):
        path = f"{folder}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _images(root, path, skipped)
        elif entry.is_symlink() and (inside(root, path) is None or entry.is_dir()):
            skipped.add(LINK, path)
        elif not entry.name.lower().endswith(IMAGES):
            skipped.add(NO_IMAGE, path)
        else:
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name; nothing hidden. Raises `DataError` for what cannot be listed or named."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{folder} cannot be listed: {error.strerror}", hint="complete the copy") from error
    for entry in found:
        if any("\ud800" <= character <= "\udfff" for character in entry.name):
            raise DataError(f"{folder} holds the name {os.fsencode(entry.name)!r}, which is no UTF-8", hint="rename it")
    return found
