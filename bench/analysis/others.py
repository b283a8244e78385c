"""Records that belong to a suite but to none of its tables, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import to_jsonable_python

from bench.runs.archive import Archive
from bench.runs.plan import SuitePlan
from bench.specs.fingerprint import fingerprint
from bench.specs.run import RunPart, RunSpec


@dataclass(frozen=True)
class Others:
    """What a table leaves out: records by what else they are of, and planned runs whose record cannot be trusted.

    `differing`: counts of records of the suite with other fingerprints, by reason ("other budget"). `refused`: counts
    of records of planned runs by what is wrong with them. `unproven`: ids of shown runs whose prediction files are not
    there, so that nobody can score them again.
    """

    differing: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unproven: tuple[str, ...] = ()

    def without(self, contradicted: int) -> Others:
        """And so many records that their own predictions do not bear out."""
        if not contradicted:
            return self
        return replace(self, refused=self.refused | {"not what their predictions say": contradicted})


def others_of(plan: SuitePlan, archive: Archive) -> Others:
    """What no table of a plan may hold. Negative controls, which belong to no leaderboard, are not counted."""
    whole = plan.whole
    ranked = [run.spec.id for run in whole.runs if run.method not in whole.controls]
    return Others(
        differing(archive.others.get(plan.name, []), (run.spec for run in whole.everything)),
        dict(Counter(archive.unreadable[run_id].reason for run_id in ranked if run_id in archive.unreadable)),
        tuple(sorted(run_id for run_id in ranked if run_id in archive.unproven)),
    )


def differing(runs: Iterable[RunSpec], planned: Iterable[RunSpec]) -> dict[str, int]:
    """Count runs that a plan does not hold by what sets each apart from the planned run that is most like it."""
    known: dict[tuple[str, str], list[RunSpec]] = {}
    for run in planned:
        known.setdefault((run.method, run.backbone.name), []).append(run)
    counts = Counter(_reason(run, known.get((run.method, run.backbone.name), [])) for run in runs)
    return dict(counts.most_common())


def aspects(run: RunSpec) -> dict[str, str]:
    """Fingerprints of all that a run is described by but its seed: budget, data, code, specs."""
    return {name: fingerprint(to_jsonable_python(told)) for name, told in _aspects(run).items()}


def _reason(run: RunSpec, planned: list[RunSpec]) -> str:
    if not planned:
        return "a method or backbone that the suite does not have"
    nearest = min((_differences(run, other) for other in planned), key=len)
    return f"other {' and '.join(nearest)}" if nearest else "other specs"


def _differences(run: RunSpec, other: RunSpec) -> list[str]:
    """What differs between two runs but for their seeds."""
    one, two = _aspects(run), _aspects(other)
    return [aspect for aspect in one if one[aspect] != two[aspect]]


_APART = {
    "seed",
    "teachers",
    "recipe",
    "limit",
    "metrics",
    "fingerprint_version",
    "sources",
    "labels",
    "terms",
    "balancer",
}


def _aspects(run: RunSpec) -> dict[str, Any]:
    """All that a run is described by, in four groups."""
    parts = (*run.labels, *run.terms, *([run.balancer] if run.balancer else []))
    return {
        "budget": (run.recipe, run.limit, [source.batch for source in run.sources]),
        "data": [(source.dataset, source.data, source.shown) for source in run.sources],
        "code": (run.fingerprint_version, run.metrics, [(part.name, part.code) for part in parts]),
        "specs": (
            run.model_dump(exclude=dict.fromkeys(_APART, True) | {"backbone": {"weights": {"file"}}}),
            [(source.dataset, source.tasks, source.possible) for source in run.sources],
            [[_told(part) for part in group] for group in (run.labels, run.terms)],
            run.balancer and _told(run.balancer),
            [(teacher.dataset, teacher.task) for teacher in run.teachers],
        ),
    }


def _told(part: RunPart) -> tuple[str, dict[str, Any]]:
    return part.name, part.options
