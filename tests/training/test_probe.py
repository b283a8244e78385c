"""The probe against plain backward passes and steps of torch's own SGD; and that a probed training is not touched."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.data.batches import SourceData
from bench.methods.objective import Objective, Targets
from bench.methods.terms import distribution_matching
from bench.models._timm import timm
from bench.models.network import Network
from bench.runs.plan import plan
from bench.specs.catalog import open_catalog
from bench.specs.run import RunSpec
from bench.training.loop import train
from bench.training.probe import (
    AGREEMENT_IMAGES,
    SHARE,
    WHOLE,
    RunProbe,
    agreement,
    default_every,
    depths,
)

from ..methods.samples import (
    ATTRIBUTES,
    CLASSES,
    GROUPS,
    HIERARCHY,
    PARTS,
    TAGS,
    attribute_pair,
    coupling,
    related,
    run_with,
)

COUPLED = [("supervised", {}), ("distribution_matching", {"weight": 0.7})]
COUPLING = "distribution_matching.r"
RATE = 0.05


class Body(nn.Module):
    """Numbered parts with batch statistics and dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.entry = nn.Linear(12, 8)
        self.block1 = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(dropout))
        self.block2 = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(dropout))
        self.leave = nn.LayerNorm(8)

    def forward(self, images):
        return self.leave(self.block2(self.block1(self.entry(self.flat(images)))))


def small(tasks=(CLASSES, PARTS), dropout=0.0):
    """A network in float64, a batch, and labels: half of the images have the first task's, the others the rest."""
    torch.manual_seed(1)
    network = Network(Body(dropout), {t.name: nn.Linear(8, len(t.labels)) for t in tasks}, None).double()
    images = torch.randn(10, 3, 2, 2, dtype=torch.float64)
    labels = {}
    for place, task in enumerate(tasks):
        shape = (10,) if task.type == "multiclass" else (10, len(task.labels))
        drawn = torch.randint(len(task.labels) if task.type == "multiclass" else 2, shape)
        known = (torch.arange(10) < 5) == (place == 0)
        drawn[~known] = -1
        labels[task.name] = drawn if task.type == "multiclass" else drawn.to(torch.int8)
    return network, images, Targets(labels)


def looked(run, network, images, targets, rate=RATE):
    probe = RunProbe(run, [], run.relatedness, 1)
    probe.look(
        step=0,
        network=network,
        objective=Objective(run, "cpu"),
        images=images,
        targets=targets,
        rate=rate,
    )
    return probe.looks[0]


def slopes(run, network, images, targets, name):
    """The gradient of one loss by each parameter of the backbone, by a plain backward pass."""
    fresh = copy.deepcopy(network)
    losses = Objective(run, "cpu")(fresh(images).logits, targets)
    chosen = {**losses.balanced, **{part: value for part, value in losses.parts.items() if part == COUPLING}}
    chosen[name].backward()
    return {n: p.grad.numpy() for n, p in fresh.backbone.named_parameters()}


DEPTHS = {"stem": "entry", "block1": "block1", "block2": "block2", "top": "leave"}


def test_cosines_and_norms_are_those_of_plain_backward_passes():
    run = run_with(COUPLED, relatedness=(related(),))
    network, images, targets = small()
    look = looked(run, network, images, targets)
    assert list(look.losses) == ["kind", "parts", COUPLING]
    assert list(look.norms) == [WHOLE, *DEPTHS]
    gradients = {name: slopes(run, network, images, targets, name) for name in look.losses}
    for depth, prefix in {WHOLE: "", **DEPTHS}.items():
        flat = {
            name: np.concatenate([g.ravel() for n, g in found.items() if n.startswith(prefix)])
            for name, found in gradients.items()
        }
        for name, vector in flat.items():
            assert look.norms[depth][name] == pytest.approx(np.linalg.norm(vector), rel=1e-9)
        for pair in look.cosines:
            a, b = flat[pair.first], flat[pair.second]
            expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert pair.by_depth[depth] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert [(pair.first, pair.second) for pair in look.cosines] == [
        ("kind", "parts"),
        ("kind", COUPLING),
        ("parts", COUPLING),
    ]


def test_affinity_is_that_of_a_step_of_sgd_on_the_shared_parameters_alone():
    run = run_with(COUPLED, relatedness=(related(),))
    network, images, targets = small()
    look = looked(run, network, images, targets)
    for source in ("kind", "parts"):
        ahead = copy.deepcopy(network)
        before = Objective(run, "cpu")(ahead(images).logits, targets).balanced
        before[source].backward()
        torch.optim.SGD(ahead.backbone.parameters(), lr=RATE).step()
        after = Objective(run, "cpu")(ahead(images).logits, targets).balanced
        for target in ("kind", "parts"):
            expected = 1 - after[target].item() / before[target].item()
            assert look.affinity[source][target] == pytest.approx(expected, rel=1e-9)
            assert look.losses[target] == pytest.approx(before[target].item(), rel=1e-12)
    assert look.affinity["kind"]["kind"] > 0 < look.affinity["parts"]["parts"]


def test_small_steps_have_the_affinity_that_cosines_and_norms_foretell():
    """Z_ij = rate <g_i, g_j> / L_j to first order."""
    run = run_with([("supervised", {})])
    network, images, targets = small()
    look = looked(run, network, images, targets, rate=1e-6)
    norms, (pair,) = look.norms[WHOLE], look.cosines
    inner = pair.by_depth[WHOLE] * norms["kind"] * norms["parts"]
    assert look.affinity["kind"]["parts"] == pytest.approx(1e-6 * inner / look.losses["parts"], rel=1e-3)
    assert look.affinity["parts"]["kind"] == pytest.approx(1e-6 * inner / look.losses["kind"], rel=1e-3)


def test_tasks_that_ask_for_the_same_pull_the_same_way():
    twin = PARTS.model_copy(update={"name": "again"})
    run = run_with([("supervised", {})], tasks=(PARTS, twin))
    network, images, targets = small((PARTS, twin))
    network.heads["again"].load_state_dict(network.heads["parts"].state_dict())
    look = looked(run, network, images, Targets(dict.fromkeys(("parts", "again"), targets.labels["parts"])))
    (pair,) = look.cosines
    assert all(value == pytest.approx(1) for value in pair.by_depth.values())
    assert look.affinity["parts"]["again"] == look.affinity["parts"]["parts"] == look.affinity["again"]["parts"]


def test_every_forward_of_a_look_draws_the_same_random_numbers():
    """A step of rate 0 changes no loss, however much dropout there is."""
    run = run_with([("supervised", {})])
    network, images, targets = small(dropout=0.5)
    still = looked(run, network, images, targets, rate=0.0)
    assert set(still.affinity["kind"].values()) | set(still.affinity["parts"].values()) == {0.0}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_look_leaves_no_trace(dropout):
    run = run_with(COUPLED, relatedness=(related(),))
    network, images, targets = small(dropout=dropout)
    before, stream = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    looked(run, network, images, targets, rate=10.0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training


def test_parameters_are_put_back_when_a_forward_fails(monkeypatch):
    run = run_with([("supervised", {})])
    network, images, targets = small()
    before = copy.deepcopy(network.state_dict())
    calls = iter([False, True])
    plain = Network.features

    def failing(self, given):
        if next(calls):
            raise MemoryError
        return plain(self, given)

    monkeypatch.setattr(Network, "features", failing)
    with pytest.raises(MemoryError):
        looked(run, network, images, targets)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_task_without_labels_in_the_batch_has_no_cosine_and_no_affinity():
    run = run_with([("supervised", {})])
    network, images, targets = small()
    silent = Targets(targets.labels | {"kind": torch.full((10,), -1)})
    look = looked(run, network, images, silent)
    (pair,) = look.cosines
    assert set(pair.by_depth.values()) == {None}
    assert look.norms[WHOLE]["kind"] == 0
    assert look.affinity["parts"]["kind"] is None
    assert look.affinity["kind"]["parts"] == 0


def test_a_loss_that_is_not_finite_is_seen_as_not_defined():
    run = run_with([("supervised", {})])
    network, images, targets = small()
    look = looked(run, network, images * math.nan, targets)
    assert set(look.losses.values()) == {None} == set(look.cosines[0].by_depth.values())
    assert type(look).model_validate_json(look.model_dump_json()) == look


# ---- depth ----


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("densenet121", ["stem", *(f"features.denseblock{i}" for i in (1, 2, 3, 4)), "top"]),
        ("efficientnet_b0", ["stem", "blocks.0-1", *(f"blocks.{i}" for i in (2, 3, 4, 5, 6)), "top"]),
        ("vit_tiny_patch16_224", ["stem", *(f"blocks.{i}-{i + 1}" for i in (0, 2, 4, 6, 8, 10)), "top"]),
        ("swin_tiny_patch4_window7_224", ["stem", "layers.0", "layers.1", "layers.2", "layers.3", "top"]),
        ("convnext_tiny", ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "top"]),
        ("regnety_002", ["stem", "s1", "s2", "s3", "s4"]),
    ],
)
def test_backbones_of_all_families_have_their_stages_as_depths(name, expected):
    with torch.device("meta"):
        backbone = timm().create_model(name, num_classes=0)
    found = depths(backbone)
    assert list(found) == expected
    assert [id(p) for members in found.values() for p in members] == [id(p) for p in backbone.parameters()]


def test_what_stands_between_two_parts_goes_with_the_first():
    with torch.device("meta"):
        backbone = timm().create_model("densenet121", num_classes=0)
    block = {id(p) for p in depths(backbone)["features.denseblock2"]}
    assert {id(p) for p in backbone.features.transition2.parameters()} < block
    assert {id(p) for p in backbone.features.denseblock2.parameters()} < block


def test_a_backbone_without_numbered_parts_is_told_by_its_own():
    plain = nn.Sequential()
    plain.add_module("first", nn.Linear(4, 4))
    plain.add_module("second", nn.Linear(4, 4, bias=False))
    assert {name: len(members) for name, members in depths(plain).items()} == {"first": 2, "second": 1}
    assert {name: len(members) for name, members in depths(nn.Linear(3, 3)).items()} == {"stem": 2}


def test_frozen_parameters_are_left_out():
    network, images, targets = small()
    for parameter in network.backbone.block1.parameters():
        parameter.requires_grad_(False)
    look = looked(run_with([("supervised", {})]), network, images, targets)
    assert list(look.norms) == [WHOLE, "stem", "block2", "top"]


# ---- agreement ----


def logits(n, labels, seed):
    return torch.tensor(np.random.default_rng(seed).normal(size=(n, labels)) * 2)


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def loop_agreement(first, second, implied_by):
    """Of attributes, one number at a time; `implied_by(image, label)` is q."""
    differences, divergences = [], []
    for n in range(len(first)):
        for i, z in enumerate(second[n]):
            q = implied_by(n, i)
            if q is None:
                continue
            p = 1 / (1 + math.exp(-z))
            differences.append(abs(q - p))
            divergences.append(
                (q * math.log(q / p) if q > 0 else 0) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0)
            )
    return np.mean(differences), np.mean(divergences)


def test_agreement_of_classes_and_attributes_is_that_of_a_loop():
    covered = [2, 0, 3]
    table = ATTRIBUTES[:, :3]
    first, second = logits(6, 3, 0), logits(6, 4, 1)
    pair = coupling(table, covered, exclusive=False)
    expected = loop_agreement(
        first, second[:, covered].tolist(), lambda n, i: float(softmax(first[n].numpy()) @ table[:, i])
    )
    assert agreement(first, second, pair) == pytest.approx(expected, rel=1e-12)


def test_agreement_of_two_class_tasks_is_that_of_a_loop():
    first, second = logits(6, 3, 2), logits(6, 3, 3)
    differences, divergences = [], []
    for a, b in zip(first.numpy(), second.numpy(), strict=True):
        q, p = softmax(a) @ HIERARCHY, softmax(b)
        differences += [abs(x - y) for x, y in zip(q, p, strict=True)]
        divergences.append(sum(x * math.log(x / y) for x, y in zip(q, p, strict=True) if x > 0))
    found = agreement(first, second, coupling(HIERARCHY, [0, 1, 2], exclusive=True))
    assert found == pytest.approx((np.mean(differences), np.mean(divergences)), rel=1e-12)


def test_agreement_of_two_attribute_tasks_leaves_out_what_nothing_is_said_about():
    nan = math.nan
    present = [[0.9, nan, nan], [0.2, 0.7, nan], [nan, 0.5, nan]]
    absent = [[0.1, nan, nan], [0.6, 0.3, nan], [nan, 0.0, nan]]
    covered = [0, 3, 1]
    first, second = logits(5, 3, 4), logits(5, 4, 5)
    pair = attribute_pair(present, absent, covered)

    def implied_by(n, i):
        said = [f for f in range(3) if present[f][i] == present[f][i]]
        there = [1 / (1 + math.exp(-float(first[n, f]))) for f in range(3)]
        each = [there[f] * present[f][i] + (1 - there[f]) * absent[f][i] for f in said]
        return sum(each) / len(each) if each else None

    expected = loop_agreement(first, second[:, covered].tolist(), implied_by)
    assert agreement(first, second, pair) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=20)
def test_divergence_is_what_distribution_matching_makes_small(seed, exclusive):
    """The term in its form `kl` with the classes as targets, which keeps the table's cells off 0 and 1."""
    table = HIERARCHY if exclusive else ATTRIBUTES
    pair = coupling(table, list(range(table.shape[1])), exclusive=exclusive)
    first, second = logits(4, 3, seed), logits(4, table.shape[1], seed + 1)
    options = distribution_matching.Options(form="kl", target="classes")
    expected = float(distribution_matching.matching_loss(options, pair, first, second))
    difference, divergence = agreement(first, second, pair)
    assert divergence == pytest.approx(expected, abs=2e-5)
    assert divergence >= 0 and 0 <= difference <= 1
    if not exclusive:  # Pinsker's inequality for each attribute, and Jensen's for their mean
        assert difference <= math.sqrt(divergence / 2) + 1e-12


def test_predictions_that_follow_the_relatedness_agree():
    table = ATTRIBUTES.clip(0.05, 0.95)
    first = logits(5, 3, 8)
    second = torch.logit(first.softmax(1) @ torch.tensor(table))
    difference, divergence = agreement(first, second, coupling(table, [0, 1, 2, 3], exclusive=False))
    assert (difference, divergence) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))


# ---- in a training ----


@pytest.fixture
def planned(world, monkeypatch):
    """The tiny suite's plan with its data prepared; the network has drop path, so that chance matters."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    world.change("tiny_net", "timm: test_resnet", "timm: test_resnet\noptions: {drop_path_rate: 0.3}")
    return prepared()


def prepared():
    (one,) = plan(open_catalog([]), "tiny", seeds=1)
    for preparation in one.preparations.values():
        preparation.prepare()
    return one


def sources_of(one, run):
    return [SourceData(source, one.preparations[source.dataset].open()) for source in run.sources]


def run_of(one, method):
    return next(run.spec for run in one.runs if run.method == method)


@pytest.mark.parametrize("method", ["multi_task", "distribution_matching"])
def test_a_probed_training_ends_with_the_same_numbers_to_the_bit(planned, tmp_path, method):
    run = run_of(planned, method)
    sources = sources_of(planned, run)
    probe = RunProbe(run, sources, planned.relatedness, 1)
    plain, probed = (
        train(run, sources, checkpoint=tmp_path / name, checkpoint_every=99, probe=given)
        for name, given in (("plain", None), ("probed", probe))
    )
    assert [look.step for look in probe.looks] == list(range(6))
    assert probed.curve == plain.curve
    assert probed.selected_step == plain.selected_step
    assert all(torch.equal(value, plain.network[name]) for name, value in probed.network.items())
    for ours, theirs in zip(probed.predictions, plain.predictions, strict=True):
        assert np.array_equal(ours.scores, theirs.scores)

    tasks = ["expression", "action_units"]
    coupled = method == "distribution_matching"
    assert list(probe.looks[0].losses) == [*tasks, *(["distribution_matching.emotion_action_units"] * coupled)]
    assert list(probe.looks[0].affinity) == tasks
    rates = [look.rate for look in probe.looks]
    assert max(rates) == run.recipe.optimizer.learning_rate
    assert [(a.step, a.relatedness) for a in probe.agreements] == [(s, "emotion_action_units") for s in (0, 3, 6)]


def test_a_run_in_half_precision_is_looked_at_in_full(planned, world, tmp_path):
    """One step changes a loss by less than half precision tells; and the training is still not touched.

    Its weights are not compared: torch leaves gradients of kernel cells that only ever meet padding as it finds them.
    """
    world.change("tiny_budget", "image_size: 16", "image_size: 32")  # torch 2.13 gives NaN of maps of one pixel
    planned = prepared()
    content = run_of(planned, "multi_task").model_dump(mode="json")
    content["recipe"]["precision"] = "bfloat16"
    run = RunSpec.model_validate_json(json.dumps(content))
    sources = sources_of(planned, run)
    probe, full = (RunProbe(run, sources, (), 1) for _ in range(2))
    plain, probed = (
        train(run, sources, checkpoint=tmp_path / name, checkpoint_every=99, probe=given)
        for name, given in (("plain", None), ("probed", probe))
    )
    assert probed.curve == plain.curve
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(probed.predictions, plain.predictions, strict=True))
    float32 = run_of(planned, "multi_task")
    train(float32, sources, checkpoint=tmp_path / "full", checkpoint_every=99, probe=full)
    assert probe.looks[0] == full.looks[0]


def test_the_same_validation_images_are_asked_in_every_run_and_the_network_stays_in_its_mode(planned):
    seen = []
    for method in ("multi_task", "distribution_matching"):
        run = run_of(planned, method)
        probe = RunProbe(run, sources_of(planned, run), planned.relatedness, 1)
        seen.append(probe._validation)
        heads = {task.name: nn.Linear(4, len(task.labels)) for task in run.tasks}
        network = Network(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)), heads, None)
        probe.validated(step=3, network=network)
        assert network.training
        network.eval()
        probe.validated(step=6, network=network)
        assert not network.training
        (first, second) = probe.agreements
        assert first == second.model_copy(update={"step": 3})
        assert first.images == len(seen[-1]) == 48
    assert torch.equal(*seen)


def test_no_more_validation_images_are_asked_than_looks_may_cost(planned, monkeypatch):
    run = run_of(planned, "multi_task")
    monkeypatch.setattr("bench.training.probe.AGREEMENT_IMAGES", 10)
    images = RunProbe(run, sources_of(planned, run), planned.relatedness, 1)._validation
    assert len(images) == 10
    assert AGREEMENT_IMAGES == 256


@pytest.mark.parametrize(
    ("every", "steps", "at"), [(2, 6, [0, 2, 4, 5]), (5, 6, [0, 5]), (100, 6, [0, 5]), (1, 1, [0])]
)
def test_every_nth_step_and_the_last_are_looked_at(every, steps, at):
    run = run_with([("supervised", {})])
    run = run.model_copy(update={"recipe": run.recipe.model_copy(update={"steps": steps})})
    probe = RunProbe(run, [], (), every)
    assert [step for step in range(steps) if probe.wants(step)] == at


def test_looks_are_rarer_where_they_cost_more():
    def expected(tasks, couplings):
        return math.ceil((1 + 2 * (tasks + couplings) + tasks) / 3 / SHARE)

    alone, coupled = run_with([("supervised", {})]), run_with(COUPLED, relatedness=(related(),))
    assert default_every(alone, ()) == expected(2, 0)
    assert default_every(coupled, (related(),)) == expected(2, 1)
    assert default_every(alone, (related(),)) == expected(2, 1)  # the same steps as of the coupled methods beside it
    twice = run_with([*COUPLED, ("soft_co_annotation", {})], relatedness=(related(),))
    assert default_every(twice, (related(),)) == expected(2, 2)
    many = run_with([("supervised", {})], tasks=(CLASSES, PARTS, TAGS, GROUPS))
    assert default_every(many, ()) == expected(4, 0)
    half = alone.model_copy(update={"recipe": alone.recipe.model_copy(update={"precision": "bfloat16"})})
    assert default_every(half, ()) > default_every(alone, ())
