"""Checkpoints: one safetensors file with all tensors, and everything else as JSON in its header.

Nothing is pickled. The file is written beside its place, flushed and moved there, so a kill at any moment leaves the
old checkpoint or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.errors import InfrastructureError

CHECKPOINT_VERSION = 2


@dataclass
class State:
    """Where training stands after `step` steps.

    `best` is the state of the best model on validation so far; `losses` are sums since the last entry of `curve`.
    """

    step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float | None = None
    best_step: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def save_checkpoint(
    file: Path,
    run_id: str,
    state: State,
    network: nn.Module,
    balancer: nn.Module,
    optimizer: Optimizer,
    scaler: Mapping[str, Any] | None,
) -> None:
    """Write a checkpoint atomically. Raises `InfrastructureError` or `OSError` where storage fails."""
    optimizer_state = optimizer.state_dict()
    scalars: dict[str, dict[str, Any]] = {}
    groups: list[dict[str, Any]] = [{} for _ in optimizer_state["param_groups"]]
    tensors = {f"model/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"balancer/{name}": value for name, value in balancer.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    for number, entries in optimizer_state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{key}"] = value
            else:
                scalars.setdefault(str(number), {})[key] = value
    for number, entries in enumerate(optimizer_state["param_groups"]):
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"group/{number}/{key}"] = value
            elif not isinstance(value, torch.dtype):  # which only the construction of the optimiser sets
                groups[number][key] = value
    tensors |= {f"random/{name}": value for name, value in _random_states().items()}
    header = {
        "version": CHECKPOINT_VERSION,
        "run": run_id,
        "step": state.step,
        "best_score": state.best_score,
        "best_step": state.best_step,
        "curve": state.curve,
        "losses": state.losses,
        "seconds": state.seconds,
        "optimizer": {"groups": groups, "scalars": scalars},
        "scaler": scaler,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    # clone: safetensors refuses tensors that share memory, as tied weights do
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        save_file(contiguous, temporary, metadata={"bench": json.dumps(header)})
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
    except (SafetensorError, OSError) as error:
        temporary.unlink(missing_ok=True)  # half a checkpoint is of no use, and room may be what is lacking
        if isinstance(error, OSError):
            raise
        raise InfrastructureError(f"the checkpoint {file} could not be written: {error}") from error
    os.replace(temporary, file)


def load_checkpoint(
    file: Path, run_id: str, network: nn.Module, balancer: nn.Module, optimizer: Optimizer
) -> tuple[State, Mapping[str, Any] | None] | None:
    """Restore network, balancer, optimiser and random states in place; None without a usable checkpoint of this run."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            header = json.loads(opened.metadata()["bench"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError):
        return None  # not ours or damaged: the run starts anew, which gives the same numbers
    if (header["version"], header["run"]) != (CHECKPOINT_VERSION, run_id):
        return None
    network.load_state_dict(_under("model/", tensors))
    balancer.load_state_dict(_under("balancer/", tensors))
    entries: dict[int, dict[str, Any]] = {int(n): dict(values) for n, values in header["optimizer"]["scalars"].items()}
    for name, value in _under("optimizer/", tensors).items():
        number, key = name.split("/", 1)
        entries.setdefault(int(number), {})[key] = value
    made = optimizer.state_dict()["param_groups"]
    groups = [group | kept for group, kept in zip(made, header["optimizer"]["groups"], strict=True)]
    for name, value in _under("group/", tensors).items():
        number, key = name.split("/", 1)
        groups[int(number)][key] = value
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
    _lay_out_as_parameters(optimizer)
    _restore_random(_under("random/", tensors))
    state = State(
        header["step"],
        _under("best/", tensors),
        header["best_score"],
        header["best_step"],
        header["curve"],
        header["losses"],
        header["seconds"],
    )
    return state, header["scaler"]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _lay_out_as_parameters(optimizer: Optimizer) -> None:
    """Give moments the memory layout of their parameters, which a checkpoint does not keep.

    Fused optimisers walk over both in the order of memory, so moments in another layout would meet the wrong weights.
    """
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _random_states() -> dict[str, Tensor]:
    """torch's own generators, which dropout inside backbones draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _restore_random(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    devices = [states[f"cuda{i}"] for i in range(len(states) - 1) if f"cuda{i}" in states]
    if devices and torch.cuda.device_count() == len(devices):
        torch.cuda.set_rng_state_all(devices)
