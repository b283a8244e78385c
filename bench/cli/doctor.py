"""bench doctor: what bench stands on here, and what of it breaks something."""

from __future__ import annotations

import typer

from bench.cli.options import AsJson, Results, Specs, output, print_json, results_of


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(specs: Specs = None, results: Results = None, json: AsJson = False) -> None:
    """Show what bench stands on here, and what of it breaks runs, repeatability or speed.

    Exit code 2 where something cannot work, such as a broken plug-in; advice alone is 0.

    Example: bench doctor
    """
    from bench.errors import UsageError
    from bench.reports.doctor import findings_table, survey_table
    from bench.reports.table import print_table
    from bench.runs.doctor import findings, survey

    seen = survey(specs or [], results_of(results))
    found = findings(seen)
    if json:
        print_json({"survey": seen, "findings": found})
    else:
        print_table(survey_table(seen), output())
        if found:
            print_table(findings_table(found), output())
        else:
            output().print("Nothing here breaks runs, repeatability or speed.", highlight=False)
    if any(finding.weight == "fault" for finding in found):
        raise typer.Exit(UsageError.exit_code)
