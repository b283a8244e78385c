"""The files that a suite's run leaves under `results/leaderboards`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.files import write_whole


def leave(results: Path, suite: str, provenance: str, contents: Mapping[str, str]) -> list[Path]:
    """Write texts by the end of their file's name ("md", "transfer.csv"); each appears whole or not at all.

    The names of stand-in and cut-down numbers say so.
    """
    folder = results / "leaderboards"
    name = suite.replace("/", "_")  # points of a suite's axes name tasks of data sets
    stem = name if provenance == "real" else f"{name}.{provenance}"
    files = []
    for ending, text in contents.items():
        file = folder / f"{stem}.{ending}"
        write_whole(file, text)
        files.append(file)
    return files
