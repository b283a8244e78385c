"""The csv layout: what is written is read back, and what is wrong with a table is said."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from bench.data.layouts import csv as layout
from bench.data.layouts.csv import Options
from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.components import read_options
from bench.specs.dataset import SPLITS
from bench.specs.task import TaskSpec

from .samples import dataset

FIXTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "clothing_fixture"


def table_of(**columns):
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def write_text(root, text, *, encoding="utf-8"):
    (root / "labels.csv").write_bytes(text.encode(encoding))


# -------------------------------------------------------------------------------------------------- round trip

ODD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8) | st.text(
    "\",;\t\r\n' aé漢\ufeff", max_size=8
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(ODD, ODD, ODD), min_size=1, max_size=5),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    folder=st.sampled_from(["images", "a b/ü", "."]),
)
def test_any_text_is_read_back_as_written(tmp_path, rows, delimiter, folder):
    options = Options(delimiter=delimiter, images=folder, split="the split", group='of "whom"')
    splits, groups, values = zip(*rows, strict=True)
    images = [f"{folder}/{i}-é'.png".removeprefix("./") for i in range(len(rows))]
    table = table_of(image=images, split=splits, group=groups, **{"value:kind, or so": values})
    layout.write(tmp_path, table, options)
    assert layout.read(tmp_path, options, ["kind, or so"]).rows.to_pydict() == table.to_pydict()
    with Image.open(tmp_path / images[0]) as image:
        assert image.size == (24, 20)


def test_a_column_may_be_group_and_label_at_once(tmp_path):
    options = Options(group="owner", split="part")
    table = table_of(
        image=["images/a.png", "images/b.png"],
        split=["train", "test"],
        group=["ann", "bob"],
        **{"value:owner": ["ann", "bob"], "value:part": ["train", "test"]},
    )
    layout.write(tmp_path, table, options)
    assert layout.read(tmp_path, options, ["owner", "part"]).rows.to_pydict() == table.to_pydict()


def test_only_the_columns_asked_for_are_read(tmp_path):
    write_text(tmp_path, "file,a,b,c\nx.png,1,2,3\n")
    assert layout.read(tmp_path, Options(), ["c"]).rows.to_pydict() == {"image": ["images/x.png"], "value:c": ["3"]}


def test_all_values_stay_text(tmp_path):
    write_text(tmp_path, "file,kind\n001,010\n002,NA\n003,\n004,true\n")
    found = layout.read(tmp_path, Options(), ["kind"]).rows.to_pydict()
    assert found == {"image": [f"images/00{i}" for i in range(1, 5)], "value:kind": ["010", "NA", "", "true"]}


def test_a_table_larger_than_a_block_of_the_reader(tmp_path):
    """Arrow reads in blocks of a megabyte; codes are the same across them."""
    count = 60_000
    rows = "".join(f"{i:06d}.png,{'cat' if i % 3 else 'dog'},{i % 7}\n" for i in range(count))
    write_text(tmp_path, "file,kind,g\n" + rows)
    found = layout.read(tmp_path, Options(group="g"), ["kind"]).rows
    assert found.num_rows == count
    assert found["value:kind"].to_pylist()[-3:] == ["dog", "cat", "cat"]
    assert found["group"].to_pylist()[-1] == str((count - 1) % 7)


def test_a_quoted_line_break_may_fall_between_blocks(tmp_path):
    note = "two\nlines, and a comma " * 20
    write_text(tmp_path, "file,note\n" + "".join(f'{i}.png,"{note}"\n' for i in range(6000)))
    found = layout.read(tmp_path, Options(), ["note"]).rows
    assert found.num_rows == 6000
    assert set(found["value:note"].to_pylist()) == {note}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_endings_and_a_byte_order_mark_do_not_matter(tmp_path, ending, encoding):
    write_text(tmp_path, ending.join(["file,kind", "x.png,größe", ""]), encoding=encoding)
    assert layout.read(tmp_path, Options(), ["kind"]).rows.to_pydict() == {
        "image": ["images/x.png"],
        "value:kind": ["größe"],
    }


# ------------------------------------------------------------------------------------------- several tables, lists


def test_several_tables_are_read_one_after_another_and_name_the_split(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.csv").write_text("file,kind\na,cat\nb,dog\n")
    (tmp_path / "val.csv").write_text("note,kind,file\n-,dog,c\n")
    options = Options(file=("lists/train.csv", "val.csv"), ending=".png")
    assert layout.read(tmp_path, options, ["kind"]).rows.to_pydict() == {
        "image": ["images/a.png", "images/b.png", "images/c.png"],
        "split": ["train", "train", "val"],
        "value:kind": ["cat", "dog", "dog"],
    }
    assert layout.label_files(tmp_path, options) == [tmp_path / "lists/train.csv", tmp_path / "val.csv"]
    (tmp_path / "val.csv").unlink()
    with pytest.raises(DataError, match=r"val\.csv is missing"):
        layout.recognise(tmp_path, options)


def test_a_column_names_the_split_of_several_tables_if_there_is_one(tmp_path):
    for name, part in (("one", "x"), ("two", "y")):
        (tmp_path / f"{name}.csv").write_text(f"file,part\n{name}.png,{part}\n")
    found = layout.read(tmp_path, Options(file=("one.csv", "two.csv"), split="part"), []).rows
    assert found["split"].to_pylist() == ["x", "y"]


def test_cells_that_list_labels_are_offered_label_by_label(tmp_path):
    write_text(tmp_path, "file,tags,a.b\n1,red; green,x\n2,dark red,y\n3,,\n4,;,z\n5,green;red;green,\n")
    rows = layout.read(tmp_path, Options(separator=";"), ["tags.red", "tags.green", "tags.dark red", "a.b"]).rows
    assert rows["value:tags.red"].to_pylist() == ["1", "0", "", "0", "1"]
    assert rows["value:tags.green"].to_pylist() == ["1", "0", "", "0", "1"]
    assert rows["value:tags.dark red"].to_pylist() == ["0", "1", "", "0", "0"]
    assert rows["value:a.b"].to_pylist() == ["x", "y", "", "z", ""]
    with pytest.raises(DataError, match=r"no row has 'tags\.rad'"):
        layout.read(tmp_path, Options(separator=";"), ["tags.rad"])
    with pytest.raises(DataError, match=r"no column 'tag\.red'"):
        layout.read(tmp_path, Options(separator=";"), ["tag.red"])
    with pytest.raises(DataError, match=r"no column 'tags\.red'"):
        layout.read(tmp_path, Options(), ["tags.red"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    marks=st.lists(st.sampled_from([("", ""), ("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]), min_size=1, max_size=6),
    separator=st.sampled_from([";", "|", ", ", " and "]),
)
def test_lists_in_several_tables_are_read_back_as_written(tmp_path, marks, separator):
    marks = [("1", "1"), *marks]
    options = Options(file=("train.csv", "test.csv"), separator=separator, ending=".jpg")
    table = table_of(
        image=[f"images/{i}.jpg" for i in range(len(marks))],
        split=["train" if i % 3 else "test" for i in range(len(marks))],
        **{"value:tags.light red": [a for a, _ in marks], "value:tags.blue": [b for _, b in marks]},
    )
    layout.write(tmp_path, table, options)
    found = layout.read(tmp_path, options, ["tags.light red", "tags.blue"]).rows
    assert sorted(found.to_pylist(), key=str) == sorted(table.to_pylist(), key=str)


@pytest.mark.parametrize("place", ["../labels.csv", "/etc/passwd", "a/../../b.csv", "a\x00.csv", "a\\b.csv", ""])
def test_a_table_outside_the_copy_cannot_be_asked_for(place):
    for options in ({"file": place}, {"file": [place]}, {"images": place}):
        with pytest.raises(ValidationError, match="no path below the root of the copy"):
            read_options(Options, options)


# -------------------------------------------------------------------------------------------------- what is wrong


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"labels\.csv is missing") as caught:
        layout.read(tmp_path, Options(), [])
    assert "bench data list" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,knid\nx.png,1\n", r"no column 'kind'; did you mean 'knid'\?"),
        ("flie,kind\nx.png,1\n", r"no column 'file'; did you mean 'flie'\?"),
        ("", "no column 'file'; there is none"),
        ("file,kind,kind\nx.png,1,2\n", "the column 'kind' stands twice"),
        ("file,kind\nx.png,1\ny.png,1,2\n", "Expected 2 columns, got 3"),
        ("file,kind\nx.png\n", "Expected 2 columns, got 1"),
        ('file,kind\n"x.png,1\n', "not readable as a table"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path, text, said):
    write_text(tmp_path, text)
    with pytest.raises(DataError, match=said) as caught:
        layout.read(tmp_path, Options(), ["kind"])
    assert str(tmp_path / "labels.csv") in caught.value.message


def test_another_encoding_is_refused(tmp_path):
    write_text(tmp_path, "file,kind\nx.png,größe\n", encoding="latin-1")
    with pytest.raises(DataError, match="not readable as a table"):
        layout.read(tmp_path, Options(), ["kind"])
    write_text(tmp_path, "file,größe\nx.png,1\n", encoding="latin-1")
    with pytest.raises(DataError, match="not readable as a table"):
        layout.read(tmp_path, Options(), ["kind"])


def test_a_folder_in_the_place_of_the_table_is_refused(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    with pytest.raises(DataError, match="not readable as a table"):
        layout.read(tmp_path, Options(), ["kind"])


# -------------------------------------------------------------------------------------------------- photographs


@pytest.fixture(scope="module")
def clothing(tmp_path_factory):
    """The store of a small set of real photographs, and the counts that came with it."""
    if not FIXTURE.is_dir():
        pytest.skip(f"the photographs are not in {FIXTURE}")
    declared = json.loads((FIXTURE / "tasks.json").read_text())
    tasks = {
        name: TaskSpec(
            name=name,
            title=name,
            type="multiclass",
            labels=tuple(declared[name]["classes"]),
            metrics=("x",),
            primary="x",
            chance=0.1,
        )
        for name in ("category", "kids", "group")
    }
    spec = dataset(
        name="clothing",
        tasks={name: {"column": name} for name in tasks},
        layout={"name": "csv", "split": "split", "group": "sender"},
        expected={"any": {"images": {"train": 42, "validation": 12, "test": 12}, "source": "stats.json"}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        store = Preparation(spec, tasks, 32, FIXTURE).prepare()
    return store, json.loads((FIXTURE / "stats.json").read_text())


def test_photographs_are_all_there(clothing):
    store, stats = clothing
    assert store.manifest.refused == {}
    assert store.images.shape == (stats["images"], 32, 32, 3)
    assert store.manifest.counts == {
        "train": stats["split"]["train"],
        "validation": stats["split"]["val"],
        "test": stats["split"]["test"],
    }
    assert store.images.reshape(len(store.images), -1).std(1).min() > 1  # none is blank


@pytest.mark.parametrize("task", ["category", "kids", "group"])
def test_photographs_are_labelled_as_counted(clothing, task):
    store, stats = clothing
    classes = (*store.manifest.labels[task], "")  # the last, index -1, is missing
    found = {}
    for split, their_name in zip(SPLITS, ("train", "val", "test"), strict=True):
        values = store.labels.tasks[task][store.rows(split)]
        for label, count in zip(*np.unique(values, return_counts=True), strict=True):
            found[classes[label], their_name] = int(count)
    expected = {
        (label, split): count
        for label, counts in stats[f"{task} by split"].items()
        for split, count in counts.items()
        if count
    }
    assert found == expected


def test_photographs_stand_beside_their_own_labels(clothing):
    store, _ = clothing
    with (FIXTURE / "labels.csv").open(newline="") as stream:
        rows = {f"images/{row['file']}": row for row in csv.DictReader(stream)}
    for place in range(0, len(store.labels), 13):
        name = str(store.labels.images[place])
        assert store.labels.groups[place] == rows[name]["sender"]
        with Image.open(FIXTURE / name) as image:
            side, (width, height) = min(image.size), image.size
            left, top = (width - side) // 2, (height - side) // 2
            mean = np.asarray(image.convert("RGB").crop((left, top, left + side, top + side))).mean((0, 1))
        assert np.abs(store.images[place].mean((0, 1)) - mean).max() < 3
