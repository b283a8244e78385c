"""Frames of films that stand in folders as numbered images."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.data.layouts._files import inside
from bench.errors import DataError, is_infrastructure

_NUMBERED = re.compile(r"(?:.*[^0-9])?([0-9]+)\.(?:jpe?g|png|bmp)", re.IGNORECASE | re.DOTALL)


def numbered_images(root: Path, folder: str) -> dict[int, str]:
    """Paths under `root` of the images in a folder, by the number that each name ends in (`0012.jpg`, `face_12.png`).

    How numbers are padded differs from folder to folder, so they are compared as numbers. Other files are passed over.
    Raises `DataError` for a folder that is missing or leads out of `root`, and for two images of one number.
    """
    place = inside(root, folder)
    if place is None:
        raise DataError(f"{root / folder} leads out of {root}", hint="a copy must hold its files itself")
    try:
        names = sorted(entry.name for entry in os.scandir(place))
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{place}: images are missing ({error.strerror})", hint="complete the copy") from error
    found: dict[int, str] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise DataError(
                f"{place}: {Path(found[number]).name} and {name} are both image {number}",
                hint="keep the images of one extraction only",
            )
        found[number] = f"{folder}/{name}"
    return found
