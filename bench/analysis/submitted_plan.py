"""Whether the plan of a submission is all that its specs ask for, and its runs are as its specs say.

Specs alone decide; no data are needed, and nothing is planned anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

from bench.errors import UsageError
from bench.runs.assembly import Slot, run_backbone, run_task, slots_of
from bench.runs.parts import BALANCERS, LABELS, METRICS, TERMS
from bench.runs.records import Record
from bench.runs.submission import Submission, slot_of
from bench.specs.budget import OF_EVERY_METHOD, BudgetSpec, Range
from bench.specs.components import part_fingerprint, part_names
from bench.specs.fingerprint import FINGERPRINT_VERSION
from bench.specs.model import Component
from bench.specs.references import ResolvedSuite
from bench.specs.run import RunPart, RunSpec

_PACKAGES = {"metric": METRICS, "term": TERMS, "label transform": LABELS, "balancer": BALANCERS}


def suites_by_point(suites: Iterable[ResolvedSuite]) -> dict[str, ResolvedSuite]:
    """Suites by their name with each point of their axes, as plans and runs name them."""
    return {
        f"{suite.name}[{point.label}]" if point.label else suite.name: suite
        for suite in suites
        for point in suite.spec.points
    }


def plan_problems(manifest: Submission, suites: Mapping[str, ResolvedSuite]) -> Iterator[str]:
    """What the plan has too little, too much, or twice. Every run that specs ask for stands in it, be it as missing."""
    ids = Counter((run.suite, run.id) for run in manifest.runs if run.id is not None)
    yield from (
        f"run {run_id} of {suite} is listed {count} times" for (suite, run_id), count in ids.items() if count > 1
    )
    planned = Counter((run.suite, run.slot, run.seed) for run in manifest.runs if not run.trial and run.id is not None)
    for (suite, slot, seed), count in planned.items():
        if count > 1:
            yield f"{slot_title(slot)} seed {seed} of {suite} is listed {count} times"
    for suite in dict.fromkeys(run.suite for run in manifest.runs):
        if suite not in suites:
            yield f"there are runs of '{suite}', which is not the submitted suite"
    for name, one in suites.items():
        yield from _missing_runs(manifest, name, one)


def _missing_runs(manifest: Submission, name: str, suite: ResolvedSuite) -> Iterator[str]:
    told: dict[Slot, set[int]] = defaultdict(set)
    trials: Counter[Slot] = Counter()
    for run in manifest.runs:
        if run.suite == name and run.trial:
            trials[run.slot] += 1
        elif run.suite == name:
            told[run.slot].add(run.seed)
    least = _least_trials(suite.budget)
    slots = slots_of(suite)
    diverged = any(run.trial and run.state == "diverged" for run in manifest.runs if run.suite == name)
    for slot in slots:
        if least and diverged and not told[slot]:
            continue  # nothing could be chosen for it, or for its teachers
        if trials[slot] < least:
            yield f"{slot_title(slot)} of {name} has {trials[slot]} trials, and its budget asks for at least {least}"
        for seed in sorted(set(range(manifest.seeds)) - told[slot]):
            yield f"{slot_title(slot)} seed {seed} of {name} is not listed, not even as missing"
    for slot, seeds in told.items():
        for seed in sorted(seeds if slot not in slots else seeds - set(range(manifest.seeds))):
            yield f"{slot_title(slot)} seed {seed} is no run of {name} with {manifest.seeds} seeds"


def _least_trials(budget: BudgetSpec) -> int:
    """How many trials every slot has at least."""
    tuning = budget.tuning
    if tuning is None:
        return 0
    shared = (tuning.space[name] for name in OF_EVERY_METHOD if name in tuning.space)
    return tuning.trials or prod(len(choice) for choice in shared if not isinstance(choice, Range))


def slot_title(slot: Slot) -> str:
    where = "/".join(name for name in (slot.dataset, slot.task) if name)
    return " ".join(filter(None, (slot.method, slot.backbone, where)))


def run_title(run: RunSpec) -> str:
    """A run by its own description."""
    return f"{slot_title(slot_of(run))} seed {run.seed}"


def differences(record: Record, suite: ResolvedSuite) -> Iterator[str]:
    """What a record's run is described by otherwise than the specs of its suite say."""
    run, budget = record.run, suite.budget
    free = set(budget.tuning.space) if budget.tuning is not None else set()
    method = next((method for method in suite.methods if method.name == run.method), None)
    backbone = next((run_backbone(one) for one in suite.backbones if one.name == run.backbone.name), None)
    if method is None or method.type != run.type:
        yield f"method {run.method} ({run.type})"
        return
    balancers = (method.balancer,) if method.balancer is not None else ()
    for what, parts, components in (
        ("labels", run.labels, method.labels),
        ("terms", run.terms, method.terms),
        ("balancer", (run.balancer,) if run.balancer is not None else (), balancers),
    ):
        if not _are_as_told(parts, components, free):
            yield f"`{what}` of method {run.method}"
    if backbone != run.backbone:
        yield f"backbone {run.backbone.name}"
    for key in ("image_size", "schedule", "augmentation", "precision", "compile", "evaluations"):
        if getattr(run.recipe, key) != getattr(budget, key):
            yield f"`{key}` of the budget"
    told, said = budget.optimizer.model_dump(exclude=free), run.recipe.optimizer.model_dump(exclude=free)
    yield from (f"`optimizer.{key}` of the budget" for key in told if told[key] != said[key])
    if budget.steps is not None and run.recipe.steps != budget.steps:
        yield "`steps` of the budget"
    yield from (
        f"task {task.name}"
        for task in run.tasks
        if suite.tasks.get(task.name) is None or run_task(suite.tasks[task.name]) != task
    )
    if not {one.name for one in run.relatedness} <= {one.name for one in suite.relatedness}:
        yield "`relatedness`"
    yield from _other_data(record, suite)


def _other_data(record: Record, suite: ResolvedSuite) -> Iterator[str]:
    slot = slot_of(record.run)
    wanted = {}
    for dataset in suite.datasets:
        tasks = suite.tasks_of(dataset)
        if slot.dataset in (None, dataset.name) and (slot.task is None or slot.task in tasks):
            wanted[dataset.name] = tasks if slot.task is None else (slot.task,)
    if wanted != {source.dataset: source.tasks for source in record.run.sources}:
        yield "which data sets and tasks are learnt"
    tests = {d.name: d.standin.images.test for d in suite.datasets if d.standin is not None}
    for source in record.run.sources:
        if not source.standin:
            continue
        for one in record.predictions:
            if one.file.startswith(f"{source.dataset}.") and one.rows != tests.get(source.dataset):
                yield f"the number of test images of {source.dataset}"


def _are_as_told(parts: Sequence[RunPart], components: Sequence[Component], free: set[str]) -> bool:
    """Whether parts are those of a spec, with the options that it gives, but for those that are tuned."""
    if [part.name for part in parts] != [component.name for component in components]:
        return False
    return all(
        part.options.get(key) == value
        for part, component in zip(parts, components, strict=True)
        for key, value in component.model_dump(mode="json", exclude={"name"}).items()
        if f"{part.name}.{key}" not in free
    )


def uneven(records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Runs (by id) that stand on other data or code than most, and on what: such runs cannot be compared."""
    known: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for record in records.values():
        for what, value in _basis(record.run).items():
            known[what][value] += 1
    usual = {what: values.most_common(1)[0][0] for what, values in known.items()}
    for run_id, record in records.items():
        for what, value in _basis(record.run).items():
            if value != usual[what]:
                yield run_id, f"stands on {' '.join(what).strip()} {value}, and other runs on {usual[what]}"


def unlike_here(records: Iterable[Record]) -> Iterator[str]:
    """Code that runs stand on and that this bench has otherwise, so that runs made here are not comparable."""
    for (what, name), value in dict.fromkeys(item for record in records for item in _basis(record.run).items()):
        if what == "fingerprint version" and value != str(FINGERPRINT_VERSION):
            yield f"runs have fingerprint version {value}, and this bench makes {FINGERPRINT_VERSION}: not comparable"
        package = _PACKAGES.get(what)
        if package is None:
            continue
        if name not in part_names(package):
            yield f"the {what} '{name}' is not installed here"
        elif _code_here(package, name) != value:
            yield f"the {what} '{name}' has other code here: not comparable with runs made here"


def _code_here(package: str, name: str) -> str:
    try:
        return part_fingerprint(package, name)
    except UsageError:  # a plug-in whose module is gone
        return ""


def _basis(run: RunSpec) -> dict[tuple[str, str], str]:
    """What the numbers of a run stand on besides specs: code and data, by their fingerprints."""
    parts = {"label transform": run.labels, "term": run.terms, "balancer": (run.balancer,) if run.balancer else ()}
    return {
        ("fingerprint version", ""): str(run.fingerprint_version),
        **{("data", f"{one.dataset} at {run.recipe.image_size} pixels"): one.data for one in run.sources},
        **{("metric", name): code for name, code in run.metrics.items()},
        **{(what, part.name): part.code for what, found in parts.items() for part in found},
    }
