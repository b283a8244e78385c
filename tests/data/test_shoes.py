"""Drawn shoes: attributes that show, labels by name, and products that stay in one split."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.drawing import shoes as drawing
from bench.data.standins import shoes
from bench.specs.dataset import SPLITS, DatasetSpec
from bench.specs.relatedness import RelatednessSpec

from . import drawn

KIND = drawn.task("kind", "multiclass", drawing.TYPES)
CATEGORY = drawn.task("category", "multiclass", drawing.CATEGORIES)
PARTS = drawn.task("parts", "multilabel", drawing.ATTRIBUTES)
TASKS = (KIND, CATEGORY, PARTS)
PLAIN = ("Gender.Women", "HeelHeight.Flat", "Closure.Slip.On", "Material.Leather", "ToeStyle.Round.Toe")


def picture(kind, *attributes, count=12, size=48, seed=1):
    """Pictures of some products of one kind with these attributes: [count, size, size, 3], as float."""
    flags = np.zeros((count, len(drawing.ATTRIBUTES)), bool)
    flags[:, [drawing.ATTRIBUTES.index(name) for name in attributes]] = True
    rng = np.random.default_rng(seed)
    products, colours = drawing.draw_products(count, rng), drawing.draw_colours(count, rng)
    types = np.full(count, drawing.TYPES.index(kind))
    return drawing.draw_shoes(types, flags, products, colours, size=size, rng=rng).astype(float)


def instead(attribute):
    """The plain attributes, but this one in its family."""
    family = attribute.split(".")[0]
    return [name for name in PLAIN if name.split(".")[0] != family] + [attribute]


def extent(images):
    """Rows and columns that the shoe takes, as shares of the frame."""
    dark = images.min(axis=3) < 170
    return dark.any(2).sum(1).mean() / images.shape[1], dark.any(1).sum(1).mean() / images.shape[1]


# -------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("attribute", [name for name in drawing.ATTRIBUTES if name not in PLAIN])
def test_each_attribute_shows(attribute):
    """It changes the picture of what otherwise is the same shoe by the same chance."""
    family = attribute.split(".")[0]
    without = [name for name in PLAIN if name.split(".")[0] != family]
    kind = "oxfords" if family != "Closure" else "ankle boots"
    changed = np.abs(picture(kind, *without, attribute) - picture(kind, *without)).mean(axis=(1, 2, 3))
    assert changed.mean() > 0.25
    assert (changed > 0).all()


def test_values_of_a_family_look_different():
    for values in drawing.FAMILIES.values():
        family = next(f for f, v in drawing.FAMILIES.items() if v is values)
        means = [picture("oxfords", *instead(f"{family}.{value}"), count=6).mean(0) for value in values]
        for place, one in enumerate(means):
            for other in means[place + 1 :]:
                assert np.abs(one - other).mean() > 0.05


def test_heels_lift_the_shoe():
    heights = [extent(picture("heels", *instead(f"HeelHeight.{value}")))[0] for value in drawing.FAMILIES["HeelHeight"]]
    assert heights == sorted(heights)
    assert heights[-1] > heights[0] + 0.2


def test_boots_are_as_high_as_their_names_say():
    kinds = ("flats", "ankle boots", "mid-calf boots", "knee-high boots", "over-the-knee boots")
    heights = [extent(picture(kind, *PLAIN))[0] for kind in kinds]
    assert heights == sorted(heights)
    assert heights[-1] > heights[0] + 0.4


def test_shoes_of_children_are_shorter():
    assert (
        extent(picture("oxfords", *instead("Gender.Boys")))[1] < extent(picture("oxfords", *instead("Gender.Men")))[1]
    )


def test_sandals_let_the_ground_through():
    def dark(kind):
        return (picture(kind, *PLAIN).min(axis=3) < 170).mean()

    assert dark("flat sandals") < 0.6 * dark("loafers")


@pytest.mark.parametrize("size", [16, 33, 64])
def test_shoes_are_rgb_bytes_of_the_size_asked_for(size):
    assert picture("oxfords", *PLAIN, count=3, size=size).shape == (3, size, size, 3)


def bad_calls():
    rng = np.random.default_rng(0)
    types, flags = np.zeros(2, int), np.zeros((2, len(drawing.ATTRIBUTES)), bool)
    products, colours = drawing.draw_products(2, rng), drawing.draw_colours(2, rng)
    return {
        "size must be": (types, flags, products, colours, 15),
        "attributes must have shape": (types, flags[:, 1:], products, colours, 16),
        "products must have shape": (types, flags, products[:1], colours, 16),
        "colours must have shape": (types, flags, products, colours[:, 1:], 16),
        "types must be 0 to 20, got 0 to 21": (np.array([0, 21]), flags, products, colours, 16),
        "attributes must be bool": (types, flags.astype(int), products, colours, 16),
        "products must be float32": (types, flags, products.astype(float), colours, 16),
        "colours must lie in": (types, flags, products, colours + 2, 16),
    }


@pytest.mark.parametrize(("message", "arguments"), bad_calls().items())
def test_wrong_input_is_refused(message, arguments):
    *rows, size = arguments
    with pytest.raises(ValueError, match=message):
        drawing.draw_shoes(*rows, size=size, rng=np.random.default_rng(0))


# -------------------------------------------------------------------------------------------------- the generator


def test_the_same_request_draws_the_same():
    drawn.assert_draws_the_same(drawn.request("shoes", TASKS, images=(1100, 12, 20)))


def test_how_many_are_painted_at_once_does_not_show(monkeypatch):
    drawn.assert_parts_leave_no_trace(drawn.request("shoes", TASKS, size=33), monkeypatch)


def test_labels_go_by_name():
    drawn.assert_names_decide("shoes", TASKS)


def test_missing_labels_change_no_picture():
    drawn.assert_missing_labels_change_no_picture("shoes", TASKS)


def test_the_table_belongs_to_the_copy():
    table = shoes.usual_shares("zappos")
    np.testing.assert_array_equal(table, shoes.usual_shares("zappos"))
    assert not np.array_equal(table, shoes.usual_shares("other"))
    start = 0
    for values in drawing.FAMILIES.values():
        np.testing.assert_allclose(table[:, start : start + len(values)].sum(1), 1)
        start += len(values)
    assert table.min() > 0


def test_labels_follow_the_table_of_the_copy():
    """Data sets over one copy share it: what is counted in one is near what it says, for another copy it is not."""
    asked = drawn.request("shoes", (KIND, PARTS), images=(40_000, 12, 20), source="zappos")
    table = drawn.labels_of(asked)
    kinds, parts = table.tasks["kind"], table.tasks["parts"]
    heels = [place for place, name in enumerate(drawing.ATTRIBUTES) if name.startswith("HeelHeight")]
    counted = np.stack([parts[kinds == kind][:, heels].mean(0) for kind in range(len(drawing.TYPES))])
    assert np.abs(counted - shoes.usual_shares("zappos")[:, heels]).max() < 0.08
    assert np.abs(counted - shoes.usual_shares("other")[:, heels]).max() > 0.15


def test_all_kinds_occur_and_decide_the_category():
    table = drawn.labels_of(drawn.request("shoes", TASKS, images=(2000, 12, 20)))
    kinds, categories = table.tasks["kind"], table.tasks["category"]
    assert len(np.unique(kinds)) == len(drawing.TYPES)
    for place, name in enumerate(drawing.TYPES):
        assert {drawing.CATEGORIES[c] for c in categories[kinds == place]} == {drawing.FORMS[name].category}


def test_every_shoe_has_a_value_of_each_family_and_some_have_two():
    parts = drawn.labels_of(drawn.request("shoes", (PARTS,), images=(2000, 12, 20))).tasks["parts"]
    start = 0
    for family, values in drawing.FAMILIES.items():
        count = parts[:, start : start + len(values)].sum(1)
        assert count.min() == 1
        assert count.max() == (1 if family == "HeelHeight" else 2)
        start += len(values)


def test_products_stay_in_one_split_and_keep_their_labels():
    asked = drawn.request("shoes", TASKS, images=(200, 60, 100))
    tables = {split: drawn.labels_of(asked, split) for split in SPLITS}
    groups = {split: set(table.groups.tolist()) for split, table in tables.items()}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values()))
    table = tables["train"]
    product, names = table.groups.encoded()
    assert 1.2 < len(table) / len(names) < 5
    for name in ("kind", "parts"):
        values = table.tasks[name]
        for number in range(len(names)):
            assert len(np.unique(values[product == number], axis=0)) == 1


def test_colours_of_one_product_differ():
    images, table = drawn.whole(drawn.request("shoes", TASKS, images=(60, 6, 8), size=32))
    product, _ = table.groups.encoded()
    pairs = [(a, b) for a in range(60) for b in range(a) if product[a] == product[b]]
    apart = [np.abs(images[a].astype(float) - images[b]).mean() for a, b in pairs]
    assert np.median(apart) > 5


def test_what_shoes_cannot_show_is_told():
    odd = drawn.task("odd", "multilabel", ("Closure.Lace.up", "Closure.Lace.upp", "Insole.Padded"))
    kinds = drawn.task("odd_kinds", "multiclass", ("flats", "wings"))
    found = drawn.problems(drawn.request("shoes", (odd, kinds, PARTS), missing={"part": 0.1}))
    assert [message.partition(";")[0] for message in found] == [
        "name: shoes do not show 2 of the labels of 'odd': 'Closure.Lace.upp'",
        "name: shoes do not show 1 of the labels of 'odd_kinds': 'wings'",
        "missing.part: the data set does not annotate 'part'",
    ]
    assert "did you mean 'Closure.Lace.up'" in found[0]
    assert "did you mean 'parts'" in found[2]
    assert drawn.problems(drawn.request("shoes", TASKS)) == []


def test_a_relatedness_has_no_effect_and_is_refused():
    relatedness = drawn.CATALOG.get(RelatednessSpec, "emotion_action_units")
    assert drawn.problems(drawn.request("shoes", TASKS), relatedness) == [
        "relatedness: shoes follow a table of their own; leave the relatedness out"
    ]


@pytest.mark.parametrize("name", ["zappos", "zappos_types", "zappos_attributes"])
def test_the_shipped_data_sets_are_drawn_whole(name):
    spec = drawn.CATALOG.get(DatasetSpec, name)
    tasks = [drawn.CATALOG.get(drawn.TaskSpec, task) for task in spec.tasks]
    asked = drawn.request("shoes", tasks, images=(600, 12, 20))
    assert drawn.problems(asked) == []
    for task in tasks:
        for label, values in drawn.by_name(asked, drawn.labels_of(asked), task.name):
            assert values.any() or task.type == "multilabel", label


def test_a_linear_model_reads_kinds_and_most_attributes():
    accuracies, orders = drawn.readable(drawn.request("shoes", TASKS, images=(1000, 12, 500), size=48))
    assert accuracies["kind"] > 0.5
    assert accuracies["category"] > 0.7
    assert len(orders) > 25
    assert np.mean([order > 0.7 for order in orders.values()]) > 0.8
