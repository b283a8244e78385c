"""Drawn portraits: attributes that show, people who stay themselves, and labels by name."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.drawing import portraits as drawing
from bench.data.standins import portraits
from bench.specs.dataset import SPLITS

from . import drawn

PEOPLE = drawn.task("people", "multiclass", [str(number) for number in range(1, 61)])
PARTS = drawn.task("parts", "multilabel", drawing.ATTRIBUTES)
TASKS = (PEOPLE, PARTS)
WOMAN = ("Young", "Attractive", "No_Beard", "Brown_Hair")
MAN = (*WOMAN, "Male")
ON_MEN = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns", "Wearing_Necktie", "Bald", "Receding_Hairline")
TOP, MIDDLE, BOTTOM = slice(0, 18), slice(14, 34), slice(26, 48)


def picture(*attributes, count=16, size=48, seed=1):
    """Portraits of people with these attributes: [count, size, size, 3], as float."""
    flags = np.zeros((count, len(drawing.ATTRIBUTES)), bool)
    flags[:, [drawing.ATTRIBUTES.index(name) for name in attributes]] = True
    rng = np.random.default_rng(seed)
    return drawing.draw_portraits(flags, drawing.draw_people(count, rng), size=size, rng=rng).astype(float)


def changed(attribute):
    """Mean change of each pixel [rows, columns] that one attribute makes, by the same chance otherwise."""
    before = MAN if attribute in ON_MEN else WOMAN
    after = [name for name in before if name != attribute]
    if len(after) == len(before):
        after.append(attribute)
    if attribute in drawing.HAIR_COLOURS:
        after = [name for name in after if name == attribute or name not in drawing.HAIR_COLOURS]
    if attribute in ("Goatee", "Mustache"):
        after.remove("No_Beard")
    return np.abs(picture(*after) - picture(*before)).mean(axis=(0, 3))


# -------------------------------------------------------------------------------------------------- pictures


def test_attributes_are_the_forty_of_celeba_in_order():
    assert len(drawing.ATTRIBUTES) == 40
    assert list(drawing.ATTRIBUTES) == sorted(drawing.ATTRIBUTES)
    assert (drawing.ATTRIBUTES[0], drawing.ATTRIBUTES[-1]) == ("5_o_Clock_Shadow", "Young")


@pytest.mark.parametrize("attribute", [name for name in drawing.ATTRIBUTES if name != "Brown_Hair"])
def test_each_attribute_shows(attribute):
    assert changed(attribute).mean() > 0.12  # lips are some thirty of 2,304 pixels


@pytest.mark.parametrize(
    ("attribute", "rows"),
    [
        ("Wearing_Hat", TOP),
        ("Bangs", TOP),
        ("Receding_Hairline", TOP),
        ("Arched_Eyebrows", MIDDLE),
        ("Bushy_Eyebrows", MIDDLE),
        ("Eyeglasses", MIDDLE),
        ("Narrow_Eyes", MIDDLE),
        ("Bags_Under_Eyes", MIDDLE),
        ("Big_Nose", MIDDLE),
        ("Pointy_Nose", MIDDLE),
        ("Rosy_Cheeks", MIDDLE),
        ("Smiling", BOTTOM),
        ("Mouth_Slightly_Open", BOTTOM),
        ("Wearing_Lipstick", BOTTOM),
        ("Big_Lips", BOTTOM),
        ("Goatee", BOTTOM),
        ("Mustache", BOTTOM),
        ("Double_Chin", BOTTOM),
        ("Wearing_Necklace", BOTTOM),
        ("Wearing_Necktie", BOTTOM),
    ],
)
def test_attributes_show_where_they_belong(attribute, rows):
    change = changed(attribute)
    assert change[rows].sum() > 0.85 * change.sum()


@pytest.mark.parametrize(("attribute", "colour"), drawing.HAIR_COLOURS.items())
def test_hair_has_the_colour_of_its_label(attribute, colour):
    images = picture("Young", "No_Beard", attribute, count=40)
    crown = images[:, 6:8, 20:28].mean(axis=(1, 2)) / 255
    colours = np.array(list(drawing.HAIR_COLOURS.values()))
    nearest = np.linalg.norm(crown[:, None] - colours, axis=2).argmin(1)
    assert (colours[nearest] == colour).all(axis=1).mean() > 0.9


def test_what_is_blurred_has_no_edges():
    def edges(*attributes):
        images = picture(*attributes)
        return np.abs(np.diff(images, axis=1)).mean() - 2  # what noise makes, about

    assert edges(*WOMAN, "Blurry") < 0.6 * edges(*WOMAN)


def test_a_beard_of_no_name_is_a_full_one():
    """It covers more of the face than a goatee."""
    clean = picture(*MAN)
    others = [name for name in MAN if name != "No_Beard"]
    full, goatee = (np.abs(picture(*others, *more) - clean).mean() for more in ((), ("Goatee",)))
    assert full > 1.5 * goatee


@pytest.mark.parametrize("size", [16, 33, 64])
def test_pictures_are_rgb_bytes_of_the_size_asked_for(size):
    assert picture(*WOMAN, "Blurry", count=3, size=size).shape == (3, size, size, 3)


def test_wrong_input_is_refused():
    flags, rng = np.zeros((2, 40), bool), np.random.default_rng(0)
    people = drawing.draw_people(2, rng)
    with pytest.raises(ValueError, match="size must be"):
        drawing.draw_portraits(flags, people, size=15, rng=rng)
    with pytest.raises(ValueError, match="attributes must have shape"):
        drawing.draw_portraits(flags[:, 1:], people, size=16, rng=rng)
    with pytest.raises(ValueError, match="people must have shape"):
        drawing.draw_portraits(flags, people[:1], size=16, rng=rng)
    with pytest.raises(ValueError, match="people must lie in"):
        drawing.draw_portraits(flags, people + 2, size=16, rng=rng)


# -------------------------------------------------------------------------------------------------- people


def test_people_belong_to_the_copy_and_not_to_their_number():
    few, many, others = portraits.people_of("celeba", 5), portraits.people_of("celeba", 9), portraits.people_of("x", 5)
    np.testing.assert_array_equal(few.looks, many.looks[:5])
    np.testing.assert_array_equal(few.attributes, many.attributes[:5])
    assert all(np.array_equal(few.habits[name], many.habits[name][:5]) for name in few.habits)
    assert not np.array_equal(few.looks, others.looks)


def test_a_person_keeps_what_does_not_change_and_changes_the_rest():
    table = drawn.labels_of(drawn.request("portraits", TASKS, images=(3000, 12, 20)))
    person, parts = table.tasks["people"], table.tasks["parts"]
    habits = {*portraits._HABITS, "No_Beard", "Wearing_Lipstick", "Mouth_Slightly_Open"}
    assert table.groups.tolist() == [PEOPLE.labels[number] for number in person]
    for place, name in enumerate(drawing.ATTRIBUTES):
        spread = [np.ptp(parts[person == number, place]) for number in np.unique(person)]
        assert (max(spread) == 1) == (name in habits), name


def test_data_sets_over_one_copy_show_the_same_people():
    """What never changes of a person is the same in both, and so is nothing else."""
    one, other = (
        drawn.labels_of(drawn.request("portraits", TASKS, (900, 12, 20), name=name, source="celeba"))
        for name in ("a", "b")
    )
    sex = drawing.ATTRIBUTES.index("Male")
    sexes = [
        dict(zip(t.tasks["people"].tolist(), t.tasks["parts"][:, sex].tolist(), strict=True)) for t in (one, other)
    ]
    assert sexes[0] == sexes[1]
    assert len(set(sexes[0].values())) == 2
    assert not np.array_equal(one.tasks["parts"], other.tasks["parts"])


def test_attributes_go_together_as_in_life():
    parts = drawn.labels_of(drawn.request("portraits", (PARTS,), (6000, 12, 20), people=2000)).tasks["parts"]
    has = {name: parts[:, place] == 1 for place, name in enumerate(drawing.ATTRIBUTES)}
    assert not (has["Heavy_Makeup"] & has["Male"]).any()
    assert has["No_Beard"][~has["Male"]].all()
    assert has["No_Beard"][has["Male"]].mean() < 0.9
    assert not (has["No_Beard"] & (has["Goatee"] | has["Mustache"])).any()
    assert has["Wearing_Lipstick"][has["Heavy_Makeup"]].mean() > 0.85
    assert has["Mouth_Slightly_Open"][has["Smiling"]].mean() > has["Mouth_Slightly_Open"][~has["Smiling"]].mean() + 0.2
    assert has["Gray_Hair"][~has["Young"]].mean() > has["Gray_Hair"][has["Young"]].mean() + 0.2
    assert sum(has[name] for name in drawing.HAIR_COLOURS).max() == 1
    assert not (has["Bald"] & sum(has[name] for name in drawing.HAIR_COLOURS).astype(bool)).any()
    assert all(0.005 < column.mean() < 0.95 for column in has.values())


def test_all_people_are_in_all_splits_where_they_are_annotated():
    asked = drawn.request("portraits", TASKS, images=(600, 500, 500), people=12)
    for split in SPLITS:
        assert set(drawn.labels_of(asked, split).tasks["people"].tolist()) == set(range(12))


@pytest.mark.parametrize("people", [3, 4, 17])
def test_otherwise_each_person_is_in_one_split_only(people):
    asked = drawn.request("portraits", (PARTS,), images=(400, 300, 300), people=people)
    groups = {split: set(drawn.labels_of(asked, split).groups.tolist()) for split in SPLITS}
    assert all(groups.values())
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == people


def test_all_people_are_in_all_splits_where_the_protocol_says_so():
    """So that the half of a copy that only has attributes shows the people whom the other half names."""
    asked = drawn.request("portraits", (PARTS,), images=(600, 500, 500), people=12, closed_set=True)
    assert {len(set(drawn.labels_of(asked, split).groups)) for split in SPLITS} == {12}
    (problem,) = drawn.problems(drawn.request("portraits", TASKS, closed_set=False))
    assert problem.startswith("closed_set: who somebody is")


def test_people_whom_the_task_does_not_name_are_missing():
    few = drawn.task("few", "multiclass", ["2", "1"])
    asked = drawn.request("portraits", (few,), images=(300, 12, 20), people=4)
    table = drawn.labels_of(asked)
    meant = {"1": 1, "2": 0, "3": -1, "4": -1}
    assert table.tasks["few"].tolist() == [meant[group] for group in table.groups]


def test_portraits_of_one_person_are_alike():
    images, table = drawn.whole(drawn.request("portraits", TASKS, images=(120, 6, 8), size=32))
    pixels = images[:, 4:28, 6:26].reshape(120, -1).astype(float)
    apart = np.sqrt(((pixels[:, None] - pixels[None]) ** 2).mean(2))
    person = table.tasks["people"]
    same = person[:, None] == person[None]
    assert apart[same & ~np.eye(120, dtype=bool)].mean() < 0.8 * apart[~same].mean()


# -------------------------------------------------------------------------------------------------- the generator


def test_the_same_request_draws_the_same():
    drawn.assert_draws_the_same(drawn.request("portraits", TASKS, images=(1100, 12, 20)))


def test_how_many_are_painted_at_once_does_not_show(monkeypatch):
    drawn.assert_parts_leave_no_trace(drawn.request("portraits", TASKS, size=33), monkeypatch)


def test_labels_go_by_name():
    drawn.assert_names_decide("portraits", TASKS)


def test_missing_labels_change_no_picture():
    drawn.assert_missing_labels_change_no_picture("portraits", TASKS)


def test_what_portraits_cannot_show_is_told():
    odd = drawn.task("odd", "multilabel", ("Smiling", "Smilling"))
    names = drawn.task("names", "multiclass", ("1", "ann"))
    found = drawn.problems(drawn.request("portraits", (odd, names)))
    assert len(found) == 2
    assert found[0].startswith("name: portraits do not show 1 of the labels of 'names': 'ann'")
    assert "1 of the labels of 'odd': 'Smilling'; did you mean 'Smiling'" in found[1]
    assert drawn.problems(drawn.request("portraits", TASKS)) == []


def test_a_linear_model_reads_people_and_most_attributes():
    accuracies, _ = drawn.readable(drawn.request("portraits", (PEOPLE,), images=(700, 12, 300), size=48))
    assert accuracies["people"] > 0.5
    asked = drawn.request("portraits", (PARTS,), images=(1000, 12, 500), size=48, people=600)
    _, orders = drawn.readable(asked)
    assert len(orders) > 30
    assert np.mean([order > 0.7 for order in orders.values()]) > 0.8
