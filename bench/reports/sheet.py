"""Contact sheets: some training images of data sets with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.data.store import Store
from bench.specs.streams import stream

SHOWN = 112
LINE = 12
LABEL_LINES = 3


def contact_sheet(stores: Sequence[Store], count: int) -> Image.Image:
    """A row a data set: its name, then `count` training images chosen by name, each with its labels below."""
    cell, row = SHOWN + 8, SHOWN + LABEL_LINES * LINE + 8
    sheet = Image.new("RGB", (cell * count + 8, (row + LINE + 6) * len(stores) + 8), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for line, store in enumerate(stores):
        top = 8 + line * (row + LINE + 6)
        manifest = store.manifest
        pen.text((8, top), f"{manifest.dataset}{' (stand-in)' if manifest.standin else ''}", "black", font)
        rows = store.rows("train")
        chosen = stream("sheet", manifest.dataset).permutation(rows)[:count]
        for i, picture in enumerate(store.gather(np.asarray(chosen))):
            left = 8 + i * cell
            shown = Image.fromarray(picture).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
            sheet.paste(shown, (left, top + LINE + 4))
            for number, text in enumerate(_wrapped(_labels(store, int(chosen[i])))):
                pen.text((left, top + LINE + 6 + SHOWN + number * LINE), text, "black", font)
    return sheet


def _labels(store: Store, row: int) -> str:
    words = []
    for task, names in store.manifest.labels.items():
        values = store.labels.tasks[task][row]
        if np.ndim(values) == 0:
            words.append(names[int(values)] if values >= 0 else "?")
        else:
            words += [name for name, value in zip(names, values, strict=True) if value == 1] or ["none"]
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
