"""Drawn portraits for data sets like CelebA: forty attributes by their official names, and whose face it is.

A person has a stable look: proportions, skin, sex, age, hair, and all features that do not change from day to day. What
changes has for each person a probability of its own: smiling, glasses, make-up, beards, hats, jewels. People are drawn
once for each copy's name, attributes about as frequent and as correlated as in life, so that data sets over one copy
show the same people.

People are called "1", "2", ... In the closed-set protocol all people are in all splits, otherwise each person is in one
split only; who they are can be told in the closed set alone. The group is the person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.drawing import portraits as drawing
from bench.data.labels import LabelTable
from bench.data.standin import Chunk, StandInRequest
from bench.data.standins import _splits, _vocabulary
from bench.data.standins._splits import chunks, people_in
from bench.data.standins._vocabulary import Missing, Problems, Vocabulary, label_table, problems_of, vocabulary_of
from bench.specs.components import read_options
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.model import Frozen
from bench.specs.relatedness import RelatednessSpec
from bench.specs.streams import stream
from bench.specs.task import MOST_LABELS, TaskSpec

CODE = (Path(__file__), *drawing.CODE, *_splits.CODE, *_vocabulary.CODE)

IDENTITIES = Vocabulary("multiclass", tuple(str(number) for number in range(1, MOST_LABELS + 1)))
ATTRIBUTES = Vocabulary("multilabel", drawing.ATTRIBUTES)
VOCABULARIES = (IDENTITIES, ATTRIBUTES)
_PLACES = {name: place for place, name in enumerate(drawing.ATTRIBUTES)}

_MEN = 0.42
# All further shares are of women, young and older, and of men, young and older; about those of CelebA.
_Shares = tuple[float, float, float, float]
_YOUNG = (0.86, 0.66)  # of women, of men
_LOOKS: dict[str, _Shares] = {
    "Arched_Eyebrows": (0.50, 0.35, 0.06, 0.05),
    "Attractive": (0.72, 0.35, 0.45, 0.15),
    "Bags_Under_Eyes": (0.08, 0.32, 0.22, 0.50),
    "Bald": (0.00, 0.00, 0.04, 0.22),
    "Big_Lips": (0.34, 0.20, 0.18, 0.12),
    "Big_Nose": (0.08, 0.20, 0.35, 0.55),
    "Bushy_Eyebrows": (0.06, 0.05, 0.30, 0.25),
    "Chubby": (0.03, 0.12, 0.07, 0.24),
    "Double_Chin": (0.02, 0.12, 0.05, 0.26),
    "High_Cheekbones": (0.58, 0.50, 0.30, 0.30),
    "Narrow_Eyes": (0.10, 0.15, 0.12, 0.20),
    "Oval_Face": (0.38, 0.20, 0.22, 0.15),
    "Pale_Skin": (0.09, 0.06, 0.03, 0.03),
    "Pointy_Nose": (0.40, 0.30, 0.15, 0.15),
    "Receding_Hairline": (0.04, 0.10, 0.07, 0.35),
}
# Of those who are not bald.
_HAIR_COLOURS: dict[str, _Shares] = {
    "Black_Hair": (0.28, 0.14, 0.38, 0.16),
    "Blond_Hair": (0.26, 0.24, 0.07, 0.05),
    "Brown_Hair": (0.32, 0.22, 0.32, 0.16),
    "Gray_Hair": (0.00, 0.26, 0.02, 0.48),
}
_HAIR_STYLES: dict[str, _Shares] = {
    "Straight_Hair": (0.26, 0.28, 0.24, 0.24),
    "Wavy_Hair": (0.48, 0.38, 0.18, 0.12),
}
# Means over people; each person's own probability lies around them.
_HABITS: dict[str, _Shares] = {
    "Bangs": (0.22, 0.15, 0.08, 0.03),
    "Blurry": (0.05, 0.05, 0.05, 0.05),
    "Eyeglasses": (0.04, 0.14, 0.07, 0.25),
    "Heavy_Makeup": (0.62, 0.35, 0.00, 0.00),
    "Rosy_Cheeks": (0.14, 0.08, 0.01, 0.01),
    "Smiling": (0.54, 0.52, 0.40, 0.42),
    "Wearing_Earrings": (0.35, 0.35, 0.03, 0.02),
    "Wearing_Hat": (0.04, 0.03, 0.10, 0.06),
    "Wearing_Necklace": (0.22, 0.25, 0.03, 0.02),
    "Wearing_Necktie": (0.00, 0.00, 0.08, 0.25),
    "Sideburns": (0.00, 0.00, 0.16, 0.13),
    "Goatee": (0.00, 0.00, 0.16, 0.14),
    "Mustache": (0.00, 0.00, 0.11, 0.12),
    "5_o_Clock_Shadow": (0.00, 0.00, 0.30, 0.22),
}
# What hangs on something else in the picture.
_FULL_BEARD = 0.10  # of men without goatee and moustache
_LIPSTICK_WITH_MAKEUP, _LIPSTICK_WITHOUT = 0.93, 0.25  # of women
_OPEN_WITH_SMILE, _OPEN_WITHOUT = 0.68, 0.28


class Options(Frozen):
    """What a data set's portraits are like."""

    people: Annotated[int, Field(ge=len(SPLITS), le=MOST_LABELS)] = Field(
        default=40, description="Number of people; data sets over one copy show the first so many of the same."
    )
    closed_set: bool | None = Field(
        default=None,
        description="Whether all people are in all splits; left out: if the data set annotates who they are.",
    )
    missing: Missing = {}


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> Problems:
    """Problems of the options, each with its key path under `standin`."""
    problems = problems_of("portraits", VOCABULARIES, options.missing, dataset, tasks, relatedness)
    if options.closed_set is False and not problems and _names_people(dataset, tasks):
        problems.append((("closed_set",), "who somebody is can be learned in the closed set alone: leave this out"))
    return problems


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the portraits of one split."""
    return _portraits_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the portraits of one split."""
    portraits = _portraits_of(request, split)

    def paint(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        attributes, people = portraits.attributes[rows], portraits.people[rows]
        return drawing.draw_portraits(attributes, people, size=request.image_size, rng=portraits.rng)

    return chunks(portraits.labels, paint)


@dataclass(frozen=True)
class People:
    """Some people.

    `looks`: float32 [people, `drawing.PERSON_SIZE`]; `attributes`: bool [people, 40], those that never change;
    `habits`: by name of the others, the probability [people] that a picture of the person shows them.
    """

    looks: NDArray[np.float32]
    attributes: NDArray[np.bool_]
    habits: dict[str, NDArray[np.float64]]


def people_of(copy_name: str, count: int) -> People:
    """The first people of a copy: the same whatever the number, for all data sets over the copy."""
    each = [_person(stream("standin", copy_name, "person", number)) for number in range(count)]
    habits = {name: np.array([person.habits[name][0] for person in each]) for name in _HABITS}
    looks = np.concatenate([person.looks for person in each])
    return People(looks, np.concatenate([person.attributes for person in each]), habits)


def _person(rng: np.random.Generator) -> People:
    attributes = np.zeros((1, len(drawing.ATTRIBUTES)), bool)

    def has(name: str, holds: bool) -> bool:
        attributes[0, _PLACES[name]] = holds
        return holds

    male = has("Male", rng.random() < _MEN)
    young = has("Young", rng.random() < _YOUNG[male])
    kind = 2 * male + (not young)
    for name, shares in _LOOKS.items():
        has(name, rng.random() < shares[kind])
    for names in (_HAIR_COLOURS, _HAIR_STYLES):
        bounds = np.cumsum([shares[kind] for shares in names.values()])
        chosen = int((rng.random() > bounds).sum())
        if chosen < len(names) and not attributes[0, _PLACES["Bald"]]:
            has(list(names)[chosen], True)
    habits = {name: np.array([_own(shares[kind], rng.normal())]) for name, shares in _HABITS.items()}
    if attributes[0, _PLACES["Bald"]]:
        habits["Bangs"][:] = 0
    return People(drawing.draw_people(1, rng), attributes, habits)


def _own(mean: float, deviation: float) -> float:
    """A probability whose odds are those of `mean` times e to the `deviation`; 0 stays 0."""
    odds = mean / (1 - mean) * np.exp(deviation)
    return float(odds / (1 + odds))


@dataclass(frozen=True)
class _Portraits:
    """Portraits of one split as `drawing.draw_portraits` takes them, with labels and the stream that goes on."""

    labels: LabelTable
    attributes: NDArray[np.bool_]
    people: NDArray[np.float32]
    rng: np.random.Generator


def _portraits_of(request: StandInRequest, split: str) -> _Portraits:
    options = read_options(Options, request.declared.options)
    count = request.images[split]
    rng = stream("standin", request.dataset.name, split)
    everyone = people_of(request.dataset.copy_name, options.people)
    closed = _names_people(request.dataset, request.tasks) if options.closed_set is None else options.closed_set
    present = np.arange(options.people) if closed else people_in(split, options.people)
    person = present[np.sort(rng.integers(len(present), size=count))]
    attributes = _draw_attributes(everyone, person, rng)
    drawn = {IDENTITIES: person, ATTRIBUTES: attributes}
    groups = [IDENTITIES.labels[number] for number in person]
    table = label_table(request, split, groups, drawn, options.missing)
    return _Portraits(table, attributes, everyone.looks[person], rng)


def _names_people(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec]) -> bool:
    return any(vocabulary_of(tasks[name], VOCABULARIES) is IDENTITIES for name in dataset.tasks)


def _draw_attributes(people: People, person: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Attributes bool [n, 40]: what is the person's own, what is so today, and what hangs on these."""
    found = people.attributes[person]
    for name, chances in people.habits.items():
        found[:, _PLACES[name]] = rng.random(len(person)) < chances[person]
    beard, lips, mouth = rng.random((3, len(person)))

    def of(name: str) -> NDArray[np.bool_]:
        column: NDArray[np.bool_] = found[:, _PLACES[name]]
        return column

    some_beard = of("Goatee") | of("Mustache")
    full = of("Male") & ~some_beard & (beard < _FULL_BEARD)
    of("No_Beard")[:] = ~(some_beard | full)
    of("5_o_Clock_Shadow")[:] &= of("No_Beard")
    painted = np.where(of("Heavy_Makeup"), _LIPSTICK_WITH_MAKEUP, _LIPSTICK_WITHOUT)
    of("Wearing_Lipstick")[:] = ~of("Male") & (lips < painted)
    of("Mouth_Slightly_Open")[:] = mouth < np.where(of("Smiling"), _OPEN_WITH_SMILE, _OPEN_WITHOUT)
    return found
