"""bench new: what is written validates at once, nothing is written over, and nothing is injected by what is given."""

from __future__ import annotations

import csv
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench.cli.writing import NAME, rendered, snake_case
from bench.data.layouts import hub
from bench.data.layouts._files import write_picture

from ..conftest import clean_environment
from ..layouts.test_hub import EXAMPLE

ABOUT = ("--licence", "CC0", "--home-page", "https://www.w3.org/", "--citation", "none")


def spec(folder, name):
    return YAML(typ="safe", pure=True).load((folder / f"{name}.yaml").read_text(encoding="utf-8"))


def valid(bench, *, tried=False):
    done = bench("validate", "made", "--conformance" if tried else "--no-conformance")
    assert done.code == 0, done.err
    return done


NEW = {
    "task": ("--type", "multilabel", "--label", "sun", "--label", "no", "--label", "a: b # c"),
    "dataset": ("--layout", "csv", *ABOUT),
    "relatedness": ("--first-task", "expression", "--second-task", "action_units"),
    "method": (
        "--term",
        "supervised",
        "--term",
        "distribution_matching",
        "--labels",
        "co_annotation",
        "--balancer",
        "dwa",
    ),
    "backbone": ("--timm", "test_vit"),
    "budget": ("--steps", "7", "--batch", "4"),
    "suite": ("--dataset", "tiny_faces", "--dataset", "tiny_units", "--backbone", "tiny_net"),
}


@pytest.mark.parametrize("kind", NEW)
def test_every_kind_validates_as_it_is_written_and_is_never_written_over(world, bench, kind):
    done = bench("new", kind, "fresh", *NEW[kind], "--out", "made")
    assert done.code == 0, done.err
    file = world.root / "made" / "fresh.yaml"
    assert "written: made/fresh.yaml\n" in done.out and "next: bench validate made" in done.out
    assert spec(file.parent, "fresh")["kind"] == kind
    assert "# " in file.read_text()
    valid(bench)
    before = {f: f.read_bytes() for f in file.parent.iterdir()}
    again = bench("new", kind, "fresh", *NEW[kind], "--out", "made")
    assert again.code == 2
    assert "made/fresh.yaml is there already" in again.err
    elsewhere = bench("new", kind, "fresh", *NEW[kind], "--specs", "made", "--out", "other")
    assert elsewhere.code == 2
    assert f"{kind} 'fresh' is already defined" in elsewhere.err
    assert {f: f.read_bytes() for f in file.parent.iterdir()} == before
    assert not (world.root / "other").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "A", "1a", "a b", "a" * 65, "", ".", "a\nb", "a.yaml", "ä"])
@pytest.mark.parametrize("kind", ["backbone", "dataset"])
def test_a_name_that_is_none_is_refused_with_the_rule(world, bench, kind, name):
    done = bench("new", kind, name, *NEW[kind], "--out", "made")
    assert done.code == 2
    assert "is not a name for a spec" in done.err and "snake_case" in done.err
    assert not (world.root / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("task", "x", "--label", "one", "--type", "multiclass"),
            "labels: a multiclass task needs at least two labels",
        ),
        (("task", "x", "--label", "a", "--label", "b", "--metric", "acuracy"), "did you mean 'accuracy'"),
        (("backbone", "x", "--timm", "restnet18"), "timm model 'restnet18' is unknown"),
        (("method", "x", "--term", "supervized"), "did you mean 'supervised'"),
        (("method", "x", "--type", "single", "--balancer", "dwa"), "nothing to balance"),
        (("suite", "x", "--dataset", "tiny_face"), "did you mean 'tiny_faces'"),
        (("suite", "x", "--dataset", "tiny_faces", "--method", "multi_task"), "exactly one single-task method"),
        (("relatedness", "x", "--first-task", "expression", "--second-task", "expression"), "not related to itself"),
        (("relatedness", "x", "--first-task", "expression"), "--second-task is needed"),
        (("dataset", "x", "--layout", "csv", *ABOUT, "--home-page", "example.org"), "home_page: "),
        (("dataset", "x", "--layout", "csv"), "--licence is needed"),
        (("dataset", "x", *ABOUT), "--from or --layout is needed"),
        (("dataset", "x", *ABOUT, "--from", "nowhere"), "there is no file or folder nowhere"),
        (("task", "x"), "--label is needed"),
    ],
)
def test_what_would_not_be_valid_is_not_written(world, bench, arguments, said):
    done = bench("new", *arguments, "--out", "made")
    assert done.code == 2, done.out
    assert said in done.err
    assert "/tmp" not in done.err.replace(str(world.root), "")
    assert not (world.root / "made").exists()


def test_what_steers_a_terminal_is_no_title(world, bench):
    done = bench("new", "backbone", "x", "--timm", "test_vit", "--title", "\x1b[31mred", "--out", "made")
    assert done.code == 2
    assert "title: the control character U+001B is no text" in done.err and "\x1b[31m" not in done.err
    assert not (world.root / "made").exists()


def test_a_folder_that_cannot_be_written_to_is_told(world, bench):
    (world.root / "made").write_text("a file")
    done = bench("new", "backbone", "x", "--timm", "test_vit", "--out", "made")
    assert done.code == 2
    assert "cannot be written" in done.err


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), min_size=1, max_size=30))
def test_any_text_stands_in_yaml_as_what_it_is(text):
    from bench.specs.document import parse_document

    made = parse_document(rendered("backbone.yaml", name="x", title=text, family=text, timm="x"), Path("x.yaml"))
    assert (made.data["title"], made.data["family"]) == (text, text)


@given(text=st.text(max_size=80))
def test_any_text_gives_a_name(text):
    assert NAME.fullmatch(snake_case(text))


# ---- from files ----


def write_table(root, rows, header=("file", "kind")):
    """A table, and the images that its first column names."""
    for name, *_ in rows:
        write_picture(root / name)
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


@pytest.fixture
def garments(world):
    """Photographs with a table of all kinds of columns."""
    root, rows = world.root / "garments", []
    for i in range(48):
        write_picture(root / "pictures" / f"{i:03d}.jpg")
        rows.append(
            {
                "name": f"{i:03d}",
                "part": ("train", "train", "val", "test")[i % 4],
                "person": f"p{i // 4}",
                "kind": ("hat", "dress", "")[i % 3],
                "colours": ("red; green", "blue", "red", "")[i % 4],
                "big": str(i % 2),
                "new": str(i // 2 % 2),
                "note": f"note {i}",
            }
        )
    with (root / "list.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    return root


def test_tasks_of_a_long_name_get_names_of_their_own(world, bench):
    folder = world.root / "pictures"
    folder.mkdir()
    rows = ["file,one,two,three", *(f"{i}.jpg,{'ab'[i % 2]},{'cd'[i % 2]},{'ef'[i % 2]}" for i in range(8))]
    (folder / "labels.csv").write_text("\n".join([*rows, ""]), "utf-8")
    name = "x" * 64
    done = bench("new", "dataset", name, "--from", "pictures", *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    assert list(spec(world.root / "made", name)["tasks"]) == [f"{'x' * 60}_{number}" for number in (2, 3, 4)]


@pytest.mark.usefixtures("garments")
def test_a_table_is_read_as_proposed(world, bench):
    done = bench("new", "dataset", "garments", "--from", "garments", *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    made = spec(world.root / "made", "garments")
    assert made["layout"] == {
        "name": "csv",
        "file": "list.csv",
        "delimiter": ";",
        "images": "pictures",
        "image": "name",
        "ending": ".jpg",
        "split": "part",
        "group": "person",
        "separator": ";",
    }
    assert made["splits"] == {"official": {"test": "test", "train": "train", "val": "validation"}}
    assert made["tasks"]["garments_kind"] == {"column": "kind"}
    assert made["tasks"]["garments_colours"]["columns"] == {c: f"colours.{c}" for c in ("blue", "green", "red")}
    assert made["tasks"]["garments_attributes"]["codes"] == {"0": "absent", "1": "present"}
    assert "column 'note' is left out" in (world.root / "made" / "garments.yaml").read_text()
    valid(bench, tried=True)
    assert bench("data", "add", "garments", "garments", "--specs", "made").code == 0
    prepared = bench("data", "prepare", "garments", "--specs", "made", "--size", "16")
    assert prepared.code == 0, prepared.err


def test_what_is_said_to_come_next_can_be_pasted(world, bench):
    write_table(world.root / "my (odd) files", [(f"{i}.jpg", ("tea", "mug")[i % 2]) for i in range(8)])
    done = bench("new", "dataset", "cups", "--from", "my (odd) files", *ABOUT, "--out", "made; or not")
    assert done.code == 0, done.err
    said = [shlex.split(line.removeprefix("next: ")) for line in done.out.splitlines() if line.startswith("next: ")]
    root = str(world.root / "my (odd) files")
    assert said == [
        ["bench", "validate", "made; or not"],
        ["bench", "data", "add", "cups", root, "--specs", "made; or not"],
    ]
    assert all(bench(*command[1:]).code == 0 for command in said)
    done = bench("new", "dataset", "rocks", "--layout", "custom", *ABOUT, "--out", "it's")
    said = [shlex.split(line.removeprefix("next: ")) for line in done.out.splitlines() if line.startswith("next: ")]
    assert said == [["pip", "install", "-e", "it's"], ["pytest", "it's"]]


@pytest.mark.parametrize(
    ("metrics", "rough"),
    [(("macro_f1", "accuracy"), True), (("accuracy",), False), (("mean_class_accuracy", "macro_f1"), False)],
)
def test_chance_is_called_a_rule_of_thumb_where_it_is_one(world, bench, metrics, rough):
    given = [part for metric in metrics for part in ("--metric", metric)]
    labels = ("--label", "tea", "--label", "mug", "--label", "pot", "--type", "multiclass")
    assert bench("new", "task", "cups", *labels, *given, "--out", "made").code == 0
    text = (world.root / "made" / "cups.yaml").read_text()
    assert "a guess that never looks at the image" in text
    assert ("rule of thumb for balanced labels: mend it" in text) == rough


def test_what_is_advised_where_splits_divide_groups_mends_it(world, bench):
    rows = [(f"{i}.jpg", ("train", "val", "test")[i % 3], f"p{i % 16}", ("tea", "mug")[i % 2]) for i in range(96)]
    write_table(world.root / "cups", rows, ("file", "split", "person", "kind"))
    assert bench("new", "dataset", "cups", "--from", "cups", *ABOUT, "--out", "made").code == 0
    file = world.root / "made" / "cups.yaml"
    text = file.read_text()
    assert "# 16 of 16 groups stand in several of the official splits" in text
    assert bench("data", "add", "cups", "cups", "--specs", "made").code == 0
    refused = bench("validate", "made")
    assert refused.code == 2 and "groups stand in several splits" in refused.err
    head, official = text.split("splits:\n")
    _, _, tail = official.partition("licence:")
    advised = re.search(r"`(shares: [^`]*)` and `(by: group)`", text)
    file.write_text(f"{head}splits:\n  {advised[1]}\n  {advised[2]}\nlicence:{tail}")
    valid(bench, tried=True)
    file.write_text(text.replace("licence:", "  by: image\nlicence:"))
    valid(bench, tried=True)


@pytest.mark.usefixtures("garments")
def test_a_column_may_be_about_a_task_that_there_is(world, bench):
    bench("new", "task", "headgear", "--type", "multiclass", "--label", "Dress", "--label", "Hat", "--out", "made")
    start = ("new", "dataset", "garments", "--from", "garments", *ABOUT, "--specs", "made", "--out", "made")
    done = bench(*start, "--task", "kind=headgear")
    assert done.code == 0, done.err
    assert spec(world.root / "made", "garments")["tasks"]["headgear"] == {
        "column": "kind",
        "codes": {"dress": "Dress", "hat": "Hat"},
    }
    assert not (world.root / "made" / "garments_kind.yaml").exists()
    wrong = bench(*start, "--task", "kind=expression")
    assert wrong.code == 2 and "column 'kind' holds 'dress'" in wrong.err
    wrong = bench(*start, "--task", "knd=headgear")
    assert wrong.code == 2 and "did you mean 'kind'" in wrong.err


def test_words_for_no_label_are_missing_and_the_data_set_is_read_so(world, bench):
    write_table(world.root / "cups", [(f"{i}.jpg", ("tea", "mug", "n/a", "N/A", "")[i % 5]) for i in range(40)])
    done = bench("new", "dataset", "cups", "--from", "cups", *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    text = (world.root / "made" / "cups.yaml").read_text()
    assert "# column 'kind': 'N/A' or 'n/a' is taken for `missing`" in text
    assert text.count("further keys of a task") == 1
    assert text.index("further keys of a task") < text.index("tasks:")
    assert spec(world.root / "made", "cups")["tasks"] == {
        "cups_kind": {"column": "kind", "missing": ["", "N/A", "n/a"]}
    }
    made = spec(world.root / "made", "cups_kind")
    assert (made["labels"], made["chance"]) == (["mug", "tea"], 0.5)
    valid(bench, tried=True)
    assert bench("data", "add", "cups", "cups", "--specs", "made").code == 0
    prepared = bench("data", "prepare", "cups", "--specs", "made", "--size", "16")
    assert prepared.code == 0, prepared.err


@pytest.mark.parametrize("given", [(), ("--task", "kind=headgear")])
def test_a_word_that_a_task_has_as_its_label_is_one(world, bench, given):
    labels = [part for label in ("hat", "cap", "none") for part in ("--label", label)]
    bench("new", "task", "headgear", "--type", "multiclass", *labels, "--out", "made")
    write_table(world.root / "heads", [(f"{i}.jpg", ("hat", "cap", "none")[i % 3]) for i in range(30)])
    start = ("new", "dataset", "heads", "--from", "heads", *ABOUT, "--specs", "made", "--out", "made")
    done = bench(*start, *given)
    assert done.code == 0, done.err
    assert spec(world.root / "made", "heads")["tasks"] == {"headgear": {"column": "kind"}}
    assert "missing`" not in (world.root / "made" / "heads.yaml").read_text()


def test_folders_are_read_as_proposed(world, bench):
    for split in ("train", "valid"):
        for i in range(6):
            write_picture(world.root / f"pets/pictures/{split}/{'cat' if i % 2 else 'dog'}/{i}.png")
    done = bench("new", "dataset", "pets", "--from", "pets", *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    made = spec(world.root / "made", "pets")
    assert made["layout"] == {"name": "image_folder", "images": "pictures", "levels": ["split", "class"]}
    assert made["splits"] == {"official": {"train": "train", "valid": "test"}, "carve_validation": 0.1}
    valid(bench, tried=True)


def test_parquet_is_read_as_proposed(world, bench):
    hub.write(world.root / "repo", EXAMPLE, hub.Options())
    done = bench("new", "dataset", "pets", "--from", "repo", *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    made = spec(world.root / "made", "pets")
    assert made["layout"] == {"name": "parquet", "image": "image"}
    tags = {"columns": {"blue": "tags.blue", "red": "tags.red"}}
    assert made["tasks"] == {"pets_label": {"column": "label"}, "pets_tags": tags}
    valid(bench, tried=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no columns"),
        ("file,kind\n", "has no rows"),
        ("x,kind\n1,a\n2,b\n", "name the column of images by --image"),
        ("file,kind\na.jpg,1\nb.jpg,2\n", "no column looks like labels"),
        ("file,file\na.jpg,1\n", "stands twice in the header"),
    ],
)
def test_a_table_that_says_nothing_is_refused(world, bench, content, said):
    (world.root / "odd").mkdir()
    (world.root / "odd" / "labels.csv").write_text(content)
    done = bench("new", "dataset", "odd", "--from", "odd", *ABOUT, "--out", "made")
    assert done.code == 2
    assert said in done.err
    assert not (world.root / "made").exists()


def test_what_stands_in_files_cannot_change_the_spec(world, bench):
    root = world.root / "evil"
    labels = ["a: b\nkind: suite", '- "x"', "{{ 7 * 7 }}", "!!python/object:x", "&a", "*a", "yes", "'", "#", "a\u2028b"]
    labels = [label.replace("\n", " ") for label in labels]
    rows = [{"file": f"{i}.jpg", "x: y #": labels[i % len(labels)]} for i in range(4 * len(labels))]
    for row in rows:
        write_picture(root / row["file"])
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    title = "T\nkind: suite\n# {{ 1 }}"
    done = bench("new", "dataset", "evil", "--from", "evil", "--title", title, *ABOUT, "--out", "made")
    assert done.code == 0, done.err
    made = spec(world.root / "made", "evil")
    assert (made["kind"], made["title"]) == ("dataset", title)
    (name,) = made["tasks"]
    assert set(spec(world.root / "made", name)["labels"]) == set(labels)
    valid(bench)


# ---- a layout of its own ----


def test_a_custom_layout_comes_with_a_test_that_passes_and_is_found_once_installed(world, bench):
    title = 'Rocks """ and \\ "stones"'
    done = bench("new", "dataset", "rocks", "--layout", "custom", "--title", title, *ABOUT, "--out", "rocks")
    assert done.code == 0, done.err
    folder, site = world.root / "rocks", world.root / "site"
    install = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site), str(folder)]
    environment = clean_environment() | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for command in (["pip", *install], ["pytest", "-q", "-p", "no:cacheprovider", str(folder)]):
        ran = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=world.root,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    world.environment["PYTHONPATH"] = environment["PYTHONPATH"]
    checked = world.run("validate", "dataset/rocks")
    assert checked.code == 0, checked.err


def test_a_custom_layout_may_not_be_called_as_one_that_there_is(world, bench):
    done = bench("new", "dataset", "csv", "--layout", "custom", *ABOUT, "--out", "made")
    assert done.code == 2
    assert "there is a layout 'csv' already" in done.err
    assert not (world.root / "made").exists()


# ---- on a terminal ----


def test_on_a_terminal_it_asks_for_what_is_not_given(world):
    ours, theirs = pty.openpty()
    process = world.process("new", "task", "weather", "--out", "made", stdin=theirs)
    os.close(theirs)
    os.write(ours, b"multiclass\nsun, rain\n")
    out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, err
    assert "Labels, with commas between them" in out + err
    assert spec(world.root / "made", "weather")["labels"] == ["sun", "rain"]
