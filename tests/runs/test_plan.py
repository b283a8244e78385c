"""The plan: every joint cell with its twin, ids that hold, and choices that mean what they say."""

from __future__ import annotations

import csv as csv_format
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from bench.runs.plan import Cell, SuitePlan, plan
from bench.runs.records import read_record
from bench.specs.catalog import open_catalog
from bench.specs.fingerprint import fingerprint

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
REAL = """
    kind: dataset
    name: {name}
    title: A data set in files
    domain: faces
    tasks:
      expression: {{column: expression}}
    layout: {{name: csv, split: split}}
    splits: {{official: {{train: train, validation: validation, test: test}}}}
    {more}
    licence: none needed
    home_page: https://example.org/
    citation: none
"""
OTHER = """
    kind: suite
    name: {name}
    title: Another suite
    datasets: [{datasets}]
    backbones: [tiny_net]
    methods: [single_task, multi_task]
    budget: tiny_budget
    margins: {{{margins}}}
"""


@pytest.fixture
def planned(world, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)

    def make(suite: str = "tiny", **choices) -> tuple[SuitePlan, ...]:
        return plan(open_catalog([]), suite, **choices)

    return make


def write_copy(root, name, per_split=(20, 8, 8)):
    """A copy in the csv layout, under the folder that BENCH_DATA names."""
    (root / name / "images").mkdir(parents=True)
    random = np.random.default_rng(0)
    with (root / name / "labels.csv").open("w", newline="") as stream:
        writer = csv_format.writer(stream)
        writer.writerow(["file", "split", "expression"])
        for split, count in zip(("train", "validation", "test"), per_split, strict=True):
            for i in range(count):
                file = f"{split}{i}.png"
                picture = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(picture).save(root / name / "images" / file)
                writer.writerow([file, split, EXPRESSIONS[i % 7]])


def everything(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_every_joint_cell_has_its_twin(planned):
    (one,) = planned()
    joint = [cell for cell in one.cells if cell.method != "single_task"]
    assert len(joint) == 4
    for cell in joint:
        twin = one.twin_of(cell)
        assert twin == Cell(cell.dataset, cell.task, cell.backbone, "single_task")
        ours, theirs = one.runs_of(cell), one.runs_of(twin)
        assert ours.keys() == theirs.keys() == {0, 1}
        for seed, run in ours.items():
            single = theirs[seed].spec
            (source,) = single.sources
            assert source in run.spec.sources  # the same data, of which as many images are in each step
            assert single.recipe == run.spec.recipe
            assert single.backbone == run.spec.backbone
            assert single.seed == run.spec.seed == seed
            assert [task.name for task in single.tasks] == [cell.task]
            assert single.task(cell.task) == run.spec.task(cell.task)
            assert single.metrics.items() <= run.spec.metrics.items()


def test_batch_shares_add_up_and_the_twin_keeps_its_own(planned):
    (one,) = planned()
    joint = next(run for run in one.runs if run.method == "multi_task")
    assert sum(source.batch for source in joint.spec.sources) == 16
    assert joint.spec.images_seen == 6 * 16
    singles = [run for run in one.runs if run.method == "single_task" and run.seed == 0]
    assert sum(run.spec.images_seen for run in singles) == joint.spec.images_seen


def test_only_coupled_methods_depend_on_the_relatedness(planned):
    (one,) = planned()
    assert {(run.method, len(run.spec.relatedness)) for run in one.runs} == {
        ("single_task", 0),
        ("multi_task", 0),
        ("distribution_matching", 1),
    }


def test_ids_are_the_same_from_plan_and_from_record(finished, monkeypatch):
    for name, value in finished.variables.items():
        monkeypatch.setenv(name, value)
    (one,) = plan(open_catalog([]), "tiny")
    assert len({run.spec.id for run in one.runs}) == 8
    for run in one.runs:
        record = read_record(finished.results / "runs" / "standin" / run.spec.id)
        assert record.run == run.spec
        assert record.run.id == run.spec.id == fingerprint(run.spec.model_dump(mode="json"))


def test_what_numbers_depend_on_changes_ids_and_nothing_else_does(world, planned):
    def ids(method=None):
        return {run.spec.id for run in planned()[0].runs if method in (None, run.method)}

    before = ids()
    world.change("tiny", "A suite for tests", "Another title")
    world.change("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 3")
    world.change("tiny_net", "A network for tests", "A net")
    assert ids() == before
    world.change("tiny_budget", "1e-3", "2e-3")
    assert ids().isdisjoint(before)
    coupled, plain = ids("distribution_matching"), ids("multi_task")
    world.write("other_relatedness", OTHER.format(name="unused", datasets="tiny_faces", margins="macro_f1: 0.1"))
    assert (ids("distribution_matching"), ids("multi_task")) == (coupled, plain)
    world.change("tiny_units", "train: 48", "train: 49")
    assert ids("multi_task").isdisjoint(plain)


def test_seeds_budget_and_limit(world, planned):
    world.write("long", (world.specs / "tiny_budget.yaml").read_text().replace("tiny_budget", "long").replace("6", "9"))
    assert [run.seed for run in planned(seeds=3)[0].runs if run.method == "multi_task"] == [0, 1, 2]
    assert {run.spec.recipe.steps for run in planned(budget="long")[0].runs} == {9}
    (cut,) = planned(limit=4)
    assert cut.provenance == "limited"
    assert {run.spec.recipe.steps for run in cut.runs} == {4}
    assert planned()[0].provenance == "standin"


def test_steps_from_epochs_count_passes_over_all_data_sets(world, planned):
    world.change("tiny_budget", "steps: 6", "epochs: 2.5")
    assert {run.spec.recipe.steps for run in planned()[0].runs} == {15}  # 2.5 x 96 images in batches of 16


@pytest.mark.parametrize(
    ("only", "methods", "cells"),
    [
        (["multi_task"], {"single_task", "multi_task"}, 4),
        (["single_task"], {"single_task"}, 2),
        (["tiny_units"], {"single_task", "multi_task", "distribution_matching"}, 3),
        (["expression", "multi_task"], {"single_task", "multi_task"}, 2),
        (["tiny_net"], {"single_task", "multi_task", "distribution_matching"}, 6),
    ],
)
def test_only_keeps_what_is_named_and_its_twins(planned, only, methods, cells):
    (one,) = planned(only=only)
    assert {run.method for run in one.runs} == methods
    assert len(one.cells) == cells
    assert {run.spec.id for run in one.whole.runs} == {run.spec.id for run in planned()[0].runs}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "tinny"), "did you mean 'tiny'"),
        (("plan", "tiny", "--only", "multitask"), "did you mean 'multi_task'"),
        (("plan", "tiny", "--only", "tiny_faces", "--only", "action_units"), "nothing of suite 'tiny' is left"),
        (("plan", "tiny", "--budget", "tiny_bugdet"), "did you mean 'tiny_budget'"),
        (("run", "--suite", "tinny"), "did you mean 'tiny'"),
        (("plan", "tiny", "--seeds", "0"), "--seeds"),
        (("plan", "tiny", "--limit", "-1"), "--limit"),
    ],
)
def test_what_cannot_be_done_as_asked(bench, arguments, said):
    told = bench(*arguments)
    assert told.code == 2
    assert said in told.err


def test_who_only_looks_need_not_have_the_networks(world, bench):
    world.change("tiny_net", "timm: test_resnet", "timm: no_such_network")
    assert "no_such_network" in bench("plan", "tiny").err
    shown = bench("status", "tiny")
    assert shown.code == 0
    assert "missing" in shown.out


def test_planning_writes_nothing(world, bench):
    before = everything(world.root)
    plans = [bench("plan", "tiny"), bench("run", "--suite", "tiny", "--dry-run"), bench("status", "tiny")]
    assert [told.code for told in plans] == [0, 0, 0]
    assert "8 runs, 8 to do" in plans[0].out and "8 runs, 8 to do" in plans[1].out
    assert "8 missing" in plans[2].out
    assert bench("plan", "tiny", "--json").json[0]["provenance"] == "standin"
    assert everything(world.root) == before


def test_a_results_folder_that_is_a_file_is_refused(world, bench):
    (world.root / "taken").write_text("not a folder")
    told = bench("run", "--suite", "tiny", "--results", "taken")
    assert (told.code, "taken is not a folder" in told.err) == (2, True)


def test_a_suite_of_suites(world, bench, planned):
    world.write("faces_only", OTHER.format(name="faces_only", datasets="tiny_faces", margins="macro_f1: 0.05"))
    world.write("units_only", OTHER.format(name="units_only", datasets="tiny_units", margins="mean_f1: 0.05"))
    world.write("both", "kind: suite\nname: both\ntitle: Both\nincludes: [faces_only, units_only, faces_only_too]\n")
    world.write("too", "kind: suite\nname: faces_only_too\ntitle: Again\nincludes: [faces_only]\n")
    assert [one.name for one in planned("both")] == ["faces_only", "units_only"]
    assert [one.name for one in planned("both", only=["tiny_units"])] == ["units_only"]
    assert [one.name for one in planned("both", only=["multi_task"])] == ["faces_only", "units_only"]
    run = bench("run", "--suite", "both", "--seeds", "1")
    assert run.code == 0, run.err
    assert [board["suite"] for board in bench("leaderboard", "both", "--seeds", "1", "--json").json] == [
        "faces_only",
        "units_only",
    ]
    assert len(world.scores()) == 4


def test_real_copies_and_stand_ins_are_never_mixed(world, bench):
    data = world.root / "data"
    world.write("tiny_faces", REAL.format(name="tiny_faces", more=""))
    write_copy(data, "tiny_faces")
    world.environment["BENCH_DATA"] = str(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_DATA", str(data))
        for command in (("plan", "tiny"), ("run", "--suite", "tiny"), ("leaderboard", "tiny")):
            told = bench(*command)
            assert told.code == 2
            assert "there is a copy of tiny_faces, but none of tiny_units" in told.err
            assert "`bench data add tiny_units PATH`" in told.err
    assert not world.results.exists()


def test_a_data_set_with_neither_copy_nor_stand_in_says_what_to_do(world, bench):
    world.write("tiny_faces", REAL.format(name="tiny_faces", more=""))
    told = bench("plan", "tiny")
    assert told.code == 2
    assert "no copy of data set 'tiny_faces'" in told.err
    assert "`bench data add tiny_faces PATH`" in told.err


def test_real_data_from_copy_to_leaderboard(world, bench, monkeypatch):
    data = world.root / "data"
    monkeypatch.setenv("BENCH_DATA", str(data))
    for name in ("first", "second"):
        world.write(name, REAL.format(name=name, more="source: shared"))
    write_copy(data, "shared")
    world.write("real", OTHER.format(name="real", datasets="first, second", margins="macro_f1: 0.05"))

    unprepared = bench("plan", "real")
    assert unprepared.code == 2
    assert "data set 'first' is not prepared at 16 pixels" in unprepared.err
    assert "`bench data prepare first --size 16`" in unprepared.err
    dry = bench("run", "--suite", "real", "--dry-run")
    assert (dry.code, list(world.root.glob("cache/stores/*"))) == (2, [])

    run = bench("run", "--suite", "real", "--seeds", "1")
    assert run.code == 0, run.err
    assert "prepared first: 36 images" in run.err
    assert "STAND-IN" not in run.out
    assert (world.results / "leaderboards" / "real.md").is_file()
    assert len(list((world.results / "runs" / "real").iterdir())) == 3
    board = bench("leaderboard", "real", "--seeds", "1", "--json").json[0]
    assert board["provenance"] == "real"
    assert [column[:2] for column in board["columns"]] == [["first", "expression"], ["second", "expression"]]


ESTIMATED = """
    kind: relatedness
    name: counted
    title: Counted on training labels
    first_task: expression
    second_task: action_units
    origin: {type: estimated, dataset: tiny_both}
"""


def test_a_relatedness_that_is_estimated_on_the_suites_own_training_labels(world, bench, planned):
    both = (world.specs / "tiny_faces.yaml").read_text().replace("tiny_faces", "tiny_both")
    world.write("tiny_both", both.replace("  expression: {}", "  expression: {}\n  action_units: {}"))
    world.write("counted", ESTIMATED)
    world.change("tiny", "datasets: [tiny_faces, tiny_units]", "datasets: [tiny_both, tiny_units]")
    world.change("tiny", "relatedness: [emotion_action_units]", "relatedness: [counted]")
    run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 0, run.err
    (matrix,) = next(r for r in planned(seeds=1)[0].runs if r.method == "distribution_matching").spec.relatedness
    table = np.array(matrix.matrix)
    assert table.shape == (7, len(matrix.covered))
    assert ((table > 0) & (table < 1)).all()
    happiness = table[EXPRESSIONS.index("happiness")]
    assert happiness[matrix.covered.index("au12")] > 0.6 > happiness[matrix.covered.index("au4")]
    assert bench("run", "--suite", "tiny", "--seeds", "1").code == 0  # the same matrix, so nothing is done again
    assert len(list((world.results / "runs" / "standin").iterdir())) == 5


def test_runs_of_a_plan_are_grouped_by_seed_with_twins_first(planned):
    order = defaultdict(list)
    for run in planned()[0].runs:
        order[run.seed].append(run.method)
    assert list(order) == [0, 1]
    assert order[0] == ["single_task", "single_task", "multi_task", "distribution_matching"]
