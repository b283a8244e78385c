"""What bench stands on here, and what of it breaks runs, repeatability or speed.

`survey` looks; `findings` judges what it saw, and is a pure function.
"""

from __future__ import annotations

import math
import os
import pkgutil
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Literal

import bench
from bench.data.copies import cache_folder, known_copies
from bench.data.decode import cores
from bench.errors import SpecError, UsageError
from bench.runs.environment import environment
from bench.runs.parts import BALANCERS, LABELS, LAYOUTS, METRICS, STANDINS, TERMS
from bench.specs.catalog import open_catalog
from bench.specs.components import load_part

PACKAGES = (LAYOUTS, STANDINS, TERMS, LABELS, BALANCERS, METRICS)
"""Packages that others may add parts to."""
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG")
LEAST_DISK, LEAST_MEMORY = 5 * 2**30, 2 * 2**30
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$", re.MULTILINE)

Weight = Literal["fault", "repeatability", "speed", "space"]


@dataclass(frozen=True)
class PlugIn:
    """A part that another distribution offers. `fault`: why it cannot be used; blank if it can."""

    group: str
    name: str
    origin: str
    fault: str = ""


@dataclass(frozen=True)
class Accelerators:
    """What torch says of GPUs and how it computes on them. `driver`: the vendor's tool is there."""

    usable: bool
    driver: bool
    tf32: bool
    benchmark: bool
    deterministic: bool


@dataclass(frozen=True)
class Place:
    """A folder and the bytes that are free where it is, or would be."""

    path: Path
    free: int


@dataclass(frozen=True)
class Survey:
    """What is here. Cores are those that this process may use; `quota` how many it may keep busy, as a container sets
    it (None: all). Memory and disk in bytes; `memory` is what is available, None where the system does not tell.

    `pins`: versions that the checkout's constraints.txt asks for; none where bench is installed from a wheel.
    `faults`: what could not be looked at, in words. `compiled_operators`: those of torchvision.
    """

    bench: str
    git: dict[str, Any] | None
    packages: dict[str, str]
    hardware: dict[str, Any]
    cores: int
    quota: float | None
    memory: int | None
    variables: dict[str, str]
    pins: dict[str, str]
    compiled_operators: bool
    accelerators: Accelerators
    cache: Place
    results: Place
    stores: int
    specs: dict[str, int]
    copies: dict[str, Path]
    plug_ins: tuple[PlugIn, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing to know, and what to do. A `fault` keeps something from working; all else is advice."""

    weight: Weight
    what: str
    advice: str


def survey(folders: Sequence[Path], results: Path) -> Survey:
    """Look at everything; what cannot be looked at is told among the `faults`."""
    faults: list[str] = []
    specs = _specs(folders, faults)
    copies = _copies(faults)
    from bench.models._timm import has_compiled_operators

    found = environment()
    return Survey(
        bench=found["bench"],
        git=found["git"],
        packages=found["packages"],
        hardware=found["hardware"],
        cores=cores(),
        quota=_quota(),
        memory=_available_memory(),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        pins=_pins(),
        compiled_operators=has_compiled_operators(),
        accelerators=_accelerators(),
        cache=_place(cache_folder()),
        results=_place(results),
        stores=len(list(cache_folder().glob("stores/*/manifest.json"))),
        specs=specs,
        copies=copies,
        plug_ins=tuple(_plug_in(package, point) for package in PACKAGES for point in entry_points(group=package)),
        faults=tuple(faults),
    )


def findings(seen: Survey) -> tuple[Finding, ...]:
    """What is wrong or unwise, faults first."""
    return (
        *(Finding("fault", fault, "mend it; nothing else depends on it") for fault in seen.faults),
        *_plug_in_faults(seen.plug_ins),
        *_copy_faults(seen.copies),
        *_packages(seen),
        *_threads(seen),
        *_gpus(seen.accelerators),
        *_space(seen),
    )


def _plug_in_faults(plug_ins: Sequence[PlugIn]) -> Iterator[Finding]:
    for one in plug_ins:
        if one.fault:
            what = f"'{one.name}' ({one.group}) of {one.origin} cannot be used: {one.fault}"
            yield Finding("fault", what, "mend or uninstall that package; all else works without it")


def _copy_faults(copies: dict[str, Path]) -> Iterator[Finding]:
    for name, path in copies.items():
        if not path.is_dir():
            what = f"the copy of '{name}' is not at {path} any more"
            yield Finding("fault", what, f"`bench data add {name} PATH`, or `bench data forget {name}`")


def _packages(seen: Survey) -> Iterator[Finding]:
    for name, wanted in seen.pins.items():
        found = seen.packages.get(name) or _version(name)
        if found.partition("+")[0] != wanted:  # a local version (+cpu) is the same release
            what = f"{name} is {found}; constraints.txt pins {wanted}"
            advice = "`pip install -c constraints.txt -e .` where numbers are compared with those of others"
            yield Finding("repeatability", what, advice)


def _threads(seen: Survey) -> Iterator[Finding]:
    asked = seen.variables.get("OMP_NUM_THREADS", "")
    threads = max(seen.hardware["threads"], int(asked) if asked.isdecimal() else 0)
    usable = seen.cores if seen.quota is None else min(seen.cores, max(1, math.floor(seen.quota)))
    if threads > usable:
        what = f"{threads} threads share {usable} {'core' if usable == 1 else 'cores'}; they wait for each other"
        yield Finding("speed", what, f"set OMP_NUM_THREADS={usable}")
    if not asked:
        what = f"OMP_NUM_THREADS is not set: the number of threads (here {threads}) follows the machine"
        advice = f"set it, as OMP_NUM_THREADS={min(threads, usable)}, where numbers are to be the same to the bit"
        yield Finding("repeatability", what, advice)


def _gpus(seen: Accelerators) -> Iterator[Finding]:
    if not seen.usable:
        if seen.driver:
            what = "there is a GPU driver, but this torch cannot use it"
            yield Finding("speed", what, "install the build of torch for that GPU: https://pytorch.org/get-started")
        return
    if not seen.deterministic:
        what = "runs on a GPU: sums may be taken in another order each time, so that repeats differ in the last bits"
        advice = "compare such numbers within tolerances (`bench check` does), or check on CPU"
        yield Finding("repeatability", what, advice)
    if seen.tf32:
        what = "products of matrices or convolutions may use TF32, with 10 bits of mantissa"
        advice = "compare only with GPUs that do the same; NVIDIA_TF32_OVERRIDE=0 turns it off"
        yield Finding("repeatability", what, advice)
    if seen.benchmark:
        what = "cudnn.benchmark is on: kernels are chosen by time, so that repeats may differ"
        yield Finding("repeatability", what, "set torch.backends.cudnn.benchmark = False where it is switched on")


def _space(seen: Survey) -> Iterator[Finding]:
    for what, place in (("prepared data", seen.cache), ("results", seen.results)):
        if place.free < LEAST_DISK:
            told = f"{place.free / 2**30:.1f} GiB are free for {what} ({place.path})"
            yield Finding("space", told, "free some; BENCH_CACHE and BENCH_RESULTS move the two")
    if seen.memory is not None and seen.memory < LEAST_MEMORY:
        told = f"{seen.memory / 2**30:.1f} GiB of memory are available"
        yield Finding("space", told, "end other programs, or take smaller batches")


# ---- looking ----


def _specs(folders: Sequence[Path], faults: list[str]) -> dict[str, int]:
    """Folders of specs and how many each holds."""
    try:
        catalog = open_catalog(folders)
        entries = catalog.entries
    except SpecError as error:
        faults.extend(str(problem) for problem in error.problems)
        return {}
    except UsageError as error:
        faults.append(error.message)
        return {}
    faults.extend(str(problem) for problem in catalog.unreadable)
    return {
        str(folder): sum(entry.file.resolve().is_relative_to(folder) for entry in entries) for folder in catalog.folders
    }


def _copies(faults: list[str]) -> dict[str, Path]:
    """Copies that are remembered, and those under BENCH_DATA."""
    beside: dict[str, Path] = {}
    if under := os.environ.get("BENCH_DATA"):
        if Path(under).is_dir():
            beside = {path.name: path for path in sorted(Path(under).iterdir()) if path.is_dir()}
        else:
            faults.append(f"BENCH_DATA is {under}, which is not a folder")
    try:
        return beside | known_copies()
    except UsageError as error:
        faults.append(error.message)
        return beside


def _plug_in(package: str, point: EntryPoint) -> PlugIn:
    origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    if any(module.name == point.name for module in pkgutil.iter_modules(import_module(package).__path__)):
        return PlugIn(package, point.name, origin, "bench has one of that name itself, which is taken")
    try:
        load_part(package, point.name, "plug-in")
    except UsageError as error:
        return PlugIn(package, point.name, origin, error.message)
    return PlugIn(package, point.name, origin)


def _pins() -> dict[str, str]:
    file = Path(bench.__file__).resolve().parents[1] / "constraints.txt"
    return dict(PIN.findall(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _accelerators() -> Accelerators:
    import torch

    return Accelerators(
        usable=torch.cuda.is_available(),
        driver=shutil.which("nvidia-smi") is not None,
        tf32=torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        benchmark=torch.backends.cudnn.benchmark,
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    """Processors that the control group may keep busy (Linux, cgroup v2), or None where there is no such limit."""
    if not file.is_file():
        return None
    share, period = file.read_text(encoding="ascii").split()
    return None if share == "max" else int(share) / int(period)


def _available_memory() -> int | None:
    """Bytes that programs could still take; None where the system does not tell."""
    file = Path("/proc/meminfo")
    if not file.is_file():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _place(folder: Path) -> Place:
    standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return Place(folder, shutil.disk_usage(standing).free)
