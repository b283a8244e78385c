"""bench data: local copies, prepared stores, and a look at the images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from bench.cli.fetch import get
from bench.cli.options import AsJson, Specs, catalog_of, errors, output, print_json, writable
from bench.errors import DataError, Interrupted, SpecError, UnknownName, UsageError

if TYPE_CHECKING:
    from bench.data.prepare import Preparation
    from bench.reports.data import DataStatus
    from bench.specs.catalog import Catalog
    from bench.specs.dataset import DatasetSpec

app = typer.Typer(
    help="Local copies of data sets, prepared stores, audits, contact sheets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Size = Annotated[int, typer.Option("--size", min=16, max=1024, help="Pixels a side.")]
DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of a data set, or of the copy that several share.")],
    path: Annotated[Path, typer.Argument(help="The folder that it was unpacked into.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Remember a folder that no reader recognises.")] = False,
    specs: Specs = None,
) -> None:
    """Remember where the copy of a data set is, and tell which release or folder variant it is.

    Example: bench data add affectnet /data/AffectNet
    """
    from bench.data.copies import remember_copy

    datasets = _datasets(catalog_of(specs))
    known = {dataset.copy_name for dataset in datasets}
    copies = {dataset.name: dataset.copy_name for dataset in datasets} | {copy: copy for copy in known}
    name = copies.get(name, name)
    if name not in known:
        raise UnknownName("data set", name, known, hint="`bench data list` shows all; --specs adds a folder of specs")
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder", hint="give the folder that the data set was unpacked into")
    lines, faults = _recognised([dataset for dataset in datasets if dataset.copy_name == name], path.resolve())
    if faults and not lines and not anyway:
        raise DataError(
            f"{path} is not recognised as a copy of '{name}': {'; '.join(faults)}",
            hint="give the right folder; --anyway remembers this one",
        )
    remember_copy(name, path)
    for line in (f"{name}: {path.resolve()}", *lines, *faults):
        output().print(escape(line), highlight=False, soft_wrap=True)


def _datasets(catalog: Catalog) -> list[DatasetSpec]:
    """All data sets; one that cannot be read is warned of, and takes no other down."""
    from bench.specs.dataset import DatasetSpec

    found = []
    for name in catalog.names("dataset"):
        try:
            found.append(catalog.get(DatasetSpec, name))
        except SpecError as error:
            errors().print(f"[yellow]warning:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    return found


def _recognised(datasets: list[DatasetSpec], path: Path) -> tuple[list[str], list[str]]:
    """Which release or folder variant a copy is, by each different reader over it; and what readers say who fail."""
    from pydantic import ValidationError

    from bench.data.readers import read_layout

    lines, faults = [], []
    told: set[str] = set()
    for dataset in datasets:
        if dataset.layout is None or dataset.layout.model_dump_json() in told:
            continue
        told.add(dataset.layout.model_dump_json())
        try:
            layout, options = read_layout(dataset, path)
            variant = layout.recognise(path, options)
            lines.append(f"{dataset.name}: recognised as '{variant}' by the layout '{dataset.layout.name}'")
        except DataError as error:
            faults.append(f"{dataset.name}: {error.message}")
        except (ValidationError, UnknownName):
            faults.append(f"{dataset.name}: its layout is not declared well: `bench validate {dataset.name}`")
    return lines, faults


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Name that was given to `bench data add`.")]) -> None:
    """Forget where the copy of a data set is; the copy itself stays.

    Example: bench data remove affectnet
    """
    from bench.data.copies import forget_copy

    forget_copy(name)


@app.command("list")
def list_data(specs: Specs = None, json: AsJson = False) -> None:
    """List data sets and where their copies are.

    Example: bench data list
    """
    from bench.data.copies import find_copy
    from bench.reports.table import Table, print_table

    found = []
    for dataset in _datasets(catalog_of(specs)):
        copy = find_copy(dataset.copy_name)
        standin = dataset.standin.name if dataset.standin else None
        layout = dataset.layout.name if dataset.layout else None
        found.append(
            {
                "name": dataset.name,
                "copy": copy,
                "layout": layout,
                "stand_in": standin,
                "licence": dataset.licence,
                "access": dataset.access,
            }
        )
    if json:
        print_json(found)
        return
    headers = ("data set", "local copy", "layout", "stand-in", "licence", "how to get it")
    rows = tuple(tuple(str(value or "–") for value in line.values()) for line in found)
    print_table(Table(f"{len(rows)} data sets", headers, rows), output())


app.command("get")(get)


@app.command("status")
def status(specs: Specs = None, json: AsJson = False) -> None:
    """Tell of every data set: licence, local copy, what is prepared, counts against the stated ones, fingerprint.

    Example: bench data status
    """
    from bench.reports.data import status_table
    from bench.reports.table import print_table

    catalog = catalog_of(specs)
    found = [entry for dataset in _datasets(catalog) for entry in _status_of(catalog, dataset)]
    if json:
        print_json(found)
        return
    print_table(status_table(found), output())


def _status_of(catalog: Catalog, dataset: DatasetSpec) -> list[DataStatus]:
    """A line for each size that the data set is prepared at as it is declared now, or one line without a size."""
    from pydantic import ValidationError

    from bench.data.copies import cache_folder, find_copy
    from bench.reports.data import DataStatus
    from bench.runs.plan import preparation_of

    copy = find_copy(dataset.copy_name)
    names = [folder.name for folder in (cache_folder() / "stores").glob(f"{dataset.name}-*px-*") if folder.is_dir()]
    sizes = {int(text) for name in names if (text := name.split("-")[1].removesuffix("px")).isdecimal()}
    found = []
    try:
        for size in sorted(sizes):
            preparation = preparation_of(catalog, dataset, size, real=copy is not None)
            if preparation.ready:
                store = preparation.open()
                total = sum(file.bytes for file in store.manifest.files.values())
                found.append(DataStatus(dataset, copy, size, store.manifest, total))
    except DataError as error:
        return [DataStatus(dataset, copy, problem=error.message)]
    except (ValidationError, UnknownName):
        return [DataStatus(dataset, copy, problem=f"not declared well: `bench validate {dataset.name}`")]
    if found or copy is None:
        return found or [DataStatus(dataset, copy)]
    lines, faults = _recognised([dataset], copy)
    return [DataStatus(dataset, copy, problem="" if lines else "; ".join(faults))]


@app.command("prepare")
def prepare(
    name: DatasetName,
    size: Size = 64,
    again: Annotated[
        bool, typer.Option("--again", help="Prepare it anew: after images were added or replaced.")
    ] = False,
    specs: Specs = None,
    json: AsJson = False,
) -> None:
    """Prepare a data set: decode its copy, or draw its stand-in, into a store. `bench run` does this by itself.

    Example: bench data prepare affectnet --size 48
    """
    catalog = catalog_of(specs)
    catalog.entry("dataset", name)  # a wrong name is told before anything heavy is loaded
    from bench.cli.progress import RunProgress
    from bench.data.copies import find_copy
    from bench.data.labels import label_counts
    from bench.reports.data import preparation_tables
    from bench.reports.table import print_table
    from bench.runs.check import checked_spec
    from bench.runs.execute import prepare_data
    from bench.runs.plan import preparation_of
    from bench.runs.stopping import stop_requests
    from bench.specs.dataset import DatasetSpec

    dataset = checked_spec(catalog, DatasetSpec, name)
    preparation = preparation_of(catalog, dataset, size, real=find_copy(dataset.copy_name) is not None)
    with RunProgress(errors()) as progress, stop_requests() as should_stop:
        prepare_data([preparation], progress, should_stop, again=again)
    store = preparation.open()
    manifest = store.manifest
    if json:
        print_json(
            {"folder": store.folder, "manifest": manifest, "labels": label_counts(store.labels, manifest.labels)}
        )
        return
    for table in preparation_tables(store, dataset):
        print_table(table, output())
    output().print(
        f"{escape(str(preparation.folder))}, fingerprint {manifest.fingerprint}", highlight=False, soft_wrap=True
    )


@app.command("audit")
def audit(
    name: Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite, or of one data set.")],
    size: Annotated[
        int | None, typer.Option("--size", min=16, max=1024, help="Pixels a side; default: the suite's, or 64.")
    ] = None,
    specs: Specs = None,
    json: AsJson = False,
) -> None:
    """Look for leaks between splits, labels that say nothing, and images that show nothing; keep what was found.

    Example: bench data audit faces
    """
    from bench.cli.progress import RunProgress
    from bench.data.audit import Audited
    from bench.data.audit import audit as find
    from bench.data.store import write_audit
    from bench.reports.data import audit_table
    from bench.reports.table import print_table
    from bench.runs.execute import prepare_data
    from bench.runs.stopping import stop_requests

    catalog = catalog_of(specs)
    told = []
    with RunProgress(errors()) as progress, stop_requests() as should_stop:
        for title, preparations in _audited(catalog, name, size):
            prepare_data(preparations, progress, should_stop)
            members = [Audited(preparation.dataset, preparation.open()) for preparation in preparations]

            def report(done: int, total: int, title: str = title) -> None:
                progress.auditing(title, done, total)
                if should_stop():
                    raise Interrupted("stopped on request while data was audited")

            found = find(members, report)
            for member in members:
                write_audit(member.store.folder, title, found[member.dataset.name])
            told.append((title, found))
    if json:
        print_json([{"suite": title, "audits": found} for title, found in told])
        return
    for title, found in told:
        print_table(audit_table(title, found), output())


def _audited(catalog: Catalog, name: str, size: int | None) -> Iterator[tuple[str, list[Preparation]]]:
    """The suites, or the one data set, of that name, with the preparations of their data sets."""
    from bench.data.copies import find_copy
    from bench.runs.check import checked_spec, checked_suite
    from bench.runs.plan import find_preparations, preparation_of
    from bench.specs.dataset import DatasetSpec

    if name in catalog.names("suite"):
        for suite in checked_suite(catalog, name):
            yield suite.name, list(find_preparations(catalog, suite, image_size=size).values())
    elif name in catalog.names("dataset"):
        dataset = checked_spec(catalog, DatasetSpec, name)
        yield name, [preparation_of(catalog, dataset, size or 64, real=find_copy(dataset.copy_name) is not None)]
    else:
        known = (*catalog.names("suite"), *catalog.names("dataset"))
        raise UnknownName("suite or data set", name, known, hint="`bench list suite` shows the suites")


@app.command("show")
def show(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of data sets; a row of images each.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The PNG file to write.")] = Path("sheet.png"),
    count: Annotated[int, typer.Option("--n", min=1, max=512, help="Images of each data set.")] = 8,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only labels of this task.")] = None,
    size: Size = 64,
    specs: Specs = None,
) -> None:
    """Draw a contact sheet of training images with their labels.

    Example: bench data show affectnet disfa --n 24 --out sheet.png
    """
    from bench.data.copies import find_copy
    from bench.reports.sheet import contact_sheet
    from bench.runs.check import checked_spec
    from bench.runs.plan import preparation_of
    from bench.specs.dataset import DatasetSpec

    writable(out, ".png")
    catalog = catalog_of(specs)
    stores = []
    for name in names:
        dataset = checked_spec(catalog, DatasetSpec, name)
        if task is not None and task not in dataset.tasks:
            raise UnknownName(f"task of data set '{name}'", task, dataset.tasks)
        stores.append(preparation_of(catalog, dataset, size, real=find_copy(dataset.copy_name) is not None).prepare())
    contact_sheet(stores, count, task=task).save(out)
    output().print(f"written: {escape(str(out))}", highlight=False, soft_wrap=True)
