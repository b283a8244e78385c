"""Carry out what plans still lack.

Each run is locked while it is carried out, so several `bench run` on one results folder share the work. Failures end
one run, not the others; only a machine that cannot store anything any more ends them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bench.data.prepare import Preparation
from bench.errors import InfrastructureError, Interrupted, is_infrastructure
from bench.runs.agenda import Agenda, SecondsOf, Tally, in_order
from bench.runs.job import Job, Worker, ended_before, storage_failed
from bench.runs.monitoring import UNMONITORED, Monitoring
from bench.runs.observer import Observer
from bench.runs.plan import SuitePlan
from bench.runs.records import RecordStore
from bench.runs.shares import Share
from bench.specs.budget import BudgetSpec
from bench.training.compiling import check_compiler
from bench.training.loop import make_accelerator

_IDLE_SECONDS = 0.05


class Executor(Protocol):
    """Where runs are carried out: in this process, in several, or on a cluster.

    `shares`: what each of several processes may use; none where it is this one with all that it has. `here`: whether it
    is this machine that trains, so that what it cannot do can be said before anything is done.
    """

    shares: Sequence[Share]
    here: bool

    def carry_out(self, agenda: Agenda, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Carry out what the agenda hands out until it is finished, and tell it what came of each.

        Raises `Interrupted` soon after `should_stop` says so, with everything saved, and `InfrastructureError` when
        results can no longer be stored. Nothing runs on after it has returned or raised.
        """


class InThisProcess:
    """One run after the other, here."""

    shares: Sequence[Share] = ()
    here = True

    def carry_out(self, agenda: Agenda, observer: Observer, should_stop: Callable[[], bool]) -> None:
        worker = Worker(observer, should_stop)
        while not agenda.finished:
            job = agenda.take()
            if job is not None:
                agenda.ended(job, worker.attempt(job))
            elif should_stop():
                raise Interrupted("stopped on request; everything finished is kept")
            else:
                time.sleep(_IDLE_SECONDS)


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
                raise storage_failed(error) from error
            raise
        if store.manifest.refused:
            observer.refused(name, store.manifest.refused)


def execute(
    plans: Sequence[SuitePlan],
    store: RecordStore,
    observer: Observer,
    *,
    executor: Executor,
    seconds_of: SecondsOf,
    command: Sequence[str] = (),
    should_stop: Callable[[], bool] = lambda: False,
    tally: Tally | None = None,
    monitoring: Monitoring = UNMONITORED,
) -> Tally:
    """Carry out all missing runs of some plans; how long they take, by `seconds_of`, decides on their order.

    What failed by the `tally` of an earlier stage is not tried again. Raises `Interrupted` when `should_stop`, asked
    after each step, says so, after saving checkpoints, and `InfrastructureError` when results can no longer be stored.
    """
    tally = Tally() if tally is None else tally
    if executor.here:
        check_machine(plan.suite.budget for plan in plans)
    jobs: dict[str, Job] = {}
    teachers = frozenset[str]().union(*(plan.teachers for plan in plans))
    for plan in plans:
        prepare_data(list(plan.preparations.values()), observer, should_stop)
        jobs |= _jobs(plan, teachers, store, tuple(command), monitoring)
    store.tidy()
    left = []
    for job in jobs.values():
        ended = ended_before(job.run, store)
        if ended is not None:
            tally.count(job.run, ended)
        elif job.id not in tally.failed:
            left.append(job.run)
    agenda = Agenda([jobs[run.spec.id] for run in in_order(left, seconds_of)], observer, tally)
    executor.carry_out(agenda, observer, should_stop)
    for plan in plans:
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
        check_compiler(budget.compile)


def _jobs(
    plan: SuitePlan, teachers: frozenset[str], store: RecordStore, command: tuple[str, ...], monitoring: Monitoring
) -> dict[str, Job]:
    """The jobs of a plan whose data is prepared, by run id."""
    for preparation in plan.preparations.values():
        preparation.open(limit=plan.limit)  # what is damaged is said before anything is done
    folders = {name: preparation.folder for name, preparation in plan.preparations.items()}
    runs = {run.spec.id: run for run in plan.everything}
    return {
        run.spec.id: Job(
            run=run,
            results=store.results,
            data={source.dataset: folders[source.dataset] for source in run.spec.sources},
            teachers=tuple(runs[teacher.id] for teacher in run.spec.teachers if teacher.id in runs),
            keep_network=run.spec.id in teachers,
            checkpoint_every=plan.suite.budget.checkpoint_every,
            command=command,
            monitoring=monitoring,
            resources=plan.suite.budget.resources,
        )
        for run in runs.values()
    }
