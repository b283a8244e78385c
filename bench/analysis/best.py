"""Which entries of a column are the best, or cannot be told from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.analysis.statistics import holm, paired_t
from bench.analysis.transfer import ALPHA


def among_best(column: Sequence[Mapping[int, float]], *, higher_is_better: bool = True) -> tuple[bool, ...]:
    """Whether each entry of a column is the best by its mean over seeds, or not distinguishable from it.

    `column`: values by seed, empty for an entry that is incomplete, which takes no part. Every other entry is compared
    with the best by a paired t test over the seeds that both have, Holm-adjusted over the column; entries whose
    difference is not rejected at 5 % are marked. Where fewer than two seeds are shared nothing can be told apart, and
    only what has the best mean is marked. The best is chosen by the same numbers, which makes the test lenient: a mark
    is no claim that two entries are equal.
    """
    sign = 1.0 if higher_is_better else -1.0
    means = {i: sign * float(np.mean(list(values.values()))) for i, values in enumerate(column) if values}
    if not means:
        return (False,) * len(column)
    best = max(means, key=lambda i: means[i])
    others = [i for i in means if i != best]
    shared = {i: sorted(column[i].keys() & column[best].keys()) for i in others}
    differences = {i: [column[i][seed] - column[best][seed] for seed in shared[i]] for i in others}
    adjusted = dict(zip(others, holm([paired_t(differences[i]).p for i in others]), strict=True))
    alike = {i for i in others if means[i] == means[best] or (len(differences[i]) > 1 and adjusted[i] >= ALPHA)}
    return tuple(i == best or i in alike for i in range(len(column)))
