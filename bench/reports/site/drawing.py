"""Plain SVG: elements, scales and marks. Colours are classes of the style sheet, so that pictures follow the theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SERIES = 8
"""How many colours the style sheet has for series (`s0` to `s7`)."""
SHAPES = 6
DASHES = ("", "5 3", "1.5 2.5", "7 3 1.5 3")


def element(name: str, content: str = "", /, **attributes: str | float | None) -> Markup:
    """An element; `class_` is the attribute class and `font_size` is font-size. Text and attributes are escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{escape(content)}</{name}>")


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))  # all are markup: what is text was escaped by the function that took it


# What pictures are full of is written out: `element` takes several times as long, and a site has a million of them.
# Classes and dashes are ours; text alone comes from elsewhere.


def text(x: float, y: float, content: str, *, class_: str | None = None, anchor: str | None = None) -> Markup:
    about = (f' class="{class_}"' if class_ else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return Markup(f'<text x="{x:.1f}" y="{y:.1f}"{about}>{escape(content)}</text>')


def line(x1: float, y1: float, x2: float, y2: float, class_: str, dash: str | None = None) -> Markup:
    about = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{class_}"{about}></line>')


def rectangle(x: float, y: float, width: float, height: float, class_: str, *, opacity: float | None = None) -> Markup:
    about = f' fill-opacity="{opacity:g}"' if opacity is not None else ""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return Markup(f'<rect x="{x:.1f}" y="{y:.1f}" {size} class="{class_}"{about}></rect>')


def title(content: str) -> Markup:
    """What a pointer that rests on the element around it shows."""
    return Markup(f"<title>{escape(content)}</title>")


def group(parts: Iterable[Markup], class_: str | None = None) -> Markup:
    about = f' class="{class_}"' if class_ else ""
    return Markup(f"<g{about}>{joined(parts)}</g>")


def path(points: Sequence[tuple[float, float]], class_: str, *, dash: str = "", close: bool = False) -> Markup:
    drawn = "M" + "L".join([f"{x:.1f} {y:.1f}" for x, y in points]) + ("Z" if close else "")
    about = f' stroke-dasharray="{dash}"' if dash else ""
    return Markup(f'<path d="{drawn}" class="{class_}"{about}></path>')


def shape(kind: int, x: float, y: float, size: float, class_: str) -> Markup:
    """A mark about (x, y): circle, square, triangle up, diamond, triangle down, cross."""
    s = size
    corners: tuple[tuple[tuple[float, float], ...], ...] = (
        ((-s, -s), (s, -s), (s, s), (-s, s)),
        ((0, -1.2 * s), (1.15 * s, 0.9 * s), (-1.15 * s, 0.9 * s)),
        ((0, -1.3 * s), (1.3 * s, 0), (0, 1.3 * s), (-1.3 * s, 0)),
        ((0, 1.2 * s), (1.15 * s, -0.9 * s), (-1.15 * s, -0.9 * s)),
        ((-s, -0.35 * s), (s, -0.35 * s), (s, 0.35 * s), (-s, 0.35 * s)),
    )
    if kind % SHAPES == 0:
        return Markup(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s:g}" class="{class_}"></circle>')  # most of all elements
    return path([(x + dx, y + dy) for dx, dy in corners[kind % SHAPES - 1]], class_, close=True)


@dataclass(frozen=True)
class Scale:
    """From numbers `low` to `high` to places `start` to `end`, straight or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (at - low) / ((high - low) or 1) * (self.end - self.start)

    def clipped(self, value: float) -> float:
        return self(min(max(value, self.low), self.high))

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers within the scale, two or more where there is room for them."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            wide = math.log10(self.high / self.low) > 2
            for multiples in ((1,),) if wide else ((1, 2, 5), range(1, 10)):
                found = tuple(m * 10.0**d for d in decades for m in multiples if self.low <= m * 10.0**d <= self.high)
                if len(found) > 2 or wide:
                    return found
        room = abs(self.end - self.start)
        step = _round_step((self.high - self.low) / max(min(room / 36, 6), 3))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(i * step for i in range(first, last + 1))


def around(values: Iterable[float], start: float, end: float, *, log: bool = False, pad: float = 0.06) -> Scale:
    """A scale that holds some numbers, with a little room; from 0 to 1 where there are none."""
    found = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not found:
        return Scale(0.1, 1, start, end, log) if log else Scale(0, 1, start, end)
    low, high = min(found), max(found)
    if log:
        stretch = max((high / low) ** pad, 1.1)
        return Scale(low / stretch, high * stretch, start, end, log)
    room = (high - low) * pad or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def tick_text(value: float, *, sign: bool = False) -> str:
    near = round(value, 10)  # ticks are multiples of their step, but for rounding
    return "0" if near == 0 else f"{near:{'+' if sign else ''},.6g}".replace("-", "−")


def svg(name: str, heading: str, description: str, width: float, height: float, parts: Iterable[Markup]) -> Markup:
    """A whole picture with a text alternative; `name` is unique on its page."""
    about = element("title", heading, id=f"{name}-title") + element("desc", description, id=f"{name}-desc")
    return element(
        "svg",
        about + joined(parts),
        class_="plot",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=round(width),
        height=round(height),
    )


def _round_step(rough: float) -> float:
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def _text(value: str | float) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(escape(value))
