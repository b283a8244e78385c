"""Options that say where runs are carried out."""

from __future__ import annotations

import sys

import pytest

from bench.errors import UsageError
from bench.runs.ray_cluster import ray_cluster


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="not installed") as told, ray_cluster(None, None, []):
        pass
    assert "pip install 'mtl-bench[ray]'" in told.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--address", "auto"), "--executor ray"),
        (("--executor", "ray", "--gpu-slots", "2"), "`gpus: 0.5`"),
        (("--executor", "ray", "--profile"), "carry the runs out here"),
        (("--executor", "cloud"), "cloud"),
    ],
)
def test_options_that_do_not_go_together_are_refused(bench, options, words):
    refused = bench("run", "--suite", "faces", *options)
    assert refused.code == 2
    assert words in refused.err
