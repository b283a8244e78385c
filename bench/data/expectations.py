"""Whether a copy holds what the literature says of it, asserted before anything is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from bench.data.labels import LabelTable, groups_by_split, label_counts
from bench.data.readers import CopyLabels
from bench.errors import DataError
from bench.specs.dataset import SPLITS, DatasetSpec, Expected
from bench.specs.task import TaskSpec

ANY = "any"
MOST_SAID = 6


def expected_of(dataset: DatasetSpec, variant: str) -> Expected | None:
    """What the spec expects of a variant of the copy."""
    return dataset.expected.get(variant) or dataset.expected.get(ANY)


def refuse_unexpected(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], found: CopyLabels) -> None:
    """Compare the label files with `expected`. Raises `DataError` that says every difference."""
    expected = expected_of(dataset, found.variant)
    if expected is None:
        return
    names = {task: tasks[task].labels for task in expected.labels if task in tasks}
    differences = list(_differences(expected, found.labelled.official, names))
    if differences:
        more = len(differences) - MOST_SAID
        listed = "; ".join(differences[:MOST_SAID]) + (f"; and {more} more differences" if more > 0 else "")
        raise DataError(
            f"data set '{dataset.name}': {found.copy} (variant '{found.variant}') is not as expected: {listed}; "
            f"the expected figures are from {expected.source}",
            hint=_override(dataset, found.variant),
        )


def refuse_unexpected_sizes(dataset: DatasetSpec, found: CopyLabels, sizes: Counter[str]) -> None:
    """Raises `DataError` if most of the images are not as large as `expected.pixels` says; `sizes` as `20 x 24`."""
    expected = expected_of(dataset, found.variant)
    if expected is None or expected.pixels is None:
        return
    wanted = "{} x {}".format(*expected.pixels)
    if sizes[wanted] * 2 >= sizes.total():
        return
    size, count = sizes.most_common(1)[0]
    raise DataError(
        f"data set '{dataset.name}': {found.copy} (variant '{found.variant}') has images of {size} pixels "
        f"({count} of {sizes.total()}), expected {wanted} ({expected.source})",
        hint=_override(dataset, found.variant),
    )


def _override(dataset: DatasetSpec, variant: str) -> str:
    return (
        f"check the copy; if it is right, write a dataset spec with `extends: {dataset.name}` and an `expected` of its "
        f"own for '{variant}', and give its folder with --specs"
    )


def _differences(expected: Expected, found: LabelTable, names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    counts = found.counts()
    counts["all"] = len(found)
    for split, count in expected.images.items():
        if counts[split] != count:
            yield f"{counts[split]} {_of(split)} instead of {count}"
    labelled = label_counts(found, names)
    for task, by_split in expected.labels.items():
        for split, by_label in by_split.items() if task in labelled else ():
            for label, count in by_label.items():
                parts = SPLITS if split == "all" else (split,)
                seen = sum(labelled[task][part].get(label, 0) for part in parts)
                if seen != count:
                    yield f"{task}: {seen} {_of(split)} of '{label}' instead of {count}"
    table, groups = groups_by_split(found)
    if expected.groups is not None and len(groups) != expected.groups:
        yield f"{len(groups)} groups (subjects, products or films) instead of {expected.groups}"
    shared = np.flatnonzero((table > 0).sum(1) > 1)
    if expected.disjoint_groups and len(shared):
        yield f"{len(shared)} groups stand in more than one split, such as '{groups[int(shared[0])]}'"


def _of(split: str) -> str:
    return "images" if split == "all" else f"{split} images"
