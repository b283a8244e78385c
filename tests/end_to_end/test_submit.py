"""bench submit, as its users and those who receive submissions see it."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO

import pyarrow.parquet as pq
import pytest

from bench.runs.submission import Submission

from ..conftest import World
from ..runs.worlds import call, make_world

NAME = "zebrawinkle"


@pytest.fixture(scope="module")
def telling(tmp_path_factory):
    """Results made by a user, in a home and by a command that say who it is."""
    home = tmp_path_factory.mktemp("machine") / "home" / NAME
    home.mkdir(parents=True)
    world = make_world(home)
    world.environment.update(HOME=str(home), USER=NAME, LOGNAME=NAME, USERNAME=NAME)
    made = world.run("run", "--suite", "tiny", "--specs", str(world.specs), "--results", str(world.results))
    assert made.code == 0, made.err
    packed = world.run("submit", "pack", "tiny", "--out", str(home / "submission"))
    assert packed.code == 0, packed.err
    return world


def everything_in(folder):
    """All that a folder holds as bytes: names, contents, and what Parquet files hold unpacked."""
    for file in sorted(folder.rglob("*")):
        yield str(file.relative_to(folder)).encode()
        if file.is_file():
            yield file.read_bytes()
        if file.suffix == ".parquet":
            about = pq.ParquetFile(file)
            yield repr((about.metadata.to_dict(), about.metadata.metadata, about.schema_arrow.metadata)).encode()
            yield repr(pq.read_table(file).to_pydict()).encode()


def test_nothing_in_a_submission_tells_where_and_by_whom_it_was_made(telling):
    kept = b"\n".join(everything_in(telling.results))
    assert NAME.encode() in kept  # the command that was typed says it
    packed = b"\n".join(everything_in(telling.root / "submission")).lower()
    for secret in (NAME, str(telling.root), str(telling.root.parent)):
        assert secret.lower().encode() not in packed, secret
    assert b"[path]" in packed


def test_a_stranger_verifies_it_and_shows_it(telling, tmp_path):
    """Another machine: without the specs, the data or the results of whoever made it."""
    stranger = World(tmp_path)
    stranger.specs.mkdir()
    folder = tmp_path / "submission"
    shutil.copytree(telling.root / "submission", folder)
    told = stranger.run("submit", "verify", "submission")
    assert told.code == 0, told.err
    assert "scores computed again from predictions: 36 same." in told.out
    (command,) = [line.removeprefix("shown by: bench ") for line in told.out.splitlines() if "shown by" in line]
    shown = stranger.run(*command.split(), "--json")
    assert shown.code == 0, shown.err
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as mine:
        patch.setenv("HOME", str(telling.root))
        assert call(telling, "leaderboard", "tiny", "--json") == 0
    rows = shown.json[0]["rows"]
    assert {row.pop("evidence") for row in rows} == {"re-scored"}
    assert [row | {"evidence": "self-reported"} for row in rows] == json.loads(mine.getvalue())[0]["rows"]
    assert all(row["average"] is not None for row in shown.json[0]["rows"])


def test_a_submission_joins_the_results_of_others(telling, bench, world):
    """What was verified is copied into a results folder; runs that are there are not made again."""
    shutil.copytree(telling.root / "submission" / "runs", world.results / "runs")
    found = bench("status", "tiny", "--json")
    assert found.code == 0, found.err
    assert {run["state"] for one in found.json for run in one["runs"]} == {"done"}


def test_tampering_is_found_by_the_command(telling, bench, world):
    folder = world.root / "submission"
    shutil.copytree(telling.root / "submission", folder)
    file = next(iter(sorted(folder.glob("runs/*/*/record.json"))))
    record = json.loads(file.read_text())
    scores = next(iter(next(iter(record["scores"].values())).values()))
    next(iter(scores.values()))["value"] = 0.987
    file.write_text(json.dumps(record))
    (folder / "x\x1b[31m.txt").write_text("::error::x")
    told = bench("submit", "verify", str(folder))
    assert told.code == 4
    assert "was altered" in told.out and "is recorded as 0.987" in told.out
    assert "\x1b" not in told.out + told.err
    assert "shown by" not in told.out
    listed = bench("submit", "verify", str(folder), "--json")
    assert listed.code == 4
    assert len(listed.json["problems"]) == 3


def test_what_is_no_submission_is_a_matter_of_usage(bench):
    for place in ("nothing", "."):
        told = bench("submit", "verify", place)
        assert told.code == 2
        assert "is not a" in told.err and "what to do:" in told.err


def test_a_submission_without_a_score_measures_nothing(telling, bench, world):
    """All runs are missing, as its manifest says: nothing of it is wrong, and nothing is there."""
    folder = world.root / "submission"
    shutil.copytree(telling.root / "submission", folder)
    shutil.rmtree(folder / "runs")
    file = folder / "submission.json"
    told = json.loads(file.read_text())
    told["files"] = [one for one in told["files"] if one["path"].startswith("specs/")]
    for run in told["runs"]:
        run["state"] = "missing"
    told["complete"] = False
    told["id"] = Submission.model_validate_json(json.dumps(told)).own_id
    file.write_text(json.dumps(told))
    found = bench("submit", "verify", str(folder))
    assert found.code == 5
    assert "holds no score" in found.err
