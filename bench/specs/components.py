"""Parts that modules implement (layouts, stand-in generators, loss terms, metrics): one module, one part.

A part is found by the name of its module in a package of ours, or by an entry point that another distribution declares
in the group of that package's name; nothing is imported before it is asked for. What a module must hold is said in the
docstring of the package and named in its `HOLDS`. In another's pyproject.toml:

    [project.entry-points."bench.methods.terms"]
    my_term = "my_package.my_term"
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import pkgutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel

from bench.errors import UnknownName, UsageError
from bench.specs.fingerprint import fingerprint, source_fingerprint

Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True)
class Part:
    """A part by name: what it is, in its module's first sentence, and where it comes from.

    `fault` is blank, or says why it cannot be used.
    """

    name: str
    about: str
    origin: str
    fault: str = ""


def described_parts(package: str) -> tuple[Part, ...]:
    """All parts of a package, those of other distributions among them, by name; no part is imported."""
    found = [Part(name, _about(f"{package}.{name}"), "bench") for name in _own_names(package)]
    for name, points in _foreign(package).items():
        origin = ", ".join(origin_of(point) for point in points)
        if len(points) > 1:
            found.append(Part(name, "", origin, "several packages offer this name"))
            continue
        try:
            found.append(Part(name, _about(points[0].module), origin))
        except Exception as error:  # what the module stands in is imported, and it is not ours
            found.append(Part(name, "", origin, f"cannot be found: {type(error).__name__}: {error}"))
    return tuple(sorted(found, key=lambda part: part.name))


def _about(module: str) -> str:
    """The first sentence of a module's docstring, from its source."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"there is no module '{module}'")
    told = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(told.partition("\n\n")[0].split())
    return textwrap.shorten(paragraph.partition(". ")[0].rstrip("."), 120, placeholder=" ...")


def part_names(package: str) -> tuple[str, ...]:
    """Names of the parts of a package, ours and those of other distributions, without importing them."""
    return tuple(sorted({*_own_names(package), *_foreign(package)}))


def load_part(package: str, name: str, what: str) -> ModuleType:
    """Import one part. Raises `UnknownName` with the nearest that exists, `UsageError` for a plug-in that is broken."""
    if name in _own_names(package):
        return importlib.import_module(f"{package}.{name}")
    found = _foreign_part(package, name, what)
    origin = f"{what} '{name}' comes from {origin_of(found)}"
    try:
        module = importlib.import_module(found.module)
    except Exception as error:  # anything may go wrong in code that is not ours; it must be told as theirs
        raise UsageError(
            f"{origin}, which cannot be imported: {type(error).__name__}: {error}",
            hint="mend or uninstall that package",
        ) from error
    lacking = [held for held in importlib.import_module(package).HOLDS if not hasattr(module, held)]
    if lacking:
        raise UsageError(
            f"{origin}, whose module {found.module} lacks {', '.join(f'`{held}`' for held in lacking)}",
            hint=f"what such a module holds is said in {package}",
        )
    return module


def part_fingerprint(package: str, name: str) -> str:
    """Fingerprint of a part's source code and of the code that all parts of the package share; nothing is imported.

    Of a part from another distribution, the fingerprint of its module's file and the distribution's version.
    """
    if name in _own_names(package):
        folder = Path(next(iter(importlib.import_module(package).__path__)))
        shared = sorted(folder.glob("_[!_]*.py"))
        return fingerprint([source_fingerprint(file) for file in (folder / f"{name}.py", *shared)])
    found = _foreign_part(package, name, "part")
    spec = importlib.util.find_spec(found.module)
    if spec is None or spec.origin is None:
        raise UsageError(f"'{name}' comes from {origin_of(found)}, which has no module '{found.module}'")
    return fingerprint([source_fingerprint(Path(spec.origin)), found.dist.version if found.dist else ""])


def read_options(model: type[Options], options: Mapping[str, Any]) -> Options:
    """Check options against a part's `Options` model, as strictly as specs are. Raises `ValidationError`."""
    return model.model_validate_json(json.dumps(dict(options)))


def own_part_names(package: str) -> tuple[str, ...]:
    """Names of our parts alone, whatever else is installed; sorted."""
    return tuple(sorted(_own_names(package)))


def _own_names(package: str) -> tuple[str, ...]:
    paths = importlib.import_module(package).__path__
    return tuple(info.name for info in pkgutil.iter_modules(paths) if not info.name.startswith("_"))


@cache
def _foreign(package: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Parts of other distributions by name; a name of ours cannot be taken over."""
    own = _own_names(package)
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=package):
        if entry.name not in own:
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _foreign_part(package: str, name: str, what: str) -> EntryPoint:
    """Raises `UnknownName`, or `UsageError` where several distributions offer the name."""
    found = _foreign(package).get(name)
    if found is None:
        raise UnknownName(what, name, part_names(package))
    if len(found) > 1:
        raise UsageError(
            f"{what} '{name}' is offered by {' and by '.join(map(origin_of, found))}", hint="uninstall one of them"
        )
    return found[0]


def origin_of(entry: EntryPoint) -> str:
    """The distribution that declares an entry point, for messages."""
    return f"the package '{entry.dist.name}' {entry.dist.version}" if entry.dist else f"'{entry.value}'"
