"""What comes in which batch: allocation, order, and that a twin sees what its joint run sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.batches import Batches, Order, SourceData, allocate
from bench.data.store import Manifest, Store
from bench.specs.budget import Augmentation, Batch
from bench.specs.run import RunSource

from .samples import label_table

MANY = settings(max_examples=150)
SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 5000), min_size=1)
AUGMENTATION = Augmentation(shift=0.2, flip=True, color=0.3)

# -------------------------------------------------------------------------------------------------- allocation


@MANY
@given(SIZES, st.integers(1, 4), st.integers(0, 300), st.sampled_from(["proportional", "balanced"]))
def test_parts_fill_the_batch_and_nobody_gets_less_than_the_least(sizes, least, more, allocation):
    batch = Batch(size=least * len(sizes) + more or 1, least=least, allocation=allocation)
    found = allocate(batch, sizes)
    assert list(found) == list(sizes)
    assert sum(found.values()) == batch.size
    assert min(found.values()) >= least
    if allocation == "balanced":
        assert max(found.values()) - min(found.values()) <= 1
    for one, other in ((a, b) for a in sizes for b in sizes if sizes[a] > sizes[b]):
        assert allocation == "balanced" or found[one] >= found[other]


@MANY
@given(SIZES, st.integers(1, 300))
def test_parts_are_rounded_by_largest_remainder(sizes, size):
    """Where nobody falls under the least: the whole number, and one more for those that lose most by it."""
    ideal = {name: size * count / sum(sizes.values()) for name, count in sizes.items()}
    if min(ideal.values()) < 1:
        return
    found = allocate(Batch(size=size, least=1), sizes)
    extra = {name: found[name] - math.floor(ideal[name] + 1e-9) for name in sizes}
    assert set(extra.values()) <= {0, 1}
    remainders = {name: ideal[name] - math.floor(ideal[name] + 1e-9) for name in sizes}
    given_more = [remainders[name] for name in sizes if extra[name]]
    given_less = [remainders[name] for name in sizes if not extra[name]]
    if given_more and given_less:
        assert min(given_more) >= max(given_less) - 1e-9


@pytest.mark.parametrize(
    ("batch", "sizes", "expected"),
    [
        (Batch(size=10, least=1), {"a": 300, "b": 100, "c": 100}, {"a": 6, "b": 2, "c": 2}),
        (Batch(size=10, least=1), {"a": 1, "b": 1, "c": 1}, {"a": 4, "b": 3, "c": 3}),
        (Batch(size=10, least=2), {"a": 100_000, "b": 1}, {"a": 8, "b": 2}),
        (Batch(size=12, least=2), {"a": 900, "b": 90, "c": 10}, {"a": 8, "b": 2, "c": 2}),
        (Batch(size=4, least=2), {"a": 5, "b": 500}, {"a": 2, "b": 2}),
        (Batch(size=7, least=1, allocation="balanced"), {"a": 900, "b": 1}, {"a": 4, "b": 3}),
        (Batch(size=5), {"a": 3}, {"a": 5}),
    ],
)
def test_parts_by_hand(batch, sizes, expected):
    assert allocate(batch, sizes) == expected


def test_a_batch_too_small_for_everybody_is_refused():
    with pytest.raises(ValueError, match="a batch of 5 cannot hold 2 images of each of 3 data sets"):
        allocate(Batch(size=5, least=2), {"a": 1, "b": 1, "c": 1})


# -------------------------------------------------------------------------------------------------- order

COUNTS = st.integers(1, 40)


@MANY
@given(COUNTS, st.integers(0, 5), st.integers(0, 9))
def test_every_place_comes_exactly_once_a_pass(count, number, seed):
    found = Order(count, "a", seed).slice(number * count, count)
    assert sorted(found.tolist()) == list(range(count))


@MANY
@given(COUNTS, st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 200))
def test_the_order_is_the_same_however_it_is_come_by(size, counts, start):
    """In slices of any size, from any place, forwards or again."""
    whole = Order(size, "a", 0).slice(start, sum(counts)).tolist()
    running, place, parts = Order(size, "a", 0), start, []
    for count in counts:
        parts += running.slice(place, count).tolist()
        place += count
    assert parts == whole
    assert running.slice(start, sum(counts)).tolist() == whole
    assert Order(size, "a", 0).slice(start + sum(counts[:-1]), counts[-1]).tolist() == whole[-counts[-1] :]


def test_passes_seeds_and_data_sets_have_orders_of_their_own():
    first = Order(50, "a", 0)
    orders = [
        first.slice(0, 50),
        first.slice(50, 50),
        Order(50, "a", 1).slice(0, 50),
        Order(50, "b", 0).slice(0, 50),
    ]
    assert len({order.tobytes() for order in orders}) == 4


# -------------------------------------------------------------------------------------------------- batches


class Memory(Store):
    """A store whose images and labels are in memory."""

    def __init__(self, counts, seed):
        nothing = Manifest(version=1, dataset="", fingerprint="", standin=True, image_size=8, counts={}, labels={})
        super().__init__(None, nothing)
        images = np.random.default_rng(seed).integers(0, 256, (sum(counts), 8, 8, 3), dtype=np.uint8)
        self.__dict__.update(labels=label_table(counts), images=images)


STORES = {"first": Memory((20, 4, 4), 0), "second": Memory((13, 4, 4), 1)}


def source(name, batch=6):
    about = RunSource(dataset=name, data="0", standin=True, tasks=("kinds",), batch=batch)
    return SourceData(about, STORES[name])


def batches(*sources, rows=None, seed=0, augmentation=AUGMENTATION):
    chosen = rows or {one.dataset: one.store.rows("train") for one in sources}
    return Batches.over(sources, chosen, augmentation, 8, seed)


def assert_equal_changes(found, expected):
    for name, value in vars(expected).items():
        assert torch.equal(getattr(found, name), value), name


@pytest.mark.parametrize("step", [0, 1, 3, 17])
def test_a_joint_batch_holds_its_twins_batches(step):
    """Same images, same changes, whatever else is in the batch and in whatever order."""
    joint = batches(source("second", 3), source("first")).at(step)
    for twin, name, rows in (("first", "first", slice(3, 9)), ("second", "second", slice(0, 3))):
        own = batches(source(twin, 3 if twin == "second" else 6)).at(step)
        assert torch.equal(joint.images[rows], own.images)
        assert joint.places[name].tolist() == own.places[name].tolist()
        part = type(joint.changes)(**{key: value[rows] for key, value in vars(joint.changes).items()})
        assert_equal_changes(part, own.changes)


def test_images_stand_where_their_places_say():
    rows = {"first": np.array([7, 3, 11]), "second": np.array([2, 5])}
    found = batches(source("first"), source("second", 3), rows=rows).at(2)
    assert found.images.dtype == torch.uint8
    assert found.images.shape == (9, 8, 8, 3)
    assert list(found.places) == ["first", "second"]
    expected = [STORES[name].images[rows[name][place]] for name, places in found.places.items() for place in places]
    np.testing.assert_array_equal(found.images.numpy(), np.stack(expected))


def test_only_the_given_rows_come_and_each_once_a_pass():
    endless = batches(source("first", 4))
    seen = [image.tobytes() for step in range(5) for image in endless.at(step).images.numpy()]
    assert sorted(seen) == sorted(image.tobytes() for image in STORES["first"].images[:20])


def test_a_resumed_run_sees_the_same_batches():
    running, resumed = (batches(source("first"), source("second", 3)) for _ in range(2))
    seen = [running.at(step) for step in range(8)]
    for step in (5, 7):
        found = resumed.at(step)
        assert torch.equal(found.images, seen[step].images)
        assert_equal_changes(found.changes, seen[step].changes)


def test_other_seeds_have_other_orders_and_changes():
    one, other = (batches(source("first"), seed=seed).at(0) for seed in (0, 1))
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.changes.brightness, other.changes.brightness)


def test_augmentation_does_not_change_the_order():
    plain = batches(source("first"), augmentation=Augmentation())
    assert torch.equal(plain.at(3).images, batches(source("first")).at(3).images)


def test_a_data_set_smaller_than_its_part_comes_round_again():
    counts = {}
    for image in batches(source("second", 30)).at(0).images.numpy():
        counts[image.tobytes()] = counts.get(image.tobytes(), 0) + 1
    assert len(counts) == 13
    assert set(counts.values()) == {2, 3}
