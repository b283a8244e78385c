"""How cost grows: `make growth` writes results/performance/growth.md.

Time and memory at three sizes each, every measurement in a process of its own, less what a hundredth or so of the
smallest size costs; from these the exponent of growth, by least squares of the logarithms. 1 is linear, 0 is no growth.
Memory is what the system counts as resident at the peak. Differences too small to be told from noise are not fitted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from comparison import write_report
from declared import declared, prepared
from PIL import Image
from records import random_scores, record_of
from scale import write_copy

from bench.data.batches import SourceData
from bench.runs.plan import plan
from bench.runs.records import RecordStore
from bench.specs.catalog import open_catalog
from bench.training.loop import train

LINEAR = 1.1
LEAST_SECONDS, LEAST_MEBIBYTES, LEAST_PART = 0.05, 8.0, 0.05
"""Smaller growth from the first size to the last is noise, and so is that part of the fixed cost."""
STEPS = 24
BUDGET = """
    kind: budget
    name: brief
    title: Some steps
    steps: {steps}
    seeds: 1
    image_size: 16
    batch: {{size: 64}}
    optimizer: {{name: adamw, learning_rate: 1e-3}}
    checkpoint_every: 100000
"""
DATASET = """
    kind: dataset
    name: {name}
    title: Many
    domain: animals
    source: many
    tasks: {{{tasks}}}
    layout: {{name: csv, split: split, group: owner}}
    splits: {{official: {{train: train, test: test}}, carve_validation: 0.1, by: group}}
    licence: none needed
    home_page: https://example.org/
    citation: none
"""
TASK = """
    kind: task
    name: {name}
    title: Kinds
    type: multiclass
    labels: [cat, dog]
    metrics: [accuracy]
    primary: accuracy
    chance: 0.5
"""
SUITE = """
    kind: suite
    name: measured
    title: What is measured
    datasets: [{datasets}]
    backbones: [resnet_micro]
    methods: [{methods}]
    budget: brief
    margins: {{accuracy: 0.02}}
"""
FACES = """
    kind: suite
    name: measured
    title: What is measured
    datasets: [affectnet, raf_db, emotionet, disfa, bp4d]
    relatedness: [emotion_action_units]
    backbones: [{backbones}]
    methods: [single_task, {methods}]
    budget: quick
    margins: {{macro_f1: 0.02, mean_f1: 0.02}}
"""
METHOD = """
    kind: method
    name: weighed_{i}
    title: Weights number {i}
    type: joint
    terms:
      - name: supervised
    balancer:
      name: static
      weights: {{expression: {weight}, action_units: 1}}
"""


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB at the peak of one thing that was done."""

    seconds: float
    mebibytes: float


def images(count: int) -> dict[str, Cost]:
    """Preparing so many small images, and a training of two steps on them with validation and test."""
    specs = {
        "brief": BUDGET.format(steps=2),
        "kinds": TASK.format(name="kinds"),
        "many": DATASET.format(name="many", tasks="kinds: {column: kind}").replace("    source: many\n", ""),
        "measured": SUITE.format(datasets="many", methods="single_task"),
    }
    with declared(specs) as root:
        copy = root / "data" / "many"
        copy.mkdir()
        write_copy(copy, count)
        one, seconds = prepared(root, "measured")
        found = {"preparing": Cost(seconds, own_peak())}
        run = one.runs[0].spec
        started = time.perf_counter()
        stores = {name: preparation.open() for name, preparation in one.preparations.items()}
        sources = [SourceData(source, stores[source.dataset]) for source in run.sources]
        first: list[float] = []
        made = train(
            run,
            sources,
            checkpoint=root / "checkpoint",
            checkpoint_every=10**9,
            progress=lambda done, total: first.append(time.perf_counter() - started),
        )
        found["from opening a store to the first step's end"] = Cost(first[0], own_peak())
        found["validation and test"] = Cost(made.seconds["validation"] + made.seconds["test"], own_peak())
    return found


def tasks(count: int) -> dict[str, Cost]:
    """Planning and training steps with so many tasks on one data set; the batch is always the same."""
    names = [f"kinds_{i}" for i in range(count)]
    specs = {
        "many": DATASET.format(name="many", tasks=", ".join(f"{n}: {{column: {n}}}" for n in names)).replace(
            "    source: many\n", ""
        ),
        "measured": SUITE.format(datasets="many", methods="single_task, multi_task"),
    }
    return _joint(specs, names, names)


def datasets(count: int) -> dict[str, Cost]:
    """Planning and training steps with so many data sets of one task; the batch is always the same."""
    names = [f"part_{i}" for i in range(count)]
    specs = {name: DATASET.format(name=name, tasks="kinds: {}").replace("{}", "{column: kinds}") for name in names}
    specs |= {"measured": SUITE.format(datasets=", ".join(names), methods="single_task, multi_task")}
    return _joint(specs, ["kinds"], ["kinds"])


def _joint(specs: Mapping[str, str], task_names: Sequence[str], columns: Sequence[str]) -> dict[str, Cost]:
    every = {"brief": BUDGET.format(steps=STEPS)} | {name: TASK.format(name=name) for name in task_names} | dict(specs)
    with declared(every) as root:
        write_labelled(root / "data" / "many", columns)
        one, _ = prepared(root, "measured")
        started = time.perf_counter()
        one = plan(open_catalog([root / "specs"]), "measured")[0]
        found = {"planning": Cost(time.perf_counter() - started, own_peak())}
        run = next(run.spec for run in one.runs if run.method == "multi_task")
        stores = {name: preparation.open() for name, preparation in one.preparations.items()}
        sources = [SourceData(source, stores[source.dataset]) for source in run.sources]
        made = train(run, sources, checkpoint=root / "checkpoint", checkpoint_every=10**9)
        found[f"{STEPS} joint steps"] = Cost(made.seconds["train"], own_peak())
    return found


def write_labelled(folder: Path, columns: Sequence[str], count: int = 640) -> None:
    """A list of images with so many columns of labels."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    pixels = rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    rows = [f"file,split,owner,{','.join(columns)}"]
    for i in range(count):
        Image.fromarray(pixels[i]).save(folder / "images" / f"{i}.png")
        split = "test" if i % 10 == 0 else "train"
        kinds = ",".join(("cat", "dog")[kind] for kind in rng.integers(0, 2, len(columns)))
        rows.append(f"{i}.png,{split},{split}{i},{kinds}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def methods(count: int) -> dict[str, Cost]:
    """Plan, verdicts and leaderboard of so many methods over ten seeds of two backbones."""
    return _told(["resnet_micro", "efficientnet_micro"], count, 10, ("plan", "transfer", "leaderboard"))


def records(count: int) -> dict[str, Cost]:
    """State and leaderboard of about so many records: seeds of twins and eleven methods with five backbones."""
    backbones = ["resnet_micro", "efficientnet_micro", "densenet_micro", "convnext_micro", "vit_micro"]
    return _told(backbones, 11, max(count // (16 * len(backbones)), 2), ("status", "leaderboard"))


def _told(backbones: Sequence[str], count: int, seeds: int, commands: Sequence[str]) -> dict[str, Cost]:
    names = [f"weighed_{i}" for i in range(count)]
    specs = {name: METHOD.format(i=i, weight=1 + i / 100) for i, name in enumerate(names)}
    specs["measured"] = FACES.format(backbones=", ".join(backbones), methods=", ".join(names))
    with declared(specs) as root:
        generate_records(root, seeds)
        return {
            f"bench {name}, seconds of the processor": command(name, "measured", "--seeds", str(seeds))
            for name in commands
        }


def generate_records(root: Path, seeds: int) -> None:
    """A record without predictions of every run of the suite."""
    store, rng = RecordStore(root / "results"), np.random.default_rng(0)
    (one,) = plan(open_catalog([root / "specs"]), "measured", seeds=seeds)
    for preparation in one.preparations.values():
        preparation.prepare()
    for run in one.runs:
        store.add(record_of(one, run, random_scores(run, rng), rng))


def command(*arguments: str) -> Cost:
    """What a command of bench takes of the processor, its start included; a clock would tell what else runs, too."""
    process = subprocess.Popen([sys.executable, "-m", "bench", *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def own_peak() -> float:
    """The most memory that this process had resident, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True)
class Growth:
    """What grows with what: a small size to subtract, three sizes to look at, and a smaller set of them for a trial."""

    measure: Callable[[int], dict[str, Cost]]
    small: int
    sizes: tuple[int, int, int]
    trial: tuple[int, int, int]


GROWTHS = {
    "images": Growth(images, 500, (8_000, 32_000, 128_000), (1_000, 2_000, 4_000)),
    "tasks": Growth(tasks, 1, (2, 8, 32), (2, 3, 4)),
    "datasets": Growth(datasets, 1, (2, 8, 32), (2, 3, 4)),
    "methods": Growth(methods, 1, (3, 12, 48), (2, 3, 4)),
    "records": Growth(records, 80, (1_280, 5_120, 20_480), (160, 240, 320)),
}


def judged(sizes: Sequence[int], costs: Sequence[float], fixed: float, least: float) -> str:
    """The slope of log(cost - fixed) over log(size) in words; bold where it is more than linear."""
    if costs[-1] - costs[0] < least + LEAST_PART * fixed:
        return "hardly any"
    added = np.array(costs) - fixed
    if (added <= 0).any():
        return "not fitted: a size cost less than the small one"
    slope = float(np.polyfit(np.log(sizes), np.log(added), 1)[0])
    return f"{slope:.2f}" if slope <= LINEAR else f"**{slope:.2f}**"


def measured_apart(name: str, size: int) -> dict[str, Cost]:
    """One measurement, in a process of its own."""
    with tempfile.NamedTemporaryFile() as answer:
        call = [sys.executable, __file__, "--one", name, "--size", str(size), "--answer", answer.name]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        told = json.loads(Path(answer.name).read_text(encoding="utf-8"))
    return {part: Cost(*cost) for part, cost in told.items()}


def rows_of(name: str, sizes: tuple[int, int, int], repeats: int) -> list[str]:
    """Rows of the table about one thing that grows; of repeats the quickest counts."""
    growth = GROWTHS[name]
    found = {}
    for size in (growth.small, *sizes):
        costs = [measured_apart(name, size) for _ in range(repeats)]
        found[size] = {
            part: Cost(min(cost[part].seconds for cost in costs), min(cost[part].mebibytes for cost in costs))
            for part in costs[0]
        }
    rows = []
    for part, fixed in found[growth.small].items():
        costs = [found[size][part] for size in sizes]
        seconds, memory = [cost.seconds for cost in costs], [cost.mebibytes for cost in costs]
        rows.append(
            f"| {name}: {part} | {' / '.join(f'{size:,}' for size in (growth.small, *sizes))} "
            f"| {' / '.join(f'{value:.2f}' for value in (fixed.seconds, *seconds))} "
            f"| {judged(sizes, seconds, fixed.seconds, LEAST_SECONDS)} "
            f"| {' / '.join(f'{value:,.0f}' for value in (fixed.mebibytes, *memory))} "
            f"| {judged(sizes, memory, fixed.mebibytes, LEAST_MEBIBYTES)} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=GROWTHS, action="append", help="one of the things that grow")
    parser.add_argument("--trial", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("results/performance/growth.md"))
    parser.add_argument("--one", choices=GROWTHS, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        made = GROWTHS[arguments.one].measure(arguments.size)
        told = {part: (cost.seconds, cost.mebibytes) for part, cost in made.items()}
        arguments.answer.write_text(json.dumps(told), encoding="utf-8")
        return
    rows = []
    for name in arguments.only or GROWTHS:
        growth = GROWTHS[name]
        rows += rows_of(name, growth.trial if arguments.trial else growth.sizes, arguments.repeats)
        print(*rows, sep="\n", file=sys.stderr)
    write_report(
        arguments.out,
        "Growth of cost",
        f"Made by `make growth`: the quickest of {arguments.repeats} processes of one thread at each size, the first a "
        f"small one whose cost is subtracted; exponents above {LINEAR} are bold: more than linear.",
        ["| what | sizes | seconds | exponent | MiB at the peak | exponent |", "|---|---|---|---|---|---|", *rows],
    )


if __name__ == "__main__":
    main()
