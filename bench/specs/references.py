"""Whether specs fit together: every name that one spec takes from another exists and means what it must.

Nothing here reads data or imports a model; what modules say of their own options is checked in `bench.runs.check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.errors import Problem, SpecError, UnknownName, did_you_mean
from bench.specs.backbone import BackboneSpec
from bench.specs.budget import BudgetSpec
from bench.specs.catalog import KIND_OF, Catalog
from bench.specs.dataset import ABSENT, PRESENT, Annotation, DatasetSpec
from bench.specs.document import Document, KeyPath
from bench.specs.method import MethodSpec
from bench.specs.model import Spec
from bench.specs.published import Published
from bench.specs.relatedness import Estimated, RelatednessSpec
from bench.specs.suite import SuiteSpec
from bench.specs.task import TaskSpec

AnySpec = TypeVar("AnySpec", bound=Spec)

Rows = Mapping[str, Mapping[str, float]]
"""Probabilities by labels of the first and of the second task."""


@dataclass(frozen=True)
class ResolvedSuite:
    """A suite with all specs it names; checked, so that nothing in it can fail for its spec later."""

    spec: SuiteSpec
    tasks: dict[str, TaskSpec]
    datasets: tuple[DatasetSpec, ...]
    relatedness: tuple[RelatednessSpec, ...]
    backbones: tuple[BackboneSpec, ...]
    methods: tuple[MethodSpec, ...]
    budget: BudgetSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def twin(self) -> MethodSpec:
        """The single-task method that every joint run is compared with."""
        return next(method for method in self.methods if method.type == "single")

    @property
    def compared(self) -> tuple[MethodSpec, ...]:
        """The methods that are judged against the twin."""
        return tuple(method for method in self.methods if method.type != "single")

    def tasks_of(self, dataset: DatasetSpec) -> tuple[str, ...]:
        """Tasks of the suite that a data set annotates, in the suite's order."""
        return tuple(task for task in self.tasks if task in dataset.tasks)


def resolve_suite(catalog: Catalog, name: str, *, budget: str | None = None) -> tuple[ResolvedSuite, ...]:
    """The suite, or the suites that it includes. Raises `SpecError` with every problem of all specs involved."""
    check = ReferenceCheck(catalog)
    members = check.suite(name)
    if budget is not None:
        check.spec(BudgetSpec, budget)
    if check.problems:
        raise SpecError(check.problems, hint="mend the specs, then `bench validate` tells whether all is well")
    return tuple(_resolved(catalog, catalog.get(SuiteSpec, member), budget) for member in members)


def _resolved(catalog: Catalog, suite: SuiteSpec, budget: str | None) -> ResolvedSuite:
    datasets = tuple(catalog.get(DatasetSpec, name) for name in suite.datasets)
    tasks = suite.tasks or tuple(dict.fromkeys(task for dataset in datasets for task in dataset.tasks))
    return ResolvedSuite(
        spec=suite,
        tasks={name: catalog.get(TaskSpec, name) for name in tasks},
        datasets=datasets,
        relatedness=tuple(catalog.get(RelatednessSpec, name) for name in suite.relatedness),
        backbones=tuple(catalog.get(BackboneSpec, name) for name in suite.backbones),
        methods=tuple(catalog.get(MethodSpec, name) for name in suite.methods),
        budget=catalog.get(BudgetSpec, budget or suite.budget or ""),
    )


def published_numbers(folder: Path, catalog: Catalog) -> tuple[tuple[Published, ...], tuple[Problem, ...]]:
    """Published numbers of a catalog and of one more folder that can be read, and what is wrong with the others."""
    whole = Catalog([*catalog.folders, folder]) if folder.is_dir() else catalog
    found: list[Published] = []
    problems = [problem for problem in whole.unreadable if problem not in catalog.unreadable]
    try:
        names = whole.names(KIND_OF[Published])
    except SpecError as error:  # a name that stands twice
        return (), (*problems, *error.problems)
    for name in names:
        check = ReferenceCheck(whole)
        spec = check.spec(Published, name)
        problems += check.problems
        if spec is not None and not check.problems:
            found.append(spec)
    return tuple(found), tuple(problems)


class ReferenceCheck:
    """Walks from specs to all that they name and collects problems; each spec is looked at once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.problems: list[Problem] = []
        self._seen: dict[tuple[str, str], Spec | None] = {}

    @property
    def found(self) -> dict[tuple[str, str], Spec]:
        """All specs that were reached and could be read, by kind and name."""
        return {key: spec for key, spec in self._seen.items() if spec is not None}

    def spec(self, model: type[AnySpec], name: str) -> AnySpec | None:
        """Check one spec and all that it names; None if it cannot be read. Raises `UnknownName`."""
        key = (KIND_OF[model], name)
        if key not in self._seen:
            self._seen[key] = None
            entry = self.catalog.entry(*key)
            try:
                self._seen[key] = self.catalog.get(model, name)
            except SpecError as error:
                self.problems.extend(error.problems)
            else:
                self._contents(self.catalog.get(model, name), self.catalog.document(entry.kind, name))
        found = self._seen[key]
        assert found is None or isinstance(found, model)
        return found

    def suite(self, name: str) -> tuple[str, ...]:
        """Check a suite; returns the names of the suites with a matrix that it stands for."""
        self.spec(SuiteSpec, name)
        return self._members(name, ())

    def _members(self, name: str, above: tuple[str, ...]) -> tuple[str, ...]:
        suite = self._seen.get(("suite", name))
        if not isinstance(suite, SuiteSpec) or name in above:
            return ()
        if not suite.includes:
            return (name,)
        inner = [member for part in suite.includes for member in self._members(part, (*above, name))]
        return tuple(dict.fromkeys(inner))

    def _contents(self, spec: Spec, document: Document) -> None:
        match spec:
            case SuiteSpec():
                self._suite(spec, document)
            case DatasetSpec():
                self._dataset(spec, document)
            case RelatednessSpec():
                self._relatedness(spec, document)
            case Published():
                self._published(spec, document)

    def _complain(self, document: Document, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        self.problems.append(document.problem(path, message, at_key=at_key))

    def _named(self, model: type[AnySpec], name: str, document: Document, path: KeyPath) -> AnySpec | None:
        """The spec that `document` names at `path`; a problem there if nothing has that name."""
        try:
            return self.spec(model, name)
        except UnknownName as error:
            self._complain(document, path, error.message)
            return None

    def _all_named(self, model: type[AnySpec], names: Iterable[str], document: Document, key: str) -> list[AnySpec]:
        found = [self._named(model, name, document, (key, i)) for i, name in enumerate(names)]
        return [spec for spec in found if spec is not None]

    def _known_labels(
        self, labels: Iterable[tuple[str, KeyPath]], task: TaskSpec, document: Document, *, at_key: bool = False
    ) -> None:
        for label, path in labels:
            if label not in task.labels:
                near = did_you_mean(label, task.labels)
                self._complain(document, path, f"task '{task.name}' has no label '{label}'{near}", at_key=at_key)

    def _dataset(self, dataset: DatasetSpec, document: Document) -> None:
        for name, annotation in dataset.tasks.items():
            try:
                task = self.spec(TaskSpec, name)
            except UnknownName as error:
                self._complain(document, ("tasks", name), error.message, at_key=True)
                continue
            if task is not None:
                self._annotation(annotation, task, document, ("tasks", name), has_layout=dataset.layout is not None)
                for variant, expected in dataset.expected.items():
                    for split, counts in expected.labels.get(name, {}).items():
                        path = ("expected", variant, "labels", name, split)
                        self._known_labels(((label, (*path, label)) for label in counts), task, document, at_key=True)
        if dataset.standin is not None and dataset.standin.relatedness is not None:
            self._named(RelatednessSpec, dataset.standin.relatedness, document, ("standin", "relatedness"))

    def _annotation(
        self, annotation: Annotation, task: TaskSpec, document: Document, path: KeyPath, *, has_layout: bool
    ) -> None:
        needed, other = ("column", "columns") if task.type == "multiclass" else ("columns", "column")
        if getattr(annotation, other) is not None:
            self._complain(document, (*path, other), f"task '{task.name}' is {task.type}: give `{needed}` instead")
        elif has_layout and task.type == "multiclass" and annotation.column is None:
            self._complain(document, path, "`column` is needed to read labels of a multiclass task")
        if annotation.columns is not None:
            entries = ((label, (*path, "columns", label)) for label in annotation.columns)
            self._known_labels(entries, task, document, at_key=True)
        if annotation.labels is not None:
            listed = ((label, (*path, "labels", i)) for i, label in enumerate(annotation.labels))
            self._known_labels(listed, task, document)
        codes = [(label, (*path, "codes", code)) for code, label in (annotation.codes or {}).items()]
        if task.type == "multiclass":
            self._known_labels(codes, task, document)
            return
        for meaning, place in codes:
            if meaning not in (PRESENT, ABSENT):
                near = did_you_mean(meaning, (PRESENT, ABSENT))
                self._complain(document, place, f"a code of a multilabel task means present or absent{near}")

    def _relatedness(self, spec: RelatednessSpec, document: Document) -> None:
        first = self._named(TaskSpec, spec.first_task, document, ("first_task",))
        second = self._named(TaskSpec, spec.second_task, document, ("second_task",))
        if isinstance(spec.origin, Estimated):
            self._estimated_from(spec, spec.origin, document)
        if first is None or second is None:
            return
        if first.type == "multiclass":
            self._class_rows(spec, first, second, document)
        elif second.type == "multilabel":
            self._attribute_rows(spec, first, second, document)
        else:
            message = f"task '{first.name}' is multilabel, not multiclass; make '{second.name}' the first task"
            self._complain(document, ("first_task",), message)

    def _class_rows(self, spec: RelatednessSpec, first: TaskSpec, second: TaskSpec, document: Document) -> None:
        """Rows of a class task are complete: each class says something of every covered label."""
        if spec.given_absent is not None:
            message = f"is for a multilabel first task; '{first.name}' is multiclass"
            self._complain(document, ("given_absent",), message, at_key=True)
        if isinstance(spec.origin, Estimated) and "least_difference" in spec.origin.model_fields_set:
            message = f"is for a multilabel first task; '{first.name}' is multiclass"
            self._complain(document, ("origin", "least_difference"), message, at_key=True)
        if spec.probabilities is None:
            return
        self._known_cells("probabilities", spec.probabilities, first, second, document)
        for label in first.labels:
            if label not in spec.probabilities:
                message = f"no row for the class '{label}'; an empty row `{label}: {{}}` says that nothing is listed"
                self._complain(document, ("probabilities",), message)
        if second.type != "multiclass":
            return
        for label, row in spec.probabilities.items():
            if abs(sum(row.values()) - 1) > 1e-3:
                message = f"probabilities of a class task must sum to 1 in each row (here {sum(row.values()):g})"
                self._complain(document, ("probabilities", label), message)
        if spec.unlisted:
            self._complain(document, ("unlisted",), "rows over a class task are complete; leave out `unlisted`")

    def _attribute_rows(self, spec: RelatednessSpec, first: TaskSpec, second: TaskSpec, document: Document) -> None:
        """Cells of an attribute task stand for themselves, each with what holds where the attribute is absent."""
        if "unlisted" in spec.model_fields_set:
            message = "only listed pairs of attributes are related; leave out `unlisted`"
            self._complain(document, ("unlisted",), message, at_key=True)
        if spec.probabilities is None:
            return
        self._known_cells("probabilities", spec.probabilities, first, second, document)
        if spec.given_absent is None:
            message = (
                f"'{first.name}' is multilabel, so `given_absent` is needed too: the same cells where the row's label "
                "is absent"
            )
            self._complain(document, ("probabilities",), message, at_key=True)
            return
        self._known_cells("given_absent", spec.given_absent, first, second, document)
        self._all_listed("given_absent", spec.given_absent, "probabilities", spec.probabilities, document)
        self._all_listed("probabilities", spec.probabilities, "given_absent", spec.given_absent, document)

    def _known_cells(self, key: str, rows: Rows, first: TaskSpec, second: TaskSpec, document: Document) -> None:
        """Whether rows and cells are labels of the two tasks."""
        self._known_labels(((label, (key, label)) for label in rows), first, document, at_key=True)
        for label, row in rows.items():
            self._known_labels(((name, (key, label, name)) for name in row), second, document, at_key=True)

    def _all_listed(self, key: str, rows: Rows, other: str, others: Rows, document: Document) -> None:
        """Whether each cell of `rows` is among `others` too."""
        for label, row in rows.items():
            for name in row:
                if name not in others.get(label, {}):
                    message = f"`{other}` has no such cell; both have the same"
                    self._complain(document, (key, label, name), message, at_key=True)

    def _estimated_from(self, spec: RelatednessSpec, origin: Estimated, document: Document) -> None:
        dataset = self._named(DatasetSpec, origin.dataset, document, ("origin", "dataset"))
        for task in (spec.first_task, spec.second_task):
            if dataset is not None and task not in dataset.tasks:
                message = f"data set '{dataset.name}' does not annotate '{task}'{did_you_mean(task, dataset.tasks)}"
                self._complain(document, ("origin", "dataset"), message)

    def _published(self, spec: Published, document: Document) -> None:
        """Whether each number is of a data set, a task of it, and a metric of that, as the catalog has them."""
        for i, result in enumerate(spec.results):
            path = ("results", i)
            dataset = self._named(DatasetSpec, result.dataset, document, (*path, "dataset"))
            if dataset is None:
                continue
            if result.task not in dataset.tasks:
                near = did_you_mean(result.task, dataset.tasks)
                message = f"data set '{dataset.name}' does not annotate '{result.task}'{near}"
                self._complain(document, (*path, "task"), message)
                continue
            task = self._named(TaskSpec, result.task, document, (*path, "task"))
            if task is not None and result.metric not in task.metrics:
                near = did_you_mean(result.metric, task.metrics)
                self._complain(document, (*path, "metric"), f"task '{task.name}' has no metric '{result.metric}'{near}")

    def _suite(self, suite: SuiteSpec, document: Document) -> None:
        for i, name in enumerate(suite.includes):
            self._included(suite, name, document, ("includes", i))
        if suite.includes:
            return
        datasets = self._all_named(DatasetSpec, suite.datasets, document, "datasets")
        tasks = self._suite_tasks(suite, datasets, document)
        related = self._all_named(RelatednessSpec, suite.relatedness, document, "relatedness")
        if tasks is not None:
            self._related(related, suite, tasks, document)
            self._margins(suite, tasks, document)
            self._axes(suite, datasets, tasks, document)
        self._all_named(BackboneSpec, suite.backbones, document, "backbones")
        self._twin(self._all_named(MethodSpec, suite.methods, document, "methods"), suite, document)
        self._named(BudgetSpec, suite.budget or "", document, ("budget",))

    def _axes(
        self, suite: SuiteSpec, datasets: list[DatasetSpec], tasks: dict[str, TaskSpec], document: Document
    ) -> None:
        if suite.axes is None:
            return
        annotated = [[f"{dataset.name}/{task}" for task in tasks if task in dataset.tasks] for dataset in datasets]
        if suite.axes.overlap is not None and not any(len(cells) > 1 for cells in annotated):
            message = "no data set of the suite annotates two of its tasks, so none can overlap"
            self._complain(document, ("axes", "overlap"), message, at_key=True)
        known = [cell for cells in annotated for cell in cells]
        for cell in suite.axes.label_fraction:
            if cell not in known:
                message = f"the suite has no data set and task '{cell}'{did_you_mean(cell, known)}"
                self._complain(document, ("axes", "label_fraction", cell), message, at_key=True)

    def _related(
        self, related: list[RelatednessSpec], suite: SuiteSpec, tasks: dict[str, TaskSpec], document: Document
    ) -> None:
        for spec in related:
            for task in (spec.first_task, spec.second_task):
                if task not in tasks:
                    message = f"relates '{task}', which is not among the suite's tasks{did_you_mean(task, tasks)}"
                    self._complain(document, ("relatedness", suite.relatedness.index(spec.name)), message)

    def _included(self, suite: SuiteSpec, name: str, document: Document, path: KeyPath) -> None:
        trail = self._way_back(name, suite.name, ())
        if trail:
            self._complain(document, path, f"the suite includes itself: {' -> '.join((suite.name, *trail))}")
        else:
            self._named(SuiteSpec, name, document, path)

    def _way_back(self, name: str, goal: str, walked: tuple[str, ...]) -> tuple[str, ...]:
        if name == goal:
            return (*walked, name)
        if name in walked or name not in self.catalog.names("suite"):
            return ()
        try:
            inner = self.catalog.get(SuiteSpec, name).includes
        except SpecError:
            return ()  # its own problems are reported where it is checked itself
        ways = (self._way_back(part, goal, (*walked, name)) for part in inner)
        return next((way for way in ways if way), ())

    def _suite_tasks(
        self, suite: SuiteSpec, datasets: list[DatasetSpec], document: Document
    ) -> dict[str, TaskSpec] | None:
        """The tasks of a suite; None where a data set or task cannot be read, so that they are not all known."""
        annotated = dict.fromkeys(task for dataset in datasets for task in dataset.tasks)
        complete = len(datasets) == len(suite.datasets)
        for i, name in enumerate(suite.tasks):
            if self._named(TaskSpec, name, document, ("tasks", i)) and complete and name not in annotated:
                self._complain(document, ("tasks", i), f"no data set of the suite annotates '{name}'")
        chosen = [name for name in annotated if not suite.tasks or name in suite.tasks]
        for dataset in datasets:
            if suite.tasks and not set(dataset.tasks) & set(suite.tasks):
                place = ("datasets", suite.datasets.index(dataset.name))
                self._complain(document, place, f"annotates none of the suite's tasks ({', '.join(suite.tasks)})")
        found = {name: self._seen.get(("task", name)) for name in chosen}
        tasks = {name: task for name, task in found.items() if isinstance(task, TaskSpec)}
        return tasks if complete and len(tasks) == len(chosen) else None

    def _twin(self, methods: list[MethodSpec], suite: SuiteSpec, document: Document) -> None:
        single = [method.name for method in methods if method.type == "single"]
        if len(methods) == len(suite.methods) and len(single) != 1:
            found = f"has {', '.join(single)}" if single else "has none"
            self._complain(
                document, ("methods",), f"a suite needs exactly one single-task method to compare with ({found})"
            )

    def _margins(self, suite: SuiteSpec, tasks: dict[str, TaskSpec], document: Document) -> None:
        metrics = {metric for task in tasks.values() for metric in task.metrics}
        for metric in suite.margins:
            if metric not in metrics:
                near = did_you_mean(metric, metrics)
                self._complain(
                    document, ("margins", metric), f"no task of the suite is scored by '{metric}'{near}", at_key=True
                )
        for task in tasks.values():
            if task.primary not in suite.margins:
                message = f"a margin for '{task.primary}', the primary metric of '{task.name}', is needed"
                self._complain(document, ("margins",), message)
