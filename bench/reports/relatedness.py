"""A relatedness as a table and as a heat map: what it says of each pair of labels, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.reports.table import Table, number
from bench.runs.estimate import Estimate
from bench.specs.relatedness import RelatednessSpec

MOST_COLUMNS = 24
"""Wider tables show the strongest labels of each class instead."""
STRONGEST = 6


@dataclass(frozen=True)
class Shown:
    """p(second | class), float64 [classes, labels], with what it was counted on where it is estimated."""

    spec: RelatednessSpec
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    matrix: NDArray[np.float64]
    estimate: Estimate | None = None
    standin: bool = False


def relatedness_table(shown: Shown) -> Table:
    """A row a class; a column a label of the second task, or the strongest labels where there are too many."""
    title = f"p({shown.spec.second_task} | {shown.spec.class_task}): {shown.spec.title}"
    if len(shown.labels) <= MOST_COLUMNS:
        headers = (shown.spec.class_task, *shown.labels, *(("images",) if shown.estimate else ()))
        rows = tuple(
            (name, *(_cell(shown, c, s) for s in range(len(shown.labels))), *_images(shown, c))
            for c, name in _told(shown)
        )
        numeric = frozenset(range(1, len(headers)))
    else:
        headers = (shown.spec.class_task, "strongest", *(("images",) if shown.estimate else ()))
        rows = tuple((name, _strongest(shown, c), *_images(shown, c)) for c, name in enumerate(shown.classes))
        numeric = frozenset({2})
    return Table(title, headers, rows, _notes(shown), numeric=numeric)


def _told(shown: Shown) -> list[tuple[int, str]]:
    """Classes that something is known of."""
    known = [c for c in range(len(shown.classes)) if shown.estimate is None or shown.estimate.known[c].any()]
    return [(c, shown.classes[c]) for c in known]


def _strongest(shown: Shown, c: int) -> str:
    order: list[int] = np.argsort(-shown.matrix[c], kind="stable")[:STRONGEST].tolist()
    return ", ".join(f"{shown.labels[s]} {_cell(shown, c, s)}" for s in order)


def _cell(shown: Shown, c: int, s: int) -> str:
    text = number(float(shown.matrix[c, s]), 2)
    if shown.estimate is None:
        return text
    return f"{text} [{number(float(shown.estimate.low[c, s]), 2)}, {number(float(shown.estimate.high[c, s]), 2)}]"


def _images(shown: Shown, c: int) -> tuple[str, ...]:
    if shown.estimate is None:
        return ()
    known = shown.estimate.known[c]
    least, most = int(known.min()), int(known.max())
    return (f"{most:,}" if least == most else f"{least:,} to {most:,}",)


def _notes(shown: Shown) -> tuple[str, ...]:
    if shown.estimate is None:
        return (f"from {shown.spec.origin.source}.",) if shown.spec.origin.type == "knowledge" else ()
    origin = shown.spec.origin
    assert origin.type == "estimated"
    absent = len(shown.classes) - len(_told(shown))
    left_out = (f"left out: {absent:,} classes without a training image.",) if absent else ()
    where = f"training labels of '{origin.dataset}'" + (" (STAND-IN)" if shown.standin else "")
    return (
        f"counted on {where}, with {origin.smoothing:g} added to every count (Laplace); labels that are not annotated "
        "are left out.",
        "in brackets Wilson's 95 % interval of the share without smoothing; images: how many training images of the "
        "class it is counted on.",
        *left_out,
    )


def write_heat_map(shown: Shown, file: Path) -> None:
    """The matrix as a picture (.png or .svg), darker where the probability is higher."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    told = _told(shown)
    matrix = shown.matrix[[c for c, _ in told]]
    rows, columns = matrix.shape
    cell = 0.3 if max(rows, columns) <= 60 else 0.12
    figure = Figure(figsize=(3 + cell * columns, 2 + cell * rows), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(matrix, vmin=0, vmax=1, cmap="cividis_r", aspect="equal", interpolation="nearest")
    size = 8 if cell > 0.2 else 4
    axes.set_xticks(range(columns), [_plain(name) for name in shown.labels], rotation=90, fontsize=size)
    axes.set_yticks(range(rows), [_plain(name) for _, name in told], fontsize=size)
    axes.set_xlabel(shown.spec.second_task)
    axes.set_ylabel(shown.spec.class_task)
    standin = " — STAND-IN DATA" if shown.standin else ""
    axes.set_title(f"p({shown.spec.second_task} | {shown.spec.class_task}){standin}", fontsize=9)
    if rows * columns <= 400:
        for c in range(rows):
            for s in range(columns):
                value = matrix[c, s]
                axes.text(s, c, f"{value:.2f}", ha="center", va="center", fontsize=6, color="w" if value > 0.5 else "k")
    figure.colorbar(picture, ax=axes, shrink=0.6)
    with mpl.rc_context({"svg.hashsalt": "bench"}):
        canvas = FigureCanvasSVG if file.suffix.lower() == ".svg" else FigureCanvasAgg
        canvas(figure)
        figure.savefig(file, bbox_inches="tight", metadata={"Date": None} if file.suffix.lower() == ".svg" else {})


def _plain(name: str) -> str:
    """Without what matplotlib takes for mathematics."""
    return name.replace("$", r"\$")
