"""Several runs at once in processes of this machine, each with its share of the cores, or of a GPU.

The master hands runs out one by one; see `bench.runs.worker` for the other end. A worker is a session of its own, so
that Ctrl-C reaches the master alone; the master asks workers to stop, and where the master itself is gone they notice
by the end of their pipe. A worker that is lost costs its run what came since the last checkpoint, and nothing else.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.errors import BenchError, InfrastructureError, Interrupted

if TYPE_CHECKING:
    from bench.runs.agenda import Agenda
    from bench.runs.job import Ended, Job
    from bench.runs.observer import Observer
    from bench.runs.plan import PlannedRun
    from bench.runs.shares import Share

PROGRAM = ("-P", "-m", "bench.runs.worker")
"""Arguments for Python that start a worker; the number of its end of the pipe is added."""
_LOOK_SECONDS = 0.2
"""How often the master asks whether it shall stop, and whether a run that another process holds is free."""


@dataclass(frozen=True)
class Ready:
    """A worker has started and can be handed a job."""


@dataclass(frozen=True)
class Started:
    """A worker trains this run now."""

    run: PlannedRun
    resumed: bool


@dataclass(frozen=True)
class Stepped:
    """How far the run is that a worker trains."""

    done: int
    total: int


@dataclass(frozen=True)
class Warned:
    """Something that a person should know."""

    message: str


@dataclass(frozen=True)
class Came:
    """What came of the job of a worker."""

    ended: Ended


@dataclass(frozen=True)
class Raised:
    """What ends everything, not one run alone; the worker is gone after it."""

    error: BenchError


Message = Ready | Started | Stepped | Warned | Came | Raised
"""What a worker says."""


@contextmanager
def processes(shares: Sequence[Share]) -> Iterator[Processes]:
    """A worker for each share, which begin to get ready at once; all are gone when the block ends."""
    pool = Processes(shares)
    try:
        yield pool
    finally:
        pool.end()


class Processes:
    """An executor of workers that stay from one stage of a suite to the next."""

    here = True

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares
        self._workers = [_Process(share) for share in shares]

    def carry_out(self, agenda: Agenda, observer: Observer, should_stop: Callable[[], bool]) -> None:
        try:
            while not agenda.finished:
                if should_stop():
                    raise Interrupted("stopped on request; everything finished is kept")
                for worker in self._workers:
                    if worker.idle and (job := agenda.take()) is not None:
                        worker.hand(job)
                self._listen(agenda, observer)
        except BaseException:
            self._stop(agenda, observer)
            raise

    def end(self) -> None:
        """Let workers go, at once where they are still at work."""
        for worker in self._workers:
            worker.end()

    def _listen(self, agenda: Agenda, observer: Observer) -> None:
        for worker, said in self._hear(timeout=_LOOK_SECONDS):
            if said is None:
                self._replace(worker, agenda)
            elif isinstance(said, Raised):
                raise said.error
            else:
                worker.pass_on(said, agenda, observer)

    def _stop(self, agenda: Agenda, observer: Observer) -> None:
        """Ask all workers to stop, and wait until each has saved what it has; what ends meanwhile counts."""
        for worker in self._workers:
            worker.send(None)
        while self._workers:
            for worker, said in self._hear():
                if said is None:
                    worker.end()
                    self._workers.remove(worker)
                elif not isinstance(said, Raised):
                    worker.pass_on(said, agenda, observer)

    def _hear(self, timeout: float | None = None) -> Iterator[tuple[_Process, Message | None]]:
        """What workers say, None where one is gone."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(by_pipe), timeout):
            worker = by_pipe[cast(Connection, pipe)]
            yield worker, worker.hear()

    def _replace(self, worker: _Process, agenda: Agenda) -> None:
        """Start another in the place of a worker that is gone; its run comes again."""
        how = worker.how_it_ended()
        self._workers.remove(worker)
        if not worker.was_ready:
            raise InfrastructureError(
                f"a worker process {how} before it was ready for any run",
                hint="what it said stands above; `--jobs 1` runs in this process alone",
            )
        self._workers.append(_Process(worker.share))
        if worker.job is not None:
            agenda.lost(worker.job, how)


class _Process:
    """One worker process, as the master sees it."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.job: Job | None = None
        self.run: PlannedRun | None = None
        self.was_ready = False
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *PROGRAM, str(theirs.fileno())],
                env=os.environ | share.environment | {"PYTHONPATH": path},  # finds what this process finds
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
            )
        self.pipe = Connection(ours.detach())

    @property
    def idle(self) -> bool:
        return self.was_ready and self.job is None

    def hand(self, job: Job) -> None:
        self.job = job
        self.send(job)

    def send(self, message: Job | None) -> None:
        """Send a job, or None to ask it to stop; that it is gone is heard later."""
        with suppress(ConnectionError):
            self.pipe.send(message)

    def hear(self) -> Message | None:
        """What the worker says; None where it is gone."""
        try:
            return cast(Message, self.pipe.recv())
        except (EOFError, ConnectionError):
            return None

    def pass_on(self, said: Message, agenda: Agenda, observer: Observer) -> None:
        match said:
            case Ready():
                self.was_ready = True
            case Started(run, resumed):
                self.run = run
                observer.started(run, resumed)
            case Stepped(done, total) if self.run is not None:
                observer.stepped(self.run, done, total)
            case Warned(message):
                observer.warned(message)
            case Came(ended) if self.job is not None:
                job, self.job = self.job, None
                agenda.ended(job, ended)

    def how_it_ended(self) -> str:
        self.pipe.close()
        code = self.process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()
