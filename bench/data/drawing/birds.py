"""Drawn birds whose build, colours and markings are their attributes.

Stand-ins for data sets of birds are made of drawn birds, seen from the side, in which every attribute of
CUB-200-2011 shows: 312 of them in 28 groups (part and aspect), of which a bird has one value each. Whoever looks for
the attributes, or for the species behind them, has to look at the bird.

How a picture comes about::

    values      -> build (proportions of the shape; bill, wing, tail), colours and patterns of the parts
    pose        -> lean, nod, place and zoom in the frame, light, colour cast, background, softness, noise
    build, pose -> soft masks from signed distances, painted back to front

Every colour group has a part of its own, so that no two groups show in the same pixels: `upperparts` is the rump,
`underparts` the flank and vent behind the belly, `primary_color` the ground between the other parts (cheek, neck and
side). Size is size in the frame. Spots, stripes and markings of the head are dark on light parts and light on dark
ones; multi-coloured parts have large patches of another hue, iridescent ones shimmer from teal to violet.

The bird looks to the right before some pictures are mirrored, and (0, 0) is the middle of its body; see `_brush` for u
and v. The unit is half the frame for a bird of the largest size.

Source of the groups and values: attributes.txt of CUB-200-2011 (Wah et al., 2011), in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import _brush as brush
from bench.data.drawing._brush import Colour, Columns, Floats, Window, WindowedCanvas

CODE = (Path(__file__), *brush.CODE)

Rows = NDArray[np.intp]

COLOURS: dict[str, tuple[float, float, float]] = {
    "blue": (0.18, 0.36, 0.82), "brown": (0.42, 0.27, 0.16), "iridescent": (0.05, 0.46, 0.44),
    "purple": (0.48, 0.18, 0.62), "rufous": (0.68, 0.28, 0.10), "grey": (0.53, 0.54, 0.56),
    "yellow": (0.96, 0.84, 0.14), "olive": (0.46, 0.47, 0.17), "green": (0.16, 0.58, 0.24),
    "pink": (0.96, 0.60, 0.71), "orange": (0.96, 0.52, 0.10), "black": (0.09, 0.09, 0.10),
    "white": (0.96, 0.96, 0.94), "red": (0.83, 0.11, 0.13), "buff": (0.87, 0.73, 0.50),
}  # fmt: skip
"""Red, green and blue of each colour, in the order of the attributes, before the light falls on it."""

SHIMMER = (0.40, 0.10, 0.66)
"""The other end of what iridescent parts shimmer between."""

PATTERNS = ("solid", "spotted", "striped", "multi-colored")
_EYE_COLOURS = tuple(colour for colour in COLOURS if colour != "iridescent")

# What each shape is like: lean of the body (radians, head up), half length and half height of the body, length of the
# neck, radius of the head, length of the legs and of the tail, and whether it sits on a branch (1) or stands (0).
_SHAPE_TRAITS = ("lean", "length", "height", "neck", "head", "legs", "tail", "branch")
_SHAPES: dict[str, tuple[float, ...]] = {
    "upright-perching_water-like": (1.00, 0.59, 0.29, 0.29, 0.22, 0.11, 0.33, 1),
    "chicken-like-marsh": (0.12, 0.51, 0.41, 0.14, 0.24, 0.35, 0.27, 0),
    "long-legged-like": (0.42, 0.45, 0.29, 0.42, 0.21, 0.58, 0.27, 0),
    "duck-like": (0.06, 0.53, 0.30, 0.19, 0.22, 0.08, 0.24, 0),
    "owl-like": (1.18, 0.47, 0.38, 0.00, 0.36, 0.08, 0.28, 1),
    "gull-like": (0.15, 0.52, 0.26, 0.05, 0.22, 0.21, 0.29, 0),
    "hummingbird-like": (0.80, 0.46, 0.29, 0.01, 0.27, 0.07, 0.38, 1),
    "pigeon-like": (0.38, 0.54, 0.38, 0.11, 0.20, 0.16, 0.34, 0),
    "tree-clinging-like": (1.08, 0.58, 0.34, 0.03, 0.29, 0.20, 0.40, 1),
    "hawk-like": (0.86, 0.53, 0.34, 0.01, 0.27, 0.18, 0.38, 1),
    "sandpiper-like": (0.20, 0.51, 0.32, 0.13, 0.23, 0.53, 0.27, 0),
    "upland-ground-like": (0.30, 0.56, 0.48, 0.07, 0.21, 0.17, 0.28, 0),
    "swallow-like": (0.26, 0.47, 0.22, 0.00, 0.21, 0.07, 0.44, 1),
    "perching-like": (0.50, 0.46, 0.33, 0.02, 0.26, 0.19, 0.36, 1),
}

# Half thickness at base, middle and tip (the middle as a Bezier point), droop along the whole bill and at its tip; all
# in radii of the head.
_BILL_TRAITS = ("base", "middle", "tip", "droop", "hook")
_BILLS: dict[str, tuple[float, ...]] = {
    "curved_(up_or_down)": (0.24, 0.17, 0.05, 0.85, 0.00),
    "dagger": (0.38, 0.20, 0.00, 0.00, 0.00),
    "hooked": (0.44, 0.46, 0.16, 0.05, 0.60),
    "needle": (0.12, 0.09, 0.05, 0.00, 0.00),
    "hooked_seabird": (0.24, 0.14, 0.24, -0.06, 0.48),
    "spatulate": (0.22, -0.16, 0.50, 0.00, 0.00),
    "all-purpose": (0.27, 0.22, 0.09, 0.12, 0.00),
    "cone": (0.60, 0.40, 0.00, 0.06, 0.00),
    "specialized": (0.42, 0.78, 0.30, 0.20, 0.00),
}
_BILL_LENGTHS = {"about_the_same_as_head": 1.6, "longer_than_head": 2.4, "shorter_than_head": 0.9}

# Length (in half lengths of the body), half height (in half heights) and how the height falls from shoulder to tip:
# 1 - a t - b t^2 - c t^8.
_WING_TRAITS = ("length", "height", "linear", "square", "steep")
_WINGS: dict[str, tuple[float, ...]] = {
    "rounded-wings": (0.98, 0.42, 0.0, 0.5, 0.5),
    "pointed-wings": (1.12, 0.50, 1.0, 0.0, 0.0),
    "broad-wings": (1.10, 0.60, 0.0, 0.1, 0.9),
    "tapered-wings": (1.40, 0.44, 1.55, -0.55, 0.0),
    "long-wings": (1.75, 0.30, 0.3, 0.0, 0.7),
}

# How the tail ends: length lost towards both edges (linearly, and squared) and in the middle; and how much it widens.
_TAIL_TRAITS = ("pointed", "rounded", "notched", "flare")
_TAILS: dict[str, tuple[float, ...]] = {
    "forked_tail": (0.00, 0.00, 0.80, 0.75),
    "rounded_tail": (0.00, 0.45, 0.00, 0.10),
    "notched_tail": (0.00, 0.00, 0.35, 0.10),
    "fan-shaped_tail": (0.00, 0.40, 0.00, 1.30),
    "pointed_tail": (0.90, 0.00, 0.00, -0.10),
    "squared_tail": (0.00, 0.00, 0.00, 0.10),
}

_SIZES = {
    "large_(16_-_32_in)": 0.93,
    "small_(5_-_9_in)": 0.79,
    "very_large_(32_-_72_in)": 1.0,
    "medium_(9_-_16_in)": 0.86,
    "very_small_(3_-_5_in)": 0.72,
}
_MAX_ZOOM = 0.02  # neighbouring sizes hardly overlap

_HEAD_PATTERNS = (
    "spotted", "malar", "crested", "masked", "unique_pattern", "eyebrow",
    "eyering", "plain", "eyeline", "striped", "capped",
)  # fmt: skip

GROUPS: dict[str, tuple[str, ...]] = {
    "bill_shape": tuple(_BILLS),
    "wing_color": tuple(COLOURS),
    "upperparts_color": tuple(COLOURS),
    "underparts_color": tuple(COLOURS),
    "breast_pattern": PATTERNS,
    "back_color": tuple(COLOURS),
    "tail_shape": tuple(_TAILS),
    "upper_tail_color": tuple(COLOURS),
    "head_pattern": _HEAD_PATTERNS,
    "breast_color": tuple(COLOURS),
    "throat_color": tuple(COLOURS),
    "eye_color": _EYE_COLOURS,
    "bill_length": tuple(_BILL_LENGTHS),
    "forehead_color": tuple(COLOURS),
    "under_tail_color": tuple(COLOURS),
    "nape_color": tuple(COLOURS),
    "belly_color": tuple(COLOURS),
    "wing_shape": tuple(_WINGS),
    "size": tuple(_SIZES),
    "shape": tuple(_SHAPES),
    "back_pattern": PATTERNS,
    "tail_pattern": PATTERNS,
    "belly_pattern": PATTERNS,
    "primary_color": tuple(COLOURS),
    "leg_color": tuple(COLOURS),
    "bill_color": tuple(COLOURS),
    "crown_color": tuple(COLOURS),
    "wing_pattern": PATTERNS,
}
"""The values of each group; a bird has exactly one of each."""

ATTRIBUTES: tuple[str, ...] = tuple(f"has_{group}::{value}" for group, values in GROUPS.items() for value in values)
"""All attributes by their official names, in their official order."""

# What changes from picture to picture of birds with the same attributes; each is drawn uniform in -1..1.
_POSE: tuple[str, ...] = (
    "shift_x", "shift_y", "zoom", "lean", "nod_x", "nod_y", "wing_drop", "stance", "mirror",
    "light_x", "light_y", "brightness", "cast_red", "cast_blue", "softness", "noise",
    "back_light", "back_red", "back_green", "back_blue", "back_slope", "bush_x", "bush_y", "bush",
    "ground_light", "ground_red", "ground_blue",
)  # fmt: skip
POSE_SIZE: int = len(_POSE)


def draw_poses(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw pose, light and background of ``count`` pictures.

    Returns:
        float32 ``[count, POSE_SIZE]``, uniform in [-1, 1): one row per picture.

    Raises:
        ValueError: ``count`` is negative.
    """
    return brush.uniform(count, POSE_SIZE, rng)


def draw_birds(
    values: NDArray[np.int8], poses: NDArray[np.float32], *, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one bird per row of values.

    Pictures are independent of each other: drawing some rows, and then the others from the same generator, gives the
    same bytes as drawing all at once.

    Args:
        values: int8 ``[n, len(GROUPS)]``, place of the bird's value among those of each group, in the order of
            ``GROUPS``.
        poses: float32 ``[n, POSE_SIZE]`` in [-1, 1], as from :func:`draw_poses`.
        size: height and width of the images in pixels, 16 to 256.
        rng: the source of the sensor noise.

    Returns:
        uint8 ``[n, size, size, 3]``, RGB.

    Raises:
        ValueError: an argument has another shape, dtype or range than stated.
    """
    brush.check_size(size)
    count = len(values)
    brush.check_table("values", values, (count, len(GROUPS)), np.int8)
    for column, (group, known) in zip(values.T, GROUPS.items(), strict=True):
        brush.check_places(f"values of {group}", column, len(known))
    brush.check_uniform("poses", poses, (count, POSE_SIZE))
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for part in brush.parts(count, size):
        bird, pose = _Bird(values[part]), Columns(_POSE, poses[part])
        build = _build_of(bird, pose)
        canvas = _posed_canvas(build, bird, pose, size)
        _paint_surroundings(canvas, build, pose)
        _paint_bird(canvas, bird, build, pose)
        images[part] = _expose(canvas, pose, rng)
    return images


# ---------------------------------------------------------------------------------------------- small pieces


_PLACES = {group: place for place, group in enumerate(GROUPS)}
_PALETTE = np.array(list(COLOURS.values()), dtype=np.float32)
_IRIDESCENT = list(COLOURS).index("iridescent")


@dataclass(frozen=True)
class _Bird:
    """The values of some birds, and what they stand for."""

    values: NDArray[np.int8]

    def value(self, group: str) -> NDArray[np.int8]:
        """Place of each bird's value among those of the group, ``[n]``."""
        return self.values[:, _PLACES[group]]

    def rows(self, group: str, value: str) -> Rows:
        """Numbers of the birds with that value."""
        return np.flatnonzero(self.value(group) == GROUPS[group].index(value))

    def traits(self, group: str, names: Sequence[str], table: Mapping[str, tuple[float, ...]]) -> dict[str, Floats]:
        """Traits by name, each ``[n, 1, 1]``, from the row of the bird's value."""
        found = np.array(list(table.values()), dtype=np.float32)[self.value(group)]
        return {name: found[:, place, None, None] for place, name in enumerate(names)}

    def number(self, group: str, table: Mapping[str, float]) -> Floats:
        """The number that stands for the bird's value, ``[n, 1, 1]``."""
        return np.array(list(table.values()), dtype=np.float32)[self.value(group)][:, None, None]


@dataclass
class _Canvas(WindowedCanvas):
    """The pictures being painted; u is ``[n, 1, w]`` and v ``[n, h, 1]``, in bird units."""

    def window(self, left: Floats, right: Floats, top: Floats, bottom: Floats) -> Window:
        """Give slices that hold everything from left to right and top to bottom, with its edges, in all images."""
        edge = 1 / self.sharpness
        columns = (self.u > left - edge) & (self.u < right + edge)
        rows = (self.v > top - edge) & (self.v < bottom + edge)
        return slice(None), _span(rows), _span(columns)

    def places(self, window: Window) -> tuple[Floats, Floats]:
        """Give u ``[n, 1, w']`` and v ``[n, h', 1]`` of a window."""
        return self.u[:, :, window[2]], self.v[:, window[1], :]

    def feather(self, window: Window, mask: Floats, colours: NDArray[np.int8]) -> None:
        """Lay each bird's own colour (its place in ``COLOURS``) over the planes; iridescent ones shimmer."""
        own = _PALETTE[colours]
        self.paint(window, mask, [own[:, channel, None, None] for channel in range(3)])
        rows = np.flatnonzero(colours == _IRIDESCENT)
        if len(rows):
            u, v = self.places(window)
            wave = _wave((u[rows] + v[rows]) * 4.0)
            wave *= 2 * mask[rows]
            self._repaint(window, wave, rows, SHIMMER)

    def ink(self, window: Window, mask: Floats, rows: Rows) -> None:
        """Draw a marking on some images: dark where it is light below, light where it is dark."""
        below = sum(plane[rows, window[1], window[2]] for plane in self.planes)
        shade = np.where(below > 1.2, np.float32(0.06), np.float32(0.97))
        self._repaint(window, mask, rows, (shade, shade, shade))

    def patch(self, window: Window, mask: Floats, rows: Rows) -> None:
        """Lay another hue over some images: teal over warm colours, orange over cold ones."""
        warm = self.planes[0][rows, window[1], window[2]] > self.planes[2][rows, window[1], window[2]]
        other = [np.where(warm, np.float32(a), np.float32(b)) for a, b in ((0.10, 0.90), (0.50, 0.48), (0.72, 0.16))]
        self._repaint(window, mask, rows, other)

    def darken(self, window: Window, mask: Floats, amount: float) -> None:
        """Take away that share of the light where the mask says so."""
        left = 1 - amount * mask
        for plane in self.planes:
            plane[window] *= left

    def _repaint(self, window: Window, mask: Floats, rows: Rows, colour: Colour) -> None:
        """Paint on some images; the mask has as many rows."""
        for plane, value in zip(self.planes, colour, strict=True):
            target = plane[rows, window[1], window[2]]
            plane[rows, window[1], window[2]] = target + (value - target) * mask


def _span(touched: NDArray[np.bool_]) -> slice:
    """Find the slice from the first to the last place that is true in any image; one place if there is none."""
    places = np.flatnonzero(touched.reshape(len(touched), -1).any(axis=0))
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 1)


def _wave(x: Floats) -> Floats:
    """Measure the distance to the nearest whole number, 0 to 0.5, in place: a triangular wave."""
    x -= np.rint(x)
    return np.abs(x, out=x)


# ------------------------------------------------------------------------------------------------- proportions


@dataclass(frozen=True)
class _Build:
    """Measures of some birds in bird units, each ``[n, 1, 1]``; the middle of the body is (0, 0).

    Attributes:
        run, rise: direction from the tail to the breast (cosine and sine of the lean).
        length, height: half axes of the body; width, depth: half of its extent along u and v.
        shoulder_x, shoulder_y: where the neck begins.
        head_x, head_y, head: centre and radius of the head.
        bill: length of the bill.
        tail: length of the tail, tail_width half its width at the root; it begins at ``-0.8 * length`` along the body.
        wing: length of the wing, which begins at ``0.5 * length`` along the body.
        feet: v of the feet.
        branch: 1 on a branch, 0 on the ground.
    """

    run: Floats
    rise: Floats
    length: Floats
    height: Floats
    width: Floats
    depth: Floats
    shoulder_x: Floats
    shoulder_y: Floats
    head_x: Floats
    head_y: Floats
    head: Floats
    bill: Floats
    tail: Floats
    tail_width: Floats
    wing: Floats
    feet: Floats
    branch: Floats


def _build_of(bird: _Bird, pose: Columns) -> _Build:
    """Put the bird together."""
    shape = bird.traits("shape", _SHAPE_TRAITS, _SHAPES)
    lean = shape["lean"] + pose.around(0.0, "lean", 0.08)
    run, rise = np.cos(lean), np.sin(lean)
    length, height, head = shape["length"], shape["height"], shape["head"]
    width, depth = brush.length(length * run, height * rise), brush.length(length * rise, height * run)
    shoulder_x, shoulder_y = 0.74 * length * run, -0.74 * length * rise
    return _Build(
        run=run,
        rise=rise,
        length=length,
        height=height,
        width=width,
        depth=depth,
        shoulder_x=shoulder_x,
        shoulder_y=shoulder_y,
        head_x=shoulder_x + 0.35 * shape["neck"] + 0.15 * head + pose.around(0.0, "nod_x", 0.02),
        head_y=shoulder_y - shape["neck"] - 0.62 * head + pose.around(0.0, "nod_y", 0.02),
        head=head,
        bill=head * bird.number("bill_length", _BILL_LENGTHS),
        tail=shape["tail"],
        tail_width=0.36 * height + 0.045,
        wing=length * bird.traits("wing_shape", _WING_TRAITS, _WINGS)["length"],
        feet=depth + shape["legs"],
        branch=shape["branch"],
    )


def _posed_canvas(build: _Build, bird: _Bird, pose: Columns, size: int) -> _Canvas:
    """Set up a canvas ``size`` pixels wide with the bird in its middle."""
    tail = 0.8 * build.length + build.tail
    spread = 1.3 * build.tail_width
    left = np.minimum(-tail * build.run - spread * build.rise, -build.width)
    right = build.head_x + build.head + build.bill
    top = build.head_y - 1.2 * build.head  # a crest may stand on it
    bottom = np.maximum(build.feet, tail * build.rise + spread * build.run)
    axis = brush.pixel_axis(size)
    scale = bird.number("size", _SIZES) + pose.around(0.0, "zoom", _MAX_ZOOM)
    u = (axis[None, None, :] - pose.around(0.0, "shift_x", 0.04)) / scale + (left + right) / 2
    v = (axis[None, :, None] - pose.around(0.0, "shift_y", 0.04)) / scale + (top + bottom) / 2
    # A picture out of focus has wider edges; this blurs at no cost in time.
    softness = (2 / size + pose.around(0.012, "softness", 0.012)) / scale
    planes = [np.empty((len(u), size, size), dtype=np.float32) for _ in range(3)]
    return _Canvas(u, v, np.reciprocal(softness), planes)


# ------------------------------------------------------------------------------------------- frame and light


def _paint_surroundings(canvas: _Canvas, build: _Build, pose: Columns) -> None:
    """Fill the frame with a backdrop, a bush out of focus, and the ground or a branch under the feet."""
    lightness = pose.around(0.58, "back_light", 0.17)
    slope = pose.around(0.0, "back_slope", 0.10) * canvas.v
    for plane, name in zip(canvas.planes, ("back_red", "back_green", "back_blue"), strict=True):
        plane[...] = lightness + pose.around(0.0, name, 0.10) + slope
    everywhere = (slice(None), slice(None), slice(None))
    bush = brush.length(canvas.u - pose.around(0.0, "bush_x", 0.9), canvas.v - pose.around(0.0, "bush_y", 0.9))
    bush *= -1.6
    bush += 1
    np.clip(bush, 0, 1, out=bush)
    for plane in canvas.planes:
        plane += bush * pose.around(0.0, "bush", 0.16)

    light = pose.around(0.44, "ground_light", 0.10)
    soil = (light + pose.around(0.03, "ground_red", 0.05), light, light + pose.around(-0.09, "ground_blue", 0.05))
    below = canvas.v - build.feet
    thickness = 0.045 + 4 * (1 - build.branch)  # the ground has no lower edge
    band = canvas.cover(np.minimum(below, thickness - below))
    canvas.paint(everywhere, band, soil)


def _expose(canvas: _Canvas, pose: Columns, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the scene, add sensor noise, quantise, and mirror half of the pictures: uint8 ``[n, h, w, 3]``."""
    size = canvas.v.shape[1]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    light = pose.around(0.0, "light_x", 0.08) * axis[None, None, :]
    light = light + pose.around(-0.03, "light_y", 0.05) * axis[None, :, None]
    light += pose.around(0.96, "brightness", 0.08)
    red = pose.around(1.0, "cast_red", 0.05)
    blue = pose.around(1.0, "cast_blue", 0.06)
    gains: Sequence[Floats] = (red, np.ones_like(red), blue)
    grain = pose.around(5.0, "noise", 3.0)  # noise is uniform within plus or minus so many grey levels
    count = len(light)
    noise = brush.random_bytes(count, 3 * size * size, rng).reshape(count, 3, size, size)
    lit = (plane * light * (gain * 255) for plane, gain in zip(canvas.planes, gains, strict=True))
    images = brush.expose(lit, grain, noise)
    mirrored = pose("mirror")[:, 0, 0] > 0
    images[mirrored] = images[mirrored][:, :, ::-1]
    return images


# ---------------------------------------------------------------------------------------------------- layers

_RIM = 0.03
"""Width of the dark rim that sets a bird off from a background of its own colour."""


def _paint_bird(canvas: _Canvas, bird: _Bird, build: _Build, pose: Columns) -> None:
    """Paint the bird, back to front."""
    _paint_legs(canvas, bird, build, pose)
    _paint_neck(canvas, bird, build)
    trunk = _trunk_of(canvas, build)
    _paint_tail(canvas, bird, build, trunk)
    _paint_body(canvas, bird, build, trunk)
    _paint_wing(canvas, bird, build, pose, trunk)
    _paint_bill(canvas, bird, build)
    _paint_head(canvas, bird, build)
    _paint_eye(canvas, bird, build)


def _paint_legs(canvas: _Canvas, bird: _Bird, build: _Build, pose: Columns) -> None:
    """Paint two legs with a foot each, from inside the body down to the ground."""
    # An ellipse that leans is lowest towards its tail.
    lowest = -(build.length**2 - build.height**2) * build.rise * build.run / build.depth
    stance = pose.around(0.15, "stance", 0.03)
    for place in (0.5 * lowest - stance / 2, 0.5 * lowest + stance / 2 + 0.03):
        window = canvas.window(place - 0.09, place + 0.17, 0 * place, build.feet + 0.07)
        u, v = canvas.places(window)
        x, y = u - place, v - build.feet
        leg = np.minimum(0.032 - np.abs(x), np.minimum(v, 0.01 - y))
        foot = np.minimum(0.026 - np.abs(y - 0.01), np.minimum(x + 0.05, 0.13 - x))
        mask = np.maximum(leg, foot)
        canvas.darken(window, canvas.cover(mask + 0.02), 0.5)
        canvas.feather(window, canvas.cover(mask), bird.value("leg_color"))


def _paint_neck(canvas: _Canvas, bird: _Bird, build: _Build) -> None:
    """Paint the neck: its ground, the nape along its back and the throat along its front."""
    thick = 0.62 * build.head
    reach = thick + _RIM
    left, right = np.minimum(build.shoulder_x, build.head_x), np.maximum(build.shoulder_x, build.head_x)
    window = canvas.window(left - reach, right + reach, build.head_y - reach, build.shoulder_y + reach)
    u, v = canvas.places(window)
    x, y = u - build.shoulder_x, v - build.shoulder_y
    run, rise = build.head_x - build.shoulder_x, build.head_y - build.shoulder_y
    distance = thick - brush.stroke(x, y, run, rise)
    front = (y * run - x * rise) / brush.length(run, rise)
    canvas.darken(window, canvas.cover(distance + _RIM), 0.6)
    canvas.feather(window, canvas.cover(distance.copy()), bird.value("primary_color"))
    canvas.feather(window, canvas.cover(np.minimum(distance, -0.3 * thick - front)), bird.value("nape_color"))
    canvas.feather(window, canvas.cover(np.minimum(distance, front - 0.3 * thick)), bird.value("throat_color"))


# ------------------------------------------------------------------------------------- body, tail and wing


@dataclass(frozen=True)
class _Trunk:
    """The window of body, tail and wing; place along the body (to the breast) and across it (to the belly)."""

    window: Window
    along: Floats
    across: Floats


def _trunk_of(canvas: _Canvas, build: _Build) -> _Trunk:
    tip = np.maximum(0.8 * build.length + build.tail, build.wing - 0.5 * build.length)
    spread = np.maximum(2.5 * build.tail_width, 0.8 * build.height) + _RIM
    # Distances to the ellipse are measured across the body; along it the rim is wider.
    grown = 1 + (_RIM + 0.5 / canvas.sharpness) / build.height
    width, depth = build.width * grown, build.depth * grown
    window = canvas.window(
        np.minimum(-width, -tip * build.run - spread), width, -depth, np.maximum(depth, tip * build.rise + spread)
    )
    u, v = canvas.places(window)
    return _Trunk(window, build.run * u - build.rise * v, build.rise * u + build.run * v)


def _mark(canvas: _Canvas, trunk: _Trunk, mask: Floats, patterns: NDArray[np.int8]) -> None:
    """Mark a part with each bird's pattern (its place in ``PATTERNS``)."""
    markings: Mapping[str, tuple[Callable[[Floats, Floats], Floats], Callable[[Window, Floats, Rows], None]]] = {
        "spotted": (_spots, canvas.ink),
        "striped": (_stripes, canvas.ink),
        "multi-colored": (_patches, canvas.patch),
    }
    for name, (figure, draw) in markings.items():
        rows = np.flatnonzero(patterns == PATTERNS.index(name))
        if len(rows):
            shown = canvas.cover(figure(trunk.along[rows], trunk.across[rows]), rows)
            draw(trunk.window, shown * mask[rows], rows)


_PERIOD = 0.18
"""Distance between spots and between stripes: some 5 pixels in images of 64."""


def _spots(along: Floats, across: Floats) -> Floats:
    distance: Floats = (0.32 - brush.length(_wave(along / _PERIOD), _wave(across / _PERIOD))) * _PERIOD
    return distance


def _stripes(along: Floats, across: Floats) -> Floats:
    """Bars across the body, a little oblique."""
    distance: Floats = (0.23 - _wave((along + 0.25 * across) / _PERIOD)) * _PERIOD
    return distance


def _patches(along: Floats, across: Floats) -> Floats:
    distance: Floats = (0.25 - _wave((along + 0.6 * across) / 0.46)) * 0.46
    return distance


def _paint_tail(canvas: _Canvas, bird: _Bird, build: _Build, trunk: _Trunk) -> None:
    """Paint the tail: its upper side above its middle, its under side below."""
    tail = bird.traits("tail_shape", _TAIL_TRAITS, _TAILS)
    back = -0.8 * build.length - trunk.along
    share = np.clip(back / build.tail, 0, 1)
    half = build.tail_width * (1 + tail["flare"] * share)
    aside = np.abs(trunk.across)
    place = np.minimum(aside / half, 1)
    end = 1 - tail["pointed"] * place - tail["rounded"] * place * place - tail["notched"] * (1 - place)
    distance = np.minimum(np.minimum(half - aside, end * build.tail - back), back + 0.2 * build.length)
    canvas.darken(trunk.window, canvas.cover(distance + _RIM), 0.6)
    whole = canvas.cover(distance.copy())
    canvas.feather(trunk.window, whole, bird.value("upper_tail_color"))
    canvas.feather(trunk.window, canvas.cover(np.minimum(distance, trunk.across)), bird.value("under_tail_color"))
    _mark(canvas, trunk, whole, bird.value("tail_pattern"))


def _paint_body(canvas: _Canvas, bird: _Bird, build: _Build, trunk: _Trunk) -> None:
    """Paint the body: its ground, then back, rump, belly, flank and vent, and breast."""
    along, across = trunk.along / build.length, trunk.across / build.height
    radius = brush.length(along, across)
    distance = (1 - radius) * build.height
    canvas.darken(trunk.window, canvas.cover(distance + _RIM), 0.6)
    canvas.feather(trunk.window, canvas.cover(distance.copy()), bird.value("primary_color"))

    def zone(limit: Floats, unit: Floats) -> Floats:
        return canvas.cover(np.minimum(distance, limit * unit))

    back = zone(-0.34 - across, build.height)
    canvas.feather(trunk.window, back, bird.value("back_color"))
    _mark(canvas, trunk, back, bird.value("back_pattern"))
    rump = zone(np.minimum(-0.46 - along, -0.04 - across), build.height)
    canvas.feather(trunk.window, rump, bird.value("upperparts_color"))
    belly = zone(across - 0.42, build.height)
    canvas.feather(trunk.window, belly, bird.value("belly_color"))
    _mark(canvas, trunk, belly, bird.value("belly_pattern"))
    vent = zone(np.minimum(-0.42 - along, across + 0.04), build.height)
    canvas.feather(trunk.window, vent, bird.value("underparts_color"))
    breast = zone(np.minimum(along - 0.28, across + 0.30), build.height)
    canvas.feather(trunk.window, breast, bird.value("breast_color"))
    _mark(canvas, trunk, breast, bird.value("breast_pattern"))
    # The body is round: it darkens towards its outline.
    radius *= radius
    np.minimum(radius, 1, out=radius)
    canvas.darken(trunk.window, radius * radius * canvas.cover(distance), 0.12)


def _paint_wing(canvas: _Canvas, bird: _Bird, build: _Build, pose: Columns, trunk: _Trunk) -> None:
    """Paint the folded wing, with the shadow it throws."""
    wing = bird.traits("wing_shape", _WING_TRAITS, _WINGS)
    back = 0.5 * build.length - trunk.along
    share = np.clip(back / build.wing, 0, 1)
    square = share * share
    steep = square * square
    steep *= steep
    fall = 1 - wing["linear"] * share - wing["square"] * square - wing["steep"] * steep
    # The shoulder is round.
    fall *= np.sqrt(np.minimum(share * 5, 1))
    aside = np.abs(trunk.across - pose.around(-0.04, "wing_drop", 0.04) * build.height)
    edge = np.minimum(back, build.wing - back)
    distance = np.minimum(fall * wing["height"] * build.height - aside, edge)
    canvas.darken(trunk.window, canvas.cover(distance + _RIM), 0.45)
    mask = canvas.cover(distance)
    canvas.feather(trunk.window, mask, bird.value("wing_color"))
    _mark(canvas, trunk, mask, bird.value("wing_pattern"))


# ------------------------------------------------------------------------------------------------------ head


def _paint_bill(canvas: _Canvas, bird: _Bird, build: _Build) -> None:
    """Paint the bill, from inside the head outwards, and the line between its halves."""
    shape = bird.traits("bill_shape", _BILL_TRAITS, _BILLS)
    radius, reach = build.head, 1.2 * build.head
    start = build.head_x + 0.75 * radius
    window = canvas.window(start - 0.1, start + build.bill + 0.27 * radius, build.head_y - reach, build.head_y + reach)
    u, v = canvas.places(window)
    x, y = u - start, v - build.head_y - 0.10 * radius
    length = build.bill + 0.22 * radius
    share = np.clip(x / length, 0, 1)
    left, square = 1 - share, share * share
    thick = (left * left * shape["base"] + 2 * left * share * shape["middle"] + square * shape["tip"]) * radius
    high = square * square
    middle = (shape["droop"] * square + shape["hook"] * high * high) * radius
    aside = np.abs(y - middle)
    distance = np.minimum(thick + 0.012 - aside, np.minimum(x + 0.1, length - x))
    canvas.darken(window, canvas.cover(distance + 0.02), 0.6)
    mask = canvas.cover(distance)
    canvas.feather(window, mask, bird.value("bill_color"))
    canvas.darken(window, canvas.cover(0.012 - aside) * mask, 0.35)
    rows = bird.rows("bill_shape", "specialized")
    if len(rows):
        rings = canvas.cover((0.22 - _wave(share[rows] * 3)) * length[rows] / 3, rows)
        canvas.ink(window, rings * mask[rows], rows)


def _paint_head(canvas: _Canvas, bird: _Bird, build: _Build) -> None:
    """Paint the head: crest, cheek, nape, throat, crown and forehead, and its markings."""
    radius = build.head
    reach = radius + _RIM
    window = canvas.window(
        build.head_x - 1.6 * radius - _RIM,
        build.head_x + reach,
        build.head_y - 1.65 * radius - _RIM,
        build.head_y + reach,
    )
    u, v = canvas.places(window)
    x, y = (u - build.head_x) / radius, (v - build.head_y) / radius
    _paint_crest(canvas, bird, window, x, y, radius)
    distance = (1 - brush.length(x, y)) * radius
    canvas.darken(window, canvas.cover(distance + _RIM), 0.6)
    whole = canvas.cover(distance.copy())
    canvas.feather(window, whole, bird.value("primary_color"))

    def cap(right: float, down: float, from_middle: float) -> Floats:
        return canvas.cover(np.minimum(distance, ((right * x - from_middle) + down * y) * radius))

    canvas.feather(window, cap(-0.97, 0.25, 0.44), bird.value("nape_color"))
    canvas.feather(window, cap(0.30, 0.95, 0.42), bird.value("throat_color"))
    canvas.feather(window, cap(-0.30, -0.95, 0.40), bird.value("crown_color"))
    canvas.feather(window, cap(0.80, -0.60, 0.56), bird.value("forehead_color"))
    for pattern, figure in _HEAD_MARKINGS.items():
        rows = bird.rows("head_pattern", pattern)
        if len(rows):
            shown = canvas.cover(figure(x[rows], y[rows]) * radius[rows], rows)
            canvas.ink(window, shown * whole[rows], rows)


def _paint_crest(canvas: _Canvas, bird: _Bird, window: Window, x: Floats, y: Floats, radius: Floats) -> None:
    """Raise a crest of three feathers in the colour of the crown."""
    crested = (bird.value("head_pattern") == _HEAD_PATTERNS.index("crested"))[:, None, None]
    if not crested.any():
        return
    feathers = [
        0.17 - brush.stroke(x + 0.3, y + 0.7, run, rise) for run, rise in ((-0.30, -0.75), (-0.8, -0.5), (-1.1, 0.0))
    ]
    distance = np.maximum(np.maximum(feathers[0], feathers[1]), feathers[2]) * radius
    canvas.darken(window, canvas.cover(distance + _RIM) * crested, 0.6)
    canvas.feather(window, canvas.cover(distance) * crested, bird.value("crown_color"))


_EYE_X, _EYE_Y, _EYE = 0.20, -0.08, 0.29
"""Place and radius of the eye, in radii of the head."""

# Signed distance to each marking, in radii of the head, from the place in the head.
_HEAD_MARKINGS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "spotted": lambda x, y: 0.17 - 0.52 * brush.length(_wave(x / 0.52), _wave(y / 0.52)),
    "malar": lambda x, y: 0.13 - brush.stroke(x - 0.8, y - 0.30, -1.1, 0.42),
    "masked": lambda x, y: np.minimum(0.36 - np.abs(y - _EYE_Y), x + 0.45),
    "unique_pattern": lambda x, y: 0.33 - brush.length(x + 0.40, y - 0.22),
    "eyebrow": lambda x, y: 0.11 - brush.stroke(x - 0.65, y + 0.50, -1.25, 0.10),
    "eyering": lambda x, y: 0.11 - np.abs(brush.length(x - _EYE_X, y - _EYE_Y) - _EYE - 0.15),
    "eyeline": lambda x, y: 0.10 - np.abs(y - _EYE_Y - 0.12 * x),
    "striped": lambda x, y: (0.2 - _wave((y + 0.3 * x) / 0.5)) * 0.5,
    "capped": lambda x, y: -0.36 - y - 0.15 * x,
}


def _paint_eye(canvas: _Canvas, bird: _Bird, build: _Build) -> None:
    """Paint the eye: a dark rim, the iris, the pupil."""
    x, y = build.head_x + _EYE_X * build.head, build.head_y + _EYE_Y * build.head
    radius = _EYE * build.head
    window = canvas.window(x - radius - 0.02, x + radius + 0.02, y - radius - 0.02, y + radius + 0.02)
    u, v = canvas.places(window)
    away = brush.length(u - x, v - y)
    canvas.darken(window, canvas.cover(radius + 0.02 - away), 0.8)
    iris = np.array([list(COLOURS).index(colour) for colour in _EYE_COLOURS], dtype=np.int8)[bird.value("eye_color")]
    canvas.feather(window, canvas.cover(radius - away), iris)
    canvas.paint(window, canvas.cover(0.42 * radius - away), (0.03, 0.03, 0.03))
