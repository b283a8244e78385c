"""The page of one cell: its runs, and what its predictions show."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.analysis.disagreement import confusion, disagreements, predicted
from bench.analysis.rescoring import Rescored
from bench.analysis.scores import CellScores, cell_scores
from bench.analysis.transfer import Verdict
from bench.data.prepare import Preparation
from bench.data.store import Store
from bench.errors import RecordError
from bench.reports.cell import cell_table
from bench.reports.data import audit_words
from bench.reports.site.content import MOST_PREDICTED, SuiteContent
from bench.reports.site.figures import Figure, by_seed, confusion_matrix, per_label, training
from bench.reports.table import Table
from bench.runs.plan import Cell
from bench.runs.predictions import read_predictions
from bench.runs.records import Record, RecordStore
from bench.specs.run import RunTask
from bench.training.evaluation import Predictions

MOST_EXAMPLES = 24
DRAWN = 5
"""Training curves and scores by label are drawn of so many seeds, the first."""


@dataclass(frozen=True)
class Example:
    """A test image that a method and its twin see differently, in words; `image` is a link, blank without a licence.

    `joint_mark`, `single_mark`: "✓" for the side that is wholly right, "closer" for one that is less wrong.
    """

    name: str
    image: str
    truth: str
    joint: str
    joint_mark: str
    single: str
    single_mark: str


@dataclass(frozen=True)
class CellPage:
    """What a cell's page shows."""

    cell: Cell
    task: RunTask
    verdict: Verdict | None
    scores: tuple[CellScores, ...]
    runs: Table
    figures: tuple[Figure, ...]
    examples: tuple[Example, ...]
    differing: int
    compared: int
    seed: int
    note: str
    facts: dict[str, str]
    spec: str


@dataclass
class Thumbnails:
    """Images of stand-ins as small files, each written once."""

    site: Path
    _stores: dict[int, tuple[Store, dict[str, int]] | None] = field(default_factory=dict)
    _written: set[str] = field(default_factory=set)

    def link(self, suite: SuiteContent, dataset: str, name: str) -> str:
        """Where the image of this name stands in the site; blank where it may not be shown or is not at hand."""
        found = self._rows(suite.plan.preparations[dataset])
        if found is None or name not in found[1]:
            return ""
        store, rows = found
        link = f"images/{store.folder.name}/{rows[name]}.png"
        if link not in self._written:
            file = self.site / link
            file.parent.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            Image.fromarray(store.images[rows[name]]).save(stream, "PNG")
            file.write_bytes(stream.getvalue())
            self._written.add(link)
        return link

    def _rows(self, preparation: Preparation) -> tuple[Store, dict[str, int]] | None:
        """The open store of a stand-in with its rows by image; None of real images, and where nothing is drawn."""
        key = id(preparation)  # finding its folder hashes the whole request
        if key not in self._stores:
            found = None
            if preparation.copy is None and preparation.ready:
                store = preparation.open()
                names = store.labels.images.arrow.to_pylist()
                found = (store, {image: row for row, image in enumerate(names)})
            self._stores[key] = found
        return self._stores[key]


class CellPages:
    """Makes the pages of one suite's cells; keeps the predictions of one twin, which many cells are compared with."""

    def __init__(self, suite: SuiteContent, store: RecordStore, thumbnails: Thumbnails) -> None:
        self._suite = suite
        self._store = store
        self._thumbnails = thumbnails
        self._twin: tuple[str, str, Predictions | str] = ("", "", "")

    def page(self, cell: Cell) -> CellPage:
        plan, records = self._suite.plan, self._suite.records
        task = next(t for t in self._tasks if t.name == cell.task)
        twin = plan.twin_of(cell)
        is_twin = twin == cell
        found = tuple(
            cell_scores(plan, records, cell, metric, primary=metric == task.primary) for metric in task.metrics
        )
        main = next(s for s in found if s.primary)
        alone = cell_scores(plan, records, twin, task.primary, primary=True)
        mine = {seed: records.get(run.spec.id) for seed, run in plan.runs_of(cell).items()}
        done = {seed: record for seed, record in mine.items() if record is not None and record.status == "done"}
        twins = self._done(twin)
        single_records: Mapping[int, Record] = {} if is_twin else twins
        drawn = [
            by_seed("seeds", main.values, {} if is_twin else alone.values, task.primary, higher=main.higher_is_better),
            per_label("labels", _first(done), _first(single_records), cell.dataset, task),
            training("training", _first(done), task.name),
        ]
        shown = _Shown((), 0, 0, 0, "", None)
        if done and cell in self._opened:
            shown = self._predicted(cell, task, done, {} if is_twin else twins)
        elif done:
            shown = _Shown((), 0, 0, 0, f"Predictions are shown for the {MOST_PREDICTED} best ranked cells.", None)
        newest = next((record for _, record in sorted(done.items(), reverse=True)), None)
        runs = [(seed, run.spec.id, records.get(run.spec.id)) for seed, run in plan.runs_of(cell).items()]
        return CellPage(
            cell=cell,
            task=task,
            verdict=self._verdicts.get(cell),
            scores=found,
            runs=cell_table(
                cell,
                task.primary,
                runs,
                plan.provenance,
                standin=plan.standin,
                rescored=self._rescored.get((cell, task.primary), {}),
                repeated=self._suite.repeated,
            ),
            figures=tuple(figure for figure in (drawn[0], drawn[1], shown.confusion, drawn[2]) if figure is not None),
            examples=shown.examples,
            differing=shown.differing,
            compared=shown.compared,
            seed=shown.seed,
            note=shown.note,
            facts=self._about_data(cell) | (_facts(newest) if newest is not None else {}),
            spec=newest.run.model_dump_json(indent=1) if newest is not None else "",
        )

    @cached_property
    def _tasks(self) -> tuple[RunTask, ...]:
        return tuple({task.name: task for run in self._suite.plan.runs for task in run.spec.tasks}.values())

    @cached_property
    def _verdicts(self) -> dict[Cell, Verdict]:
        return {v.cell: v for v in self._suite.report.verdicts if v.primary and v.seeds}

    @cached_property
    def _rescored(self) -> dict[tuple[Cell, str], dict[str, Rescored]]:
        """By cell and metric, then run id."""
        found: dict[tuple[Cell, str], dict[str, Rescored]] = {}
        for row in self._suite.rescored.rows:
            cell = Cell(row.dataset, row.task, row.backbone, row.method)
            found.setdefault((cell, row.metric), {})[row.run] = row
        return found

    def _about_data(self, cell: Cell) -> dict[str, str]:
        """What the cell was tested on."""
        plan = self._suite.plan
        licence = next(one.licence for one in plan.suite.datasets if one.name == cell.dataset)
        return {
            "data": f"{cell.dataset}, {plan.provenance}, fingerprint {self._suite.board.data.get(cell.dataset, '–')}",
            "audit": audit_words(self._suite.board.audits.get(cell.dataset)),
            "licence": f"{licence}{' (of the real data, of which no image is used here)' if plan.standin else ''}",
        }

    @cached_property
    def _opened(self) -> frozenset[Cell]:
        return frozenset(self._suite.cells[:MOST_PREDICTED])

    def _done(self, cell: Cell) -> dict[int, Record]:
        found = {seed: self._suite.records.get(r.spec.id) for seed, r in self._suite.plan.runs_of(cell).items()}
        return {seed: record for seed, record in found.items() if record is not None and record.status == "done"}

    def _predicted(self, cell: Cell, task: RunTask, done: Mapping[int, Record], twins: Mapping[int, Record]) -> _Shown:
        """Confusion and examples at the first seed that both have."""
        shared = sorted(done.keys() & twins.keys())
        seed = shared[0] if shared else min(done)
        one = _read(self._store, done[seed], cell)
        if isinstance(one, str):
            return _Shown((), 0, 0, seed, one, None)
        matrix = None
        if task.type == "multiclass":
            matrix = confusion_matrix("confusion", confusion(one.scores, one.references), task.labels, seed)
        if not shared:
            return _Shown((), 0, 0, seed, "", matrix)
        other = self._twin_predictions(twins[seed], cell)
        if isinstance(other, str):
            return _Shown((), 0, 0, seed, other, matrix)
        if not one.images.arrow.equals(other.images.arrow):
            return _Shown((), 0, 0, seed, "This method and its twin were not tested on the same images.", matrix)
        found, differing = disagreements(one.scores, other.scores, one.references, MOST_EXAMPLES)
        labels = [predicted(p.scores, one.references) for p in (one, other)]
        examples = tuple(
            _example(
                one.images[d.row],
                self._thumbnails.link(self._suite, cell.dataset, one.images[d.row]),
                task,
                one.references[d.row],
                labels[0][d.row],
                labels[1][d.row],
            )
            for d in found
        )
        return _Shown(examples, differing, len(one.images), seed, "", matrix)

    def _twin_predictions(self, record: Record, cell: Cell) -> Predictions | str:
        key = (record.id, f"{cell.dataset}/{cell.task}")
        if self._twin[:2] != key:
            self._twin = (*key, _read(self._store, record, cell))
        return self._twin[2]


def _first(records: Mapping[int, Record]) -> dict[int, Record]:
    return {seed: record for seed, record in records.items() if seed < DRAWN}


@dataclass(frozen=True)
class _Shown:
    """What came of predictions; `note` says why there is nothing."""

    examples: tuple[Example, ...]
    differing: int
    compared: int
    seed: int
    note: str
    confusion: Figure | None


def _read(store: RecordStore, record: Record, cell: Cell) -> Predictions | str:
    """Predictions, or why there are none."""
    try:
        found = read_predictions(store, record, cell.dataset, cell.task)
    except RecordError as error:
        return f"Predictions are left out: {error.message}."
    return "The run left no predictions of this task." if found is None else found


def _example(name: str, image: str, task: RunTask, truth: Any, joint: Any, single: Any) -> Example:
    """`truth`, `joint` and `single` are a class, or attributes 0 and 1 [labels]; below 0 where the truth is unknown."""
    wrong = [int(np.sum((side != truth) & (truth >= 0))) for side in (joint, single)]
    marks = ["✓" if not mine else "closer" if mine < other else "" for mine, other in (wrong, reversed(wrong))]
    if task.type == "multiclass":
        true, one, other = (task.labels[int(i)] if i >= 0 else "?" for i in (truth, joint, single))
        return Example(name, image, true, one, marks[0], other, marks[1])
    disputed = [i for i in range(len(task.labels)) if not joint[i] == single[i] == truth[i] and truth[i] >= 0]

    def said(values: Any) -> str:
        return ", ".join(task.labels[i] for i in disputed if values[i] == 1) or "none"

    return Example(name, image, said(truth), said(joint), marks[0], said(single), marks[1])


def _facts(record: Record) -> dict[str, str]:
    """What the newest run ran as and on."""
    about, cost = record.environment, record.cost
    git = about.get("git") or {}
    facts = {
        "command": shlex.join(record.command),
        "commit": str(git.get("commit", "not known")) + (" with changes" if git.get("dirty") else ""),
        "packages": _listed(about.get("packages")),
        "hardware": _listed(about.get("hardware")),
        "finished": f"{record.finished:%Y-%m-%d %H:%M} UTC",
        "run": record.id,
    }
    if cost is not None:
        seconds = ", ".join(f"{phase} {value:.1f} s" for phase, value in cost.seconds.items())
        facts["cost"] = f"{cost.steps:,} steps, {cost.images:,} images, {cost.parameters:,} parameters; {seconds}"
    if record.selected_step is not None:
        facts["selected"] = f"step {record.selected_step}, by validation"
    for dataset, transforms in record.label_changes.items():
        for name, tasks in transforms.items():
            for task, change in tasks.items():
                facts[f"{name} on {dataset}/{task}"] = (
                    f"{change.added:,} labels added to {change.before:,}, {change.contradicted:,} contradicted"
                )
    return facts


def _listed(found: Any) -> str:
    parts: Sequence[str] = [f"{name} {value}" for name, value in found.items()] if isinstance(found, dict) else []
    return ", ".join(part for part in parts if not part.endswith(" []")) or "not known"
