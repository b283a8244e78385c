"""Experiment trackers, through accelerate: TensorBoard, Weights & Biases and MLflow are told how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration

from bench.errors import UsageError
from bench.specs.run import RunSpec

Track = Callable[[int, Mapping[str, float]], None]
"""Called with a step (from 1) and values by name."""


@contextmanager
def tracking(
    run: RunSpec, title: str, suite: str, names: Sequence[str], folder: Path, warn: Callable[[str], None]
) -> Iterator[Track]:
    """A run in each of these trackers, open within the block; what it gives passes values on to all of them.

    TensorBoard's files stand in `folder`, by title and id; W&B and MLflow go by their own environment variables, with
    the suite as their project or experiment. A tracker that fails is told no more, and `warn` why; the run goes on.
    Raises `UsageError` where a tracker cannot be started.
    """
    with ExitStack() as open_trackers:
        started = {name: open_trackers.enter_context(_tracker(name, run, title, suite, folder, warn)) for name in names}

        def track(step: int, values: Mapping[str, float]) -> None:
            for name, tracker in list(started.items()):
                try:
                    tracker.log(dict(values), step=step)
                except Exception as error:
                    del started[name]
                    warn(f"{title}: {_failed(name, error)}")

        yield track


def _failed(name: str, error: Exception) -> str:
    return f"the tracker '{name}' failed and is told no more of this run: {type(error).__name__}: {error}"


@contextmanager
def _tracker(
    name: str, run: RunSpec, title: str, suite: str, folder: Path, warn: Callable[[str], None]
) -> Iterator[Any]:
    """One of accelerate's trackers, started with the settings of a run, and finished in the end."""
    place = f"{title.replace('/', '.')} {run.id}"
    own = {
        "tensorboard": {},
        "wandb": {"name": title, "id": run.id, "resume": "allow", "group": run.method, "dir": str(folder)},
        "mlflow": {"run_name": title, "tags": {"bench.run": run.id}},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # accelerate's state is that of this process; its end_training() would close the group of processes, too
        accelerator = Accelerator(log_with=name, project_config=ProjectConfiguration(logging_dir=str(folder)))
        accelerator.init_trackers(place if name == "tensorboard" else suite, settings_of(run, suite), {name: own[name]})
    except Exception as error:
        raise UsageError(
            f"the tracker '{name}' could not be started: {type(error).__name__}: {error}",
            hint="set it up by its own environment variables, or leave out `--tracker`",
        ) from error
    tracker = accelerator.trackers[0]
    try:
        yield tracker
    finally:
        try:
            tracker.finish()
        except Exception as error:
            warn(f"{title}: {_failed(name, error)}")


def settings_of(run: RunSpec, suite: str) -> dict[str, str | int | float | bool]:
    """What a run is, flat: names and hyper-parameters by dotted name."""
    about: dict[str, Any] = {
        "id": run.id,
        "suite": suite,
        "method": run.method,
        "backbone": run.backbone.name,
        "seed": run.seed,
        "batch": {source.dataset: source.batch for source in run.sources},
        "data": {source.dataset: source.data for source in run.sources},
        "provenance": run.provenance,
        **run.recipe.model_dump(mode="json"),
        **{part.name: part.options for part in (*run.labels, *run.terms)},
    }
    if run.balancer is not None:
        about["balancer"] = {"name": run.balancer.name, **run.balancer.options}
    return dict(_flat(about))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | int | float | bool]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float) else str(value)
