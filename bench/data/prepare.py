"""From a local copy of a data set, or from its stand-in generator, to a store.

Both write into `<store>.partial` and move it into place at the end; a lock lets only one process prepare a store.
Decoding a copy keeps a journal, so that an interrupted preparation goes on where it stopped; what was refused is
tried again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.copies import cache_folder
from bench.data.labels import LabelTable, code_columns, labels_from_codes
from bench.data.standin import StandInRequest, draw_split, standin_fingerprint
from bench.data.store import IMAGES, MANIFEST, STORE_VERSION, Store, file_sha256, open_store, write_store
from bench.errors import DataError, is_infrastructure
from bench.specs.components import load_part, part_fingerprint, read_options
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.fingerprint import fingerprint
from bench.specs.model import Component
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

MOST_REFUSED = 0.05
"""Largest part of a copy's images that may be missing or unreadable."""
CHUNK = 256
JOURNAL = "journal.json"
LAYOUTS = "bench.data.layouts"

_WIDE = ("I", "F")  # modes of 16 and 32 bits a pixel, which PIL does not scale to 8 bits but cuts off at 255
_UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    RuntimeError,  # a loop of symbolic links
    SyntaxError,
    ValueError,
)


@dataclass(frozen=True)
class Preparation:
    """What is to be prepared: cheap to make, and it knows where its store stands before anything is read."""

    dataset: DatasetSpec
    tasks: Mapping[str, TaskSpec]
    image_size: int
    copy: Path | None
    relatedness: RelatednessSpec | None = None

    @property
    def folder(self) -> Path:
        """Where the store stands or will stand."""
        content = self.standin if self.copy is None else self._recipe()
        return cache_folder() / "stores" / f"{self.dataset.name}-{self.image_size}px-{content}"

    @property
    def standin(self) -> str:
        """Fingerprint of the stand-in, known before it is drawn."""
        return standin_fingerprint(self._request())

    @property
    def ready(self) -> bool:
        return (self.folder / MANIFEST).is_file()

    def open(self, *, limit: int | None = None) -> Store:
        """Open the store. Raises `DataError` if it is not there or not whole."""
        if not self.folder.is_dir():
            raise DataError(
                f"data set '{self.dataset.name}' is not prepared at {self.image_size} pixels",
                hint=f"`bench data prepare {self.dataset.name} --size {self.image_size}`, or `bench run`, prepares it",
            )
        return open_store(self.folder, limit=limit)

    def prepare(self, progress: Progress = lambda done, total: None) -> Store:
        """Make the store unless it is there, and open it. Raises `DataError`."""
        folder = self.folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _held(FileLock(f"{folder}.lock"), progress):
            if not self.ready:
                if self.copy is None:
                    self._draw(folder, progress)
                else:
                    self._read(folder, self.copy, progress)
        return self.open()

    def _request(self) -> StandInRequest:
        if self.dataset.standin is None or self.relatedness is None:
            raise DataError(
                f"there is no copy of data set '{self.dataset.name}' and no stand-in is declared for it",
                hint=f"`bench data add {self.dataset.copy_name} PATH`",
            )
        return StandInRequest(self.dataset, self.tasks, self.relatedness, self.image_size)

    def _recipe(self) -> str:
        spec = self.dataset.model_dump(mode="json", include={"tasks", "layout", "splits"})
        tasks = {name: task.model_dump(mode="json", include={"type", "labels"}) for name, task in self.tasks.items()}
        code = part_fingerprint(LAYOUTS, layout_of(self.dataset).name)
        return fingerprint([STORE_VERSION, spec, tasks, self.image_size, str(self.copy), code, self._label_files])

    @cached_property
    def _label_files(self) -> list[str]:
        """Hashes of the files that labels come from: a changed table is read again."""
        assert self.copy is not None
        layout, options = _layout(self.dataset, self.copy)
        return [file_sha256(file) for file in layout.label_files(self.copy, options) if file.is_file()]

    def _label_names(self) -> dict[str, tuple[str, ...]]:
        return {name: self.tasks[name].labels for name in self.dataset.tasks if name in self.tasks}

    def _draw(self, folder: Path, progress: Progress) -> None:
        request, total, done = self._request(), 0, 0
        images_of = request.images
        total = sum(images_of.values())
        with _fresh(folder) as work:
            images = _new_images(work / IMAGES, _shape(total, self.image_size))
            parts: list[LabelTable] = []
            for split in SPLITS:
                for chunk in draw_split(request, split):
                    images[done : done + len(chunk.labels)] = chunk.images
                    done += len(chunk.labels)
                    parts.append(chunk.labels)
                    progress(done, total)
            images.flush()
            del images
            write_store(
                folder,
                images=work / IMAGES,
                labels=_joined(parts),
                dataset=self.dataset.name,
                image_size=self.image_size,
                label_names=self._label_names(),
                standin=self.standin,
                made_from=f"stand-in generator '{self.dataset.standin.name if self.dataset.standin else ''}'",
            )

    def _read(self, folder: Path, copy: Path, progress: Progress) -> None:
        labels, excluded = read_labels(self.dataset, self.tasks, copy)
        work = folder.with_name(folder.name + ".partial")
        refused = _decode_all(labels, copy, work, self.image_size, progress)
        if len(refused) > MOST_REFUSED * len(labels):
            names = ", ".join(f"{name} ({reason})" for name, reason in list(refused.items())[:3])
            raise DataError(
                f"data set '{self.dataset.name}': {len(refused)} of {len(labels)} images in {copy} are missing or "
                f"unreadable: {names}, ...",
                hint="complete the copy; what was read so far is kept",
            )
        good = np.array([name not in refused for name in labels.images.tolist()])
        kept = labels.take(good)
        self._expect(kept, copy)
        _keep_rows(work, good)
        write_store(
            folder,
            images=work / IMAGES,
            labels=kept,
            dataset=self.dataset.name,
            image_size=self.image_size,
            label_names=self._label_names(),
            standin=None,
            excluded=excluded,
            refused=refused,
            made_from=str(copy),
        )

    def _expect(self, labels: LabelTable, copy: Path) -> None:
        expected = self.dataset.expected
        if expected is not None and labels.counts() != expected.model_dump():
            raise DataError(
                f"data set '{self.dataset.name}': {copy} yields {labels.counts()} images, "
                f"expected {expected.model_dump()}",
                hint="check the copy; if it is right, change `expected` in the dataset spec",
            )


def read_labels(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], copy: Path) -> tuple[LabelTable, int]:
    """Read the labels of a copy: the table and how many rows were excluded. Raises `DataError`."""
    layout, options = _layout(dataset, copy)
    raw = layout.read(copy, options, code_columns(dataset, tasks))
    if raw.num_rows == 0:
        raise DataError(f"data set '{dataset.name}': {copy} lists no images")
    return labels_from_codes(raw, dataset, tasks)


def _layout(dataset: DatasetSpec, copy: Path) -> tuple[ModuleType, Any]:
    """The layout's module and its checked options. Raises `DataError` where the copy or the layout is missing."""
    declared = layout_of(dataset)
    if not copy.is_dir():
        raise DataError(
            f"the copy of data set '{dataset.name}' at {copy} is not there",
            hint=f"`bench data add {dataset.copy_name} PATH` gives the right place",
        )
    layout = load_part(LAYOUTS, declared.name, "layout")
    return layout, read_options(layout.Options, declared.options)


def layout_of(dataset: DatasetSpec) -> Component:
    """The declared layout. Raises `DataError` where copies of the data set cannot be read."""
    if dataset.layout is None:
        raise DataError(
            f"copies of '{dataset.name}' cannot be read: its spec declares no layout",
            hint=f"declare one, or use its stand-in (`bench data remove {dataset.copy_name}`, or leave BENCH_DATA out)",
        )
    return dataset.layout


def _decode_all(labels: LabelTable, root: Path, work: Path, size: int, progress: Progress) -> dict[str, str]:
    """Decode every image into `work/images.npy`; returns refusals.

    Goes on from the journal if there is one; images refused earlier come first, as the copy may have been completed.
    """
    journal_file = work / JOURNAL
    identity = fingerprint([labels.fingerprint(), size])
    done, refused = _read_journal(journal_file, identity)
    shape = _shape(len(labels), size)
    if done == 0:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        images = _new_images(work / IMAGES, shape)
    else:
        images = open_memmap(work / IMAGES, mode="r+")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rows in _chunks(labels, done, refused):
            names = labels.images[rows].tolist()
            results = pool.map(lambda name: _decode(root, name, size), names)
            for row, name, result in zip(rows, names, results, strict=True):
                refused.pop(name, None)
                if isinstance(result, str):
                    refused[name] = result
                else:
                    images[row] = result
            done = max(done, rows[-1] + 1)
            images.flush()
            _write_json(journal_file, {"identity": identity, "done": done, "refused": refused})
            progress(done, len(labels))
    return refused


def _chunks(labels: LabelTable, done: int, refused: Mapping[str, str]) -> list[list[int]]:
    """Rows still to decode, some at a time: those refused among the first `done`, then the rest."""
    again = [row for row, name in enumerate(labels.images[:done].tolist()) if name in refused]
    rows = [*again, *range(done, len(labels))]
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _read_journal(file: Path, identity: str) -> tuple[int, dict[str, str]]:
    if not file.is_file():
        return 0, {}
    try:
        journal = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, {}  # the machine failed while the journal was written: begin anew
    return (journal["done"], journal["refused"]) if journal.get("identity") == identity else (0, {})


def _decode(root: Path, name: str, size: int) -> NDArray[np.uint8] | str:
    """One image as uint8 [size, size, 3] (shorter side resized, centre kept), or why it is refused."""
    path = root / name
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            return "outside the copy"
        with Image.open(path) as image:
            if image.mode.startswith(_WIDE):
                return f"unreadable: pixels of mode {image.mode}"
            image.draft("RGB", (size, size))
            upright = ImageOps.exif_transpose(image)
            if "transparency" in upright.info:  # PIL warns of a palette with alpha unless alpha is made first
                upright = upright.convert("RGBA")
            return np.asarray(ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BICUBIC))
    except FileNotFoundError:
        return "missing"
    except _UNREADABLE as error:
        if is_infrastructure(error):
            raise  # the disk is at fault, not the image
        return f"unreadable: {type(error).__name__}"


def _keep_rows(work: Path, good: NDArray[np.bool_]) -> None:
    """Close the gaps that refused images left, and end the journal: rows no longer stand where it says."""
    if good.all():
        (work / JOURNAL).unlink()
        return
    images = np.load(work / IMAGES, mmap_mode="r")
    rows = np.flatnonzero(good)
    kept = _new_images(work / "kept.npy", _shape(len(rows), images.shape[1]))
    for start in range(0, len(rows), CHUNK):
        kept[start : start + CHUNK] = images[rows[start : start + CHUNK]]
    kept.flush()
    del images, kept
    (work / JOURNAL).unlink()
    os.replace(work / "kept.npy", work / IMAGES)


@contextmanager
def _held(lock: FileLock, progress: Progress) -> Iterator[None]:
    """Hold a lock; while another process has it, `progress` is told every second, so that it can stop the waiting."""
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            progress(0, 1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """An empty work folder beside `folder`; removed if the work does not end well."""
    work = folder.with_name(folder.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _joined(parts: list[LabelTable]) -> LabelTable:
    tasks = {name: np.concatenate([part.tasks[name] for part in parts]) for name in parts[0].tasks}
    return LabelTable(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.splits for part in parts]),
        np.concatenate([part.groups for part in parts]),
        tasks,
    )


def _new_images(file: Path, shape: tuple[int, int, int, int]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A new .npy array on disk. Its space is taken at once: writing to a map that a full disk cannot hold kills."""
    images: np.memmap[Any, np.dtype[np.uint8]] = open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
    return images


def _shape(count: int, size: int) -> tuple[int, int, int, int]:
    return (count, size, size, 3)


def _write_json(file: Path, content: object) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, file)
