"""The objective of a run: its terms by name, weighted, with relatedness as tensors."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.errors import UnknownName
from bench.methods.objective import Objective, coupling_of, load_term
from bench.methods.terms import distribution_matching, supervised
from bench.specs.components import part_names

from .samples import CLASSES, GROUPS, PARTS, related, run_with

OUTPUTS = {
    "kind": torch.tensor([[0.5, -1.0, 0.2], [0.0, 2.0, 1.0]]),
    "parts": torch.tensor([[0.5, -1.0, 0.2, 0.1], [0.0, 2.0, 1.0, -3.0]]),
}
TARGETS = {"kind": torch.tensor([1, -1]), "parts": torch.tensor([[-1, -1, -1, -1], [1, 0, -1, 1]], dtype=torch.int8)}


@pytest.mark.parametrize("name", part_names("bench.methods.terms"))
def test_every_term_module_holds_what_it_must(name):
    term = load_term(name)
    assert isinstance(term.NEEDS_RELATEDNESS, bool)
    assert term.Options().weight == 1
    with pytest.raises(ValidationError):
        term.Options(weight=-1.0)
    with pytest.raises(ValidationError):
        term.Options(no_such_option=1)


def test_terms_are_given_by_name_and_weighted():
    terms = [("supervised", {"weight": 0.5}), ("distribution_matching", {"weight": 3.0, "form": "kl"})]
    run = run_with(terms, relatedness=(related(),))
    found = Objective(run, "cpu")(OUTPUTS, TARGETS)
    assert list(found) == ["supervised", "distribution_matching"]
    tasks = {"kind": CLASSES, "parts": PARTS}
    pairs = [coupling_of(related(), tasks, "cpu")]
    plain = supervised.loss(supervised.Options(), tasks, [], OUTPUTS, TARGETS)
    options = distribution_matching.Options(form="kl")
    matched = distribution_matching.loss(options, tasks, pairs, OUTPUTS, TARGETS)
    assert float(found["supervised"]) == pytest.approx(0.5 * float(plain))
    assert float(found["distribution_matching"]) == pytest.approx(3 * float(matched))


def test_a_weight_of_nothing_leaves_no_gradient():
    outputs = {name: value.clone().requires_grad_() for name, value in OUTPUTS.items()}
    run = run_with([("distribution_matching", {"weight": 0.0})], relatedness=(related(),))
    sum(Objective(run, "cpu")(outputs, TARGETS).values()).backward()
    assert not any(value.grad.any() for value in outputs.values())


def test_columns_are_found_by_label_name():
    pair = coupling_of(related(covered=("s", "p"), matrix=((0.1, 0.2),) * 3), {"parts": PARTS}, "cpu")
    assert pair.covered.tolist() == [3, 0]
    assert pair.covered.dtype == torch.int64
    assert pair.matrix.dtype == torch.float32
    assert pair.matrix.shape == (3, 2)
    assert not pair.exclusive


def test_a_second_class_task_is_exclusive():
    relation = related(covered=("y", "z", "x"), matrix=((0.1, 0.2, 0.7),) * 3, second="group")
    pair = coupling_of(relation, {"group": GROUPS}, "cpu")
    assert pair.exclusive
    assert pair.covered.tolist() == [1, 2, 0]


def test_an_unknown_term_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'supervised'"):
        Objective(run_with([("supervisd", {})]), "cpu")


def test_options_are_checked_as_strictly_as_specs():
    with pytest.raises(ValidationError):
        Objective(run_with([("distribution_matching", {"form": "reverse"})]), "cpu")
    with pytest.raises(ValidationError):
        Objective(run_with([("supervised", {"weight": "1"})]), "cpu")
