"""A store is whole or refused: what is written is read back, and any damage is named."""

from __future__ import annotations

import itertools
import json
import os
import shutil

import numpy as np
import pytest

from bench.data.store import IMAGES, LABELS, MANIFEST, STORE_VERSION, open_store, write_store
from bench.errors import DataError

from .samples import assert_same_labels, label_table

NAMES = {"kinds": ("cat", "dog"), "parts": ("ear", "tail", "paw")}


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def make(folder, labels=None, images=None, **changes):
    labels = label_table() if labels is None else labels
    work = folder.with_name(folder.name + ".partial")
    work.mkdir(parents=True)
    np.save(work / IMAGES, pictures(len(labels)) if images is None else images)
    options = {"dataset": "pets", "image_size": 8, "label_names": NAMES, "standin": None} | changes
    return write_store(folder, images=work / IMAGES, labels=labels, **options)


@pytest.fixture
def folder(tmp_path):
    """A store that was just made."""
    make(tmp_path / "stores" / "pets", refused={"images/x.png": "missing"}, made_from="/copy")
    return tmp_path / "stores" / "pets"


def test_what_is_written_is_read_back(folder):
    store = open_store(folder)
    np.testing.assert_array_equal(store.images, pictures(8))
    assert store.images.dtype == np.uint8
    assert_same_labels(store.labels, label_table())
    manifest = store.manifest
    assert manifest.counts == {"train": 4, "validation": 2, "test": 2}
    assert manifest.labels == NAMES
    assert (manifest.dataset, manifest.image_size, manifest.standin) == ("pets", 8, False)
    assert (manifest.refused, manifest.made_from) == ({"images/x.png": "missing"}, "/copy")


def test_only_the_store_is_left(folder):
    assert sorted(file.name for file in folder.iterdir()) == [IMAGES, LABELS, MANIFEST]
    assert list(folder.parent.iterdir()) == [folder]


def test_gathered_images_are_copies_in_the_order_asked_for(folder):
    store = open_store(folder)
    rows = np.array([5, 0, 5])
    gathered = store.gather(rows)
    np.testing.assert_array_equal(gathered, pictures(8)[rows])
    gathered[:] = 0
    np.testing.assert_array_equal(store.images, pictures(8))


def test_a_new_store_takes_the_place_of_an_old_one(folder):
    make(folder, images=pictures(8, seed=1))
    np.testing.assert_array_equal(open_store(folder).images, pictures(8, seed=1))


# -------------------------------------------------------------------------------------------------- fingerprint


def test_the_same_content_has_the_same_fingerprint_wherever_it_is(tmp_path):
    first = make(tmp_path / "a", made_from="/here")
    assert make(tmp_path / "b", made_from="/there").fingerprint == first.fingerprint
    assert len(first.fingerprint) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"images": pictures(8, seed=1)},
        {"labels": label_table((4, 3, 1))},
        {"labels": label_table(start=1)},
        {"label_names": NAMES | {"kinds": ("dog", "cat")}},
    ],
    ids=["images", "splits", "names of images", "names of labels"],
)
def test_other_content_has_another_fingerprint(tmp_path, changes):
    assert make(tmp_path / "a").fingerprint != make(tmp_path / "b", **changes).fingerprint


def test_a_stand_in_has_the_fingerprint_it_was_given(tmp_path):
    manifest = make(tmp_path / "a", standin="0123456789abcdef")
    assert (manifest.fingerprint, manifest.standin) == ("0123456789abcdef", True)


# -------------------------------------------------------------------------------------------------- damage


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


def alter(file):
    """One byte, and the time tells that something was written."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def remove(file):
    file.unlink()


@pytest.mark.parametrize("name", [IMAGES, LABELS])
@pytest.mark.parametrize(
    ("damage", "said"),
    [(truncate, "truncated or altered"), (alter, "does not match the manifest"), (remove, "is missing")],
)
def test_a_damaged_file_is_named(folder, name, damage, said):
    damage(folder / name)
    with pytest.raises(DataError, match=said) as caught:
        open_store(folder)
    assert str(folder / name) in caught.value.message
    assert f"rm -r '{folder}'" in caught.value.hint


def test_a_store_can_be_moved_and_copied(folder, tmp_path):
    """A copy has other times and the same bytes."""
    shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    np.testing.assert_array_equal(open_store(tmp_path / "elsewhere").images, pictures(8))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        ("{}", "has version None"),
        (json.dumps({"version": STORE_VERSION}), "cannot be read"),
    ],
)
def test_an_unreadable_manifest_is_refused(folder, content, said):
    (folder / MANIFEST).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        open_store(folder)


@pytest.mark.parametrize("version", [STORE_VERSION - 1, STORE_VERSION + 1])
def test_another_version_is_refused(folder, version):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": version}))
    with pytest.raises(DataError, match=f"has version {version}, this bench reads version {STORE_VERSION}"):
        open_store(folder)


def test_a_half_made_folder_is_refused(folder):
    (folder / MANIFEST).unlink()
    with pytest.raises(DataError, match="the store was not finished"):
        open_store(folder)


@pytest.mark.parametrize(("counts", "empty"), [((4, 0, 2), "validation"), ((0, 2, 0), "train and the test")])
def test_an_empty_split_is_refused_and_nothing_is_left_in_place(tmp_path, counts, empty):
    with pytest.raises(DataError, match=f"no image is left in the {empty} split"):
        make(tmp_path / "pets", labels=label_table(counts))
    assert not (tmp_path / "pets").exists()


# -------------------------------------------------------------------------------------------------- limit


@pytest.fixture
def larger(tmp_path):
    make(tmp_path / "larger", labels=label_table((60, 20, 20)))
    return tmp_path / "larger"


def test_a_limit_takes_the_same_rows_every_time_and_smaller_ones_are_nested(larger):
    by_limit = [set(open_store(larger, limit=limit).rows("train").tolist()) for limit in (1, 5, 20, 60)]
    assert [len(rows) for rows in by_limit] == [1, 5, 20, 60]
    for smaller, wider in itertools.pairwise(by_limit):
        assert smaller < wider
    assert by_limit[1] == set(open_store(larger, limit=5).rows("train").tolist())


def test_a_limit_keeps_to_the_split_in_order_and_is_no_prefix(larger):
    store = open_store(larger, limit=15)
    for split, (first, last) in {"train": (0, 60), "validation": (60, 80), "test": (80, 100)}.items():
        rows = store.rows(split).tolist()
        assert rows == sorted(rows)
        assert all(first <= row < last for row in rows)
        assert rows != list(range(first, first + 15))


def test_a_limit_beyond_the_split_takes_all(larger):
    assert len(open_store(larger, limit=1000).rows("test")) == 20
    assert len(open_store(larger).rows("train")) == 60
