"""How the people of a data set are dealt to its splits, and the pictures of a split to chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.labels import LabelTable
from bench.data.standin import Chunk
from bench.specs.dataset import SPLITS

CODE = (Path(__file__),)
CHUNK = 1024
"""Pictures handed on at a time."""


def chunks(labels: LabelTable, paint: Callable[[NDArray[np.intp]], NDArray[np.uint8]]) -> Iterator[Chunk]:
    """The pictures of a split with their labels; `paint` gives those of some rows, which come in order, once each."""
    for start in range(0, len(labels), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(labels)))
        yield Chunk(paint(rows), labels.take(rows))


def people_in(split: str, people: int) -> NDArray[np.intp]:
    """Half of the people train, a quarter each validates and tests, and at least one each."""
    place, quarter = SPLITS.index(split), max(people // 4, 1)
    bounds = (0, people - 2 * quarter, people - quarter, people)
    return np.arange(bounds[place], bounds[place + 1])
