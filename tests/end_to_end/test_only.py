"""`--only` chooses what is looked at; it never changes how it is judged, nor what files tell of a suite."""

from __future__ import annotations

from ..runs.fixtures import ask, done, finished, redo

__all__ = ["ask", "done", "finished", "redo"]


def test_a_part_of_a_suite_is_judged_as_in_the_whole(ask):
    (whole,), (part,) = (
        ask("transfer", "tiny", *more, "--json").json for more in ((), ("--only", "multi_task", "--only", "tiny_units"))
    )
    told = {str(verdict["cell"]): verdict for verdict in whole["verdicts"]}
    assert 0 < len(part["verdicts"]) < len(told)
    assert part["family"] == whole["family"] == len(told)
    for verdict in part["verdicts"]:
        assert verdict == told[str(verdict["cell"])]


def test_a_partial_run_leaves_the_leaderboard_of_the_whole_suite(done, redo):
    board = done.results / "leaderboards" / "tiny.standin.csv"
    before = board.read_text()
    assert redo("run", "--suite", "tiny", "--only", "multi_task").code == 0
    assert board.read_text() == before


def test_a_method_is_planned_with_its_controls_its_reference_and_its_teachers(world, bench):
    wanted = ("plan", "tiny", "--only", "distribution_matching", "--controls", "--json")
    names = {run["method"] for run in bench(*wanted).json[0]["runs"]}
    kinds = {f"distribution_matching_{kind}" for kind in ("permuted", "uniform", "zero")}
    assert names == {"single_task", "multi_task", "distribution_matching"} | kinds
    world.change("tiny", "multi_task, distribution_matching", "multi_task, distillation")
    planned = bench("plan", "tiny", "--only", "distillation", "--only", "tiny_faces", "--json").json[0]["runs"]
    assert {run["dataset"] for run in planned if run["method"] == "single_task"} == {"tiny_faces", "tiny_units"}
