"""Training labels of one data set, what is added to them, and the transforms of a run in turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.errors import UnknownName
from bench.methods.training_labels import LabelChange, TrainingLabels, load_transform, transformed
from bench.specs.components import part_names
from bench.specs.run import RunPart

from .samples import related, run_with

KNOWN = TrainingLabels(
    {
        "kind": np.array([0, -1, 2, -1]),
        "parts": np.array([[1, 0, -1, -1], [-1, -1, -1, -1], [0, 0, 0, 0], [1, -1, -1, -1]], np.int8),
    }
)


def columns(*values):
    """Strategy of int8 [rows, 3] with these values."""
    return st.lists(st.lists(st.sampled_from(values), min_size=3, max_size=3), min_size=1, max_size=6).map(
        lambda rows: np.array(rows, np.int8)
    )


def test_labels_are_added_where_none_is_known():
    found, change = KNOWN.with_added("kind", np.array([1, 1, -1, -1]))
    assert found.labels["kind"].tolist() == [0, 1, 2, -1]
    assert found.labels["kind"].dtype == np.int64
    assert change == LabelChange(before=2, added=1, contradicted=1)
    assert found.labels["parts"] is KNOWN.labels["parts"]
    assert not found.weights
    assert KNOWN.labels["kind"].tolist() == [0, -1, 2, -1]


def test_a_class_that_the_data_set_does_not_annotate_is_not_added():
    """A loss among its own classes would be infinite on such a label."""
    narrow = TrainingLabels(KNOWN.labels, possible={"kind": np.array([True, False, True])})
    found, change = narrow.with_added("kind", np.array([1, 1, -1, 2]))
    assert found.labels["kind"].tolist() == [0, -1, 2, 2]
    assert change == LabelChange(before=2, added=1, contradicted=0)
    assert found.possible is narrow.possible


def test_weights_are_those_of_added_labels_and_the_rest_counts_fully():
    first, _ = KNOWN.with_added("kind", np.array([1, 1, -1, -1]), np.array([0.5, 0.25, 0.5, 0.5], np.float32))
    assert first.weights["kind"].tolist() == [1, 0.25, 1, 1]
    assert first.weights["kind"].dtype == np.float32
    second, _ = first.with_added("kind", np.array([-1, -1, -1, 2]))
    assert second.weights["kind"].tolist() == [1, 0.25, 1, 1]
    third, _ = first.with_added("kind", np.array([-1, -1, -1, 2]), np.full(4, 0.75, np.float32))
    assert third.weights["kind"].tolist() == [1, 0.25, 1, 0.75]


def test_labels_of_a_data_set_without_the_task_may_be_one_value_for_all():
    """Such an array takes no memory, and cannot be written to."""
    empty = TrainingLabels({"parts": np.broadcast_to(np.int8(-1), (3, 2))})
    found, change = empty.with_added("parts", np.array([[1, -1], [-1, -1], [0, 1]], np.int8))
    assert found.labels["parts"].tolist() == [[1, -1], [-1, -1], [0, 1]]
    assert change == LabelChange(before=0, added=3, contradicted=0)


@given(st.data(), columns(-1, 0, 1))
def test_what_is_known_stays_and_counts_add_up(data, labels):
    said = data.draw(columns(-1, 0, 1).filter(lambda other: other.shape == labels.shape))
    known = TrainingLabels({"parts": labels})
    found, change = known.with_added("parts", said)
    cells = list(zip(labels.flat, said.flat, found.labels["parts"].flat, strict=True))
    assert all(after == (before if before >= 0 else new) for before, new, after in cells)
    assert change.before == sum(before >= 0 for before, _, _ in cells)
    assert change.before + change.added == int(found.known("parts").sum())
    assert change.contradicted == sum(before >= 0 <= new and before != new for before, new, _ in cells)
    again, nothing = found.with_added("parts", said)
    np.testing.assert_array_equal(again.labels["parts"], found.labels["parts"])
    assert nothing == LabelChange(before=change.before + change.added, added=0, contradicted=change.contradicted)


@pytest.mark.parametrize("name", part_names("bench.methods.labels"))
def test_every_transform_module_holds_what_it_must(name):
    module = load_transform(name)
    assert isinstance(module.NEEDS_RELATEDNESS, bool)
    assert isinstance(module.NEEDS_TEACHERS, bool)
    assert module.Options().model_config["frozen"]
    with pytest.raises(ValidationError):
        module.Options(no_such_option=1)


def transforming(*parts):
    run = run_with([("supervised", {})], relatedness=(related(),))
    return run.model_copy(update={"labels": tuple(RunPart(name=n, options=o, code="0") for n, o in parts)})


def test_transforms_follow_each_other_and_each_tells_what_it_did():
    """Teachers speak first here: co-annotation then derives attributes from classes that they gave."""
    known = TrainingLabels(KNOWN.labels, taught={"kind": np.array([[0.95, 0.05, 0]] * 4, np.float32)})
    found, changes = transformed(
        transforming(("pseudo_labels", {"threshold": 0.9}), ("co_annotation", {"adds": "attributes"})), known
    )
    assert found.labels["kind"].tolist() == [0, 0, 2, 0]
    assert found.labels["parts"].tolist() == [[1, 0, -1, -1], [1, -1, -1, -1], [0, 0, 0, 0], [1, -1, -1, -1]]
    assert changes == {
        "pseudo_labels": {"kind": LabelChange(before=2, added=2, contradicted=1)},
        "co_annotation": {"parts": LabelChange(before=7, added=1, contradicted=2)},
    }


def test_without_transforms_nothing_changes():
    found, changes = transformed(transforming(), KNOWN)
    assert found is KNOWN
    assert changes == {}


def test_an_unknown_transform_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'co_annotation'"):
        transformed(transforming(("coannotation", {})), KNOWN)


def test_options_are_checked_as_strictly_as_specs():
    with pytest.raises(ValidationError):
        transformed(transforming(("co_annotation", {"prototypical": "0.7"})), KNOWN)
