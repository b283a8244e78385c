"""Metrics as sums: what each image adds to a few counts, and the metric as a function of their sums.

What is said here in counts is the same as `Metric.score` says of arrays; a test holds that for each of our metrics. A
metric that has no entry in `COUNTED`, such as one from another package, has no bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, hstack

from bench.data.labels import MISSING
from bench.metrics._local import THRESHOLD, ratio

Scores = NDArray[np.floating]
"""Float [n, labels], as metrics take them."""
References = NDArray[np.integer]
"""Int [n] or [n, labels], -1 = not annotated."""
Sums = NDArray[np.float64]
"""Float [..., k]: counts, summed over any number of images."""


@dataclass(frozen=True)
class Counting:
    """`counts`: k small numbers of every image, sparse [n, k]. `value`: the metric by their sums, [..., k] -> [...]."""

    counts: Callable[[Scores, References], csr_array]
    value: Callable[[Sums], NDArray[np.float64]]


def _accuracy_counts(scores: Scores, references: References) -> csr_array:
    known = references != MISSING
    return csr_array(np.stack([known & (scores.argmax(axis=1) == references), known], axis=1), dtype=np.int32)


def _accuracy(sums: Sums) -> NDArray[np.float64]:
    hits, known = np.moveaxis(sums, -1, 0)
    return ratio(hits, known)


def _class_counts(scores: Scores, references: References) -> csr_array:
    """Per class: hits, how often it is predicted, how often it is true."""
    predicted, known = scores.argmax(axis=1), references != MISSING
    parts = ((references, known & (predicted == references)), (predicted, known), (references, known))
    columns = [_indicators(classes, where, scores.shape[1]) for classes, where in parts]
    found: csr_array = hstack(columns, format="csr")
    return found


def _indicators(classes: NDArray[np.integer], where: NDArray[np.bool_], count: int) -> csr_array:
    """1 in the column of each row's class, [n, count]; rows that are not `where` are empty."""
    rows = np.flatnonzero(where)
    cells = (np.ones(len(rows), np.int32), (rows, classes[rows]))
    return coo_array(cells, shape=(len(classes), count)).tocsr()


def _macro_f1(sums: Sums) -> NDArray[np.float64]:
    hits, predicted, true = np.split(sums, 3, axis=-1)
    return _mean_of_defined(np.where(true > 0, ratio(2 * hits, predicted + true), np.nan))


def _mean_class_accuracy(sums: Sums) -> NDArray[np.float64]:
    hits, _, true = np.split(sums, 3, axis=-1)
    return _mean_of_defined(ratio(hits, true))


def _label_counts(scores: Scores, references: References) -> csr_array:
    """Per label: true positives, false positives, false negatives."""
    columns = np.hstack(_found_false_missed(scores, references))
    return csr_array(columns, dtype=np.int32)  # type: ignore[return-value]  # typed as one row


def _label_counts_with_rejected(scores: Scores, references: References) -> csr_array:
    """Per label: true positives, false positives, false negatives, true negatives."""
    rejected = (scores < THRESHOLD) & (references == 0)
    return csr_array(np.hstack([*_found_false_missed(scores, references), rejected]), dtype=np.int32)


def _found_false_missed(scores: Scores, references: References) -> list[NDArray[np.bool_]]:
    predicted, positive = scores >= THRESHOLD, references == 1
    return [predicted & positive, predicted & (references == 0), ~predicted & positive]


def _mean_f1(sums: Sums) -> NDArray[np.float64]:
    hit, false, missed = np.split(sums, 3, axis=-1)
    return _mean_of_defined(np.where(hit + missed > 0, ratio(2 * hit, 2 * hit + false + missed), np.nan))


def _mean_accuracy(sums: Sums) -> NDArray[np.float64]:
    hit, false, missed, rejected = np.split(sums, 4, axis=-1)
    return _mean_of_defined(ratio(hit + rejected, hit + false + missed + rejected))


def _emotionet_score(sums: Sums) -> NDArray[np.float64]:
    f1 = _mean_f1(sums[..., : sums.shape[-1] * 3 // 4])
    return (_mean_accuracy(sums) + f1) / 2


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


COUNTED = {
    "accuracy": Counting(_accuracy_counts, _accuracy),
    "macro_f1": Counting(_class_counts, _macro_f1),
    "mean_class_accuracy": Counting(_class_counts, _mean_class_accuracy),
    "mean_accuracy": Counting(_label_counts_with_rejected, _mean_accuracy),
    "mean_f1": Counting(_label_counts, _mean_f1),
    "emotionet_score": Counting(_label_counts_with_rejected, _emotionet_score),
}
"""By the name of the metric."""
