"""Trials of specs: made-up copies are read through the spec's own codes, leaks and placeholders are found."""

from __future__ import annotations

import pytest

from bench.data.labels import groups_by_split
from bench.data.readers import read_labels, read_layout
from bench.runs.conformance import made_up_rows
from bench.specs.dataset import SPLITS
from bench.specs.task import TaskSpec

from ..data.samples import dataset

OFFICIAL = {"official": {"train": "train", "val": "validation", "test": "test"}}
SHARES = {"shares": {"train": 0.6, "validation": 0.2, "test": 0.2}, "by": "group"}
FOLDS = {
    "folds": {"one": [f"p{i}" for i in range(12)], "two": ["ann", "bob"]},
    "test_fold": "two",
    "by": "group",
    "carve_validation": 0.4,
}
KIND = {"column": "kind", "codes": {"c": "cat", "d": "dog"}, "missing": ["", "?"]}
TAGS = {"columns": {"red": "tags.red", "blue": "tags.blue"}}


def task(name, type, *labels):
    metric = {"multiclass": "accuracy", "multilabel": "mean_f1"}[type]
    return TaskSpec(name=name, title=name, type=type, labels=labels, metrics=(metric,), primary=metric, chance=0.5)


TASKS = {"pet": task("pet", "multiclass", "cat", "dog"), "tags": task("tags", "multilabel", "red", "blue")}


@pytest.mark.parametrize(
    ("layout", "tasks", "splits"),
    [
        (
            {"name": "csv", "split": "part"},
            {"pet": KIND, "tags": TAGS | {"codes": {"y": "present", "n": "absent"}}},
            OFFICIAL,
        ),
        ({"name": "csv", "split": "part", "separator": "|"}, {"pet": KIND, "tags": TAGS}, OFFICIAL),
        ({"name": "csv", "file": ["train.csv", "val.csv", "test.csv"], "ending": ".png"}, {"pet": KIND}, OFFICIAL),
        ({"name": "csv", "group": "who"}, {"pet": KIND}, SHARES),
        ({"name": "csv", "group": "who"}, {"pet": KIND}, FOLDS),
        ({"name": "image_folder"}, {"pet": {"column": "class"}}, OFFICIAL),
        (
            {"name": "image_folder", "levels": ["group", "class"], "images": "a/b"},
            {"pet": {"column": "class", "codes": {"CAT": "cat", "DOG": "dog"}}},
            SHARES,
        ),
        ({"name": "parquet", "images": "pictures", "group": "who"}, {"pet": KIND, "tags": TAGS}, OFFICIAL),
        ({"name": "hub"}, {"pet": KIND, "tags": TAGS}, OFFICIAL),
        ({"name": "hub", "files": ["train-*.parquet", "val-*.parquet", "test-*.parquet"]}, {"pet": KIND}, OFFICIAL),
        ({"name": "hub", "files": ["train.parquet", "val.parquet", "test.parquet"]}, {"pet": KIND}, OFFICIAL),
        ({"name": "hub", "split": "part", "group": "who"}, {"pet": KIND}, OFFICIAL),
    ],
)
def test_every_layout_for_anybodys_data_reads_what_is_made_up_for_it(tmp_path, layout, tasks, splits):
    spec = dataset(tasks=tasks, layout=layout, splits=splits)
    used = {name: TASKS[name] for name in tasks}
    module, options = read_layout(spec, tmp_path)
    module.write(tmp_path, module.named(made_up_rows(spec, used), options), options, module.VARIANTS[0])
    labels = read_labels(spec, used, tmp_path).labels
    assert min(labels.counts().values()) > 4
    for split in range(len(SPLITS)):
        rows = labels.splits == split
        if "pet" in used:
            assert {0, 1} <= set(labels.tasks["pet"][rows].tolist())
        if "tags" in used:
            assert {0, 1} <= set(labels.tasks["tags"][rows].reshape(-1).tolist())
    assert ((groups_by_split(labels)[0] > 0).sum(1) <= 1).all()


SPECS = {
    "pet": """
        kind: task
        name: pet
        title: Pet
        type: multiclass
        labels: [cat, dog]
        metrics: [macro_f1]
        primary: macro_f1
        chance: 0.5
    """,
    "pets": """
        kind: dataset
        name: pets
        title: Pets
        domain: animals
        tasks: {pet: {column: kind}}
        layout: {name: csv, split: part, group: owner}
        splits:
          official: {a: train, b: validation, c: test}
        licence: CC0 1.0
        home_page: https://www.w3.org/
        citation: none
    """,
}


@pytest.fixture
def pets(world):
    for name, text in SPECS.items():
        world.write(name, text)
    return world


def test_a_right_spec_is_tried_and_scored(pets, bench):
    done = bench("validate", "specs/pets.yaml", "--json")
    assert done.code == 0, done.err
    (trial,) = done.json["tried"]
    assert (trial["name"], trial["by"], trial["problems"]) == ("pets", "a made-up copy", [])
    assert trial["scores"].keys() == {"pets/pet/macro_f1/single_task"}
    assert not (pets.results).exists() and not pets.cache.exists()
    for static in (["pets"], ["specs/pets.yaml", "--no-conformance"]):
        assert bench("validate", *static, "--json").json["tried"] == []


def test_a_suite_is_tried_with_all_its_methods(world, bench):
    world.change("tiny", "[single_task, multi_task, distribution_matching]", "[single_task, distribution_matching]")
    done = bench("validate", "tiny", "--conformance", "--json")
    assert done.code == 0, done.err
    (trial,) = done.json["tried"]
    assert trial["by"] == "a stand-in"
    assert {key.rpartition("/")[2] for key in trial["scores"]} == {"single_task", "distribution_matching"}


@pytest.fixture
def untrained(monkeypatch):
    """Trials stop before they train."""
    monkeypatch.setattr("bench.runs.conformance._World.run", lambda world, catalog: ({}, []))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("licence: CC0 1.0", "licence: unknown", "pets.yaml:9:10: licence: is not stated yet"),
        (
            "https://www.w3.org/",
            "https://www.example.org/x",
            "pets.yaml:10:12: home_page: www.example.org is a placeholder",
        ),
        ("citation: none", "citation: Smith 2020", "pets.yaml:11:11: citation: is not BibTeX"),
        (
            "official: {a: train, b: validation, c: test}",
            "shares: {train: 0.5, validation: 0.25, test: 0.25}",
            "pets.yaml:8:3: splits: groups stand in several splits",
        ),
        (
            "official: {a: train, b: validation, c: test}",
            "official: {a: train, c: test}\n  carve_validation: 0.5",
            "pets.yaml:8:3: splits: groups stand in several splits",
        ),
    ],
)
def test_what_is_not_stated_and_what_leaks_is_told_with_its_place(pets, bench, old, new, said):
    pets.change("pets", old, new)
    assert bench("validate", "pets").code == 0
    done = bench("validate", "specs/pets.yaml")
    assert done.code == 2
    assert said in done.err
    assert "1 problem\n" in done.out


@pytest.mark.usefixtures("untrained")
def test_that_images_are_divided_may_be_the_protocol(pets, bench):
    shares = "shares: {train: 0.5, validation: 0.25, test: 0.25}\n  by: image"
    pets.change("pets", "official: {a: train, b: validation, c: test}", shares)
    assert bench("validate", "specs/pets.yaml").code == 0


@pytest.mark.usefixtures("untrained")
def test_a_copy_that_is_there_is_read(pets, bench, monkeypatch):
    root = pets.root / "data" / "pets"
    root.mkdir(parents=True)
    rows = [f"{i}.jpg,{'abc'[i % 3]},{'ann' if i < 9 else i},{'bird' if i == 7 else 'cat'}" for i in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,part,owner,kind", *rows, ""]))
    monkeypatch.setenv("BENCH_DATA", str(pets.root / "data"))
    done = bench("validate", "specs/pets.yaml")
    assert done.code == 2 and "column 'kind', row 8" in done.err and "'bird' has no meaning" in done.err
    (root / "labels.csv").write_text((root / "labels.csv").read_text().replace("bird", "dog"))
    for said in ("", "\n  by: group"):  # which does not mend what the files say
        pets.change("pets", "c: test}", f"c: test}}{said}")
        done = bench("validate", "specs/pets.yaml")
        assert done.code == 2 and "groups stand in several splits (1, such as 'ann')" in done.err
        assert "divide anew by `shares`" in done.err


@pytest.mark.usefixtures("untrained")
def test_problems_of_trials_are_annotated_and_wrong_specs_are_not_tried(pets, bench, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pets.change("pets", "citation: none", "citation: 50%")
    done = bench("validate", "specs/pets.yaml")
    assert "::error file=" in done.err and "line=11,col=11" in done.err and "50%25" not in done.out
    pets.change("pets", "column: kind", "colum: kind")
    done = bench("validate", "specs/pets.yaml")
    assert "unknown key 'colum'" in done.err and "tried" not in done.out


@pytest.mark.usefixtures("untrained")
def test_what_cannot_be_tried_is_said(pets, bench):
    pets.change("pets", "{name: csv, split: part, group: owner}", "{name: affectnet}")
    pets.change("pets", "column: kind", "column: expression")
    done = bench("validate", "specs/pets.yaml")
    assert "dataset pets: not tried: it has no stand-in" in done.out, done.err
    assert bench("validate", "suite/paper", "--conformance").out.startswith("suite paper: not tried: ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'error: no room' >&2; echo 'what to do: free some' >&2; exit 4", "a trial of 4 steps failed: no room"),
        ("echo 'Traceback ...' >&2; echo 'ValueError: odd' >&2; exit 1", "a trial of 4 steps failed: ValueError: odd"),
        ("exec sleep 60", "a trial of 4 steps did not end within 1 seconds"),
    ],
)
def test_a_training_that_fails_is_a_problem_of_the_spec(pets, bench, monkeypatch, script, said):
    program = pets.root / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("bench.runs.conformance.sys.executable", str(program))
    monkeypatch.setattr("bench.runs.conformance.TIMEOUT", 1)
    done = bench("validate", "specs/pets.yaml", "--json")
    assert done.code == 2
    assert [problem["message"] for problem in done.json["problems"]] == [said]
