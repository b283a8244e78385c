"""The prepared store of a data set: images as one memory-mapped array, labels as Arrow, and a manifest.

    <store>/images.npy      uint8 [n, side, side, 3], RGB
    <store>/labels.arrow    the label table
    <store>/manifest.json   what it is, counts, refusals, hashes; written last

A store is made in a folder beside its place and moved there when complete, so it is whole or absent. When opened,
sizes and modification times are compared with the manifest; where a time differs (a copy, or a change) the hash
decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.data.labels import LabelTable, from_arrow, to_arrow
from bench.errors import DataError
from bench.files import write_whole
from bench.specs.dataset import SPLITS
from bench.specs.fingerprint import fingerprint
from bench.specs.streams import uniform_of

STORE_VERSION = 2
IMAGES, LABELS, MANIFEST = "images.npy", "labels.arrow", "manifest.json"


class StoredFile(BaseModel):
    """Size, hash and modification time of one file of a store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str
    mtime_ns: int


class ReadingReport(BaseModel):
    """What became of the rows of a copy's label files.

    `read` rows stood there. The layout skipped some that it could not use, counted by reason and the first of them by
    name; the dataset spec left out others, counted by reason. `tiny` images are used, and told with their size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    read: int
    skipped: dict[str, int] = {}
    skipped_names: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, int] = {}
    tiny: dict[str, str] = {}


class Finding(BaseModel):
    """One thing that an audit found: what (a word), how many, and the first cases in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    count: int
    cases: tuple[str, ...] = ()


class Audit(BaseModel):
    """What `bench data audit` found in a store; no findings means that nothing was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    findings: tuple[Finding, ...] = ()


class Manifest(BaseModel):
    """What a store holds and how it came to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    dataset: str
    fingerprint: str
    standin: bool
    image_size: int
    counts: dict[str, int]
    labels: dict[str, tuple[str, ...]]
    refused: dict[str, str] = {}
    made_from: str = ""
    reading: ReadingReport | None = None
    audits: dict[str, Audit] = {}
    files: dict[str, StoredFile] = {}


@dataclass(frozen=True)
class Store:
    """An open store. Images stay on disk until they are gathered. Raises `DataError` where a file is gone by then."""

    folder: Path
    manifest: Manifest
    limit: int | None = None

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """uint8 [n, side, side, 3], memory-mapped."""
        with self._still_there(IMAGES):
            array: NDArray[np.uint8] = np.load(self.folder / IMAGES, mmap_mode="r", allow_pickle=False)
            return array

    @property
    def image_bytes(self) -> int:
        """Memory that one image takes."""
        return 3 * self.manifest.image_size**2

    @cached_property
    def labels(self) -> LabelTable:
        with self._still_there(LABELS), pa.memory_map(str(self.folder / LABELS)) as source:
            return from_arrow(pa.ipc.open_file(source).read_all())

    @contextmanager
    def _still_there(self, name: str) -> Iterator[None]:
        """Files are read when they are needed first, and may have been removed since the store was opened."""
        try:
            yield
        except FileNotFoundError as error:
            raise _refused(self.folder, f"{name} is gone; it was there when the store was opened") from error

    def rows(self, split: str) -> NDArray[np.intp]:
        """Rows of a split; with a limit, the first by a hash of the image's name, so that they are a fair sample."""
        rows = self.labels.rows(split)
        if self.limit is None or len(rows) <= self.limit:
            return rows
        order = sorted(rows.tolist(), key=lambda row: uniform_of("limit", str(self.labels.images[row])))
        return np.array(sorted(order[: self.limit]), dtype=np.intp)

    def gather(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Copy some images into memory: uint8 [rows, side, side, 3]."""
        gathered: NDArray[np.uint8] = self.images[rows]
        return gathered


def open_store(folder: Path, *, limit: int | None = None) -> Store:
    """Open a store and check that it is whole and unaltered. Raises `DataError`, naming the file at fault."""
    manifest = read_manifest(folder)
    for name, stored in manifest.files.items():
        file = folder / name
        try:
            status = file.stat()
        except OSError as error:
            raise _refused(folder, f"{file} is missing") from error
        if status.st_size != stored.bytes:
            raise _refused(
                folder, f"{file} has {status.st_size} bytes instead of {stored.bytes}: it is truncated or altered"
            )
        if status.st_mtime_ns != stored.mtime_ns and file_sha256(file) != stored.sha256:
            raise _refused(folder, f"{file} was altered: its content does not match the manifest")
    return Store(folder, manifest, limit)


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone. Raises `DataError` if it is missing, unreadable, or of another version."""
    file = folder / MANIFEST
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("version") != STORE_VERSION:
            raise _refused(folder, f"it has version {content.get('version')}, this bench reads version {STORE_VERSION}")
        return Manifest.model_validate(content)
    except FileNotFoundError as error:
        raise _refused(folder, f"{file} is missing: the store was not finished") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        raise _refused(folder, f"{file} cannot be read: {error}") from error


def write_store(
    folder: Path,
    *,
    images: Path,
    labels: LabelTable,
    dataset: str,
    image_size: int,
    label_names: Mapping[str, tuple[str, ...]],
    standin: str | None,
    refused: Mapping[str, str] | None = None,
    made_from: str = "",
    reading: ReadingReport | None = None,
) -> Manifest:
    """Complete a store whose images already stand in `images` (an .npy file in the folder that becomes the store).

    `standin` is the fingerprint of a generated data set; for real ones the fingerprint comes from the content. The
    folder of `images` is moved to `folder` as the last step. Raises `DataError` if a split is empty.
    """
    refuse_empty_splits(dataset, labels)
    work = images.parent
    table = to_arrow(labels)
    with pa.OSFile(str(work / LABELS), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    files = {}
    for name in (IMAGES, LABELS):
        _flush(work / name)
        status = (work / name).stat()
        files[name] = StoredFile(bytes=status.st_size, sha256=file_sha256(work / name), mtime_ns=status.st_mtime_ns)
    content = {"images": files[IMAGES].sha256, "labels": labels.fingerprint(), "names": dict(label_names)}
    manifest = Manifest(
        version=STORE_VERSION,
        dataset=dataset,
        fingerprint=standin or fingerprint(content),
        standin=standin is not None,
        image_size=image_size,
        counts=labels.counts(),
        labels=dict(label_names),
        refused=dict(refused or {}),
        made_from=made_from,
        reading=reading,
        files=files,
    )
    (work / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    _flush(work / MANIFEST)
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(work, folder)
    return manifest


def refuse_empty_splits(dataset: str, labels: LabelTable, left_out: Mapping[str, int] | None = None) -> None:
    """Raise `DataError` where a split has no image; says what was `left_out` before, by reason."""
    counts = labels.counts()
    empty = [split for split in SPLITS if not counts[split]]
    if empty:
        raise DataError(
            f"data set '{dataset}': no image is left in the {' and the '.join(empty)} split"
            + "".join(f"; {count} left out: {reason}" for reason, count in (left_out or {}).items()),
            hint="check `splits` in the dataset spec, and the copy",
        )


def write_audit(folder: Path, name: str, audit: Audit) -> None:
    """Keep what the audit of the suite (or data set) `name` found. The fingerprint stays: the data are the same."""
    manifest = read_manifest(folder)
    manifest = manifest.model_copy(update={"audits": manifest.audits | {name: audit}})
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1), durable=True)


def _refused(folder: Path, reason: str) -> DataError:
    return DataError(
        f"the prepared data in {folder} cannot be used: {reason}",
        hint=f"remove it (rm -r '{folder}'); the next `bench run` prepares it again",
    )


def file_sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
