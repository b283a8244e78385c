"""Pseudo-labels: what single-task teachers are sure of becomes a label where none is known.

A missing class is the teachers' most probable one, if its probability is at least `threshold`. A missing attribute is
present if its probability is at least `threshold`, and absent if that is at most 1 - `threshold`. Such labels count
like annotated ones.

Lee (2013, "Pseudo-Label", ICML workshop, eq. 14) takes the most probable class of every image; labels of several
tasks from one specialised teacher each are those of Ghiasi et al. (2021, "Multi-Task Self-Training for Learning
General Representations", ICCV). The threshold keeps teachers that know little from saying much. A rare attribute is
nearly always absent with high probability, so most pseudo-labels of attributes are negative: how many were added
stands in the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.methods.objective import Coupling
from bench.methods.training_labels import MISSING, LabelChange, TrainingLabels
from bench.specs.model import Frozen
from bench.specs.run import RunTask

NEEDS_RELATEDNESS = False
NEEDS_TEACHERS = True


class Options(Frozen):
    """`threshold`: least probability of a label that is believed, above 0.5 so that at most one outcome reaches it."""

    threshold: float = Field(default=0.9, gt=0.5, le=1)


def transform(
    options: Options, tasks: Mapping[str, RunTask], relatedness: Sequence[Coupling], known: TrainingLabels
) -> tuple[TrainingLabels, dict[str, LabelChange]]:
    """Add what teachers are sure of; changes are told of every task that they speak of."""
    found, changes = known, {}
    for name, taught in known.taught.items():
        sure = believed_classes if tasks[name].type == "multiclass" else believed_attributes
        found, changes[name] = found.with_added(name, sure(taught, options.threshold))
    return found, changes


def believed_classes(taught: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Classes int64 [n] from probabilities [n, classes]; -1 where none is sure or nothing is taught (NaN)."""
    best = taught.argmax(1)
    sure = np.take_along_axis(taught, best[:, None], 1)[:, 0] >= threshold
    return np.where(sure, best, MISSING).astype(np.int64)


def believed_attributes(taught: NDArray[np.float32], threshold: float) -> NDArray[np.int8]:
    """Attributes int8 [n, labels] from probabilities of the same shape; -1 where unsure or not taught (NaN)."""
    negative = np.where(taught <= 1 - threshold, 0, MISSING)
    return np.where(taught >= threshold, 1, negative).astype(np.int8)
