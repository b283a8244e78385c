"""From content to a folder of pages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import bench
from bench.analysis.views import views
from bench.reports.controls import control_cell_table, control_table
from bench.reports.data import audit_words
from bench.reports.leaderboard import leaderboard_records
from bench.reports.published import published_table
from bench.reports.site.cells import CellPages, Thumbnails
from bench.reports.site.content import Content, SuiteContent
from bench.reports.site.figures import Figure, along, cost_quality, forest, rank_map, relatedness_map, verdict_bar
from bench.reports.site.folder import replaced
from bench.reports.site.spreadsheet import safe_csv
from bench.reports.table import MARKS, Table, number
from bench.reports.transfer import method_table, verdict_table
from bench.runs.plan import Cell
from bench.runs.records import RecordStore

STATIC = ("style.css", "theme.js", "table.js")
Progress = Callable[[int, int], None]
"""Called with (pages written, pages in all)."""


def build(content: Content, store: RecordStore, out: Path, progress: Progress = lambda done, total: None) -> int:
    """Write a site to `out`, whole or not at all, and say how many pages it has.

    Raises `UsageError` where `out` holds something that is not a site.
    """
    with replaced(out) as folder:
        return _Site(content, store, folder, progress).write()


class _Site:
    """A site while it is written."""

    def __init__(self, content: Content, store: RecordStore, folder: Path, progress: Progress) -> None:
        self._content = content
        self._store = store
        self._folder = folder
        self._progress = progress
        self._thumbnails = Thumbnails(folder)
        self._templates = _environment(store)
        self._pages = 0
        self._total = 1 + sum(3 + len(suite.cells) for suite in content.suites) + len(self._with_axes)

    @property
    def _with_axes(self) -> dict[str, tuple[SuiteContent, ...]]:
        return {name: many for name, many in self._content.by_suite.items() if many[0].plan.point.label}

    def write(self) -> int:
        static = self._folder / "static"
        static.mkdir()
        with as_file(files("bench.reports.site") / "static") as source:
            for name in STATIC:
                shutil.copyfile(source / name, static / name)
        self._index()
        for name, points in self._with_axes.items():
            self._axes(name, points)
        for suite in self._content.suites:
            self._suite(suite)
        return self._pages

    def _index(self) -> None:
        bars = {
            suite.plan.name: verdict_bar(f"verdicts-{i}", suite.counts) for i, suite in enumerate(self._content.suites)
        }
        warnings = {suite.warning for suite in self._content.suites}
        self._page("index.html", "index.html", content=self._content, bars=bars, warning=max(warnings, default=""))

    def _axes(self, name: str, points: tuple[SuiteContent, ...]) -> None:
        figures = [along(curve) for curve in self._content.curves if curve.suite == name]
        bars = {suite.plan.name: verdict_bar(f"verdicts-{i}", suite.counts) for i, suite in enumerate(points)}
        self._figures(name, figures)
        self._page(
            f"{name}/index.html",
            "axes.html",
            points=points,
            first=points[0],
            figures=figures,
            bars=bars,
            warning=points[0].warning,
        )

    def _suite(self, suite: SuiteContent) -> None:
        self._leaderboard(suite)
        self._verdicts(suite)
        self._data(suite)
        cells = CellPages(suite, self._store, self._thumbnails)
        # Cells with the same twin one after the other, so that its predictions are read once.
        for cell in sorted(set(suite.cells), key=lambda c: (c.backbone, c.dataset, c.task, c.method)):
            page = cells.page(cell)
            slug = _slug(cell)
            self._figures(suite.place, page.figures, slug)
            self._csv(suite.place, f"{slug}.runs", page.runs)
            self._page(
                f"{suite.place}/cells/{slug}.html", "cell.html", suite=suite, page=page, slug=slug,
                warning=suite.warning,
            )  # fmt: skip

    def _leaderboard(self, suite: SuiteContent) -> None:
        methods = method_table(suite.told)
        figures = [figure for figure in (rank_map(suite.ranks), cost_quality(suite.board)) if figure is not None]
        published = self._content.published
        tables = {"leaderboard": leaderboard_records(suite.board, published=published), "methods": methods}
        apart = published_table(suite.board, published)
        self._tables(suite, tables | ({"published": apart} if apart else {}))
        self._figures(suite.place, figures)
        self._page(
            f"{suite.place}/index.html",
            "leaderboard.html",
            suite=suite,
            board=suite.board,
            methods=methods,
            published=apart,
            figures=figures,
            bar=verdict_bar("verdicts", suite.counts),
            best=_best(suite),
            warning=suite.warning,
        )

    def _verdicts(self, suite: SuiteContent) -> None:
        figures = [figure for figure in (forest(suite.told),) if figure is not None]
        tables = {"verdicts": verdict_table(suite.told)}
        if suite.controls is not None:
            tables |= {"controls": control_table(suite.controls), "control-cells": control_cell_table(suite.controls)}
        self._tables(suite, tables)
        self._figures(suite.place, figures)
        tables["verdicts"] = for_reading(tables["verdicts"])
        links = [f"cells/{_slug(verdict.cell)}.html" for verdict in suite.told.verdicts]
        self._page(
            f"{suite.place}/verdicts.html", "verdicts.html", suite=suite, tables=tables, links=links, figures=figures,
            warning=suite.warning,
        )  # fmt: skip

    def _data(self, suite: SuiteContent) -> None:
        plan = suite.plan
        figures = [
            relatedness_map(one, plan.suite.tasks[one.first_task].labels, one.second_task, standin=plan.standin)
            for one in plan.relatedness
        ]
        self._figures(suite.place, figures)
        audits = {name: audit_words(audit) for name, audit in plan.audits.items()}
        self._page(
            f"{suite.place}/data.html", "data.html", suite=suite, figures=figures, audits=audits,
            unreadable=self._content.left_out, warning=suite.warning,
        )  # fmt: skip

    def _page(self, path: str, template: str, **context: Any) -> None:
        """Write one page; links in it start with `root`, which leads to the folder of the site."""
        root = "../" * path.count("/")
        written = self._templates.get_template(template).render(root=root, version=bench.__version__, **context)
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written, encoding="utf-8")
        self._pages += 1
        self._progress(self._pages, self._total)

    def _figures(self, place: str, figures: list[Figure] | tuple[Figure, ...], slug: str = "") -> None:
        for figure in figures:
            self._csv(place, f"{slug}.{figure.name}" if slug else figure.name, figure.data)

    def _tables(self, suite: SuiteContent, tables: dict[str, Table]) -> None:
        for name, table in tables.items():
            self._csv(suite.place, name, table)

    def _csv(self, place: str, name: str, table: Table) -> None:
        file = self._folder / place / "data" / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        warned = next((s.warning for s in self._content.suites if s.place.startswith(place)), "")
        if warned and not table.warning:
            table = Table(table.title, table.headers, table.rows, warning=warned)
        file.write_text(safe_csv(table), encoding="utf-8")


def _environment(store: RecordStore) -> Environment:
    def within(text: str) -> str:
        """What is told of files without the place of the results on this machine, which is nobody's business."""
        return text.replace(f"{store.results}{os.sep}", "")

    environment = Environment(
        loader=PackageLoader("bench.reports.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": number,
        "signed": _signed,
        "grouped": "{:,.0f}".format,
        "slug": _slug,
        "verdict": verdict_badge,
        "starts": starts_of,
        "cells": cells_of,
        "within": within,
        "lines": lambda text: text.split("\n"),
    }
    environment.globals |= {"MARKS": MARKS}
    return environment


def _signed(value: float | None, digits: int = 3) -> str:
    return number(value, digits, sign=True).replace("-", "−")


def verdict_badge(word: str) -> Markup:
    """Mark and word; screen readers hear the word alone."""
    mark = MARKS[word]
    return Markup('<span class="verdict v-{}"><span aria-hidden="true">{}</span> {}</span>').format(word, mark, word)


def for_reading(table: Table) -> Table:
    """The verdict beside the method; an optional column that says the same in every row is said once, in a note."""
    columns = list(zip(*table.rows, strict=True)) if len(table.rows) > 1 else []
    same = [i for i, column in enumerate(columns) if table.headers[i] in table.optional and len(set(column)) == 1]
    order = [i for i in range(len(table.headers)) if i not in same]
    if {"method", "verdict"} <= set(table.headers):
        order.remove(verdict := table.headers.index("verdict"))
        order.insert(order.index(table.headers.index("method")) + 1, verdict)
    told = ", ".join(f"{_one_line(table.headers[i])} {columns[i][0]}" for i in same)
    return replace(
        table,
        headers=tuple(table.headers[i] for i in order),
        rows=tuple(tuple(row[i] for i in order) for row in table.rows),
        notes=((f"In every row: {told}.",) if told else ()) + table.notes,
        numeric=frozenset(place for place, i in enumerate(order) if i in table.numeric),
    )


NAMELESS = {"data set", "task", "backbone", "method", "control", "verdict"}
"""Columns whose cells say what they are without their header."""


def labels_of(table: Table) -> list[Markup]:
    """By column, the attribute that names its cells where a narrow screen shows rows as cards; blank: none."""
    return [
        Markup("") if header in NAMELESS else Markup(' data-label="{}"').format(_one_line(header.partition("\n[")[0]))
        for header in table.headers
    ]


def starts_of(table: Table, stack: bool) -> list[str]:
    """By column, the tag that its cells begin with."""
    labels = labels_of(table) if stack else [Markup("")] * len(table.headers)
    kinds = [' class="n"' if i in table.numeric else "" for i in range(len(labels))]
    return [f"<td{kind}{label}>" for kind, label in zip(kinds, labels, strict=True)]


def cells_of(row: Sequence[str], starts: Sequence[str], linked: int = -1, link: str = "") -> Markup:
    """A row's cells, one a line; the one in column `linked` is a link."""
    cells = [f"{start}{_shown(cell)}</td>\n" for start, cell in zip(starts, row, strict=True)]
    if linked >= 0 and not outcome_of(row[linked]):
        cells[linked] = f'{starts[linked]}<a href="{escape(link)}">{escape(row[linked])}</a></td>\n'
    return Markup("".join(cells))


@lru_cache(100_000)
def _shown(cell: str) -> Markup:
    word = outcome_of(cell)
    return Markup('<span class="verdict v-{}">{}</span>').format(word, cell) if word else escape(cell)


def _one_line(header: str) -> str:
    return header.replace("\n", " ")


def outcome_of(cell: str) -> str:
    """The verdict that a table's cell ends with; blank where it is none."""
    word = cell.rpartition(" ")[2]
    return word if word in MARKS and cell.endswith(f"{MARKS[word]} {word}") else ""


def _slug(cell: Cell) -> str:
    """A file name of a cell; names of specs are plain."""
    return re.sub(r"[^\w.-]", "_", f"{cell.dataset}.{cell.task}.{cell.backbone}.{cell.method}")


def _best(suite: SuiteContent) -> frozenset[Cell]:
    """The best of each column, and what a test cannot tell from it."""
    (view,) = views(suite.board)
    return frozenset(
        Cell(column.dataset or "", column.task, line.backbone or "", line.method)
        for line in view.lines
        for column, value in zip(view.columns, line.values, strict=True)
        if value.best
    )
