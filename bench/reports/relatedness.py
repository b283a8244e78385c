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
    """p(second | first), float64 [first labels, labels], with what it was counted on where it is estimated.

    Where the first task is multilabel, `absent` is p(second | first is absent), and cells about which nothing is said
    are NaN in both.
    """

    spec: RelatednessSpec
    first: tuple[str, ...]
    labels: tuple[str, ...]
    matrix: NDArray[np.float64]
    absent: NDArray[np.float64] | None = None
    estimate: Estimate | None = None
    standin: bool = False


def relatedness_table(shown: Shown) -> Table:
    """A row a class and a column a label of the second task, the strongest where there are too many.

    Of two attribute tasks a row is a pair of attributes, the strongest first.
    """
    if shown.absent is not None:
        return _pairs_table(shown, shown.absent)
    title = f"p({shown.spec.second_task} | {shown.spec.first_task}): {shown.spec.title}"
    if len(shown.labels) <= MOST_COLUMNS:
        headers = (shown.spec.first_task, *shown.labels, *(("images",) if shown.estimate else ()))
        rows = tuple(
            (name, *(_cell(shown, c, s) for s in range(len(shown.labels))), *_images(shown, c))
            for c, name in _told(shown)
        )
        numeric = frozenset(range(1, len(headers)))
    else:
        headers = (shown.spec.first_task, "strongest", *(("images",) if shown.estimate else ()))
        rows = tuple((name, _strongest(shown, c), *_images(shown, c)) for c, name in enumerate(shown.first))
        numeric = frozenset({2})
    return Table(title, headers, rows, _notes(shown), numeric=numeric)


def _pairs_table(shown: Shown, absent: NDArray[np.float64]) -> Table:
    first, second = shown.spec.first_task, shown.spec.second_task
    difference = shown.matrix - absent
    places = np.argwhere(~np.isnan(difference))
    order = np.argsort(-np.abs(difference[tuple(places.T)]), kind="stable")
    given, otherwise = shown.estimate, shown.estimate and shown.estimate.absent
    rows = []
    for f, s in places[order].tolist():
        cells = (_share(shown.matrix, given, f, s), _share(absent, otherwise, f, s))
        images = tuple(f"{int(part.known[f, s]):,}" for part in (given, otherwise) if part)
        rows.append((shown.first[f], shown.labels[s], *cells, f"{difference[f, s]:+.2f}", *images))
    counted = ("images present", "images absent") if given else ()
    headers = (first, second, "p if present", "p if absent", "difference", *counted)
    title = f"p({second} | {first} present or absent): {shown.spec.title}"
    return Table(title, headers, tuple(rows), _notes(shown), numeric=frozenset(range(2, len(headers))))


def _told(shown: Shown) -> list[tuple[int, str]]:
    """Labels of the first task that something is known of."""
    if shown.absent is not None:
        known = np.flatnonzero(~np.isnan(shown.matrix).all(1)).tolist()
    else:
        known = [c for c in range(len(shown.first)) if shown.estimate is None or shown.estimate.known[c].any()]
    return [(c, shown.first[c]) for c in known]


def _strongest(shown: Shown, c: int) -> str:
    order: list[int] = np.argsort(-shown.matrix[c], kind="stable")[:STRONGEST].tolist()
    return ", ".join(f"{shown.labels[s]} {_cell(shown, c, s)}" for s in order)


def _cell(shown: Shown, c: int, s: int) -> str:
    return _share(shown.matrix, shown.estimate, c, s)


def _share(matrix: NDArray[np.float64], counted: Estimate | None, c: int, s: int) -> str:
    """A probability, with its interval where it is counted."""
    text = number(float(matrix[c, s]), 2)
    if counted is None:
        return text
    return f"{text} [{number(float(counted.low[c, s]), 2)}, {number(float(counted.high[c, s]), 2)}]"


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
    where = f"training labels of '{origin.dataset}'" + (" (STAND-IN)" if shown.standin else "")
    how = f"counted on {where}, with {origin.smoothing:g} added to every count (Laplace)"
    interval = "in brackets Wilson's 95 % interval of the share without smoothing"
    if shown.absent is not None:
        return (
            f"{how}; only pairs whose probabilities differ by {origin.least_difference:g} or more are related.",
            f"{interval}; images: how many training images with and without the first attribute it is counted on.",
        )
    unseen = len(shown.first) - len(_told(shown))
    left_out = (f"left out: {unseen:,} classes without a training image.",) if unseen else ()
    return (
        f"{how}; labels that are not annotated are left out.",
        f"{interval}; images: how many training images of the class it is counted on.",
        *left_out,
    )


def write_heat_map(shown: Shown, file: Path) -> None:
    """The matrix as a picture (.png or .svg), darker where the probability is higher.

    Of two attribute tasks, the difference that the first attribute makes; grey where nothing is said.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    told = _told(shown)
    signed = shown.absent is not None
    matrix = (shown.matrix if shown.absent is None else shown.matrix - shown.absent)[[c for c, _ in told]]
    rows, columns = matrix.shape
    cell = 0.3 if max(rows, columns) <= 60 else 0.12
    figure = Figure(figsize=(3 + cell * columns, 2 + cell * rows), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    least, colours = (-1, "RdBu_r") if signed else (0, "cividis_r")
    picture = axes.imshow(matrix, vmin=least, vmax=1, cmap=colours, aspect="equal", interpolation="nearest")
    axes.set_facecolor("0.85")  # where nothing is said; white is no difference
    size = 8 if cell > 0.2 else 4
    axes.set_xticks(range(columns), [_plain(name) for name in shown.labels], rotation=90, fontsize=size)
    axes.set_yticks(range(rows), [_plain(name) for _, name in told], fontsize=size)
    axes.set_xlabel(shown.spec.second_task)
    axes.set_ylabel(shown.spec.first_task)
    standin = " — STAND-IN DATA" if shown.standin else ""
    what = f"{shown.spec.second_task} | {shown.spec.first_task}"
    axes.set_title(f"p({what}){' - p(... absent)' if signed else ''}{standin}", fontsize=9)
    if rows * columns <= 400:
        for c in range(rows):
            for s in range(columns):
                value = matrix[c, s]
                if not np.isnan(value):
                    colour = "w" if abs(value) > 0.5 else "k"
                    axes.text(s, c, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(picture, ax=axes, shrink=0.6)
    with mpl.rc_context({"svg.hashsalt": "bench"}):
        canvas = FigureCanvasSVG if file.suffix.lower() == ".svg" else FigureCanvasAgg
        canvas(figure)
        figure.savefig(file, bbox_inches="tight", metadata={"Date": None} if file.suffix.lower() == ".svg" else {})


def _plain(name: str) -> str:
    """Without what matplotlib takes for mathematics."""
    return name.replace("$", r"\$")
