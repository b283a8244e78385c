"""Stand-ins: labels follow what is declared, and the same request draws the same images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bench
from bench.data.prepare import Preparation
from bench.data.standin import StandInRequest, draw_split, standin_fingerprint
from bench.errors import Interrupted
from bench.runs.check import standin_relatedness, standin_tasks
from bench.runs.plan import preparation_of
from bench.specs.catalog import Catalog
from bench.specs.components import load_part, read_options
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

ROOT = Path(bench.__file__).parents[1]
CATALOG = Catalog([ROOT / "tasks", ROOT / "baselines"])
RELATEDNESS = CATALOG.get(RelatednessSpec, "emotion_action_units")
SHIPPED = [name for name in CATALOG.names("dataset") if CATALOG.get(DatasetSpec, name).standin is not None]
PREVALENCE = {"neutral": 0.3, "happiness": 0.4, "sadness": 0.1, "surprise": 0.1, "fear": 0.05, "disgust": 0.05}
BOTH = {"expression": {}, "action_units": {}}
ONE_IN_A_MILLION = 1e-6
"""Seeds are fixed, so a test either always passes or never; what is unlikelier than this is called wrong."""


def request(tasks=BOTH, images=(3000, 40, 60), size=16, **options):
    standin = {
        "name": "faces",
        "relatedness": "emotion_action_units",
        "images": dict(zip(SPLITS, images, strict=True)),
        "prevalence": PREVALENCE,
    }
    spec = {
        "kind": "dataset",
        "name": "drawn",
        "title": "Drawn",
        "domain": "faces",
        "tasks": tasks,
        "standin": standin | options,
        "licence": "none",
        "home_page": "https://example.org/",
        "citation": "none",
    }
    dataset = DatasetSpec.model_validate_json(json.dumps(spec))
    return StandInRequest(dataset, standin_tasks(CATALOG, dataset), RELATEDNESS, size)


def labels_of(asked, split="train"):
    """Labels of a whole split by task, with groups; the pictures are dropped."""
    chunks = [chunk.labels for chunk in draw_split(asked, split)]
    found = {task: np.concatenate([chunk.tasks[task] for chunk in chunks]) for task in chunks[0].tasks}
    return found, np.concatenate([chunk.groups for chunk in chunks])


def names_of(task):
    return CATALOG.get(TaskSpec, task).labels


def likely(count, total, share):
    return stats.binomtest(int(count), int(total), share).pvalue > ONE_IN_A_MILLION


# -------------------------------------------------------------------------------------------------- drawing


def test_the_same_request_draws_the_same():
    for split in SPLITS:
        first, second = (list(draw_split(request(images=(20, 6, 8)), split)) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one.images, other.images)
            assert one.labels.fingerprint() == other.labels.fingerprint()


def test_splits_and_data_sets_are_drawn_apart():
    asked = request(images=(20, 20, 20))
    other = replace(asked, dataset=asked.dataset.model_copy(update={"name": "other"}))
    drawn = [next(draw_split(asked, split)).images for split in SPLITS] + [next(draw_split(other, "train")).images]
    assert len({images.tobytes() for images in drawn}) == 4


def test_images_and_labels_are_as_declared():
    asked = request(images=(1100, 6, 8), size=20)
    chunks = list(draw_split(asked, "train"))
    assert len(chunks) > 1  # a large split is drawn some at a time
    images = np.concatenate([chunk.images for chunk in chunks])
    assert images.shape == (1100, 20, 20, 3)
    assert images.dtype == np.uint8
    names = np.concatenate([chunk.labels.images for chunk in chunks])
    assert len(set(names.tolist())) == 1100
    assert all((chunk.labels.splits == 0).all() for chunk in chunks)


def test_labels_do_not_depend_on_what_else_is_annotated():
    both, _ = labels_of(request())
    for task in BOTH:
        alone, _ = labels_of(request({task: {}}))
        np.testing.assert_array_equal(alone[task], both[task])


# -------------------------------------------------------------------------------------------------- labels


def test_expressions_are_as_frequent_as_declared():
    found, _ = labels_of(request())
    labels = names_of("expression")
    counts = np.bincount(found["expression"], minlength=len(labels))
    expected = np.array([PREVALENCE.get(label, 0.0) for label in labels]) * 3000
    assert not counts[expected == 0].any()
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > ONE_IN_A_MILLION


def test_action_units_follow_the_relatedness_of_their_expression():
    found, _ = labels_of(request(background=0.2))
    expressions, units = names_of("expression"), names_of("action_units")
    rows = RELATEDNESS.probabilities
    for expression in PREVALENCE:
        number = expressions.index(expression)
        chosen = found["action_units"][found["expression"] == number]
        for column, unit in enumerate(units):
            inside = unit in RELATEDNESS.covered
            share = rows[expression].get(unit, RELATEDNESS.unlisted) if inside else 0.2
            assert likely(chosen[:, column].sum(), len(chosen), share), (expression, unit)


def test_action_units_are_independent_given_the_expression():
    """Nothing couples them but the expression, which is what distribution matching assumes."""
    found, _ = labels_of(request(prevalence={"happiness": 1.0}))
    units = found["action_units"].astype(float)
    varying = units[:, (units.mean(0) > 0.1) & (units.mean(0) < 0.9)]
    assert varying.shape[1] >= 1
    correlation = np.corrcoef(varying.T) - np.eye(varying.shape[1]) if varying.shape[1] > 1 else np.zeros(1)
    assert np.abs(correlation).max() < 5 / np.sqrt(3000)


def test_a_balanced_split_has_all_declared_expressions_equally_often():
    found, _ = labels_of(request(images=(40, 40, 1200), balanced=["test"]), "test")
    counts = np.bincount(found["expression"], minlength=7)
    declared = [label in PREVALENCE for label in names_of("expression")]
    assert stats.chisquare(counts[declared]).pvalue > ONE_IN_A_MILLION
    assert counts[np.invert(declared)].sum() == 0


def test_missing_labels_are_as_many_as_declared_and_missing_at_random():
    whole, _ = labels_of(request())
    found, _ = labels_of(request(missing={"expression": 0.3, "action_units": 0.6}))
    for task, share in (("expression", 0.3), ("action_units", 0.6)):
        gone = found[task] == -1
        assert likely(gone.sum(), gone.size, share)
        present = whole[task] == 1
        assert likely(gone[present].sum(), present.sum(), share)
    assert (whole["expression"] >= 0).all()
    assert (whole["action_units"] >= 0).all()


def test_labels_that_the_data_set_does_not_annotate_are_missing():
    tasks = {"expression": {"labels": ["happiness", "neutral"]}, "action_units": {"labels": ["au12", "au4"]}}
    found, _ = labels_of(request(tasks))
    labels, units = names_of("expression"), names_of("action_units")
    assert set(found["expression"].tolist()) == {-1, labels.index("happiness"), labels.index("neutral")}
    annotated = [unit in ("au12", "au4") for unit in units]
    assert (found["action_units"][:, annotated] >= 0).all()
    assert (found["action_units"][:, np.invert(annotated)] == -1).all()


@pytest.mark.parametrize("subjects", [3, 4, 7, 27])
def test_every_subject_is_in_one_split_only(subjects):
    groups = {split: set(labels_of(request(images=(300, 200, 200), subjects=subjects), split)[1]) for split in SPLITS}
    assert all(groups.values())
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == subjects


def test_without_subjects_there_are_no_groups():
    assert set(labels_of(request(images=(50, 6, 8)))[1]) == {""}


def test_faces_of_one_subject_are_alike():
    """Pictures of the same person differ less than pictures of two."""
    asked = request(images=(60, 6, 8), subjects=8, prevalence={"neutral": 1.0}, background=0.0, size=24)
    (chunk,) = draw_split(asked, "train")
    pixels = chunk.images.reshape(60, -1).astype(float)
    apart = ((pixels[:, None] - pixels[None]) ** 2).mean(2)
    groups = np.asarray(chunk.labels.groups)
    same = groups[:, None] == groups[None]
    assert apart[same & ~np.eye(60, dtype=bool)].mean() < 0.7 * apart[~same].mean()


# -------------------------------------------------------------------------------------------------- fingerprint


def test_the_fingerprint_does_not_depend_on_what_people_read():
    asked = request()
    renamed = asked.dataset.model_copy(update={"title": "Other", "description": "x", "licence": "y", "access": "z"})
    assert standin_fingerprint(replace(asked, dataset=renamed)) == standin_fingerprint(asked)


def other_requests():
    asked = request()
    rows = RELATEDNESS.probabilities
    nudged = rows | {"happiness": rows["happiness"] | {"au12": 0.5}}
    return {
        "images": request(images=(3000, 40, 61)),
        "size": request(size=17),
        "prevalence": request(prevalence=PREVALENCE | {"neutral": 0.25, "anger": 0.05}),
        "an option": request(background=0.06),
        "missing labels": request(missing={"expression": 0.1}),
        "subjects": request(subjects=30),
        "annotated labels": request({"expression": {}, "action_units": {"labels": ["au12"]}}),
        "tasks": request({"expression": {}}),
        "name": replace(asked, dataset=asked.dataset.model_copy(update={"name": "other"})),
        "probabilities": replace(asked, relatedness=RELATEDNESS.model_copy(update={"probabilities": nudged})),
        "unlisted": replace(asked, relatedness=RELATEDNESS.model_copy(update={"unlisted": 0.01})),
    }


def test_the_fingerprint_changes_with_everything_that_is_drawn_from():
    found = {what: standin_fingerprint(asked) for what, asked in other_requests().items()}
    assert len({standin_fingerprint(request()), *found.values()}) == len(found) + 1


# -------------------------------------------------------------------------------------------------- stores


def preparation(asked):
    return Preparation(asked.dataset, asked.tasks, asked.image_size, None, asked.relatedness)


def test_a_stand_in_becomes_a_store_that_says_what_it_is():
    asked = request(images=(30, 10, 12))
    prepared, calls = preparation(asked), []
    assert not prepared.ready
    store = prepared.prepare(lambda done, total: calls.append((done, total)))
    assert store.manifest.standin
    assert store.manifest.fingerprint == standin_fingerprint(asked)
    assert store.manifest.counts == {"train": 30, "validation": 10, "test": 12}
    assert calls[-1] == (52, 52)
    drawn = [next(draw_split(asked, split)) for split in SPLITS]
    np.testing.assert_array_equal(store.images, np.concatenate([chunk.images for chunk in drawn]))
    np.testing.assert_array_equal(
        store.labels.tasks["action_units"], np.concatenate([chunk.labels.tasks["action_units"] for chunk in drawn])
    )
    assert prepared.ready


def test_an_interrupted_drawing_leaves_nothing_and_starts_again():
    prepared = preparation(request(images=(30, 10, 12)))

    def stop(*_):
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        prepared.prepare(stop)
    assert [file.suffix for file in prepared.folder.parent.iterdir()] == [".lock"]
    assert len(prepared.prepare().labels) == 52


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_stand_in_draws_what_it_declares(name):
    spec = CATALOG.get(DatasetSpec, name)
    few = spec.standin.model_copy(update={"images": spec.standin.images.model_copy(update={"train": 40})})
    small = spec.model_copy(update={"standin": few})
    generator = load_part("bench.data.standins", spec.standin.name, "stand-in generator")
    options = read_options(generator.Options, spec.standin.options)
    relatedness = standin_relatedness(CATALOG, spec)
    assert generator.check(options, spec, standin_tasks(CATALOG, spec), relatedness) == []
    prepared = replace(preparation_of(CATALOG, spec, 16, real=False), dataset=small)
    store = prepared.prepare()
    assert store.manifest.counts == few.images.model_dump()
    for task, annotation in spec.tasks.items():
        names, values = store.manifest.labels[task], store.labels.tasks[task]
        assert (values >= 0).any()
        assert values.max() < (len(names) if values.ndim == 1 else 2)
        if values.ndim == 2 and annotation.annotated:
            annotated = {label for i, label in enumerate(names) if (values[:, i] >= 0).any()}
            assert annotated == set(annotation.annotated)
    assert store.images.std() > 10
