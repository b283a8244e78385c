"""A run as a piece of work: cheap to describe and to send elsewhere, and carried out where it arrives."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa
from filelock import Timeout

from bench.data.batches import SourceData
from bench.data.store import Store, open_store
from bench.errors import Diverged, InfrastructureError, Interrupted, UsageError, is_infrastructure
from bench.runs.environment import environment
from bench.runs.follow import Work, hand_out
from bench.runs.heartbeat import Heartbeat
from bench.runs.monitoring import UNMONITORED, Monitoring, trace_file
from bench.runs.observer import RunObserver
from bench.runs.plan import PlannedRun
from bench.runs.records import RECORD_VERSION, Cost, Failure, FailureKind, Record, RecordStore, Score, predictions_table
from bench.runs.state import state_of
from bench.specs.budget import Resources
from bench.specs.components import load_part
from bench.training.evaluation import all_scores
from bench.training.launch import several
from bench.training.loop import Outcome, train
from bench.training.tracking import Track, tracking

POLL_SECONDS = 1.0
"""How often a run that another process holds is asked for."""


@dataclass(frozen=True)
class Job:
    """All that carrying out one run needs to know.

    `data`: prepared stores by data set; `teachers`: the runs it learns from; `keep_network`: others learn from it;
    `monitoring`: how it is looked at meanwhile; `resources`: what it gets of a cluster.
    """

    run: PlannedRun
    results: Path
    data: Mapping[str, Path]
    teachers: tuple[PlannedRun, ...]
    keep_network: bool
    checkpoint_every: int
    command: tuple[str, ...] = ()
    monitoring: Monitoring = UNMONITORED
    resources: Resources = field(default_factory=Resources)

    @property
    def id(self) -> str:
        return self.run.spec.id


@dataclass(frozen=True)
class Ended:
    """What came of a job; `record` where it was made just now, and `held` where another process has the run."""

    state: Literal["done", "diverged", "failed", "held"]
    record: Record | None = None


@dataclass(frozen=True)
class _Watch:
    """Tells the time by the clock at its start and what a watch measured since: a clock may be set back meanwhile."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.seconds)


@dataclass
class Worker:
    """Carries out jobs one after the other in this process; data sets stay open between them."""

    observer: RunObserver
    should_stop: Callable[[], bool] = lambda: False
    opened: dict[tuple[Path, int | None], Store] = field(default_factory=dict)

    def attempt(self, job: Job) -> Ended:
        """Carry out a run unless it is done or held.

        Raises `Interrupted` after saving a checkpoint when `should_stop`, asked after each step, says so, and
        `InfrastructureError` when results can no longer be stored.
        """
        if self.should_stop():
            raise Interrupted("stopped on request; everything finished is kept")
        with claimed(job, self.observer) as ended:
            if ended is not None:
                return ended
            run, names = job.run, job.monitoring.trackers
            place, warn = job.results / "trackers", self.observer.warned
            with tracking(run.spec, run.title, run.suite, names, place, warn) as track:
                return self._carry_out(job, RecordStore(job.results), track)

    def _carry_out(self, job: Job, store: RecordStore, track: Track) -> Ended:
        watch, run = _Watch(), job.run
        try:
            self._teach(job, store)
            resumed = store.checkpoint(run.spec).is_file()
            profile = trace_file(job.results, job.id) if job.monitoring.profile else None
            outcome = self._train(run, job, store, keep_network=job.keep_network, profile=profile, track=track)
            seconds = dict(outcome.seconds)
            record, tables = _measured(job, watch, outcome)
            if not resumed:  # else the phases hold time of earlier attempts
                seconds["other"] = max(watch.seconds - sum(seconds.values()), 0.0)
            assert record.cost is not None
            record = record.model_copy(update={"cost": record.cost.model_copy(update={"seconds": seconds})})
            record = store.add(record, tables)
            track(run.spec.recipe.steps, _flat_scores(record))
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:
            record = _store_failure(job, store, watch, error)
            if several() and not isinstance(error, Diverged):
                raise InfrastructureError(
                    f"a run over several processes failed, and they can do no other: {type(error).__name__}: {error}",
                    hint="mend what made it fail, then repeat the command: finished runs are kept, others go on",
                ) from error
        if record.failure is None:
            return Ended("done", record)
        return Ended("diverged" if record.failure.kind == "diverged" else "failed", record)

    def _train(
        self,
        run: PlannedRun,
        job: Job,
        store: RecordStore,
        *,
        keep_network: bool,
        profile: Path | None = None,
        track: Track = lambda step, values: None,
    ) -> Outcome:
        """Train a run of the job: its own, or a teacher's."""
        spec = run.spec
        self.observer.started(run, store.checkpoint(spec).is_file())
        networks = {teacher.id: store.network(teacher.id) for teacher in spec.teachers}
        untaught = [teacher for teacher in spec.teachers if not networks[teacher.id].is_file()]
        if untaught:
            names = ", ".join(f"{teacher.dataset}/{teacher.task}" for teacher in untaught)
            raise UsageError(
                f"the method learns from single-task networks, and those of {names} did not end well",
                hint="mend what made them fail, then repeat the command",
            )
        heartbeat = Heartbeat(store.progress_file(spec))

        def stepped(done: int, total: int) -> None:
            heartbeat.beat(done, total)
            self.observer.stepped(run, done, total)

        data = {source.dataset: job.data[source.dataset] for source in spec.sources}
        work = Work(spec, data, store.checkpoint(spec), job.checkpoint_every, networks)
        hand_out(work)
        outcome = train(
            spec,
            [SourceData(source, self._open(data[source.dataset], spec.limit)) for source in spec.sources],
            checkpoint=work.checkpoint,
            checkpoint_every=work.checkpoint_every,
            teachers=networks,
            progress=stepped,
            should_stop=self.should_stop,
            profile=profile,
            track=track,
            warn=lambda message: self.observer.warned(f"{run.title}: {message}"),
        )
        if keep_network:
            store.keep_network(spec.id, outcome.network)
        return outcome

    def _open(self, folder: Path, limit: int | None) -> Store:
        key = (folder, limit)
        if key not in self.opened:
            self.opened[key] = open_store(folder, limit=limit)
        return self.opened[key]

    def _teach(self, job: Job, store: RecordStore) -> None:
        """Train finished teachers whose network was not kept once more, which gives the same numbers."""
        for teacher in job.teachers:
            network = store.network(teacher.spec.id)
            if network.is_file() or state_of(teacher, store) != "done":
                continue
            while not network.is_file():
                try:
                    with store.hold(teacher.spec):
                        if not network.is_file():
                            self._train(teacher, job, store, keep_network=True)
                            store.clear_work(teacher.spec)
                except Timeout:  # another student's process is at it
                    if self.should_stop():
                        raise Interrupted("stopped on request; everything finished is kept") from None
                    time.sleep(POLL_SECONDS)


@contextmanager
def claimed(job: Job, observer: RunObserver) -> Iterator[Ended | None]:
    """Be the one who carries a job out, until the block ends; gives what came of it where there is nothing to do.

    A record that cannot be read is moved out of the way, and the observer is told.
    """
    store = RecordStore(job.results)
    with ExitStack() as held:
        ended = ended_before(job.run, store)
        if ended is None:
            try:
                held.enter_context(store.hold(job.run.spec))
            except Timeout:
                ended = Ended("held")
            else:
                ended = ended_before(job.run, store)  # another process may have ended it meanwhile
        if ended is None and state_of(job.run, store) == "damaged":  # under the lock: another may be mending it
            observer.warned(f"a record could not be read and was moved to {store.set_aside(job.run.spec)}")
        yield ended


def lost(job: Job, why: str) -> Ended:
    """Record that the process of a run was lost again and again; `held` if another process has the run by now."""
    store = RecordStore(job.results)
    try:
        with store.hold(job.run.spec):
            return ended_before(job.run, store) or Ended(
                "failed", _store(_failure(job, _Watch(), "infrastructure", why, ""), store)
            )
    except Timeout:
        return Ended("held")


def storage_failed(error: Exception) -> InfrastructureError:
    """What is said where nothing can be written any more."""
    return InfrastructureError(
        f"results can no longer be stored: {error}",
        hint="free some space or mend the disk, then repeat the command: finished runs are kept, others go on",
    )


def ended_before(run: PlannedRun, store: RecordStore) -> Ended | None:
    """What came of a run by its record; None where it is to be carried out."""
    state = state_of(run, store)
    if state == "done":
        return Ended("done")
    return Ended("diverged") if state == "diverged" else None


def _measured(job: Job, watch: _Watch, outcome: Outcome) -> tuple[Record, list[tuple[str, pa.Table]]]:
    spec = job.run.spec
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    tables = []
    for made in outcome.predictions:
        task = spec.task(made.task)
        found = {
            metric: Score(higher_is_better=load_part("bench.metrics", metric, "metric").HIGHER_IS_BETTER, **values)
            for metric, values in all_scores(made, task).items()
        }
        scores.setdefault(made.dataset, {})[made.task] = found
        table = predictions_table(made.images, made.groups, made.scores, made.references)
        tables.append((f"{made.dataset}.{made.task}.parquet", table))
    record = _blank(job, watch, "done").model_copy(
        update={
            "scores": scores,
            "label_changes": outcome.changes,
            "curve": tuple(outcome.curve),
            "selected_step": outcome.selected_step,
            "validation_score": outcome.validation_score,
            "cost": Cost(
                steps=spec.recipe.steps,
                images=spec.images_seen,
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
    return record, tables


def _flat_scores(record: Record) -> dict[str, float]:
    """The test scores that are defined, by name."""
    return {
        f"test/{dataset}.{task}.{metric}": score.value
        for dataset, tasks in record.scores.items()
        for task, metrics in tasks.items()
        for metric, score in metrics.items()
        if score.value is not None
    }


def _store_failure(job: Job, store: RecordStore, watch: _Watch, error: Exception) -> Record:
    kind: FailureKind = "error"
    if isinstance(error, Diverged):
        kind = "diverged"
    elif is_infrastructure(error):
        kind = "infrastructure"
    if kind == "infrastructure" and not isinstance(error, MemoryError):
        raise storage_failed(error) from error
    told = "".join(traceback.format_exception(error))
    return _store(_failure(job, watch, kind, str(error), told), store)


def _failure(job: Job, watch: _Watch, kind: FailureKind, message: str, told: str) -> Record:
    failure = Failure(kind=kind, message=message, traceback=told)
    return _blank(job, watch, "failed").model_copy(update={"failure": failure})


def _store(record: Record, store: RecordStore) -> Record:
    try:
        return store.add(record)
    except OSError as error:
        raise storage_failed(error) from error


def _blank(job: Job, watch: _Watch, status: Literal["done", "failed"]) -> Record:
    return Record(
        record_version=RECORD_VERSION,
        id=job.id,
        run=job.run.spec,
        status=status,
        suite=job.run.suite,
        command=job.command,
        started=watch.started,
        finished=watch.now(),
        environment=environment(),
    )
