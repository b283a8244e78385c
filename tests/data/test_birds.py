"""Drawn birds: attributes that show where they belong, labels that follow the species table, one table a copy."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from bench.data.drawing import _brush
from bench.data.drawing import birds as drawing
from bench.data.drawing.birds import ATTRIBUTES, COLOURS, GROUPS, PATTERNS, POSE_SIZE, draw_birds, draw_poses
from bench.data.standin import StandInRequest, draw_split, generator_of, standin_fingerprint
from bench.data.standins import _splits, birds
from bench.data.standins.birds import SPECIES, table_of
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

COLOUR_GROUPS = [group for group in GROUPS if group.endswith("_color")]
OFTEN = 1e-6
"""Seeds are fixed, so a test either always passes or never; what is unlikelier than this is called wrong."""


def values_of(count, seed=None, **chosen):
    """Rows of values: plain by default, at random where there is a seed; and with the chosen value of some groups."""
    table = np.zeros((count, len(GROUPS)), dtype=np.int8)
    if seed is not None:
        rng = np.random.default_rng(seed)
        table = np.stack([rng.integers(len(known), size=count) for known in GROUPS.values()], axis=1).astype(np.int8)
    for group, value in chosen.items():
        table[:, list(GROUPS).index(group)] = GROUPS[group].index(value)
    return table


def poses_of(count, seed=0):
    return draw_poses(count, np.random.default_rng(seed))


def draw(values, poses=None, seed=1, size=48):
    poses = poses_of(len(values)) if poses is None else poses
    return draw_birds(values, poses, size=size, rng=np.random.default_rng(seed))


def unmarked(count, seed, **chosen):
    """Birds of all builds and colours, without patterns."""
    plain = {group: "solid" for group, known in GROUPS.items() if known == PATTERNS}
    return values_of(count, seed, **(plain | {"head_pattern": "plain"} | chosen))


# -------------------------------------------------------------------------------------------------- vocabulary


def test_the_attributes_are_those_of_cub():
    """Numbers as in attributes.txt, which counts from 1."""
    assert (len(GROUPS), len(ATTRIBUTES), len(set(ATTRIBUTES))) == (28, 312, 312)
    known = {
        1: "has_bill_shape::curved_(up_or_down)",
        2: "has_bill_shape::dagger",
        10: "has_wing_color::blue",
        58: "has_breast_pattern::multi-colored",
        77: "has_tail_shape::fan-shaped_tail",
        99: "has_head_pattern::unique_pattern",
        136: "has_eye_color::blue",
        151: "has_bill_length::longer_than_head",
        219: "has_size::small_(5_-_9_in)",
        226: "has_shape::duck-like",
        236: "has_shape::perching-like",
        248: "has_belly_pattern::multi-colored",
        293: "has_bill_color::buff",
        312: "has_wing_pattern::multi-colored",
    }
    assert {number: ATTRIBUTES[number - 1] for number in known} == known
    assert "has_eye_color::iridescent" not in ATTRIBUTES


# -------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("size", [16, 33, 64, 256])
def test_birds_are_rgb_bytes_of_the_size_asked_for(size):
    images = draw(values_of(3, seed=0), size=size)
    assert images.shape == (3, size, size, 3)
    assert images.dtype == np.uint8
    assert all(image.std() > 10 for image in images)


def test_no_birds_are_an_empty_array():
    assert draw(values_of(0)).shape == (0, 48, 48, 3)


def test_the_same_generator_state_gives_the_same_bytes_and_another_does_not():
    values = values_of(6, seed=0)
    kept = values.copy()
    np.testing.assert_array_equal(draw(values), draw(values))
    assert not np.array_equal(draw(values), draw(values, seed=2))
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("size", [33, 48])  # odd: the bytes of an image do not fill whole random words
@pytest.mark.parametrize("pixels", [1, 7 * 48 * 48])
def test_chunks_leave_no_trace(monkeypatch, pixels, size):
    values = values_of(20, seed=0)
    whole = draw(values, size=size)
    monkeypatch.setattr(_brush, "_CHUNK_PIXELS", pixels)
    np.testing.assert_array_equal(draw(values, size=size), whole)


def test_some_birds_and_then_the_others_are_all_birds():
    values, poses, rng = values_of(9, seed=0), poses_of(9), np.random.default_rng(1)
    parts = [draw_birds(values[rows], poses[rows], size=48, rng=rng) for rows in (slice(4), slice(4, 9))]
    np.testing.assert_array_equal(np.concatenate(parts), draw(values, poses))


@pytest.mark.parametrize("size", [24, 64])
def test_painting_in_windows_cuts_nothing_off(monkeypatch, size):
    """Windows only save time: painting every part on the whole frame gives the same picture."""
    values, poses = values_of(200, seed=0), np.sign(poses_of(200))
    monkeypatch.setattr(_brush, "_CHUNK_PIXELS", size * size)  # one bird at a time, so that windows are tight
    tight = draw(values, poses, size=size)
    monkeypatch.setattr(drawing._Canvas, "window", lambda *_: (slice(None),) * 3)
    np.testing.assert_array_equal(tight, draw(values, poses, size=size))


def test_half_of_the_birds_look_the_other_way():
    values, poses = values_of(60, seed=0), poses_of(60)
    poses[:, drawing._POSE.index("noise")] = -1
    turned = poses.copy()
    turned[:, drawing._POSE.index("mirror")] *= -1
    apart = draw(values, poses).astype(int) - draw(values, turned)[:, :, ::-1]
    assert np.abs(apart).max() <= 8  # sensor noise is not mirrored
    assert 0.3 < (poses[:, drawing._POSE.index("mirror")] > 0).mean() < 0.7


def outside(values, change):
    values[1, 3] = change
    return values


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("values must have shape", lambda: draw(values_of(2)[:, :-1], poses_of(2))),
        ("values must have shape", lambda: draw(values_of(2)[0], poses_of(2))),
        ("values must be int8", lambda: draw(values_of(2).astype(np.int64))),
        ("values of underparts_color must be 0 to 14, got 0 to 15", lambda: draw(outside(values_of(2), 15))),
        ("values of underparts_color must be 0 to 14, got -1 to 0", lambda: draw(outside(values_of(2), -1))),
        ("poses must have shape", lambda: draw(values_of(2), poses_of(1))),
        ("poses must be float32", lambda: draw(values_of(2), poses_of(2).astype(float))),
        ("poses must lie in", lambda: draw(values_of(2), poses_of(2) + 1.5)),
        ("poses must lie in", lambda: draw(values_of(2), np.full((2, POSE_SIZE), np.nan, np.float32))),
        ("size must be 16 to 256", lambda: draw(values_of(2), size=15)),
        ("size must be 16 to 256", lambda: draw(values_of(2), size=257)),
        ("size must be a whole number", lambda: draw(values_of(2), size=48.5)),
        ("count must be", lambda: poses_of(-1)),
    ],
)
def test_wrong_input_is_refused(message, call):
    with pytest.raises(ValueError, match=message):
        call()


# -------------------------------------------------------------------------------------------------- attributes


@pytest.mark.parametrize("group", GROUPS)
def test_every_value_of_a_group_shows(group):
    """Each value is told from each other value of its group, on birds of all kinds."""
    kinds = values_of(12, seed=3)
    pictures = []
    for place in range(len(GROUPS[group])):
        kinds[:, list(GROUPS).index(group)] = place
        pictures.append(draw(kinds).astype(np.int16))
    for place, first in enumerate(pictures):
        for second in pictures[place + 1 :]:
            changed = (np.abs(first - second).max(axis=3) > 12).sum(axis=(1, 2))
            assert changed.mean() >= 4


@pytest.mark.parametrize("group", COLOUR_GROUPS)
def test_a_part_has_the_colour_that_its_attribute_names(group):
    """The pixels that tell one colour of a part from another are of these colours."""
    names = [name for name in GROUPS[group] if name != "iridescent"]
    palette = np.array([COLOURS[name] for name in names]) * 255
    kinds, poses = unmarked(20, 4, size="very_large_(32_-_72_in)", bill_shape="cone"), poses_of(20)
    # No haze and little noise; the light still differs from picture to picture.
    poses[:, [drawing._POSE.index("softness"), drawing._POSE.index("noise")]] = -1
    pictures = {}
    for name in names:
        kinds[:, list(GROUPS).index(group)] = GROUPS[group].index(name)
        pictures[name] = draw(kinds, poses, size=64).astype(float)
    seen = np.stack(list(pictures.values()))
    # Pixels wholly of this part are those that change most between the colours.
    spread = seen.std(axis=0).sum(axis=3)
    right = []
    for name, images in pictures.items():
        for bird, change in zip(images, spread, strict=True):
            inside = change >= max(0.93 * change.max(), 100)
            if inside.any():
                shown = np.median(bird[inside], axis=0)
                right.append(names[np.abs(palette - shown).sum(axis=1).argmin()] == name)
    assert len(right) > 0.75 * len(names) * len(kinds)  # hardly a bird hides the part behind another
    assert np.mean(right) > 0.9


def place_of(group):
    """Mean row and column of the part that a colour group colours, on birds that look to the right."""
    poses = poses_of(40)
    poses[:, drawing._POSE.index("mirror")] = -1
    red, green = (draw(unmarked(40, 9, **{group: colour}), poses).astype(int) for colour in ("red", "green"))
    _, rows, columns = np.nonzero(np.abs(red - green).max(axis=3) > 40)
    return rows.mean(), columns.mean()


def test_parts_are_where_birds_have_them():
    row, column = ({group: place_of(group)[axis] for group in COLOUR_GROUPS} for axis in (0, 1))
    for upper, lower in [
        ("crown", "eye"), ("eye", "throat"), ("forehead", "throat"), ("throat", "breast"), ("back", "wing"),
        ("wing", "belly"), ("upperparts", "underparts"), ("upper_tail", "under_tail"), ("belly", "leg"),
    ]:  # fmt: skip
        assert row[f"{upper}_color"] < row[f"{lower}_color"] - 1, (upper, lower)
    for behind, before in [
        ("upper_tail", "upperparts"), ("under_tail", "underparts"), ("upperparts", "back"), ("underparts", "belly"),
        ("back", "breast"), ("belly", "breast"), ("nape", "crown"), ("crown", "forehead"), ("forehead", "bill"),
        ("nape", "eye"), ("breast", "bill"),
    ]:  # fmt: skip
        assert column[f"{behind}_color"] < column[f"{before}_color"] - 1, (behind, before)


def test_iridescent_parts_shimmer_between_two_hues():
    kinds = unmarked(20, 5, wing_color="iridescent")
    other = unmarked(20, 5, wing_color="white")
    images = draw(kinds, size=96).astype(float)
    wing = np.abs(images - draw(other, size=96)).min(axis=3) > 40
    violet = images[..., 0] > images[..., 1] + 20
    teal = images[..., 1] > images[..., 0] + 40
    assert (wing & violet).sum() > 0.1 * wing.sum()
    assert (wing & teal).sum() > 0.1 * wing.sum()


@pytest.mark.parametrize("part", ["wing", "back", "belly", "breast", "tail"])
def test_patterns_are_within_their_part(part):
    """A pattern changes pixels that a colour of its part changes as well, and not all of them."""
    colours = {"tail": ["upper_tail_color", "under_tail_color"]}.get(part, [f"{part}_color"])
    chosen = dict.fromkeys(colours, "yellow")
    kinds = unmarked(30, 6, **chosen)
    plain, other = draw(kinds), draw(unmarked(30, 6, **dict.fromkeys(colours, "blue")))
    place = np.abs(plain.astype(int) - other).max(axis=3) > 8
    for pattern in PATTERNS[1:]:
        marked = draw(unmarked(30, 6, **(chosen | {f"{part}_pattern": pattern})))
        changed = np.abs(plain.astype(int) - marked).max(axis=3) > 40
        assert changed.sum() > 0.1 * place.sum()
        assert changed.sum() < 0.9 * place.sum()
        assert (changed & ~place).sum() < 0.02 * changed.sum()


def silhouette(**chosen):
    """Pixels that a bird covers: those that differ between birds of one build, all red and all green."""
    red, green = (
        draw(unmarked(30, 7, **(dict.fromkeys(COLOUR_GROUPS, colour) | chosen)), size=64).astype(int)
        for colour in ("red", "green")
    )
    return np.abs(red - green).max(axis=3) > 40


def test_larger_birds_are_larger():
    sizes = ["very_small_(3_-_5_in)", "small_(5_-_9_in)", "medium_(9_-_16_in)", "large_(16_-_32_in)"]
    areas = [silhouette(size=size).sum(axis=(1, 2)) for size in [*sizes, "very_large_(32_-_72_in)"]]
    for smaller, larger in pairwise(areas):
        assert (larger > smaller).all()


def test_longer_bills_are_longer():
    lengths = ["shorter_than_head", "about_the_same_as_head", "longer_than_head"]
    widths = [silhouette(bill_length=length, bill_shape="needle").any(axis=1).sum(axis=1) for length in lengths]
    for shorter, longer in pairwise(widths):
        assert (longer > shorter).mean() > 0.95


@pytest.mark.parametrize("shape", GROUPS["shape"])
def test_birds_fit_into_the_frame(shape):
    """Even the largest, with the longest bill, hardly touches its edge."""
    birds_there = silhouette(shape=shape, size="very_large_(32_-_72_in)", bill_length="longer_than_head")
    edge = np.ones((64, 64), dtype=bool)
    edge[1:-1, 1:-1] = False
    assert (birds_there & edge).sum() < 0.0055 * birds_there.sum()
    assert birds_there.sum(axis=(1, 2)).min() > 0.12 * 64 * 64


# -------------------------------------------------------------------------------------------------- requests


KINDS = tuple(f"kind {number}" for number in range(SPECIES))
SOME = tuple(reversed(ATTRIBUTES[5:300:3]))
TASKS = {
    "species": {"type": "multiclass", "labels": KINDS},
    "attributes": {"type": "multilabel", "labels": ATTRIBUTES},
    "some_attributes": {"type": "multilabel", "labels": SOME},
}
BOTH = {"species": {}, "attributes": {}}


def tasks_of(**changed):
    common = {"kind": "task", "title": "A task", "chance": 0.1}
    scores = {"multiclass": "accuracy", "multilabel": "f1"}
    specs = {
        name: common | task | {"name": name, "metrics": [scores[task["type"]]], "primary": scores[task["type"]]}
        for name, task in (TASKS | changed).items()
    }
    return {name: TaskSpec.model_validate_json(json.dumps(spec)) for name, spec in specs.items()}


def request(tasks=BOTH, images=(4000, 250, 60), size=16, name="drawn", source=None, **options):
    spec = {
        "kind": "dataset",
        "name": name,
        "title": "Drawn",
        "domain": "birds",
        "source": source,
        "tasks": tasks,
        "standin": {"name": "birds", "images": dict(zip(SPLITS, images, strict=True))} | options,
        "licence": "none",
        "home_page": "https://example.org/",
        "citation": "none",
    }
    dataset = DatasetSpec.model_validate_json(json.dumps(spec))
    return StandInRequest(dataset, {task: tasks_of()[task] for task in tasks}, None, size)


def problems(asked, tasks=None, relatedness=None):
    _, options = generator_of(asked)
    return birds.check(options, asked.dataset, tasks or asked.tasks, relatedness)


def watched(monkeypatch):
    """A list that gets the values that each call of the painter is handed."""
    painted = []

    def paint(values, poses, **others):
        painted.append(values)
        return draw_birds(values, poses, **others)

    monkeypatch.setattr(drawing, "draw_birds", paint)
    return painted


def table_and_labels(asked, split="train"):
    labels = birds.labels(asked, split)
    return table_of(asked.dataset.copy_name), labels.tasks


# -------------------------------------------------------------------------------------------------- labels


def test_labels_are_those_of_the_pictures():
    asked = request(images=(1100, 6, 8))
    chunks = list(draw_split(asked, "train"))
    assert len(chunks) > 1  # a large split is drawn some at a time
    alone = birds.labels(asked, "train")
    assert sum(len(chunk.images) for chunk in chunks) == len(alone) == 1100
    assert len(set(alone.images.tolist())) == 1100
    assert set(alone.groups.tolist()) == {""}
    assert alone.counts() == {"train": 1100, "validation": 0, "test": 0}
    start = 0
    for chunk in chunks:
        rows = np.arange(start, start := start + len(chunk.images))
        assert chunk.labels.fingerprint() == alone.take(rows).fingerprint()


def test_pictures_show_the_attributes_that_labels_tell(monkeypatch):
    """What is handed to the painter, picture by picture, is what the labels say."""
    painted = watched(monkeypatch)
    (chunk,) = draw_split(request(images=(300, 6, 8)), "train")
    told = np.split(chunk.labels.tasks["attributes"], np.cumsum([len(known) for known in GROUPS.values()])[:-1], axis=1)
    (shown,) = painted
    for place, part in enumerate(told):
        np.testing.assert_array_equal(part.argmax(axis=1), shown[:, place])


def test_the_same_request_draws_the_same_whatever_the_chunks(monkeypatch):
    asked = request(images=(50, 6, 8))
    (first,) = draw_split(asked, "train")
    monkeypatch.setattr(_splits, "CHUNK", 7)
    chunks = list(draw_split(asked, "train"))
    assert len(chunks) == 8
    np.testing.assert_array_equal(first.images, np.concatenate([chunk.images for chunk in chunks]))


def test_splits_and_data_sets_are_drawn_apart():
    asked = [request(images=(20, 20, 20), name=name) for name in ("one", "other")]
    drawn = [next(draw_split(one, split)).images.tobytes() for one in asked for split in SPLITS]
    assert len(set(drawn)) == 6


def test_every_bird_has_one_value_of_each_group():
    _, found = table_and_labels(request())
    ends = np.cumsum([len(known) for known in GROUPS.values()])
    for part in np.split(found["attributes"], ends[:-1], axis=1):
        np.testing.assert_array_equal(part.sum(axis=1), 1)


@pytest.mark.parametrize(("split", "least", "most"), [("train", 20, 20), ("validation", 1, 2), ("test", 0, 1)])
def test_species_are_equally_frequent(split, least, most):
    _, found = table_and_labels(request(), split)
    counts = np.bincount(found["species"], minlength=SPECIES)
    assert (counts.min(), counts.max()) == (least, most)


def test_attributes_follow_the_table_of_the_copy():
    table, found = table_and_labels(request())
    counts = np.stack([found["attributes"][found["species"] == kind].sum(axis=0) for kind in range(SPECIES)])
    expected = 20 * table
    # Over all species and attributes of a group the deviations are as large as chance makes them.
    ends = np.cumsum([len(known) for known in GROUPS.values()])
    for seen, due in zip(np.split(counts, ends[:-1], axis=1), np.split(expected, ends[:-1], axis=1), strict=True):
        assert stats.chisquare(seen.sum(axis=0), due.sum(axis=0)).pvalue > OFTEN
    agreed = (counts * (table > 0.5)).sum()
    assert stats.binomtest(int(agreed), int(20 * (table > 0.5).sum()), table[table > 0.5].mean()).pvalue > OFTEN


def test_attributes_are_independent_given_the_species():
    """Nothing couples them but the species, which is what distribution matching assumes."""
    table, found = table_and_labels(request(images=(20000, 6, 8)))
    left = (found["attributes"] - table[found["species"]])[:, [part.start for part in birds._PARTS]]
    correlation = np.corrcoef(left.T) - np.eye(left.shape[1])
    assert np.abs(correlation).max() < 5 / np.sqrt(20000)


def test_tables_belong_to_the_copy():
    np.testing.assert_array_equal(table_of("cub"), table_of("cub"))
    assert not np.array_equal(table_of("cub"), table_of("other"))
    whole, part = request(images=(60_000, 6, 8), name="whole", source="cub"), request(name="part", source="cub")
    _, found = table_and_labels(whole)
    rates = found["attributes"].mean(axis=0)
    np.testing.assert_allclose(rates, table_of("cub").mean(axis=0), atol=0.01)
    _, found = table_and_labels(part)
    np.testing.assert_allclose(found["attributes"].mean(axis=0), rates, atol=0.04)


def test_the_table_is_peaked_and_every_species_another():
    table = table_of("drawn")
    usual = table > 0.5
    assert table.shape == (SPECIES, 312)
    assert (usual.sum(axis=1) == 28).all()
    assert len(np.unique(usual, axis=0)) == SPECIES
    apart = (usual[:, None] & ~usual[None]).sum(axis=2)[~np.eye(SPECIES, dtype=bool)]
    assert apart.min() >= 5
    np.testing.assert_allclose(table.sum(axis=1), 28)
    assert (usual.sum(axis=0) >= 1).mean() > 0.95  # nearly every attribute is usual somewhere
    assert (table.mean(axis=0) > 0.001).all()


def test_labels_go_by_their_names():
    """Any selection and any order of attributes says the same of the same birds."""
    _, whole = table_and_labels(request({"attributes": {}}))
    _, part = table_and_labels(request({"some_attributes": {}}))
    for column, label in enumerate(SOME):
        np.testing.assert_array_equal(
            part["some_attributes"][:, column], whole["attributes"][:, ATTRIBUTES.index(label)]
        )


def test_labels_do_not_depend_on_what_else_is_annotated():
    _, both = table_and_labels(request())
    for task in BOTH:
        np.testing.assert_array_equal(table_and_labels(request({task: {}}))[1][task], both[task])


def test_birds_whose_attributes_are_not_annotated_have_them_all_the_same(monkeypatch):
    painted = watched(monkeypatch)
    for tasks in ({"species": {}}, BOTH):
        next(draw_split(request(tasks, images=(300, 6, 8)), "train"))
    np.testing.assert_array_equal(*painted)


def test_missing_labels_are_as_many_as_declared_and_missing_at_random():
    _, whole = table_and_labels(request())
    _, found = table_and_labels(request(missing={"species": 0.3, "attributes": 0.6}))
    for task, share in (("species", 0.3), ("attributes", 0.6)):
        gone = found[task] == -1
        assert stats.binomtest(int(gone.sum()), gone.size, share).pvalue > OFTEN
        np.testing.assert_array_equal(found[task][~gone], whole[task][~gone])
        assert (whole[task] >= 0).all()
    present = whole["attributes"] == 1
    assert stats.binomtest(int((found["attributes"] == -1)[present].sum()), int(present.sum()), 0.6).pvalue > OFTEN


def test_labels_that_the_data_set_does_not_annotate_are_missing():
    tasks = {"species": {"labels": KINDS[:3]}, "attributes": {"labels": ATTRIBUTES[10:20]}}
    _, found = table_and_labels(request(tasks))
    assert set(found["species"].tolist()) == {-1, 0, 1, 2}
    assert (found["attributes"][:, 10:20] >= 0).all()
    assert (np.delete(found["attributes"], np.arange(10, 20), axis=1) == -1).all()


# -------------------------------------------------------------------------------------------------- learnability


def predicted(images, targets, train):
    """Scores [rest, targets] of ridge regression on pixels."""
    pixels = images.reshape(len(images), -1) / 255 - 0.5
    pixels = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    gram = pixels[:train].T @ pixels[:train] + 30 * np.eye(pixels.shape[1])
    return pixels[train:] @ np.linalg.solve(gram, pixels[:train].T @ targets[:train])


def test_attributes_and_species_can_be_learnt_from_pixels():
    """A linear model on small pictures is well above chance on new birds, but far from perfect."""
    (*_,) = chunks = list(draw_split(request(images=(2600, 6, 8), size=20), "train"))
    images = np.concatenate([chunk.images for chunk in chunks])
    species = np.concatenate([chunk.labels.tasks["species"] for chunk in chunks])
    attributes = np.concatenate([chunk.labels.tasks["attributes"] for chunk in chunks])
    train = 2000
    scores = predicted(images, np.concatenate([attributes, np.eye(SPECIES)[species]], axis=1), train)
    order = []
    for score, truth in zip(scores[:, :312].T, attributes[train:].T == 1, strict=True):
        if truth.sum() >= 20:
            order.append((score[truth][:, None] > score[~truth][None]).mean())
    assert len(order) > 150
    assert np.quantile(order, 0.05) > 0.58
    assert 0.7 < np.mean(order) < 0.95
    right = (scores[:, 312:].argmax(axis=1) == species[train:]).mean()
    assert 0.1 < right < 0.95  # chance is 0.005


# -------------------------------------------------------------------------------------------------- declarations


def test_a_proper_declaration_has_no_problems():
    assert problems(request()) == []
    assert problems(request({"some_attributes": {}}, missing={"some_attributes": 0.5})) == []


def test_what_birds_cannot_show_is_refused():
    asked = request({"species": {}, "attributes": {}})
    few = tasks_of(species={"type": "multiclass", "labels": KINDS[:50]})
    assert problems(asked, few) == [(("name",), "birds are of 200 species; 'species' has 50 labels")]
    strange = tasks_of(attributes={"type": "multilabel", "labels": ("has_wing_colour::blue", "sings")})
    ((path, message),) = problems(asked, strange)
    assert path == ("name",)
    assert "2 of the labels of 'attributes': 'has_wing_colour::blue'; did you mean 'has_wing_color::blue'" in message
    two = tasks_of(attributes={"type": "multiclass", "labels": KINDS})
    assert problems(asked, two) == [
        (("name",), "birds show one multiclass task, their species; here are attributes, species")
    ]


def test_missing_shares_of_other_tasks_are_refused():
    ((path, message),) = problems(request(missing={"specis": 0.5}))
    assert path == ("missing", "specis")
    assert "did you mean 'species'" in message


def test_a_relatedness_is_refused():
    table = RelatednessSpec.model_construct(name="any")
    ((path, message),) = problems(request(), relatedness=table)
    assert path == ("relatedness",)
    assert "table of their own" in message


def test_the_fingerprint_changes_with_everything_that_is_drawn_from():
    asked = request()
    others = [
        request(images=(4000, 250, 61)),
        request(size=17),
        request(missing={"species": 0.1}),
        request({"species": {}}),
        request(name="other", source="drawn"),
        request(source="other"),
        request({"species": {}, "attributes": {"labels": ATTRIBUTES[:5]}}),
    ]
    found = {standin_fingerprint(other) for other in [asked, *others]}
    assert len(found) == len(others) + 1
    assert standin_fingerprint(replace(asked)) == standin_fingerprint(request())
