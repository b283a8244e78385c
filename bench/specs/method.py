"""A method: how tasks are learnt, alone or together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.specs.model import Component, Spec


class MethodSpec(Spec):
    """`single`: each task of each data set by itself; `joint`: all at once. The loss is the sum of `terms`."""

    kind: Literal["method"] = "method"
    type: Literal["single", "joint"]
    terms: Annotated[tuple[Component, ...], Field(min_length=1)]
