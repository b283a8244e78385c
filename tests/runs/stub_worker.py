"""Stands in for `bench.runs.worker`, without torch: does with each job what its `what` says, and trains nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

from bench.errors import BenchError, UsageError
from bench.runs.processes import Came, Raised, Ready, Started, Stepped, Warned


def ended(state: str) -> Came:
    return Came(SimpleNamespace(state=state, record=f"{state} in {os.environ['OMP_NUM_THREADS']} threads"))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(int(sys.argv[1]))
    pipe.send(Ready())
    while (job := pipe.recv()) is not None:
        pipe.send(Started(job.run, resumed=False))
        pipe.send(Stepped(1, 2))
        match job.what:
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "dies once" if not Path(job.place).exists():
                Path(job.place).touch()
                sys.exit(7)
            case "fails":
                pipe.send(ended("failed"))
            case "warns":
                pipe.send(Warned("mind the gap"))
                pipe.send(ended("done"))
            case "ends everything":
                pipe.send(Raised(UsageError("the disk is full", hint="empty it")))
                return
            case "ends when asked":
                assert pipe.recv() is None
                pipe.send(ended("done"))
                pipe.send(Raised(BenchError("stopped, which was asked for")))
                return
            case "hangs":
                time.sleep(600)
            case _:
                pipe.send(ended("done"))


if __name__ == "__main__":
    main()
