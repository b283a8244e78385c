"""A package of somebody else: really built, installed and used; broken, it is named and takes nothing else down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import top_k_accuracy_score

from .conftest import World, clean_environment

SOURCE = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where pip has put the package, without the network and without what it depends on."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    install = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", "site", "./source"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install], cwd=folder, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def theirs(site, tmp_path):
    """A world in which a copy of the package is installed, to be broken at will."""
    world = World(tmp_path)
    world.specs.mkdir()
    shutil.copytree(site, tmp_path / "site")
    path = [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]
    world.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return world


def pets(world):
    """A copy of the data set: cats are green."""
    code = (
        "import sys, pyarrow as pa, pathlib; sys.path.insert(0, sys.argv[1]); from their_bench import name_list as l\n"
        "root, o = pathlib.Path(sys.argv[2]), l.Options()\n"
        "n = 48; rows = pa.table({'split': [('train', 'train', 'val', 'test')[i % 4] for i in range(n)],"
        " 'value:kind': [('bird', 'cat', 'dog')[i // 4 % 3] for i in range(n)]})\n"
        "root.mkdir(parents=True); l.write(root, l.named(rows, o), o)"
    )
    subprocess.run([sys.executable, "-c", code, str(SOURCE), str(world.root / "data" / "their_pets")], check=True)
    world.environment["BENCH_DATA"] = str(world.root / "data")


def test_its_specs_layout_term_and_metric_make_a_run(theirs):
    pets(theirs)
    done = theirs.run("run", "--suite", "their_suite")
    assert done.code == 0, done.err
    files = list(theirs.results.glob("runs/real/*/record.json"))
    records = {record["run"]["method"]: (file, record) for file in files for record in [json.loads(file.read_text())]}
    assert records.keys() == {"single_task", "their_calm"}
    file, record = records["their_calm"]
    assert record["curve"][-1]["losses"]["confidence_penalty.their_pet"] < 0
    table = pq.read_table(file.parent / "their_pets.their_pet.parquet")
    scores, truth = np.stack(table["scores"].to_pylist()), np.array(table["reference"].to_pylist())
    expected = top_k_accuracy_score(truth, scores, k=2, labels=range(3))
    assert record["scores"]["their_pets"]["their_pet"]["top_two"]["value"] == pytest.approx(expected)
    assert len(truth) == 12


def test_it_is_listed_and_shown_with_where_it_comes_from(theirs):
    listed = {part["name"]: part for part in theirs.run("list", "term", "--json").json}
    assert listed["confidence_penalty"] == {
        "kind": "term",
        "name": "confidence_penalty",
        "about": "Confidence penalty: the negative entropy of predicted classes is added to the loss",
        "origin": "the package 'their-bench' 2.1.0",
        "fault": "",
    }
    assert listed["supervised"]["origin"] == "bench"
    shown = theirs.run("show", "term/confidence_penalty", "--json").json
    assert shown["options"] == [
        {"name": "weight", "type": "number >= 0", "default": "0.1", "description": "How much certainty costs."}
    ]
    assert theirs.run("show", "metric/top_two", "--json").json["facts"]["task type"] == "multiclass"


def broken(world, file, text):
    place = world.root / "site" / "their_bench" / file
    place.write_text(text)
    return place


def said(done):
    return " ".join((done.out + done.err).split())


@pytest.mark.parametrize(
    ("target", "file", "text", "told"),
    [
        ("their_pet", "top_two.py", "raise SystemError('no')\n", "cannot be imported: SystemError: no"),
        ("their_pets", "name_list.py", "1 / 0\n", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_broken_part_is_an_error_where_it_is_asked_for_and_nowhere_else(theirs, target, file, text, told):
    broken(theirs, file, text)
    done = theirs.run("validate", target, "expression", "multi_task", "--json")
    assert done.code == 2, done.err
    problems = done.json["problems"]
    assert {Path(problem["file"]).parent.parent.name for problem in problems} == {"their_bench"}
    assert all(told in problem["message"] for problem in problems)
    assert all("the package 'their-bench' 2.1.0" in problem["message"] for problem in problems)


def test_a_package_that_cannot_be_imported_is_named_and_its_parts_are_errors_where_they_are_asked_for(theirs):
    broken(theirs, "__init__.py", "raise RuntimeError('at home')\n")
    listed = theirs.run("list", "metric", "--json")
    faults = {part["name"]: part["fault"] for part in listed.json}
    assert listed.code == 0
    assert faults.pop("top_two") == "cannot be found: RuntimeError: at home"
    assert set(faults.values()) == {""}
    done = theirs.run("validate", "their_calm")
    assert done.code == 2 and "names no package (RuntimeError: at home)" in said(done)


def test_broken_specs_are_warned_of_and_named_where_they_are_asked_for(theirs):
    (theirs.root / "site" / "their_bench" / "specs" / "their_calm.yaml").write_text("kind: method\n\tname: x\n")
    listed = theirs.run("list", "method", "--json")
    assert listed.code == 0 and "multi_task" in [entry["name"] for entry in listed.json]
    (line,) = listed.err.splitlines()
    assert line.startswith("warning: ") and "their_calm.yaml:2:1: a tab" in line
    done = theirs.run("show", "their_calm")
    assert done.code == 2 and "unreadable: " in done.err and "their_calm.yaml" in done.err


def test_a_package_without_its_specs_is_named_in_one_line(theirs):
    shutil.rmtree(theirs.root / "site" / "their_bench" / "specs")
    listed = theirs.run("list", "suite", "--json")
    assert listed.code == 0 and "faces" in [entry["name"] for entry in listed.json]
    (line,) = listed.err.splitlines()
    told = "the entry point their_bench = their_bench.specs (bench.specs) of the package 'their-bench' 2.1.0 names no"
    assert told in line
    done = theirs.run("plan", "their_suite")
    assert done.code == 2 and told in done.err.split("what to do:")[1]


def test_a_part_that_two_packages_offer_is_refused_where_it_is_asked_for(theirs):
    about = theirs.root / "site" / "other_bench-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-bench\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[bench.metrics]\ntop_two = other.top_two\naccuracy = other.accuracy\n")
    done = theirs.run("validate", "their_pet")
    assert done.code == 2
    assert "metric 'top_two' is offered by" in said(done)
    assert "'their-bench' 2.1.0" in said(done) and "'other-bench' 1.0" in said(done)
    listed = {part["name"]: part for part in theirs.run("list", "metric", "--json").json}
    assert listed["top_two"]["fault"] == "several packages offer this name"
    assert listed["accuracy"]["origin"] == "bench"
