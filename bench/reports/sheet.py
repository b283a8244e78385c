"""Contact sheets: some training images of data sets with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.data.labels import MISSING
from bench.data.store import Store
from bench.specs.streams import stream

SHOWN = 112
LINE = 12
MOST_LINES = 8
ACROSS = 8
GAP = 8
CELL = SHOWN + GAP
FONT = ImageFont.load_default(10)


def contact_sheet(stores: Sequence[Store], count: int, *, task: str | None = None) -> Image.Image:
    """For each data set its name, then `count` training images chosen by name, each with its labels below.

    Eight images stand in a row. With `task` only its labels are shown, and images that it does not annotate are left
    out.
    """
    parts = [_Part.of(store, count, task) for store in stores]
    sheet = Image.new("RGB", (CELL * min(count, ACROSS) + GAP, sum(part.height for part in parts) + GAP), "white")
    top = GAP
    for part in parts:
        part.draw(sheet, top)
        top += part.height
    return sheet


@dataclass(frozen=True)
class _Part:
    """One data set on the sheet: the rows shown, and the lines below each."""

    store: Store
    rows: NDArray[np.intp]
    texts: list[list[str]]

    @classmethod
    def of(cls, store: Store, count: int, task: str | None) -> _Part:
        rows = _chosen(store, count, task)
        return cls(store, rows, [_wrapped(_labels(store, int(row), task)) for row in rows])

    @property
    def _row(self) -> int:
        return SHOWN + max((len(lines) for lines in self.texts), default=0) * LINE + GAP

    @property
    def height(self) -> int:
        return self._row * -(-len(self.rows) // ACROSS) + LINE + GAP

    def draw(self, sheet: Image.Image, top: int) -> None:
        pen, manifest = ImageDraw.Draw(sheet), self.store.manifest
        pen.text((GAP, top), f"{manifest.dataset}{' (stand-in)' if manifest.standin else ''}", "black", FONT)
        for i, picture in enumerate(self.store.gather(self.rows)):
            left, upper = GAP + i % ACROSS * CELL, top + LINE + 4 + i // ACROSS * self._row
            shown = Image.fromarray(picture).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
            sheet.paste(shown, (left, upper))
            for number, text in enumerate(self.texts[i]):
                pen.text((left, upper + SHOWN + 2 + number * LINE), text, "black", FONT)


def _chosen(store: Store, count: int, task: str | None) -> NDArray[np.intp]:
    """Training rows in an order that belongs to the data set; those that `task` annotates."""
    rows = store.rows("train")
    if task is not None:
        known = store.labels.tasks[task][rows] != MISSING
        rows = rows[known if known.ndim == 1 else known.any(1)]
    chosen: NDArray[np.intp] = stream("sheet", store.manifest.dataset).permutation(rows)[:count]
    return chosen


def _labels(store: Store, row: int, task: str | None) -> list[str]:
    words = []
    for name, labels in store.manifest.labels.items():
        if task is not None and name != task:
            continue
        values = store.labels.tasks[name][row]
        if np.ndim(values) == 0:
            words.append(labels[int(values)] if values >= 0 else "?")
        else:
            words += [label for label, value in zip(labels, values, strict=True) if value == 1] or ["none"]
    return words


def _wrapped(words: Sequence[str]) -> list[str]:
    """Words in lines as wide as a picture, with commas; too long ones, and what is too much, are cut off."""
    lines: list[str] = []
    for number, word in enumerate(words):
        text = _cut(word + ("," if number < len(words) - 1 else ""))
        if lines and FONT.getlength(f"{lines[-1]} {text}") <= SHOWN:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "…"]
    return lines


def _cut(word: str) -> str:
    """The end of a word that is too long: names such as has_wing_color::blue differ there."""
    while FONT.getlength(word) > SHOWN:
        word = "…" + word[2:]
    return word
