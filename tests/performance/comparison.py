"""How benchmarks compare two ways of doing the same, and how they are told."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.runs.environment import environment


@dataclass(frozen=True)
class Measured:
    """One comparison: what is wanted of `ratio`, and its value in each repeat."""

    name: str
    wanted: str
    ratios: list[float]
    note: str

    @property
    def row(self) -> str:
        middle, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        return f"| {self.name} | {self.wanted} | {middle:.2f} | {low:.2f} - {high:.2f} | {self.note} |"


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], repeats: int) -> list[float]:
    """theirs / ours in seconds, once to warm up and then by repeat: above 1, ours is faster."""
    ours(), theirs()
    return [theirs() / ours() for _ in range(repeats)]


def write_report(file: Path, title: str, about: str, table: Sequence[str]) -> None:
    """A page with a table, and the machine and packages that it was made with."""
    where = environment()
    lines = [
        f"# {title}",
        "",
        about,
        "",
        *table,
        "",
        f"Hardware: {json.dumps(where['hardware'])}",
        "",
        f"Packages: {json.dumps(where['packages'])}",
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
