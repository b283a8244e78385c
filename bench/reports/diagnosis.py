"""Diagnoses as tables: how tasks pull at the backbone, what they do for each other, agreement and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.diagnosis import (
    BINS,
    AgreementCourse,
    Calibration,
    Course,
    LossNorm,
    PairCosine,
    SuiteDiagnosis,
    TaskAffinity,
)
from bench.reports.table import Table, number, warning_of
from bench.training.probe import WHOLE


def diagnosis_tables(found: SuiteDiagnosis) -> list[Table]:
    """All tables that there is anything to show in."""
    backbones = dict.fromkeys(row.backbone for row in found.cosines)
    tables = [cosine_table(found, backbone) for backbone in backbones]
    tables += [norm_table(found, backbone) for backbone in backbones]
    tables += [affinity_table(found), agreement_table(found), calibration_table(found)]
    return [table for table in tables if table.rows]


def cosine_table(found: SuiteDiagnosis, backbone: str) -> Table:
    """A row a method and pair of losses; the whole backbone in full, each depth by its mean."""
    rows = [row for row in found.cosines if row.backbone == backbone]
    parts = _depths(rows)
    headers = ("method", "gradients of", "whole\nbackbone", "start", "end", "< 0", *parts, "looks")
    return Table(
        title=f"Cosines between gradients on {backbone}, over training: {found.suite}",
        headers=headers,
        rows=tuple(_cosine_row(row, parts) for row in rows),
        notes=(
            f"of the tasks' own losses and of couplings (term.relatedness), on the shared backbone, {_looks(found)}; "
            "negative: they pull apart.",
            "start, end: over the first and the last quarter of the looks. < 0, and in brackets: the share of looks "
            "with a negative cosine.",
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset(range(2, len(headers))),
        optional=("looks", *reversed(parts)),
    )


def norm_table(found: SuiteDiagnosis, backbone: str) -> Table:
    """A row a method and loss: how hard it pulls."""
    rows = [row for row in found.norms if row.backbone == backbone]
    parts = _depths(rows)
    headers = ("method", "gradient of", "whole\nbackbone", "start", "end", *parts, "looks")
    return Table(
        title=f"Norms of gradients on {backbone}, over training: {found.suite}",
        headers=headers,
        rows=tuple(_norm_row(row, parts) for row in rows),
        notes=("a task whose gradient is far longer than another's decides where the shared backbone goes.",),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset(range(2, len(headers))),
        optional=("looks", *reversed(parts)),
    )


def affinity_table(found: SuiteDiagnosis) -> Table:
    """A row a method and task that makes a step; a column a task that it is felt by."""
    tasks = tuple(dict.fromkeys(task for row in found.affinities for task in row.on))
    headers = ("backbone", "method", "a step on", *(f"does for\n{task} %" for task in tasks), "looks")
    return Table(
        title=f"Task affinity by one-step lookahead: {found.suite}",
        headers=headers,
        rows=tuple(_affinity_row(row, tasks) for row in found.affinities),
        notes=(
            "percent of a task's loss that goes when the shared backbone makes one gradient step on another task, at "
            "the training's rate and on the same batch (Fifty et al., NeurIPS 2021); mean over training, in brackets "
            "start and end. Positive helps. It shrinks with the rate; compare within a column.",
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset(range(3, len(headers))),
        optional=("looks",),
    )


def agreement_table(found: SuiteDiagnosis) -> Table:
    """A row a method and relatedness: from the untrained network to the end."""
    headers = (
        "backbone", "method", "relatedness", "|q − p|\nuntrained", "halfway", "end", "KL(q‖p)\nuntrained", "halfway ",
        "end ", "images",
    )  # fmt: skip
    return Table(
        title=f"Agreement of predictions with the relatedness: {found.suite}",
        headers=headers,
        rows=tuple(_agreement_row(row) for row in sorted(found.agreements, key=lambda r: (r.relatedness, r.backbone))),
        notes=(
            "q: what the first task's predictions imply of the second through the relatedness; p: what the second task "
            "predicts; on validation images, mean over images and labels.",
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset(range(3, len(headers))),
        optional=("images", "halfway ", "halfway"),
    )


def calibration_table(found: SuiteDiagnosis) -> Table:
    """A row a data set, task and backbone and method, twins among them."""
    headers = ("data set", "task", "backbone", "method", "ECE", "seeds")
    ordered = sorted(found.calibrations, key=lambda row: (row.cell.dataset, row.cell.task, row.cell.backbone))
    return Table(
        title=f"Calibration on test images: {found.suite}",
        headers=headers,
        rows=tuple(_calibration_row(row) for row in ordered),
        notes=(
            f"expected calibration error with {BINS} bins of equal width (Guo et al., ICML 2017), mean over seeds: 0 "
            "is best. Classes: of the most probable class; attributes: mean over labels.",
        ),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset({4, 5}),
        optional=("seeds",),
    )


def _cosine_row(row: PairCosine, parts: Sequence[str]) -> tuple[str, ...]:
    whole = row.by_depth[WHOLE]
    each = [row.by_depth.get(part) for part in parts]
    return (
        row.method,
        f"{row.first} and {row.second}",
        *(number(value, 2, sign=True) for value in (whole.mean, whole.start, whole.end)),
        _share(whole),
        *("–" if one is None else f"{number(one.mean, 2, sign=True)} ({_share(one)})" for one in each),
        str(whole.looks),
    )


def _norm_row(row: LossNorm, parts: Sequence[str]) -> tuple[str, ...]:
    whole = row.by_depth[WHOLE]
    each = [row.by_depth.get(part) for part in parts]
    values = (whole.mean, whole.start, whole.end, *(one.mean if one else None for one in each))
    return (row.method, row.loss, *map(_significant, values), str(whole.looks))


def _affinity_row(row: TaskAffinity, tasks: Sequence[str]) -> tuple[str, ...]:
    cells = [row.on.get(task) for task in tasks]
    looks = max((one.looks for one in row.on.values()), default=0)
    return (row.backbone, row.method, row.source, *map(_affinity, cells), str(looks))


def _affinity(one: Course | None) -> str:
    if one is None or not one.looks:
        return "–"
    mean, start, end = (_significant(100 * value, sign=True) for value in (one.mean, one.start, one.end))
    return f"{mean} [{start}, {end}]"


def _agreement_row(row: AgreementCourse) -> tuple[str, ...]:
    points = [row.points[place] for place in (0, len(row.points) // 2, -1)]
    return (
        row.backbone,
        row.method,
        row.relatedness,
        *(number(point.difference) for point in points),
        *(number(point.divergence) for point in points),
        str(row.images),
    )


def _calibration_row(row: Calibration) -> tuple[str, ...]:
    cell = row.cell
    return (cell.dataset, cell.task, cell.backbone, cell.method, number(row.mean), str(len(row.by_seed)))


def _depths(rows: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(depth for row in rows for depth in row.by_depth if depth != WHOLE))


def _looks(found: SuiteDiagnosis) -> str:
    return f"looked at every {' or '.join(map(str, found.every))} steps"


def _share(one: Course) -> str:
    return f"{one.negative:.0%}" if one.looks else "–"


def _significant(value: float | None, *, sign: bool = False) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:{'+' if sign else ''}.3g}"
