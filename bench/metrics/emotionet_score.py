"""The score of the EmotioNet challenges: accuracy and F1 in equal parts, each averaged over action units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics import mean_accuracy, mean_f1
from bench.metrics._local import LocalMetric

TASK_TYPE = "multilabel"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Mean of mean accuracy and mean F1; per label the mean of its two, NaN where its F1 is not defined.

    The challenges rank by accuracy and F1; that the two weigh the same is our reading.
    """

    NAME = "emotionet_score"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://arxiv.org/abs/1703.01210"

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        accuracy, accuracies = mean_accuracy.Metric.score(scores, references)
        f1, f1s = mean_f1.Metric.score(scores, references)
        return (accuracy + f1) / 2, (accuracies + f1s) / 2
