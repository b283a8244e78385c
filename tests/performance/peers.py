"""Training by bench against training by LibMTL, the Trainer of transformers, and Lightning.

    python tests/performance/peers.py --repeats 1

Each pair trains the same network on the same images in batches of the same size, with the same augmentation, optimiser,
order of memory (channels last) and number of torch's threads. What is compared is the time of the steps from number
`FIRST` to the last but one: start, evaluation and the end are nobody's. The peers need the extra `peers`.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from comparison import Measured
from declared import declared, prepared
from photographs import write_photographs
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from bench.data.batches import SourceData
from bench.data.decode import cores
from bench.models.network import Network, Normalisation, build_network, check_name, normalisation_of
from bench.specs.budget import Augmentation
from bench.specs.dataset import SPLITS
from bench.specs.run import RunSpec
from bench.training.loop import train

PEERS = ("LibMTL", "transformers", "lightning")
FIRST = 10
"""Steps before the watch starts: by then worker processes are up and their first batches used."""
RATE, DECAY = 1e-3, 0.02
_RATES = {"rate": RATE, "decay": DECAY}
PHOTOGRAPHS = 1024
WIDTH, HEIGHT = 500, 375

_DATASET = """
    kind: dataset
    name: {name}
    title: Faces
    domain: faces
    tasks: {{{task}: {{}}}}
    standin:
      name: faces
      relatedness: emotion_action_units
      images: {{train: 4096, validation: 16, test: 16}}
      prevalence: {{neutral: 0.2, happiness: 0.3, sadness: 0.1, surprise: 0.1, fear: 0.1, disgust: 0.1, anger: 0.1}}
    licence: none needed
    home_page: https://example.org/
    citation: none
"""
_BUDGET = """
    kind: budget
    name: brief
    title: Some steps
    steps: {steps}
    seeds: 1
    image_size: {size}
    batch: {{size: {batch}, allocation: balanced}}
    optimizer: {{name: {optimizer}, learning_rate: {rate}, weight_decay: {decay}}}
    schedule: {{name: constant}}
    augmentation: {augmentation}
    checkpoint_every: 100000
"""
_TINY = """
    kind: backbone
    name: tiny
    title: A ViT whose patches are of 56 pixels
    family: ViT
    timm: test_vit
    options: {img_size: 224, patch_size: 56, embed_dim: 32, num_heads: 2, depth: 1}
"""
_RESNET18 = """
    kind: backbone
    name: plain_resnet18
    title: ResNet-18 from scratch
    family: ResNet
    timm: resnet18
"""
_TWO_TASKS = """
    kind: suite
    name: measured
    title: Expressions here, action units there
    datasets: [faces_a, faces_b]
    relatedness: [emotion_action_units]
    backbones: [resnet_micro]
    methods: [single_task, multi_task]
    budget: brief
    margins: {macro_f1: 0.02, mean_f1: 0.02}
"""
_ONE_TASK = """
    kind: suite
    name: measured
    title: One task of photographs
    datasets: [photographs]
    backbones: [{backbone}]
    methods: [single_task]
    budget: brief
    margins: {{accuracy: 0.02}}
"""
_FACES = {"faces_a": _DATASET.format(name="faces_a", task="expression"),
          "faces_b": _DATASET.format(name="faces_b", task="action_units")}  # fmt: skip
_PHOTOGRAPHS = {
    "kinds": """
        kind: task
        name: kinds
        title: Kinds
        type: multiclass
        labels: [cat, dog]
        metrics: [accuracy]
        primary: accuracy
        chance: 0.5
    """,
    "photographs": """
        kind: dataset
        name: photographs
        title: Photographs
        domain: animals
        tasks: {kinds: {column: class}}
        layout: {name: image_folder}
        splits: {official: {train: train, validation: validation, test: test}}
        licence: none needed
        home_page: https://example.org/
        citation: none
    """,
}
CHANGES = "{shift: 0.06, flip: true, color: 0.2}"
NONE = "{}"


class Watch:
    """Seconds a step, from when `first` steps are done until `last` are."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.done, self.started, self.seconds = first, last, 0, 0.0, float("nan")

    def tick(self, *_: object) -> None:
        """A step is done."""
        self.done += 1
        if self.done in (self.first, self.last):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            now = time.perf_counter()
            self.started, self.seconds = now, (now - self.started) / (self.last - self.first)


@dataclass(frozen=True)
class Problem:
    """A run of bench with its stores open: what it and a peer are both given."""

    run: RunSpec
    sources: Sequence[SourceData]
    root: Path
    preparing: float

    @property
    def batch(self) -> int:
        return self.sources[0].about.batch

    def watch(self) -> Watch:
        return Watch(FIRST, self.run.recipe.steps - 1)

    def network(self) -> Network:
        """The network that bench trains, in the same order of memory."""
        built = build_network(self.run.backbone, {task.name: len(task.labels) for task in self.run.tasks}, seed=0)
        return built.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def ours(self) -> float:
        """Seconds a step of bench's training."""
        watch = self.watch()
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint"
            train(self.run, self.sources, checkpoint=checkpoint, checkpoint_every=10**9, progress=watch.tick)
        return watch.seconds


@contextmanager
def problem(
    specs: Mapping[str, str], method: str, make_copy: Callable[[Path], None] | None = None
) -> Iterator[Problem]:
    """The first run with a method that the suite `measured` plans, its data prepared in a place of its own."""
    with declared(specs) as root:
        if make_copy is not None:
            make_copy(root / "data")
        one, preparing = prepared(root, "measured")
        run = next(run.spec for run in one.runs if run.method == method)
        stores = {name: preparation.open() for name, preparation in one.preparations.items()}
        sources = [SourceData(source, stores[source.dataset]) for source in run.sources]
        yield Problem(run, sources, root, preparing)


def compared(
    name: str, wanted: str, ours: Callable[[], float], theirs: Callable[[], float], repeats: int, note: str = ""
) -> Measured:
    """Their seconds a step / ours, in turn, after one of each to warm up."""
    ours(), theirs()
    pairs = [(theirs(), ours()) for _ in range(repeats)]
    slow, fast = (statistics.median(side) for side in zip(*pairs, strict=True))
    told = f"a step takes {slow * 1000:,.1f} / {fast * 1000:,.1f} ms"
    measured = Measured(name, wanted, [one / other for one, other in pairs], f"{told}; {note}" if note else told)
    print(measured.row, file=sys.stderr)  # the whole takes minutes
    return measured


# ---- what peers read ----


class InMemory(Dataset):
    """Images uint8 [3, side, side] with their labels; each is changed when it is asked for, as peers' users do."""

    def __init__(self, images: Tensor, labels: Tensor, change: Callable[[Tensor], Tensor]) -> None:
        self.images, self.labels, self.change = images, labels, change

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return self.change(self.images[place]), self.labels[place]


def in_memory(source: SourceData, task: str, change: Callable[[Tensor], Tensor]) -> InMemory:
    """The training images of a source, as a peer gets them."""
    store = source.store
    rows = store.rows("train")
    labels = torch.from_numpy(np.array(store.labels.tasks[task][rows]))
    labels = labels.float() if labels.ndim == 2 else labels.long()
    return InMemory(torch.from_numpy(store.gather(rows)).permute(0, 3, 1, 2).contiguous(), labels, change)


def changing(settings: Augmentation, size: int, norm: Normalisation) -> Callable[[Tensor], Tensor]:
    """The augmentation of the run by torchvision, for one image at a time."""
    from torchvision.transforms import v2

    reach, color = round(settings.shift * size), settings.color
    return v2.Compose(
        [
            v2.RandomCrop(size, padding=reach, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=color, contrast=color, saturation=color),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(norm.mean, norm.std),
        ]
    )


# ---- LibMTL ----


def libmtl(repeats: int, steps: int = 110, size: int = 64) -> list[Measured]:
    """Two data sets with a task each, in its mode `multi_input`, weighted equally.

    Images wait in memory; its trainer sums up the metrics of every training batch, as it always does. Its test after
    every epoch is left out. Version 1.1.5, the latest that pip has, does not run with PyTorch of today; what is mended
    is what its repository mended since, the step itself is the same there: a function of torchvision that moved,
    `iterator.next()`, which PyTorch dropped, and the device, `cuda:0` even where there is none.
    """
    specs = _FACES | {
        "brief": _BUDGET.format(steps=steps, size=size, batch=64, optimizer="adam", augmentation=CHANGES, **_RATES),
        "measured": _TWO_TASKS,
    }
    with problem(specs, "multi_task") as given:
        return [
            compared(
                f"two tasks, resnet_micro, {size} px, 2 x {given.batch}: LibMTL, {workers} workers a task / bench",
                "above 1",
                given.ours,
                partial(_by_libmtl, given, workers),
                repeats,
                "LibMTL 1.1.5, mended to run with PyTorch of today; two forwards a step, a look at the loss each",
            )
            for workers in (0, cores())
        ]


def _by_libmtl(given: Problem, workers: int) -> float:
    moved = ModuleType("torchvision.models.utils")
    moved.load_state_dict_from_url = torch.hub.load_state_dict_from_url  # type: ignore[attr-defined]
    sys.modules.setdefault(moved.__name__, moved)
    from LibMTL import Trainer
    from LibMTL.architecture import HPS
    from LibMTL.loss import AbsLoss, CELoss
    from LibMTL.metrics import AbsMetric, AccMetric
    from LibMTL.weighting import EW

    class Mended(Trainer):
        device = property(lambda _: _device(), lambda _, wanted: None)

        def _process_data(self, loader):  # type: ignore[no-untyped-def]
            images, labels = next(loader[1])
            return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

        def test(self, *_: object, **__: object) -> None:
            """Training alone is compared."""

    class BinaryLoss(AbsLoss):
        def compute_loss(self, pred, gt):  # type: ignore[no-untyped-def]
            return F.binary_cross_entropy_with_logits(pred, gt)

    class BinaryAccuracy(AbsMetric):
        def update_fun(self, pred, gt):  # type: ignore[no-untyped-def]
            self.record.append(gt.eq((pred > 0).float()).float().mean().item() * len(pred))
            self.bs.append(len(pred))

        def score_fun(self):  # type: ignore[no-untyped-def]
            return [sum(self.record) / sum(self.bs)]

    network = given.network()
    change = changing(given.run.recipe.augmentation, given.run.recipe.image_size, normalisation_of(network.backbone))
    tasks, loaders = {}, {}
    for source in given.sources:
        (task,) = source.tasks
        one_class = given.run.task(task).type == "multiclass"
        tasks[task] = {
            "metrics": ["Acc"],
            "metrics_fn": AccMetric() if one_class else BinaryAccuracy(),
            "loss_fn": CELoss() if one_class else BinaryLoss(),
            "weight": [1],
        }
        images = in_memory(source, task, change)
        first = torch.utils.data.Subset(images, range(given.run.recipe.steps * given.batch))
        loaders[task] = DataLoader(first, given.batch, shuffle=True, num_workers=workers, drop_last=True)
    watch = given.watch()
    with redirect_stdout(io.StringIO()):
        trainer = Mended(
            task_dict=tasks,
            weighting=EW,
            architecture=HPS,
            encoder_class=lambda: network.backbone,
            decoders=network.heads,
            rep_grad=False,
            multi_input=True,
            optim_param={"optim": "adam", "lr": RATE, "weight_decay": DECAY},
            scheduler_param=None,
            weight_args={},
            arch_args={},
        )
        trainer.optimizer.register_step_post_hook(watch.tick)
        trainer.train(loaders, {}, epochs=1)
    return watch.seconds


def _device() -> torch.device:
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


# ---- the Trainer of transformers ----


def hugging_face(repeats: int, steps: int = 160, size: int = 32) -> list[Measured]:
    """One classification task from tensors in memory, in float32, without evaluation, logging or saving.

    Once without augmentation, where its tensors are floats that are normalised already, and once with.
    """
    measured = []
    ways = (
        (
            NONE,
            "floats ready in memory",
            "the Trainer has less to do: bench takes bytes and normalises them every step",
        ),
        (CHANGES, "augmented by torchvision", "one image at a time, in the training process, as is its default"),
    )
    for augmentation, told, note in ways:
        specs = _FACES | {
            "brief": _BUDGET.format(
                steps=steps, size=size, batch=64, optimizer="adamw", augmentation=augmentation, **_RATES
            ),
            "measured": _TWO_TASKS,
        }
        with problem(specs, "single_task") as given:
            measured.append(
                compared(
                    f"one task, resnet_micro, {size} px, batch {given.batch}: Trainer of transformers, {told} / bench",
                    "above 1",
                    given.ours,
                    partial(_by_transformers, given),
                    repeats,
                    note,
                )
            )
    return measured


class _WithLoss(nn.Module):
    """A network as transformers wants it: a dictionary with the loss first."""

    def __init__(self, network: Network, task: str) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.network(pixel_values).logits[self.task]
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


class _ByName(Dataset):
    """Images and labels by the names that transformers has for them."""

    def __init__(self, images: InMemory) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        image, label = self.images[place]
        return {"pixel_values": image, "labels": label}


def _by_transformers(given: Problem) -> float:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    (source,), (task,) = given.sources, given.run.tasks
    network, recipe, watch = given.network(), given.run.recipe, given.watch()
    norm = normalisation_of(network.backbone)

    class Ticking(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            watch.tick()

    if recipe.augmentation == Augmentation():
        images = in_memory(source, task.name, lambda image: image)
        mean, std = (torch.tensor(value)[:, None, None] for value in (norm.mean, norm.std))
        images.images = (images.images.float() / 255 - mean) / std
    else:
        images = in_memory(source, task.name, changing(recipe.augmentation, recipe.image_size, norm))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=given.batch,
            optim="adamw_torch_fused",
            learning_rate=RATE,
            weight_decay=DECAY,
            max_grad_norm=0,
            lr_scheduler_type="constant",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        model = _WithLoss(network, task.name)
        with redirect_stdout(io.StringIO()):
            Trainer(model, settings, train_dataset=_ByName(images), callbacks=[Ticking()]).train()
    return watch.seconds


# ---- Lightning ----


def lightning(repeats: int) -> list[Measured]:
    """Photographs in JPEG files at 224 pixels: bench prepares them once, Lightning reads them by torchvision's
    ImageFolder in every epoch, in as many processes as bench prepares them with."""
    networks = {"tiny": (32, 28, "above 3"), "plain_resnet18": (16, 20, "above 1")}
    return [_photographs(name, *about, repeats) for name, about in networks.items()]


def _photographs(backbone: str, batch: int, steps: int, wanted: str, repeats: int) -> Measured:
    specs = _PHOTOGRAPHS | {
        "tiny": _TINY,
        "plain_resnet18": _RESNET18,
        "brief": _BUDGET.format(steps=steps, size=224, batch=batch, optimizer="adamw", augmentation=CHANGES, **_RATES),
        "measured": _ONE_TASK.format(backbone=backbone),
    }
    with problem(specs, "single_task", _write_photographs) as given:
        return compared(
            f"JPEG at 224 px, {backbone}, batch {batch}: Lightning with ImageFolder, {cores()} workers / bench",
            wanted,
            given.ours,
            partial(_by_lightning, given),
            repeats,
            f"bench prepared {PHOTOGRAPHS:,} photographs of {WIDTH} x {HEIGHT} in {given.preparing:.1f} s before, once",
        )


def _write_photographs(data: Path) -> None:
    """Distinct photographs to train on; validation and test are links to the first of them."""
    folders = {(split, kind): data / "photographs" / split / kind for split in SPLITS for kind in ("cat", "dog")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    files = [folders["train", ("cat", "dog")[i % 2]] / f"{i}.jpg" for i in range(PHOTOGRAPHS)]
    write_photographs(files, WIDTH, HEIGHT)
    for (split, kind), folder in folders.items():
        if split != "train":
            os.link(files[kind == "dog"], folder / "0.jpg")


def _by_lightning(given: Problem) -> float:
    import lightning as pl
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    network, recipe, watch = given.network(), given.run.recipe, given.watch()
    (task,), size = given.run.tasks, given.run.recipe.image_size

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch, _):  # type: ignore[no-untyped-def]
            images, labels = batch
            return F.cross_entropy(self.network(images).logits[task.name], labels)

        def configure_optimizers(self):  # type: ignore[no-untyped-def]
            return torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY, fused=True)

        def on_train_batch_end(self, *_: object) -> None:
            watch.tick()

    change = changing(recipe.augmentation, size, normalisation_of(network.backbone))
    seen = v2.Compose([v2.Resize(size), v2.CenterCrop(size), v2.PILToTensor(), change])
    loader = DataLoader(
        ImageFolder(given.root / "data" / "photographs" / "train", seen),
        given.batch,
        shuffle=True,
        num_workers=cores(),
        drop_last=True,
        persistent_workers=True,
    )
    trainer = pl.Trainer(
        max_steps=recipe.steps,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)
    return watch.seconds


# ---- all of them ----


def refuse_without_peers(parser: argparse.ArgumentParser) -> None:
    """Ends the program, saying what to do, where a peer is not installed."""
    missing = [module for module in PEERS if find_spec(module) is None]
    if missing:
        parser.error(f"{', '.join(missing)}: not installed; pip install -c constraints.txt -e '.[peers]'")


def peers(repeats: int) -> list[Measured]:
    """All comparisons with peers."""
    with _quiet():
        return [*libmtl(repeats), *hugging_face(repeats), *lightning(repeats)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the peers advise."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON instead of the table")
    arguments = parser.parse_args()
    refuse_without_peers(parser)
    check_name("resnet18")  # timm before all else: only bench imports it well beside a CPU build of torch
    measured = peers(arguments.repeats)
    print(json.dumps([asdict(one) for one in measured]) if arguments.json else "\n".join(one.row for one in measured))


if __name__ == "__main__":
    main()
