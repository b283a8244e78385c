"""bench list, show, validate: what is declared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from bench.cli.options import AsJson, Specs, catalog_of, errors, output, print_json, writable
from bench.errors import BenchError, Problem, SpecError, UnknownName, UsageError
from bench.specs.relatedness import RelatednessSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.reports.relatedness import Shown
    from bench.runs.conformance import Trial
    from bench.specs.catalog import Catalog, Entry


def register(app: typer.Typer) -> None:
    app.command("list")(list_specs)
    app.command()(show)
    app.command()(validate)


def list_specs(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="suite, dataset, task, relatedness, backbone, method, budget or published; or what specs are put "
            "together from: term, label_transform, balancer, metric, layout, standin or augmentation. "
            "Left out: all specs."
        ),
    ] = None,
    specs: Specs = None,
    json: AsJson = False,
) -> None:
    """List what is declared, or the parts that specs may name, with where they come from.

    Example: bench list suite
    """
    from bench.runs.parts import PARTS
    from bench.specs.catalog import KINDS

    if kind in PARTS:
        _list_parts(kind, json)
        return
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of spec", kind, [*KINDS, *PARTS])
    entries = [e for e in catalog_of(specs).entries if kind in (None, e.kind)]
    order = list(KINDS)
    entries.sort(key=lambda e: (order.index(e.kind), e.name))
    if json:
        print_json(entries)
        return
    from bench.reports.table import Table, print_table

    rows = tuple((e.kind, e.name, e.title) for e in entries)
    print_table(Table(f"{len(rows)} specs", ("kind", "name", "title"), rows), output())


def _list_parts(kind: str, json: bool) -> None:
    from bench.runs.parts import parts_of

    parts = parts_of(kind)
    if json:
        print_json([{"kind": kind, **asdict(part)} for part in parts])
        return
    from bench.reports.table import Table, print_table

    rows = tuple((part.name, part.fault or part.about, part.origin) for part in parts)
    print_table(Table(f"{len(rows)} of kind {kind}", ("name", "what it is", "from"), rows), output())


def show(
    name: Annotated[
        str, typer.Argument(help="Name of a spec, or KIND/NAME where several kinds have it, or a part, as term/NAME.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Of a relatedness: write its heat map, .png or .svg.")
    ] = None,
    specs: Specs = None,
    json: AsJson = False,
) -> None:
    """Show one spec as it was read, with what follows from it; or a part with its options and their defaults.

    A relatedness is shown as a table: the declared probabilities, or those counted on training labels.

    Example: bench show emotion_action_units --out heat_map.png
    """
    from bench.runs.parts import PARTS

    if name.partition("/")[0] in PARTS:
        if out is not None:
            raise UsageError(f"--out writes the heat map of a relatedness; '{name}' is a part")
        kind, _, part = name.partition("/")
        _show_part(kind, part, json)
        return
    catalog = catalog_of(specs)
    entry = _find(catalog, name)
    spec = catalog.load_file(entry.file)
    if out is not None and entry.kind != "relatedness":
        raise UsageError(f"--out writes the heat map of a relatedness; '{name}' is a {entry.kind}")
    if out is not None:
        writable(out, ".png", ".svg")
    shown = _related(catalog, spec) if isinstance(spec, RelatednessSpec) else None
    derived = _derived(entry.kind, spec) if shown is None else _counted(shown)
    if shown is not None and out is not None:
        from bench.reports.relatedness import write_heat_map

        write_heat_map(shown, out)
    if json:
        print_json({"file": entry.file, "spec": spec, "derived": derived})
        return
    console = output()
    console.print(
        f"[bold]{entry.kind} {escape(entry.name)}[/]  {escape(str(entry.file))}", highlight=False, soft_wrap=True
    )
    console.print(escape(entry.file.read_text(encoding="utf-8").rstrip()), highlight=False, soft_wrap=True)
    if shown is not None:
        from bench.reports.relatedness import relatedness_table
        from bench.reports.table import print_table

        print_table(relatedness_table(shown), console)
        if out is not None:
            console.print(f"written: {escape(str(out))}", highlight=False, soft_wrap=True)
        return
    for key, value in derived.items():
        console.print(f"[bold]{key}:[/] {escape(str(value))}", highlight=False, soft_wrap=True)


def _show_part(kind: str, name: str, json: bool) -> None:
    from bench.runs.parts import describe_part

    part = describe_part(kind, name)
    if json:
        print_json({"kind": kind, **asdict(part)})
        return
    console = output()
    console.print(f"[bold]{kind} {escape(part.name)}[/]  from {escape(part.origin)}", highlight=False, soft_wrap=True)
    console.print(escape(part.text), highlight=False, soft_wrap=True)
    for key, value in part.facts.items():
        console.print(f"[bold]{key}:[/] {escape(value)}", highlight=False, soft_wrap=True)
    from bench.reports.table import Table, print_table

    rows = tuple((o.name, o.type, o.default, o.description) for o in part.options)
    if rows:
        print_table(Table("options", ("option", "may be", "default", "what it is"), rows), console)
    else:
        console.print("no options", highlight=False)


def _related(catalog: Catalog, spec: RelatednessSpec) -> Shown:
    """The probabilities of a relatedness; estimated ones are counted now, on a copy if there is one."""
    from bench.data.copies import find_copy
    from bench.reports.relatedness import Shown
    from bench.runs.check import checked_spec
    from bench.runs.estimate import estimate
    from bench.runs.matrices import known_matrices
    from bench.runs.plan import estimation_source
    from bench.specs.dataset import DatasetSpec
    from bench.specs.task import TaskSpec

    spec = checked_spec(catalog, RelatednessSpec, spec.name)
    first, second = catalog.get(TaskSpec, spec.first_task), catalog.get(TaskSpec, spec.second_task)
    if spec.origin.type == "knowledge":
        return Shown(spec, first.labels, spec.covered, *known_matrices(spec, first))
    real = find_copy(catalog.get(DatasetSpec, spec.origin.dataset).copy_name) is not None
    found = estimate(spec, first, second, estimation_source(catalog, spec.origin.dataset, real=real))
    absent = None if found.absent is None else found.absent.matrix
    return Shown(spec, first.labels, found.covered, found.matrix, absent, found, standin=not real)


def _counted(shown: Shown) -> dict[str, Any]:
    """A relatedness for programs: rows by label of the first task, and the counts where they are estimated."""
    import numpy as np

    listed = ~np.isnan(shown.matrix)

    def named(table: NDArray[Any]) -> dict[str, dict[str, Any]]:
        return {
            first: {label: row[s].item() for s, label in enumerate(shown.labels) if listed[f, s]}
            for f, (first, row) in enumerate(zip(shown.first, table, strict=True))
        }

    tables: dict[str, NDArray[Any]] = {"probabilities": shown.matrix}
    if shown.absent is not None:
        tables["given_absent"] = shown.absent
    counts = ("held", "known", "low", "high")
    if shown.estimate is not None:
        tables |= {key: getattr(shown.estimate, key) for key in counts}
        if shown.estimate.absent is not None:
            tables |= {f"{key}_absent": getattr(shown.estimate.absent, key) for key in counts}
    return {"standin": shown.standin, **{key: named(table) for key, table in tables.items()}}


def validate(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Names of specs, YAML files or folders; left out: everything.")
    ] = None,
    conformance: Annotated[
        bool | None,
        typer.Option(
            "--conformance/--no-conformance",
            help="Also try data sets and suites: made-up images, a few steps of training (seconds each). Unless "
            "said, those given by path are tried, those by name are not.",
        ),
    ] = None,
    specs: Specs = None,
    json: AsJson = False,
) -> None:
    """Check specs and everything that a run of them would use; all problems at once, with their places.

    Data sets and suites given by path are also tried: whether codes map to labels, splits divide no group, metrics are
    finite after a few steps on made-up images, and licence, home page and citation are stated. In a GitHub workflow
    each problem is annotated at its line.

    Example: bench validate faces
    """
    named = targets or []
    paths = [Path(target) for target in named if Path(target).exists()]
    unknown = [target for target in named if not Path(target).exists() and target.endswith((".yaml", ".yml", "/"))]
    if unknown:
        raise UsageError(f"there is no file or folder {unknown[0]}", hint="give an existing file or folder")
    folders = [_folder_of(path) for path in paths]
    catalog = _catalog_for(specs, folders)
    for path in paths:
        if not any(_is_under(file, [path]) for file in catalog.files):
            raise UsageError(
                f"{path} holds no spec",
                hint="give a .yaml file, or a folder with such files; links to folders within it are not followed",
            )
    chosen = _chosen(catalog, [t for t in named if Path(t) not in paths], paths, everything=not named)
    problems = sorted(set(_problems(catalog, chosen, paths if named else None)))
    to_try = [e for e in chosen if conformance or (conformance is None and _is_under(e.file, paths))]
    trials = []
    for trial in _trials(catalog, to_try, problems):
        trials.append(trial)
        if not json:
            said = f"tried on {trial.by}" if trial.by else f"not tried: {trial.why}"
            output().print(f"{trial.kind} {trial.name}: {escape(said)}", highlight=False, soft_wrap=True)
    problems = sorted({*problems, *(problem for trial in trials for problem in trial.problems)})
    if json:
        print_json({"checked": chosen, "problems": problems, "tried": trials})
    else:
        _print_problems(problems)
        checked, wrong = _counted_as(len(chosen), "spec"), _counted_as(len(problems), "problem")
        output().print(f"{checked} checked, {wrong}", highlight=False)
    if problems:
        raise typer.Exit(SpecError.exit_code)


def _counted_as(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _folder_of(path: Path) -> Path:
    """The folder whose specs are looked at: of a link that is not called .yaml, the one that it leads to."""
    if path.is_dir():
        return path
    return (path if path.suffix in (".yaml", ".yml") else path.resolve()).parent


def _print_problems(problems: list[Problem]) -> None:
    for problem in problems:
        errors().print(str(problem), highlight=False, markup=False, soft_wrap=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for problem in problems:
            errors().print(_annotation(problem), highlight=False, markup=False, soft_wrap=True)


def _trials(catalog: Catalog, chosen: list[Entry], problems: list[Problem]) -> Iterator[Trial]:
    """Trials of the data sets and suites that are right as specs, each as it ends."""
    from bench.runs.check import validate_spec
    from bench.runs.conformance import try_dataset, try_suite
    from bench.specs.dataset import DatasetSpec
    from bench.specs.suite import SuiteSpec

    wrong = {problem.file for problem in problems}
    for entry in chosen:
        if entry.kind not in ("dataset", "suite") or entry.file in wrong:
            continue
        spec = catalog.load_file(entry.file)
        if validate_spec(catalog, spec):
            continue  # something that it names is wrong, and told
        if isinstance(spec, DatasetSpec):
            yield try_dataset(catalog, spec)
        elif isinstance(spec, SuiteSpec):
            yield try_suite(catalog, spec)


def _annotation(problem: Problem) -> str:
    from bench.reports.annotations import annotation

    message = f"{problem.key}: {problem.message}" if problem.key else problem.message
    return annotation("error", message, file=problem.file, line=problem.line, column=problem.column)


def _catalog_for(specs: list[Path] | None, folders: list[Path]) -> Catalog:
    from bench.specs.catalog import open_catalog

    catalog = open_catalog(specs or [])
    for fault in catalog.faults:
        errors().print(f"[yellow]warning:[/] {escape(fault)}", highlight=False, soft_wrap=True)
    outside = [f.resolve() for f in folders if not any(f.resolve().is_relative_to(known) for known in catalog.folders)]
    return catalog.beside(outside)


def _chosen(catalog: Catalog, names: list[str], paths: list[Path], *, everything: bool) -> list[Entry]:
    """The specs that are meant; a name defined twice is reported among the problems, not here."""
    try:
        entries = catalog.entries
    except SpecError:
        return []
    if everything:
        return list(entries)
    chosen = [_find(catalog, name) for name in names]
    chosen += [entry for entry in entries if _is_under(entry.file, paths)]
    return list(dict.fromkeys(chosen))


def _problems(catalog: Catalog, chosen: list[Entry], paths: list[Path] | None) -> list[Problem]:
    from bench.runs.check import validate_spec

    try:
        problems = [p for p in catalog.unreadable if paths is None or _is_under(p.file, paths)]
        _ = catalog.entries
    except SpecError as error:
        return list(error.problems)
    for entry in chosen:
        try:
            problems += validate_spec(catalog, catalog.load_file(entry.file))
        except SpecError as error:
            problems += error.problems
        except BenchError as error:
            problems.append(Problem(entry.file, 1, 1, "", error.message))
    return problems


def _is_under(file: Path, paths: list[Path]) -> bool:
    """Whether a file is one of `paths` or in one of them, links followed."""
    real = Path(os.path.realpath(file))
    return any(real.is_relative_to(os.path.realpath(path)) for path in paths)


def _find(catalog: Catalog, name: str) -> Entry:
    from bench.runs.parts import PARTS
    from bench.specs.catalog import KINDS

    kind, slash, rest = name.rpartition("/")
    if slash:
        if kind not in KINDS:
            raise UnknownName("kind of spec", kind, [*KINDS, *PARTS])
        return catalog.entry(kind, rest)
    found = [entry for entry in catalog.entries if entry.name == name]
    if not found:
        known = {entry.name for entry in catalog.entries}
        raise UnknownName("spec", name, known, hint=f"`bench list` shows all{catalog.unread}")
    if len(found) > 1:
        kinds = [f"{entry.kind}/{name}" for entry in found]
        raise UsageError(f"'{name}' is the name of several specs", hint=f"write {' or '.join(kinds)}")
    return found[0]


def _derived(kind: str, spec: Any) -> dict[str, Any]:
    """What is not in the file: sizes of a backbone, where a data set's copy is."""
    if kind == "backbone":
        from bench.models.network import describe
        from bench.runs.assembly import run_backbone

        description = describe(run_backbone(spec), spec.input_size or 64)
        return {"parameters": f"{description.parameters:,}", "features": description.features}
    if kind == "dataset":
        from bench.data.copies import find_copy

        copy = find_copy(spec.copy_name)
        return {"local copy": copy or f"none (`bench data add {spec.copy_name} PATH`)"}
    return {}
