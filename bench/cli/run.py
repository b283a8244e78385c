"""bench plan, run, status: what is to be done, doing it, and how far it is."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
    AsJson,
    Budget,
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
    results_of,
)
from bench.errors import NothingMeasured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.runs.execute import Tally
    from bench.runs.plan import SuitePlan
    from bench.runs.records import RecordStore

SOME_RUNS_FAILED = 4


def register(app: typer.Typer) -> None:
    app.command("plan")(show_plan)
    app.command("run")(run)
    app.command()(status)


def show_plan(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    json: AsJson = False,
) -> None:
    """Show the matrix of a suite, what is done already, and about how long the rest takes.

    Example: bench plan faces --seeds 5
    """
    from bench.runs.execute import to_do
    from bench.runs.forecast import forecast
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    plans = plan(catalog_of(specs), suite, budget=budget, seeds=seeds, limit=limit, only=only or ())
    store = RecordStore(results_of(results))
    if json:
        print_json([_as_json(p, store) | {"seconds_to_do": forecast(p, to_do(p, store), store)} for p in plans])
        return
    _print_plans(plans, store)


def run(
    suite: Annotated[
        str, typer.Option("--suite", metavar="SUITE", help="Name of a suite; `bench list suite` shows them.")
    ],
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
) -> None:
    """Do what a suite still lacks, then show transfer verdicts and the leaderboard.

    Interrupted (Ctrl-C) or killed, it goes on where it was when it is started again. Exit code 4 if some runs failed.

    Example: bench run --suite faces
    """
    if dry_run:
        show_plan(suite, specs, results, budget, seeds, limit, only)
        return
    from bench.runs.stopping import stop_requests

    with stop_requests() as should_stop:  # from the first moment on, so that no request is lost
        from bench.cli.progress import RunProgress
        from bench.runs.check import checked_suite
        from bench.runs.execute import check_machine, execute, prepare_data
        from bench.runs.plan import find_preparations, plan
        from bench.runs.records import RecordStore

        catalog, store = catalog_of(specs), RecordStore(results_of(results))
        resolved = checked_suite(catalog, suite, budget=budget)
        check_machine(one.budget for one in resolved)
        with RunProgress(errors()) as progress:
            for one in resolved:
                prepare_data(list(find_preparations(catalog, one).values()), progress, should_stop)
        plans = plan(catalog, suite, budget=budget, seeds=seeds, limit=limit, only=only or ())
        _print_plans(plans, store)
        with RunProgress(errors(), plans, store) as progress:
            tally = execute(plans, store, progress, command=["bench", *sys.argv[1:]], should_stop=should_stop)
        _print_results(plans, store)
        _print_failures(plans, store, tally)
    if not tally.done:
        raise NothingMeasured(
            f"no run of suite '{suite}' has ended well", hint=f"`bench status {suite}` tells their states"
        )
    if tally.failed:
        raise typer.Exit(SOME_RUNS_FAILED)


def status(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    json: AsJson = False,
) -> None:
    """Tell the state of every run of a suite.

    Example: bench status faces
    """
    from bench.reports.plan import status_table
    from bench.reports.table import print_table
    from bench.runs.execute import state_of
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    store = RecordStore(results_of(results))
    plans = plan(catalog_of(specs), suite, budget=budget, seeds=seeds, limit=limit, only=only or ())
    if json:
        print_json([_as_json(p, store) for p in plans])
        return
    for one in plans:
        print_table(status_table(one, [state_of(r, store) for r in one.runs]), output())


def _print_plans(plans: Sequence[SuitePlan], store: RecordStore) -> None:
    from bench.reports.plan import plan_table
    from bench.reports.table import print_table
    from bench.runs.execute import state_of, to_do
    from bench.runs.forecast import forecast

    for one in plans:
        states = [state_of(r, store) for r in one.runs]
        print_table(plan_table(one, states, forecast(one, to_do(one, store), store)), output())


def _as_json(one: SuitePlan, store: RecordStore) -> dict[str, object]:
    from bench.runs.execute import state_of

    runs = [
        {
            "id": r.spec.id,
            "backbone": r.backbone,
            "method": r.method,
            "dataset": r.dataset,
            "task": r.task,
            "seed": r.seed,
            "state": state_of(r, store),
        }
        for r in one.runs
    ]
    return {"suite": one.name, "provenance": one.provenance, "runs": runs}


def _print_results(plans: Sequence[SuitePlan], store: RecordStore) -> None:
    from bench.analysis.standings import standings
    from bench.analysis.transfer import transfer
    from bench.cli.results import records_of
    from bench.reports.leaderboard import leaderboard_table, write_files
    from bench.reports.table import print_table
    from bench.reports.transfer import method_table, verdict_table

    for one in plans:
        records, others = records_of(one, store)
        if not any(record.status == "done" for record in records.values()):
            continue
        report, board = transfer(one, records), standings(one, records, others=others)
        for table in (verdict_table(report), method_table(report), leaderboard_table(board)):
            print_table(table, output())
        for file in write_files(store.results, board, report):
            output().print(f"written: {escape(str(file))}", highlight=False, soft_wrap=True)


def _print_failures(plans: Sequence[SuitePlan], store: RecordStore, tally: Tally) -> None:
    for one in plans:
        for planned in one.runs:
            if planned.spec.id not in tally.failed:
                continue
            record = store.find(planned.spec)
            if record is not None and record.failure is not None:
                line = f"failed: {planned.title}: {record.failure.kind}: {record.failure.message}"
                errors().print(f"[red]{escape(line)}[/]", highlight=False, soft_wrap=True)
                place = store.folder(planned.spec) / "record.json"
                errors().print(f"  traceback and description: {escape(shlex.quote(str(place)))}", soft_wrap=True)
