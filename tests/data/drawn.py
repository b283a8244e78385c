"""What the tests of stand-in generators share: requests, whole splits, and a linear reader of pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import bench
from bench.data.drawing import _brush
from bench.data.labels import LabelTable, joined
from bench.data.standin import StandInRequest, draw_split, generator_of
from bench.specs.catalog import Catalog
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.task import TaskSpec

CATALOG = Catalog([Path(bench.__file__).parents[1] / "tasks"])


def task(name, type, labels):
    """A task over some labels; how it is scored does not matter here."""
    return TaskSpec(name=name, title="T", type=type, labels=tuple(labels), metrics=("x",), primary="x", chance=0)


def request(generator, tasks, images=(40, 12, 20), size=16, *, known=None, name="drawn", source=None, **options):
    """A data set that annotates `tasks` (of each all labels, or those that `known` lists by task)."""
    annotations = {one.name: {} for one in tasks}
    for key, labels in (known or {}).items():
        annotations[key] = {"labels": list(labels)}
    spec = {
        "kind": "dataset",
        "name": name,
        "title": "Drawn",
        "domain": "things",
        "tasks": annotations,
        "standin": {"name": generator, "images": dict(zip(SPLITS, images, strict=True))} | options,
        "licence": "none",
        "home_page": "https://example.org/",
        "citation": "none",
    }
    if source is not None:
        spec["source"] = source
    dataset = DatasetSpec.model_validate_json(json.dumps(spec))
    return StandInRequest(dataset, {one.name: one for one in tasks}, None, size)


def whole(asked, split="train"):
    """Images and labels of a split."""
    chunks = list(draw_split(asked, split))
    return np.concatenate([chunk.images for chunk in chunks]), joined([chunk.labels for chunk in chunks])


def labels_of(asked, split="train") -> LabelTable:
    """Labels of a split, without drawing it."""
    return generator_of(asked)[0].labels(asked, split)


def problems(asked, relatedness=None):
    """What `check` says, as text."""
    module, options = generator_of(asked)
    found = module.check(options, asked.dataset, asked.tasks, relatedness)
    return [f"{'.'.join(map(str, path))}: {message}" for path, message in found]


def by_name(asked, table, name):
    """A task's labels by name: whole columns of attributes, or the rows of each class."""
    values = table.tasks[name]
    for place, label in enumerate(asked.tasks[name].labels):
        yield label, (values == place if values.ndim == 1 else values[:, place])


# -------------------------------------------------------------------------------------------------- the contract


def assert_draws_the_same(asked):
    """The same request gives the same pictures and labels, and `labels` gives those without drawing."""
    for split in SPLITS:
        (images, table), (again, other) = whole(asked, split), whole(asked, split)
        np.testing.assert_array_equal(images, again)
        assert table.fingerprint() == other.fingerprint() == labels_of(asked, split).fingerprint()
        assert images.shape == (asked.images[split], asked.image_size, asked.image_size, 3)
        assert images.dtype == np.uint8
        assert images.std() > 10
    assert len({whole(asked, split)[0][:5].tobytes() for split in SPLITS}) == len(SPLITS)


def assert_parts_leave_no_trace(asked, monkeypatch):
    """How many pictures are painted at once does not show."""
    images, _ = whole(asked)
    for pixels in (1, 3 * asked.image_size**2):
        monkeypatch.setattr(_brush, "_CHUNK_PIXELS", pixels)
        np.testing.assert_array_equal(whole(asked)[0], images)


def assert_names_decide(generator, tasks, **options):
    """Labels go by name: fewer of them, in another order, mean the same, and the pictures are the same."""
    asked = request(generator, tasks, images=(400, 12, 20), **options)
    images, table = whole(asked)
    turned = [task(one.name, one.type, one.labels[:1:-1]) for one in tasks]
    fewer = request(generator, turned, images=(400, 12, 20), **options)
    seen, other = whole(fewer)
    np.testing.assert_array_equal(images, seen)
    for one in tasks:
        before = dict(by_name(asked, table, one.name))
        for label, values in by_name(fewer, other, one.name):
            np.testing.assert_array_equal(values, before[label])


def assert_missing_labels_change_no_picture(generator, tasks, **options):
    """Labels are missing as declared, whatever they are, and nothing else is another."""
    asked = request(generator, tasks, images=(500, 12, 20), **options)
    images, table = whole(asked)
    gaps = request(generator, tasks, images=(500, 12, 20), missing={one.name: 0.4 for one in tasks}, **options)
    seen, other = whole(gaps)
    np.testing.assert_array_equal(images, seen)
    for one in tasks:
        values, left = table.tasks[one.name], other.tasks[one.name]
        assert (values >= 0).all()
        gone = left == -1
        assert 0.3 < gone.mean() < 0.5
        np.testing.assert_array_equal(left[~gone], values[~gone])
    for one in tasks:
        known = one.labels[1:3]
        some = request(generator, tasks, images=(500, 12, 20), known={one.name: known}, **options)
        for label, found in by_name(some, labels_of(some), one.name):
            assert (found != (False if one.type == "multiclass" else -1)).any() == (label in known)


# -------------------------------------------------------------------------------------------------- reading pictures


def inputs_of(images, side=24):
    """Pictures averaged down to `side` pixels, in -1..1, flattened, with a constant: [n, features]."""
    step = images.shape[1] // side
    small = images.reshape(len(images), side, step, side, step, 3).mean((2, 4)).reshape(len(images), -1)
    return np.concatenate([small / 127.5 - 1, np.ones((len(images), 1))], axis=1)


def ridge_scores(train, targets, test, weight=100.0):
    """Scores [n, outputs] of ridge regression on averaged pixels."""
    inputs, unseen = inputs_of(train), inputs_of(test)
    kernel = inputs @ inputs.T + weight * np.eye(len(inputs))
    return unseen @ (inputs.T @ np.linalg.solve(kernel, targets - targets.mean(0)))


def right_order(scores, truth):
    """Chance that a picture with the label scores higher than one without it (area under the ROC curve)."""
    ranks, positives = rankdata(scores), truth.sum()
    return (ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives))


def readable(asked):
    """How well a linear model reads unseen pictures: accuracy of classes, by label the right order of attributes."""
    (images, table), (unseen, other) = whole(asked, "train"), whole(asked, "test")
    accuracies, orders = {}, {}
    for name, values in table.tasks.items():
        truth = other.tasks[name]
        labels = asked.tasks[name].labels
        if values.ndim == 1:
            scores = ridge_scores(images, np.eye(len(labels))[values], unseen)
            accuracies[name] = float((scores.argmax(1) == truth).mean())
            continue
        scores = ridge_scores(images, values.astype(float), unseen)
        for place, label in enumerate(labels):
            if 15 <= truth[:, place].sum() <= len(truth) - 15:
                orders[label] = right_order(scores[:, place], truth[:, place] == 1)
    return accuracies, orders
