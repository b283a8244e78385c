"""Data sets that take over from others, and tasks whose labels are only numbers."""

from __future__ import annotations

import pytest

from bench.errors import SpecError, UnknownName
from bench.specs.catalog import Catalog
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

BASE = """kind: dataset
name: pets
title: Pets
description: Of our neighbours
domain: animals
tasks:
  kinds: {column: kind}
layout: {name: csv, split: split}
splits:
  official: {a: train, b: validation, c: test}
licence: none
home_page: https://example.org/
citation: none
"""


@pytest.fixture
def specs(tmp_path):
    class Specs:
        def write(self, name, text):
            (tmp_path / f"{name}.yaml").write_text(text)
            return self

        @property
        def catalog(self):
            return Catalog([tmp_path])

        def get(self, name):
            return self.catalog.get(DatasetSpec, name)

        def problems(self, name):
            with pytest.raises(SpecError) as caught:
                self.get(name)
            return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return Specs().write("pets", BASE)


def extending(name="half", other="pets", more=""):
    return f"kind: dataset\nname: {name}\ntitle: Half\nextends: {other}\n{more}"


def test_everything_but_name_and_title_is_taken_over_and_the_copy_is_the_same(specs):
    base, half = specs.write("half", extending(more="licence: other\n")).get("pets"), specs.get("half")
    assert (half.name, half.title, half.description, half.licence) == ("half", "Half", "", "other")
    assert half.copy_name == "pets"
    for key in ("domain", "tasks", "layout", "splits", "home_page", "citation"):
        assert getattr(half, key) == getattr(base, key)


def test_a_key_that_is_given_replaces_the_whole_of_the_other(specs):
    specs.write("half", extending(more="splits:\n  shares: {train: 0.5, validation: 0.2, test: 0.3}\n"))
    assert specs.get("half").splits.official is None


def test_a_chain_reads_the_copy_at_its_end(specs):
    specs.write("half", extending()).write("quarter", extending("quarter", "half"))
    assert specs.get("quarter").copy_name == "pets"
    specs.write("own", extending("own", "half", "source: mine\n"))
    assert specs.get("own").copy_name == "mine"


def test_problems_are_told_where_they_stand(specs):
    specs.write("half", extending(more="domain: 3\n"))
    assert specs.problems("half") == [
        'half.yaml:5:9: domain: should be a valid string (found 3); put it in quotes: "3"'
    ]
    specs.write("pets", BASE.replace("domain: animals", "domain: 3")).write("half", extending())
    assert specs.problems("half") == [
        'pets.yaml:5:9: domain: should be a valid string (found 3); put it in quotes: "3"'
    ]
    specs.write("pets", BASE.replace("c: test", "c: tset"))
    assert specs.problems("half")[0].startswith("pets.yaml:10:42: splits.official.c: 'tset' is not allowed")
    specs.write("pets", BASE).write("half", extending(more="colour: red\n"))
    assert specs.problems("half") == ["half.yaml:5:1: colour: unknown key 'colour'; there is access, citation, " + (
        specs.problems("half")[0].split("access, citation, ")[1]
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("pest", "half.yaml:4:10: extends: dataset 'pest' is unknown; did you mean 'pets'?"),
        ("half", "half.yaml:4:10: extends: the data set extends itself: half -> half"),
        ("[pets]", "half.yaml:4:10: extends: expected the name of one data set"),
    ],
)
def test_what_cannot_be_extended(specs, other, said):
    assert specs.write("half", extending(other=other)).problems("half") == [said]


def test_a_circle_is_told_with_its_way(specs):
    specs.write("half", extending(other="rest")).write("rest", extending("rest", "half"))
    assert specs.problems("half") == ["rest.yaml:4:10: extends: the data set extends itself: half -> rest -> half"]


def test_only_data_sets_extend(specs):
    text = TASK.format("[a, b]") + "extends: u\n"
    with pytest.raises(SpecError, match="unknown key 'extends'"):
        specs.write("t", text).catalog.get(TaskSpec, "t")
    with pytest.raises(UnknownName):
        specs.get("nothing")


TASK = "kind: task\nname: t\ntitle: T\ntype: multiclass\nlabels: {}\nmetrics: [x]\nprimary: x\nchance: 0\n"


def test_labels_may_be_numbered(specs):
    task = specs.write("t", TASK.format("{numbered: 12}")).catalog.get(TaskSpec, "t")
    assert task.labels == tuple(str(number) for number in range(1, 13))


@pytest.mark.parametrize(
    "given", ["{numbered: 0}", "{numbered: 10001}", "{numbered: x}", "{numbered: 1.5}", "{n: 3}", "{}"]
)
def test_other_mappings_are_no_labels(specs, given):
    with pytest.raises(SpecError, match=r"t\.yaml:5:9: labels: expected a list of names, or `numbered:` with a count"):
        specs.write("t", TASK.format(given)).catalog.get(TaskSpec, "t")
