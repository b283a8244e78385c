"""From a local copy of a data set, or from its stand-in generator, to a store.

Both write into `<store>.partial` and move it into place at the end; a lock lets only one process prepare a store.
Decoding a copy keeps a journal, so that an interrupted preparation goes on where it stopped; what was refused is
tried again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.data.copies import cache_folder, copy_hint, make_folder
from bench.data.decode import CHUNK, Decoded, Target, decode
from bench.data.expectations import refuse_unexpected, refuse_unexpected_sizes
from bench.data.labels import LabelTable, Names, joined
from bench.data.readers import LAYOUTS, CopyLabels, layout_of, read_labels, read_layout
from bench.data.standin import StandInRequest, draw_split, labels_of_split, standin_fingerprint
from bench.data.store import (
    IMAGES,
    MANIFEST,
    STORE_VERSION,
    Store,
    file_sha256,
    open_store,
    refuse_empty_splits,
    write_store,
)
from bench.errors import DataError
from bench.files import write_whole
from bench.specs.components import part_fingerprint
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.fingerprint import fingerprint
from bench.specs.relatedness import RelatednessSpec
from bench.specs.task import TaskSpec

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

MOST_REFUSED = 0.05
"""Largest part of all images, and of those of a split (where one always may), that may be missing or unreadable."""
MOST_HASHED = 16 << 20
"""Label files up to this many bytes are known by their content, larger ones by size and time of change."""
JOURNAL = "journal.json"


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

    def labels(self) -> LabelTable:
        """The labels alone, without an image being decoded or drawn: by the label files of a copy, or as drawn.

        Images that a preparation would refuse are among them, so that the answer does not depend on what is prepared.
        """
        if self.copy is not None:
            return self._copy_labels
        request = self._request()
        return joined([labels_of_split(request, split) for split in SPLITS])

    @cached_property
    def _copy_labels(self) -> LabelTable:
        assert self.copy is not None
        return read_labels(self.dataset, self.tasks, self.copy).labels

    def prepare(self, progress: Progress = lambda done, total: None, *, again: bool = False) -> Store:
        """Make the store unless it is there (or `again`), and open it. Raises `DataError`."""
        folder = self.folder
        make_folder(folder.parent)
        with _held(FileLock(f"{folder}.lock"), progress):
            if again or not self.ready:
                if self.copy is None:
                    self._draw(folder, progress)
                else:
                    self._read(folder, self.copy, progress)
        return self.open()

    def _request(self) -> StandInRequest:
        declared = self.dataset.standin
        if declared is None or (declared.relatedness is not None and self.relatedness is None):
            raise DataError(
                f"there is no copy of data set '{self.dataset.name}' and no stand-in is declared for it",
                hint=copy_hint(self.dataset),
            )
        return StandInRequest(self.dataset, self.tasks, self.relatedness, self.image_size)

    def _recipe(self) -> str:
        spec = self.dataset.model_dump(mode="json", include={"tasks", "layout", "splits", "crop", "expected"})
        tasks = {name: task.model_dump(mode="json", include={"type", "labels"}) for name, task in self.tasks.items()}
        code = part_fingerprint(LAYOUTS, layout_of(self.dataset).name)
        return fingerprint([STORE_VERSION, spec, tasks, self.image_size, str(self.copy), code, self._label_files])

    @cached_property
    def _label_files(self) -> list[str]:
        """What tells whether the files that labels come from were changed: a changed table is read again."""
        assert self.copy is not None
        layout, options = read_layout(self.dataset, self.copy)
        return [_state_of(file) for file in layout.label_files(self.copy, options) if file.exists()]

    def _label_names(self) -> dict[str, tuple[str, ...]]:
        return {name: self.tasks[name].labels for name in self.dataset.tasks if name in self.tasks}

    def _draw(self, folder: Path, progress: Progress) -> None:
        request, total, done = self._request(), 0, 0
        images_of = request.images
        total = sum(images_of.values())
        with _fresh(folder) as work:
            _new_images(work / IMAGES, _shape(total, self.image_size))
            images = open_memmap(work / IMAGES, mode="r+")
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
                labels=joined(parts),
                dataset=self.dataset.name,
                image_size=self.image_size,
                label_names=self._label_names(),
                standin=self.standin,
                made_from=f"stand-in generator '{self.dataset.standin.name if self.dataset.standin else ''}'",
            )

    def _read(self, folder: Path, copy: Path, progress: Progress) -> None:
        found = read_labels(self.dataset, self.tasks, copy)
        refuse_unexpected(self.dataset, self.tasks, found)
        refuse_empty_splits(self.dataset.name, found.labels, found.labelled.left_out)
        work = folder.with_name(folder.name + ".partial")
        journal = _decode_all(found, work, self.image_size, progress)
        refused = journal.refused
        labels = found.labels
        good = np.array([name not in refused for name in labels.images])
        self._refuse_incomplete(labels, good, refused)
        refuse_unexpected_sizes(self.dataset, found, journal.sizes)
        kept = labels if good.all() else labels.take(good)
        _keep_rows(work, good)
        write_store(
            folder,
            images=work / IMAGES,
            labels=kept,
            dataset=self.dataset.name,
            image_size=self.image_size,
            label_names=self._label_names(),
            standin=None,
            refused=refused,
            made_from=str(copy),
            reading=found.report(journal.tiny),
        )

    def _refuse_incomplete(self, labels: LabelTable, good: NDArray[np.bool_], refused: Mapping[str, str]) -> None:
        """Raise `DataError` where too many images cannot be used, of all or of a split: it is another data set then."""
        parts = {"": np.arange(len(labels))} | {f"{split} ": labels.rows(split) for split in SPLITS}
        for part, rows in parts.items():
            lost = rows[~good[rows]]
            if len(lost) > MOST_REFUSED * len(rows) and (len(lost) > 1 or not part):
                names = ", ".join(f"{name} ({refused[name]})" for name in labels.images[lost[:3]])
                raise DataError(
                    f"data set '{self.dataset.name}': {len(lost)} of {len(rows)} {part}images in {self.copy} are "
                    f"missing or unreadable: {names}, ...",
                    hint="complete the copy; what was read so far is kept",
                )


def _decode_all(found: CopyLabels, work: Path, size: int, progress: Progress) -> _Journal:
    """Decode every image into `work/images.npy`; returns what was refused, and how large the images were.

    Goes on from the journal if there is one; images refused earlier come first, as the copy may have been completed.
    """
    labels, shape = found.labels, _shape(len(found.labels), size)
    journal = _Journal(work / JOURNAL, fingerprint([found.labels.fingerprint(), size]))
    if journal.done == 0 or not _holds(work / IMAGES, shape):
        journal.begin_anew()
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        _new_images(work / IMAGES, shape)
    target = Target(work / IMAGES, _offset_of(work / IMAGES), size)
    again = [] if not journal.refused else _rows_named(labels.images[: journal.done], journal.refused)
    rows = [*again, *range(journal.done, len(labels))]
    try:
        with closing(decode(found.sources, rows, target)) as pieces:
            for piece in pieces:
                journal.add(piece, labels.images)
                journal.note(target.file)
                progress(journal.done, len(labels))
    finally:
        journal.note(target.file, now=True)
    return journal


def _rows_named(names: Names, wanted: Mapping[str, str]) -> list[int]:
    return [row for row, name in enumerate(names) if name in wanted]


class _Journal:
    """How far decoding came: the images before `done`, but for those refused, are on disk.

    Written at most every second, as the list of refusals may be long; a kill costs what was decoded since.
    """

    def __init__(self, file: Path, identity: str) -> None:
        self.file, self.identity = file, identity
        content = self._read()
        self.done: int = content.get("done", 0)
        self.refused: dict[str, str] = content.get("refused", {})
        self.tiny: dict[str, str] = content.get("tiny", {})
        self.sizes: Counter[str] = Counter(content.get("sizes", {}))
        self._written = time.monotonic()

    def begin_anew(self) -> None:
        """Nothing is done yet."""
        self.done = 0
        for kept in (self.refused, self.tiny, self.sizes):
            kept.clear()

    def add(self, piece: Decoded, images: Names) -> None:
        """One more piece is decoded; its rows were refused before, or follow those that are done."""
        for row, name in zip(piece.rows, images[piece.rows].tolist(), strict=True):
            self.refused.pop(name, None)
            if row in piece.refused:
                self.refused[name] = piece.refused[row]
            if row in piece.tiny:
                self.tiny[name] = "{} x {}".format(*piece.tiny[row])
        for (width, height), count in piece.sizes.items():
            self.sizes[f"{width} x {height}"] += count
        self.done = max(self.done, piece.rows[-1] + 1)

    def note(self, images: Path, *, now: bool = False) -> None:
        """Write it, once the images that it speaks of are safe on disk."""
        if now or time.monotonic() - self._written >= 1:
            with images.open("rb+") as stream:
                os.fsync(stream.fileno())
            content = {name: getattr(self, name) for name in ("identity", "done", "refused", "tiny", "sizes")}
            write_whole(self.file, json.dumps(content))
            self._written = time.monotonic()

    def _read(self) -> dict[str, Any]:
        if not self.file.is_file():
            return {}
        try:
            journal: Any = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the machine failed while the journal was written: begin anew
        return journal if isinstance(journal, dict) and journal.get("identity") == self.identity else {}


def _keep_rows(work: Path, good: NDArray[np.bool_]) -> None:
    """Close the gaps that refused images left, and end the journal: rows no longer stand where it says."""
    if good.all():
        (work / JOURNAL).unlink()
        return
    images = np.load(work / IMAGES, mmap_mode="r")
    shape, offset = images.shape, _offset_of(work / IMAGES)
    del images
    rows = np.flatnonzero(good)
    kept = work / "kept.npy"
    _new_images(kept, _shape(len(rows), shape[1]))
    length = shape[1] * shape[2] * 3
    # Plain reads and writes: pages of a memory map would count as this process's memory.
    with (work / IMAGES).open("rb") as source, kept.open("rb+") as sink:
        sink.seek(_offset_of(kept))
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            source.seek(offset + int(run[0]) * length)
            for start in range(0, len(run), CHUNK):
                sink.write(source.read(min(CHUNK, len(run) - start) * length))
    (work / JOURNAL).unlink()
    os.replace(kept, work / IMAGES)


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


def _new_images(file: Path, shape: tuple[int, int, int, int]) -> None:
    """A new .npy array on disk. Its space is taken at once: writing to a map that a full disk cannot hold kills."""
    images: np.memmap[Any, np.dtype[np.uint8]] = open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    del images
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)


def _holds(file: Path, shape: tuple[int, int, int, int]) -> bool:
    """Whether an .npy file is there and has room for all of its images."""
    try:
        return bool(np.load(file, mmap_mode="r", allow_pickle=False).shape == shape)
    except (OSError, ValueError, EOFError):
        return False


def _offset_of(file: Path) -> int:
    """Where the first image begins in an .npy file."""
    return int(np.load(file, mmap_mode="r", allow_pickle=False).offset)


def _state_of(file: Path) -> str:
    """What tells a changed file from an unchanged one: its content, or of large files size and time of change.

    Of folders it is the time of change, which tells of files that came and went, not of those rewritten in place.
    """
    status = file.stat()
    if file.is_file() and status.st_size <= MOST_HASHED:
        return file_sha256(file)
    return f"{status.st_size if file.is_file() else 'folder'} {status.st_mtime_ns}"


def _shape(count: int, size: int) -> tuple[int, int, int, int]:
    return (count, size, size, 3)
