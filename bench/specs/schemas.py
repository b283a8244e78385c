"""JSON Schemas of specs, for editors and for validators that do not know bench.

They say less than `bench validate`: whether names exist and keys fit together cannot be told by a schema. Draft
2020-12, https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.specs.catalog import EXTENDS, KINDS, OWN
from bench.specs.components import load_part, own_part_names
from bench.specs.explained import EXPLAINED

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "json_schemas"
"""Where the schemas are committed; they travel with the package."""
_MODELS = {model.__name__ for model in KINDS.values()}
PARTS = {
    "dataset": {"layout": ("Layout", "bench.data.layouts"), "standin": ("StandIn", "bench.data.standins")},
    "method": {
        "labels": ("LabelTransform", "bench.methods.labels"),
        "terms": ("Term", "bench.methods.terms"),
        "balancer": ("Balancer", "bench.methods.balancers"),
    },
}
"""Keys that hold parts: what the schema calls such a part, and the package of the modules that implement them."""


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of spec."""
    model = KINDS[kind]
    schema = model.model_json_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    _explain(schema, model.__name__)
    for name, definition in definitions.items():
        _explain(definition, name)
    for key, (name, package) in PARTS.get(kind, {}).items():
        _tell_options(schema, key, name, package)
    if kind == "task":  # labels that are only numbers may be given by their count
        listed = schema["properties"]["labels"]
        numbered = {
            "type": "object",
            "properties": {"numbered": {"type": "integer", "minimum": 1}},
            "required": ["numbered"],
            "additionalProperties": False,
        }
        told = listed.pop("description")
        schema["properties"]["labels"] = {"description": told, "anyOf": [listed, numbered]}
    required = [*schema.pop("required", []), "kind"]
    if kind == "dataset":  # one that extends another may leave out all but its own name
        told = "A data set of which all keys are taken over that are not given here."
        schema["properties"][EXTENDS] = {"type": "string", "description": told}
        own = [key for key in required if key in OWN]
        schema |= {"required": own, "anyOf": [{"required": [EXTENDS]}, {"required": required}]}
    else:
        schema["required"] = required
    return {"$schema": DRAFT, "title": f"bench: {kind}"} | {k: v for k, v in schema.items() if k != "title"}


def to_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _tell_options(schema: dict[str, Any], key: str, name: str, package: str) -> None:
    """Say of a key that holds parts which there are, and the options of each; a part from elsewhere may have any."""
    definitions, about = schema["$defs"], schema["properties"][key]
    (old,) = {one["$ref"] for one in (about.get("items", {}), *about.get("anyOf", ())) if "$ref" in one}
    part = deepcopy(definitions[old.rpartition("/")[2]])
    known = own_part_names(package)
    named = part["properties"]["name"]
    pattern = {limit: named.pop(limit) for limit in ("type", "pattern", "maxLength")}
    part["properties"]["name"] = {"anyOf": [{"enum": list(known)}, pattern]} | named
    part["additionalProperties"] = True
    part["allOf"] = []
    for module in known:
        options = _options(load_part(package, module, key).Options, prefix=f"{name}_{module}")
        definitions |= options.pop("$defs")
        condition = {"properties": {"name": {"const": module}}, "required": ["name"]}
        own = dict.fromkeys(part["properties"], True)
        options["properties"] = own | options["properties"]
        part["allOf"].append({"if": condition, "then": options})
    definitions[name] = part
    reference = f"#/$defs/{name}"
    if "items" in about:
        about["items"] = {"$ref": reference}
    else:
        about["anyOf"] = [{"$ref": reference} if "$ref" in one else one for one in about["anyOf"]]
    if old not in json.dumps(schema["properties"]):
        definitions.pop(old.rpartition("/")[2])


def _options(model: type[BaseModel], *, prefix: str) -> dict[str, Any]:
    """The options of a part; what they refer to gets names that begin with `prefix`."""
    text = json.dumps(model.model_json_schema(ref_template=f"#/$defs/{prefix}_{{model}}"))
    schema: dict[str, Any] = json.loads(text)
    inner = {f"{prefix}_{name}": part for name, part in schema.get("$defs", {}).items()}
    told = inspect.cleandoc(model.__doc__ or "")
    for part in (schema, *inner.values()):
        part.pop("title", None)
    for key, about in schema.get("properties", {}).items():
        about.pop("title", None)
        if "description" not in about and f"`{key}`" in told:
            about["description"] = told
    kept = {key: schema[key] for key in ("required", "additionalProperties") if key in schema}
    return {"properties": schema.get("properties", {}), "$defs": inner} | kept


def _explain(definition: dict[str, Any], name: str) -> None:
    told = EXPLAINED["Spec"] | EXPLAINED.get(name, {}) if name in _MODELS else EXPLAINED.get(name, {})
    for key, about in definition.get("properties", {}).items():
        about.pop("title", None)
        if key in told:
            about["description"] = told[key]
    definition.pop("title", None)
