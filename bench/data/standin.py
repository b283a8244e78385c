"""Stand-ins: one data set's images and labels, drawn where no copy is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.labels import LabelTable
from bench.specs.components import load_part, read_options
from bench.specs.dataset import DatasetSpec, StandIn
from bench.specs.fingerprint import fingerprint, source_fingerprint
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

STANDIN_VERSION = 1


@dataclass(frozen=True)
class StandInRequest:
    """What is drawn: a data set with the tasks it annotates, the relatedness its labels follow, and the image size.

    Without `relatedness` labels follow the generator's own table.
    """

    dataset: DatasetSpec
    tasks: Mapping[str, TaskSpec]
    relatedness: RelatednessSpec | None
    image_size: int

    @property
    def declared(self) -> StandIn:
        assert self.dataset.standin is not None
        return self.dataset.standin

    @property
    def images(self) -> dict[str, int]:
        """Images by split."""
        counts: dict[str, int] = self.declared.images.model_dump()
        return counts


@dataclass(frozen=True)
class Chunk:
    """Some images, uint8 [n, side, side, 3], and their labels."""

    images: NDArray[np.uint8]
    labels: LabelTable


def generator_of(request: StandInRequest) -> tuple[ModuleType, Any]:
    """The generator's module and its checked options."""
    module = load_part("bench.data.standins", request.declared.name, "stand-in generator")
    return module, read_options(module.Options, request.declared.options)


def draw_split(request: StandInRequest, split: str) -> Iterator[Chunk]:
    """Draw one split in chunks; the same request gives the same images."""
    module, _ = generator_of(request)
    yield from module.draw(request, split)


def labels_of_split(request: StandInRequest, split: str) -> LabelTable:
    """The labels of one split, without drawing."""
    module, _ = generator_of(request)
    found: LabelTable = module.labels(request, split)
    return found


def standin_fingerprint(request: StandInRequest) -> str:
    """Stands for the images without drawing them: the generator's code and everything it is given."""
    module, options = generator_of(request)
    annotated = {name: a.annotated for name, a in request.dataset.tasks.items()}
    content = {
        "version": STANDIN_VERSION,
        "generator": [request.declared.name, *(source_fingerprint(file) for file in module.CODE)],
        "options": options.model_dump(mode="json"),
        "images": request.images,
        "dataset": [request.dataset.name, request.dataset.copy_name],
        "annotated": annotated,
        "tasks": {name: [task.type, task.labels] for name, task in request.tasks.items() if name in annotated},
        "relatedness": None
        if request.relatedness is None
        else request.relatedness.model_dump(mode="json", include={"probabilities", "unlisted"}),
        "image_size": request.image_size,
    }
    return fingerprint(content)
