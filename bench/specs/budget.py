"""A budget: how long and how each run trains."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import AllDifferent, Frozen, PositiveInt, Share, Spec

OF_EVERY_METHOD = ("learning_rate", "weight_decay")
"""What a tuning may vary whatever the method is; everything else is `<part>.<option>` of methods with that part."""

Compile = Literal["default", "reduce-overhead", "max-autotune"]
"""Modes of `torch.compile`."""
GRAPHS: tuple[Compile, ...] = ("reduce-overhead", "max-autotune")
"""Those that record CUDA graphs on a GPU."""


class Batch(Frozen):
    """Images of all data sets in one step of a joint run.

    `allocation`: `proportional` gives each data set a part by its number of training images (at least `least`),
    `balanced` gives all the same. A single-task twin keeps its data set's part.
    """

    size: PositiveInt
    allocation: Literal["proportional", "balanced"] = "proportional"
    least: PositiveInt = 2


class Optimizer(Frozen):
    """An optimiser of timm (`timm.optim.list_optimizers()`); decay leaves out biases and norms."""

    name: str = Field(default="adamw", min_length=1)
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    momentum: Share = 0.9
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Largest gradient norm.")


class Schedule(Frozen):
    """Learning rate over the run: linear warm-up, then `constant`, `linear` or `cosine` decay to `final` of it."""

    name: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Share = Field(default=0.0, description="Part of the steps that warm up.")
    final: Share = 0.0


class Augmentation(Frozen):
    """Random changes of training images, in batches on the training device."""

    shift: Share = Field(default=0.0, description="Largest shift of the crop, as a part of the side; edges reflect.")
    flip: bool = Field(default=False, description="Mirror half of the images left to right.")
    color: Share = Field(default=0.0, description="Largest relative change of brightness, contrast and saturation.")


class Range(Frozen):
    """All numbers from `low` to `high`, equally likely; with `log`, their logarithms are."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.low >= self.high:
            raise PydanticCustomError(
                "high", "must be above `low` ({low})", {"low": f"{self.low:g}", "found": self.high}
            )
        if self.log and self.low <= 0:
            raise PydanticCustomError("low", "has no logarithm ({low}); `log` needs numbers above 0", {"low": self.low})
        return self


Values = Annotated[tuple[float, ...], Field(min_length=1), AllDifferent]
Tunable = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")]


def _kind_of_choice(given: Any) -> str:
    return "range" if isinstance(given, dict | Range) else "values"


Choice = Annotated[Annotated[Range, Tag("range")] | Annotated[Values, Tag("values")], Discriminator(_kind_of_choice)]


class Tuning(Frozen):
    """What is tried for every method and every single-task twin before it is run; all get the same number of trials.

    `space`: `learning_rate`, `weight_decay`, or `<part>.<option>` of a method's term, label transform or balancer, with
    a list of values or a range. A `grid` tries every combination of lists; `random` and `tpe` make `trials` trials
    (Bergstra and Bengio, JMLR 2012; Bergstra et al., NeurIPS 2011) by Optuna, which must be installed.
    """

    space: Annotated[dict[Tunable, Choice], Field(min_length=1)]
    search: Literal["grid", "random", "tpe"] = "grid"
    trials: PositiveInt | None = Field(default=None, description="Trials each; a grid has as many as it has places.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shared = [self.space[name] for name in OF_EVERY_METHOD if name in self.space]
        if not any(isinstance(choice, Range) or len(choice) > 1 for choice in shared):
            raise PydanticCustomError(
                "space",
                "needs a choice of `learning_rate` or `weight_decay`: else single-task twins have nothing to choose, "
                "and methods with options of their own are favoured",
            )
        if self.search != "grid" and self.trials is None:
            raise PydanticCustomError("search", "`{search}` needs the number of `trials`", {"search": self.search})
        if self.search == "grid" and self.trials is not None:
            raise PydanticCustomError("trials", "a grid has as many as it has places; leave it out, or set `search`")
        if self.search == "grid" and any(isinstance(choice, Range) for choice in self.space.values()):
            raise PydanticCustomError("space", "a range has no places for a grid; list values, or set `search`")
        return self


class Resources(Frozen):
    """What each run gets of a cluster that carries it out; no effect on results, but for rounding by its threads."""

    cpus: PositiveInt = Field(default=1, description="Cores, and threads of the run.")
    gpus: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="GPUs, or a part of one; left out: one where the cluster has any."
    )
    memory: Annotated[float, Field(gt=0)] | None = Field(default=None, description="Memory in GiB.")


class BudgetSpec(Spec):
    """What every run of a suite may spend. Either `steps` or `epochs` (passes over all data sets together).

    With `tuning`, trials come first; what does best on validation replaces the values given here.
    """

    kind: Literal["budget"] = "budget"
    steps: PositiveInt | None = None
    epochs: Annotated[float, Field(gt=0)] | None = None
    seeds: PositiveInt = Field(description="Number of repeats; seeds count from 0.")
    image_size: Annotated[int, Field(ge=16, le=1024)] = Field(description="Pixels a side of stored images.")
    batch: Batch
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    augmentation: Augmentation = Augmentation()
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compile: Compile | None = Field(
        default=None,
        description="Mode of torch.compile for the backbone, reduce-overhead with CUDA graphs; left out: not compiled.",
    )
    evaluations: PositiveInt = Field(
        default=1, description="Evenly spaced looks at validation; the best model is kept."
    )
    checkpoint_every: PositiveInt = Field(default=200, description="Steps between checkpoints; no effect on results.")
    tuning: Tuning | None = None
    resources: Resources = Field(
        default=Resources(), description="What a run gets of a cluster (`bench run --executor`); no effect on results."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise PydanticCustomError("steps", "give either `steps` or `epochs`")
        return self
