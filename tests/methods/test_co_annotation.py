"""Co-annotation of training labels against its rules in plain loops, and what must hold of it in the limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.methods.labels import co_annotation
from bench.methods.labels.co_annotation import Options, transform
from bench.methods.training_labels import LabelChange, TrainingLabels

from .samples import CLASSES, GROUPS, HIERARCHY, PARTS, TAGS, attribute_pair, coupling

TASKS = {task.name: task for task in (CLASSES, PARTS, GROUPS, TAGS)}
CHANCES = st.sampled_from([0.0, 0.05, 0.2, 0.45, 0.5, 0.7, 0.85, 1.0])

# Prototypical: p of a, r of b, q and s of c. Observational: q of a, p of b.
TABLE = [[0.9, 0.5, 0.0, 0.1], [0.25, 0.0, 0.8, 0.1], [0.0, 0.7, 0.0, 1.0]]
ALL = [0, 1, 2, 3]


def pair(matrix=TABLE, covered=ALL, **about):
    return coupling(matrix, covered, exclusive=False, dtype=torch.float32, **about)


def two_classes(matrix, covered, **about):
    return coupling(matrix, covered, exclusive=True, dtype=torch.float32, **about)


def known(kind=None, parts=None, group=None, tags=None):
    """Training labels where all that is not given is unknown."""
    given_ = {"kind": kind, "parts": parts, "group": group, "tags": tags}
    count = next(len(value) for value in given_.values() if value is not None)
    labels = {}
    for name, value in given_.items():
        one = () if TASKS[name].type == "multiclass" else (len(TASKS[name].labels),)
        dtype = np.int64 if TASKS[name].type == "multiclass" else np.int8
        labels[name] = np.broadcast_to(dtype(-1), (count, *one)) if value is None else np.array(value, dtype)
    return TrainingLabels(labels)


def added(labels, *pairs, task, **options):
    """Labels of a task after co-annotation, and how much they count."""
    found, _ = transform(Options(**options), TASKS, pairs, labels)
    return found.labels[task].tolist(), found.weights[task].tolist() if task in found.weights else None


def test_a_class_gives_its_attributes_and_none_becomes_negative():
    labels, weights = added(known(kind=[0, 1, 2, -1]), pair(), task="parts")
    assert labels == [[1, 1, -1, -1], [1, -1, 1, -1], [-1, 1, -1, 1], [-1] * 4]
    np.testing.assert_allclose(weights, [[1, 0.5, 1, 1], [0.25, 1, 1, 1], [1] * 4, [1] * 4])


def test_an_annotated_attribute_stays_as_it_is():
    before = known(kind=[0, 0], parts=[[0, -1, 1, -1], [1, 0, -1, 0]])
    found, changes = transform(Options(adds="attributes"), TASKS, [pair()], before)
    assert found.labels["parts"].tolist() == [[0, 1, 1, -1], [1, 0, -1, 0]]
    np.testing.assert_allclose(found.weights["parts"], [[1, 0.5, 1, 1], [1, 1, 1, 1]])
    assert changes == {"parts": LabelChange(before=5, added=1, contradicted=2)}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([1, 1, 0, 0], 0),
        ([1, 1, -1, -1], 0),
        ([1, -1, 0, 0], 0),  # nobody looked for q, which only half of the class have
        ([1, 0, 0, 0], -1),  # q is known to be absent
        ([-1, 1, 0, 0], -1),  # nobody looked for p, which all of the class have
        ([1, 0, 1, 0], 1),
        ([0, 1, 0, 1], 2),
        ([1, 1, 1, 1], -1),  # a, b and c require two each: a tie
        ([1, -1, 1, 0], 1),  # of a only p is there, of b both p and r
        ([0, 0, 0, 0], -1),
        ([-1, -1, -1, -1], -1),
    ],
)
def test_attributes_give_the_class_that_has_them_all(attributes, expected):
    labels, weights = added(known(parts=[attributes]), pair(), task="kind")
    assert labels == [expected]
    assert weights == [1]


def test_a_tie_goes_to_the_class_that_requires_most():
    table = [[0.9, 0.0, 0.0, 0.0], [0.9, 0.5, 0.0, 0.0], [0.9, 0.9, 0.3, 0.0]]
    images = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert added(known(parts=images), pair(table), task="kind")[0] == [0, 1, 2, 2]


def test_a_class_without_prototypical_attributes_is_never_given():
    """Neutral shows no action unit; the table of Du et al. says so of it alone."""
    table = [[0.05, 0.05, 0.05, 0.05], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.9]]
    images = [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]
    assert added(known(parts=images), pair(table), task="kind")[0] == [-1, -1, 2]
    assert added(known(kind=[0]), pair(table), task="parts")[0] == [[-1] * 4]


def test_a_class_that_is_annotated_stays_as_it_is():
    found, changes = transform(
        Options(adds="classes"), TASKS, [pair()], known(kind=[2, 0, -1], parts=[[1, 1, 0, 0]] * 3)
    )
    assert found.labels["kind"].tolist() == [2, 0, 0]
    assert changes == {"kind": LabelChange(before=2, added=1, contradicted=1)}


def test_nothing_is_derived_from_what_was_derived():
    """Class a gives p and q; that an attribute of b is missing then does not make it an a, nor the reverse."""
    table = [[0.9, 0.9, 0.0, 0.0], [0.9, 0.0, 0.9, 0.0], [0.0, 0.0, 0.0, 0.0]]
    finer = coupling([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0, 1], exclusive=True, dtype=torch.float32, name="finer")
    found, changes = transform(Options(), TASKS, [pair(table), finer], known(parts=[[1, 1, 0, 0]]))
    assert found.labels["kind"].tolist() == [0]
    assert found.labels["group"].tolist() == [-1]
    assert changes["group"] == LabelChange(before=0, added=0, contradicted=0)


def test_attributes_outside_the_relatedness_are_left_alone():
    half = pair([[0.9, 0.0], [0.0, 0.9], [0.0, 0.0]], covered=[3, 1])
    assert added(known(kind=[0, 1, 2]), half, task="parts")[0] == [[-1, -1, -1, 1], [-1, 1, -1, -1], [-1] * 4]
    assert added(known(parts=[[1, 0, 1, 1], [0, 1, 0, 0]]), half, task="kind")[0] == [0, 1]


def test_a_one_hot_relatedness_gives_every_class_and_attribute():
    identity = pair(np.eye(3), covered=[0, 1, 2])
    labels, weights = added(known(kind=[0, 1, 2]), identity, task="parts")
    assert labels == [[1, -1, -1, -1], [-1, 1, -1, -1], [-1, -1, 1, -1]]
    assert weights == np.ones((3, 4)).tolist()
    assert added(known(parts=np.eye(3, 4)), identity, task="kind")[0] == [0, 1, 2]


def test_a_uniform_relatedness_gives_no_class():
    assert added(known(parts=[[1, 1, 1, 1]]), pair(np.full((3, 4), 0.9)), task="kind")[0] == [-1]


def test_one_class_alone_is_given_where_its_attributes_are_there():
    alone = pair([[0.9, 0.3, 0.0, 0.0]])
    assert added(known(parts=[[1, 1, 0, 0], [1, 0, 0, 0]]), alone, task="kind")[0] == [0, -1]


def test_without_annotations_nothing_follows():
    before = known(kind=[-1, -1])
    found, changes = transform(Options(), TASKS, [pair()], before)
    for task in ("kind", "parts"):
        assert not found.known(task).any()
        assert changes[task] == LabelChange(before=0, added=0, contradicted=0)


def test_a_weight_of_nothing_adds_nothing():
    before = known(kind=[0, 1, -1], parts=[[-1] * 4, [-1] * 4, [1, 1, 0, 0]])
    found, changes = transform(Options(weight=0.0), TASKS, [pair()], before)
    assert found is before
    assert changes == {}


def test_the_weight_multiplies_that_of_every_added_label():
    labels = known(kind=[0, -1], parts=[[-1] * 4, [1, 1, 0, 0]])
    for task in ("kind", "parts"):
        _, full = added(labels, pair(), task=task)
        _, half = added(labels, pair(), task=task, weight=0.5)
        new = np.array(added(labels, pair(), task=task)[0]) != labels.labels[task]
        np.testing.assert_allclose(np.array(half)[new], 0.5 * np.array(full)[new])
        assert (np.array(half)[~new] == 1).all()
        assert new.any()


@pytest.mark.parametrize(("adds", "kept"), [("attributes", "kind"), ("classes", "parts")])
def test_labels_may_be_added_to_one_side_alone(adds, kept):
    before = known(kind=[0, -1], parts=[[-1] * 4, [1, 1, 0, 0]])
    found, changes = transform(Options(adds=adds), TASKS, [pair()], before)
    assert found.labels[kept] is before.labels[kept]
    assert list(changes) == [{"kind": "parts", "parts": "kind"}[kept]]


@pytest.mark.parametrize("least", ["prototypical", "observational"])
def test_thresholds_are_the_least_that_counts(least):
    """Though the matrix is float32, which holds neither 0.7 nor 0.2."""
    value = getattr(Options(), least)
    table = [[value, np.nextafter(np.float32(value), np.float32(0)), 0.0, 0.0]]
    _, weights = added(known(kind=[0]), pair(table), task="parts")
    if least == "prototypical":
        np.testing.assert_allclose(weights, [[1, 0.7, 1, 1]], rtol=1e-6)
    else:
        assert added(known(kind=[0]), pair(table), task="parts")[0] == [[1, -1, -1, -1]]


def test_a_coarse_class_follows_from_the_fine_one_and_the_fine_one_where_it_is_nearly_certain():
    """Kinds are coarse here: a is x alone, b is mostly y, c may be anything."""
    coarse = two_classes([[1.0, 0.0, 0.0], [0.0, 0.8, 0.2], [0.0, 0.3, 0.7]], [0, 1, 2])
    assert added(known(kind=[0, 1, 2, -1]), coarse, task="group") == ([0, 1, 2, -1], [1] * 4)
    assert added(known(group=[0, 1, 2, -1]), coarse, task="kind") == ([0, 1, 2, -1], [1] * 4)
    stricter = {"prototypical": 0.75}
    assert added(known(kind=[0, 1, 2]), coarse, task="group", **stricter)[0] == [0, 1, -1]
    # p(b | y) = 0.8 / 1.1 = 0.73, p(c | z) = 0.7 / 0.9 = 0.78
    assert added(known(group=[0, 1, 2]), coarse, task="kind", **stricter)[0] == [0, -1, 2]


def test_second_classes_are_found_by_their_place_and_those_not_covered_say_nothing():
    partly = two_classes([[0.9, 0.0], [0.0, 0.9], [0.1, 0.0]], [2, 0])
    assert added(known(kind=[0, 1, 2]), partly, task="group")[0] == [2, 0, -1]
    assert added(known(group=[0, 1, 2]), partly, task="kind")[0] == [1, -1, 0]


def test_a_tie_between_second_classes_gives_none():
    even = two_classes(np.full((3, 3), 0.5), [0, 1, 2])
    assert added(known(kind=[0]), even, task="group", prototypical=0.3)[0] == [-1]
    assert added(known(group=[0]), even, task="kind", prototypical=0.3)[0] == [-1]


def test_first_attributes_give_second_ones_that_are_likely_whether_present_or_absent():
    nan = math.nan
    two = attribute_pair(
        [[0.9, nan], [0.1, 0.69], [nan, 0.8]],
        [[0.1, nan], [0.8, 0.0], [nan, 0.1]],
        [3, 1],
        dtype=torch.float32,
    )
    images = [[1, -1, -1], [0, -1, -1], [-1, 0, -1], [-1, 1, 1], [-1, -1, -1], [1, 0, 1]]
    labels, weights = added(known(tags=images), two, task="parts")
    none, s, q, both = [-1] * 4, [-1, -1, -1, 1], [-1, 1, -1, -1], [-1, 1, -1, 1]
    assert labels == [s, none, s, q, none, both]
    assert weights == np.ones((6, 4)).tolist()
    found, changes = transform(Options(), TASKS, [two], known(parts=[[1, 1, 1, 1]]))
    assert not found.known("tags").any()
    assert list(changes) == ["parts"]


def test_the_earlier_pair_speaks_first():
    """Both say p; only the second says q."""
    first, second = pair([[0.3, 0, 0, 0]] * 3), pair([[0.9, 0.4, 0, 0]] * 3, name="second")
    labels, weights = added(known(kind=[0]), first, second, task="parts")
    assert labels == [[1, 1, -1, -1]]
    np.testing.assert_allclose(weights, [[0.3, 0.4, 1, 1]])
    _, changes = transform(Options(), TASKS, [first, second], known(kind=[0], parts=[[0, 0, -1, -1]]))
    assert changes["parts"] == LabelChange(before=2, added=0, contradicted=2)


def test_many_images_and_classes_are_compared_in_portions(monkeypatch):
    rng = np.random.default_rng(0)
    images = known(parts=rng.integers(-1, 2, size=(101, 4)))
    whole = added(images, pair(), task="kind")
    monkeypatch.setattr(co_annotation, "CELLS", 21)
    assert added(images, pair(), task="kind") == whole


def class_by_rule(options, matrix, attributes):
    """The class of one image from its attributes, by the rule as it is written down."""
    fitting = []
    for c, row in enumerate(matrix):
        prototypical = [i for i, p in enumerate(row) if p >= options.prototypical]
        listed = [i for i, p in enumerate(row) if p >= options.observational]
        there = all(attributes[i] == 1 for i in prototypical) and all(attributes[i] != 0 for i in listed)
        if prototypical and there:
            fitting.append((sum(attributes[i] == 1 for i in listed), c))
    most = max((required for required, _ in fitting), default=0)
    best = [c for required, c in fitting if required == most]
    return best[0] if len(best) == 1 else -1


def labels_of(count, values):
    return st.lists(st.sampled_from(values), min_size=count, max_size=count)


tables = st.lists(st.lists(CHANCES, min_size=4, max_size=4), min_size=3, max_size=3)
images = st.lists(st.tuples(st.sampled_from([-1, 0, 1, 2]), labels_of(4, [-1, 0, 1])), min_size=1, max_size=6)


@given(tables, images, st.sampled_from(["attributes", "classes", "both"]))
def test_all_that_is_added_follows_by_the_rules_and_nothing_known_is_changed(table, drawn, adds):
    before = known(kind=[c for c, _ in drawn], parts=[a for _, a in drawn])
    options = Options(adds=adds)
    after, changes = transform(options, TASKS, [pair(table)], before)
    table = pair(table).matrix.tolist()  # as float32 holds it
    least = [float(np.float32(value)) for value in (options.prototypical, options.observational)]
    rule = Options(prototypical=least[0], observational=least[1])
    weights = after.weights.get("parts", np.ones((len(drawn), 4)))
    for n, (c, attributes) in enumerate(drawn):
        implied = class_by_rule(rule, table, attributes) if adds != "attributes" else -1
        assert after.labels["kind"][n] == (c if c >= 0 else implied)
        for i, a in enumerate(attributes):
            chance = table[c][i] if c >= 0 and adds != "classes" else 0
            derived = a < 0 and chance >= least[1]
            assert after.labels["parts"][n, i] == (1 if derived else a)
            expected = chance if derived and chance < least[0] else 1
            assert weights[n, i] == pytest.approx(expected)
    for task, change in changes.items():
        assert change.before == before.known(task).sum()
        assert change.before + change.added == after.known(task).sum()
        assert change.contradicted <= change.before


@given(tables, images)
def test_a_second_time_changes_nothing_that_is_known_by_then(table, drawn):
    before = known(kind=[c for c, _ in drawn], parts=[a for _, a in drawn])
    once, changes = transform(Options(), TASKS, [pair(table)], before)
    twice, again = transform(Options(), TASKS, [pair(table)], once)
    for task in ("kind", "parts"):
        kept = once.known(task)
        np.testing.assert_array_equal(twice.labels[task][kept], once.labels[task][kept])
        assert again[task].before == changes[task].before + changes[task].added


@pytest.mark.parametrize(
    "options",
    [{"prototypical": 0.0}, {"prototypical": 1.1}, {"observational": 0.0}, {"weight": -0.1}, {"adds": "none"}],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        Options(**options)


def test_observational_attributes_are_no_more_certain_than_prototypical_ones():
    with pytest.raises(ValidationError, match=r"so this is at most 0\.5"):
        Options(prototypical=0.5, observational=0.6)
    assert Options(prototypical=0.5, observational=0.5).observational == 0.5


def test_the_hierarchy_of_the_samples_gives_what_is_nearly_certain():
    found = two_classes(HIERARCHY, [0, 1, 2])
    assert added(known(kind=[0, 1, 2]), found, task="group")[0] == [0, -1, 2]
    assert added(known(group=[0, 1, 2]), found, task="kind")[0] == [0, 1, 2]
