"""A suite: what is compared on what, and what difference matters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import AllDifferent, Name, Spec

Names = Annotated[tuple[Name, ...], AllDifferent]


class SuiteSpec(Spec):
    """Either a matrix of its own (data sets x backbones x methods x seeds), or `includes` of other suites.

    `margins` gives, per primary metric, the largest difference that does not matter in practice: the equivalence
    margin of the verdicts, in the metric's own unit.
    """

    kind: Literal["suite"] = "suite"
    includes: Names = ()
    datasets: Names = ()
    tasks: Names = Field(default=(), description="Tasks to learn; left out: all that the data sets annotate.")
    relatedness: Names = ()
    backbones: Names = ()
    methods: Names = ()
    budget: Name | None = None
    margins: dict[Name, Annotated[float, Field(gt=0)]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        matrix = ("datasets", "backbones", "methods", "budget", "margins")
        if self.includes:
            given = [key for key in (*matrix, "tasks", "relatedness") if getattr(self, key)]
            if given:
                raise PydanticCustomError(
                    "includes", "a suite that includes others has no {keys} of its own", {"keys": ", ".join(given)}
                )
            return self
        absent = [key for key in matrix if not getattr(self, key)]
        if absent:
            raise PydanticCustomError(
                "matrix", "a suite needs {keys} (or `includes`)", {"keys": ", ".join(f"`{key}`" for key in absent)}
            )
        return self
