"""bench data: local copies, prepared stores, and a look at the images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bench.cli.options import AsJson, Specs, catalog_of, errors, output, print_json
from bench.errors import UnknownName, UsageError

app = typer.Typer(
    help="Local copies of data sets, prepared stores, contact sheets.", no_args_is_help=True, rich_markup_mode=None
)

Size = Annotated[int, typer.Option("--size", min=16, max=1024, help="Pixels a side.")]
DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a data set.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of a data set, or of the copy that several share.")],
    path: Annotated[Path, typer.Argument(help="The folder that it was unpacked into.")],
    specs: Specs = None,
) -> None:
    """Remember where the copy of a data set is.

    Example: bench data add affectnet /data/AffectNet
    """
    from bench.data.copies import remember_copy
    from bench.specs.dataset import DatasetSpec

    catalog = catalog_of(specs)
    known = {catalog.get(DatasetSpec, entry).copy_name for entry in catalog.names("dataset")}
    if name not in known:
        raise UnknownName("data set", name, known, hint="`bench data list` shows all; --specs adds a folder of specs")
    remember_copy(name, path)
    output().print(f"{escape(name)}: {escape(str(path.resolve()))}", highlight=False, soft_wrap=True)


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
    from bench.specs.dataset import DatasetSpec

    catalog = catalog_of(specs)
    found = []
    for name in catalog.names("dataset"):
        dataset = catalog.get(DatasetSpec, name)
        copy = find_copy(dataset.copy_name)
        standin = dataset.standin.name if dataset.standin else None
        layout = dataset.layout.name if dataset.layout else None
        found.append(
            {
                "name": name,
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


@app.command("prepare")
def prepare(name: DatasetName, size: Size = 64, specs: Specs = None) -> None:
    """Prepare a data set: decode its copy, or draw its stand-in, into a store. `bench run` does this by itself.

    Example: bench data prepare affectnet --size 48
    """
    from bench.cli.progress import RunProgress
    from bench.data.copies import find_copy
    from bench.runs.execute import prepare_data
    from bench.runs.plan import preparation_of
    from bench.runs.stopping import stop_requests
    from bench.specs.dataset import DatasetSpec

    catalog = catalog_of(specs)
    dataset = catalog.get(DatasetSpec, name)
    preparation = preparation_of(catalog, dataset, size, real=find_copy(dataset.copy_name) is not None)
    with RunProgress(errors()) as progress, stop_requests() as should_stop:
        prepare_data([preparation], progress, should_stop)
    manifest = preparation.open().manifest
    origin = "STAND-IN" if manifest.standin else "real images"
    counts = ", ".join(f"{split} {count}" for split, count in manifest.counts.items())
    text = f"{name} ({origin}): {counts}; {manifest.excluded} rows excluded, {len(manifest.refused)} images refused"
    output().print(escape(text), highlight=False, soft_wrap=True)
    output().print(
        f"{escape(str(preparation.folder))}, fingerprint {manifest.fingerprint}", highlight=False, soft_wrap=True
    )


@app.command("show")
def show(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of data sets; a row of images each.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The PNG file to write.")] = Path("sheet.png"),
    count: Annotated[int, typer.Option("--n", min=1, max=64, help="Images of each data set.")] = 8,
    size: Size = 64,
    specs: Specs = None,
) -> None:
    """Draw a contact sheet of training images with their labels.

    Example: bench data show affectnet disfa --n 8 --out sheet.png
    """
    from bench.data.copies import find_copy
    from bench.reports.sheet import contact_sheet
    from bench.runs.plan import preparation_of
    from bench.specs.dataset import DatasetSpec

    if out.suffix.lower() != ".png" or not out.absolute().parent.is_dir():
        raise UsageError(f"'{out}' cannot be written", hint="give a .png file in a folder that exists")
    catalog = catalog_of(specs)
    stores = []
    for name in names:
        dataset = catalog.get(DatasetSpec, name)
        stores.append(preparation_of(catalog, dataset, size, real=find_copy(dataset.copy_name) is not None).prepare())
    contact_sheet(stores, count).save(out)
    output().print(f"written: {escape(str(out))}", highlight=False, soft_wrap=True)
