"""A budget: how long and how each run trains."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import Frozen, PositiveInt, Share, Spec


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


class BudgetSpec(Spec):
    """What every run of a suite may spend. Either `steps` or `epochs` (passes over all data sets together)."""

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
    evaluations: PositiveInt = Field(
        default=1, description="Evenly spaced looks at validation; the best model is kept."
    )
    checkpoint_every: PositiveInt = Field(default=200, description="Steps between checkpoints; no effect on results.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise PydanticCustomError("steps", "give either `steps` or `epochs`")
        return self
