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
    results_of,
)
from bench.errors import NothingMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.runs.execute import Tally
    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore

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
    controls: Controls = False,
    json: AsJson = False,
) -> None:
    """Show the matrix of a suite, what is done already, and about how long the rest takes.

    Example: bench plan faces --seeds 5
    """
    from bench.runs.execute import to_do
    from bench.runs.forecast import forecast
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
    )
    if json:
        seconds = (forecast(p, (*to_do(p, store), *p.to_come), store) for p in plans)
        print_json([_as_json(p, store) | {"seconds_to_do": s} for p, s in zip(plans, seconds, strict=True)])
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
    controls: Controls = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
) -> None:
    """Do what a suite still lacks, then show transfer verdicts and the leaderboard.

    Interrupted (Ctrl-C) or killed, it goes on where it was when it is started again. Exit code 4 if some runs failed.
    Where the budget tunes, trials come first, and what does best on validation is run. With --controls it also shows
    whether the gain of coupling vanishes where it must. Started by torchrun or `accelerate launch`, each run is shared
    by all processes.

    Example: bench run --suite faces
    """
    from bench.runs.follow import follow, leading
    from bench.runs.stopping import stop_requests
    from bench.training.launch import follows

    if follows():
        if not dry_run:
            follow()
        return
    if dry_run:
        show_plan(suite, specs, results, budget, seeds, limit, only, controls)
        return
    with stop_requests() as should_stop, leading():  # from the first moment on, so that no request is lost
        from bench.cli.progress import RunProgress
        from bench.runs.check import checked_suite
        from bench.runs.execute import check_machine, prepare_data
        from bench.runs.plan import find_preparations, plan
        from bench.runs.records import RecordStore

        catalog, store = catalog_of(specs), RecordStore(results_of(results))
        resolved = checked_suite(catalog, suite, budget=budget)
        check_machine(one.budget for one in resolved)
        with RunProgress(errors()) as progress:
            for one in resolved:
                prepare_data(list(find_preparations(catalog, one).values()), progress, should_stop)

        def make_plans() -> tuple[SuitePlan, ...]:
            return plan(
                catalog,
                suite,
                budget=budget,
                seeds=seeds,
                limit=limit,
                only=only or (),
                controls=controls,
                store=store,
            )

        plans, tally = carry_out(make_plans, store, should_stop)
        _print_results(plans, store)
        _print_failures(plans, store, tally)
    if not any(planned.spec.id in tally.done for one in plans for planned in one.runs):
        raise NothingMeasured(
            f"no run of suite '{suite}' has ended well", hint=f"`bench status {suite}` tells their states"
        )
    if tally.failed or any(search.absence for one in plans for search in one.searches.values()):
        raise typer.Exit(SOME_RUNS_FAILED)


def status(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    controls: Controls = False,
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
    plans = plan(
        catalog_of(specs),
        suite,
        budget=budget,
        seeds=seeds,
        limit=limit,
        only=only or (),
        controls=controls,
        store=store,
    )
    if json:
        print_json([_as_json(p, store) for p in plans])
        return
    for one in plans:
        print_table(status_table(one, [state_of(r, store) for r in one.everything]), output())


def carry_out(
    make_plans: Callable[[], tuple[SuitePlan, ...]],
    store: RecordStore,
    should_stop: Callable[[], bool],
    *,
    show: bool = True,
) -> tuple[tuple[SuitePlan, ...], Tally]:
    """Carry out plans, and plan again for as long as ended trials bring new runs; `show` the plans first."""
    from bench.cli.progress import RunProgress
    from bench.runs.execute import Tally, execute

    tally, command = Tally(), ["bench", *sys.argv[1:]]
    plans = make_plans()
    if show:
        _print_plans(plans, store)
    while True:
        with RunProgress(errors(), plans, store) as progress:
            execute(plans, store, progress, command=command, should_stop=should_stop, tally=tally)
        attempted = {planned.spec.id for one in plans for planned in one.everything}
        if not any(one.to_come for one in plans):
            return plans, tally
        plans = make_plans()
        if all(planned.spec.id in attempted for one in plans for planned in one.everything):
            return plans, tally


def _print_plans(plans: Sequence[SuitePlan], store: RecordStore) -> None:
    from bench.reports.plan import plan_table, tuning_table
    from bench.reports.table import print_table
    from bench.runs.execute import state_of, to_do
    from bench.runs.forecast import forecast

    for one in plans:
        states = [state_of(r, store) for r in one.everything]
        seconds = forecast(one, (*to_do(one, store), *one.to_come), store)
        print_table(plan_table(one, states, seconds), output())
        if one.searches:
            print_table(tuning_table(one), output())


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
            "trial": r.trial.settings if r.trial else None,
            "state": state_of(r, store),
        }
        for r in one.everything
    ]
    tuning = [
        {
            "backbone": search.slot.backbone,
            "method": search.slot.method,
            "dataset": search.slot.dataset,
            "task": search.slot.task,
            "state": search.state,
            "trials": search.total,
            "ended": search.ended,
            "diverged": search.diverged,
            "chosen": search.chosen,
            "validation": search.best,
        }
        for search in one.searches.values()
    ]
    return {
        "suite": one.name,
        "provenance": one.provenance,
        "runs": runs,
        "waiting": len(one.to_come),
        "tuning": tuning,
    }


def _print_results(plans: Sequence[SuitePlan], store: RecordStore) -> None:
    from bench.analysis.ranking import ranking
    from bench.analysis.standings import standings
    from bench.analysis.transfer import transfer
    from bench.cli.curve import print_curves
    from bench.cli.results import records_of
    from bench.reports.leaderboard import leaderboard_table, write_files
    from bench.reports.plan import tuning_table
    from bench.reports.table import print_table
    from bench.reports.transfer import method_table, verdict_table

    measured: list[SuitePlan] = []
    for one in plans:
        if one.searches:
            print_table(tuning_table(one), output())
        records, others = records_of(one, store)
        if not any(run.spec.id in records and records[run.spec.id].status == "done" for run in one.runs):
            continue
        measured.append(one)
        report, board = transfer(one, records), standings(one, records, others=others)
        for table in (verdict_table(report), method_table(report), leaderboard_table(board)):
            print_table(table, output())
        whole = one.whole  # files tell of the whole suite, whatever --only looks at
        files = write_files(
            store.results, standings(whole, records, others=others), transfer(whole, records), ranking(whole, records)
        )
        if one.controls:
            files += _print_controls(one, records, store)
        _print_written(files)
    suites = {one.suite.name for one in measured}
    _print_written(print_curves(tuple(one for one in plans if one.suite.name in suites), store))


def _print_written(files: Iterable[Path]) -> None:
    for file in files:
        output().print(f"written: {escape(str(file))}", highlight=False, soft_wrap=True)


def _print_controls(one: SuitePlan, records: Mapping[str, Record], store: RecordStore) -> list[Path]:
    from bench.analysis.controls import controls
    from bench.reports.controls import control_cell_table, control_table, write_files
    from bench.reports.table import print_table

    report = controls(one, records)
    for table in (control_cell_table(report), control_table(report)):
        print_table(table, output())
    return write_files(store.results, controls(one.whole, records))


def _print_failures(plans: Sequence[SuitePlan], store: RecordStore, tally: Tally) -> None:
    for one in plans:
        for planned in one.everything:
            if planned.spec.id not in tally.failed:
                continue
            record = store.find(planned.spec)
            if record is not None and record.failure is not None:
                line = f"failed: {planned.title}: {record.failure.kind}: {record.failure.message}"
                errors().print(f"[red]{escape(line)}[/]", highlight=False, soft_wrap=True)
                place = store.folder(planned.spec) / "record.json"
                errors().print(f"  traceback and description: {escape(shlex.quote(str(place)))}", soft_wrap=True)
