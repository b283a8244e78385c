"""Runs on the machines of a Ray cluster, as many at once as its resources allow.

The master hands runs to seats, which are Ray actors (see `bench.runs.seat`), holds the lock of each run while a seat
has it, and alone writes into the store, the moment a result comes. A seat that is lost, with its process or its
machine, costs its run what came since the last checkpoint that the master was told; the run is tried again.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.data.decode import cores
from bench.data.store import read_manifest
from bench.errors import BenchError, DataError, InfrastructureError, Interrupted, UsageError
from bench.files import write_whole
from bench.runs.agenda import Agenda
from bench.runs.heartbeat import Heartbeat
from bench.runs.job import Ended, Job, claimed, storage_failed
from bench.runs.observer import Observer
from bench.runs.plan import PlannedRun
from bench.runs.processes import Raised, Ready, Started, Stepped, Warned
from bench.runs.records import RECORD, RecordStore
from bench.runs.seat import Delivered, Left, Needs, Order, Saved, Seat, SeatMessage, code_of_bench
from bench.runs.shares import Share
from bench.specs.budget import Resources

PIECE_BYTES = 32 << 20
"""Files go to seats in pieces of this size."""
SECONDS_BETWEEN_CHECKPOINTS = 30.0
"""How often a seat sends its checkpoint at most."""
GRACE_SECONDS = 60.0
"""How long seats may take to save what they have."""
_LOOK_SECONDS = 0.2
_LEAVING_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0
_THREADS = 4  # of a seat, for calls while one waits for news; its run has a thread of its own


@contextmanager
def ray_cluster(address: str | None, jobs: int | None, resources: Iterable[Resources]) -> Iterator[RayCluster]:
    """The cluster at an address (`auto`, host:port, `ray://host:port`); left out, one here that ends with the block.

    `jobs`: the most runs at once; left out, what fits. `resources`: all that runs will ask for. Raises `UsageError`
    where Ray is not installed, nothing answers, or no machine of the cluster has what a run asks for.
    """
    ray = _ray()
    address = address or os.environ.get("RAY_ADDRESS")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **ours)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Ray cluster can be used at '{address}': {error}" if address else f"Ray cannot be started: {error}",
            hint="`--address` is that of a cluster that runs (`ray status` tells); left out, one is started here",
        ) from error
    try:
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
        cluster = RayCluster(ray, jobs, tuple(dict.fromkeys(resources)))
        try:
            yield cluster
        finally:
            cluster.end()
    finally:
        ray.shutdown()


class RayCluster:
    """An executor on the cluster that this process is connected to."""

    here = False

    def __init__(self, ray: Any, jobs: int | None, resources: Sequence[Resources]) -> None:
        self._ray, self._jobs = ray, jobs
        self._seats: list[_Seat] = []
        for asked in resources:
            if not self._fitting(asked):
                raise UsageError(
                    f"no machine of the Ray cluster has {_in_words(self._demand(asked))}, as the budget asks for a run",
                    hint="change `resources` of the budget, or add such a machine",
                )
        most = min((jobs or 1 << 30, *(self._fitting(asked) for asked in resources)))
        self.shares: Sequence[Share] = [Share(max((asked.cpus for asked in resources), default=1))] * most

    def carry_out(self, agenda: Agenda, observer: Observer, should_stop: Callable[[], bool]) -> None:
        try:
            while not agenda.finished:
                if should_stop():
                    raise Interrupted("stopped on request; everything finished is kept")
                self._fill(agenda, observer)
                self._listen(agenda, observer, _LOOK_SECONDS)
        except BaseException:
            self._stop(agenda, observer)
            raise

    def end(self) -> None:
        """Let all seats go, at once where they are still at work."""
        self._let_go(list(self._seats))

    def _let_go(self, seats: Sequence[_Seat]) -> None:
        """End seats, and give them a moment to remove their folders before."""
        for seat in seats:
            seat.ask_to_stop()
        news = [seat.news for seat in seats if seat.idle and not seat.has_left]
        if news:
            self._ray.wait(news, num_returns=len(news), timeout=_LEAVING_SECONDS)
        for seat in seats:
            self._seats.remove(seat)
            seat.end()

    def _fill(self, agenda: Agenda, observer: Observer) -> None:
        """Hand out what can be begun, start seats for what waits while there is room, and let go those without use."""
        for seat in self._seats:
            while seat.idle and (job := agenda.take(seat.fits)) is not None:
                seat.hand(job, agenda, observer)
        waiting = Counter(job.resources for job in agenda.waiting)
        self._let_go([seat for seat in self._seats if seat.idle and not waiting[seat.resources]])
        for resources, count in waiting.items():
            free = sum(seat.job is None and seat.resources == resources for seat in self._seats)
            if count > free:
                most = min(self._fitting(resources), self._jobs or count + len(self._seats))
                for _ in range(min(count - free, most - len(self._seats))):
                    self._seats.append(_Seat(self._ray, resources, self._demand(resources)))

    def _listen(self, agenda: Agenda, observer: Observer, timeout: float) -> None:
        """Hear what seats say, and send on what they wait for; those that are gone give their runs back."""
        errors = self._ray.exceptions
        by_answer = {answer: seat for seat in self._seats for answer in seat.awaited}
        if not by_answer:
            time.sleep(timeout)
            return
        self._ray.wait(list(by_answer), timeout=timeout)
        for answer in self._ray.wait(list(by_answer), num_returns=len(by_answer), timeout=0)[0]:
            seat = by_answer[answer]
            if seat not in self._seats:
                continue
            try:
                seat.take(answer, self._ray.get(answer), agenda, observer)
            except errors.RayTaskError as error:
                raise _told(error) from error
            except errors.RayError as error:
                self._lose(seat, error, agenda)
        for seat in self._seats:
            seat.tell_patience(observer)

    def _lose(self, seat: _Seat, error: Any, agenda: Agenda) -> None:
        """Make sure that a seat is gone, and give its run back; another seat is started where there is room."""
        self._seats.remove(seat)
        job = seat.end()
        if getattr(error, "actor_init_failed", False):
            raise InfrastructureError(
                f"a machine of the cluster cannot carry out runs: {_last_line(error)}",
                hint="install the same bench and the same packages on every machine of the cluster",
            ) from error
        if job is not None:
            agenda.lost(job, f"was lost ({type(error).__name__})")

    def _stop(self, agenda: Agenda, observer: Observer) -> None:
        """Ask all seats to stop, and wait until each has saved what it has; what ends meanwhile counts."""
        deadline = time.monotonic() + GRACE_SECONDS
        self._let_go([seat for seat in self._seats if seat.job is None])
        for seat in self._seats:
            seat.ask_to_stop()
        while self._seats and time.monotonic() < deadline:
            with suppress(BenchError):  # what has ended everything is raised already
                self._listen(agenda, observer, _LOOK_SECONDS)
            self._let_go([seat for seat in self._seats if seat.has_left])
        self.end()

    def _fitting(self, resources: Resources) -> int:
        """How many such runs fit on the machines of the cluster, if nobody else is there."""
        demand = self._demand(resources)
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(
            min(int(machine.get(name, 0.0) / amount + 1e-9) for name, amount in demand.items()) for machine in machines
        )

    def _demand(self, resources: Resources) -> dict[str, float]:
        """What Ray is asked for, under its names for resources."""
        gpus = resources.gpus
        if gpus is None:
            gpus = float(any(node["Resources"].get("GPU") for node in self._ray.nodes() if node["Alive"]))
        demand = {"CPU": float(resources.cpus), "GPU": gpus, "memory": (resources.memory or 0.0) * 2.0**30}
        return {name: amount for name, amount in demand.items() if amount}


class _Seat:
    """A seat, as the master sees it."""

    def __init__(self, ray: Any, resources: Resources, demand: dict[str, float]) -> None:
        self.resources = resources
        self.job: Job | None = None
        self.has_left = False
        self._ray = ray
        self._held = ExitStack()
        self._run: PlannedRun | None = None
        self._heartbeat: Heartbeat | None = None
        self._pieces: Iterator[bytes] | None = None
        self._was_ready, self._asked_at = False, time.monotonic()
        self._actor = (
            ray.remote(Seat)
            .options(
                num_cpus=demand["CPU"],
                num_gpus=demand.get("GPU", 0),
                memory=demand.get("memory", 0),
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=_THREADS,
                runtime_env={"env_vars": Share(resources.cpus, None if "GPU" in demand else "").environment},
            )
            .remote(code_of_bench(), SECONDS_BETWEEN_CHECKPOINTS)
        )
        self.news = self._actor.hear.remote()
        self._taken: Any = None

    @property
    def idle(self) -> bool:
        return self._was_ready and self.job is None

    def fits(self, job: Job) -> bool:
        return job.resources == self.resources

    @property
    def awaited(self) -> list[Any]:
        """What the seat will answer: news, and that it has taken a piece of a file."""
        return [self.news] if self._taken is None else [self.news, self._taken]

    def hand(self, job: Job, agenda: Agenda, observer: Observer) -> None:
        """Claim a job and send it with all that it needs, unless it turns out that there is nothing to do."""
        ended = self._held.enter_context(claimed(job, observer))
        if ended is not None:
            self._held.close()
            agenda.ended(job, ended)
            return
        self.job = job
        stores = {name: read_manifest(folder) for name, folder in job.data.items()}
        self._heartbeat = Heartbeat(RecordStore(job.results).progress_file(job.run.spec))
        self._actor.hand.remote(Order(job, stores, _files_of(job)))

    def take(self, answer: Any, content: Any, agenda: Agenda, observer: Observer) -> None:
        """Act on an answer of the seat."""
        if answer == self.news:
            self.news = self._actor.hear.remote()
            for said in content:
                self._pass_on(said, agenda, observer)
        elif answer == self._taken:  # else of a file before the one that is sent now, whose end was taken meanwhile
            self._taken = None
            self._send()

    def ask_to_stop(self) -> None:
        self._actor.stop.remote()

    def end(self) -> Job | None:
        """Make sure that the seat is gone, and give up its job, which is returned, for others to take."""
        self._ray.kill(self._actor)
        self._held.close()
        job, self.job = self.job, None
        return job

    def tell_patience(self, observer: Observer) -> None:
        """Say once where the cluster has had no room for a seat for long."""
        if not self._was_ready and self._asked_at + _PATIENCE_SECONDS < time.monotonic():
            self._asked_at = float("inf")
            observer.warned(f"Ray has not found room for a run for {_PATIENCE_SECONDS:.0f} seconds; it goes on waiting")

    def _pass_on(self, said: SeatMessage, agenda: Agenda, observer: Observer) -> None:
        job = self.job
        match said:
            case Ready():
                self._was_ready = True
            case Started(run, resumed):
                self._run = run
                observer.started(run, resumed)
            case Stepped(done, total) if self._run is not None and self._heartbeat is not None:
                self._heartbeat.beat(done, total)
                observer.stepped(self._run, done, total)
            case Warned(message):
                observer.warned(message)
            case Needs(file):
                self._pieces = _pieces_of(file)
                self._send()
            case Saved(checkpoint) if job is not None:
                write_whole(RecordStore(job.results).checkpoint(job.run.spec), checkpoint)
            case Delivered() if job is not None:
                ended = _stored(said, job)
                self.job = None
                self._held.close()
                agenda.ended(job, ended)
            case Raised(error):
                self.has_left = True
                raise error
            case Left():
                self.has_left = True

    def _send(self) -> None:
        """Send the next piece of the file that the seat waits for, or that there is no more."""
        if self._pieces is None:
            return
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = None
        self._taken = self._actor.receive.remote(piece)


def _files_of(job: Job) -> tuple[Path, ...]:
    """What a run needs of the results folder: its checkpoint, and networks of teachers, or that these have ended."""
    store = RecordStore(job.results)
    networks = [store.network(teacher.id) for teacher in job.run.spec.teachers]
    records = [store.folder(t.spec) / RECORD for t in job.teachers if not store.network(t.spec.id).is_file()]
    return tuple(file for file in (store.checkpoint(job.run.spec), *networks, *records) if file.is_file())


def _pieces_of(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece
    except FileNotFoundError as error:
        raise DataError(f"{file} is gone; it was there when its run began", hint="repeat the command") from error


def _stored(made: Delivered, job: Job) -> Ended:
    """Write what a seat has delivered into the store."""
    store, record = RecordStore(job.results), made.ended.record
    assert record is not None
    try:
        if made.network is not None:
            write_whole(store.network(job.id), made.network)
        return Ended(made.ended.state, store.add(record, made.tables))
    except OSError as error:
        raise storage_failed(error) from error


def _told(error: Any) -> BenchError:
    """What went wrong within a call of a seat, as bench says it."""
    if isinstance(error.cause, BenchError):
        return error.cause
    return BenchError(f"a seat of the cluster failed: {error}", hint="please report this; finished runs are kept")


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2]


def _in_words(demand: dict[str, float]) -> str:
    names = {"CPU": "cores", "GPU": "GPUs", "memory": "bytes of memory"}
    return " and ".join(f"{amount:g} {names[name]}" for name, amount in demand.items())


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "`--executor ray` needs Ray, which is not installed", hint="pip install 'mtl-bench[ray]'"
        ) from error
    return ray
