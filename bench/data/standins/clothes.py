"""Drawn clothes for data sets like the Clothing Attributes Dataset: categories, and attributes by name.

Every garment has a category, and one or two colours, a pattern, sleeves, a neckline and further parts that garments of
its category usually have. How often, is drawn once for each copy's name, around what one sees in the street. Categories
are equally frequent. The picture shows all of it. Who wears the clothes is not known, so there are no groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import clothes as drawing
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

CATEGORIES = Vocabulary("multiclass", drawing.CATEGORIES)
ATTRIBUTES = Vocabulary("multilabel", drawing.ATTRIBUTES)
VOCABULARIES = (CATEGORIES, ATTRIBUTES)

_STRAY = 0.10  # part of the garments that have any value of a family, whatever is usual
# How many garments have a second colour: with a pattern, and without.
_SECOND_COLOUR, _TWO_PLAIN_COLOURS = 0.8, 0.08

# What is usual: colours, pattern, sleeves and neckline, each value two thirds as frequent as the one before.
_USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "shirt": (
        ("white", "blue", "red", "gray", "green"), ("pattern_plaid", "pattern_solid", "pattern_stripe"),
        ("long sleeves", "short sleeves"), ("v-shape neckline", "other neckline"),
    ),
    "sweater": (
        ("gray", "brown", "green", "purple", "yellow"), ("pattern_solid", "pattern_stripe"), ("long sleeves",),
        ("round neckline", "other neckline", "v-shape neckline"),
    ),
    "t-shirt": (
        ("white", "black", "yellow", "cyan", "green"), ("pattern_graphics", "pattern_solid", "pattern_stripe"),
        ("short sleeves",), ("round neckline", "v-shape neckline"),
    ),
    "outerwear": (
        ("brown", "black", "green", "gray"), ("pattern_solid", "pattern_plaid"), ("long sleeves",),
        ("other neckline", "v-shape neckline"),
    ),
    "suit": (
        ("black", "gray", "blue"), ("pattern_solid", "pattern_stripe"), ("long sleeves",),
        ("v-shape neckline", "other neckline"),
    ),
    "tank top": (
        ("white", "cyan", "red", "many_colors", "yellow"), ("pattern_solid", "pattern_graphics", "pattern_stripe"),
        ("no sleeves",), ("round neckline", "v-shape neckline"),
    ),
    "dress": (
        ("red", "purple", "many_colors", "black", "blue"), ("pattern_floral", "pattern_spot", "pattern_solid"),
        ("no sleeves", "short sleeves"), ("round neckline", "v-shape neckline", "other neckline"),
    ),
}  # fmt: skip
# Collar, necktie, placket, scarf, female, high skin exposure.
_PARTS: dict[str, tuple[float, ...]] = {
    "shirt": (0.90, 0.20, 0.85, 0.08, 0.35, 0.08),
    "sweater": (0.15, 0.05, 0.15, 0.30, 0.55, 0.04),
    "t-shirt": (0.12, 0.03, 0.10, 0.06, 0.45, 0.15),
    "outerwear": (0.50, 0.08, 0.35, 0.45, 0.50, 0.04),
    "suit": (0.90, 0.75, 0.40, 0.08, 0.20, 0.04),
    "tank top": (0.04, 0.03, 0.08, 0.06, 0.75, 0.60),
    "dress": (0.15, 0.02, 0.12, 0.10, 0.95, 0.55),
}


class Options(Frozen):
    """What a data set's clothes are like."""

    missing: Missing = {}


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> Problems:
    """Problems of the options, each with its key path under `standin`."""
    return problems_of("clothes", VOCABULARIES, options.missing, dataset, tasks, relatedness)


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the clothes of one split."""
    return _clothes_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the clothes of one split."""
    clothes = _clothes_of(request, split)

    def paint(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        categories, attributes = clothes.categories[rows], clothes.attributes[rows]
        return drawing.draw_clothes(categories, attributes, size=request.image_size, rng=clothes.rng)

    return chunks(clothes.labels, paint)


def usual_shares(copy_name: str) -> NDArray[np.float64]:
    """How often a garment has what: [categories, attributes].

    Families of which a garment has one value (of the colours: the first) sum to 1 for each category; parts are
    probabilities of their own. Drawn once for the data sets over one copy; it depends on nothing but the copy's name.
    """
    rng = stream("standin", copy_name, "table")
    shares = np.zeros((len(CATEGORIES.labels), len(ATTRIBUTES.labels)))
    for row, name in zip(shares, CATEGORIES.labels, strict=True):
        start = 0
        for usual, values in zip(_USUAL[name], drawing.FAMILIES.values(), strict=False):
            part = slice(start, start + len(values))
            row[part] = _chances.usual_shares(values, usual, fading=2 / 3, shape=8.0, stray=_STRAY, rng=rng)
            start += len(values)
        odds = np.log(_PARTS[name]) - np.log1p(-np.array(_PARTS[name])) + rng.normal(0, 0.3, len(_PARTS[name]))
        row[start:] = 1 / (1 + np.exp(-odds))
    return shares


@dataclass(frozen=True)
class _Clothes:
    """Clothes of one split as `drawing.draw_clothes` takes them, with labels and the stream that goes on from there."""

    labels: LabelTable
    categories: NDArray[np.intp]
    attributes: NDArray[np.bool_]
    rng: np.random.Generator


def _clothes_of(request: StandInRequest, split: str) -> _Clothes:
    options = read_options(Options, request.declared.options)
    count = request.images[split]
    rng = stream("standin", request.dataset.name, split)
    categories = rng.integers(len(CATEGORIES.labels), size=count)
    attributes = _draw_attributes(categories, usual_shares(request.dataset.copy_name), rng)
    drawn = {CATEGORIES: categories, ATTRIBUTES: attributes}
    table = label_table(request, split, [""] * count, drawn, options.missing)
    return _Clothes(table, categories, attributes, rng)


def _draw_attributes(
    categories: NDArray[np.intp], shares: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Attributes bool [n, attributes]."""
    count, mine = len(categories), shares[categories]
    chances = rng.random((count, len(drawing.FAMILIES) - 1))
    found = np.zeros(mine.shape, bool)
    start = 0
    for chance, values in zip(chances.T, drawing.FAMILIES.values(), strict=False):
        found[np.arange(count), start + chosen(mine[:, start : start + len(values)], chance)] = True
        start += len(values)
    found[:, start:] = rng.random((count, mine.shape[1] - start)) < mine[:, start:]
    _add_second_colours(found, rng)
    return found


def _add_second_colours(found: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Give some garments of one colour another one, whichever."""
    single = ~found[:, ATTRIBUTES.labels.index("many_colors")]
    plain = found[:, ATTRIBUTES.labels.index("pattern_solid")]
    more = rng.random(len(found)) < np.where(plain, _TWO_PLAIN_COLOURS, _SECOND_COLOUR)
    other = rng.integers(len(drawing.PALETTE), size=len(found))
    rows = np.flatnonzero(single & more)
    found[rows, other[rows]] = True
