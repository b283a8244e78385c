"""What training steps are fed with: images, changes and targets on the device, the next ones while one computes.

On a GPU a thread gathers the next batches into page-locked memory and copies them on a stream of its own, so that
gather, copy and compute overlap. On a CPU that thread would take turns with the threads that compute, so a batch is
made when it is asked for. Where all training images fit beside everything else, they are put on the GPU once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.data.augmentation import Changes
from bench.data.batches import Batches
from bench.methods.objective import Targets
from bench.training.labelling import Labelling
from bench.training.processes import Processes

Item = TypeVar("Item")
AHEAD = 2
"""Batches that are made ready before they are asked for, on a GPU."""
RESIDENT_SHARE = 0.4
"""Part of a GPU's free memory that training images may take; the rest is for the network and its activations."""


@dataclass(frozen=True)
class Fed:
    """One step: images uint8 [n, side, side, 3] and changes of this process, targets of the whole batch."""

    images: Tensor
    changes: Changes
    targets: Targets

    def moved(self, move: Callable[[Tensor], Tensor]) -> Fed:
        """Every tensor of it as `move` gives it back."""
        targets = {f.name: {n: move(t) for n, t in getattr(self.targets, f.name).items()} for f in fields(Targets)}
        changes = {f.name: move(getattr(self.changes, f.name)) for f in fields(Changes)}
        return Fed(move(self.images), Changes(**changes), Targets(**targets))


def fits_on_device(images: int, free: int | None) -> bool:
    """Whether so many bytes of images are kept on a device that has `free` bytes; None: it has no memory of its own."""
    return free is not None and images <= RESIDENT_SHARE * free


def free_memory(device: torch.device) -> int | None:
    """Free bytes of a GPU; None for a device that computes in the host's memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def fed(
    batches: Batches, labelling: Labelling, steps: Iterable[int], device: torch.device, processes: Processes
) -> Generator[Fed]:
    """The batch of each step, in order."""
    if fits_on_device(batches.image_bytes, free_memory(device)):
        batches = batches.kept_on(device)

    def made() -> Iterator[Fed]:
        for step in steps:
            batch = batches.at(step, processes.rank, processes.count)
            yield Fed(batch.images, batch.changes, labelling.targets(batch.places))

    yield from on_device(made(), device)


def on_device(items: Iterable[Item], device: torch.device) -> Iterator[Item]:
    """The items with their tensors on the device; on a GPU the next ones are made and copied while one is used."""
    return iter(items) if device.type == "cpu" else overlapped(items, device)


def overlapped(items: Iterable[Item], device: torch.device) -> Iterator[Item]:
    """The items with their tensors on a GPU, made in a thread and copied on a stream beside the one that computes."""
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copied() -> Iterator[tuple[Item, torch.cuda.Event]]:
        for item in items:
            with torch.cuda.stream(copies):
                yield _moved(item, lambda tensor: _copied(tensor, device)), copies.record_event()

    for item, ready in ahead(copied(), AHEAD):
        compute = torch.cuda.current_stream(device)
        compute.wait_event(ready)
        _moved(item, partial(_used_by, compute))
        yield item


def ahead(items: Iterable[Any], depth: int) -> Iterator[Any]:
    """The items, in order; up to `depth` of them are made in a thread before they are asked for."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as pool:
        waiting = deque(pool.submit(next, source, end) for _ in range(depth))
        try:
            while waiting:
                item = waiting.popleft().result()
                if item is end:
                    return
                waiting.append(pool.submit(next, source, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()


def _moved(item: Any, move: Callable[[Tensor], Tensor]) -> Any:
    """A tensor moved, or a `Fed` with its tensors moved."""
    return move(item) if isinstance(item, Tensor) else item.moved(move)


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor if tensor.device == device else tensor.pin_memory().to(device, non_blocking=True)


def _used_by(stream: torch.cuda.Stream, tensor: Tensor) -> Tensor:
    """Its memory is not given to others before the stream is done with it."""
    tensor.record_stream(stream)
    return tensor
