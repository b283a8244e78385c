"""From pydantic's errors to problems with a place in the file and the nearest valid name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import Problem, SpecError, did_you_mean
from bench.specs.document import Document, KeyPath

_YES, _NO = {"yes", "on", "y", "true"}, {"no", "off", "n", "false"}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WITH_COMMA = re.compile(r"[-+]?\d+,\d+")
_FRACTION = re.compile(r"([-+]?\d{1,15})\s*/\s*(\d{1,15})")

Model = TypeVar("Model", bound=BaseModel)


def read_model(model: type[Model], document: Document) -> Model:
    """Check a whole document against a spec model. Raises `SpecError` with all problems."""
    try:
        # JSON mode is strict about types yet takes lists for tuples, as YAML has no tuples.
        return model.model_validate_json(json.dumps(document.data, allow_nan=True))
    except ValidationError as error:
        raise SpecError(problems_of(error, model, document)) from error


def problems_of(
    error: ValidationError, model: type[BaseModel], document: Document, prefix: KeyPath = ()
) -> list[Problem]:
    """Problems of a part of a document that stands at `prefix` and was checked against `model`."""
    schema: dict[str, Any] = {}
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic leaves wrong items out of the count; they are told by themselves
        if not schema:
            schema = model.model_json_schema()
        found.append(_problem(detail, schema, document, prefix))
    return found


def _problem(detail: Mapping[str, Any], schema: Mapping[str, Any], document: Document, prefix: KeyPath) -> Problem:
    kind, loc = detail["type"], tuple(detail["loc"])
    path = _path_in_file(loc, document, prefix)
    if kind == "extra_forbidden":
        key = str(path[-1])
        message = f"unknown key '{key}'{did_you_mean(key, _keys_at(schema, loc[:-1]))}"
        return document.problem(path, message, at_key=True)
    if kind == "missing":
        return document.problem((*path, str(loc[-1])), "this key is needed and is not there")
    if kind == "union_tag_not_found":
        key = str(detail["ctx"]["discriminator"]).strip("'")
        return document.problem((*path, key), "this key is needed and is not there")
    if _holds(document, (*path, kind)):
        path = (*path, kind)  # a check of a whole model names the key that it is about as its kind
    return document.problem(path, _say(detail), at_key="[key]" in loc)


def _say(detail: Mapping[str, Any]) -> str:
    message = re.sub(r"^(Input|Tuple|Dictionary|String) should", "should", str(detail["msg"]))
    found, context = detail.get("input"), detail.get("ctx") or {}
    if detail["type"] in ("literal_error", "union_tag_invalid"):
        expected = re.findall(r"'([^']*)'", str(context.get("expected") or context.get("expected_tags", "")))
        value = context.get("tag", found)
        return f"{value!r} is not allowed{did_you_mean(str(value), expected)}"
    if detail["type"] == "string_pattern_mismatch" and context.get("pattern", "").startswith("^[a-z][a-z0-9_]*"):
        return f"{found!r} is not a name; expected lower-case letters, digits and underscores (snake_case)"
    if isinstance(found, str | int | float | bool):
        return f"{message} (found {found!r}){_remedy(str(detail['type']), found)}"
    return message


def _remedy(kind: str, found: str | float) -> str:
    """The end of a message about a value that YAML reads as another type than was meant."""
    if kind == "string_type" and not isinstance(found, str):
        written = json.dumps(found)
        return f'; put it in quotes: "{written}"'
    if kind == "bool_type" and isinstance(found, str) and found.lower() in _YES | _NO:
        return f"; write {'true' if found.lower() in _YES else 'false'}, without quotes"
    if kind in ("int_type", "float_type") and isinstance(found, str) and _NUMBER.fullmatch(found):
        return "; take the quotes away"
    if kind == "float_type" and isinstance(found, str) and _WITH_COMMA.fullmatch(found):
        return f"; write {found.replace(',', '.')}: the decimal sign is a point"
    if kind == "float_type" and isinstance(found, str) and (parts := _FRACTION.fullmatch(found)) and int(parts[2]):
        return f"; write the number out: {int(parts[1]) / int(parts[2]):.4g}"
    if kind in ("tuple_type", "list_type"):
        return f"; write [{found if isinstance(found, str) else json.dumps(found)}]"
    return ""


def _path_in_file(loc: tuple[str | int, ...], document: Document, prefix: KeyPath) -> KeyPath:
    """`loc` without the parts that pydantic adds for unions and keys and that the file does not have."""
    here: Any = _at(document.data, prefix)
    path = prefix
    for i, part in enumerate(loc):
        inside = isinstance(here, dict) and part in here
        if not inside and not (isinstance(here, list) and isinstance(part, int) and part < len(here)):
            if i == len(loc) - 1 or not isinstance(here, dict | list):
                break
            continue
        here = here[part]
        path = (*path, part)
    return path


def _holds(document: Document, path: KeyPath) -> bool:
    return path in document.keys or (document.extended is not None and _holds(document.extended, path))


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def _keys_at(schema: Mapping[str, Any], loc: tuple[str | int, ...]) -> set[str]:
    """Keys that the schema allows at `loc`, over all branches of unions."""
    nodes = [schema]
    for part in loc:
        nodes = [inner for node in nodes for inner in _step(node, part, schema)] or nodes
    return {key for node in nodes for branch in _branches(node, schema) for key in branch.get("properties", {})}


def _step(node: Mapping[str, Any], part: str | int, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for branch in _branches(node, root):
        if isinstance(part, int):
            inner = branch.get("items") or next(iter(branch.get("prefixItems", [])), None)
        else:
            inner = branch.get("properties", {}).get(part) or branch.get("additionalProperties")
        if isinstance(inner, dict):
            yield inner


def _branches(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in node:
        node = root["$defs"][node["$ref"].rsplit("/", 1)[1]]
    alternatives = node.get("anyOf") or node.get("oneOf")
    if alternatives is None:
        yield node
        return
    for alternative in alternatives:
        yield from _branches(alternative, root)
