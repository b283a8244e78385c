"""Drawn faces: same bytes from the same seed, action units that show where they belong and can be learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.drawing import _brush, faces
from bench.data.drawing.faces import ACTION_UNITS, IDENTITY_SIZE, draw_faces, draw_identities

UPPER_FACE = ("au1", "au2", "au4", "au5", "au7")
LOWER_FACE = ("au10", "au12", "au14", "au15", "au17", "au20", "au23", "au24", "au25", "au26")


def labels(count: int, *present: str) -> NDArray[np.bool_]:
    """Label rows ``[count, AUs]`` with the named action units present in every row."""
    table = np.zeros((count, len(ACTION_UNITS)), dtype=np.bool_)
    table[:, [ACTION_UNITS.index(name) for name in present]] = True
    return table


def random_labels(count: int, seed: int, rate: float = 0.3) -> NDArray[np.bool_]:
    """Label rows with every action unit present independently at ``rate``."""
    return np.random.default_rng(seed).random((count, len(ACTION_UNITS))) < rate


def people(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Identity rows of ``count`` people."""
    return draw_identities(count, np.random.default_rng(seed))


def draw(table: NDArray[np.bool_], identities: NDArray[np.float32], seed: int = 1, size: int = 48) -> NDArray[np.uint8]:
    """Draw with a freshly seeded generator."""
    return draw_faces(table, identities, size=size, rng=np.random.default_rng(seed))


def change_map(name: str, count: int = 40) -> NDArray[np.float64]:
    """Mean absolute change of each pixel ``[48, 48]`` in grey levels that one action unit makes."""
    identities = people(count)
    without = draw(labels(count), identities).astype(float)
    return np.asarray(np.abs(draw(labels(count, name), identities) - without).mean(axis=(0, 3)))


# -------------------------------------------------------------------------------------------------- contract


def test_action_units_are_the_seventeen_of_the_benchmark_in_order() -> None:
    numbers = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)
    assert tuple(f"au{number}" for number in numbers) == ACTION_UNITS


def test_identities_are_float32_rows_in_range_and_follow_the_generator() -> None:
    rows = people(50)
    assert rows.shape == (50, IDENTITY_SIZE)
    assert rows.dtype == np.float32
    assert np.abs(rows).max() <= 1
    assert rows.std(axis=0).min() > 0.3
    np.testing.assert_array_equal(rows, people(50))
    assert not np.array_equal(rows, people(50, seed=1))


@pytest.mark.parametrize("size", [16, 33, 48, 256])
def test_faces_are_rgb_bytes_of_the_size_asked_for(size: int) -> None:
    images = draw(random_labels(3, 0), people(3), size=size)
    assert images.shape == (3, size, size, 3)
    assert images.dtype == np.uint8
    assert all(image.std() > 15 for image in images)


def test_no_images_is_an_empty_array() -> None:
    assert draw(labels(0), people(0)).shape == (0, 48, 48, 3)


def test_same_generator_state_gives_same_bytes_and_another_does_not() -> None:
    table, identities = random_labels(6, 0), people(6)
    np.testing.assert_array_equal(draw(table, identities), draw(table, identities))
    assert not np.array_equal(draw(table, identities), draw(table, identities, seed=2))


def test_arguments_are_left_as_they_were() -> None:
    table, identities = random_labels(4, 0), people(4)
    kept_table, kept_identities = table.copy(), identities.copy()
    draw(table, identities)
    np.testing.assert_array_equal(table, kept_table)
    np.testing.assert_array_equal(identities, kept_identities)


@pytest.mark.parametrize("size", [33, 48])  # odd: the bytes of an image do not fill whole random words
@pytest.mark.parametrize("pixels", [1, 7 * 48 * 48])
def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch, pixels: int, size: int) -> None:
    table, identities = random_labels(20, 0), people(20)
    whole = draw(table, identities, size=size)
    monkeypatch.setattr(_brush, "_CHUNK_PIXELS", pixels)
    np.testing.assert_array_equal(draw(table, identities, size=size), whole)


class Extremes(np.random.Generator):
    """A generator whose fractions are 0 or 1 only, so that every pose and intensity is extreme."""

    def random(self, *args: Any, **kwargs: Any) -> Any:
        """Round what the ordinary generator draws."""
        return np.round(super().random(*args, **kwargs))


@pytest.mark.parametrize("size", [24, 64])
def test_painting_in_windows_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Windows only save time: painting every feature on the whole frame gives the same picture."""
    table, identities = random_labels(400, 0, rate=0.4), np.sign(people(400))
    windowed = draw_faces(table, identities, size=size, rng=Extremes(np.random.PCG64(1)))
    monkeypatch.setattr(faces._Canvas, "window", lambda *_: (slice(None),) * 3)
    whole = draw_faces(table, identities, size=size, rng=Extremes(np.random.PCG64(1)))
    np.testing.assert_array_equal(windowed, whole)


def test_a_label_changes_its_own_image_only() -> None:
    table, identities = labels(5), people(5)
    before = draw(table, identities)
    table[2] = True
    after = draw(table, identities)
    differs = (before != after).any(axis=(1, 2, 3))
    assert differs.tolist() == [False, False, True, False, False]


def bad_calls() -> list[tuple[str, Callable[[], Any]]]:
    """Calls that must be refused, each with a piece of the message."""
    table, rows = labels(2), people(2)
    outside, missing = rows.copy(), rows.copy()
    outside[0, 0] = 1.5
    missing[0, 0] = np.nan
    return [
        ("action_units must have shape", lambda: draw(table[:, :-1], rows)),
        ("action_units must have shape", lambda: draw(table[0], rows)),
        ("action_units must be bool", lambda: draw(table.astype(np.int64), rows)),
        ("identities must have shape", lambda: draw(table, rows[:1])),
        ("identities must have shape", lambda: draw(table, rows[:, :-1])),
        ("identities must be float32", lambda: draw(table, rows.astype(np.float64))),
        ("identities must lie in", lambda: draw(table, outside)),
        ("identities must lie in", lambda: draw(table, missing)),
        ("size must be", lambda: draw(table, rows, size=15)),
        ("size must be", lambda: draw(table, rows, size=257)),
        ("size must be", lambda: draw(table, rows, size=48.5)),  # type: ignore[arg-type]
        ("count must be", lambda: people(-1)),
    ]


@pytest.mark.parametrize(("message", "call"), bad_calls())
def test_wrong_input_is_refused(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------------- action units


@pytest.mark.parametrize("name", ACTION_UNITS)
def test_each_action_unit_shows(name: str) -> None:
    assert change_map(name).mean() > 0.25


@pytest.mark.parametrize("name", UPPER_FACE)
def test_upper_face_units_change_the_upper_half(name: str) -> None:
    change = change_map(name)
    assert change[:24].sum() > 0.9 * change.sum()


@pytest.mark.parametrize("name", LOWER_FACE)
def test_lower_face_units_change_the_lower_half(name: str) -> None:
    change = change_map(name)
    assert change[24:].sum() > 0.9 * change.sum()


@pytest.mark.parametrize("name", ["au6", "au9"])
def test_cheek_raiser_and_nose_wrinkler_change_the_middle_of_the_face(name: str) -> None:
    change = change_map(name)
    assert change[12:36, 4:44].sum() > 0.9 * change.sum()


def dark_height(images: NDArray[np.uint8], rows: slice, columns: slice) -> float:
    """Mean row (pixels, downwards) of what is darker than its surroundings in a part of the images."""
    part = images[:, rows, columns].mean(axis=3)
    darkness = np.maximum(np.median(part, axis=(1, 2), keepdims=True) - part - 10, 0)
    heights = np.arange(part.shape[1])[None, :, None]
    return float((darkness * heights).sum() / darkness.sum())


def test_brows_move_the_way_facs_says() -> None:
    identities = people(60)
    inner, outer = (slice(18, 40), slice(38, 58)), (slice(18, 40), slice(66, 76))

    def brow(part: tuple[slice, slice], *names: str) -> float:
        return dark_height(draw(labels(60, *names), identities, size=96), *part)

    # Rows of the frame grow downwards; the eyes lie below the parts that are measured.
    assert brow(inner, "au1") < brow(inner) - 1
    assert brow(outer, "au2") < brow(outer) - 1
    assert brow(inner, "au4") > brow(inner) + 1
    assert abs(brow(outer, "au1") - brow(outer)) < abs(brow(outer, "au2") - brow(outer))


def test_jaw_drop_opens_a_dark_mouth_and_eyes_open_white() -> None:
    identities = people(60)
    rest = draw(labels(60), identities).astype(float)
    jaw = draw(labels(60, "au26"), identities).astype(float)
    eyes = draw(labels(60, "au5"), identities).astype(float)
    mouth = (slice(None), slice(32, 44), slice(20, 28))
    darkest_tenth = [np.quantile(images[mouth], 0.1, axis=(1, 2, 3)).mean() for images in (jaw, rest)]
    assert darkest_tenth[0] < darkest_tenth[1] - 10
    lid = (slice(None), slice(17, 20), slice(11, 37))
    brightest = [np.quantile(images[lid], 0.75, axis=(1, 2, 3)).mean() for images in (eyes, rest)]
    assert brightest[0] > brightest[1] + 5


def test_parted_lips_hold_off_the_pressing() -> None:
    """AU24 with AU25 still shows parted lips, but less so than AU25 alone."""
    identities = people(60)

    def difference(first: tuple[str, ...], second: tuple[str, ...]) -> float:
        a, b = draw(labels(60, *first), identities), draw(labels(60, *second), identities)
        return float(np.abs(a.astype(float) - b).mean())

    assert difference(("au24", "au25"), ("au24",)) > 0.7 * difference(("au25",), ())
    assert difference(("au24", "au25"), ("au25",)) > 0.3


# ----------------------------------------------------------------------------------------------- identities


def test_pictures_of_one_person_are_more_alike_than_of_two() -> None:
    identities = people(80)
    first = draw(random_labels(80, 1), identities, seed=1, size=32).astype(float)
    second = draw(random_labels(80, 2), identities, seed=2, size=32).astype(float)
    centre = slice(6, 26)  # the background changes from picture to picture

    def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.abs(a[:, centre, centre] - b[:, centre, centre]).mean())

    assert distance(first, second) < 0.8 * distance(first, np.roll(second, 1, axis=0))


# --------------------------------------------------------------------------------------------- learnability


def features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Grey images, each with zero mean and unit variance, flattened, with a constant appended."""
    grey = images.mean(axis=3).reshape(len(images), -1)
    grey = (grey - grey.mean(axis=1, keepdims=True)) / grey.std(axis=1, keepdims=True)
    return np.concatenate([grey, np.ones((len(grey), 1))], axis=1)


def test_a_linear_model_tells_some_units_on_new_people() -> None:
    """Ridge regression on pixels is well above chance on unseen people, but far from perfect."""
    table = random_labels(2500, 3)
    inputs = features(draw(table, people(2500, seed=4), seed=5, size=24))
    train, test = slice(0, 1800), slice(1800, None)
    columns = [ACTION_UNITS.index(name) for name in ("au5", "au12", "au26")]
    targets = np.where(table[:, columns], 1.0, -1.0)
    gram = inputs[train].T @ inputs[train] + 100 * np.eye(inputs.shape[1])
    scores = inputs[test] @ np.linalg.solve(gram, inputs[train].T @ targets[train])
    for score, truth in zip(scores.T, table[test][:, columns].T, strict=True):
        chance_of_right_order = (score[truth][:, None] > score[~truth][None, :]).mean()
        assert 0.65 < chance_of_right_order < 0.995
