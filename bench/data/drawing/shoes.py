"""Drawn shoes: catalogue photographs from the side, toe to the left, on white.

How a picture comes about::

    kind of shoe -> form (length, throat, topline, shaft, sole, straps ...), the last that it is made on
    attributes   -> toe, heel, closures, materials, and for whom (proportions and range of colours)
    product row  -> small deviations of the form, the same for all colours of one product
    colour row   -> the colours of one picture
    rng          -> nuisances: place, size, light, softness, noise

Every attribute shows: the heel by its height, the toe by its outline or its seams, a closure by its laces, buckles or
straps, a material by its surface. Of several materials the first in the order of `ATTRIBUTES` covers the shoe and the
others its toe and counter. Labels are those of UT Zappos50K (Yu & Grauman, 2014).

The frame: s runs from the tip of the toe (0) to the back of the heel (1), h from the sole (0) to the top of the upper
(1); see `_brush` for u and v. Images are float32 ``[n, h, w]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import _brush as brush
from bench.data.drawing._brush import Canvas, Columns, Floats, bump, step

CODE = (Path(__file__), *brush.CODE)

FAMILIES: dict[str, tuple[str, ...]] = {
    "Gender": ("Men", "Women", "Boys", "Girls"),
    "HeelHeight": (
        "Flat", "Under.1in", "1in...1.3.4in", "2in...2.3.4in", "3in...3.3.4in", "4in...4.3.4in", "5in...over",
    ),
    "Closure": (
        "Lace.up", "Slip.On", "Pull.on", "Buckle", "Zipper", "Hook.and.Loop", "Ankle.Strap", "Ankle.Wrap",
        "Sling.Back", "Elastic.Gore", "Bungee", "Toggle", "Button.Loop", "Monk.Strap",
    ),
    "Material": (
        "Canvas", "Cotton", "Faux.Fur", "Faux.Leather", "Full.grain.leather", "Hair.Calf", "Leather", "Nubuck",
        "Nylon", "Patent.Leather", "Rubber", "Satin", "Sheepskin", "Suede", "Synthetic", "Wool",
    ),
    "ToeStyle": (
        "Round.Toe", "Pointed.Toe", "Square.Toe", "Open.Toe", "Closed.Toe", "Peep.Toe", "Almond", "Wide.Toe.Box",
        "Capped.Toe", "Wingtip", "Moc.Toe", "Algonquin", "Medallion", "Bicycle.Toe", "Snub.Toe", "Bump.Toe",
        "Snip.Toe", "Center.Seam",
    ),
}  # fmt: skip
ATTRIBUTES: tuple[str, ...] = tuple(f"{family}.{value}" for family, values in FAMILIES.items() for value in values)
_PLACES = {name: place for place, name in enumerate(ATTRIBUTES)}


class Form(NamedTuple):
    """What all shoes of one kind are made like; heights over the sole, widths in units of the frame.

    `length` is a factor, `ground` the v of the ground. `throat` is where (in s) the opening begins, `rise` the height
    there; the topline falls to `side` and climbs to `counter` at the back. `sole` is its thickness. `shaft` is the
    height of a boot's top over the ground (0: no boot), `flare` how much it widens. All further measures are shares:
    `straps` (above 0) says that straps, so wide, are all there is over the sole, `backless` that nothing holds the
    heel, `wedge` that the heel reaches forward under the whole sole, `pale_sole` how pale it is, and `plush` that there
    is a cuff of fleece.
    """

    category: str
    length: float
    ground: float
    throat: float
    rise: float
    side: float
    counter: float
    sole: float
    shaft: float = 0.0
    flare: float = 0.0
    straps: float = 0.0
    backless: float = 0.0
    wedge: float = 0.0
    pale_sole: float = 0.0
    plush: float = 0.0


FORMS: dict[str, Form] = {
    "ankle boots": Form("boots", 0.86, 0.66, 0.50, 0.46, 0.45, 0.50, 0.06, shaft=0.95, flare=0.00),
    "athletic sandals": Form("sandals", 1.0, 0.36, 0.55, 0.48, 0.42, 0.48, 0.14, straps=1.6, wedge=0.5),
    "boat shoes": Form("shoes", 1.0, 0.30, 0.43, 0.33, 0.24, 0.31, 0.09, pale_sole=0.9),
    "slipper boots": Form("slippers", 0.84, 0.62, 0.50, 0.44, 0.44, 0.50, 0.05, shaft=0.80, flare=0.06, plush=1.0),
    "clogs and mules": Form("shoes", 0.95, 0.34, 0.56, 0.46, 0.10, 0.08, 0.15, backless=1.0, wedge=1.0),
    "crib shoes": Form("shoes", 0.80, 0.30, 0.38, 0.36, 0.24, 0.34, 0.04, pale_sole=0.5),
    "firstwalkers": Form("shoes", 0.80, 0.42, 0.50, 0.54, 0.50, 0.58, 0.11, pale_sole=0.8),
    "flat sandals": Form("sandals", 1.0, 0.30, 0.50, 0.40, 0.34, 0.38, 0.05, straps=0.55),
    "flats": Form("shoes", 1.0, 0.28, 0.27, 0.23, 0.19, 0.30, 0.03),
    "heeled sandals": Form("sandals", 0.93, 0.56, 0.52, 0.40, 0.34, 0.40, 0.04, straps=0.7),
    "heels": Form("shoes", 0.93, 0.50, 0.27, 0.20, 0.16, 0.28, 0.03),
    "knee-high boots": Form("boots", 0.66, 0.88, 0.50, 0.40, 0.40, 0.45, 0.05, shaft=1.55, flare=0.06),
    "loafers": Form("shoes", 1.0, 0.30, 0.43, 0.36, 0.25, 0.31, 0.06),
    "mid-calf boots": Form("boots", 0.78, 0.80, 0.50, 0.44, 0.44, 0.48, 0.08, shaft=1.27, flare=0.08),
    "over-the-knee boots": Form("boots", 0.52, 0.93, 0.50, 0.32, 0.32, 0.36, 0.04, shaft=1.80, flare=0.13),
    "oxfords": Form("shoes", 1.0, 0.34, 0.50, 0.42, 0.32, 0.37, 0.06),
    "prewalkers": Form("shoes", 0.72, 0.38, 0.46, 0.52, 0.42, 0.52, 0.06, pale_sole=0.3),
    "prewalker boots": Form("boots", 0.70, 0.60, 0.50, 0.48, 0.48, 0.52, 0.06, shaft=1.0, flare=0.04, plush=0.4),
    "slipper flats": Form("slippers", 0.96, 0.30, 0.48, 0.36, 0.12, 0.10, 0.06, backless=1.0, plush=1.0),
    "slipper heels": Form("slippers", 0.93, 0.48, 0.46, 0.36, 0.10, 0.08, 0.04, backless=1.0, plush=0.7),
    "sneakers and athletic shoes": Form("shoes", 1.0, 0.36, 0.52, 0.48, 0.36, 0.44, 0.14, pale_sole=1.0),
}  # fmt: skip
TYPES: tuple[str, ...] = tuple(FORMS)
CATEGORIES: tuple[str, ...] = ("shoes", "boots", "sandals", "slippers")
_MEASURES: tuple[str, ...] = Form._fields[1:]
_FORM_TABLE = np.array([form[1:] for form in FORMS.values()], np.float32)

# Deviations of a product from its kind, and the colours of one picture; each entry is uniform in -1..1.
_TRAITS: tuple[str, ...] = (
    "length", "throat", "rise", "side", "shaft", "flare", "sole", "toe", "heel", "heel_width", "gold",
)  # fmt: skip
PRODUCT_SIZE: int = len(_TRAITS)
_COLOURS: tuple[str, ...] = ("range", "hue", "lightness", "trim", "sole")
COLOUR_SIZE: int = len(_COLOURS)
_NUISANCES: tuple[str, ...] = (
    "shift_x", "shift_y", "scale", "softness", "brightness", "cast", "noise", "phase", "shadow",
)  # fmt: skip

_HEELS = np.array([0.0, 0.05, 0.13, 0.24, 0.35, 0.46, 0.58], np.float32)
# Outline of the toe: height of its box, its length (in s), roundness (1 a wedge, 2 a circle, more: square), reach.
_TOE_OUTLINES: dict[str, tuple[float, float, float, float]] = {
    "Round.Toe": (0.20, 0.17, 2.3, 0.00),
    "Pointed.Toe": (0.11, 0.34, 1.05, 0.10),
    "Square.Toe": (0.17, 0.05, 6.0, 0.00),
    "Almond": (0.15, 0.27, 1.5, 0.04),
    "Wide.Toe.Box": (0.29, 0.20, 3.0, 0.00),
    "Snub.Toe": (0.24, 0.09, 2.6, -0.12),
    "Bump.Toe": (0.21, 0.22, 2.0, 0.00),
    "Snip.Toe": (0.13, 0.30, 1.05, 0.08),
}
_PLAIN_TOE = (0.16, 0.22, 1.8, 0.0)

# Colours by for whom; and the colour that a material has of itself, with its weight over the former.
_RANGES = np.array(
    [
        [(0.10, 0.09, 0.09), (0.26, 0.16, 0.10), (0.46, 0.28, 0.15), (0.38, 0.38, 0.40), (0.14, 0.18, 0.32)],
        [(0.76, 0.10, 0.18), (0.86, 0.66, 0.52), (0.12, 0.10, 0.11), (0.66, 0.42, 0.48), (0.48, 0.08, 0.24)],
        [(0.14, 0.34, 0.80), (0.22, 0.56, 0.26), (0.90, 0.46, 0.10), (0.30, 0.40, 0.52), (0.72, 0.14, 0.12)],
        [(0.96, 0.48, 0.70), (0.62, 0.32, 0.76), (0.94, 0.24, 0.54), (0.34, 0.74, 0.78), (0.96, 0.82, 0.88)],
    ],
    np.float32,
)  # [for whom, colour, 3]
_MATERIAL_COLOURS: dict[str, tuple[tuple[float, float, float], float]] = {
    "Canvas": ((0.78, 0.74, 0.64), 0.35),
    "Cotton": ((0.94, 0.92, 0.90), 0.35),
    "Faux.Fur": ((0.74, 0.66, 0.58), 0.40),
    "Faux.Leather": ((0.34, 0.26, 0.26), 0.30),
    "Full.grain.leather": ((0.48, 0.25, 0.10), 0.70),
    "Hair.Calf": ((0.80, 0.60, 0.34), 0.80),
    "Leather": ((0.20, 0.12, 0.09), 0.35),
    "Nubuck": ((0.80, 0.60, 0.32), 0.70),
    "Nylon": ((0.22, 0.24, 0.30), 0.40),
    "Patent.Leather": ((0.08, 0.06, 0.07), 0.25),
    "Rubber": ((0.16, 0.40, 0.30), 0.35),
    "Satin": ((0.90, 0.84, 0.86), 0.30),
    "Sheepskin": ((0.66, 0.44, 0.24), 0.70),
    "Suede": ((0.50, 0.42, 0.36), 0.45),
    "Synthetic": ((0.86, 0.86, 0.88), 0.40),
    "Wool": ((0.56, 0.55, 0.55), 0.65),
}
_BARE = ((0.5, 0.5, 0.5), 0.0)
_FUZZ_GRID = 32
_LOW_STRETCH = 1.35  # low shoes are shown taller than life, so that their details take more pixels
_METAL = (0.86, 0.84, 0.80)


def draw_products(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How ``count`` products deviate from their kinds: float32 ``[count, PRODUCT_SIZE]``, uniform in [-1, 1)."""
    return brush.uniform(count, PRODUCT_SIZE, rng)


def draw_colours(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Colours of ``count`` pictures: float32 ``[count, COLOUR_SIZE]``, uniform in [-1, 1)."""
    return brush.uniform(count, COLOUR_SIZE, rng)


def draw_shoes(
    types: NDArray[np.integer],
    attributes: NDArray[np.bool_],
    products: NDArray[np.float32],
    colours: NDArray[np.float32],
    *,
    size: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw one shoe per row of labels.

    What chance does to a picture does not depend on its labels: two calls with equally seeded generators differ only
    in what types, attributes, products and colours change.

    Args:
        types: ``[n]``, index into `TYPES`.
        attributes: bool ``[n, len(ATTRIBUTES)]``.
        products: float32 ``[n, PRODUCT_SIZE]`` as from `draw_products`, repeated for each picture of a product.
        colours: float32 ``[n, COLOUR_SIZE]`` as from `draw_colours`.
        size: height and width of the images in pixels, 16 to 256.
        rng: the only source of randomness.

    Returns:
        uint8 ``[n, size, size, 3]``, RGB.

    Raises:
        ValueError: an argument has another shape, dtype or range than stated.
    """
    brush.check_size(size)
    brush.check_places("types", types, len(TYPES))
    count = len(types)
    brush.check_table("attributes", attributes, (count, len(ATTRIBUTES)), np.bool_)
    brush.check_uniform("products", products, (count, PRODUCT_SIZE))
    brush.check_uniform("colours", colours, (count, COLOUR_SIZE))
    images = np.empty((count, size, size, 3), np.uint8)
    for shot in brush.shots(count, size, _NUISANCES, _FUZZ_GRID, rng):
        rows = shot.rows
        shoe = _shoe_of(types[rows], attributes[rows], products[rows], colours[rows], shot.nuisance)
        stretch = np.where(shoe.form("shaft") > 0, np.float32(1), np.float32(_LOW_STRETCH))
        canvas = shot.canvas(shift=(0.05, 0.05), scale=(0.98, 0.05), softness=0.008, stretch=stretch)
        _paint_shoe(canvas, shoe, shot.fuzz)
        images[rows] = shot.expose(canvas, light=(0.98, 0.05), cast=0.03, grain=(4.0, 2.5))
    return images


# -------------------------------------------------------------------------------------------------- the shoe


@dataclass(frozen=True)
class _Shoe:
    """Some shoes. Attributes are bool ``[n, len(ATTRIBUTES)]``, the rest is handed out as ``[n, 1, 1]``.

    Attributes:
        form: measures of the kind with the product's deviations (see `Form`).
        toe: box_height, box_length and roundness (see `_TOE_OUTLINES`); tip and length in u; heel height; bump on the
            toe; sling (a bare heel).
        colour: of the upper, of trimmings, of the sole: each 3.
        extra: product traits and nuisances that are used beyond these.
    """

    types: NDArray[np.integer]
    attributes: NDArray[np.bool_]
    form: Columns
    toe: Columns
    colour: Columns
    extra: Columns

    def has(self, name: str) -> NDArray[np.bool_]:
        return self.attributes[:, _PLACES[name]]

    def is_kind(self, *names: str) -> NDArray[np.bool_]:
        return np.isin(self.types, [TYPES.index(name) for name in names])

    def take(self, rows: NDArray[np.intp]) -> _Shoe:
        columns = (part.take(rows) for part in (self.form, self.toe, self.colour, self.extra))
        return _Shoe(self.types[rows], self.attributes[rows], *columns)

    def paint(self, what: str) -> list[Floats]:
        """One of the colours."""
        return self.colour.rgb(what)

    def shaft_top(self) -> Floats:
        """v of the top of a boot."""
        return self.form("ground") - self.form("shaft") - 0.35 * self.toe("heel")

    # ---- where things are; s, as all that is derived from it, is [n, 1, w] or [n, 1, 1]

    def u_at(self, s: Floats | float) -> Floats:
        return self.toe("tip") + s * self.toe("length")

    def s_at(self, u: Floats) -> Floats:
        return (u - self.toe("tip")) / self.toe("length")

    def sole_at(self, s: Floats | float) -> Floats:
        """v of the foot's bed: level under the ball, up to the heel, and a little up at the tip."""
        s = np.asarray(s, np.float32)
        lift = self.toe("heel") * step((s - 0.26) / 0.56)
        spring = 0.04 * np.square(np.maximum(1 - s / 0.2, 0))
        bed: Floats = self.form("ground") - self.form("sole") - lift - spring
        return bed

    def height_at(self, s: Floats | float) -> Floats:
        """Height of a closed upper over the bed."""
        form, toe = self.form, self.toe
        s = np.asarray(s, np.float32)
        inside = np.clip(s / toe("box_length"), 1e-4, 1)
        power = toe("roundness")
        box = toe("box_height") * (1 - np.minimum((1 - inside) ** power, 1)) ** (1 / power)
        box = box + toe("bump") * bump((s - 0.10) / 0.12)
        throat = form("throat")
        vamp = box + (form("rise") - toe("box_height")) * step((s - 0.12) / (throat - 0.10)) ** 1.3
        fall = step((s - throat) / 0.14)
        back = form("side") + (form("counter") - form("side")) * step((s - 0.62) / 0.36)
        height: Floats = vamp + (back - vamp) * fall
        open_back = np.maximum(form("backless"), toe("sling"))
        height += (0.02 - height) * open_back * step((s - 0.56) / 0.14)
        return height


def _shoe_of(
    types: NDArray[np.integer],
    attributes: NDArray[np.bool_],
    products: NDArray[np.float32],
    colours: NDArray[np.float32],
    nuisance: Columns,
) -> _Shoe:
    trait = Columns(_TRAITS, products)
    form = _FORM_TABLE[types].copy()
    small = (attributes[:, _PLACES["Gender.Boys"]] | attributes[:, _PLACES["Gender.Girls"]]).astype(np.float32)
    broad = attributes[:, _PLACES["Gender.Men"]].astype(np.float32)
    for name, reach in (("length", 0.05), ("throat", 0.06), ("rise", 0.08), ("side", 0.10), ("shaft", 0.05)):
        form[:, _MEASURES.index(name)] *= 1 + reach * trait(name)[:, 0, 0]
    form[:, _MEASURES.index("flare")] += 0.02 * trait("flare")[:, 0, 0]
    sole = form[:, _MEASURES.index("sole")]
    sole *= 1 + 0.25 * trait("sole")[:, 0, 0]
    sole += 0.025 * broad
    # Children's shoes are short for their height.
    form[:, _MEASURES.index("length")] *= 1 - 0.16 * small + 0.03 * broad
    for name in ("rise", "side", "counter"):
        form[:, _MEASURES.index(name)] *= 1 + 0.16 * small
    toe = _toe_of(attributes, form, trait)
    colour = _colours_of(attributes, Columns(_COLOURS, colours), Columns(_MEASURES, form))
    extra = Columns(
        ("heel_width", "gold", "phase", "shadow"),
        np.stack([trait("heel_width"), trait("gold"), nuisance("phase"), nuisance("shadow")], 1)[..., 0, 0],
    )
    return _Shoe(types, attributes, Columns(_MEASURES, form), toe, colour, extra)


def _toe_of(attributes: NDArray[np.bool_], form: Floats, trait: Columns) -> Columns:
    outlines = attributes[:, [_PLACES[f"ToeStyle.{name}"] for name in _TOE_OUTLINES]].astype(np.float32)
    several = outlines.sum(1, keepdims=True)
    shape = outlines @ np.array(list(_TOE_OUTLINES.values()), np.float32) / np.maximum(several, 1)
    shape = np.where(several > 0, shape, np.array(_PLAIN_TOE, np.float32))
    shape[:, 0] *= 1 + 0.10 * trait("toe")[:, 0, 0]
    heels = attributes[:, [_PLACES[f"HeelHeight.{name}"] for name in FAMILIES["HeelHeight"]]].astype(np.float32)
    heel = heels @ _HEELS / np.maximum(heels.sum(1), 1) + 0.02 * trait("heel")[:, 0, 0] * (heels[:, 0] == 0)
    length = form[:, _MEASURES.index("length")]
    reach = shape[:, 3]
    bump_height = 0.09 * attributes[:, _PLACES["ToeStyle.Bump.Toe"]]
    sling = attributes[:, _PLACES["Closure.Sling.Back"]] * (form[:, _MEASURES.index("shaft")] == 0)
    columns = [*shape[:, :3].T, -0.80 * length - reach, 1.58 * length + reach, np.maximum(heel, 0), bump_height, sling]
    names = ("box_height", "box_length", "roundness", "tip", "length", "heel", "bump", "sling")
    return Columns(names, np.stack(columns, 1).astype(np.float32))


def _colours_of(attributes: NDArray[np.bool_], colour: Columns, form: Columns) -> Columns:
    """Colours by name and channel, [n, ...]: of the upper before its material, of trimmings, and of the sole."""
    whom = attributes[:, : len(_RANGES)].astype(np.float32)
    whom += (whom.sum(1, keepdims=True) == 0) * np.array([1, 1, 0, 0], np.float32)
    # Of several people whom the shoe is for, chance takes one.
    share = whom.cumsum(1) / whom.sum(1, keepdims=True)
    chosen = (share < (colour("range")[:, 0] + 1) / 2).sum(1).clip(0, len(_RANGES) - 1)
    place = ((colour("hue")[:, 0, 0] + 1) / 2 * _RANGES.shape[1]).astype(int).clip(0, _RANGES.shape[1] - 1)
    light = 1 + 0.18 * colour("lightness")[:, 0]
    upper = np.clip(_RANGES[chosen, place] * light, 0.03, 1)
    second = ((colour("trim")[:, 0, 0] + 1) / 2 * _RANGES.shape[1]).astype(int).clip(0, _RANGES.shape[1] - 1)
    trim = 0.5 * _RANGES[chosen, second] + 0.5 * np.where(upper.mean(1, keepdims=True) < 0.45, 0.9, 0.1)
    pale = form("pale_sole")[:, 0]
    dark = np.array([0.20, 0.14, 0.10], np.float32) * (1 + 0.4 * colour("sole")[:, 0])
    sole = dark + (np.array([0.90, 0.89, 0.86], np.float32) - dark) * pale
    return brush.colours({"upper": upper, "trim": trim, "sole": sole})


# -------------------------------------------------------------------------------------------------- layers


@dataclass(frozen=True)
class _View:
    """Some shoes on a canvas: s ``[n, 1, w]``, h ``[n, h, w]``, and the mask of the upper ``[n, h, w]``."""

    canvas: Canvas
    shoe: _Shoe
    s: Floats
    h: Floats
    upper: Floats

    def on(self, chosen: NDArray[np.bool_], paint: Callable[[_View], None]) -> None:
        """Paint on the chosen pictures only."""

        def some(part: Canvas, rows: NDArray[np.intp]) -> None:
            paint(_View(part, self.shoe.take(rows), self.s[rows], self.h[rows], self.upper[rows]))

        self.canvas.detail(chosen, some)


def _paint_shoe(canvas: Canvas, shoe: _Shoe, fuzz: Floats) -> None:
    """Paint everything, back to front."""
    s = shoe.s_at(canvas.u)
    bed, height = shoe.sole_at(s), shoe.height_at(s)
    _paint_shadow(canvas, shoe)
    _paint_lining(canvas, shoe, s, bed, height)
    _paint_sole(canvas, shoe, s, bed)
    upper = canvas.cover(_upper_distance(canvas, shoe, s, bed, height, fuzz))
    view = _View(canvas, shoe, s, (bed - canvas.v) / np.maximum(height, 0.03), upper)
    _paint_upper(view, fuzz)
    _paint_marks(view)
    _paint_toe(view)
    _paint_closures(view)


def _paint_shadow(canvas: Canvas, shoe: _Shoe) -> None:
    ground = shoe.form("ground")
    middle = shoe.u_at(0.5)
    blob = bump((canvas.u - middle) / (0.6 * shoe.toe("length"))) * bump((canvas.v - ground - 0.02) / 0.10)
    canvas.shade(blob, shoe.extra.around(0.25, "shadow", 0.12))


def _paint_lining(canvas: Canvas, shoe: _Shoe, s: Floats, bed: Floats, height: Floats) -> None:
    """What the far side shows through the opening of low shoes."""

    def paint(part: Canvas, rows: NDArray[np.intp]) -> None:
        low, place = shoe.take(rows), s[rows]
        throat, length = low.form("throat"), low.toe("length")
        far = height[rows] + 0.07 * bump((place - 0.5 - throat / 2) / (0.52 - throat / 2))
        mask = part.cover(np.minimum(part.v - bed[rows] + far, (place - throat) * length))
        mask *= part.cover(np.minimum(bed[rows] - part.v, (0.98 - place) * length))
        part.paint(mask, brush.mix(low.paint("trim"), (0.30, 0.26, 0.24), 0.6))

    canvas.detail((shoe.form("shaft") + shoe.form("straps"))[:, 0, 0] == 0, paint)


def _paint_sole(canvas: Canvas, shoe: _Shoe, s: Floats, bed: Floats) -> None:
    """The sole follows the bed; the heel goes down to the ground, thin if it is high, or whole under wedges."""
    form, length = shoe.form, shoe.toe("length")
    ends = np.minimum(s, 1 - s) * length + 0.015
    under = canvas.v - bed
    sole = np.minimum(np.minimum(under + 0.012, form("sole") - under), ends)
    heel_height = shoe.toe("heel")
    thin = step((heel_height - 0.16) / 0.2)
    width = (0.26 - 0.13 * thin) * length * (1 + 0.25 * shoe.extra("heel_width"))
    width = width + (0.80 * length - width) * form("wedge")
    down = np.clip(under / np.maximum(heel_height + form("sole"), 0.05), 0, 1)
    # A high heel tapers towards the ground and stands a little further in.
    narrow = width * (1 - 0.55 * thin * down)
    front = shoe.u_at(0.985) - 0.05 * thin * down * length - narrow
    heel = np.minimum(canvas.u - front, front + narrow - canvas.u)
    heel = np.minimum(heel, np.minimum(under, form("ground") - canvas.v))
    canvas.paint(canvas.cover(np.maximum(sole, heel)), shoe.paint("sole"))
    # A seam between sole and upper, and one where a thick sole meets the ground.
    seam = canvas.cover(0.008 - np.abs(under - 0.35 * form("sole"))) * canvas.cover(np.minimum(sole, ends))
    canvas.shade(seam, 0.30 * step((form("sole") - 0.05) / 0.03))


def _upper_distance(canvas: Canvas, shoe: _Shoe, s: Floats, bed: Floats, height: Floats, fuzz: Floats) -> Floats:
    """Signed distance to what covers the foot."""
    length = shoe.toe("length")
    slope = np.gradient(height - bed, axis=2) if s.shape[2] > 1 else np.zeros_like(height)
    pixel = np.abs(canvas.u[:, :, -1:] - canvas.u[:, :, :1]) / max(s.shape[2] - 1, 1)
    steep = np.sqrt(1 + np.square(np.clip(slope / pixel, -6, 6)))
    top = (canvas.v - bed + height) / steep
    ends = np.minimum(s * length, (0.995 + 0.02 * (canvas.v - bed) - s) * length)
    distance: Floats = np.minimum(np.minimum(top, bed + 0.01 - canvas.v), ends)
    _add_shafts(canvas, shoe, distance, bed)
    _cut_straps(canvas, shoe, distance, s, bed)
    _cut_toes(canvas, shoe, distance, s, bed)
    furry = shoe.has("Material.Faux.Fur") | shoe.has("Material.Sheepskin")
    distance += fuzz * (0.035 * furry)[:, None, None]
    return distance


def _add_shafts(canvas: Canvas, shoe: _Shoe, distance: Floats, bed: Floats) -> None:
    rows = np.flatnonzero(shoe.form("shaft")[:, 0, 0] > 0)
    if not len(rows):
        return
    boot, v, u = shoe.take(rows), canvas.v[rows], canvas.u[rows]
    up = np.clip((boot.form("ground") - boot.toe("heel") - v) / boot.form("shaft"), 0, 1.2)
    widen = boot.form("flare") * step((up - 0.3) / 0.6)
    front = boot.u_at(boot.form("throat") - 0.03) - widen * 0.5
    back = boot.u_at(0.985) - 0.03 * bump((up - 0.35) / 0.3) + widen
    shaft = np.minimum(np.minimum(u - front, back - u), v - boot.shaft_top())
    shaft = np.minimum(shaft, bed[rows] + 0.01 - v)
    distance[rows] = brush.joined(distance[rows], shaft, 0.14)


def _cut_straps(canvas: Canvas, shoe: _Shoe, distance: Floats, s: Floats, bed: Floats) -> None:
    """Leave straps of a sandal: over the toes, over the instep, and around the heel."""
    rows = np.flatnonzero(shoe.form("straps")[:, 0, 0] > 0)
    if not len(rows):
        return
    sandal = shoe.take(rows)
    rise = bed[rows] - canvas.v[rows]
    width = 0.055 * sandal.form("straps")
    place = s[rows]
    toes = np.abs(place - 0.24 - 0.10 * rise)
    instep = np.abs(place - 0.52 + 0.20 * rise)
    heel = np.abs(place - 0.86 - 0.25 * rise)
    nearest = np.minimum(np.minimum(toes, instep), heel)
    closed = np.where(sandal.has("ToeStyle.Closed.Toe")[:, None, None], place, np.float32(9))
    straps = np.maximum((width - nearest), 0.20 - closed) * sandal.toe("length")
    bed_edge = 0.03 - rise
    distance[rows] = np.minimum(distance[rows], np.maximum(straps, bed_edge))


def _cut_toes(canvas: Canvas, shoe: _Shoe, distance: Floats, s: Floats, bed: Floats) -> None:
    """Open toes lack the front of the upper, peep toes have a hole in it, snip toes are cut off straight."""
    length = shoe.toe("length")
    rise = bed - canvas.v
    for name, cut in (("ToeStyle.Open.Toe", 0.15), ("ToeStyle.Snip.Toe", 0.045)):
        rows = np.flatnonzero(shoe.has(name))
        kept = (s[rows] - cut - 0.1 * rise[rows]) * length[rows]
        if name == "ToeStyle.Open.Toe":
            kept = np.maximum(kept, 0.03 - rise[rows])
        distance[rows] = np.minimum(distance[rows], kept)
    rows = np.flatnonzero(shoe.has("ToeStyle.Peep.Toe"))
    hole = brush.ellipse(s[rows] * length[rows] - 0.05, rise[rows] - 0.07, 0.10, 0.055)
    distance[rows] = np.minimum(distance[rows], -hole)


def _paint_upper(view: _View, fuzz: Floats) -> None:
    """The upper in its material, then its panels in further materials."""
    shoe = view.shoe
    materials = shoe.attributes[:, [_PLACES[f"Material.{name}"] for name in FAMILIES["Material"]]]
    first = materials & (materials.cumsum(1) == 1)
    panels = view.canvas.cover(np.maximum(0.22 - view.s, view.s - 0.80) * shoe.toe("length")) * view.upper
    shape = 0.82 + 0.22 * np.clip(view.h, 0, 1)

    def cover(part: Canvas, rows: NDArray[np.intp], mask: Floats, material: str) -> None:
        of = shoe.take(rows)
        tint, weight = _MATERIAL_COLOURS.get(material, _BARE)
        place = _Place(part.u, part.v, view.s[rows], view.h[rows], fuzz[rows], np.pi * of.extra("phase"))
        light, gloss = _SURFACES.get(material, _smooth)(place)
        light = light * shape[rows]
        part.paint(mask[rows], [np.clip(c * light + gloss, 0, 1) for c in brush.mix(of.paint("upper"), tint, weight)])

    view.canvas.detail(materials.sum(1) == 0, lambda part, rows: cover(part, rows, view.upper, ""))
    for name, whole, trims in zip(FAMILIES["Material"], first.T, (materials & ~first).T, strict=True):
        for chosen, mask in ((whole, view.upper), (trims, panels)):
            view.canvas.detail(chosen, partial(cover, mask=mask, material=name))


@dataclass(frozen=True)
class _Place:
    """Where a surface lies: u, v, s and h of its pixels, random patches, and a phase for each shoe."""

    u: Floats
    v: Floats
    s: Floats
    h: Floats
    fuzz: Floats
    phase: Floats

    def band(self, height: float, width: float) -> Floats:
        """A soft strip of reflected light along the upper."""
        return bump((self.h - height - 0.25 * (self.s - 0.4)) / width)


_Surface = tuple[Floats | float, Floats | float]
"""How a surface answers light: a factor, and gloss that is added."""


def _smooth(_: _Place) -> _Surface:
    return 1.0, 0.0


def _canvas(at: _Place) -> _Surface:
    """A coarse weave."""
    return 1 + 0.20 * np.sign(np.cos(56 * at.u + at.phase)) * np.sign(np.cos(56 * at.v)), 0.0


def _cotton(at: _Place) -> _Surface:
    """Twill: fine slanting lines."""
    return 1 + 0.14 * brush.wave(at.u, at.v, 40, 40, at.phase), 0.0


def _fur(at: _Place) -> _Surface:
    return 1 + 0.50 * at.fuzz, 0.0


def _faux_leather(at: _Place) -> _Surface:
    """Embossed with regular upright lines."""
    return 1 + 0.10 * brush.wave(at.u, at.v, 60, 9, at.phase), 0.22 * at.band(0.72, 0.20)


def _full_grain(at: _Place) -> _Surface:
    """Clouded, with little shine."""
    return 1 + 0.13 * brush.wave(at.u, at.v, 13, 17, at.phase) + 0.10 * at.fuzz, 0.06 * at.band(0.72, 0.20)


def _hair_calf(at: _Place) -> _Surface:
    """The spots of a leopard."""
    spots = brush.wave(at.u, at.v, 27, 9, at.phase) * brush.wave(at.u, at.v, -9, 27, at.phase)
    return 1 - 0.75 * np.clip(8 * spots - 2.5, 0, 1), 0.0


def _leather(at: _Place) -> _Surface:
    return 1.0, 0.30 * at.band(0.72, 0.20)


def _nubuck(at: _Place) -> _Surface:
    return 1 + 0.06 * at.fuzz, 0.05


def _nylon(at: _Place) -> _Surface:
    """A mesh with holes."""
    holes = (np.cos(62 * at.u + at.phase) > 0.2) & (np.cos(62 * at.v) > 0.2)
    return 1 - np.float32(0.35) * holes, 0.10 * at.band(0.72, 0.20)


def _patent(at: _Place) -> _Surface:
    """A mirror for the lamps: one above, one from the floor."""
    return 0.85, 0.80 * at.band(0.60, 0.10) + 0.25 * bump((at.h - 0.2) / 0.15)


def _rubber(at: _Place) -> _Surface:
    """Level ribs."""
    return 1 + 0.16 * np.sign(np.cos(44 * at.v + at.phase)), 0.16 * bump((at.h - 0.9) / 0.2)


def _satin(at: _Place) -> _Surface:
    """Broad soft folds of light."""
    sheen = np.square(brush.wave(at.u, at.v, 4.5, 2.5, at.phase / 2))
    return 1 + 0.22 * brush.wave(at.u, at.v, 9, 5, at.phase), 0.18 * sheen


def _sheepskin(at: _Place) -> _Surface:
    """Fleece comes out at the top."""
    fleece = np.clip((at.h - 0.72) * 6, 0, 1) * (at.s > 0.3)
    return 1 + 0.10 * at.fuzz, fleece * (0.34 + 0.14 * at.fuzz)


def _suede(at: _Place) -> _Surface:
    """Brushed this way and that."""
    return 1 + 0.28 * at.fuzz * (0.6 + 0.4 * brush.wave(at.u, at.v, 6, 4, at.phase)), 0.0


def _synthetic(at: _Place) -> _Surface:
    """Welded stripes."""
    stripes = np.clip(6 * np.cos(26 * (at.s - 0.35 * at.h) + at.phase) - 4, 0, 1)
    return 1 - 0.35 * stripes, 0.06 * at.band(0.72, 0.20)


def _wool(at: _Place) -> _Surface:
    """Knitted rows that go up and down."""
    stitches = 2.5 * np.pi * np.abs(np.mod(9 * at.u, 2) - 1)
    return 1 + 0.22 * np.cos(34 * at.v + stitches) + 0.12 * at.fuzz, 0.0


_SURFACES: dict[str, Callable[[_Place], _Surface]] = {
    "Canvas": _canvas,
    "Cotton": _cotton,
    "Faux.Fur": _fur,
    "Faux.Leather": _faux_leather,
    "Full.grain.leather": _full_grain,
    "Hair.Calf": _hair_calf,
    "Leather": _leather,
    "Nubuck": _nubuck,
    "Nylon": _nylon,
    "Patent.Leather": _patent,
    "Rubber": _rubber,
    "Satin": _satin,
    "Sheepskin": _sheepskin,
    "Suede": _suede,
    "Synthetic": _synthetic,
    "Wool": _wool,
}


def _paint_marks(view: _View) -> None:
    """What tells kinds of like outline apart: stripes of sneakers, saddles of loafers, thongs of boat shoes, cuffs."""
    view.on(view.shoe.is_kind("sneakers and athletic shoes"), _stripes)
    view.on(view.shoe.is_kind("loafers"), _saddle)
    view.on(view.shoe.is_kind("boat shoes"), _thong)
    view.on(view.shoe.form("plush")[:, 0, 0] > 0, _cuff)


def _stripes(view: _View) -> None:
    mark = view.canvas.cover((0.06 - np.abs(np.mod(6 * (view.s - 0.25 * view.h), 1) - 0.5) / 6) * 1.4)
    mark *= (view.s > 0.42) & (view.s < 0.80) & (view.h > 0.12) & (view.h < 0.85)
    view.canvas.paint(mark * view.upper, view.shoe.paint("trim"))


def _saddle(view: _View) -> None:
    band = view.canvas.cover((0.065 - np.abs(view.s - 0.37 + 0.05 * view.h)) * 1.5)
    view.canvas.shade(band * view.upper, 0.40)
    slot = view.canvas.cover(np.minimum(0.03 - np.abs(view.s - 0.36), 0.05 - np.abs(view.h - 0.72) * 0.4))
    view.canvas.shade(slot * view.upper, 0.5)


def _thong(view: _View) -> None:
    lace = view.canvas.cover(0.014 - np.abs(view.h - 0.80) * 0.25) * (view.s > view.shoe.form("throat"))
    view.canvas.paint(lace * view.upper, (0.95, 0.90, 0.78))


def _cuff(view: _View) -> None:
    form = view.shoe.form
    collar = np.minimum(0.16 - np.abs(view.canvas.v - view.shoe.shaft_top() - 0.10), 0.5 - np.abs(view.s - 0.72))
    edge = np.minimum(0.06 - np.abs(view.h - 0.9) * 0.3, (view.s - 0.30) * 2)
    mask = view.canvas.cover(np.where(form("shaft") > 0, collar, edge)) * view.upper
    view.canvas.paint(mask * form("plush"), (0.95, 0.92, 0.86))


# -------------------------------------------------------------------------------------------------- toes


def _paint_toe(view: _View) -> None:
    """Seams and holes of the toe (dark on light uppers, light on dark ones), and the guard of closed toes."""

    def sew(view: _View, seam: Callable[[Floats, Floats, Floats], Floats]) -> None:
        distance = seam(view.s, view.h, view.shoe.toe("length"))
        view.canvas.paint(view.canvas.cover(0.021 - distance) * view.upper, _contrast(view.shoe))

    for name, seam in _SEAMS.items():
        view.on(view.shoe.has(f"ToeStyle.{name}"), partial(sew, seam=seam))
    view.on(view.shoe.has("ToeStyle.Closed.Toe"), _guard)


def _guard(view: _View) -> None:
    front = view.canvas.cover((0.13 + 0.05 * (1 - view.h) - view.s) * view.shoe.toe("length"))
    view.canvas.paint(front * view.upper, view.shoe.paint("sole"))


def _contrast(shoe: _Shoe) -> list[Floats]:
    upper = shoe.paint("upper")
    dark = (upper[0] + upper[1] + upper[2]) / 3 < 0.35
    return [np.where(dark, 0.78, 0.35 * value) for value in upper]


def _capped(s: Floats, h: Floats, length: Floats) -> Floats:
    distance: Floats = np.abs(s - 0.215 - 0.03 * h) * length
    return distance


def _wingtip(s: Floats, h: Floats, length: Floats) -> Floats:
    wing = np.abs(h - np.clip(0.98 - 3.6 * (s - 0.20), 0.16, 1.2)) * 0.22
    holes = np.maximum(np.mod(s * 18, 1) - 0.5, 0) * 0.08
    ends = np.maximum(np.abs(s - 0.33) - 0.20, 0) * length
    distance: Floats = wing + holes + ends
    return distance


def _moc(s: Floats, h: Floats, length: Floats) -> Floats:
    stitches = np.maximum(np.mod(s * 16, 1) - 0.6, 0) * 0.10
    distance: Floats = np.abs(h - 0.60) * 0.20 + stitches + np.maximum(np.abs(s - 0.25) - 0.19, 0) * length
    return distance


def _algonquin(s: Floats, h: Floats, length: Floats) -> Floats:
    apron = np.abs(h - 0.62) * 0.20 + np.maximum(np.abs(s - 0.30) - 0.12, 0) * length
    split = np.abs(s - 0.17 + 0.06 * (h - 0.6)) * length + np.maximum(h - 0.64, 0)
    distance: Floats = np.minimum(apron, split)
    return distance


def _medallion(s: Floats, h: Floats, length: Floats) -> Floats:
    """Five round holes like those of a die."""
    x, y = np.abs(s - 0.16) * length, np.abs(h - 0.52) * 0.24
    corners = brush.length(x - 0.07, y - 0.055)
    distance: Floats = np.minimum(corners, brush.length(x, y)) - 0.012
    return distance


def _bicycle(s: Floats, h: Floats, length: Floats) -> Floats:
    pair = np.minimum(np.abs(h - 0.50), np.abs(h - 0.84)) * 0.20
    distance: Floats = pair + np.maximum(np.abs(s - 0.26) - 0.22, 0) * length
    return distance


def _centre(s: Floats, h: Floats, length: Floats) -> Floats:
    line = np.abs(h - 0.93 + 0.2 * np.maximum(0.15 - s, 0)) * 0.22 - 0.008
    distance: Floats = line + np.maximum(np.abs(s - 0.24) - 0.22, 0) * length
    return distance


_SEAMS = {
    "Capped.Toe": _capped,
    "Wingtip": _wingtip,
    "Moc.Toe": _moc,
    "Algonquin": _algonquin,
    "Medallion": _medallion,
    "Bicycle.Toe": _bicycle,
    "Center.Seam": _centre,
}


# -------------------------------------------------------------------------------------------------- closures


def _paint_closures(view: _View) -> None:
    for name, paint in _CLOSURES.items():
        view.on(view.shoe.has(f"Closure.{name}"), paint)


@dataclass(frozen=True)
class _Instep:
    """The front edge from the ball of the foot (t = 0) to the opening or a boot's top (t = 1); `inward` from it."""

    t: Floats
    inward: Floats
    length: Floats
    top_u: Floats
    top_v: Floats


def _instep_of(view: _View) -> _Instep:
    canvas, shoe = view.canvas, view.shoe
    throat = shoe.form("throat")
    start_u, start_v = shoe.u_at(0.28), shoe.sole_at(0.28) - shoe.height_at(0.28)
    top_u, top_v = shoe.u_at(throat), shoe.sole_at(throat) - shoe.height_at(throat)
    boot = shoe.form("shaft") > 0
    # The front of a boot is steep: laces begin where foot and shaft meet.
    start_u = np.where(boot, shoe.u_at(throat - 0.10), start_u)
    start_v = np.where(boot, top_v + 0.10, start_v)
    top_u = np.where(boot, shoe.u_at(throat - 0.01), top_u)
    top_v = np.where(boot, np.maximum(shoe.shaft_top() + 0.12, top_v - 0.75), top_v)
    run, rise = top_u - start_u, top_v - start_v
    length = np.sqrt(run * run + rise * rise)
    x, y = canvas.u - start_u, canvas.v - start_v
    return _Instep((x * run + y * rise) / (length * length), (y * run - x * rise) / length, length, top_u, top_v)


def _ankle_of(shoe: _Shoe) -> tuple[Floats, Floats]:
    """u and v of the middle of the ankle."""
    return shoe.u_at(0.75), shoe.sole_at(0.82) - 0.44


def _bands(s: Floats, h: Floats, places: tuple[float, ...], width: float, length: Floats) -> Floats:
    """Signed distance to straps across the vamp, which lean back towards the top."""
    nearest = np.minimum.reduce([np.abs(s - place - 0.10 * h) for place in places])
    distance: Floats = (width - nearest) * length
    return distance


def _laces(view: _View) -> None:
    part = view.canvas
    instep = _instep_of(view)
    rungs = (np.abs(np.mod(4 * instep.t, 1) - 0.5) - 0.22) * instep.length / 4
    bars = np.minimum(np.minimum(-rungs, instep.inward + 0.02), 0.13 - instep.inward)
    bars = np.minimum(bars, np.minimum(instep.t, 1.02 - instep.t) * instep.length)
    part.paint(part.cover(bars), (0.97, 0.97, 0.94))
    for way in (-1, 1):
        x, y = part.u - instep.top_u - 0.06 * way - 0.03, part.v - instep.top_v - 0.02
        loop = np.abs(brush.ellipse(x, y + 0.4 * way * x, 0.075, 0.045))
        part.paint(part.cover(0.014 - loop), (0.93, 0.93, 0.90))


def _slip_on(view: _View) -> None:
    """Nothing but a tab to pull the shoe on by: at the heel, or at the tongue of shoes without a back."""
    part, shoe = view.canvas, view.shoe
    place = np.where(shoe.form("backless") > 0, shoe.form("throat"), np.float32(0.98))
    top = np.where(shoe.form("shaft") > 0, shoe.form("counter"), shoe.height_at(place))
    tab = brush.box(part.u - shoe.u_at(place), part.v - shoe.sole_at(place) + np.maximum(top, 0.16), 0.035, 0.075)
    part.paint(part.cover(tab), shoe.paint("trim"))


def _pull_on(view: _View) -> None:
    """A loop at the top of the back, and one at the front of boots."""
    part, shoe = view.canvas, view.shoe
    boot = shoe.form("shaft") > 0
    back_v = np.where(boot, shoe.shaft_top(), shoe.sole_at(0.97) - np.maximum(shoe.form("counter"), 0.20))
    back_u = np.where(boot, shoe.u_at(0.95) + shoe.form("flare"), shoe.u_at(0.97))
    loop = np.abs(brush.ellipse(part.u - back_u, part.v - back_v, 0.06, 0.105))
    part.paint(part.cover(0.024 - loop), shoe.paint("trim"))


def _buckle(view: _View) -> None:
    part, shoe = view.canvas, view.shoe
    strap = part.cover(_bands(view.s, view.h, (0.44,), 0.045, shoe.toe("length")))
    strap *= part.cover(np.minimum(view.h, 1.05 - view.h) * 0.3)
    part.paint(strap, [0.55 * value for value in shoe.paint("trim")])
    h = shoe.height_at(0.47)
    x, y = part.u - shoe.u_at(0.475), part.v - shoe.sole_at(0.47) + 0.55 * h
    part.paint(part.cover(0.018 - np.abs(brush.box(x, y, 0.075, 0.065))), _metal(shoe))
    part.paint(part.cover(np.minimum(0.012 - np.abs(y), 0.075 - np.abs(x))), _metal(shoe))


def _metal(shoe: _Shoe) -> list[Floats | float]:
    """Silver, or gold."""
    return brush.mix(_METAL, (0.86, 0.66, 0.22), step(2 * shoe.extra("gold")))


def _zipper(view: _View) -> None:
    """Two rows of metal teeth on a dark tape, down the side."""
    part, shoe = view.canvas, view.shoe
    boot = shoe.form("shaft") > 0
    u = shoe.u_at(0.74)
    top = np.where(boot, shoe.shaft_top() + 0.03, shoe.sole_at(0.74) - np.maximum(shoe.height_at(0.74), 0.12))
    tape = np.minimum(np.minimum(part.v - top, shoe.sole_at(0.74) - 0.03 - part.v), 0.045 - np.abs(part.u - u))
    part.paint(part.cover(tape), (0.16, 0.16, 0.18))
    teeth = part.cover(np.minimum(tape, 0.022 - np.abs(part.u - u))) * (np.cos(70 * part.v) > -0.2)
    part.paint(teeth, _METAL)
    part.paint(part.cover(brush.box(part.u - u - 0.01, part.v - top - 0.07, 0.028, 0.055)), _METAL)


def _hook_and_loop(view: _View) -> None:
    """Two broad straps with pale ends."""
    part, shoe = view.canvas, view.shoe
    straps = part.cover(_bands(view.s, view.h, (0.32, 0.49), 0.052, shoe.toe("length")))
    across = part.cover(np.minimum(view.h - 0.35, 1.04 - view.h) * 0.3)
    part.paint(straps * across, shoe.paint("trim"))
    part.paint(straps * across * part.cover((0.52 - view.h) * 0.3), (0.92, 0.92, 0.90))


def _ankle_strap(view: _View) -> None:
    """A thin strap around the ankle, held by another one up from the heel."""
    part, shoe = view.canvas, view.shoe
    u, v = _ankle_of(shoe)
    ring = np.abs(brush.ellipse(part.u - u, part.v - v, 0.17 * shoe.toe("length"), 0.055))
    post = brush.stroke(part.u - shoe.u_at(0.93), part.v - v, shoe.u_at(0.97) - shoe.u_at(0.93), 0.34)
    strap = part.cover(0.020 - np.minimum(ring, post))
    part.paint(strap, [0.9 * value for value in shoe.paint("trim")])
    part.paint(part.cover(0.035 - brush.stroke(part.u - u, part.v - v - 0.05, 0.001, 0.02)), _metal(shoe))


def _ankle_wrap(view: _View) -> None:
    """Bands that cross twice on their way up the leg."""
    part, shoe = view.canvas, view.shoe
    u, v = _ankle_of(shoe)
    half = 0.16 * shoe.toe("length")
    x, y = (part.u - u) / half, part.v - v + 0.12
    crossing = np.minimum(np.abs(y - 0.16 * x), np.abs(y + 0.16 * x))
    upper = np.minimum(np.abs(y + 0.20 - 0.10 * x), np.abs(y + 0.20 + 0.10 * x))
    bands = np.minimum(0.022 - np.minimum(crossing, upper), (1 - np.abs(x)) * half)
    part.paint(part.cover(bands), shoe.paint("trim"))


def _sling_back(view: _View) -> None:
    """A strap from the sides of the shoe around the bare heel."""
    part, shoe = view.canvas, view.shoe
    s = view.s
    line = shoe.sole_at(s) - 0.07 - 0.26 * step((s - 0.52) / 0.46)
    band = np.minimum(0.026 - np.abs(part.v - line), np.minimum(s - 0.52, 1.0 - s) * shoe.toe("length"))
    part.paint(part.cover(band), [0.9 * value for value in shoe.paint("trim")])
    end = brush.ellipse(part.u - shoe.u_at(0.90), part.v - shoe.sole_at(0.90) + 0.31, 0.03, 0.03)
    part.paint(part.cover(end), _metal(shoe))


def _elastic_gore(view: _View) -> None:
    """A ribbed dark wedge at the side, wide at the top."""
    part, shoe = view.canvas, view.shoe
    boot = shoe.form("shaft") > 0
    middle = np.where(boot, shoe.u_at(0.72), shoe.u_at(shoe.form("throat") + 0.10))
    low = shoe.sole_at(0.66) - 0.10
    high = np.where(boot, low - 0.45, low - 0.30)
    down = (part.v - high) / (low - high)
    wedge = np.minimum(0.125 - 0.075 * down - np.abs(part.u - middle), np.minimum(part.v - high, low - part.v))
    mask = part.cover(wedge) * view.upper
    part.paint(mask, (0.13, 0.13, 0.15))
    part.paint(mask * (np.cos(75 * (part.u - middle)) > 0.55), (0.52, 0.52, 0.54))


def _bungee(view: _View) -> None:
    """A bright elastic cord that zigzags up the instep to its lock."""
    part = view.canvas
    instep = _instep_of(view)
    path = 0.02 + 0.11 * np.abs(np.mod(2.5 * instep.t, 1) * 2 - 1)
    inside = np.minimum(instep.t, 1 - instep.t) * instep.length
    part.paint(part.cover(np.minimum(0.02 - 0.7 * np.abs(instep.inward - path), inside)), (0.98, 0.80, 0.08))
    lock = brush.ellipse(part.u - instep.top_u, part.v - instep.top_v + 0.03, 0.05, 0.05)
    part.paint(part.cover(lock), (0.10, 0.10, 0.12))
    part.paint(part.cover(lock - 0.026), (0.98, 0.80, 0.08))


def _toggle(view: _View) -> None:
    """Two wooden pegs in loops of cord."""
    part = view.canvas
    instep = _instep_of(view)
    for place in (0.35, 0.85):
        x = instep.inward - 0.10
        y = (instep.t - place) * instep.length
        part.paint(part.cover(0.014 - np.abs(brush.ellipse(x, y, 0.11, 0.04))), (0.90, 0.86, 0.74))
        part.paint(part.cover(brush.box(x - 0.01, y, 0.03, 0.065)), (0.72, 0.46, 0.20))


def _buttons(view: _View) -> None:
    """Three round buttons in a row up the side, with their loops."""
    part, shoe = view.canvas, view.shoe
    boot = shoe.form("shaft") > 0
    apart = np.where(boot, np.float32(0.17), np.float32(0.105))
    for number in range(3):
        x = part.u - shoe.u_at(shoe.form("throat") + 0.10)
        y = part.v - shoe.sole_at(0.62) + 0.07 + apart * number
        part.paint(part.cover(np.minimum(0.012 - np.abs(y), 0.10 - np.abs(x + 0.08))), (0.20, 0.16, 0.14))
        part.paint(part.cover(brush.ellipse(x, y, 0.042, 0.042)), (0.93, 0.88, 0.80))
        part.paint(part.cover(brush.ellipse(x, y, 0.015, 0.015)), (0.25, 0.20, 0.18))


def _monk_strap(view: _View) -> None:
    """A broad strap that runs back and down from the instep to a buckle at the side."""
    part, shoe = view.canvas, view.shoe
    throat = shoe.form("throat")
    u, v = shoe.u_at(throat - 0.12), shoe.sole_at(throat) - 0.92 * shoe.height_at(throat - 0.10)
    run, rise = 0.24 * shoe.toe("length"), 0.16
    distance = 0.060 - brush.stroke(part.u - u, part.v - v, run, rise)
    part.paint(part.cover(distance), [0.62 * value for value in shoe.paint("upper")])
    x, y = part.u - u - run, part.v - v - rise
    part.paint(part.cover(0.016 - np.abs(brush.box(x, y, 0.05, 0.075))), (0.92, 0.74, 0.28))


_CLOSURES: dict[str, Callable[[_View], None]] = {
    "Slip.On": _slip_on,
    "Pull.on": _pull_on,
    "Elastic.Gore": _elastic_gore,
    "Sling.Back": _sling_back,
    "Ankle.Strap": _ankle_strap,
    "Ankle.Wrap": _ankle_wrap,
    "Zipper": _zipper,
    "Monk.Strap": _monk_strap,
    "Hook.and.Loop": _hook_and_loop,
    "Lace.up": _laces,
    "Bungee": _bungee,
    "Toggle": _toggle,
    "Button.Loop": _buttons,
    "Buckle": _buckle,
}
