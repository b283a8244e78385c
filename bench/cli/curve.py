"""bench curve: how much learning together gains along an axis of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import (
    AsJson,
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
    print_json,
    print_text,
    results_of,
    writable,
)
from bench.cli.results import Format, records_of, refuse_nothing
from bench.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from bench.analysis.curves import Curve
    from bench.runs.plan import SuitePlan
    from bench.runs.records import RecordStore


def register(app: typer.Typer) -> None:
    app.command()(curve)


def curve(
    suite: SuiteName,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
    limit: Limit = None,
    only: Only = None,
    axis: Annotated[
        str | None,
        typer.Option("--axis", metavar="NAME", help="`overlap` or DATASET/TASK; left out: every axis of the suite."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Draw the curve: an .svg or .png file.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.terminal,
    json: AsJson = False,
) -> None:
    """Show what learning together gains, and what tasks score, along the axes of a suite.

    A suite with `axes` thins out training labels; every point has twins of its own, which see the same labels.

    Example: bench curve overlap_shoes --axis overlap --out overlap.svg
    """
    from bench.runs.plan import plan
    from bench.runs.records import RecordStore

    file = writable(out, ".svg", ".png") if out is not None else None
    store = RecordStore(results_of(results))
    plans = plan(
        catalog_of(specs), suite, budget=budget, seeds=seeds, limit=limit, only=only or (), store=store, networks=False
    )
    wanted = _wanted(suite, plans, axis)
    if file is not None and len(wanted) > 1:
        raise UsageError(
            f"suite '{suite}' has several curves ({', '.join(f'{one} along {name}' for one, name in wanted)})",
            hint="choose the one to draw with --axis, and of several suites by its own name",
        )
    found = _curves(suite, plans, wanted, store)
    if file is not None:
        _draw(found[0], file)
    if json:
        print_json(found)
        return
    _print(found, format)


def print_curves(plans: tuple[SuitePlan, ...], store: RecordStore) -> list[Path]:
    """Print what is gained along all axes of some suites, and leave tables and pictures; nothing where there are none.

    Returns the files; parts of suites leave none.
    """
    from bench.analysis.curves import curves
    from bench.reports.curve import gain_table, write_files
    from bench.reports.table import print_table

    files = []
    for name, axis in _known_axes(plans):
        found = curves([(one, records_of(one, store)[0]) for one in plans if one.suite.name == name], axis)
        print_table(gain_table(found), output())
        if all(one.part_of is None for one in plans):  # files tell of the whole suite
            files += write_files(store.results, found)
    return files


def _known_axes(plans: tuple[SuitePlan, ...]) -> list[tuple[str, str]]:
    """Suites and their axes, each once."""
    axes = {one.suite.name: one.suite.spec.axes for one in plans}
    return [(name, axis) for name, found in axes.items() if found is not None for axis in found.names]


def _wanted(suite: str, plans: tuple[SuitePlan, ...], axis: str | None) -> list[tuple[str, str]]:
    """Suites and their axes that are asked for."""
    known = _known_axes(plans)
    if not known:
        raise UsageError(
            f"suite '{suite}' has no axes, so there is no curve",
            hint="`bench leaderboard` and `bench transfer` show its results; the key `axes` of a suite gives it some",
        )
    if axis is not None and axis not in {name for _, name in known}:
        raise UnknownName(f"axis of suite '{suite}'", axis, [name for _, name in known])
    return [(name, one) for name, one in known if axis in (None, one)]


def _curves(suite: str, plans: tuple[SuitePlan, ...], wanted: list[tuple[str, str]], store: RecordStore) -> list[Curve]:
    """The curves; raises `NothingMeasured` if there is not one result of them."""
    from bench.analysis.curves import curves

    asked = {name for name, _ in wanted}
    measured = [(one, records_of(one, store)[0]) for one in plans if one.suite.name in asked]
    refuse_nothing(suite, (records for _, records in measured), store)
    return [curves([pair for pair in measured if pair[0].suite.name == name], axis) for name, axis in wanted]


def _draw(one: Curve, file: Path) -> None:
    """Write the picture; it appears whole or not at all."""
    from bench.files import write_whole
    from bench.reports.curve import picture

    write_whole(file, picture(one, file.suffix.lower()))
    errors().print(f"written: {escape(str(file))}", highlight=False, soft_wrap=True)


def _print(found: list[Curve], format: Format) -> None:
    from bench.reports.curve import curve_records, gain_table, score_tables
    from bench.reports.table import print_table, to_csv, to_markdown

    if format is Format.csv:
        print_text(to_csv(*map(curve_records, found)))
        return
    for table in (table for one in found for table in (gain_table(one), *score_tables(one))):
        if format is Format.md:
            print_text(to_markdown(table) + "\n")
        else:
            print_table(table, output())
