"""A short measurement of how fast a backbone trains here."""

from __future__ import annotations

import time

import torch

from bench.models.network import build_network
from bench.specs.run import RunSpec
from bench.training.loop import make_accelerator
from bench.training.pieces import in_pieces, refuse_lone_images

IMAGES = 32
REPEATS = 5


def seconds_per_image(run: RunSpec, *, threads: int) -> float:
    """Seconds an image of a forward and backward pass, after one to warm up, in so many `threads`.

    Of as many images as memory holds. The least of some: what else the machine does just now only adds to it. Raises
    `MemoryError` where memory holds no image.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _least(run)
    finally:
        torch.set_num_threads(before)


def _least(run: RunSpec) -> float:
    accelerator = make_accelerator(run.recipe.precision)
    plain = run.backbone.model_copy(update={"weights": None})
    network = build_network(plain, {task.name: len(task.labels) for task in run.tasks}, seed=0)
    network = network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def measured(pieces: int) -> float:
        refuse_lone_images(network, IMAGES, pieces)
        shape = (-(-IMAGES // pieces), 3, run.recipe.image_size, run.recipe.image_size)
        images = torch.zeros(shape, device=accelerator.device).contiguous(memory_format=torch.channels_last)
        durations = []
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            with accelerator.autocast():
                outputs = network(images).logits
            torch.stack([output.float().sum() for output in outputs.values()]).sum().backward()  # type: ignore[no-untyped-call]
            if accelerator.device.type == "cuda":
                torch.cuda.synchronize()
            durations.append(time.perf_counter() - started)
        return min(durations[1:]) / len(images)

    return in_pieces(measured, IMAGES)
