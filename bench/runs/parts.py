"""What the parts of a method ask for, and how a run describes them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import UnknownName
from bench.specs.budget import Augmentation
from bench.specs.components import Part, described_parts, load_part, part_fingerprint, read_options
from bench.specs.method import MethodSpec
from bench.specs.model import Component
from bench.specs.run import RunPart

LAYOUTS, STANDINS, TERMS, LABELS, BALANCERS, METRICS = (
    "bench.data.layouts",
    "bench.data.standins",
    "bench.methods.terms",
    "bench.methods.labels",
    "bench.methods.balancers",
    "bench.metrics",
)
AUGMENTATION = "augmentation"
PARTS: dict[str, tuple[str, str]] = {
    "term": (TERMS, "term"),
    "label_transform": (LABELS, "label transform"),
    "balancer": (BALANCERS, "balancer"),
    "metric": (METRICS, "metric"),
    "layout": (LAYOUTS, "layout"),
    "standin": (STANDINS, "stand-in generator"),
    AUGMENTATION: ("bench.data.augmentation", "augmentation"),
}
"""What specs are put together from: by kind, the package that holds it and what messages call it."""
Need = Literal["NEEDS_RELATEDNESS", "NEEDS_TEACHERS"]


@dataclass(frozen=True)
class PartOption:
    """One option of a part as a reader needs it: `default` is blank where there is none."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class DescribedPart:
    """A part in whole: its module's text, what it states of itself, and its options."""

    name: str
    origin: str
    text: str
    facts: Mapping[str, str]
    options: tuple[PartOption, ...]


def parts_of(kind: str) -> tuple[Part, ...]:
    """All parts of a kind in `PARTS`, by name; augmentations are options of a budget, whatever else is a module."""
    if kind != AUGMENTATION:
        return described_parts(PARTS[kind][0])
    return tuple(Part(o.name, o.description.rstrip("."), "bench") for o in options_of(Augmentation.model_json_schema()))


def describe_part(kind: str, name: str) -> DescribedPart:
    """One part. Raises `UnknownName`, or `UsageError` for one of another package that is broken."""
    package, what = PARTS[kind]
    if kind == AUGMENTATION:
        found = {option.name: option for option in options_of(Augmentation.model_json_schema())}
        if name not in found:
            raise UnknownName(what, name, found)
        return DescribedPart(name, "bench", f"{found[name].description}", {}, (found[name],))
    module = load_part(package, name, what)
    origin = next(part.origin for part in described_parts(package) if part.name == name)
    facts = {
        fact.lower().replace("_", " "): ", ".join(value) if isinstance(value, tuple) else str(value)
        for fact in (*WORDS, "VARIANTS")
        if (value := getattr(module, fact, None)) is not None
    }
    model = getattr(module, "Options", None)
    options = () if model is None else options_of(model.model_json_schema())
    return DescribedPart(name, origin, inspect.getdoc(module) or "", facts, options)


WORDS = ("TASK_TYPE", "HIGHER_IS_BETTER", "KIND", "NEEDS_RELATEDNESS", "NEEDS_TEACHERS", "BALANCED")


def options_of(schema: Mapping[str, Any]) -> tuple[PartOption, ...]:
    """Options by the JSON Schema of their model."""
    needed = schema.get("required", ())
    return tuple(
        PartOption(
            name,
            _type_text(about, schema.get("$defs", {})),
            "" if name in needed else json.dumps(about.get("default"), ensure_ascii=False),
            " ".join(str(about.get("description", "")).split()),
        )
        for name, about in schema.get("properties", {}).items()
    )


def _type_text(about: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in about:
        return _type_text(known[about["$ref"].rpartition("/")[2]], known)
    if "enum" in about or "const" in about:
        return " | ".join(map(str, about.get("enum", [about.get("const")])))
    if "anyOf" in about or "oneOf" in about:
        return " | ".join(_type_text(one, known) for one in about.get("anyOf") or about["oneOf"])
    kind = str(about.get("type", "anything"))
    if kind == "array":
        return f"list of {_type_text(about.get('items', {}), known)}"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    told = [f"{sign} {about[key]:g}" for key, sign in bounds.items() if key in about]
    return " ".join([kind, *told])


def needs(method: MethodSpec, what: Need) -> tuple[str, ...]:
    """Names of the terms and label transforms of a method that need this."""
    parts = [(TERMS, "term", term) for term in method.terms]
    parts += [(LABELS, "label transform", transform) for transform in method.labels]
    return tuple(part.name for package, kind, part in parts if _module(package, part.name, kind, what))


def run_parts(package: str, components: Iterable[Component]) -> tuple[RunPart, ...]:
    """Parts with all their options, defaults included, and the fingerprint of their code."""
    found = []
    for component in components:
        options = read_options(load_part(package, component.name, "part").Options, component.options)
        code = part_fingerprint(package, component.name)
        found.append(RunPart(name=component.name, options=options.model_dump(mode="json"), code=code))
    return tuple(found)


def _module(package: str, name: str, kind: str, what: Need) -> bool:
    module: Any = load_part(package, name, kind)
    return bool(getattr(module, what))
