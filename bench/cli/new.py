"""bench new: specs to start from, commented, that validate as they are written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from bench.cli.options import Specs, catalog_of, output
from bench.cli.writing import check_new, checked_name, docstring, rendered, snake_case, write_new
from bench.errors import Interrupted, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.data.proposal import Proposal, ProposedTask
    from bench.specs.catalog import Catalog
    from bench.specs.task import TaskSpec

app = typer.Typer(
    help="Write a commented spec to start from. What is not given by flags is asked for on a terminal.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="snake_case; unique among specs of its kind.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to; made if it is not there.")]
Title = Annotated[str | None, typer.Option("--title", help="One line for tables.")]
TaskKind = Literal["multiclass", "multilabel"]
MethodKind = Literal["single", "pooled", "joint"]
Several = "; may be given several times."
GUESSED_EXACTLY = ("accuracy", "mean_accuracy", "mean_class_accuracy")
"""Metrics of which labels drawn at random, each as likely, get 1 over classes, or 0.5, however often labels hold."""
DEFAULT_METRICS = {"multiclass": ("macro_f1", "accuracy"), "multilabel": ("mean_f1", "mean_accuracy")}


@app.command()
def task(
    name: Name,
    title: Title = None,
    type: Annotated[TaskKind | None, typer.Option("--type", help="multiclass: one label holds; multilabel.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help=f"A label by name{Several}")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help=f"The first is the primary one{Several}")] = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a task.

    Example: bench new task weather --type multiclass --label sun --label rain --out my_specs
    """
    checked_name(name)
    kind = type or _kind(_asked(None, "--type", "multiclass or multilabel", "multiclass"))
    labels = label or _list(_asked(None, "--label", "Labels, with commas between them"))
    text = _task_text(name, title or name.replace("_", " ").capitalize(), kind, labels, metric or DEFAULT_METRICS[kind])
    _write(catalog_of(specs), {out / f"{name}.yaml": text}, out)


@app.command()
def dataset(
    name: Name,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="A folder or a table to look at, and to propose from.")
    ] = None,
    title: Title = None,
    layout: Annotated[
        Literal["csv", "image_folder", "parquet", "hub", "custom"] | None,
        typer.Option("--layout", help="custom: also writes a layout module and its test, as a package."),
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Column of images.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Column of splits.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Column of groups, such as persons.")] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="COLUMN=TASK", help=f"A column is about this task{Several}")
    ] = None,
    domain: Annotated[str, typer.Option("--domain", help="What images show, in a word.")] = "photographs",
    licence: Annotated[str | None, typer.Option("--licence", help="Under which the data set is given.")] = None,
    home_page: Annotated[str | None, typer.Option("--home-page", metavar="URL")] = None,
    citation: Annotated[str | None, typer.Option("--citation", help="BibTeX, or `none`.")] = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a data set, and its tasks unless there are such; with --from as its files suggest.

    Example: bench new dataset garments --layout csv --licence CC0 --home-page https://www.w3.org/ --citation none
    """
    checked_name(name)
    checked_name(domain)
    title = title or _asked(None, "--title", "Title", name.replace("_", " ").capitalize())
    licence = _asked(licence, "--licence", "Licence, in a few words")
    home_page = _asked(home_page, "--home-page", "Home page (URL)")
    citation = _asked(citation, "--citation", "Citation (BibTeX)", "none")
    about = {"title": title, "domain": domain, "licence": licence, "home_page": home_page, "citation": citation}
    catalog = catalog_of(specs)
    if layout == "custom":
        if source is not None:
            raise UsageError("--from proposes a layout that there is", hint="leave out --from, or --layout custom")
        _write_custom(catalog, name, about, out)
        return
    proposal, root = _proposed(source, layout, image, split, group)
    chosen, new = _tasks(catalog, name, proposal, task or ())
    text = rendered(
        "dataset.yaml",
        name=name,
        tasks=chosen,
        layout=layout or proposal.layout,
        options=proposal.options,
        splits=proposal.splits,
        notes=(*proposal.notes, *(note for one in chosen for note in one.notes)),
        **about,
    )
    _write(catalog, {out / f"{name}.yaml": text} | {out / f"{n}.yaml": t for n, t in new.items()}, out)
    if root is not None:
        _next("bench data add", name, root, "--specs", out)


@app.command()
def relatedness(
    name: Name,
    first_task: Annotated[str | None, typer.Option("--first-task", metavar="TASK")] = None,
    second_task: Annotated[str | None, typer.Option("--second-task", metavar="TASK")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Count it on the training labels of this data set.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Where a reader can check probabilities that you write down.")
    ] = "not stated yet",
    title: Title = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a relatedness: counted on a data set, or to be written down, all alike at first.

    Example: bench new relatedness units_by_emotion --first-task expression --second-task action_units --out my_specs
    """
    from bench.specs.task import TaskSpec

    checked_name(name)
    catalog = catalog_of(specs)
    first_task = _asked(first_task, "--first-task", "First task")
    second_task = _asked(second_task, "--second-task", "Second task")
    first, second = catalog.get(TaskSpec, first_task), catalog.get(TaskSpec, second_task)
    text = rendered(
        "relatedness.yaml",
        name=name,
        title=title or f"{second.name.replace('_', ' ')} by {first.name.replace('_', ' ')}"[:120],
        first_task=first_task,
        second_task=second_task,
        dataset=dataset,
        source=source,
        rows={label: _alike(second) for label in first.labels},
        absent=first.type == "multilabel",
    )
    _write(catalog, {out / f"{name}.yaml": text}, out)


@app.command()
def method(
    name: Name,
    type: Annotated[MethodKind, typer.Option("--type", help="single, pooled or joint.")] = "joint",
    term: Annotated[list[str] | None, typer.Option("--term", help=f"A term of the loss{Several}")] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--labels", help=f"A transform of training labels{Several}")
    ] = None,
    balancer: Annotated[str | None, typer.Option("--balancer", help="How tasks are balanced.")] = None,
    title: Title = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a method; every option of its parts stands there with its default, as a comment.

    Example: bench new method matched --term supervised --term distribution_matching --out my_specs
    """
    from bench.runs.parts import BALANCERS, LABELS, TERMS

    checked_name(name)
    text = rendered(
        "method.yaml",
        name=name,
        title=title or name.replace("_", " ").capitalize(),
        type=type,
        lists={
            "labels": [_part(LABELS, "label transform", part) for part in labels or ()],
            "terms": [_part(TERMS, "term", part) for part in term or ("supervised",)],
        },
        balancer=_part(BALANCERS, "balancer", balancer) if balancer else None,
    )
    _write(catalog_of(specs), {out / f"{name}.yaml": text}, out)


@app.command()
def backbone(
    name: Name,
    timm: Annotated[str | None, typer.Option("--timm", metavar="MODEL", help="Name of a model in timm.")] = None,
    family: Annotated[str | None, typer.Option("--family", help="For tables, such as ResNet.")] = None,
    title: Title = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a backbone: any model of timm.

    Example: bench new backbone resnet26 --timm resnet26 --out my_specs
    """
    checked_name(name)
    timm = _asked(timm, "--timm", "Model of timm", "resnet18")
    text = rendered(
        "backbone.yaml", name=name, timm=timm, family=family or timm, title=title or f"{timm} of timm"[:120]
    )
    _write(catalog_of(specs), {out / f"{name}.yaml": text}, out)


@app.command()
def budget(
    name: Name,
    steps: Annotated[int, typer.Option("--steps", min=1)] = 300,
    seeds: Annotated[int, typer.Option("--seeds", min=1)] = 3,
    image_size: Annotated[int, typer.Option("--image-size", min=16, max=1024)] = 32,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images in one step.")] = 64,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=0)] = 1e-3,
    title: Title = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a budget.

    Example: bench new budget an_hour --steps 5000 --seeds 5 --out my_specs
    """
    checked_name(name)
    text = rendered(
        "budget.yaml",
        name=name,
        title=title or f"{steps} steps, {seeds} seeds",
        steps=steps,
        seeds=seeds,
        image_size=image_size,
        batch=batch,
        least=min(8, max(1, batch // 8)),
        learning_rate=learning_rate,
        evaluations=min(3, steps),
    )
    _write(catalog_of(specs), {out / f"{name}.yaml": text}, out)


@app.command()
def suite(
    name: Name,
    dataset: Annotated[list[str] | None, typer.Option("--dataset", help=f"A data set{Several}")] = None,
    relatedness: Annotated[list[str] | None, typer.Option("--relatedness", help=f"A relatedness{Several}")] = None,
    backbone: Annotated[list[str] | None, typer.Option("--backbone", help=f"A backbone{Several}")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help=f"A method{Several}")] = None,
    budget: Annotated[str, typer.Option("--budget")] = "quick",
    title: Title = None,
    out: Out = Path(),
    specs: Specs = None,
) -> None:
    """Write a suite.

    Example: bench new suite two_faces --dataset raf_db --dataset emotionet --out my_specs
    """
    from bench.specs.dataset import DatasetSpec
    from bench.specs.task import TaskSpec

    checked_name(name)
    catalog = catalog_of(specs)
    datasets = dataset or _list(_asked(None, "--dataset", "Data sets, with commas between them"))
    found = [catalog.get(DatasetSpec, one) for one in datasets]
    tasks = dict.fromkeys(task for one in found for task in one.tasks)
    text = rendered(
        "suite.yaml",
        name=name,
        title=title or f"{', '.join(tasks)} on {', '.join(datasets)}"[:120],
        datasets=datasets,
        relatedness=relatedness or (),
        backbones=backbone or ("resnet_micro",),
        methods=method or ("single_task", "multi_task"),
        budget=budget,
        metrics=dict.fromkeys(catalog.get(TaskSpec, task).primary for task in tasks),
    )
    _write(catalog, {out / f"{name}.yaml": text}, out)


def _asked(value: str | None, flag: str, question: str, default: str | None = None) -> str:
    """A value that was given, else asked for on a terminal, else the default."""
    if value is not None:
        return value
    if sys.stdin.isatty():
        try:
            return str(typer.prompt(question, default=default))
        except typer.Abort as error:
            raise Interrupted("stopped on request; nothing was written") from error
    if default is None:
        raise UsageError(f"{flag} is needed", hint="give it; on a terminal it is asked for")
    return default


def _kind(answer: str) -> TaskKind:
    kinds: tuple[TaskKind, ...] = ("multiclass", "multilabel")
    for kind in kinds:
        if answer == kind:
            return kind
    raise UsageError(f"{answer!r} is no type of a task{did_you_mean(answer, kinds)}", hint=f"one of {', '.join(kinds)}")


def _list(answer: str) -> list[str]:
    return [part.strip() for part in answer.split(",") if part.strip()]


def _alike(task: TaskSpec) -> dict[str, float]:
    """Probabilities that say the same of every label, which sum to 1 over classes."""
    if task.type == "multilabel":
        return dict.fromkeys(task.labels, 0.5)
    return dict.fromkeys(task.labels, round(1 / len(task.labels), 6))


def _part(package: str, what: str, name: str) -> dict[str, Any]:
    """A part with the options that have a default."""
    from bench.specs.components import load_part

    fields: Mapping[str, Any] = load_part(package, name, what).Options.model_fields
    options = {
        key: field.get_default(call_default_factory=True) for key, field in fields.items() if not field.is_required()
    }
    return {"name": name, "options": options}


def _task_text(name: str, title: str, kind: str, labels: Sequence[str], metrics: Sequence[str]) -> str:
    chance = round(1 / max(len(labels), 1), 4) if kind == "multiclass" else 0.5
    return rendered(
        "task.yaml",
        name=name,
        title=title,
        type=kind,
        labels=labels,
        metrics=metrics,
        primary=metrics[0],
        chance=chance,
        exact=metrics[0] in GUESSED_EXACTLY,
    )


def _proposed(
    source: Path | None, layout: str | None, image: str | None, split: str | None, group: str | None
) -> tuple[Proposal, Path | None]:
    """What the files suggest, or where there are none to look at, a layout with its usual names."""
    from bench.data.proposal import propose, usual

    if source is not None:
        root, found = propose(source, image=image, split=split, group=group)
        if layout not in (None, found.layout):
            raise UsageError(
                f"{source} looks like the layout '{found.layout}', not '{layout}'", hint="leave --layout out"
            )
        return found, root.resolve()
    if layout is None:
        layout = _asked(None, "--from or --layout", "Layout (csv, image_folder, parquet, hub)")
    return usual(layout, image=image, split=split, group=group), None


def _tasks(
    catalog: Catalog, dataset: str, proposal: Proposal, given: Sequence[str]
) -> tuple[list[ProposedTask], dict[str, str]]:
    """The tasks of a data set by the names that they have or get, and the text of those that are new."""
    from bench.specs.task import TaskSpec

    bound: dict[str, str] = {}
    for one in given:
        column, equals, name = one.rpartition("=")
        if not equals or column not in [task.name for task in proposal.tasks]:
            near = did_you_mean(column, [task.name for task in proposal.tasks])
            raise UsageError(f"--task {one}: no such column of labels{near}", hint="write COLUMN=TASK")
        bound[column] = name
    known = [catalog.get(TaskSpec, name) for name in catalog.names("task")]
    chosen: list[ProposedTask] = []
    new: dict[str, str] = {}
    for task in proposal.tasks:
        if task.name in bound:
            chosen.append(_bound(task, catalog.get(TaskSpec, bound[task.name])))
            continue
        same = [(one, told) for one in known for told in (task, _wordy(task)) if _is_about(told, one)]
        if same:
            spec, told = same[0]
            chosen.append(replace(told, name=spec.name))
            continue
        wished = snake_case(f"{dataset}_{task.name}")
        numbered = (f"{wished[:60]}_{number}" for number in count(2))
        name = next(name for name in chain([wished], numbered) if name not in (dataset, *new))
        title = f"{task.name} of {dataset.replace('_', ' ')}"[:120]
        new[name] = _task_text(name, title, task.type, task.labels, DEFAULT_METRICS[task.type])
        chosen.append(replace(task, name=name))
    return chosen, new


def _is_about(task: ProposedTask, spec: TaskSpec) -> bool:
    return spec.type == task.type and set(spec.labels) == set(task.labels)


def _wordy(task: ProposedTask) -> ProposedTask:
    """A class task whose words for no label are classes."""
    return task if task.column is None else replace(task, labels=(*task.labels, *task.missing), missing=())


def _bound(task: ProposedTask, spec: TaskSpec) -> ProposedTask:
    """A proposed task as one that there is; labels are matched whatever their case."""
    labels = {label.casefold(): label for label in spec.labels}
    if any(word.casefold() in labels for word in task.missing):
        task = _wordy(task)
    strange = [label for label in task.labels if label.casefold() not in labels]
    if strange:
        raise UsageError(
            f"column '{task.name}' holds '{strange[0]}', which is no label of task '{spec.name}'"
            f"{did_you_mean(strange[0], spec.labels)}",
            hint="leave --task out, then mend `codes` in the spec that is written",
        )
    if task.column is not None:
        codes = {label: labels[label.casefold()] for label in task.labels}
        return replace(task, name=spec.name, codes=codes if any(a != b for a, b in codes.items()) else None)
    columns = {labels[label.casefold()]: column for label, column in (task.columns or {}).items()}
    return replace(task, name=spec.name, columns=columns)


def _write_custom(catalog: Catalog, name: str, about: Mapping[str, str], out: Path) -> None:
    """A package: specs, a layout module, its test, and the entry points that bench finds them by."""
    from bench.data.proposal import USUAL_SPLITS, ProposedTask
    from bench.data.readers import LAYOUTS
    from bench.specs.components import part_names

    if name in part_names(LAYOUTS):
        raise UsageError(f"there is a layout '{name}' already", hint="give the data set another name")
    package, task, labels = f"{name}_for_bench", f"{name}_label"[:64], ("first", "second")
    title = about["title"]

    def spec(layout: str, options: Mapping[str, Any]) -> str:
        tasks = [ProposedTask(task, labels, column="label")]
        more = {"tasks": tasks, "splits": {"official": USUAL_SPLITS}, "notes": ()}
        return rendered("dataset.yaml", name=name, layout=layout, options=options, **more, **about)

    folder = out / package
    task_text = _task_text(task, f"Label of {title}"[:120], "multiclass", labels, DEFAULT_METRICS["multiclass"])
    # The layout is not installed yet; everything else is checked with one that is.
    check_new(catalog, {folder / f"{name}.yaml": spec("csv", {}), folder / f"{task}.yaml": task_text})
    files = {
        folder / "__init__.py": f'"""{docstring(title)}, for bench."""\n',
        folder / "layout.py": rendered("layout.py", title=title),
        folder / f"{name}.yaml": spec(name, {}),
        folder / f"{task}.yaml": task_text,
        out / "test_layout.py": rendered("test_layout.py", package=package, labels=labels),
        out / "pyproject.toml": rendered("pyproject.toml", name=name, package=package, title=title),
    }
    write_new(files)
    _tell(files)
    _next("pip install -e", out)
    _next("pytest", out)


def _write(catalog: Catalog, files: Mapping[Path, str], out: Path) -> None:
    check_new(catalog, files)
    write_new(files)
    _tell(files)
    _next("bench validate", out)


def _tell(files: Mapping[Path, str]) -> None:
    for file in files:
        output().print(f"written: {escape(str(file))}", highlight=False, soft_wrap=True)


def _next(command: str, *arguments: str | Path) -> None:
    """A command to go on with, as a shell reads it."""
    line = shlex.join(str(argument) for argument in arguments)
    output().print(escape(f"next: {command} {line}"), highlight=False, soft_wrap=True)
