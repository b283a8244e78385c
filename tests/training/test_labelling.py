"""What a run knows of its training images, and the targets of a batch, against a plain loop over the store."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.batches import SourceData
from bench.data.store import Manifest, Store
from bench.methods.training_labels import TrainingLabels
from bench.specs.run import RunSource, RunTask, ShownLabels
from bench.training.labelling import Labelling, label, possible_labels

from ..data.samples import label_table
from ..methods.samples import run_with

KINDS = RunTask(name="kinds", type="multiclass", labels=("cat", "dog"), metrics=("accuracy",), primary="accuracy")
PARTS = RunTask(name="parts", type="multilabel", labels=("ear", "tail", "paw"), metrics=("mean_f1",), primary="mean_f1")
PLACES = {"first": np.array([4, 0, 19]), "second": np.array([12, 12])}


class Memory(Store):
    """A store whose labels are in memory; it has no images."""

    def __init__(self, counts):
        nothing = Manifest(version=1, dataset="", fingerprint="", standin=True, image_size=8, counts={}, labels={})
        super().__init__(None, nothing)
        self.__dict__.update(labels=label_table(counts))


STORES = {"first": Memory((20, 4, 4)), "second": Memory((13, 4, 4)), "complete": Memory((20, 4, 4))}
for values in STORES["complete"].labels.tasks.values():
    values[values < 0] = 0


def source(name, *tasks, **about):
    return SourceData(RunSource(dataset=name, data="0", standin=True, tasks=tasks, batch=4, **about), STORES[name])


def labelling(*sources, teach=None) -> Labelling:
    return label(run_with([("supervised", {})], tasks=(KINDS, PARTS)), sources, teach)


def test_targets_say_what_is_annotated_and_nothing_of_what_is_not_taken():
    found = labelling(source("first", "kinds"), source("second", "parts")).targets(PLACES)
    assert (found.labels["kinds"].dtype, found.labels["parts"].dtype) == (torch.int64, torch.int8)
    assert (found.labels["kinds"].shape, found.labels["parts"].shape) == ((5,), (5, 3))
    first, second = STORES["first"], STORES["second"]
    for place, chosen in enumerate(PLACES["first"]):
        row = first.rows("train")[chosen]
        assert found.labels["kinds"][place] == first.labels.tasks["kinds"][row]
        assert found.labels["parts"][place].tolist() == [-1, -1, -1]
    for place, chosen in enumerate(PLACES["second"], start=3):
        row = second.rows("train")[chosen]
        assert found.labels["kinds"][place] == -1
        np.testing.assert_array_equal(found.labels["parts"][place].numpy(), second.labels.tasks["parts"][row])
    assert (found.weights, found.taught, found.possible) == ({}, {}, {})


def test_weights_teachers_and_label_spaces_stand_beside_their_images():
    """Only one data set has any; the others count fully, are taught nothing, and may have every label."""
    made = labelling(source("first", "kinds"), source("second", "parts", possible={"parts": ("ear", "paw")}))
    taught = np.arange(26, dtype=np.float32).reshape(13, 2)
    weights = np.linspace(0, 1, 20, dtype=np.float32)
    first, second = made.known["first"], made.known["second"]
    known = {
        "first": TrainingLabels(first.labels, {"kinds": weights}),
        "second": TrainingLabels(second.labels, {}, {"kinds": taught}),
    }
    found = Labelling(made.tasks, made.rows, known, made.possible, {}).targets(PLACES)
    np.testing.assert_array_equal(found.weights["kinds"], [weights[4], weights[0], weights[19], 1, 1])
    assert torch.isnan(found.taught["kinds"][:3]).all()
    np.testing.assert_array_equal(found.taught["kinds"][3:], taught[[12, 12]])
    assert found.possible["parts"].tolist() == [[True, True, True]] * 3 + [[True, False, True]] * 2
    assert set(found.weights) == set(found.taught) == {"kinds"}


def test_labels_that_a_suite_does_not_show_are_not_known_and_images_that_show_none_are_left_out():
    shown = {"kinds": ShownLabels(stop=0.5), "parts": ShownLabels(start=0.25, stop=0.75)}
    both = labelling(source("complete", "kinds", "parts", shown=shown))
    assert len(both.rows["complete"]) == 15
    kinds, parts = both.known["complete"].known("kinds"), both.known["complete"].known("parts").any(1)
    assert (kinds.sum(), (kinds & parts).sum()) == (10, 5)
    assert (kinds | parts).all()
    twin = labelling(source("complete", "kinds", shown=shown))
    assert twin.rows["complete"].tolist() == both.rows["complete"].tolist()
    np.testing.assert_array_equal(twin.known["complete"].labels["kinds"], both.known["complete"].labels["kinds"])


def test_only_class_tasks_are_held_to_the_labels_that_a_data_set_annotates():
    """An attribute that it does not annotate is missing and may be added; a class that it does not annotate may not."""
    possible = {"kinds": ("cat",), "parts": ("ear",)}
    found = labelling(source("first", "kinds", "parts", possible=possible)).known["first"]
    assert {task: mask.tolist() for task, mask in found.possible.items()} == {"kinds": [True, False]}


def test_what_teachers_say_reaches_the_labels():
    said = np.full((20, 3), 0.25, np.float32)
    asked = []

    def teach(one, rows, known):
        asked.append((one.dataset, rows.tolist(), known.known("parts").any()))
        return {"parts": said}

    found = labelling(source("first", "kinds"), teach=teach)
    assert asked == [("first", STORES["first"].rows("train").tolist(), False)]
    assert found.known["first"].taught["parts"] is said


@pytest.mark.parametrize(
    ("possible", "expected"),
    [({}, {}), ({"parts": ("paw",)}, {"parts": [False, False, True]}), ({"elsewhere": ("x",)}, {})],
)
def test_possible_labels_are_told_by_name(possible, expected):
    found = possible_labels(source("first", "kinds", possible=possible), {"kinds": KINDS, "parts": PARTS})
    assert {task: mask.tolist() for task, mask in found.items()} == expected
