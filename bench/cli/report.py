"""bench report: numbers that are reported, kept under regression."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
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
    results_of,
)
from bench.errors import SpecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore
    from bench.specs.document import Document
    from bench.specs.reported import Reported

File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="The report; default: reported/SUITE.yaml in the results."),
]
app = typer.Typer(help="Reported numbers, which `bench check` keeps from moving unnoticed.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Reported numbers, which `bench check` keeps from moving unnoticed."""


@app.command()
def freeze(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    file: File = None,
    repeats: Annotated[
        int,
        typer.Option("--repeats", min=0, help="Make the runs of the first seed again so often, to see if they repeat."),
    ] = 1,
    update: Annotated[bool, typer.Option("--update", help="Replace a report whose numbers differ.")] = False,
) -> None:
    """Write down what a suite has measured: means, spread, fingerprints, machine, and how far numbers may move.

    Everything must be measured already, with two seeds at least. Without repeats, numbers are held to the spread
    between seeds alone.

    Example: bench report freeze faces --only resnet_micro
    """
    from bench.analysis.regression import differences, freeze, surroundings
    from bench.reports.reported import write_reported
    from bench.runs.environment import environment
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    catalog, store = catalog_of(specs), RecordStore(results_of(results))
    target = report_file(file, store.results, suite)

    def planned(count: int | None, where: RecordStore) -> tuple[SuitePlan, ...]:
        return plan(catalog, suite, budget=budget, seeds=count, limit=limit, only=only or (), store=where)

    plans = planned(seeds, store)
    records = records_in(plans, store)
    today = date.today()
    report = freeze(plans, records, (), only=only or (), on=today)  # refuses before anything is made again
    here = surroundings(environment(), report.surroundings[0].device)
    if repeats and (apart := differences(report.surroundings, here)):
        errors().print(
            f"[yellow]not repeated:[/] the records were made elsewhere ({escape('; '.join(apart))}); numbers are held "
            "to the spread between seeds alone",
            highlight=False,
            soft_wrap=True,
        )
    elif repeats:
        again = [records_made_anew(lambda where: planned(1, where)) for _ in range(repeats)]
        report = freeze(plans, records, again, only=only or (), on=today)
        if not report.exact:
            errors().print("[yellow]repeats differed:[/] this machine does not repeat to the bit", soft_wrap=True)
    _refuse_to_replace(target, report, update=update)
    write_reported(report, target)
    how = "held to the bit on this machine" if report.exact else "held to the spread between seeds"
    output().print(
        f"frozen: {report.count} numbers of {len(report.cells)} cells, {how}: {escape(str(target))}",
        highlight=False,
        soft_wrap=True,
    )


def report_file(file: Path | None, results: Path, suite: str) -> Path:
    """Where a suite's report stands or will stand."""
    return file or results / "reported" / f"{suite}.yaml"


def records_in(plans: Sequence[SuitePlan], store: RecordStore) -> dict[str, Record]:
    """Records of the runs of some plans, without what `--only` leaves out; says which cannot be trusted."""
    from bench.cli.results import records_of

    wanted = {run.spec.id for one in plans for run in one.runs}
    found = (pair for one in plans for pair in records_of(one, store)[0].items())
    return {run_id: record for run_id, record in found if run_id in wanted}


def records_made_anew(planned: Callable[[RecordStore], tuple[SuitePlan, ...]]) -> dict[str, Record]:
    """Carry out plans in a store of their own, which is removed, and give their records by run id."""
    from tempfile import TemporaryDirectory

    from bench.cli.run import carry_out
    from bench.runs.execute import InThisProcess
    from bench.runs.records import RecordStore
    from bench.runs.stopping import stop_requests

    with stop_requests() as should_stop, TemporaryDirectory(prefix="bench-check-") as folder:
        store = RecordStore(Path(folder))
        plans, _ = carry_out(lambda: planned(store), store, should_stop, InThisProcess(), show=False)
        return records_in(plans, store)


def read_report(file: Path) -> tuple[Reported, Document]:
    """A report, and where in its file everything stands.

    Raises `UsageError` where there is none, `SpecError` for one that cannot be read or was edited.
    """
    from bench.analysis.regression import altered_tolerances
    from bench.specs.document import read_document
    from bench.specs.reported import read_reported

    if not file.is_file():
        raise UsageError(
            f"there is no report {file}", hint="`bench report freeze SUITE` writes one, `--file` names one"
        )
    document = read_document(file)
    reported = read_reported(document)
    edited = [
        document.problem(
            ("cells", place, "numbers", metric, "tolerance"),
            f"is not what the scores give ({follows:.6g}): this file was edited",
        )
        for (place, metric), follows in altered_tolerances(reported).items()
    ]
    if edited:
        raise SpecError(edited, hint="freeze anew: `bench report freeze SUITE --update`")
    return reported, document


def _refuse_to_replace(target: Path, report: Reported, *, update: bool) -> None:
    """Raises `UsageError` where a report with other numbers would be lost."""
    from bench.analysis.regression import changed

    if update or not target.exists():
        return
    try:
        moved = changed(read_report(target)[0], report)
    except SpecError as error:
        raise UsageError(f"{target} cannot be read: {error.message}", hint="`--update` replaces it") from error
    if moved:
        raise UsageError(
            f"{target} holds other numbers: {len(moved)} differ, such as {moved[0]}",
            hint="`bench check` tells how; `--update` replaces the report: commit it together with its cause",
        )
