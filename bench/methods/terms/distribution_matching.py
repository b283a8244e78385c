"""Distribution matching: what two tasks predict is made to agree through their relatedness.

From the class predictions p(c|x) follows a distribution of the second task, q_i = sum_c p(c|x) R[c, i], on every
image whatever its labels. The term is a divergence of q and the second task's own prediction p, mean over images and
(for attributes) over the labels that the relatedness covers.

Where the first task is multilabel too, every listed cell (i, j) tells by itself what follows from attribute i for
attribute j, by the law of total probability: q_ij = p_i R[i, j] + (1 - p_i) R0[i, j], where R0 is p(j | i absent). The
term is then the same divergence of q_ij and p_j, mean over images and listed cells. The paper has no such pairs.

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

from bench.methods.objective import Coupling, Targets
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = True
NEEDS_TEACHERS = False
BALANCED = False

# A relatedness may hold exact zeros and ones; its cells are kept this far from them, so that q and 1 - q have finite
# logarithms. (Keeping q itself away would stop the gradient just where the classes are confidently wrong.)
EPSILON = 1e-6


class Options(Frozen):
    """Switches of the term.

    `form`: `positive` (-t log s), `bernoulli` (cross entropy of the whole outcome: both outcomes of an attribute, all
    classes of a class task), `kl` (the same minus the target's entropy). `target`: whose prediction is the soft
    target t of the other, s: `attributes` (the second task's), `classes` (q, whatever the first task is), or `both`
    (mean of the two).
    `detach_target`: no gradient flows through t.
    """

    weight: float = Field(default=1.0, ge=0)
    form: Literal["positive", "bernoulli", "kl"] = "bernoulli"
    target: Literal["attributes", "classes", "both"] = "both"
    detach_target: bool = True


def losses(
    options: Options,
    tasks: Mapping[str, RunTask],
    relatedness: Sequence[Coupling],
    outputs: Mapping[str, Tensor],
    targets: Targets,
) -> dict[str, Tensor]:
    """By related pair of tasks."""
    return {p.name: matching_loss(options, p, outputs[p.first_task], outputs[p.second_task]) for p in relatedness}


def matching_loss(options: Options, pair: Coupling, first_logits: Tensor, second_logits: Tensor) -> Tensor:
    """The term for one pair of tasks; logits float [n, labels of the first task] and [n, labels of the second]."""
    precise = torch.promote_types(first_logits.dtype, torch.float32)  # never log a half-precision probability
    first, second = first_logits.to(precise), second_logits.to(precise)
    predicted = _predicted(second, pair)
    implied = _implied(first, pair) if pair.absent is None else _implied_by_cell(first, pair.matrix, pair.absent)
    # (target, student): the second task's prediction teaches the first, q teaches the second task.
    directions = {"attributes": [(predicted, implied)], "classes": [(implied, predicted)]}
    both = directions["attributes"] + directions["classes"]
    values = [_divergence(options, t, s, pair.exclusive) for t, s in directions.get(options.target, both)]
    return torch.stack([_mean(value, pair) for value in values]).mean()


@dataclass(frozen=True)
class _Outcome:
    """Probabilities of labels, and the logarithms of them and of their complements.

    Float [n, first labels, covered], the middle 1 where it is the same for all first labels; [n, covered] where the
    first task is multiclass.
    """

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
    if pair.absent is not None:
        covered = covered[:, None]
    return _Outcome(torch.sigmoid(covered), F.logsigmoid(covered), F.logsigmoid(-covered))


def _implied(class_logits: Tensor, pair: Coupling) -> _Outcome:
    """q: what the class predictions say of the second task."""
    matrix = pair.matrix.to(class_logits.dtype).clamp(EPSILON, 1 - EPSILON)
    if pair.exclusive:
        matrix = matrix / matrix.sum(1, keepdim=True)
    shares = F.softmax(class_logits, dim=1)
    return _Outcome(shares @ matrix, torch.log(shares @ matrix), torch.log(shares @ (1 - matrix)))


def _implied_by_cell(logits: Tensor, present: Tensor, absent: Tensor) -> _Outcome:
    """q of every pair of a first and a second label; whatever is finite where nothing is said about a pair."""
    # All cells are computed, since to pick the listed ones would make the device wait for their number.
    given, otherwise = (t.to(logits.dtype).nan_to_num(0.5).clamp(EPSILON, 1 - EPSILON) for t in (present, absent))
    yes, no = torch.sigmoid(logits)[:, :, None], torch.sigmoid(-logits)[:, :, None]
    q, complement = yes * given + no * otherwise, yes * (1 - given) + no * (1 - otherwise)
    return _Outcome(q, torch.log(q), torch.log(complement))


def _divergence(options: Options, target: _Outcome, student: _Outcome, exclusive: bool) -> Tensor:
    """Of each label of each image, of the outcomes' shape."""
    t, log_t, log_not_t = target.probability, target.log, target.log_not
    if options.detach_target:
        t, log_t, log_not_t = t.detach(), log_t.detach(), log_not_t.detach()
    relative = options.form == "kl"
    value = -t * (student.log - log_t if relative else student.log)
    if not exclusive and options.form != "positive":
        value = value - (1 - t) * (student.log_not - log_not_t if relative else student.log_not)
    return value


def _mean(value: Tensor, pair: Coupling) -> Tensor:
    """A class task is one outcome over all labels, attributes are one outcome each, as are listed cells."""
    if pair.exclusive:
        return value.sum(1).mean()
    if pair.absent is None:
        return value.mean()
    listed = (~pair.matrix.isnan()).to(value.dtype)
    return (value * listed).sum() / (len(value) * listed.sum())
