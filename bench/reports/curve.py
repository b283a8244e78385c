"""A suite's axis as tables and as a picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.curves import Curve, GainLine, Measured, ScoreLine
from bench.reports.files import leave
from bench.reports.table import Table, number, to_csv, to_markdown, warning_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's colours, which colour-blind people tell apart, with grey for their yellow."""
MARKERS = "osD^vP*X<>"
DASHES = ("-", "--", "-.", ":")


def gain_table(curve: Curve) -> Table:
    """A row a method and backbone; a column a value of the axis: Δm in percent."""
    headers = ("backbone", "method", *_columns(curve))
    return Table(
        title=f"Δm % along {curve.axis}: {curve.title} ({curve.suite})",
        headers=headers,
        rows=tuple((line.backbone, line.method, *_cells(line.points, 1, sign=True)) for line in curve.gains),
        notes=(
            "mean relative change against the single-task twins, which see the same labels; positive: learning "
            f"together helps. {_intervals(curve)}",
            *_notes(curve),
        ),
        warning=warning_of(curve.provenance, curve.standin),
        numeric=frozenset(range(2, len(headers))),
        optional=_droppable(curve),
    )


def score_tables(curve: Curve) -> tuple[Table, ...]:
    """A table a task: a row a method and backbone, twins among them; a column a value of the axis: primary metric."""
    headers = ("backbone", "method", *_columns(curve))
    return tuple(
        Table(
            title=f"{dataset}/{task} {metric} along {curve.axis}: {curve.title} ({curve.suite})",
            headers=headers,
            rows=tuple((line.backbone, line.method, *_cells(line.points, 3)) for line in lines),
            notes=(_intervals(curve), *_notes(curve)),
            warning=warning_of(curve.provenance, curve.standin),
            numeric=frozenset(range(2, len(headers))),
            optional=_droppable(curve),
        )
        for (dataset, task, metric), lines in _by_task(curve).items()
    )


def curve_records(curve: Curve) -> Table:
    """The same, one line a number, for programs."""
    headers = (
        "suite", "provenance", "budget", "seeds", "axis", "value", "backbone", "method", "dataset", "task", "metric",
        "mean", "low", "high", "missing",
    )  # fmt: skip
    about = (curve.suite, curve.provenance, curve.budget, str(curve.seeds), curve.axis)
    named: list[tuple[tuple[str, ...], GainLine | ScoreLine]] = [
        *(((line.backbone, line.method, "", "", "delta_m_percent"), line) for line in curve.gains),
        *(((line.backbone, line.method, line.dataset, line.task, line.metric), line) for line in curve.scores),
    ]
    rows = tuple((*about, repr(point.value), *name, *_texts(point)) for name, line in named for point in line.points)
    return Table(curve.title, headers, rows, warning=warning_of(curve.provenance, curve.standin))


def curve_files(curve: Curve) -> dict[str, str]:
    """Texts by the end of their file's name: tables, numbers, picture."""
    stem = f"along.{curve.axis}"
    return {
        f"{stem}.md": "\n".join(map(to_markdown, (gain_table(curve), *score_tables(curve)))),
        f"{stem}.csv": to_csv(curve_records(curve)),
        f"{stem}.svg": picture(curve, ".svg").decode(),
    }


def write_files(results: Path, curve: Curve) -> list[Path]:
    """Leave tables, numbers and picture of an axis under `results/leaderboards`."""
    contents = {ending.replace("/", "."): text for ending, text in curve_files(curve).items()}
    return leave(results, curve.suite, curve.provenance, contents)


def picture(curve: Curve, ending: str) -> bytes:
    """The curve as .svg or .png, the same bytes for the same numbers.

    A row of panels a backbone: Δm, then the score of each task. Methods differ in colour, marker and dashes, so that
    they are told apart in grey; bands are 95 % intervals over seeds, and a gap is a missing result.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure = _figure(curve)
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "bench"}):
        canvas = FigureCanvasSVG if ending == ".svg" else FigureCanvasAgg
        canvas(figure)
        about = {"Date": None} if ending == ".svg" else {}
        figure.savefig(stream, format=ending.removeprefix("."), metadata=about)
    return stream.getvalue()


def _figure(curve: Curve) -> Figure:
    from matplotlib.figure import Figure

    backbones = tuple(dict.fromkeys(line.backbone for line in curve.scores))
    by_task = _by_task(curve)
    rows, columns = len(backbones), 1 + len(by_task)
    figure = Figure(figsize=(1.6 + 3.3 * columns, 1.6 + 2.7 * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for line_of_panels, backbone in zip(panels, backbones, strict=True):
        gains = [line for line in curve.gains if line.backbone == backbone]
        _panel(line_of_panels[0], curve, gains, f"{backbone}: Δm %")
        line_of_panels[0].axhline(0, color="0.5", linewidth=0.8, zorder=0)
        for panel, ((dataset, task, metric), lines) in zip(line_of_panels[1:], by_task.items(), strict=True):
            mine = [line for line in lines if line.backbone == backbone]
            _panel(panel, curve, mine, f"{dataset}/{task}\n{metric}")
    _legend(figure, curve)
    warning = textwrap.fill(warning_of(curve.provenance, curve.standin), round(13 * figure.get_figwidth()))
    title = f"{curve.suite} along {curve.axis}" + ("" if curve.complete else " (gaps: missing results)")
    figure.suptitle("\n".join(filter(None, (title, warning))), fontsize=8, color="#b00000" if warning else "k")
    return figure


def _panel(panel: Axes, curve: Curve, lines: Iterable[GainLine | ScoreLine], title: str) -> None:
    for line in lines:
        style = _style(curve, line.method)
        mean, low, high = ([_or_nan(getattr(point, name)) for point in line.points] for name in ("mean", "low", "high"))
        panel.fill_between(curve.values, low, high, color=style["color"], alpha=0.12, linewidth=0)
        panel.plot(curve.values, mean, markersize=4, linewidth=1.2, **style)
    panel.set_title(title, fontsize=8)
    if curve.axis != "overlap":
        panel.set_xscale("log")  # each step of a share of labels counts as the one before: 1, 0.3, 0.1
    panel.set_xticks(curve.values, _columns(curve))
    panel.set_xticks([], minor=True)
    panel.tick_params(labelsize=7)
    panel.set_xlabel(curve.axis if curve.axis == "overlap" else f"share of labels of {curve.axis}", fontsize=7)
    panel.grid(alpha=0.25, linewidth=0.5)


def _legend(figure: Figure, curve: Curve) -> None:
    from matplotlib.lines import Line2D

    shown = [method for method in curve.methods if any(line.method == method for line in curve.scores)]
    handles = [Line2D([], [], label=method, markersize=4, linewidth=1.2, **_style(curve, method)) for method in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(shown), 4), fontsize=7, frameon=False)


def _style(curve: Curve, method: str) -> dict[str, Any]:
    """How a method is drawn: the same in every panel."""
    place = curve.methods.index(method)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place % len(DASHES)],
    }


def _by_task(curve: Curve) -> dict[tuple[str, str, str], list[ScoreLine]]:
    """Lines of scores by data set, task and metric."""
    found: dict[tuple[str, str, str], list[ScoreLine]] = {}
    for line in curve.scores:
        found.setdefault((line.dataset, line.task, line.metric), []).append(line)
    return found


def _droppable(curve: Curve) -> tuple[str, ...]:
    """Columns that a narrow terminal may lack: the backbone's where there is but one."""
    return ("backbone",) if len({line.backbone for line in curve.scores}) == 1 else ()


def _columns(curve: Curve) -> tuple[str, ...]:
    return tuple(f"{value:g}" for value in curve.values)


def _cells(points: Sequence[Measured], digits: int, *, sign: bool = False) -> tuple[str, ...]:
    return tuple(_cell(point, digits, sign=sign) for point in points)


def _cell(point: Measured, digits: int, *, sign: bool) -> str:
    if point.mean is None:
        return ", ".join(point.absent)
    text = number(point.mean, digits, sign=sign)
    if point.low is not None and point.high is not None:
        text += f" ± {number((point.high - point.low) / 2, digits)}"
    return text


def _texts(point: Measured) -> tuple[str, ...]:
    numbers = ("" if value is None else repr(value) for value in (point.mean, point.low, point.high))
    return (*numbers, ", ".join(point.absent))


def _intervals(curve: Curve) -> str:
    return (
        f"mean ± half of the 95 % interval over {curve.seeds} seeds; a result that is missing is not averaged around."
    )


def _notes(curve: Curve) -> tuple[str, ...]:
    axis = (
        "overlap: the share of a task's training images that carry the next task's labels too; each task has the same "
        "number of labels everywhere."
        if curve.axis == "overlap"
        else f"values: the share of the training labels of {curve.axis} that is shown."
    )
    held = ", ".join(f"{other} {value:g}" for other, value in curve.held.items())
    return (axis, *([f"the other axes stay at {held}."] if held else []), f"budget {curve.budget}; {curve.provenance}")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
