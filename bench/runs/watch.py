"""How far a suite is, from the store's files alone: who watches may sit at another terminal or machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.runs.heartbeat import Pulse, read_pulse
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import RecordStore
from bench.runs.state import OVER, states_of

ENDED = (*OVER, "failed")
"""States with a record. What failed is tried again, but only by the next `bench run`."""


@dataclass(frozen=True)
class Running:
    """A run that somebody carries out; `pulse` is None until it trains."""

    run: PlannedRun
    pulse: Pulse | None


@dataclass(frozen=True)
class View:
    """Everything at one moment. `states` tell of all runs that are known by now, in the order of the plans."""

    states: tuple[str, ...]
    running: tuple[Running, ...]
    to_come: int

    @property
    def ended(self) -> bool:
        """Whether nothing is under way and nothing is left that the present `bench run` would do."""
        return not self.running and not self.to_come and all(state in ENDED for state in self.states)


@dataclass
class Watch:
    """Looks at a store again and again; what has ended well once is not read again."""

    store: RecordStore
    _over: dict[str, str] = field(default_factory=dict)

    def look(self, plans: Sequence[SuitePlan]) -> View:
        states, running = [], []
        runs = {run.spec.id: run for plan in plans for run in plan.everything}
        now = states_of((run for run_id, run in runs.items() if run_id not in self._over), self.store)
        for run in runs.values():
            state = self._over.get(run.spec.id) or now[run.spec.id]
            if state in OVER:
                self._over[run.spec.id] = state
            elif self.store.is_held(run.spec):
                state = "running"
                running.append(Running(run, read_pulse(self.store.progress_file(run.spec))))
            states.append(state)
        return View(tuple(states), tuple(running), sum(len(plan.to_come) for plan in plans))
