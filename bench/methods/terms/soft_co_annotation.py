"""Soft co-annotation: labels of one task are, through the relatedness, a soft label of the other where it has none.

Attributes to class: on images that have attribute labels and no class, each class has an indicator

    I(c|x) = sum_i R[c, i] a_i / sum_i R[c, i]    over the attributes i that are annotated in x,

the part of its attributes that is there; q(c|x) = softmax_c(I(c|x) / temperature), and the loss is the cross entropy
of q and the class predictions p, mean over these images. An image that carries a class is left to the supervised
term. Attributes with R[c, i] < `observational` are no part of class c and weigh nothing. A class none of whose
attributes is annotated in x has no indicator there: both q and p are taken among the other classes, so that nothing
is said of it. A class without any attribute (neutral) never has one; see `neutral`.

Two class tasks: on images that have the second class s and no first one, q(c|x) is proportional to R[c,
s]^(1/temperature), which at temperature 1 is what Bayes says when all classes are alike before.

Two attribute tasks: here the relatedness says directly what the first task's labels make of the second's, which needs
no guess at how frequent labels are: where first labels are annotated and a second one is not, its soft label is the
mean of p(second | first present) or p(second | first absent) over the related first labels; the loss is the cross
entropy of both outcomes, for each image the mean over such labels, then the mean over the images with any.
Temperature does not enter.

After Kollias, Sharmanska and Zafeiriou (AAAI 2024, arXiv 2401.01219), whose abstract names co-annotation; the
formulas of the attributes are our reconstruction, and all else is our own. Indicators lie in 0..1, so at temperature
1, as recalled, q is far from certain: at most e / (e + 6) = 0.31 with seven classes. Lower temperatures make it more
so.
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

NEEDS_RELATEDNESS = True
NEEDS_TEACHERS = False
BALANCED = False

# Probabilities that logarithms are taken of are kept this far from 0 and 1.
EPSILON = 1e-6


class Options(Frozen):
    """Switches of the term.

    `direction`: whose distribution is the target of the other: `indicator` (q teaches p: -q log p) or `prediction`
    (-p log q; q holds no parameters, so that p moves to where q is largest). `neutral`, a class without attributes:
    `absent_of_all` (its score is 1 - the largest indicator), or `exclude` (it has none, and nothing is said of it).
    `observational`: least R[c, i], in 0..1, for an attribute to be one of a class.
    """

    weight: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    direction: Literal["indicator", "prediction"] = "indicator"
    neutral: Literal["absent_of_all", "exclude"] = "absent_of_all"
    observational: float = Field(default=0.2, gt=0, le=1)


def losses(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Targets,
) -> dict[str, Tensor]:
    """By related pair of tasks; a pair that no image of the batch tells anything of has a loss of 0."""
    found: dict[str, Tensor] = {}
    for pair in relatedness:
        learner = pair.first_task if pair.absent is None else pair.second_task
        logits = outputs[learner].to(torch.promote_types(outputs[learner].dtype, torch.float32))
        first, second = targets.labels[pair.first_task], targets.labels[pair.second_task]
        if pair.absent is not None:
            found[pair.name] = implied_attributes_loss(options, pair, pair.absent, logits, first, second)
            continue
        if pair.exclusive:
            scores, there = bayes_scores(pair, second)
        else:
            scores, there = indicators(options, pair, second)
        found[pair.name] = scored_classes_loss(options, logits, first, scores.to(logits.dtype), there)
    return found


def indicators(options: Options, pair: Coupling, attributes: Tensor) -> tuple[Tensor, Tensor]:
    """I(c|x) float [n, classes], and where there is one, bool [n, classes]; attributes int8 [n, labels], -1 = none."""
    matrix = pair.matrix.where(pair.matrix >= options.observational, 0.0)
    labels = attributes[:, pair.covered]
    total = (labels >= 0).to(matrix.dtype) @ matrix.T
    there = total > 0
    scores = ((labels == 1).to(matrix.dtype) @ matrix.T) / total.where(there, 1.0)
    if options.neutral == "absent_of_all":
        bare = ~(matrix > 0).any(1) & there.any(1, keepdim=True)
        scores = torch.where(bare, 1 - scores.amax(1, keepdim=True), scores)
        there = there | bare
    return scores, there


def bayes_scores(pair: Coupling, second: Tensor) -> tuple[Tensor, Tensor]:
    """log R[c, s] float [n, classes] of second classes s int64 [n], and whether R tells of s, bool [n, classes]."""
    place = (second[:, None] == pair.covered).to(pair.matrix.dtype)  # one-hot; nothing for a class that is not covered
    scores = place @ pair.matrix.clamp(min=EPSILON).log().T
    there = (place @ (pair.matrix.sum(0) > 0).to(place.dtype)) > 0
    return scores, there[:, None].expand_as(scores)


def scored_classes_loss(options: Options, logits: Tensor, classes: Tensor, scores: Tensor, there: Tensor) -> Tensor:
    """Cross entropy of q and p, mean over images without a class of which any of the scores [n, classes] is there."""
    taught = (classes < 0) & there.any(1)
    among = there | ~taught[:, None]  # images that do not count need some class too
    log_q = _log_softmax_among(scores / options.temperature, among)
    log_p = _log_softmax_among(logits, among)
    target, student = (log_q, log_p) if options.direction == "indicator" else (log_p, log_q)
    each = -(target.exp() * student).sum(1)
    return (each * taught).sum() / taught.sum().clamp(min=1)


def implied_attributes_loss(
    options: Options, pair: Coupling, absent: Tensor, logits: Tensor, first: Tensor, second: Tensor
) -> Tensor:
    """The term for two attribute tasks; logits float [n, second labels], labels int8 [n, labels], -1 = none."""
    kind = pair.matrix.dtype
    related = (~pair.matrix.isnan()).to(kind)
    count = (first >= 0).to(kind) @ related
    implied = (first == 1).to(kind) @ pair.matrix.nan_to_num(0.0) + (first == 0).to(kind) @ absent.nan_to_num(0.0)
    taught = (count > 0) & (second[:, pair.covered] < 0)
    q = (implied / count.clamp(min=1)).to(logits.dtype).clamp(EPSILON, 1 - EPSILON)
    z = logits[:, pair.covered]
    if options.direction == "indicator":
        each = F.binary_cross_entropy_with_logits(z, q, reduction="none")
    else:
        each = F.binary_cross_entropy_with_logits(q.logit(), z.sigmoid(), reduction="none")
    learnt = taught.sum(1)
    per_image = (each * taught).sum(1) / learnt.clamp(min=1)
    return per_image.sum() / (learnt > 0).sum().clamp(min=1)


def _log_softmax_among(scores: Tensor, among: Tensor) -> Tensor:
    """Logarithms of a softmax over some classes of each image; 0 for the others, which so drop out of sums."""
    return F.log_softmax(scores.masked_fill(~among, -torch.inf), dim=1).masked_fill(~among, 0.0)
