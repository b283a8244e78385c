"""Requests to stop: a first one is noted and obeyed at the next good moment, a second SIGINT stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bench.errors import Interrupted


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether SIGINT or SIGTERM came.

    Raises `Interrupted` from wherever the work stands on a second SIGINT.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, _: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped at once; finished runs are kept, unfinished ones go on from their last checkpoint"
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
