"""A task: what is predicted, and how predictions are scored."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import did_you_mean
from bench.specs.model import AllDifferent, Label, Name, Share, Spec

TaskType = Literal["multiclass", "multilabel"]
MOST_LABELS = 10_000


class TaskSpec(Spec):
    """One classification task.

    `multiclass`: exactly one of `labels` holds; `multilabel`: each of `labels` holds or not. Labels that are only
    numbers may be given as `labels: {numbered: 1000}`, which stands for "1" to "1000".
    `chance` is the value of the primary metric that a predictor reaches which never looks at the image.
    """

    kind: Literal["task"] = "task"
    type: TaskType
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=MOST_LABELS), AllDifferent]
    metrics: Annotated[tuple[Name, ...], Field(min_length=1), AllDifferent]
    primary: Name = Field(description="The metric of `metrics` that models are selected and judged by.")
    chance: Share

    @field_validator("labels", mode="before")
    @classmethod
    def _numbered(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return tuple(given) if isinstance(given, list) else given
        count = given.get("numbered")
        if given.keys() != {"numbered"} or type(count) is not int or not 0 < count <= MOST_LABELS:
            raise PydanticCustomError(
                "labels", "expected a list of names, or `numbered:` with a count up to {most}", {"most": MOST_LABELS}
            )
        return tuple(str(number) for number in range(1, count + 1))

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
