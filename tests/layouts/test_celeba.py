"""CelebA: attributes by name from lists of two kinds, people as groups, and a closed set of them for identity."""

from __future__ import annotations

import re
import shutil

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.data.layouts import celeba as layout
from bench.data.layouts._files import write_lines
from bench.data.prepare import Preparation
from bench.data.readers import read_labels
from bench.errors import DataError
from bench.specs.dataset import SPLITS, Crop

from . import contract
from .contract import quick, shipped, without_figures

OPTIONS = layout.Options()
FACE = [69.0, 109.0, 106.0, 113.0, 77.0, 142.0, 73.0, 152.0, 108.0, 154.0]
EVERYTHING = [*layout.NAMES, "identity"]
ATTRIBUTES, PARTITION, LANDMARKS = (f"{stem}.txt" for stem in (layout.ATTRIBUTES, layout.PARTITION, layout.LANDMARKS))
LISTS = (ATTRIBUTES, PARTITION, LANDMARKS)
TOP_OF = {"drive": "", "kaggle": "img_align_celeba/"}
"""What stands before the names of images in the folders that each variant usually has."""


def rows_with(people, *, splits=None, attributes=None, points=True, top=""):
    """Rows as `read` gives them: one image of each of `people`; `attributes` by image, the names of those present."""
    images = [f"img_align_celeba/{i:06d}.jpg" for i in range(1, len(people) + 1)]
    columns = {"image": images}
    if top:
        columns["file"] = [top + image for image in images]
    columns["split"] = list(splits or "0" * len(people))
    columns["group"] = [str(person) for person in people]
    if points:
        columns["points"] = [[value + i for value in FACE] for i in range(len(people))]
    for name in layout.NAMES:
        has = attributes or [set()] * len(people)
        columns[f"value:{name}"] = ["1" if name in names else "-1" for names in has]
    columns["value:identity"] = columns["group"]
    return contract.rows_of(**columns)


EXAMPLE = rows_with(
    [7, 3, 7, 12, 3, 9],
    splits="001221",
    attributes=[{"Bald"}, {"Young", "Male"}, set(), {"5_o_Clock_Shadow"}, set(layout.NAMES), {"Smiling"}],
)


def copy_of(root, rows=EXAMPLE, variant="drive"):
    layout.write(root, rows, OPTIONS, variant)
    return root


def read(root, *columns, options=OPTIONS):
    return layout.read(root, options, list(columns))


def rewritten(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(data=st.data(), variant=st.sampled_from(layout.VARIANTS), points=st.booleans())
def test_what_is_written_is_read_back(tmp_path, data, variant, points):
    count = data.draw(st.integers(1, 5))
    each = {"min_size": count, "max_size": count}
    rows = rows_with(
        data.draw(st.lists(st.integers(1, 10177), **each)),
        splits=data.draw(st.text("012", **each)),
        attributes=data.draw(st.lists(st.sets(st.sampled_from(layout.NAMES)), **each)),
        points=points,
        top=data.draw(st.sampled_from(["", TOP_OF[variant], "Img/" if variant == "drive" else ""])),
    )
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, EVERYTHING, variant)


@settings(quick, max_examples=120)
@given(damage=contract.damages(), variant=st.sampled_from(layout.VARIANTS))
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage, variant):
    """A list of points that was taken away is no damage: copies may lack it."""
    files = sorted([layout.IDENTITIES, *(stem.replace(".txt", layout.ENDINGS[variant]) for stem in LISTS)])
    assume(damage.kind != "removed" or layout.LANDMARKS not in files[damage.file % len(files)])
    contract.assert_survives(layout, tmp_path / variant, OPTIONS, EXAMPLE, EVERYTHING, variant, damage)


# ------------------------------------------------------------------------------------------------------------- quirks


def test_lists_look_as_the_owners_write_them(tmp_path):
    """What `write` makes is what public loaders describe, so that reading it back says something."""
    copy_of(tmp_path)
    attributes = (tmp_path / ATTRIBUTES).read_text().split("\n")
    assert attributes[0] == "6"
    assert attributes[1].startswith("5_o_Clock_Shadow Arched_Eyebrows ")
    assert attributes[1].endswith(" Young ")
    assert attributes[2].startswith("000001.jpg -1 -1 -1 -1  1 -1")
    assert (tmp_path / PARTITION).read_text().startswith("000001.jpg 0\n")
    assert (tmp_path / layout.IDENTITIES).read_text().startswith("000001.jpg 7\n")
    copy_of(tmp_path / "kaggle", rows_with([7]), "kaggle")
    assert (tmp_path / "kaggle/list_attr_celeba.csv").read_text().startswith("image_id,5_o_Clock_Shadow,")
    assert (tmp_path / "kaggle/list_eval_partition.csv").read_text() == "image_id,partition\n000001.jpg,0\n"


def test_names_of_images_do_not_depend_on_the_variant_or_the_folders(tmp_path):
    copy_of(tmp_path / "flat")
    copy_of(
        tmp_path / "deep/celeba", EXAMPLE.append_column("file", [[f"Img/{n}" for n in EXAMPLE["image"].to_pylist()]])
    )
    nested = EXAMPLE.append_column("file", [[f"img_align_celeba/{name}" for name in EXAMPLE["image"].to_pylist()]])
    copy_of(tmp_path / "kaggle", nested, "kaggle")
    rows = {name: read(tmp_path / name, *EVERYTHING).rows for name in ("flat", "deep", "kaggle")}
    assert rows["deep"].drop_columns("file").equals(rows["flat"])
    assert rows["kaggle"].drop_columns("file").equals(rows["flat"])
    for name in ("deep", "kaggle"):
        assert all((tmp_path / name / file).is_file() for file in rows[name]["file"].to_pylist())


def test_lists_are_joined_by_name_whatever_their_order(tmp_path):
    before = read(copy_of(tmp_path), *EVERYTHING).rows
    for name, head in ((PARTITION, 0), (layout.IDENTITIES, 0), (LANDMARKS, 2)):
        lines = (tmp_path / name).read_text().splitlines()
        write_lines(tmp_path / name, [*lines[:head], *reversed(lines[head:])])
    assert read(tmp_path, *EVERYTHING).rows.equals(before)


def test_without_identities_there_are_no_groups_and_asking_says_where_they_are(tmp_path):
    copy_of(tmp_path, variant="kaggle")
    (tmp_path / layout.IDENTITIES).unlink()
    assert "group" not in read(tmp_path, "Young").rows.column_names
    for options, columns in ((OPTIONS, ["identity"]), (layout.Options(identities=5), ["Young"])):
        with pytest.raises(DataError, match="the Kaggle copy of CelebA comes without it") as raised:
            read(tmp_path, *columns, options=options)
        assert "Anno" in raised.value.hint


def test_identities_may_be_put_into_a_kaggle_copy(tmp_path):
    copy_of(tmp_path, variant="kaggle")
    assert read(tmp_path, "identity").rows["value:identity"].to_pylist() == ["7", "3", "7", "12", "3", "9"]


def test_people_with_higher_numbers_are_left_out_by_name(tmp_path):
    reading = read(copy_of(tmp_path), "identity", options=layout.Options(identities=8))
    assert reading.rows["group"].to_pylist() == ["7", "3", "7", "3"]
    assert reading.skipped.names == {"person with a number over 8": ["000004.jpg", "000006.jpg"]}


def test_rows_whose_path_leads_out_are_left_out_by_name(tmp_path):
    copy_of(tmp_path)
    for name in (*LISTS, layout.IDENTITIES):
        rewritten(tmp_path / name, "000002.jpg", "../../etc/passwd.jpg")
    reading = read(tmp_path, "Young")
    assert reading.rows.num_rows == 5
    assert reading.skipped.names == {"path leads out of the copy": ["../../etc/passwd.jpg"]}


def test_boxes_of_other_images_are_not_read(tmp_path):
    """list_bbox_celeba is of the photographs before alignment."""
    copy_of(tmp_path)
    write_lines(tmp_path / "list_bbox_celeba.txt", ["6", "image_id x_1 y_1 width height", "000001.jpg 95 71 226 313"])
    assert "box" not in read(tmp_path).rows.column_names


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (ATTRIBUTES, "6\n", "7\n", "list_attr_celeba.txt says that it has 7 rows, and has 6"),
        (ATTRIBUTES, "6\n", "", "list_attr_celeba.txt:1: the number of rows: expected a whole number"),
        (ATTRIBUTES, "Bald ", "", "list_attr_celeba.txt:2: expected the names 5_o_Clock_Shadow, Arched_Eyebrows"),
        (ATTRIBUTES, "000002.jpg -1", "000002.jpg  0", "list_attr_celeba.txt:4: expected 1 or -1, found '0'"),
        (
            ATTRIBUTES,
            "000002.jpg -1",
            "000002.jpg",
            "list_attr_celeba.txt:4: expected an image and 40 values, found 39",
        ),
        (ATTRIBUTES, "000002.jpg", "000001.jpg", "list_attr_celeba.txt: '000001.jpg' stands twice"),
        (ATTRIBUTES, "000002.jpg", "000099.jpg", "list_eval_partition.txt does not name '000099.jpg'"),
        (PARTITION, "000001.jpg 0", "000001.jpg 3", "list_eval_partition.txt:1: expected the split 0, 1 or 2"),
        (PARTITION, "000001.jpg 0", "000001.jpg", "list_eval_partition.txt:1: expected an image and a value"),
        (PARTITION, "000002.jpg", "000001.jpg", "list_eval_partition.txt:2: '000001.jpg' stands twice"),
        (PARTITION, "000006.jpg 1\n", "", "list_eval_partition.txt does not name '000006.jpg'"),
        (PARTITION, "000001.jpg 0", "000000.jpg 0\n000001.jpg 0", "partition.txt names '000000.jpg', which"),
        (layout.IDENTITIES, "000001.jpg 7", "000001.jpg 0", "identity_CelebA.txt:1: expected a whole number from 1"),
        (layout.IDENTITIES, "000001.jpg 7", "000001.jpg nan", "identity_CelebA.txt:1: expected a whole number"),
        (LANDMARKS, "lefteye_x lefteye_y", "lefteye_y lefteye_x", "align_celeba.txt:2: expected the names lefteye_x"),
        (LANDMARKS, "000001.jpg 69", "000001.jpg nan", "list_landmarks_align_celeba.txt:3: expected ten numbers"),
        (LANDMARKS, "000001.jpg 69", "000001.jpg left", "list_landmarks_align_celeba.txt:3: expected ten numbers"),
        (LANDMARKS, "000001.jpg 69", "000001.jpg 1e9", "list_landmarks_align_celeba.txt:3: expected ten numbers"),
    ],
)
def test_lists_that_are_malformed_or_disagree_are_refused(tmp_path, file, old, new, message):
    rewritten(copy_of(tmp_path) / file, old, new)
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, "identity")


def test_points_of_mirrored_faces_are_refused_unless_the_spec_wants_them(tmp_path):
    mirrored = [FACE[2], FACE[3], FACE[0], FACE[1], *FACE[4:6], *FACE[8:], *FACE[6:8]]
    rows = EXAMPLE.drop_columns("points").append_column("points", contract.rows_of(points=[mirrored] * 6)["points"])
    copy_of(tmp_path, rows)
    with pytest.raises(DataError, match="only in 0% of the rows the left eye stands on the left") as raised:
        read(tmp_path)
    assert "`eyes: any`" in raised.value.hint
    found = read(tmp_path, options=layout.Options(eyes="any")).rows["points"].to_pylist()
    assert found == [mirrored] * 6


def test_lists_that_lead_out_of_the_copy_are_refused(tmp_path):
    copy_of(tmp_path / "copy")
    for name in (layout.IDENTITIES, LANDMARKS):
        (tmp_path / "copy" / name).rename(tmp_path / name)
        (tmp_path / "copy" / name).symlink_to(tmp_path / name)
        with pytest.raises(DataError, match=f"{name} leads out of"):
            read(tmp_path / "copy")
        shutil.move(tmp_path / name, tmp_path / "copy" / name)


def test_other_folders_and_partial_copies_are_refused_by_what_they_lack(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"list of attributes of CelebA is not there .*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    copy_of(tmp_path)
    (tmp_path / PARTITION).rename(tmp_path / "partition")
    with pytest.raises(DataError, match="the list list_eval_partition is not there"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / "partition").rename(tmp_path / PARTITION)
    shutil.rmtree(tmp_path / "img_align_celeba")
    with pytest.raises(DataError, match="the folder of images is not there"):
        layout.recognise(tmp_path, OPTIONS)


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no column 'Beard'; did you mean 'No_Beard'"):
        read(copy_of(tmp_path), "Beard")


# --------------------------------------------------------------------------------------------------- the shipped specs


@pytest.mark.parametrize("variant", layout.VARIANTS)
def test_attributes_come_out_under_their_names_and_in_official_splits(tmp_path, variant):
    """Each attribute is present in its own image only."""
    count = len(layout.NAMES)
    rows = rows_with(
        list(range(1, count + 1)), splits="012" * 13 + "0", attributes=[{name} for name in layout.NAMES], points=False
    )
    dataset, tasks = without_figures("celeba_standard")
    labels = read_labels(dataset, tasks, copy_of(tmp_path, rows, variant)).labels
    assert sorted(tasks["face_attributes"].labels) == sorted(layout.NAMES)
    assert len(labels) == count
    for image, split, values in zip(labels.images, labels.splits, labels.tasks["face_attributes"], strict=True):
        number = int(image[-10:-4]) - 1
        present = [label for label, value in zip(tasks["face_attributes"].labels, values, strict=True) if value == 1]
        assert present == [layout.NAMES[number]]
        assert (values >= 0).all()
        assert SPLITS[split] == ["train", "validation", "test"][number % 3]


def test_the_other_specs_read_attributes_alike():
    official = shipped("celeba_standard")[0].tasks["face_attributes"]
    for name in ("celeba", "celeba_attributes"):
        assert shipped(name)[0].tasks["face_attributes"] == official


CROWD = [1] * 30 + [2] * 19 + [1000] * 30 + [1001] * 30 + [3] * 20


def test_identity_is_learnt_of_people_with_twenty_images_among_the_first_thousand(tmp_path):
    dataset, tasks = without_figures("celeba")
    found = read_labels(dataset, tasks, copy_of(tmp_path, rows_with(CROWD, points=False)))
    labels = found.labels
    by_image = {f"img_align_celeba/{i:06d}.jpg": person for i, person in enumerate(CROWD, 1)}
    for image, group, identity in zip(labels.images, labels.groups, labels.tasks["face_identity"], strict=True):
        assert tasks["face_identity"].labels[identity] == group == str(by_image[image])
    assert sorted(set(labels.groups)) == ["1", "1000", "3"]
    assert found.skipped.counts == {"person with a number over 1000": 30}
    assert found.labelled.left_out == {"in a group with too few images": 19}
    trained = set(labels.groups[labels.rows("train")])
    assert trained == set(labels.groups[labels.rows("test")]) == {"1", "3", "1000"}


def test_the_halves_share_no_training_image(tmp_path):
    copy_of(tmp_path, rows_with(CROWD, points=False))
    contract.assert_halves(tmp_path, "celeba", "celeba_attributes", "celeba_identity")


def test_a_person_in_two_official_splits_is_found(tmp_path):
    """Preparing says so before anything is decoded, beside the counts that a fixture cannot have."""
    dataset, tasks = shipped("celeba_standard")
    expected = dataset.expected["drive"].model_copy(update={"images": {}, "labels": {}, "groups": 4})
    dataset = dataset.model_copy(update={"expected": {"drive": expected}})
    copy = copy_of(tmp_path / "copy", rows_with([1, 2, 3, 4, 1], splits="00122", points=False))
    with pytest.raises(DataError, match="1 groups stand in more than one split, such as '1'"):
        Preparation(dataset, tasks, 16, copy).prepare()


def test_a_copy_can_be_prepared_with_faces_aligned_by_their_points(tmp_path):
    dataset, tasks = without_figures("celeba_standard")
    dataset = dataset.model_copy(update={"crop": Crop(by="points")})
    copy = copy_of(tmp_path, rows_with([1, 2, 3], splits="012"))
    store = Preparation(dataset, tasks, 16, copy).prepare()
    assert len(store.labels) == 3
    assert store.labels.groups.tolist() == ["1", "2", "3"]
