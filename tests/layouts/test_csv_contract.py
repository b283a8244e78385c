from hypothesis import given, settings

from bench.data.layouts import csv as layout

from . import contract
from .contract import quick

ROWS = contract.rows_of(
    image=[f"images/{i}.png" for i in range(5)], split=list("aabbc"), **{"value:kind": ["cat", "dog", "cat", "", "dog"]}
)


@settings(quick, max_examples=150)
@given(damage=contract.damages())
def test_damaged_tables_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    options = layout.Options(split="split")
    contract.assert_survives(layout, tmp_path, options, ROWS, ["kind"], "table", damage)


def test_what_is_written_is_read_back(tmp_path):
    options = layout.Options(split="split")
    contract.assert_read_back(layout, tmp_path / "copy", options, ROWS, ["kind"], "table")
