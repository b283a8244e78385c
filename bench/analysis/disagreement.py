"""What two runs predict of the same images: which classes they confuse, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics._local import THRESHOLD

References = NDArray[np.int32] | NDArray[np.int8]


def predicted(scores: NDArray[np.float32], references: References) -> NDArray[np.int64]:
    """Predicted classes [n], or attributes 0 and 1 [n, labels]; -1 where the references do not know the answer."""
    found = scores.argmax(1) if references.ndim == 1 else scores >= THRESHOLD
    return np.where(references < 0, -1, found).astype(np.int64)


def confusion(scores: NDArray[np.float32], references: References) -> NDArray[np.int64]:
    """Images by true class (rows) and predicted class (columns), int64 [classes, classes]."""
    classes = scores.shape[1]
    known = references >= 0
    pairs = references[known].astype(np.int64) * classes + scores[known].argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class Disagreement:
    """One image of which two runs differ: its row, and how many of its labels each has right."""

    row: int
    first_right: int
    second_right: int


def disagreements(
    first: NDArray[np.float32], second: NDArray[np.float32], references: References, most: int
) -> tuple[tuple[Disagreement, ...], int]:
    """Up to `most` images on which two runs predict different labels, and how many there are in all.

    Those on which one is right by the most labels come first, and the two sides take turns, so that neither is shown
    only where it wins. Scores float32 [n, labels] in the same order of images.
    """
    one, other = predicted(first, references), predicted(second, references)
    differ = one != other if references.ndim == 1 else (one != other).any(1)
    rows = np.flatnonzero(differ)
    right = [_right(labels, references)[rows] for labels in (one, other)]
    lead = right[0] - right[1]
    order = np.argsort(-np.abs(lead), kind="stable")
    sides = [[i for i in order if lead[i] > 0], [i for i in order if lead[i] < 0]]
    rest = [i for i in order if lead[i] == 0]
    turns = [side[i] for i in range(max(map(len, sides))) for side in sides if i < len(side)]
    chosen = [int(i) for i in (*turns, *rest)][:most]
    return tuple(Disagreement(int(rows[i]), int(right[0][i]), int(right[1][i])) for i in chosen), len(rows)


def _right(labels: NDArray[np.int64], references: References) -> NDArray[np.int64]:
    """How many known labels of each image are predicted right, int64 [n]."""
    hits = (labels == references) & (references >= 0)
    counts: NDArray[np.int64] = hits.reshape(len(hits), -1).sum(1)
    return counts
