"""The whole way in small: plan, run, verdicts, leaderboard, why; and again, with everything done."""

from __future__ import annotations


def test_the_whole_way(world, bench):
    first = bench("run", "--suite", "tiny")
    assert first.code == 0, first.err
    assert "STAND-IN DATA" in first.out
    assert "8 runs, 8 to do" in first.out
    assert len(world.scores()) == 8

    again = bench("run", "--suite", "tiny")
    assert again.code == 0
    assert "8 runs, 0 to do" in again.out

    assert len(bench("transfer", "tiny", "--json").json[0]["verdicts"]) == 4
    board = bench("leaderboard", "tiny", "--json").json[0]
    assert sorted(row["rank"] for row in board["rows"]) == [1, 2, 3]
    why = bench("why", "tiny", "tiny_units/action_units/tiny_net/multi_task")
    assert why.code == 0
    assert "bench run --suite tiny" in why.out
    assert "relatedness:" not in why.out
    why = bench("why", "tiny", "tiny_units/action_units/tiny_net/distribution_matching")
    assert "relatedness: emotion_action_units (expression to action_units)" in why.out


def test_a_terminal_without_marks_is_no_fault(world, bench):
    world.environment |= {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    assert bench("run", "--suite", "tiny", "--limit", "4", "--seeds", "1").code == 0
    done = world.run("leaderboard", "tiny", "--limit", "4", "--seeds", "1")
    assert done.code == 0, done.err
    assert "\\u2013" in done.out
