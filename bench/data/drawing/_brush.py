"""Soft-edged painting over many pictures at once, for drawn shoes, clothes and portraits.

Coordinates: u grows to the right, v grows downwards, and the frame is about -1..1 in both, whatever its pixels. Poses
only shift and stretch, so that u is ``[n, 1, w]`` and v ``[n, h, 1]``: what depends on one of them alone costs nothing.
Shapes are signed distances (positive inside, in units of the frame) that `Canvas.cover` turns into masks.

Everything is float32; quantities of a whole picture are ``[n, 1, 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Always float32 at run time; numpy's type stubs do not follow the precision through arithmetic.
Floats = NDArray[np.floating[Any]]
# Red, green, blue in 0..1: each one number, or an array that broadcasts to [n, h, w].
Colour = Sequence[Floats | float] | Floats

MIN_SIZE, MAX_SIZE = 16, 256
# Pixels handled at once: a plane of this many float32 stays in a core's cache.
_CHUNK_PIXELS = 1 << 17


@dataclass(frozen=True)
class Columns:
    """Named columns of a float32 table ``[n, len(names)]``, handed out as ``[n, 1, 1]``."""

    names: tuple[str, ...]
    table: Floats

    def __call__(self, name: str) -> Floats:
        """The column itself."""
        return self.table[:, self.names.index(name)][:, None, None]

    def around(self, middle: float, name: str, reach: float) -> Floats:
        """``middle + reach * column``: varies by at most ``reach`` for a column in -1..1."""
        return middle + reach * self(name)

    def take(self, rows: NDArray[np.intp] | slice) -> Columns:
        """Some rows."""
        return Columns(self.names, self.table[rows])


@dataclass(frozen=True)
class Canvas:
    """Pictures being painted.

    Attributes:
        u: ``[n, 1, w]``, v: ``[n, h, 1]``: place of each pixel.
        edge: ``[n, 1, 1]``, width of a soft edge.
        planes: ``[3, n, h, w]``, red, green and blue in 0..1.
    """

    u: Floats
    v: Floats
    edge: Floats
    planes: Floats

    @classmethod
    def blank(
        cls,
        size: int,
        *,
        shift_x: Floats,
        shift_y: Floats,
        scale: Floats,
        softness: Floats,
        stretch: Floats | float = 1.0,
    ) -> Canvas:
        """A white canvas.

        ``scale`` above 1 shows the figure larger, ``stretch`` above 1 taller; ``softness`` widens edges by so much.
        """
        axis = ((np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1).astype(np.float32)
        u = (axis[None, None, :] - shift_x) / scale
        v = (axis[None, :, None] - shift_y) / (scale * stretch)
        edge = 2 / size / scale + softness
        return cls(u, v, edge, np.ones((3, len(u), size, size), np.float32))

    def cover(self, distance: Floats) -> Floats:
        """A soft mask 0..1 of what lies inside."""
        mask = distance / self.edge
        mask += 0.5
        return np.clip(mask, 0, 1, out=mask)

    def paint(self, mask: Floats, colour: Colour) -> None:
        """Lay ``colour`` over the pictures where ``mask`` says so."""
        for plane, value in zip(self.planes, colour, strict=True):
            change = value - plane
            change *= mask
            plane += change

    def shade(self, mask: Floats, amount: Floats | float) -> None:
        """Darken by ``amount`` (a part of what is there; below 0: lighten) where ``mask`` says so."""
        factor = 1 - mask * amount
        for plane in self.planes:
            plane *= factor

    def detail(self, chosen: NDArray[np.bool_], paint: Callable[[Canvas, NDArray[np.intp]], None]) -> None:
        """Let ``paint(canvas, rows)`` work on the chosen pictures only; what few pictures show then costs little."""
        rows = np.flatnonzero(chosen)
        if not len(rows):
            return
        part = Canvas(self.u[rows], self.v[rows], self.edge[rows], self.planes[:, rows])
        paint(part, rows)
        self.planes[:, rows] = part.planes


def parts(count: int, size: int) -> Iterator[slice]:
    """Rows of a few pictures at a time, such that a plane of them stays in cache."""
    step = max(1, _CHUNK_PIXELS // (size * size))
    for start in range(0, count, step):
        yield slice(start, start + step)


def expose(
    canvas: Canvas, gains: Sequence[Floats | float], grain: Floats, noise: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Colour the light and add noise: uint8 ``[n, h, w, 3]``.

    ``noise`` are uniform bytes ``[n, 3 * h * w]``; ``grain`` says how many grey levels they reach to either side.
    """
    _, count, height, width = canvas.planes.shape
    noise = noise.reshape(count, 3, height, width)
    images = np.empty((count, height, width, 3), np.uint8)
    for channel, (plane, gain) in enumerate(zip(canvas.planes, gains, strict=True)):
        lit = plane * (gain * np.float32(255))
        lit += noise[:, channel] * (grain / np.float32(127.5))
        lit += np.float32(0.5) - grain
        np.clip(lit, 0, 255, out=lit)
        images[..., channel] = lit
    return images


def random_bytes(count: int, each: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Uniform bytes ``[count, each]``; the bytes of a picture do not depend on where a chunk begins."""
    words = rng.integers(0, 1 << 32, (count, (each + 3) // 4), dtype=np.uint32)
    # The explicit byte order makes machines of either endianness agree.
    return words.astype("<u4", copy=False).view(np.uint8)[:, :each]


# -------------------------------------------------------------------------------------------------- shapes


def step(x: Floats) -> Floats:
    """Climbs smoothly from 0 at x = 0 to 1 at x = 1."""
    x = np.clip(x, 0, 1)
    climb: Floats = x * x * (3 - 2 * x)
    return climb


def bump(x: Floats) -> Floats:
    """A round hill: 1 at 0, falling smoothly to 0 at -1 and 1."""
    hill: Floats = np.square(np.maximum(1 - x * x, 0))
    return hill


def ellipse(x: Floats, y: Floats, width: Floats | float, height: Floats | float) -> Floats:
    """Signed distance (about) to an ellipse of these half axes around x = y = 0."""
    radius = np.sqrt(np.square(x / width) + np.square(y / height))
    distance: Floats = (1 - radius) * np.asarray(np.minimum(width, height), np.float32)
    return distance


def box(x: Floats, y: Floats, width: Floats | float, height: Floats | float) -> Floats:
    """Signed distance (about, outside) to a box of these half sides around x = y = 0."""
    distance: Floats = np.minimum(width - np.abs(x), height - np.abs(y))
    return distance


def stroke(x: Floats, y: Floats, run: Floats | float, rise: Floats | float) -> Floats:
    """Distance (0 or more) to the straight line from (0, 0) to (run, rise)."""
    along = np.clip((x * run + y * rise) / (run * run + rise * rise), 0, 1)
    distance: Floats = np.sqrt(np.square(x - along * run) + np.square(y - along * rise))
    return distance


def joined(first: Floats, second: Floats, fillet: float) -> Floats:
    """Both shapes as one, the corner between them rounded inwards."""
    blend = np.maximum(fillet - np.abs(first - second), 0)
    both: Floats = np.maximum(first, second) + blend * blend * (0.25 / fillet)
    return both


def wave(u: Floats, v: Floats, across: float, down: float, phase: Floats | float = 0.0) -> Floats:
    """``cos(across * u + down * v + phase)``, ``[n, h, w]``, at the price of two multiplications."""
    x, y = across * u + phase, down * v
    found: Floats = np.cos(x) * np.cos(y) - np.sin(x) * np.sin(y)
    return found


def mix(first: Colour, second: Colour, share: Floats | float) -> list[Floats | float]:
    """Mix two colours: ``first`` where share is 0, ``second`` where it is 1."""
    return [a + (b - a) * share for a, b in zip(first, second, strict=True)]


def mottle(noise: NDArray[np.uint8], size: int) -> Floats:
    """Random soft patches in -1..1, ``[n, size, size]``, from uniform bytes ``[n, grid * grid]``."""
    grid = int(np.sqrt(noise.shape[1]))
    patches = noise.reshape(len(noise), grid, grid).astype(np.float32) / np.float32(127.5) - 1
    place = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(grid / size) - np.float32(0.5)
    low = np.clip(np.floor(place), 0, grid - 1).astype(np.intp)
    high = np.minimum(low + 1, grid - 1)
    share = np.clip(place - low, 0, 1).astype(np.float32)
    rows = patches[:, low] + (patches[:, high] - patches[:, low]) * share[:, None]
    soft: Floats = rows[:, :, low] + (rows[:, :, high] - rows[:, :, low]) * share
    return soft


def check_size(size: int) -> None:
    """Raises ValueError for a size that pictures cannot have."""
    if not isinstance(size, int | np.integer) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size must be a whole number of pixels, {MIN_SIZE} to {MAX_SIZE}, got {size!r}")


def check_shape(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the argument has that shape."""
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(values.shape)}")
