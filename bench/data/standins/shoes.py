"""Drawn shoes for data sets like UT Zappos50K: kinds, categories, and attributes by their official names.

Every product has a kind, and of each family of attributes (for whom, heel, closure, material, toe) a value or two that
shoes of its kind usually have. How often, is drawn once for each copy's name, around what one sees in shops. A product
comes in several colours; all pictures of it are in one split. Kinds are equally frequent. The picture shows all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import shoes as drawing
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

TYPES = Vocabulary("multiclass", drawing.TYPES)
CATEGORIES = Vocabulary("multiclass", drawing.CATEGORIES)
ATTRIBUTES = Vocabulary("multilabel", drawing.ATTRIBUTES)
VOCABULARIES = (TYPES, CATEGORIES, ATTRIBUTES)

_COLOURS = 2  # pictures of a product, on average
_STRAY = 0.06  # part of the products that have any value of a family, whatever is usual
# How many products have a second value of a family, drawn as the first (and often the same).
_SECOND = {"Gender": 0.05, "HeelHeight": 0.0, "Closure": 0.12, "Material": 0.25, "ToeStyle": 0.20}

# What is usual, each value half as frequent as the one before.
_WOMEN, _MEN, _BOTH, _CHILD = ("Women",), ("Men", "Women"), ("Women", "Men", "Boys", "Girls"), ("Girls", "Boys")
_LOW, _MIDDLE, _HIGH = ("Flat", "Under.1in"), ("1in...1.3.4in", "Under.1in", "2in...2.3.4in"), (
    "3in...3.3.4in", "4in...4.3.4in", "2in...2.3.4in", "5in...over",
)  # fmt: skip
_USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "ankle boots": (
        ("Women", "Men"), ("2in...2.3.4in", "1in...1.3.4in", "3in...3.3.4in"),
        ("Zipper", "Elastic.Gore", "Lace.up", "Buckle"), ("Leather", "Suede", "Full.grain.leather", "Nubuck"),
        ("Round.Toe", "Almond", "Pointed.Toe", "Capped.Toe"),
    ),
    "athletic sandals": (
        _BOTH, _LOW, ("Hook.and.Loop", "Bungee", "Buckle"), ("Rubber", "Nylon", "Synthetic"),
        ("Open.Toe", "Closed.Toe"),
    ),
    "boat shoes": (
        ("Men", "Women", "Boys"), _LOW, ("Lace.up", "Slip.On"), ("Full.grain.leather", "Leather", "Canvas", "Nubuck"),
        ("Moc.Toe", "Round.Toe"),
    ),
    "slipper boots": (
        _BOTH, _LOW, ("Pull.on", "Slip.On", "Toggle"), ("Sheepskin", "Faux.Fur", "Wool", "Suede"),
        ("Round.Toe", "Snub.Toe"),
    ),
    "clogs and mules": (
        _WOMEN, ("1in...1.3.4in", "2in...2.3.4in", "Under.1in"), ("Slip.On", "Buckle", "Sling.Back"),
        ("Leather", "Rubber", "Suede", "Patent.Leather"), ("Closed.Toe", "Round.Toe", "Wide.Toe.Box"),
    ),
    "crib shoes": (
        _CHILD, ("Flat",), ("Hook.and.Loop", "Elastic.Gore", "Slip.On"), ("Cotton", "Satin", "Leather"),
        ("Round.Toe", "Snub.Toe"),
    ),
    "firstwalkers": (
        _CHILD, _LOW, ("Hook.and.Loop", "Lace.up", "Buckle"), ("Leather", "Canvas", "Nubuck", "Synthetic"),
        ("Round.Toe", "Wide.Toe.Box", "Bump.Toe"),
    ),
    "flat sandals": (
        _WOMEN, _LOW, ("Buckle", "Ankle.Strap", "Slip.On", "Sling.Back"), ("Leather", "Synthetic", "Faux.Leather"),
        ("Open.Toe", "Closed.Toe"),
    ),
    "flats": (
        ("Women", "Girls"), _LOW, ("Slip.On", "Ankle.Strap", "Sling.Back"),
        ("Leather", "Patent.Leather", "Suede", "Hair.Calf", "Canvas"),
        ("Round.Toe", "Pointed.Toe", "Almond", "Peep.Toe", "Snip.Toe"),
    ),
    "heeled sandals": (
        _WOMEN, _HIGH, ("Ankle.Strap", "Buckle", "Ankle.Wrap", "Sling.Back"),
        ("Patent.Leather", "Satin", "Synthetic", "Leather"), ("Open.Toe", "Peep.Toe"),
    ),
    "heels": (
        _WOMEN, _HIGH, ("Slip.On", "Ankle.Strap", "Sling.Back"),
        ("Patent.Leather", "Suede", "Satin", "Leather", "Hair.Calf"),
        ("Pointed.Toe", "Peep.Toe", "Almond", "Round.Toe", "Snip.Toe"),
    ),
    "knee-high boots": (
        _WOMEN, ("1in...1.3.4in", "3in...3.3.4in", "Flat"), ("Zipper", "Pull.on", "Lace.up"),
        ("Leather", "Faux.Leather", "Suede"), ("Almond", "Round.Toe", "Pointed.Toe"),
    ),
    "loafers": (
        _MEN, _LOW, ("Slip.On",), ("Leather", "Suede", "Patent.Leather"),
        ("Moc.Toe", "Square.Toe", "Round.Toe", "Algonquin"),
    ),
    "mid-calf boots": (
        _BOTH, _MIDDLE, ("Pull.on", "Zipper", "Buckle", "Button.Loop"), ("Rubber", "Sheepskin", "Full.grain.leather"),
        ("Round.Toe", "Square.Toe", "Snip.Toe"),
    ),
    "over-the-knee boots": (
        _WOMEN, ("2in...2.3.4in", "4in...4.3.4in", "Flat"), ("Zipper", "Pull.on"), ("Suede", "Faux.Leather", "Leather"),
        ("Pointed.Toe", "Almond"),
    ),
    "oxfords": (
        _MEN, ("Under.1in", "1in...1.3.4in"), ("Lace.up", "Monk.Strap"), ("Leather", "Full.grain.leather", "Suede"),
        ("Wingtip", "Capped.Toe", "Bicycle.Toe", "Medallion", "Algonquin", "Center.Seam"),
    ),
    "prewalkers": (
        _CHILD, ("Flat",), ("Elastic.Gore", "Hook.and.Loop", "Slip.On"), ("Cotton", "Leather", "Canvas", "Wool"),
        ("Round.Toe", "Wide.Toe.Box"),
    ),
    "prewalker boots": (
        _CHILD, ("Flat",), ("Hook.and.Loop", "Toggle", "Pull.on"), ("Sheepskin", "Faux.Fur", "Cotton"),
        ("Round.Toe", "Snub.Toe"),
    ),
    "slipper flats": (
        _BOTH, _LOW, ("Slip.On",), ("Wool", "Sheepskin", "Cotton", "Faux.Fur"), ("Closed.Toe", "Round.Toe", "Moc.Toe"),
    ),
    "slipper heels": (
        _WOMEN, ("2in...2.3.4in", "1in...1.3.4in"), ("Slip.On",), ("Faux.Fur", "Satin", "Cotton"),
        ("Open.Toe", "Peep.Toe"),
    ),
    "sneakers and athletic shoes": (
        _BOTH, ("Flat", "Under.1in"), ("Lace.up", "Hook.and.Loop", "Bungee"),
        ("Synthetic", "Nylon", "Canvas", "Leather"), ("Round.Toe", "Bump.Toe", "Capped.Toe"),
    ),
}  # fmt: skip


class Options(Frozen):
    """What a data set's shoes are like."""

    missing: Missing = {}


def check(
    options: Options, dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], relatedness: RelatednessSpec | None
) -> Problems:
    """Problems of the options, each with its key path under `standin`."""
    return problems_of("shoes", VOCABULARIES, options.missing, dataset, tasks, relatedness)


def labels(request: StandInRequest, split: str) -> LabelTable:
    """What the data set says of the shoes of one split."""
    return _shoes_of(request, split).labels


def draw(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw the shoes of one split."""
    shoes = _shoes_of(request, split)

    def paint(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        rows_of = (shoes.types[rows], shoes.attributes[rows], shoes.products[rows], shoes.colours[rows])
        return drawing.draw_shoes(*rows_of, size=request.image_size, rng=shoes.rng)

    return chunks(shoes.labels, paint)


def usual_shares(copy_name: str) -> NDArray[np.float64]:
    """How often the first value of a family is which: [kinds, attributes]; each family of each kind sums to 1.

    Drawn once for the data sets over one copy; it depends on nothing but the copy's name.
    """
    rng = stream("standin", copy_name, "table")
    shares = np.zeros((len(TYPES.labels), len(ATTRIBUTES.labels)))
    for kind, families in zip(shares, (_USUAL[name] for name in TYPES.labels), strict=True):
        start = 0
        for usual, values in zip(families, drawing.FAMILIES.values(), strict=True):
            part = slice(start, start + len(values))
            kind[part] = _chances.usual_shares(values, usual, fading=0.5, shape=6.0, stray=_STRAY, rng=rng)
            start += len(values)
    return shares


@dataclass(frozen=True)
class _Shoes:
    """Shoes of one split as `drawing.draw_shoes` takes them, with labels and the stream that goes on from there."""

    labels: LabelTable
    types: NDArray[np.intp]
    attributes: NDArray[np.bool_]
    products: NDArray[np.float32]
    colours: NDArray[np.float32]
    rng: np.random.Generator


def _shoes_of(request: StandInRequest, split: str) -> _Shoes:
    options = read_options(Options, request.declared.options)
    count = request.images[split]
    rng = stream("standin", request.dataset.name, split)
    products = max(1, count // _COLOURS)
    types = rng.integers(len(TYPES.labels), size=products)
    attributes = _draw_attributes(types, usual_shares(request.dataset.copy_name), rng)
    deviations = drawing.draw_products(products, rng)
    product = np.sort(rng.integers(products, size=count))
    colours = drawing.draw_colours(count, rng)
    category = np.array([CATEGORIES.labels.index(form.category) for form in drawing.FORMS.values()])
    drawn = {TYPES: types[product], CATEGORIES: category[types[product]], ATTRIBUTES: attributes[product]}
    groups = [f"{split}-p{number:05d}" for number in product]
    table = label_table(request, split, groups, drawn, options.missing)
    return _Shoes(table, types[product], attributes[product], deviations[product], colours, rng)


def _draw_attributes(
    types: NDArray[np.intp], shares: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Attributes bool [products, attributes]: of each family a value, and of some a second one."""
    found = np.zeros((len(types), len(ATTRIBUTES.labels)), bool)
    start = 0
    for family, values in drawing.FAMILIES.items():
        own = shares[types, start : start + len(values)]
        second = rng.random(len(types)) < _SECOND[family]
        for wanted in (np.ones(len(types), bool), second):
            place = chosen(own, rng.random(len(types)))
            found[wanted, start + place[wanted]] = True
        start += len(values)
    return found
