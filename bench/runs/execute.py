"""Carry out what a plan still lacks, one run after the other, in this process.

Each run is locked while it is carried out, so several `bench run` on one results folder share the work. Failures end
one run, not the others; only a machine that cannot store anything any more ends them all.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from filelock import Timeout

from bench.data.batches import SourceData
from bench.data.prepare import Preparation
from bench.data.store import Store
from bench.errors import Diverged, InfrastructureError, Interrupted, RecordError, UsageError, is_infrastructure
from bench.runs.environment import environment
from bench.runs.follow import Work, hand_out
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import RECORD_VERSION, Cost, Failure, FailureKind, Record, RecordStore, Score, predictions_table
from bench.specs.budget import BudgetSpec
from bench.specs.components import load_part
from bench.training.evaluation import all_scores
from bench.training.launch import several
from bench.training.loop import Outcome, make_accelerator, train

POLL_SECONDS = 1.0


class Observer(Protocol):
    """Told what happens, to show it."""

    def preparing(self, dataset: str, done: int, total: int) -> None: ...
    def refused(self, dataset: str, refused: dict[str, str]) -> None: ...
    def started(self, run: PlannedRun, resumed: bool) -> None: ...
    def stepped(self, run: PlannedRun, done: int, total: int) -> None: ...
    def finished(self, run: PlannedRun, record: Record) -> None: ...
    def waiting(self, run: PlannedRun) -> None: ...
    def warned(self, message: str) -> None: ...


@dataclass
class Tally:
    """What came of a plan's runs, by run id. A trial that diverged is done: it has said that its settings are bad."""

    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    made_now: int = 0


def state_of(run: PlannedRun, store: RecordStore) -> str:
    """`done`, `diverged`, `failed` (to be retried), `started`, `damaged` or `missing`."""
    try:
        record = store.find(run.spec)
    except RecordError:
        return "damaged"
    if record is None:
        return "started" if store.checkpoint(run.spec).is_file() else "missing"
    if record.status == "done":
        return "done"
    return "diverged" if record.failure and record.failure.kind == "diverged" else "failed"


def to_do(plan: SuitePlan, store: RecordStore) -> list[PlannedRun]:
    """Runs of a plan that have no result: never carried out, unfinished, or failed by the machine or by a fault."""
    return [run for run in plan.everything if state_of(run, store) not in ("done", "diverged")]


def prepare_data(
    preparations: Sequence[Preparation],
    observer: Observer,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    again: bool = False,
) -> None:
    """Make every store that is not there yet, or every one `again`.

    Raises `DataError`, `Interrupted` (what was decoded is kept), or `InfrastructureError` where storage fails.
    """
    for preparation in preparations:
        if preparation.ready and not again:
            continue
        if should_stop():
            raise Interrupted("stopped on request before data was prepared")
        name = preparation.dataset.name

        def report(done: int, total: int, name: str = name) -> None:
            observer.preparing(name, done, total)
            if should_stop():
                raise Interrupted("stopped on request while data was prepared")

        try:
            store = preparation.prepare(report, again=again)
        except OSError as error:
            if is_infrastructure(error):
                raise _storage_failed(error) from error
            raise
        if store.manifest.refused:
            observer.refused(name, store.manifest.refused)


def execute(
    plans: Sequence[SuitePlan],
    store: RecordStore,
    observer: Observer,
    *,
    command: Sequence[str] = (),
    should_stop: Callable[[], bool] = lambda: False,
    tally: Tally | None = None,
) -> Tally:
    """Carry out all missing runs of some plans. What failed by the `tally` of an earlier stage is not tried again.

    Raises `Interrupted` when `should_stop`, asked after each step, says so, after saving a checkpoint, and
    `InfrastructureError` when results can no longer be stored.
    """
    tally = Tally() if tally is None else tally
    check_machine(plan.suite.budget for plan in plans)
    for plan in plans:
        prepare_data(list(plan.preparations.values()), observer, should_stop)
        opened = {name: p.open(limit=plan.limit) for name, p in plan.preparations.items()}
        worker = _Worker(plan, opened, store, observer, tuple(command), should_stop, tally)
        untried = [run for run in plan.everything if run.spec.id not in tally.failed]
        for run in [run for run in untried if not worker.attempt(run, wait=False)]:
            observer.waiting(run)
            worker.attempt(run, wait=True)
        _refuse_lost(plan, store, tally)
    return tally


def _refuse_lost(plan: SuitePlan, store: RecordStore, tally: Tally) -> None:
    """Raises `InfrastructureError` where records of runs that ended are no longer there."""
    ended = tally.done | tally.failed
    lost = [run.title for run in plan.everything if run.spec.id in ended and not store.folder(run.spec).is_dir()]
    if lost:
        raise InfrastructureError(
            f"records of {len(lost)} runs were removed from {store.root} after they had been written: {lost[0]}, ...",
            hint="nobody but bench should change that folder; the same command makes these runs again",
        )


def check_machine(budgets: Iterable[BudgetSpec]) -> None:
    """Raises `UsageError` for what this machine cannot do, so that it is said before anything is done."""
    for budget in budgets:
        make_accelerator(budget.precision)


@dataclass(frozen=True)
class _Watch:
    """Tells the time by the clock at its start and what a watch measured since: a clock may be set back meanwhile."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.started + timedelta(seconds=time.monotonic() - self.began)


@dataclass(frozen=True)
class _Worker:
    """Carries out runs of one plan."""

    plan: SuitePlan
    stores: dict[str, Store]
    store: RecordStore
    observer: Observer
    command: tuple[str, ...]
    should_stop: Callable[[], bool]
    tally: Tally

    def attempt(self, run: PlannedRun, *, wait: bool) -> bool:
        """Carry out a run unless it is done; False if another process holds it (and `wait` is off)."""
        if self._counted(run):
            return True
        lock = self.store.lock(run.spec)
        while True:
            if self.should_stop():
                raise Interrupted("stopped on request; everything finished is kept")
            try:
                with lock.acquire(timeout=0):
                    if not self._counted(run):  # another process may have ended it meanwhile
                        self._set_aside_damaged(run)
                        self._carry_out(run)
                    return True
            except Timeout:
                if not wait:
                    return False
                time.sleep(POLL_SECONDS)

    def _counted(self, run: PlannedRun) -> bool:
        state = state_of(run, self.store)
        if state in ("done", "diverged"):
            self._tell(run, diverged=state == "diverged")
        return state in ("done", "diverged")

    def _tell(self, run: PlannedRun, *, diverged: bool) -> None:
        (self.tally.failed if diverged and run.trial is None else self.tally.done).add(run.spec.id)

    def _set_aside_damaged(self, run: PlannedRun) -> None:
        """Only under the run's lock: another process may be putting a good record in its place."""
        if state_of(run, self.store) == "damaged":
            self.observer.warned(f"a record could not be read and was moved to {self.store.set_aside(run.spec)}")

    def _carry_out(self, run: PlannedRun) -> None:
        watch = _Watch()
        try:
            for teacher in self._teachers_without_network(run):
                self._teach_again(teacher)
            self.observer.started(run, self.store.checkpoint(run.spec).is_file())
            record = self._done(run, watch, self._train(run))
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:
            record = self._failed(run, watch, error)
            if several() and not isinstance(error, Diverged):
                raise InfrastructureError(
                    f"a run over several processes failed, and they can do no other: {type(error).__name__}: {error}",
                    hint="mend what made it fail, then repeat the command: finished runs are kept, others go on",
                ) from error
        self.tally.made_now += 1
        if record.failure is None or record.failure.kind == "diverged":
            self._tell(run, diverged=record.failure is not None)
        else:
            self.tally.failed.add(record.id)
        self.observer.finished(run, record)

    def _train(self, run: PlannedRun) -> Outcome:
        networks = {teacher.id: self.store.network(teacher.id) for teacher in run.spec.teachers}
        untaught = [teacher for teacher in run.spec.teachers if not networks[teacher.id].is_file()]
        if untaught:
            names = ", ".join(f"{teacher.dataset}/{teacher.task}" for teacher in untaught)
            raise UsageError(
                f"the method learns from single-task networks, and those of {names} did not end well",
                hint="mend what made them fail, then repeat the command",
            )
        work = Work(
            run.spec,
            {source.dataset: self.stores[source.dataset].folder for source in run.spec.sources},
            self.store.checkpoint(run.spec),
            self.plan.suite.budget.checkpoint_every,
            networks,
        )
        hand_out(work)
        outcome = train(
            run.spec,
            [SourceData(source, self.stores[source.dataset]) for source in run.spec.sources],
            checkpoint=work.checkpoint,
            checkpoint_every=work.checkpoint_every,
            teachers=networks,
            progress=lambda done, total: self.observer.stepped(run, done, total),
            should_stop=self.should_stop,
            warn=lambda message: self.observer.warned(f"{run.title}: {message}"),
        )
        if run.spec.id in self.plan.teachers:
            self.store.keep_network(run.spec.id, outcome.network)
        return outcome

    def _teachers_without_network(self, run: PlannedRun) -> list[PlannedRun]:
        """Runs that this one learns from and that have ended well, but whose network was not kept."""
        wanted = {teacher.id for teacher in run.spec.teachers if not self.store.network(teacher.id).is_file()}
        ours = (other for other in self.plan.everything if other.spec.id in wanted)
        return [other for other in ours if state_of(other, self.store) == "done"]

    def _teach_again(self, run: PlannedRun) -> None:
        """Train a finished run once more, which gives the same numbers, to have its network."""
        with self.store.lock(run.spec):
            if not self.store.network(run.spec.id).is_file():
                self.observer.started(run, self.store.checkpoint(run.spec).is_file())
                self._train(run)
                self.store.clear_work(run.spec)

    def _done(self, run: PlannedRun, watch: _Watch, outcome: Outcome) -> Record:
        scores: dict[str, dict[str, dict[str, Score]]] = {}
        tables = []
        for made in outcome.predictions:
            task = run.spec.task(made.task)
            found = {
                metric: Score(higher_is_better=load_part("bench.metrics", metric, "metric").HIGHER_IS_BETTER, **values)
                for metric, values in all_scores(made, task).items()
            }
            scores.setdefault(made.dataset, {})[made.task] = found
            table = predictions_table(made.images, made.groups, made.scores, made.references)
            tables.append((f"{made.dataset}.{made.task}.parquet", table))
        record = self._blank(run, watch, "done").model_copy(
            update={
                "scores": scores,
                "label_changes": outcome.changes,
                "curve": tuple(outcome.curve),
                "selected_step": outcome.selected_step,
                "validation_score": outcome.validation_score,
                "cost": Cost(
                    steps=run.spec.recipe.steps,
                    images=run.spec.images_seen,
                    seconds=outcome.seconds,
                    parameters=outcome.parameters,
                    gradient_bytes=outcome.gradient_bytes,
                    peak_memory=outcome.peak_memory,
                    device=outcome.device,
                    pieces=outcome.pieces,
                    processes=outcome.processes,
                ),
            }
        )
        return self.store.add(record, tables)

    def _failed(self, run: PlannedRun, watch: _Watch, error: Exception) -> Record:
        kind: FailureKind = "error"
        if isinstance(error, Diverged):
            kind = "diverged"
        elif is_infrastructure(error):
            kind = "infrastructure"
        failure = Failure(kind=kind, message=str(error), traceback="".join(traceback.format_exception(error)))
        record = self._blank(run, watch, "failed").model_copy(update={"failure": failure})
        if kind == "infrastructure" and not isinstance(error, MemoryError):
            raise _storage_failed(error) from error
        try:
            return self.store.add(record)
        except OSError as storing:
            raise _storage_failed(storing) from storing

    def _blank(self, run: PlannedRun, watch: _Watch, status: Literal["done", "failed"]) -> Record:
        return Record(
            record_version=RECORD_VERSION,
            id=run.spec.id,
            run=run.spec,
            status=status,
            suite=run.suite,
            command=self.command,
            started=watch.started,
            finished=watch.now(),
            environment=environment(),
        )


def _storage_failed(error: Exception) -> InfrastructureError:
    return InfrastructureError(
        f"results can no longer be stored: {error}",
        hint="free some space or mend the disk, then repeat the command: finished runs are kept, others go on",
    )
