"""Drawn faces whose geometry is moved by facial action units.

Licensed face data are missing on most machines, so stand-in data sets are made of drawn faces:
cartoon-like portraits in which every facial action unit (AU) that is present moves or creases what the
Facial Action Coding System (Ekman & Friesen, 1978) says it does. A network has to look at the face to find
the labels.

How a picture comes about::

    identity row   -> traits (head shape, skin, hair, sizes and resting places of the features)
    AU labels      -> intensities, uniform in 0.5..1 for each AU that is present, 0 for the others
    rng            -> nuisances (pose, gaze, light, colour cast, background, softness, sensor noise)
    traits + intensities -> geometry: each AU adds its displacement to the resting place of the features
    geometry       -> soft masks from signed distances, painted back to front

A *face unit* is half the height of the frame at neutral pose, and (0, 0) is between eyes and nose; see `_brush` for u
and v, which lie in the head and turn with it. Sizes are relative to the frame: only the width of the soft edges depends
on the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.drawing import _brush as brush
from bench.data.drawing._brush import Colour, Columns, Floats, Window, WindowedCanvas, bump

CODE = (Path(__file__), *brush.CODE)

ACTION_UNITS: tuple[str, ...] = (
    "au1", "au2", "au4", "au5", "au6", "au7", "au9", "au10", "au12",
    "au14", "au15", "au17", "au20", "au23", "au24", "au25", "au26",
)  # fmt: skip

# What an identity row holds, in order; each entry is uniform in -1..1 over people.
_TRAITS: tuple[str, ...] = (
    "skin_depth", "skin_warmth", "hair_lightness", "hair_warmth", "hair_length", "hair_volume",
    "hairline", "hair_parting", "head_width", "jaw_taper", "chin_length", "eye_spacing",
    "eye_height", "eye_width", "eye_opening", "eye_tilt", "iris_hue", "brow_height",
    "brow_tilt", "brow_arch", "brow_thickness", "brow_length", "nose_length", "nose_width",
    "mouth_height", "mouth_width", "mouth_rest", "lip_upper", "lip_lower", "lip_redness",
)  # fmt: skip
IDENTITY_SIZE: int = len(_TRAITS)

# What changes from picture to picture of the same person; each is drawn uniform in -1..1.
_NUISANCES: tuple[str, ...] = (
    "shift_x", "shift_y", "scale", "rotation", "yaw", "gaze_x", "gaze_y", "brow_slack", "mouth_slack",
    "light_x", "light_y", "brightness", "cast_red", "cast_blue",
    "back_light", "back_red", "back_green", "back_blue", "softness", "noise",
)  # fmt: skip

_MAX_SHIFT = 0.05
_MAX_SCALE = 1.03
_MIN_SCALE = 0.91
_MAX_ROTATION = 0.10  # radians, about 6 degrees
_MAX_YAW = 0.06  # horizontal travel of the inner features, face units


def draw_identities(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the latent appearance of ``count`` people.

    Returns:
        float32 ``[count, IDENTITY_SIZE]``, uniform in [-1, 1): one row per person.

    Raises:
        ValueError: ``count`` is negative.
    """
    return brush.uniform(count, IDENTITY_SIZE, rng)


def draw_faces(
    action_units: NDArray[np.bool_],
    identities: NDArray[np.float32],
    *,
    size: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw one face per row of labels.

    The random draws (intensity of the AUs, pose, light, noise ...) do not depend on the labels: two calls
    with equally seeded generators and the same ``n`` and ``size`` differ only in what labels and identities
    change.

    Args:
        action_units: bool ``[n, len(ACTION_UNITS)]``, True where the AU is present.
        identities: float32 ``[n, IDENTITY_SIZE]`` in [-1, 1], as from :func:`draw_identities`; one row per
            image, so that a person's row is repeated for each picture of that person.
        size: height and width of the images in pixels, 16 to 256.
        rng: the only source of randomness.

    Returns:
        uint8 ``[n, size, size, 3]``, RGB.

    Raises:
        ValueError: an argument has another shape, dtype or range than stated.
    """
    brush.check_size(size)
    count = len(action_units)
    brush.check_table("action_units", action_units, (count, len(ACTION_UNITS)), np.bool_)
    brush.check_uniform("identities", identities, (count, IDENTITY_SIZE))
    intensities = action_units * (0.5 + 0.5 * rng.random(action_units.shape, dtype=np.float32))
    nuisances = brush.uniform(count, len(_NUISANCES), rng)
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for part in brush.parts(count, size):
        nuisance = Columns(_NUISANCES, nuisances[part])
        canvas = _blank_canvas(nuisance, size)
        _paint_face(canvas, Columns(_TRAITS, identities[part]), Columns(ACTION_UNITS, intensities[part]), nuisance)
        images[part] = _expose(canvas, nuisance, rng)
    return images


# ---------------------------------------------------------------------------------------------- small pieces


@dataclass
class _Canvas(WindowedCanvas):
    """The pictures being painted; u and v are ``[n, h, w]``.

    Attributes:
        across: ``[n, h, w]``, u relative to the midline of the inner features, which yaw moves.
        side: ``[n, h, w]``, distance from that midline; drawing with it draws left and right at once.
        shade: ``[n, h, w]``, what the skin colour is multiplied by: folds are below 1, bulges above.
    """

    across: Floats
    side: Floats
    shade: Floats

    def window(self, top: float, bottom: float, reach: float = 2.0) -> Window:
        """Give slices that hold every pixel with v in top..bottom and abs(across) < reach, in any pose."""
        size = self.u.shape[1]
        astray = min(reach, 1.0) * _MAX_ROTATION + _MAX_SHIFT  # how far pose may move a row, scale aside
        first = top * (_MAX_SCALE if top < 0 else _MIN_SCALE) - astray
        last = bottom * (_MAX_SCALE if bottom > 0 else _MIN_SCALE) + astray
        wide = (reach + _MAX_YAW) * _MAX_SCALE + max(abs(top), abs(bottom)) * _MAX_ROTATION + _MAX_SHIFT
        return slice(None), _pixels(first, last, size), _pixels(-wide, wide, size)

    def darken(self, window: Window, mask: Floats, amount: Floats | float) -> None:
        """Lower the skin's shade by ``amount`` (a negative amount lightens) where ``mask`` says so."""
        mask = mask * amount
        self.shade[window] -= mask


def _pixels(first: float, last: float, size: int) -> slice:
    """Find the pixels of one axis (``size`` of them over -1..1) that may be touched by first..last."""
    start = int(np.floor((first + 1) / 2 * size)) - 1
    stop = int(np.ceil((last + 1) / 2 * size)) + 1
    return slice(max(start, 0), max(min(stop, size), 1))


def _blob(x: Floats, y: Floats, width: Floats | float, height: Floats | float) -> Floats:
    """Raise a round hill over an ellipse with the given half axes, centred where x and y are 0."""
    x = x / width
    y = y / height
    x *= x
    y *= y
    x += y
    np.subtract(1, x, out=x)
    np.maximum(x, 0, out=x)
    x *= x
    return x


# ------------------------------------------------------------------------------------------- frame and light


def _blank_canvas(nuisance: Columns, size: int) -> _Canvas:
    """Set up a canvas ``size`` pixels wide, posed by the nuisances and filled with the background."""
    axis = brush.pixel_axis(size)
    x = axis[None, None, :] - nuisance.around(0.0, "shift_x", _MAX_SHIFT)
    y = axis[None, :, None] - nuisance.around(0.0, "shift_y", _MAX_SHIFT)
    angle = nuisance.around(0.0, "rotation", _MAX_ROTATION)
    scale = nuisance.around((_MAX_SCALE + _MIN_SCALE) / 2, "scale", (_MAX_SCALE - _MIN_SCALE) / 2)
    # Small-angle cosine and sine: exact to 1e-5 here, and free of differences between vector units.
    cosine = (1 - angle * angle / 2) / scale
    sine = angle * (1 - angle * angle / 6) / scale
    u = cosine * x + sine * y
    v = cosine * y - sine * x
    yaw = nuisance.around(0.0, "yaw", _MAX_YAW)
    across = u - yaw
    # The side the face turns to is seen foreshortened, the other one widened.
    side = np.abs(across) + 1.5 * yaw * across
    # A picture out of focus has wider edges; this blurs at no cost in time.
    softness = 2 / size + nuisance.around(0.016, "softness", 0.016)
    lightness = nuisance.around(0.60, "back_light", 0.18)
    ground = [lightness + nuisance.around(0.0, name, 0.08) for name in ("back_red", "back_green", "back_blue")]
    planes = [np.zeros_like(u) + value for value in ground]
    return _Canvas(u, v, np.reciprocal(softness), planes, across, side, np.ones_like(u))


def _expose(canvas: _Canvas, nuisance: Columns, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the scene, add sensor noise, and quantise: uint8 ``[n, h, w, 3]``."""
    light = nuisance.around(0.0, "light_x", 0.16) * canvas.u
    light += nuisance.around(-0.03, "light_y", 0.09) * canvas.v
    light += nuisance.around(0.97, "brightness", 0.11)
    red = nuisance.around(1.0, "cast_red", 0.06)
    blue = nuisance.around(1.0, "cast_blue", 0.08)
    gains: Sequence[Floats] = (red, np.ones_like(red), blue)
    grain = nuisance.around(6.5, "noise", 4.0)  # noise is uniform within plus or minus so many grey levels
    count, height, width = light.shape
    noise = brush.random_bytes(count, 3 * height * width, rng).reshape(count, 3, height, width)
    lit = (plane * light * (gain * 255) for plane, gain in zip(canvas.planes, gains, strict=True))
    return brush.expose(lit, grain, noise)


# ---------------------------------------------------------------------------------------------------- layers


def _paint_face(canvas: _Canvas, trait: Columns, au: Columns, nuisance: Columns) -> None:
    """Paint everything but the background, back to front."""
    skin = _skin_colour(trait)
    hair = _hair_colour(trait)
    brows = _brow_shape(trait, au, nuisance)
    eyes = _eye_shape(trait, au, nuisance)
    nose = _nose_shape(trait, au)
    mouth = _mouth_shape(trait, au, nuisance)

    # Folds and bulges only change the shade of the skin, so they come first.
    _shade_forehead(canvas, au)
    _shade_eye_region(canvas, eyes, au)
    _shade_nose(canvas, nose, eyes, au)
    _shade_cheeks(canvas, nose, mouth, au)
    _shade_mouth_region(canvas, mouth, au)
    _shade_chin(canvas, mouth, au)

    _paint_head(canvas, trait, au, skin, hair)
    _paint_nostrils(canvas, nose, skin)
    _paint_eyes(canvas, eyes, trait)
    _paint_brows(canvas, brows, hair)
    _paint_mouth(canvas, mouth, trait, skin)


def _skin_colour(trait: Columns) -> Colour:
    """Skin tone: from fair to deep, and from rosy to olive."""
    depth = trait.around(0.5, "skin_depth", 0.5)
    tone = brush.mix((0.97, 0.81, 0.70), (0.60, 0.42, 0.32), depth)
    warmth = trait("skin_warmth")
    return [tone[0], tone[1] * (1 + 0.03 * warmth), tone[2] * (1 - 0.07 * warmth)]


def _hair_colour(trait: Columns) -> Colour:
    """Hair: from black over brown to blond or grey; the lightest shades go with fair skin only."""
    lightness = trait.around(0.5, "hair_lightness", 0.5)
    lightness = lightness * (1 - 0.7 * trait.around(0.5, "skin_depth", 0.5))
    warmth = trait.around(0.5, "hair_warmth", 0.5)
    grey, warm = (0.62, 0.60, 0.58), (0.80, 0.56, 0.26)
    light = brush.mix(grey, warm, warmth)
    return [dark + (value - dark) * lightness for dark, value in zip((0.10, 0.07, 0.06), light, strict=True)]


def _paint_head(canvas: _Canvas, trait: Columns, au: Columns, skin: Colour, hair: Colour) -> None:
    """Paint the hair behind the head, neck, ears, head with its shade, and the hair over the forehead.

    AU26 lowers the chin, AU17 lifts it a little.
    """
    everywhere = (slice(None), slice(None), slice(None))
    u, v = canvas.u, canvas.v
    half_width = trait.around(0.72, "head_width", 0.05)
    chin = trait.around(0.84, "chin_length", 0.04) + 0.12 * au("au26") - 0.03 * au("au17")
    apart = np.abs(u)

    hair_edge = _hair_distance(apart, v, half_width, trait)
    canvas.paint(everywhere, canvas.cover(hair_edge.copy()), hair)

    # Below the cheekbones the outline narrows towards the chin.
    down = np.maximum(v, 0) / chin
    reach = half_width * (1 - trait.around(0.22, "jaw_taper", 0.08) * down * down)
    radius = brush.length(apart / reach, down + np.maximum(-v, 0) / 0.90)
    head = canvas.cover((1 - radius) * half_width)

    neck = canvas.cover(np.minimum(half_width * 0.62 - apart, v - 0.3))
    ears = canvas.cover(0.13 - brush.length(apart - half_width, 0.5 * v))
    np.maximum(neck, ears, out=neck)
    # The head is round: it darkens towards its outline; neck and ears lie in its shadow.
    radius *= radius
    radius *= radius
    radius *= 0.16 * head
    canvas.shade -= radius
    canvas.shade -= 0.28 * (1 - head)
    np.maximum(canvas.shade, 0.2, out=canvas.shade)
    np.maximum(head, neck, out=neck)
    canvas.paint(everywhere, neck, [value * canvas.shade for value in skin])

    top = canvas.window(-1.1, 0.12)
    line = trait.around(-0.70, "hairline", 0.07) + trait.around(0.0, "hair_parting", 0.12) * u[top]
    line += 0.75 * np.square(u[top])
    line -= v[top]
    front = canvas.cover(np.minimum(line, hair_edge[top]))
    canvas.paint(top, front, [value * 1.12 + 0.01 for value in hair])


def _hair_distance(apart: Floats, v: Floats, half_width: Floats, trait: Columns) -> Floats:
    """Signed distance of the hair behind the head: a dome above, a curtain of some length below."""
    width = half_width + trait.around(0.09, "hair_volume", 0.05)
    dome = np.minimum(v + 0.1, 0) / (0.86 + width - half_width)
    radius = brush.length(apart / width, dome)
    length = trait.around(0.35, "hair_length", 0.60)
    distance: Floats = np.minimum((1 - radius) * width, length - v)
    return distance


# ----------------------------------------------------------------------------------------------------- brows


@dataclass(frozen=True)
class _Brows:
    """Brows, right and left alike: inner and outer end, bow upwards in between, half thickness."""

    inner_x: Floats
    inner_y: Floats
    outer_x: Floats
    outer_y: Floats
    arch: Floats
    thickness: Floats


def _brow_shape(trait: Columns, au: Columns, nuisance: Columns) -> _Brows:
    """Place the brows: AU1 lifts the inner end, AU2 the outer end; AU4 lowers and joins them."""
    rest = trait.around(-0.375, "brow_height", 0.028) + nuisance.around(0.0, "brow_slack", 0.012)
    tilt = trait.around(0.0, "brow_tilt", 0.02)
    inner_x = trait.around(0.15, "eye_spacing", 0.02) - 0.065 * au("au4") - 0.015 * au("au9")
    return _Brows(
        inner_x=inner_x,
        inner_y=rest + tilt - 0.125 * au("au1") + 0.110 * au("au4") + 0.04 * au("au9"),
        outer_x=trait.around(0.53, "brow_length", 0.03),
        outer_y=rest - tilt - 0.125 * au("au2") + 0.050 * au("au4"),
        arch=trait.around(0.035, "brow_arch", 0.02) + 0.02 * au("au2"),
        thickness=trait.around(0.038, "brow_thickness", 0.01),
    )


def _paint_brows(canvas: _Canvas, brows: _Brows, hair: Colour) -> None:
    """Paint both brows: a bowed stroke, thick inside and thin outside."""
    window = canvas.window(-0.68, -0.10, 0.70)
    length = brows.outer_x - brows.inner_x
    along = (canvas.side[window] - brows.inner_x) / length
    inside = np.clip(along, 0, 1)
    height = brows.inner_y + inside * (brows.outer_y - brows.inner_y)
    height -= 4 * brows.arch * inside * (1 - inside)
    beside = (along - inside) * length
    distance = brush.length(beside, canvas.v[window] - height)
    mask = canvas.cover(brows.thickness * (1.1 - 0.55 * inside) - distance)
    # Brows are darker than the hair of the head, so that they show on fair-haired people too.
    canvas.paint(window, mask, [0.65 * value for value in hair])


def _shade_forehead(canvas: _Canvas, au: Columns) -> None:
    """Shade the creases above raised brows (AU1 middle, AU2 sides) and the frown lines of AU4."""
    window = canvas.window(-0.68, -0.42, 0.70)
    side, v = canvas.side[window], canvas.v[window]
    place = au("au1") * bump(side / 0.30) + au("au2") * bump((side - 0.40) / 0.20)
    lines = canvas.cover(0.012 - np.abs(np.abs(v + 0.585) - 0.035))
    canvas.darken(window, lines * place, 0.38)

    window = canvas.window(-0.52, -0.12, 0.16)
    side, v = canvas.side[window], canvas.v[window]
    mask = canvas.cover(0.016 - np.abs(side - 0.05))
    mask *= bump((v + 0.32) / 0.15)
    canvas.darken(window, mask, 0.60 * au("au4"))


# ------------------------------------------------------------------------------------------------------ eyes


@dataclass(frozen=True)
class _Eyes:
    """Eyes, right and left alike: centre, half width, height of the lids above and below it, slant, gaze."""

    x: Floats
    y: Floats
    width: Floats
    upper: Floats
    lower: Floats
    tilt: Floats
    gaze_x: Floats
    gaze_y: Floats


def _eye_shape(trait: Columns, au: Columns, nuisance: Columns) -> _Eyes:
    """Place the lids: AU5 lifts the upper one, AU7 tightens both, AU6 pushes the lower one up."""
    opening = trait("eye_opening")
    upper = 0.088 + 0.010 * opening + 0.070 * au("au5") - 0.032 * au("au7") - 0.012 * au("au9") - 0.008 * au("au4")
    lower = 0.066 + 0.006 * opening - 0.048 * au("au7") - 0.042 * au("au6") - 0.010 * au("au9")
    return _Eyes(
        x=trait.around(0.335, "eye_spacing", 0.025),
        y=trait.around(-0.11, "eye_height", 0.02),
        width=trait.around(0.165, "eye_width", 0.015),
        upper=np.maximum(upper, 0.02),
        lower=np.maximum(lower, -0.012),
        tilt=trait.around(-0.01, "eye_tilt", 0.02),
        gaze_x=nuisance.around(0.0, "gaze_x", 0.035),
        gaze_y=nuisance.around(0.0, "gaze_y", 0.012),
    )


def _paint_eyes(canvas: _Canvas, eyes: _Eyes, trait: Columns) -> None:
    """Paint sclera, iris, pupil, glint and the line of the lashes."""
    window = canvas.window(-0.36, 0.04, 0.66)
    across, side = canvas.across[window], canvas.side[window]
    x = side - eyes.x
    y = canvas.v[window] - eyes.y
    relative = np.clip(x / eyes.width, -1, 1)
    bow = 1 - relative * relative
    slant = eyes.tilt * relative
    upper = y - slant + eyes.upper * np.sqrt(bow)
    lower = eyes.lower * bow + slant - y
    beside = eyes.width - np.abs(x)
    opening = canvas.cover(np.minimum(np.minimum(upper, lower), beside))
    canvas.paint(window, opening, (0.96, 0.95, 0.93))

    # Both eyes look the same way, so the iris is not mirrored.
    iris_x = x - np.sign(across) * eyes.gaze_x
    away = brush.length(iris_x, y + 0.012 - eyes.gaze_y)
    hue = trait.around(0.5, "iris_hue", 0.5)
    colour = brush.mix((0.30, 0.18, 0.10), (0.30, 0.46, 0.58), hue * hue)
    canvas.paint(window, canvas.cover(0.074 - away) * opening, colour)
    canvas.paint(window, canvas.cover(0.034 - away) * opening, (0.05, 0.05, 0.05))
    lashes = canvas.cover(np.minimum(0.017 - np.abs(upper), beside + 0.015))
    canvas.paint(window, lashes, (0.13, 0.09, 0.08))


def _shade_eye_region(canvas: _Canvas, eyes: _Eyes, au: Columns) -> None:
    """Shade the lid crease and the rim of the lower lid, which AU7 tenses.

    AU6 adds the bulging cheek, the furrow under the eye and crow's feet.
    """
    window = canvas.window(-0.36, 0.36, 0.80)
    x = canvas.side[window] - eyes.x
    y = canvas.v[window] - eyes.y
    relative = np.clip(x / eyes.width, -1.15, 1.15)
    bow = 1 - relative * relative
    within = bump(relative / 1.15)

    crease = canvas.cover(0.010 - np.abs(y + (eyes.upper + 0.045) * bow))
    canvas.darken(window, crease * within, 0.22)
    rim = canvas.cover(0.010 - np.abs(y - 0.012 - np.maximum(eyes.lower, 0) * bow))
    canvas.darken(window, rim * within, 0.18 + 0.30 * au("au7"))
    furrow = canvas.cover(0.014 - np.abs(y - 0.065 - 0.045 * bow))
    canvas.darken(window, furrow * within, 0.52 * au("au6"))
    canvas.darken(window, _blob(x - 0.03, y - 0.22, 0.20, 0.10), -0.24 * au("au6"))
    for rise in (-0.07, 0.0, 0.07):
        foot = canvas.cover(0.010 - brush.stroke(x - eyes.width - 0.035, y - 0.3 * rise, 0.10, rise))
        canvas.darken(window, foot, 0.58 * au("au6"))


# ------------------------------------------------------------------------------------------------------ nose


@dataclass(frozen=True)
class _Nose:
    """Nose: height of the tip, half width at the wings."""

    y: Floats
    width: Floats


def _nose_shape(trait: Columns, au: Columns) -> _Nose:
    """Place the nose: AU9 pulls it up and flares it, AU10 lifts its wings a little."""
    return _Nose(
        y=trait.around(0.17, "nose_length", 0.025) - 0.065 * au("au9") - 0.012 * au("au10"),
        width=trait.around(0.125, "nose_width", 0.02) + 0.025 * au("au9"),
    )


def _shade_nose(canvas: _Canvas, nose: _Nose, eyes: _Eyes, au: Columns) -> None:
    """Shade bridge, tip and wings; AU9 adds creases across the root and along the sides of the nose."""
    window = canvas.window(-0.24, 0.32, 0.24)
    across, side, v = canvas.across[window], canvas.side[window], canvas.v[window]
    below = v - nose.y
    canvas.darken(window, _blob(side - 0.085, v - 0.0, 0.05, 0.20), 0.14)
    canvas.darken(window, _blob(across, below, 0.07, 0.07), -0.12)
    canvas.darken(window, _blob(across, below - 0.07, nose.width, 0.035), 0.30)
    wing = canvas.cover(0.012 - brush.stroke(side - nose.width, below + 0.035, 0.012, 0.065))
    canvas.darken(window, wing, 0.30)

    root = v - eyes.y
    for height in (-0.05, 0.02, 0.09):
        # The creases sag in the middle.
        line = canvas.cover(0.013 - np.abs(root - height + 2.0 * side * side))
        canvas.darken(window, line * bump(side / 0.13), 0.50 * au("au9"))
    slope = canvas.cover(0.012 - brush.stroke(side - 0.10, below + 0.17, 0.06, 0.07))
    canvas.darken(window, slope, 0.50 * au("au9"))


def _paint_nostrils(canvas: _Canvas, nose: _Nose, skin: Colour) -> None:
    """Paint the nostrils."""
    window = canvas.window(0.04, 0.30, 0.2)
    x = canvas.side[window] - 0.5 * nose.width
    y = canvas.v[window] - nose.y - 0.045
    mask = canvas.cover(0.020 - brush.length(0.6 * x, y))
    canvas.paint(window, mask, [0.35 * value for value in skin])


# ----------------------------------------------------------------------------------------------------- mouth


@dataclass(frozen=True)
class _Mouth:
    """Mouth. Heights are v, or distances along v, at the middle of the mouth unless stated otherwise.

    Attributes:
        y: line at which the closed lips meet.
        width: half width.
        bend: how far the line of the lips has come down at the corners, growing with the square of x.
        droop: the same, but felt near the corners only (fourth power).
        open_up, open_down: how far the lips have parted above and below the line.
        lip_up, lip_down: height of the red part of the upper and lower lip.
        square: 0..1, how square the upper lip's outline is (AU10).
        seam: half thickness of the dark line between closed lips.
        chin: v of the chin boss.
    """

    y: Floats
    width: Floats
    bend: Floats
    droop: Floats
    open_up: Floats
    open_down: Floats
    lip_up: Floats
    lip_down: Floats
    square: Floats
    seam: Floats
    chin: Floats


def _mouth_shape(trait: Columns, au: Columns, nuisance: Columns) -> _Mouth:
    """Add up what the AUs of the lower face do to the mouth at rest.

    AU12 pulls the corners up and out, AU15 down, AU20 straight out; AU14 tucks them in. AU10 raises the
    upper lip, AU17 pushes the lower lip (and with it the line of the lips) up. AU23 narrows mouth and lips,
    AU24 presses the lips to a line; AU25 parts them, AU26 drops the jaw. Lips that part cannot be pressed:
    with AU25 or AU26 the pressing of AU24 gives way by half, and so does the parting.
    """
    press = au("au24")
    parting = np.maximum(au("au25"), au("au26"))
    give = 1 - 0.5 * press * parting
    red = (1 - 0.55 * au("au23")) * (1 - 0.75 * press * (1 - 0.5 * parting)) * (1 - 0.20 * au("au20"))
    corners = trait.around(-0.010, "mouth_rest", 0.014) + nuisance.around(0.0, "mouth_slack", 0.012)
    apart = 0.045 * au("au25") * give
    width = trait.around(0.265, "mouth_width", 0.022) + 0.060 * au("au12") + 0.140 * au("au20")
    width += -0.035 * au("au14") - 0.080 * au("au23") - 0.06 * au("au26") - 0.015 * au("au17")
    return _Mouth(
        y=trait.around(0.45, "mouth_height", 0.016)
        + 0.045 * au("au26")
        - 0.045 * au("au17")
        - 0.025 * au("au10")
        - 0.010 * au("au12"),
        width=width,
        bend=corners - 0.155 * au("au12") - 0.02 * au("au14") + 0.045 * au("au17") + 0.025 * au("au10"),
        droop=0.145 * au("au15"),
        open_up=apart + 0.050 * au("au26") * give,
        open_down=apart + 0.130 * au("au26") * give,
        lip_up=trait.around(0.056, "lip_upper", 0.008) * red + 0.035 * au("au10"),
        lip_down=trait.around(0.070, "lip_lower", 0.010) * red + 0.025 * au("au17"),
        square=au("au10"),
        seam=0.010 + 0.008 * press,
        chin=trait.around(0.70, "chin_length", 0.03) + 0.10 * au("au26") - 0.03 * au("au17"),
    )


def _paint_mouth(canvas: _Canvas, mouth: _Mouth, trait: Columns, skin: Colour) -> None:
    """Paint lips, the dark inside, upper teeth, and the seam of closed lips."""
    window = canvas.window(0.22, 0.86, 0.56)
    across = canvas.side[window]
    y = canvas.v[window] - mouth.y
    square = np.minimum(np.square(across / mouth.width), 1)
    y -= (mouth.bend + mouth.droop * square) * square
    bow = 1 - square
    ends = mouth.width - across

    # Heights above and below the line of the lips at which the red begins and ends.
    round_bow = bow * (1 + mouth.square * square)
    crest = mouth.lip_up * (round_bow - 0.22 * bump(across / 0.07))
    lips = np.minimum(y + mouth.open_up * bow + crest, mouth.open_down * bow + mouth.lip_down * np.sqrt(bow) - y)
    redness = trait.around(0.5, "lip_redness", 0.5)
    tint = (0.86 + 0.06 * redness, 0.66 - 0.12 * redness, 0.66 - 0.08 * redness)
    canvas.paint(window, canvas.cover(np.minimum(lips, ends)), [a * b for a, b in zip(skin, tint, strict=True)])

    # The seam is as thick at least as closed lips' dark line, so one mask serves closed and open mouths.
    lower = mouth.open_down * bow - y
    inside = canvas.cover(np.minimum(np.minimum(y + mouth.open_up * bow, lower) + mouth.seam, ends))
    canvas.paint(window, inside, (0.26, 0.09, 0.09))
    teeth_height = np.minimum(0.9 * (mouth.open_up + mouth.open_down), 0.065) - mouth.open_up
    teeth = canvas.cover(np.minimum(teeth_height * bow - y, lower) - 0.008)
    teeth *= inside
    canvas.paint(window, teeth * (mouth.open_up > 0), (0.95, 0.93, 0.88))


def _shade_cheeks(canvas: _Canvas, nose: _Nose, mouth: _Mouth, au: Columns) -> None:
    """Shade the fold from nose to corner of the mouth: deep with AU10, plain with AU12, begun with AU9."""
    window = canvas.window(0.02, 0.66, 0.70)
    side, v = canvas.side[window], canvas.v[window]
    start_x, start_y = nose.width + 0.045, nose.y - 0.01
    run = np.maximum(mouth.width + 0.065 - start_x, 0.05)
    rise = mouth.y + mouth.bend - start_y - 0.02
    # The fold bows outwards: bend the plane by a parabola before drawing a straight stroke.
    along = np.clip((v - start_y) / rise, 0, 1)
    bowed = side - (0.05 + 0.03 * au("au10")) * 4 * along * (1 - along)
    fold = canvas.cover(0.018 - brush.stroke(bowed - start_x, v - start_y, run, rise))
    canvas.darken(window, fold, 0.07 + 0.48 * au("au10") + 0.22 * au("au12") + 0.12 * au("au9"))
    canvas.darken(window, _blob(side - 0.44, v - 0.24, 0.17, 0.13), -0.13 * au("au12"))


def _shade_mouth_region(canvas: _Canvas, mouth: _Mouth, au: Columns) -> None:
    """Shade dimples (AU14), pouches (AU15) and stretched skin (AU20) beside the corners of the mouth.

    Around the lips, AU23 pleats the skin and AU24 makes it bulge.
    """
    window = canvas.window(0.16, 0.84, 0.74)
    side, v = canvas.side[window], canvas.v[window]
    x = side - mouth.width
    y = v - mouth.y - mouth.bend - mouth.droop
    canvas.darken(window, _blob(x - 0.065, y, 0.065, 0.14), 0.70 * au("au14"))
    canvas.darken(window, _blob(x - 0.15, y, 0.06, 0.14), -0.24 * au("au14"))
    canvas.darken(window, _blob(x - 0.01, y - 0.06, 0.08, 0.07), 0.40 * au("au15"))
    pulled = canvas.cover(0.012 - np.abs(x - 0.06 + 1.5 * y * y))
    canvas.darken(window, pulled * bump(y / 0.13), 0.30 * au("au20"))

    middle = v - mouth.y
    pleats = canvas.cover(0.015 - np.abs(np.abs(side - 0.085) - 0.055))
    pleats *= bump((np.abs(middle) - 0.11) / 0.07)
    canvas.darken(window, pleats, 0.52 * au("au23"))
    bulge = bump((np.abs(middle) - 0.075) / 0.06) * bump(side / (mouth.width + 0.05))
    canvas.darken(window, bulge, -0.18 * au("au24"))


def _shade_chin(canvas: _Canvas, mouth: _Mouth, au: Columns) -> None:
    """Shade the hollow under the lower lip; with AU17 the chin boss rises and wrinkles like orange peel."""
    window = canvas.window(0.40, 0.98, 0.36)
    across, v = canvas.across[window], canvas.v[window]
    y = v - mouth.chin
    lip = mouth.y + mouth.open_down + mouth.lip_down
    canvas.darken(window, _blob(across, v - lip - 0.025, 0.14, 0.035), 0.20)
    arc = canvas.cover(0.018 - np.abs(y + 0.065 - 3.0 * across * across))
    canvas.darken(window, arc * bump(across / 0.20), 0.55 * au("au17"))
    side = canvas.side[window]
    for x, height in ((0.045, 0.0), (0.09, 0.045), (0.03, 0.07)):
        canvas.darken(window, _blob(side - x, y - height, 0.032, 0.032), 0.45 * au("au17"))
