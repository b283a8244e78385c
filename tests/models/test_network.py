"""Networks: the same start for twins, timm's own models, local weights, and what is refused."""

from __future__ import annotations

import hashlib
import pickle

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from bench.errors import DataError, UnknownName, UsageError
from bench.models._timm import timm
from bench.models.network import (
    build_network,
    check_name,
    check_optimizer,
    check_tag,
    create_backbone,
    describe,
    normalisation_of,
)
from bench.specs.backbone import Weights
from bench.specs.run import RunBackbone

SMALL = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"]


def backbone(timm="test_resnet", *, weights=None, input_size=None, **options):
    return RunBackbone(name="tested", timm=timm, options=options, weights=weights, input_size=input_size)


def states_equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


# -------------------------------------------------------------------------------------------------- start


@pytest.mark.parametrize("name", SMALL)
def test_a_twin_starts_from_the_joint_networks_backbone_and_head(name):
    joint = build_network(backbone(name), {"first": 3, "second": 5}, seed=1)
    for task, outputs in {"second": 5, "first": 3}.items():
        twin = build_network(backbone(name), {task: outputs}, seed=1)
        assert states_equal(twin.backbone, joint.backbone)
        assert states_equal(twin.heads[task], joint.heads[task])


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    one, again, other = (build_network(backbone(), {"task": 3}, seed) for seed in (1, 1, 2))
    assert states_equal(one, again)
    assert not torch.equal(one.backbone.conv1[0].weight, other.backbone.conv1[0].weight)
    assert not torch.equal(one.heads["task"].weight, other.heads["task"].weight)


def test_heads_are_named_apart_and_start_small_without_bias():
    heads = build_network(backbone(), {"a": 40, "b": 40}, seed=0).heads
    assert not torch.equal(heads["a"].weight, heads["b"].weight)
    for head in heads.values():
        assert not head.bias.any()
        assert 0.015 < head.weight.std() < 0.025


def test_torchs_own_generators_are_not_touched(monkeypatch):
    """Dropout draws from them: neither their state nor that of GPUs may depend on which heads there are."""
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: seeded.append(seed))
    torch.manual_seed(5)
    seeded.clear()
    before = torch.get_rng_state()
    build_network(backbone(), {"task": 3}, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


def test_the_start_does_not_depend_on_torchs_own_generator():
    torch.manual_seed(5)
    one = build_network(backbone(), {"task": 3}, seed=1)
    torch.manual_seed(6)
    assert states_equal(one, build_network(backbone(), {"task": 3}, seed=1))


# -------------------------------------------------------------------------------------------------- timm's models


@pytest.mark.parametrize("name", [*SMALL, "mobilenetv3_small_050", "resnet10t", "test_byobnet"])
def test_features_and_parameters_are_timms(name):
    """mobilenetv3 has a layer after pooling, so that its features are not its `num_features`."""
    size = 160 if name == "test_vit" else 64
    own = timm().create_model(name, num_classes=0).eval()
    with torch.no_grad():
        features = own(torch.zeros(1, 3, size, size)).shape[1]
    found = describe(backbone(name), size)
    assert found.features == features
    assert found.parameters == sum(p.numel() for p in own.parameters())
    network = build_network(backbone(name), {"task": 3}, seed=0)
    assert network.heads["task"].in_features == features
    assert sum(p.numel() for p in network.parameters()) == found.parameters + 3 * features + 3


def test_outputs_are_logits_by_task():
    network = build_network(backbone(), {"first": 3, "second": 5}, seed=0).eval()
    images = torch.randn(2, 3, 32, 32)
    features, outputs = network(images)
    assert {task: tuple(logits.shape) for task, logits in outputs.items()} == {"first": (2, 3), "second": (2, 5)}
    assert torch.equal(features, network.features(images))
    assert torch.equal(outputs["second"], network.heads["second"](features))


@pytest.mark.parametrize("side", [16, 48, 160])
def test_images_are_resized_to_the_input_size(side):
    """A model of fixed size takes images of any size; those that fit are not touched."""
    network = build_network(backbone("test_vit", input_size=160), {"task": 3}, seed=0).eval()
    images = torch.rand(2, 3, side, side)
    resized = torch.nn.functional.interpolate(images, (160, 160), mode="bilinear", antialias=True)
    assert torch.equal(network.features(images), network.backbone(images if side == 160 else resized))
    assert describe(backbone("test_vit", input_size=160), side).features == 64


def test_options_reach_the_model():
    plain, small = create_backbone(backbone("test_vit")), create_backbone(backbone("test_vit", img_size=32))
    assert small.patch_embed.img_size == (32, 32)
    assert plain.patch_embed.img_size == (160, 160)
    assert describe(backbone("test_vit", img_size=32), 32).features == 64


def test_lists_of_numbers_reach_the_model():
    """As they stand in a spec and in a record: a run read back from JSON makes the same model."""
    options = {"block_config": (1, 2), "growth_rate": 8}
    told = RunBackbone.model_validate_json(backbone("densenet121", **options).model_dump_json())
    assert told == backbone("densenet121", **options)
    found = create_backbone(told)
    own = timm().create_model("densenet121", num_classes=0, block_config=(1, 2), growth_rate=8)
    assert [tuple(p.shape) for p in found.parameters()] == [tuple(p.shape) for p in own.parameters()]


@pytest.mark.parametrize("value", [[True], ["a"], [None], [[1]], {"a": 1}, [1, "2"]])
def test_other_lists_are_refused_in_one_sentence(value):
    with pytest.raises(ValidationError) as caught:
        backbone(depths=value)
    (error,) = caught.value.errors()
    assert error["loc"] == ("options", "depths")
    assert error["msg"] == "an option is true or false, a number, a text, a list of numbers, or null"


def test_normalisation_is_what_timm_says():
    vit = normalisation_of(create_backbone(backbone("test_vit")))
    assert (vit.mean, vit.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    resnet = normalisation_of(create_backbone(backbone("resnet10t")))
    assert resnet.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: check_name("resnet5O"), r"timm model 'resnet5O' is unknown; did you mean 'resnet50"),
        (lambda: create_backbone(backbone("test_resnets")), "did you mean 'test_resnet'"),
        (lambda: check_optimizer("adamww"), "optimiser 'adamww' is unknown; did you mean 'adamw"),
        (
            lambda: check_tag(backbone("resnet18", weights=Weights(timm="a1_in1"))),
            r"pre-trained tag of resnet18 'a1_in1' is unknown; did you mean 'a1_in1k'",
        ),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(attempt, said):
    with pytest.raises(UnknownName, match=said):
        attempt()


def test_names_that_exist_are_accepted():
    check_name("resnet50")
    check_optimizer("adamw")
    check_tag(backbone("resnet18", weights=Weights(timm="a1_in1k")))
    check_tag(backbone("resnet18"))


@pytest.mark.parametrize(
    ("timm_name", "options"),
    [
        ("test_vit", {"no_such_option": 1}),
        ("test_vit", {"num_classes": 3}),
        ("test_vit", {"drop_rate": 7.0}),
        ("test_vit", {"num_heads": 0}),
        ("test_vit", {"embed_dim": -4}),
        ("test_convnext", {"depths": (1, 2)}),
        ("test_resnet", {"block": "no_such_block"}),
        ("densenet121", {"act_layer": "no_such_layer"}),
    ],
)
def test_options_that_timm_does_not_take_are_refused(timm_name, options):
    """timm breaks on them in many ways."""
    with pytest.raises(UsageError, match=f"backbone 'tested': timm cannot make '{timm_name}' with options"):
        create_backbone(backbone(timm_name, **options))


@pytest.mark.parametrize("options", [{"features_only": True}, {"global_pool": ""}])
def test_models_without_pooled_features_are_refused(options):
    with pytest.raises(UsageError, match="gives no pooled features"):
        describe(backbone(**options), 32)


def test_a_size_that_the_model_does_not_take_is_refused_with_a_way_out():
    with pytest.raises(UsageError, match="does not take images of 48 pixels") as caught:
        describe(backbone("vit_tiny_patch16_224"), 48)
    assert "input_size" in caught.value.hint
    assert "img_size" in caught.value.hint


def test_weights_that_cannot_be_fetched_are_said(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError("no network")

    monkeypatch.setattr(timm(), "create_model", fail)
    with pytest.raises(UsageError, match=r"the weights 'resnet18\.a1_in1k' could not be fetched: no network") as caught:
        create_backbone(backbone("resnet18", weights=Weights(timm="a1_in1k")))
    assert "file" in caught.value.hint


# -------------------------------------------------------------------------------------------------- local weights


def write(state, file):
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return file


def local(file, timm="test_resnet"):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return backbone(timm, weights=Weights(file=str(file), sha256=digest))


@pytest.fixture
def trained():
    """A model of timm's with its classifier, other than any fresh one."""
    torch.manual_seed(123)
    return timm().create_model("test_resnet", num_classes=10)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pt"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_local_weights_are_loaded_with_or_without_a_classifier(tmp_path, trained, name, wrapped):
    if wrapped and name.endswith(".safetensors"):
        state = {key: value for key, value in trained.state_dict().items() if not key.startswith("fc.")}
    else:
        state = {"state_dict": trained.state_dict(), "epoch": 3} if wrapped else trained.state_dict()
    network = build_network(local(write(state, tmp_path / name)), {"task": 3}, seed=0)
    loaded = network.backbone.state_dict()
    assert loaded
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in loaded.items())
    fresh = build_network(backbone(), {"task": 3}, seed=0)
    assert states_equal(network.heads, fresh.heads)


def test_a_file_with_another_hash_is_refused(tmp_path, trained):
    file = write(trained.state_dict(), tmp_path / "weights.safetensors")
    wrong = backbone(weights=Weights(file=str(file), sha256="0" * 64))
    with pytest.raises(DataError, match=rf"has sha256 [0-9a-f]{{64}}, the spec says {'0' * 64}"):
        build_network(wrong, {"task": 3}, seed=0)


def test_a_missing_file_is_refused(tmp_path):
    gone = backbone(weights=Weights(file=str(tmp_path / "gone.pth"), sha256="0" * 64))
    with pytest.raises(DataError, match=r"gone\.pth of backbone 'tested' is missing"):
        build_network(gone, {"task": 3}, seed=0)


@pytest.mark.parametrize("timm_name", ["test_convnext", "resnet10t", "test_resnet, wider"])
def test_another_models_weights_are_refused(tmp_path, trained, timm_name):
    """Other names of tensors, or the same names and other shapes."""
    state = trained.state_dict()
    if timm_name == "test_resnet, wider":
        state, timm_name = (
            {key: torch.cat([value, value]) if value.ndim else value for key, value in state.items()},
            "test_resnet",
        )
    file = write(state, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=f"does not hold the weights of '{timm_name}': ") as caught:
        build_network(local(file, timm_name), {"task": 3}, seed=0)
    assert "another `timm` name" in caught.value.hint


class Payload:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weights.safetensors", b"nothing of the kind", "cannot be read"),
        ("weights.pth", b"nothing of the kind", "cannot be read"),
        ("weights.pth", b"", "cannot be read"),
        ("weights.pth", pickle.dumps(Payload(), protocol=2), "cannot be read"),
    ],
)
def test_unreadable_weights_are_refused_and_no_code_is_run(tmp_path, capsys, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        build_network(local(tmp_path / name), {"task": 3}, seed=0)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3}, {"a": 1}])
def test_a_file_without_tensors_by_name_is_refused(tmp_path, content):
    file = write(content, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="does not hold tensors by name"):
        build_network(local(file), {"task": 3}, seed=0)
