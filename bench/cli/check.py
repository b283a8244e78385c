"""bench check: are reported numbers still what is measured?"""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Results, Specs, SuiteName, catalog_of, errors, output, print_json, print_text, results_of
from bench.cli.report import File, read_report, records_in, records_made_anew, report_file
from bench.errors import NothingMeasured, UsageError

if TYPE_CHECKING:
    from bench.analysis.regression import Comparison
    from bench.runs.plan import SuitePlan
    from bench.runs.records import Record, RecordStore
    from bench.specs.catalog import Catalog
    from bench.specs.document import Document
    from bench.specs.reported import Reported, Surroundings

REGRESSED, SOME_FAILED = 3, 4


class Format(StrEnum):
    terminal = "terminal"
    md = "md"
    json = "json"


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    file: File = None,
    recorded: Annotated[
        bool | None,
        typer.Option(
            "--recorded/--rerun",
            help="Take the records that are there, or run everything again in a store of its own. Default: run "
            "stand-ins again, take records of real data.",
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.terminal,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML.")] = None,
    comment: Annotated[
        Path | None, typer.Option("--comment", metavar="FILE", help="Also write Markdown, as for a pull request.")
    ] = None,
) -> None:
    """Compare every reported number of a suite with what is measured now, seed by seed.

    Exit code 3 if a number regressed, 4 if runs failed, 5 if anything could not be compared: a check never passes on
    what it did not see. Runs that were carried out again vouch for records with the same scores: leaderboards say of
    these `verified here`. In a GitHub workflow it annotates the report and adds to the job's summary.

    Example: bench check guard --junit check.xml
    """
    from bench.analysis.regression import compare, incomparable
    from bench.runs.records import RecordStore
    from bench.runs.repeated import leave_repeated

    catalog, store = catalog_of(specs), RecordStore(results_of(results))
    for place in (junit, comment):
        if place is not None and not place.absolute().parent.is_dir():
            raise UsageError(f"'{place}' cannot be written", hint="give a file in a folder that exists")
    reported, document = read_report(report_file(file, store.results, suite))
    if reported.suite != suite:
        raise UsageError(
            f"{document.file} is about suite '{reported.suite}', not '{suite}'",
            hint=f"`bench check {reported.suite} --file {shlex.quote(str(document.file))}`, or name the report of "
            f"'{suite}'",
        )
    planned = partial(_planned, catalog, reported)
    plans = planned(store)
    if plans[0].provenance != reported.provenance:
        raise UsageError(
            f"the report is about {reported.provenance} data, and this machine has {plans[0].provenance} data",
            hint="`bench data status` tells which copies are found",
        )
    records: dict[str, Record] = {}
    if len(incomparable(reported, plans)) < len(reported.cells):
        again = reported.provenance != "real" if recorded is None else not recorded
        records = records_made_anew(planned) if again else records_in(plans, store)
        if again:
            leave_repeated(store.results, suite, records.values())
    found = compare(reported, plans, records, _surroundings(records))
    _tell(found, format)
    _leave(found, document, junit, comment)
    if not found.compared and not found.failed:
        raise NothingMeasured(
            f"no reported number of suite '{suite}' could be compared",
            hint="the table says why; `bench report freeze --update` reports anew",
        )
    raise typer.Exit(_exit_code(found))


def _planned(catalog: Catalog, reported: Reported, store: RecordStore) -> tuple[SuitePlan, ...]:
    from bench.runs.plan import plan

    plans = plan(
        catalog,
        reported.suite,
        budget=reported.budget,
        seeds=len(reported.seeds),
        limit=reported.limit,
        only=reported.only,
        store=store,
    )
    if plans[0].seeds != reported.seeds:
        raise UsageError(
            f"the report has seeds {reported.seeds}, and a plan of as many has {plans[0].seeds}",
            hint=f"freeze anew: `bench report freeze {reported.suite} --update`",
        )
    return plans


def _surroundings(records: dict[str, Record]) -> Surroundings | None:
    """What all records were made on; None where that is not one and the same."""
    from bench.analysis.regression import surroundings_of

    found = [surroundings_of(record) for record in records.values() if record.status == "done"]
    return found[0] if found and all(one == found[0] for one in found) else None


def _tell(found: Comparison, format: Format) -> None:
    from bench.reports.reported import comparison_table, summary
    from bench.reports.table import print_table, to_markdown

    table = comparison_table(found, every=False)
    if format is Format.json:
        print_json({"summary": summary(found), "exit_code": _exit_code(found), "comparison": found})
    elif format is Format.md:
        print_text(to_markdown(comparison_table(found)))
    elif table.rows:
        print_table(table, output())
    else:  # nothing but numbers that are the same
        output().print("\n".join([*table.notes, table.warning]).rstrip(), highlight=False, markup=False)


def _leave(found: Comparison, document: Document, junit: Path | None, comment: Path | None) -> None:
    """Files for others, and what a GitHub workflow shows."""
    from bench.files import write_whole
    from bench.reports.reported import comparison_table, junit_xml, log_lines
    from bench.reports.table import to_markdown

    page = to_markdown(comparison_table(found))
    if junit is not None:
        write_whole(junit, junit_xml(found))
    if comment is not None:
        write_whole(comment, page)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in log_lines(found, document):
            errors().print(line, markup=False, highlight=False, soft_wrap=True)
        summary_file = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary_file:
            with Path(summary_file).open("a", encoding="utf-8") as stream:
                stream.write(page)


def _exit_code(found: Comparison) -> int:
    if found.count("regressed"):
        return REGRESSED
    if found.count("missing") and found.failed:
        return SOME_FAILED
    return NothingMeasured.exit_code if found.compared < len(found.findings) else 0
