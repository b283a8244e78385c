"""A backbone: any timm model by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bench.specs.model import Frozen, PositiveInt, Spec


def _one_message(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """What an option may be, said once and not for each type that it is not."""
    try:
        return read(value)
    except ValidationError as error:
        raise PydanticCustomError(
            "option", "an option is true or false, a number, a text, a list of numbers, or null"
        ) from error


# What wraps a value gets a list where the text has one, which a strict tuple would not take.
_Numbers = Annotated[tuple[int | float, ...], Strict(False)]
Option = Annotated[bool | int | float | str | _Numbers | None, WrapValidator(_one_message)]
"""An argument of `timm.create_model` as a spec may write it; null stands for what timm takes by itself."""


class Weights(Frozen):
    """Pre-trained weights: a timm tag (needs the network once), or a local file with its hash."""

    timm: str | None = Field(default=None, description="Pre-trained tag of timm, such as `a1_in1k`.")
    file: str | None = Field(default=None, description="A .safetensors or .pth file of the backbone's state.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.timm is None) == (self.file is None):
            raise PydanticCustomError("weights", "give either `timm` or `file`; leave out `weights` for none")
        if (self.file is None) != (self.sha256 is None):
            raise PydanticCustomError("weights", "`file` and `sha256` go together")
        return self


class BackboneSpec(Spec):
    """A timm model without its classifier; every task gets a linear head on its pooled features."""

    kind: Literal["backbone"] = "backbone"
    family: str = Field(min_length=1, description="Architecture family, for tables: ResNet, ConvNeXt, ViT, ...")
    timm: str = Field(min_length=1, description="The model's name in timm.")
    options: dict[str, Option] = Field(
        default={},
        description="Further arguments of `timm.create_model`, `drop_path_rate: 0.1` or `depths: [1, 2, 4, 2]`.",
    )
    weights: Weights | None = None
    input_size: PositiveInt | None = Field(
        default=None, description="Pixels a side that images are resized to on the device; default: the budget's."
    )
