"""Mixed batches over several data sets: which images come when, and what is known of each.

What a data set contributes to step t depends on its name, the seed and t alone: not on the other data sets, not on
how training got there. So a twin sees the images of its joint run in the same order, and a resumed run needs no more
than its step number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
        needed = range(int(passes[0]), int(passes[-1]) + 1) if count else range(0)
        self._passes = {n: self._pass(n) for n in needed}
        found = np.empty(count, dtype=np.intp)
        for number, places in self._passes.items():
            here = passes == number
            found[here] = places[within[here]]
        return found

    def _pass(self, number: int) -> NDArray[np.intp]:
        known = self._passes.get(number)
        return stream(*self._key, number).permutation(self.count) if known is None else known


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
    """Images of one step: uint8 [n, side, side, 3], and what is to be changed in them.

    `places`, by data set: int [images of that data set], which of its training images are in the step, in the order of
    the rows given to `Batches.over`; data sets follow each other as in the run. Where a part of the step was asked for,
    `images` and `changes` are of that part, `places` of all.
    """

    images: Tensor
    changes: Changes
    places: dict[str, NDArray[np.intp]]


@dataclass(frozen=True)
class Batches:
    """One batch of images per step over all data sets; `rows` are the store's rows that a data set trains on.

    `resident`: by data set the images of all these rows, uint8 [rows, side, side, 3], where they are kept on a device.
    """

    sources: Sequence[SourceData]
    rows: Mapping[str, NDArray[np.intp]]
    augmentation: Augmentation
    image_size: int
    seed: int
    orders: Mapping[str, Order]
    resident: Mapping[str, Tensor] = field(default_factory=dict)

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

    @property
    def image_bytes(self) -> int:
        """Memory that the images of all rows would take."""
        return sum(len(self.rows[s.dataset]) * s.store.image_bytes for s in self.sources)

    def kept_on(self, device: torch.device) -> Batches:
        """The same batches of images that are copied to a device once."""
        resident = {s.dataset: torch.from_numpy(s.store.gather(self.rows[s.dataset])).to(device) for s in self.sources}
        return replace(self, resident=resident)

    def at(self, step: int, process: int = 0, processes: int = 1) -> ImageBatch:
        """The images of a step; of several processes, each gets every so-many-th of the joined batch."""
        images, changes, places = [], [], {}
        before = 0
        for source in self.sources:
            count, name = source.about.batch, source.dataset
            places[name] = self.orders[name].slice(step * count, count)
            mine = slice((process - before) % processes, None, processes)
            images.append(self._gathered(source, places[name][mine]))
            rng = stream(self.seed, "augmentation", name, step)
            changes.append(draw_changes(self.augmentation, count, self.image_size, rng))
            before += count
        drawn = Changes.joined(changes)
        return ImageBatch(torch.cat(images), drawn if processes == 1 else drawn[process::processes], places)

    def _gathered(self, source: SourceData, places: NDArray[np.intp]) -> Tensor:
        kept = self.resident.get(source.dataset)
        if kept is not None:
            return kept[torch.from_numpy(places).to(kept.device)]
        return torch.from_numpy(source.store.gather(self.rows[source.dataset][places]))
