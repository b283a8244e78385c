"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.specs.catalog import Catalog

Specs = Annotated[
    list[Path] | None,
    typer.Option(
        "--specs", metavar="DIR", help="A folder of further specs; may be given several times. [env: BENCH_SPECS]"
    ),
]
Results = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="Where results are. [env: BENCH_RESULTS; default: results]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Budget = Annotated[str | None, typer.Option("--budget", metavar="NAME", help="Another budget than the suite's own.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds, instead of the budget's.")]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="At most so many images a split and so many steps: a trial; its numbers are kept apart."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME",
        help="Only this backbone, method, data set, task or point of an axis (as overlap=0.5), and the twins it needs; "
        "may be given several times.",
    ),
]
Controls = Annotated[
    bool,
    typer.Option(
        "--controls",
        help="Also run every coupled method with its relatedness permuted, uniform, and with coupling weight 0.",
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, metavar="N", help="So many runs at once, each with its share of the cores.")
]


class Where(StrEnum):
    """Which executor carries runs out."""

    LOCAL = "local"
    RAY = "ray"


JobsAtMost = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        metavar="N",
        help="So many runs at once, each with its share of the cores; on a cluster the most, by default what fits.",
    ),
]
Executor = Annotated[
    Where, typer.Option("--executor", help="Where runs are carried out: on this machine, or on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Of a Ray cluster: auto, host:port or ray://host:port; by default one is started on this machine. "
        "[env: RAY_ADDRESS]",
    ),
]
GpuSlots = Annotated[
    int | None, typer.Option("--gpu-slots", min=1, metavar="K", help="K runs at once on each GPU, instead of --jobs.")
]
SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite; `bench list suite` shows them.")]


def catalog_of(folders: list[Path] | None) -> Catalog:
    """The catalog with the folders of `--specs`; warns of files that cannot be read."""
    from bench.specs.catalog import open_catalog

    catalog = open_catalog(folders or [])
    for fault in (*catalog.unreadable, *catalog.faults):
        errors().print(f"[yellow]warning:[/] {escape(str(fault))}", highlight=False, soft_wrap=True)
    return catalog


def writable(out: Path, *endings: str) -> Path:
    """A file to write. Raises `UsageError` for another ending, a folder, or a place in a folder that is not there."""
    if out.suffix.lower() not in endings or out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageError(
            f"'{out}' cannot be written", hint=f"give a {' or '.join(endings)} file in a folder that exists"
        )
    return out


def results_of(folder: Path | None) -> Path:
    """The results folder, which need not be there yet. Raises `UsageError` if it is a file."""
    found = (folder or Path(os.environ.get("BENCH_RESULTS") or "results")).absolute()
    if found.exists() and not found.is_dir():
        raise UsageError(f"{found} is not a folder", hint="give a folder for results (`--results DIR`)")
    return found


class _Output(Console):
    def on_broken_pipe(self) -> None:
        _reader_gone()


def output() -> Console:
    """Where results go. Without a terminal a table gets the width it needs."""
    return _Output(width=None if sys.stdout.isatty() else 2000, emoji=False)


def errors() -> Console:
    """Where warnings, errors and progress go."""
    return Console(stderr=True, emoji=False)


def print_json(value: Any) -> None:
    """JSON to standard output; NaN, which JSON has not, as null."""
    print_text(json.dumps(_plain(value), indent=1, ensure_ascii=False, default=str) + "\n")


def print_text(text: str) -> None:
    """Text for programs to standard output, as it is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_gone()


def _reader_gone() -> NoReturn:
    """End quietly: who reads only the first lines (`bench list | head`) makes no mistake."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def _plain(value: Any) -> Any:
    from dataclasses import fields, is_dataclass

    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value != value:
        return None
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return value
