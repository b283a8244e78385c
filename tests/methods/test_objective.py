"""The objective of a run: its terms by name, weighted, with relatedness as tensors."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.errors import UnknownName
from bench.methods.objective import Losses, Objective, Targets, coupling_of, load_term
from bench.methods.terms import distribution_matching, supervised
from bench.specs.components import part_names
from bench.specs.run import RunRelatedness

from .samples import CLASSES, GROUPS, PARTS, TAGS, related, run_with

OUTPUTS = {
    "kind": torch.tensor([[0.5, -1.0, 0.2], [0.0, 2.0, 1.0]]),
    "parts": torch.tensor([[0.5, -1.0, 0.2, 0.1], [0.0, 2.0, 1.0, -3.0]]),
}
TARGETS = Targets(
    {"kind": torch.tensor([1, -1]), "parts": torch.tensor([[-1, -1, -1, -1], [1, 0, -1, 1]], dtype=torch.int8)}
)
TASKS = {"kind": CLASSES, "parts": PARTS}


@pytest.mark.parametrize("name", part_names("bench.methods.terms"))
def test_every_term_module_holds_what_it_must(name):
    term = load_term(name)
    for said in (term.NEEDS_RELATEDNESS, term.NEEDS_TEACHERS, term.BALANCED):
        assert isinstance(said, bool)
    assert term.Options().weight == 1
    with pytest.raises(ValidationError):
        term.Options(weight=-1.0)
    with pytest.raises(ValidationError):
        term.Options(no_such_option=1)


def test_losses_are_given_by_term_and_what_they_are_about_and_weighted():
    terms = [("supervised", {"weight": 0.5}), ("distribution_matching", {"weight": 3.0, "form": "kl"})]
    run = run_with(terms, relatedness=(related(),))
    found = Objective(run, "cpu")(OUTPUTS, TARGETS)
    pairs = [coupling_of(related(), TASKS, "cpu")]
    plain = supervised.losses(supervised.Options(), TASKS, [], OUTPUTS, TARGETS)
    options = distribution_matching.Options(form="kl")
    matched = distribution_matching.losses(options, TASKS, pairs, OUTPUTS, TARGETS)
    assert {name: float(value) for name, value in found.parts.items()} == pytest.approx(
        {
            "supervised.kind": 0.5 * float(plain["kind"]),
            "supervised.parts": 0.5 * float(plain["parts"]),
            "distribution_matching.r": 3 * float(matched["r"]),
        }
    )
    assert float(found.total) == pytest.approx(float(sum(found.parts.values())))


def test_the_losses_of_tasks_are_balanced_and_couplings_are_not():
    """What several terms say of one task is one loss to a balancer."""
    terms = [("supervised", {}), ("distillation", {}), ("distribution_matching", {})]
    taught = {"kind": torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.1, 0.2]])}
    run = run_with(terms, relatedness=(related(),))
    found = Objective(run, "cpu")(OUTPUTS, Targets(TARGETS.labels, taught=taught))
    parts = {name: float(value) for name, value in found.parts.items()}
    assert parts["distillation.kind"] > 0
    assert {name: float(value) for name, value in found.balanced.items()} == pytest.approx(
        {
            "kind": parts["supervised.kind"] + parts["distillation.kind"],
            "parts": parts["supervised.parts"] + parts["distillation.parts"],
        }
    )
    assert {name: float(value) for name, value in found.rest.items()} == {
        "distribution_matching.r": parts["distribution_matching.r"]
    }


def test_a_weight_of_nothing_leaves_no_gradient():
    outputs = {name: value.clone().requires_grad_() for name, value in OUTPUTS.items()}
    run = run_with([("distribution_matching", {"weight": 0.0})], relatedness=(related(),))
    Objective(run, "cpu")(outputs, TARGETS).total.backward()
    assert not any(value.grad.any() for value in outputs.values())


def test_the_total_is_of_all_losses():
    losses = Losses({}, {"kind": torch.tensor(1.0), "parts": torch.tensor(2.5)}, {"c": torch.tensor(0.25)})
    assert float(losses.total) == 3.75


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


def test_cells_of_two_attribute_tasks_about_which_nothing_is_said_are_nan():
    relation = RunRelatedness(
        name="r",
        first_task="tags",
        second_task="parts",
        covered=("s", "p"),
        matrix=((0.5, None), (0.25, 0.75), (None, None)),
        absent=((0.125, None), (1.0, 0.0), (None, None)),
    )
    pair = coupling_of(relation, {"tags": TAGS, "parts": PARTS}, "cpu")
    nan = float("nan")
    expected = [[[0.5, nan], [0.25, 0.75], [nan, nan]], [[0.125, nan], [1.0, 0.0], [nan, nan]]]
    for found, table in zip((pair.matrix, pair.absent), expected, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.tensor(table), equal_nan=True)
    assert not pair.exclusive
    assert coupling_of(related(), TASKS, "cpu").absent is None


def test_an_unknown_term_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'supervised'"):
        Objective(run_with([("supervisd", {})]), "cpu")


def test_options_are_checked_as_strictly_as_specs():
    with pytest.raises(ValidationError):
        Objective(run_with([("distribution_matching", {"form": "reverse"})]), "cpu")
    with pytest.raises(ValidationError):
        Objective(run_with([("supervised", {"weight": "1"})]), "cpu")
