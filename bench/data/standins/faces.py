"""Drawn faces for data sets of facial expressions and action units.

Every face has an expression and action units, whatever its data set annotates: the expression is drawn from
`prevalence`, each action unit from the relatedness row of that expression, and units outside the relatedness from
`background`. The image shows the action units only; what the data set does not annotate, or leaves out by its
missing pattern, is taken from the labels, not from the face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.drawing import faces as drawing
from bench.data.labels import MISSING, LabelTable, Names
from bench.data.standin import Chunk, StandInRequest
from bench.errors import did_you_mean
from bench.specs.components import read_options
from bench.specs.dataset import SPLITS, DatasetSpec, SplitName
from bench.specs.model import Frozen, Label, PositiveInt, Share
from bench.specs.relatedness import RelatednessSpec
from bench.specs.streams import stream
from bench.specs.task import TaskSpec

CODE = (Path(__file__), Path(drawing.__file__))
CHUNK = 1024


class Options(Frozen):
    """What a data set's faces are like."""

    prevalence: dict[Label, Share] = Field(min_length=1, description="Share of each expression; they sum to 1.")
    balanced: tuple[SplitName, ...] = Field(default=(), description="Splits in which expressions are equally frequent.")
    background: Share = Field(default=0.05, description="Probability of units outside the relatedness.")
    subjects: PositiveInt | None = Field(
        default=None, description="Number of people, each in one split only; left out: every face is another person."
    )
    missing: dict[Label, Share] = Field(
        default={}, description="By task: share of its labels (of its single units, if multilabel) not annotated."
    )


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> list[tuple[tuple[str | int, ...], str]]:
    """Problems of the options, each with its key path under `standin`."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    if relatedness is None:
        return [(("relatedness",), "faces are drawn from the probabilities of a relatedness; name one")]
    classes, second = tasks[relatedness.class_task], tasks[relatedness.second_task]
    for label in options.prevalence.keys() - set(classes.labels):
        near = did_you_mean(label, classes.labels)
        problems.append((("prevalence", label), f"task '{classes.name}' has no label '{label}'{near}"))
    if abs(sum(options.prevalence.values()) - 1) > 1e-6:
        problems.append((("prevalence",), f"shares must sum to 1 (here {sum(options.prevalence.values()):g})"))
    unknown = [label for label in second.labels if label not in drawing.ACTION_UNITS]
    if second.type != "multilabel" or unknown:
        problems.append((("relatedness",), f"faces show {', '.join(drawing.ACTION_UNITS)}; '{second.name}' has others"))
    for task in sorted(dataset.tasks.keys() - {classes.name, second.name}):
        problems.append((("name",), f"faces show '{classes.name}' and '{second.name}', not '{task}'"))
    for task in sorted(options.missing.keys() - dataset.tasks.keys()):
        near = did_you_mean(task, dataset.tasks)
        problems.append((("missing", task), f"the data set does not annotate '{task}'{near}"))
    if options.subjects is not None and options.subjects < len(SPLITS):
        problems.append((("subjects",), "every split needs a subject of its own: at least 3"))
    return problems


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the faces of one split."""
    return _people_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the faces of one split."""
    people = _people_of(request, split)
    for start in range(0, len(people.labels), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(people.labels)))
        pictures = drawing.draw_faces(
            people.units[rows], people.identities[rows], size=request.image_size, rng=people.rng
        )
        yield Chunk(pictures, people.labels.take(rows))


@dataclass(frozen=True)
class _People:
    """Labels of one split; units bool [n, units] that faces show; identities; the stream that goes on from there."""

    labels: LabelTable
    units: NDArray[np.bool_]
    identities: NDArray[np.float32]
    rng: np.random.Generator


def _people_of(request: StandInRequest, split: str) -> _People:
    options = read_options(Options, request.declared.options)
    name, count = request.dataset.name, request.images[split]
    rng = stream("standin", name, split)
    expressions, units = _draw_labels(request, options, split in options.balanced, count, rng)
    people, identities = _draw_people(options, name, split, count, rng)
    tasks = _annotated(request, options, expressions, units, rng)
    images = Names(f"{split}-{i:06d}" for i in range(count))
    groups = Names(f"s{person:04d}" if options.subjects else "" for person in people)
    table = LabelTable(images, np.full(count, SPLITS.index(split), np.int8), groups, tasks)
    return _People(table, units, identities, rng)


def _draw_labels(
    request: StandInRequest, options: Options, balanced: bool, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Expressions int32 [n] (task order) and units bool [n, units] (drawing order)."""
    relatedness = request.relatedness
    assert relatedness is not None  # see `check`
    labels = request.tasks[relatedness.class_task].labels
    shares = np.array([options.prevalence.get(label, 0.0) for label in labels])
    shares = (shares > 0).astype(float) if balanced else shares
    expressions = rng.choice(len(labels), size=count, p=shares / shares.sum()).astype(np.int32)
    rows = relatedness.probabilities or {}
    covered = set(relatedness.covered)
    table = np.array(
        [
            [rows[c].get(u, relatedness.unlisted) if u in covered else options.background for u in drawing.ACTION_UNITS]
            for c in labels
        ]
    )
    return expressions, rng.random((count, table.shape[1])) < table[expressions]


def _draw_people(
    options: Options, dataset: str, split: str, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Person of each face, and its identity [n, IDENTITY_SIZE]; subjects are dealt to splits in turn."""
    if options.subjects is None:
        return np.arange(count), drawing.draw_identities(count, rng)
    everyone = drawing.draw_identities(options.subjects, stream("standin", dataset, "subjects"))
    mine = _subjects_of(split, options.subjects)
    people = np.array(mine)[np.sort(rng.integers(len(mine), size=count))]
    return people, everyone[people]


def _subjects_of(split: str, subjects: int) -> Sequence[int]:
    """Half of the subjects train, a quarter each validates and tests, and at least one each."""
    place = SPLITS.index(split)
    quarter = max(subjects // 4, 1)
    bounds = (0, subjects - 2 * quarter, subjects - quarter, subjects)
    return range(bounds[place], bounds[place + 1])


def _annotated(
    request: StandInRequest,
    options: Options,
    expressions: NDArray[np.int32],
    units: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.int32] | NDArray[np.int8]]:
    """What the data set says of the faces: its tasks, its labels, minus its missing pattern."""
    found: dict[str, NDArray[np.int32] | NDArray[np.int8]] = {}
    for name, annotation in request.dataset.tasks.items():
        task, absent = request.tasks[name], options.missing.get(name, 0.0)
        known = annotation.annotated or task.labels
        if task.type == "multiclass":
            unknown = ~np.isin(expressions, [task.labels.index(label) for label in known])
            unknown |= rng.random(len(expressions)) < absent
            found[name] = np.where(unknown, MISSING, expressions).astype(np.int32)
            continue
        values = np.full((len(units), len(task.labels)), MISSING, dtype=np.int8)
        for label in known:
            values[:, task.labels.index(label)] = units[:, drawing.ACTION_UNITS.index(label)]
        values[rng.random(values.shape) < absent] = MISSING
        found[name] = values
    return found
