"""A run, wholly described: what is trained on what, how, and with which seed. Its id is a hash of exactly this."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from bench.specs.backbone import Option, Weights
from bench.specs.budget import Augmentation, Compile, Optimizer, Schedule
from bench.specs.fingerprint import FINGERPRINT_VERSION, canonical, fingerprint_of
from bench.specs.method import MethodType
from bench.specs.model import Frozen, Share
from bench.specs.task import TaskType

Provenance = Literal["real", "standin", "limited"]
Copied = TypeVar("Copied", bound=BaseModel)


class _Part(Frozen):
    """What descriptions of runs consist of. Thousands of runs share one object, and its text is made once."""

    model_config = ConfigDict(ignored_types=(cached_property,))

    @cached_property
    def text(self) -> str:
        """What counts of it in a run's id, as canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        return _afresh(super().model_copy(update=update, deep=deep), "text")


class RunTask(_Part):
    """A task as a run needs it."""

    name: str
    type: TaskType
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    primary: str


class ShownLabels(Frozen):
    """Which training images of a data set show their labels of a task, where a suite thins them out.

    Images are ordered by a hash of their names; those at `start` to `stop` (parts of the whole) may show the label, and
    of these the share `fraction`, by a second hash. Both are nested: what a smaller part shows, a larger one shows too.
    """

    start: Share = 0.0
    stop: Share = 1.0
    fraction: Share = 1.0


class RunSource(_Part):
    """A data set's part in a run: `data` is the fingerprint of its store, `batch` its images in each step.

    `possible` names, by task, the labels that the data set annotates, where these are not all labels of the task.
    `shown` says, by task, which training images show their label (left out: all that have one); a single-task twin has
    the `shown` of all tasks, since images that show none are left out.
    """

    dataset: str
    data: str
    standin: bool
    tasks: tuple[str, ...]
    batch: int
    possible: dict[str, tuple[str, ...]] = {}
    shown: dict[str, ShownLabels] = {}


class RunRelatedness(_Part):
    """A relatedness as a matrix: `matrix[f][s]` = p(second label `covered[s]` | first label f), in task order.

    Where the first task is multilabel, a row tells of images that have its label f, `absent` of images that have not;
    cells about which nothing is said are None in both.
    """

    name: str
    first_task: str
    second_task: str
    covered: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    absent: tuple[tuple[float | None, ...], ...] | None = None


class RunPart(_Part):
    """A part of a method (term, label transform, balancer) with all its options, and the fingerprint of its code."""

    name: str
    options: dict[str, Any]
    code: str


class RunTeacher(_Part):
    """A single-task run whose network labels images that lack a label of its task."""

    dataset: str
    task: str
    id: str


class RunBackbone(_Part):
    """A backbone as a run needs it."""

    name: str
    timm: str
    options: dict[str, Option]
    weights: Weights | None
    input_size: int | None

    @cached_property
    def text(self) -> str:
        # Where a weights file stands says nothing; its hash is part of the description.
        return canonical(self.model_dump(mode="json", exclude={"weights": {"file"}}))


class RunRecipe(_Part):
    """How a run trains; `steps` is the same for a joint run and its twins."""

    steps: int
    image_size: int
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation
    precision: Literal["float32", "bfloat16", "float16"]
    evaluations: int
    compile: Compile | None = None

    @model_serializer(mode="wrap")
    def _said(self, as_declared: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not compiled says nothing of it, as runs did that are older than the choice."""
        said: dict[str, Any] = as_declared(self)
        if self.compile is None:
            said.pop("compile", None)
        return said


class RunSpec(BaseModel):
    """Everything that a run's numbers depend on, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ignored_types=(cached_property,))

    fingerprint_version: int = FINGERPRINT_VERSION
    method: str
    type: MethodType
    labels: tuple[RunPart, ...] = ()
    terms: tuple[RunPart, ...]
    balancer: RunPart | None = None
    teachers: tuple[RunTeacher, ...] = ()
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
        """16 hex digits, computed the same way from the plan and from a record: the fingerprint of all fields."""
        return _named(self._texts)

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Canonical JSON by field."""
        return {name: _text(getattr(self, name)) for name in _FIELDS}

    def seeded(self, seed: int, teachers: tuple[RunTeacher, ...]) -> Self:
        """The same run with another seed and the teachers of that seed; of its text only these are made anew."""
        copied = self.model_copy(update={"seed": seed, "teachers": teachers})
        copied.__dict__["id"] = _named(self._texts | {"seed": _text(seed), "teachers": _text(teachers)})
        return copied

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        return _afresh(super().model_copy(update=update, deep=deep), "id", "_texts")

    @property
    def but_for_seed(self) -> str:
        """What it has in common with the runs that differ in the seed alone, and so do their teachers."""
        return self.model_dump_json(exclude={"seed": True, "teachers": {"__all__": {"id"}}})

    @property
    def provenance(self) -> Provenance:
        """Whether numbers come from real images, from stand-ins, or from a cut-down (`--limit`) run."""
        if self.limit is not None:
            return "limited"
        return "standin" if any(source.standin for source in self.sources) else "real"

    @property
    def batch(self) -> int:
        """Images of a step, over all data sets."""
        return sum(source.batch for source in self.sources)

    @property
    def images_seen(self) -> int:
        """Training images that pass through the network, repeats counted."""
        return self.recipe.steps * self.batch

    def task(self, name: str) -> RunTask:
        return next(task for task in self.tasks if task.name == name)


_FIELDS = sorted(RunSpec.model_fields)


def _text(value: Any) -> str:
    """A field's value as canonical JSON."""
    if isinstance(value, _Part):
        return value.text
    if isinstance(value, tuple):
        return f"[{','.join(map(_text, value))}]"
    return canonical(value)


def _named(texts: Mapping[str, str]) -> str:
    """The id of a run whose fields have these texts."""
    return fingerprint_of("{" + ",".join([f'"{name}":{text}' for name, text in texts.items()]) + "}")


def _afresh(copied: Copied, *derived: str) -> Copied:
    """A copy without what was derived from the fields of the original: a copy has it of its own."""
    for name in derived:
        copied.__dict__.pop(name, None)
    return copied
