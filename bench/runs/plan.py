"""The plan: from suites to runs, with everything resolved and every joint run's single-task twins beside it.

Planning is pure: it needs specs, and of the data only fingerprints and the number of training images. Where a budget
tunes, it also needs the validation scores of trials: they decide on further trials, and on what is run in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from bench.data.batches import allocate
from bench.data.copies import copy_hint, find_copy
from bench.data.prepare import Preparation
from bench.data.shown import shown_count, windows
from bench.data.store import Audit, read_manifest
from bench.errors import DataError, UnknownName, UsageError
from bench.runs.assembly import Assembly, Slot
from bench.runs.check import checked_suite, standin_relatedness, standin_tasks
from bench.runs.controls import Control, reference_of, suite_controls
from bench.runs.matrices import run_relatedness
from bench.runs.search import ScoreOf, Search, scores_in, searches, settings_of
from bench.runs.tuning import FIRST_TRIAL_SEED, Trial
from bench.specs.catalog import Catalog
from bench.specs.dataset import DatasetSpec
from bench.specs.references import ResolvedSuite
from bench.specs.run import Provenance, RunRecipe, RunRelatedness, RunSource, RunSpec, ShownLabels
from bench.specs.suite import Point

if TYPE_CHECKING:
    from bench.runs.records import RecordStore


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: a slot with a seed. `dataset` and `task` are given where the run is about these only.

    `trial` is given where the run is a trial of a search.
    """

    suite: str
    backbone: str
    method: str
    seed: int
    dataset: str | None
    task: str | None
    spec: RunSpec
    trial: Trial | None = None

    @property
    def slot(self) -> Slot:
        return Slot(self.backbone, self.method, self.dataset, self.task)

    @property
    def title(self) -> str:
        """One line for progress and tables."""
        where = "/".join(name for name in (self.dataset, self.task) if name)
        point = self.suite.partition("[")[2].rstrip("]")
        what = f"trial {self.trial.title}" if self.trial else f"seed {self.seed}"
        return " ".join(filter(None, (point, self.method, self.backbone, where, what)))


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
    """All runs of one suite with a matrix of its own, at one point of its axes.

    `part_of`: the plan that `--only` took this one from. `controls` are negative controls by the name of their method;
    they are run as methods of the suite are, and reported apart. Where the budget tunes, `searches` tell how far each
    slot is, `trials` are all trials that are known by now, and `runs` those of slots whose settings are chosen.
    `to_come` stands for all runs that trials still have to decide on: it has their number and their cost, not their
    settings. `relatedness` is the suite's, as coupled methods are told it.
    """

    suite: ResolvedSuite
    point: Point
    seeds: tuple[int, ...]
    limit: int | None
    runs: tuple[PlannedRun, ...]
    preparations: Mapping[str, Preparation]
    relatedness: tuple[RunRelatedness, ...] = ()
    controls: Mapping[str, Control] = field(default_factory=dict)
    part_of: SuitePlan | None = None
    searches: Mapping[Slot, Search] = field(default_factory=dict)
    trials: tuple[PlannedRun, ...] = ()
    to_come: tuple[PlannedRun, ...] = ()

    @property
    def name(self) -> str:
        """The suite's name, with the point where the suite has axes."""
        return f"{self.suite.name}[{self.point.label}]" if self.point.label else self.suite.name

    @property
    def whole(self) -> SuitePlan:
        """The plan with what `--only` keeps out: what tests are adjusted over, whatever is looked at."""
        return self.part_of or self

    @property
    def audits(self) -> dict[str, Audit | None]:
        """What the last audit of this suite found in each data set; None where there was none."""
        ready = {name: read_manifest(p.folder) for name, p in self.preparations.items() if p.ready}
        return {name: ready[name].audits.get(self.name) if name in ready else None for name in self.preparations}

    @property
    def everything(self) -> tuple[PlannedRun, ...]:
        """All that can be carried out by now, trials first."""
        return (*self.trials, *self.runs)

    @property
    def provenance(self) -> Provenance:
        return (self.trials or self.runs or self.to_come)[0].spec.provenance

    @property
    def standin(self) -> bool:
        """Whether images are drawn, not photographed."""
        return any(preparation.copy is None for preparation in self.preparations.values())

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every planned (data set, task, backbone, method), methods in the suite's order, the twin among them."""
        return self._cells_of([method.name for method in self.suite.methods])

    @property
    def control_cells(self) -> tuple[Cell, ...]:
        """The same of the negative controls."""
        return self._cells_of(list(self.controls))

    @property
    def teachers(self) -> frozenset[str]:
        """Ids of the runs whose networks other runs of the plan learn from."""
        return frozenset(teacher.id for run in self.everything for teacher in run.spec.teachers)

    def _cells_of(self, methods: Sequence[str]) -> tuple[Cell, ...]:
        every = (
            Cell(dataset.name, task, backbone.name, method)
            for backbone in self.suite.backbones
            for dataset in self.suite.datasets
            for task in self.suite.tasks_of(dataset)
            for method in methods
        )
        return tuple(cell for cell in every if self.is_planned(cell) and self.is_planned(self.twin_of(cell)))

    def twin_of(self, cell: Cell) -> Cell:
        """The single-task cell that a cell is compared with."""
        return replace(cell, method=self.suite.twin.name)

    def is_planned(self, cell: Cell) -> bool:
        """Whether the plan is about a cell, be it that its runs wait for trials."""
        return bool(self.runs_of(cell) or self.absence_of(cell))

    def runs_of(self, cell: Cell) -> dict[int, PlannedRun]:
        """The run of each seed that holds a cell's predictions; none while they wait for trials."""
        return next((self._by_slot[slot] for slot in _slots_of(cell) if slot in self._by_slot), {})

    def absence_of(self, cell: Cell) -> str:
        """Why a planned cell has no runs; empty where it has."""
        return next((self.searches[slot].absence for slot in _slots_of(cell) if slot in self.searches), "")

    @cached_property
    def _by_slot(self) -> dict[Slot, dict[int, PlannedRun]]:
        found: dict[Slot, dict[int, PlannedRun]] = {}
        for run in self.runs:
            found.setdefault(Slot(run.backbone, run.method, run.dataset, run.task), {})[run.seed] = run
        return found


def _slots_of(cell: Cell) -> tuple[Slot, ...]:
    """Slots that may hold a cell's predictions; a method has one of them."""
    about = ((cell.dataset, cell.task), (None, cell.task), (None, None))
    return tuple(Slot(cell.backbone, cell.method, dataset, task) for dataset, task in about)


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
    controls: bool = False,
    store: RecordStore | None = None,
    networks: bool = True,
) -> tuple[SuitePlan, ...]:
    """Plan a suite, or the suites it includes, at every point of its axes.

    The data sets must be prepared, stand-ins need not be. `controls` adds negative controls of every coupled method.
    `only` keeps runs whose backbone, method, data set, task or point of the axes (as `overlap=0.5`) has one of these
    names, and the twins they need. Where the budget tunes, what came of trials is read from `store`; without one, none
    has been made. With `networks=False`, where results are only looked at, it is not tried whether timm can make the
    networks. Raises `SpecError`, `UnknownName`, `DataError` or `UsageError`.
    """
    score_of = scores_in(store) if store is not None else _not_tried
    plans = []
    for suite in checked_suite(catalog, name, budget=budget, networks=networks):
        preparations = find_preparations(catalog, suite)
        known = {name: _known_of(preparation) for name, preparation in preparations.items()}
        matrices = _matrices(catalog, suite, preparations)
        for point in suite.spec.points:
            plans.append(
                _plan_point(suite, point, preparations, known, matrices, seeds, limit, score_of, controls=controls)
            )
    if controls and not any(one.controls for one in plans):
        raise UsageError(
            f"suite '{name}' has no method that couples tasks by their relatedness, so there is nothing to control",
            hint="leave out --controls, or add a coupled method to the suite",
        )
    return _only(name, plans, only) if only else tuple(plans)


def _plan_point(
    suite: ResolvedSuite,
    point: Point,
    preparations: Mapping[str, Preparation],
    known: Mapping[str, tuple[int, str]],
    matrices: tuple[RunRelatedness, ...],
    seeds: int | None,
    limit: int | None,
    score_of: ScoreOf,
    *,
    controls: bool,
) -> SuitePlan:
    sources = _sources(suite, point, preparations, known)
    sizes = {name: _size(known[name][0], source, limit) for name, source in sources.items()}
    shares = allocate(suite.budget.batch, sizes)
    allotted = {name: source.model_copy(update={"batch": shares[name]}) for name, source in sources.items()}
    wanted = suite_controls(suite.methods) if controls else ()
    extended = replace(suite, methods=(*suite.methods, *(control.method for control in wanted)))
    by_name = {control.name: control for control in wanted}
    recipe = _recipe(suite, sum(sizes.values()), limit)
    assembly = Assembly(extended, allotted, recipe, matrices, limit, by_name)
    numbers = tuple(range(seeds or suite.budget.seeds))
    made = SuitePlan(suite, point, numbers, limit, (), preparations, matrices, by_name)
    return _with_runs(made, assembly) if suite.budget.tuning is None else _tuned(made, assembly, score_of)


def _with_runs(made: SuitePlan, assembly: Assembly) -> SuitePlan:
    """All runs of a plan, with every setting as the specs say."""
    return replace(
        made,
        runs=tuple(
            _planned(made, slot, seed, assembly.spec(slot, seed)) for seed in made.seeds for slot in assembly.slots
        ),
    )


def _tuned(made: SuitePlan, assembly: Assembly, score_of: ScoreOf) -> SuitePlan:
    """Trials of all slots, and the runs of those whose trials have all ended, with what was chosen."""
    tuning = made.suite.budget.tuning
    assert tuning is not None
    if len(made.seeds) > FIRST_TRIAL_SEED:
        raise UsageError(
            f"with {len(made.seeds)} seeds some would be those of trials, which count from {FIRST_TRIAL_SEED}",
            hint=f"ask for at most {FIRST_TRIAL_SEED} seeds, or for a budget without `tuning`",
        )
    found = searches(assembly, tuning, score_of)
    chosen = settings_of(found)
    trials: dict[str, PlannedRun] = {}
    for search in found.values():
        for run in (*search.teachers, *search.trials):
            trials.setdefault(run.spec.id, _planned(made, run.slot, run.trial.seed, run.spec, run.trial))
    runs, to_come = [], []
    for seed in made.seeds:
        for slot, search in found.items():
            if slot in chosen:
                runs.append(_planned(made, slot, seed, assembly.spec(slot, seed, chosen[slot], chosen)))
            elif search.state == "searching":
                to_come.append(_planned(made, slot, seed, assembly.spec(slot, seed)))
    for slot, search in found.items():
        unknown = _planned(
            made, slot, FIRST_TRIAL_SEED, assembly.spec(slot, FIRST_TRIAL_SEED), Trial({}, FIRST_TRIAL_SEED)
        )
        to_come += [unknown] * (search.total - len(search.trials) if search.state == "searching" else 0)
    return replace(made, runs=tuple(runs), searches=found, trials=tuple(trials.values()), to_come=tuple(to_come))


def _planned(made: SuitePlan, slot: Slot, seed: int, spec: RunSpec, trial: Trial | None = None) -> PlannedRun:
    return PlannedRun(made.name, slot.backbone, slot.method, seed, slot.dataset, slot.task, spec, trial)


def _not_tried(spec: RunSpec) -> None:
    """What came of a trial where nothing is recorded."""


def _sources(
    suite: ResolvedSuite,
    point: Point,
    preparations: Mapping[str, Preparation],
    known: Mapping[str, tuple[int, str]],
) -> dict[str, RunSource]:
    """The data sets as joint runs take them; what each has of a batch is not told yet."""
    found = {}
    for dataset in suite.datasets:
        tasks = suite.tasks_of(dataset)
        annotated = {task: dataset.tasks[task].annotated for task in tasks}
        found[dataset.name] = RunSource(
            dataset=dataset.name,
            data=known[dataset.name][1],
            standin=preparations[dataset.name].copy is None,
            tasks=tasks,
            batch=0,
            possible={
                task: labels
                for task, labels in annotated.items()
                if labels is not None and set(labels) != set(suite.tasks[task].labels)
            },
            shown=_shown(dataset.name, tasks, point),
        )
    return found


def _shown(dataset: str, tasks: tuple[str, ...], point: Point) -> dict[str, ShownLabels]:
    """What a point of the axes leaves of a data set's labels; nothing where all are shown."""
    fractions = {task: point.label_fraction.get(f"{dataset}/{task}", 1.0) for task in tasks}
    thinned = point.overlap is not None and len(tasks) > 1
    if not thinned and all(fraction == 1 for fraction in fractions.values()):
        return {}
    shown = (
        windows(tasks, point.overlap) if thinned and point.overlap is not None else {t: ShownLabels() for t in tasks}
    )
    return {task: part.model_copy(update={"fraction": fractions[task]}) for task, part in shown.items()}


def _size(images: int, source: RunSource, limit: int | None) -> int:
    """Training images of a data set that a run sees."""
    limited = min(images, limit) if limit else images
    return max(shown_count(limited, source.shown), 1) if source.shown else limited


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
        source = None
        if spec.origin.type == "estimated":
            source = preparations.get(spec.origin.dataset) or estimation_source(
                catalog, spec.origin.dataset, real=real, image_size=suite.budget.image_size
            )
        found.append(run_relatedness(spec, suite.tasks[spec.first_task], suite.tasks[spec.second_task], source))
    return tuple(found)


def _only(name: str, plans: Sequence[SuitePlan], names: Sequence[str]) -> tuple[SuitePlan, ...]:
    """What is left of some plans; those of which nothing is left are dropped."""
    groups = {
        "backbone": {backbone.name for plan in plans for backbone in plan.suite.backbones},
        "method": {name for plan in plans for name in (*(m.name for m in plan.suite.methods), *plan.controls)},
        "dataset": {dataset.name for plan in plans for dataset in plan.suite.datasets},
        "task": {task for plan in plans for task in plan.suite.tasks},
    }
    points = {plan.point.label for plan in plans} - {""}
    known = points.union(*groups.values())
    for one in names:
        if one not in known:
            raise UnknownName("backbone, method, data set, task or point of an axis", one, known)
    wanted = {kind: members & set(names) for kind, members in groups.items()}
    chosen = points & set(names)
    parts = (_part_of(plan, wanted) for plan in plans if not chosen or plan.point.label in chosen)
    found = [one for one in parts if one.everything or one.to_come]
    if not found:
        raise UsageError(f"nothing of suite '{name}' is left by --only {' '.join(names)}")
    return tuple(found)


def _part_of(plan: SuitePlan, wanted: Mapping[str, set[str]]) -> SuitePlan:
    """What is wanted of a plan."""

    wanted = {**wanted, "method": wanted["method"] | _with_controls(plan, wanted["method"])}
    asked = (run for run in plan.everything if _is_wanted(plan.suite, run.slot, wanted))
    teachers = {teacher.id for run in asked for teacher in run.spec.teachers}

    def kept(runs: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
        return tuple(run for run in runs if run.spec.id in teachers or _is_wanted(plan.suite, run.slot, wanted))

    return replace(
        plan,
        runs=kept(plan.runs),
        trials=kept(plan.trials),
        to_come=kept(plan.to_come),
        searches={slot: one for slot, one in plan.searches.items() if _is_wanted(plan.suite, slot, wanted)},
        part_of=plan,
    )


def _with_controls(plan: SuitePlan, methods: set[str]) -> set[str]:
    """The controls of some methods, what some controls control, and the methods without coupling to compare with."""
    asked = [control for control in plan.controls.values() if methods & {control.of, control.name}]
    references = (reference_of(control.method, plan.suite.methods) for control in asked)
    found = {control.name for control in asked if control.of in methods} | {control.of for control in asked}
    return found | {method.name for method in references if method is not None}


def _is_wanted(suite: ResolvedSuite, slot: Slot, wanted: Mapping[str, set[str]]) -> bool:
    """Names of one kind are alternatives, kinds go together; twins stay, or nothing could be judged."""
    if wanted["backbone"] and slot.backbone not in wanted["backbone"]:
        return False
    if wanted["method"] and slot.method not in (*wanted["method"], suite.twin.name):
        return False
    return any(
        (not wanted["dataset"] or dataset.name in wanted["dataset"])
        and (not wanted["task"] or wanted["task"] & {slot.task or task for task in suite.tasks_of(dataset)})
        for dataset in suite.datasets
        if slot.dataset in (None, dataset.name) and (slot.task is None or slot.task in suite.tasks_of(dataset))
    )
