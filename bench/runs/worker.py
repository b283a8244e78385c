"""The process of a worker: `python -m bench.runs.worker FD`. Not for people; `bench run --jobs N` starts it.

It takes jobs from the pipe one by one and says what comes of them. None, or the end of the pipe, which says that the
master is gone, asks it to stop: it saves a checkpoint and ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue

from bench.errors import BenchError, Interrupted
from bench.models._timm import timm
from bench.runs.job import Job, Worker
from bench.runs.plan import PlannedRun
from bench.runs.processes import Came, Message, Raised, Ready, Started, Stepped, Warned

GRACE_SECONDS = 60.0
"""How long a worker without a master may take to save what it has."""
_SECONDS_BETWEEN_STEPS = 0.2
_REPORT = "please report this with the lines above; finished runs are kept"


class _Pipe:
    """The pipe to the master, and the observer that speaks into it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.asked = threading.Event()
        self._stepped = float("-inf")
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, said: Message) -> None:
        try:
            self.connection.send(said)
        except (BrokenPipeError, ConnectionError):
            self.asked.set()  # nobody is there any more

    def started(self, run: PlannedRun, resumed: bool) -> None:
        self.say(Started(run, resumed))

    def stepped(self, run: PlannedRun, done: int, total: int) -> None:  # noqa: ARG002 (it is the one that has started)
        now = time.monotonic()
        if done == total or now - self._stepped >= _SECONDS_BETWEEN_STEPS:
            self._stepped = now
            self.say(Stepped(done, total))

    def warned(self, message: str) -> None:
        self.say(Warned(message))

    def _listen(self) -> None:
        try:
            while True:
                job = self.connection.recv()
                if job is None:
                    self.asked.set()
                self.jobs.put(job)
        except (EOFError, ConnectionError):
            self.asked.set()
            self.jobs.put(None)
            time.sleep(GRACE_SECONDS)
            os._exit(1)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the master decides
    pipe = _Pipe(Connection(int(sys.argv[1])))
    worker = Worker(pipe, pipe.asked.is_set)
    timm()  # imported while the master plans
    pipe.say(Ready())
    try:
        while (job := pipe.jobs.get()) is not None:
            pipe.say(Came(worker.attempt(job)))
    except Interrupted:
        pass  # as asked
    except BenchError as error:
        pipe.say(Raised(error))
    except Exception:
        pipe.say(Raised(BenchError(f"a worker failed:\n{traceback.format_exc()}", hint=_REPORT)))


if __name__ == "__main__":
    main()
