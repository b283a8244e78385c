"""What `bench diagnose` costs: the time that a probe takes of a training, against what is left of it without.

Looks stand among the steps of one and the same training, so that a noisy machine strikes both.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from comparison import Measured

from bench.data.batches import SourceData
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog
from bench.training.loop import train
from bench.training.probe import RunProbe, default_every


class TimedProbe(RunProbe):
    """A probe with a watch: seconds of everything it did, and of what it did before the loop's own watch ran."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.seconds, self.before = 0.0, 0.0

    @contextmanager
    def watched(self):
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started

    def look(self, **about) -> None:
        with self.watched():
            super().look(**about)

    def validated(self, *, step, network) -> None:
        with self.watched():
            super().validated(step=step, network=network)
        if step == 0:
            self.before = self.seconds


def cost(backbone: str, method: str, repeats: int) -> Measured:
    """Seconds with a probe / seconds without, training and validation, at the default rate and the suite's budget."""
    one = plan(open_catalog(), "faces", only=[backbone], seeds=1)[0]
    run = next(run for run in one.runs if run.method == method).spec
    stores = {name: preparation.prepare() for name, preparation in one.preparations.items()}
    sources = [SourceData(source, stores[source.dataset]) for source in run.sources]
    every = default_every(run, one.relatedness)
    ratios, looks = [], 0
    for _ in range(repeats):
        probe = TimedProbe(run, sources, one.relatedness, every)
        with tempfile.TemporaryDirectory() as folder:
            made = train(run, sources, checkpoint=Path(folder) / "c", checkpoint_every=run.recipe.steps, probe=probe)
        plain = made.seconds["train"] + made.seconds["validation"] - (probe.seconds - probe.before)
        ratios.append(1 + probe.seconds / plain)
        looks = len(probe.looks)
    return Measured(
        f"diagnosing: probed / plain training, {backbone}, {method}",
        "at most 1.10",
        ratios,
        f"{looks} looks in {run.recipe.steps} steps (every {every})",
    )
