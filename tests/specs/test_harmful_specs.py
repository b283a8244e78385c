"""Specs with the mistakes that people make, and specs made to harm: told in words, and nothing else goes down."""

# ruff: noqa: E501  (a case a line: what is changed, and what is said)

from __future__ import annotations

import os
import time

import pytest

TASK = """
    kind: task
    name: colour
    title: Colours
    type: multiclass
    labels: [red, green]
    metrics: [accuracy]
    primary: accuracy
    chance: 0.5
"""
DATA = """
    kind: dataset
    name: photos
    title: Photos
    domain: things
    tasks: {colour: {column: colour}}
    layout: {name: csv}
    splits:
      shares: {train: 0.6, validation: 0.2, test: 0.2}
    licence: CC0
    home_page: https://example.org/
    citation: none
"""
BUDGET = """
    kind: budget
    name: brief_one
    title: Short
    steps: 5
    seeds: 2
    image_size: 16
    batch: {size: 16}
    optimizer: {name: adamw, learning_rate: 1e-3}
    augmentation: {flip: true}
"""


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (TASK, "title: Colours", "title: 2024-01-01", None),
        (TASK, "title: Colours", "title: no", None),
        (TASK, "title: Colours", "title: 12", 'title: should be a valid string (found 12); put it in quotes: "12"'),
        (TASK, "title: Colours", "title: true", 'title: should be a valid string (found True); put it in quotes: "true"'),
        (TASK, "[red, green]", "[yes, no]", None),
        (TASK, "[red, green]", "[1, 2]", 'labels[0]: should be a valid string (found 1); put it in quotes: "1"'),
        (TASK, "[red, green]", "red, green", "labels: should be a valid"),
        (TASK, "chance: 0.5", "chance: '0.5'", "chance: should be a valid number (found '0.5'); take the quotes away"),
        (TASK, "chance: 0.5", "chance: 50%", "chance: should be a valid number (found '50%')"),
        (TASK, "chance: 0.5", "chance: 0,5", "chance: should be a valid number (found '0,5')"),
        (TASK, "name: colour", "name: ../../etc/passwd", "name: '../../etc/passwd' is not a name"),
        (TASK, "name: colour", "name: a/b", "name: 'a/b' is not a name"),
        (TASK, "name: colour", "name: colour.yaml", "name: 'colour.yaml' is not a name"),
        (TASK, "name: colour", "name: on", None),
        (TASK, "kind: task", "kind: Task", "kind: 'Task' is not a kind of spec; did you mean 'task'?"),
        (TASK, "title: Colours", "titel: Colours", "unknown key 'titel'; did you mean 'title'?"),
        (BUDGET, "flip: true", "flip: yes", "augmentation.flip: should be a valid boolean (found 'yes'); write true, without quotes"),
        (BUDGET, "flip: true", "flip: Off", "augmentation.flip: should be a valid boolean (found 'Off'); write false, without quotes"),
        (BUDGET, "flip: true", "flip: 'true'", "augmentation.flip: should be a valid boolean (found 'true'); write true, without quotes"),
        (BUDGET, "flip: true", "flip: 1", "augmentation.flip: should be a valid boolean (found 1)"),
        (BUDGET, "seeds: 2", "seeds: '2'", "seeds: should be a valid integer (found '2'); take the quotes away"),
        (BUDGET, "seeds: 2", "seeds: 2.5", "seeds: should be a valid integer"),
        (BUDGET, "seeds: 2", "seeds: two", "seeds: should be a valid integer (found 'two')"),
        (BUDGET, "seeds: 2", "seeds: .inf", "seeds: should be a"),
        (BUDGET, "learning_rate: 1e-3", "learning_rate: .nan", "optimizer.learning_rate: should be a finite number"),
        (BUDGET, "learning_rate: 1e-3", "learning_rate: 1e-3s", "learning_rate: should be a valid number (found '1e-3s')"),
        (DATA, "{name: csv}", "{name: csv, file: ../../etc/passwd}", "layout.file: '../../etc/passwd' is no path below the root of the copy"),
        (DATA, "{name: csv}", "{name: csv, file: [a.csv, /etc/passwd]}", "'/etc/passwd' is no path below the root of the copy"),
        (DATA, "{name: csv}", "{name: csv, images: 'a/../../b'}", "layout.images: 'a/../../b' is no path below the root"),
        (DATA, "{name: csv}", "{name: image_folder, images: ~}", "layout.images: should be a valid string"),
        (DATA, "{name: csv}", "{name: ../csv}", "layout.name: '../csv' is not a name"),
        (DATA, "{name: csv}", "{name: os.system}", "layout.name: 'os.system' is not a name"),
        (DATA, "{name: csv}", "{name: hub, files: [../x.parquet]}", "layout.files: '../x.parquet' leads out of the copy"),
        (DATA, "https://example.org/", "javascript:alert(1)", "home_page: should match pattern"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_would_be_right(world, bench, text, old, new, said):
    world.write("colour", TASK)
    file = world.write({TASK: "colour", DATA: "photos", BUDGET: "brief_one"}[text], text)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    done = bench("validate", str(file))
    if said is None:
        assert done.code == 0, done.err
        return
    assert done.code == 2, done.out
    assert said in done.err
    assert done.err.startswith(f"{file}:"), done.err
    assert bench("list", "suite", "--json").code == 0


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LAUGHS.encode(), "anchors and aliases are not used in specs"),
        (b"kind: task\nname: !!python/object/apply:os.system ['touch harmed']\n", "tags such as !!python/object/apply"),
        (b"kind: task\nname: !!python/name:os.system x\n", "tags such as !!python/name:os.system"),
        (b"<<: {kind: task}\nname: x\n", "kind: this key is needed and is not there"),
        (b"kind: task\nkind: suite\nname: x\ntitle: 'x'\n", "the key 'kind' is given twice (first in line 1)"),
        (b"a: " + b"[" * 100_000, "nested too deeply"),
        (b"a: " + b"{b: " * 100_000, "nested too deeply"),
        (b"k: 1\n" * (1 << 18), "larger than 1048576 bytes"),
        (b"\xff\xfek\x00i\x00", "UTF-16 or UTF-32 text; save it as UTF-8"),
        (b"kind: task\nname: 'a\x00b'\n", "2:9: the control character U+0000 is no text"),
        (b'kind: task\nname: x\ntitle: "\\e]0;owned\\a"\n', "title: the control character U+001B is no text"),
        (b"kind: task\nname: x\ntitle: \xff\n", "not UTF-8 text (byte 26)"),
    ],
)
def test_a_file_made_to_harm_is_refused_at_once(world, bench, content, said):
    file = world.specs / "harm.yaml"
    file.write_bytes(content)
    start = time.monotonic()
    done = bench("validate", str(file))
    assert done.code == 2
    assert said in done.err and "Traceback" not in done.err and "\x1b" not in done.err
    assert time.monotonic() - start < 5
    assert not (world.root / "harmed").exists()
    assert bench("validate", "tiny").code == 0


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_a_byte_order_mark_and_other_line_ends_are_no_mistake(world, bench, ending):
    file = world.write("colour", TASK)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", ending))
    assert bench("validate", str(file)).code == 0


@pytest.mark.parametrize("what", ["pipe", "device", "loop", "nowhere", "folder"])
def test_what_is_no_file_is_not_waited_for(world, bench, what):
    place = world.specs / "odd.yaml"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to({"device": "/dev/zero", "loop": "odd.yaml", "nowhere": "absent"}[what])
    listed = bench("list", "suite", "--json")
    assert listed.code == 0
    assert "tiny" in [entry["name"] for entry in listed.json]
    assert listed.err.count("warning: ") <= 1
    assert bench("validate", "tiny").code == 0
