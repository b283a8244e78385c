"""Contact sheets: some training images of data sets with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.data.labels import MISSING
from bench.data.store import Store
from bench.specs.streams import stream

SHOWN = 112
LINE = 12
LABEL_LINES = 3
ACROSS = 8


def contact_sheet(stores: Sequence[Store], count: int, *, task: str | None = None) -> Image.Image:
    """For each data set its name, then `count` training images chosen by name, each with its labels below.

    Eight images stand in a row. With `task` only its labels are shown, and images that it does not annotate are left
    out.
    """
    cell, row = SHOWN + 8, SHOWN + LABEL_LINES * LINE + 8
    chosen = [_chosen(store, count, task) for store in stores]
    lines = [-(-len(rows) // ACROSS) for rows in chosen]
    height = sum(row * line + LINE + 6 for line in lines) + 8
    sheet = Image.new("RGB", (cell * min(count, ACROSS) + 8, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    top = 8
    for store, rows, line in zip(stores, chosen, lines, strict=True):
        manifest = store.manifest
        pen.text((8, top), f"{manifest.dataset}{' (stand-in)' if manifest.standin else ''}", "black", font)
        for i, picture in enumerate(store.gather(rows)):
            left, upper = 8 + i % ACROSS * cell, top + i // ACROSS * row
            shown = Image.fromarray(picture).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
            sheet.paste(shown, (left, upper + LINE + 4))
            for number, text in enumerate(_wrapped(_labels(store, int(rows[i]), task))):
                pen.text((left, upper + LINE + 6 + SHOWN + number * LINE), text, "black", font)
        top += row * line + LINE + 6
    return sheet


def _chosen(store: Store, count: int, task: str | None) -> NDArray[np.intp]:
    """Training rows in an order that belongs to the data set; those that `task` annotates."""
    rows = store.rows("train")
    if task is not None:
        known = store.labels.tasks[task][rows] != MISSING
        rows = rows[known if known.ndim == 1 else known.any(1)]
    chosen: NDArray[np.intp] = stream("sheet", store.manifest.dataset).permutation(rows)[:count]
    return chosen


def _labels(store: Store, row: int, task: str | None) -> str:
    words = []
    for name, labels in store.manifest.labels.items():
        if task is not None and name != task:
            continue
        values = store.labels.tasks[name][row]
        if np.ndim(values) == 0:
            words.append(labels[int(values)] if values >= 0 else "?")
        else:
            words += [label for label, value in zip(labels, values, strict=True) if value == 1] or ["none"]
    return " ".join(words)


def _wrapped(text: str, width: int = 20) -> list[str]:
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > LABEL_LINES:
        lines = [*lines[: LABEL_LINES - 1], lines[LABEL_LINES - 1] + " …"]
    return lines
