"""Relatedness of two tasks: p(second | class), by label name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import Frozen, Label, Name, Share, Spec


class Knowledge(Frozen):
    """The probabilities are known from elsewhere."""

    type: Literal["knowledge"]
    source: str = Field(min_length=1, description="Where a reader can check them.")


class Estimated(Frozen):
    """The probabilities are counted on the training labels of a data set that annotates both tasks.

    `smoothing` is added to every count (Laplace): p = (n_ci + s) / (n_c + 2 s) for attributes, and
    (n_cs + s) / (n_c + S s) for a second class task, of which S labels occur.
    """

    type: Literal["estimated"]
    dataset: Name
    smoothing: Annotated[float, Field(gt=0)] = 1.0


class RelatednessSpec(Spec):
    """A class task, a second task, and p(second label | class).

    Labels of the second task that stand in no row are outside the relatedness: nothing is said about them. Within a
    row, a label that other rows name but this one does not has probability `unlisted`.
    """

    kind: Literal["relatedness"] = "relatedness"
    class_task: Name
    second_task: Name
    origin: Annotated[Knowledge | Estimated, Field(discriminator="type")]
    probabilities: Annotated[dict[Label, dict[Label, Share]], Field(min_length=1)] | None = None
    unlisted: Share = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.class_task == self.second_task:
            raise PydanticCustomError("second_task", "a task is not related to itself")
        if isinstance(self.origin, Knowledge) and self.probabilities is None:
            raise PydanticCustomError("origin", "`probabilities` is needed where the origin is knowledge")
        if isinstance(self.origin, Knowledge) and not self.covered:
            raise PydanticCustomError("probabilities", "no row names a label, so nothing is related")
        if isinstance(self.origin, Estimated) and self.probabilities is not None:
            raise PydanticCustomError("probabilities", "an estimated relatedness has no `probabilities` of its own")
        return self

    @property
    def covered(self) -> tuple[str, ...]:
        """Labels of the second task that some row names, in order of first mention."""
        return tuple(dict.fromkeys(label for row in (self.probabilities or {}).values() for label in row))
