"""A method that diverges: its runs fail alone, every table says so in its place, and the others are judged as ever."""

from __future__ import annotations

import csv
import io

import pytest

EXPLODING = """
    kind: method
    name: exploding
    title: A coupling that is beyond float32 at once
    type: joint
    terms:
      - {name: supervised}
      - {name: distribution_matching, weight: 1e39}
"""
CELL = "tiny_units/action_units/tiny_net/exploding"


@pytest.fixture
def diverged(done, redo):
    """The finished suite with a further method, which diverges."""
    done.write("exploding", EXPLODING)
    done.change("tiny", "distribution_matching]", "distribution_matching, exploding]")
    run = redo("run", "--suite", "tiny")
    assert run.code == 4, run.err
    return run


def row_of(text, method, columns=()):
    """The row of a method, of the table with these columns, by header; from Markdown."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    tables = [i for i, line in enumerate(lines) if i + 1 < len(lines) and set(lines[i + 1]) <= set("|-:")]
    for start in tables:
        headers = [cell.strip() for cell in lines[start].strip("|").split("|")]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 2 :]]
        found = next((row for row in rows if method.replace("_", "\\_") in row and len(row) == len(headers)), None)
        if found and set(columns) <= set(headers):
            return dict(zip(headers, found, strict=True))
    raise AssertionError(f"no row of {method} under {columns}")


def test_the_run_goes_on_and_tells_what_has_failed(diverged, redo):
    assert diverged.err.count("failed: exploding tiny_net seed 0: diverged: the loss was not finite") == 1
    assert "record.json" in diverged.err
    states = {(run["method"], run["state"]) for run in redo("plan", "tiny", "--json").json[0]["runs"]}
    assert states == {
        ("single_task", "done"),
        ("multi_task", "done"),
        ("distribution_matching", "done"),
        ("exploding", "diverged"),
    }
    again = redo("run", "--suite", "tiny")
    assert (again.code, "10 runs, 0 to do" in again.out) == (4, True)


def test_every_table_shows_it_in_the_place_of_a_number(diverged, redo, done):
    page = (done.results / "leaderboards" / "tiny.standin.md").read_text()
    board = row_of(page, "exploding", ["rank"])
    assert (board["rank"], board["average"], board["Δm %"]) == ("–", "–", "–")
    assert [value for name, value in board.items() if "tiny" in name] == ["diverged", "diverged"]
    verdict = row_of(page, "exploding", ["verdict"])
    assert (verdict["verdict"], verdict["score"], verdict["seeds"]) == ("diverged", "–", "0")
    method = row_of(page, "exploding", ["harm"])
    assert method["Δm % [95 % interval]"] == "diverged"
    assert method["worse by means than some single-task model"] == "–"
    assert {method[word] for word in ("harm", "benefit", "equivalent")} == {"0"}

    lines = csv.DictReader(io.StringIO(redo("leaderboard", "tiny", "--format", "csv").out))
    assert [(line["missing"], line["mean"]) for line in lines if line["method"] == "exploding"] == [
        ("diverged", "")
    ] * 2
    shown = redo("transfer", "tiny").out
    assert "missing: 4 results, such as tiny_faces/expression/tiny_net/exploding seed 0: diverged" in shown
    assert "2 diverged" in redo("status", "tiny").out
    assert redo("why", "tiny", CELL).out.count("failed: diverged: the loss was not finite") == 2
    assert "diverged" in diverged.out


def test_the_others_are_ranked_and_judged_as_without_it(redo, ask, diverged):
    assert diverged.code == 4
    before, after = (call("leaderboard", "tiny", "--json").json[0] for call in (ask, redo))

    def ranked(board):
        return {
            row["method"]: (row["rank"], row["average"], row["cost"]["steps"]) for row in board["rows"] if row["rank"]
        }

    assert ranked(after) == ranked(before)
    (old,), (new,) = (call("transfer", "tiny", "--json").json for call in (ask, redo))
    for one, other in zip(
        old["verdicts"], [v for v in new["verdicts"] if v["cell"]["method"] != "exploding"], strict=True
    ):
        assert (one["cell"], one["difference"], one["low"]) == (other["cell"], other["difference"], other["low"])
        assert other["absent"] == []
    assert {method["method"]: method["absent"] for method in new["methods"]}["exploding"] == ["diverged"]
    assert new["family"] == 6  # a test that could not be made does not make the others easier


def test_a_verdict_over_the_seeds_that_did_not_diverge_says_so(done, redo, diverged):
    """Only runs that end well are left to be judged: whoever reads the verdict must see that."""
    import json

    assert diverged.code == 4
    for file in done.results.glob("runs/standin/*/record.json"):
        record = json.loads(file.read_text())
        if (record["run"]["method"], record["run"]["seed"]) == ("multi_task", 1):
            failure = {"kind": "diverged", "message": "the loss was not finite", "traceback": ""}
            record |= {"status": "failed", "failure": failure, "scores": {}, "cost": None}
            file.write_text(json.dumps(record))
    table = redo("transfer", "tiny").out
    lines = [line for line in table.splitlines() if "  multi_task" in line]
    assert sum("(1 of 2 seeds: diverged) ? inconclusive" in line for line in lines) == 2
    assert sum("diverged" in line for line in lines) == 3  # and the row of Δm
    assert row_of(redo("leaderboard", "tiny", "--format", "md").out, "multi_task")["rank"] == "–"


def test_where_the_twin_diverged_that_is_said(done, redo, diverged):
    import json

    assert diverged.code == 4
    for file in done.results.glob("runs/standin/*/record.json"):
        record = json.loads(file.read_text())
        if record["run"]["method"] == "single_task":
            failure = {"kind": "diverged", "message": "the loss was not finite", "traceback": ""}
            file.write_text(json.dumps(record | {"status": "failed", "failure": failure, "scores": {}}))
    report = redo("transfer", "tiny", "--json").json[0]
    absent = {verdict["cell"]["method"]: verdict["absent"] for verdict in report["verdicts"]}
    assert absent["multi_task"] == ["single_task diverged"]
    assert absent["exploding"] == ["diverged", "single_task diverged"]
    assert redo("transfer", "tiny").out.count("single_task diverged") >= 3


def test_controls_of_a_method_that_diverges_say_so(diverged, redo):
    assert diverged.code == 4
    run = redo("run", "--suite", "tiny", "--controls")
    assert run.code == 4
    (report,) = redo("controls", "tiny", "--json").json
    found = {verdict["control"]: verdict for verdict in report["verdicts"]}
    assert {found[f"exploding_{kind}"]["finding"] for kind in ("permuted", "uniform", "zero")} == {"inconclusive"}
    assert "diverged" in found["exploding_permuted"]["note"]
    assert found["exploding_zero"]["furthest"] == 0  # without its coupling it trains as any other
    assert "exploding_permuted on tiny_net" in run.out
