"""Soft-edged painting over many pictures at once.

What all painters share stands first: chance, chunks, exposure, shapes, and checks of arguments. `Shot` and `Canvas` are
for figures whose pose only shifts and stretches them (clothes, portraits, shoes); `WindowedCanvas` is for those that
lean and turn (birds, faces).

Coordinates: u grows to the right, v grows downwards, and the frame is about -1..1 in both, whatever its pixels. Shapes
are signed distances (positive inside, in units of the frame) that a canvas's `cover` turns into masks.

Everything is float32; pixels are ``[n, h, w]``, quantities of a whole picture ``[n, 1, 1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODE = (Path(__file__),)
"""What generators name, as that of each painter: the files that pictures come from."""

# Always float32 at run time; numpy's type stubs do not follow the precision through arithmetic.
Floats = NDArray[np.floating[Any]]
# Red, green, blue in 0..1: each one number, or an array that broadcasts to [n, h, w].
Colour = Sequence[Floats | float] | Floats

MIN_SIZE, MAX_SIZE = 16, 256
# Pixels handled at once: a plane of this many float32 stays in a core's cache, which is twice as fast as RAM.
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

    def rgb(self, name: str) -> list[Floats]:
        """The three columns that `colours` makes of a colour."""
        return [self(f"{name}_{channel}") for channel in "rgb"]

    def take(self, rows: NDArray[np.intp] | slice) -> Columns:
        """Some rows."""
        return Columns(self.names, self.table[rows])


def colours(found: Mapping[str, Floats]) -> Columns:
    """Colours by name, each ``[n, 3]``, as `Columns.rgb` gives them."""
    names = tuple(f"{name}_{channel}" for name in found for channel in "rgb")
    return Columns(names, np.concatenate(list(found.values()), 1).astype(np.float32))


def uniform(count: int, columns: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Numbers by chance, float32 ``[count, columns]``, uniform in [-1, 1). Raises ValueError for a negative count."""
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    return rng.random((count, columns), dtype=np.float32) * 2 - 1


def random_bytes(count: int, each: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Uniform bytes ``[count, each]``, much cheaper than normal variates.

    Whole words are drawn for each picture, so that its bytes do not depend on where a chunk begins.
    """
    words = rng.integers(0, 1 << 32, (count, (each + 3) // 4), dtype=np.uint32)
    # The explicit byte order makes machines of either endianness agree.
    return words.astype("<u4", copy=False).view(np.uint8)[:, :each]


def parts(count: int, size: int) -> Iterator[slice]:
    """Rows of a few pictures at a time, such that a plane of them stays in cache."""
    step = max(1, _CHUNK_PIXELS // (size * size))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def pixel_axis(size: int) -> Floats:
    """Where pixels lie in the frame, -1..1, ``[size]``."""
    return (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1


def lay(planes: Iterable[Floats], mask: Floats, colour: Colour) -> None:
    """Lay a colour over red, green and blue where the mask says so."""
    for plane, value in zip(planes, colour, strict=True):
        change = value - plane
        change *= mask
        plane += change


def expose(lit: Iterable[Floats], grain: Floats, noise: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add noise to ``lit`` (red, green and blue in 0..255; changed in place) and quantise: uint8 ``[n, h, w, 3]``.

    ``noise`` are uniform bytes ``[n, 3, h, w]``; ``grain`` says how many grey levels they reach to either side.
    """
    count, _, height, width = noise.shape
    images = np.empty((count, height, width, 3), np.uint8)
    for channel, plane in enumerate(lit):
        plane += noise[:, channel] * (grain / 127.5)
        plane += 0.5 - grain
        np.clip(plane, 0, 255, out=plane)
        images[..., channel] = plane
    return images


# -------------------------------------------------------------------------------------------------- shapes


def step(x: Floats) -> Floats:
    """Climbs smoothly from 0 at x = 0 to 1 at x = 1."""
    x = np.clip(x, 0, 1)
    climb: Floats = x * x * (3 - 2 * x)
    return climb


def bump(x: Floats) -> Floats:
    """A round hill: 1 at 0, falling smoothly to 0 at -1 and 1."""
    hill: Floats = np.maximum(1 - x * x, 0)
    hill *= hill
    return hill


def length(x: Floats, y: Floats) -> Floats:
    """Length of the vector (x, y); several times faster than np.hypot, which guards against overflow."""
    square = x * x + y * y
    return np.sqrt(square, out=square)


def ellipse(x: Floats, y: Floats, width: Floats | float, height: Floats | float) -> Floats:
    """Signed distance (about) to an ellipse of these half axes around x = y = 0."""
    distance: Floats = (1 - length(x / width, y / height)) * np.asarray(np.minimum(width, height), np.float32)
    return distance


def box(x: Floats, y: Floats, width: Floats | float, height: Floats | float) -> Floats:
    """Signed distance (about, outside) to a box of these half sides around x = y = 0."""
    distance: Floats = np.minimum(width - np.abs(x), height - np.abs(y))
    return distance


def stroke(x: Floats, y: Floats, run: Floats | float, rise: Floats | float) -> Floats:
    """Distance (0 or more) to the straight line from (0, 0) to (run, rise)."""
    along = x * run + y * rise
    along /= run * run + rise * rise
    np.clip(along, 0, 1, out=along)
    return length(x - along * run, y - along * rise)


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


# -------------------------------------------------------------------------------------------------- arguments


def check_size(size: int) -> None:
    """Raises ValueError for a size that pictures cannot have."""
    if not isinstance(size, int | np.integer):
        raise ValueError(f"size must be a whole number of pixels, got {size!r}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size must be {MIN_SIZE} to {MAX_SIZE} pixels, got {size}")


def check_table(name: str, values: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Raises ValueError unless the argument has that shape and type."""
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(values.shape)}")
    if values.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype)}, got {values.dtype}")


def check_uniform(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raises ValueError unless the argument has that shape and is as from `uniform`."""
    check_table(name, values, shape, np.float32)
    if not bool(np.all(np.abs(values) <= 1)):  # written so that NaN fails too
        raise ValueError(f"{name} must lie in [-1, 1]")


def check_places(name: str, values: NDArray[Any], known: int) -> None:
    """Raises ValueError unless all values are from 0 to ``known`` - 1."""
    if len(values) and not (values.min() >= 0 and values.max() < known):
        raise ValueError(f"{name} must be 0 to {known - 1}, got {values.min()} to {values.max()}")


# -------------------------------------------------------------------------------------------------- canvases


Window = tuple[slice, slice, slice]
"""Pictures, rows and columns of pixels."""


@dataclass
class WindowedCanvas:
    """Pictures being painted in windows of the frame, which saves time where parts are small.

    Masks have compact support, so that windows leave no seams.

    Attributes:
        u, v: place of each pixel, each in a shape that broadcasts to ``[n, h, w]``.
        sharpness: ``[n, 1, 1]``, 1 / width of a soft edge.
        planes: red, green, blue in 0..1, each ``[n, h, w]``.
    """

    u: Floats
    v: Floats
    sharpness: Floats
    planes: Sequence[Floats]

    def cover(self, distance: Floats, rows: NDArray[np.intp] | None = None) -> Floats:
        """Turn a signed distance (positive inside) into a soft mask 0..1, in place; of some pictures only, if given."""
        distance *= self.sharpness if rows is None else self.sharpness[rows]
        distance += 0.5
        return np.clip(distance, 0, 1, out=distance)

    def paint(self, window: Window, mask: Floats, colour: Colour) -> None:
        """Lay a colour over the pictures where the mask says so."""
        lay([plane[window] for plane in self.planes], mask, colour)


@dataclass(frozen=True)
class Shot:
    """What chance does to some upright figures.

    Attributes:
        rows: which of all pictures these are.
        size: height and width in pixels.
        nuisance: uniform in -1..1; used here are shift_x, shift_y, scale, softness, brightness, cast, light_x, noise.
        fuzz: random soft patches ``[n, size, size]`` in -1..1.
        noise: uniform bytes ``[n, 3, size, size]``.
    """

    rows: slice
    size: int
    nuisance: Columns
    fuzz: Floats
    noise: NDArray[np.uint8]

    def canvas(
        self,
        *,
        shift: tuple[float, float],
        scale: tuple[float, float],
        softness: float,
        stretch: Floats | float = 1.0,
    ) -> Canvas:
        """A white canvas.

        ``shift`` is how far figures stand aside, in u and v, at most; ``scale`` how large they are shown, on average
        and at most more or less; ``stretch`` above 1 shows them taller; ``softness`` how soft edges are on average.
        """
        nuisance, axis = self.nuisance, pixel_axis(self.size)
        width = nuisance.around(scale[0], "scale", scale[1])
        u = (axis[None, None, :] - nuisance.around(0.0, "shift_x", shift[0])) / width
        v = (axis[None, :, None] - nuisance.around(0.0, "shift_y", shift[1])) / (width * stretch)
        edge = 2 / self.size / width + nuisance.around(softness, "softness", softness)
        return Canvas(u, v, edge, np.ones((3, len(u), self.size, self.size), np.float32))

    def expose(
        self, canvas: Canvas, *, light: tuple[float, float], cast: float, grain: tuple[float, float], slope: float = 0.0
    ) -> NDArray[np.uint8]:
        """The pictures, uint8 ``[n, size, size, 3]``.

        ``light`` and ``grain`` are given on average and at most more or less. ``cast`` is how much warmer or colder the
        light is at most, and ``slope`` how much it changes from the middle to the sides (of ``light_x``).
        """
        nuisance = self.nuisance
        level = nuisance.around(light[0], "brightness", light[1])
        if slope:
            level = level + nuisance.around(0.0, "light_x", slope) * canvas.u
        warm = nuisance.around(0.0, "cast", cast)
        lit = (
            plane * (gain * 255) for plane, gain in zip(canvas.planes, (level + warm, level, level - warm), strict=True)
        )
        return expose(lit, nuisance.around(grain[0], "noise", grain[1]), self.noise)


def shots(
    count: int, size: int, nuisances: tuple[str, ...], fuzz_grid: int, rng: np.random.Generator
) -> Iterator[Shot]:
    """A few pictures at a time; `fuzz_grid` says how many random patches there are along a side."""
    table, pixels = uniform(count, len(nuisances), rng), 3 * size * size
    for rows in parts(count, size):
        nuisance = Columns(nuisances, table[rows])
        noise = random_bytes(len(nuisance.table), pixels + fuzz_grid**2, rng)
        fuzz = mottle(noise[:, pixels:], size)
        yield Shot(rows, size, nuisance, fuzz, noise[:, :pixels].reshape(-1, 3, size, size))


@dataclass(frozen=True)
class Canvas:
    """Pictures being painted, whose pose only shifts and stretches them.

    Attributes:
        u, v: ``[n, 1, w]`` and ``[n, h, 1]``, place of each column and row of pixels: what depends on one of them
            alone costs nothing.
        edge: ``[n, 1, 1]``, width of a soft edge.
        planes: ``[3, n, h, w]``, red, green and blue in 0..1.
    """

    u: Floats
    v: Floats
    edge: Floats
    planes: Floats

    def cover(self, distance: Floats) -> Floats:
        """A soft mask 0..1 of what lies inside."""
        mask = distance / self.edge
        mask += 0.5
        return np.clip(mask, 0, 1, out=mask)

    def paint(self, mask: Floats, colour: Colour) -> None:
        """Lay ``colour`` over the pictures where ``mask`` says so."""
        lay(self.planes, mask, colour)

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
