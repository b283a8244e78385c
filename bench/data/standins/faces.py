"""Drawn faces for data sets of facial expressions and action units.

Every face has an expression and action units, whatever its data set annotates: the expression is drawn from
`prevalence`, each action unit from the relatedness row of that expression, and units outside the relatedness from
`background`. The image shows the action units only; what the data set does not annotate, or leaves out by its
missing pattern, is taken from the labels, not from the face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.drawing import faces as drawing
from bench.data.labels import LabelTable
from bench.data.standin import Chunk, StandInRequest
from bench.data.standins import _splits, _vocabulary
from bench.data.standins._splits import chunks, people_in
from bench.data.standins._vocabulary import Missing, Problems, Vocabulary, label_table, problems_of_missing
from bench.errors import did_you_mean
from bench.specs.components import read_options
from bench.specs.dataset import SPLITS, DatasetSpec, SplitName
from bench.specs.model import Frozen, Label, PositiveInt, Share
from bench.specs.relatedness import RelatednessSpec
from bench.specs.streams import stream
from bench.specs.task import TaskSpec

CODE = (Path(__file__), *drawing.CODE, *_splits.CODE, *_vocabulary.CODE)

UNITS = Vocabulary("multilabel", drawing.ACTION_UNITS)


class Options(Frozen):
    """What a data set's faces are like."""

    prevalence: dict[Label, Share] = Field(min_length=1, description="Share of each expression; they sum to 1.")
    balanced: tuple[SplitName, ...] = Field(default=(), description="Splits in which expressions are equally frequent.")
    background: Share = Field(default=0.05, description="Probability of units outside the relatedness.")
    subjects: PositiveInt | None = Field(
        default=None, description="Number of people, each in one split only; left out: every face is another person."
    )
    missing: Missing = {}


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> Problems:
    """Problems of the options, each with its key path under `standin`."""
    problems: Problems = []
    if relatedness is None:
        return [(("relatedness",), "faces are drawn from the probabilities of a relatedness; name one")]
    classes, second = tasks[relatedness.first_task], tasks[relatedness.second_task]
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
    problems += problems_of_missing(options.missing, dataset)
    if options.subjects is not None and options.subjects < len(SPLITS):
        problems.append((("subjects",), "every split needs a subject of its own: at least 3"))
    return problems


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the faces of one split."""
    return _people_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the faces of one split."""
    people = _people_of(request, split)

    def paint(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        units, identities = people.units[rows], people.identities[rows]
        return drawing.draw_faces(units, identities, size=request.image_size, rng=people.rng)

    return chunks(people.labels, paint)


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
    groups = [f"s{person:04d}" if options.subjects else "" for person in people]
    assert request.relatedness is not None  # see `check`
    classes = Vocabulary("multiclass", request.tasks[request.relatedness.first_task].labels)
    # Which labels are missing comes from the stream of the pictures: nuisances depend on what is annotated.
    table = label_table(request, split, groups, {classes: expressions, UNITS: units}, options.missing, rng)
    return _People(table, units, identities, rng)


def _draw_labels(
    request: StandInRequest, options: Options, balanced: bool, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Expressions int32 [n] (task order) and units bool [n, units] (drawing order)."""
    relatedness = request.relatedness
    assert relatedness is not None  # see `check`
    labels = request.tasks[relatedness.first_task].labels
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
    mine = people_in(split, options.subjects)
    people = mine[np.sort(rng.integers(len(mine), size=count))]
    return people, everyone[people]
