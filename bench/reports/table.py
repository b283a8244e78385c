"""A table as data, and its renderings."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
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


def print_table(table: Table, console: Console) -> None:
    """To the terminal; the warning in red, above and below, so that it is seen wherever one looks."""
    if table.warning:
        console.print(f"[bold white on red] {escape(table.warning)} [/]")
    hidden: list[str] = []
    rich = rich_table(table, hidden)
    for header in table.optional:
        if _width(rich, console) <= console.width:
            break
        hidden.append(header)
        rich = rich_table(table, hidden)
    console.print(rich)
    for note in table.notes:
        console.print(f"[dim]{_terminal_text(note)}[/]", highlight=False)
    if hidden:
        console.print(f"[dim]left out on a terminal this narrow: {escape(', '.join(hidden))}[/]", highlight=False)
    if table.warning:
        console.print(f"[bold red]{escape(table.warning)}[/]", highlight=False)


def _width(rich: RichTable, console: Console) -> int:
    """Columns that a table takes when nothing in it is folded."""
    return Measurement.get(console, console.options.update(max_width=10_000), rich).maximum


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
    for number, row in enumerate(table.rows):
        if number == table.first_apart:
            rich.add_section()
        cells = (_coloured(row[i]) for i in shown)
        rich.add_row(
            *(f"[bold]{cell}[/]" if (number, i) in table.bold else cell for i, cell in zip(shown, cells, strict=True)),
            style="dim" if number >= table.first_apart else "",
        )
    return rich


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
