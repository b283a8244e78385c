"""A small world to test in: specs of a suite that trains in seconds, folders of its own, and ways to call bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("bench", deadline=None)  # time tells of the machine, not of the code
settings.load_profile("bench")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # many small processes at once: threads would only wait for each other
os.environ.setdefault("HF_HUB_OFFLINE", "1")

STANDIN = """
    kind: dataset
    name: {name}
    title: Tiny {name}
    domain: faces
    tasks:
      {task}: {{}}
    standin:
      name: faces
      relatedness: emotion_action_units
      images: {{train: 48, validation: 24, test: 24}}
      prevalence: {{neutral: 0.2, happiness: 0.3, sadness: 0.1, surprise: 0.1, fear: 0.1, disgust: 0.1, anger: 0.1}}
    licence: none needed
    home_page: https://www.w3.org/
    citation: none
"""
SPECS = {
    "tiny_faces": STANDIN.format(name="tiny_faces", task="expression"),
    "tiny_units": STANDIN.format(name="tiny_units", task="action_units"),
    "tiny_net": """
        kind: backbone
        name: tiny_net
        title: A network for tests
        family: ResNet
        timm: test_resnet
    """,
    "tiny_budget": """
        kind: budget
        name: tiny_budget
        title: A budget for tests
        steps: 6
        seeds: 2
        image_size: 16
        batch: {size: 16}
        optimizer: {name: adamw, learning_rate: 1e-3}
        augmentation: {shift: 0.1, flip: true, color: 0.1}
        evaluations: 2
        checkpoint_every: 2
    """,
    "tiny": """
        kind: suite
        name: tiny
        title: A suite for tests
        datasets: [tiny_faces, tiny_units]
        relatedness: [emotion_action_units]
        backbones: [tiny_net]
        methods: [single_task, multi_task, distribution_matching]
        budget: tiny_budget
        margins: {macro_f1: 0.05, mean_f1: 0.05}
    """,
}


@dataclass(frozen=True)
class Finished:
    """What a call of bench left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class World:
    """Folders of its own for specs, results, prepared data and configuration."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def specs(self) -> Path:
        return self.root / "specs"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def write(self, name: str, text: str) -> Path:
        """Write (or replace) a spec file."""
        file = self.specs / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def change(self, name: str, old: str, new: str) -> Path:
        """Replace text in a spec file; the text must be there."""
        file = self.specs / f"{name}.yaml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
        return file

    @property
    def variables(self) -> dict[str, str]:
        own = {
            "BENCH_SPECS": str(self.specs),
            "BENCH_RESULTS": str(self.results),
            "BENCH_CACHE": str(self.cache),
            "BENCH_CONFIG": str(self.root / "config"),
            "OMP_NUM_THREADS": "1",
        }
        return own | self.environment

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start `bench` as a real process."""
        return subprocess.Popen(
            [sys.executable, "-m", "bench", *arguments],
            env=clean_environment() | self.variables,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments: str, **options: Any) -> Finished:
        """Run `bench` as a real process to its end."""
        process = self.process(*arguments, **options)
        out, err = process.communicate(timeout=240)
        return Finished(process.returncode, out, err)

    def scores(self) -> dict[str, Any]:
        """Scores of every finished record, by run id; what must be equal between runs that are the same."""
        found = {}
        for file in sorted(self.results.glob("runs/[a-z]*/*/record.json")):
            record = json.loads(file.read_text(encoding="utf-8"))
            found[record["id"]] = {key: record[key] for key in ("status", "scores", "curve", "selected_step")}
        return found


def clean_environment() -> dict[str, str]:
    """The environment without any setting of bench."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with the tiny suite."""
    made = World(tmp_path)
    for name, text in SPECS.items():
        made.write(name, text)
    return made


@pytest.fixture
def bench(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Finished]]:
    """Call bench's command line in this process (fast; the same code as the command)."""
    from bench.cli.app import main

    for name in list(os.environ):
        if name.startswith("BENCH_"):
            monkeypatch.delenv(name)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.root)

    def call(*arguments: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return Finished(int(code), out, err)

    yield call
