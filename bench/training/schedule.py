"""Learning rates as a function of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math

from bench.specs.budget import Schedule


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the peak learning rate is multiplied with at `step` of `steps` (from 0)."""
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    passed = (step - warmup) / max(steps - warmup, 1)
    if schedule.name == "cosine":
        return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * passed))
    if schedule.name == "linear":
        return schedule.final + (1 - schedule.final) * (1 - passed)
    return 1.0
