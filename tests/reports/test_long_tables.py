"""Long tables are laid out without rich, and look as if they were not."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from bench.reports import table as tables
from bench.reports.table import Table, print_table

TABLE = Table(
    title="Some runs [of all]",
    headers=("run", "method\nof it", "score", "verdict"),
    rows=(
        ("abc", "coupled", "0.1", "▼ harm"),
        ("[bold]名前", "multi_task", "10.25", "0.31 ▲"),
        ("", "x\x1b[31m", "–", "= equivalent"),
        ("published", "elsewhere", "3", ""),
    ),
    notes=("a note",),
    warning="STAND-IN",
    numeric=frozenset({2}),
    optional=("verdict",),
    bold=frozenset({(0, 1), (1, 3)}),
    apart=1,
)


def printed(monkeypatch, long, **how):
    monkeypatch.setattr(tables, "LONG", long)
    console = Console(file=io.StringIO(), emoji=False, **how)
    print_table(TABLE, console)
    return console.file.getvalue()


def plain(text):
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()]


@pytest.mark.parametrize("width", [2000, 60, 38, 36, 35, 34, 20])
def test_long_tables_look_as_short_ones(monkeypatch, width):
    assert plain(printed(monkeypatch, 0, width=width)) == plain(printed(monkeypatch, 100, width=width))


def test_long_tables_have_colours_and_weight(monkeypatch):
    shown = printed(monkeypatch, 0, width=80, force_terminal=True, color_system="standard")
    assert "\x1b[31m▼ harm" in shown
    assert "\x1b[1mcoupled" in shown
    assert "\x1b[2m" in next(line for line in shown.splitlines() if "published" in line)
    assert "\x1b[31m " not in shown  # what a name holds moves no colour
