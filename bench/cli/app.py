"""The command `bench`: its groups of commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback
from typing import Annotated

import typer
from rich.markup import escape

import bench
from bench.cli import (
    check,
    curve,
    data,
    diagnose,
    doctor,
    new,
    report,
    results,
    run,
    schema,
    score,
    site,
    specs,
    submit,
)
from bench.cli.options import errors
from bench.errors import BenchError, InfrastructureError, UsageError, is_infrastructure
from bench.training.launch import several

app = typer.Typer(
    name="bench",
    help="Does learning these tasks together help or harm each of them? Specs in, verdicts and tables out.\n\n"
    "Example: bench run --suite faces",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
specs.register(app)
run.register(app)
results.register(app)
score.register(app)
curve.register(app)
diagnose.register(app)
check.register(app)
schema.register(app)
doctor.register(app)
app.add_typer(new.app, name="new")
app.add_typer(data.app, name="data")
app.add_typer(site.app, name="site")
app.add_typer(report.app, name="report")
app.add_typer(submit.app, name="submit")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"bench {bench.__version__}")
        raise typer.Exit
    if several() and context.invoked_subcommand != "run":
        raise UsageError(
            "several processes can share `bench run` and nothing else", hint="start it without torchrun or accelerate"
        )


def main() -> None:
    """Run the command line; every deliberate error ends in its message, its hint and its exit code."""
    # Nothing is fetched from a hub while a suite runs, and libraries keep their progress bars to themselves.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # torch's profiler tells of itself; with a lower number, of more
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has no ▲ gets an escape, not a crash
            stream.reconfigure(errors="backslashreplace")
    gc.set_threshold(100_000)  # plans and records are many objects that live on
    try:
        app()
    except BenchError as error:
        _fail(error)
    except Exception as error:
        if not is_infrastructure(error):
            _crash(error)
        what = str(error) or type(error).__name__
        _fail(InfrastructureError(f"the machine failed: {what}", hint="free some space or memory, then repeat"))


def _fail(error: BenchError) -> None:
    console = errors()
    console.print(f"[bold red]error:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        console.print(f"[bold]what to do:[/] {escape(error.hint)}", highlight=False, soft_wrap=True)
    raise SystemExit(error.exit_code)


def _crash(error: Exception) -> None:
    traceback.print_exception(error)
    console = errors()
    console.print(
        f"[bold red]internal fault:[/] {escape(type(error).__name__)}: {escape(str(error))}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        "[bold]what to do:[/] please report this with the lines above; finished runs are kept", soft_wrap=True
    )
    raise SystemExit(1)
