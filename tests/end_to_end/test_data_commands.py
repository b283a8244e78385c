"""bench data: where copies are, preparing by hand, and a look at the images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


def test_a_copy_is_remembered_listed_and_forgotten(world, bench):
    copy = world.root / "my copy"
    copy.mkdir()
    (copy / "labels.csv").write_text("kept")
    told = bench("data", "add", "tiny_faces", str(copy))
    assert (told.code, told.out) == (0, f"tiny_faces: {copy}\n")
    listed = {entry["name"]: entry for entry in bench("data", "list", "--json").json}
    assert listed["tiny_faces"]["copy"] == str(copy)
    assert listed["tiny_units"]["copy"] is None
    assert listed["tiny_faces"]["stand_in"] == "faces"
    shown = bench("data", "list").out
    assert str(copy) in shown and "tiny_units" in shown and "none needed" in shown

    assert bench("data", "remove", "tiny_faces").code == 0
    assert {entry["copy"] for entry in bench("data", "list", "--json").json if "tiny" in entry["name"]} == {None}
    assert (copy / "labels.csv").read_text() == "kept"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "tiny_face", "."), "did you mean 'tiny_faces'"),
        (("add", "tiny_faces", "nowhere"), "nowhere is not a folder"),
        (("add", "tiny_faces", "specs/tiny.yaml"), "tiny.yaml is not a folder"),
        (("remove", "tiny_faces"), "no copy of 'tiny_faces' is remembered"),
        (("prepare", "tiny_face"), "did you mean 'tiny_faces'"),
        (("prepare", "tiny_faces", "--size", "8"), "--size"),
        (("show", "tiny_face"), "did you mean 'tiny_faces'"),
        (("show", "tiny_faces", "--n", "0"), "--n"),
        (("show", "tiny_faces", "--out", "nowhere/sheet.png"), "'nowhere/sheet.png' cannot be written"),
        (("show", "tiny_faces", "--out", "sheet.xyz"), "give a .png file"),
    ],
)
def test_what_cannot_be_done_as_asked(world, bench, arguments, said):
    told = bench("data", *arguments)
    assert told.code == 2
    assert said in told.err
    assert "Traceback" not in told.err
    assert not (world.root / "config").exists() and not world.cache.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"tiny_faces": 3}', b"\xff\xfe"], ids=["cut", "list", "number", "bytes"]
)
def test_a_corrupt_configuration_is_named_and_never_overwritten(world, bench, content):
    file = world.root / "config" / "copies.json"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in (
        ("data", "list"),
        ("data", "add", "tiny_faces", "."),
        ("data", "remove", "tiny_faces"),
        ("plan", "tiny"),
    ):
        told = bench(*command)
        assert told.code == 2
        assert f"{file} cannot be read" in told.err
        assert "mend it or remove it" in told.err
    assert file.read_bytes() == (content if isinstance(content, bytes) else content.encode())


def test_a_copy_that_has_gone_is_said_so(world, bench):
    (world.root / "copy").mkdir()
    world.change(
        "tiny_faces",
        "standin:",
        "layout: {name: csv}\nsplits: {shares: {train: 0.5, validation: 0.25, test: 0.25}}\nstandin:",
    )
    world.change("tiny_faces", "expression: {}", "expression: {column: expression}")
    assert bench("data", "add", "tiny_faces", "copy", "--anyway").code == 0
    (world.root / "copy").rmdir()
    told = bench("data", "prepare", "tiny_faces")
    assert told.code == 2
    assert "is not there" in told.err and "`bench data add tiny_faces PATH`" in told.err


def test_preparing_by_hand_is_what_a_run_would_do(world, bench):
    first = bench("data", "prepare", "tiny_faces", "--size", "16")
    assert first.code == 0
    assert "prepared tiny_faces: 96 images" in first.err
    assert "STAND-IN DATA" in first.out
    assert "96 48 train, 24 validation, 24 test" in " ".join(first.out.split())
    (manifest,) = world.cache.glob("stores/*/manifest.json")
    assert json.loads(manifest.read_text())["fingerprint"] in first.out
    again = bench("data", "prepare", "tiny_faces", "--size", "16")
    assert (again.code, again.err, again.out) == (0, "", first.out)
    told = bench("data", "prepare", "tiny_faces", "--size", "16", "--json").json
    assert told["manifest"]["counts"] == {"train": 48, "validation": 24, "test": 24}
    assert {split: sum(by_label.values()) for split, by_label in told["labels"]["expression"].items()} == (
        told["manifest"]["counts"]
    )
    run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert "prepared tiny_units" in run.err and "prepared tiny_faces" not in run.err


def test_a_contact_sheet_has_a_row_a_data_set_and_is_the_same_each_time(world, bench):
    sheets = []
    for name in ("one.png", "two.png"):
        told = bench("data", "show", "tiny_faces", "tiny_units", "--n", "3", "--out", name, "--size", "16")
        assert told.code == 0
        assert f"written: {name}" in told.out
        with Image.open(world.root / name) as sheet:
            assert sheet.format == "PNG"
            sheets.append(sheet.convert("RGB").copy())
    assert sheets[0].tobytes() == sheets[1].tobytes()
    assert sheets[0].width == 3 * 120 + 8
    assert len(sheets[0].getcolors(1_000_000)) > 200  # pictures, not a blank page
    bench("data", "show", "tiny_faces", "--n", "3", "--out", "row.png", "--size", "16")
    with Image.open(world.root / "row.png") as row:
        assert row.width == sheets[0].width and row.height < sheets[0].height
    assert bench("data", "show", "tiny_faces", "--n", "64", "--size", "16", "--out", "all.png").code == 0


# -------------------------------------------------------------------------------------------------- a copy on disk

PETS = """
    kind: dataset
    name: pets
    title: Pets
    domain: animals
    tasks:
      pet: {column: kind, missing: [""], exclude: [horse]}
      parts: {columns: {ear: ear, tail: tail}}
    layout: {name: csv, split: split, group: owner}
    splits: {official: {train: train, test: test}, carve_validation: 0.25, by: group}
    expected:
      table: {images: {train: 60, test: 20}, labels: {pet: {train: {cat: 40}}}, source: a book}
    licence: none needed
    access: Ask the neighbours
    home_page: https://example.org/
    citation: none
"""
PET = """
    kind: task
    name: pet
    title: Pets
    type: multiclass
    labels: [cat, dog]
    metrics: [macro_f1]
    primary: macro_f1
    chance: 0.5
"""
PARTS = """
    kind: task
    name: parts
    title: Parts
    type: multilabel
    labels: [ear, tail, paw]
    metrics: [mean_f1]
    primary: mean_f1
    chance: 0.5
"""
RELATED = """
    kind: relatedness
    name: parts_of_pets
    title: Parts of pets
    first_task: pet
    second_task: parts
    origin: {type: estimated, dataset: pets}
"""


@pytest.fixture
def pets(world):
    """A copy of 80 pictures with labels; one of the test pictures is also a training picture."""
    for name, text in {"pets": PETS, "pet": PET, "parts": PARTS, "parts_of_pets": RELATED}.items():
        world.write(name, text)
    folder = world.root / "pets"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["file,split,owner,kind,ear,tail"]
    for i in range(80):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((40, 32), Image.Resampling.BICUBIC).save(folder / "images" / f"{i}.jpg", quality=95)
        split = "test" if i % 4 == 3 else "train"
        lines.append(f"{i}.jpg,{split},{split}{i % 10},{('cat', 'dog')[i // 2 % 2]},1,{'' if i % 5 else i // 2 % 2}")
    lines += ["80.jpg,train,train1,horse,1,1", "../../away.jpg,train,train1,cat,1,1"]
    (folder / "images" / "3.jpg").write_bytes((folder / "images" / "0.jpg").read_bytes())
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_copy_is_recognised_prepared_and_reported(bench, pets):
    told = bench("data", "add", "pets", str(pets))
    assert told.code == 0
    assert "pets: recognised as 'table' by the layout 'csv'" in told.out
    (pets / "images" / "7.jpg").write_bytes(b"spoilt")
    done = bench("data", "prepare", "pets", "--size", "32")
    assert done.code == 0, done.err
    assert "pets: 1 images were left out: images/7.jpg (unreadable: UnidentifiedImageError)" in done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    for line in (
        f"read 82 {pets} (table)",
        "skipped: path leads out of the copy 1 images/../../away.jpg",
        "left out: excluded by their code 1 by the dataset spec",
        "refused: unreadable: UnidentifiedImageError 1 images/7.jpg",
        "masked: pet 0 of 79 labels are not known",
        "as stated 80 60 train, 20 test: a book",
    ):
        assert line in lines, done.out
    cats = next(line for line in lines if line.startswith("cat ")).split()
    assert sum(map(int, cats[1:4])) == int(cats[4]) == 40
    assert cats[5] == "40"
    assert "paw – – – –" in lines
    assert any(
        line.startswith("masked: parts ") and line.endswith("of 158 single labels are not known") for line in lines
    )


def test_a_copy_that_is_not_as_stated_is_refused_with_the_way_to_override(world, bench, pets):
    table = pets / "labels.csv"
    table.write_text(table.read_text().replace("0.jpg,train", "0.jpg,test"))
    bench("data", "add", "pets", str(pets))
    told = bench("data", "prepare", "pets", "--size", "32")
    assert told.code == 2
    assert "(variant 'table') is not as expected: " in told.err and "the expected figures are from a book" in told.err
    assert "`extends: pets` and an `expected` of its own for 'table'" in told.err
    world.write("pets_mine", "kind: dataset\nname: pets_mine\ntitle: Mine\nextends: pets\nexpected: {}\n")
    assert bench("data", "prepare", "pets_mine", "--size", "32").code == 0


@pytest.mark.usefixtures("pets")
def test_a_folder_that_is_not_the_copy_is_told_at_once(world, bench):
    (world.root / "empty").mkdir()
    told = bench("data", "add", "pets", "empty")
    assert told.code == 2
    assert "is not recognised as a copy of 'pets'" in told.err and "labels.csv is missing" in told.err
    assert bench("data", "list", "--json").json[0] is not None and not (world.root / "config").exists()
    assert bench("data", "add", "pets", "empty", "--anyway").code == 0
    (line,) = (line for line in bench("data", "status").out.splitlines() if line.lstrip().startswith("pets "))
    assert "labels.csv is missing" in line


def test_a_data_set_that_shares_a_copy_is_added_with_it(world, bench, pets):
    world.write("half", "kind: dataset\nname: half\ntitle: H\nextends: pets\n")
    told = bench("data", "add", "half", str(pets))
    assert (told.code, told.out.splitlines()[0]) == (0, f"pets: {pets}")
    assert {e["name"] for e in bench("data", "list", "--json").json if e["copy"]} == {"half", "pets"}


def test_other_expectations_are_held_against_the_copy_anew(world, bench, pets):
    bench("data", "add", "pets", str(pets))
    assert bench("data", "prepare", "pets", "--size", "32").code == 0
    world.change("pets", "train: 60", "train: 61")
    told = bench("data", "prepare", "pets", "--size", "32")
    assert (told.code, "60 train images instead of 61" in told.err) == (2, True)


def test_the_status_of_all_data_sets(world, bench, pets):
    before = {entry["dataset"]["name"]: entry for entry in bench("data", "status", "--json").json}
    assert before["pets"]["copy"] is None and before["pets"]["manifest"] is None
    bench("data", "add", "pets", str(pets))
    bench("data", "prepare", "pets", "--size", "32")
    bench("data", "prepare", "tiny_faces", "--size", "16")
    entries = {entry["dataset"]["name"]: entry for entry in bench("data", "status", "--json").json}
    assert entries["pets"]["size"] == 32
    assert entries["pets"]["bytes"] > 80 * 32 * 32 * 3
    assert sum(entries["pets"]["manifest"]["counts"].values()) == 80
    shown = bench("data", "status").out
    line = next(" ".join(line.split()) for line in shown.splitlines() if line.lstrip().startswith("pets "))
    assert f"pets {pets} 32 px" in line
    assert " 80 " in line and "not audited none needed Ask the neighbours" in line
    assert entries["pets"]["manifest"]["fingerprint"] in line
    line = next(" ".join(line.split()) for line in shown.splitlines() if line.lstrip().startswith("tiny_faces "))
    assert "none (stand-in only) 16 px (stand-in) 48 24 24" in line
    (pets / "labels.csv").rename(pets / "other.csv")
    pets.rename(world.root / "moved")
    shown = bench("data", "status")
    assert shown.code == 0
    assert "is not there" in shown.out


def test_an_audit_finds_the_leak(bench, pets):
    bench("data", "add", "pets", str(pets))
    told = bench("data", "audit", "pets", "--size", "32")
    assert told.code == 0, told.err
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert any("pets near duplicates 1 pets/test images/3.jpg is like pets/" in line for line in lines), told.out
    assert any("pets labels always present" in line for line in lines)
    found = bench("data", "audit", "pets", "--size", "32", "--json").json[0]["audits"]["pets"]["findings"]
    assert {finding["what"] for finding in found} == {
        "near_duplicates",
        "labels_always_present",
        "labels_never_present",
    }
    (status,) = (entry for entry in bench("data", "status", "--json").json if entry["dataset"]["name"] == "pets")
    assert status["manifest"]["audits"]["pets"]["findings"] == found


@pytest.mark.usefixtures("world")
def test_leaderboards_tell_what_an_audit_found(bench):
    run = bench("run", "--suite", "tiny", "--seeds", "1", "--only", "multi_task")
    assert "audit of the data: tiny_faces, tiny_units: not audited." in run.out
    assert bench("data", "audit", "tiny").code == 0
    board = bench("leaderboard", "tiny", "--seeds", "1", "--only", "multi_task", "--format", "md")
    assert "audit of the data: " in board.out and "not audited" not in board.out
    told = bench("data", "audit", "tinny")
    assert told.code == 2 and "did you mean 'tiny'" in told.err


def test_a_contact_sheet_of_one_task(world, bench, pets):
    bench("data", "add", "pets", str(pets))
    for name, arguments in {"all": [], "pet": ["--task", "pet"], "parts": ["--task", "parts"]}.items():
        told = bench("data", "show", "pets", "--n", "20", "--size", "32", "--out", f"{name}.png", *arguments)
        assert told.code == 0, told.err
    sheets = {name: Image.open(world.root / f"{name}.png").convert("RGB") for name in ("all", "pet", "parts")}
    assert {sheet.width for sheet in sheets.values()} == {8 * 120 + 8}  # eight in a row, so three rows
    assert all(3 * 120 < sheet.height < 3 * 170 for sheet in sheets.values())
    assert len({sheet.tobytes() for sheet in sheets.values()}) == 3
    told = bench("data", "show", "pets", "--task", "part", "--size", "32")
    assert told.code == 2 and "did you mean 'parts'" in told.err


def test_a_relatedness_is_counted_on_training_labels_and_shown(world, bench, pets):
    bench("data", "add", "pets", str(pets))
    told = bench("show", "parts_of_pets", "--out", "heat.png")
    assert told.code == 0, told.err
    assert "counted on training labels of 'pets', with 1 added to every count" in told.out
    with Image.open(world.root / "heat.png") as picture:
        assert picture.width > 100
    shown = bench("show", "parts_of_pets", "--json").json["derived"]
    assert not shown["standin"]
    assert shown["probabilities"].keys() == {"cat", "dog"} and shown["probabilities"]["cat"].keys() == {"ear", "tail"}
    table = pets / "labels.csv"
    lines = table.read_text().splitlines()
    # Test rows may say what they like.
    table.write_text(
        "\n".join(line if ",test," not in line else line[: line.rindex(",")] + ",0" for line in lines) + "\n"
    )
    assert bench("show", "parts_of_pets", "--json").json["derived"] == shown
    table.write_text(
        "\n".join(line if ",train," not in line else line[: line.rindex(",")] + ",0" for line in lines) + "\n"
    )
    assert bench("show", "parts_of_pets", "--json").json["derived"] != shown
    assert bench("show", "emotion_action_units", "--out", "heat.svg").code == 0
    assert (world.root / "heat.svg").read_text().startswith("<?xml")
    assert bench("show", "parts_of_pets", "--out", "heat.gif").code == 2
    assert bench("show", "pets", "--out", "heat.png").code == 2


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("command", ["prepare", "show", "audit"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("split: split", "spilt: split", "layout.spilt: unknown key 'spilt'"),
        ("name: csv", "name: csvv", "layout 'csvv' is unknown; did you mean 'csv'?"),
        ("{column: kind,", "{codes: {c: catt},", "`column` is needed to read labels of a multiclass task"),
        ("  table: {images", "  tabel: {images", "knows no variant 'tabel'; did you mean 'table'?"),
        ("labels: {pet: {train: {cat", "labels: {pat: {train: {cat", "the data set does not annotate 'pat'"),
        ("{cat: 40}", "{cta: 40}", "task 'pet' has no label 'cta'; did you mean 'cat'?"),
    ],
)
def test_a_spec_that_is_wrong_is_told_with_its_place(world, bench, command, old, new, said):
    file = world.change("pets", old, new)
    told = bench("data", command, "pets", "--size", "32")
    assert told.code == 2
    assert f"{file}:" in told.err and said in told.err
    assert "Traceback" not in told.err


@pytest.mark.usefixtures("pets")
def test_one_wrong_spec_takes_no_other_down(world, bench):
    world.write("bad", PETS.replace("name: pets", "name: bad").replace("{column: kind,", "{colunm: kind,"))
    for command in ("list", "status"):
        told = bench("data", command)
        assert told.code == 0
        assert "unknown key 'colunm'" in told.err and "tiny_faces" in told.out
    told = bench("data", "add", "tiny_faces", ".")
    assert (told.code, "unknown key 'colunm'" in told.err) == (0, True)


def test_prepared_anew_after_the_copy_was_completed(bench, pets):
    (pets / "images" / "9.jpg").rename(pets / "kept.jpg")
    bench("data", "add", "pets", str(pets))
    assert "images/9.jpg (missing)" in bench("data", "prepare", "pets", "--size", "32").err
    (pets / "kept.jpg").rename(pets / "images" / "9.jpg")
    same = bench("data", "prepare", "pets", "--size", "32", "--json").json["manifest"]
    assert same["refused"] == {"images/9.jpg": "missing"}
    anew = bench("data", "prepare", "pets", "--size", "32", "--again", "--json").json["manifest"]
    assert anew["refused"] == {} and sum(anew["counts"].values()) == 80


def test_places_that_cannot_be_written_are_told(world, bench):
    (world.root / "sheet.png").mkdir()
    told = bench("data", "show", "tiny_faces", "--size", "16", "--out", "sheet.png")
    assert (told.code, "'sheet.png' cannot be written" in told.err) == (2, True)
    (world.root / "file").write_text("")
    world.environment["BENCH_CACHE"] = str(world.root / "file" / "cache")
    told = world.run("data", "prepare", "tiny_faces", "--size", "16")
    assert told.code == 2 and "cannot be made" in told.err and "Traceback" not in told.err


def test_real_images_are_never_coupled_by_a_stand_in(world, bench, pets):
    """A relatedness that is counted on a data set without a copy is refused beside real ones."""
    for part, task in (("one", "pet"), ("two", "parts")):
        (block,) = (line for line in PETS.splitlines() if line.strip().startswith(f"{task}:"))
        world.write(part, f"kind: dataset\nname: {part}\ntitle: P\nextends: pets\nsource: {part}\nexpected: {{}}\n"
                    f"tasks:\n  {block.strip()}\n")  # fmt: skip
        bench("data", "add", part, str(pets))
        assert bench("data", "prepare", part, "--size", "16").code == 0
    world.write("zoo", "kind: suite\nname: zoo\ntitle: Z\ndatasets: [one, two]\nrelatedness: [parts_of_pets]\n"
                "backbones: [tiny_net]\nmethods: [single_task, multi_task, distribution_matching]\n"
                "budget: tiny_budget\nmargins: {macro_f1: 0.1, mean_f1: 0.1}\n")  # fmt: skip
    told = bench("plan", "zoo")
    assert told.code == 2
    assert "there is no copy of data set 'pets'" in told.err and "`bench data add pets PATH`" in told.err
    bench("data", "add", "pets", str(pets))
    assert bench("plan", "zoo").code == 0
