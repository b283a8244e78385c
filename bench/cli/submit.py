"""bench submit: someone's results as a folder for a pull request, and whether such a folder is what it says."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
    AsJson,
    Budget,
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
from bench.errors import NothingMeasured, RecordError

if TYPE_CHECKING:
    from bench.analysis.verification import Verification

NOT_AS_STATED = 4
app = typer.Typer(help="Results as a folder for a pull request: packed, and verified.", no_args_is_help=True)


@app.command()
def pack(
    suite: SuiteName,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the submission goes; a new folder.")],
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Pack what there is; the manifest says what is missing.")
    ] = False,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="DIR",
            help="Predictions go into this new folder instead; needed where they are over 50 MiB.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What the submission is called; default: the suite.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Whose results these are.")] = None,
    contact: Annotated[str | None, typer.Option("--contact", help="Where to ask about them.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Under which licence they are given.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="A line on what is new in them.")] = None,
    json: AsJson = False,
) -> None:
    """Pack all records, predictions and specs of a suite, without local paths and names, and verify what was packed.

    Refused are plans that are not complete (but for --partial) and records that failed or cannot be trusted. Runs that
    diverged are results. Negative controls and cut-down runs stay out.

    Example: bench submit pack faces --out submission --by "A. Author" --licence CC-BY-4.0
    """
    from bench.analysis.verification import verify
    from bench.runs.packing import Request, new_folder, write_submission
    from bench.runs.plan import plan
    from bench.runs.privacy import local_names
    from bench.runs.records import RecordStore

    store, catalog, names = RecordStore(results_of(results)), catalog_of(specs), local_names()
    plans = plan(catalog, suite, budget=budget, seeds=seeds, store=store, networks=False)
    request = Request(suite, budget, seeds, partial, name, by, contact, licence, note)
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder(out.absolute()))
        apart = stack.enter_context(new_folder(predictions.absolute())) if predictions is not None else None
        write_submission(request, catalog, plans, store, names, folder, apart)
        found = verify(folder, apart=apart, names=names)
        if not found.holds:
            told = "\n".join(f"  {one.file or suite}: {one.what}" for one in found.problems)
            raise RecordError(
                f"what was packed does not pass verification, so nothing is left:\n{told}",
                hint="mend what is named above (`bench run` makes records anew), then pack again",
            )
    _tell(found, json=json)
    if not json:
        output().print(f"written: {escape(str(out))}", highlight=False, soft_wrap=True)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The submission.")],
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="DIR", help="Predictions that do not stand in the submission itself."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Check a submission: files, hashes, records, plan, specs, and every score against its predictions.

    Nothing of it is executed. Exit code 4 if anything is not what it says (all of it is listed), 2 if the folder
    is no submission, 5 if it holds no score.

    Example: bench submit verify submission
    """
    from bench.analysis.verification import verify as verified

    found = verified(folder, apart=predictions)
    _tell(found, json=json)
    if not found.holds:
        raise typer.Exit(NOT_AS_STATED)
    if not found.scores:
        raise NothingMeasured(f"{folder} holds no score", hint="`bench submit pack` packs runs that have ended")
    if not json:
        output().print(f"shown by: {escape(_shown_by(found, folder))}", highlight=False, soft_wrap=True)


def _tell(found: Verification, *, json: bool) -> None:
    from bench.reports.submission import problem_table, submission_table
    from bench.reports.table import print_table

    if json:
        print_json(found)
        return
    print_table(submission_table(found), output())
    print_table(problem_table(found), output())
    if not found.holds:
        errors().print(f"[bold red]not what it says:[/] {len(found.problems)} problems", highlight=False)


def _shown_by(found: Verification, folder: Path) -> str:
    """The command that shows a submission as a leaderboard."""
    from bench.runs.submission import OWN_SPECS

    about = found.submission
    line = ["bench", "leaderboard", about.suite, "--results", str(folder), "--seeds", str(about.seeds)]
    line += ["--budget", about.budget] if about.budget is not None else []
    line += ["--specs", str(folder / OWN_SPECS)] if found.has_own_specs else []
    line += ["--rescored"]
    return shlex.join(line)
