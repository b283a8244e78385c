"""A data set: where its labels stand, what its codes mean, how it is split, and how a stand-in is drawn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import Component, Frozen, Label, Name, PositiveInt, Share, Spec

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
PRESENT, ABSENT = "present", "absent"


class Annotation(Frozen):
    """How one task's labels stand in the files of the data set.

    Multiclass: `column` holds one code per image, and `codes` maps codes to label names (left out: the codes are
    the names). Multilabel: `columns` maps each annotated label to its column, and `codes` maps codes to `present`
    or `absent` (left out: 1 and 0). Codes under `missing` mean that the label is not known; images with a code
    under `exclude` are not used at all.
    """

    column: str | None = None
    columns: dict[Label, str] | None = None
    labels: tuple[Label, ...] | None = Field(
        default=None, min_length=1, description="The labels of the task that this data set annotates; all if left out."
    )
    codes: dict[str, Label] | None = None
    missing: tuple[str, ...] = ("",)
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.column is not None and self.columns is not None:
            raise PydanticCustomError("columns", "give `column` (multiclass) or `columns` (multilabel), not both")
        if self.columns is not None and self.labels is not None:
            raise PydanticCustomError("labels", "`columns` already says which labels are annotated; leave out `labels`")
        taken = [*(self.codes or ()), *self.missing, *self.exclude]
        for code in taken:
            if taken.count(code) > 1:
                raise PydanticCustomError("codes", "the code '{code}' is given more than one meaning", {"code": code})
        return self

    @property
    def annotated(self) -> tuple[str, ...] | None:
        """Names of the annotated labels, or None for all labels of the task."""
        return tuple(self.columns) if self.columns is not None else self.labels


class TrainPart(Frozen):
    """One of several disjoint parts of the training images: the part `index` of `of`."""

    index: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.index >= self.of:
            raise PydanticCustomError("index", "index counts from 0 and must be under `of`")
        return self


class Shares(Frozen):
    """Parts of the whole by split; they sum to 1."""

    train: Share
    validation: Share
    test: Share

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise PydanticCustomError("shares", "train, validation and test must sum to 1")
        return self


class Splits(Frozen):
    """How images are divided.

    `official` maps the values of the layout's split column to splits; without an official split `shares` divides by
    a hash of the group (subject, product, film) or of the image, so that adding rows never moves other rows.
    `carve_validation` takes that share of training for validation where the data set ships none.
    """

    official: dict[str, SplitName] | None = None
    shares: Shares | None = None
    carve_validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    by: Literal["image", "group"] = "image"
    train_part: TrainPart | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.official is None) == (self.shares is None):
            raise PydanticCustomError("splits", "give either `official` or `shares`")
        if self.official is not None and self.carve_validation is None:
            absent = sorted(set(SPLITS) - set(self.official.values()))
            if absent:
                raise PydanticCustomError(
                    "official",
                    "no value stands for {absent}; `carve_validation` can take validation from train",
                    {"absent": " and ".join(absent)},
                )
        return self


class SplitCounts(Frozen):
    """Images by split."""

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt


class StandIn(Component):
    """What is drawn where no copy is at hand: `name` is the generator; the rest are its options."""

    relatedness: Name = Field(description="The relatedness that labels are drawn from.")
    images: SplitCounts


class DatasetSpec(Spec):
    """One data set, as its owners ship it."""

    kind: Literal["dataset"] = "dataset"
    domain: Name
    source: Name | None = Field(
        default=None, description="Name of the local copy, shared by data sets over the same files; default: `name`."
    )
    tasks: Annotated[dict[Name, Annotation], Field(min_length=1)]
    layout: Component | None = Field(default=None, description="The reader of the official files and its options.")
    splits: Splits | None = Field(
        default=None, description="Needed to read a copy; stand-ins are drawn split by split."
    )
    expected: SplitCounts | None = Field(default=None, description="Images per split that an intact copy yields.")
    standin: StandIn | None = None
    licence: Annotated[str, StringConstraints(min_length=1)]
    access: str = Field(default="", description="How a copy is obtained.")
    home_page: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    citation: Annotated[str, StringConstraints(min_length=1)] = Field(description="BibTeX.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.layout is None and self.standin is None:
            raise PydanticCustomError("layout", "give `layout` (to read a copy), `standin` (to draw one), or both")
        if self.layout is not None and self.splits is None:
            raise PydanticCustomError("layout", "`splits` is needed with a `layout`")
        return self

    @property
    def copy_name(self) -> str:
        """The name under which a local copy is given (`bench data add NAME PATH`)."""
        return self.source or self.name
