"""Distribution matching: what two tasks predict is made to agree through their relatedness.

From the class predictions p(c|x) follows a distribution of the second task, q_i = sum_c p(c|x) R[c, i], on every
image whatever its labels. The term is a divergence of q and the second task's own prediction p, mean over images and
(for attributes) over the labels that the relatedness covers.

Recalled from Kollias, Sharmanska and Zafeiriou (AAAI 2024, arXiv 2401.01219) is L = E_x sum_i -p_i log q_i: that is
`form: positive, target: attributes, detach_target: false`, up to the mean over labels. It has no minimum at
agreement (p = 0 makes it vanish), so the default is the proper cross entropy of both outcomes, each task in turn the
soft target of the other, no gradient through targets. All of this is our reconstruction, not the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.methods.objective import Coupling
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = True

# A relatedness may hold exact zeros and ones; its cells are kept this far from them, so that q and 1 - q have finite
# logarithms. (Keeping q itself away would stop the gradient just where the classes are confidently wrong.)
EPSILON = 1e-6


class Options(Frozen):
    """Switches of the term.

    `form`: `positive` (-t log s), `bernoulli` (cross entropy of the whole outcome: both outcomes of an attribute, all
    classes of a class task), `kl` (the same minus the target's entropy). `target`: whose prediction is the soft
    target t of the other, s: `attributes` (the second task's), `classes` (q), or `both` (mean of the two).
    `detach_target`: no gradient flows through t.
    """

    weight: float = Field(default=1.0, ge=0)
    form: Literal["positive", "bernoulli", "kl"] = "bernoulli"
    target: Literal["attributes", "classes", "both"] = "both"
    detach_target: bool = True


def loss(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
) -> Tensor:
    """The sum over the related pairs of tasks."""
    total = next(iter(outputs.values())).new_zeros((), dtype=torch.float32)
    for pair in relatedness:
        total = total + matching_loss(options, pair, outputs[pair.class_task], outputs[pair.second_task])
    return total


def matching_loss(options: Options, pair: Coupling, class_logits: Tensor, second_logits: Tensor) -> Tensor:
    """The term for one pair of tasks; logits float [n, classes] and [n, labels of the second task]."""
    precise = torch.promote_types(class_logits.dtype, torch.float32)  # never log a half-precision probability
    implied = _implied(class_logits.to(precise), pair)
    predicted = _predicted(second_logits.to(precise), pair)
    # (target, student): the second task's prediction teaches the classes, q teaches the second task.
    directions = {"attributes": [(predicted, implied)], "classes": [(implied, predicted)]}
    both = directions["attributes"] + directions["classes"]
    values = [_divergence(options, t, s, pair.exclusive) for t, s in directions.get(options.target, both)]
    return torch.stack(values).mean()


@dataclass(frozen=True)
class _Outcome:
    """Probabilities of labels, and the logarithms of them and of their complements; float [n, covered]."""

    probability: Tensor
    log: Tensor
    log_not: Tensor


def _predicted(logits: Tensor, pair: Coupling) -> _Outcome:
    """What the second task's own head says."""
    if pair.exclusive:
        log = F.log_softmax(logits, dim=1)[:, pair.covered]
        probability = log.exp()
        return _Outcome(probability, log, torch.log((1 - probability).clamp(min=EPSILON)))
    covered = logits[:, pair.covered]
    return _Outcome(torch.sigmoid(covered), F.logsigmoid(covered), F.logsigmoid(-covered))


def _implied(class_logits: Tensor, pair: Coupling) -> _Outcome:
    """q: what the class predictions say of the second task."""
    matrix = pair.matrix.to(class_logits.dtype).clamp(EPSILON, 1 - EPSILON)
    if pair.exclusive:
        matrix = matrix / matrix.sum(1, keepdim=True)
    shares = F.softmax(class_logits, dim=1)
    return _Outcome(shares @ matrix, torch.log(shares @ matrix), torch.log(shares @ (1 - matrix)))


def _divergence(options: Options, target: _Outcome, student: _Outcome, exclusive: bool) -> Tensor:
    t, log_t, log_not_t = target.probability, target.log, target.log_not
    if options.detach_target:
        t, log_t, log_not_t = t.detach(), log_t.detach(), log_not_t.detach()
    relative = options.form == "kl"
    value = -t * (student.log - log_t if relative else student.log)
    if not exclusive and options.form != "positive":
        value = value - (1 - t) * (student.log_not - log_not_t if relative else student.log_not)
    # A class task is one outcome over all labels, attributes are one outcome each.
    return value.sum(1).mean() if exclusive else value.mean()
