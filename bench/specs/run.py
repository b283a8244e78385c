"""A run, wholly described: what is trained on what, how, and with which seed. Its id is a hash of exactly this."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bench.specs.backbone import Weights
from bench.specs.budget import Augmentation, Optimizer, Schedule
from bench.specs.fingerprint import FINGERPRINT_VERSION, fingerprint
from bench.specs.model import Frozen
from bench.specs.task import TaskType

Provenance = Literal["real", "standin", "limited"]


class RunTask(Frozen):
    """A task as a run needs it."""

    name: str
    type: TaskType
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    primary: str


class RunSource(Frozen):
    """A data set's part in a run: `data` is the fingerprint of its store, `batch` its images in each step."""

    dataset: str
    data: str
    standin: bool
    tasks: tuple[str, ...]
    batch: int


class RunRelatedness(Frozen):
    """A relatedness as a matrix: `matrix[c][s]` = p(second label `covered[s]` | class c), classes in task order."""

    name: str
    class_task: str
    second_task: str
    covered: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


class RunTerm(Frozen):
    """A term of the loss with all its options, and the fingerprint of its code."""

    name: str
    options: dict[str, Any]
    code: str


class RunBackbone(Frozen):
    """A backbone as a run needs it."""

    name: str
    timm: str
    options: dict[str, bool | int | float | str | None]
    weights: Weights | None
    input_size: int | None


class RunRecipe(Frozen):
    """How a run trains; `steps` is the same for a joint run and its twins."""

    steps: int
    image_size: int
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation
    precision: Literal["float32", "bfloat16", "float16"]
    evaluations: int


class RunSpec(BaseModel):
    """Everything that a run's numbers depend on, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ignored_types=(cached_property,))

    fingerprint_version: int = FINGERPRINT_VERSION
    method: str
    type: Literal["single", "joint"]
    terms: tuple[RunTerm, ...]
    backbone: RunBackbone
    recipe: RunRecipe
    sources: tuple[RunSource, ...]
    tasks: tuple[RunTask, ...]
    relatedness: tuple[RunRelatedness, ...]
    metrics: dict[str, str]
    seed: int
    limit: int | None = None

    @cached_property
    def id(self) -> str:
        """16 hex digits, computed the same way from the plan and from a record."""
        # Where a weights file stands says nothing; its hash is part of the description.
        return fingerprint(self.model_dump(mode="json", exclude={"backbone": {"weights": {"file"}}}))

    @property
    def provenance(self) -> Provenance:
        """Whether numbers come from real images, from stand-ins, or from a cut-down (`--limit`) run."""
        if self.limit is not None:
            return "limited"
        return "standin" if any(source.standin for source in self.sources) else "real"

    @property
    def images_seen(self) -> int:
        """Training images that pass through the network, repeats counted."""
        return self.recipe.steps * sum(source.batch for source in self.sources)

    def task(self, name: str) -> RunTask:
        return next(task for task in self.tasks if task.name == name)
