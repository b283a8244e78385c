"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics._local import LocalMetric, class_counts, mean_of_defined, ratio

TASK_TYPE = "multiclass"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Mean F1 over the classes that the references hold."""

    NAME = "macro_f1"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        hits, predicted, true = class_counts(scores, references)
        each = np.where(true > 0, ratio(2 * hits, predicted + true), np.nan)
        return mean_of_defined(each), each
