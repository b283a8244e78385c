"""Numbers of papers: shown apart with their source, never ranked, and never as if they were of stand-ins."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from bench.analysis.standings import standings
from bench.reports.leaderboard import leaderboard_records, leaderboard_table
from bench.reports.published import published_table
from bench.runs.plan import plan
from bench.runs.records import read_record
from bench.specs.catalog import open_catalog
from bench.specs.references import published_numbers

HOSTILE = r"<script>x</script> \input{x} | [red]a[/] =1+1"
FILE = f"""
kind: published
name: somebody
title: Somebody
source: {{citation: '{HOSTILE}', doi: 10.1000/xyz}}
unit: percent
remarks: '{HOSTILE}'
results:
  - {{method: '{HOSTILE}', dataset: tiny_units, task: action_units, metric: mean_f1, value: 61.5, where: Table 3}}
  - {{method: Other, backbone: Big Net, dataset: tiny_faces, task: expression, metric: accuracy, value: 7, where: p. 4}}
"""


def write(world, text=FILE, name="somebody"):
    folder = world.results / "published"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(text)
    return file


@pytest.fixture
def read(done, monkeypatch):
    for name, value in done.variables.items():
        monkeypatch.setenv(name, value)
    return lambda: published_numbers(done.results / "published", open_catalog([]))


@pytest.fixture
def real_board(done, monkeypatch):
    """A board as it would be of photographs."""
    for name, value in done.variables.items():
        monkeypatch.setenv(name, value)
    (one,) = plan(open_catalog([]), "tiny")
    records = {folder.name: read_record(folder) for folder in (done.results / "runs" / "standin").iterdir()}
    return replace(standings(one, records), standin=False, provenance="real")


def test_below_real_numbers_they_stand_apart_and_change_nothing(done, read, real_board):
    write(done)
    published, problems = read()
    assert not problems
    without, table = leaderboard_table(real_board), leaderboard_table(real_board, published=published)
    assert table.rows[:-1] == without.rows and table.bold == without.bold and table.apart == 1
    row = dict(zip(table.headers, table.rows[-1], strict=True))
    assert (row["rank"], row["average"], row["method"]) == ("–", "–", HOSTILE)
    assert row["tiny_units\naction_units\nmean_f1"] == "0.615 (Table 3)"
    assert row["source"] == "published, not comparable: somebody"
    assert any("10.1000/xyz" in note for note in table.notes)
    *lines, last = leaderboard_records(real_board, published=published).rows
    assert tuple(lines) == leaderboard_records(real_board).rows and len(last) == len(lines[0])
    assert (last[1], last[9]) == ("published", "0.615")
    apart = published_table(real_board, published)
    assert apart.rows[0][3:6] == (HOSTILE, "–", "0.615") and "not with the numbers above" in apart.notes[0]


def test_of_stand_ins_they_are_a_table_of_their_own_that_says_so(done, redo):
    plain = {form: redo("leaderboard", "tiny", "--format", form).out for form in ("csv", "md", "terminal")}
    (before,) = redo("leaderboard", "tiny", "--json").json
    write(done)
    assert redo("leaderboard", "tiny", "--format", "csv").out == plain["csv"]
    (after,) = redo("leaderboard", "tiny", "--json").json
    (told,) = after.pop("published")
    assert before.pop("published") == [] and after == before
    assert (told["source"], told["dataset"], told["value"], told["where"]) == (
        "somebody",
        "tiny_units",
        0.615,
        "Table 3",
    )
    for form in ("md", "terminal"):
        told = redo("leaderboard", "tiny", "--format", form).out
        assert told.startswith(plain[form].rstrip())
        assert "not at all with the numbers of stand-ins above" in told and "0.615" in told
    assert "0.070" not in told  # accuracy is no column of this board


def test_their_names_inject_nothing(done, redo):
    write(done)
    assert "<script" not in redo("leaderboard", "tiny", "--format", "html").out
    assert r"\input" not in redo("leaderboard", "tiny", "--format", "latex").out
    assert HOSTILE in redo("leaderboard", "tiny").out
    assert "<script" not in redo("leaderboard", "tiny", "--format", "md").out


def test_a_formula_as_name_is_none_in_csv(done, read, real_board):
    write(done, FILE.replace(f"method: '{HOSTILE}'", "method: '=1+1'"))
    from bench.reports.table import to_csv

    published, _ = read()
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard_records(real_board, published=published)))))
    assert rows[-1]["method"] == "'=1+1"


MISTAKES = {
    "value: 61.5": ("value: 161.5", r"somebody\.yaml:\d+:\d+: results: results\[0\] is 161.5, more than 100"),
    "dataset: tiny_units": (
        "dataset: tiny_unit",
        r"results\[0\]\.dataset: dataset 'tiny_unit' is unknown; did you mean",
    ),
    "task: action_units": ("task: expression", r"does not annotate 'expression'"),
    "metric: mean_f1": ("metric: mean_f2", r"has no metric 'mean_f2'; did you mean 'mean_f1'"),
    ", doi: 10.1000/xyz": ("", "give `url` or `doi`"),
    ", where: Table 3": ("", "where: this key is needed"),
    "unit: percent": ("unit: permille", "'permille' is not allowed"),
}


@pytest.mark.parametrize("old", MISTAKES)
def test_mistakes_are_told_with_their_place_and_the_file_is_left_out(done, read, redo, old):
    new, said = MISTAKES[old]
    write(done, FILE.replace(old, new))
    published, problems = read()
    assert "somebody" not in [one.name for one in published] and re.search(said, "\n".join(map(str, problems)))
    told = redo("leaderboard", "tiny")
    assert told.code == 0 and "0.615" not in told.out
    assert "left out:" in told.err and "somebody.yaml:" in told.err


def test_what_is_shipped_reads_well(tmp_path):
    found, problems = published_numbers(tmp_path / "none", open_catalog([]))
    assert found and not problems


def test_the_same_source_twice_is_told(done, read, redo):
    write(done)
    write(done, name="copy")
    published, problems = read()
    assert published == () and "already defined" in str(problems[0])
    assert redo("leaderboard", "tiny").code == 0
