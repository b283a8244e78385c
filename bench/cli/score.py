"""bench score: do records say what their predictions say?"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

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
from bench.errors import NothingMeasured, RecordError, UnknownName

if TYPE_CHECKING:
    from bench.analysis.rescoring import SuiteRescored
    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore

SOME_FAILED = 4


class Format(StrEnum):
    terminal = "terminal"
    md = "md"
    csv = "csv"


def register(app: typer.Typer) -> None:
    app.command()(score)


def score(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    controls: Controls = False,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="One run alone; `bench status` lists them.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.terminal,
    json: AsJson = False,
) -> None:
    """Compute every metric again from recorded predictions, say if records differ, and give intervals.

    Intervals are by bootstrap over test groups (such as subjects), or images where there are none. Exit code 4 if a
    record or its predictions are damaged, or do not say the same; 5 if nothing could be scored.

    Example: bench score faces --only multi_task
    """
    from bench.analysis.rescoring import rescore
    from bench.runs.plan import plan
    from bench.runs.predictions import read_predictions
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
    known = {planned.spec.id for one in plans for planned in one.everything}
    if run is not None and run not in known:
        raise UnknownName(f"run of suite '{suite}'", run, known, hint=f"`bench status {suite}` lists runs by their ids")
    found = [
        rescore(one, _records(one, store), partial(read_predictions, store), runs=None if run is None else {run})
        for one in plans
    ]
    if run is not None:
        found = [one for one in found if one.rows or one.refused or one.absent]
    for one in found:
        for refused in one.refused:
            errors().print(
                f"[bold red]left out:[/] {escape(f'{refused.title}: {refused.why}')}", highlight=False, soft_wrap=True
            )
    if not any(one.rows for one in found):
        raise NothingMeasured(
            f"nothing of suite '{suite}' could be scored in {store.root}",
            hint="the lines above say why"
            if any(one.refused for one in found)
            else f"`bench run --suite {suite}` measures it",
        )
    if json:
        print_json(found)
    else:
        _print(found, format)
    if not all(one.agrees for one in found):
        raise typer.Exit(SOME_FAILED)


def _records(one: SuitePlan, store: RecordStore) -> dict[str, Record | RecordError]:
    found: dict[str, Record | RecordError] = {}
    for run in one.everything:
        try:
            record = store.find(run.spec)
        except RecordError as error:
            found[run.spec.id] = error
            continue
        if record is not None:
            found[run.spec.id] = record
    return found


def _print(found: list[SuiteRescored], format: Format) -> None:
    from bench.reports.score import score_table
    from bench.reports.table import print_table, to_csv, to_markdown

    tables = [score_table(one) for one in found]
    if format is Format.csv:
        print_text(to_csv(*tables))
    for table in tables if format is not Format.csv else ():
        if format is Format.md:
            print_text(to_markdown(table) + "\n")
        else:
            print_table(table, output())
