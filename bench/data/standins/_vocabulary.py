"""Which of the labels of a picture a task asks for, and what stays unsaid.

A generator draws everything it has a word for, whatever the data set annotates. A vocabulary is one list of such words;
a task is served by the first vocabulary of its type that holds all its labels, in any order and however few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.labels import MISSING, LabelTable, Names, TaskValues
from bench.data.standin import StandInRequest
from bench.errors import did_you_mean
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.model import Label, Share
from bench.specs.relatedness import RelatednessSpec
from bench.specs.streams import stream
from bench.specs.task import TaskSpec, TaskType

CODE = (Path(__file__),)

Missing = Annotated[
    dict[Label, Share],
    Field(description="By task: share of its labels (of its single ones, if multilabel) not annotated."),
]
Problems = list[tuple[tuple[str | int, ...], str]]
"""Key path under `standin`, and what is wrong there."""


@dataclass(frozen=True)
class Vocabulary:
    """Words for one side of a picture, and the type of the tasks that ask for them."""

    type: TaskType
    labels: tuple[str, ...]


def vocabulary_of(task: TaskSpec, vocabularies: Sequence[Vocabulary]) -> Vocabulary | None:
    """The vocabulary that serves a task."""
    fitting = (v for v in vocabularies if v.type == task.type and set(task.labels) <= set(v.labels))
    return next(fitting, None)


def problems_of(
    subject: str,
    vocabularies: Sequence[Vocabulary],
    missing: Mapping[str, float],
    dataset: DatasetSpec,
    tasks: Mapping[str, TaskSpec],
    relatedness: RelatednessSpec | None,
) -> Problems:
    """What `subject` (a generator with a table of its own, in words) cannot draw for a data set."""
    problems: Problems = []
    if relatedness is not None:
        problems.append((("relatedness",), f"{subject} follow a table of their own; leave the relatedness out"))
    for name in sorted(dataset.tasks):
        if vocabulary_of(tasks[name], vocabularies) is None:
            problems.append((("name",), _undrawn(subject, tasks[name], vocabularies)))
    return problems + problems_of_missing(missing, dataset)


def problems_of_missing(missing: Mapping[str, float], dataset: DatasetSpec) -> Problems:
    """Tasks whose labels are to be missing, and that the data set does not have."""
    unknown = sorted(missing.keys() - dataset.tasks.keys())
    return [
        (("missing", name), f"the data set does not annotate '{name}'{did_you_mean(name, dataset.tasks)}")
        for name in unknown
    ]


def _undrawn(subject: str, task: TaskSpec, vocabularies: Sequence[Vocabulary]) -> str:
    same_type = [vocabulary for vocabulary in vocabularies if vocabulary.type == task.type]
    if not same_type:
        return f"{subject} have no {task.type} labels, and '{task.name}' is {task.type}"
    nearest = max(same_type, key=lambda vocabulary: len(set(task.labels) & set(vocabulary.labels)))
    unknown = [label for label in task.labels if label not in nearest.labels]
    near = did_you_mean(unknown[0], nearest.labels)
    return f"{subject} do not show {len(unknown)} of the labels of '{task.name}': '{unknown[0]}'{near}"


def label_table(
    request: StandInRequest,
    split: str,
    groups: Sequence[str],
    drawn: Mapping[Vocabulary, NDArray[Any]],
    missing: Mapping[str, float],
    rng: np.random.Generator | None = None,
) -> LabelTable:
    """What the data set says of the pictures of one split: its tasks, its labels, minus its missing pattern.

    `drawn` holds, by vocabulary, the class of each picture (its place in the labels, [n]) or its attributes (bool
    [n, labels]). `missing` is the share, by task, of labels that are not annotated (of single ones if multilabel).
    Which ones, says `rng`; left out, a stream of each task's own, so that leaving labels out changes no picture.
    """
    count = len(groups)
    found: dict[str, TaskValues] = {}
    for name, annotation in request.dataset.tasks.items():
        task, absent = request.tasks[name], missing.get(name, 0.0)
        vocabulary = vocabulary_of(task, tuple(drawn))
        assert vocabulary is not None  # see `problems_of`
        values = _values_of(drawn[vocabulary], vocabulary, task, annotation.annotated or task.labels)
        chance = rng or stream("standin", request.dataset.name, split, "missing", name)
        values[chance.random(values.shape) < absent] = MISSING
        found[name] = values
    images = Names(f"{split}-{number:06d}" for number in range(count))
    return LabelTable(images, np.full(count, SPLITS.index(split), np.int8), Names(groups), found)


def _values_of(drawn: NDArray[Any], vocabulary: Vocabulary, task: TaskSpec, known: Sequence[str]) -> TaskValues:
    """Labels in the order of the task; what the data set does not know of is missing."""
    if task.type == "multiclass":
        places = np.full(len(vocabulary.labels), MISSING, np.int32)
        for label in known:
            places[vocabulary.labels.index(label)] = task.labels.index(label)
        classes: NDArray[np.int32] = places[drawn]
        return classes
    values = np.full((len(drawn), len(task.labels)), MISSING, np.int8)
    for label in known:
        values[:, task.labels.index(label)] = drawn[:, vocabulary.labels.index(label)]
    return values
