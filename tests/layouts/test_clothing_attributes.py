"""Clothing Attributes: rows and images meet by number, NaN is missing, and codes get the right names."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from bench.data.layouts import clothing_attributes as layout
from bench.data.layouts._files import write_picture
from bench.data.readers import read_labels
from bench.errors import DataError

from . import contract
from .contract import quick, shipped

OPTIONS = layout.Options()
COLUMNS = [*layout.CODES, "sleevelength:no", "sleevelength:short", "sleevelength:long", "neckline:round"]


def rows_with(codes):
    """Rows as `read` gives them: `codes` by attribute, one a row; attributes not given are blank."""
    count = len(next(iter(codes.values())))
    values = {name: list(codes.get(name, [""] * count)) for name in layout.CODES}
    for name, parts in layout.PARTS.items():
        for number, part in enumerate(parts, 1):
            is_it = ["2" if code == str(number) else code and "1" for code in values[name]]
            values[f"{name}:{part}"] = is_it
    images = [f"images/{i:06d}.jpg" for i in range(1, count + 1)]
    return contract.rows_of(image=images, **{f"value:{name}": column for name, column in values.items()})


def copy_of(root, **codes):
    layout.write(root, rows_with(codes), OPTIONS)
    return root


def read(root, *columns, options=OPTIONS):
    return layout.read(root, options, list(columns)).rows.to_pydict()


def save(root, name, **variables):
    savemat(root / "labels" / f"{name}_GT.mat", variables)


CODES_OF = {
    name: st.lists(st.sampled_from(["", *map(str, range(1, count + 1))]), min_size=3, max_size=3)
    for name, count in layout.CODES.items()
}
EXAMPLE = rows_with({name: ["1", "2", ""] for name in layout.CODES})


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=12)
@given(codes=st.fixed_dictionaries(CODES_OF))
def test_what_is_written_is_read_back(tmp_path, codes):
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, rows_with(codes), COLUMNS, "official")


def test_rows_with_the_values_of_a_part_alone_are_written_too(tmp_path):
    rows = rows_with({"sleevelength": ["1", "3", ""]})
    columns = [f"sleevelength:{value}" for value in layout.PARTS["sleevelength"]]
    alone = rows.select(["image", *(f"value:{column}" for column in columns)])
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, alone, columns, "official")


def test_the_order_of_the_rows_that_are_written_does_not_matter(tmp_path):
    contract.assert_read_back(layout, tmp_path / "copy", OPTIONS, EXAMPLE.take([2, 0, 1]), COLUMNS, "official")


@settings(quick, max_examples=80)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, COLUMNS, "official", damage)


@settings(quick, max_examples=150)
@given(place=st.floats(0, 1), what=st.binary(min_size=1, max_size=8), compressed=st.booleans())
def test_any_bytes_in_a_label_file_are_refused_or_change_one_row(tmp_path, place, what, compressed):
    """Bytes overwritten anywhere, in the header of a MATLAB file too: never another exception, never two wrong rows."""
    if not (tmp_path / "labels").exists():
        copy_of(tmp_path, category=list("1234567") * 3)
    stream = io.BytesIO()
    savemat(stream, {"GT": np.arange(21).reshape(-1, 1) % 7 + 1.0}, do_compression=compressed)
    content = bytearray(stream.getvalue())
    start = int(place * (len(content) - 1))
    content[start : start + len(what)] = what
    (tmp_path / "labels" / "category_GT.mat").write_bytes(content)
    try:
        found = read(tmp_path, "category")["value:category"]
    except DataError as error:
        assert "category_GT.mat" in error.message
        return
    assert sum(code != expected for code, expected in zip(found, "1234567" * 3, strict=True)) <= 2


# ------------------------------------------------------------------------------------------------------------- quirks


def test_rows_belong_to_images_by_number_and_missing_ones_stay(tmp_path):
    """Listed folders have another order, and images may be missing: the decoder refuses these by name."""
    copy_of(tmp_path, red=["1", "2", "1", "2"])
    (tmp_path / "images" / "000002.jpg").unlink()
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"")
    found = read(tmp_path, "red")
    assert found["image"] == [f"images/00000{i}.jpg" for i in (1, 2, 3, 4)]
    assert found["value:red"] == ["1", "2", "1", "2"]


def test_the_archive_may_be_given_with_or_without_its_folder(tmp_path):
    copy_of(tmp_path / "ClothingAttributeDataset", red=["1", "2"])
    inner = layout.read(tmp_path / "ClothingAttributeDataset", OPTIONS, ["red"]).rows
    outer = layout.read(tmp_path, OPTIONS, ["red"]).rows
    assert outer.drop_columns("file").equals(inner), "names differ, so images would change their splits"
    assert outer["file"].to_pylist() == [f"ClothingAttributeDataset/{image}" for image in inner["image"].to_pylist()]


def test_the_other_name_of_the_sleeves_is_read(tmp_path):
    copy_of(tmp_path, sleevelength=["3", "1"])
    (tmp_path / "labels" / "sleevelength_GT.mat").rename(tmp_path / "labels" / "sleeve_length_GT.mat")
    assert read(tmp_path, "sleevelength")["value:sleevelength"] == ["3", "1"]


def test_without_columns_the_images_are_read(tmp_path):
    assert read(copy_of(tmp_path, red=["1", "2"])) == {"image": ["images/000001.jpg", "images/000002.jpg"]}


def whole(order):
    counts = OPTIONS.category_counts
    codes = [str(order[i]) for i, count in enumerate(counts) for _ in range(count)]
    return codes + [""] * (layout.WHOLE - len(codes))


def test_a_whole_copy_with_the_other_order_of_categories_is_refused(tmp_path):
    codes = whole([1, 2, 4, 3, 5, 6, 7])
    (tmp_path / "labels").mkdir()
    write_picture(tmp_path / "images" / "000001.jpg")
    save(tmp_path, "category", GT=np.array([[float(code or "nan")] for code in codes]))
    with pytest.raises(DataError, match=r"134, 88, 220, 108, .*expected \(134, 88, 108, 220,") as error:
        read(tmp_path, "category")
    assert "category_counts" in error.value.hint
    for counts in ((134, 88, 220, 108, 232, 62, 260), None):
        assert read(tmp_path, "category", options=layout.Options(category_counts=counts))["value:category"] == codes
    save(tmp_path, "category", GT=np.array([[float(code or "nan")] for code in whole([1, 2, 3, 4, 5, 6, 7])]))
    assert read(tmp_path, "category")["value:category"] == whole([1, 2, 3, 4, 5, 6, 7])


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("red", 3.0, "row 2 (image 000002) holds 3, expected 1 to 2 or NaN"),
        ("red", 0.0, "row 2 (image 000002) holds 0"),
        ("red", 1.5, "row 2 (image 000002) holds 1.5"),
        ("red", -1.0, "holds -1"),
        ("red", np.inf, "holds inf"),
        ("category", 8.0, "holds 8, expected 1 to 7 or NaN"),
    ],
)
def test_codes_out_of_range_are_refused_with_their_row(tmp_path, name, value, message):
    copy_of(tmp_path, red=["1", "2"])
    save(tmp_path, name, GT=np.array([[1.0], [value]]))
    with pytest.raises(DataError) as error:
        read(tmp_path, name)
    assert f"{name}_GT.mat: " in error.value.message
    assert message in error.value.message


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"GT": np.ones((1, 2))}, "GT, double [1, 2]"),
        ({"GT": np.ones((2, 2))}, "GT, double [2, 2]"),
        ({"GT": np.ones((2, 1, 1, 2))}, "GT, double [2, 1, 1, 2]"),
        ({"GT": np.ones((0, 1))}, "GT, double [0, 1]"),
        ({"GT": "text"}, "GT, char [1, 4]"),
        ({"GT": np.ones((2, 1)) * 1j}, "GT, complex [2, 1]"),
        ({"GT": {"a": 1}}, "GT, struct [1, 1]"),
        ({"labels": np.ones((2, 1))}, "labels, double [2, 1]"),
        ({}, "no variables"),
    ],
)
def test_another_shape_is_refused(tmp_path, variables, found):
    copy_of(tmp_path, red=["1", "2"])
    save(tmp_path, "red", **variables)
    with pytest.raises(DataError) as error:
        read(tmp_path, "red")
    assert f"expected a variable GT, numbers [n, 1]; found {found}" in error.value.message


def test_files_that_are_no_matlab_files_are_refused(tmp_path):
    copy_of(tmp_path, red=["1", "2"])
    file = tmp_path / "labels" / "red_GT.mat"
    for content in (b"", b"<html>404</html>", b"\x00" * 500):
        file.write_bytes(content)
        with pytest.raises(DataError, match="is not a MATLAB file of versions 5 to 7"):
            read(tmp_path, "red")
    header = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    )  # what HDF5 files of MATLAB begin with
    file.write_bytes(header + b"\x89HDF\r\n\x1a\n" * 60)
    with pytest.raises(DataError, match=r"version 7\.3"):
        read(tmp_path, "red")
    file.write_bytes(b"\x00" * (layout.MOST_BYTES + 1))
    with pytest.raises(DataError, match="has more than 262144 bytes"):
        read(tmp_path, "red")


def element(kind, data, order="<"):
    """A data element of a MATLAB file."""
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matlab_file(values, *, order="<", stored="f8", storage=9, shape=None):
    """A MATLAB file by hand, as its format says, with the variable GT of class double."""
    rows, columns = shape or (len(values), 1)
    parts = element(6, struct.pack(f"{order}II", 6, 0), order) + element(
        5, struct.pack(f"{order}ii", rows, columns), order
    )
    parts += struct.pack(f"{order}I", 2 << 16 | 1) + b"GT\0\0"  # a small element
    parts += element(storage, np.array(values, order + stored).tobytes(), order)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49)
    return header + element(14, parts, order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("stored", "storage"), [("f8", 9), ("u1", 2), ("i2", 3), ("f4", 7)])
def test_numbers_may_be_stored_in_any_byte_order_and_type(tmp_path, order, stored, storage):
    copy_of(tmp_path, red=["1", "2", "1"])
    file = tmp_path / "labels" / "red_GT.mat"
    file.write_bytes(matlab_file([1, 2, 1], order=order, stored=stored, storage=storage))
    assert read(tmp_path, "red")["value:red"] == ["1", "2", "1"]


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path):
    copy_of(tmp_path, red=["1", "2"])
    bomb = zlib.compress(matlab_file(np.ones(1 << 22))[128:])
    content = matlab_file([])[:128] + struct.pack("<II", 15, len(bomb)) + bomb
    assert len(content) < layout.MOST_BYTES
    (tmp_path / "labels" / "red_GT.mat").write_bytes(content)
    with pytest.raises(DataError, match="unpacks to too much"):
        read(tmp_path, "red")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matlab_file([1.0, 2.0])[:-8], "is cut off"),
        (matlab_file([1.0, 2.0], shape=(1 << 30, 1)), "the variable GT has 2 numbers, its shape is [1073741824, 1]"),
        (matlab_file([1.0, 2.0], shape=(-2, -1)), "the variable GT has no proper flags or shape"),
        (matlab_file([1.0, 2.0], storage=18), "data of type 18 where numbers should be"),
        (matlab_file([1, 2, 1], stored="u1"), "a number is cut off"),
        (matlab_file([])[:128] + element(14, b""), "without a shape"),
        (matlab_file([])[:128] + element(15, b"no zlib"), "is damaged: Error -3"),
        (matlab_file([])[:128] + b"\x0e\x00\x05\x00abcd", "an impossible tag"),
        (matlab_file([])[:128] + b"\x0e\x00", "is damaged"),
    ],
)
def test_damaged_matlab_files_are_refused(tmp_path, content, message):
    copy_of(tmp_path, red=["1", "2"])
    (tmp_path / "labels" / "red_GT.mat").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)):
        read(tmp_path, "red")


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    copy_of(tmp_path, red=["1", "2"])
    save(tmp_path, "blue", GT=np.ones((3, 1)))
    with pytest.raises(DataError, match=r"blue_GT\.mat has 3 rows and red_GT\.mat 2"):
        read(tmp_path, "red", "blue")
    write_picture(tmp_path / "images" / "000003.jpg")
    with pytest.raises(DataError, match=r"goes up to 000003\.jpg, but the label files have 2 rows"):
        read(tmp_path, "red")


def test_another_folder_is_refused(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=r"folder of labels is not there .*there is cats"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="no folder `images` beside `labels`"):
        layout.recognise(tmp_path, OPTIONS)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="`red` is not there"):
        read(tmp_path, "red")


def test_an_unknown_column_is_named(tmp_path):
    with pytest.raises(DataError, match="no column 'neckline:rund'; did you mean 'neckline:round'"):
        read(copy_of(tmp_path, red=["1"]), "neckline:rund")


def test_folders_that_lead_out_are_refused(tmp_path):
    copy_of(tmp_path / "elsewhere", red=["1"])
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "labels").symlink_to(tmp_path / "elsewhere" / "labels", target_is_directory=True)
    with pytest.raises(DataError, match="folder of labels is not there"):
        read(tmp_path / "copy", "red")


# ---------------------------------------------------------------------------------------------------- the shipped spec

NAMES = {
    "gender": ({"2": "female"}, "female"),
    "skin_exposure": ({"2": "high skin exposure"}, "high skin exposure"),
    "sleevelength": ({"1": "no sleeves", "2": "short sleeves", "3": "long sleeves"}, None),
    "neckline": ({"1": "v-shape neckline", "2": "round neckline", "3": "other neckline"}, None),
}


@pytest.mark.parametrize("name", [name for name in layout.CODES if name != "category"])
def test_attributes_of_the_shipped_spec_have_the_right_names(tmp_path, name):
    """One attribute is annotated, the others are not; each of its codes in a row of its own."""
    codes = [str(code) for code in range(1, layout.CODES[name] + 1)]
    dataset, tasks = shipped("clothing_attributes")
    labels = read_labels(dataset, tasks, copy_of(tmp_path, **{name: codes})).labels
    present_by_code, _ = NAMES.get(name, ({"2": name}, name))
    annotated = set(present_by_code.values())
    for code, values in zip(codes, labels.tasks["clothing_attributes"].tolist(), strict=True):
        by_label = dict(zip(tasks["clothing_attributes"].labels, values, strict=True))
        present = {present_by_code[code]} & annotated if code in present_by_code else set()
        assert {label for label, value in by_label.items() if value == 1} == present
        assert {label for label, value in by_label.items() if value == 0} == annotated - present


def test_categories_of_the_shipped_spec_have_the_right_names(tmp_path):
    dataset, tasks = shipped("clothing_attributes")
    labels = read_labels(dataset, tasks, copy_of(tmp_path, category=["7", "6", "5", "4", "3", "2", "1", ""])).labels
    found = [tasks["clothing_category"].labels[i] if i >= 0 else None for i in labels.tasks["clothing_category"]]
    assert found == ["dress", "tank top", "suit", "outerwear", "t-shirt", "sweater", "shirt", None]


def test_every_label_of_the_task_is_annotated():
    dataset, tasks = shipped("clothing_attributes")
    assert set(dataset.tasks["clothing_attributes"].columns) == set(tasks["clothing_attributes"].labels)
    assert len(tasks["clothing_attributes"].labels) == 29


def test_the_halves_share_no_training_image(tmp_path):
    copy_of(tmp_path, category=["1"] * 60, red=["1"] * 60)
    contract.assert_halves(tmp_path, "clothing_attributes", "clothing_categories", "clothing_parts")
