"""A look at where the time of some training steps goes, by torch's profiler.

Written are a trace that Perfetto (https://ui.perfetto.dev) and chrome://tracing open, and beside it, as JSON, the time
of each operator. Nothing of it changes a number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile, schedule

from bench.files import write_whole

WAIT, WARM_UP, ACTIVE = 5, 2, 6
"""Steps that are left alone, the first ones being unlike the others; that the profiler warms up in; that it keeps."""
OUTSIDE = "(outside operators)"
"""Python itself, and waiting."""


@dataclass(frozen=True)
class Operator:
    """What an operator took by itself over the profiled steps: calls, and seconds of the processor and of a GPU."""

    name: str
    calls: int
    cpu: float
    gpu: float


@dataclass(frozen=True)
class Profile:
    """Of so many steps of a run: every operator, in no order."""

    steps: int
    operators: tuple[Operator, ...]


def profiled(steps: range, file: Path | None) -> Generator[int]:
    """The steps, of which a handful is profiled: a trace in `file` (.json.gz), a `Profile` in `profile_beside(file)`.

    None profiles nothing. Where there are fewer steps than the profiler wants, it waits and warms up for fewer.
    """
    if file is None or not steps:
        yield from steps
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    warm_up = min(WARM_UP, len(steps) - 1)
    active = min(ACTIVE, len(steps) - warm_up)
    wait = min(WAIT, len(steps) - warm_up - active)

    def keep(profiler: profile) -> None:
        unfinished = file.with_name(f"unfinished.{file.name}")
        profiler.export_chrome_trace(str(unfinished))
        os.replace(unfinished, file)
        write_whole(profile_beside(file), json.dumps(asdict(_operators(profiler, active))))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    plan = schedule(wait=wait, warmup=warm_up, active=active, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=keep, acc_events=True) as profiler:
        for step in steps:
            yield step
            profiler.step()


def profile_beside(trace: Path) -> Path:
    """Where the times of the operators of a trace stand."""
    return trace.with_name(trace.name.removesuffix(".json.gz") + ".operators.json")


def read_profile(trace: Path) -> Profile:
    """The times beside a trace."""
    content = json.loads(profile_beside(trace).read_text(encoding="utf-8"))
    return Profile(content["steps"], tuple(Operator(**one) for one in content["operators"]))


def _operators(profiler: profile, steps: int) -> Profile:
    found = [
        Operator(
            OUTSIDE if event.key.startswith("ProfilerStep") else event.key,
            event.count,
            event.self_cpu_time_total / 1e6,
            event.self_device_time_total / 1e6,
        )
        for event in profiler.key_averages()
        if event.device_type == DeviceType.CPU  # what runs on a GPU is told with the operator that has started it
    ]
    return Profile(steps, tuple(found))
