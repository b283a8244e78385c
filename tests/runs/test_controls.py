"""Negative controls: what is taken away is what they say, and nothing else."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.methods.balancers.dwa import Options as DwaOptions
from bench.runs.controls import (
    KINDS,
    control_methods,
    controlled_parts,
    controlled_relatedness,
    moved_places,
    reference_of,
    suite_controls,
)
from bench.runs.parts import TERMS, run_parts
from bench.specs.method import MethodSpec
from bench.specs.model import Component
from bench.specs.run import RunRelatedness
from bench.specs.streams import stream


def method(name, *terms, type="joint", balancer=None):
    parts = tuple(term if isinstance(term, Component) else Component(name=term) for term in terms)
    return MethodSpec(name=name, title=name.title(), type=type, terms=parts, balancer=balancer)


COUPLED = method("matched", "supervised", "distribution_matching")
PLAIN = method("plain", "supervised")


def related(matrix, absent=None, name="pair"):
    covered = tuple(f"s{i}" for i in range(len(matrix[0])))
    return RunRelatedness(
        name=name, first_task="first", second_task="second", covered=covered, matrix=matrix, absent=absent
    )


SHARES = st.floats(0, 1)


@st.composite
def relatednesses(draw):
    """Class tasks, some rows of them equal, and multilabel first tasks with cells of which nothing is said."""
    first, second = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    some = draw(st.lists(st.tuples(*[SHARES] * second), min_size=1, max_size=first))
    matrix = tuple(draw(st.sampled_from(some)) for _ in range(first))
    if draw(st.booleans()):
        return related(matrix)
    said = [[draw(st.booleans()) for _ in range(second)] for _ in range(first)]
    present = tuple(
        tuple(v if s else None for v, s in zip(*row, strict=True)) for row in zip(matrix, said, strict=True)
    )
    absent = tuple(tuple(draw(SHARES) if s else None for s in row) for row in said)
    return related(present, absent)


# ---- which methods have controls, and what they are compared with ----


def test_a_coupled_joint_method_has_three_controls_that_differ_in_name_only():
    found = control_methods(COUPLED)
    assert [control.name for control in found] == ["matched_permuted", "matched_uniform", "matched_zero"]
    assert [control.kind for control in found] == list(KINDS)
    for control in found:
        assert control.of == "matched"
        assert control.title.startswith("Matched: ")
        assert control.method.model_copy(update={"name": "matched", "title": "Matched"}) == COUPLED
    assert len({control.title for control in found}) == 3


@pytest.mark.parametrize("other", [PLAIN, method("alone", "supervised", "distribution_matching", type="single")])
def test_a_method_that_couples_nothing_has_none(other):
    assert control_methods(other) == ()


def test_a_name_that_a_method_has_already_is_refused():
    taken = method("matched_zero", "supervised")
    assert len(suite_controls([PLAIN, COUPLED])) == 3
    with pytest.raises(UsageError, match="'matched_zero' has the name of a negative control of 'matched'") as refused:
        suite_controls([PLAIN, COUPLED, taken])
    assert "--controls" in refused.value.hint


def test_the_reference_is_the_same_method_without_its_coupling():
    weighted = Component(name="supervised", weight=2.0)
    balanced = Component(name="dwa")
    others = [
        method("alone", "supervised", type="single"),
        method("pooled", "supervised", type="pooled"),
        method("balanced", "supervised", balancer=balanced),
        method("heavy", weighted),
        COUPLED,
        PLAIN,
    ]
    assert reference_of(COUPLED, others) is others[-1]
    assert reference_of(method("m", weighted, "distribution_matching"), others) is others[3]
    assert reference_of(method("m", "supervised", "distribution_matching", balancer=balanced), others) is others[2]
    assert reference_of(COUPLED, others[:-1]) is None
    assert reference_of(method("m", "distribution_matching"), others) is None


def test_options_that_are_left_out_count_as_their_defaults():
    written = method("written", Component(name="supervised", weight=1.0))
    assert reference_of(COUPLED, [written]) is written
    long = method("long", "supervised", balancer=Component(name="dwa", **DwaOptions().model_dump()))
    coupled = method("m", "supervised", "distribution_matching", balancer=Component(name="dwa"))
    assert reference_of(coupled, [PLAIN, long]) is long


# ---- permuted ----


def changed(matrix, places):
    return sum(matrix[place] != row for row, place in zip(matrix, places, strict=True))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.integers(0, 50))
def test_no_row_keeps_its_place_and_as_many_change_as_any_derangement_could(rows, seed):
    places = moved_places(rows, stream(seed, "control", "pair"))
    assert sorted(places) == list(range(len(rows)))
    assert all(place != i for i, place in enumerate(places))
    every = (p for p in itertools.permutations(range(len(rows))) if all(place != i for i, place in enumerate(p)))
    assert changed(rows, places) == max(changed(rows, p) for p in every)


def test_two_classes_are_swapped():
    one = related(((0.1, 0.2), (0.8, 0.9)))
    for seed in range(5):
        assert controlled_relatedness("permuted", one, seed).matrix == ((0.8, 0.9), (0.1, 0.2))


def test_a_single_class_has_nothing_to_permute():
    one = related(((0.1, 0.2),))
    assert controlled_relatedness("permuted", one, 0) == one


def test_every_other_class_can_be_the_source_of_a_row():
    found = np.zeros((5, 5), int)
    for seed in range(400):
        found[range(5), moved_places(range(5), stream(seed, "control", "pair"))] += 1
    assert (np.diag(found) == 0).all()
    assert (np.abs(found[~np.eye(5, dtype=bool)] - 100) < 45).all()  # 5 standard deviations of a fair choice


@given(relatednesses(), st.integers(0, 20))
def test_the_same_rows_are_said_of_other_labels(one, seed):
    got = controlled_relatedness("permuted", one, seed)
    assert sorted(map(repr, got.matrix)) == sorted(map(repr, one.matrix))
    assert got.model_copy(update={"matrix": one.matrix, "absent": one.absent}) == one
    if one.absent is not None:  # what is said of a label's presence and absence stays together
        pairs = [sorted(map(repr, zip(r.matrix, r.absent, strict=True))) for r in (one, got)]
        assert pairs[0] == pairs[1]


def test_the_permutation_belongs_to_the_seed_and_to_the_relatedness():
    rows = tuple((i / 10,) for i in range(8))
    one = related(rows)
    assert controlled_relatedness("permuted", one, 3) == controlled_relatedness("permuted", one, 3)
    assert len({controlled_relatedness("permuted", one, seed).matrix for seed in range(10)}) == 10
    assert controlled_relatedness("permuted", related(rows, name="other"), 3).matrix != (
        controlled_relatedness("permuted", one, 3).matrix
    )


# ---- uniform ----


def test_every_class_gets_the_mean_row():
    got = controlled_relatedness("uniform", related(((0.0, 1.0), (0.5, 0.25), (1.0, 0.25))), 0)
    assert got.matrix == ((0.5, 0.5),) * 3


@given(relatednesses())
def test_uniform_says_the_same_of_every_label_and_keeps_the_mean(one):
    got = controlled_relatedness("uniform", one, 0)
    if one.absent is None:
        assert len(set(got.matrix)) == 1
        assert np.allclose(got.matrix[0], np.mean(np.array(one.matrix), axis=0), rtol=0, atol=1e-15)
        return
    assert got.matrix == got.absent
    mean = (np.array(one.matrix, float) + np.array(one.absent, float)) / 2
    assert np.array_equal(np.isnan(mean), np.array([[cell is None for cell in row] for row in got.matrix]))
    assert np.allclose(np.array(got.matrix, float), mean, rtol=0, atol=1e-15, equal_nan=True)


def test_rows_of_an_exclusive_second_task_still_sum_to_one():
    rows = tuple(tuple(map(float, row)) for row in np.random.default_rng(0).dirichlet(np.ones(5), 9))
    (row,) = set(controlled_relatedness("uniform", related(rows), 0).matrix)
    assert math.fsum(row) == pytest.approx(1, abs=1e-15)


# ---- zero ----


def test_zero_takes_the_weight_of_couplings_and_of_nothing_else():
    supervised, matching = run_parts(TERMS, COUPLED.terms)
    got = controlled_parts("zero", TERMS, (supervised, matching))
    assert got[0] == supervised
    assert got[1].options == matching.options | {"weight": 0.0}
    assert (got[1].name, got[1].code) == (matching.name, matching.code)
    one = related(((0.1,), (0.9,)))
    assert controlled_relatedness("zero", one, 0) == one


@pytest.mark.parametrize("kind", ["permuted", "uniform"])
def test_the_other_controls_leave_the_parts_as_they_are(kind):
    parts = run_parts(TERMS, COUPLED.terms)
    assert controlled_parts(kind, TERMS, parts) == parts


def test_a_coupling_without_a_weight_cannot_be_turned_off():
    (matching,) = run_parts(TERMS, [Component(name="distribution_matching")])
    weightless = matching.model_copy(update={"options": {"form": "kl"}})
    with pytest.raises(UsageError, match="'distribution_matching' couples tasks but has no option `weight`"):
        controlled_parts("zero", TERMS, (weightless,))
