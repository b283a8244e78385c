"""Mixed batches over several data sets: which images come when, and what is known of each.

What a data set contributes to step t depends on its name, the seed and t alone: not on the other data sets, not on
how training got there. So a twin sees the images of its joint run in the same order, and a resumed run needs no more
than its step number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augmentation import Changes, draw_changes
from bench.data.labels import MISSING
from bench.data.store import Store
from bench.specs.budget import Augmentation, Batch
from bench.specs.streams import stream


def allocate(batch: Batch, sizes: Mapping[str, int]) -> dict[str, int]:
    """Images of each data set in a batch, by its number of training images; they sum to `batch.size`.

    Proportional shares are rounded by largest remainder after each data set has got `batch.least`.
    """
    names = list(sizes)
    weights = np.array([sizes[name] if batch.allocation == "proportional" else 1 for name in names], dtype=float)
    spare = batch.size - batch.least * len(names)
    if spare < 0:
        raise ValueError(f"a batch of {batch.size} cannot hold {batch.least} images of each of {len(names)} data sets")
    ideal = weights / weights.sum() * batch.size
    over = np.maximum(ideal - batch.least, 0)
    exact = batch.least + (over / over.sum() * spare if over.sum() else np.full(len(names), spare / len(names)))
    counts = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: batch.size - counts.sum()]] += 1
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


class Order:
    """An endless sequence of rows: one shuffled pass after the other, each by its own named stream."""

    def __init__(self, rows: NDArray[np.intp], dataset: str, seed: int) -> None:
        self.rows = rows
        self._key = (seed, "order", dataset)
        self._passes: dict[int, NDArray[np.intp]] = {}

    def slice(self, start: int, count: int) -> NDArray[np.intp]:
        """Rows at places `start` to `start + count` of the sequence."""
        places = np.arange(start, start + count)
        passes, within = np.divmod(places, len(self.rows))
        needed = {int(number): self._passes.get(int(number)) for number in np.unique(passes)}
        for number, known in needed.items():
            needed[number] = stream(*self._key, number).permutation(self.rows) if known is None else known
        self._passes = {n: rows for n, rows in needed.items() if rows is not None}
        return np.array([self._passes[int(p)][w] for p, w in zip(passes, within, strict=True)], dtype=np.intp)


@dataclass(frozen=True)
class SourceData:
    """A data set's part in training: its store, the tasks taken from it, and its images in each step."""

    dataset: str
    store: Store
    tasks: tuple[str, ...]
    batch: int


@dataclass(frozen=True)
class Batches:
    """One batch per step over all data sets.

    `widths` gives the number of labels of multilabel tasks, None for multiclass ones.
    """

    sources: Sequence[SourceData]
    widths: Mapping[str, int | None]
    augmentation: Augmentation
    image_size: int
    seed: int
    orders: Mapping[str, Order]

    @classmethod
    def over(
        cls,
        sources: Sequence[SourceData],
        widths: Mapping[str, int | None],
        augmentation: Augmentation,
        size: int,
        seed: int,
    ) -> Batches:
        """Batches over the training splits of some data sets."""
        orders = {source.dataset: Order(source.store.rows("train"), source.dataset, seed) for source in sources}
        return cls(sources, widths, augmentation, size, seed, orders)

    def at(self, step: int) -> tuple[Tensor, dict[str, Tensor], Changes]:
        """The batch of a step, on the CPU: images uint8 [n, side, side, 3], targets by task, and their changes.

        Targets are int64 [n] (multiclass) or int8 [n, labels] (multilabel), -1 where nothing is annotated.
        """
        images, targets, changes = [], [], []
        for source in self.sources:
            rows = self.orders[source.dataset].slice(step * source.batch, source.batch)
            images.append(source.store.gather(rows))
            targets.append(targets_of(source, rows, self.widths))
            rng = stream(self.seed, "augmentation", source.dataset, step)
            changes.append(draw_changes(self.augmentation, source.batch, self.image_size, rng))
        joined = {task: torch.from_numpy(np.concatenate([t[task] for t in targets])) for task in self.widths}
        return torch.from_numpy(np.concatenate(images)), joined, Changes.joined(changes)


def targets_of(
    source: SourceData, rows: NDArray[np.intp], widths: Mapping[str, int | None]
) -> dict[str, NDArray[np.int64] | NDArray[np.int8]]:
    """Targets of some rows for every task of the run; all missing for tasks that are not taken from this source."""
    found: dict[str, NDArray[np.int64] | NDArray[np.int8]] = {}
    for task, width in widths.items():
        if task in source.tasks:
            values = source.store.labels.tasks[task][rows]
            found[task] = values.astype(np.int64) if width is None else values.astype(np.int8)
        elif width is None:
            found[task] = np.full(len(rows), MISSING, dtype=np.int64)
        else:
            found[task] = np.full((len(rows), width), MISSING, dtype=np.int8)
    return found
