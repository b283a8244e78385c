"""The runs behind one cell, as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.analysis.intervals import CONFIDENCE
from bench.analysis.rescoring import Rescored
from bench.analysis.standings import Evidence
from bench.reports.score import INTERVAL_NOTE, interval_words, over_words, recorded_words
from bench.reports.table import Table, number, warning_of
from bench.runs.plan import Cell
from bench.runs.records import Record


def cell_table(
    cell: Cell,
    metric: str,
    records: Sequence[tuple[int, str, Record | None]],
    provenance: str,
    *,
    standin: bool,
    rescored: Mapping[str, Rescored],
    repeated: Collection[str] = (),
) -> Table:
    """A row a run: `records` are (seed, run id, record or None), `rescored` by run id, where that was done.

    `repeated` are ids of runs that gave the same scores when they were carried out again.
    """
    rows = []
    for seed, run_id, record in records:
        again = rescored.get(run_id)
        score = record.score(cell.dataset, cell.task, metric) if record else None
        rows.append(
            (
                str(seed),
                run_id,
                number(score.value, 4) if score else "–",
                interval_words(again),
                over_words(again),
                _source(record, again, repeated),
                "–" if record is None or record.selected_step is None else str(record.selected_step),
                _commit(record),
                f"{record.finished:%Y-%m-%d %H:%M}" if record else "–",
                _state(record),
            )
        )
    return Table(
        title=f"{cell}: {metric}",
        headers=(
            "seed", "run", metric, f"{CONFIDENCE:.0%} interval", "over", "source", "selected at step", "commit",
            "finished (UTC)", "state",
        ),
        rows=tuple(rows),
        notes=(INTERVAL_NOTE,) if any(one.interval for one in rescored.values()) else (),
        warning=warning_of(provenance, standin),
        numeric=frozenset({0, 2, 3, 6}),
        optional=("finished (UTC)", "commit", "selected at step", "over"),
    )  # fmt: skip


def _source(record: Record | None, again: Rescored | None, repeated: Collection[str]) -> str:
    if record is None or record.status != "done":
        return "–"
    if record.id in repeated and (again is None or again.agreement != "differs"):
        return Evidence.verified
    if again is None:
        return Evidence.self_reported
    return recorded_words(again) if again.agreement == "differs" else Evidence.rescored


def _state(record: Record | None) -> str:
    if record is None:
        return "no result"
    failure = record.failure
    return record.status if failure is None else f"{record.status}: {failure.kind}: {failure.message}"


def _commit(record: Record | None) -> str:
    git = (record.environment.get("git") if record else None) or {}
    return str(git.get("commit", "–"))[:10] + (" (changed)" if git.get("dirty") else "")
