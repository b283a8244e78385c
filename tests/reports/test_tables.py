"""Tables as data and as text: hostile names stay names, and what must be said is said in every form."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from bench.reports.table import LIMITED_WARNING, STANDIN_WARNING, Table, print_table, to_csv, to_markdown, warning_of

HOSTILE = [
    "a|b",
    "[red]x[/red]",
    "[/]",
    "<b>x</b>",
    "<script>alert(1)</script>",
    "two\nlines",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "*_`\\",
    'say "a, b"',
    "\\",
]


def terminal(table: Table, width: int = 250) -> str:
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=width, color_system=None, force_terminal=False))
    return stream.getvalue()


def plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


@pytest.fixture(params=HOSTILE)
def hostile(request):
    text = request.param
    return Table(text, ("first", "second"), ((text, "1"), ("next", text)), notes=(text,), numeric=frozenset({1}))


def test_the_terminal_shows_hostile_text_as_it_is_and_obeys_none_of_it(hostile):
    shown = terminal(hostile)
    assert not set(shown) & {"\x1b", "\x07"}
    assert shown.count(plain(hostile.title).strip()) >= 4  # title, two cells, note
    assert len(shown.splitlines()) == len(
        terminal(Table("t", *(("a", "b"), (("c", "1"),) * 2), notes=("n",))).splitlines()
    )


def test_markdown_keeps_every_row_in_one_line_of_as_many_cells(hostile):
    lines = to_markdown(hostile).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {3}
    assert "<" not in "".join(lines)
    assert "\x1b" not in "".join(lines)
    assert sum(line.startswith("## ") for line in lines) == 1


def test_csv_reads_back(hostile):
    header, *rows = csv.reader(io.StringIO(to_csv(hostile)))
    assert header == ["first", "second"]
    assert rows == [[plain(cell) for cell in row] for row in hostile.rows]


def test_headers_over_several_lines_are_one_line_in_files():
    table = Table("t", ("tiny\nf1", "n"), (("a", "1"),))
    assert to_csv(table).splitlines() == ["tiny f1,n", "a,1"]
    assert "| tiny f1 " in to_markdown(table)
    assert len(terminal(table).splitlines()) > len(terminal(Table("t", ("tiny", "n"), (("a", "1"),))).splitlines())


@pytest.mark.parametrize(("provenance", "warning"), [("standin", STANDIN_WARNING), ("limited", LIMITED_WARNING)])
def test_the_warning_stands_on_every_form(provenance, warning):
    table = Table("t", ("a",), (("1",), ("2",)), warning=warning_of(provenance, provenance == "standin"))
    assert terminal(table).count(warning) == 2  # above and below
    assert to_markdown(table).count(f"> **{warning}**") == 1
    assert [row["warning"] for row in csv.DictReader(io.StringIO(to_csv(table)))] == [warning] * 2


def test_the_warning_is_red_on_a_terminal():
    stream = io.StringIO()
    table = Table("t", ("a",), (), warning=STANDIN_WARNING)
    print_table(table, Console(file=stream, width=200, color_system="standard", force_terminal=True))
    assert "\x1b[1;37;41m" in stream.getvalue() and "\x1b[1;31m" in stream.getvalue()


def test_real_numbers_carry_no_warning():
    assert warning_of("real", False) == ""


def test_cut_down_runs_on_stand_ins_say_both():
    told = warning_of("limited", True)
    assert STANDIN_WARNING in told and LIMITED_WARNING in told
    assert "warning" not in to_csv(Table("t", ("a",), (("1",),)))


def test_a_table_without_rows_is_still_a_table():
    table = Table("t", ("a", "b"), (), numeric=frozenset({1}))
    assert to_csv(table) == "a,b\n"
    assert "| a" in to_markdown(table)
    assert "a" in terminal(table)


def test_a_narrow_terminal_leaves_out_optional_columns_and_says_which():
    table = Table("t", ("name", "minutes", "steps"), (("x" * 30, "1234567", "7654321"),), optional=("minutes", "steps"))
    assert "left out" not in terminal(table)
    shown = terminal(table, width=50)
    assert "minutes" in shown.splitlines()[-1] and "1234567" not in shown
    assert "7654321" in shown
    assert "1234567" in to_csv(table) and "1234567" in to_markdown(table)
