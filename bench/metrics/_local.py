"""The part that all metrics share: features, masks, and what `evaluate` wants to know."""

from __future__ import annotations

from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLD = 0.5
MISSING = -1


class LocalMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """An `evaluate.Metric` whose arithmetic is the static method `score`.

    `score` returns the value, or the value and one value per class or label (NaN where not defined).
    """

    NAME: ClassVar[str]
    TASK_TYPE: ClassVar[str]
    SOURCE: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        super().__init__(keep_in_memory=True, **options)

    @staticmethod
    def score(scores: ArrayLike, references: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """The value, and one value per class or label where the metric has them (else an empty array)."""
        raise NotImplementedError

    def _build_data_dir(self) -> str:
        """Where `evaluate` would keep files. It makes that folder at once; here all stays in memory."""
        return ""

    def _info(self) -> evaluate.MetricInfo:
        references: Any = datasets.Value("int64")
        if self.TASK_TYPE == "multilabel":
            references = datasets.Sequence(references)
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation=self.SOURCE,
            inputs_description=f"{self.TASK_TYPE}: predictions are scores [n, labels]; see bench.metrics",
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float64")), "references": references}
            ),
        )

    def _compute(self, predictions: ArrayLike, references: ArrayLike) -> dict[str, Any]:
        value, each = self.score(predictions, references)
        return {self.NAME: value, "per_label": each.tolist()}


def annotated_classes(scores: ArrayLike, references: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.int64], int]:
    """Predicted and true classes of annotated images, and the number of classes.

    Raises `ValueError` for wrong shapes, references that are no classes, and scores that are no numbers.
    """
    score, truth = _numbers(scores), _integers(references)
    if score.ndim != 2 or truth.shape != score.shape[:1]:
        raise ValueError(f"expected scores [n, classes] and references [n], found {score.shape} and {truth.shape}")
    if truth.size and (truth.max() >= score.shape[1] or truth.min() < MISSING):
        raise ValueError(f"references must be class indices under {score.shape[1]}, or -1")
    known = truth != MISSING
    return score[known].argmax(axis=1), truth[known], score.shape[1]


def class_counts(
    scores: ArrayLike, references: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Per class: hits, how often it is predicted, how often it is true."""
    predicted, truth, classes = annotated_classes(scores, references)
    hits = np.bincount(truth[predicted == truth], minlength=classes)
    return hits, np.bincount(predicted, minlength=classes), np.bincount(truth, minlength=classes)


def label_counts(
    scores: ArrayLike, references: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Per label, over annotated cells: true positives, false positives, false negatives, true negatives.

    Raises `ValueError` for wrong shapes, references other than 0, 1 and -1, and scores that are no numbers.
    """
    score, truth = _numbers(scores), _integers(references)
    if score.ndim != 2 or truth.shape != score.shape:
        raise ValueError(f"expected scores and references [n, labels], found {score.shape} and {truth.shape}")
    if truth.size and not np.isin(truth, (MISSING, 0, 1)).all():
        raise ValueError("references must be 0, 1 or -1")
    predicted, positive, known = score >= THRESHOLD, truth == 1, truth != MISSING
    return (
        (predicted & positive).sum(0),
        (predicted & ~positive & known).sum(0),
        (~predicted & positive).sum(0),
        (~predicted & ~positive & known).sum(0),
    )


def _numbers(scores: ArrayLike) -> NDArray[np.float64]:
    score = np.asarray(scores, dtype=np.float64)
    if np.isnan(score).any():
        raise ValueError("scores must be numbers, found NaN")
    return score


def _integers(references: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(references)
    if given.size and given.dtype.kind not in "iub":
        raise ValueError(f"references must be integers, found {given.dtype}")
    return given.astype(np.int64)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Elementwise quotient; NaN where the denominator is 0."""
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    quotient: NDArray[np.float64] = np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom != 0)
    return quotient


def mean_of_defined(values: NDArray[np.float64]) -> float:
    """Mean over values that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
