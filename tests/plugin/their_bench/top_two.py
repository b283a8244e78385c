"""Top-2 accuracy: the share of annotated images whose class is among the two most likely."""

import numpy as np

from bench.metrics._local import LocalMetric

TASK_TYPE = "multiclass"
HIGHER_IS_BETTER = True


class Metric(LocalMetric):
    """Share of annotated images whose class is among the two most likely."""

    NAME = "top_two"
    TASK_TYPE = TASK_TYPE
    SOURCE = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.top_k_accuracy_score.html"

    @staticmethod
    def score(scores, references):
        scores, references = np.asarray(scores), np.asarray(references)
        known = references >= 0
        best = np.argsort(-scores[known], axis=1, kind="stable")[:, :2]
        hits = (best == references[known][:, None]).any(1)
        return (float(hits.mean()) if hits.size else float("nan")), np.empty(0)
