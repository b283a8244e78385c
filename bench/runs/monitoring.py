"""How runs are looked at while they train; nothing of it changes a number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Monitoring:
    """`profile`: whether a handful of steps of each run is profiled."""

    profile: bool = False


UNMONITORED = Monitoring()


def trace_file(results: Path, run_id: str) -> Path:
    """Where the trace of a run stands."""
    return results / "profiles" / f"{run_id}.json.gz"


def traces(results: Path) -> frozenset[tuple[Path, int]]:
    """All traces that there are, each with when it was written."""
    return frozenset((file, file.stat().st_mtime_ns) for file in trace_file(results, "x").parent.glob("*.json.gz"))
