"""Boxes and points in images: how far off they may be, and whether points are those of faces."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MOST_PIXELS = 100_000
"""No place in an image is farther from its corner."""
LEAST = 0.5
"""The least share of points and boxes that must lie as those of a face do: fewer mean that they are misread."""


def share_of_faces(points: NDArray[np.float32]) -> float:
    """In how many of the rows [n, 10] the left eye and corner of the mouth are on the left, and the eyes above.

    Their order is that of `points` in `bench.data.reading`. 1 where there are no rows.
    """
    x, y = points[:, 0::2], points[:, 1::2]
    face_like = (x[:, 0] < x[:, 1]) & (x[:, 3] <= x[:, 4]) & (y[:, :2].mean(1) < y[:, 3:].mean(1))
    return float(face_like.mean()) if len(points) else 1.0


def lists_of(rows: NDArray[np.float32], kind: pa.DataType) -> pa.Array:
    """Boxes [n, 4] or points [n, 10] as the column of a table."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=kind)
