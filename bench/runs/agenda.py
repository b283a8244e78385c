"""In which order runs are carried out, and which of them may be by now."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bench.runs.job import POLL_SECONDS, Ended, Job, lost
from bench.runs.observer import Observer
from bench.runs.plan import PlannedRun

MOST_LOSSES = 2
"""How often a run is tried again whose process was lost, before it counts as failed."""

SecondsOf = Callable[[PlannedRun], float]


def in_order(runs: Iterable[PlannedRun], seconds_of: SecondsOf) -> list[PlannedRun]:
    """Runs in the order in which they are best begun, each once.

    Trials first, as they decide on further runs. Then the twins, which every verdict needs, and all that costs no more
    than they do, as planned, seed by seed; then the rest, the longest first, so that the end is not one long run that
    a single process is busy with.
    """
    by_id: dict[str, PlannedRun] = {}
    for run in runs:
        by_id.setdefault(run.spec.id, run)
    seconds = {run_id: seconds_of(run) for run_id, run in by_id.items()}
    cheap = max((seconds[run_id] for run_id, run in by_id.items() if run.spec.type == "single"), default=0.0)

    def key(run: PlannedRun) -> tuple[bool, float]:
        cost = seconds[run.spec.id]
        return run.trial is None, -cost if cost > cheap else float("-inf")

    return sorted(by_id.values(), key=key)


def makespan(runs: Sequence[PlannedRun], seconds_of: SecondsOf, workers: int) -> float:
    """Seconds until all `runs` have ended, begun in this order, `workers` at once; students wait for their teachers."""
    free = [0.0] * workers
    ended: dict[str, float] = {}
    waiting = {run.spec.id for run in runs}
    for run in runs:
        taught = max(
            (ended.get(teacher.id, 0.0) for teacher in run.spec.teachers if teacher.id in waiting), default=0.0
        )
        end = max(heapq.heappop(free), taught) + seconds_of(run)
        ended[run.spec.id] = end
        heapq.heappush(free, end)
    return max(free)


@dataclass
class Tally:
    """What came of runs, by run id. A trial that diverged is done: it has said that its settings are bad."""

    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def count(self, run: PlannedRun, ended: Ended) -> None:
        bad = ended.state == "failed" or (ended.state == "diverged" and run.trial is None)
        (self.failed if bad else self.done).add(run.spec.id)


class Agenda:
    """What is still to be done. Hands out jobs one by one, those that learn from others after these have ended."""

    def __init__(self, jobs: Sequence[Job], observer: Observer, tally: Tally) -> None:
        self.observer, self.tally = observer, tally
        self._waiting: dict[str, Job] = {job.id: job for job in jobs}
        self._open = set(self._waiting)
        self._held: dict[str, float] = {}
        self._told: set[str] = set()
        self._losses: Counter[str] = Counter()

    @property
    def finished(self) -> bool:
        """Whether all has ended."""
        return not self._open

    @property
    def waiting(self) -> tuple[Job, ...]:
        """Jobs that nobody has taken, whether they can be begun by now or not."""
        return tuple(self._waiting.values())

    def take(self, fits: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """The next job that `fits` and can be begun by now; None where all such jobs are under way or wait."""
        able = (job for job in self._waiting.values() if job.id not in self._held and fits(job))
        job = next((job for job in able if not self._is_waiting(job)), None) or self._take_held(fits)
        return self._waiting.pop(job.id) if job is not None else None

    def ended(self, job: Job, ended: Ended) -> None:
        """A job that was taken has ended, or is held by another process and comes again."""
        if ended.state == "held":
            self._held[job.id] = time.monotonic() + POLL_SECONDS
            self._waiting[job.id] = job
            return
        self._open.discard(job.id)
        self.tally.count(job.run, ended)
        if ended.record is not None:
            self.observer.finished(job.run, ended.record)

    def lost(self, job: Job, how: str) -> None:
        """The process that carried out a job is gone: it comes again, from its checkpoint, but not without end."""
        self._losses[job.id] += 1
        again = self._losses[job.id] <= MOST_LOSSES
        what = "tried again" if again else "given up"
        self.observer.warned(f"{job.run.title}: the process that carried it out {how}; it is {what}")
        if again:
            self._waiting = {job.id: job, **self._waiting}
        else:
            self.ended(job, lost(job, f"the process that carried it out {how}, {self._losses[job.id]} times in all"))

    def _is_waiting(self, job: Job) -> bool:
        return any(teacher.id in self._open for teacher in job.run.spec.teachers)

    def _take_held(self, fits: Callable[[Job], bool]) -> Job | None:
        held = [job for run_id in self._held if (job := self._waiting.get(run_id)) is not None and fits(job)]
        for job in held:
            if job.id not in self._told:
                self._told.add(job.id)
                self.observer.waiting(job.run)
        now = time.monotonic()
        return next((job for job in held if self._held[job.id] <= now), None)
