"""Reported numbers under regression: what a suite measured, with which seeds, where, and how far it may move.

Such a file is written by `bench report freeze` and read by `bench check`; nobody writes one by hand, and one that was
edited is refused.
"""

from __future__ import annotations

import statistics
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import SpecError
from bench.specs.document import Document
from bench.specs.model import AllDifferent, Frozen, Label, Name, Spec
from bench.specs.run import Provenance
from bench.specs.validation import read_model

FORMAT: Literal[1] = 1
ROUNDING = 1e-9

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Fingerprints(Frozen):
    """What a cell's runs are, but for their seeds, by what can differ."""

    budget: Hash
    data: Hash
    code: Hash
    specs: Hash


class ReportedNumber(Frozen):
    """One metric of one cell: its scores in the order of the seeds, their mean and standard deviation.

    `repeat`: how far a run that was made again was off at most; None where none was. `tolerance`: how far the mean may
    fall on another machine; see `bench.analysis.regression`.
    """

    scores: Annotated[tuple[float, ...], Field(min_length=2)]
    mean: float
    deviation: Annotated[float, Field(ge=0)]
    repeat: Annotated[float, Field(ge=0)] | None
    tolerance: Annotated[float, Field(ge=0)]
    higher_is_better: bool

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, told, follows in (
            ("mean", self.mean, statistics.fmean(self.scores)),
            ("deviation", self.deviation, statistics.stdev(self.scores)),
        ):
            if abs(told - follows) > ROUNDING:
                message = "is {told}, but the scores give {follows}: this file was edited; freeze it anew"
                raise PydanticCustomError(key, message, {"told": f"{told:.6g}", "follows": f"{follows:.6g}"})
        return self


class ReportedCell(Frozen):
    """A task of a data set with a backbone and a method; `plan` is the suite, with the point of its axes."""

    plan: Label
    dataset: Name
    task: Name
    backbone: Name
    method: Name
    fingerprints: Fingerprints
    numbers: Annotated[dict[Name, ReportedNumber], Field(min_length=1)]

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        return (self.plan, self.dataset, self.task, self.backbone, self.method)


class Surroundings(Frozen):
    """What runs were made on: package versions and hardware, as records tell them."""

    packages: dict[str, str]
    hardware: dict[str, Any]
    device: str


class Reported(Spec):
    """The reported numbers of one suite. `exact`: made in one surrounding, where repeats agreed to the bit."""

    kind: Literal["reported"] = "reported"
    format: Literal[1] = FORMAT
    suite: Name
    budget: Name
    provenance: Provenance
    seeds: Annotated[tuple[int, ...], Field(min_length=2), AllDifferent]
    only: tuple[Label, ...] = ()
    limit: int | None = None
    frozen: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    commit: str | None
    exact: bool
    surroundings: Annotated[tuple[Surroundings, ...], Field(min_length=1)]
    cells: Annotated[tuple[ReportedCell, ...], Field(min_length=1)]

    @property
    def count(self) -> int:
        """How many numbers are reported."""
        return sum(len(cell.numbers) for cell in self.cells)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[tuple[str, ...]] = set()
        for i, cell in enumerate(self.cells):
            if cell.key in seen:
                raise PydanticCustomError(
                    "cells", "cells[{i}] is {cell} once more", {"i": i, "cell": "/".join(cell.key[1:])}
                )
            seen.add(cell.key)
            for metric, number in cell.numbers.items():
                if len(number.scores) != len(self.seeds):
                    raise PydanticCustomError(
                        "cells",
                        "cells[{i}].numbers.{metric} has {found} scores for {wanted} seeds",
                        {"i": i, "metric": metric, "found": len(number.scores), "wanted": len(self.seeds)},
                    )
        numbers = [number for cell in self.cells for number in cell.numbers.values()]
        follows = len(self.surroundings) == 1 and all(number.repeat == 0 for number in numbers)
        if self.exact and not follows:
            raise PydanticCustomError("exact", "is true, but repeats differed, or several machines took part")
        if follows and not self.exact:
            raise PydanticCustomError("exact", "is false, but repeats agreed on one machine: this file was edited")
        return self


def read_reported(document: Document) -> Reported:
    """Check a document. Raises `SpecError` with all problems."""
    kind = document.data.get("kind")
    if kind != "reported":
        raise SpecError([document.problem(("kind",), f"expected 'reported', found {kind!r}")])
    return read_model(Reported, document)
