"""Pages that are written from the code: commands, keys of specs, parts, statistics, and a page a data set.

What they say stands once, in help texts, models, docstrings and specs; nothing of it is typed again.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from bench.cli.app import app
from bench.runs.parts import BALANCERS, LABELS, LAYOUTS, METRICS, STANDINS, TERMS
from bench.specs.catalog import EXTENDS, KINDS, Catalog, shipped_folders
from bench.specs.components import load_part, part_names
from bench.specs.dataset import SPLITS, Annotation, DatasetSpec
from bench.specs.relatedness import RelatednessSpec
from bench.specs.schemas import schema_of
from bench.specs.suite import SuiteSpec
from bench.specs.task import TaskSpec

CATALOG = Catalog(shipped_folders())
DATASETS = CATALOG.names("dataset")
PARTS = {
    "Terms of a loss": TERMS,
    "Transforms of training labels": LABELS,
    "Balancers": BALANCERS,
    "Metrics": METRICS,
    "Layouts": LAYOUTS,
    "Stand-in generators": STANDINS,
}
ANALYSIS = ("statistics", "transfer", "ranking", "intervals", "regression")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the data sets under their heading."""
    section = next(entry for entry in config.nav or [] if "Data sets" in entry)
    section["Data sets"] = [section["Data sets"], *({name: f"datasets/{name}.md"} for name in DATASETS)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, as if they stood among the sources."""
    pages = {
        "reference/commands.md": commands(),
        "reference/specs.md": specs(),
        "reference/parts.md": parts(),
        "reference/statistics.md": statistics(),
        "datasets/index.md": dataset_list(),
    }
    pages |= {f"datasets/{name}.md": dataset_page(CATALOG.get(DatasetSpec, name)) for name in DATASETS}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


# ---- text ----


def plain(text: object) -> str:
    """Text in which nothing is markup, for a cell of a table too."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", escape(" ".join(str(text).split()), quote=False))


def code(text: object) -> str:
    """Text as code, whatever it holds."""
    shown = re.sub(r"[`*_|~$\[\]\\]", lambda found: f"&#{ord(found[0])};", escape(str(text)))
    return f"<code>{shown}</code>"


def prose(docstring: str | None) -> str:
    """A docstring, in which `code`, lists and indented blocks are markup and all else is text."""
    lines = []
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line.startswith("    "):
            lines.append(line)
            continue
        start = re.match(r"\s*(?:- )?", line)
        lead = start[0] if start else ""
        pieces = line[len(lead) :].split("`")
        lines.append(lead + "".join(code(piece) if i % 2 else plain_line(piece) for i, piece in enumerate(pieces)))
    return "\n".join(lines)


def plain_line(text: str) -> str:
    """As `plain`, with the spaces at both ends."""
    inner = text.strip()
    if not inner:
        return text
    left, right = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return left + plain(inner) + right


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are Markdown already; empty if there are no rows."""
    head = list(header)
    body = ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *body, ""]) if body else ""


def link(name: str, known: Iterable[str], folder: str = "") -> str:
    return f"[{plain(name)}]({folder}{name}.md)" if name in known else code(name)


# ---- commands ----


def commands() -> str:
    """Every command with its arguments and options, from the parser itself."""
    import typer.main

    found = ["# Commands", "", "Written from the help of the commands themselves.", ""]
    for path, command in _commands(typer.main.get_command(app), ("bench",)):
        found += [f"## {' '.join(path)}", ""]
        text, _, example = (command.help or "").partition("Example:")
        found += [prose(text), ""]
        found += ["```", f"$ {example.strip()}", "```", ""] if example else []
        context = command.context_class(command, info_name=path[-1])
        records = [parameter.get_help_record(context) for parameter in command.params]
        rows = [(code(name), prose(about)) for name, about in filter(None, records)]
        found += [table(("argument or option", "meaning"), rows), ""]
    return "\n".join(found)


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


# ---- specs ----


def specs() -> str:
    """Every key of every kind of spec, from the schemas that editors use."""
    found = [
        "# Specs",
        "",
        "Keys of every kind of spec, written from the models that read them. `bench schema KIND` prints the same as "
        "JSON Schema, and `bench schema --out schemas` writes all, for editors. Keys in **bold** are needed; of a data "
        "set only where it `extends` no other.",
        "",
    ]
    for kind in KINDS:
        schema = schema_of(kind)
        found += [f"## {kind}", "", prose(KINDS[kind].__doc__), "", *_tables("###", kind, schema)]
    return "\n".join(found)


def _tables(level: str, name: str, schema: dict[str, Any]) -> Iterator[str]:
    """The keys of a schema, then those of what stands within it, each under a heading of its own."""
    yield _keys(name, schema)
    for inner, part in schema.get("$defs", {}).items():
        if "properties" in part:
            yield from (f"{level} {name}: {inner}", "", prose(part.get("description")), "", _keys(name, part))


def _keys(kind: str, schema: dict[str, Any]) -> str:
    needed = {key for way in (schema, *schema.get("anyOf", [])) for key in way.get("required", []) if key != EXTENDS}
    rows = []
    for key, about in schema.get("properties", {}).items():
        default = "" if key in needed or about.get("default") is None else code(json.dumps(about["default"]))
        name = f"**{code(key)}**" if key in needed else code(key)
        rows.append((name, _type(kind, about), default, prose(about.get("description")).replace("\n", " ")))
    if not any(meaning for *_, meaning in rows):  # all is said above the table
        return table(("key", "value", "default"), (row[:3] for row in rows))
    return table(("key", "value", "default", "meaning"), rows)


def _type(kind: str, about: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{kind}-{name.lower()})"
    if "const" in about:
        return code(about["const"])
    if "enum" in about:
        return " or ".join(code(value) for value in about["enum"])
    for key in ("anyOf", "oneOf"):
        if key in about:
            return " or ".join(_type(kind, one) for one in about[key] if one.get("type") != "null")
    if about.get("type") == "array":
        items = about.get("items") or {}
        return f"list of {_type(kind, items)}" if items else "list"
    if about.get("type") == "object":
        values = [*about.get("patternProperties", {}).values(), about.get("additionalProperties")]
        inner = next((value for value in values if isinstance(value, dict)), None)
        return f"mapping to {_type(kind, inner)}" if inner else "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {about[limit]:g}" for limit, sign in limits.items() if limit in about]
    return escape(" ".join([words.get(str(about.get("type")), "anything"), ", ".join(bounds)]).strip(), quote=False)


# ---- parts ----


def parts() -> str:
    """What each module of the open packages says of itself, and its options."""
    found = [
        "# Parts of methods and data",
        "",
        "Each is one module, named in a spec by its name; its options stand beside the name. A package of yours "
        "adds more by [entry points](../how-to/own-method.md).",
        "",
    ]
    for title, package in PARTS.items():
        found += [f"## {title}", ""]
        for name in part_names(package):
            module: Any = load_part(package, name, "part")
            found += [f"### {plain(name)}", "", prose(module.__doc__), ""]
            if package == METRICS:
                found += [f"Source: <{module.Metric.SOURCE}>. Tasks: {module.TASK_TYPE}.", ""]
            elif module.Options.model_fields:
                found += [prose(module.Options.__doc__), ""]
                found += _tables("####", name, module.Options.model_json_schema())
    return "\n".join(found)


# ---- analysis ----


def statistics() -> str:
    """Public functions and values of the modules that judge, with their sources."""
    found = ["# Statistics", "", "What verdicts, ranks, intervals and checks are computed by.", ""]
    for name in ANALYSIS:
        module = importlib.import_module(f"bench.analysis.{name}")
        found += [f"## {module.__name__}", "", prose(module.__doc__), ""]
        for one in _public(module):
            found += [f"### {plain(one.__name__)}", "", "```python", _signature(one), "```", "", prose(one.__doc__), ""]
    return "\n".join(found)


def _public(module: ModuleType) -> Iterator[Any]:
    for name, one in vars(module).items():
        mine = getattr(one, "__module__", None) == module.__name__ and (inspect.isfunction(one) or inspect.isclass(one))
        if mine and not name.startswith("_"):
            yield one


def _signature(one: Any) -> str:
    if inspect.isclass(one):
        fields = [f"    {name}: {kind}" for name, kind in one.__annotations__.items()]
        return "\n".join([f"class {one.__name__}:", *fields])
    signature = inspect.signature(one)
    flat = f"def {one.__name__}{signature}".replace("'", "")
    if len(flat) <= 100:
        return flat
    inner = ",\n".join(f"    {parameter}" for parameter in signature.parameters.values())
    return f"def {one.__name__}(\n{inner},\n) -> {signature.return_annotation}".replace("'", "")


# ---- data sets ----


def dataset_list() -> str:
    """All data sets that come with bench."""
    found = [CATALOG.get(DatasetSpec, name) for name in DATASETS]
    rows = [
        (link(one.name, DATASETS), plain(one.title), plain(one.domain), ", ".join(map(plain, one.tasks)))
        for one in found
    ]
    told = (
        "The data sets that come with bench. No image is shipped: a copy is what its owners give you, under their "
        "terms; without one, [stand-ins](../tutorial.md) are drawn. Each page is written from the spec."
    )
    return f"# Data sets\n\n{told}\n\n" + table(("name", "title", "domain", "tasks"), rows)


def dataset_page(spec: DatasetSpec) -> str:
    """What the spec of a data set says, for a reader."""
    get = f"`bench data get {spec.name} --accept-licence`, or " if spec.fetch else ""
    found = [
        f"# {plain(spec.title)}",
        "",
        prose(spec.description),
        "",
        table(
            ("of it", "the spec says"),
            [
                ("name", code(spec.name)),
                ("licence", plain(spec.licence)),
                ("home page", f"<{spec.home_page}>"),
                ("how to get it", prose(spec.access).replace("\n", " ") or "–"),
                ("tell bench", f"{get}`bench data add {spec.copy_name} PATH`"),
                ("copy shared with", ", ".join(link(n, DATASETS) for n in _over_the_same_copy(spec)) or "–"),
                ("layout", code(spec.layout.name) if spec.layout else "none: stand-ins only"),
                ("suites", ", ".join(code(name) for name in _suites_with(spec.name)) or "–"),
                ("stand-in", _standin(spec)),
            ],
        ),
        "## Tasks",
        "",
        table(
            ("task", "kind", "labels annotated here", "metrics"),
            (_task(name, annotation) for name, annotation in spec.tasks.items()),
        ),
        "## Splits",
        "",
        _splits(spec),
        "",
    ]
    if spec.expected:
        found += ["## What an intact copy holds", "", *_expected(spec)]
    return "\n".join([*found, "## Citation", "", "```bibtex", spec.citation.strip(), "```", ""])


def _over_the_same_copy(spec: DatasetSpec) -> list[str]:
    return [n for n in DATASETS if n != spec.name and CATALOG.get(DatasetSpec, n).copy_name == spec.copy_name]


def _suites_with(name: str) -> list[str]:
    return [suite for suite in CATALOG.names("suite") if name in CATALOG.get(SuiteSpec, suite).datasets]


def _standin(spec: DatasetSpec) -> str:
    if spec.standin is None:
        return "none"
    counts = ", ".join(f"{getattr(spec.standin.images, split):,} {split}" for split in SPLITS)
    related = spec.standin.relatedness
    after = f"; labels after {plain(CATALOG.get(RelatednessSpec, related).title)}" if related else ""
    return f"{code(spec.standin.name)}: {counts}{after}"


def _task(name: str, annotation: Annotation) -> tuple[str, str, str, str]:
    task = CATALOG.get(TaskSpec, name)
    labels = annotation.annotated or task.labels
    shown = ", ".join(map(plain, labels[:40])) + (" …" if len(labels) > 40 else "")
    metrics = ", ".join(f"**{plain(m)}**" if m == task.primary else plain(m) for m in task.metrics)
    return code(name), task.type, f"{len(labels)}: {shown}", metrics


def _splits(spec: DatasetSpec) -> str:
    splits = spec.splits
    if splits is None:
        return "Stand-ins are drawn split by split."
    told = []
    if splits.official is not None:
        parts_of = [f"{code(value)} is {split}" for value, split in splits.official.items()]
        told.append(f"Official: {', '.join(parts_of)}.")
    if splits.folds is not None:
        sizes = ", ".join(f"{plain(name)} ({len(groups)} groups)" for name, groups in splits.folds.items())
        told.append(f"Folds: {sizes}; {plain(splits.test_fold)} is tested on, the others are trained on.")
    if splits.shares is not None:
        told.append(
            ", ".join(f"{getattr(splits.shares, s):.0%} {s}" for s in SPLITS) + f", by a hash of the {splits.by}."
        )
    if splits.carve_validation is not None:
        told.append(f"{splits.carve_validation:.0%} of training becomes validation, by {splits.by}.")
    if splits.least_per_group is not None:
        told.append(f"Groups with fewer than {splits.least_per_group} images are left out.")
    if splits.train_part is not None:
        told.append(f"Of training, part {splits.train_part.index + 1} of {splits.train_part.of} is used.")
    return " ".join(told)


def _expected(spec: DatasetSpec) -> Iterator[str]:
    for variant, expected in spec.expected.items():
        facts = [(plain(f"images, {split}"), f"{count:,}") for split, count in expected.images.items()]
        facts += [
            (plain(f"{task}, {split}: {label}"), f"{count:,}")
            for task, splits in expected.labels.items()
            for split, labels in splits.items()
            for label, count in labels.items()
        ]
        facts += [("groups", f"{expected.groups:,}")] if expected.groups is not None else []
        facts += [("no group stands in two splits", "yes")] if expected.disjoint_groups else []
        facts += [("pixels", " × ".join(map(str, expected.pixels)))] if expected.pixels else []
        name = "Any variant" if variant == "any" else f"Variant {code(variant)}"
        yield from (f"{name}. Source: {plain(expected.source)}.", "", table(("what", "count"), facts))
