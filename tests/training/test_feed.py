"""What training steps are fed with: the same batches, in order, however they come to the device.

There is no GPU here: torch's stand-ins for streams of a CPU show that the path of a GPU keeps items and their order.
"""

from __future__ import annotations

import threading
import time
from dataclasses import fields

import pytest
import torch

from bench.data.batches import Batches
from bench.training import feed
from bench.training.feed import RESIDENT_SHARE, ahead, fed, fits_on_device, free_memory, on_device, overlapped
from bench.training.labelling import label
from bench.training.processes import Processes

from .samples import run_of, sources_of

CPU = torch.device("cpu")


@pytest.fixture
def batches(planned):
    """Batches and labels of a joint run."""
    one = planned()
    run = run_of(one, "distribution_matching").spec
    sources = sources_of(one, run)
    labelling = label(run, sources)
    recipe = run.recipe
    return Batches.over(sources, labelling.rows, recipe.augmentation, recipe.image_size, run.seed), labelling


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    used = []
    monkeypatch.setattr(torch, "cuda", torch.cpu)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: used.append(stream))
    return used


def tensors(batch):
    parts = [batch.images, *(getattr(batch.changes, f.name) for f in fields(batch.changes))]
    return parts + [t for f in fields(batch.targets) for t in getattr(batch.targets, f.name).values()]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        assert all(map(torch.equal, tensors(mine), tensors(other)))


def test_batches_made_ahead_are_the_same_in_the_same_order(batches, as_on_a_gpu):
    plain = list(fed(*batches, range(5), CPU, Processes()))
    assert_same(list(overlapped(iter(plain), CPU)), plain)
    assert len(as_on_a_gpu) == sum(len(tensors(batch)) for batch in plain)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_images_of_evaluation_take_the_same_way():
    images = [torch.full((2, 4, 4, 3), i, dtype=torch.uint8) for i in range(7)]
    assert all(map(torch.equal, overlapped(iter(images), CPU), images))
    assert list(on_device(iter(images), CPU)) == images  # on a CPU as they are


def test_images_that_fit_are_kept_on_the_device_and_give_the_same_batches(batches, monkeypatch):
    plain = list(fed(*batches, range(5), CPU, Processes()))
    free = batches[0].image_bytes / RESIDENT_SHARE
    monkeypatch.setattr(feed, "free_memory", lambda _: free + 1)
    gathered = []
    store = type(batches[0].sources[0].store)
    gather = store.gather
    monkeypatch.setattr(store, "gather", lambda one, rows: gathered.append(len(rows)) or gather(one, rows))
    assert_same(list(fed(*batches, range(5), CPU, Processes())), plain)
    assert gathered == [48, 48]  # each data set once, and nothing in a step


@pytest.mark.parametrize(
    ("images", "free", "fits"), [(39, 100, True), (40, 100, True), (41, 100, False), (1, None, False), (0, 0, True)]
)
def test_training_images_may_take_a_part_of_free_memory(images, free, fits):
    assert fits_on_device(images, free) == fits


def test_a_cpu_has_no_memory_of_its_own():
    assert free_memory(CPU) is None


def test_a_tensor_is_copied_from_page_locked_memory_unless_it_is_there(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    tensor = torch.ones(3)
    assert feed._copied(tensor, CPU) is tensor and not pinned
    assert feed._copied(tensor, torch.device("meta")).device.type == "meta"
    assert pinned == [tensor]


def test_items_are_made_in_a_thread_before_they_are_asked_for():
    made = []

    def items():
        for i in range(5):
            made.append((i, threading.current_thread().name.startswith("feed")))
            yield i

    found = ahead(items(), 2)
    assert next(found) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made == [(0, True), (1, True), (2, True)]
    assert list(found) == [1, 2, 3, 4]


def test_an_error_comes_with_the_item_that_it_belongs_to():
    def items():
        yield from (1, 2)
        raise OSError("the store is gone")

    found = ahead(items(), 4)
    assert (next(found), next(found)) == (1, 2)
    with pytest.raises(OSError, match="the store is gone"):
        next(found)


def test_left_early_the_thread_ends():
    before = threading.active_count()
    found = ahead(iter(range(100)), 2)
    next(found)
    found.close()
    assert threading.active_count() == before
