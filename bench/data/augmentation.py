"""Random changes of training images, for a whole batch at once, on the training device.

What is drawn stays on the CPU in named streams; applying it is a few tensor operations: one gather shifts and
mirrors the uint8 images, and colour changes fold into one multiply-add beside a blend towards grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from bench.specs.budget import Augmentation

# Rec. 601 luma, which torchvision and PIL use for grey: https://www.itu.int/rec/R-REC-BT.601
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Changes:
    """What happens to each of n images: shifts in pixels (int64), mirroring (bool), colour factors (float32)."""

    down: Tensor
    right: Tensor
    mirrored: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor

    @staticmethod
    def joined(parts: Sequence[Changes]) -> Changes:
        """The changes of several batches, one after the other."""
        return Changes(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Changes)})

    def __getitem__(self, which: slice) -> Changes:
        """The changes of some of the images."""
        return Changes(**{f.name: getattr(self, f.name)[which] for f in fields(Changes)})


def draw_changes(augmentation: Augmentation, count: int, size: int, rng: np.random.Generator) -> Changes:
    """Draw the changes of `count` images of `size` pixels a side."""
    reach = round(augmentation.shift * size)
    shifts = rng.integers(-reach, reach + 1, size=(2, count))
    mirrored = rng.random(count) < (0.5 if augmentation.flip else 0.0)
    factors = 1 + augmentation.color * rng.uniform(-1, 1, size=(3, count))
    brightness, contrast, saturation = torch.from_numpy(factors.astype(np.float32))
    down, right = torch.from_numpy(shifts)
    return Changes(down, right, torch.from_numpy(mirrored), brightness, contrast, saturation)


def augment(images: Tensor, changes: Changes, mean: Tensor, std: Tensor, *, color: bool) -> Tensor:
    """Shift, mirror, recolour and normalise.

    `images` uint8 [n, side, side, 3]; `mean`, `std` float [3] for values in [0, 1]. Returns float32 [n, 3, side, side]
    in channels-last order of memory.
    """
    count, side = images.shape[0], images.shape[1]
    steps = torch.arange(side, device=images.device)
    rows = _reflected(steps[None] + changes.down[:, None], side)
    columns = _reflected(steps[None] + changes.right[:, None], side)
    columns = torch.where(changes.mirrored[:, None], columns.flip(1), columns)
    which = torch.arange(count, device=images.device)[:, None, None]
    moved = images[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).float().div_(255)
    if color:
        _recolour_(moved, changes)
    return normalise_(moved, mean, std)


def to_input(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images as they are, for evaluation: uint8 [n, side, side, 3] to normalised float32 [n, 3, side, side]."""
    return normalise_(images.permute(0, 3, 1, 2).float().div_(255), mean, std)


def normalise_(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Subtract the mean and divide by the deviation of each channel, in place."""
    return images.sub_(mean[None, :, None, None]).div_(std[None, :, None, None])


def _reflected(places: Tensor, side: int) -> Tensor:
    """Indices beyond an edge, mirrored back inside: -1 becomes 1, `side` becomes `side - 2`, however far they lie."""
    period = 2 * (side - 1)
    places = places.abs() % period
    return torch.where(places >= side, period - places, places)


def _recolour_(images: Tensor, changes: Changes) -> Tensor:
    """Brightness, then contrast about the image's mean grey, then saturation, as torchvision's ColorJitter defines.

    In place: at 224 pixels most of the time would go into memory for what stands between.
    """
    images.mul_(_per_image(changes.brightness)).clamp_(0, 1)
    contrast = _per_image(changes.contrast)
    grey = _grey(images).mean((2, 3), keepdim=True)
    images.mul_(contrast).add_(grey * (1 - contrast)).clamp_(0, 1)
    saturation = _per_image(changes.saturation)
    grey = _grey(images).mul_(1 - saturation)
    return images.mul_(saturation).add_(grey).clamp_(0, 1)


def _grey(images: Tensor) -> Tensor:
    """float [n, 1, side, side]; channel by channel, which is faster than a sum over so short an axis."""
    red, green, blue = (images[:, i : i + 1] * weight for i, weight in enumerate(_LUMA))
    return red.add_(green).add_(blue)


def _per_image(factors: Tensor) -> Tensor:
    return factors[:, None, None, None]
