"""bench schema: JSON Schemas of specs, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bench.cli.options import output, print_text
from bench.errors import UnknownName, UsageError


def register(app: typer.Typer) -> None:
    app.command()(schema)


def schema(
    kind: Annotated[str | None, typer.Argument(help="A kind of spec; left out: all, with --out.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write files (KIND.json) into this folder.")
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of spec, or write all of them.

    An editor completes and explains keys where a spec's first line names its schema:
    `# yaml-language-server: $schema=schemas/dataset.json`.

    Example: bench schema --out schemas
    """
    from bench.specs.catalog import KINDS
    from bench.specs.schemas import schema_of, to_text

    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of spec", kind, KINDS)
    if out is None:
        if kind is None:
            raise UsageError("which schema?", hint=f"name a kind ({', '.join(KINDS)}), or give a folder with --out")
        print_text(to_text(schema_of(kind)))
        return
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder", hint="give a folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    for one in [kind] if kind else KINDS:
        file = out / f"{one}.json"
        file.write_text(to_text(schema_of(one)), encoding="utf-8")
        output().print(f"written: {escape(str(file))}", highlight=False, soft_wrap=True)
