"""Whether what specs ask of modules exists and fits: options of terms, layouts and generators, metrics, models.

Together with `bench.specs.references` this is all that `bench validate` checks and all that a run relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import ValidationError

from bench.errors import BenchError, Problem, SpecError, UnknownName
from bench.specs.backbone import BackboneSpec
from bench.specs.budget import BudgetSpec
from bench.specs.catalog import Catalog
from bench.specs.components import load_part, read_options
from bench.specs.dataset import DatasetSpec
from bench.specs.document import Document, KeyPath
from bench.specs.method import MethodSpec
from bench.specs.model import Component, Spec
from bench.specs.references import ReferenceCheck, ResolvedSuite, resolve_suite
from bench.specs.relatedness import RelatednessSpec
from bench.specs.run import RunBackbone
from bench.specs.suite import SuiteSpec
from bench.specs.task import TaskSpec
from bench.specs.validation import problems_of

LAYOUTS, STANDINS, TERMS, METRICS = (
    "bench.data.layouts",
    "bench.data.standins",
    "bench.methods.terms",
    "bench.metrics",
)


def checked_suite(catalog: Catalog, name: str, *, budget: str | None = None) -> tuple[ResolvedSuite, ...]:
    """The suite, or those that it includes, fully checked. Raises `SpecError` with all problems, or `UnknownName`."""
    suites = resolve_suite(catalog, name, budget=budget)
    problems = [problem for suite in suites for problem in suite_problems(catalog, suite)]
    if problems:
        raise SpecError(problems, hint="mend the specs, then `bench validate` tells whether all is well")
    return suites


def validate_spec(catalog: Catalog, spec: Spec, kind: str) -> list[Problem]:
    """All problems of one spec and of everything that it names."""
    if isinstance(spec, SuiteSpec):
        try:
            checked_suite(catalog, spec.name)
        except SpecError as error:
            return list(error.problems)
        return []
    check = ReferenceCheck(catalog)
    check.spec(type(spec), spec.name)
    return check.problems or list(_own_problems(catalog, spec, catalog.document(kind, spec.name)))


def suite_problems(catalog: Catalog, suite: ResolvedSuite) -> list[Problem]:
    """What the parts of a suite say against it, beyond what its specs say of each other."""
    problems: list[Problem] = []
    named: list[tuple[str, Spec]] = [("task", task) for task in suite.tasks.values()]
    named += [("dataset", dataset) for dataset in suite.datasets]
    named += [("method", method) for method in suite.methods]
    named += [("backbone", backbone) for backbone in suite.backbones]
    named.append(("budget", suite.budget))
    for kind, spec in named:
        problems += _own_problems(catalog, spec, catalog.document(kind, spec.name))
    document = catalog.document("suite", suite.name)
    problems += _sizes(suite, document)
    problems += _couplings(suite, document)
    return problems


def _own_problems(catalog: Catalog, spec: Spec, document: Document) -> Iterable[Problem]:
    match spec:
        case TaskSpec():
            return _task(spec, document)
        case DatasetSpec():
            return _dataset(catalog, spec, document)
        case MethodSpec():
            return _method(spec, document)
        case BackboneSpec():
            return _backbone(spec, document)
        case BudgetSpec():
            return _attempt(lambda: _check_optimizer(spec.optimizer.name), document, ("optimizer", "name"))
    return []


def _attempt(action: Callable[[], object], document: Document, path: KeyPath) -> list[Problem]:
    try:
        action()
    except BenchError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return [document.problem(path, error.message + hint)]
    return []


def _component(package: str, what: str, component: Component, document: Document, path: KeyPath) -> list[Problem]:
    """Whether the part exists and takes the options."""
    try:
        module = load_part(package, component.name, what)
    except UnknownName as error:
        return [document.problem((*path, "name"), error.message)]
    try:
        read_options(module.Options, component.options)
    except ValidationError as error:
        return problems_of(error, module.Options, document, path)
    return []


def _task(task: TaskSpec, document: Document) -> list[Problem]:
    problems: list[Problem] = []
    for i, name in enumerate(task.metrics):
        try:
            metric = load_part(METRICS, name, "metric")
        except UnknownName as error:
            problems.append(document.problem(("metrics", i), error.message))
            continue
        if task.type != metric.TASK_TYPE:
            message = f"'{name}' scores {metric.TASK_TYPE} tasks; this task is {task.type}"
            problems.append(document.problem(("metrics", i), message))
        if name == task.primary and not metric.HIGHER_IS_BETTER:
            message = (
                f"'{name}' is better when lower; models are selected and ranked by a metric that is better when higher"
            )
            problems.append(document.problem(("primary",), message))
    return problems


def _dataset(catalog: Catalog, dataset: DatasetSpec, document: Document) -> list[Problem]:
    problems: list[Problem] = []
    if dataset.layout is not None:
        problems += _component(LAYOUTS, "layout", dataset.layout, document, ("layout",))
    if dataset.standin is None:
        return problems
    found = _component(STANDINS, "stand-in generator", dataset.standin, document, ("standin",))
    if found:
        return problems + found
    generator = load_part(STANDINS, dataset.standin.name, "stand-in generator")
    relatedness = catalog.get(RelatednessSpec, dataset.standin.relatedness)
    if relatedness.probabilities is None:
        message = "a stand-in is drawn from known probabilities, and this relatedness is estimated"
        return [*problems, document.problem(("standin", "relatedness"), message)]
    tasks = standin_tasks(catalog, dataset)
    options = read_options(generator.Options, dataset.standin.options)
    for path, message in generator.check(options, dataset, tasks, relatedness):
        problems.append(document.problem(("standin", *path), message))
    return problems


def standin_tasks(catalog: Catalog, dataset: DatasetSpec) -> dict[str, TaskSpec]:
    """The tasks of a data set and those that its stand-in's labels are drawn from."""
    names = list(dataset.tasks)
    if dataset.standin is not None:
        relatedness = catalog.get(RelatednessSpec, dataset.standin.relatedness)
        names += [relatedness.class_task, relatedness.second_task]
    return {name: catalog.get(TaskSpec, name) for name in dict.fromkeys(names)}


def _method(method: MethodSpec, document: Document) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for i, term in enumerate(method.terms):
        path = ("terms", i)
        found = _component(TERMS, "term", term, document, path)
        if term.name in seen:
            found.append(document.problem((*path, "name"), f"the term '{term.name}' is given twice"))
        seen.add(term.name)
        if not found and method.type == "single" and load_part(TERMS, term.name, "term").NEEDS_RELATEDNESS:
            message = f"'{term.name}' couples tasks; a single-task method has nothing to couple"
            found.append(document.problem((*path, "name"), message))
        problems += found
    return problems


def _backbone(backbone: BackboneSpec, document: Document) -> list[Problem]:
    from bench.models.network import check_name, check_tag, check_weights_file

    run = run_backbone(backbone)
    problems = _attempt(lambda: check_name(run.timm), document, ("timm",))
    if problems or run.weights is None:
        return problems
    if run.weights.file is not None:
        return _attempt(lambda: check_weights_file(run), document, ("weights", "file"))
    return _attempt(lambda: check_tag(run), document, ("weights", "timm"))


def _check_optimizer(name: str) -> None:
    from bench.models.network import check_optimizer

    check_optimizer(name)


def run_backbone(backbone: BackboneSpec) -> RunBackbone:
    """A backbone spec as a run needs it."""
    return RunBackbone(**{name: getattr(backbone, name) for name in RunBackbone.model_fields})


def _sizes(suite: ResolvedSuite, document: Document) -> list[Problem]:
    """Whether each backbone takes the budget's images."""
    from bench.models.network import describe

    problems: list[Problem] = []
    for i, backbone in enumerate(suite.backbones):
        run = run_backbone(backbone)
        problems += _attempt(lambda run=run: describe(run, suite.budget.image_size), document, ("backbones", i))  # type: ignore[misc]
    return problems


def _couplings(suite: ResolvedSuite, document: Document) -> list[Problem]:
    """Whether methods that couple tasks have a relatedness to do it by."""
    problems: list[Problem] = []
    for i, method in enumerate(suite.spec.methods):
        spec = next(m for m in suite.methods if m.name == method)
        for term in spec.terms:
            if load_part(TERMS, term.name, "term").NEEDS_RELATEDNESS and not suite.relatedness:
                message = f"'{method}' couples tasks by relatedness (term '{term.name}'), and the suite names none"
                problems.append(document.problem(("methods", i), message))
    return problems
