"""Records scored again, as a table."""

from __future__ import annotations

from bench.analysis.intervals import CONFIDENCE, RESAMPLES
from bench.analysis.rescoring import Rescored, SuiteRescored
from bench.reports.table import Table, number, warning_of

HEADERS = (
    "data set", "task", "backbone", "method", "seed", "metric", "score", f"{CONFIDENCE:.0%} interval", "over",
    "recorded", "run",
)  # fmt: skip


def score_table(found: SuiteRescored) -> Table:
    """A row a metric of a record: recomputed, whether it is what is recorded, and its interval."""
    absent = ", ".join(f"{count} {what}" for what, count in sorted(found.absent.items()))
    return Table(
        title=f"Scores recomputed from predictions: {found.suite}",
        headers=HEADERS,
        rows=tuple(_row(row) for row in found.rows),
        notes=(
            f"interval: percentiles of {RESAMPLES:,} bootstrap samples of test clusters: groups (subject, film, "
            "product) where the data set has them, else images. It is about one trained network; verdicts compare "
            "seeds.",
            *([f"without a result: {absent}."] if absent else []),
            *([f"could not be scored: {len(found.refused)}."] if found.refused else []),
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset({4, 6, 7}),
        optional=("run", "over"),
    )


def _row(row: Rescored) -> tuple[str, ...]:
    about = row.interval
    return (
        row.dataset,
        row.task,
        row.backbone,
        row.method,
        str(row.seed),
        row.metric,
        number(row.recomputed),
        "no counts" if about is None else f"[{number(about.low)}, {number(about.high)}]",
        "–" if about is None else f"{about.clusters:,} {row.unit}",
        _recorded(row),
        row.run,
    )


def _recorded(row: Rescored) -> str:
    if row.agreement != "differs":
        return {"same": "same", "rounding": "same but for rounding"}[row.agreement]
    if row.recorded != row.recomputed:
        if row.difference is not None:
            return f"DIFFERS by {row.difference:+.3g}"
        return f"DIFFERS: {number(row.recorded, 6)}"
    return f"DIFFERS in labels: {', '.join(row.differing)}" if row.differing else "DIFFERS: not recorded"
