"""Leaderboards as tables, and the files that a suite's run leaves behind."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.standings import Cost, Entry, Row, Standings
from bench.analysis.transfer import Transfer
from bench.reports.data import audit_note
from bench.reports.files import leave
from bench.reports.table import MARKS, Table, number, to_csv, to_markdown, warning_of
from bench.reports.transfer import method_table, verdict_table


def leaderboard_table(board: Standings) -> Table:
    """A row a method and backbone; a column a task of a data set on its primary metric."""
    columns = tuple(f"{dataset}\n{task}\n{metric}" for dataset, task, metric in board.columns)
    headers = ("rank", "backbone", "method", "average", "Δm %", *columns, "steps", "images", "min")
    data = ", ".join(f"{name} {fingerprint}" for name, fingerprint in board.data.items())
    primary = dict.fromkeys((task, metric) for _, task, metric in board.columns)
    notes = [
        f"mean ± half of the 95 % interval over {board.seeds} seeds; mark = verdict against the single-task twin: "
        + ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
        + ".",
        "Rows with a missing result have no average and no rank.",
        "steps, images, min: cost of one seed over all runs of the row.",
        "chance (a model that never looks): "
        + ", ".join(f"{task} {metric} {board.chance[task]:g}" for task, metric in primary)
        + ".",
        f"budget {board.budget}; data: {board.provenance}, fingerprints {data}",
    ]
    if board.effort is not None:
        over = f"{board.effort.search} over {', '.join(board.effort.space)}"
        notes.append(
            f"effort: {board.effort.trials} trials each ({over}) of every method and of every single-task twin, "
            "before these runs and with other seeds; chosen on validation."
        )
    notes.append(audit_note(board.audits))
    if board.others:
        notes.append(
            f"left out: {board.others} records of this suite with other fingerprints (other specs, data or code)."
        )
    return Table(
        title=f"{board.title} ({board.suite})",
        headers=headers,
        rows=tuple(_row(row) for row in board.rows),
        notes=tuple(notes),
        warning=warning_of(board.provenance, board.standin),
        numeric=frozenset({0, *range(3, len(headers))}),
        optional=("images", "steps", "min", "Δm %"),
    )


def leaderboard_records(board: Standings) -> Table:
    """The same, one line a cell, for programs."""
    headers = (
        "suite", "provenance", "budget", "rank", "backbone", "method", "dataset", "task", "metric", "mean", "low",
        "high", "seeds", "seeds_expected", "missing", "verdict", "delta_m_percent", "steps", "images", "minutes",
        "trials", "data",
    )  # fmt: skip
    lines = tuple(_record(board, row, entry) for row in board.rows for entry in row.entries)
    return Table(board.title, headers, lines, warning=warning_of(board.provenance, board.standin))


def write_files(results: Path, board: Standings, report: Transfer) -> list[Path]:
    """Leave leaderboard and verdicts under `results/leaderboards`."""
    tables = (leaderboard_table(board), verdict_table(report), method_table(report))
    contents = {
        "md": "\n".join(map(to_markdown, tables)),
        "csv": to_csv(leaderboard_records(board)),
        "transfer.csv": to_csv(verdict_table(report)),
    }
    return leave(results, board.suite, board.provenance, contents)


def _row(row: Row) -> tuple[str, ...]:
    delta = number(row.transfer.delta_m, 1, sign=True) if row.transfer else "–"
    return (
        str(row.rank) if row.rank is not None else "–",
        row.backbone,
        row.method,
        number(row.average),
        delta,
        *(_cell(entry) for entry in row.entries),
        *_cost_cells(row.cost),
    )


def _cell(entry: Entry) -> str:
    if entry.mean is None:
        return ", ".join(entry.absent)
    text = number(entry.mean)
    if entry.low is not None and entry.high is not None:
        text += f" ± {number((entry.high - entry.low) / 2)}"
    if entry.n < entry.expected:
        text += f" (n={entry.n} of {entry.expected}: {', '.join(entry.absent)})"
    return f"{text} {MARKS[entry.outcome]}" if entry.outcome else text


def _record(board: Standings, row: Row, entry: Entry) -> tuple[str, ...]:
    cell, delta = entry.cell, row.transfer.delta_m if row.transfer else None
    where = (board.suite, board.provenance, board.budget, _text(row.rank), row.backbone, row.method)
    what = (cell.dataset, cell.task, entry.metric, _text(entry.mean), _text(entry.low), _text(entry.high))
    judged = (str(entry.n), str(entry.expected), ", ".join(entry.absent), entry.outcome or "", _text(delta))
    trials = str(board.effort.trials if board.effort else 0)
    return (*where, *what, *judged, *_cost_text(row.cost), trials, board.data[cell.dataset])


def _cost_cells(cost: Cost | None) -> tuple[str, str, str]:
    return (f"{cost.steps:,.0f}", f"{cost.images:,.0f}", number(cost.minutes, 2)) if cost else ("–", "–", "–")


def _cost_text(cost: Cost | None) -> tuple[str, str, str]:
    return (_text(cost.steps), _text(cost.images), _text(cost.minutes)) if cost else ("", "", "")


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)
