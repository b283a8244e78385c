"""Photographs that benchmarks decode: coarse colours with fine noise, which weigh as much as real ones do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def write_photographs(files: Iterable[Path], width: int, height: int) -> None:
    """A JPEG file of that size, of quality 90, in each place; folders must be there."""
    rng = np.random.default_rng(0)
    for file in files:
        coarse = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        noise = rng.normal(0, 6, fine.shape).astype(np.int16)
        Image.fromarray(np.clip(fine + noise, 0, 255).astype(np.uint8)).save(file, quality=90)
