"""A suite with axes, from its specs through its runs to its curves."""

from __future__ import annotations

import csv
import io
import json

import pytest

from bench.reports.table import STANDIN_WARNING

from ..analysis.test_curves import BOTH, THIN
from ..runs.worlds import call, caller, make_world

METHODS = "methods: [single_task, multi_task]"
CO_ANNOTATED = THIN.replace(METHODS, "relatedness: [emotion_action_units]\n    methods: [single_task, co_annotation]")


@pytest.fixture
def thin(world):
    world.write("tiny_both", BOTH)
    world.write("thin", THIN)
    return world


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A world in which the suite, co-annotated, has been run with one seed."""
    world = make_world(tmp_path_factory.mktemp("axes"))
    world.write("tiny_both", BOTH)
    world.write("thin", CO_ANNOTATED)
    assert call(world, "run", "--suite", "thin", "--seeds", "1") == 0
    return world


@pytest.fixture
def ask(measured, capsys):
    return caller(measured, capsys)


def records(world):
    return [json.loads(file.read_text()) for file in sorted(world.results.glob("runs/standin/*/record.json"))]


def test_every_point_is_run_against_its_own_twins(measured):
    found = records(measured)
    assert len(found) == 4 * 3
    assert {record["status"] for record in found} == {"done"}
    by_point = {}
    for record in found:
        by_point.setdefault(record["suite"], []).append(record)
    assert sorted(by_point) == [
        "thin[overlap=0.5]",
        "thin[overlap=0]",
        "thin[overlap=1]",
        "thin[tiny_both.action_units=0.5]",
    ]
    for at_point in by_point.values():  # twins see what the joint run sees
        assert len({json.dumps(record["run"]["sources"][0]["shown"]) for record in at_point}) == 1
        assert len({record["cost"]["images"] for record in at_point}) == 1
    # Co-annotation counts the labels it finds: 48 images, half of them for each task, 17 or so attributes on an image.
    before = {}
    for record in found:
        if record["run"]["method"] == "co_annotation":
            changes = record["label_changes"]["tiny_both"]["co_annotation"]
            before[record["suite"]] = {task: change["before"] for task, change in changes.items()}
    units = {name: counts["action_units"] for name, counts in before.items()}
    assert units["thin[overlap=0]"] == units["thin[overlap=1]"] == units["thin[overlap=0.5]"] > 0
    assert units["thin[tiny_both.action_units=0.5]"] == units["thin[overlap=1]"] / 2


def test_curves_are_made_of_the_records_of_their_points(measured, ask):
    found = records(measured)
    along_overlap, along_fraction = ask("curve", "thin", "--seeds", "1", "--json").json
    assert (along_overlap["axis"], along_overlap["values"]) == ("overlap", [0, 0.5, 1])
    assert (along_fraction["axis"], along_fraction["values"]) == ("tiny_both/action_units", [0.5, 1])
    scores = {
        (record["suite"], record["run"]["method"], task): values["mean_f1"]["value"]
        for record in found
        for task, values in record["scores"]["tiny_both"].items()
        if task == "action_units"
    }
    for line in along_overlap["scores"]:
        if line["task"] == "action_units":
            for point in line["points"]:
                name = f"thin[overlap={point['value']:g}]"
                assert point["mean"] == scores[name, line["method"], "action_units"]


def test_a_run_leaves_curves_beside_the_leaderboards_of_its_points(measured):
    left = {file.name for file in (measured.results / "leaderboards").iterdir()}
    for axis in ("overlap", "tiny_both.action_units"):
        assert {f"thin.standin.along.{axis}.{ending}" for ending in ("md", "csv", "svg")} <= left
    assert {"thin[overlap=0].standin.md", "thin[tiny_both.action_units=0.5].standin.md"} <= left


def test_one_point_may_be_looked_at_and_leaves_the_curves_as_they_are(measured, ask):
    folder = measured.results / "leaderboards"
    before = {file.name: file.read_bytes() for file in folder.glob("*.along.*")}
    assert before
    assert ask("plan", "thin", "--seeds", "1", "--only", "overlap=0.5").out.count("Plan of thin") == 1
    again = ask("run", "--suite", "thin", "--seeds", "1", "--only", "overlap=0.5", "--only", "co_annotation")
    assert again.code == 0
    assert "thin[overlap=0.5]" in again.out and "thin[overlap=0]" not in again.out
    assert {file.name: file.read_bytes() for file in folder.glob("*.along.*")} == before
    wrong = ask("plan", "thin", "--only", "overlap=0.6")
    assert wrong.code == 2 and "did you mean 'overlap=0.5'" in wrong.err


@pytest.mark.usefixtures("measured")
def test_the_points_of_a_suite_are_one_table_for_programs(ask):
    text = ask("leaderboard", "thin", "--seeds", "1", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert text.count("suite,provenance") == 1
    assert len({row["suite"] for row in rows}) == len(ask("leaderboard", "thin", "--seeds", "1", "--json").json) > 1


def test_curves_in_every_form(measured, ask):
    shown = ask("curve", "thin", "--seeds", "1")
    assert shown.code == 0
    assert "Δm % along overlap" in shown.out
    assert "Δm % along tiny_both/action_units" in shown.out
    assert STANDIN_WARNING.split(". ")[1] in " ".join(shown.out.split())
    markdown = ask("curve", "thin", "--seeds", "1", "--axis", "overlap", "--format", "md").out
    assert markdown.count("## ") == 3
    assert "along tiny" not in markdown
    rows = list(csv.DictReader(io.StringIO(ask("curve", "thin", "--seeds", "1", "--format", "csv").out)))
    assert {(row["axis"], row["value"]) for row in rows} == {
        ("overlap", "0.0"),
        ("overlap", "0.5"),
        ("overlap", "1.0"),
        ("tiny_both/action_units", "0.5"),
        ("tiny_both/action_units", "1.0"),
    }

    chosen = ("curve", "thin", "--seeds", "1", "--axis", "overlap", "--out")
    for name in ("a.svg", "b.svg", "c.PNG"):
        assert ask(*chosen, str(measured.root / name)).code == 0
    assert (measured.root / "a.svg").read_bytes() == (measured.root / "b.svg").read_bytes()
    assert (measured.root / "c.PNG").read_bytes().startswith(b"\x89PNG")
    assert not list(measured.root.glob(".*.tmp"))
    # With two seeds asked for, the second is not there: that is told, and averaged around nowhere.
    lines = [line for curve in ask("curve", "thin", "--json").json for line in curve["gains"]]
    assert {(point["mean"], *point["absent"]) for line in lines for point in line["points"]} == {
        (None, "no result", "single_task no result")
    }


def test_wrong_calls_say_what_is_right(thin, bench):
    told = bench("curve", "thin", "--axis", "overlaps")
    assert told.code == 2
    assert "axis of suite 'thin' 'overlaps' is unknown; did you mean 'overlap'?" in told.err
    told = bench("curve", "thin", "--out", str(thin.root / "x.svg"))
    assert (told.code, "several curves" in told.err, "--axis" in told.err) == (2, True, True)
    for place in ("x.gif", "absent/x.svg"):
        told = bench("curve", "thin", "--axis", "overlap", "--out", str(thin.root / place))
        assert (told.code, "give a .svg or .png file" in told.err) == (2, True)
    told = bench("curve", "thin")
    assert (told.code, "`bench run --suite thin` measures it" in told.err) == (5, True)
    told = bench("curve", "tiny")
    assert (told.code, "suite 'tiny' has no axes" in told.err) == (2, True)


FRACTIONS = "axes.label_fraction.tiny_both/action_unit"
AXES = "axes:\n  overlap: [1, 0, 0.5]\n  label_fraction: {tiny_both/action_units: [1, 0.5]}\n"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("0.5]\n  label", "1.5]\n  label", "10:19: axes.overlap[2]: should be less than or equal to 1 (found 1.5)"),
        ("[1, 0, 0.5]", "[1, 0, 1.0]", "10:12: axes.overlap: '1.0' is given twice"),
        ("[1, 0, 0.5]", "[]", "10:12: axes.overlap: should have at least 1 item"),
        ("overlap:", "ovrlap:", "10:3: axes.ovrlap: unknown key 'ovrlap'; did you mean 'overlap'?"),
        ("[1, 0.5]}", "[1, 0]}", f"11:48: {FRACTIONS}s[1]: should be greater than 0 (found 0)"),
        ("[1, 0.5]}", "[]}", f"11:44: {FRACTIONS}s: should have at least 1 item"),
        (
            "action_units: [1",
            "action_unit: [1",
            f"11:20: {FRACTIONS}: the suite has no data set and task 'tiny_both/action_unit'; did you mean "
            "'tiny_both/action_units'",
        ),
        (
            "tiny_both/action_units: [1",
            "action_units: [1",
            "11:20: axes.label_fraction.action_units: the suite has no data set and task 'action_units'; did you mean "
            "'tiny_both/action_units'",
        ),
        (AXES, "axes: {}\n", "9:7: axes: give `overlap`, `label_fraction`, or both"),
    ],
)
def test_axes_that_cannot_be_are_told_with_their_place(thin, bench, old, new, problem):
    file = thin.change("thin", old, new)
    told = bench("validate", str(file))
    assert told.code == 2
    (line,) = told.err.splitlines()
    assert line.startswith(f"{file}:{problem}")


def test_one_task_a_data_set_cannot_overlap(thin, bench):
    file = thin.change("tiny", "margins:", "axes: {overlap: [0, 1]}\nmargins:")
    told = bench("validate", str(file))
    assert told.code == 2
    assert told.err.startswith(
        f"{file}:9:8: axes.overlap: no data set of the suite annotates two of its tasks, so none can overlap"
    )


def test_a_suite_that_includes_others_has_no_axes(thin, bench):
    file = thin.write("both", "kind: suite\nname: both\ntitle: Both\nincludes: [thin]\naxes: {overlap: [0]}\n")
    told = bench("validate", str(file))
    assert (told.code, "a suite that includes others has no axes of its own" in told.err) == (2, True)


def test_images_too_few_to_show_anything_end_the_run_with_what_to_do(thin, bench):
    thin.change("thin", "overlap: [1, 0, 0.5]", "overlap: [0]")
    run = bench("run", "--suite", "thin", "--seeds", "1", "--limit", "1")
    assert run.code == 5
    assert "of the 1 training images of data set 'tiny_both' not one shows a label" in run.err
