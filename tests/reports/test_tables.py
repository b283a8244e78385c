"""Tables as data and as text: hostile names stay names, and what must be said is said in every form."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from bench.reports.html import to_html
from bench.reports.latex import latex_text, to_latex
from bench.reports.table import (
    LIMITED_WARNING,
    STANDIN_WARNING,
    Table,
    number,
    print_table,
    to_csv,
    to_markdown,
    warning_of,
)

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


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =A1", "= HYPERLINK(A1)"])
def test_no_cell_of_a_csv_file_is_a_formula(text):
    (cell,) = list(csv.reader(io.StringIO(to_csv(Table("t", ("a",), ((text,),))))))[1]
    assert cell == f"'{text}"


@pytest.mark.parametrize("text", ["+0.243 [+0.081, +0.404]", "-1.5", "+120.1", "= equivalent", "0.5 ± 0.1 ="])
def test_numbers_and_verdicts_stay_what_they_are_in_csv(text):
    assert text in to_csv(Table("t", ("a",), ((text,),)))


def test_markdown_makes_no_link_of_a_name():
    page = to_markdown(Table("![x](http://example.org)", ("a",), (("[b](c)",),), notes=("[x]: http://example.org",)))
    assert "](" not in page and "]:" not in page


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.names |= {name for name, _ in attributes}
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and "td" in self.tags:
            self.cells[-1] += data


def test_html_shows_hostile_text_as_it_is_and_obeys_none_of_it(hostile):
    calm = Page(to_html([replace(hostile, title="t", notes=("n",), rows=(("a", "1"), ("b", "c")))]))
    page = Page(to_html([hostile]))
    assert page.tags == calm.tags and page.names == calm.names
    assert "script" not in page.tags
    assert [cell.strip() for cell in page.cells[:3]] == [plain(c).strip() for c in (*hostile.rows[0], "next")]


def test_latex_keeps_every_row_and_is_plain_ascii(hostile):
    text = to_latex(hostile)
    assert text.isascii()
    assert set(text) & {"\x1b", "\x07"} == set()
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1}


def test_latex_of_names_by_hand():
    assert latex_text("a_b & 50% {x} $y$ #1 ~^\\") == (
        r"a\_b \& 50\% \{x\} \$y\$ \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex_text("Müller é 中") == r"M\"{u}ller \'{e} {[}U+4E2D]"


FORMS = {"md": to_markdown, "latex": to_latex, "html": lambda table: to_html([table]), "terminal": lambda t: colours(t)}


def colours(table: Table) -> str:
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=250, color_system="standard", force_terminal=True))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "bold"),
    [
        ("md", "**0.5 ▲**"),
        ("latex", r"\textbf{0.5 $\bigtriangleup$}"),
        ("html", "<strong>0.5 <abbr"),
        ("terminal", "\x1b[1"),
    ],
)
def test_bold_cells_are_bold_in_every_form(form, bold):
    table = Table("t", ("a", "b"), (("x", "0.5 ▲"), ("y", "0.4 ?")), bold=frozenset({(0, 1)}))
    line = next(line for line in FORMS[form](table).splitlines() if "0.5" in line)
    assert bold in line
    assert bold not in next(line for line in FORMS[form](table).splitlines() if "0.4" in line)


@pytest.mark.parametrize(
    ("form", "apart"), [("md", "*y*"), ("latex", r"\midrule"), ("html", "</tbody>\n<tbody>"), ("terminal", "\x1b[2m")]
)
def test_rows_of_another_kind_stand_apart_in_every_form(form, apart):
    table = Table("t", ("a",), (("x",), ("y",)))
    assert FORMS[form](replace(table, apart=1)).count(apart) > FORMS[form](table).count(apart)


def test_the_warning_stands_in_caption_and_comment_of_latex_and_on_the_page():
    table = Table("t", ("a",), (("1",),), warning=STANDIN_WARNING)
    assert to_latex(table).splitlines()[0] == f"% {STANDIN_WARNING}"
    caption = next(line for line in to_latex(table).splitlines() if line.startswith(r"\caption"))
    assert r"\textbf{STAND{-}IN DATA: images were drawn" in caption
    assert f'role="note">{STANDIN_WARNING}<' in to_html([table])


@pytest.mark.external
def test_real_tex_takes_every_hostile_name(tmp_path):
    odd = [*HOSTILE, "*", "[x]", "--seeds ?` !`", "Größe 中 😀 Ł", "% # $ & ~ ^ _ { }", r"\input{/etc/passwd}", ""]
    rows = tuple((text, text, "0.5 ± 0.1 ▲") for text in odd)
    table = Table(
        r"\end{table} & co", tuple(odd[:3]), rows, tuple(odd), STANDIN_WARNING, frozenset({2}),
        bold=frozenset({(0, 0)}), apart=2,
    )  # fmt: skip
    head = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{head}{to_latex(table)}\\end{{document}}\n", encoding="ascii")
    command = ["pdflatex", "-halt-on-error", "-no-shell-escape", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").is_file()


def test_nothing_is_less_than_nothing():
    assert [number(v, 1, sign=True) for v in (-0.04, 0.04, -0.06)] == ["+0.0", "+0.0", "-0.1"]
    assert number(-0.0) == "0.000"


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
