"""Where the time of training steps went, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.reports.table import Table
from bench.training.profiling import OUTSIDE, Profile

MOST_SHOWN = 12


def operator_table(profiles: Sequence[Profile]) -> Table:
    """The costliest operators over all profiles, by the time that each took by itself; of a GPU where one was used."""
    calls: Counter[str] = Counter()
    cpu: dict[str, float] = {}
    gpu: dict[str, float] = {}
    for one in (operator for profile in profiles for operator in profile.operators):
        calls[one.name] += one.calls
        cpu[one.name] = cpu.get(one.name, 0.0) + one.cpu
        gpu[one.name] = gpu.get(one.name, 0.0) + one.gpu
    on_gpu = any(gpu.values())
    shown = {"GPU": gpu, "CPU": cpu} if on_gpu else {"CPU": cpu}
    leading = next(iter(shown.values()))
    whole = sum(leading.values())
    order = sorted(leading, key=lambda name: leading[name], reverse=True)
    steps = sum(profile.steps for profile in profiles)
    rows = tuple(
        (
            name.removeprefix("aten::"),
            "" if name == OUTSIDE else f"{calls[name] / steps:,.0f}",
            *(f"{1000 * seconds[name] / steps:,.2f}" for seconds in shown.values()),
            f"{leading[name] / whole:.0%}",
        )
        for name in order[:MOST_SHOWN]
    )
    headers = ("operator", "calls", *(f"{where} ms" for where in shown), "share")
    runs = f"{len(profiles)} run{'s' if len(profiles) > 1 else ''}"
    notes = (
        f"By step, over {steps} steps of {runs}, with the looks at validation among them; "
        "an operator's time is without that of those that it calls.",
    )
    return Table(
        "Where the time of training steps went", headers, rows, notes, numeric=frozenset(range(1, len(headers)))
    )
