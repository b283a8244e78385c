"""RAF-AU: units are found by number whatever stands before and after it, and the absence of a unit is a label."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.layouts import raf_au as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.catalog import open_catalog
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

from . import contract
from .contract import quick

OPTIONS = layout.Options()
COLUMNS = list(layout.COLUMNS)


def rows_with(present, *, inner=True):
    """Rows as `read` gives them: for each image the units that are present."""
    images = [f"aligned/{i + 1:04d}_aligned.jpg" for i in range(len(present))]
    files = {"file": [f"RAF-AU/{image}" for image in images]} if inner else {}
    values = {f"value:{name}": [str(int(unit in units)) for units in present] for name, unit in layout.COLUMNS.items()}
    return contract.rows_of(image=images, **files, **values)


def copy_of(root, *lines):
    """A copy with these lines, given with its content."""
    write_lines(root / layout.LIST, lines)
    write_picture(root / "aligned" / "0001_aligned.jpg")
    return root


def units_of(root, image="aligned/0001_aligned.jpg"):
    """The units that are read as present in an image."""
    rows = {row["image"]: row for row in layout.read(root, OPTIONS, COLUMNS).rows.to_pylist()}
    return {unit for name, unit in layout.COLUMNS.items() if rows[image][f"value:{name}"] == "1"}


EXAMPLE = rows_with([{4, 12, 25}, set(), {1, 2, 5, 26}, {9}, {6, 12, 25}])

# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(present=st.lists(st.frozensets(st.sampled_from(layout.UNITS)), min_size=1, max_size=6), inner=st.booleans())
def test_what_is_written_is_read_back(tmp_path, present, inner):
    rows = rows_with(present, inner=inner)
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, COLUMNS, "official")


@settings(quick, max_examples=150)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, COLUMNS, "official", damage)


# ------------------------------------------------------------------------------------------------------------- quirks


@pytest.mark.parametrize(
    ("coded", "units"),
    [
        ("4", {4}),
        ("4+12+25", {4, 12, 25}),
        ("null", set()),
        ("L12", {12}),
        ("R1+L2+2", {1, 2}),
        ("T23+B16", {23, 16}),
        ("AD19", {19}),
        ("BL20", {20}),
        ("12C+25B", {12, 25}),
        ("61+12", {12}),  # the eyes turned, which is no column
    ],
)
def test_a_unit_is_known_by_its_number(tmp_path, coded, units):
    assert units_of(copy_of(tmp_path, f"0001.jpg {coded}")) == units


@pytest.mark.parametrize("end", ["  ", "\t", "\r"])
def test_blanks_at_the_end_of_a_line_do_not_matter(tmp_path, end):
    assert units_of(copy_of(tmp_path, f"0001.jpg 4+12{end}", "0002.jpg null")) == {4, 12}


def test_names_are_filled_up_with_zeros(tmp_path):
    assert units_of(copy_of(tmp_path, "7.jpg 9"), "aligned/0007_aligned.jpg") == {9}


def test_a_unit_of_another_form_costs_its_line(tmp_path):
    reading = layout.read(copy_of(tmp_path, "0001.jpg 4+?", "0002.jpg 9+", "0003.jpg 12"), OPTIONS, ["au12"])
    assert reading.rows.to_pydict() == {"image": ["aligned/0003_aligned.jpg"], "value:au12": ["1"]}
    list_file = tmp_path / layout.LIST
    assert reading.skipped.names == {"a unit of unknown form": [f"{list_file}:1", f"{list_file}:2"]}


def test_names_do_not_depend_on_where_the_copy_begins(tmp_path):
    layout.write(tmp_path, EXAMPLE, OPTIONS)
    inner = layout.read(tmp_path / "RAF-AU", OPTIONS, COLUMNS).rows
    outer = layout.read(tmp_path, OPTIONS, COLUMNS).rows
    assert outer.drop_columns("file").equals(inner)
    assert outer["file"].to_pylist() == [f"RAF-AU/{image}" for image in inner["image"].to_pylist()]


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0001.jpg", "RAFAU_label.txt:2: expected a name and units"),
        ("0001.jpg 4 12", "RAFAU_label.txt:2: expected a name and units"),
        ("0001_aligned.jpg 4", "RAFAU_label.txt:2: expected the name of an image such as 0001.jpg"),
        ("0005.jpg 4", "RAFAU_label.txt:2: aligned/0005_aligned.jpg stands twice"),
        ("5.jpg 4", "RAFAU_label.txt:2: aligned/0005_aligned.jpg stands twice"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, message):
    with pytest.raises(DataError, match=re.escape(message)):
        layout.read(copy_of(tmp_path, "0005.jpg 12", line), OPTIONS, COLUMNS)


def test_a_path_that_leads_out_is_left_out_by_name(tmp_path):
    reading = layout.read(copy_of(tmp_path, "../0001.jpg 4", "/etc/0002.jpg 4", "0003.jpg 4"), OPTIONS, [])
    assert reading.rows.num_rows == 1
    assert reading.skipped.counts == {"path leads out of the copy": 2}


def test_the_number_of_lines_is_asserted_and_can_be_overridden(tmp_path):
    root = copy_of(tmp_path, "0001.jpg 4", "0002.jpg null")
    with pytest.raises(DataError, match="has 2 lines, expected 4601") as caught:
        layout.read(root, layout.Options(rows=4601), [])
    assert "layout.rows" in caught.value.hint
    assert layout.read(root, layout.Options(rows=2), []).rows.num_rows == 2


def test_incomplete_copies_and_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"`RAFAU_label\.txt` is not there"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / layout.LIST, ["0001.jpg 4"])
    with pytest.raises(DataError, match="folder of aligned images is not there"):
        layout.recognise(tmp_path, OPTIONS)


def test_a_unit_that_is_not_annotated_is_no_column(tmp_path):
    with pytest.raises(DataError, match="no column 'au43'"):
        layout.read(copy_of(tmp_path, "0001.jpg 4"), OPTIONS, ["au43"])


# ---------------------------------------------------------------------------------------------------- the shipped spec


def test_labels_of_the_shipped_spec_have_the_right_names(tmp_path):
    """One image a unit: each has its own label, and no other."""
    catalog = open_catalog()
    dataset = catalog.get(DatasetSpec, "raf_au")
    task = catalog.get(TaskSpec, "action_units")
    assert dataset.layout is not None
    assert dataset.layout.options == {"rows": 4601}
    dataset = dataset.model_copy(update={"layout": dataset.layout.model_copy(update={"rows": None})})
    layout.write(tmp_path, rows_with([{unit} for unit in layout.UNITS]), OPTIONS)
    labels = read_labels(dataset, {"action_units": task}, tmp_path).labels
    annotated = dataset.tasks["action_units"].annotated
    for unit, values in zip(layout.UNITS, labels.tasks["action_units"].tolist(), strict=True):
        found = dict(zip(task.labels, values, strict=True))
        assert found == {name: int(name == f"au{unit}") if name in annotated else -1 for name in task.labels}
