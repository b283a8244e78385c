"""From raw codes to labels, and which image goes into which split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import LabelTable, Names, code_columns, from_arrow, label_counts, labels_from_codes, to_arrow
from bench.errors import DataError
from bench.specs.dataset import SPLITS

from .samples import OFFICIAL, SHARES, TASKS, assert_same_labels, dataset, label_table, raw_table

MANY = settings(max_examples=50)
PARTS = {"parts": {"columns": {"paw": "P", "ear": "E"}}}


def read(raw, **changes):
    found = labels_from_codes(raw, dataset(**changes), TASKS)
    return found.labels, found.excluded


# -------------------------------------------------------------------------------------------------- codes


def test_names_are_their_own_codes_and_blank_is_missing():
    table, excluded = read(raw_table(4, split=["train"] * 4, kind=["dog", "cat", "", " dog "]))
    assert table.tasks["kinds"].tolist() == [1, 0, -1, 1]
    assert table.tasks["kinds"].dtype == np.int32
    assert excluded == 0


def test_codes_map_to_labels_by_name():
    annotation = {"column": "kind", "codes": {"7": "cat", "3": "dog"}, "missing": ["?", "-9"]}
    table, _ = read(raw_table(4, split=["train"] * 4, kind=["3", "7", "?", "-9"]), tasks={"kinds": annotation})
    assert table.tasks["kinds"].tolist() == [1, 0, -1, -1]


def test_several_codes_may_mean_one_label():
    annotation = {"column": "kind", "codes": {"tabby": "cat", "siam": "cat", "poodle": "dog"}}
    table, _ = read(raw_table(3, split=["train"] * 3, kind=["tabby", "poodle", "siam"]), tasks={"kinds": annotation})
    assert table.tasks["kinds"].tolist() == [0, 1, 0]


def test_attributes_stand_in_the_order_of_the_task_and_unnamed_ones_are_missing():
    table, _ = read(raw_table(3, split=["train"] * 3, P=["1", "0", ""], E=["0", "", "1"]), tasks=PARTS)
    assert table.tasks["parts"].tolist() == [[0, -1, 1], [-1, -1, 0], [1, -1, -1]]
    assert table.tasks["parts"].dtype == np.int8


def test_attributes_may_have_codes_of_their_own():
    annotation = {"columns": {"ear": "E"}, "codes": {"2": "present", "1": "absent", "0": "absent"}, "missing": ["9"]}
    table, _ = read(raw_table(4, split=["train"] * 4, E=["2", "1", "0", "9"]), tasks={"parts": annotation})
    assert table.tasks["parts"][:, 0].tolist() == [1, 0, 0, -1]


def test_excluded_images_are_left_out_and_counted():
    annotation = {"column": "kind", "exclude": ["none", "?"]}
    raw = raw_table(4, split=["train", "test", "train", "val"], kind=["cat", "none", "?", "dog"])
    table, excluded = read(raw, tasks={"kinds": annotation})
    assert table.images.tolist() == ["images/000.png", "images/003.png"]
    assert table.tasks["kinds"].tolist() == [0, 1]
    assert excluded == 2


def test_one_attribute_is_enough_to_exclude_an_image():
    annotation = {"columns": {"ear": "E", "paw": "P"}, "exclude": ["x"]}
    table, excluded = read(
        raw_table(3, split=["train"] * 3, E=["1", "x", "0"], P=["x", "0", "0"]), tasks={"parts": annotation}
    )
    assert table.images.tolist() == ["images/002.png"]
    assert excluded == 2


def test_a_code_without_a_meaning_names_column_row_image_and_the_nearest_code():
    raw = raw_table(5, split=["train"] * 5, kind=["cat", "dog", "dgo", "cat", "dgo"])
    with pytest.raises(DataError) as caught:
        read(raw)
    assert caught.value.message == (
        "data set 'pets', column 'kind', row 3 (images/002.png): the code 'dgo' has no meaning for task 'kinds'; "
        "did you mean 'dog'?"
    )
    assert "tasks.kinds" in caught.value.hint


def test_a_label_that_the_data_set_is_not_said_to_annotate_has_no_meaning():
    with pytest.raises(DataError, match=r"row 2 .*'dog' has no meaning"):
        read(
            raw_table(2, split=["train"] * 2, kind=["cat", "dog"]),
            tasks={"kinds": {"column": "kind", "labels": ["cat"]}},
        )


def test_a_repeated_image_is_refused():
    raw = raw_table(3, image=["a.png", "b.png", "a.png"], split=["train"] * 3, kind=["cat"] * 3)
    with pytest.raises(DataError, match=r"the image a\.png has more than one row"):
        read(raw)


def test_columns_to_read_are_those_of_the_tasks_each_once():
    both = {"kinds": {"column": "kind"}, "parts": {"columns": {"ear": "E", "paw": "kind", "tail": "T"}}}
    assert code_columns(dataset(tasks=both), TASKS) == ["kind", "E", "T"]
    assert code_columns(dataset(tasks=both), {"parts": TASKS["parts"]}) == ["E", "kind", "T"]


# -------------------------------------------------------------------------------------------------- tables


def test_arrow_and_back():
    table = label_table()
    assert_same_labels(from_arrow(to_arrow(table)), table)


def test_take_and_counts():
    table = label_table((4, 2, 1))
    assert table.counts() == {"train": 4, "validation": 2, "test": 1}
    assert len(table) == 7
    assert table.rows("validation").tolist() == [4, 5]
    part = table.take(np.array([6, 0]))
    assert part.images.tolist() == ["images/006.png", "images/000.png"]
    assert part.splits.tolist() == [2, 0]
    np.testing.assert_array_equal(part.tasks["parts"], table.tasks["parts"][[6, 0]])


def changed_labels():
    table = label_table()
    yield "an image", replace(table, images=np.char.add(table.images, "x"))
    yield "a split", replace(table, splits=table.splits[::-1].copy())
    yield "a group", replace(table, groups=np.roll(table.groups, 1))
    for task in table.tasks:
        yield f"a label of {task}", replace(table, tasks=table.tasks | {task: table.tasks[task][::-1].copy()})
    yield "a task's name", replace(table, tasks={"other": table.tasks["kinds"], "parts": table.tasks["parts"]})


@pytest.mark.parametrize(
    ("what", "other"), list(changed_labels()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_fingerprint_changes_with(what, other):
    assert label_table().fingerprint() != other.fingerprint(), what


def test_the_fingerprint_does_not_depend_on_the_order_of_tasks():
    table = label_table()
    turned = replace(table, tasks=dict(reversed(table.tasks.items())))
    assert table.fingerprint() == turned.fingerprint() == from_arrow(to_arrow(table)).fingerprint()


# -------------------------------------------------------------------------------------------------- splits


def splits_of(count, groups=None, **splits):
    """Split by image name of `count` images, under the `splits` of a spec."""
    columns = {} if groups is None else {"group": groups}
    raw = raw_table(count, kind=["cat"] * count, split=["train"] * count, **columns)
    table, _ = read(raw, splits=splits)
    return dict(zip(table.images.tolist(), [SPLITS[number] for number in table.splits], strict=True))


def test_official_splits_are_taken_as_they_are():
    table, _ = read(raw_table(3, split=["test", "val", "train"], kind=["cat"] * 3))
    assert [SPLITS[number] for number in table.splits] == ["test", "validation", "train"]


def test_an_unknown_official_split_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"row 2: the split 'trian' is unknown; did you mean 'train'\?"):
        read(raw_table(2, split=["train", "trian"], kind=["cat"] * 2))


def test_official_splits_need_a_split_column():
    with pytest.raises(DataError, match="names no split column"):
        read(raw_table(2, kind=["cat"] * 2))


def test_shares_are_kept():
    """Within four standard deviations of a share of 2000 images."""
    found = list(splits_of(2000, shares=SHARES).values())
    for split, share in SHARES.items():
        assert abs(found.count(split) - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5


@MANY
@given(st.integers(1, 60), st.integers(1, 60))
def test_adding_rows_moves_no_other_row(count, more):
    before, after = splits_of(count, shares=SHARES), splits_of(count + more, shares=SHARES)
    assert {name: after[name] for name in before} == before


@MANY
@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60), st.booleans())
def test_no_group_is_divided(groups, carved):
    extra = {"carve_validation": 0.5} if carved else {}
    found = splits_of(len(groups), groups, by="group", shares=SHARES, **extra)
    by_group = {}
    for group, split in zip(groups, found.values(), strict=True):
        by_group.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in by_group.values())


def test_a_row_without_a_group_is_refused_where_splits_are_by_group():
    with pytest.raises(DataError, match=r"row 3 \(images/002\.png\) has no group"):
        splits_of(4, ["a", "b", "", "c"], by="group", shares=SHARES)


def test_validation_is_carved_from_training_alone():
    count = 900
    official = ["train", "train", "test"] * (count // 3)
    splits = {"official": {"train": "train", "test": "test"}, "carve_validation": 0.25}
    table, _ = read(raw_table(count, split=official, kind=["cat"] * count), splits=splits)
    found = [SPLITS[number] for number in table.splits]
    assert [split == "test" for split in found] == [split == "test" for split in official]
    assert abs(found.count("validation") - 150) < 4 * (600 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize("by", ["image", "group"])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_the_training_images_are_disjoint_and_complete(by, parts):
    groups = [f"g{i // 3}" for i in range(90)]
    splits = {"by": by, "shares": SHARES}
    whole = splits_of(90, groups, **splits)
    found = [splits_of(90, groups, **splits, train_part={"index": i, "of": parts}) for i in range(parts)]
    training = [{name for name, split in part.items() if split == "train"} for part in found]
    assert sum(map(len, training)) == len(set().union(*training))
    assert set().union(*training) == {name for name, split in whole.items() if split == "train"}
    assert all(training)
    rest = {name: split for name, split in whole.items() if split != "train"}
    for part in found:
        assert {name: split for name, split in part.items() if split != "train"} == rest
    if by == "group":
        group_of = dict(zip(whole, groups, strict=True))
        groups_of = [{group_of[name] for name in part} for part in training]
        assert not set.intersection(*groups_of)


def test_rows_outside_the_part_do_not_count_as_excluded():
    raw = raw_table(30, split=["train"] * 30, kind=["cat"] * 30)
    table, excluded = read(raw, splits=OFFICIAL | {"train_part": {"index": 0, "of": 2}})
    assert 0 < len(table) < 30
    assert excluded == 0


# ------------------------------------------------------------------------------------------------ folds, groups, others

FOLDS = {"one": ["anna", "ben"], "two": ["cleo"], "three": ["dan", "eve"]}


def grouped(groups, **columns):
    """Rows of a table with groups; each is of the kind `cat`."""
    return raw_table(len(groups), group=groups, kind=["cat"] * len(groups), **columns)


def test_folds_are_tested_on_one_by_one_and_share_no_group():
    groups = ["anna", "ben", "cleo", "dan", "eve"] * 40
    seen = []
    for fold, members in FOLDS.items():
        splits = {"folds": FOLDS, "test_fold": fold, "carve_validation": 0.3, "by": "group"}
        table, _ = read(grouped(groups), splits=splits)
        by_split = {split: set(table.groups[table.rows(split)]) for split in SPLITS}
        assert by_split["test"] == set(members)
        assert not by_split["train"] & by_split["validation"]
        assert set().union(*by_split.values()) == {"anna", "ben", "cleo", "dan", "eve"}
        seen += table.images[table.rows("test")].tolist()
    assert len(seen) == len(set(seen)) == len(groups)


def test_a_group_of_no_fold_is_named():
    splits = {"folds": FOLDS, "test_fold": "one", "carve_validation": 0.3, "by": "group"}
    with pytest.raises(DataError, match="the group 'cloe' is in no fold; did you mean 'cleo'"):
        read(grouped(["anna", "cloe"]), splits=splits)


def test_official_counts_come_before_carving_parts_and_small_groups():
    raw = grouped(["anna"] * 30 + ["ben"] * 3, split=["train"] * 20 + ["test"] * 13)
    splits = {
        "official": {"train": "train", "test": "test"},
        "carve_validation": 0.5,
        "least_per_group": 4,
        "train_part": {"index": 0, "of": 2},
    }
    found = labels_from_codes(raw, dataset(splits=splits), TASKS)
    assert found.official.counts() == {"train": 20, "validation": 0, "test": 13}
    counts = found.labels.counts()
    assert counts["test"] == 10 and counts["validation"] > 0 and 0 < counts["train"] < 20 - counts["validation"]
    assert found.left_out["in a group with too few images"] == 3
    assert found.left_out["in another part of training"] == 20 - counts["train"] - counts["validation"]
    assert found.labels.images == Names(raw["image"].take(pa.array(found.rows)))


@pytest.mark.parametrize(("others", "rows", "labels"), [("missing", 4, [0, -1, 1, -1]), ("exclude", 3, [0, 1, -1])])
def test_codes_that_stand_nowhere_may_be_missing_or_left_out(others, rows, labels):
    raw = raw_table(4, split=["train"] * 4, kind=["cat", "fish", "dog", ""])
    table, excluded = read(raw, tasks={"kinds": {"column": "kind", "others": others}})
    assert (len(table), excluded) == (rows, 4 - rows)
    assert table.tasks["kinds"].tolist() == labels


def test_label_counts_equal_a_loop():
    table = label_table((30, 10, 20))
    found = label_counts(table, {"kinds": ("cat", "dog"), "parts": ("ear", "tail", "paw")})
    for place, split in enumerate(SPLITS):
        rows = [i for i in range(60) if table.splits[i] == place]
        assert found["kinds"][split]["dog"] == sum(table.tasks["kinds"][i] == 1 for i in rows)
        assert found["parts"][split]["tail"] == sum(table.tasks["parts"][i][1] == 1 for i in rows)


def test_columns_are_called_as_the_labels_are_unless_said_otherwise():
    raw = raw_table(2, split=["train"] * 2, ear=["1", "0"], tail=["0", ""], paw=["1", "1"])
    for annotation, expected in (({}, [[1, 0, 1], [0, -1, 1]]), ({"labels": ["paw"]}, [[-1, -1, 1], [-1, -1, 1]])):
        spec = dataset(tasks={"parts": annotation})
        wanted = code_columns(spec, TASKS)
        assert wanted == (annotation.get("labels") or ["ear", "tail", "paw"])
        assert labels_from_codes(raw, spec, TASKS).labels.tasks["parts"].tolist() == expected


# -------------------------------------------------------------------------------------------------- names


@given(st.lists(st.text(max_size=5), max_size=20), st.data())
def test_names_behave_as_an_array_of_texts(texts, data):
    names = Names(texts)
    assert names.tolist() == list(names) == texts
    assert len(names) == len(texts)
    places = data.draw(st.lists(st.integers(0, max(len(texts) - 1, 0)), max_size=10)) if texts else []
    assert names[np.array(places, int)].tolist() == [texts[i] for i in places]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), bool)
    assert names[mask].tolist() == [text for text, kept in zip(texts, mask, strict=True) if kept]
    assert names[2:].tolist() == texts[2:]
    for place in range(-len(texts), len(texts)):
        assert names[place] == texts[place]
    numbers, different = names.encoded()
    assert [different[i] for i in numbers] == texts
    assert len(set(different)) == len(different)
    assert Names.joined([names, names[:1]]).tolist() == texts + texts[:1]
    assert np.asarray(names).tolist() == np.array(texts, str).tolist()


def test_the_fingerprint_of_many_names_does_not_depend_on_how_they_are_held():
    count = (1 << 16) + 3
    texts = [str(i) for i in range(count)]
    tasks = {"kinds": np.zeros(count, np.int32)}
    whole = LabelTable(Names(texts), np.zeros(count, np.int8), Names([""] * count), tasks)
    parts = Names.joined([Names(texts[:7]), Names(texts[7:])])
    assert LabelTable(parts, whole.splits, whole.groups, tasks).fingerprint() == whole.fingerprint()
    changed = Names([*texts[:-1], "x"])
    assert LabelTable(changed, whole.splits, whole.groups, tasks).fingerprint() != whole.fingerprint()


def test_a_part_of_training_leaves_validation_whole():
    raw = raw_table(400, split=["train"] * 300 + ["test"] * 100, kind=["cat"] * 400)
    splits = {"official": {"train": "train", "test": "test"}, "carve_validation": 0.3}
    whole, _ = read(raw, splits=splits)
    for index in range(2):
        part, _ = read(raw, splits=splits | {"train_part": {"index": index, "of": 2}})
        held_out = part.images[part.rows("validation")]
        assert held_out == whole.images[whole.rows("validation")]
        assert 60 < len(held_out) < 120


def test_validation_is_carved_by_numbers_of_its_own():
    """Not by those that divide by shares, of which training has only the small ones."""
    splits = {"shares": {"train": 0.5, "validation": 0.0, "test": 0.5}, "carve_validation": 0.5}
    table, _ = read(raw_table(400, kind=["cat"] * 400), splits=splits)
    counts = table.counts()
    assert 70 < counts["train"] < 130 and 70 < counts["validation"] < 130


@pytest.mark.parametrize(("least", "kept"), [(3, 7), (4, 4), (5, 0)])
def test_groups_of_exactly_the_least_size_are_kept(least, kept):
    raw = grouped(["anna"] * 4 + ["ben"] * 3, split=["train"] * 7)
    assert len(read(raw, splits=OFFICIAL | {"least_per_group": least})[0]) == kept
