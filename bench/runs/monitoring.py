"""How runs are looked at while they train; nothing of it changes a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.errors import UnknownName, UsageError

TRACKERS = ("tensorboard", "wandb", "mlflow")
"""Those of accelerate that may be named; each is the name of its package, too."""
_INSTALL = {"tensorboard": "'mtl-bench[tensorboard]'"}


@dataclass(frozen=True)
class Monitoring:
    """`profile`: whether a handful of steps of each run is profiled; `trackers`: who is told how each run goes."""

    profile: bool = False
    trackers: tuple[str, ...] = ()


def monitoring(*, profile: bool, trackers: Sequence[str]) -> Monitoring:
    """As asked for. Raises `UnknownName` for a tracker that is not known, `UsageError` for one not installed."""
    for name in trackers:
        if name not in TRACKERS:
            raise UnknownName("tracker", name, TRACKERS, hint=f"there are {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise UsageError(f"the tracker '{name}' is not installed", hint=f"`pip install {_INSTALL.get(name, name)}`")
    return Monitoring(profile, tuple(dict.fromkeys(trackers)))


UNMONITORED = Monitoring()


def trace_file(results: Path, run_id: str) -> Path:
    """Where the trace of a run stands."""
    return results / "profiles" / f"{run_id}.json.gz"


def traces(results: Path) -> frozenset[tuple[Path, int]]:
    """All traces that there are, each with when it was written."""
    return frozenset((file, file.stat().st_mtime_ns) for file in trace_file(results, "x").parent.glob("*.json.gz"))
