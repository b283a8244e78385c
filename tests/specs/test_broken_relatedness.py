"""What is wrong with a relatedness of attributes to attributes, told with file, line, column and key path."""

# ruff: noqa: E501  (a case a line: what is changed, and how each problem then starts)

from __future__ import annotations

import pytest

GOOD = {
    "coat": """
        kind: task
        name: coat
        title: Coats
        type: multilabel
        labels: [stripes, spots]
        metrics: [mean_f1]
        primary: mean_f1
        chance: 0.5
    """,
    "body": """
        kind: task
        name: body
        title: Bodies
        type: multilabel
        labels: [tail, mane]
        metrics: [mean_f1]
        primary: mean_f1
        chance: 0.5
    """,
    "animal": """
        kind: task
        name: animal
        title: Animals
        type: multiclass
        labels: [cat, dog]
        metrics: [accuracy]
        primary: accuracy
        chance: 0.5
    """,
    "zoo": """
        kind: dataset
        name: zoo
        title: Zoo
        domain: animals
        tasks:
          coat: {}
          body: {}
          animal: {column: animal}
        layout: {name: csv}
        splits:
          shares: {train: 0.6, validation: 0.2, test: 0.2}
        licence: none needed
        home_page: https://example.org/
        citation: none
    """,
    "bodies_of_coats": """
        kind: relatedness
        name: bodies_of_coats
        title: Bodies of coats
        first_task: coat
        second_task: body
        origin: {type: knowledge, source: a book}
        probabilities:
          stripes: {tail: 0.9, mane: 0.4}
        given_absent:
          stripes: {mane: 0.1, tail: 0.3}
    """,
    "counted_bodies": """
        kind: relatedness
        name: counted_bodies
        title: Bodies of coats, counted
        first_task: coat
        second_task: body
        origin: {type: estimated, dataset: zoo, least_difference: 0.2}
    """,
    "bodies_of_animals": """
        kind: relatedness
        name: bodies_of_animals
        title: Bodies of animals
        first_task: animal
        second_task: body
        origin: {type: knowledge, source: a book}
        probabilities:
          cat: {tail: 0.9}
          dog: {tail: 0.4}
    """,
}
ABSENT = "given_absent:\n  stripes: {mane: 0.1, tail: 0.3}\n"
CASES = [
    ("bodies_of_coats", "nothing of absence", {ABSENT: ""},
     ["7:1: probabilities: 'coat' is multilabel, so `given_absent` is needed too"]),
    ("bodies_of_coats", "a cell without its other half", {"mane: 0.1, tail": "tail"},
     ["8:24: probabilities.stripes.mane: `given_absent` has no such cell; both have the same"]),
    ("bodies_of_coats", "a cell of absence alone", {"{tail: 0.9, mane": "{mane"},
     ["10:24: given_absent.stripes.tail: `probabilities` has no such cell; both have the same"]),
    ("bodies_of_coats", "a row of absence alone", {"{mane: 0.1, tail: 0.3}": "{mane: 0.1, tail: 0.3}\n  spots: {tail: 0.5}"},
     ["11:11: given_absent.spots.tail: `probabilities` has no such cell"]),
    ("bodies_of_coats", "labels that the tasks have not", {"stripes: {tail: 0.9": "strips: {tail: 0.9", "stripes: {mane: 0.1, tail": "strips: {mane: 0.1, tial"},
     ["8:3: probabilities.strips: task 'coat' has no label 'strips'; did you mean 'stripes'?",
      "8:12: probabilities.strips.tail: `given_absent` has no such cell",
      "10:3: given_absent.strips: task 'coat' has no label 'strips'; did you mean 'stripes'?",
      "10:23: given_absent.strips.tial: task 'body' has no label 'tial'; did you mean 'tail'?",
      "10:23: given_absent.strips.tial: `probabilities` has no such cell"]),
    ("bodies_of_coats", "a probability of absence above 1", {"tail: 0.3": "tail: 3"},
     ["10:30: given_absent.stripes.tail: should be less than or equal to 1 (found 3)"]),
    ("bodies_of_coats", "unlisted", {"probabilities:": "unlisted: 0.1\nprobabilities:"},
     ["7:1: unlisted: only listed pairs of attributes are related; leave out `unlisted`"]),
    ("bodies_of_coats", "classes of attributes", {"second_task: body": "second_task: animal"},
     ["4:13: first_task: task 'coat' is multilabel, not multiclass; make 'animal' the first task"]),
    ("bodies_of_coats", "a task with itself", {"second_task: body": "second_task: coat"},
     ["5:14: second_task: a task is not related to itself"]),
    ("counted_bodies", "a difference above 1", {"least_difference: 0.2": "least_difference: 2"},
     ["6:59: origin.least_difference: should be less than or equal to 1 (found 2)"]),
    ("counted_bodies", "a difference that classes do not have", {"first_task: coat": "first_task: animal"},
     ["6:41: origin.least_difference: is for a multilabel first task; 'animal' is multiclass"]),
    ("counted_bodies", "unlisted", {"origin:": "unlisted: 0.0\norigin:"},
     ["6:1: unlisted: only listed pairs of attributes are related"]),
    ("counted_bodies", "estimated with numbers of its own", {"origin:": "given_absent: {stripes: {tail: 0.1}}\norigin:"},
     ["6:15: given_absent: an estimated relatedness has no `given_absent` of its own"]),
    ("bodies_of_animals", "absence of a class", {"  dog: {tail: 0.4}\n": "  dog: {tail: 0.4}\ngiven_absent: {cat: {tail: 0.1}}\n"},
     ["10:1: given_absent: is for a multilabel first task; 'animal' is multiclass"]),
]  # fmt: skip


@pytest.fixture
def folder(world):
    for name, text in GOOD.items():
        world.write(name, text)
    return world


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", GOOD)
def test_unbroken_specs_have_no_problems(bench, name):
    done = bench("validate", name)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("name", "changes", "problems"), [pytest.param(name, *rest, id=f"{name}: {what}") for name, what, *rest in CASES]
)
def test_problems_of_a_broken_relatedness(folder, bench, name, changes, problems):
    for old, new in changes.items():
        file = folder.change(name, old, new)
    done = bench("validate", str(file))
    found = [line for line in done.err.splitlines() if line]
    assert len(found) == len(problems), "\n".join(found)
    for problem in problems:
        start = f"{file}:{problem}"
        assert sum(line.startswith(start) for line in found) == 1, f"{start}\nis not among\n" + "\n".join(found)
    assert done.code == 2


def test_stand_ins_are_drawn_by_class(folder, bench):
    spec = (
        GOOD["zoo"]
        .replace("name: zoo", "name: drawn")
        .replace(
            "        licence:",
            "        standin:\n          name: faces\n          relatedness: bodies_of_coats\n"
            "          images: {train: 4, validation: 4, test: 4}\n          prevalence: {stripes: 0.5, spots: 0.5}\n"
            "        licence:",
        )
    )
    file = folder.write("drawn", spec)
    told = bench("validate", "drawn")
    assert told.code == 2
    assert (
        f"{file}:14:16: standin.relatedness: a stand-in is drawn by class, and 'coat' is a multilabel task" in told.err
    )
