"""Records: what is remembered of a run, and the store of them.

    <results>/runs/<real|standin|limited>/<run id>/record.json
    <results>/runs/<real|standin|limited>/<run id>/<data set>.<task>.parquet   per-sample test predictions
    <results>/runs/.networks/<run id>.safetensors                              networks that other runs learn from
    <results>/runs/.work/<run id>/                                             what an unfinished run needs to go on
    <results>/runs/.work/<run id>/progress.json                                how far it is, while it is carried out
    <results>/runs/.locks/<run id>.lock                                        there while somebody carries it out

A record appears whole or not at all: its folder is made under `.work` and moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.data.labels import Names
from bench.errors import RecordError
from bench.methods.training_labels import LabelChange
from bench.specs.run import Provenance, RunSpec

if TYPE_CHECKING:
    from torch import Tensor

RECORD_VERSION = 2
RECORD = "record.json"
CHECKPOINT = "checkpoint.safetensors"
FailureKind = Literal["diverged", "infrastructure", "error"]


class _Part(BaseModel):
    # bench never writes NaN or infinity: what is not defined is null, and a record that holds them was altered.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Failure(_Part):
    """Why a run did not end: its loss was not finite, the machine failed, or anything else went wrong."""

    kind: FailureKind
    message: str
    traceback: str


class Score(_Part):
    """One metric on one task of one data set; None where the annotations do not define it."""

    value: float | None
    per_label: dict[str, float | None] = {}
    higher_is_better: bool


class PredictionFile(_Part):
    """Per-sample predictions of one task on one data set."""

    file: str
    sha256: str
    rows: int


class Cost(_Part):
    """What a run took: steps, training images (repeats counted), seconds by phase, parameters of the network.

    `gradient_bytes`: memory that a balancer held for gradients of single tasks; `peak_memory`: bytes of GPU memory at
    most, None on a CPU; `pieces`: parts that each batch was divided into, since memory could not hold it at once;
    `processes`: how many shared the run, each with a device of its own.
    """

    steps: int
    images: int
    seconds: dict[str, float]
    parameters: int
    gradient_bytes: int = 0
    peak_memory: int | None = None
    device: str
    pieces: int = 1
    processes: int = 1


class Record(_Part):
    """All that is remembered of one run.

    `scores[data set][task][metric]`, `label_changes[data set][transform][task]`.
    """

    record_version: int
    id: str
    run: RunSpec
    status: Literal["done", "failed"]
    suite: str
    command: tuple[str, ...]
    started: datetime
    finished: datetime
    environment: dict[str, Any]
    failure: Failure | None = None
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    predictions: tuple[PredictionFile, ...] = ()
    label_changes: dict[str, dict[str, dict[str, LabelChange]]] = {}
    curve: tuple[dict[str, Any], ...] = ()
    selected_step: int | None = None
    validation_score: float | None = None
    cost: Cost | None = None

    def score(self, dataset: str, task: str, metric: str) -> Score | None:
        return self.scores.get(dataset, {}).get(task, {}).get(metric)


class RecordStore:
    """Records of runs under one results folder."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.root = results / "runs"

    def folder(self, run: RunSpec) -> Path:
        """Where the record of a run stands or will stand."""
        return self.root / run.provenance / run.id

    def work_folder(self, run: RunSpec) -> Path:
        """Where an unfinished run keeps what it needs to go on."""
        return self.root / ".work" / run.id

    def checkpoint(self, run: RunSpec) -> Path:
        return self.work_folder(run) / CHECKPOINT

    def network(self, run_id: str) -> Path:
        """Where the network that a run ended with is kept, if other runs learn from it."""
        return self.root / ".networks" / f"{run_id}.safetensors"

    def keep_network(self, run_id: str, state: Mapping[str, Tensor]) -> None:
        """Keep a network for runs that learn from it."""
        file = self.network(run_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{run_id}.{os.getpid()}.tmp")
        from safetensors.torch import save_file  # torch is not needed to read records

        save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, temporary)
        os.replace(temporary, file)

    def progress_file(self, run: RunSpec) -> Path:
        """Where it stands how far a run is that somebody carries out; see `bench.runs.heartbeat`."""
        return self.work_folder(run) / "progress.json"

    @contextmanager
    def hold(self, run: RunSpec) -> Iterator[None]:
        """Be the one who carries a run out. Raises `filelock.Timeout` at once if another process is.

        What only its holder needs goes with the lock: its file, the pulse, and a work folder with nothing in it.
        """
        with self._lock(run.id).acquire(timeout=0) as lock:
            try:
                yield
            finally:
                self.progress_file(run).unlink(missing_ok=True)
                _remove_empty(self.work_folder(run))
                Path(lock.lock_file).unlink(missing_ok=True)  # who opened it meanwhile sees that it is gone

    def is_held(self, run: RunSpec) -> bool:
        """Whether a process carries a run out just now."""
        file = self.root / ".locks" / f"{run.id}.lock"
        if not file.is_file():
            return False
        try:
            with FileLock(file).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def tidy(self) -> None:
        """Remove what killed processes left and nobody needs; checkpoints stay, so that their runs go on."""
        locks = self.root / ".locks"
        left = {file.stem for file in locks.glob("*.lock")} | {f.name for f in (self.root / ".work").glob("*")}
        for run_id in left:
            with suppress(Timeout), self._lock(run_id).acquire(timeout=0) as lock:
                work = self.root / ".work" / run_id
                shutil.rmtree(work / "record", ignore_errors=True)
                for file in (work / "progress.json", *work.glob("*.tmp")):
                    file.unlink(missing_ok=True)
                _remove_empty(work)
                Path(lock.lock_file).unlink(missing_ok=True)

    def _lock(self, run_id: str) -> FileLock:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{run_id}.lock")

    def find(self, run: RunSpec) -> Record | None:
        """The record of a run, or None. Raises `RecordError` for one that cannot be trusted."""
        folder = self.folder(run)
        return read_record(folder, run) if folder.is_dir() else None

    def lacks_predictions(self, record: Record) -> bool:
        """Whether a prediction file that a record names is not there."""
        folder = self.folder(record.run)
        return not all((folder / prediction.file).is_file() for prediction in record.predictions)

    def read(
        self, provenance: Provenance, planned: Mapping[str, RunSpec] | None = None, *, others: bool = True
    ) -> Iterator[tuple[str, Record | RecordError]]:
        """Every record of a provenance, or why it cannot be trusted, by the folder that it stands in, in order.

        Those of `planned` runs (by id) share the description with the plan; with `others=False` only these are read.
        """
        planned = planned or {}
        for name in names_in(self.root / provenance):
            if others or name in planned:
                try:
                    yield name, read_record(self.root / provenance / name, planned.get(name))
                except RecordError as error:
                    yield name, error

    def records(self, provenance: Provenance) -> Iterator[Record]:
        """All readable records of a provenance."""
        return (found for _, found in self.read(provenance) if isinstance(found, Record))

    def has_begun(self) -> frozenset[str]:
        """Ids of runs that left a checkpoint."""
        work = self.root / ".work"
        return frozenset(name for name in names_in(work) if (work / name / CHECKPOINT).is_file())

    def clear_work(self, run: RunSpec) -> None:
        """Forget what an unfinished run left."""
        shutil.rmtree(self.work_folder(run), ignore_errors=True)

    def set_aside(self, run: RunSpec) -> Path:
        """Move a record that cannot be read out of the way; nothing is deleted."""
        aside = self.root / ".damaged" / f"{run.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.folder(run), aside)
        return aside

    def add(self, record: Record, tables: Sequence[tuple[str, pa.Table]] = ()) -> Record:
        """Write a record and its prediction tables (by file name), replacing a failed one; clears the run's work."""
        work, final = self.work_folder(record.run), self.folder(record.run)
        made = work / "record"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        files = []
        for name, table in tables:
            pq.write_table(table, made / name, compression="zstd")
            files.append(PredictionFile(file=name, sha256=_sha256(made / name), rows=table.num_rows))
        complete = record.model_copy(update={"predictions": tuple(files)})
        _write_flushed(made / RECORD, complete.model_dump_json(indent=1))
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        os.replace(made, final)
        if record.failure is None or record.failure.kind == "diverged":  # any other is retried from its checkpoint
            self.clear_work(record.run)
        return complete


def read_record(folder: Path, planned: RunSpec | None = None) -> Record:
    """Read and verify one record. Raises `RecordError` if it is unreadable, of another version, or not what it says.

    Where it describes the `planned` run, it holds that one's description, and no id is computed anew.
    """
    file = folder / RECORD
    try:
        text = file.read_text(encoding="utf-8")
        try:
            record = Record.model_validate_json(text)
            version: Any = record.record_version
        except ValidationError:  # a record of another version is told as that, whatever else it lacks
            content = json.loads(text)
            version = content.get("record_version") if isinstance(content, dict) else RECORD_VERSION
            if version == RECORD_VERSION:
                raise
        if version != RECORD_VERSION:
            raise RecordError(
                f"{file} has record version {version!r}, not {RECORD_VERSION}", reason="another record version"
            )
        if record.run == planned:
            record = record.model_copy(update={"run": planned})
        described = record.run.id
    except (OSError, ValueError, RecursionError) as error:  # not JSON, not a record, or nested without end
        hint = "`bench run` sets it aside and carries the run out again"
        raise RecordError(f"{file} cannot be read: {_what_is_wrong(error)}", hint=hint) from error
    if described != record.id:
        raise RecordError(
            f"{file} says it is run {record.id!r}, but describes run {described!r}: it was altered", reason="altered"
        )
    if record.id != folder.name:
        raise RecordError(
            f"{file} is of run {record.id!r}: a copy, or moved",
            reason="in the folder of another run",
            hint=f"remove the folder, or call it {record.id}",
        )
    return record


def names_in(folder: Path) -> list[str]:
    """What stands in a folder, in order; nothing where there is no such folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 (tens of thousands of names, of which no paths are needed)
    except FileNotFoundError:
        return []


def _what_is_wrong(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more like it)" if others else ""
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}{more}"


def predictions_table(
    images: Names,
    groups: Names,
    scores: NDArray[np.float32],
    references: NDArray[np.int32] | NDArray[np.int8],
) -> pa.Table:
    """Columns image, group, reference (int32, or a list of int8; -1 = not annotated) and scores (list of float32)."""

    def rows(values: NDArray[Any]) -> pa.Array:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])

    return pa.table(
        {
            "image": images.arrow,
            "group": groups.arrow,
            "reference": pa.array(references) if references.ndim == 1 else rows(references),
            "scores": rows(scores),
        }
    )


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not there, or not empty
        folder.rmdir()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_flushed(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
