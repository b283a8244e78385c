"""bench site: results as pages that open from a file."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import Budget, Results, Seeds, Specs, catalog_of, errors, output, results_of
from bench.errors import BenchError, NothingMeasured, UsageError

if TYPE_CHECKING:
    from bench.runs.plan import SuitePlan
    from bench.runs.records import RecordStore
    from bench.specs.catalog import Catalog

Suites = Annotated[
    list[str] | None, typer.Argument(metavar="[SUITE]...", help="Suites to show; left out: all that have records.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the site goes; default: `site` in the results.")
]
SECONDS_BETWEEN_LOOKS = 0.2

app = typer.Typer(help="Results as a static site, which opens from a file and needs no network.", no_args_is_help=True)


@app.command()
def build(
    suites: Suites = None,
    out: Out = None,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
) -> None:
    """Write the site; it replaces an older one as a whole.

    Example: bench site build faces --out site
    """
    folder = _build(suites or [], out, specs, results, budget, seeds)
    output().print(f"written: {escape(str(folder / 'index.html'))}", highlight=False, soft_wrap=True)


@app.command()
def serve(
    suites: Suites = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")] = 8000,
    out: Out = None,
    specs: Specs = None,
    results: Results = None,
    budget: Budget = None,
    seeds: Seeds = None,
) -> None:
    """Write the site and show it at http://127.0.0.1 until Ctrl-C.

    Example: bench site serve faces --port 8000
    """
    from bench.runs.stopping import stop_requests

    folder = _build(suites or [], out, specs, results, budget, seeds)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error}", hint="give another with --port") from error
    with server, stop_requests() as should_stop:
        output().print(f"http://127.0.0.1:{server.server_port}/ until Ctrl-C", highlight=False)
        server.timeout = SECONDS_BETWEEN_LOOKS
        while not should_stop():
            server.handle_request()
    output().print("stopped")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


def _build(
    suites: list[str],
    out: Path | None,
    specs: list[Path] | None,
    results: Path | None,
    budget: str | None,
    seeds: int | None,
) -> Path:
    """Write the site of these suites and say where. Raises `NothingMeasured` where none has a result."""
    from bench.reports.site import build as write
    from bench.reports.site import gather, refuse_foreign
    from bench.reports.site.cells import DRAWN
    from bench.runs.archive import read_archive, recorded_suites
    from bench.runs.predictions import read_predictions
    from bench.runs.records import RecordStore
    from bench.runs.repeated import repeated
    from bench.specs.references import published_numbers

    store = RecordStore(results_of(results))
    folder = (out or store.results / "site").absolute()
    refuse_foreign(folder)
    with _kept():
        catalog = catalog_of(specs)
        if suites:
            plans = [one for name in dict.fromkeys(suites) for one in _plans(catalog, name, budget, seeds, store)]
            left_out: list[str] = []
        else:
            plans, left_out = _every_plan(catalog, recorded_suites(store), budget, seeds, store)
        archive = read_archive(store, plans, curves=DRAWN)
        published, problems = published_numbers(store.results / "published", catalog)
        content = gather(
            plans,
            archive,
            partial(read_predictions, store),
            left_out=[*left_out, *map(str, problems)],
            published=published,
            repeated=repeated(store.results, archive.records),
        )
    if not content.suites:
        listed = ", ".join(suites or [])
        raise NothingMeasured(
            f"nothing is measured yet{f' for {listed}' if listed else ''} in {store.root}",
            hint="`bench run --suite SUITE` measures a suite",
        )
    for line in content.left_out:
        errors().print(f"[yellow]left out:[/] {escape(line)}", highlight=False, soft_wrap=True)
    pages = write(content, store, folder)
    errors().print(f"{pages:,} pages of {len(content.suites)} leaderboards", highlight=False)
    return folder


@contextmanager
def _kept() -> Iterator[None]:
    """What is made within lives to the end; Python need not look through its millions of parts again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _every_plan(
    catalog: Catalog, recorded: dict[str, int], budget: str | None, seeds: int | None, store: RecordStore
) -> tuple[list[SuitePlan], list[str]]:
    """Plans of all suites that have records; those that can be planned no more are told of."""
    plans: list[SuitePlan] = []
    left_out = []
    for name, count in sorted(recorded.items()):
        try:
            plans += _plans(catalog, name, budget, seeds, store)
        except BenchError as error:
            left_out.append(f"{count} records of suite '{name}': {error.message}")
    return plans, left_out


def _plans(
    catalog: Catalog, name: str, budget: str | None, seeds: int | None, store: RecordStore
) -> Sequence[SuitePlan]:
    """Plans of a suite, with negative controls where it has methods to control."""
    from bench.runs.controls import suite_controls
    from bench.runs.plan import plan
    from bench.specs.references import resolve_suite

    controlled = any(suite_controls(one.methods) for one in resolve_suite(catalog, name, budget=budget))
    return plan(catalog, name, budget=budget, seeds=seeds, controls=controlled, store=store, networks=False)
