"""The audit finds what was planted, and nothing where nothing was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from bench.data import audit as module
from bench.data.audit import EXPLAINED, Audited, audit, near_duplicates
from bench.data.labels import LabelTable
from bench.data.store import Audit, open_store, read_manifest, write_audit, write_store

from .samples import dataset

SIZE = 32


def scene(seed):
    """A picture with shapes as photographs have: smooth, unlike others."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def again(image, change):
    """The same picture in other words: smaller and back, compressed, brighter, blurred."""
    if change == "resized":
        return image.resize((20, 20)).resize((SIZE, SIZE))
    if change == "brighter":
        return image.point(lambda value: min(255, int(value * 1.1) + 5))
    if change == "blurred":
        return image.filter(ImageFilter.GaussianBlur(0.8))
    return image.copy()


class Made:
    """A store in the making."""

    def __init__(self, folder, name="pets", **spec):
        self.folder, self.spec = folder / name, dataset(name=name, **spec)
        self.rows = []

    def add(self, image, split, *, name=None, group="", kind=0, parts=(1, 0, -1)):
        self.rows.append((image, split, name or f"{len(self.rows)}.png", group, kind, parts))
        return self

    def fill(self, count=30, start=0):
        for i in range(count):
            self.add(scene(1000 + start + i), i % 3, kind=i // 3 % 2, parts=(i // 3 % 2, i // 6 % 2, i // 3 % 2))
        return self

    def store(self, **given):
        work = self.folder.with_name(self.folder.name + ".work")
        work.mkdir(parents=True)
        images, splits, names, groups, kinds, parts = zip(*self.rows, strict=True)
        np.save(work / "images.npy", np.stack([np.asarray(image) for image in images]))
        table = LabelTable(
            np.array(names),
            np.array(splits, np.int8),
            np.array(groups),
            {"kinds": np.array(kinds, np.int32), "parts": np.array(parts, np.int8)},
        )
        label_names = {"kinds": ("cat", "dog"), "parts": ("ear", "tail", "paw")}
        arguments = {"dataset": self.spec.name, "image_size": SIZE, "label_names": label_names, "standin": None} | given
        write_store(self.folder, images=work / "images.npy", labels=table, **arguments)
        return Audited(self.spec, open_store(self.folder))


def found(*members):
    """Findings by data set and kind."""
    return {name: {f.what: f for f in result.findings} for name, result in audit(members).items()}


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    calls = []
    result = audit([Made(tmp_path).fill().store()], lambda done, total: calls.append((done, total)))
    assert result["pets"].findings == ()
    assert calls[-1] == (30, 30)


@pytest.mark.parametrize("change", ["copied", "resized", "brighter", "blurred"])
@pytest.mark.parametrize(("early", "late"), [(0, 2), (0, 1), (1, 2)])
def test_near_duplicates_in_two_splits_are_found(tmp_path, change, early, late):
    made = Made(tmp_path).fill()
    made.add(scene(5), early, name="first.png", kind=1).add(again(scene(5), change), late, name="second.png", kind=1)
    finding = found(made.store())["pets"]["near_duplicates"]
    assert finding.count == 1
    (case,) = finding.cases
    assert case.startswith("pets/") and "second.png is like pets/" in case and case.endswith("first.png")


def test_near_duplicates_within_a_split_are_no_leak(tmp_path):
    made = Made(tmp_path).fill()
    for split in range(3):
        for _ in range(2):
            made.add(scene(50 + split), split)
    assert found(made.store()) == {"pets": {}}


def test_a_leak_between_data_sets_is_told_under_the_one_that_holds_it_out(tmp_path):
    first, second = Made(tmp_path, "first").fill(), Made(tmp_path, "second").fill(start=100)
    first.add(scene(5), 0, name="a.png")
    second.add(scene(5), 2, name="b.png")
    findings = found(first.store(), second.store())
    assert findings["first"] == {}
    assert findings["second"]["near_duplicates"].cases == ("second/test b.png is like first/train a.png",)


def test_close_hashes_of_different_pictures_are_not_told(tmp_path, monkeypatch):
    """Only pictures that correlate are near-duplicates, whatever their hashes say."""
    hashed = module._hashed

    def alike(*arguments):
        hashes, small = hashed(*arguments)
        return np.full_like(hashes, 77), small

    monkeypatch.setattr(module, "_hashed", alike)
    assert found(Made(tmp_path).fill().store()) == {"pets": {}}


def test_groups_in_two_splits_are_found_unless_they_are_meant_to_be(tmp_path):
    def made(name, **spec):
        one = Made(tmp_path, name, **spec).fill()
        for i, split in enumerate((0, 0, 2, 1)):
            one.add(scene(i), split, group="anna" if i < 3 else "ben")
        return one.store()

    finding = found(made("open"))["open"]["groups_in_two_splits"]
    assert (finding.count, finding.cases) == (1, ("anna: 2 train, 1 test",))
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    closed = made("closed", splits={"shares": shares, "by": "image"})
    assert found(closed)["closed"] == {}
    official = {"train": "train", "val": "validation", "test": "test"}
    few = made("few", splits={"official": official, "least_per_group": 2})
    assert found(few)["few"].keys() == {"groups_in_two_splits"}


def test_images_and_groups_that_another_data_set_of_the_copy_trains_on(tmp_path):
    first = Made(tmp_path, "first", source="both").fill(start=200)
    second = Made(tmp_path, "second", source="both").fill(start=300)
    other = Made(tmp_path, "other", source="elsewhere").fill(start=400)
    for made, split in ((first, 0), (second, 2), (other, 2)):
        made.add(scene(90), split, name="shared.png", group="anna")
    for made in (first, second, other):
        made.rows = [(i, s, n if n == "shared.png" else f"{made.spec.name}{n}", *rest) for i, s, n, *rest in made.rows]
    findings = found(first.store(), second.store(), other.store())
    assert findings["first"] == {}
    assert findings["second"]["images_trained_on_elsewhere"].cases == ("shared.png: trained on by first",)
    assert findings["second"]["groups_trained_on_elsewhere"].cases == ("anna: trained on by first",)
    assert findings["other"].keys() == {"near_duplicates"}


def test_labels_that_say_nothing(tmp_path):
    made = Made(tmp_path)
    for i in range(12):
        made.add(scene(i), i % 3, kind=0, parts=(1, 0, -1 if i % 3 else i % 2))
    findings = found(made.store())["pets"]
    splits = ("train", "validation", "test")
    never = {f"{what} in {split}" for split in splits for what in ("kinds: 'dog'", "parts: 'tail'")}
    assert set(findings["labels_never_present"].cases) == never
    assert set(findings["labels_always_present"].cases) == {f"parts: 'ear' in {split}" for split in splits}
    assert findings["labels_not_annotated"].cases == ("parts: 'paw' in validation", "parts: 'paw' in test")


def test_a_label_that_is_tested_but_never_trained_is_told(tmp_path):
    made = Made(tmp_path)
    for i in range(12):
        made.add(scene(i), i % 3, kind=i // 3 % 2, parts=(i // 3 % 2, i // 6 % 2, i // 3 % 2 if i % 3 else -1))
    assert found(made.store())["pets"]["labels_not_annotated"].cases == ("parts: 'paw' in train",)


def test_a_duplicate_among_many_of_one_hash_is_found(tmp_path, monkeypatch):
    hashed = module._hashed

    def alike(*arguments):
        hashes, small = hashed(*arguments)
        return np.full_like(hashes, 77), small

    monkeypatch.setattr(module, "_hashed", alike)
    monkeypatch.setattr(module, "MOST_PAIRS_COMPARED", 7)
    made = Made(tmp_path).fill(90).add(scene(5), 0, name="one.png").add(scene(5), 2, name="two.png")
    assert found(made.store())["pets"]["near_duplicates"].cases == ("pets/test two.png is like pets/train one.png",)


def test_blank_images_are_no_duplicates_of_each_other(tmp_path):
    made = Made(tmp_path).fill()
    for split in (0, 2):
        made.add(Image.new("RGB", (SIZE, SIZE), (9 + 100 * split,) * 3), split)
    assert found(made.store())["pets"].keys() == {"blank"}


def test_unreadable_tiny_and_blank_images(tmp_path):
    from bench.data.store import ReadingReport

    made = Made(tmp_path).fill().add(Image.new("RGB", (SIZE, SIZE), (9, 9, 9)), 0, name="grey.png", kind=1)
    report = ReadingReport(variant="table", read=33, tiny={"5.png": "7 x 90"})
    findings = found(made.store(refused={"lost.png": "missing"}, reading=report))["pets"]
    assert findings["unreadable"].cases == ("lost.png: missing",)
    assert findings["tiny"].cases == ("5.png: 7 x 90",)
    assert findings["blank"].cases == ("grey.png",)
    assert findings.keys() == {"unreadable", "tiny", "blank"}


def test_what_was_found_is_kept_with_the_store_and_changes_no_fingerprint(tmp_path):
    member = Made(tmp_path).fill().add(scene(1), 0).add(scene(1), 2).store()
    result = audit([member])["pets"]
    assert {finding.what for finding in result.findings} <= EXPLAINED.keys()
    write_audit(member.store.folder, "zoo", result)
    write_audit(member.store.folder, "pets", Audit(version=1))
    manifest = read_manifest(member.store.folder)
    assert manifest.audits == {"zoo": result, "pets": Audit(version=1)}
    assert manifest.fingerprint == member.store.manifest.fingerprint
    assert replace(open_store(member.store.folder)).labels.fingerprint() == member.store.labels.fingerprint()


@settings(max_examples=60)
@given(
    seeds=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30),
    flips=st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=6)), max_size=30),
    most=st.integers(0, 6),
    block=st.sampled_from([1, 7, 1 << 22]),
)
def test_all_pairs_of_close_hashes_are_found_once(seeds, flips, most, block):
    numbers = list(seeds)
    for place, bits in flips:
        numbers.append(seeds[place % len(seeds)] ^ sum(1 << bit for bit in bits))
    hashes = np.unique(np.array(numbers, np.uint64))
    expected = [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= most
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_PAIRS_AT_ONCE", block)
        pairs = [
            pair
            for first, second in near_duplicates(hashes, most_bits=most)
            for pair in zip(first, second, strict=True)
        ]
    assert sorted(pairs) == expected


def test_many_processes_find_the_same(tmp_path, monkeypatch):
    made = Made(tmp_path).fill(90).add(scene(5), 0).add(scene(5), 2)
    member = made.store()
    alone = audit([member])
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "cores", lambda: 2)
    assert audit([member]) == alone
