"""How often things of one kind have which of several values, and drawing these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CODE = (Path(__file__),)


def usual_shares(
    values: Sequence[str], usual: Sequence[str], fading: float, shape: float, stray: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Share of each value, [values]; they sum to 1.

    Each of the `usual` values is `fading` times as frequent as the one before, more or less (a gamma variate of that
    `shape`). A part `stray` is spread evenly over all values, whatever is usual.
    """
    weights = np.zeros(len(values))
    weights[[values.index(value) for value in usual]] = fading ** np.arange(len(usual))
    weights *= rng.gamma(shape, size=len(values))
    shares: NDArray[np.float64] = (1 - stray) * weights / weights.sum() + stray / len(values)
    return shares


def chosen(shares: NDArray[np.float64], chances: NDArray[np.float64]) -> NDArray[np.intp]:
    """Place of one value for each row of shares [n, values], which sum to 1, by a chance in 0..1 each, [n]."""
    places: NDArray[np.intp] = (chances[:, None] > shares.cumsum(1)).sum(1)
    return places.clip(0, shares.shape[1] - 1)  # rounding never leads beyond the last value
