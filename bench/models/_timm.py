"""timm, imported when it is needed, and so that it also works beside a torchvision without compiled operators.

timm imports torchvision, and torchvision (0.28) registers shape functions for its compiled operators `nms` and
`qnms` on import. Where torch is a CPU build and torchvision comes from PyPI, those operators cannot be loaded and
the import fails although bench never calls them. Declaring the two operators first lets it pass.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def timm() -> Any:
    """The package with its `data` and `optim`; importing it takes as long as importing torch."""
    has_compiled_operators()
    import timm
    import timm.data
    import timm.optim

    return timm


def has_compiled_operators() -> bool:
    """Whether torchvision has its own; where not, they are declared."""
    return _declared() is None


@cache
def _declared() -> Any:
    """What declares the operators, for as long as it is held; None where torchvision has its own."""
    import torch

    try:
        import torchvision  # noqa: F401  (only to see whether it can be imported)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        operators = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        return operators
    return None
