"""timm, imported so that it also works beside a torchvision without compiled operators.

timm imports torchvision, and torchvision (0.28) registers shape functions for its compiled operators `nms` and
`qnms` on import. Where torch is a CPU build and torchvision comes from PyPI, those operators cannot be loaded and
the import fails although bench never calls them. Declaring the two operators first lets it pass.
"""

from __future__ import annotations

import torch

try:
    import torchvision  # noqa: F401  (only to see whether it can be imported)
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    COMPILED_OPERATORS = False
    _operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    _operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
else:
    COMPILED_OPERATORS = True

import timm
import timm.data
import timm.optim

__all__ = ["COMPILED_OPERATORS", "timm"]
