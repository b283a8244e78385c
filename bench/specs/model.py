"""What all spec models share: frozen, strict, unknown keys forbidden; plain names; lists without repeats."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

Item = TypeVar("Item", bound=Sequence[Hashable])

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A spec's name: snake_case."""

Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=200)]
"""A class or attribute by its name; any printable text."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A probability or a part of a whole."""

PositiveInt = Annotated[int, Field(gt=0)]


def _all_different(items: Item) -> Item:
    seen: set[Hashable] = set()
    for item in items:
        if item in seen:
            raise PydanticCustomError("repeated", "'{item}' is given twice", {"item": str(item)})
        seen.add(item)
    return items


AllDifferent = AfterValidator(_all_different)


class Frozen(BaseModel):
    """An immutable value; refuses unknown keys and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Component(BaseModel):
    """A named part that a module implements, with options that the module's own `Options` model checks.

    In YAML the options stand beside the name: `{name: csv, file: labels.csv}`.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: Name

    @property
    def options(self) -> dict[str, Any]:
        """The options as given, without the name."""
        return dict(self.model_extra or {})


class Spec(Frozen):
    """What every spec has besides its kind."""

    name: Name
    title: str = Field(min_length=1, max_length=120, description="One line for tables and lists.")
    description: str = Field(default="", description="What a reader should know; Markdown.")
