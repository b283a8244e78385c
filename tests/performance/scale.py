"""What preparing, opening and auditing cost at the size of the largest data sets: `make scale` writes
results/performance/scale.md.

A list of a million rows reuses a few photographs by hard links; pixels are small, so that what is measured is what
grows with the number of rows. Memory is the peak of the main process and of its largest worker, as the system counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from comparison import write_report
from numpy.lib.format import open_memmap
from PIL import Image

from bench.data.audit import Audited, audit
from bench.data.decode import cores
from bench.data.labels import LabelTable, Names
from bench.data.prepare import Preparation
from bench.data.store import open_store, write_store
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

LINKS = 20_000
"""Hard links to one file; file systems allow some 65,000."""
SIZE = 16
TASK = TaskSpec(
    name="kinds", title="Kinds", type="multiclass", labels=("cat", "dog"), metrics=("x",), primary="x", chance=0.5
)


def dataset() -> DatasetSpec:
    """A data set of a csv file, split and grouped."""
    return DatasetSpec.model_validate(
        {
            "name": "many",
            "title": "Many",
            "domain": "animals",
            "tasks": {"kinds": {"column": "kind"}},
            "layout": {"name": "csv", "split": "split", "group": "owner"},
            "splits": {"official": {"train": "train", "test": "test"}, "carve_validation": 0.1, "by": "group"},
            "licence": "none",
            "home_page": "https://example.org/",
            "citation": "none",
        }
    )


def write_copy(root: Path, count: int) -> None:
    """A list of `count` rows over few photographs."""
    rng = np.random.default_rng(0)
    with (root / "labels.csv").open("w") as table:
        table.write("file,split,owner,kind\n")
        for start in range(0, count, LINKS):
            folder = root / "images" / f"{start // LINKS:04d}"
            folder.mkdir(parents=True)
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            coarse.resize((48, 48)).save(folder / "0.jpg")
            for i in range(start, min(start + LINKS, count)):
                if i > start:
                    os.link(folder / "0.jpg", folder / f"{i - start}.jpg")
                split = "test" if i % 10 == 0 else "train"
                table.write(f"{folder.name}/{i - start}.jpg,{split},{split}{i % 997},{('cat', 'dog')[i % 2]}\n")


def _peak(process: int) -> float:
    """The most memory that a process had resident, in MiB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _children() -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False)
    return [process for process in map(int, found.stdout.split()) if Path(f"/proc/{process}/status").exists()]


def prepare_and_open(count: int) -> list[str]:
    """Rows of the report on preparing and opening a list of that length."""
    with tempfile.TemporaryDirectory() as folder:
        root, os.environ["BENCH_CACHE"] = Path(folder) / "copy", f"{folder}/cache"
        root.mkdir()
        write_copy(root, count)
        preparation = Preparation(dataset(), {"kinds": TASK}, SIZE, root)
        started = time.perf_counter()
        preparation.prepare()
        seconds = time.perf_counter() - started
        own, worker = _peak(os.getpid()), max(map(_peak, _children()), default=0.0)
        opening = []
        for _ in range(7):
            started = time.perf_counter()
            store = open_store(preparation.folder)
            rows = store.rows("train")
            assert store.gather(rows[:64]).any() and store.labels.tasks["kinds"][rows[-1]] >= 0
            assert len(store.labels) == count and store.labels.images[count - 1]
            opening.append(time.perf_counter() - started)
    return [
        f"| preparing a list of {count:,} rows | under 1,024 MiB | {own:,.0f} MiB and {worker:,.0f} MiB in each of "
        f"{cores()} workers | {seconds:,.0f} s, {count / seconds:,.0f} images/s |",
        f"| opening its store, first batch included | under 0.2 s | {np.median(opening):.3f} s | "
        f"{min(opening):.3f} - {max(opening):.3f} s |",
    ]


def audit_many(count: int) -> list[str]:
    """A row of the report on auditing so many images, a hundred of them planted in two splits."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        images = open_memmap(work / "images.npy", mode="w+", dtype=np.uint8, shape=(count, 64, 64, 3))
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            images[i] = np.asarray(coarse.resize((64, 64), Image.Resampling.BILINEAR))
        images[-100:] = images[:100]
        images.flush()
        del images
        splits = np.zeros(count, np.int8)
        splits[int(count * 0.8) :], splits[int(count * 0.9) :] = 1, 2
        kinds = (np.arange(count) % 2).astype(np.int32)
        table = LabelTable(Names(f"{i}.png" for i in range(count)), splits, Names([""] * count), {"kinds": kinds})
        write_store(
            Path(folder) / "store", images=work / "images.npy", labels=table, dataset="many", image_size=64,
            label_names={"kinds": ("cat", "dog")}, standin=None,
        )  # fmt: skip
        started = time.perf_counter()
        found = audit([Audited(dataset(), open_store(Path(folder) / "store"))])["many"].findings
        seconds = time.perf_counter() - started
    told = ", ".join(f"{finding.count} {finding.what}" for finding in found)
    return [f"| auditing {count:,} images of 64 px | minutes | {seconds:,.0f} s | found {told} (100 planted) |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--audited", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path("results/performance/scale.md"))
    arguments = parser.parse_args()
    write_report(
        arguments.out,
        "Data at scale",
        "Made by `make scale`: one run each; memory is what the system counts as resident at the peak.",
        [
            "| what | wanted | measured | |",
            "|---|---|---|---|",
            *prepare_and_open(arguments.rows),
            *audit_many(arguments.audited),
        ],
    )


if __name__ == "__main__":
    main()
