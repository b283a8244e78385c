"""Compiled backbones: the same training but for rounding, whatever takes gradients of it.

Compiling takes a C++ compiler and a while: `make compiled`.
"""

from __future__ import annotations

import pytest
import torch
import torch._functorch.config as functorch

from bench.errors import Interrupted, UsageError
from bench.methods.balance import balancer_of
from bench.models.network import Network, build_network
from bench.specs.run import RunBackbone, RunSpec
from bench.training.checkpoint import load_checkpoint, save_checkpoint
from bench.training.compiling import check_compiler, compiled
from bench.training.loop import make_optimizer
from bench.training.probe import RunProbe

from .samples import assert_same, changed, go, run_of, sources_of
from .test_processes import together

# torch's own, when it first compiles
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")


def test_what_is_not_compiled_is_the_run_that_it_always_was(planned):
    run = run_of(planned(), "multi_task").spec
    assert "compile" not in run.model_dump(mode="json")["recipe"]
    assert changed(run, compile=None).id == run.id
    other = changed(run, compile="default")
    assert other.id != run.id
    assert RunSpec.model_validate_json(other.model_dump_json()) == other


@pytest.mark.parametrize(("mode", "said"), [("reduce-overhead", "there is no GPU"), ("default", "'no-such-c++'")])
def test_a_machine_that_cannot_compile_is_told_of_before_anything_is_done(world, bench, monkeypatch, mode, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CXX", "no-such-c++")
    world.change("tiny_budget", "evaluations: 2", f"evaluations: 2\ncompile: {mode}")
    told = bench("run", "--suite", "tiny")
    assert told.code == 2
    assert said in told.err
    assert not world.results.exists() or not list(world.results.rglob("record.json"))


def test_cuda_graphs_and_balanced_gradients_are_refused_together(world, bench):
    world.change("tiny_budget", "evaluations: 2", "evaluations: 2\ncompile: max-autotune")
    world.change("tiny", "multi_task, distribution_matching", "pcgrad")
    told = bench("validate", "tiny")
    assert told.code == 2
    assert "balancing gradients does not go with `compile: max-autotune`" in told.err + told.out


def test_nothing_is_asked_of_a_machine_that_need_not_compile(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-c++")
    check_compiler(None)
    with pytest.raises(UsageError):
        check_compiler("default")


COMPILED = "distribution_matching, pcgrad, mgda_ub, famo"


@pytest.fixture
def one(planned, world):
    """A suite whose methods take gradients in all ways: of the sum, at both places, and a second look."""
    world.change("tiny", "[single_task, multi_task, distribution_matching]", f"[single_task, {COMPILED}]")
    world.change("tiny_budget", "image_size: 16", "image_size: 32")
    return planned()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """A cache of compiled graphs for these tests alone, which those that run one after another share."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "inductor"))


def losses(outcome):
    return [list(entry["losses"].values()) for entry in outcome.curve]


@pytest.mark.compiled
@pytest.mark.parametrize("method", COMPILED.split(", "))
def test_a_compiled_training_is_that_of_eager_torch_but_for_rounding(one, tmp_path, method):
    run = changed(run_of(one, method).spec, optimizer={"name": "sgd", "learning_rate": 1e-2})
    eager, compiled = go(one, run, tmp_path / "eager"), go(one, changed(run, compile="default"), tmp_path / "compiled")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert list(compiled.network) == list(eager.network)
    assert not all(torch.equal(compiled.network[name], value) for name, value in eager.network.items())
    for ours, theirs in zip(losses(compiled), losses(eager), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    for ours, theirs in zip(compiled.predictions, eager.predictions, strict=True):
        assert ours.scores == pytest.approx(theirs.scores, abs=5e-3)


@pytest.mark.compiled
def test_what_others_have_compiled_of_the_same_network_is_not_taken():
    """torch's cache gives out backward passes that overwrite what they were given, and the second one goes wrong."""
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    backbone = RunBackbone(name="net", timm="test_resnet", options={}, weights=None, input_size=None)

    def network() -> Network:
        return build_network(backbone, {"task": 2}, seed=0)

    with functorch.patch(donated_buffer=True):
        others = network().backbone
        others.compile()
        others(images).sum().backward()

    def gradients(body):
        features = body(images)
        ways = [torch.ones_like(features), torch.linspace(-1, 1, features.numel()).view_as(features)]
        return [torch.autograd.grad(features, list(body.parameters()), way, retain_graph=True) for way in ways]

    ours, eager = network().backbone, network().backbone
    compiled(ours, "default")
    for mine, theirs in zip(gradients(ours), gradients(eager), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert (one - other).abs().max() <= 1e-3 + 1e-4 * other.abs().max()


@pytest.mark.compiled
def test_checkpoints_of_compiled_and_eager_training_are_read_by_each_other(one, tmp_path):
    """Runs that are compiled go on from their own checkpoints to the same numbers; what stands in these is the same."""
    run = changed(run_of(one, "famo").spec, compile="default")
    whole = go(one, run, tmp_path / "whole")
    stops = iter([False, False, False, True])
    with pytest.raises(Interrupted):
        go(one, run, tmp_path / "stopped", should_stop=lambda: next(stops))
    network = build_network(run.backbone, {task.name: len(task.labels) for task in run.tasks}, seed=7)
    balancer = balancer_of(run)
    optimizer = make_optimizer(network, balancer, run.recipe.optimizer)
    found = load_checkpoint(tmp_path / "stopped", run.id, network, balancer, optimizer)
    assert found is not None
    assert found[0].step == 4
    network.load_state_dict(whole.network)
    compiled(network.backbone, "default")
    save_checkpoint(tmp_path / "eager", run.id, found[0], network, balancer, optimizer, None)
    assert_same(go(one, run, tmp_path / "stopped"), whole)


@pytest.mark.compiled
def test_a_compiled_training_may_be_divided_and_looked_at(one, tmp_path, monkeypatch):
    """In pieces its numbers are others where there is batch normalisation; a probe changes none."""
    run = changed(run_of(one, "distribution_matching").spec, compile="default")
    plain = go(one, run, tmp_path / "plain")
    probe = RunProbe(run, sources_of(one, run), run.relatedness, every=3)
    assert_same(go(one, run, tmp_path / "looked at", probe=probe), plain)
    assert len(probe.looks) == 3

    features = Network.features

    def limited(network, images):
        if network.training and len(images) > 8:
            raise torch.OutOfMemoryError("no room on the device")
        return features(network, images)

    monkeypatch.setattr(Network, "features", limited)
    eager = changed(run, compile=None)
    divided = go(one, run, tmp_path / "divided")
    assert divided.pieces == 2
    for ours, theirs in zip(losses(divided), losses(go(one, eager, tmp_path / "eager")), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-2, abs=1e-3)


@pytest.mark.compiled
@pytest.mark.timeout(900)
def test_two_processes_share_a_compiled_run(world, bench):
    world.change("tiny_budget", "evaluations: 2", "evaluations: 2\ncompile: default")
    world.change("tiny_budget", "image_size: 16", "image_size: 32")
    world.change("tiny", "[single_task, multi_task, distribution_matching]", "[single_task, pcgrad]")
    only = ("run", "--suite", "tiny", "--seeds", "1", "--only", "pcgrad")
    assert bench(*only).code == 0
    alone = world.scores()
    (world.results / "runs").rename(world.results / "alone")
    process = together(world, *only)
    out, err = process.communicate(timeout=800)
    assert process.returncode == 0, out + err
    shared = world.scores()
    assert shared.keys() == alone.keys()
    for name, one in shared.items():
        for ours, theirs in zip(one["curve"], alone[name]["curve"], strict=True):
            assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-3, abs=1e-4)
