"""A backbone: any timm model by name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.specs.model import Frozen, PositiveInt, Spec


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
    options: dict[str, bool | int | float | str | None] = Field(
        default={}, description="Further arguments of `timm.create_model`, such as `drop_path_rate` or `img_size`."
    )
    weights: Weights | None = None
    input_size: PositiveInt | None = Field(
        default=None, description="Pixels a side that images are resized to on the device; default: the budget's."
    )
