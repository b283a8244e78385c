"""Accuracy: the share of annotated images whose class is predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics._local import LocalMetric, annotated_classes

TASK_TYPE = "multiclass"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Share of annotated images whose class is predicted."""

    NAME = "accuracy"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        predicted, truth, _ = annotated_classes(scores, references)
        return (float((predicted == truth).mean()) if truth.size else float("nan")), np.empty(0)
