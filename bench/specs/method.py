"""A method: how tasks are learnt, alone or together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.specs.model import Component, Spec

MethodType = Literal["single", "pooled", "joint"]


class MethodSpec(Spec):
    """What is learnt together, from which labels, by which loss, and how tasks are balanced.

    `single`: each task of each data set by itself, the twin that others are compared with; `pooled`: each task by
    itself over all data sets that annotate it; `joint`: all tasks of all data sets at once. `labels` are transforms of
    the training labels, one after the other (co-annotation, pseudo-labels). The loss is the sum of `terms`; `balancer`
    weighs the tasks' own losses or their gradients against each other (left out: the plain sum).
    """

    kind: Literal["method"] = "method"
    type: MethodType
    labels: tuple[Component, ...] = ()
    terms: Annotated[tuple[Component, ...], Field(min_length=1)]
    balancer: Component | None = None
