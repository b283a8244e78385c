"""The static site: what stands in it, how it comes about, and what names cannot do to it."""

from __future__ import annotations

import csv
import json
import re
import signal
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.disagreement import confusion, disagreements, predicted
from bench.analysis.pareto import pareto_front
from bench.analysis.transfer import Transfer, Verdict
from bench.reports.site.drawing import around, element, tick_text
from bench.reports.site.figures import by_seed, forest
from bench.reports.site.folder import MARKER
from bench.reports.site.pages import for_reading, verdict_badge
from bench.reports.site.placing import placed
from bench.reports.site.spreadsheet import safe_csv
from bench.reports.table import STANDIN_WARNING, Table
from bench.runs.plan import Cell

NASTY = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """Links, ids, scripts and tables of one page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.text = file.read_text("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        if "id" in found:
            self.ids.append(found["id"])
        if tag in ("script", "style") and "src" not in found:
            self.inline.append(tag)
        self.inline += [key for key in found if key.startswith("on") or key == "style"]


@pytest.fixture(scope="module")
def site(finished, tmp_path_factory):
    from ..runs.worlds import call

    out = tmp_path_factory.mktemp("site") / "site"
    assert call(finished, "site", "build", "tiny", "--out", str(out)) == 0
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_there_is_a_page_for_the_suite_and_for_every_cell(site, pages):
    found = {str(file.relative_to(site)) for file in pages}
    assert {"index.html", "tiny/index.html", "tiny/verdicts.html", "tiny/data.html"} <= found
    cells = {
        f"tiny/cells/{where}.tiny_net.{method}.html"
        for where in ("tiny_faces.expression", "tiny_units.action_units")
        for method in ("single_task", "multi_task", "distribution_matching")
    }
    assert cells == {name for name in found if "/cells/" in name}


def test_every_link_within_the_site_leads_to_a_file_and_none_to_the_root_of_a_disk(site, pages):
    for file, page in pages.items():
        for link in page.links:
            if link.startswith(("http://", "https://")):
                continue
            place, fragment = urldefrag(link)
            assert not place.startswith("/"), link
            target = (file.parent / unquote(place)).resolve() if place else file
            assert target.is_file(), f"{file}: {link}"
            assert target.is_relative_to(site)
            if fragment:
                assert fragment in pages[target].ids


def test_only_links_that_a_reader_follows_leave_the_site(pages):
    for page in pages.values():
        assert not re.findall(r'<(?:script|link|img|source|iframe)[^>]*(?:src|href)="https?:', page.text)


def test_every_page_says_that_data_are_stand_ins(pages):
    headline, rest = STANDIN_WARNING.split(": ", 1)
    for file, page in pages.items():
        body = page.text.partition("<body>")[2]
        assert f"<strong>{headline}:</strong>" in body and rest in body, file


def test_no_page_has_scripts_or_styles_of_its_own_and_its_policy_forbids_them(pages):
    for file, page in pages.items():
        assert page.inline == [], file
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page.text)
        assert policy and "default-src 'none'" in policy[1] and "unsafe" not in policy[1]


def test_ids_are_unique_on_each_page(pages):
    for file, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), file


def test_every_picture_has_a_text_alternative_and_every_figure_its_data(pages):
    pictures = 0
    for file, page in pages.items():
        for picture in re.findall(r'<svg class="plot".*?</svg>', page.text, re.S):
            pictures += 1
            named = re.search(r'aria-labelledby="(\S+) (\S+)"', picture)
            assert named and f'<title id="{named[1]}">' in picture and f'<desc id="{named[2]}">' in picture
        for figure in re.findall(r"<figure.*?</figure>", page.text, re.S):
            link = re.search(r'class="csv" href="([^"]+)"', figure)
            assert link and (file.parent / unquote(link[1])).is_file()
    assert pictures > 20


def test_the_leaderboard_is_that_of_the_command_and_so_is_its_csv(site, ask):
    (board,) = ask("leaderboard", "tiny", "--json").json
    text = (site / "tiny" / "index.html").read_text("utf-8")
    table = text[text.index('<table id="leaderboard"') : text.index("</table>")]
    rows = re.findall(r"<tr[ >].*?</tr>", table.partition("<tbody>")[2], re.S)
    assert [re.search(r'<th scope="row">(\w+)', row)[1] for row in rows] == [row["method"] for row in board["rows"]]
    with (site / "tiny" / "data" / "leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    for line in lines:
        entry = next(
            entry
            for row in board["rows"]
            for entry in row["entries"]
            if (entry["cell"]["method"], entry["cell"]["dataset"]) == (line["method"], line["dataset"])
        )
        assert float(line["mean"]) == entry["mean"]
        assert f'data-value="{entry["mean"]}"' in table
        assert line["warning"] == STANDIN_WARNING


def test_a_cell_tells_its_runs_scores_and_how_it_was_made(site, finished):
    text = (site / "tiny/cells/tiny_faces.expression.tiny_net.multi_task.html").read_text("utf-8")
    records = [json.loads(file.read_text("utf-8")) for file in finished.results.glob("runs/standin/*/record.json")]
    mine = [record for record in records if record["run"]["method"] == "multi_task"]
    assert len(mine) == 2
    for record in mine:
        assert record["id"] in text
        assert f"{record['scores']['tiny_faces']['expression']['macro_f1']['value']:.4f}" in text
    assert "bench run --suite tiny" in text
    assert mine[0]["environment"]["packages"]["torch"] in text


def test_a_cell_shows_intervals_and_what_vouches_for_it(site, ask):
    text = (site / "tiny/cells/tiny_faces.expression.tiny_net.multi_task.html").read_text("utf-8")
    rows = [
        row
        for row in ask("score", "tiny", "--json").json[0]["rows"]
        if (row["dataset"], row["method"], row["metric"]) == ("tiny_faces", "multi_task", "macro_f1")
    ]
    assert len(rows) == 2
    for row in rows:
        assert f"[{row['interval']['low']:.3f}, {row['interval']['high']:.3f}]" in text
        assert f"{row['interval']['clusters']} {row['unit']}" in text
    assert text.count(">re-scored</td>") == 2 and "self-reported</td>" not in text
    assert "not audited" in text and "none needed" in text and "standin, fingerprint" in text
    assert (site / "tiny/index.html").read_text("utf-8").count(">re-scored</td>") == 3


def test_ranks_are_those_of_the_command(site, ask):
    (told,) = ask("transfer", "tiny", "--json").json
    with (site / "tiny/data/ranks.csv").open(encoding="utf-8", newline="") as stream:
        shown = {(line["method"], int(line["rank"])): float(line["probability"]) for line in csv.DictReader(stream)}
    rows = told["ranking"]["rows"]
    assert shown == {(row["method"], i + 1): p for row in rows for i, p in enumerate(row["probabilities"])}
    picture = (site / "tiny/index.html").read_text("utf-8").partition('id="figure-ranks"')[2].partition("</figure>")[0]
    for row in rows:
        assert f"{row['probabilities'][0]:.0%}" in picture or row["probabilities"][0] < 0.005


def test_a_score_that_its_predictions_do_not_bear_out_is_left_out(redo, done):
    file = next(f for f in sorted(done.results.glob("runs/standin/*/record.json")) if "multi_task" in f.read_text())
    content = json.loads(file.read_text("utf-8"))
    content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] = 0.987654
    file.write_text(json.dumps(content), "utf-8")
    assert redo("site", "build", "tiny", "--out", str(done.root / "site")).code == 0
    text = (done.root / "site/tiny/index.html").read_text("utf-8")
    assert "0.988" not in text and "1 not what their predictions say" in text


def test_published_numbers_stand_apart_and_inject_nothing(redo, done):
    folder = done.results / "published"
    folder.mkdir()
    (folder / "somebody.yaml").write_text(
        f"""
kind: published
name: somebody
title: Somebody
source: {{citation: '{NASTY.replace("'", "")}', url: https://example.org/paper}}
unit: percent
remarks: other images
results:
  - {{method: Their Net, dataset: tiny_units, task: action_units, metric: mean_f1, value: 61.5, where: Table 3}}
""",
        "utf-8",
    )
    (folder / "broken.yaml").write_text("kind: published\n", "utf-8")
    answer = redo("site", "build", "tiny", "--out", str(done.root / "site"))
    assert answer.code == 0 and "broken.yaml" in answer.err
    text = (done.root / "site/tiny/index.html").read_text("utf-8")
    board, apart = (
        text[text.index(f'<table id="{name}"') :].partition("</table>")[0] for name in ("leaderboard", "published")
    )
    assert "Their Net" not in board and "0.615" in apart and "Table 3" in apart
    assert "<script>alert" not in text and "not at all with the numbers of stand-ins" in text


def test_as_many_records_are_left_out_as_the_command_leaves_out(redo, done):
    truncated, newer, contradicted, unproven, *_ = (
        file
        for file in sorted(done.results.glob("runs/standin/*/record.json"))
        if json.loads(file.read_text("utf-8"))["run"]["method"] != "single_task"
    )
    truncated.write_text(truncated.read_text("utf-8")[:200], "utf-8")
    newer.write_text(json.dumps(json.loads(newer.read_text("utf-8")) | {"record_version": 999}), "utf-8")
    content = json.loads(contradicted.read_text("utf-8"))
    content["scores"]["tiny_faces"]["expression"]["macro_f1"]["value"] = 0.987654
    contradicted.write_text(json.dumps(content), "utf-8")
    for file in unproven.parent.glob("*.parquet"):
        file.unlink()
    (board,) = redo("leaderboard", "tiny", "--rescored", "--json").json
    refused = board["others"]["refused"]
    assert len(refused) == 3 and board["others"]["unproven"] == [unproven.parent.name]
    assert redo("site", "build", "tiny", "--out", str(done.root / "site")).code == 0
    text = (done.root / "site/tiny/index.html").read_text("utf-8")
    told = re.search(r"cannot be trusted: (\d+) records \((.*?)\)", text)
    assert told and told[1] == "3" and set(told[2].split(", ")) == {f"{n} {why}" for why, n in refused.items()}
    assert f"missing of 1 runs, such as {unproven.parent.name}" in text


EXAMPLE = re.compile(
    r'alt="Test image ([^"]+)".*?<dt>true</dt><dd>([^<]*)</dd>.*?<dt>together</dt><dd>(.*?)</dd>'
    r".*?<dt>alone</dt><dd>(.*?)</dd>",
    re.S,
)


def answered(finished, method, dataset, task):
    """Of the first seed, by image: which known labels are there in truth, and which are predicted."""
    for file in finished.results.glob("runs/standin/*/record.json"):
        run = json.loads(file.read_text("utf-8"))["run"]
        predictions = file.parent / f"{dataset}.{task}.parquet"
        if run["method"] == method and run["seed"] == 0 and predictions.exists():
            found = pq.read_table(predictions).to_pylist()
            labels = next(one["labels"] for one in run["tasks"] if one["name"] == task)
            return {row["image"]: labelled(row, labels) for row in found}
    raise AssertionError(method)


def labelled(row, labels):
    if isinstance(row["reference"], int):
        return {labels[row["reference"]]}, {labels[int(np.argmax(row["scores"]))]}, set(labels)
    known = {label for label, value in zip(labels, row["reference"], strict=True) if value >= 0}
    true = {label for label, value in zip(labels, row["reference"], strict=True) if value == 1}
    return true, {label for label, p in zip(labels, row["scores"], strict=True) if p >= 0.5} & known, known


@pytest.mark.parametrize(("dataset", "task"), [("tiny_faces", "expression"), ("tiny_units", "action_units")])
def test_examples_are_images_on_which_the_twins_differ_and_only_who_is_wholly_right_is_ticked(
    site, finished, dataset, task
):
    shown = 0
    for method in ("multi_task", "distribution_matching"):
        text = (site / f"tiny/cells/{dataset}.{task}.tiny_net.{method}.html").read_text("utf-8")
        one, other = (answered(finished, who, dataset, task) for who in (method, "single_task"))
        examples = EXAMPLE.findall(text)
        shown += len(examples)
        differing = re.search(r"they differ on (\d+) of 24", text)
        assert len(examples) == (min(int(differing[1]), 24) if differing else 0)
        for image, truth, *sides in examples:
            true, *_ = one[image]
            wrong = [len(answers[image][1] ^ true) for answers in (one, other)]
            assert one[image][1] != other[image][1]
            for side, mine, others in zip(sides, wrong, reversed(wrong), strict=True):
                assert ("✓" in side) == (mine == 0), (image, side)
                assert ("closer" in side) == (0 < mine < others), (image, side)
            if all(wrong):  # then every label that somebody has wrong is named, and so is why nobody is ticked
                assert truth != re.sub(r"\s*<.*", "", sides[0], flags=re.S) != ""
        assert ("closer” by" in text) == (task == "action_units" and bool(examples))
    assert shown or task == "expression"  # two networks this small may name the same class of every image


def test_a_site_is_replaced_as_a_whole(redo, done):
    out = done.root / "site"
    assert redo("site", "build", "tiny", "--out", str(out)).code == 0
    (out / "stale.html").write_text("old", "utf-8")
    assert redo("site", "build", "--out", str(out)).code == 0
    assert not (out / "stale.html").exists() and (out / "index.html").is_file()
    assert [entry.name for entry in done.root.iterdir() if entry.name.startswith(".site")] == []


def test_what_is_no_site_is_left_alone(redo, done):
    out = done.root / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work", "utf-8")
    answer = redo("site", "build", "tiny", "--out", str(out))
    assert answer.code == 2 and "is not a site of bench" in answer.err
    assert [entry.name for entry in out.iterdir()] == ["thesis.tex"]


def test_a_build_that_fails_leaves_the_older_site(redo, done, monkeypatch):
    out = done.root / "site"
    assert redo("site", "build", "tiny", "--out", str(out)).code == 0
    before = (out / "index.html").read_text("utf-8")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.reports.site.pages.relatedness_map", fail)
    assert redo("site", "build", "tiny", "--out", str(out)).code == 4
    assert (out / "index.html").read_text("utf-8") == before
    assert {entry.name for entry in done.root.iterdir() if "site" in entry.name} == {"site"}


def test_serve_shows_the_site_on_this_machine_alone_and_ends_with_ctrl_c(redo, done):
    process = done.process("site", "serve", "tiny", "--port", "0", "--out", str(done.root / "site"))
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("http://127.0.0.1:"))
        address = line.split()[0]
        with urllib.request.urlopen(address + "tiny/index.html") as page:
            assert page.status == 200 and b"A suite for tests" in page.read()
        port = int(address.rstrip("/").rpartition(":")[2])
        busy = redo("site", "serve", "tiny", "--port", str(port), "--out", str(done.root / "other"))
        assert busy.code == 2 and f"port {port} cannot be used" in busy.err and "--port" in busy.err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and "stopped" in out and "Traceback" not in err
    finally:
        process.kill()
        process.communicate()


def test_nothing_measured_is_said(bench):
    answer = bench("site", "build")
    assert answer.code == 5 and "nothing is measured" in answer.err


def test_what_cannot_be_read_is_told_and_the_rest_is_shown(redo, done):
    record = next(done.results.glob("runs/standin/*/record.json"))
    record.write_text(record.read_text("utf-8")[:200], "utf-8")
    answer = redo("site", "build", "tiny", "--out", str(done.root / "site"))
    assert answer.code == 0 and "left out" in answer.err
    assert record.parent.name in (done.root / "site" / "index.html").read_text("utf-8")
    for file in ("index.html", "tiny/data.html"):  # a site travels: where its results lay is nobody's business
        assert str(done.results) not in (done.root / "site" / file).read_text("utf-8")


def test_altered_predictions_are_told_and_not_shown(redo, done):
    for file in done.results.glob("runs/standin/*/tiny_faces.expression.parquet"):
        file.write_bytes(b"nothing")
    assert redo("site", "build", "tiny", "--out", str(done.root / "site")).code == 0
    text = (done.root / "site/tiny/cells/tiny_faces.expression.tiny_net.multi_task.html").read_text("utf-8")
    assert "Predictions are left out" in text and '<ul class="examples">' not in text
    assert str(done.results) not in text


def test_titles_licences_and_citations_inject_nothing(redo, done):
    done.change("tiny", "A suite for tests", NASTY.replace('"', "").replace("'", ""))
    done.change("tiny_faces", "licence: none needed", "licence: '<img src=x onerror=alert(2)>'")
    done.change("tiny_faces", "citation: none", "citation: '</pre><script>alert(3)</script>'")
    assert redo("site", "build", "tiny", "--out", str(done.root / "site")).code == 0
    for file in (done.root / "site").rglob("*.html"):
        text = file.read_text("utf-8")
        assert "<script>alert" not in text and "<img src=x" not in text
        assert Page(file).inline == []
    assert "&lt;script&gt;alert(3)" in (done.root / "site/tiny/data.html").read_text("utf-8")


def test_pictures_escape_names():
    figure = by_seed("seeds", {0: 0.5}, {0: 0.4}, NASTY, higher=True)
    assert figure is not None and "<script" not in figure.svg and "&lt;script&gt;" in figure.svg
    assert 'x="&#34;&gt;"' in element("g", "", x='">')


def judged(*intervals):
    """A report of cells with these intervals, on one task."""
    cells = [
        Verdict(
            Cell("faces", "expression", "net", f"method_{i}"), "single_task", "macro_f1", True, (0, 1, 2), 0.5, 0.5,
            (low + high) / 2, low, high, 1.0, 1.0, 0.02, 0.1, 5, "inconclusive", 3, (),
        )
        for i, (low, high) in enumerate(intervals)
    ]  # fmt: skip
    return Transfer("many", "real", False, "single_task", len(cells), tuple(cells), (), ())


def drawn_intervals(report):
    """How many there are, how many arrows, and the ends of each in pixels."""
    figure = forest(report)
    assert figure is not None
    ends = re.findall(r'<line x1="([\d.-]+)" y1="[\d.]+" x2="([\d.-]+)" y2="[\d.]+" class="interval">', figure.svg)
    return figure.svg.count('class="interval open"'), [(float(a), float(b)) for a, b in ends]


def test_the_axis_of_the_forest_holds_all_intervals():
    arrows, ends = drawn_intervals(judged((-0.307, 0.192), (-0.223, 0.130), (-0.01, 0.01)))
    assert arrows == 0
    widths = [b - a for a, b in ends]
    assert widths == pytest.approx([widths[0], widths[0] * 0.353 / 0.499, widths[0] * 0.02 / 0.499], abs=0.2)


def test_only_an_interval_that_is_far_wider_than_the_others_ends_in_arrows():
    ordinary = [(-0.05, 0.05)] * 6
    arrows, ends = drawn_intervals(judged(*ordinary, (-3.0, 3.2)))
    assert arrows == 2 and ends[-1][1] - ends[-1][0] < 3 * (ends[0][1] - ends[0][0])


def test_the_forest_says_that_intervals_are_not_adjusted_as_verdicts_are():
    figure = forest(judged((0.01, 0.05), (0.02, 0.04)))
    assert figure is not None
    assert "alone, at 95 %" in figure.caption and "adjusted over the 2 cells of the suite (Holm)" in figure.caption


def test_a_verdict_is_a_mark_and_a_word():
    assert verdict_badge("harm") == '<span class="verdict v-harm"><span aria-hidden="true">▼</span> harm</span>'


fields = st.builds(str.__add__, st.sampled_from(["", "=", "+", "-", "@", " =", "\t@"]), st.text(max_size=8))


@given(st.lists(fields, min_size=1, max_size=4))
def test_no_field_of_a_csv_is_a_formula_and_every_row_stays_one(cells):
    text = safe_csv(Table("t", tuple(f"c{i}" for i in range(len(cells))), (tuple(cells),)))
    header, row = csv.reader(text.splitlines())
    assert len(row) == len(header) == len(cells)
    for cell in row:
        if cell.lstrip().startswith(("=", "+", "-", "@")):
            float(cell)  # a number, or it is a formula


def test_numbers_stay_numbers_in_a_csv():
    assert safe_csv(Table("t", ("a", "b"), (("-0.5", "=1+1"),))) == '"a","b"\n"-0.5","\'=1+1"\n'


points = st.lists(st.tuples(st.integers(1, 9).map(float), st.integers(0, 9).map(float)), max_size=12)


@given(points)
def test_the_front_holds_exactly_what_nothing_beats(found):
    def beaten(i):
        cost, quality = found[i]
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in found)

    assert sorted(pareto_front(found)) == [i for i in range(len(found)) if not beaten(i)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_scale_holds_its_numbers_and_its_ticks_lie_within(values):
    scale = around(values, 0, 200)
    assert all(-1e-6 <= scale(value) <= 200 + 1e-6 for value in values)
    assert all(scale.low - 1e-6 * abs(scale.low) <= tick <= scale.high + 1e-6 * abs(scale.high) for tick in scale.ticks)


@given(st.floats(1e-3, 1e4), st.floats(1.0, 1e4))
def test_a_logarithmic_scale_has_two_ticks_or_more(low, ratio):
    scale = around([low, low * ratio], 0, 760, log=True)
    assert len(scale.ticks) >= 2
    assert all(scale.low * (1 - 1e-9) <= tick <= scale.high * (1 + 1e-9) for tick in scale.ticks)


places = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), min_size=1, max_size=25)


@given(places, st.booleans())
def test_labels_overlap_neither_each_other_nor_what_is_taken(spots, farther):
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    labels = placed(spots, [60.0] * len(spots), taken, (0, 0, 300, 200), farther=farther)
    boxes = [label.box for label in labels if label is not None]
    assert len(labels) == len(spots)
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0 and top >= 0 and right <= 300 and bottom <= 200
        for a, b, c, d in [*boxes[i + 1 :], *taken]:
            assert right <= a or c <= left or bottom <= b or d <= top


def test_a_crowded_mark_has_its_label_farther_away_with_a_leader():
    spots = [(150.0, 100.0 + 4 * i) for i in range(8)]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    beside = placed(spots, [60.0] * 8, taken, (0, 0, 300, 300), farther=False)
    labels = placed(spots, [60.0] * 8, taken, (0, 0, 300, 300), farther=True)
    assert None in beside and None not in labels
    assert [label.leader is None for label in labels] != [True] * 8


def test_a_column_that_says_the_same_in_every_row_is_a_note():
    rows = (("a", "0.1", "0.02", "= equivalent"), ("b", "0.2", "0.02", "▼ harm"))
    table = Table("t", ("method", "score", "margin", "verdict"), rows, numeric=frozenset({1, 2}), optional=("margin",))
    read = for_reading(table)
    assert read.headers == ("method", "verdict", "score") and read.rows[1] == ("b", "▼ harm", "0.2")
    assert read.notes == ("In every row: margin 0.02.",) and read.numeric == {2}
    one = for_reading(Table("t", table.headers, rows[:1], optional=("margin",)))
    assert "margin" in one.headers


def test_ticks_read_well():
    assert [tick_text(v) for v in (0.1 + 0.2, 1000, -0.25, 1e-17)] == ["0.3", "1,000", "−0.25", "0"]


def test_a_confusion_matrix_counts_annotated_images_by_true_and_predicted_class():
    scores = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 0]]
    references = np.array([0, 1, 2, -1, 0], dtype=np.int32)
    assert confusion(scores, references).tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_an_attribute_is_predicted_where_the_metrics_say_so():
    """At a half, too: two networks may well say so of one image."""
    from bench.metrics.mean_accuracy import Metric

    scores, references = np.array([[0.5], [0.49]], np.float32), np.array([[1], [1]], np.int8)
    assert predicted(scores, references).tolist() == [[1], [0]]
    right = (predicted(scores, references) == references).mean()
    assert right == Metric.score(scores, references)[0] == 0.5


def test_disagreements_take_turns_and_skip_what_is_not_annotated():
    def certain(classes):
        return np.eye(3, dtype=np.float32)[classes]

    references = np.array([0, 0, 0, 1, -1, 2], dtype=np.int32)
    first, second = certain([0, 0, 1, 1, 0, 2]), certain([1, 1, 0, 0, 1, 2])
    found, total = disagreements(first, second, references, 3)
    assert total == 4  # row 4 has no answer, row 5 no difference
    assert [(d.row, d.first_right, d.second_right) for d in found] == [(0, 1, 0), (2, 0, 1), (1, 1, 0)]


def test_disagreements_of_several_labels_count_the_labels_that_are_right():
    references = np.array([[1, 0, 1], [1, -1, 0]], dtype=np.int8)
    first = np.array([[0.9, 0.1, 0.9], [0.9, 0.9, 0.1]], dtype=np.float32)
    second = np.array([[0.1, 0.9, 0.9], [0.9, 0.1, 0.1]], dtype=np.float32)
    found, total = disagreements(first, second, references, 24)
    assert total == 1 and (found[0].row, found[0].first_right, found[0].second_right) == (0, 3, 1)


def test_a_site_has_a_marker(site):
    assert (site / MARKER).is_file()
