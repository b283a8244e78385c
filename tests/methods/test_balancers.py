"""Balancers: against TorchJD's own, against closed forms, on tasks without labels, and after an interruption."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from torch import nn
from torchjd import aggregation, scalarization
from torchjd.autojac import jac_to_grad, mtl_backward

from bench.errors import Diverged, UnknownName, UsageError
from bench.methods.balance import GradientBalancer, LossBalancer, Shared, Sum, balancer_of, load_balancer
from bench.methods.balancers import cagrad
from bench.methods.objective import Losses, Objective, Targets
from bench.specs.catalog import open_catalog
from bench.specs.components import part_names, read_options
from bench.specs.method import MethodSpec
from bench.specs.run import RunPart
from bench.specs.streams import stream

from .samples import CLASSES, PARTS, run_with

TASKS = ("kind", "parts", "group")
NAMES = part_names("bench.methods.balancers")
BY_GRADIENT = tuple(name for name in NAMES if load_balancer(name).KIND == "gradient")
BY_LOSS = tuple(name for name in NAMES if name not in BY_GRADIENT)
AT_FEATURES = ("mgda", "imtl_g", "aligned_mtl")
NEEDED = {"static": {"weights": {"kind": 0.5, "group": 3.0}}}


def made(name, tasks=TASKS, seed=0, **options):
    module = load_balancer(name)
    return module.make(read_options(module.Options, {**NEEDED.get(name, {}), **options}), tasks, seed)


def combine(name, rows, *, step=0, seed=0, rest=(), **options):
    """The gradient that a balancer makes at shared parameters where tasks have the gradients `rows` [tasks, n]."""
    rows = torch.as_tensor(np.asarray(rows), dtype=torch.float32)
    point = nn.Parameter(torch.zeros(rows.shape[1]))
    tasks = [f"task{i}" for i in range(len(rows))]
    heads = {task: (nn.Parameter(torch.ones(())),) for task in tasks}
    features = point[None] * 1
    losses = {task: heads[task][0] * (row @ features[0]) for task, row in zip(tasks, rows, strict=True)}
    balancer = made(name, tasks, seed, **options)
    balancer.backward(
        Losses({}, losses, {str(i): weight @ features[0] for i, weight in enumerate(rest)}),
        step,
        Shared(features, [point], heads),
        torch.Tensor.backward,
    )
    return point.grad


class Small(nn.Module):
    """A convolutional backbone in channels-last order with a head for each task."""

    def __init__(self, tasks=TASKS):
        super().__init__()
        torch.manual_seed(1)
        layers = (
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 8),
        )
        self.backbone = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.heads = nn.ModuleDict({task: nn.Linear(8, 3) for task in tasks})

    def forward(self, step, labelled=TASKS):
        """Shared features and the tasks' losses on the images of a step; each third of them has labels of one task."""
        generator = torch.Generator().manual_seed(step)
        images, labels = torch.randn(9, 3, 8, 8, generator=generator), torch.arange(9) % 3
        features = self.backbone(images)
        losses = {}
        for i, (task, head) in enumerate(self.heads.items()):
            each = nn.functional.cross_entropy(head(features), labels, reduction="none")
            losses[task] = each[3 * i : 3 * i + 3].sum() * (task in labelled)
        return features, losses

    def shared(self, features):
        heads = {task: tuple(head.parameters()) for task, head in self.heads.items()}
        return Shared(features, tuple(self.backbone.parameters()), heads)


def trained(network, balancer, steps, optimizer=None):
    """Train as the loop does."""
    optimizer = optimizer or torch.optim.SGD([*network.parameters(), *balancer.parameters()], lr=0.05)
    for step in steps:
        labelled = TASKS if step % 4 else TASKS[:2]
        features, losses = network(step, labelled)
        balancer.backward(Losses({}, losses, {}), step, network.shared(features), torch.Tensor.backward)
        optimizer.step()
        optimizer.zero_grad()
        if balancer.looks_again:
            with torch.no_grad():
                balancer.after_step(torch.stack(list(network(step, labelled)[1].values())))
    return torch.cat([p.detach().flatten() for p in [*network.parameters(), *balancer.parameters()]])


@pytest.mark.parametrize("name", NAMES)
def test_every_balancer_module_holds_what_it_must(name):
    module = load_balancer(name)
    options = read_options(module.Options, NEEDED.get(name, {}))
    assert module.KIND in ("loss", "gradient")
    assert not module.check(options, TASKS)
    assert isinstance(module.make(options, TASKS, 0), GradientBalancer if name in BY_GRADIENT else LossBalancer)
    with pytest.raises(ValidationError):
        read_options(module.Options, {"no_such_option": 1})


def test_every_balancer_is_shipped_as_a_method():
    catalog = open_catalog()
    methods = [catalog.get(MethodSpec, name) for name in catalog.names("method")]
    shipped = {method.balancer.name for method in methods if method.balancer is not None}
    assert shipped == set(NAMES)
    for method in methods:
        if method.balancer is not None:
            read_options(load_balancer(method.balancer.name).Options, method.balancer.options)


# --- losses weighed ---


def peer(name):
    """TorchJD's own; called with (losses), then told of the end of a window or of the losses after a step."""
    if name == "uncertainty":
        return scalarization.UW(3)
    peers = {"equal": scalarization.Mean, "dwa": scalarization.DWA, "gls": scalarization.GeometricMean}
    if name in peers:
        return peers[name]()
    if name == "static":
        return scalarization.Constant(torch.tensor([0.5, 1.0, 3.0]))
    return scalarization.FAMO(3)


@pytest.mark.parametrize("name", ["equal", "static", "uncertainty", "dwa", "gls", "famo"])
def test_training_goes_as_with_the_scalarizers_of_torchjd(name):
    balancer, other = made(name, **({"window": 5} if name == "dwa" else {})), peer(name)
    goals = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]])
    ours, theirs = (nn.Parameter(torch.tensor([3.0, -2.0])) for _ in range(2))
    optimizers = [
        torch.optim.SGD([at, *extra.parameters()] if name == "uncertainty" else [at], lr=0.05)
        for at, extra in ((ours, balancer), (theirs, other))
    ]

    def losses(at, step):
        return ((at - goals) ** 2).sum(1) * torch.tensor([1.0, 2.0, 0.5]) + 0.1 + step % 3

    for step in range(32):
        balancer.combined(losses(ours, step), step).backward()
        # Kendall's form for classification is that for regression of a loss twice as large.
        other(losses(theirs, step) * (2 if name == "uncertainty" else 1)).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if name == "famo":
            with torch.no_grad():
                balancer.after_step(losses(ours, step))
                other.update(losses(theirs, step))
        if name == "dwa" and step % 5 == 4:
            other.step()
    assert not torch.allclose(ours, torch.tensor([3.0, -2.0]), atol=0.5)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_random_weights_belong_to_seed_and_step():
    weights = {}
    for seed, step in ((0, 0), (0, 1), (1, 0)):
        losses = torch.ones(3, requires_grad=True)
        made("rlw", seed=seed).combined(losses, step).backward()
        drawn = np.exp(stream(seed, "balancer", step).standard_normal(3))
        np.testing.assert_allclose(losses.grad.numpy(), drawn / drawn.sum(), rtol=1e-5)
        weights[seed, step] = tuple(losses.grad.tolist())
    assert len(set(weights.values())) == 3


@pytest.mark.parametrize("name", BY_LOSS)
@settings(max_examples=25)
@given(data=arrays.arrays(np.float64, (12, 3), elements=st.sampled_from([0.0, 1e-6, 0.3, 2.0, 50.0])))
def test_tasks_without_a_label_leave_everything_finite(name, data):
    balancer = made(name, **({"window": 3} if name == "dwa" else {}))
    for step, row in enumerate(data):
        losses = torch.tensor(row, dtype=torch.float32, requires_grad=True)
        combined = balancer.combined(losses, step)
        combined.backward()
        assert bool(torch.isfinite(combined))
        assert bool(torch.isfinite(losses.grad).all())
        with torch.no_grad():
            balancer.after_step(losses * 0.9)
            for parameter in balancer.parameters():
                parameter -= 0.01 * parameter.grad
                parameter.grad = None
    assert all(bool(torch.isfinite(value).all()) for value in balancer.state_dict().values())


@pytest.mark.parametrize("name", ["uncertainty", "dwa", "gls", "famo"])
def test_a_task_without_a_label_has_no_say(name):
    gradients = []
    for values, tasks in (([0.7, 0.0, 2.0], TASKS), ([0.7, 2.0], TASKS[::2])):
        balancer = made(name, tasks)
        for step in range(3):
            losses = torch.tensor(values, requires_grad=True)
            balancer.combined(losses, step).backward()
            with torch.no_grad():
                balancer.after_step(
                    losses * torch.linspace(0.5, 0.9, len(values))[[0, -1] if len(values) == 2 else [0, 1, 2]]
                )
        gradients.append(losses.grad[[0, -1]])
    torch.testing.assert_close(*gradients)


def test_a_variance_waits_for_labels_of_its_task():
    balancer = made("uncertainty")
    balancer.combined(torch.tensor([0.7, 0.0, 2.0], requires_grad=True), 0).backward()
    torch.testing.assert_close(balancer.log_variances.grad, torch.tensor([0.5 - 0.7, 0.0, 0.5 - 2.0]))


def test_windows_average_over_the_batches_that_have_labels():
    balancer = made("dwa", window=4)
    for step in range(12):
        losses = torch.tensor([1.0, float(step not in (1, 2)), 1.0 + step // 4], requires_grad=True)
        balancer.combined(losses, step).backward()
    rates = np.array([1.0, 1.0, 2.0])
    np.testing.assert_allclose(losses.grad.numpy(), 3 * np.exp(rates / 2) / np.exp(rates / 2).sum(), rtol=1e-5)


def test_weights_that_are_given_find_their_task_by_name():
    labels = {"kind": torch.tensor([1, -1]), "parts": torch.tensor([[-1] * 4, [1, 0, -1, 1]], dtype=torch.int8)}
    for tasks in ((CLASSES, PARTS), (PARTS, CLASSES)):
        outputs = {"kind": torch.randn(2, 3, requires_grad=True), "parts": torch.randn(2, 4, requires_grad=True)}
        losses = Objective(run_with([("supervised", {})], tasks=tasks), "cpu")(outputs, Targets(labels))
        balancer = made("static", [task.name for task in tasks], weights={"kind": 5.0, "parts": 0.0})
        balancer.backward(losses, 0, Shared(torch.empty(0), (), {}), torch.Tensor.backward)
        (expected,) = torch.autograd.grad(
            nn.functional.cross_entropy(outputs["kind"][:1], labels["kind"][:1]), outputs["kind"]
        )
        torch.testing.assert_close(outputs["kind"].grad, 5 * expected)
        assert not outputs["parts"].grad.any()


def test_a_weight_of_no_task_is_refused_with_the_nearest():
    options = read_options(load_balancer("static").Options, {"weights": {"kinds": 1.0}})
    (message,) = load_balancer("static").check(options, TASKS)
    assert "'kinds'" in message
    assert "did you mean 'kind'" in message
    with pytest.raises(UnknownName, match="did you mean 'kind'"):
        load_balancer("static").make(options, TASKS, 0)
    for weights in ({}, {"kind": -1.0}):
        with pytest.raises(ValidationError):
            read_options(load_balancer("static").Options, {"weights": weights})


# --- gradients weighed ---

AGGREGATORS = {
    "upgrad": lambda: aggregation.UPGrad(),  # by quadprog
    "mgda": lambda: aggregation.MGDA(),
    "cagrad": lambda: aggregation.CAGrad(c=0.4),
    "imtl_g": lambda: aggregation.IMTLG(),
    "aligned_mtl": lambda: aggregation.AlignedMTL(),
}


@pytest.mark.parametrize("name", AGGREGATORS)
def test_gradients_are_those_of_torchjds_own_loop(name):
    ours, theirs = Small(), Small()
    features, losses = ours(0)
    made(name).backward(Losses({}, losses, {}), 0, ours.shared(features), torch.Tensor.backward)
    features, losses = theirs(0)
    shared = theirs.shared(features)
    mtl_backward(
        list(losses.values()), features, tasks_params=list(shared.heads.values()), shared_params=shared.backbone
    )
    jac_to_grad(shared.backbone, AGGREGATORS[name]())
    for (where, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(
            mine.grad, other.grad, rtol=2e-3, atol=2e-5, msg=lambda text, where=where: f"{where}: {text}"
        )


def test_bargaining_comes_to_what_torchjd_comes_near():
    rows = np.random.default_rng(3).normal(size=(3, 6))
    rows[2] -= rows[0]
    aggregator = aggregation.NashMTL(3, optim_niter=100)
    with pytest.warns(UserWarning, match="not DPP"):
        expected = aggregator(torch.tensor(rows, dtype=torch.float32))
    torch.testing.assert_close(combine("nash_mtl", rows), expected.float(), rtol=1e-2, atol=1e-3)


gradients = arrays.arrays(np.float64, st.tuples(st.integers(2, 4), st.just(6)), elements=st.floats(-2, 2, width=32))


@settings(max_examples=50)
@given(rows=gradients)
def test_bargaining_multiplies_to_the_most(rows):
    """G w = 1 / w: what each task gains is one over its weight; found anew by a general optimiser."""
    if np.linalg.svd(rows, compute_uv=False)[-1] < 0.1:
        rows = rows + np.eye(*rows.shape)
    if np.linalg.svd(rows, compute_uv=False)[-1] < 0.1:
        return
    update = combine("nash_mtl", rows, max_norm=1.0).double().numpy()

    def loss(weights):
        gain = rows @ (weights @ rows)
        return weights @ gain / 2 - np.log(weights).sum(), gain - 1 / weights

    found = minimize(
        loss, np.ones(len(rows)), jac=True, method="L-BFGS-B", bounds=[(1e-6, None)] * len(rows), tol=1e-12
    )
    expected = found.x @ rows
    cosine = update @ expected / np.linalg.norm(update) / np.linalg.norm(expected)
    assert cosine == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(update) <= 1 + 1e-5


def test_two_gradients_have_their_shortest_combination_in_closed_form():
    first, second = np.array([1.0, 2.0, 0.0]), np.array([0.5, -1.0, 1.0])
    share = np.clip((second - first) @ second / ((first - second) @ (first - second)), 0, 1)
    expected = share * first + (1 - share) * second
    np.testing.assert_allclose(combine("mgda", [first, second]).numpy(), expected, rtol=1e-5)


def test_two_conflicting_gradients_are_projected_on_each_others_normal():
    first, second = np.array([1.0, 2.0, 0.0]), np.array([0.5, -1.0, 1.0])
    product = first @ second
    assert product < 0
    expected = first + second - product / (second @ second) * second - product / (first @ first) * first
    np.testing.assert_allclose(combine("pcgrad", [first, second]).numpy(), expected, rtol=1e-5)
    # Each projection has no conflict with the other, and the mean of them is the unconflicting one of two tasks.
    np.testing.assert_allclose(combine("upgrad", [first, second]).numpy(), expected / 2, rtol=1e-3)


@settings(max_examples=50)
@given(rows=gradients)
def test_the_unconflicting_combination_conflicts_with_none(rows):
    update = combine("upgrad", rows).double().numpy()
    # The ridge of 1e-4 lets each of the projections fall short by at most its square root, as a part of the trace.
    assert (rows @ update >= -0.0101 * (rows**2).sum()).all()


@settings(max_examples=50)
@given(rows=gradients)
def test_the_shortest_combination_helps_all_or_none(rows):
    update = combine("mgda", rows).double().numpy()
    shortest = minimize(
        lambda w: ((w @ rows) ** 2).sum(),
        np.full(len(rows), 1 / len(rows)),
        bounds=[(0, 1)] * len(rows),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
    )
    if (np.linalg.norm(rows, axis=1) > 1e-6).all():
        assert (update**2).sum() <= shortest.fun + 0.02 * (rows**2).sum()


def test_impartial_projections_are_equally_long():
    rows = np.array([[1.0, 2.0, 0.0, 0.1], [3.0, -1.0, 1.0, 0.0], [0.0, 0.2, 0.0, 0.4]])
    update = combine("imtl_g", rows).numpy()
    projections = rows @ update / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-4)


def test_a_ball_of_no_size_leaves_the_mean():
    rows = np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 1.0]])
    np.testing.assert_allclose(combine("cagrad", rows, c=0.0).numpy(), rows.mean(0), rtol=1e-5)


LENGTHS = np.array([0.5, 2.0, 4.0])
ORTHOGONAL = {
    "upgrad": np.full(3, 1 / 3),
    "pcgrad": np.ones(3),
    "mgda": LENGTHS**-2 / (LENGTHS**-2).sum(),
    "imtl_g": LENGTHS**-1 / (LENGTHS**-1).sum(),
    "aligned_mtl": LENGTHS.min() / LENGTHS / 3,
    "nash_mtl": LENGTHS**-1 / np.sqrt(3),
}


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_orthogonal_gradients_are_weighed_in_closed_form(name):
    update = combine(name, np.diag(LENGTHS)).numpy()
    np.testing.assert_allclose(update, ORTHOGONAL[name] * LENGTHS, rtol=0.06 if name == "mgda" else 1e-4)


def test_bargaining_shortens_what_is_too_long():
    rows = np.diag(LENGTHS)
    assert float(combine("nash_mtl", rows, max_norm=0.25).norm()) == pytest.approx(0.25, rel=1e-5)
    # Inner products scaled to a norm of 1 make the update sqrt(tasks x norm) long by itself.
    free = float(combine("nash_mtl", rows, max_norm=1e9).norm())
    assert free == pytest.approx(np.sqrt(3 * np.linalg.norm(rows @ rows.T)), rel=1e-4)


DEGENERATE = {
    "all zero": [[0.0, 0.0], [0.0, 0.0]],
    "one task": [[0.0, 0.0], [1.0, 2.0]],
    "equal": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
    "opposed": [[0.3, 0.7], [-0.3, -0.7]],
    "opposed and more": [[0.3, 0.7], [-0.3, -0.7], [1.0, 0.0]],
    "almost equal": [[1.0, 2.0], [1.0, 2.0000002]],
    "tiny": [[1e-12, 0.0], [0.0, 1e-12]],
    "huge": [[1e12, 0.0], [1e11, 1e12]],
    "far apart in size": [[1e-9, 0.0], [1e3, 1e6]],
}


@pytest.mark.parametrize("name", BY_GRADIENT)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_gradients_stay_finite_and_of_their_size(name, case):
    rows = np.array(DEGENERATE[case])
    update = combine(name, rows)
    assert bool(torch.isfinite(update).all())
    assert float(update.norm()) <= 1.41 * np.linalg.norm(rows, axis=1).sum()  # CAGrad goes a part of 0.4 beyond
    if case == "all zero":
        assert not update.any()
    if case == "opposed":
        assert float(update.norm()) < 0.05


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_task_without_a_label_is_as_if_it_were_not_there(name):
    rows = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]])
    with_silent = np.insert(rows, 1, 0.0, axis=0)
    for step in range(3):
        torch.testing.assert_close(combine(name, with_silent, step=step), combine(name, rows, step=step))


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_weights_do_not_depend_on_the_size_of_all_gradients_together(name):
    rows = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]])
    options = {"max_norm": 1e9} if name == "nash_mtl" else {}
    large, small = combine(name, rows, **options), combine(name, rows * 1e-6, **options)
    torch.testing.assert_close(small / small.norm(), large / large.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_couplings_are_added_as_they_are(name):
    rows, rest = (
        np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]]),
        [torch.tensor([7.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])],
    )
    torch.testing.assert_close(combine(name, rows, rest=rest), combine(name, rows) + sum(rest))


@pytest.mark.parametrize("name", BY_GRADIENT)
@pytest.mark.parametrize("at", ["parameters", "features"])
def test_heads_get_the_gradient_of_their_own_task(name, at):
    if at == "features" and name not in AT_FEATURES:
        with pytest.raises(ValidationError):
            made(name, at=at)
        return
    network = Small()
    features, losses = network(0)
    expected = {
        task: torch.autograd.grad(losses[task], network.heads[task].weight, retain_graph=True)[0] for task in TASKS
    }
    made(name, **({"at": at} if name in AT_FEATURES else {})).backward(
        Losses({}, losses, {"other": network.heads["kind"].weight.sum()}),
        0,
        network.shared(features),
        torch.Tensor.backward,
    )
    expected["kind"] = expected["kind"] + 1
    for task in TASKS:
        torch.testing.assert_close(network.heads[task].weight.grad, expected[task])


@pytest.mark.parametrize("name", AT_FEATURES)
def test_gradients_at_the_features_are_combined_there(name):
    network, other = Small(), Small()
    features, losses = network(0)
    balancer = made(name, at="features")
    rest = {"other": features.square().sum()}
    balancer.backward(Losses({}, losses, rest), 0, network.shared(features), torch.Tensor.backward)
    features, losses = other(0)
    rows = [torch.autograd.grad(loss, features, retain_graph=True)[0] for loss in losses.values()]
    combined = AGGREGATORS[name]()(torch.stack(rows).flatten(1)).reshape(features.shape)
    features.backward(combined + 2 * features.detach())
    for mine, theirs in zip(network.backbone.parameters(), other.backbone.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    assert balancer.held_bytes == 3 * features.numel() * 4


def test_features_cost_one_pass_through_the_backbone():
    passes = {}
    for at in ("parameters", "features"):
        network = Small()
        features, losses = network(0)
        count = []
        network.backbone[0].weight.register_hook(count.append)
        features.grad_fn.register_hook(lambda *_, count=count: count.append(None))
        made("mgda", at=at).backward(Losses({}, losses, {}), 0, network.shared(features), torch.Tensor.backward)
        passes[at] = sum(entry is None for entry in count)
    assert passes == {"parameters": 3, "features": 1}


def test_memory_of_the_jacobian_is_told():
    network, balancer = Small(), made("mgda")
    features, losses = network(0)
    assert balancer.held_bytes == 0
    balancer.backward(Losses({}, losses, {}), 0, network.shared(features), torch.Tensor.backward)
    assert balancer.held_bytes == 3 * 4 * sum(p.numel() for p in network.backbone.parameters())
    assert not any(hasattr(parameter, "jac") for parameter in network.parameters())


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_gradients_lie_in_memory_as_their_parameters_do(name):
    network = Small()
    features, losses = network(0)
    made(name).backward(Losses({}, losses, {}), 0, network.shared(features), torch.Tensor.backward)
    assert not network.backbone[0].weight.is_contiguous()
    assert all(parameter.grad.stride() == parameter.stride() for parameter in network.parameters())


@pytest.mark.parametrize("at", ["parameters", "features"])
def test_half_precision_comes_near(at):
    found = []
    for enabled in (False, True):
        network = Small()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            features, losses = network(0)
        assert features.dtype == (torch.bfloat16 if enabled else torch.float32)
        losses = {task: loss.float() for task, loss in losses.items()}
        made("mgda", at=at).backward(Losses({}, losses, {}), 0, network.shared(features), torch.Tensor.backward)
        assert all(parameter.grad.dtype == torch.float32 for parameter in network.parameters())
        found.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 0.1


def test_projections_leave_the_stream_of_dropout_alone():
    rows = np.random.default_rng(0).normal(size=(4, 2))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = combine("pcgrad", rows, step=2)
    torch.testing.assert_close(torch.rand(3), expected)
    torch.testing.assert_close(combine("pcgrad", rows, step=2), first, rtol=0, atol=0)
    for others in ([(step, 0) for step in range(3, 7)], [(2, seed) for seed in range(1, 5)]):
        assert any(not torch.equal(first, combine("pcgrad", rows, step=step, seed=seed)) for step, seed in others)


@pytest.mark.parametrize("name", NAMES)
def test_going_on_from_a_checkpoint_changes_nothing(name, tmp_path):
    options = {"window": 5} if name == "dwa" else {}
    whole = trained(Small(), made(name, **options), range(14))
    network, balancer = Small(), made(name, **options)
    trained(network, balancer, range(7))
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    save_file({k: v.contiguous() for k, v in (tensors | balancer.state_dict()).items()}, tmp_path / "state")
    saved = load_file(tmp_path / "state")
    network, balancer = Small(), made(name, **options)
    network.load_state_dict({key[8:]: value for key, value in saved.items() if key.startswith("network.")})
    balancer.load_state_dict({key: value for key, value in saved.items() if not key.startswith("network.")})
    assert torch.equal(trained(network, balancer, range(7, 14)), whole)


def test_gradients_that_are_not_finite_end_the_run():
    with pytest.raises(Diverged, match="step 3"):
        combine("upgrad", [[np.nan, 1.0], [1.0, 0.0]], step=2)


def test_a_solver_that_is_missing_is_told_before_training(monkeypatch):
    monkeypatch.setattr(
        cagrad, "find_spec", lambda name: None if name == "cvxpy" else importlib.machinery.ModuleSpec(name, None)
    )
    (message,) = cagrad.check(cagrad.Options(), TASKS)
    assert "cvxpy" in message
    assert "clarabel" not in message
    assert "pip install 'mtl-bench[balancers]'" in message
    with pytest.raises(UsageError, match="cvxpy"):
        cagrad.make(cagrad.Options(), TASKS, 0)


def test_one_task_alone_is_not_balanced():
    run = run_with([("supervised", {})]).model_copy(update={"balancer": RunPart(name="mgda", options={}, code="0")})
    assert isinstance(balancer_of(run), GradientBalancer)
    assert isinstance(balancer_of(run.model_copy(update={"tasks": (CLASSES,)})), Sum)
    assert isinstance(balancer_of(run.model_copy(update={"balancer": None})), Sum)
