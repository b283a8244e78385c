"""bench data: where copies are, preparing by hand, and a look at the images."""

from __future__ import annotations

import json

import pytest
from PIL import Image


def test_a_copy_is_remembered_listed_and_forgotten(world, bench):
    copy = world.root / "my copy"
    copy.mkdir()
    (copy / "labels.csv").write_text("kept")
    assert bench("data", "add", "tiny_faces", str(copy)).code == 0
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
    assert bench("data", "add", "tiny_faces", "copy").code == 0
    (world.root / "copy").rmdir()
    told = bench("data", "prepare", "tiny_faces")
    assert told.code == 2
    assert "is not there" in told.err and "`bench data add tiny_faces PATH`" in told.err


def test_preparing_by_hand_is_what_a_run_would_do(world, bench):
    first = bench("data", "prepare", "tiny_faces", "--size", "16")
    assert first.code == 0
    assert "prepared tiny_faces: 96 images" in first.err
    assert "tiny_faces (STAND-IN): train 48, validation 24, test 24; 0 rows excluded, 0 images refused" in first.out
    (manifest,) = world.cache.glob("stores/*/manifest.json")
    assert json.loads(manifest.read_text())["fingerprint"] in first.out
    again = bench("data", "prepare", "tiny_faces", "--size", "16")
    assert (again.code, again.err, again.out) == (0, "", first.out)
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
