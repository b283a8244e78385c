"""One run over several processes, as `torchrun` or `accelerate launch` start them, each with a device of its own.

Every process holds the whole network and takes every so-many-th image of a step. The outputs of all are gathered, so
that each process computes the objective on the whole batch: masked losses are divided by the counts of the whole batch,
couplings and balancers see all tasks, and any term is right without knowing of processes. Each process then derives by
its own images alone; the sum of these gradients is that of the whole batch. Statistics of batch normalisation are over
the whole batch too (`bench.models.batch_norm`), so that numbers are those of one process, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, distributed

_PATIENCE = timedelta(days=30)
"""How long processes wait for word of the first one, which may be preparing data or waiting for a lock."""


@dataclass(frozen=True)
class Processes:
    """How many processes share a run, and which of them (from 0) this one is; the first one leads."""

    rank: int = 0
    count: int = 1

    @classmethod
    def of(cls, accelerator: Accelerator) -> Processes:
        return cls(accelerator.process_index, accelerator.num_processes)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` things this process takes care of."""
        return slice(self.rank, count, self.count)

    def joined(self, own: Tensor, count: int) -> Tensor:
        """What all processes have of `count` rows, in the order of the rows; [count, ...] of [rows of the share, ...].

        No gradients flow through it.
        """
        if self.count == 1:
            return own.detach()
        longest = -(-count // self.count)
        padded = own.new_zeros((longest, *own.shape[1:]))
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(parts, padded)
        return torch.stack(parts, 1).flatten(0, 1)[:count]

    def joined_logits(self, own: Mapping[str, Tensor], count: int) -> Mapping[str, Tensor]:
        """Logits of all processes' images by task, in the order of the joined batch; gradients flow to our own."""
        if self.count == 1:
            return own
        together = self.joined(torch.cat(list(own.values()), 1), count)
        whole = torch.split(together, [logits.shape[1] for logits in own.values()], 1)
        joined = {}
        for (task, logits), values in zip(own.items(), whole, strict=True):
            joined[task] = values.clone()  # tasks share no node of the graph, for TorchJD frees it task by task
            joined[task][self.share(count)] = logits
        return joined

    def total(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return own
        summed = own.detach().clone()
        distributed.all_reduce(summed)
        return summed

    def add_up(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace gradients by their sums over all processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, piece in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view_as(gradient))

    def told(self, message: Any) -> Any:
        """What the first process says; the others wait for it without using a core."""
        if self.count == 1:
            return message
        box = [message]
        distributed.broadcast_object_list(box, src=0, group=_control())
        return box[0]


@cache
def _control() -> distributed.ProcessGroup:
    """A way between the processes' hosts, beside the one between their devices: NCCL would wait with a busy loop."""
    group: distributed.ProcessGroup = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    return group
