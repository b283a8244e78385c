"""Where labels of marks go: near their own, over no other label, mark or line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEIGHT = 12.0
_DOWN = 3.0
"""How far letters go below the line that they stand on."""
_BESIDE = 9.0
_NEARLY = ((0.3, -1), (0.3, 1), (-0.3, -1), (-0.3, 1))
_ROUND = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1), *_NEARLY)
_FARTHER = (20.0, 32.0, 44.0, 58.0, 74.0, 92.0)
_STEPS = np.linspace(0.05, 1, 20)

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Label:
    """Where its text is anchored, by its start, middle or end, and the box that it takes up.

    `leader`: where a thin line from its mark ends; None where the label stands beside its mark.
    """

    x: float
    y: float
    anchor: str
    box: Box
    leader: tuple[float, float] | None


def placed(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    taken: Sequence[Box],
    bounds: Box,
    *,
    farther: bool,
) -> list[Label | None]:
    """A place for the label of each point, the first point first; None where there is no room for it.

    `taken` must stay free, as must the labels that are placed before. `farther`: whether a label may stand away from
    its point, with a leader. All in pixels.
    """
    full = np.array(taken, dtype=float).reshape(-1, 4)
    found: list[Label | None] = []
    for (x, y), width in zip(points, widths, strict=True):
        label = next(
            (
                label
                for distance in ((_BESIDE, *_FARTHER) if farther else (_BESIDE,))
                for dx, dy in _ROUND
                if (label := _label(x, y, width, dx * distance, dy * distance, leader=distance > _BESIDE))
                and _fits(_boxes(label, x, y), full, bounds)
            ),
            None,
        )
        found.append(label)
        if label is not None:
            full = np.vstack([full, _boxes(label, x, y)])
    return found


def _label(x: float, y: float, width: float, dx: float, dy: float, *, leader: bool) -> Label:
    at = x + dx
    anchor, left = ("start", at) if dx > 0 else ("end", at - width) if dx < 0 else ("middle", at - width / 2)
    base = y + (4 if dy == 0 else dy if dy < 0 else dy + HEIGHT - _DOWN)
    box = (left - 1, base - HEIGHT + _DOWN, left + width + 1, base + _DOWN)
    nearest = (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))
    return Label(at, base, anchor, box, nearest if leader else None)


def _boxes(label: Label, x: float, y: float) -> NDArray[np.float64]:
    """What a label takes up, and spots of its leader, float64 [n, 4]."""
    boxes = [label.box]
    if label.leader is not None:
        spots = ((x + s * (label.leader[0] - x), y + s * (label.leader[1] - y)) for s in _STEPS)
        boxes += [(a - 1, b - 1, a + 1, b + 1) for a, b in spots if max(abs(a - x), abs(b - y)) > _BESIDE - 2]
    return np.array(boxes)


def _fits(boxes: NDArray[np.float64], full: NDArray[np.float64], bounds: Box) -> bool:
    left, top, right, bottom = boxes.T
    if left.min() < bounds[0] or top.min() < bounds[1] or right.max() > bounds[2] or bottom.max() > bounds[3]:
        return False
    apart = (
        (right[:, None] <= full[:, 0])
        | (full[:, 2] <= left[:, None])
        | (bottom[:, None] <= full[:, 1])
        | (full[:, 3] <= top[:, None])
    )
    return bool(apart.all())
