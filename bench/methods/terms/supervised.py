"""Supervised losses on what is annotated.

Multiclass: cross entropy, mean over the annotated images. Multilabel: for each image the mean of the binary cross
entropies of its annotated labels, -(sum_i d_i)^-1 sum_i d_i [a_i log p_i + (1 - a_i) log(1 - p_i)], then the mean over
the images with any annotated label (Kollias, Sharmanska and Zafeiriou, AAAI 2024, as we reconstruct it). Tasks add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.methods.objective import Coupling
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = False


class Options(Frozen):
    """`weight` multiplies the term."""

    weight: float = Field(default=1.0, ge=0)


def loss(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
) -> Tensor:
    """The sum over tasks; a task without any annotation in the batch adds nothing."""
    total = next(iter(outputs.values())).new_zeros((), dtype=torch.float32)
    for name, task in tasks.items():
        one = classes_loss if task.type == "multiclass" else attributes_loss
        precise = torch.promote_types(outputs[name].dtype, torch.float32)  # half precision is too coarse for a loss
        total = total + one(outputs[name].to(precise), targets[name])
    return total


def classes_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of the images with a class; logits float [n, classes], targets int64 [n], -1 = none."""
    total = F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
    return total / (targets >= 0).sum().clamp(min=1)


def attributes_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over annotated images of the mean over their annotated labels; targets int8 [n, labels], -1 = none."""
    known = (targets >= 0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).to(logits.dtype), reduction="none")
    annotated = known.sum(1)
    per_image = (each * known).sum(1) / annotated.clamp(min=1)
    return per_image.sum() / (annotated > 0).sum().clamp(min=1)
