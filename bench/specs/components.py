"""Parts that modules implement (layouts, stand-in generators, loss terms, metrics): one module, one part.

A part is found by the name of its module in a package of ours; nothing is registered and nothing is imported
before it is asked for. What a module must hold is said in the docstring of its package.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel

from bench.errors import UnknownName
from bench.specs.fingerprint import fingerprint, source_fingerprint

Options = TypeVar("Options", bound=BaseModel)


def part_names(package: str) -> tuple[str, ...]:
    """Names of the parts in a package, without importing them."""
    paths = importlib.import_module(package).__path__
    return tuple(sorted(info.name for info in pkgutil.iter_modules(paths) if _is_part(info.name)))


def load_part(package: str, name: str, what: str) -> ModuleType:
    """Import one part. Raises `UnknownName` with the nearest that exists."""
    known = part_names(package)
    if name not in known:
        raise UnknownName(what, name, known)
    return importlib.import_module(f"{package}.{name}")


def part_fingerprint(package: str, name: str) -> str:
    """Fingerprint of a part's source code and of the code that all parts of the package share; nothing is imported."""
    folder = Path(next(iter(importlib.import_module(package).__path__)))
    shared = sorted(folder.glob("_[!_]*.py"))
    return fingerprint([source_fingerprint(file) for file in (folder / f"{name}.py", *shared)])


def read_options(model: type[Options], options: Mapping[str, Any]) -> Options:
    """Check options against a part's `Options` model, as strictly as specs are. Raises `ValidationError`."""
    return model.model_validate_json(json.dumps(dict(options)))


def _is_part(name: str) -> bool:
    return not name.startswith("_")
