"""Leaderboards as tables, and the files that a suite's run leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.others import Others
from bench.analysis.ranking import Ranking
from bench.analysis.standings import Cost, Standings
from bench.analysis.transfer import ALPHA, Transfer
from bench.analysis.views import Column, Line, Value, View, views
from bench.reports.data import audit_note
from bench.reports.files import leave
from bench.reports.published import published_lines, published_rows, source_notes
from bench.reports.ranking import ranking_records, ranking_table
from bench.reports.table import MARKS, Table, number, to_csv, to_markdown, warning_of
from bench.reports.transfer import method_table, verdict_table
from bench.specs.published import Published


def leaderboard_table(board: Standings, view: View | None = None, published: Sequence[Published] = ()) -> Table:
    """One view of a leaderboard, by default the one of everything: a row a method and backbone, a column a task.

    `published` numbers stand below the measured ones, apart; of stand-ins they are not shown: see
    `bench.reports.published`.
    """
    shown = view or views(board)[0]
    columns = tuple("\n".join(column.names) for column in shown.columns)
    whole = any(line.cost or line.delta_m is not None for line in shown.lines) or not shown.heading
    headers = ("rank", "backbone", "method", "average", *(("Δm %",) if whole else ()), *columns)
    headers += ("steps", "images", "min", "source") if whole else ("source",)
    first = len(headers) - len(columns) - (4 if whole else 1)
    rows = tuple(_row(line, whole=whole) for line in shown.lines)
    apart = () if board.standin else published_rows(published, shown.columns, before=first - 4, after=3 if whole else 0)
    return Table(
        title=f"{board.title} ({board.suite}{f', {shown.heading}' if shown.heading else ''})",
        headers=headers,
        rows=rows + apart,
        notes=_notes(board, shown, published if apart else ()),
        warning=warning_of(board.provenance, board.standin),
        numeric=frozenset({0, *range(3, len(headers) - 1)}),
        optional=("source", "images", "steps", "min", "Δm %"),
        bold=frozenset(
            (i, first + j) for i, line in enumerate(shown.lines) for j, v in enumerate(line.values) if v.best
        ),
        apart=len(apart),
    )


def leaderboard_records(
    board: Standings, shown: Sequence[View] | None = None, published: Sequence[Published] = ()
) -> Table:
    """The same, one line a cell, for programs."""
    headers = (
        "suite", "provenance", "budget", "rank", "backbone", "method", "dataset", "task", "metric", "mean", "low",
        "high", "seeds", "seeds_expected", "missing", "verdict", "delta_m_percent", "steps", "images", "minutes",
        "trials", "data", "best", "source",
    )  # fmt: skip
    lines = [
        _record(board, line, column, value)
        for view in shown or views(board)
        for line in view.lines
        for column, value in zip(view.columns, line.values, strict=True)
    ]
    if not board.standin:
        columns = dict.fromkeys(column for view in shown or views(board) for column in view.columns)
        lines += published_lines(board, published, tuple(columns))
    return Table(board.title, headers, tuple(lines), warning=warning_of(board.provenance, board.standin))


def write_files(results: Path, board: Standings, report: Transfer, ranks: Ranking) -> list[Path]:
    """Leave leaderboard, verdicts and how sure ranks are under `results/leaderboards`."""
    tables = (leaderboard_table(board), verdict_table(report), method_table(report), ranking_table(ranks))
    contents = {
        "md": "\n".join(map(to_markdown, tables)),
        "csv": to_csv(leaderboard_records(board)),
        "transfer.csv": to_csv(verdict_table(report)),
        "ranks.csv": to_csv(ranking_records(ranks)),
    }
    return leave(results, board.suite, board.provenance, contents)


def _notes(board: Standings, view: View, published: Sequence[Published]) -> tuple[str, ...]:
    primary = dict.fromkeys((column.task, column.metric) for column in view.columns)
    averaged = any(len(value.outcomes) > 1 for line in view.lines for value in line.values)
    notes = [
        f"mean ± half of the 95 % interval over {board.seeds} seeds; mark = verdict against {board.reference}: "
        + ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
        + (", with the number of cells that it was given." if averaged else "."),
        f"bold: the best of a column, and what a paired t test over seeds cannot tell from it (Holm within the column, "
        f"{ALPHA:.0%}); incomplete results take no part.",
        "Rows with a missing result have no average and no rank.",
        "steps, images, min: cost of one seed over all runs of the row.",
        "chance (a model that never looks): "
        + ", ".join(f"{task} {metric} {board.chance[task]:g}" for task, metric in primary)
        + ".",
    ]
    if any(line.pinned for line in view.lines):
        notes.append(f"first: the reference {board.reference}, whatever its rank; Δm is against it.")
    data = ", ".join(f"{name} {fingerprint}" for name, fingerprint in board.data.items())
    notes.append(f"budget {board.budget}; data: {board.provenance}, fingerprints {data}")
    if board.effort is not None:
        over = f"{board.effort.search} over {', '.join(board.effort.space)}"
        notes.append(
            f"effort: {board.effort.trials} trials each ({over}) of every method and of every single-task twin, "
            "before these runs and with other seeds; chosen on validation."
        )
    notes.append(audit_note(board.audits))
    kind = "licences of the data sets, of which no image is used here" if board.standin else "licences"
    notes.append(f"{kind}: " + "; ".join(f"{name}: {licence}" for name, licence in board.licences.items()) + ".")
    notes += _left_out(board.others)
    notes += source_notes(published, view.columns)
    return tuple(notes)


def _left_out(others: Others) -> list[str]:
    notes = []
    if others.differing:
        why = ", ".join(f"{count} of {reason}" for reason, count in others.differing.items())
        count = sum(others.differing.values())
        notes.append(f"left out: {count} records of this suite with other fingerprints ({why}).")
    if others.refused:
        why = ", ".join(f"{count} {reason}" for reason, count in others.refused.items())
        notes.append(f"left out: {sum(others.refused.values())} records that cannot be trusted ({why}).")
    if others.unproven:
        notes.append(
            f"predictions are missing of {len(others.unproven)} runs, such as {others.unproven[0]}: "
            "their numbers stand on their records alone."
        )
    return notes


def _row(line: Line, *, whole: bool) -> tuple[str, ...]:
    return (
        str(line.rank) if line.rank is not None else "–",
        line.backbone or "all",
        line.method,
        number(line.average),
        *((number(line.delta_m, 1, sign=True),) if whole else ()),
        *(_cell(value) for value in line.values),
        *(_cost_cells(line.cost) if whole else ()),
        line.evidence or "–",
    )


def _cell(value: Value) -> str:
    if value.mean is None:
        return ", ".join(value.absent)
    text = number(value.mean)
    if value.low is not None and value.high is not None:
        text += f" ± {number((value.high - value.low) / 2)}"
    if value.n < value.expected:
        text += f" (n={value.n} of {value.expected}: {', '.join(value.absent)})"
    if len(value.outcomes) > 1:
        return (
            f"{text} {' '.join(f'{mark}{value.outcomes.count(w)}' for w, mark in MARKS.items() if w in value.outcomes)}"
        )
    return f"{text} {MARKS[value.outcomes[0]]}" if value.outcomes else text


def _record(board: Standings, line: Line, column: Column, value: Value) -> tuple[str, ...]:
    where = (board.suite, board.provenance, board.budget, _text(line.rank), line.backbone or "", line.method)
    what = (column.dataset or "", column.task, column.metric, _text(value.mean), _text(value.low), _text(value.high))
    counts = {word: value.outcomes.count(word) for word in value.outcomes}
    verdict = next(iter(counts), "") if len(value.outcomes) < 2 else ", ".join(f"{w} {n}" for w, n in counts.items())
    judged = (str(value.n), str(value.expected), ", ".join(value.absent), verdict, _text(line.delta_m))
    trials = str(board.effort.trials if board.effort else 0)
    data = board.data[column.dataset] if column.dataset else ""
    best = "yes" if value.best else "no"
    return (*where, *what, *judged, *_cost_text(line.cost), trials, data, best, line.evidence or "")


def _cost_cells(cost: Cost | None) -> tuple[str, str, str]:
    return (f"{cost.steps:,.0f}", f"{cost.images:,.0f}", number(cost.minutes, 2)) if cost else ("–", "–", "–")


def _cost_text(cost: Cost | None) -> tuple[str, str, str]:
    return (_text(cost.steps), _text(cost.images), _text(cost.minutes)) if cost else ("", "", "")


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)
