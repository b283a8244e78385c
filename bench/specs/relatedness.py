"""Relatedness of two tasks: p(second label | first label), by label name."""

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

    `smoothing` is added to every count (Laplace): p = (n_fi + s) / (n_f + 2 s) for attributes, and
    (n_fs + s) / (n_f + S s) for a second class task, of which S labels occur. Of two attribute tasks every pair is
    counted twice, where the first attribute is present and where it is absent; only pairs for which the two shares
    differ by at least `least_difference` (0 to 1) are listed, since the others would only pull predictions to how
    frequent the second attribute is.
    """

    type: Literal["estimated"]
    dataset: Name
    smoothing: Annotated[float, Field(gt=0)] = 1.0
    least_difference: Share = 0.3


class RelatednessSpec(Spec):
    """Two tasks and p(second label | first label). Relates classes to attributes or classes, or attributes to such.

    Rows are labels of the first task. Labels of the second task that stand in no row are outside the relatedness:
    nothing is said about them. Where the first task is multiclass, a label that other rows name but this one does not
    has probability `unlisted`. Where it is multilabel, only listed cells relate, and `given_absent` has
    p(second label | first label is absent) for the same cells.
    """

    kind: Literal["relatedness"] = "relatedness"
    first_task: Name
    second_task: Name
    origin: Annotated[Knowledge | Estimated, Field(discriminator="type")]
    probabilities: Annotated[dict[Label, dict[Label, Share]], Field(min_length=1)] | None = None
    given_absent: Annotated[dict[Label, dict[Label, Share]], Field(min_length=1)] | None = None
    unlisted: Share = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.first_task == self.second_task:
            raise PydanticCustomError("second_task", "a task is not related to itself")
        if isinstance(self.origin, Knowledge) and self.probabilities is None:
            raise PydanticCustomError("origin", "`probabilities` is needed where the origin is knowledge")
        if isinstance(self.origin, Knowledge) and not self.covered:
            raise PydanticCustomError("probabilities", "no row names a label, so nothing is related")
        if isinstance(self.origin, Estimated) and self.probabilities is not None:
            raise PydanticCustomError("probabilities", "an estimated relatedness has no `probabilities` of its own")
        if isinstance(self.origin, Estimated) and self.given_absent is not None:
            raise PydanticCustomError("given_absent", "an estimated relatedness has no `given_absent` of its own")
        return self

    @property
    def covered(self) -> tuple[str, ...]:
        """Labels of the second task that some row names, in order of first mention."""
        return tuple(dict.fromkeys(label for row in (self.probabilities or {}).values() for label in row))
