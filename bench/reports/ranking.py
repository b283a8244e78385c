"""How sure the order of a leaderboard is, as a table."""

from __future__ import annotations

from bench.analysis.ranking import RankedRow, Ranking
from bench.reports.table import Table, number, warning_of

MOST_RANKS = 5
"""Probabilities of so many ranks are shown; the JSON has all."""


def ranking_table(report: Ranking) -> Table:
    """A row a method and backbone: mean, expected rank, ranks that are likely, and the probability of the first."""
    ranks = range(1, min(len(report.rows[0].probabilities) if report.rows else 0, MOST_RANKS) + 1)
    headers = (
        "backbone",
        "method",
        "average",
        "expected rank",
        "ranks\n(95 %)",
        *(f"P(rank {rank})" for rank in ranks),
    )
    notes = [
        f"probability of each rank by bootstrap over {report.seeds} seeds, all rows resampled alike; with few seeds "
        "ranks look surer than they are. Verdicts say what is shown.",
    ]
    if report.rows and len(report.rows[0].probabilities) > MOST_RANKS:
        notes.append(f"probabilities of ranks beyond {MOST_RANKS} stand in the JSON.")
    if report.incomplete:
        rows = ", ".join(f"{method} on {backbone}" for backbone, method in report.incomplete)
        notes.append(f"without a rank, since results are missing: {rows}")
    return Table(
        title=f"Ranks under resampling of seeds: {report.suite}",
        headers=headers,
        rows=tuple(_row(row, len(ranks)) for row in report.rows),
        notes=tuple(notes),
        warning=warning_of(report.provenance, report.standin),
        numeric=frozenset(range(2, len(headers))),
        optional=tuple(f"P(rank {rank})" for rank in reversed(ranks)),
    )


def ranking_records(report: Ranking) -> Table:
    """A line a row and rank, for programs: every probability there is."""
    rows = tuple(
        (row.backbone, row.method, str(rank), repr(chance))
        for row in report.rows
        for rank, chance in enumerate(row.probabilities, start=1)
    )
    headers = ("backbone", "method", "rank", "probability")
    return Table("ranks", headers, rows, warning=warning_of(report.provenance, report.standin))


def _row(row: RankedRow, ranks: int) -> tuple[str, ...]:
    between = f"{row.low}" if row.low == row.high else f"{row.low}–{row.high}"
    chances = (number(chance, 2) for chance in row.probabilities[:ranks])
    return (row.backbone, row.method, number(row.average), number(row.expected, 1), between, *chances)
