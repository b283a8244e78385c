"""bench diagnose: why learning together helps or harms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
    AsJson,
    Budget,
    Limit,
    Only,
    Results,
    Specs,
    catalog_of,
    errors,
    output,
    print_json,
    results_of,
)
from bench.errors import NothingMeasured

if TYPE_CHECKING:
    from bench.analysis.diagnosis import SuiteDiagnosis
    from bench.runs.diagnose import Diagnosed, Work
    from bench.runs.records import RecordStore

SOME_RUNS_FAILED = 4


def register(app: typer.Typer) -> None:
    app.command()(diagnose)


def diagnose(
    target: Annotated[
        str, typer.Argument(metavar="RUN|SUITE", help="Id of a recorded run (`bench status` lists them), or a suite.")
    ],
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="So many seeds of a suite. [default: 1]")] = None,
    limit: Limit = None,
    only: Only = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            min=1,
            metavar="N",
            help="Look at every Nth step. By default as often as takes about 5 % of the time of training.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Tell why: how tasks pull at the shared backbone, what a step on one does for another, agreement, calibration.

    Trains joint runs again, to the numbers of their records, and looks at a sample of steps. What was seen is kept in
    results/diagnoses and not made again. Interrupted, the run that was looked at starts anew the next time. Calibration
    is shown of runs that `bench run` has recorded. Exit code 4 if some runs failed.

    Example: bench diagnose faces --only resnet_micro
    """
    from bench.runs.stopping import stop_requests

    with stop_requests() as should_stop:
        from bench.cli.progress import RunProgress
        from bench.runs import diagnose as runs
        from bench.runs.records import RecordStore

        store = RecordStore(results_of(results))
        found: list[Diagnosed] = []
        with RunProgress(errors()) as progress:
            works = runs.select(
                catalog_of(specs),
                store,
                target,
                progress,
                budget=budget,
                seeds=seeds,
                limit=limit,
                only=only or (),
                should_stop=should_stop,
            )
            for one in runs.diagnose(works, store, progress, every=every, should_stop=should_stop):
                found.append(one)
                progress.console.print(escape(_line(one)), highlight=False, soft_wrap=True)
    reports = [_report(work, [one for one in found if one.work is work], store) for work in works]
    if json:
        print_json(reports)
    else:
        for report in reports:
            _print(report)
    if all(one.diagnosis is None for one in found):
        raise NothingMeasured(f"no run of '{target}' could be looked at", hint="the lines above say why")
    if any(one.diagnosis is None for one in found):
        raise typer.Exit(SOME_RUNS_FAILED)


def _line(one: Diagnosed) -> str:
    if one.diagnosis is None:
        return f"failed: {one.run.title}: {one.failure}"
    looks = len(one.diagnosis.looks)
    return f"{one.run.title}: {looks} looks{', of an earlier time' if one.kept else ''}"


def _report(work: Work, found: list[Diagnosed], store: RecordStore) -> SuiteDiagnosis:
    from bench.analysis.diagnosis import suite_diagnosis
    from bench.cli.results import records_of
    from bench.runs.predictions import read_predictions

    records, _ = records_of(work.plan, store)
    return suite_diagnosis(work.plan, found, records, partial(read_predictions, store))


def _print(report: SuiteDiagnosis) -> None:
    from bench.reports.diagnosis import diagnosis_tables
    from bench.reports.table import print_table

    for table in diagnosis_tables(report):
        print_table(table, output())
    for title in report.differing:
        errors().print(
            f"[yellow]warning:[/] {escape(title)} did not come to the numbers of its record when it was trained again",
            highlight=False,
            soft_wrap=True,
        )
