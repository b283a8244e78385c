"""Tables as one page of HTML that needs nothing else: no script, no network, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.reports.table import MARKS, Table, one_line

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; }
h2 { font-size: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: left; white-space: nowrap; vertical-align: bottom; }
thead { border-top: 2px solid; border-bottom: 1px solid; }
tbody { border-bottom: 2px solid; }
tbody + tbody { font-style: italic; }
.number { text-align: right; }
.warning { background: #b00020; color: #fff; font-weight: bold; padding: .6rem; }
.note { font-size: .87rem; margin: .25rem 0; }
abbr { text-decoration: none; }
"""


def to_html(tables: Sequence[Table]) -> str:
    """A page with some tables below each other, titled as the first is."""
    title = _text(tables[0].title) if tables else "bench"
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
    )
    return f"{head}<body>\n<main>\n{''.join(map(_section, tables))}</main>\n</body>\n</html>\n"


def _section(table: Table) -> str:
    warning = f'<p class="warning" role="note">{_text(table.warning)}</p>\n' if table.warning else ""
    headers = "".join(f'<th scope="col"{_class(table, i)}>{_header(name)}</th>' for i, name in enumerate(table.headers))
    rows = [_row(table, i) for i in range(len(table.rows))]
    bodies = [rows[: table.first_apart], rows[table.first_apart :]]
    body = "".join(f"<tbody>\n{''.join(part)}</tbody>\n" for part in bodies if part)
    notes = "".join(f'<p class="note">{_text(note)}</p>\n' for note in table.notes)
    return (
        f"<section>\n<h2>{_text(table.title)}</h2>\n{warning}"
        f'<div class="scroll" role="region" aria-label="{_text(table.title)}" tabindex="0">\n'
        f"<table>\n<thead>\n<tr>{headers}</tr>\n</thead>\n{body}</table>\n</div>\n{notes}</section>\n"
    )


def _row(table: Table, row: int) -> str:
    cells = []
    for column, cell in enumerate(table.rows[row]):
        text = _marked(cell)
        strong = f"<strong>{text}</strong>" if (row, column) in table.bold else text
        cells.append(f"<td{_class(table, column)}>{strong}</td>")
    return f"<tr>{''.join(cells)}</tr>\n"


def _class(table: Table, column: int) -> str:
    return ' class="number"' if column in table.numeric else ""


def _header(name: str) -> str:
    return "<br>".join(map(_text, name.split("\n")))


def _marked(cell: str) -> str:
    """A cell whose verdict's mark says its word to who points at it or listens."""
    for word, mark in MARKS.items():
        if cell.endswith(f" {mark}"):
            return f'{_text(cell.removesuffix(mark))}<abbr title="{word}">{mark}</abbr>'
    return _text(cell)


def _text(text: str) -> str:
    return escape(one_line(text))
