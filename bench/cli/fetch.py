"""bench data get: a copy of a data set that is openly served, once its licence terms are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.options import Specs, catalog_of, errors, output
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.specs.dataset import DatasetSpec, Fetch


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="A new folder for the copy; default: in the cache.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence terms of the data set; needed once.")
    ] = False,
    specs: Specs = None,
) -> None:
    """Fetch a data set that is openly served, check and unpack it, and remember the copy. What broke off goes on.

    Example: bench data get cub --accept-licence
    """
    from bench.cli.data import add
    from bench.cli.fetch_progress import FetchProgress
    from bench.data.obtain import default_folder, obtain
    from bench.runs.stopping import stopped_at_once
    from bench.specs.dataset import DatasetSpec

    dataset = catalog_of(specs).get(DatasetSpec, name)
    fetch = _fetch_of(dataset)
    folder = (to or default_folder(dataset.copy_name)).absolute()
    _refuse_second_copy(dataset, folder)
    _settle_terms(dataset, fetch, accept_licence)
    kept = stopped_at_once("stopped; what has arrived is kept", hint="repeat the command: it goes on from there")
    with kept, FetchProgress(errors()) as progress:
        obtain(fetch, folder, progress.report)
    add(dataset.copy_name, folder, specs=specs)
    output().print(f"next: `bench data prepare {name}`", highlight=False, soft_wrap=True)


def _fetch_of(dataset: DatasetSpec) -> Fetch:
    if dataset.fetch is not None:
        return dataset.fetch
    how = f"{dataset.access.rstrip('.')}; " if dataset.access else ""
    raise UsageError(
        f"'{dataset.name}' is not openly served, so that bench cannot fetch it (licence: {dataset.licence})",
        hint=f"{how}home page: {dataset.home_page}; then `bench data add {dataset.copy_name} PATH`",
    )


def _refuse_second_copy(dataset: DatasetSpec, folder: Path) -> None:
    from bench.data.copies import find_copy

    copy = find_copy(dataset.copy_name)
    if copy is not None and copy.is_dir() and copy != folder.resolve():
        raise UsageError(
            f"a copy of '{dataset.copy_name}' is known already: {copy}",
            hint=f"`bench data remove {dataset.copy_name}` (or another BENCH_DATA) forgets it; then repeat",
        )


def _settle_terms(dataset: DatasetSpec, fetch: Fetch, accept_licence: bool) -> None:
    """Show the terms unless they were accepted before. Raises `UsageError` where they are not accepted now."""
    from bench.data.terms import accept, are_accepted

    if are_accepted(dataset, fetch):
        return
    lines = (dataset.title, f"Licence: {dataset.licence}", fetch.terms.rstrip(), f"Home page: {dataset.home_page}")
    for line in lines:
        output().print(escape(line), highlight=False, soft_wrap=True)
    if not accept_licence:
        raise UsageError(
            f"the licence terms of '{dataset.name}' are not accepted yet, so nothing was fetched",
            hint=f"read them above and on the home page; `bench data get {dataset.name} --accept-licence` accepts them",
        )
    accept(dataset, fetch)
