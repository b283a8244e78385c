"""A table as data, and its renderings."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.segment import Segment, Segments
from rich.table import Table as RichTable

STANDIN_WARNING = (
    "STAND-IN DATA: images were drawn by a program, not photographed. "
    "These numbers say nothing about the real data sets of these names."
)
LIMITED_WARNING = "CUT-DOWN RUNS (--limit): these numbers only show that everything works."


@dataclass(frozen=True)
class Table:
    """Rows of text under headers; `notes` stand below.

    `numeric` columns are aligned right. `optional` columns are left out, the first named first, where a terminal is too
    narrow for all of them. `bold` are cells by row and column. The last `apart` rows stand apart from the others, under
    a rule of their own: they are of another kind.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    warning: str = ""
    numeric: frozenset[int] = frozenset()
    optional: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    apart: int = 0

    @property
    def first_apart(self) -> int:
        """The first of the rows that stand apart; the number of rows where none does."""
        return len(self.rows) - self.apart


def warning_of(provenance: str, standin: bool) -> str:
    """What must be said of numbers that are not from real data, or from cut-down runs, or both."""
    told = [STANDIN_WARNING] if standin else []
    return " ".join([*told, LIMITED_WARNING] if provenance == "limited" else told)


def to_markdown(table: Table) -> str:
    """GitHub-flavoured Markdown; the warning stands first and bold."""
    from tabulate import tabulate

    parts = [f"## {_markdown_cell(table.title)}"]
    if table.warning:
        parts.append(f"> **{table.warning}**")
    cells = [
        [_markdown_style(_markdown_cell(cell), table, i, j) for j, cell in enumerate(row)]
        for i, row in enumerate(table.rows)
    ]
    align = ["right" if i in table.numeric else "left" for i in range(len(table.headers))]
    headers = [_markdown_cell(header) for header in table.headers]
    parts.append(
        tabulate(cells, headers=headers, tablefmt="github", colalign=align if cells else None, disable_numparse=True)
    )
    parts += [_markdown_cell(note) for note in table.notes]
    return "\n\n".join(parts) + "\n"


def to_csv(*tables: Table) -> str:
    """Comma-separated values of tables with the same headers; warnings are a column, so that no row is without one."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    warned = any(table.warning for table in tables)
    writer.writerow([*map(one_line, tables[0].headers), *(["warning"] if warned else [])])
    for table in tables:
        for row in table.rows:
            writer.writerow([*map(_csv_cell, row), *([table.warning] if warned else [])])
    return stream.getvalue()


LONG = 200
"""Rows from which on a table is laid out here where nothing in it is folded: rich takes most of a millisecond a row."""


def print_table(table: Table, console: Console) -> None:
    """To the terminal; the warning in red, above and below, so that it is seen wherever one looks."""
    if table.warning:
        console.print(f"[bold white on red] {escape(table.warning)} [/]")
    widths = _widths(table)
    hidden: list[str] = []
    for header in table.optional:
        if _width(table, widths, hidden) <= console.width:
            break
        hidden.append(header)
    if len(table.rows) > LONG and _width(table, widths, hidden) <= console.width:
        _print_long(table, console, widths, hidden)
    else:
        console.print(rich_table(table, hidden))
    for note in table.notes:
        console.print(f"[dim]{_terminal_text(note)}[/]", highlight=False)
    if hidden:
        console.print(f"[dim]left out on a terminal this narrow: {escape(', '.join(hidden))}[/]", highlight=False)
    if table.warning:
        console.print(f"[bold red]{escape(table.warning)}[/]", highlight=False)


def _widths(table: Table) -> list[int]:
    """Places that each column takes on a terminal when nothing in it is folded."""
    headers = (max(map(_places, header.split("\n"))) for header in table.headers)
    return [max(width, *(_places(row[i]) for row in table.rows), 0) for i, width in enumerate(headers)]


def _width(table: Table, widths: Sequence[int], hidden: Sequence[str]) -> int:
    """Places that the columns which are not hidden take, with what stands around and between them."""
    return sum(width + 3 for width, header in zip(widths, table.headers, strict=True) if header not in hidden) + 1


def _places(text: str) -> int:
    return cell_len(one_line(text))


def _print_long(table: Table, console: Console, widths: Sequence[int], hidden: Sequence[str]) -> None:
    """What rich prints of its table, which it is given without rows."""
    head = rich_table(replace(table, rows=(), apart=0), hidden)
    shown = [i for i, header in enumerate(table.headers) if header not in hidden]
    for column, i in zip(head.columns, shown, strict=True):
        column.min_width = widths[i]
    lines = []
    blank = " " * _width(table, widths, hidden)
    for number, row in enumerate(table.rows):
        if number == table.first_apart:
            lines.append(blank)
        cells = []
        for i in shown:
            space = " " * (widths[i] - _places(row[i]))
            cell = _styled(table, number, i)
            cells.append(f" {space}{cell} " if i in table.numeric else f" {cell}{space} ")
        text = f" {' '.join(cells)} "
        lines.append(f"[dim]{text}[/]" if number >= table.first_apart else text)
    for line in console.render_lines(head, pad=False)[:-1]:  # the last one comes after the rows
        console.print(Segments([*line, Segment.line()]), end="")
    console.print("\n".join([*lines, blank]), highlight=False, soft_wrap=True)


def rich_table(table: Table, hidden: Sequence[str] = ()) -> RichTable:
    """A table for the terminal without its notes and warning; `hidden` columns are left out."""
    shown = [i for i, header in enumerate(table.headers) if header not in hidden]
    rich = RichTable(
        title=_terminal_text(table.title),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    for i in shown:
        header = "\n".join(map(_terminal_text, table.headers[i].split("\n")))
        rich.add_column(header, justify="right" if i in table.numeric else "left", overflow="fold")
    for number in range(len(table.rows)):
        if number == table.first_apart:
            rich.add_section()
        style = "dim" if number >= table.first_apart else ""
        rich.add_row(*(_styled(table, number, i) for i in shown), style=style)
    return rich


def _styled(table: Table, row: int, column: int) -> str:
    """A cell as rich's markup: verdicts coloured, the best bold."""
    cell = _coloured(table.rows[row][column])
    return f"[bold]{cell}[/]" if (row, column) in table.bold else cell


MARKS = {"harm": "▼", "benefit": "▲", "equivalent": "=", "inconclusive": "?"}
"""A mark beside the word, so that no verdict is told by colour alone."""
_COLOURS = {"harm": "red", "benefit": "green", "equivalent": "cyan", "inconclusive": "yellow"}


def _coloured(cell: str) -> str:
    for word, colour in _COLOURS.items():
        if cell.endswith((MARKS[word], f"{MARKS[word]} {word}")):
            return f"[{colour}]{_terminal_text(cell)}[/]"
    return _terminal_text(cell)


def _terminal_text(text: str) -> str:
    return escape(one_line(text))


_HARMLESS = re.compile(r"[+-]?\d[\d.,]*( \[[+-]?\d[\d.,]*, [+-]?\d[\d.,]*\])?|= equivalent")
"""What may begin like a formula: numbers with a sign, their intervals, and a verdict."""


def _csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    plain = one_line(text)
    return f"'{plain}" if plain.lstrip()[:1] in tuple("=+-@") and not _HARMLESS.fullmatch(plain) else plain


def one_line(text: str) -> str:
    """Without control characters: names must not move the cursor or start a new row."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def _markdown_style(cell: str, table: Table, row: int, column: int) -> str:
    if (row, column) in table.bold:
        return f"**{cell}**"
    return f"*{cell}*" if row >= table.first_apart and cell else cell


def _markdown_cell(text: str) -> str:
    plain = one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    plain = plain.replace("](", "]\\(").replace("]:", "]\\:")  # neither links nor images
    return plain.replace("*", "\\*").replace("_", "\\_") if "`" not in plain else plain


def number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:{'+' if sign else ''}z.{digits}f}"
