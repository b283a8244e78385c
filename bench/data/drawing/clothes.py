"""Drawn clothes: people in the street, from head to thigh, in one garment that matters.

How a picture comes about::

    category   -> form of the garment (hem, ease, waist, opening, what it is knitted or tailored like)
    attributes -> sleeves, neckline, collar, tie, placket, scarf, bare skin, colours, pattern, and who wears it
    rng        -> nuisances: place, size, arms, skin, hair, trousers, street, light, noise

Labels are those of the Clothing Attributes Dataset (Chen, Gallagher & Girod, 2012). A second colour is that of the
pattern, or of sleeves and lower half where the pattern is solid; of `many_colors` none is a label of its own. A pattern
without a second colour is a lighter or darker shade of the first.

The figure stands upright around u = 0; see `_brush` for u and v. Images are float32 ``[n, h, w]``.
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


class Form(NamedTuple):
    """What all garments of one category are made like, in units of the frame.

    `hem` is its v; `ease` how far the garment stands off; `waist` how much of it is taken in; `flare` how much the
    skirt widens. `opening` is the half width of an open front, `lapels` says that it closes in a V, `straps` that there
    is nothing over the shoulders' ends, `ribs` that it is knitted, `tails` that it hangs lower in the middle and has a
    pocket on the chest.
    """

    hem: float
    ease: float = 0.02
    waist: float = 0.03
    flare: float = 0.0
    opening: float = 0.0
    lapels: float = 0.0
    straps: float = 0.0
    ribs: float = 0.0
    tails: float = 0.0


FORMS: dict[str, Form] = {
    "shirt": Form(0.53, ease=0.05, waist=0.01, tails=1.0),
    "sweater": Form(0.50, ease=0.07, waist=0.0, ribs=1.0),
    "t-shirt": Form(0.52, ease=0.03),
    "outerwear": Form(0.80, ease=0.12, waist=0.0, opening=0.11),
    "suit": Form(0.66, ease=0.06, waist=0.05, lapels=1.0),
    "tank top": Form(0.50, ease=0.0, straps=1.0),
    "dress": Form(1.3, ease=0.0, waist=0.09, flare=0.34),
}
CATEGORIES: tuple[str, ...] = tuple(FORMS)
_FORM_TABLE = np.array(list(FORMS.values()), np.float32)

PALETTE: dict[str, tuple[float, float, float]] = {
    "black": (0.10, 0.10, 0.11),
    "blue": (0.14, 0.28, 0.76),
    "brown": (0.42, 0.25, 0.12),
    "cyan": (0.22, 0.76, 0.82),
    "gray": (0.54, 0.54, 0.55),
    "green": (0.14, 0.52, 0.20),
    "purple": (0.48, 0.18, 0.62),
    "red": (0.82, 0.12, 0.14),
    "white": (0.95, 0.95, 0.94),
    "yellow": (0.94, 0.80, 0.16),
}
_RGB = np.array(list(PALETTE.values()), np.float32)

FAMILIES: dict[str, tuple[str, ...]] = {
    "colour": (*PALETTE, "many_colors"),
    "pattern": (
        "pattern_floral", "pattern_graphics", "pattern_plaid", "pattern_solid", "pattern_spot", "pattern_stripe",
    ),
    "sleeves": ("no sleeves", "short sleeves", "long sleeves"),
    "neckline": ("v-shape neckline", "round neckline", "other neckline"),
    "parts": ("collar", "necktie", "placket", "scarf", "female", "high skin exposure"),
}  # fmt: skip
"""Of the first four families a garment has one value (of the colours up to two), of the parts any."""
ATTRIBUTES: tuple[str, ...] = tuple(value for values in FAMILIES.values() for value in values)
_PLACES = {name: place for place, name in enumerate(ATTRIBUTES)}

_NUISANCES: tuple[str, ...] = (
    "shift_x", "shift_y", "scale", "softness", "brightness", "cast", "noise", "order", "second", "lightness", "tint",
    "phase", "skin", "hair", "legs", "arms", "wall_light", "wall_red", "wall_blue", "horizon", "scarf", "tie",
)  # fmt: skip
_FUZZ_GRID = 16
_PALE = (0.93, 0.92, 0.90)


def draw_clothes(
    categories: NDArray[np.integer], attributes: NDArray[np.bool_], *, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one dressed person per row of labels.

    What chance does to a picture does not depend on its labels: two calls with equally seeded generators differ only
    in what categories and attributes change.

    Args:
        categories: ``[n]``, index into `CATEGORIES`.
        attributes: bool ``[n, len(ATTRIBUTES)]``.
        size: height and width of the images in pixels, 16 to 256.
        rng: the only source of randomness.

    Returns:
        uint8 ``[n, size, size, 3]``, RGB.

    Raises:
        ValueError: an argument has another shape, dtype or range than stated.
    """
    brush.check_size(size)
    brush.check_places("categories", categories, len(CATEGORIES))
    count = len(categories)
    brush.check_table("attributes", attributes, (count, len(ATTRIBUTES)), np.bool_)
    images = np.empty((count, size, size, 3), np.uint8)
    for shot in brush.shots(count, size, _NUISANCES, _FUZZ_GRID, rng):
        rows = shot.rows
        canvas = shot.canvas(shift=(0.07, 0.05), scale=(1.0, 0.06), softness=0.010)
        _paint_street(canvas, shot.nuisance, shot.fuzz)
        _paint_person(_View(canvas, _figure_of(categories[rows], attributes[rows], shot.nuisance)))
        images[rows] = shot.expose(canvas, light=(0.98, 0.07), cast=0.04, grain=(5.0, 3.0))
    return images


# -------------------------------------------------------------------------------------------------- the figure


@dataclass(frozen=True)
class _Figure:
    """Some dressed people. Attributes are bool ``[n, len(ATTRIBUTES)]``, the rest is handed out as ``[n, 1, 1]``.

    Attributes:
        form: measures of the category (see `Form`).
        body: female, bare (high skin exposure), shoulder and hip (half widths), hem, sleeve_end (v).
        colour: main, second, skin, hair, legs, scarf and tie, by channel.
        nuisance: see `_NUISANCES`.
    """

    attributes: NDArray[np.bool_]
    form: Columns
    body: Columns
    colour: Columns
    nuisance: Columns

    def has(self, name: str) -> NDArray[np.bool_]:
        return self.attributes[:, _PLACES[name]]

    def take(self, rows: NDArray[np.intp]) -> _Figure:
        columns = (part.take(rows) for part in (self.form, self.body, self.colour, self.nuisance))
        return _Figure(self.attributes[rows], *columns)

    def paint(self, what: str) -> list[Floats]:
        """One of the colours."""
        return self.colour.rgb(what)

    def half_width(self, v: Floats) -> Floats:
        """Half the width of the body at each height: in at the waist, out at the hips."""
        shoulder, hip, female = self.body("shoulder"), self.body("hip"), self.body("female")
        down = step((v + 0.40) / 0.90)
        waist = (0.05 + 0.05 * female) * bump((v - 0.10) / 0.42)
        width: Floats = shoulder + (hip - shoulder) * down - waist
        return width


def _figure_of(categories: NDArray[np.integer], attributes: NDArray[np.bool_], nuisance: Columns) -> _Figure:
    form = Columns(Form._fields, _FORM_TABLE[categories])
    flags = attributes.astype(np.float32)
    female, bare = flags[:, _PLACES["female"]], flags[:, _PLACES["high skin exposure"]]
    long, short = flags[:, _PLACES["long sleeves"]], flags[:, _PLACES["short sleeves"]]
    hem = form("hem")[:, 0, 0]
    # Bare skin: a short top leaves the belly free, a short dress the thighs.
    hem = hem - bare * np.where(hem > 1, np.float32(0.55), np.float32(0.24))
    sleeve_end = -0.50 + 0.42 * np.maximum(short, long) + 0.50 * long
    body = np.stack([female, bare, 0.44 - 0.06 * female, 0.35 + 0.02 * female, hem, sleeve_end], 1)
    names = ("female", "bare", "shoulder", "hip", "hem", "sleeve_end")
    return _Figure(attributes, form, Columns(names, body), _colours_of(attributes, nuisance), nuisance)


def _colours_of(attributes: NDArray[np.bool_], nuisance: Columns) -> Columns:
    """Colours by name and channel: of the garment those that are labelled, of everything else by chance."""
    labelled = attributes[:, : len(PALETTE)]
    # Chance says which of two labelled colours is the main one, and what is taken where none is labelled.
    turn = np.arange(len(PALETTE)) + (nuisance("order")[:, :, 0] + 1) * len(PALETTE) / 2
    order = np.argsort(np.where(labelled, 0, 100) + np.mod(turn, len(PALETTE)), axis=1, kind="stable")
    shade = 1 + 0.12 * nuisance("lightness")[:, 0]
    main = np.clip(_RGB[order[:, 0]] * shade, 0, 1)
    paler = np.where(main.mean(1, keepdims=True) > 0.45, 0.55 * main, 0.55 * main + 0.42)
    second = np.where(labelled.sum(1)[:, None] > 1, _RGB[order[:, 1]], paler)

    def blend(first: tuple[float, ...], last: tuple[float, ...], by: str) -> Floats:
        share = (nuisance(by)[:, 0] + 1) / 2
        mixed: Floats = np.array(first, np.float32) * (1 - share) + np.array(last, np.float32) * share
        return mixed

    def any_of(by: str) -> Floats:
        place = ((nuisance(by)[:, 0, 0] + 1) / 2 * len(PALETTE)).astype(np.intp).clip(0, len(PALETTE) - 1)
        colour: Floats = 0.85 * _RGB[place]
        return colour

    return brush.colours(
        {
            "main": main,
            "second": second,
            "skin": blend((0.97, 0.80, 0.68), (0.52, 0.35, 0.25), "skin"),
            "hair": blend((0.12, 0.08, 0.06), (0.70, 0.52, 0.28), "hair"),
            "legs": blend((0.14, 0.16, 0.24), (0.46, 0.42, 0.36), "legs"),
            "scarf": any_of("scarf"),
            "tie": 0.8 * any_of("tie"),
        }
    )


# -------------------------------------------------------------------------------------------------- layers


@dataclass(frozen=True)
class _View:
    """Some people on a canvas; `garment` is the mask of what is patterned, ``[n, h, w]``, once it is known."""

    canvas: Canvas
    figure: _Figure
    garment: Floats | None = None

    @property
    def side(self) -> Floats:
        """Distance from the middle, ``[n, 1, w]``; drawing with it draws left and right at once."""
        return np.abs(self.canvas.u)

    @property
    def cloth(self) -> Floats:
        assert self.garment is not None
        return self.garment

    def on(self, chosen: NDArray[np.bool_], paint: Callable[[_View], None]) -> None:
        """Paint on the chosen pictures only."""

        def some(part: Canvas, rows: NDArray[np.intp]) -> None:
            garment = None if self.garment is None else self.garment[rows]
            paint(_View(part, self.figure.take(rows), garment))

        self.canvas.detail(chosen, some)


def _paint_street(canvas: Canvas, nuisance: Columns, fuzz: Floats) -> None:
    """A wall with spots of light, and a paler pavement."""
    light = nuisance.around(0.62, "wall_light", 0.16)
    red, blue = nuisance.around(0.0, "wall_red", 0.07), nuisance.around(0.0, "wall_blue", 0.07)
    ground = canvas.cover(canvas.v - nuisance.around(0.62, "horizon", 0.25))
    grey = light + 0.07 * fuzz + 0.10 * ground
    canvas.planes[0] = grey + red * (1 - ground)
    canvas.planes[1] = grey
    canvas.planes[2] = grey + blue * (1 - ground)


def _paint_person(view: _View) -> None:
    """Paint everything but the street, back to front."""
    figure = view.figure
    view.on(figure.has("female"), _long_hair)
    _paint_body(view)
    _paint_head(view)
    worn = _View(view.canvas, figure, _garment_mask(view))
    _paint_cloth(worn)
    worn.on(figure.form("ribs")[:, 0, 0] > 0, _ribs)
    worn.on(figure.form("tails")[:, 0, 0] > 0, _pocket)
    worn.on(figure.form("opening")[:, 0, 0] > 0, _open_front)
    worn.on(figure.form("lapels")[:, 0, 0] > 0, _lapels)
    worn.on(figure.has("v-shape neckline"), _v_neck)
    worn.on(figure.has("round neckline"), _round_neck)
    worn.on(figure.has("other neckline"), _high_neck)
    worn.on(figure.has("placket"), _placket)
    worn.on(figure.has("necktie"), _necktie)
    worn.on(figure.has("collar"), _collar)
    worn.on(figure.has("scarf"), _scarf)


def _arm(view: _View) -> Floats:
    """Distance to the line of the arms, from the shoulder over the elbow to the hand."""
    shoulder, out = view.figure.body("shoulder"), view.figure.nuisance.around(0.11, "arms", 0.05)
    x, y = view.side - shoulder + 0.03, view.canvas.v + 0.35
    upper = brush.stroke(x, y, out, 0.42)
    lower = brush.stroke(x - out, y - 0.42, -0.3 * out, 0.44)
    distance: Floats = np.minimum(upper, lower)
    return distance


def _long_hair(view: _View) -> None:
    hair = brush.ellipse(view.canvas.u, view.canvas.v + 0.62, 0.24, 0.34)
    view.canvas.paint(view.canvas.cover(hair), view.figure.paint("hair"))


def _paint_body(view: _View) -> None:
    """Bare skin down to the hips, and what the legs are in: trousers, or nothing under dresses."""
    canvas, figure = view.canvas, view.figure
    width, v = figure.half_width(canvas.v), canvas.v
    legs = np.minimum(width + 0.01 - view.side, v - 0.42)
    legs = np.minimum(legs, view.side - 0.03 + 0.3 * np.maximum(0.62 - v, 0))
    bare = (figure.form("flare") > 0).astype(np.float32)
    canvas.paint(canvas.cover(legs), brush.mix(figure.paint("legs"), figure.paint("skin"), bare))
    slope = -0.47 + 0.10 * np.square(view.side / figure.body("shoulder"))
    torso = np.minimum(np.minimum(width - 0.03 - view.side, v - slope), 0.45 - v)
    neck = np.minimum(0.095 - view.side, np.minimum(v + 0.70, -0.35 - v))
    skin = np.maximum(np.maximum(torso, neck), 0.065 - _arm(view))
    canvas.paint(canvas.cover(skin), figure.paint("skin"))
    canvas.shade(canvas.cover(brush.ellipse(canvas.u, v + 0.53, 0.10, 0.05)), 0.14)


def _paint_head(view: _View) -> None:
    canvas, figure = view.canvas, view.figure
    x, y = canvas.u, canvas.v + 0.74
    face = brush.ellipse(x, y, 0.155, 0.205)
    canvas.paint(canvas.cover(face), figure.paint("skin"))
    eyes = brush.ellipse(view.side - 0.06, y + 0.005, 0.022, 0.018)
    canvas.paint(canvas.cover(eyes), (0.12, 0.09, 0.08))
    canvas.shade(canvas.cover(brush.ellipse(x, y - 0.105, 0.055, 0.016)), 0.42)
    fringe = np.minimum(face + 0.035, -0.075 + 0.25 * view.side - y - 0.5 * x * x)
    canvas.paint(canvas.cover(fringe), figure.paint("hair"))


def _garment_mask(view: _View) -> Floats:
    """Mask of torso and sleeves of the garment."""
    canvas, figure = view.canvas, view.figure
    form, body, v = figure.form, figure.body, canvas.v
    ease = form("ease")
    skirt = form("flare") * step((v - 0.12) / 0.9)
    width = figure.half_width(v) + ease - form("waist") * bump((v - 0.10) / 0.35) + skirt
    slope = -0.485 - 0.3 * ease + 0.11 * np.square(view.side / body("shoulder"))
    hem = body("hem") + form("tails") * (0.14 * bump(view.side / 0.36) - 0.03)
    torso = np.minimum(np.minimum(width - view.side, v - slope), hem - v)
    hole = brush.ellipse(view.side - body("shoulder") + 0.02, v + 0.32, 0.17, 0.24)
    torso = np.where(form("straps") > 0, np.minimum(torso, -hole), torso)
    sleeve = np.minimum(0.088 + 0.6 * ease - _arm(view), body("sleeve_end") - v)
    return canvas.cover(np.maximum(torso, sleeve))


def _paint_cloth(view: _View) -> None:
    """The garment in its colours and pattern, with some shade for its folds."""
    canvas, figure = view.canvas, view.figure
    canvas.paint(view.cloth, figure.paint("main"))
    solid = figure.has("pattern_solid") & (figure.attributes[:, : len(PALETTE)].sum(1) > 1)
    view.on(figure.has("many_colors"), _patches)
    view.on(solid, _colour_blocks)
    for name, pattern in _PATTERNS.items():
        view.on(figure.has(name), partial(_print, pattern=pattern))
    folds = brush.wave(canvas.u, canvas.v, 9, 4, np.pi * figure.nuisance("phase"))
    canvas.shade(view.cloth, 0.05 + 0.07 * folds + 0.10 * np.square(view.side / 0.5))
    arms = np.abs(view.side - figure.body("shoulder") + 0.04)
    canvas.shade(view.cloth * canvas.cover(np.minimum(0.012 - arms, 0.27 - np.abs(canvas.v - 0.05))), 0.30)


def _patches(view: _View) -> None:
    """Several colours, in slanting fields."""
    canvas, nuisance = view.canvas, view.figure.nuisance
    place = canvas.u + 0.8 * canvas.v + nuisance.around(0.0, "phase", 0.2)
    for number, by in enumerate(("second", "tint", "order")):
        colour = ((nuisance(by)[:, 0, 0] + 1) / 2 * len(PALETTE)).astype(np.intp).clip(0, len(PALETTE) - 1)
        rgb = _RGB[(colour + 3 * number) % len(PALETTE)]
        field = np.abs(np.mod(2.2 * place - number / 4, 1) - 0.5) - 0.375
        canvas.paint(canvas.cover(field / 2.2) * view.cloth, [rgb[:, channel, None, None] for channel in range(3)])


def _colour_blocks(view: _View) -> None:
    """Sleeves and lower half of another colour."""
    canvas = view.canvas
    block = np.maximum(canvas.v - 0.12, view.side - view.figure.body("shoulder") + 0.04)
    canvas.paint(canvas.cover(block) * view.cloth, view.figure.paint("second"))


# -------------------------------------------------------------------------------------------------- patterns


def _print(view: _View, pattern: Callable[[Floats, Floats, Floats], Floats]) -> None:
    """Print a pattern, given as signed distance, in the second colour."""
    distance = pattern(view.canvas.u, view.canvas.v, view.figure.nuisance("phase"))
    view.canvas.paint(view.canvas.cover(distance) * view.cloth, view.figure.paint("second"))


def _cell(x: Floats, period: float) -> Floats:
    """Place within a repeated cell, from its middle."""
    place: Floats = (np.mod(x / period, 1) - 0.5) * period
    return place


def _floral(u: Floats, v: Floats, phase: Floats) -> Floats:
    """Flowers of five petals, each second row set off."""
    row = np.floor(v / 0.24 + phase)
    x, y = _cell(u + 0.12 * np.mod(row, 2), 0.24), _cell(v + 0.24 * phase, 0.24)
    radius = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x + 1e-6)
    distance: Floats = 0.065 + 0.030 * np.cos(5 * angle) - radius
    return distance


def _graphics(u: Floats, v: Floats, phase: Floats) -> Floats:
    """One large print on the chest: a ring over two bars."""
    x, y = u - 0.03 * phase, v + 0.10
    ring = 0.035 - np.abs(brush.ellipse(x, y, 0.15, 0.15))
    bars = np.maximum(brush.box(x, y - 0.24, 0.19, 0.022), brush.box(x, y - 0.32, 0.12, 0.022))
    distance: Floats = np.maximum(ring, np.maximum(bars, 0.05 - np.abs(x) - np.abs(y)))
    return distance


def _plaid(u: Floats, v: Floats, phase: Floats) -> Floats:
    """Upright and level bands that cross."""
    upright, level = np.abs(_cell(u + 0.1 * phase, 0.20)), np.abs(_cell(v + 0.1 * phase, 0.20))
    distance: Floats = 0.028 - np.minimum(upright, level)
    return distance


def _spot(u: Floats, v: Floats, phase: Floats) -> Floats:
    """Round spots, each second row set off."""
    row = np.floor(v / 0.16 + phase)
    x, y = _cell(u + 0.08 * np.mod(row, 2), 0.16), _cell(v + 0.16 * phase, 0.16)
    distance: Floats = 0.046 - np.sqrt(x * x + y * y)
    return distance


def _stripe(u: Floats, v: Floats, phase: Floats) -> Floats:
    """Level stripes."""
    distance: Floats = 0.036 - np.abs(_cell(v + 0.08 * phase, 0.16)) + 0 * u
    return distance


_PATTERNS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "pattern_floral": _floral,
    "pattern_graphics": _graphics,
    "pattern_plaid": _plaid,
    "pattern_spot": _spot,
    "pattern_stripe": _stripe,
}


# -------------------------------------------------------------------------------------------------- parts


def _ribs(view: _View) -> None:
    """Knitted hem, and rows of knitting all over."""
    canvas, hem = view.canvas, view.figure.body("hem")
    canvas.shade(view.cloth * canvas.cover(canvas.v - hem + 0.09) * (np.cos(80 * canvas.u) > 0), 0.35)
    knit = np.cos(46 * canvas.v + 2.2 * np.pi * np.abs(np.mod(8 * canvas.u, 2) - 1))
    canvas.shade(view.cloth, 0.04 + 0.10 * knit)


def _pocket(view: _View) -> None:
    canvas = view.canvas
    edge = np.abs(brush.box(canvas.u - 0.21, canvas.v + 0.13, 0.095, 0.105))
    canvas.shade(canvas.cover(0.012 - edge) * view.cloth, 0.40)
    canvas.shade(canvas.cover(np.minimum(0.012 - edge, -0.19 - canvas.v)) * view.cloth, 0.30)


def _open_front(view: _View) -> None:
    """An open coat over something pale, with its edges turned back."""
    canvas, figure = view.canvas, view.figure
    half = figure.form("opening") * (0.75 + 0.35 * step((canvas.v + 0.5) / 1.2))
    gap = np.minimum(half - view.side, 0.50 - canvas.v)
    under = canvas.cover(gap) * view.cloth
    canvas.paint(under, _PALE)
    edge = canvas.cover(0.030 - np.abs(view.side - half - 0.03)) * view.cloth
    canvas.shade(edge, 0.32)


def _lapels(view: _View) -> None:
    """A jacket closed by two buttons, with lapels and a shirt in its V."""
    canvas = view.canvas
    down = (canvas.v + 0.48) / 0.62
    opening = np.minimum(0.19 * (1 - down), canvas.v + 0.50)
    canvas.paint(canvas.cover(opening - view.side) * view.cloth, _PALE)
    lapel = np.minimum(0.085 * bump((down - 0.35) / 0.75), 0.09)
    outer = canvas.cover(np.minimum(opening + lapel - view.side, view.side - opening)) * view.cloth
    canvas.shade(outer, 0.38)
    front = canvas.cover(np.minimum(0.010 - view.side, canvas.v - 0.14)) * view.cloth
    canvas.shade(front, 0.5)
    for height in (0.20, 0.34):
        button = brush.ellipse(canvas.u - 0.035, canvas.v - height, 0.026, 0.026)
        canvas.paint(canvas.cover(button), (0.10, 0.08, 0.08))


def _v_neck(view: _View) -> None:
    depth = 0.24 + 0.16 * view.figure.body("bare")
    down = (canvas_v := view.canvas.v) + 0.49
    cut = np.minimum((0.15 + 0.05 * view.figure.body("bare")) * (1 - down / depth) - view.side, canvas_v + 0.50)
    _show_skin(view, cut)


def _round_neck(view: _View) -> None:
    bare = view.figure.body("bare")
    cut = brush.ellipse(view.canvas.u, view.canvas.v + 0.49, 0.165 + 0.06 * bare, 0.13 + 0.14 * bare)
    _show_skin(view, np.minimum(cut, view.canvas.v + 0.50))


def _high_neck(view: _View) -> None:
    """A neck that is covered up to the chin; bare skin then shows through a hole under it."""
    canvas, figure = view.canvas, view.figure
    neck = np.minimum(0.125 - view.side, np.minimum(canvas.v + 0.615, -0.40 - canvas.v))
    canvas.paint(canvas.cover(neck), figure.paint("main"))
    canvas.shade(canvas.cover(neck) * (np.abs(canvas.v + 0.50) < 0.018), 0.35)
    hole = brush.ellipse(canvas.u, canvas.v + 0.30, 0.12, 0.09)
    canvas.paint(canvas.cover(hole) * figure.body("bare"), figure.paint("skin"))


def _show_skin(view: _View, cut: Floats) -> None:
    """Skin within a neckline, and its edge."""
    canvas = view.canvas
    canvas.paint(canvas.cover(cut), view.figure.paint("skin"))
    canvas.shade(canvas.cover(0.016 - np.abs(cut + 0.016)) * view.cloth, 0.30)


def _placket(view: _View) -> None:
    """A strip down the middle with buttons."""
    canvas, hem = view.canvas, view.figure.body("hem")
    inside = np.minimum(canvas.v + 0.36, np.minimum(hem, 0.60) - canvas.v)
    strip = canvas.cover(np.minimum(0.045 - view.side, inside)) * view.cloth
    canvas.shade(strip, -0.16)
    canvas.shade(canvas.cover(np.minimum(0.010 - np.abs(view.side - 0.05), inside)) * view.cloth, 0.45)
    buttons = brush.ellipse(canvas.u, _cell(canvas.v, 0.15), 0.024, 0.024)
    canvas.paint(canvas.cover(np.minimum(buttons, inside)) * view.cloth, (0.16, 0.13, 0.12))


def _necktie(view: _View) -> None:
    """A knot, and a tie that widens to its point."""
    canvas, figure = view.canvas, view.figure
    down = np.clip((canvas.v + 0.40) / 0.66, 0, 1)
    blade = np.minimum(0.030 + 0.055 * down - view.side, np.minimum(canvas.v + 0.40, 0.32 - view.side - canvas.v))
    knot = np.minimum(0.055 - 0.3 * (canvas.v + 0.47) - view.side, np.minimum(canvas.v + 0.49, -0.38 - canvas.v))
    canvas.paint(canvas.cover(np.maximum(blade, knot)), figure.paint("tie"))
    rim = np.abs(blade) - 0.002
    canvas.paint(canvas.cover(np.minimum(0.010 - rim, canvas.v + 0.38)), (0.96, 0.95, 0.92))


def _collar(view: _View) -> None:
    """Two pointed flaps beside the neck."""
    canvas, figure = view.canvas, view.figure
    y = canvas.v + 0.55
    flap = np.minimum(np.minimum(view.side - 0.045 - 0.10 * y, 0.185 - 0.12 * y - view.side), y)
    flap = np.minimum(flap, 0.11 + 0.55 * (0.17 - view.side) - y)
    canvas.paint(canvas.cover(flap), brush.mix(figure.paint("main"), _PALE, 0.45))
    canvas.paint(canvas.cover(np.minimum(0.010 - np.abs(flap), y + 0.02)), (0.15, 0.13, 0.13))


def _scarf(view: _View) -> None:
    """Wound around the neck, one end hanging down with its fringe."""
    canvas, figure = view.canvas, view.figure
    wound = brush.ellipse(canvas.u, canvas.v + 0.47, 0.235, 0.115)
    end = brush.box(canvas.u - 0.10, canvas.v + 0.12, 0.075, 0.34)
    mask = canvas.cover(np.maximum(wound, end))
    canvas.paint(mask, figure.paint("scarf"))
    canvas.shade(mask * canvas.cover(0.016 - np.abs(_cell(canvas.v + 0.6 * canvas.u, 0.12))), 0.35)
    canvas.shade(mask * canvas.cover(np.minimum(canvas.v - 0.14, 0.020 - np.abs(_cell(canvas.u, 0.05)))), 0.5)
