"""Comma-separated values that a spreadsheet takes for data, whatever names hold."""

from __future__ import annotations

import csv
import io
from functools import lru_cache

from bench.reports.table import Table

_FORMULA = ("=", "+", "-", "@")


def safe_csv(table: Table) -> str:
    """Every field quoted; text that a spreadsheet would run as a formula starts with an apostrophe.

    The warning is a column, so that no row is without it.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    warning = [table.warning] if table.warning else []
    writer.writerow([*map(_field, table.headers), *(["warning"] if warning else [])])
    writer.writerows([[*map(_field, row), *warning] for row in table.rows])
    return stream.getvalue()


@lru_cache(100_000)
def _field(text: str) -> str:
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
