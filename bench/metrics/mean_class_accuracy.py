"""Mean class accuracy (balanced accuracy): the mean over classes of the share of their images that are found."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics._local import LocalMetric, class_counts, mean_of_defined, ratio

TASK_TYPE = "multiclass"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Mean recall over the classes that the references hold."""

    NAME = "mean_class_accuracy"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.balanced_accuracy_score.html"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        hits, _, true = class_counts(scores, references)
        each = ratio(hits, true)
        return mean_of_defined(each), each
