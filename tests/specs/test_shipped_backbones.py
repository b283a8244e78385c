"""Shipped backbones: what their titles promise, images that they take, and that a run can train, stop and go on."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from bench.models.network import build_network, create_backbone, describe
from bench.runs.assembly import run_backbone
from bench.specs.backbone import BackboneSpec
from bench.specs.catalog import open_catalog
from bench.training.checkpoint import State, load_checkpoint, save_checkpoint

CATALOG = open_catalog([])
SHIPPED = {name: CATALOG.get(BackboneSpec, name) for name in CATALOG.names("backbone")}
MICRO = [name for name in SHIPPED if name.endswith("_micro")]
USUAL = [name for name in SHIPPED if name not in MICRO]
RUN = "0123456789abcdef"


def network_of(name, seed=0):
    """A shipped backbone with two heads, as a run trains it; no weights are fetched."""
    backbone = run_backbone(SHIPPED[name]).model_copy(update={"weights": None})
    network = build_network(backbone, {"kind": 7, "parts": 12}, seed)
    return network.to(memory_format=torch.channels_last).train()


def images(count=4, side=32, seed=0):
    made = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return made.contiguous(memory_format=torch.channels_last)


def loss_of(logits):
    kinds = torch.arange(len(logits["kind"])) % 7
    return nn.functional.cross_entropy(logits["kind"].float(), kinds) + logits["parts"].float().square().mean()


# ---- what is said of them ----


@pytest.mark.parametrize("name", SHIPPED)
def test_titles_tell_the_true_number_of_parameters(name):
    told = re.search(r"([0-9]+\.[0-9]) M parameters", SHIPPED[name].title)
    assert told, SHIPPED[name].title
    assert told[1] == f"{describe(run_backbone(SHIPPED[name]), 224).parameters / 1e6:.1f}"


def test_the_families_that_readers_ask_for_have_a_small_and_a_usual_member():
    for family in ("ResNet", "DenseNet", "EfficientNet", "ConvNeXt", "ViT"):
        assert [name for name in MICRO if SHIPPED[name].family == family], family
        assert [name for name in USUAL if SHIPPED[name].family == family], family


def test_small_ones_are_small_and_need_no_network():
    for name in MICRO:
        assert SHIPPED[name].weights is None
        assert describe(run_backbone(SHIPPED[name]), 32).parameters <= 500_000


def test_usual_ones_start_from_imagenet_1k():
    """What a backbone has seen before is the same for all, and is said."""
    for name in USUAL:
        assert SHIPPED[name].weights.timm.endswith("in1k"), name
        assert "in21k" not in SHIPPED[name].weights.timm, name
        assert SHIPPED[name].title.endswith("ImageNet-1k weights")


# ---- images ----


@pytest.mark.parametrize("name", MICRO)
def test_small_ones_take_images_of_every_size(name):
    features = {describe(run_backbone(SHIPPED[name]), side).features for side in (16, 50, 224)}
    assert features == {network_of(name).heads["kind"].in_features}


@pytest.mark.parametrize("name", USUAL)
def test_usual_ones_take_the_images_of_shipped_budgets_for_gpus(name):
    assert describe(run_backbone(SHIPPED[name]), 224) == describe(run_backbone(SHIPPED[name]), 128)


def test_a_transformer_sees_what_it_is_given():
    """Images of another size are not scaled to the size that position embeddings were made for."""
    network, tokens = network_of("vit_micro"), []
    network.backbone.blocks.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].shape[1]))
    for side in (32, 50):
        network(images(side=side))
    assert tokens == [4 * 4 + 1, 7 * 7 + 1]  # patches, the last ones of 50 pixels padded, and the class token


# ---- training ----


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("name", MICRO)
def test_every_parameter_learns(name, precision):
    network = network_of(name)
    with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
        features, logits = network(images())
    loss = loss_of(logits)
    (at_features,) = torch.autograd.grad(loss, features, retain_graph=True)
    assert at_features.shape == features.shape
    assert torch.isfinite(at_features).all()
    assert at_features.any()
    loss.backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", MICRO)
def test_the_gradient_at_the_features_leads_to_that_of_the_backbone(name):
    """What balancers rely on that compare gradients at the features."""
    network = network_of(name)
    features, logits = network(images())
    loss = loss_of(logits)
    parameters = list(network.backbone.parameters())
    (at_features,) = torch.autograd.grad(loss, features, retain_graph=True)
    through = torch.autograd.grad(features, parameters, at_features, retain_graph=True)
    for one, other in zip(through, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_in_them_is_drawn_while_training(name):
    """Twins differ by what they learn from, and not by which features were dropped."""
    with torch.device("meta"):
        model = create_backbone(run_backbone(SHIPPED[name]).model_copy(update={"weights": None}))
    for module in model.modules():
        assert getattr(module, "drop_prob", 0) in (0, None), type(module)
        assert getattr(module, "drop_rate", 0) in (0, None), type(module)
        assert not (isinstance(module, nn.Dropout) and module.p), type(module)
    if name in MICRO:
        network, before = network_of(name), torch.get_rng_state()
        assert torch.equal(network(images()).features, network(images()).features)
        assert torch.equal(torch.get_rng_state(), before)


class Training:
    """Steps on noise of a shipped backbone."""

    def __init__(self, name, seed):
        self.network = network_of(name, seed)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=0.02, fused=True)

    def steps(self, first, last):
        for step in range(first, last):
            loss_of(self.network(images(seed=step)).logits).backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return self


@pytest.mark.parametrize("name", MICRO)
def test_training_goes_on_bit_for_bit(name, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    whole, stopped, resumed = Training(name, 0).steps(0, 4), Training(name, 0).steps(0, 2), Training(name, 1)
    save_checkpoint(file, RUN, State(step=2), stopped.network, nn.Module(), stopped.optimizer, None)
    assert load_checkpoint(file, RUN, resumed.network, nn.Module(), resumed.optimizer) is not None
    resumed.steps(2, 4)
    for key, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[key], value), key
