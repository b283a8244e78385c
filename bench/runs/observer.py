"""Who is told what happens while runs are carried out, to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.runs.plan import PlannedRun
    from bench.runs.records import Record


class RunObserver(Protocol):
    """Told what happens where a run is carried out."""

    def started(self, run: PlannedRun, resumed: bool) -> None: ...
    def stepped(self, run: PlannedRun, done: int, total: int) -> None: ...
    def warned(self, message: str) -> None: ...


class Observer(RunObserver, Protocol):
    """Told all that happens; several runs may be under way at once."""

    def preparing(self, dataset: str, done: int, total: int) -> None: ...
    def refused(self, dataset: str, refused: dict[str, str]) -> None: ...
    def finished(self, run: PlannedRun, record: Record) -> None: ...
    def waiting(self, run: PlannedRun) -> None: ...
