"""Mean accuracy over labels, each over its annotated images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics._local import LocalMetric, label_counts, mean_of_defined, ratio

TASK_TYPE = "multilabel"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Mean over labels of the share of annotated images on which the label is right."""

    NAME = "mean_accuracy"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        hit, false, missed, rejected = label_counts(scores, references)
        each = ratio(hit + rejected, hit + false + missed + rejected)
        return mean_of_defined(each), each
