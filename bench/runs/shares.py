"""What each of several processes may use of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.data.decode import cores
from bench.errors import UsageError

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Share:
    """Threads of one process, and the GPU that it sees, by its name in CUDA_VISIBLE_DEVICES; None: those there are."""

    threads: int
    gpu: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that hold a process to its share, if they are set before torch is imported."""
        limits = dict.fromkeys(THREAD_LIMITS, str(self.threads))
        return limits if self.gpu is None else limits | {"CUDA_VISIBLE_DEVICES": self.gpu}


def core_shares(jobs: int, *, limits: Mapping[str, str] = os.environ) -> list[Share]:
    """An equal share of the cores for each of `jobs` processes, and no more threads than `limits` allow."""
    allowed = [int(limits[name]) for name in THREAD_LIMITS if limits.get(name, "").isdecimal()]
    return [Share(max(min(cores() // jobs, *allowed, cores()), 1))] * jobs


def gpu_shares(slots: int, gpus: Sequence[str], *, limits: Mapping[str, str] = os.environ) -> list[Share]:
    """Shares of `slots` processes on each GPU; neighbours are on different GPUs."""
    shares = core_shares(slots * len(gpus), limits=limits)
    return [Share(share.threads, gpus[i % len(gpus)]) for i, share in enumerate(shares)]


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls each GPU that this process may use. Raises `UsageError` if there is none."""
    import torch

    count = torch.cuda.device_count()
    if count == 0:
        raise UsageError(
            "--gpu-slots needs a GPU, and torch sees none here",
            hint="use `--jobs N` for several runs at once on the processor",
        )
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(i) for i in range(count)]
