"""The network of a run: a backbone, and for each task a linear head on its pooled features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import DataError, UnknownName, UsageError
from bench.models._timm import timm
from bench.specs.run import RunBackbone
from bench.specs.streams import stream_seed


class Response(NamedTuple):
    """Of n images the pooled `features` float [n, features], and by task the `logits` float [n, labels]."""

    features: Tensor
    logits: dict[str, Tensor]


class Network(nn.Module):
    """Maps normalised images float [n, 3, side, side] to shared features and logits by task."""

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Linear], input_size: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.input_size = input_size

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, float [n, features]."""
        if self.input_size is not None and images.shape[-1] != self.input_size:
            size = (self.input_size, self.input_size)
            images = nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        pooled: Tensor = self.backbone(images)
        return pooled

    def judge(self, features: Tensor) -> Response:
        """What the heads say of features."""
        return Response(features, {task: head(features) for task, head in self.heads.items()})

    def forward(self, images: Tensor) -> Response:
        return self.judge(self.features(images))


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel that a backbone expects, for values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Description:
    """What a backbone is, without its weights."""

    parameters: int
    features: int


def build_network(backbone: RunBackbone, tasks: Mapping[str, int], seed: int) -> Network:
    """A network with a head of that many outputs for each task.

    Backbone and heads are initialised from streams named by the seed and their own names, so a joint network and its
    single-task twin start from the same backbone and the same head. Raises `UsageError` for weights that do not fit.
    """
    with _seeded(seed, "init", "backbone", backbone.timm):
        body = create_backbone(backbone)
    load_weights(body, backbone)
    features = _feature_size(body, backbone)
    heads: dict[str, nn.Linear] = {}
    for task, outputs in tasks.items():
        with _seeded(seed, "init", "head", task):
            head = nn.Linear(features, outputs)
            nn.init.trunc_normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
        heads[task] = head
    return Network(body, heads, backbone.input_size)


def create_backbone(backbone: RunBackbone) -> nn.Module:
    """The timm model without its classifier. Raises `UnknownName` or `UsageError`."""
    check_name(backbone.timm)
    pretrained = backbone.weights is not None and backbone.weights.timm is not None
    name = f"{backbone.timm}.{backbone.weights.timm}" if backbone.weights and pretrained else backbone.timm
    try:
        model: nn.Module = timm().create_model(name, pretrained=pretrained, num_classes=0, **backbone.options)
    except OSError as error:
        raise UsageError(
            f"backbone '{backbone.name}': the weights '{name}' could not be fetched: {error}",
            hint="connect to the network once, or give `weights: {file: ..., sha256: ...}`",
        ) from error
    except Exception as error:  # timm does not check options; what goes wrong with them depends on the model
        raise UsageError(
            f"backbone '{backbone.name}': timm cannot make '{name}' with options {backbone.options}: "
            f"{type(error).__name__}: {error}",
            hint="mend `options` in the backbone spec",
        ) from error
    return model


def check_name(name: str) -> None:
    """Raises `UnknownName` if timm has no such model."""
    if not timm().is_model(name):
        raise UnknownName("timm model", name, timm().list_models())


def check_tag(backbone: RunBackbone) -> None:
    """Raises `UnknownName` if timm has no such pre-trained weights for the model."""
    if backbone.weights is not None and backbone.weights.timm is not None:
        names = timm().list_models(f"{backbone.timm}.*", pretrained=True)
        tags = [name.split(".", 1)[1] for name in names if "." in name]
        if backbone.weights.timm not in tags:
            raise UnknownName(f"pre-trained tag of {backbone.timm}", backbone.weights.timm, tags)


def check_optimizer(name: str) -> None:
    """Raises `UnknownName` if timm has no such optimiser."""
    if name not in timm().optim.list_optimizers():
        raise UnknownName("optimiser", name, timm().optim.list_optimizers())


def describe(backbone: RunBackbone, image_size: int) -> Description:
    """Parameters and feature size, and that the model takes images of that size; no memory is taken for weights.

    Raises `UnknownName` or `UsageError`.
    """
    key = (backbone.text, image_size)
    if key not in _described:
        with torch.device("meta"):
            plain = backbone.model_copy(update={"weights": None})
            model = create_backbone(plain).eval()
            features = _feature_size(model, backbone, backbone.input_size or image_size)
        _described[key] = Description(sum(p.numel() for p in model.parameters()), features)
    return _described[key]


_described: dict[tuple[str, int], Description] = {}


def normalisation_of(model: nn.Module) -> Normalisation:
    """What timm says the model expects; ImageNet statistics for untrained ones."""
    config = timm().data.resolve_model_data_config(model)
    return Normalisation(tuple(config["mean"]), tuple(config["std"]))


def load_weights(model: nn.Module, backbone: RunBackbone) -> None:
    """Load a local weights file after checking its hash. Raises `DataError` for another file or another model's."""
    if backbone.weights is None or backbone.weights.file is None:
        return
    state, own = _read_weights(check_weights_file(backbone)), model.state_dict()
    wrong = [key for key, value in state.items() if key in own and own[key].shape != value.shape]
    if not wrong:
        result = model.load_state_dict(state, strict=False)
        wrong = [*result.missing_keys, *(key for key in result.unexpected_keys if not _is_classifier(model, key))]
    if wrong:
        raise DataError(
            f"{backbone.weights.file} does not hold the weights of '{backbone.timm}': {', '.join(wrong[:3])}, ...",
            hint="give the file of this model, or another `timm` name",
        )


def check_weights_file(backbone: RunBackbone) -> Path:
    """The weights file of a backbone. Raises `DataError` if it is missing or its hash differs."""
    assert backbone.weights is not None and backbone.weights.file is not None
    file = Path(backbone.weights.file).expanduser()
    if not file.is_file():
        raise DataError(f"the weights file {file} of backbone '{backbone.name}' is missing")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != backbone.weights.sha256:
        raise DataError(
            f"the weights file {file} has sha256 {found}, the spec says {backbone.weights.sha256}",
            hint="fetch the right file or correct the spec",
        )
    return file


def _read_weights(file: Path) -> dict[str, Tensor]:
    """A state by name; no code in the file is run."""
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the weights file {file} cannot be read: {reason}",
            hint="give a .safetensors file, or a .pth file that holds tensors by name and nothing else",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"the weights file {file} does not hold tensors by name")
    return state


def _is_classifier(model: nn.Module, key: str) -> bool:
    prefix = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or "head"
    prefixes = (prefix,) if isinstance(prefix, str) else tuple(prefix)
    return key.startswith(tuple(f"{p}." for p in prefixes))


def _feature_size(model: nn.Module, backbone: RunBackbone, size: int | None = None) -> int:
    declared = getattr(model, "num_features", None)
    if size is None and isinstance(declared, int) and getattr(model, "head_hidden_size", declared) == declared:
        return declared
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            features = model(torch.zeros(1, 3, size or 224, size or 224))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        raise UsageError(
            f"backbone '{backbone.name}' ({backbone.timm}) does not take images of {size} pixels: {error}",
            hint="set `input_size`, or `options: {img_size: ...}` for models of a fixed size, in the backbone spec",
        ) from error
    finally:
        model.train(training)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise UsageError(f"backbone '{backbone.name}' ({backbone.timm}) gives no pooled features")
    return int(features.shape[1])


@contextmanager
def without_traces(network: nn.Module) -> Iterator[None]:
    """Forwards in here leave buffers (running statistics) and random streams as they were."""
    with torch.random.fork_rng(), kept_buffers(network):
        yield


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Forwards in here leave buffers (running statistics) as they were."""
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


@contextmanager
def _seeded(*names: str | int) -> Iterator[None]:
    """torch's generator of the CPU, seeded by name for a while and put back; those of GPUs are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(*names))
        yield
