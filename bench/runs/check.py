"""Whether what specs ask of modules exists and fits: options of terms, layouts and generators, metrics, models.

Together with `bench.specs.references` this is all that `bench validate` checks and all that a run relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pydantic import ValidationError

from bench.data.expectations import ANY
from bench.data.labels import columns_of
from bench.errors import BenchError, Problem, SpecError, UsageError, did_you_mean
from bench.runs.assembly import run_backbone
from bench.runs.parts import BALANCERS, LABELS, LAYOUTS, METRICS, STANDINS, TERMS, needs
from bench.runs.tuning import tuning_problems
from bench.specs.backbone import BackboneSpec
from bench.specs.budget import GRAPHS, BudgetSpec
from bench.specs.catalog import AnySpec, Catalog
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

Specs = Mapping[tuple[str, str], Spec]
"""Specs by kind and name."""


def checked_suite(
    catalog: Catalog, name: str, *, budget: str | None = None, networks: bool = True
) -> tuple[ResolvedSuite, ...]:
    """The suite, or those that it includes, fully checked. Raises `SpecError` with all problems, or `UnknownName`.

    With `networks=False` all but what needs timm: whether there are such networks and optimisers.
    """
    check = ReferenceCheck(catalog)
    check.spec(SuiteSpec, name)
    if budget is not None:
        check.spec(BudgetSpec, budget)
    problems = _all_problems(catalog, check, budget, networks=networks)
    if problems:
        raise SpecError(problems, hint="mend the specs, then `bench validate` tells whether all is well")
    return resolve_suite(catalog, name, budget=budget)


def checked_spec(catalog: Catalog, model: type[AnySpec], name: str) -> AnySpec:
    """One spec, fully checked. Raises `SpecError` with all problems of it and of what it names, or `UnknownName`."""
    spec = catalog.get(model, name)
    problems = validate_spec(catalog, spec)
    if problems:
        raise SpecError(problems, hint="mend the specs, then `bench validate` tells whether all is well")
    return spec


def validate_spec(catalog: Catalog, spec: Spec) -> list[Problem]:
    """All problems of one spec and of everything that it names."""
    check = ReferenceCheck(catalog)
    check.spec(type(spec), spec.name)
    return _all_problems(catalog, check)


def _all_problems(
    catalog: Catalog, check: ReferenceCheck, budget: str | None = None, *, networks: bool = True
) -> list[Problem]:
    """What specs say against each other, and what modules say against them, in one go."""
    problems = list(check.problems)
    own: dict[tuple[str, str], list[Problem]] = {}
    for (kind, name), spec in check.found.items():
        own[kind, name] = list(_own_problems(catalog, spec, catalog.document(kind, name), networks=networks))
        problems += own[kind, name]
    fit = {key: spec for key, spec in check.found.items() if not own[key]}
    for spec in fit.values():
        if isinstance(spec, SuiteSpec):
            document = catalog.document("suite", spec.name)
            limits = fit.get(("budget", budget or spec.budget or ""))
            if isinstance(limits, BudgetSpec):
                problems += _room(spec, limits, document)
                problems += _sizes(spec, fit, limits, document) if networks else []
            problems += _couplings(spec, fit, limits if isinstance(limits, BudgetSpec) else None, document)
    return problems


def _own_problems(catalog: Catalog, spec: Spec, document: Document, *, networks: bool) -> Iterable[Problem]:
    match spec:
        case TaskSpec():
            return _task(spec, document)
        case DatasetSpec():
            return _dataset(catalog, spec, document)
        case MethodSpec():
            return _method(spec, document)
        case BackboneSpec() if networks:
            return _backbone(spec, document)
        case BudgetSpec():
            problems = tuning_problems(spec, document)
            if networks:
                problems += _attempt(lambda: _check_optimizer(spec.optimizer.name), document, ("optimizer", "name"))
            return problems
    return []


def _attempt(action: Callable[[], object], document: Document, path: KeyPath) -> list[Problem]:
    try:
        action()
    except BenchError as error:
        return [document.problem(path, _told(error))]
    return []


def _told(error: BenchError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _component(package: str, what: str, component: Component, document: Document, path: KeyPath) -> list[Problem]:
    """Whether the part exists and takes the options."""
    try:
        module = load_part(package, component.name, what)
    except UsageError as error:
        return [document.problem((*path, "name"), _told(error))]
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
        except UsageError as error:
            problems.append(document.problem(("metrics", i), _told(error)))
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
        found = _component(LAYOUTS, "layout", dataset.layout, document, ("layout",))
        problems += found or _columns(catalog, dataset, dataset.layout, document)
        problems += [] if found else _expected(dataset, dataset.layout, document)
    if dataset.standin is None:
        return problems
    found = _component(STANDINS, "stand-in generator", dataset.standin, document, ("standin",))
    if found:
        return problems + found
    generator = load_part(STANDINS, dataset.standin.name, "stand-in generator")
    try:
        relatedness = standin_relatedness(catalog, dataset)
        tasks = standin_tasks(catalog, dataset)
    except UsageError:
        return problems  # what the data set names is told by the reference check
    if relatedness is not None and relatedness.probabilities is None:
        message = "a stand-in is drawn from known probabilities, and this relatedness is estimated"
        return [*problems, document.problem(("standin", "relatedness"), message)]
    if relatedness is not None and tasks[relatedness.first_task].type != "multiclass":
        message = f"a stand-in is drawn by class, and '{relatedness.first_task}' is a multilabel task"
        return [*problems, document.problem(("standin", "relatedness"), message)]
    options = read_options(generator.Options, dataset.standin.options)
    for path, message in generator.check(options, dataset, tasks, relatedness):
        problems.append(document.problem(("standin", *path), message))
    return problems


def _expected(dataset: DatasetSpec, declared: Component, document: Document) -> list[Problem]:
    """Whether what is expected of a copy is about variants and tasks that there are."""
    problems: list[Problem] = []
    variants = (*load_part(LAYOUTS, declared.name, "layout").VARIANTS, ANY)
    for variant, expected in dataset.expected.items():
        if variant not in variants:
            message = f"the layout '{declared.name}' knows no variant '{variant}'{did_you_mean(variant, variants)}"
            problems.append(document.problem(("expected", variant), message, at_key=True))
        for task in expected.labels:
            if task not in dataset.tasks:
                message = f"the data set does not annotate '{task}'{did_you_mean(task, dataset.tasks)}"
                problems.append(document.problem(("expected", variant, "labels", task), message, at_key=True))
    return problems


def _columns(catalog: Catalog, dataset: DatasetSpec, declared: Component, document: Document) -> list[Problem]:
    """Whether the layout offers the columns that labels are taken from, where that is known without a copy."""
    layout = load_part(LAYOUTS, declared.name, "layout")
    known = layout.columns(read_options(layout.Options, declared.options))
    if known is None:
        return []
    problems: list[Problem] = []
    for name, annotation in dataset.tasks.items():
        try:
            task = catalog.get(TaskSpec, name)
        except UsageError:
            continue  # what the data set names is told by the reference check
        for label, column in columns_of(annotation, task).items():
            if column not in known:
                inner = ("column",) if task.type == "multiclass" else ("columns", label) if annotation.columns else ()
                message = f"the layout '{declared.name}' has no column '{column}'{did_you_mean(column, known)}"
                problems.append(document.problem(("tasks", name, *inner), message))
    return problems


def standin_relatedness(catalog: Catalog, dataset: DatasetSpec) -> RelatednessSpec | None:
    """What the labels of a data set's stand-in are drawn from, if not from the generator's own table."""
    if dataset.standin is None or dataset.standin.relatedness is None:
        return None
    return catalog.get(RelatednessSpec, dataset.standin.relatedness)


def standin_tasks(catalog: Catalog, dataset: DatasetSpec) -> dict[str, TaskSpec]:
    """The tasks of a data set and those that its stand-in's labels are drawn from."""
    names = list(dataset.tasks)
    relatedness = standin_relatedness(catalog, dataset)
    if relatedness is not None:
        names += [relatedness.first_task, relatedness.second_task]
    return {name: catalog.get(TaskSpec, name) for name in dict.fromkeys(names)}


def _method(method: MethodSpec, document: Document) -> list[Problem]:
    problems = _listed(TERMS, "term", method.terms, document, "terms")
    problems += _listed(LABELS, "label transform", method.labels, document, "labels")
    if method.balancer is not None:
        problems += _component(BALANCERS, "balancer", method.balancer, document, ("balancer",))
        if method.type != "joint":
            message = f"a {method.type} method learns one task at a time, so there is nothing to balance"
            problems.append(document.problem(("balancer",), message))
    if problems:
        return problems
    if method.type != "joint":
        problems += _nothing_to_couple(method, document)
    if not problems and not any(load_part(TERMS, term.name, "term").BALANCED for term in method.terms):
        message = "no term of the method is a task's own loss, so there is nothing to learn from; add `supervised`"
        problems.append(document.problem(("terms",), message))
    return problems


def _listed(package: str, what: str, components: Sequence[Component], document: Document, key: str) -> list[Problem]:
    problems: list[Problem] = []
    for i, component in enumerate(components):
        problems += _component(package, what, component, document, (key, i))
        if component.name in [earlier.name for earlier in components[:i]]:
            message = f"the {what} '{component.name}' is given twice"
            problems.append(document.problem((key, i, "name"), message))
    return problems


def _nothing_to_couple(method: MethodSpec, document: Document) -> list[Problem]:
    """Parts of a method of one task that need other tasks."""
    problems = []
    lacking = {*needs(method, "NEEDS_RELATEDNESS"), *needs(method, "NEEDS_TEACHERS")}
    for key, components in (("terms", method.terms), ("labels", method.labels)):
        for i, component in enumerate(components):
            if component.name in lacking:
                message = f"'{component.name}' couples tasks; a {method.type} method learns one at a time"
                problems.append(document.problem((key, i, "name"), message))
    return problems


def _backbone(backbone: BackboneSpec, document: Document) -> list[Problem]:
    from bench.models.network import check_name, check_tag, check_weights_file

    run = run_backbone(backbone)
    problems = _attempt(lambda: check_name(run.timm), document, ("timm",))
    if problems:
        return problems
    if run.options:
        problems += _attempt(lambda: _check_options(run), document, ("options",))
    if run.weights is not None and run.weights.file is not None:
        problems += _attempt(lambda: check_weights_file(run), document, ("weights", "file"))
    elif run.weights is not None:
        problems += _attempt(lambda: check_tag(run), document, ("weights", "timm"))
    return problems


def _check_options(backbone: RunBackbone) -> None:
    """Whether timm takes the options; the model is made without memory for its weights."""
    import torch

    from bench.models.network import create_backbone

    with torch.device("meta"):
        create_backbone(backbone.model_copy(update={"weights": None}))


def _check_optimizer(name: str) -> None:
    from bench.models.network import check_optimizer

    check_optimizer(name)


def _room(suite: SuiteSpec, budget: BudgetSpec, document: Document) -> list[Problem]:
    """Whether a batch of the budget holds something of every data set."""
    batch = budget.batch
    if batch.size >= batch.least * len(suite.datasets):
        return []
    message = (
        f"budget '{budget.name}' has batches of {batch.size} images, too few for at least {batch.least} of each of "
        f"{len(suite.datasets)} data sets"
    )
    return [document.problem(("budget",), message)]


def _sizes(suite: SuiteSpec, fit: Specs, budget: BudgetSpec, document: Document) -> list[Problem]:
    """Whether each backbone takes the budget's images."""
    from bench.models.network import describe

    problems: list[Problem] = []
    for i, name in enumerate(suite.backbones):
        backbone = fit.get(("backbone", name))
        if isinstance(backbone, BackboneSpec):
            describing = partial(describe, run_backbone(backbone), budget.image_size)
            problems += _attempt(describing, document, ("backbones", i))
    return problems


def _couplings(suite: SuiteSpec, fit: Specs, budget: BudgetSpec | None, document: Document) -> list[Problem]:
    """Whether methods find in the suite what they ask for."""
    problems: list[Problem] = []
    tasks = _tasks_of(suite, fit)
    for i, name in enumerate(suite.methods):
        method = fit.get(("method", name))
        if not isinstance(method, MethodSpec):
            continue
        coupling = needs(method, "NEEDS_RELATEDNESS")
        if coupling and not suite.relatedness:
            message = f"'{name}' couples tasks by relatedness ({', '.join(coupling)}), and the suite names none"
            problems.append(document.problem(("methods", i), message))
        if method.balancer is not None:
            problems += _balancing(method, method.balancer, tasks, budget, document, ("methods", i))
    return problems


def _tasks_of(suite: SuiteSpec, fit: Specs) -> tuple[str, ...]:
    datasets = [fit.get(("dataset", name)) for name in suite.datasets]
    annotated = dict.fromkeys(t for dataset in datasets if isinstance(dataset, DatasetSpec) for t in dataset.tasks)
    return suite.tasks or tuple(annotated)


def _balancing(
    method: MethodSpec,
    balancer: Component,
    tasks: tuple[str, ...],
    budget: BudgetSpec | None,
    document: Document,
    path: KeyPath,
) -> list[Problem]:
    """Whether there is something to balance, and whether the balancer can do it under the budget."""
    if len(tasks) < 2:
        message = f"'{method.name}' balances tasks against each other, and the suite has but one ({', '.join(tasks)})"
        return [document.problem(path, message)]
    module = load_part(BALANCERS, balancer.name, "balancer")
    messages = module.check(read_options(module.Options, balancer.options), tasks)
    if module.KIND == "gradient" and budget is not None and budget.precision == "float16":
        messages = (
            *messages,
            "balancing gradients does not go with float16, whose loss scaling it would undo; use bfloat16",
        )
    if module.KIND == "gradient" and budget is not None and budget.compile in GRAPHS:
        messages = (
            *messages,
            f"balancing gradients does not go with `compile: {budget.compile}`, whose CUDA graphs overwrite the "
            "gradients of one task by those of the next; use `compile: default`",
        )
    return [document.problem(path, f"'{method.name}': {message}") for message in messages]
