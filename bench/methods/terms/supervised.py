"""Supervised losses on what is annotated.

Multiclass: cross entropy, mean over the annotated images. Multilabel: for each image the mean of the binary cross
entropies of its annotated labels, -(sum_i d_i)^-1 sum_i d_i [a_i log p_i + (1 - a_i) log(1 - p_i)], then the mean over
the images with any annotated label (Kollias, Sharmanska and Zafeiriou, AAAI 2024, as we reconstruct it). Tasks add up.
A label that counts only in part (co-annotation) multiplies its own loss; the means are over labels, not over weights,
so that a label of weight w pulls w times as hard as a full one.

A data set may annotate only some classes of a task. By default its images are scored among all classes, which says that
the other classes do not occur in it; with `absent_classes: left_out` the softmax of such an image runs over the classes
that its data set annotates, which says nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.methods.objective import Coupling, Targets
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = False
NEEDS_TEACHERS = False
BALANCED = True


class Options(Frozen):
    """`weight` multiplies the term; `absent_classes` are classes that an image's data set does not annotate."""

    weight: float = Field(default=1.0, ge=0)
    absent_classes: Literal["negative", "left_out"] = "negative"


def losses(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Targets,
) -> dict[str, Tensor]:
    """By task; a task without any annotation in the batch has a loss of 0."""
    found: dict[str, Tensor] = {}
    for name, task in tasks.items():
        precise = torch.promote_types(outputs[name].dtype, torch.float32)  # half precision is too coarse for a loss
        logits, labels, weights = outputs[name].to(precise), targets.labels[name], targets.weights.get(name)
        if task.type == "multilabel":
            found[name] = attributes_loss(logits, labels, weights)
            continue
        if options.absent_classes == "left_out" and name in targets.possible:
            logits = logits.masked_fill(~targets.possible[name], -torch.inf)
        found[name] = classes_loss(logits, labels, weights)
    return found


def classes_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross entropy of the images with a class; logits float [n, classes], labels int64 [n], -1 = none."""
    each = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
    total = each.sum() if weights is None else (each * weights).sum()
    return total / (labels >= 0).sum().clamp(min=1)


def attributes_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over annotated images of the mean over their annotated labels; labels int8 [n, labels], -1 = none."""
    known = (labels >= 0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).to(logits.dtype), reduction="none") * known
    if weights is not None:
        each = each * weights
    annotated = known.sum(1)
    per_image = each.sum(1) / annotated.clamp(min=1)
    return per_image.sum() / (annotated > 0).sum().clamp(min=1)
