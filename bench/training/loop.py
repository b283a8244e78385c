"""The training loop: one forward over the joined batch of all data sets, one loss, one step."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from torch import Tensor

from bench.data.augmentation import augment
from bench.data.batches import Batches, SourceData
from bench.errors import Diverged, InfrastructureError, Interrupted, UsageError
from bench.methods.balance import Balancer, Shared, balancer_of
from bench.methods.objective import Losses, Objective, Targets
from bench.models._timm import timm
from bench.models.batch_norm import synchronised
from bench.models.network import Network, Normalisation, build_network, normalisation_of, without_traces
from bench.specs.budget import Optimizer
from bench.specs.run import RunSpec
from bench.specs.streams import stream_seed
from bench.training.checkpoint import State, load_checkpoint, save_checkpoint
from bench.training.compiling import compiled, step_begins
from bench.training.evaluation import Predictions, predict, selection_score
from bench.training.feed import Fed, fed
from bench.training.labelling import Changes, label
from bench.training.launch import several
from bench.training.pieces import in_pieces, refuse_lone_images, respond
from bench.training.processes import Processes
from bench.training.profiling import profiled
from bench.training.schedule import learning_rate_factor
from bench.training.teachers import teaching
from bench.training.tracking import Track

_MIXED = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_FUSED = ("adam", "adamw", "sgd")  # torch's own, which update all parameters in one call
_CALMER = "lower the learning rate, warm up longer, or set `clip_norm` in the budget"
LOG_EVERY = 20
"""Steps between looks at the loss; each look waits for the device."""

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves: test predictions of the selected model, and how it came there.

    `network`: the selected model's state; `changes`: what label transforms did; `gradient_bytes`: memory that the
    balancer held for gradients of single tasks; `peak_memory`: bytes of GPU memory at most, None on a CPU; `pieces`:
    parts that a batch had to be divided into, since memory could not hold it; `processes`: how many shared the run.
    """

    predictions: list[Predictions]
    network: dict[str, Tensor]
    curve: list[dict[str, Any]]
    selected_step: int
    validation_score: float | None
    changes: Changes
    seconds: dict[str, float]
    parameters: int
    gradient_bytes: int
    peak_memory: int | None
    device: str
    pieces: int
    processes: int


class Probe(Protocol):
    """Looks at a training without changing it; see `bench.training.probe`."""

    def wants(self, step: int) -> bool: ...
    def look(
        self,
        *,
        step: int,
        network: Network,
        objective: Objective,
        images: Tensor,
        targets: Targets,
        rate: float,
    ) -> None: ...
    def validated(self, *, step: int, network: Network) -> None: ...


def train(
    run: RunSpec,
    sources: Sequence[SourceData],
    *,
    checkpoint: Path,
    checkpoint_every: int,
    teachers: Mapping[str, Path] | None = None,
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    probe: Probe | None = None,
    profile: Path | None = None,
    track: Track = lambda step, values: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Train, select on validation, and predict the test split once.

    Goes on from `checkpoint` if it holds this run, and writes it every `checkpoint_every` steps. `should_stop` is asked
    after each step; if so, a checkpoint is written and `Interrupted` raised. `teachers` are files of the networks that
    the run's teachers ended with, by run id. A `probe` is shown the steps that it wants. A handful of steps is profiled
    to the file `profile`. `track` is told losses and validation scores when the loop itself looks at them. Where the
    device runs out of memory, each batch is divided, which `warn` is told. Raises `Diverged` when a loss or a
    prediction is not finite, `MemoryError` when memory does not hold a single image.
    """

    def attempt(pieces: int) -> Outcome:
        accelerator = make_accelerator(run.recipe.precision)
        with torch.random.fork_rng():
            torch.manual_seed(stream_seed(run.seed, "dropout"))
            training = _Training(run, sources, accelerator, checkpoint, teachers or {}, probe, track, pieces)
            training.run_steps(checkpoint_every, progress, should_stop, profile)
            return training.outcome()

    def divided(pieces: int) -> None:
        gc.collect()  # what the failed attempt left in circles of references
        warn(
            f"memory of the device did not hold a batch of {run.batch} images: it is divided into {pieces} pieces; "
            "losses are those of the whole batch, statistics of batch normalisation those of a piece"
        )

    if several():
        try:
            return attempt(1)
        except torch.OutOfMemoryError as error:  # others wait for this process, and could not hear of a division
            raise MemoryError(f"a device ran out of memory: {error}; use more processes or a smaller batch") from error
    return in_pieces(attempt, run.batch, divided)


def make_accelerator(precision: str) -> Accelerator:
    """The device and its precision. Raises `UsageError` for float16 without a GPU.

    accelerate keeps its state for the whole process; another precision needs it made anew.
    """
    if precision == "float16" and not torch.cuda.is_available():
        raise UsageError(
            "the budget asks for float16, which needs a GPU, and there is none",
            hint="choose a budget in float32 or bfloat16 (`--budget NAME`)",
        )
    mixed = _MIXED[precision]
    if is_initialized() and AcceleratorState().mixed_precision != mixed:
        AcceleratorState._reset_state(reset_partial_state=False)
    # accelerate starts several processes on CPUs only where it is told that there is nothing else
    several_cpus = several() and not torch.cuda.is_available()
    return Accelerator(mixed_precision=mixed, cpu=several_cpus or None)


class _Training:
    """One run in memory."""

    def __init__(
        self,
        run: RunSpec,
        sources: Sequence[SourceData],
        accelerator: Accelerator,
        checkpoint: Path,
        teachers: Mapping[str, Path],
        probe: Probe | None,
        track: Track,
        pieces: int,
    ) -> None:
        self.run, self.sources, self.accelerator, self.checkpoint = run, sources, accelerator, checkpoint
        self.probe, self.track, self.pieces = probe, track, pieces
        self.processes = _sharing(run, accelerator, probe)
        self.state = State()
        self.tasks = {task.name: task for task in run.tasks}
        network = build_network(run.backbone, {task.name: len(task.labels) for task in run.tasks}, run.seed)
        refuse_lone_images(network, run.batch, pieces)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.normalisation: Normalisation = normalisation_of(network.backbone)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.processes.count > 1:
            network = synchronised(network, accelerator.device)
        self.balancer: Balancer = balancer_of(run).to(accelerator.device)
        # accelerate's wrapper would give copies of features and logits, between which no gradient flows
        self.network: Network = network.to(accelerator.device)
        if run.recipe.compile is not None:
            compiled(network.backbone, run.recipe.compile)
        self.optimizer = make_optimizer(network, self.balancer, run.recipe.optimizer)
        self.backbone = tuple(network.backbone.parameters())
        self.heads = {task: tuple(head.parameters()) for task, head in network.heads.items()}
        self.objective = Objective(run, accelerator.device)
        with self._timed("labels"):
            self.labelling = label(run, sources, teaching(run, sources, teachers, accelerator))
        recipe = run.recipe
        self.batches = Batches.over(sources, self.labelling.rows, recipe.augmentation, recipe.image_size, run.seed)
        self.mean = torch.tensor(self.normalisation.mean, device=accelerator.device)
        self.std = torch.tensor(self.normalisation.std, device=accelerator.device)
        self.losses: dict[str, Tensor] = {}
        self._resume()

    def run_steps(
        self, checkpoint_every: int, progress: Progress, should_stop: Callable[[], bool], profile: Path | None
    ) -> None:
        """All steps that are still to do."""
        steps = self.run.recipe.steps
        looks = evenly_spaced(steps, self.run.recipe.evaluations)
        self.network.train()
        if self.probe is not None and self.state.step == 0:
            self.probe.validated(step=0, network=self.network)
        to_do = range(self.state.step, steps)
        with (
            closing(fed(self.batches, self.labelling, to_do, self.accelerator.device, self.processes)) as batches,
            closing(profiled(to_do, profile)) as taken,
        ):
            for step in taken:
                with self._timed("train"):
                    self._count(self.step(step, next(batches)))
                    if self.state.step % LOG_EVERY == 0 or self.state.step in looks:
                        self._log()
                if self.state.step in looks:
                    self._validate()
                if self.state.step < steps and self._stops(should_stop):
                    self.save()
                    raise Interrupted("stopped on request; the run goes on from here when it is started again")
                if self.state.step < steps and self.state.step % checkpoint_every == 0:
                    self.save()
                progress(self.state.step, steps)

    def _stops(self, should_stop: Callable[[], bool]) -> bool:
        """Whether to stop; several processes agree on it now and then, since each agreement makes them wait."""
        if self.processes.count > 1 and self.state.step % LOG_EVERY:
            return False
        return bool(self.processes.told(should_stop()))

    def outcome(self) -> Outcome:
        """Predictions of the best model on the test split, which is read here and nowhere else."""
        with self._timed("test"):
            self.network.load_state_dict(self.state.best)
            predictions = self._predict("test")
        state, device = self.state, self.accelerator.device
        return Outcome(
            predictions=predictions,
            network=state.best,
            curve=state.curve,
            selected_step=state.best_step,
            validation_score=state.best_score,
            changes=self.labelling.changes,
            seconds=state.seconds,
            parameters=self.parameters,
            gradient_bytes=self.balancer.held_bytes,
            peak_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
            device=str(device),
            pieces=self.pieces,
            processes=self.processes.count,
        )

    def step(self, step: int, batch: Fed) -> dict[str, Tensor]:
        """One training step; returns the value of each loss, still on the device."""
        recipe = self.run.recipe
        rate = recipe.optimizer.learning_rate * learning_rate_factor(recipe.schedule, step, recipe.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.processes.count > 1:  # each drops out other units, and none has to remember where its stream stands
            torch.manual_seed(stream_seed(self.run.seed, "dropout", self.processes.rank, step))
        color = recipe.augmentation.color > 0
        images, targets = augment(batch.images, batch.changes, self.mean, self.std, color=color), batch.targets
        if self.probe is not None and self.probe.wants(step):
            self.probe.look(
                step=step,
                network=self.network,
                objective=self.objective,
                images=images,
                targets=targets,
                rate=rate,
            )
        step_begins(recipe.compile)
        features, losses = self._forward(images, targets)
        self._backward(losses, step, features)
        self.processes.add_up(self.network.parameters())
        if (step + 1) % LOG_EVERY == 0:
            self._refuse_infinite_gradients(step)
        self._update()
        if self.balancer.looks_again:
            with torch.no_grad(), without_traces(self.network):
                self.balancer.after_step(torch.stack(list(self._forward(images, targets)[1].balanced.values())))
        return {name: value.detach() for name, value in losses.parts.items()}

    def _forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, Losses]:
        """The features of this process's images, and the losses of the whole batch."""
        with self.accelerator.autocast():
            response = respond(self.network, images, self.pieces)
        precise = {task: logits.float() for task, logits in response.logits.items()}
        logits = self.processes.joined_logits(precise, self.run.batch)
        return response.features, self.objective(logits, targets)

    def _backward(self, losses: Losses, step: int, features: Tensor) -> None:
        shared = Shared(features, self.backbone, self.heads, self.processes.total)
        try:
            self.balancer.backward(losses, step, shared, self._derive)
        except Exception as error:  # a solver may break on numbers that are not finite before the log tells of them
            if all(bool(torch.isfinite(value)) for value in losses.parts.values()):
                raise
            raise Diverged(f"the loss was not finite at step {step + 1}", hint=_CALMER) from error

    def _derive(self, loss: Tensor) -> None:
        """Accumulate the gradients of a scalar, scaled where the precision is too coarse for them."""
        scaler = self.accelerator.scaler
        scaled = loss if scaler is None else scaler.scale(loss)
        scaled.backward()

    def _update(self) -> None:
        """Change the weights by the gradients, and forget these; a scaler leaves out a step whose gradients overflow.

        accelerate's own wrappers would look for optional packages on the disk at each step.
        """
        scaler, clip_norm = self.accelerator.scaler, self.run.recipe.optimizer.clip_norm
        if clip_norm is not None:
            if scaler is not None:
                scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip_norm)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self) -> None:
        """Write the checkpoint; of several processes, the first one does."""
        with self._timed("checkpoint"):
            self._refuse_infinite(self.losses)
            self.state.losses = {name: float(value) for name, value in self.losses.items()}
            failure = None
            if self.processes.leads:
                try:
                    self._write_checkpoint()
                except (OSError, InfrastructureError) as error:
                    failure = error
            failure = self.processes.told(failure)
            if failure is not None:
                raise failure

    def _write_checkpoint(self) -> None:
        scaler = self.accelerator.scaler
        scaler_state = None if scaler is None else scaler.state_dict()
        parts = self.network, self.balancer, self.optimizer
        save_checkpoint(self.checkpoint, self.run.id, self.state, *parts, scaler_state)

    def _resume(self) -> None:
        found = load_checkpoint(self.checkpoint, self.run.id, self.network, self.balancer, self.optimizer)
        if found is None:
            return
        self.state, scaler_state = found
        self.losses = {n: torch.tensor(v, device=self.accelerator.device) for n, v in self.state.losses.items()}
        if scaler_state is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(dict(scaler_state))

    def _count(self, terms: dict[str, Tensor]) -> None:
        self.losses = {name: self.losses.get(name, 0) + value for name, value in terms.items()}
        self.state.step += 1

    def _log(self) -> None:
        """Put the mean losses since the last entry on the curve. Raises `Diverged` if one is not finite."""
        self._refuse_infinite(self.losses)
        since = self.state.step - (self.state.curve[-1]["step"] if self.state.curve else 0)
        means = {name: float(value) / since for name, value in self.losses.items()}
        self.state.curve.append({"step": self.state.step, "losses": means})
        rate = self.optimizer.param_groups[0]["lr"]
        self.track(self.state.step, {f"loss/{name}": value for name, value in means.items()} | {"learning_rate": rate})
        self.losses = {}

    def _validate(self) -> None:
        with self._timed("validation"):
            score = selection_score(self._predict("validation"), self.tasks)
            if self.probe is not None:
                self.probe.validated(step=self.state.step, network=self.network)
            self.state.curve[-1]["validation"] = None if math.isnan(score) else score
            if not math.isnan(score):
                self.track(self.state.step, {"validation/score": score})
            if self.state.best_score is None or score > self.state.best_score:
                self.state.best_score = None if math.isnan(score) else score
                self.state.best_step = self.state.step
                self.state.best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def _predict(self, split: str) -> list[Predictions]:
        found: list[Predictions] = []
        for source in self.sources:
            found += predict(self.network, source, split, self.tasks, self.normalisation, self.accelerator)
        if not all(np.isfinite(predictions.scores).all() for predictions in found):
            # The last step may break the weights after its own loss was still finite.
            raise Diverged(f"the network's outputs were not finite after step {self.state.step}", hint=_CALMER)
        return found

    def _refuse_infinite(self, losses: dict[str, Tensor]) -> None:
        values = {name: float(value) for name, value in losses.items()}
        if not all(math.isfinite(value) for value in values.values()):
            said = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise Diverged(
                f"the loss was not finite by step {self.state.step} ({said})",
                hint=_CALMER,
            )

    def _refuse_infinite_gradients(self, step: int) -> None:
        """Adam would hardly move at all where squares of gradients overflow, and the run would seem to end well."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if self.accelerator.scaler is None and not math.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise Diverged(f"the gradients were not finite at step {step + 1}", hint=_CALMER)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.state.seconds[phase] = self.state.seconds.get(phase, 0.0) + time.perf_counter() - started


def _sharing(run: RunSpec, accelerator: Accelerator, probe: Probe | None) -> Processes:
    """The processes that share a run. Raises `UsageError` where they cannot."""
    processes = Processes.of(accelerator)
    if run.batch < processes.count:
        raise UsageError(
            f"a step of {run.batch} images cannot be shared by {processes.count} processes",
            hint="start fewer processes, or choose a budget with a larger batch",
        )
    if probe is not None and processes.count > 1:
        raise UsageError("a diagnosis looks at a run in one process", hint="start it without torchrun or accelerate")
    return processes


def make_optimizer(network: Network, balancer: Balancer, settings: Optimizer) -> torch.optim.Optimizer:
    """An optimiser of timm over all parameters; biases, norms and what a balancer learns are not decayed."""
    options = {"fused": True} if settings.name in _FUSED else {}
    optimizer: torch.optim.Optimizer = timm().optim.create_optimizer_v2(
        network,
        opt=settings.name,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        filter_bias_and_bn=True,
        **options,
    )
    weights = list(balancer.parameters())
    if weights:
        optimizer.add_param_group({"params": weights, "weight_decay": 0.0})
    return optimizer


def evenly_spaced(steps: int, looks: int) -> frozenset[int]:
    """Steps after which validation is looked at; the last step is always one of them."""
    return frozenset(round(steps * (i + 1) / looks) for i in range(looks)) - {0}
