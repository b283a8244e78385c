"""bench plan, run, status: what is to be done, doing it, and how far it is."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
    Address,
    AsJson,
    Budget,
    Controls,
    Executor,
    GpuSlots,
    Jobs,
    JobsAtMost,
    Limit,
    Only,
    Results,
    Seeds,
    Specs,
    SuiteName,
    Where,
    catalog_of,
    errors,
    output,
    print_json,
    results_of,
)
from bench.errors import NothingMeasured, UsageError
from bench.runs.monitoring import UNMONITORED, Monitoring, monitoring, traces

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.runs.agenda import Tally
    from bench.runs.execute import Executor as AnyExecutor
    from bench.runs.forecast import Forecast
    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore
    from bench.runs.shares import Share
    from bench.specs.references import ResolvedSuite

SOME_RUNS_FAILED = 4
WATCH_SECONDS = 1.0


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
    jobs: Jobs = 1,
    gpu_slots: GpuSlots = None,
    json: AsJson = False,
) -> None:
    """Show the matrix of a suite, what is done already, and about how long the rest takes.

    Example: bench plan faces --seeds 5
    """
    from bench.runs.forecast import Forecast
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore
    from bench.runs.state import states_of

    shares = _shares(jobs, gpu_slots)
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
    states = states_of((run for one in plans for run in one.everything), store)
    forecast = Forecast(plans, store, shares)
    if json:
        print_json([_as_json(one, states) | {"seconds_to_do": forecast.to_end(one, states)} for one in plans])
        return
    _print_plans(plans, states, forecast)


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
    jobs: JobsAtMost = None,
    gpu_slots: GpuSlots = None,
    executor: Executor = Where.LOCAL,
    address: Address = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Profile a handful of steps of each run that is carried out; see results/profiles."
        ),
    ] = False,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            "--tracker",
            metavar="NAME",
            help="Tell tensorboard, wandb or mlflow how each run goes; may be given several times. TensorBoard's files "
            "stand in results/trackers.",
        ),
    ] = None,
) -> None:
    """Do what a suite still lacks, then show transfer verdicts and the leaderboard.

    Interrupted (Ctrl-C) or killed, it goes on where it was when it is started again. Exit code 4 if some runs failed.
    Where the budget tunes, trials come first, and what does best on validation is run. With --controls it also shows
    whether the gain of coupling vanishes where it must. With --jobs N or --gpu-slots K several runs are carried out at
    once, with the same numbers as one by one with as many threads each. Started by torchrun or `accelerate launch`,
    each run is shared by all processes. With --executor ray runs are carried out on the machines of a cluster,
    with what `resources` of the budget ask for.

    Example: bench run --suite faces --jobs 2
    """
    from bench.runs.follow import follow, leading
    from bench.runs.stopping import stop_requests
    from bench.training.launch import follows, several

    watched = monitoring(profile=profile, trackers=tracker or ())
    _refuse_together(executor, address, jobs, gpu_slots, watched, shared=several(), dry_run=dry_run)
    if follows():
        if not dry_run:
            follow()
        return
    if dry_run:
        show_plan(suite, specs, results, budget, seeds, limit, only, controls, jobs or 1, gpu_slots)
        return
    with stop_requests() as should_stop, leading():  # from the first moment on, so that no request is lost
        from bench.runs.processes import processes
        from bench.runs.records import RecordStore

        store = RecordStore(results_of(results))
        shares = _shares(jobs or 1, gpu_slots) if executor is Where.LOCAL else []
        with ExitStack() as stack:
            workers = stack.enter_context(processes(shares)) if shares else None  # first: they import while we do
            from bench.cli.progress import RunProgress
            from bench.runs.check import checked_suite
            from bench.runs.execute import InThisProcess, check_machine, prepare_data
            from bench.runs.plan import find_preparations, plan

            catalog = catalog_of(specs)
            resolved = checked_suite(catalog, suite, budget=budget)
            found = (
                _cluster(address, jobs, resolved) if executor is Where.RAY else nullcontext(workers or InThisProcess())
            )
            carrier = stack.enter_context(found)
            if carrier.here:
                check_machine(one.budget for one in resolved)
            with RunProgress(errors()) as progress:
                for one in resolved:
                    prepare_data(list(find_preparations(catalog, one).values()), progress, should_stop)
            make_plans = partial(
                plan,
                catalog,
                suite,
                budget=budget,
                seeds=seeds,
                limit=limit,
                only=only or (),
                controls=controls,
                store=store,
            )
            profiled_before = traces(store.results)
            plans, tally = carry_out(make_plans, store, should_stop, carrier, watched=watched)
        _print_results(plans, store)
        if profile:
            _print_profiles(plans, {file for file, _ in traces(store.results) - profiled_before}, store)
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
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on looking, with what is under way, until all runs have ended.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Tell the state of every run of a suite.

    With --watch it may be asked from another terminal or machine that sees the results folder; Ctrl-C ends the looking
    alone.

    Example: bench status faces
    """
    if watch and json:
        raise UsageError("--watch goes on and on, and --json is one document", hint="give one of them")
    from bench.reports.plan import status_table
    from bench.reports.table import print_table
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore
    from bench.runs.state import states_of

    store = RecordStore(results_of(results))
    make_plans = partial(
        plan,
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
    if watch:
        _watch(suite, make_plans, store)
        return
    plans = make_plans()
    states = states_of((run for one in plans for run in one.everything), store)
    if json:
        print_json([_as_json(one, states) for one in plans])
        return
    for one in plans:
        print_table(status_table(one, states), output())


def _watch(suite: str, make_plans: Callable[[], tuple[SuitePlan, ...]], store: RecordStore) -> None:
    """Show how far a suite is until it has ended: drawn anew on a terminal, else whenever states have changed."""
    import time

    from rich.live import Live

    from bench.reports.plan import watch_table
    from bench.reports.table import print_table, rich_table
    from bench.runs.stopping import stopped_at_once
    from bench.runs.watch import Watch

    plans, watch, console, before = make_plans(), Watch(store), output(), None
    message = "stopped looking; the runs themselves go on"
    with stopped_at_once(message), Live(console=console, auto_refresh=False) as live:
        while True:
            view = watch.look(plans)
            if console.is_terminal:
                live.update(rich_table(watch_table(suite, view)), refresh=True)
            elif view.states != before:
                print_table(watch_table(suite, view), console)
            before = view.states
            if view.ended:
                return
            time.sleep(WATCH_SECONDS)
            if any(one.to_come for one in plans):
                plans = make_plans()


def _shares(jobs: int, gpu_slots: int | None) -> list[Share]:
    """What each worker process may use; none where runs are carried out in this process."""
    from bench.runs.shares import core_shares, gpu_shares, visible_gpus

    if gpu_slots is None:
        return core_shares(jobs) if jobs > 1 else []
    if jobs > 1:
        raise UsageError(
            "--jobs and --gpu-slots both say how many runs there are at once",
            hint="give one of them: --gpu-slots K for K runs on each GPU, --jobs N for N runs on the processor",
        )
    return gpu_shares(gpu_slots, visible_gpus())


def _refuse_together(
    executor: Where,
    address: str | None,
    jobs: int | None,
    gpu_slots: int | None,
    watched: Monitoring,
    *,
    shared: bool,
    dry_run: bool,
) -> None:
    """Raises `UsageError` for options that do not go together; `shared`: torchrun shares runs between processes."""
    away = executor is not Where.LOCAL
    if shared and ((jobs or 1) > 1 or gpu_slots is not None or away):
        raise UsageError(
            "--jobs, --gpu-slots and --executor carry out several runs at once, and torchrun shares each run between "
            "processes",
            hint="give one of them",
        )
    if dry_run and watched != UNMONITORED:
        raise UsageError(
            "--dry-run carries nothing out, so that there is nothing to profile or to track",
            hint="leave out one of them",
        )
    if away and watched != UNMONITORED:
        raise UsageError(
            "--profile and --tracker write files on the machine that trains, which on a cluster is another one",
            hint="leave them out, or carry the runs out here",
        )
    if away and gpu_slots is not None:
        raise UsageError(
            "--gpu-slots is about the GPUs of this machine, and a cluster has its own",
            hint="say in `resources` of the budget what part of a GPU a run gets: `gpus: 0.5`",
        )
    if address is not None and not away:
        raise UsageError("--address is that of a Ray cluster", hint="add `--executor ray`")


def _cluster(
    address: str | None, jobs: int | None, suites: Sequence[ResolvedSuite]
) -> AbstractContextManager[AnyExecutor]:
    """The Ray cluster at an address, which must have what runs of these suites ask for."""
    from bench.runs.ray_cluster import ray_cluster

    return ray_cluster(address, jobs, [suite.budget.resources for suite in suites])


def carry_out(
    make_plans: Callable[[], tuple[SuitePlan, ...]],
    store: RecordStore,
    should_stop: Callable[[], bool],
    executor: AnyExecutor,
    *,
    show: bool = True,
    watched: Monitoring = UNMONITORED,
) -> tuple[tuple[SuitePlan, ...], Tally]:
    """Carry out plans, and plan again for as long as ended trials bring new runs; `show` the plans first."""
    from bench.cli.progress import RunProgress
    from bench.runs.agenda import Tally
    from bench.runs.execute import execute
    from bench.runs.forecast import Forecast
    from bench.runs.state import states_of, to_do

    tally, command = Tally(), ["bench", *sys.argv[1:]]
    plans = make_plans()
    while True:
        states = states_of((run for one in plans for run in one.everything), store)
        forecast = Forecast(plans, store, executor.shares)
        if show:
            _print_plans(plans, states, forecast)
            show = False
        with RunProgress(errors(), [run for one in plans for run in to_do(one, states)]) as progress:
            execute(
                plans,
                store,
                progress,
                executor=executor,
                seconds_of=forecast.seconds_of,
                command=command,
                should_stop=should_stop,
                tally=tally,
                monitoring=watched,
            )
        attempted = {planned.spec.id for one in plans for planned in one.everything}
        if not any(one.to_come for one in plans):
            return plans, tally
        plans = make_plans()
        if all(planned.spec.id in attempted for one in plans for planned in one.everything):
            return plans, tally


def _print_plans(plans: Sequence[SuitePlan], states: Mapping[str, str], forecast: Forecast) -> None:
    from bench.reports.plan import plan_table, tuning_table
    from bench.reports.table import print_table

    for one in plans:
        print_table(plan_table(one, states, forecast.to_end(one, states)), output())
        if one.searches:
            print_table(tuning_table(one), output())


def _as_json(one: SuitePlan, states: Mapping[str, str]) -> dict[str, object]:
    runs = [
        {
            "id": r.spec.id,
            "backbone": r.backbone,
            "method": r.method,
            "dataset": r.dataset,
            "task": r.task,
            "seed": r.seed,
            "trial": r.trial.settings if r.trial else None,
            "state": states[r.spec.id],
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


def _print_profiles(plans: Sequence[SuitePlan], written: Container[Path], store: RecordStore) -> None:
    """Where the traces are of runs that were carried out just now, and what was costly in them."""
    from bench.reports.profile import operator_table
    from bench.reports.table import print_table
    from bench.runs.monitoring import trace_file
    from bench.training.profiling import read_profile

    runs = {trace_file(store.results, run.spec.id): run.title for one in plans for run in one.everything}
    found = {file: title for file, title in runs.items() if file in written}
    if not found:
        errors().print("[yellow]warning:[/] nothing was profiled: no run was left to carry out", soft_wrap=True)
        return
    print_table(operator_table([read_profile(file) for file in found]), output())
    for file, title in found.items():
        output().print(f"profile of {escape(title)}: {escape(str(file))}", highlight=False, soft_wrap=True)
    output().print("Perfetto (https://ui.perfetto.dev) and chrome://tracing open these files.", highlight=False)


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
