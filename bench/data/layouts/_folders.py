"""Folders of many small label files, one an image: listed once, each read without following a link out of the copy."""

from __future__ import annotations

import os
from pathlib import Path

from bench.data.layouts._files import held
from bench.errors import DataError, is_infrastructure

MOST_BYTES = 1 << 16
"""Bytes in one such file; more means that it is none."""


class Folder:
    """A folder under `root`. Raises `DataError` where it is missing, or leads out of `root`."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.place = held(root, name)
        try:
            with os.scandir(self.place) as entries:
                links = {entry.name: entry.is_symlink() for entry in entries if not entry.name.startswith(".")}
        except OSError as error:
            if is_infrastructure(error):
                raise
            raise DataError(f"{self.place} cannot be listed: {error.strerror}", hint="complete the copy") from error
        self.names = frozenset(links)
        self._links = frozenset(file for file, linked in links.items() if linked)

    def read(self, file: str) -> bytes:
        """The content of a file of this folder. Raises `DataError` where it cannot be read or is too large."""
        path = f"{self.place}/{file}"
        if file in self._links:
            held(self.root, f"{self.name}/{file}")
        try:
            with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - called for every image
                content = stream.read(MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            if is_infrastructure(error):
                raise
            raise DataError(f"{path} cannot be read: {error}", hint="complete the copy") from error
        if len(content) > MOST_BYTES:
            raise DataError(f"{path} is too large to be a label file", hint="get this file anew")
        return content
