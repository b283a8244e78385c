"""Runs of the tiny world, changed, trained and compared."""

from __future__ import annotations

import json

import numpy as np

from bench.data.batches import SourceData
from bench.runs.plan import PlannedRun, SuitePlan
from bench.specs.run import RunSpec
from bench.training.loop import Outcome, train


def changed(run: RunSpec, **recipe) -> RunSpec:
    """The same run with another recipe, made anew so that its id is too."""
    content = run.model_dump(mode="json")
    content["recipe"] |= recipe
    return RunSpec.model_validate_json(json.dumps(content))


def sources_of(one: SuitePlan, run: RunSpec, store=lambda store: store) -> list[SourceData]:
    return [SourceData(source, store(one.preparations[source.dataset].open())) for source in run.sources]


def run_of(one: SuitePlan, method: str, task: str | None = None) -> PlannedRun:
    return next(run for run in one.runs if run.method == method and run.task == task)


def go(one: SuitePlan, run: RunSpec, file, **options) -> Outcome:
    options = {"checkpoint_every": 1000} | options
    return train(run, sources_of(one, run), checkpoint=file, **options)


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    assert ours.curve == theirs.curve
    assert (ours.selected_step, ours.validation_score) == (theirs.selected_step, theirs.validation_score)
    for mine, other in zip(ours.predictions, theirs.predictions, strict=True):
        assert (mine.dataset, mine.task) == (other.dataset, other.task)
        assert mine.images.tolist() == other.images.tolist()
        assert np.array_equal(mine.scores, other.scores)
        assert np.array_equal(mine.references, other.references)
