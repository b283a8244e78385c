"""Several runs at once against one after the other: `bench run` from its start to its leaderboard, in processes.

    python tests/performance/jobs.py --repeats 5

Settings take turns, so that what else the machine does falls on all of them; processor time tells what is theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from itertools import pairwise
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


SETTINGS = {"one": (1, ()), "two": (1, ("--jobs", "2")), "wide": (2, ())}
"""Threads of the command, and its options."""


@dataclass(frozen=True)
class Timed:
    """Seconds of a whole suite, of the processors that it kept busy, and of its trainings; and what was foretold."""

    whole: float
    processor: float
    training: float
    foretold: float


def jobs(repeats: int = 5) -> list[Measured]:
    """What two runs at once gain, what a run costs beside its training, and whether the estimate is right."""
    found: dict[str, list[Timed]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for spec, text in SPECS.items():
            (root / "specs").mkdir(exist_ok=True)
            (root / "specs" / f"{spec}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        _bench(root, "warm", 1, "run", "--suite", "forty", "--limit", "8", "--seeds", "1")  # prepares the data, for all
        for _ in range(repeats):
            for setting, (threads, options) in SETTINGS.items():
                found[setting].append(_timed(root, setting, threads, options))
    one, two, wide = found.values()
    busy = statistics.median(b.processor / a.processor for a, b in zip(one, two, strict=True))
    note = f"{RUNS} runs, median {_median(one):.0f} s / {_median(two):.0f} s; processor time of two / one: {busy:.2f}"
    return [
        Measured(
            "suite: --jobs 1, one thread / --jobs 2, one thread each",
            "at least 1.80",
            [a.whole / b.whole for a, b in zip(one, two, strict=True)],
            note,
        ),
        Measured(
            "suite: --jobs 1, two threads / --jobs 2, one thread each",
            "above 1",
            [a.whole / b.whole for a, b in zip(wide, two, strict=True)],
            f"median {_median(wide):.0f} s / {_median(two):.0f} s",
        ),
        Measured(
            "processor seconds a run beside its training",
            "under 0.50",
            [(timed.processor - timed.training) / RUNS for timed in one],
            "one thread: start, plan, evaluation, record, tables",
        ),
        *(
            Measured(
                f"estimate of a suite that was seen / seconds it took, {setting}",
                "0.70 to 1.30",
                [before.foretold / after.whole for before, after in pairwise(found[setting])],
                "from the records of the repeat before",
            )
            for setting in ("one", "two")
            if repeats > 1
        ),
    ]


def _median(timed: list[Timed]) -> float:
    return statistics.median(one.whole for one in timed)


def _timed(root: Path, name: str, threads: int, options: tuple[str, ...]) -> Timed:
    shutil.rmtree(root / name, ignore_errors=True)
    busy, started = _processor(), time.perf_counter()
    _bench(root, name, threads, "run", "--suite", "forty", *options)
    whole, busy = time.perf_counter() - started, _processor() - busy
    records = [json.loads(file.read_text(encoding="utf-8")) for file in (root / name / "runs").glob("*/*/record.json")]
    assert len(records) == RUNS
    training = sum(record["cost"]["seconds"]["train"] for record in records)
    (told,) = json.loads(_bench(root, name, threads, "plan", "forty", "--seeds", "20", *options, "--json"))
    return Timed(whole, busy, training, told["seconds_to_do"])  # ten more seeds: as much as has just been done


def _processor() -> float:
    """Seconds of processors that ended children, and theirs, have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bench(root: Path, results: str, threads: int, *arguments: str) -> str:
    own = {"BENCH_SPECS": "specs", "BENCH_CACHE": "cache", "BENCH_CONFIG": "config", "BENCH_RESULTS": results}
    own = {key: str(root / value) for key, value in own.items()} | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | own).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    for measured in jobs(parser.parse_args().repeats):
        print(measured.row)
