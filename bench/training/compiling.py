"""Compiled backbones: `torch.compile`, with CUDA graphs where its mode has them.

Compiled kernels round in another way than torch's own, so that whether a run is compiled belongs to its recipe. Only
the backbone is: what comes after it are a few small operations, between which balancers and processes come in.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec

import torch
import torch._functorch.config as functorch
import torch.compiler.config
from torch import nn

from bench.errors import UsageError
from bench.specs.budget import GRAPHS, Compile


def check_compiler(mode: Compile | None) -> None:
    """Raises `UsageError` where this machine cannot compile networks in that way."""
    if mode is None:
        return
    hint = "leave `compile` out of the budget, or choose another budget (`--budget NAME`)"
    if torch.cuda.is_available():
        if find_spec("triton") is None:
            raise UsageError("the budget compiles networks, which needs triton on a GPU, and it is missing", hint=hint)
        return
    if mode == "reduce-overhead":
        raise UsageError(f"the budget asks for CUDA graphs (`compile: {mode}`), and there is no GPU", hint=hint)
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch's inductor does
    if shutil.which(compiler) is None:
        raise UsageError(
            f"the budget compiles networks, which needs a C++ compiler, and '{compiler}' is not there",
            hint=f"install it (Debian: `apt-get install g++`), name another by CXX, or {hint}",
        )


def compiled(backbone: nn.Module, mode: Compile) -> None:
    """Let a backbone be compiled when it is called first, in place, so that its weights keep their names.

    Gradients may be taken of one forward pass several times.
    """
    torch.compiler.reset()  # of earlier networks of this process, whose versions count against torch's limit of them
    # A backward pass that may overwrite what it was given would make the next one wrong. torch's cache of compiled
    # graphs does not tell those that may from those that may not (seen in torch 2.13), so ours are kept apart there.
    functorch.donated_buffer = False
    torch.compiler.config.cache_key_tag = "bench, donated_buffer=False"
    backbone.compile(mode=mode)


def step_begins(mode: Compile | None) -> None:
    """Tell CUDA graphs that the outputs of the step before are no longer needed."""
    if mode in GRAPHS:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
