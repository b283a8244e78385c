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
from bench.data.store import Store
from bench.specs.budget import Augmentation, Batch
from bench.specs.run import RunSource
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
    """An endless sequence of places 0 to `count` - 1: shuffled passes one after the other, each by its named stream."""

    def __init__(self, count: int, dataset: str, seed: int) -> None:
        self.count = count
        self._key = (seed, "order", dataset)
        self._passes: dict[int, NDArray[np.intp]] = {}

    def slice(self, start: int, count: int) -> NDArray[np.intp]:
        """What stands at `start` to `start + count` of the sequence."""
        positions = np.arange(start, start + count)
        passes, within = np.divmod(positions, self.count)
        needed = {int(number): self._passes.get(int(number)) for number in np.unique(passes)}
        for number, known in needed.items():
            needed[number] = stream(*self._key, number).permutation(self.count) if known is None else known
        self._passes = {n: places for n, places in needed.items() if places is not None}
        return np.array([self._passes[int(p)][w] for p, w in zip(passes, within, strict=True)], dtype=np.intp)


@dataclass(frozen=True)
class SourceData:
    """A data set's part in training: what the run says of it, and its store."""

    about: RunSource
    store: Store

    @property
    def dataset(self) -> str:
        return self.about.dataset

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.about.tasks


@dataclass(frozen=True)
class ImageBatch:
    """Images of one step, on the CPU: uint8 [n, side, side, 3], and what is to be changed in them.

    `places`, by data set: int [images of that data set], which of its training images these are, in the order of the
    rows given to `Batches.over`; data sets follow each other as in the run.
    """

    images: Tensor
    changes: Changes
    places: dict[str, NDArray[np.intp]]


@dataclass(frozen=True)
class Batches:
    """One batch of images per step over all data sets; `rows` are the store's rows that a data set trains on."""

    sources: Sequence[SourceData]
    rows: Mapping[str, NDArray[np.intp]]
    augmentation: Augmentation
    image_size: int
    seed: int
    orders: Mapping[str, Order]

    @classmethod
    def over(
        cls,
        sources: Sequence[SourceData],
        rows: Mapping[str, NDArray[np.intp]],
        augmentation: Augmentation,
        size: int,
        seed: int,
    ) -> Batches:
        """Batches over some rows of each data set."""
        orders = {name: Order(len(chosen), name, seed) for name, chosen in rows.items()}
        return cls(sources, rows, augmentation, size, seed, orders)

    def at(self, step: int) -> ImageBatch:
        """The images of a step."""
        images, changes, places = [], [], {}
        for source in self.sources:
            count, name = source.about.batch, source.dataset
            places[name] = self.orders[name].slice(step * count, count)
            images.append(source.store.gather(self.rows[name][places[name]]))
            rng = stream(self.seed, "augmentation", name, step)
            changes.append(draw_changes(self.augmentation, count, self.image_size, rng))
        return ImageBatch(torch.from_numpy(np.concatenate(images)), Changes.joined(changes), places)
