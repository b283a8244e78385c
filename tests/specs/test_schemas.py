"""JSON Schemas: current, explained, and what a validator that does not know bench makes of specs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.specs.catalog import KINDS
from bench.specs.explained import EXPLAINED
from bench.specs.schemas import FOLDER, schema_of, to_text

ROOT = Path(__file__).parents[2]
SHIPPED = [
    file for folder in ("tasks", "baselines", "results/published") for file in sorted((ROOT / folder).rglob("*.yaml"))
]


def kind_of(file):
    return re.search(r"^kind: (\w+)$", file.read_text(encoding="utf-8"), re.MULTILINE)[1]


def validate(kind, *files):
    """A real validator, in a process of its own; it fetches nothing."""
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(FOLDER / f"{kind}.json")]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_committed_is_current(kind):
    assert (FOLDER / f"{kind}.json").read_text(encoding="utf-8") == to_text(schema_of(kind)), (
        "run `bench schema --out bench/specs/json_schemas`"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained(kind):
    schema = schema_of(kind)
    parts = {kind: schema, **schema.get("$defs", {})}
    properties = {f"{name}.{key}": about for name, part in parts.items() for key, about in part["properties"].items()}
    assert [key for key, about in properties.items() if not about.get("description")] == []


def test_nothing_is_explained_that_is_not_there():
    keys: dict[str, set[str]] = {"Spec": {"name"}}
    for model in KINDS.values():
        schema = model.model_json_schema()
        for name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
            plain = {key for key, about in part.get("properties", {}).items() if "description" not in about}
            keys.setdefault(name, set()).update(plain)
    assert {f"{name}.{key}" for name, told in EXPLAINED.items() for key in told} <= {
        f"{name}.{key}" for name, found in keys.items() for key in found
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_and_every_shipped_spec_passes(kind):
    meta = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--check-metaschema", str(FOLDER / f"{kind}.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert meta.returncode == 0, meta.stdout
    files = [file for file in SHIPPED if kind_of(file) == kind]
    answer = validate(kind, *files)
    assert files and answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_editors_find_the_schema_of_every_shipped_spec(file):
    line = file.read_text(encoding="utf-8").partition("\n")[0]
    named = line.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == FOLDER / f"{kind_of(file)}.json"


BROKEN = {
    "task": [("primary: mean_f1\n", ""), ("type: multilabel", "type: binary"), ("chance: 0.333", "chance: 3")],
    "dataset": [("licence:", "license:"), ("domain: faces", "domain: Faces"), ("by: image", "by: person")],
    "relatedness": [("first_task: expression\n", ""), ("type: knowledge", "type: guess")],
    "backbone": [("timm: ", "tim: "), ("family: ", "family: ''  # ")],
    "method": [("type: joint", "type: both"), ("terms:", "term:")],
    "budget": [("steps: 300", "steps: 0"), ("size: 64", "size: many"), ("seeds: 3", "seeds: 2.5")],
    "suite": [("datasets:", "data:"), ("macro_f1: 0.02", "macro_f1: 0"), ("budget: quick", "budget: Quick one")],
    "published": [("unit: percent", "unit: permille"), ("url: https", "url: ftp"), ("value: 64.7", "value: -1")],
}
EXAMPLES = {
    "task": "action_units", "dataset": "celeba", "relatedness": "emotion_action_units",
    "backbone": "resnet_micro", "method": "multi_task", "budget": "quick", "suite": "faces", "published": "luo_2022",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "old", "new"), [(k, *change) for k, changes in BROKEN.items() for change in changes])
def test_broken_specs_fail(tmp_path, kind, old, new):
    (file,) = [file for file in SHIPPED if file.stem == EXAMPLES[kind] and kind_of(file) == kind]
    text = file.read_text(encoding="utf-8")
    assert old in text, text[:600]
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    answer = validate(kind, broken)
    assert answer.returncode == 1 and "broken.yaml" in answer.stdout


def test_the_command_prints_and_writes_them(bench, tmp_path):
    assert json.loads(bench("schema", "task").out) == schema_of("task")
    assert bench("schema", "--out", str(tmp_path / "s")).code == 0
    assert {file.stem for file in (tmp_path / "s").iterdir()} == set(KINDS)
    wrong = bench("schema", "tasks")
    assert wrong.code == 2 and "did you mean 'task'" in wrong.err
    assert bench("schema").code == 2
