"""Writing new specs: rendered from templates, checked before anything is written, never over a file that is there."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import SpecError, UsageError

if TYPE_CHECKING:
    from jinja2 import Environment

    from bench.specs.catalog import Catalog

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def checked_name(name: str) -> str:
    """A name for a spec. Raises `UsageError` with the rule for anything else."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a spec",
            hint="a name starts with a lower-case letter and holds at most 64 lower-case letters, digits and "
            "underscores (snake_case); a folder is given by --out",
        )
    return name


def snake_case(text: str) -> str:
    """The nearest name to a text; `x` where it has no letter that a name may have."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (words if words[:1].isalpha() else f"x_{words}".strip("_"))[:64]


def rendered(template: str, **values: Any) -> str:
    """A template with values, which are quoted wherever YAML would read them as something else."""
    return _templates().get_template(f"{template}.j2").render(**values)


def write_new(files: Mapping[Path, str]) -> None:
    """Write files that must not be there yet. Raises `UsageError`; then nothing is left behind."""
    taken = [file for file in files if os.path.lexists(file)]
    if taken:
        raise UsageError(f"{taken[0]} is there already", hint="nothing was written; give another name or --out DIR")
    written: list[Path] = []
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as stream:
                written.append(file)
                stream.write(text)
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        raise UsageError(
            f"{error.filename or files} cannot be written: {error.strerror}",
            hint="give a folder that can be written to by --out",
        ) from error


def check_new(catalog: Catalog, files: Mapping[Path, str]) -> None:
    """Whether new specs are right, and new, before they are written. Raises `UsageError` with all that is wrong."""
    from bench.runs.check import validate_spec

    with tempfile.TemporaryDirectory() as folder:
        places: dict[Path, Path] = {}
        for number, (file, text) in enumerate(files.items()):
            places[(Path(folder) / f"{number}.yaml").resolve()] = file
            (Path(folder) / f"{number}.yaml").write_text(text, encoding="utf-8")
        whole = catalog.beside([Path(folder)])
        try:
            problems = [p for place in places for p in validate_spec(whole, whole.load_file(place))]
        except SpecError as error:
            problems = list(error.problems)
    if problems:
        told = dict.fromkeys(f"{p.key}: {p.message}" if p.key else p.message for p in problems)
        raise UsageError("\n".join(told), hint="nothing was written; mend what was given, or give another name")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("bench.cli"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # YAML and Python, not HTML: each value has its own filter
    )
    made.filters |= {"yaml": _yaml, "quoted": _quoted, "comment": _comment, "docstring": docstring}
    return made


def _yaml(value: Any) -> str:
    """A value as YAML 1.2 on one line: plain words as they are, all other text quoted."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_yaml(inner) for inner in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Text between double quotes, as YAML, TOML and JSON understand it."""
    escaped = (
        c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}"
        for c in text
    )
    return '"' + "".join(escaped) + '"'


def _comment(text: str) -> str:
    """Text on one line, whatever it holds."""
    return "".join(c if c.isprintable() else " " for c in text)


def docstring(text: str) -> str:
    """Text within a docstring, which it cannot end."""
    return _comment(text).replace("\\", "/").replace('"', "'")
