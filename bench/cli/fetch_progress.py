"""What is shown while a copy is fetched and unpacked."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bench.cli.progress import SECONDS_BETWEEN_LINES
from bench.reports.plan import duration


class FetchProgress:
    """How far each step is, how fast and for how long: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self.bars.add_task("")
        self._step, self._began, self._first, self._said = "", 0.0, 0, 0.0

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def report(self, step: str, done: int, total: int) -> None:
        """Told of a step, the bytes of it that are done, and all of them."""
        if step != self._step:
            self._step, self._began, self._first, self._said = step, time.monotonic(), done, time.monotonic()
            self.bars.reset(self._bar, description=escape(step), completed=done, total=total)
            self._say(step if done in (0, total) else f"{step}: going on from {decimal(done)} of {decimal(total)}")
            return
        self.bars.update(self._bar, completed=done, total=total)
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES and self._first < done < total:
            rate = (done - self._first) / (now - self._began)
            left = duration((total - done) / rate)
            self._say(f"{step}: {decimal(done)} of {decimal(total)}, {decimal(int(rate))}/s, {left} left")
            self._said = now

    def _say(self, line: str) -> None:
        if not self.console.is_terminal:
            self.console.print(escape(line), highlight=False, soft_wrap=True)
