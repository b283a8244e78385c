"""Two `bench run` on one store at once, and readers that go away early."""

from __future__ import annotations

import re
import subprocess
import sys

from ..conftest import clean_environment


def test_two_at_once_do_every_run_exactly_once(world):
    world.change("tiny_budget", "steps: 6", "steps: 20")
    both = [world.process("run", "--suite", "tiny") for _ in range(2)]
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    carried_out = [title for _, err in said for title in re.findall(r"^\[\d+/\d+\] (.+? seed \d):", err, re.MULTILINE)]
    assert len(carried_out) == 8
    assert len(set(carried_out)) == 8
    prepared = [line for _, err in said for line in err.splitlines() if line.startswith("prepared ")]
    assert len(prepared) == 2
    for out, _ in said:
        assert "A suite for tests (tiny)" in out
        assert "no result" not in out
        board = out[out.index("A suite for tests (tiny)") :]
        assert all(method in board for method in ("single_task", "multi_task", "distribution_matching"))
    assert len(world.scores()) == 8
    assert not list(world.results.glob("runs/.work/*/*"))


def test_a_reader_that_goes_away_is_no_fault(finished):
    """Each reader closes its end of the pipe before bench has written anything."""
    for form in ((), ("--format", "csv")):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", "leaderboard", "tiny", *form],
            env=clean_environment() | finished.variables,
            cwd=finished.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), err) == (0, "")
