"""Parquet files of one's own: as those of the Hub, or with paths of image files beside them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.layouts import hub
from bench.data.layouts import parquet as layout
from bench.data.layouts._files import OUTSIDE
from bench.errors import DataError
from bench.specs.components import read_options

from . import contract
from .contract import quick
from .test_hub import COLUMNS, EXAMPLE, file_of, jpeg


@st.composite
def tables(draw):
    """Options, and rows as `read` gives them, whose images are files."""
    options = layout.Options(images=draw(st.sampled_from([".", "pictures", "a b/c"])), image="where", group="who")
    start = "" if options.images == "." else f"{options.images}/"
    rows = {name: [] for name in ("image", "split", "group", *(f"value:{column}" for column in COLUMNS))}
    for number in range(draw(st.integers(1, 9))):
        marks = draw(st.sampled_from([("", ""), ("0", "0"), ("0", "1"), ("1", "1")]))
        values = (f"{start}deep/{number}.jpg", draw(st.sampled_from(["train", "test"])), draw(st.sampled_from("ab")))
        values = (*values, draw(st.sampled_from(["", "cat", "two words"])), *marks)
        for column, value in zip(rows.values(), values, strict=True):
            column.append(value)
    return options, contract.rows_of(**rows)


@settings(quick, max_examples=30)
@given(case=tables())
def test_paths_of_images_are_read_back(tmp_path, case):
    options, rows = case
    reading = contract.assert_read_back(layout, tmp_path / "copy", options, rows, COLUMNS, "parquet")
    assert {"file", "item"}.isdisjoint(reading.rows.column_names)
    assert all((tmp_path / "copy" / image).is_file() for image in reading.rows["image"].to_pylist())


def test_encoded_images_are_read_as_those_of_the_hub(tmp_path):
    contract.assert_read_back(layout, tmp_path, layout.Options(), EXAMPLE, COLUMNS, "parquet")
    assert layout.read(tmp_path, layout.Options(), COLUMNS).rows.equals(hub.read(tmp_path, hub.Options(), COLUMNS).rows)


BESIDE = contract.rows_of(
    image=[f"pictures/{i}.jpg" for i in range(12)],
    split=["train", "test"] * 6,
    **{"value:label": [["cat", "dog", ""][i % 3] for i in range(12)]},
)


@settings(quick, max_examples=80)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    options = layout.Options(images="pictures")
    contract.assert_survives(layout, tmp_path, options, BESIDE, ["label"], "parquet", damage)


def test_paths_that_lead_out_are_left_out_by_name(tmp_path):
    paths = ["a.jpg", "../../etc/passwd", "x/../b.jpg", "/etc/passwd", None]
    pq.write_table(pa.table({"image": paths, "label": list("abcde")}), tmp_path / "train.parquet")
    reading = layout.read(tmp_path, layout.Options(images="p"), ["label"])
    assert reading.rows["image"].to_pylist() == ["p/a.jpg", "p/b.jpg", "p/etc/passwd", "p"]
    assert reading.skipped.names == {OUTSIDE: ["p/../../etc/passwd"]}
    with pytest.raises(ValidationError, match="no path below the root"):
        read_options(layout.Options, {"images": "../x"})


def test_a_hub_repository_holds_images_not_paths(tmp_path):
    pq.write_table(pa.table({"image": ["a.jpg"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="holds string, expected images"):
        hub.read(tmp_path, hub.Options(), [])
    pq.write_table(pa.table({"image": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="holds int64, expected images or paths of them"):
        layout.read(tmp_path, layout.Options(), [])


def test_images_in_some_files_and_paths_in_others_are_refused(tmp_path):
    file_of(tmp_path, {"image": [jpeg((1, 2, 3))]}, name="a.parquet")
    pq.write_table(pa.table({"image": ["a.jpg"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="images in some files and paths in others"):
        layout.read(tmp_path, layout.Options(), [])
