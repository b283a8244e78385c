"""Thinned-out annotations: which training images show their labels of which task.

Two protocols, both by hashes of image names, so that they are the same whatever the order of rows:

- `overlap`: every task shows its labels on the same number of images, and the share of images that neighbouring tasks
  have in common goes from 0 (no image carries labels of two tasks) to 1 (the same images carry all). So what changes is
  where labels stand, never how many there are, where the data set annotates every image; where it does not, what is
  missing in the window is missing. The first task's images are the same at every overlap, and those that the second
  has in common with it are nested: a larger overlap has all of a smaller one.
- `fraction`: of a task's labels only a share is shown, up to rounding; nested: a larger share has all of a smaller.

Images that show no label of any task are left out of training, for joint runs and their twins alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.labels import MISSING, LabelTable, Names, TaskValues
from bench.errors import DataError
from bench.specs.run import ShownLabels
from bench.specs.streams import uniform_of

ROUNDING = 1e-6
"""Shares times counts are whole numbers up to this."""


def windows(tasks: Sequence[str], overlap: float) -> dict[str, ShownLabels]:
    """Where each of T tasks shows its labels, along all images in the order of a hash.

    Task k has the window from k (1 - overlap) / T on, 1 / T wide. At overlap 0 the windows stand side by side, at 1
    they are the same; between, neighbouring tasks share the part `overlap` of their images, and tasks further apart
    max(0, 1 - distance (1 - overlap)).
    """
    count = len(tasks)
    starts = {task: place * (1 - overlap) / count for place, task in enumerate(tasks)}
    return {task: ShownLabels(start=start, stop=min(start + 1 / count, 1.0)) for task, start in starts.items()}


def shown_count(images: int, shown: Mapping[str, ShownLabels]) -> int:
    """About how many of some images show a label, if every image has one of every task; exact without fractions."""
    spans = [(*_span(part, images), part.fraction) for part in shown.values()]
    edges = sorted({edge for first, last, _ in spans for edge in (first, last)})
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [fraction for first, last, fraction in spans if first <= low and high <= last]
        total += (high - low) * (1 - math.prod(1 - fraction for fraction in inside))
    return round(total)


def training_rows_and_labels(
    table: LabelTable,
    rows: NDArray[np.intp],
    dataset: str,
    shown: Mapping[str, ShownLabels],
    tasks: Sequence[str],
) -> tuple[NDArray[np.intp], dict[str, TaskValues]]:
    """The training rows that show something, and of these the labels of some tasks, -1 where they are not shown.

    `rows` are the training rows of the table; `shown` tells of every task that thins out the data set, also of those
    that are not asked for. Without any, all rows show all labels. Raises `DataError` where no image shows anything.
    """
    if not shown:
        return rows, {task: table.tasks[task][rows] for task in tasks}
    names = table.images[rows]
    position = _ranks(names, "overlap", dataset)
    masks = {task: _mask(table.tasks[task][rows], names, position, dataset, task, part) for task, part in shown.items()}
    kept = np.logical_or.reduce(list(masks.values()))
    if not kept.any():
        raise DataError(
            f"of the {len(rows):,} training images of data set '{dataset}' not one shows a label of "
            f"{' or '.join(shown)} here",
            hint="give the suite's axes larger shares, or --limit more images",
        )
    labels = {}
    for task in tasks:
        values = table.tasks[task][rows][kept].copy()
        values[~masks[task][kept]] = MISSING
        labels[task] = values
    return rows[kept], labels


def _mask(
    values: TaskValues,
    names: Names,
    position: NDArray[np.intp],
    dataset: str,
    task: str,
    part: ShownLabels,
) -> NDArray[np.bool_]:
    """Which images show a label of one task; bool [images]."""
    first, last = _span(part, len(position))
    labelled = values != MISSING if values.ndim == 1 else (values != MISSING).any(1)
    mask: NDArray[np.bool_] = labelled & (position >= first) & (position < last)
    if part.fraction < 1:
        places = np.flatnonzero(mask)
        rank = _ranks(names[places], "label fraction", dataset, task)
        mask[places[rank >= math.ceil(part.fraction * len(places) - ROUNDING)]] = False
    return mask


def _span(part: ShownLabels, count: int) -> tuple[int, int]:
    """The places from `first` to before `last`, of `count`, that a window has; windows of a width have as many."""
    first = math.floor(part.start * count + ROUNDING)
    return first, first + math.floor((part.stop - part.start) * count + ROUNDING)


def _ranks(names: Names, *stream: str) -> NDArray[np.intp]:
    """The place of each name in the order of a named hash; int [names]."""
    keys = np.fromiter((uniform_of(*stream, name) for name in names), np.float64, len(names))
    ranks = np.empty(len(names), np.intp)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(names))
    return ranks
