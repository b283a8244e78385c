"""Records scored again, as a table."""

from __future__ import annotations

from bench.analysis.intervals import CONFIDENCE, RESAMPLES
from bench.analysis.rescoring import Rescored, SuiteRescored
from bench.reports.table import Table, number, warning_of

HEADERS = (
    "data set", "task", "backbone", "method", "seed", "metric", "score", f"{CONFIDENCE:.0%} interval", "over",
    "recorded", "run",
)  # fmt: skip

INTERVAL_NOTE = (
    f"interval: percentiles of {RESAMPLES:,} bootstrap samples of test clusters: groups (subject, film, product) where "
    "the data set has them, else images. It is about one trained network; verdicts compare seeds."
)


def score_table(found: SuiteRescored) -> Table:
    """A row a metric of a record: recomputed, whether it is what is recorded, and its interval."""
    absent = ", ".join(f"{count} {what}" for what, count in sorted(found.absent.items()))
    return Table(
        title=f"Scores recomputed from predictions: {found.suite}",
        headers=HEADERS,
        rows=tuple(_row(row) for row in found.rows),
        notes=(
            INTERVAL_NOTE,
            *([f"without a result: {absent}."] if absent else []),
            *([f"could not be scored: {len(found.refused)}."] if found.refused else []),
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset({4, 6, 7}),
        optional=("run", "over"),
    )


def _row(row: Rescored) -> tuple[str, ...]:
    return (
        row.dataset,
        row.task,
        row.backbone,
        row.method,
        str(row.seed),
        row.metric,
        number(row.recomputed),
        interval_words(row),
        over_words(row),
        recorded_words(row),
        row.run,
    )


def interval_words(row: Rescored | None) -> str:
    """The interval of a run's metric; a dash where it was not scored again."""
    if row is None:
        return "–"
    return f"[{number(row.interval.low)}, {number(row.interval.high)}]" if row.interval else "no counts"


def over_words(row: Rescored | None) -> str:
    """How many of what an interval was drawn from."""
    return f"{row.interval.clusters:,} {row.unit}" if row and row.interval else "–"


def recorded_words(row: Rescored) -> str:
    """Whether a record says what its predictions say."""
    if row.agreement != "differs":
        return {"same": "same", "rounding": "same but for rounding"}[row.agreement]
    if row.recorded != row.recomputed:
        if row.difference is not None:
            return f"DIFFERS by {row.difference:+.3g}"
        return f"DIFFERS: {number(row.recorded, 6)}"
    return f"DIFFERS in labels: {', '.join(row.differing)}" if row.differing else "DIFFERS: not recorded"
