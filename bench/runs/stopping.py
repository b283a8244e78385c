"""Requests to stop: noted and obeyed at the next good moment, or at once where work may be left at any point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bench.errors import Interrupted
from bench.training.launch import several


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether SIGINT or SIGTERM came.

    Raises `Interrupted` from wherever the work stands on a second SIGINT, but where several processes share the work:
    their launcher repeats a Ctrl-C to each of them, and ends them by itself if they take too long.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, _: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT and not several():
            raise KeyboardInterrupt
        asked.set()

    with _handled_by(ask):
        try:
            yield asked.is_set
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped at once; what is finished is kept", hint="the same command goes on from there"
            ) from None


@contextmanager
def stopped_at_once(message: str, *, hint: str = "") -> Iterator[None]:
    """SIGINT and SIGTERM end at once, as `Interrupted`, what is done within: for work that may be left at any point."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(stop):
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(message, hint=hint) from None


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
