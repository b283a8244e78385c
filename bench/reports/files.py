"""Files of text that appear whole or not at all, and those that a suite's run leaves under `results/leaderboards`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def leave(results: Path, suite: str, provenance: str, contents: Mapping[str, str]) -> list[Path]:
    """Write texts by the end of their file's name ("md", "transfer.csv"); each appears whole or not at all.

    The names of stand-in and cut-down numbers say so.
    """
    folder = results / "leaderboards"
    folder.mkdir(parents=True, exist_ok=True)
    name = suite.replace("/", "_")  # points of a suite's axes name tasks of data sets
    stem = name if provenance == "real" else f"{name}.{provenance}"
    files = []
    for ending, text in contents.items():
        file = folder / f"{stem}.{ending}"
        write_whole(file, text)
        files.append(file)
    return files


def write_whole(file: Path, text: str) -> None:
    """Write a text beside its place, and put it there in one go."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
