"""Negative controls as tables."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.controls import Change, ControlCell, ControlReport, ControlVerdict
from bench.analysis.transfer import ALPHA
from bench.reports.files import leave
from bench.reports.table import Table, number, to_csv, to_markdown, warning_of


def control_table(report: ControlReport) -> Table:
    """A row a control: what the coupled method gains, what the control gains, and what goes with the relatedness."""
    headers = (
        "backbone", "method", "control", "gain of method %\n[95 % interval]", "gain of control %\n[95 % interval]",
        "lost %\n[95 % interval]", "p (Holm)", "seeds", "same as reference", "gain",
    )  # fmt: skip
    references = sorted({verdict.reference for verdict in report.verdicts})
    notes = [
        f"gain: mean relative change of the primary metrics against the reference ({', '.join(references) or '–'}: the "
        "same without coupling), paired by seed; lost: gain of the method minus gain of the control.",
        f"vanishes: the method gains, and more than the control, which does not gain (paired t tests at {ALPHA:.0%}, "
        f"Holm-adjusted over the coupled methods and over the {report.family} controls). shrinks: so it does, but the "
        "control gains too. remains: the control gains, and the method not significantly more, so the gain is not "
        "shown to come from the relatedness. inconclusive: the method gains, but the control is neither shown to gain "
        "nor to gain less, or results are missing. none shown: the method is not shown to gain; nothing could vanish.",
        "same as reference: a coupling of weight 0 must leave every score as it is (where both are trained alike: "
        "tuning may choose differently).",
    ]
    notes += [f"{v.control} on {v.backbone}: {v.note}" for v in report.verdicts if v.note]
    notes += [f"not judged: {why}" for why in report.unjudged]
    return Table(
        title=f"Negative controls of coupling: {report.suite}",
        headers=headers,
        rows=tuple(_row(verdict) for verdict in report.verdicts),
        notes=tuple(notes),
        warning=warning_of(report.provenance, report.standin),
        numeric=frozenset({3, 4, 5, 6, 7}),
        optional=("seeds", "p (Holm)"),
    )


def control_cell_table(report: ControlReport) -> Table:
    """A row a cell of a coupled method and control, in the metric's own unit."""
    headers = (
        "data set", "task", "backbone", "method", "control", "metric", "reference", "with method", "with control",
        "method − control\n[95 % interval]", "seeds",
    )  # fmt: skip
    return Table(
        title=f"Negative controls by task: {report.suite}",
        headers=headers,
        rows=tuple(_cell_row(cell) for cell in report.cells),
        notes=("means over the seeds that reference, method and control all have; each interval by itself.",),
        warning=warning_of(report.provenance, report.standin),
        numeric=frozenset({6, 7, 8, 9, 10}),
        optional=("seeds", "metric", "reference"),
    )


def write_files(results: Path, report: ControlReport) -> list[Path]:
    """Leave what the controls say under `results/leaderboards`."""
    table = control_table(report)
    contents = {
        "controls.md": "\n".join(map(to_markdown, (table, control_cell_table(report)))),
        "controls.csv": to_csv(table),
    }
    return leave(results, report.suite, report.provenance, contents)


def _row(v: ControlVerdict) -> tuple[str, ...]:
    changes = (_change(change) for change in (v.gain, v.control_gain, v.lost))
    return (v.backbone, v.method, v.control, *changes, _p_value(v.lost), str(v.lost.n), _sameness(v), v.finding)


def _change(change: Change) -> str:
    return number(change.mean, 1, sign=True) + _interval(change.low, change.high, 1)


def _interval(low: float, high: float, digits: int) -> str:
    return f" [{number(low, digits, sign=True)}, {number(high, digits, sign=True)}]" if low == low else ""


def _p_value(change: Change) -> str:
    if change.n < 2:
        return "–"
    return "<0.001" if change.p < 0.001 else number(change.p)


def _sameness(v: ControlVerdict) -> str:
    if v.furthest is None:
        return "–"
    return "identical" if v.furthest == 0 else f"off by up to {v.furthest:.2g}"


def _cell_row(c: ControlCell) -> tuple[str, ...]:
    cell = c.cell
    scores = (number(score) for score in (c.reference_score, c.method_score, c.control_score))
    difference = number(c.difference, sign=True) + _interval(c.low, c.high, 3)
    names = (cell.dataset, cell.task, cell.backbone, cell.method, c.control, c.metric)
    return (*names, *scores, difference, str(len(c.seeds)))
