"""bench transfer, leaderboard, controls, why: what came out."""

from __future__ import annotations

import math
import shlex
from dataclasses import fields
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from bench.cli.options import (
    AsJson,
    Budget,
    Controls,
    Limit,
    Only,
    Results,
    Seeds,
    Specs,
    SuiteName,
    catalog_of,
    errors,
    output,
    print_json,
    print_text,
    results_of,
)
from bench.errors import NothingMeasured, UnknownName, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.analysis.others import Others
    from bench.analysis.standings import Standings
    from bench.analysis.transfer import Transfer
    from bench.analysis.views import View
    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore
    from bench.specs.published import Published


class Format(StrEnum):
    terminal = "terminal"
    md = "md"
    csv = "csv"


class By(StrEnum):
    dataset = "dataset"
    task = "task"
    method = "method"
    backbone = "backbone"


class BoardFormat(StrEnum):
    terminal = "terminal"
    md = "md"
    csv = "csv"
    latex = "latex"
    json = "json"
    html = "html"


class Metrics(StrEnum):
    primary = "primary"
    all = "all"


def register(app: typer.Typer) -> None:
    app.command()(transfer)
    app.command()(leaderboard)
    app.command()(controls)
    app.command()(why)


def transfer(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    metrics: Annotated[
        Metrics, typer.Option(help="Judge primary metrics, or all; the family of tests grows along.")
    ] = (Metrics.primary),
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="METHOD", help="Compare with this method, not with the twins.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say where learning together harms or helps, against single-task twins or another method of the suite.

    Example: bench transfer faces --reference multi_task
    """
    from bench.analysis import transfer as analysis
    from bench.analysis.ranking import ranking
    from bench.reports.ranking import ranking_table
    from bench.reports.table import print_table
    from bench.reports.transfer import method_table, verdict_table

    found = []
    for one, records, _ in _measured(suite, specs, results, budget, seeds, limit, only):
        report = analysis.transfer(one, records, every_metric=metrics is Metrics.all, reference=reference)
        found.append((report, ranking(one, records)))
    if json:
        print_json([_plain(report) | {"ranking": ranks} for report, ranks in found])
        return
    for report, ranks in found:
        for table in (verdict_table(report), method_table(report), ranking_table(ranks)):
            print_table(table, output())


def leaderboard(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    by: Annotated[
        By | None,
        typer.Option(
            help="A table a data set or backbone; or averages: a column a task over data sets, a row a method over "
            "backbones."
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            help="Order rows by a column as it is named, best or smallest first; -COLUMN the other way round.",
        ),
    ] = None,
    filter: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=GLOB",
            help="Show only these (method, backbone, dataset or task); several times. Changes no rank and no verdict.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="METHOD",
            help="Compare with this method, whose rows stand first, not with the twins.",
        ),
    ] = None,
    rescored: Annotated[
        bool,
        typer.Option(
            "--rescored",
            help="Score all records again from their predictions first; what they do not bear out is left out.",
        ),
    ] = False,
    format: Annotated[BoardFormat, typer.Option(help="How to print.")] = BoardFormat.terminal,
    json: AsJson = False,
) -> None:
    """Rank methods and backbones of a suite; rows with missing results stay unranked.

    Numbers of papers in the folder `published` of the results are shown apart, and never ranked or compared.

    Example: bench leaderboard faces --format md --by backbone --filter "method=*matching"
    """
    from bench.analysis.rescoring import evidence
    from bench.analysis.standings import standings
    from bench.analysis.views import By as Views
    from bench.analysis.views import filtered, ordered, pinned, views
    from bench.runs.records import RecordStore
    from bench.runs.repeated import repeated
    from bench.specs.references import published_numbers

    wanted = _filters(filter or [])
    measured = _measured(suite, specs, results, budget, seeds, limit, only)
    published, problems = published_numbers(results_of(results) / "published", catalog_of(specs))
    for problem in problems:
        errors().print(f"[yellow]left out:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    found = []
    store = RecordStore(results_of(results))
    for one, records, others in measured:
        vouched: frozenset[str] = frozenset()
        if rescored:
            records, others, vouched = _borne_out(one, records, others, store)
        told = evidence(vouched, repeated(store.results, records))
        board = standings(one, records, others=others, reference=reference, evidence=told)
        shown = filtered(views(board, Views(by) if by else None), wanted)
        shown = tuple(ordered(view, sort) for view in shown) if sort else shown
        found.append((board, tuple(pinned(view, reference) for view in shown) if reference else shown))
    if json or format is BoardFormat.json:
        from bench.reports.published import published_entries

        print_json(
            [
                _plain(board) | {"views": shown, "published": published_entries(board, published)}
                for board, shown in found
            ]
        )
    else:
        _print_boards(found, published, format)


def _borne_out(
    one: SuitePlan, records: Mapping[str, Record], others: Others, store: RecordStore
) -> tuple[dict[str, Record], Others, frozenset[str]]:
    """Records that their predictions bear out, what is left out, and which were scored; says what could not be."""
    from bench.analysis.rescoring import borne_out, rescore
    from bench.runs.predictions import read_predictions

    again = rescore(one.whole, records, partial(read_predictions, store), intervals="none")
    for refused in again.refused:
        errors().print(
            f"[yellow]not scored:[/] {escape(f'{refused.title}: {refused.why}')}", highlight=False, soft_wrap=True
        )
    return *borne_out(again, records, others), frozenset(again.vouched)


def _plain(report: Transfer | Standings) -> dict[str, Any]:
    """A report as a dict, to which more is added for programs."""
    return {field.name: getattr(report, field.name) for field in fields(report)}


def _print_boards(
    found: list[tuple[Standings, tuple[View, ...]]], published: tuple[Published, ...], format: BoardFormat
) -> None:
    from bench.reports.html import to_html
    from bench.reports.latex import to_latex
    from bench.reports.leaderboard import leaderboard_records, leaderboard_table
    from bench.reports.published import published_table
    from bench.reports.table import print_table, to_csv, to_markdown

    if format is BoardFormat.csv:
        print_text(to_csv(*(leaderboard_records(board, shown, published) for board, shown in found)))
        return
    tables = []
    for board, shown in found:
        apart = published_table(board, published) if board.standin else None
        tables += [*(leaderboard_table(board, view, published) for view in shown), *([apart] if apart else [])]
    if format is BoardFormat.html:
        print_text(to_html(tables))
    for table in tables if format is not BoardFormat.html else ():
        if format is BoardFormat.terminal:
            print_table(table, output())
        else:
            print_text((to_markdown if format is BoardFormat.md else to_latex)(table) + "\n")


FILTERS = ("method", "backbone", "dataset", "task")


def _filters(given: list[str]) -> dict[str, list[str]]:
    """Globs by key. Raises `UsageError`."""
    found: dict[str, list[str]] = {}
    for text in given:
        key, equals, glob = text.partition("=")
        if not equals or not glob:
            raise UsageError(f"--filter '{text}' is not KEY=GLOB", hint="such as --filter method=multi_task")
        if key not in FILTERS:
            raise UnknownName("key of --filter", key, FILTERS)
        found.setdefault(key, []).append(glob)
    return found


def controls(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    json: AsJson = False,
) -> None:
    """Say whether the gain of coupling vanishes where it must: relatedness permuted or uniform, coupling weight 0.

    `bench run --suite SUITE --controls` runs what is shown here.

    Example: bench controls faces
    """
    from bench.analysis import controls as analysis
    from bench.reports.controls import control_cell_table, control_table
    from bench.reports.table import print_table

    measured = _measured(suite, specs, results, budget, seeds, limit, only, controls=True)
    if not any(
        run.method in one.controls for one, records, _ in measured for run in one.runs if run.spec.id in records
    ):
        raise NothingMeasured(
            f"no negative control of suite '{suite}' is measured yet",
            hint=f"`bench run --suite {suite} --controls` measures them",
        )
    reports = [analysis.controls(one, records) for one, records, _ in measured if one.controls]
    if json:
        print_json(reports)
        return
    for report in reports:
        for table in (control_cell_table(report), control_table(report)):
            print_table(table, output())


def why(
    suite: SuiteName,
    cell: Annotated[str, typer.Argument(help="DATASET/TASK/BACKBONE/METHOD, as `bench transfer` names it.")],
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    controls: Controls = False,
    json: AsJson = False,
) -> None:
    """Tell what a cell of a leaderboard stands on: runs, seeds, spec, commit, command, predictions.

    Example: bench why faces disfa/action_units/resnet_micro/distribution_matching
    """
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    store = RecordStore(results_of(results))
    found = None
    known: list[str] = []
    plans = plan(
        catalog_of(specs),
        suite,
        budget=budget,
        seeds=seeds,
        limit=limit,
        controls=controls,
        store=store,
        networks=False,
    )
    for one in plans:
        cells = (*one.cells, *one.control_cells)
        known += map(str, cells)
        found = found or next(((one, c) for c in cells if str(c) == cell), None)
    if found is None:
        raise UnknownName(f"cell of suite '{suite}'", cell, known, hint="write DATASET/TASK/BACKBONE/METHOD")
    one, chosen = found
    records, _ = records_of(one, store, curves=math.inf)
    metric = one.suite.tasks[chosen.task].primary
    runs = [(seed, run.spec, records.get(run.spec.id)) for seed, run in one.runs_of(chosen).items()]
    newest = next((record for _, _, record in reversed(runs) if record is not None), None)
    if newest is None:
        raise NothingMeasured(f"no run of {chosen} is recorded", hint=f"`bench run --suite {suite}` makes them")
    if json:
        print_json([{"seed": seed, "id": spec.id, "record": record} for seed, spec, record in runs])
        return
    from bench.analysis.rescoring import rescore
    from bench.reports.cell import cell_table
    from bench.reports.table import print_table
    from bench.runs.predictions import read_predictions
    from bench.runs.repeated import repeated

    console = output()
    again = rescore(
        one, records, partial(read_predictions, store), runs={spec.id for _, spec, _ in runs}, intervals="primary"
    )
    for refused in again.refused:
        errors().print(f"[yellow]not scored:[/] {escape(f'{refused.title}: {refused.why}')}", soft_wrap=True)
    print_table(
        cell_table(
            chosen,
            metric,
            [(seed, spec.id, record) for seed, spec, record in runs],
            one.provenance,
            standin=one.standin,
            rescored=again.of(chosen, metric),
            repeated=repeated(store.results, records),
        ),
        console,
    )
    lines = {
        "command": shlex.join(newest.command),
        "packages": ", ".join(f"{name} {version}" for name, version in newest.environment["packages"].items()),
        "hardware": ", ".join(f"{name} {value}" for name, value in newest.environment["hardware"].items()),
        **_method_lines(newest),
        "backbone": newest.run.backbone.model_dump_json(),
        "recipe": newest.run.recipe.model_dump_json(),
        "data": ", ".join(f"{s.dataset} {s.data} ({s.batch} images a step)" for s in newest.run.sources),
    }
    for name, text in lines.items():
        console.print(f"[bold]{name}:[/] {escape(text)}", highlight=False, soft_wrap=True)
    for _, spec, record in runs:
        mine = [p for p in record.predictions if p.file == f"{chosen.dataset}.{chosen.task}.parquet"] if record else []
        for prediction in mine:
            place = store.folder(spec) / prediction.file
            console.print(
                f"[bold]predictions:[/] {escape(str(place))} ({prediction.rows} rows)", highlight=False, soft_wrap=True
            )


def _method_lines(record: Record) -> dict[str, str]:
    """What a method is made of, what it did to the labels, and what balancing cost."""
    run, cost = record.run, record.cost
    parts = {"labels": run.labels, "terms": run.terms, "balancer": (run.balancer,) if run.balancer else ()}
    lines = {key: ", ".join(f"{part.name} {part.options}" for part in found) for key, found in parts.items() if found}
    if run.relatedness:
        lines["relatedness"] = ", ".join(
            f"{one.name} ({one.first_task} to {one.second_task})" for one in run.relatedness
        )
    for dataset, transforms in record.label_changes.items():
        said = [
            f"{name} on {task}: {change.added:,} added to {change.before:,}, {change.contradicted:,} contradicted"
            for name, tasks in transforms.items()
            for task, change in tasks.items()
        ]
        lines[f"labels of {dataset}"] = "; ".join(said)
    if cost is not None:
        seconds = ", ".join(f"{phase} {value:.1f} s" for phase, value in cost.seconds.items())
        memory = {"gradients of single tasks": cost.gradient_bytes, "GPU memory at most": cost.peak_memory}
        held = "".join(f", {what} {count / 2**20:.1f} MiB" for what, count in memory.items() if count)
        lines["cost"] = f"{cost.images:,} images, {seconds}{held}"
    return lines


def records_of(one: SuitePlan, store: RecordStore, *, curves: float = 0) -> tuple[dict[str, Record], Others]:
    """Records of a plan by run id, those left out by `--only` among them; warns of those that cannot be read.

    They hold no training curves but of seeds below `curves`.
    And what no table may hold: these, and records of its suite that differ in anything but the seed from all its runs.
    Negative controls, which belong to no leaderboard, are not counted.
    """
    from bench.analysis.others import others_of
    from bench.runs.archive import read_archive

    whole = one.whole
    archive = read_archive(store, [whole], curves=curves)
    ids = dict.fromkeys(run.spec.id for run in whole.runs)
    for run_id in ids:
        if run_id in archive.unreadable:
            message = archive.unreadable[run_id].message
            errors().print(f"[yellow]left out:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return {run_id: archive.records[run_id] for run_id in ids if run_id in archive.records}, others_of(one, archive)


def _measured(
    suite: str,
    specs: list[Path] | None,
    results: Path | None,
    budget: str | None,
    seeds: int | None,
    limit: int | None,
    only: list[str] | None,
    *,
    controls: bool = False,
) -> list[tuple[SuitePlan, dict[str, Record], Others]]:
    """Plans of a suite with their records. Raises `NothingMeasured` if there is not one result."""
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    store = RecordStore(results_of(results))
    plans = plan(
        catalog_of(specs),
        suite,
        budget=budget,
        seeds=seeds,
        limit=limit,
        only=only or (),
        controls=controls,
        store=store,
        networks=False,
    )
    found = [(one, *records_of(one, store)) for one in plans]
    refuse_nothing(suite, (records for _, records, _ in found), store)
    return found


def refuse_nothing(suite: str, found: Iterable[Mapping[str, Record]], store: RecordStore) -> None:
    """Raises `NothingMeasured` if there is not one result."""
    if not any(record.status == "done" for records in found for record in records.values()):
        raise NothingMeasured(
            f"nothing is measured yet for suite '{suite}' in {store.root}",
            hint=f"`bench run --suite {suite}` measures it",
        )
