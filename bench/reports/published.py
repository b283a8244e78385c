"""Numbers that papers print, beside those that were measured here and never among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.standings import Standings
from bench.analysis.views import Column
from bench.reports.table import Table, number
from bench.specs.published import Published, PublishedResult

NOT_COMPARABLE = "published, not comparable"


def published_rows(
    published: Sequence[Published], columns: Sequence[Column], *, before: int, after: int
) -> tuple[tuple[str, ...], ...]:
    """A row a method of a source, with dashes in `before` and `after` columns beside the scores."""
    rows: dict[tuple[str, str, str], dict[int, str]] = {}
    for one, result, place in _shown(published, columns):
        found = rows.setdefault((one.name, result.method, result.backbone or "–"), {})
        told = f"{number(one.fraction(result))} ({result.where})"
        found[place] = f"{found[place]}, {told}" if place in found else told
    return tuple(
        (
            "–",
            backbone,
            method,
            *["–"] * (1 + before),
            *(cells.get(i, "–") for i in range(len(columns))),
            *["–"] * after,
            f"{NOT_COMPARABLE}: {name}",
        )
        for (name, method, backbone), cells in rows.items()
    )


def published_lines(
    board: Standings, published: Sequence[Published], columns: Sequence[Column]
) -> list[tuple[str, ...]]:
    """The same, one line a number, in the columns of `leaderboard_records`."""
    return [
        (
            board.suite, "published", "", "", result.backbone or "", result.method, result.dataset, result.task,
            result.metric, repr(one.fraction(result)), *[""] * 13,
            f"{NOT_COMPARABLE}: {one.source.citation}, {result.where}",
        )
        for one, result, _ in _shown(published, columns)
    ]  # fmt: skip


def published_table(board: Standings, published: Sequence[Published]) -> Table | None:
    """Published numbers on the data sets of a leaderboard, or of the names of its stand-ins; None if there are none.

    A table of its own: nothing in it was measured here, and by the side of stand-ins nothing is of the same data.
    """
    columns = [Column(*column) for column in board.columns]
    shown = list(_shown(published, columns))
    if not shown:
        return None
    headers = ("data set", "task", "metric", "method", "backbone", "value", "source", "where")
    rows = tuple(
        (
            result.dataset, result.task, result.metric, result.method, result.backbone or "–",
            number(one.fraction(result)), one.name, result.where,
        )
        for one, result, _ in shown
    )  # fmt: skip
    return Table(
        title=f"Published results{', of real data sets, which the stand-ins are not' if board.standin else ''} "
        f"({board.suite})",
        headers=headers,
        rows=rows,
        notes=(
            "Printed in papers, on photographs: not comparable with each other, and "
            + ("not at all with the numbers of stand-ins above." if board.standin else "not with the numbers above."),
            *source_notes(published, columns),
        ),
        numeric=frozenset({5}),
    )


def published_entries(board: Standings, published: Sequence[Published]) -> list[dict[str, str | float | None]]:
    """The same for programs: numbers as fractions, with where they are printed."""
    return [
        {
            "dataset": result.dataset,
            "task": result.task,
            "metric": result.metric,
            "backbone": result.backbone,
            "method": result.method,
            "value": one.fraction(result),
            "source": one.name,
            "citation": one.source.citation,
            "where": result.where,
        }
        for one, result, _ in _shown(published, [Column(*column) for column in board.columns])
    ]


def source_notes(published: Sequence[Published], columns: Sequence[Column]) -> list[str]:
    """A line a source of which something is shown: where it can be opened, and how it differs from what is here."""
    shown = {one.name: one for one, _, _ in _shown(published, columns)}
    return [
        f"{one.name}: {one.source.citation}, {one.source.url or one.source.doi}; {one.remarks}"
        for one in shown.values()
    ]


def _shown(
    published: Sequence[Published], columns: Sequence[Column]
) -> Iterator[tuple[Published, PublishedResult, int]]:
    """Results that belong under one of the columns, with its place."""
    places = {(column.dataset, column.task, column.metric): i for i, column in enumerate(columns)}
    for one in published:
        for result in one.results:
            place = places.get((result.dataset, result.task, result.metric))
            if place is not None:
                yield one, result, place
