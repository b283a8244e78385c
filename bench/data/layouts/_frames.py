"""Frames of films that stand in folders as numbered images."""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.layouts._files import held, names_in
from bench.errors import DataError

_NUMBERED = re.compile(r"(?:.*[^0-9])?([0-9]+)\.(?:jpe?g|png|bmp)", re.IGNORECASE | re.DOTALL)


def numbered_images(root: Path, folder: str) -> dict[int, str]:
    """Paths under `root` of the images in a folder, by the number that each name ends in (`0012.jpg`, `face_12.png`).

    How numbers are padded differs from folder to folder, so they are compared as numbers. Other files are passed over.
    Raises `DataError` for a folder that is missing or leads out of `root`, and for two images of one number.
    """
    place = held(root, folder)
    found: dict[int, str] = {}
    for name in names_in(place):
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
