"""A forward pass in pieces, where a whole batch does not fit in memory at once.

Each piece is forgotten after its forward pass and computed again when its gradient is taken, by torch's activation
checkpoints. So memory holds the activations of one piece, while losses are those of the whole batch. Batch
normalisation takes the statistics of each piece alone, so networks that have it get other numbers; for all others they
differ by rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.models.network import Network, Response, kept_buffers


def respond(network: Network, images: Tensor, pieces: int) -> Response:
    """What the network says of the images, every so-many-th of them at a time, so that each piece is a fair sample."""
    if pieces == 1:
        response: Response = network(images)
        return response

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), kept_buffers(network)  # running statistics are not to be updated twice

    parts = [
        checkpoint(network, images[start::pieces], use_reentrant=False, context_fn=contexts) for start in range(pieces)
    ]
    order = torch.cat([torch.arange(start, len(images), pieces) for start in range(pieces)]).argsort().to(images.device)
    logits = {task: torch.cat([part.logits[task] for part in parts])[order] for task in parts[0].logits}
    return Response(torch.cat([part.features for part in parts])[order], logits)
