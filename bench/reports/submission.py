"""A submission and what came of its verification, as tables."""

from __future__ import annotations

from collections import Counter

from bench.analysis.verification import Verification
from bench.reports.table import Table, warning_of

MOST_MISSING = 20


def submission_table(found: Verification) -> Table:
    """What a submission holds."""
    about = found.submission
    states = Counter(run.state for run in about.runs)
    size = sum(file.bytes for file in about.files)
    rows = {
        "suite": about.suite,
        "budget": about.budget or "the suite's own",
        "seeds": str(about.seeds),
        "runs": ", ".join(f"{states[state]} {state}" for state in ("done", "diverged", "missing") if states[state]),
        "files": f"{len(about.files):,}, {size / 2**20:,.1f} MiB",
        "by": about.by or "not given",
        "contact": about.contact or "not given",
        "licence": about.licence or "not given",
        "id": about.id,
    }
    missing = [f"missing: {run.title}{f' ({run.why})' if run.why else ''}." for run in found.missing]
    more = [f"and {len(missing) - MOST_MISSING} more."] if len(missing) > MOST_MISSING else []
    return Table(
        title=f"Submission: {about.name}",
        headers=("", "what"),
        rows=tuple(rows.items()),
        notes=(*missing[:MOST_MISSING], *more, *([about.note] if about.note else [])),
        warning=warning_of("standin" if found.standin else "real", found.standin),
    )


def problem_table(found: Verification) -> Table:
    """A row a problem; no row if the submission is what it says."""
    told = ", ".join(f"{count} {agreement}" for agreement, count in found.scores.items()) or "none"
    return Table(
        title=f"Problems: {len(found.problems)}",
        headers=("file", "problem"),
        rows=tuple((one.file or "–", one.what) for one in found.problems),
        notes=(f"scores computed again from predictions: {told}.", *(f"note: {note}." for note in found.notes)),
    )
