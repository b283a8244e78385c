"""A seat on a machine of a cluster: carries out runs of a master whose files need not be at hand there.

Each run is carried out in a results folder of the seat's own, and what comes of it is told to the master, who alone
writes into the store. Files that a run needs (stores of data sets, networks of teachers, a checkpoint, weights) are
asked for and come in pieces. Stores and weights stay in that machine's cache for every seat there, and come once.
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Full, Queue, SimpleQueue

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

import bench
from bench.data.copies import cache_folder, make_folder
from bench.data.store import MANIFEST, Manifest, file_sha256, read_manifest
from bench.errors import BenchError, DataError, InfrastructureError, Interrupted
from bench.runs.job import Ended, Job, Worker
from bench.runs.parts import BALANCERS, LABELS, METRICS, TERMS
from bench.runs.plan import PlannedRun
from bench.runs.processes import Raised, Ready, Started, Stepped, Warned
from bench.runs.records import RecordStore
from bench.specs.components import part_fingerprint
from bench.specs.fingerprint import fingerprint, source_fingerprint
from bench.specs.run import RunSpec

_SECONDS_BETWEEN_STEPS = 0.5
_LOOK_SECONDS = 0.2
_REPORT = "please report this with the lines above; finished runs are kept"


@dataclass(frozen=True)
class Order:
    """A job with what its master has for it.

    `stores`: manifests of the stores of its data sets, by data set; `files`: what it needs of the results folder.
    """

    job: Job
    stores: Mapping[str, Manifest]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Needs:
    """The seat waits for the content of a file of the master."""

    file: Path


@dataclass(frozen=True)
class Saved:
    """The latest checkpoint of the run at hand."""

    checkpoint: bytes


@dataclass(frozen=True)
class Delivered:
    """What came of an order, with prediction tables by file name, and the network where others learn from it."""

    ended: Ended
    tables: tuple[tuple[str, pa.Table], ...] = ()
    network: bytes | None = None


@dataclass(frozen=True)
class Left:
    """The seat has saved what it has, and does no more."""


SeatMessage = Ready | Started | Stepped | Warned | Needs | Saved | Delivered | Raised | Left
"""What a seat says."""


def code_of_bench() -> str:
    """Fingerprint of the source of bench as it is installed here."""
    folder = Path(bench.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return fingerprint([[file.relative_to(folder).as_posix(), source_fingerprint(file)] for file in files])


class Seat:
    """Takes orders one by one, and can be asked to stop; its methods are called from threads other than its own."""

    def __init__(self, code: str, seconds_between_checkpoints: float) -> None:
        """`code`: what `code_of_bench` gives at the master. Raises `InfrastructureError` where other code is here."""
        if code != code_of_bench():
            raise InfrastructureError(
                f"bench on this machine ({bench.__version__}) has other source than the one that hands out runs",
                hint="install the same bench on every machine of the cluster",
            )
        self.seconds_between_checkpoints = seconds_between_checkpoints
        self._said: SimpleQueue[SeatMessage] = SimpleQueue()
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._pieces: Queue[bytes | None] = Queue(maxsize=1)
        self._asked = threading.Event()
        self._order: Order | None = None
        self._checkpoint = Path()
        self._stepped = float("-inf")
        self._saved, self._saved_version = time.monotonic(), 0
        threading.Thread(target=self._work, daemon=True).start()

    # ---- what the master calls ----

    def hear(self) -> list[SeatMessage]:
        """Wait until there is something to say, and say it."""
        said = [self._said.get()]
        with suppress(Empty):
            while True:
                said.append(self._said.get_nowait())
        return said

    def hand(self, order: Order) -> None:
        """Have an order carried out; what comes of it is heard later."""
        self._orders.put(order)

    def receive(self, piece: bytes | None) -> None:
        """The next piece of the file that the seat waits for; None after the last one."""
        while not self._asked.is_set():
            with suppress(Full):
                self._pieces.put(piece, timeout=_LOOK_SECONDS)
                return

    def stop(self) -> None:
        """Ask to save the run at hand and to leave."""
        self._asked.set()
        self._orders.put(None)

    # ---- what a run tells ----

    def started(self, run: PlannedRun, resumed: bool) -> None:
        self._said.put(Started(run, resumed))

    def stepped(self, run: PlannedRun, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._stepped >= _SECONDS_BETWEEN_STEPS:
            self._stepped = now
            self._said.put(Stepped(done, total))
        own = self._order is not None and run.spec.id == self._order.job.id
        if own and now - self._saved >= self.seconds_between_checkpoints:
            self._save()

    def warned(self, message: str) -> None:
        self._said.put(Warned(message))

    # ---- the seat's own thread ----

    def _work(self) -> None:
        try:
            with _own_folder(cache_folder() / "seats") as folder:
                worker = Worker(self, self._asked.is_set)
                self._said.put(Ready())
                while (order := self._orders.get()) is not None:
                    self._said.put(self._carry_out(order, worker, RecordStore(folder)))
        except Interrupted:
            pass  # as asked
        except BenchError as error:
            self._said.put(Raised(error))
        except Exception:
            self._said.put(Raised(BenchError(f"a seat failed:\n{traceback.format_exc()}", hint=_REPORT)))
        self._said.put(Left())

    def _carry_out(self, order: Order, worker: Worker, store: RecordStore) -> Delivered:
        job = order.job
        self._order, self._checkpoint = order, store.checkpoint(job.run.spec)
        self._saved, self._saved_version = time.monotonic(), 0
        _refuse_other_parts(job.run.spec)
        for file in order.files:
            place = store.results / file.relative_to(job.results)
            if not place.is_file():
                self._fetch(file, place)
        weights = self._weights(job.run.spec)
        here = replace(
            job,
            run=_with_weights(job.run, weights),
            teachers=tuple(_with_weights(teacher, weights) for teacher in job.teachers),
            results=store.results,
            data={name: self._store(folder, order.stores[name]) for name, folder in job.data.items()},
        )
        try:
            ended = worker.attempt(here)
        except Interrupted:
            self._save()
            raise
        return _delivered(ended, job, store)

    def _save(self) -> None:
        """Tell the master the latest checkpoint unless that has been told before."""
        self._saved = time.monotonic()
        if self._checkpoint.is_file() and (version := self._checkpoint.stat().st_mtime_ns) != self._saved_version:
            self._saved_version = version
            self._said.put(Saved(self._checkpoint.read_bytes()))

    # ---- files ----

    def _store(self, folder: Path, manifest: Manifest) -> Path:
        """Where a store like that of the master stands here: this machine's own, or one that came from there."""
        own = cache_folder() / "stores" / folder.name
        if _is_same_store(own, manifest):
            return own
        content = fingerprint([manifest.fingerprint, {name: file.sha256 for name, file in manifest.files.items()}])

        def fill(made: Path) -> None:
            made.mkdir()
            for name, file in manifest.files.items():
                self._fetch(folder / name, made / name, sha256=file.sha256)
                os.utime(made / name, ns=(file.mtime_ns, file.mtime_ns))  # else each opening computes the hash
            (made / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")

        place = cache_folder() / "staged" / f"{folder.name}-{content}"
        return self._staged(place, lambda place: _is_same_store(place, manifest), fill)

    def _weights(self, spec: RunSpec) -> Path | None:
        """Where the weights file of a run stands here; None where it has none."""
        weights = spec.backbone.weights
        if weights is None or weights.file is None or weights.sha256 is None:
            return None
        file, sha256 = Path(weights.file).expanduser().absolute(), weights.sha256
        if file.is_file() and file_sha256(file) == sha256:
            return file
        place = cache_folder() / "staged" / f"{sha256}{file.suffix}"
        return self._staged(place, Path.is_file, lambda made: self._fetch(file, made, sha256=sha256))

    def _staged(self, place: Path, is_there: Callable[[Path], bool], fill: Callable[[Path], None]) -> Path:
        """Have something put in its place by one of the seats of this machine."""
        make_folder(place.parent)
        lock = FileLock(f"{place}.lock")
        while True:
            self._heed()
            with suppress(Timeout), lock.acquire(timeout=_LOOK_SECONDS):
                if not is_there(place):
                    made = place.with_name(f"{place.name}.partial")
                    _remove(made)
                    fill(made)
                    _remove(place)
                    os.replace(made, place)
                return place

    def _fetch(self, file: Path, place: Path, *, sha256: str | None = None) -> None:
        """Write what the master has in `file` to `place`. Raises `DataError` if that is not what was announced."""
        place.parent.mkdir(parents=True, exist_ok=True)
        coming = place.with_name(f".{place.name}.coming")
        self._said.put(Needs(file))
        with coming.open("wb") as stream:
            while (piece := self._piece()) is not None:
                stream.write(piece)
        if sha256 is not None and file_sha256(coming) != sha256:
            raise DataError(
                f"{file} was altered: its content does not match the manifest",
                hint="remove what is wrong there, then repeat the command",
            )
        os.replace(coming, place)

    def _piece(self) -> bytes | None:
        while True:
            self._heed()
            with suppress(Empty):
                return self._pieces.get(timeout=_LOOK_SECONDS)

    def _heed(self) -> None:
        if self._asked.is_set():
            raise Interrupted("stopped on request; everything finished is kept")


@contextmanager
def _own_folder(root: Path) -> Iterator[Path]:
    """An empty folder that no other process uses; what a killed one left in it is removed."""
    make_folder(root)
    for number in itertools.count():
        lock, folder = FileLock(root / f"{number}.lock"), root / str(number)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
        return


def _delivered(ended: Ended, job: Job, store: RecordStore) -> Delivered:
    """All that the master is to have of a run that has ended here, where nothing of it stays but its network."""
    record, spec = ended.record, job.run.spec
    assert record is not None, "what ended before is known to the master, who holds the run"
    folder, network = store.folder(spec), store.network(spec.id)
    tables = tuple((made.file, pq.read_table(folder / made.file)) for made in record.predictions)
    shutil.rmtree(folder)
    record = record.model_copy(update={"run": spec, "predictions": ()})
    kept = job.keep_network and ended.state == "done"
    return Delivered(Ended(ended.state, record), tables, network.read_bytes() if kept else None)


def _refuse_other_parts(spec: RunSpec) -> None:
    """Raises `InfrastructureError` where a part that another package brings is another one here."""
    parts = [(LABELS, part) for part in spec.labels] + [(TERMS, part) for part in spec.terms]
    parts += [(BALANCERS, spec.balancer)] if spec.balancer is not None else []
    codes = [(package, part.name, part.code) for package, part in parts]
    for package, name, code in (*codes, *((METRICS, name, code) for name, code in spec.metrics.items())):
        if part_fingerprint(package, name) != code:
            raise InfrastructureError(
                f"'{name}' of {package} has other source on this machine than where the runs are planned",
                hint="install the same packages on every machine of the cluster",
            )


def _with_weights(run: PlannedRun, file: Path | None) -> PlannedRun:
    """The same run with its weights file elsewhere."""
    if file is None or run.spec.backbone.weights is None:
        return run
    weights = run.spec.backbone.weights.model_copy(update={"file": str(file)})
    backbone = run.spec.backbone.model_copy(update={"weights": weights})
    return replace(run, spec=run.spec.model_copy(update={"backbone": backbone}))


def _is_same_store(folder: Path, manifest: Manifest) -> bool:
    """Whether a store stands there with the same content, by the hashes of both manifests."""
    try:
        found = read_manifest(folder)
    except DataError:
        return False

    def content(one: Manifest) -> tuple[str, dict[str, str]]:
        return one.fingerprint, {name: file.sha256 for name, file in one.files.items()}

    return content(found) == content(manifest)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
