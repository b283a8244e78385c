"""What every layout must do, asserted on real files: read back what it writes, and survive damaged copies."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bench.data.layouts._files import is_relative_name
from bench.data.readers import read_labels
from bench.data.reading import BOX, POINTS
from bench.errors import DataError
from bench.specs.catalog import open_catalog
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.task import TaskSpec

TYPES = {"item": pa.int32(), "box": BOX, "points": POINTS}
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".avi", ".mp4"}
BINARY = {".mat", ".npy", ".xlsx", ".parquet"}
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For properties over files in `tmp_path`, which each example writes anew."""


@cache
def shipped(name):
    """A dataset spec of ours and its tasks by name."""
    catalog = open_catalog()
    dataset = catalog.get(DatasetSpec, name)
    return dataset, {task: catalog.get(TaskSpec, task) for task in dataset.tasks}


def without_figures(name):
    """The same without the figures of the whole data set, which a fixture does not have."""
    dataset, tasks = shipped(name)
    return dataset.model_copy(update={"expected": {}}), tasks


def rows_of(**columns):
    """A table as `read` returns it: `rows_of(image=[...], group=[...], **{"value:kind": [...]})`."""
    return pa.table({name: pa.array(values, TYPES.get(name, pa.string())) for name, values in columns.items()})


def assert_read_back(layout, root, options, rows, columns, variant):
    """What is written under `root` (emptied first) is recognised and read back equal, whatever the order of rows."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    layout.write(root, rows, options, variant)
    assert layout.recognise(root, options) == variant
    assert layout.label_files(root, options)
    assert all(file.exists() for file in layout.label_files(root, options))
    reading = layout.read(root, options, columns)
    assert reading.variant == variant
    wanted = [name for name in rows.column_names if not name.startswith("value:")] + [f"value:{c}" for c in columns]
    found = _by_image(reading.rows)
    expected = _by_image(rows)
    assert found.keys() == expected.keys()
    for image, row in expected.items():
        assert {name: found[image][name] for name in wanted} == {name: row[name] for name in wanted}
    again = layout.read(root, options, columns)
    assert again.rows.equals(reading.rows), "the order of rows is not deterministic"
    return reading


def assert_halves(root, whole, *halves):
    """Two data sets of ours divide the training images of another among them, and have all its other images."""
    splits = {}
    for name in (whole, *halves):
        labels = read_labels(*without_figures(name), root).labels
        splits[name] = dict(zip(labels.images, labels.splits.tolist(), strict=True))
    first, second = halves
    training = SPLITS.index("train")
    train = {name: {image for image, split in of.items() if split == training} for name, of in splits.items()}
    rest = {name: {image: split for image, split in of.items() if split != training} for name, of in splits.items()}
    assert train[first] | train[second] == train[whole]
    assert not train[first] & train[second]
    assert min(map(len, train.values())) > 5
    assert rest[first] == rest[second] == rest[whole]


@dataclass(frozen=True)
class Damage:
    """One thing wrong with one label file: which (by a number), what, and where (0 to 1)."""

    file: int
    kind: str
    place: float


def damages():
    """Strategy for what may befall a copy."""
    kinds = ["truncated", "emptied", "removed", "utf_16", "latin_1", "delimiter", "nan", "huge", "negative", "climbing"]
    kinds += ["absolute", "repeated", "extra_field", "lost_field", "zero_bytes", "folder", "link_out", "loop", "not_it"]
    return st.builds(Damage, st.integers(0, 1000), st.sampled_from(kinds), st.floats(0, 1))


def assert_survives(layout, folder, options, rows, columns, variant, damage):
    """A damaged copy is refused in words, or read without a wrong row.

    Rows that are read must be rows that were written, with the labels that were written, but for the one line that the
    damage touched (a row that stands twice is refused when labels are made of rows); their paths stay inside; nothing
    outside the copy is opened.
    """
    whole, root = folder / "whole", folder / "damaged"
    if not whole.exists():
        whole.mkdir(parents=True)
        layout.write(whole, rows, options, variant)
        (folder / "outside").write_text("secret\n")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root, symlinks=True)
    files = sorted(f for f in root.rglob("*") if f.is_file() and f.suffix.lower() not in PICTURES)
    file = files[damage.file % len(files)]
    _damage(file, damage, folder / "outside")
    truth = _by_image(layout.read(whole, options, columns).rows)
    with _Opened(root) as opened:
        try:
            layout.recognise(root, options)
            reading = layout.read(root, options, columns)
        except DataError as error:
            assert error.message
            assert "Traceback" not in error.message
            return
        finally:
            layout_opened = [name for name in opened.names if not _is_system(name)]
            assert layout_opened == [], f"opened outside the copy: {layout_opened}"
    _assert_true(reading, truth)


def _assert_true(reading, truth):
    rows = reading.rows.to_pylist()
    for row in rows:
        assert is_relative_name(row.get("file") or row["image"]), f"leads out: {row}"
    wrong = [row for row in rows if truth.get(row["image"]) != row]
    assert len(wrong) <= 1, f"{len(wrong)} rows were read that nobody wrote, such as {wrong[0]}"


def _damage(file, damage, outside):
    content = file.read_bytes()
    if damage.kind in _REPLACED:
        file.unlink()
        _REPLACED[damage.kind](file, outside, content)
    elif damage.kind in _REWRITTEN:
        file.write_bytes(_REWRITTEN[damage.kind](content, int(len(content) * damage.place)))
    elif file.suffix in BINARY:
        file.write_bytes(b"")
    elif damage.kind in _RECODED:
        file.write_bytes(_RECODED[damage.kind](content.decode()))
    else:
        file.write_bytes(_damaged_line(content.decode(), damage).encode())


def _link_out(file, outside, content):
    other = outside.with_name("outside_too")
    other.write_bytes(content)
    file.symlink_to(other)


_REPLACED = {
    "removed": lambda file, outside, content: None,
    "folder": lambda file, outside, content: file.mkdir(),
    "link_out": _link_out,
    "loop": lambda file, outside, content: file.symlink_to(file.name),
}
_REWRITTEN = {
    "truncated": lambda content, cut: content[:cut],
    "emptied": lambda content, cut: b"",
    "not_it": lambda content, cut: b"<html><body>403 Forbidden</body></html>\n",
    "zero_bytes": lambda content, cut: content[:cut] + b"\x00" * 8 + content[cut + 8 :],
    "latin_1": lambda content, cut: content[:cut] + b"\xe9" + content[cut:],
}
_RECODED = {
    "utf_16": lambda text: text.encode("utf-16"),
    "delimiter": lambda text: text.replace(",", ";").replace(" ", "|").replace("\t", "|").encode(),
}


def _damaged_line(text, damage):
    """One line changed: a field replaced, a field more or less, or the line twice."""
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if line.strip()]
    if not places:
        return text
    place = places[min(int(damage.place * len(places)), len(places) - 1)]
    separator = next((s for s in (",", "\t", " ") if s in lines[place]), " ")
    fields = lines[place].split(separator)
    last, first = len(fields) - 1, next(i for i, field in enumerate(fields) if field.strip())
    if damage.kind in ("nan", "huge", "negative"):
        fields[last] = {"nan": "nan", "huge": "9" * 30, "negative": "-77"}[damage.kind]
    elif damage.kind in ("climbing", "absolute"):
        target = first if "." in fields[first] or last == 0 else min(first + 1, last)
        fields[target] = {"climbing": "../../outside", "absolute": "/etc/hostname"}[damage.kind]
    elif damage.kind == "extra_field":
        fields.append("1")
    elif damage.kind == "lost_field":
        fields.pop()
    elif damage.kind == "repeated":
        lines.insert(place, lines[place])
    lines[place + (damage.kind == "repeated")] = separator.join(fields)
    return "\n".join(lines)


def _by_image(rows):
    return {row["image"]: row for row in rows.to_pylist()}


class _Opened:
    """Files outside a folder that Python opens meanwhile (what C++ libraries open is not seen)."""

    active: _Opened | None = None

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.names: list[str] = []

    def __enter__(self) -> _Opened:
        _Opened.active = self
        return self

    def __exit__(self, *_: object) -> None:
        _Opened.active = None


def _watch(event, arguments):
    watcher = _Opened.active
    if event == "open" and watcher is not None and isinstance(arguments[0], str | bytes | Path):
        name = os.path.realpath(os.fsdecode(arguments[0]))
        if os.path.commonpath([name, watcher.root]) != watcher.root:
            watcher.names.append(name)


def _is_system(name):
    places = (sys.prefix, sys.base_prefix, "/usr", "/proc", "/sys", "/dev", "/etc", str(Path(__file__).parents[2]))
    return name.startswith(tuple(str(Path(place).resolve()) for place in places))


sys.addaudithook(_watch)
