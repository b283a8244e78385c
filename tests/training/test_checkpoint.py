"""Checkpoints: training goes on bit for bit, nothing is pickled, and what is not ours is ignored."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from bench.training import checkpoint as module
from bench.training.checkpoint import CHECKPOINT_VERSION, State, load_checkpoint, save_checkpoint

RUN = "0123456789abcdef"
OPTIMIZERS = {
    "adamw, fused": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1),
    "sgd, momentum": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, fused=True),
    "sgd, plain": lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
}


class Training:
    """A small network with dropout (torch's own generator) and batch norm (buffers, one of them an integer)."""

    def __init__(self, optimizer="adamw, fused", memory_format=torch.contiguous_format, seed=0):
        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(),
            nn.Conv2d(8, 8, 3),
            nn.Flatten(),
            nn.Linear(128, 4),
        ).to(memory_format=memory_format)
        self.balancer = nn.Linear(1, 1)  # anything with a state
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimizer = OPTIMIZERS[optimizer]([{"params": decayed}, {"params": plain, "weight_decay": 0.0}])

    def steps(self, first, last):
        for step in range(first, last):
            images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
            self.network(images).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return self

    def save(self, file, state=None, scaler=None):
        save_checkpoint(file, RUN, state or State(step=3), self.network, self.balancer, self.optimizer, scaler)

    def load(self, file, run=RUN):
        return load_checkpoint(file, run, self.network, self.balancer, self.optimizer)

    def snapshot(self):
        """Everything that training depends on, copied."""
        moments = {
            (number, key): torch.as_tensor(value).clone()
            for number, values in self.optimizer.state_dict()["state"].items()
            for key, value in values.items()
            if value is not None
        }
        model = {name: value.clone() for name, value in self.network.state_dict().items()}
        model |= {f"balancer {name}": value.clone() for name, value in self.balancer.state_dict().items()}
        return model | moments | {"random": torch.get_rng_state()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype, name
        assert torch.equal(value, other[name]), name


@pytest.fixture
def file(tmp_path):
    return tmp_path / "runs" / "checkpoint.safetensors"


LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_bit_for_bit(file, optimizer, layout):
    """A fused optimiser walks through memory, so its state must lie there as the parameters do."""
    straight = Training(optimizer, LAYOUTS[layout]).steps(0, 3)
    straight.save(file)
    expected = straight.steps(3, 6).snapshot()
    resumed = Training(optimizer, LAYOUTS[layout], seed=9)
    assert resumed.load(file) is not None
    assert_same(resumed.steps(3, 6).snapshot(), expected)


def test_loading_restores_what_was_saved(file):
    saved = Training().steps(0, 3)
    expected = saved.snapshot()
    saved.save(file)
    torch.rand(7)
    loaded = Training(seed=9)
    loaded.load(file)
    assert_same(loaded.snapshot(), expected)
    assert loaded.optimizer.param_groups[1]["weight_decay"] == 0


def test_the_state_comes_back_whole(file):
    training = Training().steps(0, 1)
    state = State(
        step=17,
        best={name: value + 1 for name, value in training.network.state_dict().items()},
        best_score=1 / 3,
        best_step=12,
        curve=[{"step": 12, "losses": {"supervised": 0.1 + 0.2}, "validation": None}],
        losses={"supervised": 2 / 7},
        seconds={"train": 1.5},
    )
    training.save(file, state, scaler={"scale": 65536.0, "_growth_tracker": 3})
    found, scaler = Training().load(file)
    assert_same(found.best, state.best)
    assert {**vars(found), "best": None} == {**vars(state), "best": None}
    assert scaler == {"scale": 65536.0, "_growth_tracker": 3}


def test_a_state_without_a_best_model(file):
    Training().save(file, State(step=1))
    found, scaler = Training().load(file)
    assert (found.best, found.best_score, found.curve, scaler) == ({}, None, [], None)


def test_tied_weights_are_kept(file):
    def tied():
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        network[1].weight = network[0].weight
        return network, torch.optim.SGD(network.parameters(), lr=0.1)

    network, optimizer = tied()
    save_checkpoint(file, RUN, State(), network, nn.Identity(), optimizer, None)
    other, other_optimizer = tied()
    load_checkpoint(file, RUN, other, nn.Identity(), other_optimizer)
    assert torch.equal(other[1].weight, network[0].weight)


# -------------------------------------------------------------------------------------------------- the file


def test_the_file_is_safetensors_with_a_json_header(file):
    Training().steps(0, 1).save(file)
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()["bench"])
        names = set(opened.keys())
    assert (header["version"], header["run"], header["step"]) == (CHECKPOINT_VERSION, RUN, 3)
    assert {name.split("/")[0] for name in names} == {"model", "balancer", "optimizer", "random"}
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def ignored(file, run=RUN):
    """Whether a checkpoint counts as none, and nothing was touched on the way."""
    training = Training(seed=9).steps(0, 1)
    before = training.snapshot()
    found = training.load(file, run)
    assert_same(training.snapshot(), before)
    return found is None


def test_no_checkpoint_is_none(file):
    assert ignored(file)


def test_another_runs_checkpoint_is_ignored(file):
    Training().steps(0, 1).save(file)
    assert ignored(file, run="f" * 16)
    assert Training().load(file) is not None


@pytest.mark.parametrize("version", [CHECKPOINT_VERSION - 1, CHECKPOINT_VERSION + 1])
def test_a_checkpoint_of_another_version_is_ignored(file, monkeypatch, version):
    with monkeypatch.context() as patch:
        patch.setattr(module, "CHECKPOINT_VERSION", version)
        Training().steps(0, 1).save(file)
    assert ignored(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"nothing of the kind",
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda content: b"\xff" * 8 + content[8:],
    ],
    ids=["empty", "text", "cut in the header", "cut by a byte", "absurd header"],
)
def test_a_damaged_file_is_ignored(file, damage):
    Training().steps(0, 1).save(file)
    file.write_bytes(damage(file.read_bytes()))
    assert ignored(file)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"bench": "{"}])
def test_a_foreign_file_is_ignored(file, metadata):
    file.parent.mkdir()
    save_file({"weight": torch.zeros(2)}, file, metadata=metadata)
    assert ignored(file)


def test_a_write_that_fails_leaves_the_old_checkpoint(file, monkeypatch):
    Training().steps(0, 1).save(file, State(step=1))
    before = file.read_bytes()

    def half(_, place, **__):
        place.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", half)
        with pytest.raises(OSError, match="disk full"):
            Training().steps(0, 2).save(file, State(step=2))
    assert file.read_bytes() == before
    assert Training().load(file)[0].step == 1
    Training().steps(0, 2).save(file, State(step=2))
    assert Training().load(file)[0].step == 2
