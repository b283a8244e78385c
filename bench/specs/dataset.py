"""A data set: where its labels stand, what its codes mean, how it is split, and how a stand-in is drawn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.errors import did_you_mean
from bench.specs.model import AllDifferent, Component, Frozen, Label, Name, PositiveInt, Share, Spec

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
PRESENT, ABSENT = "present", "absent"


class Annotation(Frozen):
    """How one task's labels stand in the files of the data set.

    Multiclass: `column` holds one code per image, and `codes` maps codes to label names (left out: the codes are
    the names). Multilabel: `columns` maps each annotated label to its column (left out: the columns are called as the
    labels are), and `codes` maps codes to `present` or `absent` (left out: 1 and 0). Codes under `missing` mean that
    the label is not known; images with a code under `exclude` are not used at all. A code that stands nowhere is an
    error, unless `others` says that it means `missing` or `exclude`.
    """

    column: str | None = None
    columns: dict[Label, str] | None = None
    labels: tuple[Label, ...] | None = Field(
        default=None, min_length=1, description="The labels of the task that this data set annotates; all if left out."
    )
    codes: dict[str, Label] | None = None
    missing: tuple[str, ...] = ("",)
    exclude: tuple[str, ...] = ()
    others: Literal["error", "missing", "exclude"] = "error"

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
    """How images are divided. Exactly one of `official`, `folds` and `shares` is given.

    `official` maps the values of the layout's split column to splits. `folds` lists the groups (subjects) of each fold;
    `test_fold` is tested on, the others are trained on. `shares` divides by a hash of the group (subject, product,
    film) or of the image, so that adding rows never moves other rows; with `by: image` in a data set of people it is
    the closed-set protocol (each person's images are divided).
    `carve_validation` takes that share of training for validation where the data set ships none.
    `least_per_group` leaves out groups with fewer images, `train_part` keeps one of several disjoint parts of training.
    """

    official: dict[str, SplitName] | None = None
    folds: Annotated[dict[Name, Annotated[tuple[str, ...], AllDifferent]], Field(min_length=2)] | None = None
    test_fold: Name | None = None
    shares: Shares | None = None
    carve_validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    by: Literal["image", "group"] = "image"
    least_per_group: Annotated[int, Field(ge=2)] | None = None
    train_part: TrainPart | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(way is not None for way in (self.official, self.folds, self.shares)) != 1:
            raise PydanticCustomError("splits", "give one of `official`, `folds` and `shares`")
        if (self.folds is None) != (self.test_fold is None):
            raise PydanticCustomError("test_fold", "`folds` and `test_fold` go together")
        if self.folds is not None:
            self._check_folds(self.folds)
            if self.by != "group":
                raise PydanticCustomError("folds", "folds keep groups apart: say `by: group`")
        if self.official is not None and self.carve_validation is None:
            absent = sorted(set(SPLITS) - set(self.official.values()))
            if absent:
                raise PydanticCustomError(
                    "official",
                    "no value stands for {absent}; `carve_validation` can take validation from train",
                    {"absent": " and ".join(absent)},
                )
        return self

    def _check_folds(self, folds: dict[str, tuple[str, ...]]) -> None:
        if self.test_fold not in folds:
            hint = did_you_mean(str(self.test_fold), folds)
            raise PydanticCustomError(
                "test_fold", "there is no fold '{fold}'{hint}", {"fold": self.test_fold, "hint": hint}
            )
        if self.carve_validation is None:
            raise PydanticCustomError("folds", "folds have no validation part: give `carve_validation` (by: group)")
        groups = [group for members in folds.values() for group in members]
        twice = sorted({group for group in groups if groups.count(group) > 1})
        if twice:
            raise PydanticCustomError("folds", "'{group}' stands in more than one fold", {"group": twice[0]})


class SplitCounts(Frozen):
    """Images by split."""

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt


Count = Annotated[int, Field(ge=0)]


class Expected(Frozen):
    """What an intact copy holds, by its label files: facts of the literature, asserted before anything is decoded.

    `images` counts rows by split before validation is carved and before `train_part`, so that the figures are those
    that papers print; `labels` counts, by task and split, the rows of each class, or the positives of each attribute.
    `all` stands for the splits together.
    `groups` is the number of subjects, products or films; `pixels` width and height of the images as stored.
    `disjoint_groups` says that no group stands in two of the official splits.
    """

    images: dict[SplitName | Literal["all"], Count] = {}
    labels: dict[Name, dict[SplitName | Literal["all"], dict[Label, Count]]] = {}
    groups: Count | None = None
    disjoint_groups: bool = False
    pixels: tuple[PositiveInt, PositiveInt] | None = None
    source: str = Field(min_length=1, description="Where a reader can check the figures.")


class Crop(Frozen):
    """Which part of each image is used.

    `box`: the box that the data set ships, made square about its centre and widened by `margin` (share of its longer
    side, on every side). `points`: the five facial points (eyes, nose, corners of the mouth) are brought to fixed
    places by a similarity transform; `margin` leaves that much more around the face. What lies outside is black.
    """

    by: Literal["box", "points"]
    margin: Annotated[float, Field(ge=-0.4, le=2)] = 0.0
    absent: Literal["refuse", "whole"] = Field(
        default="refuse", description="What becomes of images without a box or points: left out, or used whole."
    )


class Download(Frozen):
    """One file that is openly served. Archives (.zip, .tar, .tgz) are unpacked."""

    url: Annotated[str, StringConstraints(pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])\S+$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    bytes: PositiveInt | None = None


class HubSnapshot(Frozen):
    """A data set repository of the Hugging Face Hub at one revision."""

    repository: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] = Field(description="A commit, in full.")
    files: tuple[str, ...] = Field(
        default=("*.parquet", "**/*.parquet"), description="Patterns of the files that are needed."
    )


class Fetch(Frozen):
    """How `bench data get` obtains a copy: `files` over HTTPS, or a snapshot of a `hub` repository."""

    files: Annotated[tuple[Download, ...], Field(min_length=1)] | None = None
    hub: HubSnapshot | None = None
    terms: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="The licence terms in short, shown before anything is fetched; a user accepts them once."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.files is None) == (self.hub is None):
            raise PydanticCustomError("files", "give either `files` or `hub`")
        return self


class StandIn(Component):
    """What is drawn where no copy is at hand: `name` is the generator; the rest are its options."""

    relatedness: Name | None = Field(
        default=None,
        description="The relatedness that labels are drawn from; left out: a table of the generator's own.",
    )
    images: SplitCounts


class DatasetSpec(Spec):
    """One data set, as its owners ship it.

    A spec that says `extends: OTHER` (a data set) takes over every key of that one which it does not give itself, and
    reads the same copy.
    """

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
    crop: Crop | None = Field(default=None, description="Left out: the centre of the whole image.")
    expected: dict[Name, Expected] = Field(
        default={}, description="By variant of the copy as `bench data add` tells it; `any` stands for all others."
    )
    standin: StandIn | None = None
    fetch: Fetch | None = Field(default=None, description="For data sets that are openly served.")
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
