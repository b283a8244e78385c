"""How long runs will take: from recent records of runs like them on such a machine, else from a short measurement."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from bench.data.prepare import Preparation
from bench.runs.agenda import in_order, makespan
from bench.runs.environment import environment
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.records import Record, RecordStore
from bench.runs.shares import Share
from bench.runs.state import to_do
from bench.specs.run import Provenance, RunSpec

EVALUATION_COST = 1 / 3
"""Seconds of an image in evaluation, relative to one in training: a forward without its backward."""
RECENT = 9
"""Records of one kind that are asked: the latest ones, whose median counts, so that a busy hour is soon forgotten."""


class Forecast:
    """Seconds that runs of some plans take: as many at once as there are `shares`, or one by one in this process."""

    def __init__(self, plans: Sequence[SuitePlan], store: RecordStore, shares: Sequence[Share] = ()) -> None:
        self._store, self._workers = store, max(len(shares), 1)
        self._threads = shares[0].threads if shares else environment()["hardware"]["threads"]
        self._speeds: dict[Provenance, _Speeds] = {}
        self._measured: dict[Hashable, float] = {}
        self._counts = {(p.dataset.name, p.image_size): _counts(p) for one in plans for p in one.preparations.values()}

    def to_end(self, plan: SuitePlan, states: Mapping[str, str]) -> float:
        """Seconds until all that a plan still lacks by the `states` of its runs has ended."""
        runs = in_order(to_do(plan, states), self.seconds_of)
        return makespan((*runs, *plan.to_come), self.seconds_of, self._workers)

    def seconds_of(self, run: PlannedRun) -> float:
        """Seconds of one run, from its start to its record."""
        spec = run.spec
        if spec.provenance not in self._speeds:
            self._speeds[spec.provenance] = _Speeds(self._store.records(spec.provenance), self._threads)
        speeds = self._speeds[spec.provenance]
        rate = speeds.of_training(spec)
        if rate is None:
            rate = self._measure(spec)
        rest = speeds.of_the_rest(spec)
        if rest is None:
            rest = rate * EVALUATION_COST * self._images_evaluated(spec)
        return rate * spec.images_seen + rest

    def _images_evaluated(self, run: RunSpec) -> int:
        found = 0
        for source in run.sources:
            counts = self._counts[source.dataset, run.recipe.image_size]
            limited = {split: min(count, run.limit or count) for split, count in counts.items()}
            found += run.recipe.evaluations * limited["validation"] + limited["test"]
        return found

    def _measure(self, run: RunSpec) -> float:
        from bench.training.timing import seconds_per_image

        key = _network(run)
        if key not in self._measured:
            self._measured[key] = seconds_per_image(run, threads=self._threads)
        return self._measured[key]


class _Speeds:
    """What records of a machine like this one say; those with as many threads a run before any others."""

    def __init__(self, records: Iterable[Record], threads: int) -> None:
        here = _machine(environment()["hardware"])
        told = [r for r in records if r.cost is not None and _machine(r.environment.get("hardware", {})) == here]
        told.sort(key=lambda record: record.finished, reverse=True)
        self._training: dict[Hashable, list[float]] = {}
        self._rest: dict[Hashable, list[float]] = {}
        for record in told:
            assert record.cost is not None
            alike = record.environment["hardware"].get("threads") == threads
            seconds = dict(record.cost.seconds)
            rate = seconds.pop("train") / max(record.cost.images, 1)
            for key in (_training(record.run), _network(record.run)):
                _add(self._training, key, rate, alike=alike)
            _add(self._rest, _whole(record.run), sum(seconds.values()), alike=alike)

    def of_training(self, run: RunSpec) -> float | None:
        """Seconds a training image: of the same method and batch, else of the same network."""
        keys = (_training(run), _network(run))
        return _median(self._training, [(key, alike) for alike in (True, False) for key in keys])

    def of_the_rest(self, run: RunSpec) -> float | None:
        """Seconds of all but training, of runs that differ in nothing that matters to them."""
        return _median(self._rest, [(_whole(run), alike) for alike in (True, False)])


def _add(found: dict[Hashable, list[float]], key: Hashable, value: float, *, alike: bool) -> None:
    values = found.setdefault((key, alike), [])
    if len(values) < RECENT:
        values.append(value)


def _median(found: Mapping[Hashable, Sequence[float]], keys: Iterable[Hashable]) -> float | None:
    return next((statistics.median(found[key]) for key in keys if key in found), None)


def _network(run: RunSpec) -> Hashable:
    recipe = run.recipe
    return run.backbone.timm, run.backbone.input_size or recipe.image_size, recipe.precision, recipe.compile


def _training(run: RunSpec) -> Hashable:
    return _network(run), run.method, run.batch


def _whole(run: RunSpec) -> Hashable:
    sources = tuple((source.dataset, tuple(source.tasks), source.batch) for source in run.sources)
    return _network(run), run.method, sources, run.recipe.evaluations, run.limit


def _machine(hardware: Mapping[str, Any]) -> Hashable:
    """What runs are as fast on; a run that was given one GPU of several, or some of the cores, is from the same."""
    gpus = tuple(hardware.get("gpus", ())[:1])
    return *(hardware.get(name) for name in ("system", "processor", "cores", "cuda")), gpus


def _counts(preparation: Preparation) -> dict[str, int]:
    if preparation.copy is not None:
        return dict(preparation.open().manifest.counts)
    declared = preparation.dataset.standin
    return declared.images.model_dump() if declared else {}
