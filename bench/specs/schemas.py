"""JSON Schemas of specs, for editors and for validators that do not know bench.

They say less than `bench validate`: whether names exist and keys fit together cannot be told by a schema. Draft
2020-12, https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.specs.catalog import EXTENDS, KINDS, OWN
from bench.specs.explained import EXPLAINED

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "json_schemas"
"""Where the schemas are committed; they travel with the package."""
_MODELS = {model.__name__ for model in KINDS.values()}


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of spec."""
    model = KINDS[kind]
    schema = model.model_json_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    _explain(schema, model.__name__)
    for name, definition in definitions.items():
        _explain(definition, name)
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


def _explain(definition: dict[str, Any], name: str) -> None:
    told = EXPLAINED["Spec"] | EXPLAINED.get(name, {}) if name in _MODELS else EXPLAINED.get(name, {})
    for key, about in definition.get("properties", {}).items():
        about.pop("title", None)
        if key in told:
            about["description"] = told[key]
    definition.pop("title", None)
