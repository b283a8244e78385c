"""Drawn birds for data sets of bird species and their attributes, as CUB-200-2011 is.

Every bird has a species and one value of each group of attributes (bill shape, wing colour, ...), whatever its data set
annotates. A table of the generator's own says how often each species has each attribute: its usual value of a group six
times of seven or so, any other otherwise. It belongs to the copy's name, and data sets over one copy share it. Species
are equally frequent in every split, and attributes are independent of each other given the species.

The image shows the attributes; the species shows in nothing else. What the data set does not annotate, or leaves out by
its missing pattern, is taken from the labels, not from the bird.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import birds as drawing
from bench.data.drawing.birds import ATTRIBUTES, COLOURS, GROUPS
from bench.data.labels import LabelTable
from bench.data.standin import Chunk, StandInRequest
from bench.data.standins import _chances, _splits, _vocabulary
from bench.data.standins._chances import chosen
from bench.data.standins._splits import chunks
from bench.data.standins._vocabulary import Missing, Problems, Vocabulary, label_table, problems_of
from bench.specs.components import read_options
from bench.specs.dataset import DatasetSpec
from bench.specs.model import Frozen
from bench.specs.relatedness import RelatednessSpec
from bench.specs.streams import stream
from bench.specs.task import TaskSpec

CODE = (Path(__file__), *drawing.CODE, *_chances.CODE, *_splits.CODE, *_vocabulary.CODE)

SPECIES = 200
"""Species in the table; those of a task are named in the order of its labels."""


class Options(Frozen):
    """What a data set says of its birds."""

    missing: Missing = {}


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> Problems:
    """Problems of the options, each with its key path under `standin`."""
    problems = problems_of("birds", _vocabularies(tasks, dataset.tasks), options.missing, dataset, tasks, relatedness)
    species = sorted(name for name in dataset.tasks if tasks[name].type == "multiclass")
    if len(species) > 1:
        problems.append((("name",), f"birds show one multiclass task, their species; here are {', '.join(species)}"))
    for name in species:
        if len(tasks[name].labels) != SPECIES:
            message = f"birds are of {SPECIES} species; '{name}' has {len(tasks[name].labels)} labels"
            problems.append((("name",), message))
    return problems


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the birds of one split."""
    return _flock_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the birds of one split."""
    flock = _flock_of(request, split)
    poses = drawing.draw_poses(len(flock.labels), flock.rng)

    def paint(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        return drawing.draw_birds(flock.values[rows], poses[rows], size=request.image_size, rng=flock.rng)

    return chunks(flock.labels, paint)


def table_of(copy_name: str) -> NDArray[np.float64]:
    """How often each species has each attribute: [SPECIES, len(ATTRIBUTES)]; each group sums to 1."""
    rng = stream("standin", copy_name, "table")
    usual = _usual_values(rng)
    table = np.empty((SPECIES, len(ATTRIBUTES)))
    for place, part in enumerate(_PARTS):
        constancy = rng.uniform(0.76, 0.94, size=(SPECIES, 1))
        others = rng.dirichlet(np.ones(part.stop - part.start), size=SPECIES)
        table[:, part] = (1 - constancy) * others
        table[np.arange(SPECIES), part.start + usual[:, place]] += constancy[:, 0]
    return table


# ------------------------------------------------------------------------------------------------- the table

_ENDS = tuple(accumulate(len(values) for values in GROUPS.values()))
_PARTS = tuple(slice(end - len(values), end) for end, values in zip(_ENDS, GROUPS.values(), strict=True))
"""Columns of each group."""

# How common colours are, roughly as among birds: browns, greys, black and white before all.
_PLUMAGE = {
    "blue": 6, "brown": 12, "iridescent": 3, "purple": 3, "rufous": 6, "grey": 12, "yellow": 8, "olive": 5,
    "green": 4, "pink": 3, "orange": 5, "black": 13, "white": 12, "red": 5, "buff": 9,
}  # fmt: skip
_BARE = {"black": 10, "grey": 8, "orange": 6, "yellow": 5, "red": 3, "brown": 3, "buff": 2, "pink": 2}
_EYES = {"black": 10, "brown": 5, "yellow": 5, "red": 3, "orange": 2, "white": 2}

# What stands out among the values of other groups; the rest weigh 1.
_COMMON: dict[str, dict[str, int]] = {
    "leg_color": _BARE,
    "bill_color": _BARE,
    "eye_color": _EYES,
    "shape": {"perching-like": 8, "gull-like": 2, "duck-like": 2},
    "bill_shape": {"all-purpose": 4, "cone": 3, "dagger": 2},
    "bill_length": {"shorter_than_head": 3},
    "head_pattern": {"plain": 5},
    **{group: {"solid": 4} for group, values in GROUPS.items() if values == drawing.PATTERNS},
}


def _usual_values(rng: np.random.Generator) -> NDArray[np.intp]:
    """The usual value of each group by species: [SPECIES, groups].

    The plumage of a species has three colours, of which the primary one is the most frequent.
    """
    weights = np.array([_PLUMAGE[colour] for colour in COLOURS], dtype=float)
    palettes = np.stack([rng.choice(len(COLOURS), 3, replace=False, p=weights / weights.sum()) for _ in range(SPECIES)])
    usual = np.empty((SPECIES, len(GROUPS)), dtype=np.intp)
    for place, (group, values) in enumerate(GROUPS.items()):
        if group == "primary_color":
            usual[:, place] = palettes[:, 0]
        elif values == tuple(COLOURS) and group not in _COMMON:
            usual[:, place] = palettes[np.arange(SPECIES), rng.choice(3, SPECIES, p=(0.45, 0.35, 0.20))]
        else:
            common = np.array([_COMMON.get(group, {}).get(value, 1) for value in values], dtype=float)
            usual[:, place] = rng.choice(len(values), SPECIES, p=common / common.sum())
    return usual


# ------------------------------------------------------------------------------------------------- the birds


@dataclass(frozen=True)
class _Flock:
    """Labels of one split; values int8 [n, groups] that birds show; the stream that goes on from there."""

    labels: LabelTable
    values: NDArray[np.int8]
    rng: np.random.Generator


def _flock_of(request: StandInRequest, split: str) -> _Flock:
    options = read_options(Options, request.declared.options)
    count = request.images[split]
    rng = stream("standin", request.dataset.name, split)
    rounds = -(-count // SPECIES)
    species = np.concatenate([rng.permutation(SPECIES) for _ in range(rounds)])[:count].astype(np.int32)
    values = _draw_values(table_of(request.dataset.copy_name), species, rng)
    present = np.zeros((count, len(ATTRIBUTES)), bool)
    present[np.arange(count)[:, None], values + np.array([part.start for part in _PARTS])] = True
    vocabularies = _vocabularies(request.tasks, request.dataset.tasks)
    drawn = {words: species if words.type == "multiclass" else present for words in vocabularies}
    # Which labels are missing comes from the stream of the pictures: poses and noise depend on what is annotated.
    table = label_table(request, split, [""] * count, drawn, options.missing, rng)
    return _Flock(table, values, rng)


def _vocabularies(tasks: Mapping[str, TaskSpec], names: Iterable[str]) -> tuple[Vocabulary, ...]:
    """The species, which have no names of their own, called as the tasks of that `names` do; and the attributes."""
    species = (Vocabulary("multiclass", tasks[name].labels) for name in names if tasks[name].type == "multiclass")
    return (*species, Vocabulary("multilabel", ATTRIBUTES))


def _draw_values(table: NDArray[np.float64], species: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int8]:
    """One value of each group for each bird: [n, groups]."""
    values = np.empty((len(species), len(_PARTS)), dtype=np.int8)
    for place, part in enumerate(_PARTS):
        values[:, place] = chosen(table[species, part], rng.random(len(species)))
    return values
