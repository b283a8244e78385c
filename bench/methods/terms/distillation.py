"""Distillation: where a label is missing, the network learns what single-task teachers say.

Classes: T^2 KL(t || s) with t = softmax(log p / T) of the teachers' probabilities p and s = softmax(z / T) of the
network's logits z; mean over the images that have no class and are taught one. Attributes: the same of both outcomes,
t = sigmoid(logit p / T) and s = sigmoid(z / T); for each image the mean over its attributes that are not annotated
and are taught, then the mean over the images with any. Annotated labels are left to the supervised term.

Hinton, Vinyals and Dean (2015, arXiv 1503.02531, eq. 1 and section 2): gradients of soft targets shrink as 1 / T^2,
so that T^2 keeps their size the same beside that of hard labels. KL is their cross entropy less the entropy of the
target: it has the same gradient, and is 0 where the network agrees with its teachers. Single-task networks as
teachers of a multi-task one are those of Li and Bilen (2020, "Knowledge Distillation for Multi-task Learning", ECCV
workshops), who match features on labelled images; matching predictions where labels are missing is our choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.methods.objective import Coupling, Targets
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = False
NEEDS_TEACHERS = True
BALANCED = True

# Teachers may be certain; their probabilities of attributes are kept this far from 0 and 1, so that logits are finite.
EPSILON = 1e-6


class Options(Frozen):
    """`temperature` above 1 makes teachers and network less certain, so that more is learnt of what is improbable."""

    weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=2.0, gt=0)


def losses(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Targets,
) -> dict[str, Tensor]:
    """By task; a task of which nothing is taught in the batch has a loss of 0."""
    found: dict[str, Tensor] = {}
    for name, task in tasks.items():
        precise = torch.promote_types(outputs[name].dtype, torch.float32)  # half precision is too coarse for a loss
        logits = outputs[name].to(precise)
        taught = targets.taught.get(name, torch.full_like(logits, torch.nan)).to(precise)
        term = taught_classes_loss if task.type == "multiclass" else taught_attributes_loss
        found[name] = term(logits, targets.labels[name], taught, options.temperature)
    return found


def taught_classes_loss(logits: Tensor, labels: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Logits, `taught` float [n, classes] (NaN where nothing is taught) and labels int64 [n], -1 = none."""
    untaught = taught.isnan().any(1)
    learnt = (labels < 0) & ~untaught
    known = taught.masked_fill(untaught[:, None], 1.0)  # anything finite: these images do not count
    target = F.softmax(known.log() / temperature, dim=1)
    student = F.log_softmax(logits / temperature, dim=1)
    each = (torch.xlogy(target, target) - target * student).sum(1)  # a class of probability 0 adds nothing
    return temperature**2 * (each * learnt).sum() / learnt.sum().clamp(min=1)


def taught_attributes_loss(logits: Tensor, labels: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Logits, `taught` float [n, labels] (NaN where nothing is taught) and labels int8 [n, labels], -1 = none."""
    learnt = (labels < 0) & ~taught.isnan()
    certain = taught.nan_to_num(0.5).logit(eps=EPSILON) / temperature
    target = certain.sigmoid()
    cross = F.binary_cross_entropy_with_logits(logits / temperature, target, reduction="none")
    entropy = F.binary_cross_entropy_with_logits(certain, target, reduction="none")
    count = learnt.sum(1)
    per_image = ((cross - entropy) * learnt).sum(1) / count.clamp(min=1)
    return temperature**2 * per_image.sum() / (count > 0).sum().clamp(min=1)
