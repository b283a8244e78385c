"""Numbers that papers print: what they are of, where a reader finds them, and why they do not compare with ours."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import Frozen, Label, Name, Spec


class Citation(Frozen):
    """Where numbers are printed; at least one of `url` and `doi`."""

    citation: Label = Field(description="Authors, title, venue, year.")
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url is None and self.doi is None:
            raise PydanticCustomError("source", "give `url` or `doi`, so that a reader can open the source")
        return self


class PublishedResult(Frozen):
    """One number: the value of a metric on a task of a data set, and the table or page that it stands in."""

    method: Label
    backbone: Label | None = None
    dataset: Name
    task: Name
    metric: Name
    value: Annotated[float, Field(ge=0)]
    where: Label = Field(description="Table, figure or page of the source.")


class Published(Spec):
    """Numbers of one source. `remarks` say how its protocol differs from ours."""

    kind: Literal["published"] = "published"
    source: Citation
    unit: Literal["fraction", "percent"]
    remarks: Label
    results: Annotated[tuple[PublishedResult, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        most = 1 if self.unit == "fraction" else 100
        for i, result in enumerate(self.results):
            if result.value > most:
                raise PydanticCustomError(
                    "results",
                    "results[{i}] is {value}, more than {most}: is it a {other}?",
                    {"i": i, "value": result.value, "most": most, "other": "percentage" if most == 1 else "mistake"},
                )
        return self

    def fraction(self, result: PublishedResult) -> float:
        """The value of a result as a part of 1."""
        return result.value / 100 if self.unit == "percent" else result.value
