"""What is shown while data is prepared and runs are carried out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from bench.reports.plan import duration

if TYPE_CHECKING:
    from bench.runs.plan import PlannedRun
    from bench.runs.records import Record

MOST_REFUSALS_SHOWN = 5
SECONDS_BETWEEN_LINES = 10


class _RateColumn(ProgressColumn):
    """Images or steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class RunProgress:
    """An observer (`bench.runs.observer`): on a terminal a bar for each run under way, elsewhere a line an event.

    The first bar counts training images over all runs, so that its time left weighs long runs as what they are.
    """

    def __init__(self, console: Console, waiting_for: Sequence[PlannedRun] = ()) -> None:
        self.console = console
        self.waiting_for = waiting_for
        self.work = sum(run.spec.images_seen for run in self.waiting_for)
        self.finished_work = 0
        self.finished_runs = 0
        self.failed_runs = 0
        self._runs: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._under_way: dict[str, int] = {}
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._pace_of, self._pace_start, self._pace_said = "", (0.0, 0), 0.0
        self._whole: TaskID | None = None
        self._part: TaskID | None = None

    def __enter__(self) -> Self:
        self.bars.start()
        if self.waiting_for:
            self._whole = self.bars.add_task("", total=self.work)
            self._tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def preparing(self, dataset: str, done: int, total: int) -> None:
        if self._part is None:
            self._part = self.bars.add_task("", total=total)
        self.bars.update(self._part, description=f"preparing {escape(dataset)}", completed=done, total=total)
        if self._pace_of != dataset:  # what an earlier call did is no measure of speed
            self.bars.reset(self._part, total=total, completed=done)
        self._pace(dataset, done, total)
        if done == total:
            self._say(f"prepared {dataset}: {total} images")

    def auditing(self, suite: str, done: int, total: int) -> None:
        if self._part is None:
            self._part = self.bars.add_task("", total=total)
        self.bars.update(self._part, description=f"auditing {escape(suite)}", completed=done, total=total)

    def _pace(self, dataset: str, done: int, total: int) -> None:
        """Where there is no terminal for a bar: how far it is, how fast and for how long, in a line now and then."""
        now = time.monotonic()
        if self._pace_of != dataset:
            self._pace_of, self._pace_start, self._pace_said = dataset, (now, done), now
        elif not self.console.is_terminal and now - self._pace_said >= SECONDS_BETWEEN_LINES and done < total:
            began, first = self._pace_start
            rate = (done - first) / (now - began)
            left = f", {duration((total - done) / rate)} left" if rate > 0 else ""
            self._say(f"preparing {dataset}: {done} of {total} images, {rate:.0f}/s{left}")
            self._pace_said = now

    def refused(self, dataset: str, refused: dict[str, str]) -> None:
        listed = ", ".join(f"{name} ({why})" for name, why in list(refused.items())[:MOST_REFUSALS_SHOWN])
        more = f" and {len(refused) - MOST_REFUSALS_SHOWN} more" if len(refused) > MOST_REFUSALS_SHOWN else ""
        self.warned(f"{dataset}: {len(refused)} images were left out: {listed}{more}")

    def started(self, run: PlannedRun, resumed: bool) -> None:
        bar = self._runs.get(run.spec.id)
        if bar is None:
            bar = self._runs[run.spec.id] = self.bars.add_task(escape(run.title), total=run.spec.recipe.steps)
        self.bars.reset(bar, total=run.spec.recipe.steps)
        self._begun[run.spec.id] = time.monotonic()
        if resumed:
            self._say(f"{run.title}: going on from its checkpoint")
        self._tell()

    def stepped(self, run: PlannedRun, done: int, total: int) -> None:
        if run.spec.id in self._runs:
            self.bars.update(self._runs[run.spec.id], completed=done)
        self._under_way[run.spec.id] = run.spec.images_seen * done // total
        self._tell()

    def finished(self, run: PlannedRun, record: Record) -> None:
        for run_id in (run.spec.id, *(teacher.id for teacher in run.spec.teachers)):  # these may have been taught again
            self._under_way.pop(run_id, None)
            if run_id in self._runs:
                self.bars.remove_task(self._runs.pop(run_id))
        self.finished_work += run.spec.images_seen
        self.finished_runs += 1
        self.failed_runs += record.failure is not None
        outcome = record.failure.kind if record.failure else _scores(record)
        place = f"[{self.finished_runs}/{max(len(self.waiting_for), self.finished_runs)}]"
        took = time.monotonic() - self._begun.pop(run.spec.id, time.monotonic())
        self._say(f"{place} {run.title}: {outcome} ({duration(took)})")
        self._tell()

    def waiting(self, run: PlannedRun) -> None:
        self._say(f"waiting for another bench process to end: {run.title}")

    def warned(self, message: str) -> None:
        self.console.print(f"[yellow]warning:[/] {escape(message)}", highlight=False, soft_wrap=True)

    def _tell(self) -> None:
        """Bring the bar over all runs up to date."""
        if self._whole is None:
            return
        running = len(self._runs)
        waiting = max(len(self.waiting_for) - self.finished_runs - running, 0)
        counts = {
            "done": self.finished_runs - self.failed_runs,
            "running": running,
            "failed": self.failed_runs,
            "waiting": waiting,
        }
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        done = self.finished_work + sum(self._under_way.values())
        self.bars.update(self._whole, description=f"images of all runs ({said})", completed=done)

    def _say(self, line: str) -> None:
        self.console.print(escape(line), highlight=False, soft_wrap=True)


def _scores(record: Record) -> str:
    found = [
        f"{dataset}/{task} {score.value:.3f}"
        for dataset, tasks in record.scores.items()
        for task, metrics in tasks.items()
        if (score := metrics[record.run.task(task).primary]).value is not None
    ]
    return ", ".join(found)
