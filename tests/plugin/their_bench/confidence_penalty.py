"""Confidence penalty: the negative entropy of predicted classes is added to the loss. See Pereyra et al., 2017."""

from pydantic import Field

from bench.specs.model import Frozen

NEEDS_RELATEDNESS = False
NEEDS_TEACHERS = False
BALANCED = False


class Options(Frozen):
    """`weight` multiplies the term."""

    weight: float = Field(default=0.1, ge=0, description="How much certainty costs.")


def losses(options, tasks, relatedness, outputs, targets):
    found = {}
    for name, task in tasks.items():
        if task.type == "multiclass":
            log = outputs[name].float().log_softmax(1)
            found[name] = (log.exp() * log).sum(1).mean()
    return found
