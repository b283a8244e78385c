"""Work that is divided where memory does not hold it at once.

Of a training step, each piece is forgotten after its forward pass and computed again when its gradient is taken, by
torch's activation checkpoints. So memory holds the activations of one piece, while losses, couplings and balancers see
the whole batch. Batch normalisation takes the statistics of each piece, so networks that have it get other numbers; for
all others they differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.models.network import Network, Response, kept_buffers

Made = TypeVar("Made")


def in_pieces(work: Callable[[int], Made], images: int, divided: Callable[[int], None] = lambda pieces: None) -> Made:
    """What `work(pieces)` gives: in one piece or, where memory does not hold so many images, in two, four, and so on.

    `divided` is told their number before each new attempt. Raises `MemoryError` where not even one image fits.
    """
    pieces = 1
    while True:
        try:
            return work(pieces)
        except torch.OutOfMemoryError as error:
            reason = str(error)  # not the error, whose frames hold all that the attempt made
        if pieces >= images:
            raise MemoryError(f"the device does not even hold one image at a time: {reason}")
        pieces = min(2 * pieces, images)
        divided(pieces)


def respond(network: Network, images: Tensor, pieces: int) -> Response:
    """What the network says of the images, every so-many-th of them at a time, so that each piece is a fair sample."""
    if pieces == 1:
        response: Response = network(images)
        return response
    parts = [checkpoint(_Features(network), images[start::pieces], use_reentrant=False) for start in range(pieces)]
    order = torch.cat([torch.arange(start, len(images), pieces) for start in range(pieces)]).argsort().to(images.device)
    return network.judge(torch.cat(parts)[order])


class _Features:
    """A forward pass that updates running statistics the first time, and not again when it is computed anew."""

    def __init__(self, network: Network) -> None:
        self._network, self._seen = network, False

    def __call__(self, images: Tensor) -> Tensor:
        keep = kept_buffers(self._network) if self._seen else nullcontext()
        self._seen = True
        with keep:
            return self._network.features(images)


def refuse_lone_images(network: nn.Module, images: int, pieces: int) -> None:
    """Raises `MemoryError` where a piece has one image, of which batch normalisation can take no statistics."""
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if normalised and pieces > 1 and images < 2 * pieces:
        raise MemoryError(
            f"the device does not hold a batch of {images} images in fewer than {pieces} pieces, "
            "and batch normalisation needs two images in each"
        )
