"""From a suite to the descriptions of its runs: every slot of the matrix with every seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.runs.controls import Control, controlled_parts, controlled_relatedness
from bench.runs.parts import BALANCERS, LABELS, METRICS, TERMS, needs, run_parts
from bench.runs.tuning import Settings, space_of, tuned_method, tuned_optimizer
from bench.specs.backbone import BackboneSpec
from bench.specs.budget import Choice, Tuning
from bench.specs.components import part_fingerprint
from bench.specs.fingerprint import canonical
from bench.specs.method import MethodSpec
from bench.specs.references import ResolvedSuite
from bench.specs.run import (
    RunBackbone,
    RunPart,
    RunRecipe,
    RunRelatedness,
    RunSource,
    RunSpec,
    RunTask,
    RunTeacher,
)
from bench.specs.task import TaskSpec

UNTUNED: Settings = {}
"""Settings that leave everything as the specs say."""


@dataclass(frozen=True)
class Slot:
    """What is trained once for each seed.

    A `single` method has a slot for each (data set, task), a `pooled` one for each task, a `joint` one a single slot.
    """

    backbone: str
    method: str
    dataset: str | None = None
    task: str | None = None


@dataclass(frozen=True)
class _Method:
    """A method's parts as runs describe them, and what it needs; `control` where it is another method's control."""

    spec: MethodSpec
    labels: tuple[RunPart, ...]
    terms: tuple[RunPart, ...]
    balancer: RunPart | None
    coupled: bool
    taught: bool
    control: Control | None


class Assembly:
    """The parts that runs of one suite are put together from; each is made once and shared.

    `controls` are further methods, by name of what they control. `sources` and `recipe` are those of joint runs.
    """

    def __init__(
        self,
        suite: ResolvedSuite,
        sources: Mapping[str, RunSource],
        recipe: RunRecipe,
        relatedness: tuple[RunRelatedness, ...],
        limit: int | None,
        controls: Mapping[str, Control] | None = None,
    ) -> None:
        self.suite, self.sources, self.recipe, self.relatedness, self.limit = suite, sources, recipe, relatedness, limit
        self._tasks = {name: run_task(task) for name, task in suite.tasks.items()}
        self._backbones = {backbone.name: run_backbone(backbone) for backbone in suite.backbones}
        self._methods = {m.name: _described(m, (controls or {}).get(m.name)) for m in suite.methods}
        self._untuned: dict[Slot, RunSpec] = {}
        self._taught: dict[tuple[Slot, int, str], RunTeacher] = {}
        self._codes = {m: part_fingerprint(METRICS, m) for task in suite.tasks.values() for m in task.metrics}

    @property
    def slots(self) -> tuple[Slot, ...]:
        return slots_of(self.suite)

    def space(self, slot: Slot, tuning: Tuning) -> dict[str, Choice]:
        """What a tuning may vary in a slot; a control that turns a coupling off has no options of it."""
        method = self._methods[slot.method]
        off = method.control is not None and method.control.kind == "zero"
        return space_of(tuning, method.spec, fixed=needs(method.spec, "NEEDS_RELATEDNESS") if off else ())

    def teacher_slots(self, slot: Slot) -> dict[tuple[str, str], Slot]:
        """The twins that a slot learns from, by (data set, task): all of its backbone, or none."""
        if not self._methods[slot.method].taught:
            return {}
        return {
            (dataset.name, task): Slot(slot.backbone, self.suite.twin.name, dataset.name, task)
            for dataset in self.suite.datasets
            for task in self.suite.tasks_of(dataset)
        }

    def spec(
        self, slot: Slot, seed: int, settings: Settings = UNTUNED, twins: Mapping[Slot, Settings] | None = None
    ) -> RunSpec:
        """The run of a slot with a seed, wholly described; `settings` and those of `twins` replace what specs say."""
        if settings or self._methods[slot.method].control is not None:  # seeds may differ in more than their number
            return self._spec(slot, seed, settings, twins or {})
        if slot not in self._untuned:
            self._untuned[slot] = self._spec(slot, seed, settings, twins or {})
        found = self._untuned[slot]
        teachers = self._teachers(slot, seed, twins or {}) if found.teachers else ()
        return found.seeded(seed, teachers)

    def _spec(self, slot: Slot, seed: int, settings: Settings, twins: Mapping[Slot, Settings]) -> RunSpec:
        method = self._methods[slot.method]
        if settings:
            method = _described(tuned_method(method.spec, settings), method.control)
        tasks = tuple(self._tasks) if slot.task is None else (slot.task,)
        metrics = {metric for task in tasks for metric in self._tasks[task].metrics}
        relatedness, labels, terms = self.relatedness if method.coupled else (), method.labels, method.terms
        if method.control is not None:
            kind = method.control.kind
            relatedness = tuple(controlled_relatedness(kind, one, seed) for one in relatedness)
            labels, terms = controlled_parts(kind, LABELS, labels), controlled_parts(kind, TERMS, terms)
        return RunSpec(
            method=slot.method,
            type=method.spec.type,
            labels=labels,
            terms=terms,
            balancer=method.balancer,
            teachers=self._teachers(slot, seed, twins),
            backbone=self._backbones[slot.backbone],
            recipe=self.recipe.model_copy(update={"optimizer": tuned_optimizer(self.recipe.optimizer, settings)}),
            sources=self._sources(slot),
            tasks=tuple(self._tasks[task] for task in tasks),
            relatedness=relatedness,
            metrics={metric: self._codes[metric] for metric in sorted(metrics)},
            seed=seed,
            limit=self.limit,
        )

    def _sources(self, slot: Slot) -> tuple[RunSource, ...]:
        """The data sets of a slot, each with those of its tasks that are learnt there."""
        chosen = [s for name, s in self.sources.items() if slot.dataset in (None, name)]
        if slot.task is None:
            return tuple(chosen)
        mine = [source for source in chosen if slot.task in source.tasks]
        return tuple(source.model_copy(update={"tasks": (slot.task,)}) for source in mine)

    def _teachers(self, slot: Slot, seed: int, twins: Mapping[Slot, Settings]) -> tuple[RunTeacher, ...]:
        """The twins of the same seed."""
        return tuple(
            self._teacher(dataset, task, twin, seed, twins.get(twin, UNTUNED))
            for (dataset, task), twin in self.teacher_slots(slot).items()
        )

    def _teacher(self, dataset: str, task: str, twin: Slot, seed: int, settings: Settings) -> RunTeacher:
        key = (twin, seed, canonical(settings))
        if key not in self._taught:
            self._taught[key] = RunTeacher(dataset=dataset, task=task, id=self.spec(twin, seed, settings).id)
        return self._taught[key]


def slots_of(suite: ResolvedSuite) -> tuple[Slot, ...]:
    """By backbone the twins first, so that verdicts can be given as early as possible, then what is compared."""
    found: list[Slot] = []
    for backbone in suite.backbones:
        for method in (suite.twin, *suite.compared):
            if method.type == "single":
                found += [
                    Slot(backbone.name, method.name, dataset.name, task)
                    for dataset in suite.datasets
                    for task in suite.tasks_of(dataset)
                ]
            elif method.type == "pooled":
                found += [Slot(backbone.name, method.name, task=task) for task in suite.tasks]
            else:
                found.append(Slot(backbone.name, method.name))
    return tuple(found)


def run_task(task: TaskSpec) -> RunTask:
    """A task spec as a run needs it."""
    return RunTask(**{name: getattr(task, name) for name in RunTask.model_fields})


def run_backbone(backbone: BackboneSpec) -> RunBackbone:
    """A backbone spec as a run needs it."""
    return RunBackbone(**{name: getattr(backbone, name) for name in RunBackbone.model_fields})


def _described(method: MethodSpec, control: Control | None) -> _Method:
    return _Method(
        spec=method,
        labels=run_parts(LABELS, method.labels),
        terms=run_parts(TERMS, method.terms),
        balancer=run_parts(BALANCERS, [method.balancer])[0] if method.balancer is not None else None,
        coupled=bool(needs(method, "NEEDS_RELATEDNESS")),
        taught=bool(needs(method, "NEEDS_TEACHERS")),
        control=control,
    )
