"""A suite: what is compared on what, and what difference matters."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import AllDifferent, Frozen, Name, Share, Spec

Names = Annotated[tuple[Name, ...], AllDifferent]
Cell = str
"""A data set and one of its tasks, as `dataset/task`; whether the suite has it is checked with the references."""
Overlaps = Annotated[tuple[Share, ...], Field(min_length=1), AllDifferent]
Fractions = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1), AllDifferent]


class Point(Frozen):
    """What one point of a suite's axes leaves of the training labels.

    `overlap`: of data sets with several tasks, the share of a task's images that carry the next one's label too; None:
    labels stand as they are. `label_fraction`: by `dataset/task`, the share of its labels that is shown. `axis` names
    the axis that the point lies on, `value` where; both are blank for the only point of a suite without axes.
    """

    axis: str = ""
    value: float | None = None
    overlap: Share | None = None
    label_fraction: dict[Cell, Share] = {}

    @property
    def label(self) -> str:
        """Short and fit for a file's name, such as `overlap=0.25`; blank where there are no axes."""
        return f"{self.axis.replace('/', '.')}={self.value:.15g}" if self.axis else ""


class Axes(Frozen):
    """How a suite thins out training labels; each axis is walked while the others stay at their first value.

    `overlap`: see `bench.data.shown.windows`. `label_fraction`: by `dataset/task`, shares of its training labels.
    """

    overlap: Overlaps | None = None
    label_fraction: dict[Cell, Fractions] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.overlap is None and not self.label_fraction:
            raise PydanticCustomError("axes", "give `overlap`, `label_fraction`, or both")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The axes by name: `overlap`, and `dataset/task` for each fraction of labels."""
        return (*(("overlap",) if self.overlap is not None else ()), *self.label_fraction)

    def values(self, axis: str) -> tuple[float, ...]:
        """Where an axis is looked at."""
        return (self.overlap or ()) if axis == "overlap" else self.label_fraction[axis]

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, axis by axis; where all axes stay at their first value is told on the first axis only."""
        found = [self._at(self.names[0], self.values(self.names[0])[0])]
        found += [self._at(axis, value) for axis in self.names for value in self.values(axis)[1:]]
        return tuple(found)

    def along(self, axis: str) -> tuple[tuple[float, Point], ...]:
        """The points of an axis with their values on it, the shared first one among them."""
        first, *others = self.values(axis)
        return ((first, self.points[0]), *((value, self._at(axis, value)) for value in others))

    def _at(self, axis: str, value: float) -> Point:
        overlap = self.overlap[0] if self.overlap is not None else None
        fractions = {cell: values[0] for cell, values in self.label_fraction.items()}
        if axis == "overlap":
            overlap = value
        else:
            fractions[axis] = value
        return Point(axis=axis, value=value, overlap=overlap, label_fraction=fractions)


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
    axes: Axes | None = Field(default=None, description="How training labels are thinned out; each point is a matrix.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        matrix = ("datasets", "backbones", "methods", "budget", "margins")
        if self.includes:
            given = [key for key in (*matrix, "tasks", "relatedness", "axes") if getattr(self, key)]
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

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of the axes; one that changes nothing where there are none."""
        return self.axes.points if self.axes is not None else (Point(),)
