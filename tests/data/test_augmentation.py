"""Augmentation against plain loops, numpy's reflecting pad and torchvision's colour changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.augmentation import Changes, augment, draw_changes, to_input
from bench.models._timm import has_compiled_operators
from bench.specs.budget import Augmentation

has_compiled_operators()  # lets torchvision be imported beside a CPU build of torch
SIDE = 9
NO_MEAN, NO_STD = torch.zeros(3), torch.ones(3)
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def pictures(count=6, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def still(count=6):
    """Changes that change nothing."""
    zeros, ones = torch.zeros(count, dtype=torch.int64), torch.ones(count)
    return Changes(zeros, zeros, zeros.bool(), ones, ones, ones)


def drawn(augmentation, count=6, seed=0):
    return draw_changes(augmentation, count, SIDE, np.random.default_rng(seed))


def normalised(images, mean=MEAN, std=STD):
    """Plain loops: uint8 [n, h, w, 3] to float64 [n, 3, h, w]."""
    pixels = images.numpy().astype(np.float64) / 255
    return ((pixels - mean.numpy()) / std.numpy()).transpose(0, 3, 1, 2)


def test_without_changes_images_are_only_normalised():
    images = pictures()
    found = augment(images, still(), MEAN, STD, color=True)
    np.testing.assert_allclose(found, normalised(images), atol=1e-5)
    assert torch.equal(augment(images, still(), MEAN, STD, color=False), to_input(images, MEAN, STD))


def test_an_augmentation_of_nothing_draws_no_changes():
    for name, value in vars(drawn(Augmentation())).items():
        assert torch.equal(value, getattr(still(), name).to(value.dtype)), name


@pytest.mark.parametrize(
    "convert", [lambda i, c: augment(i, c, MEAN, STD, color=True), lambda i, c: to_input(i, MEAN, STD)]
)
def test_results_are_float32_in_channels_last_memory_and_images_stay_as_they_are(convert):
    images = pictures()
    before = images.clone()
    found = convert(images, drawn(Augmentation(shift=0.3, flip=True, color=0.5)))
    assert found.dtype == torch.float32
    assert found.shape == (6, 3, SIDE, SIDE)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("reach", [0, 1, 4, SIDE - 1, SIDE])
def test_shifts_and_mirroring_equal_a_loop_over_padded_images(reach):
    """Shift first, then mirror; beyond an edge the picture is reflected, as numpy pads."""
    images, rng = pictures(8), np.random.default_rng(1)
    changes = replace(
        still(8),
        down=torch.from_numpy(rng.integers(-reach, reach + 1, 8)),
        right=torch.from_numpy(rng.integers(-reach, reach + 1, 8)),
        mirrored=torch.arange(8) % 2 == 0,
    )
    found = augment(images, changes, NO_MEAN, NO_STD, color=False)
    for i in range(8):
        padded = np.pad(images[i].numpy(), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        top, left = reach + int(changes.down[i]), reach + int(changes.right[i])
        expected = padded[top : top + SIDE, left : left + SIDE]
        expected = expected[:, ::-1] if changes.mirrored[i] else expected
        np.testing.assert_allclose(found[i], expected.transpose(2, 0, 1) / np.float32(255), atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_colours_change_as_torchvision_changes_them(seed):
    from torchvision.transforms.v2 import functional as reference

    images = pictures(12, seed)
    changes = replace(drawn(Augmentation(color=0.8), 12, seed), mirrored=torch.zeros(12, dtype=torch.bool))
    found = augment(images, changes, NO_MEAN, NO_STD, color=True)
    for i in range(12):
        expected = images[i].permute(2, 0, 1).float() / 255
        expected = reference.adjust_brightness(expected, float(changes.brightness[i]))
        expected = reference.adjust_contrast(expected, float(changes.contrast[i]))
        expected = reference.adjust_saturation(expected, float(changes.saturation[i]))
        torch.testing.assert_close(found[i], expected, atol=5e-4, rtol=0)


@pytest.mark.parametrize("factor", ["brightness", "contrast", "saturation"])
def test_colours_stay_in_range(factor):
    for value in (0.0, 2.0):
        changes = replace(still(), **{factor: torch.full((6,), value)})
        found = augment(pictures(), changes, NO_MEAN, NO_STD, color=True)
        assert 0 <= found.min() <= found.max() <= 1


def test_without_saturation_all_channels_are_grey():
    changes = replace(still(), saturation=torch.zeros(6))
    found = augment(pictures(), changes, NO_MEAN, NO_STD, color=True)
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 1], found[:, 2])


def test_colour_is_left_alone_unless_asked_for():
    changes = drawn(Augmentation(color=0.9))
    assert torch.equal(augment(pictures(), changes, MEAN, STD, color=False), to_input(pictures(), MEAN, STD))


def test_drawn_changes_fill_their_range():
    changes = draw_changes(Augmentation(shift=0.25, flip=True, color=0.3), 4000, 16, np.random.default_rng(0))
    for shift in (changes.down, changes.right):
        assert set(shift.tolist()) == set(range(-4, 5))
    assert abs(changes.mirrored.float().mean() - 0.5) < 4 * 0.5 / 4000**0.5
    for factor in (changes.brightness, changes.contrast, changes.saturation):
        assert 0.7 <= factor.min() < 0.71 < 1.29 < factor.max() <= 1.3
        assert factor.dtype == torch.float32


def test_changes_are_drawn_apart_and_again_the_same():
    one, again, other = (drawn(Augmentation(shift=0.5, flip=True, color=0.5), 50, seed) for seed in (0, 0, 1))
    for name, value in vars(one).items():
        assert torch.equal(value, getattr(again, name))
        assert not torch.equal(value, getattr(other, name))
    assert not torch.equal(one.down, one.right)
    assert not torch.equal(one.brightness, one.contrast)


def test_each_image_has_its_own_changes():
    """Joined batches give what the batches give by themselves."""
    parts = [drawn(Augmentation(shift=0.5, flip=True, color=0.5), 3, seed) for seed in (0, 1)]
    whole = augment(pictures(6), Changes.joined(parts), MEAN, STD, color=True)
    for changes, rows in zip(parts, (slice(0, 3), slice(3, 6)), strict=True):
        torch.testing.assert_close(whole[rows], augment(pictures(6)[rows], changes, MEAN, STD, color=True))
