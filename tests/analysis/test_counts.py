"""A metric by sums of counts is the metric of the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.counts import COUNTED
from bench.runs.parts import METRICS
from bench.specs.components import load_part, part_names

MODULES = {name: load_part(METRICS, name, "metric") for name in part_names(METRICS)}
PREDICTIONS = (st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 6), st.sampled_from([0.0, 0.3, 1.0]))


def predictions(name, seed, count, labels, missing):
    """Scores with ties and values at the threshold, references of which some are missing."""
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.array([0, 0.25, 0.5, 0.75, 1], np.float32), (count, labels))
    if MODULES[name].TASK_TYPE == "multiclass":
        references = rng.integers(0, labels, count).astype(np.int32)
    else:
        references = rng.integers(0, 2, (count, labels)).astype(np.int8)
    references[rng.random(references.shape) < missing] = -1
    return scores, references


def test_every_metric_of_ours_is_known_as_counts():
    assert COUNTED.keys() == MODULES.keys()


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=60)
@given(*PREDICTIONS)
def test_the_value_of_summed_counts_is_the_score(name, seed, count, labels, missing):
    scores, references = predictions(name, seed, count, labels, missing)
    counts = COUNTED[name].counts(scores, references)
    assert counts.shape[0] == count
    found = COUNTED[name].value(np.asarray(counts.sum(axis=0), np.float64))
    expected, _ = MODULES[name].Metric.score(scores, references)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)  # NaN equals NaN


@pytest.mark.parametrize("name", MODULES)
def test_many_sums_are_valued_at_once(name):
    scores, references = predictions(name, 0, 40, 4, 0.3)
    parts = [slice(0, 15), slice(15, 40), slice(0, 40), slice(0, 0)]
    counts = COUNTED[name].counts(scores, references)
    sums = np.stack([counts[part].sum(axis=0) for part in parts]).astype(float)
    expected = [MODULES[name].Metric.score(scores[part], references[part])[0] for part in parts]
    np.testing.assert_allclose(COUNTED[name].value(sums), expected, rtol=0, atol=1e-12)
