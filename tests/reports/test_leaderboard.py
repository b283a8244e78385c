"""Leaderboard, transfer, status and why: the same numbers in every form, and what they stand on."""

from __future__ import annotations

import csv
import io
import json

import pytest

from bench.analysis.others import Others
from bench.reports.leaderboard import leaderboard_records, leaderboard_table
from bench.reports.table import STANDIN_WARNING, number
from bench.reports.transfer import outcome_text
from bench.runs.records import read_record

CELL = "tiny_units/action_units/tiny_net/multi_task"


def csv_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def markdown_rows(text):
    """Cells of a Markdown table's rows, without the header."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture
def board(ask):
    (found,) = ask("leaderboard", "tiny", "--json").json
    return found


def test_csv_has_the_numbers_of_the_standings_in_full(ask, board):
    rows = csv_rows(ask("leaderboard", "tiny", "--format", "csv").out)
    entries = [(row, entry) for row in board["rows"] for entry in row["entries"]]
    assert len(rows) == len(entries) == 6
    for line, (row, entry) in zip(rows, entries, strict=True):
        assert (line["method"], line["dataset"], line["task"]) == (
            row["method"],
            entry["cell"]["dataset"],
            entry["cell"]["task"],
        )
        assert int(line["rank"]) == row["rank"]
        assert [float(line[key]) for key in ("mean", "low", "high")] == [entry[key] for key in ("mean", "low", "high")]
        assert (int(line["seeds"]), line["verdict"]) == (entry["n"], entry["outcome"] or "")
        assert float(line["images"]) == row["cost"]["images"]
        assert line["warning"] == STANDIN_WARNING
        assert line["data"] == board["data"][line["dataset"]]


def test_markdown_and_terminal_have_the_same_numbers_rounded(ask, board):
    rows = markdown_rows(ask("leaderboard", "tiny", "--format", "md").out)
    shown = ask("leaderboard", "tiny").out
    assert len(rows) == len(board["rows"])
    for cells, row in zip(rows, board["rows"], strict=True):
        assert cells[:4] == [str(row["rank"]), "tiny\\_net", row["method"].replace("_", "\\_"), number(row["average"])]
        line = next(line for line in shown.splitlines() if f" {row['method']} " in line)
        for entry, cell in zip(row["entries"], cells[5:7], strict=True):
            half = number((entry["high"] - entry["low"]) / 2)
            assert cell.strip("*").startswith(f"{number(entry['mean'])} ± {half}")
            assert f"{number(entry['mean'])} ± {half}" in line
        assert number(row["average"]) in line


def test_the_mean_is_that_of_the_records(finished, board):
    records = [read_record(folder) for folder in (finished.results / "runs" / "standin").iterdir()]
    for row in board["rows"]:
        for entry in row["entries"]:
            dataset, task = entry["cell"]["dataset"], entry["cell"]["task"]
            found = [r.score(dataset, task, entry["metric"]) for r in records if r.run.method == row["method"]]
            values = [score.value for score in found if score is not None]
            assert len(values) == entry["n"] == 2
            assert entry["mean"] == pytest.approx(sum(values) / 2)


def test_files_left_behind_hold_what_the_commands_show(finished, ask):
    folder = finished.results / "leaderboards"
    assert sorted(file.name for file in folder.iterdir()) == [
        "tiny.standin.csv",
        "tiny.standin.md",
        "tiny.standin.ranks.csv",
        "tiny.standin.transfer.csv",
    ]
    assert (folder / "tiny.standin.csv").read_text() == ask("leaderboard", "tiny", "--format", "csv").out
    page = (folder / "tiny.standin.md").read_text()
    assert page.startswith(ask("leaderboard", "tiny", "--format", "md").out.rstrip())
    assert page.count(STANDIN_WARNING) == 4
    verdicts = csv_rows((folder / "tiny.standin.transfer.csv").read_text())
    (report,) = ask("transfer", "tiny", "--json").json
    assert [line["verdict"] for line in verdicts] == [outcome_text(v["outcome"]) for v in report["verdicts"]]
    assert {line["warning"] for line in verdicts} == {STANDIN_WARNING}
    ranks = csv_rows((folder / "tiny.standin.ranks.csv").read_text())
    told = {(row["method"], i + 1): p for row in report["ranking"]["rows"] for i, p in enumerate(row["probabilities"])}
    assert {(line["method"], int(line["rank"])): float(line["probability"]) for line in ranks} == told


def test_transfer_shows_the_verdicts_of_the_analysis(ask):
    (report,) = ask("transfer", "tiny", "--json").json
    shown = ask("transfer", "tiny").out
    assert shown.count(STANDIN_WARNING) == 6
    assert "Ranks under resampling of seeds: tiny" in shown
    assert len(report["ranking"]["rows"]) == 3
    lines = [line for line in shown.splitlines() if any(f" {task} " in line for task in ("expression", "action_units"))]
    assert len(lines) == len(report["verdicts"]) == report["family"] == 4
    for line, verdict in zip(lines, report["verdicts"], strict=True):
        for key in ("reference_score", "score"):
            assert number(verdict[key]) in line
        assert f"{number(verdict['difference'], sign=True)} [" in line
        assert outcome_text(verdict["outcome"]) in line
        assert verdict["difference"] == pytest.approx(verdict["score"] - verdict["reference_score"])


def test_every_metric_is_judged_when_asked_and_the_family_grows(ask):
    (report,) = ask("transfer", "tiny", "--metrics", "all", "--json").json
    assert report["family"] > 4
    assert sum(verdict["primary"] for verdict in report["verdicts"]) == 4


def test_a_row_with_a_missing_run_is_unranked_and_says_why(done, redo):
    records = {f: json.loads((f / "record.json").read_text()) for f in (done.results / "runs" / "standin").iterdir()}
    folder = next(f for f, r in records.items() if r["run"]["method"] == "multi_task" and r["run"]["seed"] == 1)
    (folder / "record.json").unlink()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    (board,) = redo("leaderboard", "tiny", "--json").json
    rows = {row["method"]: row for row in board["rows"]}
    assert (rows["multi_task"]["rank"], rows["multi_task"]["average"], rows["multi_task"]["cost"]) == (None, None, None)
    assert sorted(row["rank"] for row in rows.values() if row["rank"]) == [1, 2]
    last = markdown_rows(redo("leaderboard", "tiny", "--format", "md").out)[-1]
    assert last[0] == last[3] == "–"
    assert last[5].count("n=1 of 2: no result") == 1
    lines = csv_rows(redo("leaderboard", "tiny", "--format", "csv").out)
    assert [line["rank"] for line in lines if line["method"] == "multi_task"] == ["", ""]
    assert "missing: 2 results" in redo("transfer", "tiny").out


def test_hostile_titles_neither_break_nor_command(done, redo):
    done.change("tiny", "A suite for tests", '"<b>[red]a|b[/] \\u202e[31m\\nsecond :cat:"')
    page = redo("leaderboard", "tiny", "--format", "md").out
    assert page.splitlines()[0] == "## &lt;b>[red]a\\|b[/]  [31m second :cat: (tiny)"
    shown = redo("leaderboard", "tiny").out
    assert "<b>[red]a|b[/]  [31m second :cat: (tiny)" in shown
    assert "\u202e" not in shown + page + redo("list", "suite").out
    assert redo("leaderboard", "tiny", "--json").json[0]["title"].startswith("<b>[red]a|b[/] \u202e[31m\n")


def test_status_has_a_row_for_each_run(ask, finished):
    shown = ask("status", "tiny")
    assert "Runs of tiny: 8 done" in shown.out
    for folder in (finished.results / "runs" / "standin").iterdir():
        assert shown.out.count(folder.name) == 1
    assert STANDIN_WARNING in shown.out


def test_why_tells_what_a_cell_stands_on(ask, finished):
    told = ask("why", "tiny", CELL)
    assert told.code == 0
    out = told.out
    runs = {entry["id"]: entry for entry in ask("why", "tiny", CELL, "--json").json}
    assert len(runs) == 2 and {entry["seed"] for entry in runs.values()} == {0, 1}
    for run_id, entry in runs.items():
        assert run_id in out
        assert entry["record"]["id"] == run_id
        assert number(entry["record"]["scores"]["tiny_units"]["action_units"]["mean_f1"]["value"], 4) in out
        file = finished.results / "runs" / "standin" / run_id / "tiny_units.action_units.parquet"
        assert file.is_file()
        assert f"predictions: {file} (24 rows)" in out
    record = next(iter(runs.values()))["record"]
    assert "command: bench run --suite tiny" in out
    assert record["environment"]["git"]["commit"][:10] in out
    for part in ("packages: python 3", "torch ", "hardware: system", "terms: supervised", '"timm":"test_resnet"'):
        assert part in out
    assert '"learning_rate":0.001' in out and '"steps":6' in out
    assert "data: tiny_faces " in out
    assert STANDIN_WARNING in out


def test_the_command_can_be_typed_again(done, redo):
    spaced = done.root / "more specs"
    spaced.mkdir()
    assert redo("run", "--suite", "tiny", "--seeds", "3", "--specs", str(spaced)).code == 0
    told = redo("why", "tiny", CELL, "--seeds", "3")
    assert f"command: bench run --suite tiny --seeds 3 --specs '{spaced}'" in told.out


def test_why_gives_intervals_and_says_what_was_scored_again(ask, redo, done):
    cell = "tiny_faces/expression/tiny_net/multi_task"
    rows = [
        row
        for row in ask("score", "tiny", "--json").json[0]["rows"]
        if (row["dataset"], row["method"], row["metric"]) == ("tiny_faces", "multi_task", "macro_f1")
    ]
    told = ask("why", "tiny", cell).out
    for row in rows:
        assert f"[{row['interval']['low']:.3f}, {row['interval']['high']:.3f}]" in told
    assert told.count("re-scored") == 2
    gone = next(done.results.glob(f"runs/standin/{rows[0]['run']}/tiny_faces.*.parquet"))
    gone.unlink()
    told = redo("why", "tiny", cell)
    assert (told.code, told.out.count("re-scored"), told.out.count("self-reported")) == (0, 1, 1)
    assert "not scored" in told.err and gone.name in told.err


def test_rescored_rows_say_so_and_altered_ones_are_left_out(ask, redo, done):
    (plain,), (board,) = (ask("leaderboard", "tiny", *more, "--json").json for more in ([], ["--rescored"]))
    assert [row["evidence"] for row in plain["rows"]] == ["self-reported"] * 3
    assert [row["evidence"] for row in board["rows"]] == ["re-scored"] * 3
    assert [row["average"] for row in board["rows"]] == [row["average"] for row in plain["rows"]]
    file = next(f for f in sorted(done.results.glob("runs/standin/*/record.json")) if "multi_task" in f.read_text())
    content = json.loads(file.read_text("utf-8"))
    content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] = 0.987654
    file.write_text(json.dumps(content), "utf-8")
    (board,) = redo("leaderboard", "tiny", "--rescored", "--json").json
    assert board["others"]["refused"] == {"not what their predictions say": 1}
    (row,) = [row for row in board["rows"] if row["method"] == "multi_task"]
    assert (row["rank"], row["average"]) == (None, None)


def test_why_of_a_cell_that_is_not_there_names_the_nearest(ask):
    told = ask("why", "tiny", "tiny_units/action_units/tiny_net/multitask")
    assert told.code == 2
    assert f"did you mean '{CELL}'" in told.err
    assert "write DATASET/TASK/BACKBONE/METHOD" in told.err


@pytest.mark.parametrize(
    "command", [("leaderboard", "tiny"), ("transfer", "tiny"), ("why", "tiny", CELL), ("leaderboard", "tiny", "--json")]
)
def test_where_nothing_is_measured_that_is_said_with_a_code_of_its_own(bench, command):
    told = bench(*command)
    assert told.code == 5
    assert told.out == ""
    assert "`bench run --suite tiny`" in told.err


def test_why_in_json_of_nothing_is_nothing_measured_too(bench):
    assert bench("why", "tiny", CELL, "--json").code == 5


def test_tables_are_made_of_the_analysis_and_nothing_else(finished, monkeypatch):
    from bench.analysis.standings import standings
    from bench.runs.plan import plan
    from bench.specs.catalog import open_catalog

    for name, value in finished.variables.items():
        monkeypatch.setenv(name, value)
    (one,) = plan(open_catalog([]), "tiny")
    records = {f.name: read_record(f) for f in (finished.results / "runs" / "standin").iterdir()}
    board = standings(one, records, others=Others({"other specs": 3}))
    table = leaderboard_table(board)
    assert [row[2] for row in table.rows] == [row.method for row in board.rows]
    assert any("left out: 3 records" in note for note in table.notes)
    assert len(leaderboard_records(board).rows) == sum(len(row.entries) for row in board.rows)


def test_every_option_of_the_leaderboard_shows(ask):
    def methods(*options):
        return [
            row[2].replace("\\_", "_")
            for row in markdown_rows(ask("leaderboard", "tiny", "--format", "md", *options).out)
        ]

    assert methods("--sort", "method") == sorted(methods())
    assert methods("--sort", "-method") == sorted(methods(), reverse=True)
    assert methods("--filter", "method=*single*", "--filter", "method=dist*", "--sort", "method") == [
        "distribution_matching",
        "single_task",
    ]
    assert methods("--reference", "single_task", "--sort", "rank")[0] == "single_task"
    (board,) = ask("leaderboard", "tiny", "--reference", "multi_task", "--json").json
    (report,) = ask("transfer", "tiny", "--reference", "multi_task", "--json").json
    entries = {str(entry["cell"]): entry["outcome"] for row in board["rows"] for entry in row["entries"]}
    judged = {str(verdict["cell"]): verdict["outcome"] for verdict in report["verdicts"]}
    assert len(judged) == 4 and {cell: entries[cell] for cell in judged} == judged
    assert sum(outcome is None for outcome in entries.values()) == 2
    shown = ask("leaderboard", "tiny", "--reference", "multi_task", "--format", "md").out
    assert "verdict against multi\\_task" in shown
    assert len(methods("--by", "dataset")) == 6 + 2  # two tables: header and rule of the second are lines too
    lines = csv_rows(ask("leaderboard", "tiny", "--by", "method", "--format", "csv").out)
    assert {line["backbone"] for line in lines} == {""} and len(lines) == 6
    assert ask("leaderboard", "tiny", "--format", "json").out == ask("leaderboard", "tiny", "--json").out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sort", "avrage"), "did you mean 'average'"),
        (("--filter", "methods=x"), "did you mean 'method'"),
        (("--filter", "method"), "is not KEY=GLOB"),
        (("--filter", "method=x*"), "method 'x*' is unknown"),
        (("--reference", "multitask"), "did you mean 'multi_task'"),
        (("--by", "task", "--filter", "dataset=tiny_units"), "average over every dataset"),
    ],
)
def test_what_cannot_be_shown_is_a_mistake_of_use(ask, options, said):
    told = ask("leaderboard", "tiny", *options)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


@pytest.mark.parametrize("form", ["html", "latex", "md", "csv", "terminal"])
def test_hostile_titles_and_licences_are_text_in_every_form(done, redo, form):
    nasty = "<script>x</script> ] \\\\input{x} ![i](http://e.org) \\u202e[31m"
    done.change("tiny", "A suite for tests", f'"{nasty}"')
    done.change("tiny_faces", "licence: none needed", f'licence: "{nasty}"')
    told = redo("leaderboard", "tiny", "--format", form)
    assert told.code == 0 and "\u202e" not in told.out + told.err
    if form in ("html", "md"):
        assert "<script" not in told.out
    if form == "md":
        assert "](" not in told.out
    if form == "latex":
        assert "\\input" not in told.out and told.out.isascii()
