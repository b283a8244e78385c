"""UT Zappos50K: rows and images meet by CID, families without a 1 are missing, colours of a product stay together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import code_columns
from bench.data.layouts import zappos as layout
from bench.data.layouts._files import write_lines, write_picture
from bench.data.readers import read_labels
from bench.errors import DataError

from . import contract
from .contract import quick, shipped

OPTIONS = layout.Options()
TABLE = "ut-zap50k-data/meta-data-bin.csv"
SQUARE = "ut-zap50k-images-square"
HEADER = "CID,Category.Shoes,Category.Boots,SubCategory.Oxfords,SubCategory.Mid-Calf,Gender.Men,Gender.Women"
KINDS = [("Shoes", "Oxfords"), ("Shoes", "Boat Shoes"), ("Boots", "Mid-Calf"), ("Slippers", "Slipper Flats")]
BRANDS = ["Bostonian", "L.A.M.B.", "Kenneth Cole", "Etnies®", "a%41b"]
MATERIALS = ["Material.Full.grain.leather", "Material.Wool"]
COLUMNS = ["category", "subcategory", "heel_height", *MATERIALS, "ToeStyle.Round.Toe", "Closure.Lace.up"]


def image_of(cid, kind=("Shoes", "Oxfords"), brand="Bostonian", top=SQUARE):
    return f"{top}/{kind[0]}/{kind[1]}/{brand}/{cid.replace('-', '.')}.jpg"


def copy_of(root, lines, *, header=HEADER, images=None):
    """A copy by hand: lines of the table, and an image of each in Shoes/Oxfords unless `images` are given."""
    write_lines(root / TABLE, [header, *lines])
    for image in images if images is not None else [image_of(line.split(",")[0]) for line in lines]:
        write_picture(root / image)
    (root / SQUARE).mkdir(exist_ok=True)
    return root


def labels_of(name, copy):
    """What a spec of ours makes of a copy: image -> task -> the label, or (labels that hold, labels that do not).

    Labels that are not annotated stand in neither.
    """
    dataset, tasks = shipped(name)
    labels = read_labels(dataset, tasks, copy).labels
    found = {image: {} for image in labels.images}
    for task, values in labels.tasks.items():
        for image, value in zip(labels.images, values, strict=True):
            found[image][task] = _named(tasks[task].labels, value)
    return found


def _named(labels, value):
    if value.ndim == 0:
        return labels[value] if value >= 0 else None
    by_name = list(zip(labels, value.tolist(), strict=True))
    return {name for name, holds in by_name if holds == 1}, {name for name, holds in by_name if holds == 0}


@st.composite
def shoes(draw, top):
    """Rows as `read` gives them."""
    cids = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=6, unique=True))
    rows = {name: [] for name in ["image", "group", *(f"value:{column}" for column in COLUMNS)]}
    for product, colour in cids:
        kind = draw(st.sampled_from(KINDS))
        rows["image"].append(image_of(f"{product}-{colour}", kind, draw(st.sampled_from(BRANDS)), top))
        rows["group"].append(str(product))
        rows["value:category"].append(kind[0])
        rows["value:subcategory"].append(kind[1].replace(" ", ".").replace("-", "."))
        rows["value:heel_height"].append(draw(st.sampled_from(["", "Flat", "1in...1.3.4in"])))
        materials = draw(st.sampled_from([("", ""), ("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]))
        for column, value in zip(MATERIALS, materials, strict=True):
            rows[f"value:{column}"].append(value)
        for column in COLUMNS[-2:]:
            rows[f"value:{column}"].append(draw(st.sampled_from(["", "0", "1"])))
    return contract.rows_of(**rows)


EXAMPLE = contract.rows_of(
    image=[image_of(f"{i // 2}-{i}", KINDS[i % 4], BRANDS[i % 5]) for i in range(8)],
    group=[str(i // 2) for i in range(8)],
    **{
        "value:category": [KINDS[i % 4][0] for i in range(8)],
        "value:subcategory": [["Oxfords", "Boat.Shoes", "Mid.Calf", "Slipper.Flats"][i % 4] for i in range(8)],
        "value:Material.Wool": list("01") * 3 + ["", ""],
    },
)
EXAMPLE_COLUMNS = ["category", "subcategory", "Material.Wool"]


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(data=st.data(), variant=st.sampled_from(layout.VARIANTS))
def test_what_is_written_is_read_back(tmp_path, data, variant):
    rows = data.draw(shoes(layout.FOLDERS[variant]))
    reading = contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows, COLUMNS, variant)
    assert reading.skipped.counts == {"image without a row": 1, "second image of the same shoe": 1}


@settings(quick, max_examples=120)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, EXAMPLE_COLUMNS, "square", damage)


def test_every_column_of_the_table_is_offered(tmp_path):
    copy = copy_of(tmp_path, ["1-1,1,0,1,0,1,0"])
    found = layout.read(copy, OPTIONS, ["Category.Shoes", "SubCategory.Mid.Calf", "Gender.Women"]).rows.to_pylist()
    assert found == [
        {
            "image": image_of("1-1"),
            "group": "1",
            "value:Category.Shoes": "1",
            "value:SubCategory.Mid.Calf": "0",
            "value:Gender.Women": "0",
        }
    ]


# ------------------------------------------------------------------------------------------------------------- quirks


def test_square_images_are_taken_where_both_are_there(tmp_path):
    lines = ["1-1,1,0,1,0,1,0"]
    copy_of(tmp_path, lines, images=[image_of("1-1"), image_of("1-1", top="ut-zap50k-images")])
    assert layout.recognise(tmp_path, OPTIONS) == "square"
    shutil.rmtree(tmp_path / SQUARE)
    assert layout.recognise(tmp_path, OPTIONS) == "plain"
    assert layout.read(tmp_path, OPTIONS, []).rows["image"].to_pylist() == [image_of("1-1", top="ut-zap50k-images")]


@pytest.mark.parametrize("place", layout.TABLES)
def test_the_table_is_found_where_public_mirrors_put_it(tmp_path, place):
    copy_of(tmp_path, ["1-1,1,0,1,0,1,0"])
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / TABLE).rename(tmp_path / place)
    assert layout.label_files(tmp_path, OPTIONS) == [tmp_path / place]
    assert layout.read(tmp_path, OPTIONS, ["category"]).rows["value:category"].to_pylist() == ["Shoes"]


def test_the_order_of_rows_and_lost_dots_of_brands_do_not_matter(tmp_path):
    """Image i is not row i, and the folder of the brand `A.B.` is called `A.B` on some file systems."""
    lines = ["9-1,0,1,0,1,1,0", "1-1,1,0,1,0,0,1"]
    images = [image_of("9-1", KINDS[2], "A.B"), image_of("1-1", brand="A.B.")]
    found = layout.read(copy_of(tmp_path, lines, images=images), OPTIONS, ["category", "Gender.Men"]).rows.to_pydict()
    assert dict(zip(found["image"], found["value:category"], strict=True)) == {images[0]: "Boots", images[1]: "Shoes"}
    assert dict(zip(found["image"], found["value:Gender.Men"], strict=True)) == {images[0]: "1", images[1]: "0"}


def test_of_two_images_of_a_shoe_the_one_in_the_plain_folder_is_taken(tmp_path):
    images = [image_of("1-1", brand=brand) for brand in ("Aa%2E", "Zz.", "Zzz")]
    reading = layout.read(copy_of(tmp_path, ["1-1,1,0,1,0,1,0"], images=images), OPTIONS, [])
    assert reading.rows["image"].to_pylist() == [images[1]]
    assert reading.skipped.names == {"second image of the same shoe": [images[2], images[0]]}


def test_images_without_a_row_are_counted_by_name(tmp_path):
    stranger = image_of("5-5")
    reading = layout.read(copy_of(tmp_path, ["1-1,1,0,1,0,1,0"], images=[image_of("1-1"), stranger]), OPTIONS, [])
    assert reading.rows.num_rows == 1
    assert reading.skipped.names == {"image without a row": [stranger]}


def test_a_few_rows_without_an_image_are_counted_and_many_refused(tmp_path):
    lines = [f"{i}-1,1,0,1,0,1,0" for i in range(40)]
    copy = copy_of(tmp_path, lines)
    for i in (7, 8):
        (copy / image_of(f"{i}-1")).unlink()
    reading = layout.read(copy, OPTIONS, [])
    assert reading.rows.num_rows == 38
    assert reading.skipped.names == {"row without an image": ["meta-data-bin.csv: 7-1", "meta-data-bin.csv: 8-1"]}
    (copy / image_of("9-1")).unlink()
    with pytest.raises(DataError, match=r"3 of 40 rows of .* have no image under .*: 7-1, 8-1, 9-1"):
        layout.read(copy, OPTIONS, [])


def test_a_family_without_a_one_is_missing(tmp_path):
    lines = ["1-1,1,0,1,0,0,1", "2-1,1,0,1,0,0,0", "3-1,0,0,0,0,1,1"]
    rows = layout.read(copy_of(tmp_path, lines), OPTIONS, ["category", "Gender.Men", "Gender.Women"]).rows.to_pydict()
    assert rows["value:Gender.Men"] == ["0", "", "1"]
    assert rows["value:Gender.Women"] == ["1", "", "1"]
    assert rows["value:category"] == ["Shoes", "Shoes", ""]


@pytest.mark.parametrize("spelling", ["ToeStyle.Round Toe", "ToeStyle.Round.Toe", "ToeStyle.Round-Toe"])
def test_names_are_compared_with_dots(tmp_path, spelling):
    copy = copy_of(tmp_path, ["1-1,1,0,1,0,0,1,1"], header=f"{HEADER},{spelling}")
    assert layout.read(copy, OPTIONS, ["ToeStyle.Round.Toe"]).rows["value:ToeStyle.Round.Toe"].to_pylist() == ["1"]


def test_the_group_is_the_product(tmp_path):
    copy = copy_of(tmp_path, [f"{cid},1,0,1,0,1,0" for cid in ("100627-72", "100627-3", "77-72")])
    rows = layout.read(copy, OPTIONS, []).rows.to_pydict()
    assert dict(zip((Path(image).stem for image in rows["image"]), rows["group"], strict=True)) == {
        "100627.72": "100627",
        "100627.3": "100627",
        "77.72": "77",
    }


def test_folders_that_disagree_with_the_table_are_left_out_or_refused(tmp_path):
    lines = [f"{i}-1,1,0,1,0,1,0" for i in range(40)]
    images = [image_of(f"{i}-1", KINDS[2] if i < 2 else KINDS[0]) for i in range(40)]
    copy = copy_of(tmp_path, lines, images=images)
    reading = layout.read(copy, OPTIONS, [])
    assert reading.rows.num_rows == 38
    assert reading.skipped.names["folders name another category than the table"] == images[:2]
    assert layout.read(copy, layout.Options(folders="ignored"), []).rows.num_rows == 40
    (copy / Path(image_of("5-1", KINDS[2])).parent).mkdir(parents=True, exist_ok=True)
    (copy / image_of("5-1")).rename(copy / image_of("5-1", KINDS[2]))
    with pytest.raises(
        DataError, match=r"3 of 40 images stand in folders of another category .*\(Shoes, Oxfords\)"
    ) as error:
        layout.read(copy, OPTIONS, [])
    assert "folders: ignored" in error.value.hint


def test_linked_folders_are_not_followed(tmp_path):
    copy = copy_of(tmp_path / "copy", ["1-1,1,0,1,0,1,0"])
    write_picture(tmp_path / "outside" / "Oxfords" / "Bostonian" / "2.1.jpg")
    (copy / SQUARE / "Linked").symlink_to(tmp_path / "outside", target_is_directory=True)
    (copy / SQUARE / "Loop").symlink_to(copy / SQUARE, target_is_directory=True)
    assert layout.read(copy, OPTIONS, []).skipped.counts == {}
    shutil.move(copy / SQUARE, tmp_path / "elsewhere")
    (copy / SQUARE).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="folder of images is not there"):
        layout.read(copy, OPTIONS, [])


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1-1,1,0,1,0,1,2"], "csv:2: expected a CID and 6 times 0 or 1; under Gender.Women stands '2'"),
        (["1-1,1,0,1,0,1,"], "csv:2: expected a CID and 6 times 0 or 1; under Gender.Women stands ''"),
        (["1-1,1,0,1,0,1,0", "2-1,1,0,1,0,1"], "csv:3: expected a CID and 6 times 0 or 1; there are 5 values"),
        (["1-1,1,0,1,0,1,01"], "under Gender.Women stands '01'"),
        (["1-1,10,0,1,0,,1"], "under Category.Shoes stands '10'"),
        (["1-1,1,0,1,0,1,0", "1-1,1,0,1,0,1,0"], "csv:3: 1-1 stands in line 2 already"),
        (["1-1,1,1,1,0,1,0"], "csv:2: 1-1 is both Category.Shoes and Category.Boots; expected one of Category"),
        ([], "has no rows"),
    ],
)
def test_malformed_rows_are_refused_with_their_line(tmp_path, lines, message):
    with pytest.raises(DataError) as error:
        layout.read(copy_of(tmp_path, lines), OPTIONS, ["category"])
    assert message in error.value.message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Id,Gender.Men", "the first column is 'Id', expected 'CID'"),
        ("CID,Gender.Men,Colour.Red", "the column 'Colour.Red' is of no known family"),
        ("CID,Gender,Gender.Men", "the column 'Gender' is of no known family"),
        ("CID,Gender.Men,Gender.Men", "the column 'Gender.Men' stands twice"),
        ("CID,ToeStyle.Round Toe,ToeStyle.Round.Toe", "the column 'ToeStyle.Round.Toe' stands twice"),
        ("CID", "no columns"),
    ],
)
def test_another_header_is_refused(tmp_path, header, message):
    with pytest.raises(DataError, match="csv:1: ") as error:
        layout.read(copy_of(tmp_path, ["1-1,1,0"], header=header), OPTIONS, [])
    assert message in error.value.message


def test_a_column_that_the_copy_lacks_is_named(tmp_path):
    copy = copy_of(tmp_path, ["1-1,1,0,1,0,1,0"])
    with pytest.raises(DataError, match=r"no column 'Gender.Womens'; did you mean 'Gender.Women'"):
        layout.read(copy, OPTIONS, ["Gender.Womens"])
    with pytest.raises(DataError, match=r"no column 'HeelHeight.…', which 'heel_height' is made from"):
        layout.read(copy, OPTIONS, ["heel_height"])


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"table of labels is not there .*ut-zap50k-data.*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    write_lines(tmp_path / TABLE, [HEADER])
    with pytest.raises(DataError, match="folder of images is not there"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / SQUARE).write_text("an archive, not unpacked")
    with pytest.raises(DataError, match="no rows"):
        layout.read(tmp_path, OPTIONS, [])
    write_lines(tmp_path / TABLE, [HEADER, "1-1,1,0,1,0,1,0"])
    with pytest.raises(DataError, match="is no folder of images"):
        layout.read(tmp_path, OPTIONS, [])


# ---------------------------------------------------------------------------------------------------- the shipped spec


def test_labels_of_the_shipped_spec_have_the_right_names(tmp_path):
    """Labels are looked up by their official names, here each in a row of its own where nothing else is marked."""
    dataset, tasks = shipped("zappos")
    attributes = [column for column in code_columns(dataset, tasks) if "." in column]
    images = [image_of(f"{place}-1", ("Sandals", "Heel")) for place in range(len(attributes))]
    marks = {f"value:{a}": [str(int(a == other)) for other in attributes] for a in attributes}
    layout.write(tmp_path, contract.rows_of(image=images, **marks), OPTIONS, "square")
    families = {a: {other for other in attributes if other.startswith(a.partition(".")[0])} for a in attributes}
    for place, found in labels_of("zappos", tmp_path).items():
        attribute = attributes[int(place.rpartition("/")[2].partition(".")[0])]
        assert found["shoe_type"] == "heeled sandals"
        assert found["shoe_category"] == "sandals"
        assert found["shoe_attributes"][0] == {attribute}
        assert families[attribute] - {attribute} <= found["shoe_attributes"][1]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        ("Boots/Over the Knee", ("boots", "over-the-knee boots")),
        ("Shoes/Sneakers and Athletic Shoes", ("shoes", "sneakers and athletic shoes")),
        ("Slippers/Boot", ("slippers", "slipper boots")),
        ("Sandals/Flat", ("sandals", "flat sandals")),
        ("Shoes/Flats", ("shoes", "flats")),
    ],
)
def test_kinds_of_shoes_have_the_right_names(tmp_path, folders, names):
    dataset, tasks = shipped("zappos")
    columns = code_columns(dataset, tasks)
    blank = {f"value:{column}": [""] for column in columns if "." in column}
    image = image_of("1-1", folders.split("/"))
    layout.write(tmp_path, contract.rows_of(image=[image], group=["1"], **blank), OPTIONS, "square")
    found = labels_of("zappos", tmp_path)[image]
    assert (found["shoe_category"], found["shoe_type"]) == names
    assert found["shoe_attributes"] == (set(), set())


def test_every_sub_category_has_a_label_of_its_own():
    dataset, tasks = shipped("zappos")
    assert len(dataset.tasks["shoe_type"].codes) == 21
    assert sorted(dataset.tasks["shoe_type"].codes.values()) == sorted(tasks["shoe_type"].labels)


def test_colours_of_a_product_share_a_split_and_the_halves_share_no_product(tmp_path):
    attributes = [column for column in code_columns(*shipped("zappos")) if "." in column]
    images = [image_of(f"{product}-{colour}") for product in range(60) for colour in (1, 2)]
    rows = contract.rows_of(image=images, **{f"value:{column}": ["1"] * len(images) for column in attributes})
    layout.write(tmp_path, rows, OPTIONS, "square")
    splits = {}
    for name in ("zappos", "zappos_types", "zappos_attributes"):
        labels = read_labels(*shipped(name), tmp_path).labels
        splits[name] = dict(zip(labels.images, labels.splits.tolist(), strict=True))
        of_product = {group: set() for group in labels.groups}
        for group, split in zip(labels.groups, labels.splits.tolist(), strict=True):
            of_product[group].add(split)
        assert all(len(found) == 1 for found in of_product.values())
    train = {name: {image for image, split in found.items() if split == 0} for name, found in splits.items()}
    assert train["zappos_types"] | train["zappos_attributes"] == train["zappos"]
    assert not train["zappos_types"] & train["zappos_attributes"]
    assert min(len(found) for found in train.values()) > 20
    held_out = {name: {image: split for image, split in found.items() if split} for name, found in splits.items()}
    assert held_out["zappos_types"] == held_out["zappos_attributes"] == held_out["zappos"]
