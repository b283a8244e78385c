"""The pictures of the site, each with its data as a table and a text alternative."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.analysis.curves import Curve, GainLine, Measured, ScoreLine
from bench.analysis.pareto import pareto_front
from bench.analysis.ranking import Ranking
from bench.analysis.standings import Standings
from bench.analysis.transfer import Transfer, Verdict
from bench.reports.ranking import ranking_records
from bench.reports.site.drawing import (
    DASHES,
    SERIES,
    Scale,
    around,
    element,
    group,
    joined,
    line,
    path,
    rectangle,
    shape,
    svg,
    text,
    tick_text,
    title,
)
from bench.reports.site.placing import placed
from bench.reports.table import MARKS, Table, number
from bench.runs.records import Record
from bench.specs.run import RunRelatedness, RunTask

SHAPE_OF = {"harm": 4, "benefit": 2, "equivalent": 5, "inconclusive": 0}
"""Triangle down, triangle up, bar, circle: as the marks in the tables."""
MOST_CLASSES = 30
MOST_LABELS = 60
MOST_RANKS = 24
MOST_RANKED = 60
MOST_NAMED = 60
"""Of more points than these only those are named that have room beside them."""
LETTER = 6.3
"""At most so wide, in pixels, is a letter of a label on average; bold ones are wider by a tenth."""
ROW = 18
PAGE = 1216.0
"""The room for a picture on a screen that is 1280 wide."""
EXTREME = 10
"""An interval more than so many times as wide as the median of its panel does not widen the axis."""


@dataclass(frozen=True)
class Figure:
    """A picture, what it says in words, and the numbers it is drawn from; `name` is unique in a suite's folder."""

    name: str
    heading: str
    caption: str
    svg: Markup
    data: Table
    legend: Markup | None = None


# ---- verdicts ----


def forest(report: Transfer) -> Figure | None:
    """Differences with intervals: a row a method and backbone, a panel a task; the margin is shaded."""
    judged = [v for v in report.verdicts if v.seeds]
    if not judged:
        return None
    columns = tuple(dict.fromkeys((v.cell.dataset, v.cell.task, v.metric) for v in judged))
    rows = tuple(dict.fromkeys((v.cell.backbone, v.cell.method) for v in judged))
    left, gap, top = 190.0, 40.0, 44.0
    panel = min(max((PAGE - left) / len(columns) - gap, 158), 420)
    backbones = tuple(dict.fromkeys(backbone for backbone, _ in rows))
    places: dict[tuple[str, str], float] = {}
    parts: list[Markup] = []
    y = top
    for backbone in backbones:
        parts.append(text(0, y + 13, backbone, class_="strong"))
        y += ROW + 2
        for row in rows:
            if row[0] == backbone:
                places[row] = y
                parts.append(text(12, y + 13, row[1]))
                y += ROW
        y += 8
    for i, (dataset, task, metric) in enumerate(columns):
        x = left + i * (panel + gap)
        mine = [v for v in judged if (v.cell.dataset, v.cell.task, v.metric) == (dataset, task, metric)]
        heading = _short(f"{dataset}/{task}", int((panel + gap) / 8))
        parts += [text(x, 12, heading, class_="strong"), text(x, 26, metric, class_="soft")]
        parts += _forest_panel(mine, places, x, panel, top, y)
    counts = Counter[str](v.outcome for v in judged)
    said = ", ".join(f"{counts[word]} {word}" for word in MARKS)
    caption = (
        "Joint minus single-task twin, mean over seeds; right of the line is better. Each interval is of its cell "
        f"alone, at 95 %, but verdicts are adjusted over the {report.family} cells of the suite (Holm): an interval "
        "may leave out 0 while the verdict is inconclusive. Shaded: the declared margin. An arrow stands where an "
        f"interval, more than {EXTREME} times as wide as is usual in its panel, goes on beyond it."
    )
    heading = f"Differences to the single-task twins: {report.suite}"
    drawn = svg("forest", heading, f"{len(judged)} cells: {said}.", left + len(columns) * (panel + gap), y + 26, parts)
    return Figure("forest", "Differences to the single-task twins", caption, drawn, _forest_data(report), _key())


def _forest_panel(
    verdicts: Sequence[Verdict], places: Mapping[tuple[str, str], float], x: float, width: float, top: float, low: float
) -> list[Markup]:
    margins = [v.margin for v in verdicts if v.margin is not None]
    measured = [v for v in verdicts if math.isfinite(v.low)]
    usual = max([median_low([v.high - v.low for v in measured]) if measured else 0.0, *margins])
    ends = [end for v in measured if v.high - v.low <= EXTREME * usual for end in (v.low, v.high)]
    scale = around([0.0, *ends, *(v.difference for v in verdicts), *margins, *(-m for m in margins)], x, x + width)
    parts = []
    if margins:
        parts.append(rectangle(scale(-margins[0]), top, scale(margins[0]) - scale(-margins[0]), low - top, "margin"))
    for tick in scale.ticks:
        parts.append(line(scale(tick), top, scale(tick), low, "grid" if abs(tick) > 1e-12 else "zero"))
        parts.append(text(scale(tick), low + 14, tick_text(tick, sign=True), class_="tick", anchor="middle"))
    for v in verdicts:
        y = places[v.cell.backbone, v.cell.method] + ROW / 2
        marks: list[Markup] = [title(f"{v.cell}: {_difference(v)}, {v.outcome}")]
        if math.isfinite(v.low):
            marks.append(line(scale.clipped(v.low), y, scale.clipped(v.high), y, "interval"))
            marks += [
                path([(scale(at) - d * 4, y - 3), (scale(at), y), (scale(at) - d * 4, y + 3)], "interval open")
                for at, d, beyond in ((scale.low, -1, v.low < scale.low), (scale.high, 1, v.high > scale.high))
                if beyond
            ]
        marks.append(shape(SHAPE_OF[v.outcome], scale.clipped(v.difference), y, 3.4, "mark"))
        parts.append(group(marks, f"v-{v.outcome}"))
    return parts


def _forest_data(report: Transfer) -> Table:
    headers = (
        "dataset", "task", "metric", "backbone", "method", "difference", "low", "high", "margin", "p_holm", "seeds",
        "verdict",
    )  # fmt: skip
    rows = tuple(
        (
            v.cell.dataset,
            v.cell.task,
            v.metric,
            v.cell.backbone,
            v.cell.method,
            *map(_plain, (v.difference, v.low, v.high, v.margin, v.p)),
            str(len(v.seeds)),
            v.outcome if v.seeds else "",
        )
        for v in report.verdicts
    )
    return Table("differences", headers, rows)


def verdict_bar(name: str, counts: Mapping[str, int]) -> Markup:
    """A slim bar of four parts; the numbers stand beside it in the page."""
    total = sum(counts.values()) or 1
    x, parts = 0.0, []
    for word in MARKS:
        width = 240 * counts.get(word, 0) / total
        if width:
            parts.append(group([rectangle(x, 0, max(width - 1.5, 1), 10, "mark")], f"v-{word}"))
        x += width
    return svg(name, "Verdicts", ", ".join(f"{counts.get(word, 0)} {word}" for word in MARKS), 240, 10, parts)


def _key() -> Markup:
    """What the marks stand for."""
    items = []
    for word, kind in SHAPE_OF.items():
        mark = element(
            "svg", shape(kind, 7, 7, 4, "mark"), viewBox="0 0 14 14", width=14, height=14, aria_hidden="true"
        )
        items.append(element("span", mark + " " + word, class_=f"key v-{word}"))
    return joined(items)


# ---- leaderboard ----


def cost_quality(board: Standings) -> Figure | None:
    """Minutes of one seed against the average score, with the front of what nothing beats on both."""
    shown = [row for row in board.rows if row.average is not None and row.cost is not None and row.cost.minutes > 0]
    points = [(row.cost.minutes, row.average) for row in shown if row.cost is not None and row.average is not None]
    if len(points) < 2:
        return None
    front = pareto_front(points)
    width, height, left, top = 940.0, 440.0, 50.0, 18.0
    right, low = width - 110, height - 40
    x = around([cost for cost, _ in points], left, right, log=True, pad=0.08)
    y = around([quality for _, quality in points], low - 16, top)
    marks = [(x(cost), y(quality)) for cost, quality in points]
    parts = _frame(x, y, left, right, top, low, "minutes for one seed (log)", "average score")
    steps: list[tuple[float, float]] = []
    for i in front:
        if steps:
            steps.append((marks[i][0], steps[-1][1]))
        steps.append(marks[i])
    steps.append((right, steps[-1][1]))
    parts.append(path(steps, "front"))
    order = sorted(range(len(shown)), key=lambda i: (i not in front, -points[i][1]))
    taken = [(a - 5, b - 5, a + 5, b + 5) for a, b in marks]
    taken += [(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1) for (a, b), (c, d) in pairwise(steps)]
    labels = placed(
        [marks[i] for i in order],
        [LETTER * (1.1 if i in front else 1) * len(shown[i].method) for i in order],
        taken,
        (left, top - 4, width, low - 2),
        farther=len(shown) <= MOST_NAMED,
    )
    for i, label in zip(order, labels, strict=True):
        if label is not None and label.leader is not None:
            parts.append(line(*marks[i], *label.leader, "leader"))
    backbones = list(dict.fromkeys(row.backbone for row in shown))
    for i, row in enumerate(shown):
        place = backbones.index(row.backbone)
        known = f"{row.method}, {row.backbone}: {number(points[i][1])}, {number(points[i][0], 2)} min"
        parts.append(group([title(known), shape(place, *marks[i], 4.5, f"mark s{place % SERIES}")]))
    for i, label in zip(order, labels, strict=True):
        if label is not None:
            class_ = "label strong" if i in front else "label"
            parts.append(text(label.x, label.y, shown[i].method, class_=class_, anchor=label.anchor))
    best = ", ".join(f"{shown[i].method} with {shown[i].backbone} ({number(points[i][1])})" for i in front)
    headers = ("backbone", "method", "minutes", "images", "average", "on_front")
    rows = tuple(
        (
            row.backbone,
            row.method,
            repr(points[i][0]),
            repr(row.cost.images if row.cost else 0.0),
            repr(points[i][1]),
            str(i in front).lower(),
        )
        for i, row in enumerate(shown)
    )
    legend = _legend([(name, f"s{i % SERIES}", i, None) for i, name in enumerate(backbones)])
    nameless = labels.count(None)
    caption = (
        "Up and left is better. The line joins what no other row beats on both; the names of these rows are bold. "
        "Minutes are of this machine, over all runs that make up one seed of a row."
        + (f" There is no room for {nameless} of {len(shown)} names; they are in the CSV." if nameless else "")
    )
    drawn = svg("cost", f"Cost against quality: {board.suite}", f"On the front: {best}.", width, height, parts)
    return Figure("cost", "Cost against quality", caption, drawn, Table("cost", headers, rows), legend)


def rank_map(report: Ranking) -> Figure | None:
    """How probable each rank of each row is: the darker, the more; percentages from 1 on."""
    if len(report.rows) < 2:
        return None
    ranks = min(len(report.rows), MOST_RANKS)
    cell, left, top = 32.0, 250.0, 30.0
    parts = [text(left, 10, "rank", class_="soft")]
    parts += [text(left + cell * (r + 0.5), top - 6, str(r + 1), class_="tick", anchor="middle") for r in range(ranks)]
    shown = report.rows[:MOST_RANKED]
    for i, row in enumerate(shown):
        y = top + ROW * i
        if i % 2:
            parts.append(rectangle(left, y, cell * ranks, ROW, "stripe"))
        parts.append(text(0, y + 13, _short(f"{row.method}, {row.backbone}", 38)))
        for r in range(ranks):
            chance = row.probabilities[r]
            x = left + cell * r
            if chance >= 0.005:
                parts.append(rectangle(x, y, cell - 1, ROW - 1, "heat", opacity=round(0.04 + 0.6 * chance, 2)))
                parts.append(text(x + cell / 2, y + 13, f"{chance:.0%}", class_="count small", anchor="middle"))
    first = max(report.rows, key=lambda row: row.probabilities[0])
    said = (
        f"{len(report.rows)} rows; first is most probably {first.method} with {first.backbone} "
        f"({first.probabilities[0]:.0%})."
    )
    cut = [f"rows beyond {MOST_RANKED}"] if len(report.rows) > MOST_RANKED else []
    cut += [f"ranks beyond {MOST_RANKS}"] if len(report.rows) > MOST_RANKS else []
    caption = (
        f"How often each row takes each rank when the {report.seeds} seeds are resampled, all rows alike. With few "
        "seeds ranks look surer than they are; the verdicts say what is shown."
        + (f" Not drawn, but in the CSV: {' and '.join(cut)}." if cut else "")
    )
    size = (left + cell * ranks + 10, top + ROW * len(shown) + 6)
    drawn = svg("ranks", f"How sure the ranks are: {report.suite}", said, *size, parts)
    return Figure("ranks", "How sure the ranks are", caption, drawn, ranking_records(report))


# ---- lines ----


@dataclass(frozen=True)
class Series:
    """A line: points (x, mean, low, high); a gap where the mean is None."""

    label: str
    place: int
    points: tuple[tuple[float, float | None, float | None, float | None], ...]


@dataclass(frozen=True)
class Panel:
    heading: str
    under: str
    series: tuple[Series, ...]
    log: bool = False
    ticks: tuple[float, ...] = ()
    zero: bool = False
    subheading: str = ""


def along(curve: Curve) -> Figure:
    """Δm, then the score of each task, along an axis of the suite; a row of panels a backbone."""
    under = "overlap" if curve.axis == "overlap" else f"share of labels of {curve.axis}"
    log = curve.axis != "overlap"
    place = {method: i for i, method in enumerate(curve.methods)}
    panels = []
    for backbone in dict.fromkeys(one.backbone for one in curve.scores):
        gains = [one for one in curve.gains if one.backbone == backbone]
        lines = tuple(Series(one.method, place[one.method], _points(one)) for one in gains)
        panels.append(Panel("Δm %", under, lines, log, curve.values, zero=True, subheading=backbone))
        scores: dict[tuple[str, str, str], list[ScoreLine]] = {}
        for score in curve.scores:
            if score.backbone == backbone:
                scores.setdefault((score.dataset, score.task, score.metric), []).append(score)
        for (dataset, task, metric), mine in scores.items():
            lines = tuple(Series(one.method, place[one.method], _points(one)) for one in mine)
            about = f"{backbone}, {metric}"
            panels.append(Panel(f"{dataset}/{task}", under, lines, log, curve.values, subheading=about))
    shown = [method for method in curve.methods if any(one.method == method for one in curve.scores)]
    legend = _legend([(m, f"s{place[m] % SERIES}", place[m], DASHES[place[m] % len(DASHES)]) for m in shown])
    name = f"along-{curve.axis.replace('/', '.')}"
    said = "; ".join(
        f"{one.method} with {one.backbone} "
        + ", ".join(f"{number(point.mean, 1, sign=True)} at {point.value:g}" for point in one.points)
        for one in curve.gains
    )
    drawn, _ = _panels(name, f"{curve.suite} along {curve.axis}", f"Δm in percent: {said}.", panels, marks=True)
    caption = (
        "Δm: mean relative change against the single-task twins, which see the same labels; positive: learning "
        "together helps. Bands are 95 % intervals over seeds; a gap is a missing result."
    )
    from bench.reports.curve import curve_records

    return Figure(name, f"Along {curve.axis}", caption, drawn, curve_records(curve), legend)


def training(name: str, records: Mapping[int, Record], task: str) -> Figure | None:
    """Losses that concern a task, and the validation score, by step; a line a seed."""
    series: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for seed, record in records.items():
        for point in record.curve:
            for term, value in point.get("losses", {}).items():
                if term.partition(".")[2] in ("", task):
                    series.setdefault(f"loss: {term}", {}).setdefault(seed, []).append((point["step"], value))
            if point.get("validation") is not None:
                series.setdefault("validation score", {}).setdefault(seed, []).append(
                    (point["step"], point["validation"])
                )
    if not series:
        return None
    order = sorted(series, key=lambda term: (term == "validation score", term))
    seeds = list(records)
    panels = [
        Panel(
            term,
            "step",
            tuple(
                Series(f"seed {seed}", seeds.index(seed), tuple((x, y, None, None) for x, y in sorted(points)))
                for seed, points in series[term].items()
            ),
        )
        for term in order
    ]
    rows = tuple(
        (term, str(seed), f"{step:g}", repr(float(value)))
        for term in order
        for seed, points in series[term].items()
        for step, value in sorted(points)
    )
    legend = _legend(
        [(f"seed {seed}", f"s{i % SERIES}", None, DASHES[i % len(DASHES)]) for i, seed in enumerate(seeds)]
    )
    said = f"{len(order)} panels: {', '.join(order)}; a line for each of {len(seeds)} seeds."
    drawn, _ = _panels(name, "Training", said, panels, marks=False)
    caption = (
        f"Loss terms of this task, and the score that the model was selected by; seeds {', '.join(map(str, seeds))}."
    )
    return Figure(name, "Training", caption, drawn, Table("training", ("what", "seed", "step", "value"), rows), legend)


def _points(one: GainLine | ScoreLine) -> tuple[tuple[float, float | None, float | None, float | None], ...]:
    def of(point: Measured) -> tuple[float, float | None, float | None, float | None]:
        return (point.value, point.mean, point.low, point.high)

    return tuple(map(of, one.points))


def _panels(
    name: str, heading: str, description: str, panels: Sequence[Panel], *, marks: bool
) -> tuple[Markup, tuple[float, float]]:
    """Panels side by side, three in a row."""
    across = min(len(panels), 3)
    width, height, left = 330.0, 220.0, 44.0
    parts = []
    for i, panel in enumerate(panels):
        x0, y0 = (i % across) * width, (i // across) * height
        top = y0 + (40 if panel.subheading else 26)
        values = [v for s in panel.series for point in s.points for v in point[1:2] if v is not None]
        reach = [v for s in panel.series for point in s.points for v in point[2:] if v is not None]
        spread = (max(values) - min(values)) if values else 0.0
        near = [v for v in reach if values and min(values) - spread <= v <= max(values) + spread]
        x = around([p[0] for s in panel.series for p in s.points], x0 + left, x0 + width - 18, log=panel.log, pad=0.03)
        y = around([*values, *near, *([0.0] if panel.zero else [])], y0 + height - 46, top)
        parts.append(text(x0 + left, y0 + 14, _short(panel.heading, 40), class_="strong"))
        if panel.subheading:
            parts.append(text(x0 + left, y0 + 28, _short(panel.subheading, 44), class_="soft"))
        parts += _frame(x, y, x0 + left, x0 + width - 18, top, y0 + height - 46, panel.under, "", panel.ticks)
        if panel.zero:
            parts.append(line(x.start, y(0), x.end, y(0), "zero"))
        for series in panel.series:
            parts.append(_drawn(series, x, y, marks=marks))
    size = (across * width, -(-len(panels) // across) * height)
    return svg(name, heading, description, *size, parts), size


def _drawn(series: Series, x: Scale, y: Scale, *, marks: bool) -> Markup:
    """A series with its band, broken where a mean is missing."""
    colour, dash = f"s{series.place % SERIES}", DASHES[series.place % len(DASHES)]
    parts: list[Markup] = [title(series.label)]
    stretch: list[tuple[float, float, float | None, float | None]] = []
    stretches = [stretch]
    for at, mean, low, high in series.points:
        if mean is None:
            stretch = []
            stretches.append(stretch)
        else:
            stretch.append((at, mean, low, high))
    for points in stretches:
        band = [(x(a), y.clipped(h), y.clipped(w)) for a, _, w, h in points if w is not None and h is not None]
        if len(band) > 1:
            edge = [(a, h) for a, h, _ in band] + [(a, w) for a, _, w in reversed(band)]
            parts.append(path(edge, f"band {colour}", close=True))
        if len(points) > 1:
            parts.append(path([(x(a), y(m)) for a, m, _, _ in points], f"line {colour}", dash=dash))
        if marks:
            parts += [shape(series.place, x(a), y(m), 3.2, f"mark {colour}") for a, m, _, _ in points]
    return group(parts)


def _frame(
    x: Scale, y: Scale, left: float, right: float, top: float, low: float, under: str, beside: str,
    ticks: tuple[float, ...] = (),
) -> list[Markup]:  # fmt: skip
    """Grid, ticks and names of two axes."""
    parts = []
    for tick in y.ticks:
        parts += [line(left, y(tick), right, y(tick), "grid")]
        parts += [text(left - 6, y(tick) + 4, tick_text(tick), class_="tick", anchor="end")]
    for tick in ticks or x.ticks:
        parts += [line(x(tick), low, x(tick), low + 4, "axis")]
        parts += [text(x(tick), low + 16, tick_text(tick), class_="tick", anchor="middle")]
    parts += [line(left, low, right, low, "axis")]
    parts += [text((left + right) / 2, low + 32, under, class_="soft", anchor="middle")]
    if beside:
        parts += [text(left + 4, top - 6, beside, class_="soft")]
    return parts


def _legend(items: Sequence[tuple[str, str, int | None, str | None]]) -> Markup:
    """Names beside a sample of line and mark: (name, class, shape or None, dashes or None)."""
    found = []
    for label, colour, kind, dash in items:
        sample = [line(0, 7, 24, 7, f"line {colour}", dash or None)] if dash is not None else []
        sample += [shape(kind, 12, 7, 4, f"mark {colour}")] if kind is not None else []
        mark = element("svg", joined(sample), viewBox="0 0 24 14", width=24, height=14, aria_hidden="true")
        found.append(element("span", mark + " " + label, class_="key"))
    return joined(found)


# ---- one cell ----


def by_seed(
    name: str, joint: Mapping[int, float], single: Mapping[int, float], metric: str, *, higher: bool
) -> Figure | None:
    """A dumbbell for each seed: the twin, the joint model, and the line between them."""
    seeds = sorted(joint.keys() | single.keys())
    if not seeds:
        return None
    left, width, top = 64.0, 560.0, 10.0
    low = top + ROW * len(seeds) + 4
    scale = around([*joint.values(), *single.values()], left, width - 20)
    parts = []
    for tick in scale.ticks:
        parts += [line(scale(tick), top, scale(tick), low, "grid")]
        parts += [text(scale(tick), low + 14, tick_text(tick), class_="tick", anchor="middle")]
    parts.append(text((left + width - 20) / 2, low + 30, metric, class_="soft", anchor="middle"))
    for i, seed in enumerate(seeds):
        y = top + ROW * (i + 0.5)
        parts.append(text(0, y + 4, f"seed {seed}"))
        one, other = joint.get(seed), single.get(seed)
        if one is not None and other is not None:
            gain = one - other if higher else other - one
            kind = "v-benefit" if gain > 0 else "v-harm" if gain < 0 else "v-equivalent"
            parts.append(group([line(scale(other), y, scale(one), y, "interval wide")], kind))
        if other is not None:
            parts.append(group([title(f"twin {other:.4f}"), shape(0, scale(other), y, 4, "mark hollow s0")]))
        if one is not None:
            parts.append(group([title(f"joint {one:.4f}"), shape(0, scale(one), y, 4, "mark s1")]))
    rows = tuple((str(seed), _plain(joint.get(seed)), _plain(single.get(seed))) for seed in seeds)
    said = "; ".join(f"seed {s}: {number(single.get(s))} alone, {number(joint.get(s))} together" for s in seeds)
    drawn = svg(name, "Scores by seed", f"{said}.", width, low + 36, parts)
    table = Table("seeds", ("seed", f"joint {metric}", f"single {metric}"), rows)
    legend = joined([_dot("single-task twin", "mark hollow s0"), _dot("this method", "mark s1")])
    return Figure(name, "Scores by seed", "Each line joins the two models of one seed.", drawn, table, legend)


_OF_A_LABEL = {"macro_f1": "F1", "mean_f1": "F1", "mean_accuracy": "accuracy", "mean_class_accuracy": "recall"}
"""What a mean over labels is the mean of, by metric."""


def per_label(
    name: str, joint: Mapping[int, Record], single: Mapping[int, Record], dataset: str, task: RunTask
) -> Figure | None:
    """The primary metric of each label: a dot a seed, the twin's hollow."""
    found = [
        {seed: score.per_label for seed, r in records.items() if (score := r.score(dataset, task.name, task.primary))}
        for records in (joint, single)
    ]
    labels = [label for label in task.labels if any(_known(by, label) for by in found)]
    if not labels:
        return None
    shown = labels[:MOST_LABELS]
    left, width, top = 170.0, 580.0, 10.0
    low = top + ROW * len(shown) + 4
    values = [v for by in found for label in shown for v in _known(by, label)]
    scale = around([*values, 0.0], left, width - 20, pad=0.03)
    parts = []
    for tick in scale.ticks:
        parts += [line(scale(tick), top, scale(tick), low, "grid")]
        parts += [text(scale(tick), low + 14, tick_text(tick), class_="tick", anchor="middle")]
    measure = _OF_A_LABEL.get(task.primary, task.primary)
    parts.append(text((left + width - 20) / 2, low + 30, f"{measure} of each label", class_="soft", anchor="middle"))
    for i, label in enumerate(shown):
        y = top + ROW * i
        if i % 2:
            parts.append(rectangle(left, y, width - 20 - left, ROW, "stripe"))
        parts.append(text(left - 10, y + 13, _short(label, 26), anchor="end"))
        for by, offset, class_ in ((found[1], 6.0, "mark hollow s0"), (found[0], 12.0, "mark s1")):
            parts += [shape(0, scale(value), y + offset, 2.8, class_) for value in _known(by, label)]
    rows = tuple(
        (label, who, str(seed), _plain(values.get(label)))
        for label in labels
        for who, by in (("joint", found[0]), ("single", found[1]))
        for seed, values in by.items()
        if values.get(label) is not None
    )
    more = f" The first {len(shown)} of {len(labels)} labels; the CSV has all." if len(labels) > len(shown) else ""
    said = f"{len(shown)} labels, from {number(min(values))} to {number(max(values))}."
    drawn = svg(name, f"{measure} by label", said, width, low + 36, parts)
    legend = joined([_dot("single-task twin", "mark hollow s0"), _dot("this method", "mark s1")])
    table = Table("labels", ("label", "model", "seed", measure), rows)
    return Figure(
        name,
        f"{measure} by label".capitalize(),
        f"A dot is a seed, the first {len(found[0] or found[1])}.{more}",
        drawn,
        table,
        legend,
    )


def confusion_matrix(name: str, counts: NDArray[np.int64], labels: Sequence[str], seed: int) -> Figure | None:
    """Images by true and predicted class; the darker, the larger its part of the true class."""
    classes = len(labels)
    if classes > MOST_CLASSES or not counts.sum():
        return None
    cell, left, top = (38.0 if classes <= 12 else 24.0), 130.0, 96.0
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    parts = [text(left, 12, "predicted", class_="soft"), text(0, top - 8, "true", class_="soft")]
    for i, label in enumerate(labels):
        x, y = left + cell * (i + 0.5), top + cell * (i + 0.5)
        parts.append(text(left - 8, y + 4, _short(label, 18), anchor="end"))
        turned = element("text", _short(label, 14), transform=f"translate({x + 4:.0f} {top - 8:.0f}) rotate(-55)")
        parts.append(turned)
        for j in range(classes):
            place = (left + cell * j, top + cell * i)
            parts.append(
                rectangle(*place, cell - 1, cell - 1, "heat", opacity=round(0.04 + 0.6 * float(share[i, j]), 2))
            )
            if counts[i, j]:
                class_ = "count strong" if i == j else "count"
                where = (place[0] + cell / 2 - 0.5, place[1] + cell / 2 + 4)
                parts.append(text(*where, str(counts[i, j]), class_=class_, anchor="middle"))
    rows = tuple((labels[i], labels[j], str(counts[i, j])) for i in range(classes) for j in range(classes))
    right = int(np.trace(counts))
    drawn = svg(
        name,
        f"Confusion matrix, seed {seed}",
        f"{right} of {int(counts.sum())} test images are right.",
        left + classes * cell + 40,
        top + classes * cell + 6,
        parts,
    )
    caption = f"Test images by true (rows) and predicted class (columns), seed {seed}; shade: part of the row."
    return Figure(name, "Confusion matrix", caption, drawn, Table("confusion", ("true", "predicted", "images"), rows))


# ---- data ----


def relatedness_map(relation: RunRelatedness, first: Sequence[str], second_task: str, *, standin: bool) -> Figure:
    """p(second | first) as a heat map; of two attribute tasks the difference that the first makes."""
    given = np.array(relation.matrix, dtype=float)
    signed = relation.absent is not None
    matrix = given - np.array(relation.absent, dtype=float) if signed else given
    told = [i for i in range(len(first)) if not np.isnan(matrix[i]).all()][:MOST_LABELS]
    columns = list(relation.covered)[:MOST_LABELS]
    cell, left = (30.0 if len(columns) <= 24 else 18.0), 140.0
    top = 20.0 + 5.4 * max(len(_short(label, 16)) for label in columns)
    parts = []
    for j, label in enumerate(columns):
        where = f"translate({left + cell * (j + 0.5) + 4:.0f} {top - 8:.0f}) rotate(-55)"
        parts.append(element("text", _short(label, 16), transform=where))
    for row, i in enumerate(told):
        y = top + cell * row
        parts.append(text(left - 8, y + cell / 2 + 4, _short(first[i], 20), anchor="end"))
        for j in range(len(columns)):
            value = float(matrix[i, j])
            if math.isnan(value):
                continue
            class_ = "heat" if value >= 0 else "heat cold"
            opacity = round(0.04 + 0.6 * abs(value), 2)
            parts.append(rectangle(left + cell * j, y, cell - 1, cell - 1, class_, opacity=opacity))
            if cell > 20 and abs(value) >= 0.005:
                where2 = (left + cell * (j + 0.5) - 0.5, y + cell / 2 + 3)
                written = f"{value:.2f}".replace("0.", ".").replace("-", "−")
                parts.append(text(*where2, written, class_="count small", anchor="middle"))
    rows = tuple(
        (first[i], relation.covered[j], _plain(float(given[i, j])), _plain(float(matrix[i, j])) if signed else "")
        for i in range(len(first))
        for j in range(len(relation.covered))
    )
    name = f"relatedness-{relation.name}"
    what = f"p({second_task} | {relation.first_task})"
    heading = f"{relation.name}: {what}{', present minus absent' if signed else ''}{' (stand-in)' if standin else ''}"
    cut = len(told) < len(first) or len(columns) < len(relation.covered)
    caption = "As methods are told it; darker is more probable." + (" Cut down; the CSV has all." if cut else "")
    said = f"{len(told)} labels of {relation.first_task} by {len(columns)} of {second_task}."
    size = (left + cell * len(columns) + 50, top + cell * len(told) + 6)
    drawn = svg(name, heading, said, *size, parts)
    headers = (relation.first_task, second_task, "p", "difference")
    return Figure(name, heading, caption, drawn, Table(heading, headers, rows))


def _dot(label: str, class_: str) -> Markup:
    mark = element("svg", shape(0, 7, 7, 4, class_), viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")
    return element("span", mark + " " + label, class_="key")


def _known(by: Mapping[int, Mapping[str, float | None]], label: str) -> list[float]:
    return [value for values in by.values() if (value := values.get(label)) is not None]


def _difference(v: Verdict) -> str:
    interval = f" [{number(v.low, sign=True)}, {number(v.high, sign=True)}]" if math.isfinite(v.low) else ""
    return number(v.difference, sign=True) + interval


def _plain(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


def _short(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
