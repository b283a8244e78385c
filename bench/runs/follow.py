"""Runs that several processes share: the first one leads, and hands out what all of them train together.

Only the leader plans, locks, writes and prints. The others wait for work, without using a core, train as they are told
and forget what comes of it. A process that fails ends, and with it its launcher ends all.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import Diverged, InfrastructureError, Interrupted
from bench.specs.run import RunSpec
from bench.training.launch import several


@dataclass(frozen=True)
class Work:
    """What all processes train together: a run, where the stores of its data sets stand, and what `train` needs."""

    run: RunSpec
    stores: Mapping[str, Path]
    checkpoint: Path
    checkpoint_every: int
    teachers: Mapping[str, Path]


def hand_out(work: Work | None) -> None:
    """Tell the other processes what to train now, or that there is no more."""
    if several():
        from bench.training.loop import make_accelerator
        from bench.training.processes import Processes

        Processes.of(make_accelerator("float32")).told(work)


@contextmanager
def leading() -> Iterator[None]:
    """Send the other processes home at the end, unless they may be amid a run and could not hear of it."""
    try:
        yield
    except InfrastructureError:
        raise
    except Exception:
        hand_out(None)
        raise
    hand_out(None)


def follow() -> None:
    """Train what the leader hands out, until there is no more."""
    from bench.data.batches import SourceData
    from bench.data.store import open_store
    from bench.training.loop import make_accelerator, train
    from bench.training.processes import Processes

    for number in (signal.SIGINT, signal.SIGTERM):  # the leader hears of it too, and says when to stop
        signal.signal(number, signal.SIG_IGN)
    while True:
        work: Work | None = Processes.of(make_accelerator("float32")).told(None)
        if work is None:
            return
        sources = [SourceData(s, open_store(work.stores[s.dataset], limit=work.run.limit)) for s in work.run.sources]
        try:
            train(
                work.run,
                sources,
                checkpoint=work.checkpoint,
                checkpoint_every=work.checkpoint_every,
                teachers=work.teachers,
            )
        except (Diverged, Interrupted):  # the leader met the same
            continue
