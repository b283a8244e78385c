"""Learning rates over a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.specs.budget import Schedule
from bench.training.schedule import learning_rate_factor

MANY = settings(max_examples=150)
NAMES = ("constant", "linear", "cosine")
SCHEDULES = st.builds(Schedule, name=st.sampled_from(NAMES), warmup=st.floats(0, 1), final=st.floats(0, 1))


def factors(schedule, steps):
    return [learning_rate_factor(schedule, step, steps) for step in range(steps)]


@MANY
@given(SCHEDULES, st.integers(1, 80))
def test_factors_stay_between_nothing_and_the_peak(schedule, steps):
    found = factors(schedule, steps)
    assert all(0 < factor <= 1 for factor in found[:-1])
    assert 0 <= found[-1] <= 1


@MANY
@given(SCHEDULES, st.integers(1, 80))
def test_the_rate_rises_in_warm_up_and_never_after(schedule, steps):
    found, warmup = factors(schedule, steps), round(schedule.warmup * steps)
    for step in range(1, steps):
        if step <= warmup:
            assert found[step] > found[step - 1]
        else:
            assert found[step] <= found[step - 1]
    if warmup < steps:
        assert found[warmup] == 1


@MANY
@given(SCHEDULES, st.integers(1, 80))
def test_decay_ends_at_its_final_part(schedule, steps):
    """One step after the last; the last itself is on the way there."""
    if schedule.name != "constant":
        end = learning_rate_factor(schedule, steps, steps)
        assert end == pytest.approx(schedule.final if round(schedule.warmup * steps) < steps else 1, abs=1e-12)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(name="constant"), [1, 1, 1, 1]),
        (Schedule(name="linear"), [1, 0.75, 0.5, 0.25]),
        (Schedule(name="linear", final=0.2), [1, 0.8, 0.6, 0.4]),
        (Schedule(name="cosine"), [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        (Schedule(name="cosine", final=0.5), [1, (3 + math.sqrt(0.5)) / 4, 0.75, (3 - math.sqrt(0.5)) / 4]),
        (Schedule(name="linear", warmup=0.5), [1 / 3, 2 / 3, 1, 0.5]),
        (Schedule(name="constant", warmup=0.25), [0.5, 1, 1, 1]),
        (Schedule(name="cosine", warmup=1.0), [0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_by_hand(schedule, expected):
    assert factors(schedule, 4) == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_one_step_has_the_whole_rate(name):
    assert factors(Schedule(name=name), 1) == [1]
