"""Metrics, one file each. A metric module holds `TASK_TYPE`, `HIGHER_IS_BETTER` and a class `Metric`.

`Metric` is a local `evaluate.Metric` (nothing is fetched). `Metric.score(scores, references)` is its arithmetic on
arrays; `compute(predictions=scores, references=references)` is the same through the interface of `evaluate`.

- multiclass: `scores` float [n, classes], the predicted class is the largest (the first of equals); `references`
  int [n], -1 = not annotated.
- multilabel: `scores` float [n, labels], probabilities; a label is predicted at 0.5 or more; `references` int
  [n, labels], -1 = not annotated.

What is not annotated never counts. A value that the annotations cannot define (no annotated image, a label without
a positive) is NaN, and averages over classes or labels run over those that the references define, so that the
denominator depends on the data and never on the predictions.
"""

HOLDS = ("TASK_TYPE", "HIGHER_IS_BETTER", "Metric")
