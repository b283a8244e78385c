"""What is made of looks and of predictions, against loops that go one number at a time."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.calibration import calibration_curve

from bench.analysis.diagnosis import (
    BINS,
    Calibration,
    Course,
    SuiteDiagnosis,
    agreement_courses,
    calibration_error,
    course,
    loss_norms,
    pair_cosines,
    task_affinities,
    task_calibration_error,
)
from bench.reports.diagnosis import diagnosis_tables
from bench.reports.table import STANDIN_WARNING
from bench.runs.plan import Cell
from bench.training.probe import Agreement, Cosine, Look

confidences = arrays.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1, width=32))


def loop_error(confidence, correct):
    """Guo et al.'s equation 3: bins ((m - 1) / M, m / M], and 0 in the first."""
    n, total = len(confidence), 0.0
    for m in range(1, BINS + 1):
        low, high = (m - 1) / BINS, m / BINS
        inside = [k for k, c in enumerate(confidence) if low < c <= high or (m == 1 and c == 0)]
        if inside:
            accuracy = sum(bool(correct[k]) for k in inside) / len(inside)
            mean = sum(float(confidence[k]) for k in inside) / len(inside)
            total += len(inside) / n * abs(accuracy - mean)
    return total


@given(confidences, st.randoms(use_true_random=False))
def test_the_calibration_error_is_that_of_a_loop(confidence, random):
    correct = np.array([random.random() < 0.5 for _ in confidence])
    found = calibration_error(confidence, correct)
    assert found == pytest.approx(loop_error(confidence.astype(float), correct), abs=1e-9)
    assert 0 <= found <= 1


def test_the_calibration_error_weighs_scikit_learns_calibration_curve():
    random = np.random.default_rng(0)
    confidence = random.uniform(size=500)
    correct = random.uniform(size=500) < confidence**2
    accuracy, mean = calibration_curve(correct, confidence, n_bins=BINS)
    counts = np.bincount(np.minimum((confidence * BINS).astype(int), BINS - 1), minlength=BINS)
    expected = np.abs(accuracy - mean) @ counts[counts > 0] / 500
    assert calibration_error(confidence, correct) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("confidence", "correct", "expected"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [False, False], 1.0),
        ([0.5, 0.5], [True, False], 0.0),
        ([0.0], [True], 1.0),
        ([0.9, 0.1], [False, True], 0.9),
    ],
)
def test_known_calibration_errors(confidence, correct, expected):
    assert calibration_error(np.array(confidence), np.array(correct)) == pytest.approx(expected)


def test_nothing_has_no_calibration_error():
    assert math.isnan(calibration_error(np.array([]), np.array([], dtype=bool)))
    assert math.isnan(task_calibration_error(np.ones((2, 3), np.float32), np.full(2, -1, np.int32)))
    assert math.isnan(task_calibration_error(np.ones((2, 3), np.float32), np.full((2, 3), -1, np.int8)))


def test_classes_are_judged_by_the_most_probable_one_where_there_is_an_annotation():
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.9, 0.05, 0.05]], np.float32)
    found = task_calibration_error(scores, np.array([0, 2, 2, -1], np.int32))
    assert found == pytest.approx(loop_error([0.7, 0.8, 0.4], [True, False, True]), abs=1e-7)


def test_attributes_are_judged_one_by_one_over_their_annotated_images():
    scores = np.array([[0.9, 0.4, 0.5], [0.2, 0.6, 0.5], [0.7, 0.1, 0.5]], np.float32)
    references = np.array([[1, -1, -1], [0, 1, -1], [-1, 0, -1]], np.int8)
    each = [loop_error([0.9, 0.2], [True, False]), loop_error([0.6, 0.1], [True, False])]
    assert task_calibration_error(scores, references) == pytest.approx(np.mean(each), abs=1e-7)


def test_the_course_of_a_number_over_two_seeds():
    first = [1.0, None, 2.0, -1.0, 4.0, 5.0, 6.0, -8.0]
    second = [3.0, 1.0, 0.0, 0.0, 0.0, 0.0, None, None]
    found = course([first, second])
    known = [v for v in (*first, *second) if v is not None]
    assert found.looks == 13
    assert found.mean == pytest.approx(sum(known) / 13)
    assert found.start == pytest.approx((1 + 3 + 1) / 3)  # the first two looks of each
    assert found.end == pytest.approx((6 - 8) / 2)
    assert found.negative == pytest.approx(2 / 13)


def test_a_number_that_was_never_defined_has_no_course():
    found = course([[None, None], []])
    assert found.looks == 0
    assert all(math.isnan(value) for value in (found.mean, found.start, found.end, found.negative))


def look(step, cosine, norm, affinity):
    return Look(
        step=step,
        rate=0.1,
        losses={"a": 1.0, "b": 2.0},
        norms={"whole": {"a": norm, "b": 2 * norm}, "top": {"a": 0.0, "b": norm}},
        cosines=(Cosine(first="a", second="b", by_depth={"whole": cosine, "top": None}),),
        affinity={"a": {"a": affinity, "b": -affinity}, "b": {"a": None, "b": affinity}},
    )


def agreed(step, difference, divergence):
    return Agreement(step=step, relatedness="r", images=9, difference=difference, divergence=divergence)


SEEDS = [
    SimpleNamespace(
        looks=(look(0, 0.5, 3.0, 0.1), look(10, -0.1, 1.0, 0.3)), agreements=(agreed(0, 0.4, 0.2), agreed(11, 0.2, 0.1))
    ),
    SimpleNamespace(
        looks=(look(0, 0.1, 1.0, 0.2), look(10, 0.3, 3.0, 0.2)), agreements=(agreed(0, 0.2, 0.4), agreed(11, 0.1, None))
    ),
]


def test_looks_become_courses_by_pair_loss_and_task():
    (pair,) = pair_cosines("net", "m", SEEDS)
    assert (pair.backbone, pair.method, pair.first, pair.second) == ("net", "m", "a", "b")
    assert pair.by_depth["whole"] == course([[0.5, -0.1], [0.1, 0.3]])
    assert pair.by_depth["top"].looks == 0
    norms = {row.loss: row.by_depth for row in loss_norms("net", "m", SEEDS)}
    assert norms["b"]["whole"] == course([[6.0, 2.0], [2.0, 6.0]])
    assert norms["b"]["top"] == course([[3.0, 1.0], [1.0, 3.0]])
    affinity = {row.source: row.on for row in task_affinities("net", "m", SEEDS)}
    assert affinity["a"]["b"] == course([[-0.1, -0.3], [-0.2, -0.2]])
    assert affinity["b"]["a"].looks == 0


def test_agreement_is_the_mean_over_seeds_step_by_step():
    (found,) = agreement_courses("net", "m", SEEDS)
    assert found.images == 9
    assert [(p.step, p.difference, p.divergence) for p in found.points] == [
        (0, pytest.approx(0.3), pytest.approx(0.3)),
        (11, pytest.approx(0.15), pytest.approx(0.1)),
    ]


def test_tables_say_what_was_found_and_leave_out_what_was_not():
    calibration = Calibration(Cell("set", "a", "net", "m"), {0: 0.1, 1: 0.3, 2: math.nan})
    assert calibration.mean == pytest.approx(0.2)
    found = SuiteDiagnosis(
        suite="s",
        provenance="standin",
        standin=True,
        seeds=(0, 1),
        every=(10,),
        cosines=tuple(pair_cosines("net", "m", SEEDS)),
        norms=tuple(loss_norms("net", "m", SEEDS)),
        affinities=tuple(task_affinities("net", "m", SEEDS)),
        agreements=tuple(agreement_courses("net", "m", SEEDS)),
        calibrations=(calibration,),
        failed=(),
        differing=(),
    )
    cosines, norms, affinity, agreement, ece = diagnosis_tables(found)
    assert {table.warning for table in (cosines, norms, affinity, agreement, ece)} == {STANDIN_WARNING}
    assert cosines.rows == (("m", "a and b", "+0.20", "+0.30", "+0.10", "25%", "– (–)", "4"),)
    assert cosines.headers[6] == "top"
    assert norms.rows[1] == ("m", "b", "4", "4", "4", "2", "4")
    assert affinity.rows[0] == ("net", "m", "a", "+20 [+15, +25]", "-20 [-15, -25]", "4")
    assert affinity.rows[1][3] == "–"
    assert agreement.rows == (("net", "m", "r", "0.300", "0.150", "0.150", "0.300", "0.100", "0.100", "9"),)
    assert ece.rows == (("set", "a", "net", "m", "0.200", "3"),)
    assert Course(0, *[math.nan] * 4) != found.cosines[0].by_depth["whole"]
    bare = SuiteDiagnosis("s", "real", False, (0,), (), (), (), (), (), (), (), ())
    assert diagnosis_tables(bare) == []
