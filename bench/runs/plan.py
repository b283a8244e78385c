"""The plan: from suites to runs, with everything resolved and every joint run's single-task twins beside it.

Planning is pure: it needs specs, and of the data only fingerprints and the number of training images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

from bench.data.batches import allocate
from bench.data.copies import copy_hint, find_copy
from bench.data.prepare import Preparation
from bench.data.store import Audit, read_manifest
from bench.errors import DataError, UnknownName, UsageError
from bench.runs.check import METRICS, TERMS, checked_suite, run_backbone, standin_relatedness, standin_tasks
from bench.runs.estimate import estimated_matrix
from bench.specs.catalog import Catalog
from bench.specs.components import load_part, part_fingerprint, read_options
from bench.specs.dataset import DatasetSpec
from bench.specs.method import MethodSpec
from bench.specs.references import ResolvedSuite
from bench.specs.run import (
    Provenance,
    RunBackbone,
    RunRecipe,
    RunRelatedness,
    RunSource,
    RunSpec,
    RunTask,
    RunTerm,
)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan. `dataset` and `task` are given for single-task runs only."""

    suite: str
    backbone: str
    method: str
    seed: int
    dataset: str | None
    task: str | None
    spec: RunSpec

    @property
    def title(self) -> str:
        """One line for progress and tables."""
        where = f" {self.dataset}/{self.task}" if self.dataset else ""
        return f"{self.method} {self.backbone}{where} seed {self.seed}"


@dataclass(frozen=True)
class Cell:
    """What a verdict is about: a task on a data set, with a backbone and a method."""

    dataset: str
    task: str
    backbone: str
    method: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.task}/{self.backbone}/{self.method}"


@dataclass(frozen=True)
class SuitePlan:
    """All runs of one suite with a matrix of its own; `left_out` are those that `--only` keeps out."""

    suite: ResolvedSuite
    seeds: tuple[int, ...]
    limit: int | None
    runs: tuple[PlannedRun, ...]
    preparations: Mapping[str, Preparation]
    left_out: tuple[PlannedRun, ...] = ()

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def audits(self) -> dict[str, Audit | None]:
        """What the last audit of this suite found in each data set; None where there was none."""
        ready = {name: read_manifest(p.folder) for name, p in self.preparations.items() if p.ready}
        return {name: ready[name].audits.get(self.name) if name in ready else None for name in self.preparations}

    @property
    def provenance(self) -> Provenance:
        return self.runs[0].spec.provenance

    @property
    def standin(self) -> bool:
        """Whether images are drawn, not photographed."""
        return any(preparation.copy is None for preparation in self.preparations.values())

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every planned (data set, task, backbone, method), methods in the suite's order, the twin among them."""
        every = (
            Cell(dataset.name, task, backbone.name, method.name)
            for backbone in self.suite.backbones
            for dataset in self.suite.datasets
            for task in self.suite.tasks_of(dataset)
            for method in self.suite.methods
        )
        return tuple(cell for cell in every if self.runs_of(cell) and self.runs_of(self.twin_of(cell)))

    def twin_of(self, cell: Cell) -> Cell:
        """The single-task cell that a cell is compared with."""
        return replace(cell, method=self.suite.twin.name)

    def runs_of(self, cell: Cell) -> dict[int, PlannedRun]:
        """The run of each seed that holds a cell's predictions."""
        return self._by_cell.get((cell.backbone, cell.method, cell.dataset, cell.task)) or self._by_cell.get(
            (cell.backbone, cell.method, None, None), {}
        )

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str, str | None, str | None], dict[int, PlannedRun]]:
        found: dict[tuple[str, str, str | None, str | None], dict[int, PlannedRun]] = {}
        for run in self.runs:
            found.setdefault((run.backbone, run.method, run.dataset, run.task), {})[run.seed] = run
        return found


def find_preparations(
    catalog: Catalog, suite: ResolvedSuite, *, image_size: int | None = None
) -> dict[str, Preparation]:
    """How each data set of a suite comes about: all from copies, or all as stand-ins; at the budget's size by default.

    Raises `DataError` where copies of some are there and of others are not: a table must not mix the two.
    """
    copies = {dataset.name: find_copy(dataset.copy_name) for dataset in suite.datasets}
    there = [name for name, copy in copies.items() if copy is not None]
    absent = [dataset for dataset in suite.datasets if copies[dataset.name] is None]
    if there and absent:
        raise DataError(
            f"suite '{suite.name}': there is a copy of {', '.join(there)}, but none of "
            f"{', '.join(dataset.name for dataset in absent)}; real images and stand-ins are never mixed",
            hint="; ".join(f"`bench data add {name} PATH`" for name in dict.fromkeys(d.copy_name for d in absent))
            + "; or `bench data remove NAME` of what is there, to use stand-ins of all",
        )
    for dataset in absent:
        if dataset.standin is None:
            raise DataError(
                f"suite '{suite.name}': there is no copy of data set '{dataset.name}', and no stand-in is declared",
                hint=copy_hint(dataset),
            )
    size = image_size or suite.budget.image_size
    return {d.name: preparation_of(catalog, d, size, real=copies[d.name] is not None) for d in suite.datasets}


def preparation_of(catalog: Catalog, dataset: DatasetSpec, image_size: int, *, real: bool) -> Preparation:
    """How one data set comes about."""
    relatedness = None if real else standin_relatedness(catalog, dataset)
    copy = find_copy(dataset.copy_name) if real else None
    if real and copy is None:
        raise DataError(
            f"there is no copy of data set '{dataset.name}', and a stand-in is no substitute beside real images",
            hint=copy_hint(dataset),
        )
    return Preparation(dataset, standin_tasks(catalog, dataset), image_size, copy, relatedness)


def plan(
    catalog: Catalog,
    name: str,
    *,
    budget: str | None = None,
    seeds: int | None = None,
    limit: int | None = None,
    only: Sequence[str] = (),
) -> tuple[SuitePlan, ...]:
    """Plan a suite, or the suites it includes. The data sets must be prepared, stand-ins need not be.

    `only` keeps runs whose backbone, method, data set or task has one of these names, and the twins they need.
    Raises `SpecError`, `UnknownName` or `DataError`.
    """
    plans = []
    for suite in checked_suite(catalog, name, budget=budget):
        preparations = find_preparations(catalog, suite)
        plans.append(_plan_suite(catalog, suite, preparations, seeds or suite.budget.seeds, limit))
    return _only(name, plans, only) if only else tuple(plans)


def _plan_suite(
    catalog: Catalog, suite: ResolvedSuite, preparations: Mapping[str, Preparation], seeds: int, limit: int | None
) -> SuitePlan:
    known = {name: _known_of(preparation) for name, preparation in preparations.items()}
    sizes = {name: min(size, limit) if limit else size for name, (size, _) in known.items()}
    shares = allocate(suite.budget.batch, sizes)
    sources = {
        dataset.name: RunSource(
            dataset=dataset.name,
            data=known[dataset.name][1],
            standin=preparations[dataset.name].copy is None,
            tasks=suite.tasks_of(dataset),
            batch=shares[dataset.name],
        )
        for dataset in suite.datasets
    }
    matrices = _matrices(catalog, suite, preparations)
    parts = _Parts(suite, sources, _recipe(suite, sum(sizes.values()), limit), matrices, limit)
    runs = [run for seed in range(seeds) for run in parts.runs_of_seed(seed)]
    return SuitePlan(suite, tuple(range(seeds)), limit, tuple(runs), preparations)


def _known_of(preparation: Preparation) -> tuple[int, str]:
    """Training images and fingerprint of a data set, without opening a stand-in that is not drawn yet."""
    if preparation.copy is None:
        declared = preparation.dataset.standin
        assert declared is not None
        return declared.images.train, preparation.standin
    manifest = preparation.open().manifest
    return manifest.counts["train"], manifest.fingerprint


def _recipe(suite: ResolvedSuite, images: int, limit: int | None) -> RunRecipe:
    budget = suite.budget
    steps = budget.steps or max(round((budget.epochs or 0) * images / budget.batch.size), 1)
    shared = {name: getattr(budget, name) for name in RunRecipe.model_fields if name != "steps"}
    return RunRecipe(steps=min(steps, limit) if limit else steps, **shared)


def estimation_source(catalog: Catalog, name: str, *, real: bool, image_size: int = 64) -> Preparation:
    """The data set that a relatedness is estimated on. Raises `DataError` where there is neither copy nor stand-in."""
    return preparation_of(catalog, catalog.get(DatasetSpec, name), image_size, real=real)


def _matrices(
    catalog: Catalog, suite: ResolvedSuite, preparations: Mapping[str, Preparation]
) -> tuple[RunRelatedness, ...]:
    real = any(preparation.copy is not None for preparation in preparations.values())
    found = []
    for spec in suite.relatedness:
        classes, second = suite.tasks[spec.class_task], suite.tasks[spec.second_task]
        if spec.origin.type == "estimated":
            source = preparations.get(spec.origin.dataset) or estimation_source(
                catalog, spec.origin.dataset, real=real, image_size=suite.budget.image_size
            )
            covered, matrix = estimated_matrix(spec, classes, second, source)
        else:
            rows, covered = spec.probabilities or {}, spec.covered
            matrix = tuple(tuple(rows[c].get(label, spec.unlisted) for label in covered) for c in classes.labels)
        found.append(
            RunRelatedness(
                name=spec.name, class_task=spec.class_task, second_task=spec.second_task, covered=covered, matrix=matrix
            )
        )
    return tuple(found)


class _Parts:
    """The parts that runs of one suite are put together from; each is made once and shared."""

    def __init__(
        self,
        suite: ResolvedSuite,
        sources: Mapping[str, RunSource],
        recipe: RunRecipe,
        matrices: tuple[RunRelatedness, ...],
        limit: int | None,
    ) -> None:
        self.suite, self.sources, self.recipe, self.matrices, self.limit = suite, sources, recipe, matrices, limit
        self.tasks = {
            name: RunTask(name=name, **{key: getattr(task, key) for key in ("type", "labels", "metrics", "primary")})
            for name, task in suite.tasks.items()
        }
        self.backbones: dict[str, RunBackbone] = {b.name: run_backbone(b) for b in suite.backbones}
        self.terms = {method.name: tuple(_terms(method)) for method in suite.methods}
        self.coupled = {
            method.name: any(load_part(TERMS, term.name, "term").NEEDS_RELATEDNESS for term in method.terms)
            for method in suite.methods
        }
        self.codes = {m: part_fingerprint(METRICS, m) for task in suite.tasks.values() for m in task.metrics}

    def runs_of_seed(self, seed: int) -> Iterable[PlannedRun]:
        """Twins first, so that verdicts can be given as early as possible."""
        for backbone in self.backbones:
            for dataset in self.suite.datasets:
                for task in self.suite.tasks_of(dataset):
                    source = self.sources[dataset.name].model_copy(update={"tasks": (task,)})
                    spec = self._spec(self.suite.twin, backbone, (source,), (task,), seed)
                    yield PlannedRun(self.suite.name, backbone, self.suite.twin.name, seed, dataset.name, task, spec)
            for method in self.suite.joint:
                spec = self._spec(method, backbone, tuple(self.sources.values()), tuple(self.tasks), seed)
                yield PlannedRun(self.suite.name, backbone, method.name, seed, None, None, spec)

    def _spec(
        self, method: MethodSpec, backbone: str, sources: tuple[RunSource, ...], tasks: tuple[str, ...], seed: int
    ) -> RunSpec:
        metrics = {metric for task in tasks for metric in self.tasks[task].metrics}
        return RunSpec(
            method=method.name,
            type=method.type,
            terms=self.terms[method.name],
            backbone=self.backbones[backbone],
            recipe=self.recipe,
            sources=sources,
            tasks=tuple(self.tasks[task] for task in tasks),
            relatedness=self.matrices if self.coupled[method.name] else (),
            metrics={metric: self.codes[metric] for metric in sorted(metrics)},
            seed=seed,
            limit=self.limit,
        )


def _terms(method: MethodSpec) -> Iterable[RunTerm]:
    for term in method.terms:
        options = read_options(load_part(TERMS, term.name, "term").Options, term.options)
        yield RunTerm(name=term.name, options=options.model_dump(mode="json"), code=part_fingerprint(TERMS, term.name))


def _only(name: str, plans: Sequence[SuitePlan], names: Sequence[str]) -> tuple[SuitePlan, ...]:
    """What is left of some plans; those of which nothing is left are dropped."""
    groups = {
        "backbone": {backbone.name for plan in plans for backbone in plan.suite.backbones},
        "method": {method.name for plan in plans for method in plan.suite.methods},
        "dataset": {dataset.name for plan in plans for dataset in plan.suite.datasets},
        "task": {task for plan in plans for task in plan.suite.tasks},
    }
    known = set().union(*groups.values())
    for one in names:
        if one not in known:
            raise UnknownName("backbone, method, data set or task", one, known)
    wanted = {kind: members & set(names) for kind, members in groups.items()}
    found = []
    for plan in plans:
        is_wanted = [_is_wanted(run, wanted, plan.suite.twin.name) for run in plan.runs]
        left_out = (run for run, kept in zip(plan.runs, is_wanted, strict=True) if not kept)
        if any(is_wanted):
            found.append(replace(plan, runs=tuple(compress(plan.runs, is_wanted)), left_out=tuple(left_out)))
    if not found:
        raise UsageError(f"nothing of suite '{name}' is left by --only {' '.join(names)}")
    return tuple(found)


def _is_wanted(run: PlannedRun, wanted: Mapping[str, set[str]], twin: str) -> bool:
    """Names of one kind are alternatives, kinds go together; twins stay, or nothing could be judged."""
    if wanted["backbone"] and run.backbone not in wanted["backbone"]:
        return False
    if wanted["method"] and run.method not in (*wanted["method"], twin):
        return False
    return any(
        (not wanted["dataset"] or source.dataset in wanted["dataset"])
        and (not wanted["task"] or wanted["task"] & set(source.tasks))
        for source in run.spec.sources
    )
