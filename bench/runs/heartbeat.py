"""How far a run is that somebody is carrying out, in a small file for whoever watches from elsewhere."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from bench.files import write_whole

SECONDS_BETWEEN = 1.0


@dataclass(frozen=True)
class Pulse:
    """Steps done and in all, and steps a second since the run was started or went on."""

    step: int
    steps: int
    rate: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds of training that are left; None while there is no rate."""
        return (self.steps - self.step) / self.rate if self.rate > 0 else None


class Heartbeat:
    """Writes a pulse at most every second. A pulse that nobody holds the lock of is one that has stopped."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._began: tuple[float, int] | None = None
        self._written = float("-inf")

    def beat(self, step: int, steps: int) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = (now, step)
        if now - self._written < SECONDS_BETWEEN:
            return
        since, first = self._began
        rate = (step - first) / (now - since) if now > since else 0.0
        write_whole(self.file, json.dumps({"step": step, "steps": steps, "rate": rate}))
        self._written = now


def read_pulse(file: Path) -> Pulse | None:
    """The last pulse in a file; None where there is none that can be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Pulse(int(content["step"]), int(content["steps"]), float(content["rate"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
