"""A planned suite of the tiny world, with its data prepared."""

from __future__ import annotations

import pytest

from bench.runs.plan import SuitePlan, plan
from bench.specs.catalog import open_catalog

ALONE = """
    kind: suite
    name: alone
    title: One data set with one task
    datasets: [tiny_faces]
    backbones: [tiny_net]
    methods: [single_task, multi_task]
    budget: tiny_budget
    margins: {macro_f1: 0.05}
"""


@pytest.fixture
def planned(world, monkeypatch):
    """Plans a suite of the tiny world and prepares its data."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    world.write("alone", ALONE)

    def make(suite: str = "tiny") -> SuitePlan:
        (one,) = plan(open_catalog([]), suite, seeds=1)
        for preparation in one.preparations.values():
            preparation.prepare()
        return one

    return make
