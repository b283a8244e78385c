"""Plans and states as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bench.reports.table import Table, number, warning_of
from bench.runs.plan import SuitePlan
from bench.runs.search import Search
from bench.runs.tuning import said
from bench.runs.watch import Running, View
from bench.specs.run import RunSource

STATES = ("done", "started", "missing", "failed", "diverged", "damaged")
WAITING = "waiting"


def plan_table(plan: SuitePlan, states: Mapping[str, str], seconds: float) -> Table:
    """The matrix: a row a method and backbone, with how many of its runs, trials among them, are in which state.

    `states` by run id, of everything that can be carried out by now.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    steps: dict[tuple[str, str], set[int]] = {}
    told = [(run, states[run.spec.id]) for run in plan.everything] + [(run, WAITING) for run in plan.to_come]
    shown = (*STATES, WAITING) if plan.to_come else STATES
    for run, state in told:
        key = (run.backbone, run.method)
        counts.setdefault(key, Counter())[state] += 1
        steps.setdefault(key, set()).add(run.spec.recipe.steps)
    rows = tuple(
        (
            backbone,
            method,
            str(sum(found.values())),
            *(str(found[state] or "") for state in shown),
            _listed(steps[backbone, method]),
        )
        for (backbone, method), found in counts.items()
    )
    left = sum(state not in ("done", "diverged") for _, state in told)
    trials = sum(run.trial is not None for run, _ in told)
    runs = f"{trials} trials and {len(told) - trials} runs" if trials else f"{len(told)} runs"
    data = _listed([f"{s.dataset} ({s.batch} of each batch)" for s in _joint_sources(plan)])
    return Table(
        title=f"Plan of {plan.name}: {runs}, {left} to do, about {duration(seconds)}",
        headers=("backbone", "method", "runs", *shown, "steps"),
        rows=rows,
        notes=(f"data sets: {data}", f"budget {plan.suite.budget.name}, seeds {_listed(plan.seeds)}"),
        warning=warning_of(plan.provenance, plan.standin),
        numeric=frozenset(range(2, len(shown) + 4)),
    )


def tuning_table(plan: SuitePlan) -> Table:
    """What was tried under a budget that tunes: a row a search, with its trials and what is chosen."""
    tuning = plan.suite.budget.tuning
    return Table(
        title=f"Tuning of {plan.name}: {tuning.search if tuning else 'nothing'}, chosen on validation",
        headers=("backbone", "method", "data set", "task", "trials", "diverged", "chosen", "validation"),
        rows=tuple(_search_row(search) for search in plan.searches.values()),
        notes=("trials: how many have ended, of how many. validation: mean score of what is chosen, over its seeds.",),
        warning=warning_of(plan.provenance, plan.standin),
        numeric=frozenset({4, 5, 7}),
    )


def status_table(plan: SuitePlan, states: Mapping[str, str]) -> Table:
    """A row a run; trials first, with their settings. `states` by run id, of everything that can be carried out."""
    rows = tuple(
        (run.spec.id, run.backbone, run.method, run.dataset or "all", run.task or "all", str(run.seed))
        + ((said(run.trial.settings) if run.trial else "",) if plan.searches else ())
        + (states[run.spec.id],)
        for run in plan.everything
    )
    trial = ("trial",) if plan.searches else ()
    counts = Counter(states[run.spec.id] for run in plan.everything)
    summary = _listed([f"{count} {state}" for state, count in counts.items()])
    return Table(
        title=f"Runs of {plan.name}: {summary}",
        headers=("run", "backbone", "method", "data set", "task", "seed", *trial, "state"),
        rows=rows,
        notes=(f"{len(plan.to_come)} more wait for trials",) if plan.to_come else (),
        warning=warning_of(plan.provenance, plan.standin),
        numeric=frozenset({5}),
    )


def watch_table(name: str, view: View) -> Table:
    """A row a run that is under way, under how many are in which state."""
    waiting = {"to come": view.to_come} if view.to_come else {}
    counts = dict(Counter(view.states)) | waiting
    return Table(
        title=f"{name}: " + _listed([f"{count} {state}" for state, count in counts.items()]),
        headers=("running", "steps", "steps/s", "left"),
        rows=tuple(_pulse_row(one) for one in view.running),
        notes=() if view.running else ("nobody carries out a run of it just now",),
        numeric=frozenset({1, 2, 3}),
    )


def _pulse_row(one: Running) -> tuple[str, ...]:
    pulse = one.pulse
    if pulse is None:
        return one.run.title, "", "", ""
    left = pulse.seconds_left
    told = "" if left is None else duration(left)
    return one.run.title, f"{pulse.step:,} of {pulse.steps:,}", f"{pulse.rate:.1f}" if pulse.rate else "", told


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _search_row(search: Search) -> tuple[str, ...]:
    slot, chosen = search.slot, search.chosen
    return (
        slot.backbone,
        slot.method,
        slot.dataset or "all",
        slot.task or "all",
        f"{search.ended} of {search.total}",
        str(search.diverged or ""),
        search.absence if chosen is None else said(chosen),
        "–" if search.best is None else number(search.best, 4),
    )


def _listed(parts: Iterable[object]) -> str:
    return ", ".join(map(str, parts))


def _joint_sources(plan: SuitePlan) -> list[RunSource]:
    return list({s.dataset: s for run in (*plan.everything, *plan.to_come) for s in run.spec.sources}.values())
