"""What the parts of a method ask for, and how a run describes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from bench.specs.components import load_part, part_fingerprint, read_options
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
Need = Literal["NEEDS_RELATEDNESS", "NEEDS_TEACHERS"]


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
