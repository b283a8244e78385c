"""Small data sets for tests: specs, copies on disk with real image files, and label tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from bench.data.labels import LabelTable
from bench.data.prepare import Preparation
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

KINDS = TaskSpec(
    name="kinds", title="Kinds", type="multiclass", labels=("cat", "dog"), metrics=("x",), primary="x", chance=0.5
)
PARTS = TaskSpec(
    name="parts", title="Parts", type="multilabel", labels=("ear", "tail", "paw"), metrics=("x",), primary="x", chance=0
)
TASKS = {"kinds": KINDS, "parts": PARTS}
OFFICIAL = {"official": {"train": "train", "val": "validation", "test": "test"}}
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def dataset(**changes):
    """A data set of `kinds` with official splits; `changes` replace top-level keys."""
    spec = {
        "kind": "dataset",
        "name": "pets",
        "title": "Pets",
        "domain": "animals",
        "tasks": {"kinds": {"column": "kind"}},
        "layout": {"name": "csv", "split": "split"},
        "splits": OFFICIAL,
        "licence": "none",
        "home_page": "https://example.org/",
        "citation": "none",
    }
    return DatasetSpec.model_validate_json(json.dumps(spec | changes))


def raw_table(count, **columns):
    """What a layout reads: image names, and the columns given (`kind` becomes `value:kind`)."""
    found = {"image": [f"images/{i:03d}.png" for i in range(count)]}
    for name, values in columns.items():
        found[name if name in ("image", "split", "group") else f"value:{name}"] = list(values)
    return pa.table({name: pa.array(values, pa.string()) for name, values in found.items()})


def label_table(counts=(4, 2, 2), *, start=0):
    """Labels of some images, so many in each split."""
    total = sum(counts)
    rng = np.random.default_rng(0)
    return LabelTable(
        images=np.array([f"images/{i + start:03d}.png" for i in range(total)]),
        splits=np.repeat(np.arange(3), counts).astype(np.int8),
        groups=np.array([f"g{i % 3}" if i else "" for i in range(total)]),
        tasks={
            "kinds": rng.integers(-1, 2, total).astype(np.int32),
            "parts": rng.integers(-1, 2, (total, 3)).astype(np.int8),
        },
    )


def assert_same_labels(found, expected):
    for name in ("images", "splits", "groups"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.tasks.keys() == expected.tasks.keys()
    for task, values in expected.tasks.items():
        assert found.tasks[task].dtype == values.dtype
        np.testing.assert_array_equal(found.tasks[task], values)


def picture(seed, height=24, width=20):
    """A random picture, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Copy:
    """A copy of the `pets` data set on disk: a table of labels and real image files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[dict[str, str]] = []
        (root / "images").mkdir(parents=True)

    def add(self, name, image=None, *, split="train", kind="cat", **columns):
        """Add a row, and its file if an image (array, PIL image or bytes) is given."""
        self.rows.append({"file": name, "split": split, "kind": kind} | columns)
        if image is not None:
            self.put(name, image)

    def put(self, name, image, **options):
        file = self.root / "images" / name
        if isinstance(image, bytes):
            file.write_bytes(image)
        else:
            (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, **options)

    def fill(self, count, *, start=0):
        """Add ordinary images, in turn to every split."""
        for i in range(start, start + count):
            self.add(
                f"{i:04d}.png", picture(i), split=("train", "train", "val", "test")[i % 4], kind=("cat", "dog")[i % 2]
            )
        return self

    def write(self):
        with (self.root / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return self

    def preparation(self, size=16, **changes):
        """How the copy becomes a store, once its table is written."""
        self.write()
        return Preparation(dataset(**changes), TASKS, size, self.root)
