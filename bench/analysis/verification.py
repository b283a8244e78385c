"""Whether a submission is what it says: its files, its records, its plan, and every number against its predictions.

A submission comes from a stranger. Nothing of it is executed or imported, no link is followed, nothing is opened that
its manifest does not name and whose size is not bounded, and all that is wrong is told, not what is found first.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.analysis.rescoring import Refused, Rescored, rescored_run
from bench.analysis.submitted_plan import (
    differences,
    plan_problems,
    run_title,
    suites_by_point,
    uneven,
    unlike_here,
)
from bench.data.store import file_sha256
from bench.errors import RecordError, SpecError, UnknownName, UsageError
from bench.runs.assembly import Slot
from bench.runs.packing import specs_of
from bench.runs.parts import METRICS
from bench.runs.plan import PlannedRun
from bench.runs.predictions import read_predictions, read_texts
from bench.runs.privacy import harmless, traces
from bench.runs.records import RECORD, Record, RecordStore, read_record
from bench.runs.submission import (
    BENCH_SPECS,
    MANIFEST,
    MAX_PREDICTIONS_INSIDE,
    MEBIBYTE,
    OWN_SPECS,
    Submission,
    SubmittedFile,
    SubmittedRun,
    is_predictions,
    largest,
    read_manifest,
    record_place,
    slot_of,
    walk,
)
from bench.specs.catalog import Catalog
from bench.specs.components import load_part
from bench.specs.references import ResolvedSuite, resolve_suite
from bench.training.evaluation import Predictions

MOST_TOLD = 20
"""Traces of a machine that are told of one file; more of them help nobody."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong: in which file of the submission (blank: as a whole), and what."""

    file: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What came of a submission.

    `scores` counts recorded scores by how they agree with what predictions say. `problems`: why it is not what it says.
    `notes`: what is no fault of it, and should be known.
    """

    submission: Submission
    standin: bool
    records: int
    scores: Mapping[str, int]
    problems: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problems

    @property
    def missing(self) -> tuple[SubmittedRun, ...]:
        return tuple(run for run in self.submission.runs if run.state == "missing")

    @property
    def has_own_specs(self) -> bool:
        return any(PurePosixPath(file.path).is_relative_to(OWN_SPECS) for file in self.submission.files)


def verify(folder: Path, *, apart: Path | None = None, names: Collection[str] = ()) -> Verification:
    """Check a submission; `apart` is the folder of predictions that do not stand in it.

    `names` of users and machines are looked for in every text, besides local paths. Raises `UsageError` for a folder
    that is no submission of this version.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    return _Verifier(folder, apart.resolve() if apart is not None else None, manifest, names).result()


class _Verifier:
    """One walk through a submission, which collects what is wrong.

    `bounded`: files that the manifest names, that are plain files, and that are not too large; nothing else is opened.
    `legible`: those among them that could be read as what they are.
    """

    def __init__(self, folder: Path, apart: Path | None, manifest: Submission, names: Collection[str]) -> None:
        self.folder, self.apart, self.manifest, self.names = folder, apart, manifest, names
        self.listed = {file.path: file for file in manifest.files}
        self.problems: list[Finding] = []
        self.bounded: set[str] = set()
        self.legible: set[str] = set()
        self.records: dict[str, Record] = {}
        self.scores: Counter[str] = Counter()

    def result(self) -> Verification:
        self._files()
        self._texts()
        self._records()
        self._same_predictions()
        self._plan()
        self._scores()
        sources = [source for record in self.records.values() for source in record.run.sources]
        return Verification(
            submission=self.manifest,
            standin=any(source.standin for source in sources),
            records=len(self.records),
            scores=dict(sorted(self.scores.items())),
            problems=tuple(sorted(set(self.problems))),
            notes=tuple(dict.fromkeys(unlike_here(self.records.values()))),
        )

    def _wrong(self, file: object, what: str) -> None:
        """Note a problem, told without the place where the submission happens to lie."""
        for root in (self.folder, self.apart):
            if root is not None:
                what = what.replace(f"{root}/", "")
        self.problems.append(Finding(harmless(str(file)), harmless(what)))

    def _place(self, path: str) -> Path:
        """Where a listed file stands."""
        root = self.apart if self.listed[path].apart else self.folder
        assert root is not None  # without a second folder nothing of it is bounded
        return root / path

    # ---- files ----

    def _files(self) -> None:
        if self.manifest.own_id != self.manifest.id:
            self._wrong(
                MANIFEST, f"was edited: its id is {self.manifest.id}, and its content has {self.manifest.own_id}"
            )
        inside = {path for path, file in self.listed.items() if not file.apart}
        there = self._look(self.folder, inside, {MANIFEST})
        outside = self.listed.keys() - inside
        if outside and self.apart is None:
            self._wrong("", f"{len(outside)} prediction files stand apart; `--predictions DIR` says where")
        elif self.apart is not None:
            there |= self._look(self.apart, outside, set())
        for path in sorted(there):
            self._file(self.listed[path])
        total = sum(file.bytes for file in self.listed.values() if is_predictions(file.path) and not file.apart)
        if total > MAX_PREDICTIONS_INSIDE:
            most = f"at most {MAX_PREDICTIONS_INSIDE // MEBIBYTE} MiB may stand inside"
            self._wrong("", f"the predictions have {total / MEBIBYTE:,.0f} MiB, and {most}")

    def _look(self, root: Path, listed: Collection[str], beside: Collection[str]) -> set[str]:
        """Which of the listed paths are plain files of a folder."""
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder", hint="give the folder that holds the predictions")
        found = walk(root)
        for path, what in found.wrong.items():
            self._wrong(path, f"is {what}")
        for path in found.sizes:
            if path not in listed and path not in beside:
                self._wrong(path, "is not expected: the manifest does not name it")
        for path in listed:
            if path not in found.sizes and path not in found.wrong:
                self._wrong(path, "is not there, and the manifest names it")
        return {path for path in listed if path in found.sizes}

    def _file(self, stated: SubmittedFile) -> None:
        file = self._place(stated.path)
        size = file.stat().st_size
        if size > largest(stated.path):
            self._wrong(stated.path, f"has {size:,} bytes, and may have {largest(stated.path):,}")
            return
        self.bounded.add(stated.path)
        if size != stated.bytes:
            self._wrong(stated.path, f"was altered: it has {size:,} bytes, and the manifest says {stated.bytes:,}")
        elif file_sha256(file) != stated.sha256:
            self._wrong(stated.path, "was altered: its SHA-256 is not the manifest's")

    def _texts(self) -> None:
        """No text tells of a machine; what the authors say of themselves may hold names."""
        told = self.manifest.model_dump(mode="json")
        own = [told.pop(key) for key in ("name", "by", "contact", "licence", "note")]
        self._look_for(MANIFEST, _texts(told), self.names)
        self._look_for(MANIFEST, _texts(own), ())
        for path in sorted(self.bounded):
            try:
                self._look_for(path, self._texts_of(path), self.names)
            except (RecordError, OSError, ValueError, RecursionError) as error:
                self._wrong(path, f"cannot be read: {str(error).removeprefix(f'{self._place(path)} ')}")
            else:
                self.legible.add(path)

    def _texts_of(self, path: str) -> Iterator[str]:
        file = self._place(path)
        if is_predictions(path):
            yield from read_texts(file)
        elif path.endswith(f"/{RECORD}"):
            yield from _texts(json.loads(file.read_text(encoding="utf-8")))
        else:
            yield file.read_text(encoding="utf-8")

    def _look_for(self, path: str, texts: Iterable[str], names: Collection[str]) -> None:
        """All texts are read to their end, since files are found to be damaged on the way."""
        found: dict[str, None] = {}
        for text in texts:
            if len(found) < MOST_TOLD:
                found.update(dict.fromkeys(traces(text, names)))
        for what in found:
            self._wrong(path, f"holds {what}")

    # ---- records ----

    def _records(self) -> None:
        """Every record is the run that its folder and the plan say; every run of the plan that has ended has one."""
        planned = {run.id: run for run in self.manifest.runs if run.id is not None}
        for path in sorted(path for path in self.legible if path.endswith(f"/{RECORD}")):
            place = PurePosixPath(path).parent
            try:
                record = read_record(self.folder / place)
            except RecordError as error:
                self._wrong(path, error.message)
                continue
            if record_place(record.run) != place:
                self._wrong(path, f"stands in the wrong place: it belongs into {record_place(record.run)}")
            elif record.id not in planned:
                self._wrong(path, f"is {run_title(record.run)}, run {record.id}, which is not in the submitted plan")
            else:
                self.records[record.id] = record
                for what in _record_problems(record, planned[record.id]):
                    self._wrong(path, what)
        for run in self.manifest.runs:
            if run.state != "missing" and run.id not in self.records:
                self._wrong(
                    MANIFEST, f"says that {run.title} is {run.state}, and there is no sound record of run {run.id}"
                )
        if self.manifest.complete != all(run.state != "missing" for run in self.manifest.runs):
            self._wrong(MANIFEST, f"says `complete: {str(self.manifest.complete).lower()}`, and its runs say otherwise")

    def _same_predictions(self) -> None:
        """Two seeds never predict the same to the last bit, but copies do."""
        seen: dict[tuple[Slot, str, str], Record] = {}
        for record in self.records.values():
            for one in record.predictions:
                first = seen.setdefault((slot_of(record.run), one.file, one.sha256), record)
                if first.run.seed != record.run.seed:
                    copy = f"is the same file as that of seed {first.run.seed}, run {first.id}"
                    self._wrong(record_place(record.run) / one.file, copy)

    # ---- plan and specs ----

    def _plan(self) -> None:
        for run_id, what in uneven(self.records):
            self._wrong(self._record_file(run_id), what)
        suites = suites_by_point(self._suites())
        if not suites:
            return
        for what in plan_problems(self.manifest, suites):
            self._wrong(MANIFEST, what)
        suite_of = {run.id: run.suite for run in self.manifest.runs if run.suite in suites}
        for run_id, record in self.records.items():
            for what in differences(record, suites[suite_of[run_id]]) if run_id in suite_of else ():
                self._wrong(self._record_file(run_id), f"is not as the submitted specs say: {what}")

    def _suites(self) -> tuple[ResolvedSuite, ...]:
        """The suite as the submitted specs have it; none of them is read where the folder holds others beside them."""
        listed = {path for path in self.listed if path.startswith("specs/")}
        strange = {one.file for one in self.problems if one.file.split("/")[0] == "specs"} - listed
        if strange or not listed <= self.legible:
            self._wrong(
                "specs", "are not read, since files are missing, damaged or not expected: nothing can be planned"
            )
            return ()
        homes = (self.folder / home for home in (OWN_SPECS, BENCH_SPECS))
        catalog = Catalog(home for home in homes if home.is_dir())
        for problem in catalog.unreadable:
            self._wrong("specs", str(problem))
        try:
            used = specs_of(catalog, self.manifest.suite, self.manifest.budget)
            found = resolve_suite(catalog, self.manifest.suite, budget=self.manifest.budget)
        except SpecError as error:
            for problem in error.problems:
                self._wrong("specs", str(problem))
            return ()
        except UnknownName as error:
            self._wrong("specs", error.message)
            return ()
        for entry in catalog.entries:
            place = entry.file.relative_to(self.folder)
            if (entry.kind, entry.name) not in used:
                self._wrong(place, "is not expected: the suite does not use this spec")
            elif place.parts[2:] != (entry.kind, f"{entry.name}.yaml"):
                self._wrong(place, f"holds {entry.kind} '{entry.name}', and its name says otherwise")
        return found

    def _record_file(self, run_id: str) -> PurePosixPath:
        return record_place(self.records[run_id].run) / RECORD

    # ---- scores ----

    def _scores(self) -> None:
        """Score every record again; all runs were tested on the same images with the same labels."""
        reading = _Reading(self)
        for record in self.records.values():
            place = record_place(record.run)
            own = {str(place / one.file) for one in record.predictions}
            there = {path for path in self.listed if is_predictions(path) and PurePosixPath(path).parent == place}
            for path in sorted(own ^ there):
                self._wrong(path, "is named by the manifest or by the record, not by both")
            if record.status == "done":
                self._rescore(record, reading)
        for path, usual in reading.strange():
            self._wrong(path, f"has other test images, groups or labels than {usual}")

    def _rescore(self, record: Record, reading: _Reading) -> None:
        file, slot = self._record_file(record.id), slot_of(record.run)
        unscorable = list(_unscorable(record))
        for what in unscorable:
            self._wrong(file, f"cannot be scored again: {what}")
        if unscorable:
            return
        suite, method, seed = self.manifest.suite, record.run.method, record.run.seed
        run = PlannedRun(suite, record.run.backbone.name, method, seed, slot.dataset, slot.task, record.run)
        for found in rescored_run(run, record, reading, intervals="none"):
            if isinstance(found, Refused):
                self._wrong(file, found.why)
                continue
            self.scores[found.agreement] += 1
            for what in _score_problems(record, found):
                self._wrong(file, what)


class _Reading:
    """Reads predictions of records, and remembers by data set, task and data which files were tested on the same."""

    def __init__(self, verifier: _Verifier) -> None:
        self._of = verifier
        self._tested: dict[tuple[str, str, str], dict[str, list[str]]] = {}

    def __call__(self, record: Record, dataset: str, task: str) -> Predictions | None:
        path = str(record_place(record.run) / f"{dataset}.{task}.parquet")
        if path not in self._of.legible:
            raise RecordError(f"{dataset}/{task} cannot be scored: {path} is not there, or cannot be read")
        root = self._of.apart if self._of.listed[path].apart else self._of.folder
        assert root is not None  # without a second folder nothing of it is legible
        made = read_predictions(RecordStore(root), record, dataset, task)
        if made is not None:
            data = next(source.data for source in record.run.sources if source.dataset == dataset)
            self._tested.setdefault((dataset, task, data), {}).setdefault(_tested_on(made), []).append(path)
        return made

    def strange(self) -> Iterator[tuple[str, str]]:
        """Files that were tested on something else than most, and a file of those."""
        for found in self._tested.values():
            usual = max(found.values(), key=len)
            yield from ((path, usual[0]) for paths in found.values() if paths is not usual for path in paths)


def _tested_on(made: Predictions) -> str:
    """A hash of images, groups and labels."""
    digest = hashlib.sha256(made.references.tobytes())
    for names in (made.images, made.groups):
        digest.update(json.dumps(names.tolist()).encode())
    return digest.hexdigest()


def _record_problems(record: Record, stated: SubmittedRun) -> Iterator[str]:
    """What a record says against itself, and against the plan's line of its run."""
    kind = record.failure.kind if record.failure is not None else "done"
    if (record.status == "done") != (record.failure is None):
        yield f"says status {record.status}, and has {'a' if record.failure else 'no'} failure"
    elif kind not in ("done", "diverged"):
        yield f"failed ({kind}): such runs are made again, not submitted"
    elif kind != stated.state:
        yield f"is {kind}, and the plan says {stated.state}"
    if record.status == "failed" and (record.scores or record.predictions):
        yield "failed, and has results"
    if record.finished < record.started:
        yield "ended before it started"
    if (slot_of(record.run), record.run.seed) != (stated.slot, stated.seed):
        yield f"is {run_title(record.run)}, and the plan says {stated.title}"


def _unscorable(record: Record) -> Iterator[str]:
    """Why the tasks of a record, as it describes them, have no scores: a record may be made up from end to end."""
    tasks = {task.name: task for task in record.run.tasks}
    if len(tasks) < len(record.run.tasks):
        yield "a task is described twice"
    learnt = [(source.dataset, task) for source in record.run.sources for task in source.tasks]
    if len(set(learnt)) < len(learnt) or not learnt:
        yield "its data sets and tasks are not told, or told twice"
    yield from (f"task {task} of {dataset} is not described" for dataset, task in learnt if task not in tasks)
    for task in tasks.values():
        if len(task.labels) < (2 if task.type == "multiclass" else 1) or len(set(task.labels)) < len(task.labels):
            yield f"task {task.name} has too few labels, or some of them twice"
        for metric in task.metrics:
            try:
                wanted = load_part(METRICS, metric, "metric").TASK_TYPE
            except UsageError as error:
                yield error.message
            else:
                if task.type != wanted:
                    yield f"{metric} is no metric of the {task.type} task {task.name}"


def _score_problems(record: Record, row: Rescored) -> Iterator[str]:
    where = f"{row.metric} of {row.dataset}/{row.task}"
    if row.agreement == "differs":
        if row.recorded != row.recomputed:
            yield f"{where} is recorded as {row.recorded}, and predictions say {row.recomputed}"
        if row.differing:
            yield f"{where} is recorded otherwise than predictions say for {', '.join(row.differing)}"
        if row.recorded == row.recomputed and not row.differing:
            yield f"{where} is not recorded"
    score = record.score(row.dataset, row.task, row.metric)
    higher: bool = load_part(METRICS, row.metric, "metric").HIGHER_IS_BETTER
    if score is not None and score.higher_is_better != higher:
        yield f"{where}: higher is {'better' if higher else 'worse'}, and the record says otherwise"


def _texts(value: Any) -> Iterator[str]:
    """All texts in JSON-like content, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
