"""What is worth its cost: the points that no other point beats on both."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Places of the (cost, quality) points that no other point beats, cheapest first.

    One point beats another if it costs no more and is no worse, and one of these strictly. Equal points all stay.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        cost, quality = points[i]
        if not front or quality > points[front[-1]][1] or (cost, quality) == points[front[-1]]:
            front.append(i)
    return tuple(front)
