"""What `bench doctor` saw and found, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reports.table import Table
from bench.runs.doctor import Finding, Survey

GIB = 2**30


def survey_table(seen: Survey) -> Table:
    """A row for every thing that was looked at."""
    hardware, git = seen.hardware, seen.git
    commit = f" ({git['commit'][:10]}{', changed' if git['dirty'] else ''})" if git else ""
    quota = "" if seen.quota is None else f", a quota of {seen.quota:g}"
    memory = "not told" if seen.memory is None else f"{seen.memory / GIB:.1f} GiB available"
    operators = "compiled" if seen.compiled_operators else "declared without code, which bench does not call"
    rows = [
        ("bench", seen.bench + commit),
        ("packages", ", ".join(f"{name} {version}" for name, version in seen.packages.items())),
        ("torchvision operators", operators),
        ("system", hardware["system"]),
        ("processor", f"{hardware['processor']}, {seen.cores} of {hardware['cores']} cores{quota}"),
        ("threads of training", str(hardware["threads"])),
        ("memory", memory),
        ("GPUs", ", ".join(hardware["gpus"]) or "none"),
        ("variables", ", ".join(f"{name}={value}" for name, value in seen.variables.items()) or "none"),
        ("prepared data", f"{seen.cache.path}: {seen.stores} stores, {seen.cache.free / GIB:.1f} GiB free"),
        ("results", f"{seen.results.path}: {seen.results.free / GIB:.1f} GiB free"),
        *(("specs", f"{folder}: {count}") for folder, count in seen.specs.items()),
        *(("copy", f"{name}: {path}") for name, path in seen.copies.items()),
        *(("plug-in", f"{one.group} {one.name}: {one.origin}") for one in seen.plug_ins if not one.fault),
    ]
    return Table("What is here", ("what", "here"), tuple(rows))


def findings_table(found: Sequence[Finding]) -> Table:
    """A row for every finding."""
    return Table("What to know", ("touches", "what", "what to do"), tuple((f.weight, f.what, f.advice) for f in found))
