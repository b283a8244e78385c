"""A site of 10,000 generated records: seconds, memory and the weight of its pages.

Wanted: at most 30 s on two cores, under 1 GiB, no leaderboard page and no first page over 1 MB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
from comparison import write_report
from records import predictions, random_scores, record_of

from bench.runs.plan import plan
from bench.runs.records import RecordStore, predictions_table
from bench.specs.catalog import open_catalog
from bench.training.evaluation import all_scores

SEEDS = 29
SUITE = """
    kind: suite
    name: many
    title: A suite of ten thousand records
    datasets: [affectnet, raf_db, emotionet, disfa, bp4d]
    relatedness: [emotion_action_units]
    backbones: [{backbones}]
    methods: [{methods}]
    budget: quick
    margins: {{macro_f1: 0.02, mean_f1: 0.02}}
"""
BACKBONES = (
    "convnext_micro, convnext_tiny, densenet121, densenet_micro, efficientnet_b0, efficientnet_micro, "
    "mobilenetv3_small, resnet18, resnet50, resnet_micro, vit_micro, vit_small"
)
METHODS = (
    "single_task, pooled_single_task, multi_task, co_annotation, soft_co_annotation, distribution_matching, coupled, "
    "pseudo_labels, distillation, equal_weights, static_weights, uncertainty, dwa, rlw, gls, famo, upgrad, mgda, "
    "mgda_ub, pcgrad, nash_mtl, imtl_g, aligned_mtl"
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "specs").mkdir()
        text = textwrap.dedent(SUITE.format(backbones=BACKBONES, methods=METHODS))
        (root / "specs" / "many.yaml").write_text(text, "utf-8")
        count = generate(root)
        started = time.perf_counter()
        command = [sys.executable, "-m", "bench", "site", "build", "many", "--seeds", str(SEEDS)]
        places = ["--specs", str(root / "specs"), "--results", str(root / "results"), "--out", str(root / "site")]
        subprocess.run([*command, *places], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        seconds = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        pages = sorted((root / "site").rglob("*.html"), key=lambda file: -file.stat().st_size)
        first = (root / "site" / "index.html").stat().st_size
        board = (root / "site" / "many" / "index.html").stat().st_size
        weight = sum(file.stat().st_size for file in (root / "site").rglob("*") if file.is_file())
        rows = [
            "| measured | wanted | found |",
            "|---|---|---|",
            f"| records | 10,000 | {count:,} |",
            f"| seconds | at most 30 | {seconds:.1f} |",
            f"| seconds of processor time | | {used.ru_utime + used.ru_stime:.1f} |",
            f"| memory at most, MiB | under 1024 | {used.ru_maxrss / 1024:.0f} |",
            f"| first page, kB | at most 1000 | {first / 1000:.0f} |",
            f"| leaderboard page, kB | at most 1000 | {board / 1000:.0f} |",
            f"| heaviest page, kB | | {pages[0].stat().st_size / 1000:.0f} ({pages[0].relative_to(root / 'site')}) |",
            f"| pages | | {len(pages):,} |",
            f"| the whole site, MB | | {weight / 1e6:.0f} |",
        ]
    about = "`bench site build` of generated records, predictions for the first seed; `tests/performance/site.py`."
    write_report(Path("results/performance/site.md"), "The site of 10,000 records", about, rows)


def generate(root: Path) -> int:
    """Write a record of every planned run; predictions of the first seed."""
    store = RecordStore(root / "results")
    rng = np.random.default_rng(0)
    (one,) = plan(open_catalog([root / "specs"]), "many", seeds=SEEDS)
    stores = {name: preparation.prepare() for name, preparation in one.preparations.items()}
    for run in one.runs:
        made = predictions(run, stores, rng) if run.seed == 0 else []
        scores = {p.dataset: {p.task: all_scores(p, run.spec.task(p.task))} for p in made} or random_scores(run, rng)
        files = [
            (f"{p.dataset}.{p.task}.parquet", predictions_table(p.images, p.groups, p.scores, p.references))
            for p in made
        ]
        store.add(record_of(one, run, scores, rng), files)
    return len(one.runs)


if __name__ == "__main__":
    main()
