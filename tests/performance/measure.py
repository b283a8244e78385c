"""Benchmarks as ratios: `make perf` runs them all and writes results/performance/measured.md.

Each compares two ways of doing the same in one process, in turn, so that a noisy machine strikes both; medians of the
repeats are reported with their spread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from balancers import AGGREGATORS, balancing
from comparison import Measured, in_turn, write_report
from coupling import SUITES, coupling
from intervals import CLUSTERS, bootstrapping
from joblib import Parallel, delayed
from jobs import jobs
from numpy.lib.format import open_memmap
from photographs import write_photographs
from probe import cost
from training import evaluation_throughput, training_throughput

from bench.data.augmentation import augment, draw_changes
from bench.data.batches import Batches, SourceData
from bench.data.decode import CHUNK, Sources, Target, cores, decode
from bench.data.drawing.faces import ACTION_UNITS, draw_faces, draw_identities
from bench.data.labels import LabelTable, Names
from bench.data.store import open_store, write_store
from bench.models._timm import has_compiled_operators
from bench.runs.plan import PlannedRun, SuitePlan, plan
from bench.specs.budget import Augmentation
from bench.specs.catalog import open_catalog
from bench.training.feed import fed
from bench.training.labelling import label
from bench.training.loop import make_accelerator
from bench.training.processes import Processes
from bench.training.teachers import teaching

TRAINED = (("resnet_micro", 64), ("resnet_micro", 32), ("efficientnet_micro", 32))
DRAWN = 10_000
PEER_DRAWN = 300
PHOTOGRAPHS = 200
DECODED = 6000
MANY = 100_000


def gathering(repeats: int) -> Measured:
    """Gathering a batch from the store against indexing the memory-mapped array itself."""
    one, _ = _joint_run("resnet_micro")
    store = next(iter(one.preparations.values())).prepare()
    raw = np.load(store.folder / "images.npy", mmap_mode="r")
    rng = np.random.default_rng(0)
    batches = [rng.permutation(len(raw))[:64] for _ in range(400)]

    def timed(gather: Callable[[np.ndarray], np.ndarray]) -> float:
        started = time.perf_counter()
        for rows in batches:
            gather(rows)
        return time.perf_counter() - started

    name = "gathering: store / raw memory map, 64 images"
    return Measured(
        name, "at least 0.90", in_turn(lambda: timed(store.gather), lambda: timed(raw.__getitem__), repeats), ""
    )


def first_batch(repeats: int, count: int = MANY, size: int = 64) -> Measured:
    """Seconds from opening a prepared store of many images until the first batch is on the device, labels and all."""
    catalog = open_catalog()
    run = next(run.spec for run in plan(catalog, "faces", seeds=1)[0].runs if run.method == "single_task")
    run = run.model_copy(update={"recipe": run.recipe.model_copy(update={"image_size": size})})
    (about,), (task,) = run.sources, run.tasks
    accelerator = make_accelerator("float32")
    processes = Processes.of(accelerator)
    with tempfile.TemporaryDirectory() as name:
        (work := Path(name) / "work").mkdir()
        images = open_memmap(work / "images.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3))
        images[:] = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        images.flush()
        splits = np.where(np.arange(count) % 10 < 2, np.arange(count) % 10 + 1, 0).astype(np.int8)
        classes = (np.arange(count) % len(task.labels)).astype(np.int32)
        names = Names(f"{i}.png" for i in range(count))
        write_store(
            Path(name) / "store", images=work / "images.npy",
            labels=LabelTable(names, splits, Names([""] * count), {task.name: classes}),
            dataset=about.dataset, image_size=size, label_names={task.name: task.labels}, standin=None,
        )  # fmt: skip

        def opened() -> float:
            started = time.perf_counter()
            sources = [SourceData(about, open_store(Path(name) / "store"))]
            labelling = label(run, sources, teaching(run, sources, {}, accelerator))
            batches = Batches.over(sources, labelling.rows, run.recipe.augmentation, size, run.seed)
            with closing(fed(batches, labelling, range(1), accelerator.device, processes)) as feed:
                next(feed)
                if accelerator.device.type == "cuda":
                    torch.cuda.synchronize()
            return time.perf_counter() - started

        opened()
        seconds = [opened() for _ in range(repeats)]
    name = (
        f"seconds from opening a store of {count:,} images of {size} px to the first batch on {accelerator.device.type}"
    )
    return Measured(name, "under 0.50", seconds, "its pages are in memory")


def drawing(repeats: int) -> Measured:
    """Drawing stand-in faces against drawing the same number one at a time (a chunk of one)."""
    rng = np.random.default_rng(0)
    units = rng.random((DRAWN, len(ACTION_UNITS))) < 0.3
    people = draw_identities(DRAWN, rng)
    seconds: list[float] = []

    def together() -> float:
        started = time.perf_counter()
        draw_faces(units, people, size=64, rng=np.random.default_rng(0))
        seconds.append(time.perf_counter() - started)
        return seconds[-1]

    def one_by_one() -> float:
        started = time.perf_counter()
        for i in range(PEER_DRAWN):
            draw_faces(units[i : i + 1], people[i : i + 1], size=64, rng=np.random.default_rng(i))
        return (time.perf_counter() - started) * DRAWN / PEER_DRAWN

    ratios = in_turn(together, one_by_one, repeats)
    note = f"{DRAWN:,} faces of 64 px in {statistics.median(seconds):.1f} s (wanted: at most 20 s)"
    return Measured("drawing: one at a time / in chunks, seconds", "above 1", ratios, note)


def augmentation(repeats: int) -> Measured:
    """Batched augmentation against the same by torchvision, image by image."""
    has_compiled_operators()  # lets torchvision be imported beside a CPU build of torch
    from torchvision.transforms.v2 import functional as tv

    settings = Augmentation(shift=0.06, flip=True, color=0.2)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (64, 64, 64, 3), dtype=np.uint8))
    mean, std = torch.full((3,), 0.5), torch.full((3,), 0.25)
    changes = draw_changes(settings, 64, 64, rng)

    def ours() -> float:
        started = time.perf_counter()
        augment(images, changes, mean, std, color=True)
        return time.perf_counter() - started

    def theirs() -> float:
        started = time.perf_counter()
        for i, image in enumerate(images.permute(0, 3, 1, 2)):
            moved = tv.crop(tv.pad(image, [4] * 4, padding_mode="reflect"), 4, 4, 64, 64)
            moved = tv.to_dtype(tv.horizontal_flip(moved), torch.float32, scale=True)
            for change, factor in ((tv.adjust_brightness, changes.brightness), (tv.adjust_contrast, changes.contrast)):
                moved = change(moved, float(factor[i]))
            tv.normalize(tv.adjust_saturation(moved, float(changes.saturation[i])), [0.5] * 3, [0.25] * 3)
        return time.perf_counter() - started

    return Measured(
        "augmenting 64 images of 64 px: torchvision one by one / bench, seconds",
        "above 1",
        in_turn(ours, theirs, repeats),
        "",
    )


def decoding(size: int, shape: tuple[int, int], repeats: int) -> Measured:
    """Preparing photographs against a bare loop of libjpeg-turbo at the same of its scales, in as many processes."""
    width, height = max(shape), min(shape)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_photographs([root / f"{i}.jpg" for i in range(PHOTOGRAPHS)], width, height)
        names = [f"{i % PHOTOGRAPHS}.jpg" for i in range(DECODED)]
        pixels = open_memmap(root / "pixels.npy", mode="w+", dtype=np.uint8, shape=(DECODED, size, size, 3))
        target = Target(root / "pixels.npy", pixels.offset, size)
        rates: list[float] = []

        def ours() -> float:
            started = time.perf_counter()
            for piece in decode(Sources(root, Names(names)), range(DECODED), target):
                assert not piece.refused
            rates.append(DECODED / (time.perf_counter() - started))
            return time.perf_counter() - started

        def theirs() -> float:
            started = time.perf_counter()
            pieces = [names[start : start + CHUNK] for start in range(0, DECODED, CHUNK)]
            Parallel(n_jobs=cores(), batch_size=1)(delayed(_bare_decoding)(str(root), piece, size) for piece in pieces)
            return time.perf_counter() - started

        kilobytes = sum(file.stat().st_size for file in root.glob("*.jpg")) / PHOTOGRAPHS / 1000
        ratios = in_turn(ours, theirs, repeats)
    return Measured(
        f"preparing JPEG of {width} x {height} at {size} px: bench / bare decoding loop",
        "at least 0.80",
        ratios,
        f"{kilobytes:.0f} kB each, {statistics.median(rates):,.0f} images/s in {cores()} processes",
    )


def _bare_decoding(root: str, names: list[str], size: int) -> None:
    for name in names:
        with open(f"{root}/{name}", "rb") as stream:  # noqa: PTH123 - as one would write it to be fast
            simplejpeg.decode_jpeg(stream.read(), "RGB", min_width=size, min_height=size)


def peers(python: str, repeats: int) -> list[Measured]:
    """The comparisons of peers.py, made where LibMTL, transformers and Lightning are installed.

    That is a place of their own: where transformers is, evaluate imports it, and every start of bench takes longer.
    """
    command = [python, str(Path(__file__).parent / "peers.py"), "--repeats", str(repeats), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return [Measured(**told) for told in json.loads(done.stdout.splitlines()[-1])]


def _joint_run(backbone: str) -> tuple[SuitePlan, PlannedRun]:
    one = plan(open_catalog(), "faces", only=[backbone])[0]
    return one, next(run for run in one.runs if run.method == "multi_task")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("results/performance/measured.md"))
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the extra `peers`")
    arguments = parser.parse_args()
    measured = [
        *peers(arguments.peers, arguments.repeats),
        *(training_throughput(backbone, size, arguments.repeats) for backbone, size in TRAINED),
        *(evaluation_throughput(backbone, size, arguments.repeats) for backbone, size in TRAINED),
        *(coupling(suite, arguments.repeats) for suite in SUITES),
        *(balancing("test_resnet", name, arguments.repeats) for name in AGGREGATORS),
        *(cost("resnet_micro", method, arguments.repeats) for method in ("multi_task", "distribution_matching")),
        *(bootstrapping(clusters, 5) for clusters in CLUSTERS),
        *jobs(),
        gathering(arguments.repeats),
        first_batch(arguments.repeats),
        augmentation(arguments.repeats),
        drawing(max(arguments.repeats // 2, 1)),
        *(decoding(size, shape, arguments.repeats) for shape in ((500, 375), (218, 178)) for size in (64, 224)),
    ]
    write_report(
        arguments.out,
        "Measured ratios",
        "Made by `make perf`: medians of interleaved repeats in one process; above 1 is faster than the peer.",
        ["| what | wanted | median | range | |", "|---|---|---|---|---|", *(one.row for one in measured)],
    )


if __name__ == "__main__":
    main()
