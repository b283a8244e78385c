"""Negative controls from `--controls` to their report; a coupling of weight zero changes no number at all."""

from __future__ import annotations

import json

import pytest

from bench.reports.table import STANDIN_WARNING

METHOD = "distribution_matching"
CONTROLS = [f"{METHOD}_{kind}" for kind in ("permuted", "uniform", "zero")]


@pytest.fixture
def redone(redo):
    """The finished suite with its controls run too."""
    run = redo("run", "--suite", "tiny", "--controls")
    assert run.code == 0, run.err
    return run


def records(world):
    found = [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]
    return {(record["run"]["method"], record["run"]["seed"]): record for record in found}


def test_controls_are_run_judged_and_left_in_files(done, redo, redone):
    assert "14 runs, 6 to do" in redone.out
    assert redone.out.count("Negative controls of coupling: tiny") == 1
    found = records(done)
    assert all((name, seed) in found for name in CONTROLS for seed in (0, 1))

    (report,) = redo("controls", "tiny", "--json").json
    assert [verdict["control"] for verdict in report["verdicts"]] == CONTROLS
    assert {verdict["reference"] for verdict in report["verdicts"]} == {"multi_task"}
    assert [verdict["furthest"] for verdict in report["verdicts"]] == [None, None, 0]
    assert len(report["cells"]) == 6
    shown = redo("controls", "tiny").out
    (same,) = (line for line in shown.splitlines() if "identical" in line)
    assert CONTROLS[2] in same
    assert STANDIN_WARNING in shown
    folder = done.results / "leaderboards"
    assert {"tiny.standin.controls.md", "tiny.standin.controls.csv"} <= {file.name for file in folder.iterdir()}
    assert f"written: {folder / 'tiny.standin.controls.md'}" in redone.out


def test_a_coupling_of_weight_zero_is_no_coupling_to_the_last_bit(done, redone):
    assert redone.code == 0
    found = records(done)
    for seed in (0, 1):
        zero, plain, coupled = (found[name, seed] for name in (CONTROLS[2], "multi_task", METHOD))
        assert zero["scores"] == plain["scores"]
        assert (zero["selected_step"], zero["validation_score"]) == (plain["selected_step"], plain["validation_score"])
        hashes = [{file["sha256"] for file in record["predictions"]} for record in (zero, plain, coupled)]
        assert hashes[0] == hashes[1] != hashes[2]  # every prediction of every image
        assert zero["id"] != plain["id"]


BALANCED = """
    kind: method
    name: {name}
    title: With balanced losses
    type: joint
    labels: [{{name: pseudo_labels, threshold: 0.6}}]
    terms: [{{name: supervised}}{coupling}]
    balancer: {{name: rlw}}
"""


def test_of_every_coupling_nothing_is_left_with_weight_zero(world, bench):
    """Hard and soft co-annotation, both couplings at once, and a coupling beside a balancer and other labels."""
    world.write("balanced", BALANCED.format(name="balanced", coupling=""))
    world.write("coupled_balanced", BALANCED.format(name="coupled_balanced", coupling=", {name: soft_co_annotation}"))
    methods = ("co_annotation", "soft_co_annotation", "coupled", "coupled_balanced")
    world.change("tiny", "distribution_matching]", f"balanced, {', '.join(methods)}]")
    run = bench("run", "--suite", "tiny", "--seeds", "1", "--controls")
    assert run.code == 0, run.err
    (report,) = bench("controls", "tiny", "--seeds", "1", "--json").json
    assert len(report["verdicts"]) == 3 * len(methods) and report["unjudged"] == []
    zero = {v["method"]: (v["reference"], v["furthest"]) for v in report["verdicts"] if v["kind"] == "zero"}
    assert zero == {name: ("balanced" if name.endswith("balanced") else "multi_task", 0) for name in methods}
    found = records(world)
    files = {
        name: [file["sha256"] for file in found[name, 0]["predictions"]] for name, _ in found if name != "single_task"
    }
    for name in methods:
        plain = zero[name][0]
        assert files[f"{name}_zero"] == files[plain] != files[name]
        assert len({str(files[f"{name}_{kind}"]) for kind in ("permuted", "uniform", "zero")}) == 3


def test_what_controls_are_told_is_in_their_records(done, redone):
    assert redone.code == 0
    found = records(done)
    true = found[METHOD, 0]["run"]["relatedness"][0]["matrix"]
    permuted = [found[CONTROLS[0], seed]["run"]["relatedness"][0]["matrix"] for seed in (0, 1)]
    for matrix in permuted:
        assert sorted(matrix) == sorted(true)
        assert all(row != own for row, own in zip(matrix, true, strict=True))
    assert permuted[0] != permuted[1]
    uniform = found[CONTROLS[1], 0]["run"]["relatedness"][0]["matrix"]
    assert len({tuple(row) for row in uniform}) == 1
    weights = {term["name"]: term["options"]["weight"] for term in found[CONTROLS[2], 0]["run"]["terms"]}
    assert weights == {"supervised": 1.0, METHOD: 0.0}


def test_controls_stand_in_no_leaderboard_and_count_as_nothing_else(redo, redone):
    for arguments in (("leaderboard", "tiny"), ("transfer", "tiny")):
        assert CONTROLS[0] not in redo(*arguments).out
    (board,) = redo("leaderboard", "tiny", "--seeds", "1", "--json").json
    assert board["others"]["differing"] == {}
    assert f"{METHOD}_permuted" not in redone.out.split("Negative controls")[0].split("A suite for tests (tiny)")[1]


def test_a_control_can_be_looked_into(redo, redone):
    assert redone.code == 0
    cell = f"tiny_units/action_units/tiny_net/{CONTROLS[2]}"
    assert "'weight': 0.0" in redo("why", "tiny", cell, "--controls").out
    assert redo("why", "tiny", cell).code == 2
    assert redo("status", "tiny", "--controls").out.count(CONTROLS[2]) == 2
    assert "14 runs, 0 to do" in redo("plan", "tiny", "--controls").out


def test_controls_that_are_not_there_yet(ask):
    told = ask("controls", "tiny")
    assert (told.code, "`bench run --suite tiny --controls` measures them" in told.err) == (5, True)


def test_a_suite_without_coupling_has_none(world, bench):
    world.change("tiny", ", distribution_matching]", "]")
    for command in (("plan", "tiny", "--controls"), ("run", "--suite", "tiny", "--controls"), ("controls", "tiny")):
        told = bench(*command)
        assert told.code == 2
        assert "suite 'tiny' has no method that couples tasks by their relatedness" in told.err
    assert not world.results.exists()


def test_a_method_with_the_name_of_a_control_is_refused(world, bench):
    world.write(
        CONTROLS[2], f"kind: method\nname: {CONTROLS[2]}\ntitle: T\ntype: joint\nterms: [{{name: supervised}}]\n"
    )
    world.change("tiny", "distribution_matching]", f"distribution_matching, {CONTROLS[2]}]")
    assert bench("plan", "tiny").code == 0
    told = bench("plan", "tiny", "--controls")
    assert told.code == 2
    assert f"method '{CONTROLS[2]}' has the name of a negative control of '{METHOD}'" in told.err
