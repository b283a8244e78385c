"""Diagnoses: joint runs trained once more, to the same numbers, with a probe that looks on.

    <results>/diagnoses/<real|standin|limited>/<run id>.json

A diagnosis appears whole or not at all, and one that is there is not made again. A run that is interrupted while it is
looked at starts anew the next time.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.data.batches import SourceData
from bench.data.store import Store
from bench.errors import Diverged, Interrupted, RecordError, UnknownName, UsageError
from bench.files import write_whole
from bench.runs.check import checked_suite
from bench.runs.environment import environment
from bench.runs.execute import check_machine, prepare_data
from bench.runs.observer import Observer
from bench.runs.plan import PlannedRun, SuitePlan, find_preparations, plan
from bench.runs.records import Record, RecordStore, read_record
from bench.specs.catalog import Catalog
from bench.specs.run import RunRelatedness, RunSpec
from bench.training.loop import Outcome, train
from bench.training.probe import Agreement, Look, RunProbe, default_every

DIAGNOSIS_VERSION = 1


class Diagnosis(BaseModel):
    """What a probe saw of one run.

    `relatedness` is what predictions were compared with; `same_as_record`: whether losses and validation scores were
    those of the run's record, None where there is no finished one; `seconds` by phase, looks included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    diagnosis_version: int
    id: str
    run: RunSpec
    suite: str
    every: int
    relatedness: tuple[RunRelatedness, ...]
    looks: tuple[Look, ...]
    agreements: tuple[Agreement, ...]
    same_as_record: bool | None
    seconds: dict[str, float]
    device: str
    environment: dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What is asked for: a plan cut down to the runs that are reported on, and the relatedness of its suite."""

    plan: SuitePlan
    relatedness: tuple[RunRelatedness, ...]

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """The runs to look at: those that learn several tasks."""
        return tuple(run for run in self.plan.runs if len(run.spec.tasks) > 1)


@dataclass(frozen=True)
class Diagnosed:
    """What came of one run: a diagnosis (`kept`: of an earlier time), or why there is none."""

    work: Work
    run: PlannedRun
    diagnosis: Diagnosis | None
    kept: bool = False
    failure: str = ""


def select(
    catalog: Catalog,
    store: RecordStore,
    target: str,
    observer: Observer,
    *,
    budget: str | None = None,
    seeds: int | None = None,
    limit: int | None = None,
    only: Sequence[str] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Work, ...]:
    """The runs of a suite with its first seed (or the first `seeds`), or the one recorded run with an id.

    Prepares data that is not. Raises `UsageError` where nothing learns several tasks, and what `plan` raises.
    """
    known = target in catalog.names("suite")
    if known or not re.fullmatch("[0-9a-f]{16}", target):
        plans = _plans(catalog, store, target, observer, should_stop, budget, seeds or 1, limit, only=only)
        found = tuple(Work(one, one.relatedness) for one in plans)
        if not any(work.runs for work in found):
            raise UsageError(f"nothing of suite '{target}' learns several tasks, so no tasks pull at one network")
        return found
    if seeds is not None or only or limit is not None:
        raise UsageError("--seeds, --only and --limit choose among the runs of a suite", hint="give the run alone")
    record = _recorded(store, target)
    return (_work_of(catalog, store, record, observer, should_stop, budget),)


def diagnose(
    works: Sequence[Work],
    store: RecordStore,
    observer: Observer,
    *,
    every: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Diagnosed]:
    """Look at every run, one after the other; `every` is the number of steps from look to look.

    A run that diverges or lacks its teachers gives a failure, and the others go on. Raises `Interrupted`.
    """
    for work in works:
        stores: dict[str, Store] = {}
        for run in work.runs:
            if should_stop():
                raise _stopped()
            steps = every or default_every(run.spec, work.relatedness)
            kept = _kept(store, run.spec, steps, work.relatedness, observer)
            if kept is not None:
                yield Diagnosed(work, run, kept, kept=True)
                continue
            stores = stores or {name: p.open(limit=work.plan.limit) for name, p in work.plan.preparations.items()}
            sources = [SourceData(source, stores[source.dataset]) for source in run.spec.sources]
            probe = RunProbe(run.spec, sources, work.relatedness, steps)
            observer.started(run, False)
            try:
                outcome = _train(run, sources, probe, store, observer, should_stop)
            except (Diverged, UsageError) as error:
                yield Diagnosed(work, run, None, failure=str(error))
                continue
            made = _diagnosis(work, run, steps, probe, outcome, store)
            write_whole(diagnosis_file(store, run.spec), made.model_dump_json(indent=1), durable=True)
            yield Diagnosed(work, run, made)


def diagnosis_file(store: RecordStore, run: RunSpec) -> Path:
    """Where the diagnosis of a run stands or will stand."""
    return store.results / "diagnoses" / run.provenance / f"{run.id}.json"


def read_diagnosis(file: Path) -> Diagnosis | None:
    """A diagnosis; None for one of another version. Raises `RecordError` if it is unreadable or not what it says."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("diagnosis_version") != DIAGNOSIS_VERSION:
            return None
        found = Diagnosis.model_validate_json(json.dumps(content))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        raise RecordError(f"{file} cannot be read: {error}") from error
    if found.run.id != found.id or found.id != file.stem:
        raise RecordError(f"{file} says it is of run {found.id}, but describes run {found.run.id}: it was altered")
    return found


def _plans(
    catalog: Catalog,
    store: RecordStore,
    suite: str,
    observer: Observer,
    should_stop: Callable[[], bool],
    budget: str | None,
    seeds: int,
    limit: int | None,
    *,
    only: Sequence[str] = (),
    controls: bool = False,
) -> tuple[SuitePlan, ...]:
    """Plans of a suite, after its data is prepared."""
    resolved = checked_suite(catalog, suite, budget=budget)
    check_machine(one.budget for one in resolved)
    for one in resolved:
        prepare_data(list(find_preparations(catalog, one).values()), observer, should_stop)
    return plan(catalog, suite, budget=budget, seeds=seeds, limit=limit, only=only, controls=controls, store=store)


def _recorded(store: RecordStore, run_id: str) -> Record:
    folders = {folder.name: folder for folder in sorted(store.root.glob("[a-z]*/*")) if folder.is_dir()}
    if run_id not in folders:
        raise UnknownName("recorded run", run_id, folders, hint="`bench status SUITE` lists runs by their ids")
    return read_record(folders[run_id])


def _work_of(
    catalog: Catalog,
    store: RecordStore,
    record: Record,
    observer: Observer,
    should_stop: Callable[[], bool],
    budget: str | None,
) -> Work:
    """A recorded run as the specs plan it today, with the single-task twins of its seed."""
    spec = record.run
    if len(spec.tasks) < 2:
        raise UsageError(
            f"run {record.id} ({spec.method}) learns one task, so no tasks pull at its network",
            hint=f"give a joint run of suite '{record.suite}', or the suite",
        )
    suite = record.suite.partition("[")[0]  # without the point of its axes
    if suite not in catalog.names("suite"):
        raise UsageError(
            f"run {record.id} is of suite '{record.suite}', which no spec describes here",
            hint="give the folder of its specs (--specs DIR)",
        )
    for controls in (False, True):
        plans = _plans(
            catalog, store, suite, observer, should_stop, budget, spec.seed + 1, spec.limit, controls=controls
        )
        for one in plans:
            run = next((run for run in (*one.runs, *one.trials) if run.spec.id == record.id), None)
            if run is not None:
                return Work(_about(one, run), one.relatedness)
        if any(spec.method == method.name for one in plans for method in one.suite.methods):
            break
    raise UsageError(
        f"run {record.id} is not one of suite '{record.suite}' any more: it had another budget, or specs, data or code "
        "have changed since",
        hint="give its budget (`--budget NAME`), or a run that `bench status` lists",
    )


def _about(one: SuitePlan, run: PlannedRun) -> SuitePlan:
    """A plan with nothing but a run and the twins of its backbone and seed."""
    twins = (
        other
        for other in one.runs
        if (other.backbone, other.seed, other.method) == (run.backbone, run.seed, one.suite.twin.name)
    )
    return replace(one, seeds=(run.seed,), runs=(*twins, run))


def _kept(
    store: RecordStore, run: RunSpec, every: int, relatedness: tuple[RunRelatedness, ...], observer: Observer
) -> Diagnosis | None:
    """A diagnosis that was made before in the same way."""
    file = diagnosis_file(store, run)
    if not file.is_file():
        return None
    try:
        found = read_diagnosis(file)
    except RecordError as error:
        observer.warned(f"{error.message}; it is made anew")
        return None
    same = found is not None and (found.every, found.relatedness) == (every, relatedness)
    return found if same else None


def _train(
    run: PlannedRun,
    sources: Sequence[SourceData],
    probe: RunProbe,
    store: RecordStore,
    observer: Observer,
    should_stop: Callable[[], bool],
) -> Outcome:
    networks = {teacher.id: store.network(teacher.id) for teacher in run.spec.teachers}
    if not all(file.is_file() for file in networks.values()):
        raise UsageError(
            f"it learns from single-task networks, which are not there; `bench run --suite {run.suite}` makes them"
        )
    with tempfile.TemporaryDirectory(prefix="bench-diagnosis-") as folder:
        try:
            return train(
                run.spec,
                sources,
                checkpoint=Path(folder) / "checkpoint.safetensors",
                checkpoint_every=run.spec.recipe.steps,
                teachers=networks,
                progress=lambda done, total: observer.stepped(run, done, total),
                should_stop=should_stop,
                probe=probe,
            )
        except Interrupted as error:
            raise _stopped() from error


def _diagnosis(
    work: Work, run: PlannedRun, every: int, probe: RunProbe, outcome: Outcome, store: RecordStore
) -> Diagnosis:
    return Diagnosis(
        diagnosis_version=DIAGNOSIS_VERSION,
        id=run.spec.id,
        run=run.spec,
        suite=run.suite,
        every=every,
        relatedness=work.relatedness,
        looks=tuple(probe.looks),
        agreements=tuple(probe.agreements),
        same_as_record=_same_as_record(run.spec, outcome, store),
        seconds=outcome.seconds,
        device=outcome.device,
        environment=environment(),
    )


def _same_as_record(run: RunSpec, outcome: Outcome, store: RecordStore) -> bool | None:
    folder = store.folder(run)
    if not folder.is_dir():
        return None
    record = read_record(folder)
    if record.status != "done":
        return None
    return list(record.curve) == outcome.curve and record.selected_step == outcome.selected_step


def _stopped() -> Interrupted:
    return Interrupted(
        "stopped on request; finished diagnoses are kept, the run that was looked at starts anew",
        hint="the same command goes on",
    )
