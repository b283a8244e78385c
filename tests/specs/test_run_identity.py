"""Fingerprints, run ids and random streams: the same is the same, and what differs differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.specs.fingerprint import LENGTH, fingerprint, source_fingerprint
from bench.specs.run import RunSpec
from bench.specs.streams import stream, stream_seed, uniform_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


# ---- fingerprints ----


def turned(value):
    """The same content with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_the_order_of_keys_does_not_matter(content):
    assert fingerprint(turned(content)) == fingerprint(content)
    assert fingerprint(json.loads(json.dumps(content))) == fingerprint(content)


@given(VALUES, VALUES)
def test_what_differs_has_another_fingerprint(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) is same


def test_a_fingerprint_is_stable_between_versions():
    """Ids stand in stored results: another one here means that `FINGERPRINT_VERSION` must be raised."""
    assert fingerprint({"b": [1, 2.5, "ü"], "a": None}) == "f856e12dc8bbfe69"


@pytest.mark.parametrize("content", [["a", "b"], {"a": 1}, [1, 2], "text", 1.5])
def test_a_fingerprint_is_sixteen_hexadecimal_digits(content):
    assert len(fingerprint(content)) == LENGTH == 16
    assert set(fingerprint(content)) <= set("0123456789abcdef")


@pytest.mark.parametrize(("one", "other"), [([1, 2], [2, 1]), (1, "1"), (1, 1.0), (None, "null"), ({}, []), (True, 1)])
def test_order_and_type_matter(one, other):
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_not_has_no_fingerprint(value):
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"a": value})


def test_source_is_the_same_with_other_line_ends_and_another_with_other_code(tmp_path):
    files = [tmp_path / name for name in ("unix.py", "windows.py", "changed.py")]
    for file, content in zip(files, (b"a = 1\n", b"a = 1\r\n", b"a = 2\n"), strict=True):
        file.write_bytes(content)
    unix, windows, changed = map(source_fingerprint, files)
    assert unix == windows != changed


# ---- run ids ----

RUN: dict[str, Any] = {
    "fingerprint_version": 2,
    "method": "together",
    "type": "joint",
    "labels": [{"name": "co_annotation", "options": {"weight": 1.0}, "code": "c0de"}],
    "terms": [{"name": "supervised", "options": {"weight": 1.0}, "code": "c0de"}],
    "balancer": {"name": "dwa", "options": {"window": 20}, "code": "c0de"},
    "teachers": [{"dataset": "photos", "task": "colour", "id": "1d"}],
    "backbone": {
        "name": "net",
        "timm": "test_resnet",
        "options": {"drop_rate": 0.1, "img_size": 32, "pretrained_cfg": "x", "scriptable": False, "bn_eps": None},
        "weights": {"timm": None, "file": "net.pth", "sha256": "a" * 64},
        "input_size": 32,
    },
    "recipe": {
        "steps": 6,
        "image_size": 16,
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1, "momentum": 0.9, "clip_norm": 5.0},
        "schedule": {"name": "cosine", "warmup": 0.1, "final": 0.02},
        "augmentation": {"shift": 0.1, "flip": True, "color": 0.2},
        "precision": "float32",
        "evaluations": 2,
    },
    "sources": [
        {
            "dataset": "photos",
            "data": "da7a",
            "standin": False,
            "tasks": ["colour"],
            "batch": 8,
            "possible": {"colour": ["red"]},
            "shown": {"colour": {"start": 0.25, "stop": 0.5, "fraction": 0.3}},
        }
    ],
    "tasks": [
        {
            "name": "colour",
            "type": "multiclass",
            "labels": ["red", "green"],
            "metrics": ["macro_f1"],
            "primary": "macro_f1",
        }
    ],
    "relatedness": [
        {
            "name": "r",
            "first_task": "colour",
            "second_task": "marks",
            "covered": ["dot"],
            "matrix": [[0.9], [0.25]],
            "absent": [[0.1], [None]],
        }
    ],
    "metrics": {"macro_f1": "fee1"},
    "seed": 0,
    "limit": 8,
}
OTHER_WORD = {
    "joint": "single",
    "multiclass": "multilabel",
    "cosine": "linear",
    "float32": "bfloat16",
    "a" * 64: "b" * 64,
}


def run_of(content) -> RunSpec:
    return RunSpec.model_validate_json(json.dumps(content))


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, dict | list):
        yield path
    for key, item in inner:
        yield from leaves(item, (*path, key))


def changed(content, path):
    """A deep copy in which the value at `path` is another one of its type."""
    copy = json.loads(json.dumps(content))
    here = copy
    for part in path[:-1]:
        here = here[part]
    old = here[path[-1]]
    if isinstance(old, bool):
        here[path[-1]] = not old
    elif isinstance(old, int | float):
        here[path[-1]] = old / 2 if isinstance(old, float) else old + 1
    elif old is None:
        here[path[-1]] = "a1_in1k" if path[-1] == "timm" else 1
    else:
        here[path[-1]] = OTHER_WORD.get(old, f"{old}x")
    return copy


PLACE = ("backbone", "weights", "file")
PATHS = [path for path in leaves(RUN) if path not in (("backbone", "weights", "timm"), PLACE)]  # either tag or file


def test_where_a_weights_file_stands_makes_no_other_run():
    assert run_of(changed(RUN, PLACE)).id == run_of(RUN).id


def test_every_field_of_a_run_is_changed_below():
    assert {path[0] for path in PATHS} == set(RunSpec.model_fields)
    assert run_of(RUN).model_dump(mode="json") == RUN


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_run_with_anything_else_is_another_run(path):
    assert run_of(changed(RUN, path)).id != run_of(RUN).id


def test_all_those_runs_have_ids_of_their_own():
    ids = {run_of(changed(RUN, path)).id for path in PATHS}
    assert len(ids) == len(PATHS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("limit",), None),
        (("backbone", "weights"), None),
        (("backbone", "weights"), {"timm": "a1_in1k", "file": None, "sha256": None}),
        (("backbone", "options"), {}),
        (("terms",), []),
        (("relatedness",), []),
        (("sources", 0, "tasks"), ["colour", "marks"]),
        (("tasks", 0, "labels"), ["green", "red"]),
        (("recipe", "optimizer", "clip_norm"), None),
    ],
    ids=str,
)
def test_leaving_out_adding_and_turning_round_make_another_run_too(path, value):
    copy = json.loads(json.dumps(RUN))
    here = copy
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    assert run_of(copy).id != run_of(RUN).id


def test_an_id_is_the_hash_of_the_whole_description():
    """Ids stand in stored results, however parts of their text are shared: another one here loses all of them."""
    content = changed(RUN, PLACE)
    del content["backbone"]["weights"]["file"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert run_of(RUN).id == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_copies_have_ids_of_their_own():
    run = run_of(RUN)
    assert run.id and run.recipe.text and run.backbone.text  # what a copy must not take over
    recipe = run.recipe.model_copy(update={"steps": 7})
    longer = json.loads(json.dumps(RUN))
    longer["recipe"]["steps"] = 7
    assert run.model_copy(update={"recipe": recipe}).id == run_of(longer).id != run.id
    backbone = run.backbone.model_copy(update={"timm": "test_vit"})
    other = json.loads(json.dumps(RUN))
    other["backbone"]["timm"] = "test_vit"
    assert run.model_copy(update={"backbone": backbone}).id == run_of(other).id != run.id
    teachers = (run.teachers[0].model_copy(update={"id": "2d"}),)
    seeded = RUN | {"seed": 3, "teachers": [RUN["teachers"][0] | {"id": "2d"}]}
    assert run.seeded(3, teachers) == run_of(seeded)
    assert run.seeded(3, teachers).id == run_of(seeded).id


def test_an_id_does_not_depend_on_the_order_of_keys():
    assert run_of(turned(RUN)).id == run_of(RUN).id


def test_an_id_outlives_being_written_and_read():
    run = run_of(RUN)
    again = RunSpec.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.id == run.id == RunSpec.model_validate_json(json.dumps(run.model_dump(mode="json"), indent=1)).id


def test_a_run_is_not_changed_once_it_is_made():
    with pytest.raises(ValidationError, match="frozen"):
        run_of(RUN).seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("key", ["seeds", "title"])
def test_a_run_with_an_unknown_key_is_refused(key):
    with pytest.raises(ValidationError, match=key):
        run_of(RUN | {key: 1})


@pytest.mark.parametrize(
    ("standins", "limit", "provenance"),
    [
        ([False], None, "real"),
        ([False, True], None, "standin"),
        ([True], None, "standin"),
        ([False], 8, "limited"),
        ([True], 8, "limited"),
        ([False], 0, "limited"),
    ],
)
def test_provenance_says_the_worst_of_what_a_run_stands_on(standins, limit, provenance):
    sources = [RUN["sources"][0] | {"standin": standin} for standin in standins]
    run = run_of(RUN | {"sources": sources, "limit": limit})
    assert run.provenance == provenance
    assert run.images_seen == 6 * 8 * len(standins)


# ---- ids of planned runs: which part of a spec matters ----


@pytest.fixture
def ids(bench):
    """Ids of all runs that the tiny suite plans."""

    def planned():
        done = bench("plan", "tiny", "--json")
        assert done.code == 0, done.err
        return {run["id"] for run in done.json[0]["runs"]}

    return planned


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tiny", "A suite for tests", "Another title"),
        ("tiny", "kind: suite", "kind: suite\ndescription: More to read."),
        ("tiny", "macro_f1: 0.05", "macro_f1: 0.5"),
        ("tiny_budget", "A budget for tests", "Another title"),
        ("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 3"),
        ("tiny_budget", "checkpoint_every: 2", "resources: {cpus: 3, gpus: 0.5, memory: 2}"),
        ("tiny_budget", "augmentation: {shift: 0.1, flip: true, color", "augmentation: {flip: true, shift: 0.1, color"),
        ("tiny_net", "A network for tests", "Another title"),
        ("tiny_net", "family: ResNet", "family: Others"),
        ("tiny_faces", "Tiny tiny_faces", "Another title"),
        ("tiny_faces", "none needed", "another licence"),
        ("tiny_faces", "citation: none", "citation: another"),
        ("tiny_faces", "https://www.w3.org/", "https://www.w3.org/TR/"),
        ("tiny_faces", "domain: faces", "domain: people"),
    ],
)
def test_words_margins_and_checkpoints_make_no_other_run(world, ids, name, old, new):
    before = ids()
    world.change(name, old, new)
    assert ids() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tiny_budget", "steps: 6", "steps: 7"),
        ("tiny_budget", "image_size: 16", "image_size: 24"),
        ("tiny_budget", "size: 16}", "size: 20}"),
        ("tiny_budget", "1e-3", "2e-3"),
        ("tiny_budget", "adamw", "sgd"),
        ("tiny_budget", "shift: 0.1", "shift: 0.2"),
        ("tiny_budget", "evaluations: 2", "evaluations: 3"),
        ("tiny_budget", "evaluations: 2", "evaluations: 2\nschedule: {name: linear}"),
        ("tiny_budget", "evaluations: 2", "evaluations: 2\nprecision: bfloat16"),
        ("tiny_budget", "evaluations: 2", "evaluations: 2\ncompile: default"),
        ("tiny_net", "test_resnet", "test_efficientnet"),
        ("tiny_net", "test_resnet", "test_resnet\ninput_size: 24"),
        ("tiny_net", "test_resnet", "test_resnet\noptions: {drop_rate: 0.1}"),
        ("tiny_faces", "neutral: 0.2, happiness: 0.3", "neutral: 0.3, happiness: 0.2"),
        ("tiny_faces", "train: 48", "train: 56"),
    ],
)
def test_what_numbers_depend_on_makes_other_runs(world, ids, name, old, new):
    before = ids()
    world.change(name, old, new)
    after = ids()
    assert len(after) == len(before)
    unchanged = after & before
    if name == "tiny_faces":  # single-task runs on the other data set see nothing of the change
        assert len(unchanged) <= 2
    else:
        assert not unchanged


def test_more_seeds_add_runs_and_change_none(world, ids):
    before = ids()
    world.change("tiny_budget", "seeds: 2", "seeds: 3")
    assert before < ids()


# ---- random streams ----

NAMES = st.lists(st.text() | st.integers(), min_size=1, max_size=4)


@given(NAMES, NAMES)
def test_streams_of_different_names_differ(one, other):
    assert (stream_seed(*one) == stream_seed(*other)) is (one == other)


def test_a_number_is_not_its_text_and_parts_do_not_run_together():
    seeds = [stream_seed(*names) for names in (("a", 1), ("a", "1"), ("a1",), ("a", "1", ""), (1, "a"), ("a", 10))]
    assert len(set(seeds)) == len(seeds)


def test_streams_are_stable_between_versions():
    """Splits, stand-ins and initialisations follow from these: for others, raise `FINGERPRINT_VERSION`."""
    assert stream_seed("split", "photos", 0) == 5761814608518206082
    assert stream("order", 1).integers(0, 1000, 3).tolist() == [397, 267, 514]


@given(NAMES)
def test_a_number_of_a_name_is_in_zero_to_under_one_and_always_the_same(names):
    assert 0 <= uniform_of(*names) < 1
    assert uniform_of(*names) == uniform_of(*names)
    assert 0 <= stream_seed(*names) < 1 << 64


def test_numbers_of_names_are_spread_evenly():
    numbers = sorted(uniform_of("split", str(i)) for i in range(4000))
    distance = max(abs(number - (i + 0.5) / 4000) for i, number in enumerate(numbers))
    assert distance < 0.03  # Kolmogorov-Smirnov: 0.026 at p = 0.01; the names are fixed, so this never flickers


def test_a_stream_does_not_depend_on_what_else_is_drawn():
    import numpy as np

    first = stream("order", 0).random(4)
    np.random.default_rng(0).random(100)
    other = stream("augmentation", 0).random(4)
    assert (stream("order", 0).random(4) == first).all()
    assert (other != first).all()
