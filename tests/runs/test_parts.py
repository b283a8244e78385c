"""What specs are put together from: every part is told with where it comes from, and its options with defaults."""

from __future__ import annotations

import pytest

from bench.runs.parts import PARTS, describe_part, parts_of
from bench.specs.components import load_part, part_names

MODULES = [kind for kind in PARTS if kind != "augmentation"]


@pytest.mark.parametrize("kind", PARTS)
def test_list_shows_all_parts_of_a_kind(bench, kind):
    done = bench("list", kind, "--json")
    assert (done.code, done.err) == (0, "")
    assert all(part.keys() == {"kind", "name", "about", "origin", "fault"} for part in done.json)
    names = [part["name"] for part in done.json]
    assert set(names) == set(part_names(PARTS[kind][0]) if kind in MODULES else ("shift", "flip", "color"))
    assert all(len(part["about"]) > 20 and "\n" not in part["about"] for part in done.json)
    table = bench("list", kind)
    assert table.code == 0
    assert all(f"  {name} " in table.out for name in names)


@pytest.mark.parametrize(("kind", "name"), [(kind, part.name) for kind in PARTS for part in parts_of(kind)])
def test_every_part_is_described_with_all_its_options(kind, name):
    part = describe_part(kind, name)
    if kind in MODULES:
        module = load_part(*PARTS[kind][:1], name, kind)
        model = getattr(module, "Options", None)
        assert [option.name for option in part.options] == list(model.model_fields if model else ())
        assert part.text.startswith(module.__doc__.strip().split("\n")[0])
    assert all(option.type and "anything" not in option.type for option in part.options)


def test_show_tells_options_with_defaults(bench):
    done = bench("show", "term/distribution_matching")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["form", "positive", "|", "bernoulli", "|", "kl", '"bernoulli"'] in rows
    assert ["weight", "number", ">=", "0", "1.0"] in rows
    assert "needs relatedness: True" in done.out
    assert "task type: multilabel" in bench("show", "metric/mean_f1").out
    assert bench("show", "augmentation/shift", "--json").json["options"][0]["type"] == "number >= 0 <= 1"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("term/supervized", "term 'supervized' is unknown; did you mean 'supervised'"),
        ("term/../../etc", "term '../../etc' is unknown"),
        ("term/", "term '' is unknown"),
        ("metric/_local", "metric '_local' is unknown"),
        ("augmentation/turn", "augmentation 'turn' is unknown"),
        ("terms/supervised", "kind of spec 'terms' is unknown; did you mean 'term'"),
    ],
)
def test_a_part_that_there_is_not_is_told_with_the_nearest(bench, name, said):
    done = bench("show", name)
    assert done.code == 2
    assert said in done.err


def test_a_kind_that_there_is_not_is_told_with_the_nearest(bench):
    assert "did you mean 'metric'" in bench("list", "metrics").err
