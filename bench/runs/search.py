"""The searches of a suite whose budget tunes: one for each slot, as far as its trials have come."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from bench.errors import RecordError
from bench.runs.assembly import Assembly, Slot
from bench.runs.tuning import DIVERGED, Settings, Trial, choose, drawn_trials, grid_trials, trials_each
from bench.specs.budget import Choice, Tuning
from bench.specs.run import RunSpec
from bench.specs.streams import stream_seed

if TYPE_CHECKING:
    from bench.runs.records import RecordStore

ScoreOf = Callable[[RunSpec], float | None]
"""Validation score of a run: None where it has not ended, `DIVERGED`, or NaN where validation does not define one."""


@dataclass(frozen=True)
class TrialRun:
    """A trial of a slot, wholly described."""

    slot: Slot
    trial: Trial
    spec: RunSpec


@dataclass(frozen=True)
class Search:
    """How far the search of a slot is. `trials` are those that are known by now, of `total`; `scores` are theirs.

    `teachers` are runs that trials learn from. `stopped` says why there can be no trial: a teacher has none to choose.
    """

    slot: Slot
    total: int
    trials: tuple[TrialRun, ...] = ()
    scores: tuple[float | None, ...] = ()
    teachers: tuple[TrialRun, ...] = ()
    stopped: str = ""

    @property
    def ended(self) -> int:
        """Trials that have a result."""
        return sum(score is not None for score in self.scores)

    @property
    def diverged(self) -> int:
        return sum(score == DIVERGED for score in self.scores)

    @cached_property
    def chosen(self) -> Settings | None:
        """The settings to run with; None while trials are to do, and where none of them can be chosen."""
        scores = [score for score in self.scores if score is not None]
        return choose([run.trial for run in self.trials], scores) if len(scores) == self.total else None

    @property
    def best(self) -> float | None:
        """Mean validation score of the chosen settings."""
        mine = [s for run, s in zip(self.trials, self.scores, strict=True) if run.trial.settings == self.chosen]
        return math.fsum(score or 0.0 for score in mine) / len(mine) if mine else None

    @property
    def state(self) -> Literal["searching", "chosen", "failed"]:
        if self.chosen is not None:
            return "chosen"
        return "failed" if self.stopped or self.ended == self.total else "searching"

    @property
    def absence(self) -> str:
        """Why the slot is not run; empty once settings are chosen."""
        if self.state != "failed":
            return "" if self.state == "chosen" else "waits for trials"
        return self.stopped or (
            "all trials diverged" if self.diverged == self.total else "no settings are sound at every seed"
        )


def searches(assembly: Assembly, tuning: Tuning, score_of: ScoreOf) -> dict[Slot, Search]:
    """The search of every slot, in their order: twins stand before what learns from them."""
    spaces = {slot: assembly.space(slot, tuning) for slot in assembly.slots}
    total = trials_each(tuning, list(spaces.values()))
    found: dict[Slot, Search] = {}
    for slot, space in spaces.items():
        twins = {twin: found[twin] for twin in assembly.teacher_slots(slot).values()}
        if any(search.state == "failed" for search in twins.values()):
            found[slot] = Search(slot, total, stopped="no settings are chosen for its teachers")
        elif any(search.state == "searching" for search in twins.values()):
            found[slot] = Search(slot, total)
        else:
            found[slot] = _search(assembly, tuning, slot, space, total, score_of, settings_of(twins))
    return found


def settings_of(found: Mapping[Slot, Search]) -> dict[Slot, Settings]:
    """What is chosen, for slots of which anything is."""
    return {slot: search.chosen for slot, search in found.items() if search.chosen is not None}


def scores_in(store: RecordStore) -> ScoreOf:
    """What came of trials, by their records; one that failed otherwise than by diverging is to be made again."""

    def score_of(spec: RunSpec) -> float | None:
        try:
            record = store.find(spec)
        except RecordError:
            return None
        if record is None:
            return None
        if record.status == "done":
            return math.nan if record.validation_score is None else record.validation_score
        return DIVERGED if record.failure is not None and record.failure.kind == "diverged" else None

    return score_of


def _search(
    assembly: Assembly,
    tuning: Tuning,
    slot: Slot,
    space: Mapping[str, Choice],
    total: int,
    score_of: ScoreOf,
    twins: Mapping[Slot, Settings],
) -> Search:
    def described(trial: Trial) -> RunSpec:
        return assembly.spec(slot, trial.seed, trial.settings, twins)

    if tuning.search == "grid":
        trials = grid_trials(space, total)
    else:
        # Not by the method's name: methods with the same space are asked the same, so they differ in nothing else.
        seed = stream_seed("tuning", slot.backbone, slot.dataset or "", slot.task or "")
        trials = drawn_trials(tuning, space, seed, lambda trial: score_of(described(trial)))
    runs = tuple(TrialRun(slot, trial, described(trial)) for trial in trials)
    teachers = tuple(
        TrialRun(twin, Trial(settings, seed), assembly.spec(twin, seed, settings))
        for seed in sorted({trial.seed for trial in trials})
        for twin, settings in twins.items()
    )
    return Search(slot, total, runs, tuple(score_of(run.spec) for run in runs), teachers)
