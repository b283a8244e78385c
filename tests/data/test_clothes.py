"""Drawn clothes: colours, patterns and parts that show, and labels by name."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.drawing import clothes as drawing
from bench.data.standins import clothes
from bench.specs.dataset import DatasetSpec

from . import drawn

CATEGORY = drawn.task("category", "multiclass", drawing.CATEGORIES)
PARTS = drawn.task("parts", "multilabel", drawing.ATTRIBUTES)
TASKS = (CATEGORY, PARTS)
PLAIN = {"colour": "blue", "pattern": "pattern_solid", "sleeves": "long sleeves", "neckline": "round neckline"}
SKIN_OR_HAIR = ("no sleeves", "high skin exposure", "female")


def picture(category, *attributes, count=12, size=48, seed=1):
    """Pictures of people in one category of clothes with these attributes: [count, size, size, 3], as float."""
    flags = np.zeros((count, len(drawing.ATTRIBUTES)), bool)
    flags[:, [drawing.ATTRIBUTES.index(name) for name in attributes]] = True
    categories = np.full(count, drawing.CATEGORIES.index(category))
    return drawing.draw_clothes(categories, flags, size=size, rng=np.random.default_rng(seed)).astype(float)


def instead(attribute):
    """The plain attributes, but this one in its family (a part: besides them)."""
    family = next(name for name, values in drawing.FAMILIES.items() if attribute in values)
    return [*(value for name, value in PLAIN.items() if name != family), attribute]


def changed(category, attributes, others):
    """Mean change of each pixel [rows, columns] between two sets of attributes, by the same chance otherwise."""
    return np.abs(picture(category, *attributes) - picture(category, *others)).mean(axis=(0, 3))


# -------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("colour", drawing.PALETTE)
def test_garments_have_the_colour_of_their_label(colour):
    """The chest is nearer to the colour of the label than to any other."""
    images = picture("t-shirt", *instead(colour), count=40)
    chest = np.median(images[:, 25:30, 22:27], axis=(1, 2)) / 255
    apart = {name: np.linalg.norm(chest - rgb, axis=1) for name, rgb in drawing.PALETTE.items()}
    nearest = np.array(list(apart))[np.argmin(np.stack(list(apart.values())), axis=0)]
    assert (nearest == colour).mean() > 0.8, dict(zip(*np.unique(nearest, return_counts=True), strict=True))


def test_both_colours_of_a_label_show_in_its_pattern():
    images = picture("t-shirt", "red", "white", "pattern_stripe", "long sleeves", "round neckline", count=20)
    chest = images[:, 20:36, 20:28] / 255
    for name in ("red", "white"):
        near = np.linalg.norm(chest - drawing.PALETTE[name], axis=-1).min(axis=(1, 2))
        assert np.median(near) < 0.3
    assert np.ptp(chest[..., 1], axis=(1, 2)).min() > 0.3


def test_many_colours_are_more_than_two():
    def hues(*attributes):
        chest = (picture("t-shirt", *attributes, count=20)[:, 18:38, 17:31] / 64).astype(int)
        return np.mean([len(np.unique(one.reshape(-1, 3), axis=0)) for one in chest])

    assert hues(*instead("many_colors")) > 2 * hues(*instead("blue"))


@pytest.mark.parametrize("pattern", [name for name in drawing.FAMILIES["pattern"] if name != "pattern_solid"])
def test_patterns_show_on_the_garment_only(pattern):
    change = changed("t-shirt", [*instead(pattern), "yellow"], [*instead("pattern_solid"), "yellow"])
    assert change[18:36, 12:36].mean() > 10
    assert change[:10].mean() < 0.5


def test_patterns_look_different():
    means = [
        picture("t-shirt", *instead(name), "yellow", count=1, seed=2)[0, 18:36, 14:34]
        for name in drawing.FAMILIES["pattern"]
    ]
    for place, one in enumerate(means):
        for other in means[place + 1 :]:
            assert np.abs(one - other).mean() > 8


@pytest.mark.parametrize(
    ("attribute", "rows"),
    [
        ("v-shape neckline", slice(8, 22)),
        ("other neckline", slice(6, 20)),
        ("collar", slice(6, 20)),
        ("necktie", slice(8, 34)),
        ("placket", slice(12, 42)),
        ("scarf", slice(6, 32)),
        ("female", slice(0, 40)),
        ("no sleeves", slice(10, 38)),
        ("short sleeves", slice(16, 38)),
    ],
)
def test_parts_show_where_they_belong(attribute, rows):
    family = next(name for name, values in drawing.FAMILIES.items() if attribute in values)
    before = list(PLAIN.values()) if family == "parts" else instead(PLAIN[family])
    change = changed("shirt", instead(attribute), before)
    assert change.sum() > 200
    assert change[rows].sum() > 0.9 * change.sum()


def test_bare_skin_shows():
    skin = picture("t-shirt", *PLAIN.values(), "high skin exposure", count=20)
    dressed = picture("t-shirt", *PLAIN.values(), count=20)
    assert (skin - dressed)[:, 10:40, 16:32, 0].mean() > 10  # skin is redder than the blue shirt


def test_categories_look_different():
    means = [picture(name, *PLAIN.values(), count=6).mean(0) for name in drawing.CATEGORIES]
    for place, one in enumerate(means):
        for other in means[place + 1 :]:
            assert np.abs(one - other).mean() > 1


def test_skirts_of_dresses_widen():
    def blue(category):
        images = picture(category, *PLAIN.values(), count=20)
        return (images[:, 44:, :, 2] > images[:, 44:, :, 0] + 60).mean()

    assert blue("dress") > 0.4
    assert blue("shirt") < 0.1


@pytest.mark.parametrize("size", [16, 33, 64])
def test_pictures_are_rgb_bytes_of_the_size_asked_for(size):
    assert picture("suit", *PLAIN.values(), count=3, size=size).shape == (3, size, size, 3)


def test_wrong_input_is_refused():
    flags, rng = np.zeros((2, len(drawing.ATTRIBUTES)), bool), np.random.default_rng(0)
    with pytest.raises(ValueError, match="size must be"):
        drawing.draw_clothes(np.zeros(2, int), flags, size=300, rng=rng)
    with pytest.raises(ValueError, match="attributes must have shape"):
        drawing.draw_clothes(np.zeros(3, int), flags, size=16, rng=rng)
    with pytest.raises(ValueError, match="categories must be 0 to 6, got -1 to 0"):
        drawing.draw_clothes(np.array([0, -1]), flags, size=16, rng=rng)


# -------------------------------------------------------------------------------------------------- the generator


def test_the_same_request_draws_the_same():
    drawn.assert_draws_the_same(drawn.request("clothes", TASKS, images=(1100, 12, 20)))


def test_how_many_are_painted_at_once_does_not_show(monkeypatch):
    drawn.assert_parts_leave_no_trace(drawn.request("clothes", TASKS, size=33), monkeypatch)


def test_labels_go_by_name():
    drawn.assert_names_decide("clothes", TASKS)


def test_missing_labels_change_no_picture():
    drawn.assert_missing_labels_change_no_picture("clothes", TASKS)


def test_the_table_belongs_to_the_copy():
    table = clothes.usual_shares("clothing_attributes")
    np.testing.assert_array_equal(table, clothes.usual_shares("clothing_attributes"))
    assert not np.array_equal(table, clothes.usual_shares("other"))
    assert ((table > 0) & (table < 1)).all()
    start = 0
    for family in ("colour", "pattern", "sleeves", "neckline"):
        width = len(drawing.FAMILIES[family])
        np.testing.assert_allclose(table[:, start : start + width].sum(1), 1)
        start += width


def test_labels_follow_the_table_of_the_copy():
    table = drawn.labels_of(drawn.request("clothes", TASKS, images=(20_000, 12, 20), source="clothing_attributes"))
    categories, parts = table.tasks["category"], table.tasks["parts"]
    start = drawing.ATTRIBUTES.index("pattern_floral")  # what stands before are colours, of which there may be two
    counted = np.stack([parts[categories == place][:, start:].mean(0) for place in range(len(drawing.CATEGORIES))])
    assert np.abs(counted - clothes.usual_shares("clothing_attributes")[:, start:]).max() < 0.05
    assert np.abs(counted - clothes.usual_shares("other")[:, start:]).max() > 0.1


def test_families_have_one_value_and_colours_up_to_two():
    parts = drawn.labels_of(drawn.request("clothes", TASKS, images=(2000, 12, 20))).tasks["parts"]
    start = 0
    for family in ("colour", "pattern", "sleeves", "neckline"):
        count = parts[:, start : start + len(drawing.FAMILIES[family])].sum(1)
        assert count.min() == 1
        assert count.max() == (2 if family == "colour" else 1)
        start += len(drawing.FAMILIES[family])
    many = parts[:, drawing.ATTRIBUTES.index("many_colors")] == 1
    assert many.any()
    assert not parts[many][:, : len(drawing.PALETTE)].any()


def test_who_wears_the_clothes_is_not_known():
    assert set(drawn.labels_of(drawn.request("clothes", TASKS)).groups.tolist()) == {""}


def test_what_clothes_cannot_show_is_told():
    odd = drawn.task("odd", "multilabel", ("collar", "plackets"))
    found = drawn.problems(drawn.request("clothes", (odd, CATEGORY), missing={"odd": 0.1}))
    assert found == [
        "name: clothes do not show 1 of the labels of 'odd': 'plackets'; did you mean 'placket' or 'black'?"
    ]


@pytest.mark.parametrize("name", ["clothing_attributes", "clothing_categories", "clothing_parts"])
def test_the_shipped_data_sets_are_drawn_whole(name):
    spec = drawn.CATALOG.get(DatasetSpec, name)
    tasks = [drawn.CATALOG.get(drawn.TaskSpec, task) for task in spec.tasks]
    asked = drawn.request("clothes", tasks, images=(600, 12, 20))
    assert drawn.problems(asked) == []
    for task in tasks:
        for label, values in drawn.by_name(asked, drawn.labels_of(asked), task.name):
            assert 0 < values.mean() < 1, label


def test_a_linear_model_reads_categories_and_most_attributes():
    accuracies, orders = drawn.readable(drawn.request("clothes", TASKS, images=(1000, 12, 500), size=48))
    assert accuracies["category"] > 0.55
    assert len(orders) > 25
    assert np.mean([order > 0.65 for order in orders.values()]) > 0.8
