"""Transfer verdicts as tables."""

from __future__ import annotations

from bench.analysis.transfer import ALPHA, POWER, MethodTransfer, Transfer, Verdict
from bench.reports.table import MARKS, Table, number, warning_of

_FLAG = {True: "yes", False: "no", None: "–"}


def verdict_table(report: Transfer) -> Table:
    """A row a cell."""
    headers = (
        "data set", "task", "backbone", "method", "metric", report.reference, "score", "difference\n[95 % interval]",
        "p (Holm)", "margin", "detectable", "seeds", "more seeds", "verdict",
    )  # fmt: skip
    notes = [
        f"difference = method minus {report.reference}, mean over seeds, paired by seed; more is better.",
        f"harm/benefit: paired t test, equivalent: two one-sided t tests against the margin; each Holm-adjusted over "
        f"the {report.family} cells of the suite at {ALPHA:.0%}. Intervals are of each cell alone: one may "
        "leave out 0 where the verdict is inconclusive.",
        f"detectable: the true difference that would be found with {POWER:.0%} power at this spread and these seeds; "
        "more than the metric can differ by: none would.",
        "more seeds: at most so many more seeds, at this spread, and a true difference as large as the margin would be "
        f"found, and equivalence where there is none, each with {POWER:.0%} power; 0: so many are there.",
    ]
    if report.missing:
        notes.append(f"missing: {len(report.missing)} results, such as {report.missing[0]}")
    notes += [f"{v.cell}: {v.note}" for v in report.verdicts if v.note]
    return Table(
        title=f"Transfer against {report.reference}: {report.suite}",
        headers=headers,
        rows=tuple(_row(verdict) for verdict in report.verdicts),
        notes=tuple(notes),
        warning=warning_of(report.provenance, report.standin),
        numeric=frozenset({5, 6, 7, 8, 9, 10, 11, 12}),
        optional=("margin", "seeds", "p (Holm)", "metric", "detectable", "more seeds", report.reference, "score"),
    )


def method_table(report: Transfer) -> Table:
    """A row a method: counts of verdicts, the worst cell, Δm, and the paper's literal flag."""
    headers = (
        "backbone", "method", "harm", "benefit", "equivalent", "inconclusive", "harmed", "worst cell",
        "Δm %\n[95 % interval]", "worse by means than\nsome single-task model",
    )  # fmt: skip
    notes = [
        "harmed: share of the cells that have results, at least and, were all that are inconclusive harmed, at most; "
        "worst cell: the lowest difference, by its mean.",
        f"Δm: mean relative change of the primary metrics against {report.reference}, positive = better "
        "(Maninis et al., CVPR 2019).",
        "The last column is negative transfer as Kollias et al. (AAAI 2024) word it, by means alone. When nothing is "
        "true it says yes with a probability of 1 - 1/2^k for k independent cells, so it is no verdict.",
    ]
    zeros = sorted({str(cell) for method in report.methods for cell in method.undefined})
    if zeros:
        notes.append(f"no Δm relative to a reference that scores 0 with some seed: {', '.join(zeros)}")
    return Table(
        title=f"Negative transfer by method: {report.suite}",
        headers=headers,
        rows=tuple(_method_row(method) for method in report.methods),
        notes=tuple(notes),
        warning=warning_of(report.provenance, report.standin),
        numeric=frozenset({2, 3, 4, 5, 6, 8}),
        optional=("worst cell", "equivalent", "inconclusive"),
    )


def outcome_text(outcome: str) -> str:
    return f"{MARKS[outcome]} {outcome}"


def _row(v: Verdict) -> tuple[str, ...]:
    interval = f" [{number(v.low, sign=True)}, {number(v.high, sign=True)}]" if v.low == v.low else ""
    return (
        v.cell.dataset,
        v.cell.task,
        v.cell.backbone,
        v.cell.method,
        v.metric,
        number(v.reference_score),
        number(v.score),
        number(v.difference, sign=True) + interval,
        _p_value(v),
        number(v.margin),
        number(v.detectable),
        str(len(v.seeds)),
        "–" if v.more_seeds is None else str(v.more_seeds),
        _verdict(v),
    )


def _verdict(v: Verdict) -> str:
    """The outcome; what is missing stands before it, or in its place where nothing is there to be judged."""
    if not v.absent:
        return outcome_text(v.outcome)
    if not v.seeds:
        return ", ".join(v.absent)
    return f"({len(v.seeds)} of {v.expected} seeds: {', '.join(v.absent)}) {outcome_text(v.outcome)}"


def _p_value(v: Verdict) -> str:
    if len(v.seeds) < 2:
        return "–"
    return "<0.001" if v.p < 0.001 else number(v.p)


def _method_row(m: MethodTransfer) -> tuple[str, ...]:
    interval = f" [{number(m.low, 1, sign=True)}, {number(m.high, 1, sign=True)}]" if m.low is not None else ""
    counts = (str(m.counts[outcome]) for outcome in ("harm", "benefit", "equivalent", "inconclusive"))
    share = _share(m.counts["harm"], m.counts["harm"] + m.counts["inconclusive"], m.judged)
    worst = f"{m.worst.cell.dataset}/{m.worst.cell.task} {number(m.worst.difference, sign=True)}" if m.worst else "–"
    change = ", ".join(m.absent) if m.absent else number(m.delta_m, 1, sign=True) + interval
    return (m.backbone, m.method, *counts, share, worst, change, _FLAG[m.literal_flag])


def _share(least: int, most: int, cells: int) -> str:
    if not cells:
        return "–"
    return f"{least / cells:.0%}" if least == most else f"{100 * least / cells:.0f}–{most / cells:.0%}"
