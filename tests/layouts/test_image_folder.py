"""Folders that are called after labels: what is written is read back, levels mean what they say, nothing leads out."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.data.layouts import image_folder as layout
from bench.data.layouts._files import write_picture
from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.components import read_options
from bench.specs.task import TaskSpec

from ..data.samples import dataset
from . import contract
from .contract import quick

LEVELS = [order for size in (1, 2, 3) for order in permutations(("split", "class", "group"), size) if "class" in order]
NAMES = st.sampled_from(["cat", "dog", "a b", "größe", "0", "x.y"])


@st.composite
def copies(draw):
    """Options, and rows as `read` gives them; each image's path tells its values."""
    options = layout.Options(levels=draw(st.sampled_from(LEVELS)), images=draw(st.sampled_from([".", "deep/er"])))
    rows = {"image": [], **{"value:class" if level == "class" else level: [] for level in options.levels}}
    for number in range(draw(st.integers(1, 6))):
        values = {level: draw(NAMES) for level in options.levels}
        below = draw(st.sampled_from(["", "more/", "more/still/"]))
        ending = draw(st.sampled_from([".jpg", ".PNG"]))
        start = "" if options.images == "." else f"{options.images}/"
        rows["image"].append(f"{start}{'/'.join(values.values())}/{below}{number}{ending}")
        for level, value in values.items():
            rows["value:class" if level == "class" else level].append(value)
    return options, contract.rows_of(**rows)


@settings(quick, max_examples=40)
@given(case=copies())
def test_what_is_written_is_read_back(tmp_path, case):
    options, rows = case
    reading = contract.assert_read_back(layout, tmp_path / "copy", options, rows, ["class"], "folders")
    assert reading.skipped.total == 0
    assert layout.columns(options) == ("class",)


def plant(root, *names):
    for name in names:
        write_picture(root / name)
    return root


def test_what_is_no_image_is_named_and_what_is_hidden_is_not(tmp_path):
    plant(tmp_path, "train/cat/a.jpg", "train/cat/.b.jpg", "train/.cache/c.jpg")
    (tmp_path / "train/cat/notes.txt").write_text("x")
    (tmp_path / "readme.txt").write_text("x")
    reading = layout.read(tmp_path, layout.Options(), ["class"])
    assert reading.rows.to_pylist() == [{"image": "train/cat/a.jpg", "split": "train", "value:class": "cat"}]
    assert reading.skipped.names == {layout.NO_IMAGE: ["train/cat/notes.txt"]}


def test_links_are_not_followed_out_of_the_copy_or_round_in_it(tmp_path):
    root = plant(tmp_path / "copy", "train/cat/a.jpg")
    outside = plant(tmp_path / "elsewhere", "x.jpg")
    (root / "train/cat/out.jpg").symlink_to(outside / "x.jpg")
    (root / "train/cat/round").symlink_to(root / "train")
    (root / "train/cat/within.jpg").symlink_to(root / "train/cat/a.jpg")
    (root / "train/dog").symlink_to(outside)
    reading = layout.read(root, layout.Options(), ["class"])
    assert reading.rows["image"].to_pylist() == ["train/cat/a.jpg", "train/cat/within.jpg"]
    assert reading.skipped.names == {layout.LINK: ["train/cat/out.jpg", "train/cat/round"]}


def test_the_start_may_not_lead_out(tmp_path):
    root = plant(tmp_path / "copy", "train/cat/a.jpg")
    plant(tmp_path / "elsewhere", "train/cat/a.jpg")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leads out of"):
        layout.read(root, layout.Options(images="link"), ["class"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"images": "../elsewhere"}, "'../elsewhere' is no path below the root of the copy"),
        ({"images": "/etc"}, "'/etc' is no path below the root of the copy"),
        ({"images": "a\x00b"}, "is no path below the root of the copy"),
        ({"levels": ["split"]}, "one of the levels must be `class`"),
        ({"levels": ["class", "class"]}, "'class' is given twice"),
        ({"levels": ["kind"]}, "should be 'split', 'class' or 'group'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, said):
    with pytest.raises(ValidationError, match=said.replace("(", "\\(")):
        read_options(layout.Options, options)


def test_a_copy_without_such_folders_is_refused_with_what_is_there(tmp_path):
    plant(tmp_path, "cat/a.jpg")
    with pytest.raises(DataError, match=r"there are no folders SPLIT/CLASS/ in it; there is cat") as caught:
        layout.recognise(tmp_path, layout.Options())
    assert "levels" in caught.value.hint
    assert layout.recognise(tmp_path, layout.Options(levels=("class",))) == "folders"
    with pytest.raises(DataError, match="cannot be listed"):
        layout.recognise(tmp_path, layout.Options(images="absent"))


def test_a_name_that_is_no_text_is_refused(tmp_path):
    plant(tmp_path, "train/cat/a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path / "train") + b"/\xff")).mkdir()
    with pytest.raises(DataError, match="which is no UTF-8"):
        layout.read(tmp_path, layout.Options(), ["class"])


def test_a_change_in_any_folder_is_noticed_and_images_are_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "copy"
    for split in ("train", "val", "test"):
        plant(root, f"{split}/cat/a.jpg", f"{split}/dog/deep/b.jpg")
    spec = dataset(
        name="pets",
        tasks={"pet": {"column": "class"}},
        layout={"name": "image_folder"},
        splits={"official": {"train": "train", "val": "validation", "test": "test"}},
    )
    task = TaskSpec(
        name="pet",
        title="Pet",
        type="multiclass",
        labels=("cat", "dog"),
        metrics=("accuracy",),
        primary="accuracy",
        chance=0.5,
    )
    folder = Preparation(spec, {"pet": task}, 16, root).folder
    store = Preparation(spec, {"pet": task}, 16, root).prepare()
    assert store.manifest.counts == {"train": 2, "validation": 2, "test": 2}
    plant(root, "train/dog/deep/c.jpg")
    assert Preparation(spec, {"pet": task}, 16, root).folder != folder
