"""From a results folder to a submission, with nothing in it that tells of the machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

import bench
from bench.errors import NothingMeasured, RecordError, UsageError
from bench.runs.plan import PlannedRun, SuitePlan
from bench.runs.privacy import PATHS, scrubbed
from bench.runs.records import RECORD, Record, RecordStore
from bench.runs.state import OVER, states_of
from bench.runs.submission import (
    BENCH_SPECS,
    MANIFEST,
    MAX_PREDICTIONS_INSIDE,
    MEBIBYTE,
    OWN_SPECS,
    SUBMISSION_VERSION,
    Submission,
    SubmittedFile,
    SubmittedRun,
    record_place,
    submitted_file,
)
from bench.specs.budget import BudgetSpec
from bench.specs.catalog import Catalog, shipped_folders
from bench.specs.model import Spec
from bench.specs.references import ReferenceCheck
from bench.specs.run import RunSpec
from bench.specs.writing import spec_yaml

_MENDED_BY = "`bench run --suite {suite}` sets damaged records aside and carries out what is missing"


@dataclass(frozen=True)
class Request:
    """What is to be packed, and what its author says of it."""

    suite: str
    budget: str | None
    seeds: int | None
    partial: bool
    name: str | None = None
    by: str | None = None
    contact: str | None = None
    licence: str | None = None
    note: str | None = None


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside its place, put there when the block ends well. Raises `UsageError` if something is there."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError(f"{out} is there already; it is left alone", hint="give a new or an empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        os.replace(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_submission(
    request: Request,
    catalog: Catalog,
    plans: Sequence[SuitePlan],
    store: RecordStore,
    names: Collection[str],
    folder: Path,
    apart: Path | None = None,
) -> Submission:
    """Write a submission of some plans into an empty folder, its predictions into that of `apart` if there is one.

    `names` of user and machine are taken out of records, as are local paths. Raises `UsageError` for plans that are not
    complete (unless the request is for a part), records that are damaged, and predictions that are too large to stand
    inside; `NothingMeasured` where no run has ended.
    """
    runs = list(_runs(request, plans, store))
    if not any(run.state == "done" for run in runs):
        raise NothingMeasured(
            f"no run of suite '{request.suite}' has a result in {store.root}",
            hint=f"`bench run --suite {request.suite}` measures it",
        )
    ended = {run.id for run in runs if run.state in OVER}
    specs = {run.spec.id: run.spec for one in plans for run in one.everything if run.spec.id in ended}
    records = [store.find(spec) for spec in specs.values()]
    found = [record for record in records if record is not None]
    predictions = apart or folder
    if apart is None:
        _check_room(found, store)
    for record in found:
        _write_record(record, store, names, folder, predictions)
    _write_specs(request, catalog, folder)
    files = [*_files(folder, apart=False), *(_files(apart, apart=True) if apart is not None else ())]
    try:
        made = Submission(
            submission_version=SUBMISSION_VERSION,
            id="0" * 16,
            name=request.name or request.suite,
            suite=request.suite,
            budget=request.budget,
            seeds=len(plans[0].seeds),
            packed=datetime.now(UTC),
            bench=bench.__version__,
            by=request.by,
            contact=request.contact,
            licence=request.licence,
            note=request.note,
            complete=all(run.state in OVER for run in runs),
            runs=tuple(runs),
            environments=tuple(_different(scrubbed_record(record, names).environment for record in found)),
            files=tuple(files),
        )
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(f"this cannot be submitted: {told}", hint="give one short line of plain text each") from error
    manifest = made.model_copy(update={"id": made.own_id})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def scrubbed_record(record: Record, names: Collection[str]) -> Record:
    """A record without what tells of the machine: its id and its numbers stay, the traceback of a failure goes."""
    failure = record.failure and record.failure.model_copy(
        update={"message": scrubbed(record.failure.message, names), "traceback": ""}
    )
    environment = json.loads(json.dumps(record.environment), object_hook=lambda part: _scrubbed_texts(part, names))
    return record.model_copy(
        update={
            "run": _without_place(record.run),
            "command": tuple(_scrubbed_argument(argument, names) for argument in record.command),
            "environment": environment,
            "failure": failure,
        }
    )


def _scrubbed_texts(part: dict[str, object], names: Collection[str]) -> dict[str, object]:
    def text(value: object) -> object:
        if isinstance(value, list):
            return [text(item) for item in value]
        return scrubbed(value, names) if isinstance(value, str) else value

    return {key: text(value) for key, value in part.items()}


def _scrubbed_argument(argument: str, names: Collection[str]) -> str:
    """A path in an argument ends where the argument does, whatever blanks are in it."""
    found = PATHS.search(argument)
    return scrubbed(argument[: found.start()] + "[path]" if found else argument, names)


def _without_place(run: RunSpec) -> RunSpec:
    """The run with the bare name of a weights file: where it stands is no part of the run, its hash is."""
    weights = run.backbone.weights
    if weights is None or weights.file is None:
        return run
    bare = weights.model_copy(update={"file": _bare(weights.file)})
    return run.model_copy(update={"backbone": run.backbone.model_copy(update={"weights": bare})})


def _bare(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]


def _runs(request: Request, plans: Sequence[SuitePlan], store: RecordStore) -> Iterator[SubmittedRun]:
    """All runs of the plans and what came of them."""
    hint = _MENDED_BY.format(suite=request.suite)
    states = states_of((run for one in plans for run in one.everything), store)
    runs = {(one.name, run.spec.id): run for one in plans for run in one.everything}
    damaged = [run.title for run in runs.values() if states[run.spec.id] == "damaged"]
    if damaged:
        raise UsageError(f"{len(damaged)} records cannot be trusted: {'; '.join(damaged)}", hint=hint)
    absent = [f"{run.title} ({states[run.spec.id]})" for run in runs.values() if states[run.spec.id] not in OVER]
    absent += [f"{run.title} (waits for trials)" for one in plans for run in one.to_come]
    if absent and not request.partial:
        shown = "; ".join(absent[:5]) + (f"; and {len(absent) - 5} more" if len(absent) > 5 else "")
        raise UsageError(
            f"{len(absent)} runs of suite '{request.suite}' have no result: {shown}",
            hint=f"{hint}; --partial packs what there is, and says what is missing",
        )
    for run in runs.values():
        yield _submitted(run, run.spec.id, states[run.spec.id])
    for one in plans:
        for run in one.to_come:
            yield _submitted(run, None, "waits for trials")


def _submitted(run: PlannedRun, run_id: str | None, state: str) -> SubmittedRun:
    return SubmittedRun(
        id=run_id,
        suite=run.suite,
        backbone=run.backbone,
        method=run.method,
        dataset=run.dataset,
        task=run.task,
        seed=run.seed,
        trial=run.trial is not None,
        state="done" if state == "done" else "diverged" if state == "diverged" else "missing",
        why="" if state in (*OVER, "missing") else state,
    )


def _check_room(records: Sequence[Record], store: RecordStore) -> None:
    """Raises `UsageError` where predictions are too large for a pull request."""
    sizes = (store.folder(record.run) / one.file for record in records for one in record.predictions)
    total = sum(file.stat().st_size for file in sizes if file.is_file())
    if total > MAX_PREDICTIONS_INSIDE:
        raise UsageError(
            f"the predictions have {total / MEBIBYTE:,.0f} MiB, and at most {MAX_PREDICTIONS_INSIDE // MEBIBYTE} MiB "
            "can stand inside a submission",
            hint="`--predictions DIR` puts them into a second folder, to be offered beside the pull request",
        )


def _write_record(record: Record, store: RecordStore, names: Collection[str], folder: Path, predictions: Path) -> None:
    place = record_place(record.run)
    (folder / place).mkdir(parents=True)
    text = scrubbed_record(record, names).model_dump_json(indent=1)
    (folder / place / RECORD).write_text(text, encoding="utf-8")
    (predictions / place).mkdir(parents=True, exist_ok=True)
    for one in record.predictions:
        file = store.folder(record.run) / one.file
        if not file.is_file():
            raise RecordError(
                f"{file}, which run {record.id} has recorded, is not there",
                hint=f"remove {file.parent}; `bench run` makes it again",
            )
        shutil.copyfile(file, predictions / place / one.file)


def _write_specs(request: Request, catalog: Catalog, folder: Path) -> None:
    """All specs that the suite stands on, each as a whole, those that come with bench apart."""
    for (kind, name), spec in specs_of(catalog, request.suite, request.budget).items():
        shipped = any(catalog.entry(kind, name).file.is_relative_to(home) for home in shipped_folders())
        file = folder / (BENCH_SPECS if shipped else OWN_SPECS) / kind / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(spec_yaml(_portable(spec)), encoding="utf-8")


def specs_of(catalog: Catalog, suite: str, budget: str | None) -> Mapping[tuple[str, str], Spec]:
    """All specs that a suite stands on, by kind and name."""
    check = ReferenceCheck(catalog)
    check.suite(suite)
    if budget is not None:
        check.spec(BudgetSpec, budget)
    return check.found


def _portable(spec: Spec) -> Spec:
    """A backbone's weights by the bare name of their file."""
    weights = getattr(spec, "weights", None)
    if weights is None or weights.file is None:
        return spec
    return spec.model_copy(update={"weights": weights.model_copy(update={"file": _bare(weights.file)})})


def _files(folder: Path, *, apart: bool) -> Iterator[SubmittedFile]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield submitted_file(folder, file.relative_to(folder).as_posix(), apart=apart)


def _different(environments: Iterator[dict[str, object]]) -> list[dict[str, object]]:
    return list({json.dumps(one, sort_keys=True): one for one in environments}.values())
