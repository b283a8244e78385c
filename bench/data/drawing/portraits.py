"""Drawn portraits that show the forty attributes of CelebA.

How a picture comes about::

    person row -> how this person looks: proportions, skin, eyes, length of hair; the same in all pictures of them
    attributes -> everything that has a name: sex and age, hair and beard, features, make-up, what is worn, expression
    rng        -> nuisances: place, size, light, background, clothes, colours of hats and jewels, noise

Labels are those of CelebA (Liu, Luo, Wang & Tang, 2015), by their official names. Each shows as its name says. Two say
how people are judged: `Attractive` shows as even skin (without it the skin is blotched), `Young` as skin without lines.
A beard that is neither goatee nor moustache is a full one: it shows where `No_Beard` and these two are absent. Hair of
none of the four colours is red; a hat hides what is under it.

As in the aligned images the eyes are always in about the same place. The head is upright around u = 0; see `_brush` for
u and v. Images are float32 ``[n, h, w]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import _brush as brush
from bench.data.drawing._brush import Canvas, Colour, Columns, Floats, bump, step

CODE = (Path(__file__), *brush.CODE)

ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)  # fmt: skip
_PLACES = {name: place for place, name in enumerate(ATTRIBUTES)}

HAIR_COLOURS: dict[str, tuple[float, float, float]] = {
    "Black_Hair": (0.09, 0.08, 0.09),
    "Blond_Hair": (0.90, 0.76, 0.42),
    "Brown_Hair": (0.40, 0.25, 0.14),
    "Gray_Hair": (0.73, 0.73, 0.74),
}
_RED_HAIR = (0.62, 0.24, 0.09)

# What a person's row holds; each entry is uniform in -1..1 over people.
_TRAITS: tuple[str, ...] = (
    "skin_depth", "skin_warmth", "hair_light", "hair_length", "hair_volume", "head_width", "jaw", "chin", "eye_spacing",
    "eye_size", "iris_hue", "brow_height", "brow_tilt", "nose_length", "mouth_height", "mouth_width", "lips", "parting",
)  # fmt: skip
PERSON_SIZE: int = len(_TRAITS)
_NUISANCES: tuple[str, ...] = (
    "shift_x", "shift_y", "scale", "softness", "turn", "light_x", "brightness", "cast", "noise", "back_light",
    "back_red", "back_blue", "clothes", "clothes_hue", "hat", "hat_hue", "gold", "frame",
)  # fmt: skip
_FUZZ_GRID = 24

# Heights (v) of what stands still.
_EYES, _NOSE, _MOUTH, _CHIN, _SHOULDERS = -0.10, 0.14, 0.31, 0.55, 0.80


def draw_people(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How ``count`` people look: float32 ``[count, PERSON_SIZE]``, uniform in [-1, 1)."""
    return brush.uniform(count, PERSON_SIZE, rng)


def draw_portraits(
    attributes: NDArray[np.bool_], people: NDArray[np.float32], *, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one portrait per row of labels.

    What chance does to a picture does not depend on its labels: two calls with equally seeded generators differ only
    in what attributes and people change.

    Args:
        attributes: bool ``[n, len(ATTRIBUTES)]``.
        people: float32 ``[n, PERSON_SIZE]`` as from `draw_people`, repeated for each picture of a person.
        size: height and width of the images in pixels, 16 to 256.
        rng: the only source of randomness.

    Returns:
        uint8 ``[n, size, size, 3]``, RGB.

    Raises:
        ValueError: an argument has another shape, dtype or range than stated.
    """
    brush.check_size(size)
    count = len(attributes)
    brush.check_table("attributes", attributes, (count, len(ATTRIBUTES)), np.bool_)
    brush.check_uniform("people", people, (count, PERSON_SIZE))
    images = np.empty((count, size, size, 3), np.uint8)
    for shot in brush.shots(count, size, _NUISANCES, _FUZZ_GRID, rng):
        rows = shot.rows
        canvas = shot.canvas(shift=(0.04, 0.03), scale=(1.06, 0.05), softness=0.008)
        _paint_portrait(_View(canvas, _face_of(attributes[rows], people[rows], shot.nuisance), shot.fuzz))
        images[rows] = shot.expose(canvas, light=(0.98, 0.08), slope=0.12, cast=0.04, grain=(4.5, 3.0))
    return images


# -------------------------------------------------------------------------------------------------- the face


@dataclass(frozen=True)
class _Face:
    """Some people.

    Attributes:
        attributes: bool ``[n, len(ATTRIBUTES)]``; `flag` holds the same, handed out as ``[n, 1, 1]``, 0 or 1.
        trait, nuisance: see `_TRAITS`, `_NUISANCES`.
        shape: width (half, of the head), chin (v), taper (of the jaw).
        colour: skin, hair, lips, by channel.
    """

    attributes: NDArray[np.bool_]
    flag: Columns
    trait: Columns
    nuisance: Columns
    shape: Columns
    colour: Columns

    def has(self, name: str) -> NDArray[np.bool_]:
        return self.attributes[:, _PLACES[name]]

    def take(self, rows: NDArray[np.intp]) -> _Face:
        columns = (part.take(rows) for part in (self.flag, self.trait, self.nuisance, self.shape, self.colour))
        return _Face(self.attributes[rows], *columns)

    def paint(self, what: str) -> list[Floats]:
        """One of the colours."""
        return self.colour.rgb(what)


def _face_of(attributes: NDArray[np.bool_], people: NDArray[np.float32], nuisance: Columns) -> _Face:
    flag, trait = Columns(ATTRIBUTES, attributes.astype(np.float32)), Columns(_TRAITS, people)
    male, chubby, oval = flag("Male"), flag("Chubby"), flag("Oval_Face")
    width = trait.around(0.43, "head_width", 0.025) + 0.015 * male + 0.065 * chubby - 0.045 * oval
    chin = trait.around(_CHIN, "chin", 0.02) + 0.02 * male + 0.035 * oval
    taper = trait.around(0.34, "jaw", 0.06) - 0.12 * male - 0.16 * chubby + 0.03 * oval
    shape = Columns(("width", "chin", "taper"), np.concatenate([width, chin, taper], 1)[..., 0])
    return _Face(attributes, flag, trait, nuisance, shape, _colours_of(flag, trait))


def _colours_of(flag: Columns, trait: Columns) -> Columns:
    """Colours by name and channel: of skin, hair and lips."""
    depth = trait.around(0.5, "skin_depth", 0.5)
    skin = brush.mix((0.92, 0.73, 0.60), (0.55, 0.38, 0.28), depth)
    skin = brush.mix(skin, (1.0, 0.93, 0.90), 0.85 * flag("Pale_Skin"))
    warmth = trait("skin_warmth")
    skin = [skin[0], skin[1] * (1 + 0.03 * warmth), skin[2] * (1 - 0.06 * warmth)]
    several = sum(flag(name) for name in HAIR_COLOURS)
    light = trait.around(1.0, "hair_light", 0.12)
    hair = []
    for channel in range(3):
        mixed = sum(flag(name) * value[channel] for name, value in HAIR_COLOURS.items()) / np.maximum(several, 1)
        hair.append(np.clip(light * np.where(several > 0, mixed, np.float32(_RED_HAIR[channel])), 0, 1))
    bare = [skin[0] * 0.88, skin[1] * 0.66, skin[2] * 0.66]
    lips = brush.mix(bare, (0.80, 0.06, 0.16), 0.9 * flag("Wearing_Lipstick"))
    found: dict[str, Colour] = {"skin": skin, "hair": hair, "lips": lips}
    return brush.colours(
        {name: np.concatenate([np.asarray(value) for value in rgb], 1)[..., 0] for name, rgb in found.items()}
    )


# -------------------------------------------------------------------------------------------------- layers


@dataclass(frozen=True)
class _View:
    """Some people on a canvas, and random patches ``[n, h, w]``."""

    canvas: Canvas
    face: _Face
    fuzz: Floats

    @property
    def across(self) -> Floats:
        """Distance to the right of the middle of the features, ``[n, 1, w]``: the head turns a little."""
        return self.canvas.u - self.face.nuisance.around(0.0, "turn", 0.03)

    @property
    def side(self) -> Floats:
        """Distance from the middle of the features; drawing with it draws left and right at once."""
        return np.abs(self.across)

    def on(self, chosen: NDArray[np.bool_] | str, paint: Callable[[_View], None]) -> None:
        """Paint on the chosen pictures only, or on those with an attribute."""
        rows = self.face.has(chosen) if isinstance(chosen, str) else chosen
        self.canvas.detail(rows, lambda part, rows: paint(_View(part, self.face.take(rows), self.fuzz[rows])))


def _paint_portrait(view: _View) -> None:
    """Paint everything, back to front."""
    face = view.face
    _paint_background(view)
    hairy = ~face.has("Bald")
    view.on(hairy, _hair_behind)
    _paint_shoulders(view)
    view.on("Wearing_Necktie", _necktie)
    view.on("Wearing_Necklace", _necklace)
    _paint_head(view)
    _shade_features(view)
    view.on("Rosy_Cheeks", _rosy_cheeks)
    view.on("Heavy_Makeup", _makeup)
    _paint_beards(view)
    _paint_eyes(view)
    _paint_brows(view)
    _paint_mouth(view)
    view.on("Sideburns", _sideburns)
    view.on(hairy, _hair_in_front)
    view.on(hairy & face.has("Bangs"), _bangs)
    view.on("Wearing_Earrings", _earrings)
    view.on("Eyeglasses", _eyeglasses)
    view.on("Wearing_Hat", _hat)
    view.on("Blurry", _blur)


def _paint_background(view: _View) -> None:
    canvas, nuisance = view.canvas, view.face.nuisance
    grey = nuisance.around(0.55, "back_light", 0.22) + 0.06 * view.fuzz
    canvas.planes[0] = grey + nuisance.around(0.0, "back_red", 0.10)
    canvas.planes[1] = grey
    canvas.planes[2] = grey + nuisance.around(0.0, "back_blue", 0.10)


def _hair_outline(view: _View) -> Floats:
    """Signed distance to all hair of the head: a dome, and below it what hangs down, longer on women."""
    canvas, face = view.canvas, view.face
    male, wavy = face.flag("Male"), face.flag("Wavy_Hair")
    width = face.shape("width") + face.trait.around(0.07, "hair_volume", 0.025) - 0.03 * male
    width = width + wavy * (0.025 + 0.035 * np.sin(19 * canvas.v))
    up = np.minimum(canvas.v + 0.12, 0) / (0.60 + 0.04 * wavy)
    radius = brush.length(canvas.u / width, up)
    length = (1 - male) * face.trait.around(0.58, "hair_length", 0.24) - 0.12 * male
    distance: Floats = np.minimum((1 - radius) * width, length - canvas.v)
    return distance


def _strands(view: _View) -> Floats:
    """How hair answers light: straight strands, waves, or neither."""
    canvas, flag = view.canvas, view.face.flag
    straight = np.cos(62 * canvas.u) * flag("Straight_Hair")
    waves = np.cos(24 * canvas.v + 9 * np.sin(11 * canvas.u)) * flag("Wavy_Hair")
    shade: Floats = 0.10 + 0.26 * straight + 0.24 * waves
    return shade


def _hair_behind(view: _View) -> None:
    mask = view.canvas.cover(_hair_outline(view))
    view.canvas.paint(mask, [0.9 * value for value in view.face.paint("hair")])
    view.canvas.shade(mask, _strands(view))


def _paint_shoulders(view: _View) -> None:
    """Neck and clothes."""
    canvas, face = view.canvas, view.face
    male = face.flag("Male")
    neck = 0.20 + 0.045 * male + 0.05 * face.flag("Double_Chin")
    slope = _SHOULDERS - 0.06 * bump(canvas.u / 0.5) + 0.35 * np.square(np.maximum(np.abs(canvas.u) - 0.3, 0))
    skin = np.minimum(neck + 0.3 * np.maximum(canvas.v - 0.72, 0) - np.abs(canvas.u), canvas.v - 0.25)
    canvas.paint(canvas.cover(skin), [0.88 * value for value in face.paint("skin")])
    cut = brush.ellipse(canvas.u, canvas.v - 0.76, 0.27 - 0.05 * male, 0.16 - 0.06 * male)
    cloth = np.minimum(canvas.v - slope, -cut)
    light, hue = face.nuisance.around(0.42, "clothes", 0.34), face.nuisance("clothes_hue")
    canvas.paint(canvas.cover(cloth), [light + 0.14 * hue, light, light - 0.14 * hue])


def _paint_head(view: _View) -> None:
    """Ears, and the head: round above, narrowing to the chin."""
    canvas, face = view.canvas, view.face
    width = face.shape("width")
    ears = brush.ellipse(np.abs(canvas.u) - width, canvas.v - 0.0, 0.065, 0.12)
    canvas.paint(canvas.cover(ears), [0.86 * value for value in face.paint("skin")])
    radius = _head_radius(view)
    head = canvas.cover((1 - radius) * width)
    canvas.paint(head, face.paint("skin"))
    canvas.shade(head, 0.20 * np.square(np.square(radius)))
    # Under the chin lies the shadow of the head.
    below = canvas.cover(np.minimum(0.20 - np.abs(canvas.u), face.shape("chin") + 0.10 - canvas.v))
    canvas.shade(below * canvas.cover(canvas.v - face.shape("chin") + 0.03) * (1 - head), 0.22)


def _head_radius(view: _View) -> Floats:
    """0 in the middle of the head, 1 at its outline."""
    canvas, shape = view.canvas, view.face.shape
    down = np.maximum(canvas.v, 0) / shape("chin")
    up = np.maximum(-canvas.v, 0) / 0.68
    reach = shape("width") * (1 - shape("taper") * down * down)
    return brush.length(canvas.u / reach, down + up)


# -------------------------------------------------------------------------------------------------- skin


def _shade_features(view: _View) -> None:
    """Folds, bulges and blemishes of the skin."""
    face = view.face
    view.on(~face.has("Attractive"), _blotches)
    view.on(~face.has("Young"), _lines_of_age)
    view.on("Bags_Under_Eyes", _bags)
    view.on("High_Cheekbones", _cheekbones)
    view.on("Double_Chin", _double_chin)
    _paint_nose(view)


def _blotches(view: _View) -> None:
    patches = np.clip(3 * view.fuzz - 0.9, 0, 1) * view.canvas.cover((0.92 - _head_radius(view)) * 0.4)
    view.canvas.shade(patches, 0.26)
    view.canvas.planes[0] += 0.05 * patches


def _lines_of_age(view: _View) -> None:
    """Lines across the forehead, crow's feet, and folds from nose to mouth."""
    canvas, side, v = view.canvas, view.side, view.canvas.v
    for height in (-0.46, -0.385, -0.31):
        line = canvas.cover(np.minimum(0.010 - np.abs(v - height - 0.25 * side * side), 0.24 - side))
        canvas.shade(line, 0.38)
    for rise in (-0.06, 0.0, 0.06):
        foot = brush.stroke(side - 0.335, v - _EYES - 0.3 * rise, 0.07, rise)
        canvas.shade(canvas.cover(0.009 - foot), 0.40)
    fold = brush.stroke(side - 0.12 - 0.03 * bump((v - 0.24) / 0.12), v - 0.15, 0.075, 0.17)
    canvas.shade(canvas.cover(0.014 - fold), 0.36)


def _bags(view: _View) -> None:
    x, y = view.side - 0.20, view.canvas.v - _EYES
    arc = np.abs(y - 0.105 + 1.6 * x * x)
    view.canvas.shade(view.canvas.cover(np.minimum(0.022 - arc, 0.10 - np.abs(x))), 0.42)


def _cheekbones(view: _View) -> None:
    x = view.side - 0.28
    view.canvas.shade(bump(x / 0.13) * bump((view.canvas.v - 0.05) / 0.09), -0.22)
    hollow = view.canvas.v - 0.20 + 0.5 * (x + 0.02)
    view.canvas.shade(bump(x / 0.13) * bump(hollow / 0.06), 0.36)


def _double_chin(view: _View) -> None:
    canvas, chin = view.canvas, view.face.shape("chin")
    fold = np.abs(canvas.v - chin - 0.09 + 1.3 * np.square(canvas.u))
    under = canvas.cover(np.minimum(0.085 - np.abs(canvas.v - chin - 0.03), 0.23 - np.abs(canvas.u)))
    canvas.paint(under * 0.8, view.face.paint("skin"))
    canvas.shade(canvas.cover(np.minimum(0.022 - fold, 0.24 - np.abs(canvas.u))), 0.42)


def _paint_nose(view: _View) -> None:
    """Bridge, tip, wings and nostrils: broad if big, narrow and with a sharp ridge if pointed."""
    canvas, face = view.canvas, view.face
    big, pointy = face.flag("Big_Nose"), face.flag("Pointy_Nose")
    tip = face.trait.around(_NOSE, "nose_length", 0.015) + 0.03 * big + 0.02 * pointy
    width = 0.075 + 0.055 * big - 0.020 * pointy
    y = canvas.v - tip
    up = np.clip(-y / 0.24, 0, 1)
    flank = np.abs(view.side - width * (1 - 0.65 * up))
    sides = bump(flank / 0.035) * canvas.cover(np.minimum(0.23 + y, 0.015 - y))
    canvas.shade(sides, 0.18 + 0.12 * big + 0.20 * pointy)
    canvas.shade(bump(view.across / width) * bump((y - 0.035) / 0.035), 0.34)
    ridge = canvas.cover(np.minimum(0.014 - view.side, np.minimum(0.22 + y, 0.02 - y)))
    canvas.shade(ridge, -0.42 * pointy)
    nostrils = brush.ellipse(view.side - 0.55 * width, y - 0.012, 0.020 + 0.012 * big, 0.013 + 0.006 * big)
    canvas.paint(canvas.cover(nostrils), [0.40 * value for value in face.paint("skin")])


def _rosy_cheeks(view: _View) -> None:
    blush = bump((view.side - 0.27) / 0.13) * bump((view.canvas.v - 0.11) / 0.11)
    view.canvas.paint(0.75 * blush, (0.96, 0.42, 0.44))


def _makeup(view: _View) -> None:
    """Shadow on the lids up to the brows, and a little powder."""
    x, y = view.side - 0.205, view.canvas.v - _EYES + 0.055
    view.canvas.paint(0.85 * bump(x / 0.16) * bump(y / 0.085), (0.36, 0.20, 0.42))
    view.canvas.paint(0.25 * bump((view.side - 0.29) / 0.10) * bump((view.canvas.v - 0.13) / 0.07), (0.85, 0.40, 0.42))


# -------------------------------------------------------------------------------------------------- beard


def _paint_beards(view: _View) -> None:
    """Stubble, moustache, goatee; or a full beard where there is one that is neither."""
    face = view.face
    full = ~(face.has("No_Beard") | face.has("Goatee") | face.has("Mustache"))
    view.on("5_o_Clock_Shadow", _stubble)
    view.on(full, _full_beard)
    view.on("Goatee", _goatee)
    view.on("Mustache", _moustache)


def _jaw(view: _View) -> Floats:
    """Signed distance to where a beard grows: below the ears, around the mouth, not on the cheeks."""
    canvas = view.canvas
    radius = _head_radius(view)
    cheek = brush.ellipse(canvas.u, canvas.v - 0.02, 0.85 * view.face.shape("width"), 0.20)
    mouth = brush.ellipse(view.across, canvas.v - _MOUTH, 0.15, 0.055)
    distance: Floats = np.minimum(np.minimum((1.03 - radius) * 0.45, canvas.v - 0.04), np.minimum(-cheek, -mouth))
    return distance


def _stubble(view: _View) -> None:
    mask = view.canvas.cover(_jaw(view))
    view.canvas.paint(mask * (0.36 + 0.16 * view.fuzz), (0.24, 0.25, 0.28))


def _hairy(view: _View, distance: Floats) -> None:
    """Paint hair of the beard, a little darker than that of the head, with a rough outline."""
    mask = view.canvas.cover(distance + 0.012 * view.fuzz)
    view.canvas.paint(mask, [0.78 * value for value in view.face.paint("hair")])
    view.canvas.shade(mask, 0.15 * view.fuzz)


def _full_beard(view: _View) -> None:
    below = brush.ellipse(view.canvas.u, view.canvas.v - view.face.shape("chin") + 0.02, 0.24, 0.10)
    _hairy(view, np.maximum(_jaw(view), below))


def _goatee(view: _View) -> None:
    chin = view.face.shape("chin")
    tuft = brush.ellipse(view.across, view.canvas.v - chin + 0.005, 0.14, 0.13)
    _hairy(view, np.minimum(tuft, view.canvas.v - _MOUTH - 0.06))


def _moustache(view: _View) -> None:
    y = view.canvas.v - _MOUTH + 0.075 - 0.9 * np.square(view.side)
    _hairy(view, np.minimum(0.032 - np.abs(y), 0.19 - view.side))


def _sideburns(view: _View) -> None:
    canvas, width = view.canvas, view.face.shape("width")
    strip = brush.box(np.abs(canvas.u) - width + 0.035, canvas.v + 0.02, 0.055, 0.26)
    view.canvas.paint(canvas.cover(strip), [0.85 * value for value in view.face.paint("hair")])


# -------------------------------------------------------------------------------------------------- eyes, mouth


def _paint_eyes(view: _View) -> None:
    """Eyes, with lashes that are heavier on women and under make-up."""
    canvas, face = view.canvas, view.face
    x = view.side - face.trait.around(0.20, "eye_spacing", 0.012)
    y = canvas.v - _EYES
    width = face.trait.around(0.105, "eye_size", 0.008)
    bow = 1 - np.square(np.clip(x / width, -1, 1))
    narrow = 1 - 0.58 * face.flag("Narrow_Eyes")
    upper, lower = 0.055 * narrow * np.sqrt(bow), 0.040 * narrow * bow
    opening = canvas.cover(np.minimum(np.minimum(y + upper, lower - y), width - np.abs(x)))
    canvas.paint(opening, (0.96, 0.95, 0.93))
    away = brush.length(x, y + 0.006)
    hue = face.trait.around(0.5, "iris_hue", 0.5)
    canvas.paint(canvas.cover(0.046 - away) * opening, brush.mix((0.26, 0.15, 0.08), (0.28, 0.46, 0.60), hue * hue))
    canvas.paint(canvas.cover(0.020 - away) * opening, (0.04, 0.04, 0.04))
    heavy = 0.010 + 0.006 * (1 - face.flag("Male")) + 0.010 * face.flag("Heavy_Makeup")
    lashes = np.minimum(heavy - np.abs(y + upper), width + 0.012 - np.abs(x))
    canvas.paint(canvas.cover(lashes), (0.12, 0.08, 0.08))


def _paint_brows(view: _View) -> None:
    """Brows: thick if bushy, bowed high if arched; darker than the hair, so that they show on fair people too."""
    canvas, face = view.canvas, view.face
    along = (view.side - 0.085) / 0.245
    inside = np.clip(along, 0, 1)
    arch = 0.012 + 0.075 * face.flag("Arched_Eyebrows")
    height = face.trait.around(-0.225, "brow_height", 0.012) + 0.03 * (inside - 0.4) * face.trait("brow_tilt")
    height = height - 4 * arch * inside * (1 - 0.85 * inside) * 0.6 + 0.6 * arch * inside
    distance = brush.length((along - inside) * 0.245, canvas.v - height)
    thick = 0.018 + 0.006 * face.flag("Male") + 0.024 * face.flag("Bushy_Eyebrows")
    mask = canvas.cover(thick * (1.1 - 0.5 * inside) - distance)
    canvas.paint(mask, [0.55 * value for value in face.paint("hair")])


def _paint_mouth(view: _View) -> None:
    """Lips, and between open ones the teeth; a smile lifts and widens the corners."""
    canvas, face = view.canvas, view.face
    smile, open_ = face.flag("Smiling"), face.flag("Mouth_Slightly_Open")
    width = face.trait.around(0.140, "mouth_width", 0.012) + 0.050 * smile + 0.025 * face.flag("Big_Lips")
    square = np.minimum(np.square(view.side / width), 1)
    y = canvas.v - face.trait.around(_MOUTH, "mouth_height", 0.012) + (0.075 * smile + 0.008) * square - 0.02 * smile
    bow = 1 - square
    full = face.trait.around(1.0, "lips", 0.12) + 1.0 * face.flag("Big_Lips")
    gap = 0.034 * open_
    upper, lower = (gap + 0.034 * full) * bow, (gap + 0.044 * full) * np.sqrt(bow)
    ends = width - view.side
    canvas.paint(canvas.cover(np.minimum(np.minimum(y + upper, lower - y), ends)), face.paint("lips"))
    inside = canvas.cover(np.minimum((gap + 0.008) * bow - np.abs(y), ends))
    canvas.paint(inside, (0.24, 0.08, 0.09))
    teeth = canvas.cover(np.minimum(gap * bow - np.abs(y + 0.010), ends - 0.02)) * open_
    canvas.paint(teeth, (0.95, 0.94, 0.90))
    dimple = brush.stroke(view.side - width - 0.025, canvas.v - _MOUTH + 0.055, 0.012, 0.07)
    canvas.shade(canvas.cover(0.012 - dimple) * smile, 0.34)


# -------------------------------------------------------------------------------------------------- hair


def _hair_in_front(view: _View) -> None:
    """The hair over the forehead; it begins far up where it recedes, most at the temples."""
    canvas, face = view.canvas, view.face
    receding = face.flag("Receding_Hairline")
    line = -0.40 + face.trait.around(0.0, "parting", 0.12) * canvas.u - 0.13 * receding
    # Down at the temples; where it recedes, up there first.
    temples = 0.95 * np.square(canvas.u) * (1 - receding) - receding * 0.30 * bump((np.abs(canvas.u) - 0.24) / 0.16)
    front = np.minimum(line + temples - canvas.v, _hair_outline(view))
    # Women's hair hangs down in front of the ears.
    curtain = np.minimum(np.abs(canvas.u) - face.shape("width") + 0.035, _hair_outline(view))
    curtain = np.where(face.flag("Male") > 0, np.float32(-1), curtain)
    mask = canvas.cover(np.maximum(front, curtain))
    canvas.paint(mask, face.paint("hair"))
    canvas.shade(mask, _strands(view))


def _bangs(view: _View) -> None:
    canvas = view.canvas
    fringe = np.minimum(-0.245 + 0.02 * np.cos(34 * canvas.u) - canvas.v, _hair_outline(view))
    mask = canvas.cover(np.minimum(fringe, 0.36 - np.abs(canvas.u)))
    canvas.paint(mask, view.face.paint("hair"))
    canvas.shade(mask, _strands(view) + 0.10 * np.cos(34 * canvas.u))


# -------------------------------------------------------------------------------------------------- what is worn


def _jewel(view: _View) -> list[Floats | float]:
    """Gold or silver."""
    return brush.mix((0.94, 0.94, 0.96), (0.96, 0.78, 0.24), step(2 * view.face.nuisance("gold")))


def _earrings(view: _View) -> None:
    canvas = view.canvas
    x, y = np.abs(canvas.u) - view.face.shape("width") - 0.015, canvas.v - 0.195
    canvas.paint(canvas.cover(brush.ellipse(x, y, 0.048, 0.075)), _jewel(view))
    canvas.paint(canvas.cover(brush.ellipse(x, y - 0.015, 0.020, 0.032)), (0.25, 0.20, 0.18))


def _necklace(view: _View) -> None:
    """Beads on a string."""
    canvas = view.canvas
    string = np.abs(canvas.v - 0.86 + 1.9 * np.square(canvas.u))
    beads = canvas.cover(np.minimum(0.030 - string, 0.27 - np.abs(canvas.u)))
    canvas.paint(beads, _jewel(view))
    canvas.shade(beads * (np.cos(70 * canvas.u) < -0.3), 0.55)


def _necktie(view: _View) -> None:
    """A white collar, and the tie."""
    canvas, nuisance = view.canvas, view.face.nuisance
    apart = np.abs(canvas.u)
    shirt = np.minimum(0.24 - apart, canvas.v - 0.66 - 0.15 * apart)
    canvas.paint(canvas.cover(shirt), (0.95, 0.95, 0.95))
    canvas.shade(canvas.cover(np.minimum(0.010 - np.abs(apart - 0.06 - 0.5 * (canvas.v - 0.72)), shirt)), 0.35)
    tie = np.minimum(0.050 + 0.10 * np.abs(canvas.v - 0.82) - apart, canvas.v - 0.72)
    hue = nuisance("hat_hue")
    canvas.paint(canvas.cover(tie), [0.42 + 0.36 * hue, 0.12 + 0 * hue, 0.42 - 0.36 * hue])


def _eyeglasses(view: _View) -> None:
    """Two rims, the bridge between them, and temples back to the ears."""
    canvas, face = view.canvas, view.face
    x, y = view.side - 0.205, canvas.v - _EYES
    lens = brush.ellipse(x, y, 0.145, 0.115)
    canvas.shade(canvas.cover(lens), 0.10)
    rim = 0.018 - np.abs(lens)
    bridge = np.minimum(0.014 - np.abs(y + 0.02), 0.07 - view.side)
    temple = np.minimum(0.014 - np.abs(y + 0.02), np.minimum(view.side - 0.34, face.shape("width") + 0.02 - view.side))
    frame = canvas.cover(np.maximum(rim, np.maximum(bridge, temple)))
    dark = step(0.9 + face.nuisance("frame"))
    canvas.paint(frame, brush.mix((0.50, 0.28, 0.14), (0.06, 0.06, 0.07), dark))


def _hat(view: _View) -> None:
    """A cap with its band, over all hair that is above it."""
    canvas, face = view.canvas, view.face
    width = face.shape("width") + 0.11
    edge = -0.30 - 0.12 * np.square(canvas.u)
    crown = np.minimum(brush.ellipse(canvas.u, canvas.v + 0.28, width, 0.62), edge - canvas.v)
    brim = np.minimum(0.045 - np.abs(canvas.v - edge), width + 0.10 - np.abs(canvas.u))
    light, hue = face.nuisance.around(0.42, "hat", 0.30), face.nuisance("hat_hue")
    colour = [light + 0.24 * hue, light + 0 * hue, light - 0.24 * hue]
    canvas.paint(canvas.cover(crown), colour)
    band = canvas.cover(np.minimum(crown, canvas.v - edge + 0.14))
    canvas.shade(band, 0.40)
    canvas.paint(canvas.cover(brim), [0.75 * value for value in colour])


def _blur(view: _View) -> None:
    """Out of focus: means over a square of a ninth of the frame."""
    planes = view.canvas.planes
    size = planes.shape[-1]
    reach = max(1, round(size / 18))
    for axis in (2, 3):
        widths = [(0, 0)] * 4
        widths[axis] = (reach + 1, reach)
        sums = np.pad(planes, widths, mode="edge").cumsum(axis, dtype=np.float64)
        last = sums.take(np.arange(2 * reach + 1, size + 2 * reach + 1), axis)
        planes[...] = (last - sums.take(np.arange(size), axis)) / (2 * reach + 1)
