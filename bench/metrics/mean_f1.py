"""Mean F1 over labels, each over its annotated images: the usual score of action units (F1-frame, averaged)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics._local import LocalMetric, label_counts, mean_of_defined, ratio

TASK_TYPE = "multilabel"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Mean F1 over the labels that have at least one annotated positive."""

    NAME = "mean_f1"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        hit, false, missed, _ = label_counts(scores, references)
        each = np.where(hit + missed > 0, ratio(2 * hit, 2 * hit + false + missed), np.nan)
        return mean_of_defined(each), each
