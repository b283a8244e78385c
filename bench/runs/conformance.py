"""Whether specs do what they say: a made-up copy or a stand-in is drawn, read, and trained on for a few steps.

A local copy of a data set, if there is one, has its labels read. A data set whose layout can name made-up rows
(`bench.data.layouts`) is then tried through its own codes, columns and splits,
on files that the layout writes; any other by a small stand-in. The training is that of `bench run`, in a process and
folders of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from bench.data.copies import find_copy
from bench.data.labels import LabelTable, columns_of, groups_by_split
from bench.data.readers import LAYOUTS, read_labels
from bench.errors import BenchError, Problem
from bench.runs.check import standin_relatedness
from bench.runs.records import Record, read_record
from bench.specs.catalog import Catalog
from bench.specs.components import load_part, read_options
from bench.specs.dataset import Annotation, DatasetSpec, Shares, Splits
from bench.specs.document import Document
from bench.specs.suite import SuiteSpec
from bench.specs.task import TaskSpec

IMAGES = 48
"""Images of the made-up copy that each split of the files has."""
IN_GROUP = 4
STEPS = 4
TIMEOUT = 300
COPY, STANDIN = "a made-up copy", "a stand-in"
"""What a trial is made on."""
PLACEHOLDERS = ("example.org", "example.com", "example.net")
"""Hosts that are nobody's (RFC 2606)."""


@dataclass(frozen=True)
class Trial:
    """What came of one data set or suite: how it was tried (blank: it could not be, see `why`), and the scores.

    `scores` are values by `dataset/task/metric/method`; `problems` say what is wrong, with places.
    """

    kind: str
    name: str
    by: str
    why: str
    scores: Mapping[str, float]
    problems: tuple[Problem, ...]


def try_dataset(catalog: Catalog, dataset: DatasetSpec) -> Trial:
    """Try a data set that is right as a spec: what is stated of it, its labels, its groups, and a short training."""
    document = catalog.document("dataset", dataset.name)
    problems = _stated(dataset, document)
    tasks = {name: catalog.get(TaskSpec, name) for name in dataset.tasks}
    real = find_copy(dataset.copy_name)
    if real is not None and dataset.layout is not None:
        problems += _read(dataset, tasks, real, document, str(real))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        world = _World(Path(folder))
        by = _drawn(catalog, dataset, world)
        if not by:
            why = "it has no stand-in, and its layout cannot name made-up images"
            return Trial("dataset", dataset.name, "", why, {}, tuple(problems))
        if by == COPY:
            problems += _read(dataset, tasks, world.copies / dataset.name, document, COPY)
        world.add_suite(catalog, [dataset], None)
        scores, failures = world.run(catalog)
    return Trial("dataset", dataset.name, by, "", scores, (*problems, *(document.problem((), f) for f in failures)))


def try_suite(catalog: Catalog, suite: SuiteSpec) -> Trial:
    """Try the methods and backbones of a suite together, on made-up copies or on stand-ins of all its data sets."""
    document = catalog.document("suite", suite.name)
    datasets = [catalog.get(DatasetSpec, name) for name in suite.datasets]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        world = _World(Path(folder))
        ways = {name: _drawn(catalog, one, world) for name, one in zip(suite.datasets, datasets, strict=True)}
        if len({*ways.values()}) != 1 or "" in ways.values():
            told = ", ".join(f"{name}: {way or 'none'}" for name, way in ways.items()) or "it includes others"
            return Trial("suite", suite.name, "", f"its data sets cannot be made up in one way ({told})", {}, ())
        world.add_suite(catalog, datasets, suite)
        scores, failures = world.run(catalog)
    by = next(iter(ways.values()))
    return Trial("suite", suite.name, by, "", scores, tuple(document.problem((), told) for told in failures))


def _stated(dataset: DatasetSpec, document: Document) -> list[Problem]:
    """What a reader of results must find: a licence, a home page and a citation that are no placeholders."""
    problems = []
    if dataset.licence.strip().lower().startswith(("unknown", "todo", "tbd", "?")):
        problems.append(document.problem(("licence",), "is not stated yet; say under which licence images are given"))
    host = urlsplit(dataset.home_page).hostname or ""
    if host.removeprefix("www.") in PLACEHOLDERS:
        problems.append(document.problem(("home_page",), f"{host} is a placeholder; give the page of the data set"))
    citation = dataset.citation.strip()
    if citation != "none" and not re.match(r"@\w+\s*\{", citation):
        problems.append(
            document.problem(("citation",), "is not BibTeX (`@article{...}`); `none` says that there is none")
        )
    return problems


def _read(
    dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], copy: Path, document: Document, said: str
) -> list[Problem]:
    """Whether the codes of a copy map to labels, and its splits divide no group; `said` is what the copy is called."""
    try:
        return _leaks(read_labels(dataset, tasks, copy).labels, dataset.splits, document)
    except BenchError as error:
        return [document.problem(("layout",), error.message.replace(str(copy), said))]


def _leaks(labels: LabelTable, splits: Splits | None, document: Document) -> list[Problem]:
    """Groups that the splits divide, unless the spec says itself that images are what is divided."""
    assert splits is not None  # a layout needs splits
    counts, names = groups_by_split(labels)
    divided = [name for name, row in zip(names, counts, strict=True) if (row > 0).sum() > 1]
    if not divided or (("splits", "by") in document.values and splits.by == "image"):
        return []
    mend = "divide anew by `shares` with `by: group`" if splits.official or splits.folds else "say `by: group`"
    message = (
        f"groups stand in several splits ({len(divided):,}, such as {divided[0]!r}), so that what is tested on was "
        f"trained on; {mend}, or say `by: image` where that is the protocol"
    )
    return [document.problem(("splits",), message)]


def _drawn(catalog: Catalog, dataset: DatasetSpec, world: _World) -> str:
    """Write a made-up copy, or a spec of a small stand-in; says which, blank where neither can be."""
    layout = None if dataset.layout is None else load_part(LAYOUTS, dataset.layout.name, "layout")
    if layout is not None and dataset.layout is not None and hasattr(layout, "named"):
        options = read_options(layout.Options, dataset.layout.options)
        tasks = {name: catalog.get(TaskSpec, name) for name in dataset.tasks}
        rows = layout.named(made_up_rows(dataset, tasks), options)
        copy = world.copies / dataset.name
        copy.mkdir(parents=True)
        layout.write(copy, rows, options, layout.VARIANTS[0])
        world.add(f"as_{dataset.name}"[:64], dataset, {"source": dataset.name, "expected": {}})
        return COPY
    if dataset.standin is None:
        return ""
    relatedness = standin_relatedness(catalog, dataset)
    small = dataset.standin.model_dump(mode="json", exclude_none=True)
    small |= {"images": {"train": IMAGES, "validation": IMAGES // 2, "test": IMAGES // 2}}
    if relatedness is not None:
        small["relatedness"] = relatedness.name
    world.add(f"as_{dataset.name}"[:64], dataset, {"source": dataset.copy_name, "standin": small})
    return STANDIN


def made_up_rows(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> pa.Table:
    """Rows with split, group and a code for each column; every code that the spec knows occurs in every split."""
    assert dataset.splits is not None  # a layout needs splits
    codes: dict[str, list[str]] = {}
    for name, annotation in dataset.tasks.items():
        for column, found in _codes(annotation, tasks[name]).items():
            shared = [code for code in codes.get(column, found) if code in found]
            codes[column] = shared or found
    splits = list(dataset.splits.official or ("a", "b", "c"))
    count = max(_enough(dataset.splits), *(2 * len(found) for found in codes.values()))
    rows: dict[str, list[str]] = {name: [] for name in ("split", "group", *(f"value:{column}" for column in codes))}
    for place, split in enumerate(splits):
        for number in range(count):
            rows["split"].append(split)
            rows["group"].append(_group(dataset.splits, place * count + number))
            for shift, (column, found) in enumerate(codes.items()):
                # Attributes of one image differ, yet what is not annotated is so for all: a list has no half.
                blank = "" in found and number % 12 == 11
                known = [code for code in found if code] or [""]
                rows[f"value:{column}"].append(
                    "" if blank else known[(number + number // len(known) * shift) % len(known)]
                )
    return pa.table({name: pa.array(values, pa.string()) for name, values in rows.items()})


def _enough(splits: Splits) -> int:
    """Rows of each split of the files, so many that no part taken by chance stays empty (but once in 20,000)."""
    parts = [share for share in (splits.shares or Shares(train=1, validation=0, test=0)).model_dump().values() if share]
    parts += [splits.carve_validation] if splits.carve_validation else []
    return max(IMAGES, math.ceil(10 / min(parts)) * _group_size(splits) if min(parts) < 1 else 0)


def _group_size(splits: Splits) -> int:
    return max(IN_GROUP, splits.least_per_group or 0)


def _codes(annotation: Annotation, task: TaskSpec) -> dict[str, list[str]]:
    """Codes by column, those that mean that nothing is known among them."""
    plain = ("1", "0") if task.type == "multilabel" else (annotation.labels or task.labels)
    codes = [*(annotation.codes or plain), *annotation.missing]
    columns = [annotation.column] if task.type == "multiclass" else columns_of(annotation, task).values()
    return {column: codes for column in columns if column is not None}


def _group(splits: Splits, number: int) -> str:
    """The group of a made-up row: one of a fold, or of a few rows that follow each other."""
    if splits.folds is not None:
        members = [group for fold in splits.folds.values() for group in fold]
        return members[number % len(members)]
    return f"g{number // _group_size(splits)}"


@dataclass(frozen=True)
class _World:
    """Folders of a trial: specs, copies, results, and all that `bench` keeps."""

    root: Path

    @property
    def specs(self) -> Path:
        return self.root / "specs"

    @property
    def copies(self) -> Path:
        return self.root / "copies"

    def add(self, name: str, dataset: DatasetSpec, changes: Mapping[str, Any]) -> None:
        """A data set that is another but for some keys."""
        about = {"kind": "dataset", "name": name, "title": "A trial", "extends": dataset.name}
        self._write(name, about | dict(changes))

    def add_suite(self, catalog: Catalog, datasets: Sequence[DatasetSpec], suite: SuiteSpec | None) -> None:
        """The suite of the trial: a given one on its made-up data sets, or each task alone."""
        names = [f"as_{dataset.name}"[:64] for dataset in datasets]
        tasks = dict.fromkeys(task for dataset in datasets for task in dataset.tasks)
        size = max(64, 8 * len(datasets))
        self._write(
            "trial_budget",
            {
                "kind": "budget",
                "name": "trial_budget",
                "title": "A trial",
                "steps": STEPS,
                "seeds": 1,
                "image_size": 32,
                "batch": {"size": size, "least": 4},
                "optimizer": {"name": "adamw", "learning_rate": 1e-3},
            },
        )
        matrix: dict[str, Any] = {
            "kind": "suite",
            "name": "trial_suite",
            "title": "A trial",
            "datasets": names,
            "backbones": ["resnet_micro"],
            "methods": ["single_task"],
            "budget": "trial_budget",
            "margins": {catalog.get(TaskSpec, task).primary: 0.02 for task in tasks},
        }
        if suite is not None:
            given = {"backbones": suite.backbones, "methods": suite.methods, "relatedness": suite.relatedness}
            matrix |= {key: list(value) for key, value in given.items() if value}
            matrix |= {"tasks": list(suite.tasks)} if suite.tasks else {}
        self._write("trial_suite", matrix)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        self.specs.mkdir(exist_ok=True)
        (self.specs / f"{name}.yaml").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    def run(self, catalog: Catalog) -> tuple[dict[str, float], list[str]]:
        """Train in a process of its own. Returns finite scores, and what went wrong in words."""
        folders = [str(folder) for folder in (*catalog.folders, self.specs)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("BENCH_", "GITHUB_"))}
        environment |= {
            "BENCH_CACHE": str(self.root / "cache"),
            "BENCH_CONFIG": str(self.root / "config"),
            "BENCH_DATA": str(self.copies),
            "BENCH_RESULTS": str(self.root / "results"),
            "BENCH_SPECS": os.pathsep.join(folders),
        }
        command = [sys.executable, "-m", "bench", "run", "--suite", "trial_suite"]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            return {}, [f"a trial of {STEPS} steps did not end within {TIMEOUT} seconds"]
        records = [read_record(file.parent) for file in sorted(self.root.glob("results/runs/[a-z]*/*/record.json"))]
        scores, failures = _scores(records)
        if done.returncode != 0 and not failures:
            error = done.stderr.partition("error: ")[2] or done.stderr.strip().rpartition("\n")[2]
            failures = [f"a trial of {STEPS} steps failed: {error.partition('what to do:')[0].strip()}"]
        return scores, failures


def _scores(records: Iterable[Record]) -> tuple[dict[str, float], list[str]]:
    found: dict[str, float] = {}
    failures = []
    for record in records:
        if record.failure is not None:
            failures.append(f"a trial of '{record.run.method}' failed: {record.failure.message}")
        for dataset, tasks in record.scores.items():
            for task, metrics in tasks.items():
                for metric, score in metrics.items():
                    key = f"{dataset.removeprefix('as_')}/{task}/{metric}/{record.run.method}"
                    if score.value is None or not math.isfinite(score.value):
                        failures.append(f"{key} is not defined on made-up test images")
                    else:
                        found[key] = score.value
    return found, failures
