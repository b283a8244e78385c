"""Metrics through the interface of Hugging Face's `evaluate`: the same numbers, no network, no files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import evaluate
import numpy as np
import pytest

from bench.specs.components import load_part, part_names

NAMES = part_names("bench.metrics")


def case_of(module, count=9, labels=4):
    rng = np.random.default_rng(0)
    shape = count if module.TASK_TYPE == "multiclass" else (count, labels)
    highest = labels if module.TASK_TYPE == "multiclass" else 2
    return rng.random((count, labels)), rng.integers(-1, highest, size=shape)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_module_holds_what_it_must(name):
    module = load_part("bench.metrics", name, "metric")
    assert module.TASK_TYPE in ("multiclass", "multilabel")
    assert isinstance(module.HIGHER_IS_BETTER, bool)
    made = module.Metric()
    assert isinstance(made, evaluate.Metric)
    assert name == made.NAME
    assert module.TASK_TYPE == made.TASK_TYPE
    assert made.SOURCE.startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_compute_equals_score(name):
    module = load_part("bench.metrics", name, "metric")
    scores, references = case_of(module)
    value, each = module.Metric.score(scores, references)
    metric = module.Metric()
    for _ in range(2):  # a metric can be used again
        found = metric.compute(predictions=scores, references=references)
        assert found[name] == value
        np.testing.assert_array_equal(found["per_label"], each)


@pytest.mark.parametrize("name", NAMES)
def test_batches_add_up_to_the_whole(name):
    module = load_part("bench.metrics", name, "metric")
    scores, references = case_of(module)
    metric = module.Metric()
    for rows in (slice(0, 4), slice(4, 9)):
        metric.add_batch(predictions=scores[rows], references=references[rows])
    assert metric.compute()[name] == module.Metric.score(scores, references)[0]


def test_metrics_need_no_network_and_leave_no_files(tmp_path):
    program = """
        import json, socket, sys

        def refuse(*arguments, **options):
            raise AssertionError("a socket was opened")

        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        from bench.specs.components import load_part, part_names

        found = {}
        for name in part_names("bench.metrics"):
            module = load_part("bench.metrics", name, "metric")
            references = [0, 1] if module.TASK_TYPE == "multiclass" else [[1, 0], [0, 1]]
            found[name] = module.Metric().compute(predictions=[[0.9, 0.1], [0.2, 0.8]], references=references)[name]
        print(json.dumps(found))
    """
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("HF_", "XDG_"))}
    home = {"HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=kept | home, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(NAMES, 1.0)
    assert list(tmp_path.iterdir()) == []
