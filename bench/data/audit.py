"""What may be wrong with the data of a benchmark: leaks between splits, labels that say nothing, empty images.

A leak is a held-out image (validation or test) of one data set that is trained on, or nearly so: the same image or
group (subject, product, film, person) in two splits, or a near-duplicate. Near-duplicates are found by perceptual
hashes (`imagehash.phash`, 64 bits) that differ in few bits, and kept only if the pictures, made small and grey,
correlate: hashes of aligned faces or of products on white are often close for different images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import imagehash
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image

from bench.data.decode import cores
from bench.data.labels import groups_by_split
from bench.data.store import Audit, Finding, Store
from bench.specs.dataset import SPLITS, DatasetSpec

AUDIT_VERSION = 1
MOST_BITS = 4
"""Hashes that differ in at most so many of 64 bits are of near-duplicates, if the pictures correlate."""
LEAST_CORRELATION = 0.97
SMALL = 16
"""Pixels a side of the small grey pictures that are compared."""
CHUNK = 1024
MOST_NAMED = 10
MOST_PAIRS_AT_ONCE = 1 << 22
MOST_PAIRS_COMPARED = 1 << 16
"""Pictures that are compared at a time."""
BLANK = 2.0
"""Standard deviation of grey levels (0 to 255) below which a picture shows nothing."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Audited:
    """A data set and its open store."""

    dataset: DatasetSpec
    store: Store


@dataclass(frozen=True)
class _Pictures:
    """All images of all stores: hashes uint64 [n], small grey pictures uint8 [n, 256]; store, row and split of each."""

    hashes: NDArray[np.uint64]
    small: NDArray[np.uint8]
    store: NDArray[np.int32]
    row: NDArray[np.int64]
    split: NDArray[np.int8]


def audit(members: Sequence[Audited], progress: Progress = lambda done, total: None) -> dict[str, Audit]:
    """Audit data sets that are learned together; findings by data set, those about a pair under the held-out one."""
    found: dict[str, list[Finding]] = {member.dataset.name: [] for member in members}
    for member in members:
        found[member.dataset.name] += [*_groups(member), *_labels(member.store), *_images(member.store)]
    for first in members:
        for second in members:
            if first is not second and first.dataset.copy_name == second.dataset.copy_name:
                found[first.dataset.name] += _shared(first, second)
    pictures = _pictures_of(members, progress)
    for name, findings in _duplicates(members, pictures).items():
        found[name] += findings
    for place, member in enumerate(members):
        found[member.dataset.name] += _blank(member.store, pictures, place)
    return {name: Audit(version=AUDIT_VERSION, findings=tuple(findings)) for name, findings in found.items()}


def near_duplicates(
    hashes: NDArray[np.uint64], *, most_bits: int = MOST_BITS
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs i < j of different hashes that differ in at most `most_bits` bits, exactly; in blocks, each pair once.

    `hashes`: uint64 [n], all different. The 64 bits are cut into `most_bits` + 1 bands; two hashes that differ in at
    most `most_bits` bits agree in one band at least, so that only hashes with an equal band are compared.
    """
    cuts = np.linspace(0, 64, most_bits + 2).astype(int)
    bands = [(hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1) for low, high in pairwise(cuts)]
    for number, band in enumerate(bands):
        order = np.argsort(band, kind="stable")
        edges = np.flatnonzero(np.diff(band[order])) + 1
        for first, second in _pairs_within(order, np.r_[0, edges], np.r_[edges, len(order)]):
            close = np.bitwise_count(hashes[first] ^ hashes[second]) <= most_bits
            first, second = first[close], second[close]
            new = np.ones(len(first), bool)
            for earlier in bands[:number]:  # told already by an earlier band
                new &= earlier[first] != earlier[second]
            first, second = first[new], second[new]
            if len(first):
                yield np.minimum(first, second), np.maximum(first, second)


def _pairs_within(
    order: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All pairs of places in each bucket order[start:end], in blocks of bounded size."""
    ends_of = np.repeat(ends, ends - starts)  # for each place in order: the end of its bucket
    after = ends_of - np.arange(len(order)) - 1
    place = 0
    while place < len(order):
        total = np.cumsum(after[place : place + MOST_PAIRS_AT_ONCE])
        count = max(int(np.searchsorted(total, MOST_PAIRS_AT_ONCE, side="right")), 1)
        lengths = after[place : place + count]
        if lengths.sum():
            first = np.repeat(np.arange(place, place + count), lengths)
            offset = np.arange(len(first)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            yield order[first], order[first + 1 + offset]
        place += count


def _pictures_of(members: Sequence[Audited], progress: Progress) -> _Pictures:
    """Hash every image of every store, by one process a core where there are many."""
    jobs = [
        (member.store.folder, start, min(start + CHUNK, len(member.store.labels)))
        for member in members
        for start in range(0, len(member.store.labels), CHUNK)
    ]
    total = sum(len(member.store.labels) for member in members)
    hashes, small, done = [], [], 0
    workers = min(cores(), len(jobs))
    results = (
        Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1)(
            delayed(_hashed)(*job) for job in jobs
        )
        if workers > 1 and total > 4 * CHUNK
        else (_hashed(*job) for job in jobs)
    )
    for found, pictures in results:
        hashes.append(found)
        small.append(pictures)
        done += len(found)
        progress(done, total)
    return _Pictures(
        np.concatenate(hashes),
        np.concatenate(small),
        np.concatenate([np.full(len(m.store.labels), i, np.int32) for i, m in enumerate(members)]),
        np.concatenate([np.arange(len(m.store.labels)) for m in members]),
        np.concatenate([m.store.labels.splits for m in members]),
    )


def _hashed(folder: Path, start: int, end: int) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Perceptual hashes uint64 [n] and small grey pictures uint8 [n, SMALL * SMALL] of some images of a store."""
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)[start:end]
    hashes = np.empty(len(images), np.uint64)
    small = np.empty((len(images), SMALL * SMALL), np.uint8)
    for i, pixels in enumerate(images):
        grey = Image.fromarray(pixels).convert("L")
        bits = imagehash.phash(grey).hash.reshape(-1)
        hashes[i] = np.packbits(bits).view(">u8")[0]
        small[i] = np.asarray(grey.resize((SMALL, SMALL), Image.Resampling.BOX)).reshape(-1)
    return hashes, small


def _duplicates(members: Sequence[Audited], pictures: _Pictures) -> dict[str, list[Finding]]:
    """Held-out images with a near-duplicate in an earlier split of any data set, each with its closest case first."""
    matched: dict[int, int] = {}
    for held, seen in _candidates(pictures):
        new = np.array([one not in matched for one in held.tolist()], bool)
        held, seen = held[new], seen[new]
        alike = _correlation(pictures.small[held], pictures.small[seen]) >= LEAST_CORRELATION
        for one, other in zip(held[alike].tolist(), seen[alike].tolist(), strict=True):
            matched.setdefault(one, other)
    found: dict[str, list[Finding]] = {}
    for place, member in enumerate(members):
        mine = sorted(one for one in matched if pictures.store[one] == place)
        if mine:
            cases = tuple(
                f"{_said(members, pictures, one)} is like {_said(members, pictures, matched[one])}"
                for one in mine[:MOST_NAMED]
            )
            found[member.dataset.name] = [Finding(what="near_duplicates", count=len(mine), cases=cases)]
    return found


def _candidates(pictures: _Pictures) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs (held-out image, image of an earlier split) whose hashes are equal or close."""
    unique, which = np.unique(pictures.hashes, return_inverse=True)
    order = np.argsort(which, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(which[order])) + 1]
    counts = np.diff(np.r_[starts, len(order)])
    split = pictures.split
    several = np.flatnonzero(counts > 1)
    of_hash = {i: order[starts[i] : starts[i] + counts[i]] for i in several.tolist()}
    yield from _across([(members, members) for members in of_hash.values()], split)
    for first, second in near_duplicates(unique):
        single = (counts[first] == 1) & (counts[second] == 1)  # nearly all pairs
        one, other = order[starts[first[single]]], order[starts[second[single]]]
        late = np.where(split[one] > split[other], one, other)
        early = np.where(split[one] > split[other], other, one)
        across = split[late] != split[early]
        late, early = late[across], early[across]
        for start in range(0, len(late), MOST_PAIRS_COMPARED):
            yield late[start : start + MOST_PAIRS_COMPARED], early[start : start + MOST_PAIRS_COMPARED]
        pairs = zip(first[~single].tolist(), second[~single].tolist(), strict=True)
        yield from _across(
            [
                (of_hash.get(i, order[starts[i] : starts[i] + 1]), of_hash.get(j, order[starts[j] : starts[j] + 1]))
                for i, j in pairs
            ],
            split,
        )


def _across(
    pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], split: NDArray[np.int8]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Of images with one hash and images with another: those of a later split with those of an earlier one."""
    for one, other in pairs:
        for mine, theirs in ((one, other), (other, one)) if one is not other else ((one, one),):
            for place in range(1, len(SPLITS)):
                late = mine[split[mine] == place]
                early = theirs[split[theirs] < place]
                if len(late) and len(early):
                    yield from _crossed(late, early)


def _crossed(late: NDArray[np.intp], early: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All pairs, in blocks of bounded size."""
    rows = max(MOST_PAIRS_COMPARED // len(early), 1)
    for start in range(0, len(late), rows):
        some = late[start : start + rows]
        for first in range(0, len(early), MOST_PAIRS_COMPARED):
            others = early[first : first + MOST_PAIRS_COMPARED]
            yield np.repeat(some, len(others)), np.tile(others, len(some))


def _correlation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pearson correlation of small pictures [n, pixels], row by row; 0 where one is blank (that is told by itself)."""
    a, b = (values.astype(np.float32) - values.mean(1, keepdims=True, dtype=np.float32) for values in (first, second))
    norm = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    product: NDArray[np.float32] = (a * b).sum(1)
    alike: NDArray[np.float32] = product / np.maximum(norm, np.float32(1e-6))
    return alike


def _said(members: Sequence[Audited], pictures: _Pictures, place: int) -> str:
    member = members[int(pictures.store[place])]
    return (
        f"{member.dataset.name}/{SPLITS[pictures.split[place]]} {member.store.labels.images[int(pictures.row[place])]}"
    )


def _groups(member: Audited) -> Iterator[Finding]:
    """Groups that stand in two splits, unless the spec says that it is so meant (the closed-set protocol)."""
    if _closed_set(member):
        return
    table, names = groups_by_split(member.store.labels)
    shared = np.flatnonzero((table > 0).sum(1) > 1).tolist()
    if shared:
        cases = tuple(f"{names[i]}: {_by_split(table[i])}" for i in shared[:MOST_NAMED])
        yield Finding(what="groups_in_two_splits", count=len(shared), cases=cases)


def _by_split(counts: NDArray[np.int64]) -> str:
    return ", ".join(f"{count} {split}" for split, count in zip(SPLITS, counts.tolist(), strict=True) if count)


def _shared(held: Audited, other: Audited) -> Iterator[Finding]:
    """Images, and groups, that one data set holds out and another over the same copy trains on."""
    mine, theirs = held.store.labels, other.store.labels
    if held.store.manifest.standin or other.store.manifest.standin:
        return  # stand-ins name their images alike, and draw each anew
    for what, names, others in (
        ("images_trained_on_elsewhere", mine.images, theirs.images),
        ("groups_trained_on_elsewhere", mine.groups, theirs.groups),
    ):
        if what.startswith("groups") and _closed_set(held, other):
            continue
        trained = {name for name in others[theirs.rows("train")] if name}
        cases = sorted({name for name in names[np.flatnonzero(mine.splits > 0)] if name in trained})
        if cases:
            named = tuple(f"{name}: trained on by {other.dataset.name}" for name in cases[:MOST_NAMED])
            yield Finding(what=what, count=len(cases), cases=named)


def _closed_set(*members: Audited) -> bool:
    """Whether the images of a group are divided on purpose: the closed-set protocol."""
    found = (member.dataset.splits for member in members)
    return any(splits is not None and splits.shares is not None and splits.by == "image" for splits in found)


def _labels(store: Store) -> Iterator[Finding]:
    """Labels that no image of a split has, or all annotated ones have, or that are annotated in some splits only."""
    never, always, partly = [], [], []
    for task, names in store.manifest.labels.items():
        values = store.labels.tasks[task]
        fired = {split: _fired(values[store.labels.rows(split)], len(names)) for split in SPLITS}
        for place, name in enumerate(names):
            annotated = {split: bool(known[place]) for split, (_, known) in fired.items()}
            if not any(annotated.values()):
                continue  # the data set does not annotate this label
            for split, (held, known) in fired.items():
                case = f"{task}: '{name}' in {split}"
                if not annotated[split]:
                    partly.append(case)
                elif held[place] == 0:
                    never.append(case)
                elif held[place] == known[place] and values.ndim == 2:
                    always.append(case)
    found = {"labels_never_present": never, "labels_always_present": always, "labels_not_annotated": partly}
    for what, cases in found.items():
        if cases:
            yield Finding(what=what, count=len(cases), cases=tuple(cases[:MOST_NAMED]))


def _fired(values: NDArray[np.integer], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images that have each label, and images of which it is known whether they do."""
    if values.ndim == 1:
        counts = np.bincount(values[values >= 0], minlength=width)
        return counts, np.full(width, counts.sum())
    return (values == 1).sum(0), (values >= 0).sum(0)


def _images(store: Store) -> Iterator[Finding]:
    """Images that could not be read, and images that were tiny before they were brought to size."""
    refused = store.manifest.refused
    if refused:
        cases = tuple(f"{name}: {reason}" for name, reason in list(refused.items())[:MOST_NAMED])
        yield Finding(what="unreadable", count=len(refused), cases=cases)
    tiny = store.manifest.reading.tiny if store.manifest.reading else {}
    if tiny:
        cases = tuple(f"{name}: {size}" for name, size in list(tiny.items())[:MOST_NAMED])
        yield Finding(what="tiny", count=len(tiny), cases=cases)


def _blank(store: Store, pictures: _Pictures, place: int) -> Iterator[Finding]:
    rows = np.flatnonzero((pictures.store == place) & (pictures.small.std(1) < BLANK))
    if len(rows):
        names = store.labels.images[pictures.row[rows[:MOST_NAMED]]].tolist()
        yield Finding(what="blank", count=len(rows), cases=tuple(names))


EXPLAINED: Mapping[str, str] = {
    "near_duplicates": "held-out images that are nearly the same as images of an earlier split",
    "groups_in_two_splits": "subjects, products, films or persons with images in two splits",
    "images_trained_on_elsewhere": "held-out images that another data set of the suite trains on",
    "groups_trained_on_elsewhere": "held-out groups that another data set of the suite trains on",
    "labels_never_present": "labels that no image of a split has",
    "labels_always_present": "labels that every annotated image of a split has",
    "labels_not_annotated": "labels that are annotated in other splits only",
    "unreadable": "images that are missing or cannot be decoded",
    "tiny": "images whose shorter side has few pixels",
    "blank": "images of one grey level",
}
"""What each kind of finding means."""
