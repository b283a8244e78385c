"""A task: what is predicted, and how predictions are scored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import did_you_mean
from bench.specs.model import AllDifferent, Label, Name, Share, Spec

TaskType = Literal["multiclass", "multilabel"]


class TaskSpec(Spec):
    """One classification task.

    `multiclass`: exactly one of `labels` holds; `multilabel`: each of `labels` holds or not.
    `chance` is the value of the primary metric that a predictor reaches which never looks at the image.
    """

    kind: Literal["task"] = "task"
    type: TaskType
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=10_000), AllDifferent]
    metrics: Annotated[tuple[Name, ...], Field(min_length=1), AllDifferent]
    primary: Name = Field(description="The metric of `metrics` that models are selected and judged by.")
    chance: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "multiclass" and len(self.labels) < 2:
            raise PydanticCustomError("labels", "a multiclass task needs at least two labels")
        if self.primary not in self.metrics:
            raise PydanticCustomError(
                "primary",
                "'{name}' is not among the metrics{hint}",
                {"name": self.primary, "hint": did_you_mean(self.primary, self.metrics)},
            )
        return self
