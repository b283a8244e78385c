"""Many records at once, each file read once, and no more of them held than is asked for."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.errors import RecordError
from bench.runs.controls import control_methods
from bench.runs.plan import SuitePlan
from bench.runs.records import RECORD, Record, RecordStore
from bench.specs.run import Provenance, RunSpec


@dataclass(frozen=True)
class Archive:
    """What is recorded of some plans.

    `records` by run id; `others`: by the plan's name, runs of it that are recorded and have another fingerprint,
    negative controls not among them; `unreadable`: by folder, which is the id of the run that should be there, why its
    record cannot be read; `unproven`: ids of runs whose prediction files are not there. A run's curve is empty where
    its seed is not below the number that was asked for.
    """

    records: Mapping[str, Record]
    others: Mapping[str, list[RunSpec]]
    unreadable: Mapping[str, RecordError]
    unproven: Collection[str]


def recorded_suites(store: RecordStore, provenances: Sequence[Provenance] = ("real", "standin")) -> Counter[str]:
    """How many records there are by name of their suite, without the point of its axes; unreadable ones have none."""
    found: Counter[str] = Counter()
    for provenance in provenances:
        for file in sorted((store.root / provenance).glob(f"*/{RECORD}")):
            try:
                content = json.loads(file.read_bytes())
            except (OSError, ValueError):
                continue  # reading it as a record tells why
            name = content.get("suite") if isinstance(content, dict) else None
            if isinstance(name, str):
                found[name.partition("[")[0]] += 1
    return found


def read_archive(store: RecordStore, plans: Sequence[SuitePlan], *, curves: float = math.inf) -> Archive:
    """All records of the plans' provenances. Training curves are kept of seeds below `curves`, by default of all.

    What equal parts of many records say is held once: the run as the plan has it, and the environment.
    """
    wanted = {run.spec.id: run.spec for one in plans for run in one.everything}
    suites = {one.name: _Kin(one) for one in plans}
    shared: dict[str, dict[str, Any]] = {}
    records: dict[str, Record] = {}
    others: dict[str, list[RunSpec]] = {}
    unreadable: dict[str, RecordError] = {}
    unproven: set[str] = set()
    for provenance in dict.fromkeys(one.provenance for one in plans):
        for name, record in store.read(provenance, wanted):
            if isinstance(record, RecordError):
                unreadable[name] = record
            elif record.id in wanted:
                environment = shared.setdefault(json.dumps(record.environment, sort_keys=True), record.environment)
                update: dict[str, Any] = {"environment": environment}
                if record.run.seed >= curves:
                    update["curve"] = ()
                records[record.id] = record.model_copy(update=update)
                if store.lacks_predictions(record):
                    unproven.add(record.id)
            elif record.suite in suites and suites[record.suite].leaves_out(record.run):
                others.setdefault(record.suite, []).append(record.run)
    return Archive(records, others, unreadable, unproven)


class _Kin:
    """Tells runs that a plan has, but for the seed, from those of other specs, data or code."""

    def __init__(self, one: SuitePlan) -> None:
        self._plan = one

    @cached_property
    def _planned(self) -> Collection[str]:
        return {run.spec.but_for_seed for run in self._plan.everything}

    @cached_property
    def _controls(self) -> Collection[str]:
        return {control.name for method in self._plan.suite.methods for control in control_methods(method)}

    def leaves_out(self, run: RunSpec) -> bool:
        return run.method not in self._controls and run.but_for_seed not in self._planned
