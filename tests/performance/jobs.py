"""Several runs at once against one after the other: `bench run` from its start to its leaderboard, in processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from comparison import Measured

RUNS = 40
DATASET = """
    kind: dataset
    name: {name}
    title: Small {name}
    domain: faces
    tasks: {{{task}: {{}}}}
    standin:
      name: faces
      relatedness: emotion_action_units
      images: {{train: 400, validation: 100, test: 100}}
      prevalence: {{neutral: 0.2, happiness: 0.3, sadness: 0.1, surprise: 0.1, fear: 0.1, disgust: 0.1, anger: 0.1}}
    licence: none needed
    home_page: https://example.org/
    citation: none
"""
SPECS = {
    "some_faces": DATASET.format(name="some_faces", task="expression"),
    "some_units": DATASET.format(name="some_units", task="action_units"),
    "brief": """
        kind: budget
        name: brief
        title: Some seconds a run
        steps: 100
        seeds: 10
        image_size: 32
        batch: {size: 32}
        optimizer: {name: adamw, learning_rate: 1e-3}
        evaluations: 2
        checkpoint_every: 1000
    """,
    "forty": """
        kind: suite
        name: forty
        title: Forty small runs
        datasets: [some_faces, some_units]
        relatedness: [emotion_action_units]
        backbones: [resnet_micro]
        methods: [single_task, multi_task, distribution_matching]
        budget: brief
        margins: {macro_f1: 0.05, mean_f1: 0.05}
    """,
}


@dataclass(frozen=True)
class Timed:
    """Seconds of a whole suite, and those of its trainings."""

    whole: float
    training: float


def jobs() -> list[Measured]:
    """What two runs at once gain, and what a run costs beside its training; each suite is run once."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for spec, text in SPECS.items():
            (root / "specs").mkdir(exist_ok=True)
            (root / "specs" / f"{spec}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        _timed(root, "warm", threads=1, options=("--limit", "8", "--seeds", "1"))  # prepares the data, for all
        one = _timed(root, "one", threads=1)
        two = _timed(root, "two", threads=1, options=("--jobs", "2"))
        wide = _timed(root, "wide", threads=2)
    note = f"{RUNS} runs, {one.whole:.0f} s / {two.whole:.0f} s"
    overhead = (one.whole - one.training) / RUNS
    return [
        Measured(
            "suite: --jobs 1, one thread / --jobs 2, one thread each", "at least 1.80", [one.whole / two.whole], note
        ),
        Measured("suite: --jobs 1, two threads / --jobs 2, one thread each", "above 1", [wide.whole / two.whole], ""),
        Measured(
            "seconds a run beside its training", "under 0.50", [overhead], "start, plan, evaluation, record, tables"
        ),
    ]


def _timed(root: Path, name: str, *, threads: int, options: tuple[str, ...] = ()) -> Timed:
    own = {"BENCH_SPECS": "specs", "BENCH_CACHE": "cache", "BENCH_CONFIG": "config", "BENCH_RESULTS": name}
    own = {key: str(root / value) for key, value in own.items()} | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", "run", "--suite", "forty", *options],
        check=True,
        capture_output=True,
        env=os.environ | own,
    )
    whole = time.perf_counter() - started
    records = [json.loads(file.read_text(encoding="utf-8")) for file in (root / name / "runs").glob("*/*/record.json")]
    assert options[:1] == ("--limit",) or len(records) == RUNS
    return Timed(whole, sum(record["cost"]["seconds"]["train"] for record in records))
