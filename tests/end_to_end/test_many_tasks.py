"""A suite of four tasks over four data sets, related in every way, whose label spaces differ: to its verdicts."""

from __future__ import annotations

import json
import math

import pytest

SHOES = """
    kind: dataset
    name: {name}
    title: Shoes
    domain: shopping
    source: some_shoes
    tasks: {{{tasks}}}
    standin: {{name: shoes, images: {{train: {train}, validation: 24, test: 24}}}}
    licence: none needed
    home_page: https://example.org/
    citation: none
"""
CLOTHES = SHOES.replace("Shoes", "Clothes").replace("shoes", "clothes")
ATTRIBUTES = """
    kind: task
    name: {name}
    title: Attributes
    type: multilabel
    labels: [{labels}]
    metrics: [mean_f1]
    primary: mean_f1
    chance: 0.3
"""
CUT = ("no sleeves", "short sleeves", "long sleeves", "collar", "necktie", "placket")
STYLE = ("female", "high skin exposure", "black", "pattern_plaid")
SPECS = {
    "cut": ATTRIBUTES.format(name="cut", labels=", ".join(CUT)),
    "style": ATTRIBUTES.format(name="style", labels=", ".join(STYLE)),
    "all_shoes": SHOES.format(name="all_shoes", tasks="shoe_type: {}, shoe_category: {}", train=200),
    "fine_shoes": SHOES.format(name="fine_shoes", tasks="shoe_type: {}", train=48),
    "coarse_shoes": SHOES.format(
        name="coarse_shoes", tasks="shoe_category: {labels: [shoes, boots, sandals]}", train=48
    ),
    "all_clothes": CLOTHES.format(name="all_clothes", tasks="cut: {}, style: {}", train=200),
    "cut_clothes": CLOTHES.format(
        name="cut_clothes", tasks="cut: {labels: [no sleeves, short sleeves, long sleeves, collar]}", train=48
    ),
    "style_clothes": CLOTHES.format(name="style_clothes", tasks="style: {}", train=48),
    "categories_of_types": """
        kind: relatedness
        name: categories_of_types
        title: Categories of types
        first_task: shoe_type
        second_task: shoe_category
        origin: {type: estimated, dataset: all_shoes}
    """,
    "style_of_cut": """
        kind: relatedness
        name: style_of_cut
        title: Style by cut, counted
        first_task: cut
        second_task: style
        origin: {type: estimated, dataset: all_clothes, least_difference: 0.2}
    """,
    "cut_of_style": """
        kind: relatedness
        name: cut_of_style
        title: Cut by style, known
        first_task: style
        second_task: cut
        origin: {type: knowledge, source: a guess}
        probabilities:
          high skin exposure: {no sleeves: 0.8, long sleeves: 0.05}
          female: {necktie: 0.02}
        given_absent:
          high skin exposure: {no sleeves: 0.15, long sleeves: 0.6}
          female: {necktie: 0.3}
    """,
    "together": """
        kind: method
        name: together
        title: Every way of coupling at once
        type: joint
        labels:
          - name: co_annotation
        terms:
          - {name: supervised, absent_classes: left_out}
          - name: distribution_matching
          - name: soft_co_annotation
    """,
    "many": """
        kind: suite
        name: many
        title: Many tasks
        datasets: [fine_shoes, coarse_shoes, cut_clothes, style_clothes]
        relatedness: [categories_of_types, style_of_cut, cut_of_style]
        backbones: [tiny_net]
        methods: [single_task, multi_task, together]
        budget: tiny_budget
        margins: {macro_f1: 0.05, mean_f1: 0.05}
    """,
}


@pytest.fixture
def many(world):
    for name, text in SPECS.items():
        world.write(name, text)
    return world


def test_a_suite_of_many_tasks_runs_to_its_verdicts(many, bench):
    assert bench("validate", "many").err == ""
    done = bench("run", "--suite", "many")
    assert done.code == 0, done.err
    records = [json.loads(file.read_text()) for file in many.results.glob("runs/standin/*/record.json")]
    assert [record["status"] for record in records] == ["done"] * 12

    record = next(r for r in records if r["run"]["method"] == "together")
    related = {pair["name"]: pair for pair in record["run"]["relatedness"]}
    assert list(related) == ["categories_of_types", "style_of_cut", "cut_of_style"]
    assert related["categories_of_types"]["absent"] is None
    assert set(related["categories_of_types"]["covered"]) == {"shoes", "boots", "sandals", "slippers"}
    assert related["cut_of_style"]["absent"][1] == [0.15, 0.6, None]

    possible = {source["dataset"]: source["possible"] for source in record["run"]["sources"]}
    assert possible["coarse_shoes"] == {"shoe_category": ["shoes", "boots", "sandals"]}
    assert possible["cut_clothes"] == {"cut": ["no sleeves", "short sleeves", "long sleeves", "collar"]}
    assert possible["fine_shoes"] == possible["style_clothes"] == {}

    losses = record["curve"][-1]["losses"]
    assert {f"distribution_matching.{name}" for name in related} <= losses.keys()
    assert {f"soft_co_annotation.{name}" for name in related} <= losses.keys()
    assert all(math.isfinite(value) for value in losses.values())

    # What a data set does not annotate is in no average: neither the class nor the attributes.
    category = record["scores"]["coarse_shoes"]["shoe_category"]["macro_f1"]
    assert category["per_label"]["slippers"] is None
    shown = [value for value in category["per_label"].values() if value is not None]
    assert category["value"] == pytest.approx(sum(shown) / len(shown))
    cut = record["scores"]["cut_clothes"]["cut"]["mean_f1"]["per_label"]
    assert [label for label in CUT if cut[label] is None] == ["necktie", "placket"]

    (verdicts,) = bench("transfer", "many", "--seeds", "1", "--json").json
    cells = {(v["cell"]["dataset"], v["cell"]["task"], v["cell"]["method"]) for v in verdicts["verdicts"]}
    assert cells == {
        (dataset, task, method)
        for dataset, task in (
            ("fine_shoes", "shoe_type"),
            ("coarse_shoes", "shoe_category"),
            ("cut_clothes", "cut"),
            ("style_clothes", "style"),
        )
        for method in ("multi_task", "together")
    }
    assert all(v["outcome"] in {"harm", "benefit", "equivalent", "inconclusive"} for v in verdicts["verdicts"])
    board = bench("leaderboard", "many", "--seeds", "1", "--json").json[0]
    assert sorted(row["rank"] for row in board["rows"]) == [1, 2, 3]


def test_pairs_of_attributes_are_shown_with_what_they_were_counted_on(many, bench):
    shown = bench("show", "style_of_cut", "--out", "map.png")
    assert shown.code == 0, shown.err
    assert (many.root / "map.png").stat().st_size > 1000
    told = bench("show", "style_of_cut", "--json").json["derived"]
    assert told["standin"] is True
    present, absent = told["probabilities"], told["given_absent"]
    differences = []
    for cut, row in present.items():
        for style, p in row.items():
            share = (told["held"][cut][style] + 1) / (told["known"][cut][style] + 2)
            assert p == pytest.approx(share)
            assert told["known"][cut][style] + told["known_absent"][cut][style] == 200
            differences.append(p - absent[cut][style])
            assert abs(differences[-1]) >= 0.2
    assert differences
    strongest = max(differences, key=abs)
    rows = [line.split() for line in shown.out.splitlines() if line.split()[-1:] and line.split()[-1].isdigit()]
    assert len(rows) == len(differences)
    assert f"{strongest:+.2f}" in rows[0]


def test_known_pairs_of_attributes_are_shown(many, bench):
    file = many.root / "map.svg"
    shown = bench("show", "cut_of_style", "--out", str(file))
    assert shown.code == 0, shown.err
    assert "<svg" in file.read_text()
    lines = [line.split() for line in shown.out.splitlines()]
    start = next(place for place, line in enumerate(lines) if line[:2] == ["style", "cut"])
    assert lines[start + 2 : start + 5] == [
        ["high", "skin", "exposure", "no", "sleeves", "0.80", "0.15", "+0.65"],
        ["high", "skin", "exposure", "long", "sleeves", "0.05", "0.60", "-0.55"],
        ["female", "necktie", "0.02", "0.30", "-0.28"],
    ]
    assert "from a guess" in shown.out
    told = bench("show", "cut_of_style", "--json").json["derived"]
    assert told["given_absent"]["high skin exposure"] == {"no sleeves": 0.15, "long sleeves": 0.6}
    assert told["probabilities"]["female"] == {"necktie": 0.02}
