"""EmotioNet: workbooks, quoted tables and machine labels; images nested or flat; dead links and unknown codes."""

from __future__ import annotations

import zipfile

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.labels import columns_of, labels_from_codes
from bench.data.layouts import emotionet as layout
from bench.data.layouts.emotionet import NO_IMAGE, NO_LINK, ODD_LINK, Options
from bench.errors import DataError
from bench.specs.components import read_options

from . import contract
from .contract import quick, shipped

COLUMNS = ["au1", "au12", "au60"]
ALL = Options(least_present=0)


def rows_with(names, folder="images", flat=(), **values):
    """Rows of images `(folder number, image number)`; those whose place is in `flat` lie in one folder."""
    images = [f"N_{a:010d}/N_{a:010d}_{b:05d}.jpg" for a, b in names]
    files = [f"{folder}/{image.split('/')[1] if i in flat else image}" for i, image in enumerate(images)]
    return contract.rows_of(image=images, file=files, **{f"value:{column}": codes for column, codes in values.items()})


# -------------------------------------------------------------------------------------------------- round trip


@settings(quick, max_examples=40)
@given(
    names=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 99999)), min_size=1, max_size=6, unique=True),
    flat=st.sets(st.integers(0, 5)),
    folder=st.sampled_from(["images", "imgs"]),
    variant=st.sampled_from(layout.VARIANTS),
    data=st.data(),
)
def test_what_is_written_is_read_back(tmp_path, names, flat, folder, variant, data):
    code = st.lists(st.sampled_from(["0", "1", "999", "", "NaN"]), min_size=len(names), max_size=len(names))
    rows = rows_with(names, folder, flat, **{column: data.draw(code) for column in COLUMNS})
    reading = contract.assert_read_back(layout, tmp_path / "copy", ALL, rows, COLUMNS, variant)
    assert (
        reading.skipped.counts
        == {
            "manual_2017": {NO_IMAGE: 1},
            "manual_2020": {NO_IMAGE: 1, NO_LINK: 1},
            "automatic": {},
        }[variant]
    )


ROWS = rows_with(
    [(a, b) for a in (1, 2) for b in range(1, 5)],
    flat={1, 6},
    **{column: [("0", "1", "999", "0", "1")[(i * k) % 5] for i in range(8)] for k, column in enumerate(COLUMNS, 1)},
)


@pytest.mark.parametrize("variant", layout.VARIANTS)
@settings(quick, max_examples=70)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, variant, damage):
    contract.assert_survives(layout, tmp_path, ALL, ROWS, COLUMNS, variant, damage)


# -------------------------------------------------------------------------------------------------- tables of 2020


def picture(number, folder="N_0000000001"):
    return f"{folder}/{folder}_{number:05d}.jpg"


def link(number):
    return f"https://cbcsl.ece.ohio-state.edu/emotionet/Images/{picture(number)}"


def write_copy(root, text, *, images=2, name="EmotioNet_FACS_aws_2020_24600.csv"):
    for number in range(1, images + 1):
        file = root / "images" / picture(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def codes_of(root, columns=("au1", "au4"), options=ALL):
    rows = layout.read(root, options, columns).rows
    return [rows[f"value:{column}"].to_pylist() for column in columns]


@pytest.mark.parametrize(
    "header",
    [
        "URL,URL orig,AU 4,AU 1",
        '"URL","URL orig","\'AU 4\'","\'AU 1\'"',
        "'URL', 'URL orig', 'AU 4', 'AU 1'",
        "url,orig,au4,AU01",
        "\ufeffURL,URL orig,AU  4 ,AU 1",
    ],
)
def test_columns_are_found_by_name_however_they_are_quoted(tmp_path, header):
    write_copy(tmp_path, f"{header}\n{link(1)},x,0,1\n\"'{link(2)}'\",\"a, b\", 1.0 ,'999'\n")
    assert codes_of(tmp_path) == [["1", "999"], ["0", "1"]]


def test_rows_that_name_no_image_are_counted_by_reason(tmp_path):
    lines = [f"{link(1)},x,0", "NaN,NaN,NaN", ",,", f"{link(9)},x,1", "../../etc/passwd,x,1", "https://a.org/b.jpg,x,1"]
    write_copy(tmp_path, "\n".join(["URL,URL orig,AU 1", *lines]))
    reading = layout.read(tmp_path, ALL, ["au1"])
    assert reading.rows["image"].to_pylist() == [picture(1)]
    assert reading.skipped.counts == {NO_LINK: 2, NO_IMAGE: 1, ODD_LINK: 2}
    assert reading.skipped.names[NO_IMAGE] == [picture(9)]
    assert [name.rsplit(":")[-1] for name in reading.skipped.names[NO_LINK]] == ["3", "4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"URL,URL orig,AU 1\n{link(1)},x,0,1\n", r"aws_2020_24600\.csv:2: 4 values, expected 3"),
        (f"URL,URL orig,AU 1\n{link(1)},x\n", r"csv:2: 2 values, expected 3"),
        (f"URL,URL orig,AU 1,'AU 1'\n{link(1)},x,0,1\n", "the column AU 1 stands twice"),
        (f"URL,URL orig,AU 2\n{link(1)},x,0\n", "no column for au1; did you mean 'au2'"),
        (f"URL;URL orig;AU 1\n{link(1)};x;0\n", "expected a header such as URL, URL orig, AU 1"),
        (f"{link(1)},x,0\n", "or 62 columns; found 3 columns"),
        ("", "lists no image"),
        ("URL,URL orig,AU 1\n", "lists no image"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path, text, said):
    write_copy(tmp_path, text)
    with pytest.raises(DataError, match=said) as caught:
        codes_of(tmp_path, ["au1"])
    assert "EmotioNet_FACS_aws_2020_24600.csv" in caught.value.message


def test_a_column_beyond_60_is_refused(tmp_path):
    write_copy(tmp_path, f"URL,URL orig,AU 1\n{link(1)},x,0\n")
    with pytest.raises(DataError, match="there is no column 'au61'"):
        codes_of(tmp_path, ["au61"])


def test_the_number_of_rows_is_asserted_and_may_be_said_otherwise(tmp_path):
    write_copy(tmp_path, f"URL,URL orig,AU 1\n{link(1)},x,0\n{link(7)},x,0\n")
    with pytest.raises(DataError, match="list 2 rows, expected 24600") as caught:
        codes_of(tmp_path, ["au1"], Options(rows=24600, least_present=0))
    assert "layout.rows" in caught.value.hint
    assert codes_of(tmp_path, ["au1"], Options(rows=2, least_present=0)) == [["0"]]


def test_a_copy_without_most_of_its_images_is_refused(tmp_path):
    write_copy(tmp_path, f"URL,URL orig,AU 1\n{link(1)},x,0\n{link(7)},x,0\n")
    with pytest.raises(DataError, match="1 of 2 listed images are there, expected at least 80%"):
        codes_of(tmp_path, ["au1"], Options())
    assert codes_of(tmp_path, ["au1"], Options(least_present=0.5)) == [["0"]]


# -------------------------------------------------------------------------------------------------- workbooks


NAME_2017 = "EmotioNet_FACS_aws.xlsx"


def write_workbook(root, *sheets, name=NAME_2017):
    write_copy(root, "", name="unused.txt")
    book = openpyxl.Workbook()
    for number, rows in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(root / name)


HEADER = ["URL", "URL orig", "AU 1", "AU 4"]


def test_all_sheets_are_read_and_blank_cells_at_the_end_are_blank(tmp_path):
    write_workbook(tmp_path, [HEADER, [f"'{link(1)}'", "x", 1.0, None]], [], [HEADER, [link(2), "x", 999, 0]])
    assert codes_of(tmp_path) == [["1", "999"], ["", "0"]]


def test_without_known_names_62_columns_are_read_by_position(tmp_path):
    row = [link(1), "x", *range(1, 61)]
    write_workbook(tmp_path, [["URL", "URL orig", *(f"c{i}" for i in range(60))], row])
    assert codes_of(tmp_path, ["au1", "au60"]) == [["1"], ["60"]]
    write_workbook(tmp_path, [row])
    assert codes_of(tmp_path, ["au4", "au59"]) == [["4"], ["59"]]


def test_a_password_is_said_to_be_one_and_a_copy_without_it_is_preferred(tmp_path):
    write_workbook(tmp_path, [HEADER, [link(1), "x", 1, 0]])
    good = (tmp_path / NAME_2017).read_bytes()
    (tmp_path / NAME_2017).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))
    with pytest.raises(DataError, match=r"EmotioNet_FACS_aws\.xlsx has a password") as caught:
        codes_of(tmp_path)
    assert "without" in caught.value.hint
    (tmp_path / "EmotioNet_FACS_aws_without_passw.xlsx").write_bytes(good)
    assert codes_of(tmp_path) == [["1"], ["0"]]


def test_a_workbook_that_unpacks_to_gigabytes_is_refused(tmp_path):
    write_workbook(tmp_path, [HEADER, [link(1), "x", 1, 0]])
    with (
        zipfile.ZipFile(tmp_path / NAME_2017, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/sharedStrings2.xml", "w", force_zip64=True) as stream,
    ):
        for _ in range(520):
            stream.write(bytes(1 << 20))
    assert (tmp_path / NAME_2017).stat().st_size < 1 << 20
    with pytest.raises(DataError, match="would unpack to 5"):
        codes_of(tmp_path)


def test_a_workbook_outside_the_copy_is_not_read(tmp_path):
    root = tmp_path / "copy"
    write_workbook(root, [HEADER, [link(1), "x", 1, 0]])
    (root / NAME_2017).rename(tmp_path / "outside.xlsx")
    (root / NAME_2017).symlink_to(tmp_path / "outside.xlsx")
    with pytest.raises(DataError, match="leads out of"):
        codes_of(root)


def change_sheet(root, *changes):
    """Replace text in the XML of the first sheet."""
    with zipfile.ZipFile(root / NAME_2017) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    for old, new in changes:
        assert old in parts[sheet]
        parts[sheet] = parts[sheet].replace(old, new)
    with zipfile.ZipFile(root / NAME_2017, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_sheet_may_state_a_wrong_size(tmp_path):
    write_workbook(tmp_path, [HEADER, [link(1), "x", 1, 0], [link(2), "x", 0, 1]])
    change_sheet(tmp_path, (b'ref="A1:D3"', b'ref="A1:B2"'))
    assert codes_of(tmp_path) == [["1", "0"], ["0", "1"]]


def test_a_sheet_of_a_billion_rows_ends(tmp_path):
    """A row may state any number; the rows up to it must not be made."""
    write_workbook(tmp_path, [HEADER, [link(1), "x", 1, 0], [link(2), "x", 0, 0]])
    change_sheet(tmp_path, (b'<row r="3"', b'<row r="3000000000"'), (b'"A3"', b'"A3000000000"'))
    assert codes_of(tmp_path) == [["1"], ["0"]]


# -------------------------------------------------------------------------------------------------- machine labels


def machine_line(number, codes):
    return "\t".join([link(number), "http://x", *(codes.get(unit, "999") for unit in range(1, 61))])


def test_machine_labels_stand_in_many_files_by_position(tmp_path):
    folder = "emotioNet_challenge_files_server_challenge_1.2_aws"
    write_copy(tmp_path, machine_line(2, {1: "1", 4: "0"}), name=f"{folder}/dataFile_0002.txt")
    write_copy(tmp_path, machine_line(1, {1: "0", 4: "1"}) + "\n", name=f"{folder}/dataFile_0001.txt")
    assert layout.recognise(tmp_path, Options()) == "automatic"
    assert codes_of(tmp_path) == [["0", "1"], ["1", "0"]]
    assert [file.name for file in layout.label_files(tmp_path, Options())] == ["dataFile_0001.txt", "dataFile_0002.txt"]


def test_machine_labels_of_another_width_are_refused(tmp_path):
    write_copy(tmp_path, machine_line(1, {}) + "\n" + machine_line(2, {}) + "\t0\n", name="dataFile_0001.txt")
    with pytest.raises(DataError, match=r"dataFile_0001\.txt:2: 63 values, expected 62"):
        codes_of(tmp_path)


# -------------------------------------------------------------------------------------------------- what is there


def test_which_labels_are_read_is_decided_by_what_is_there_or_said(tmp_path):
    write_copy(tmp_path, machine_line(1, {1: "0"}), name="labels/dataFile_0001.txt")
    assert layout.recognise(tmp_path, Options()) == "automatic"
    write_copy(tmp_path, f"URL,URL orig,AU 1\n{link(1)},x,1\n", name="labels/EmotioNet_FACS_aws_2020_24600.csv")
    assert layout.recognise(tmp_path, Options()) == "manual_2020"
    write_workbook(tmp_path, [HEADER, [link(1), "x", 999, 0]])
    assert layout.recognise(tmp_path, Options()) == "manual_2017"
    for labels, code in (("manual_2017", "999"), ("manual_2020", "1"), ("automatic", "0")):
        options = Options(labels=labels)
        assert layout.recognise(tmp_path, options) == labels
        assert codes_of(tmp_path, ["au1"], options) == [[code]]


def test_the_2020_labels_may_be_a_workbook(tmp_path):
    name = "EmotioNet_FACS_aws_2020_24600.xlsx"
    write_workbook(tmp_path, [HEADER, [link(1), "x", 1, 0]], name=name)
    assert layout.recognise(tmp_path, Options()) == "manual_2020"
    assert codes_of(tmp_path) == [["1"], ["0"]]


def test_an_image_has_the_same_name_nested_or_flat(tmp_path):
    text = f"URL,URL orig,AU 1\n{link(1)},x,1\n"
    write_copy(tmp_path / "nested", text)
    write_copy(tmp_path / "flat", text)
    (tmp_path / "flat" / "images" / picture(1)).rename(tmp_path / "flat" / "images" / "N_0000000001_00001.jpg")
    nested, flat = (layout.read(tmp_path / name, Options(), ["au1"]).rows for name in ("nested", "flat"))
    assert nested["image"].to_pylist() == flat["image"].to_pylist() == [picture(1)]
    assert nested["file"].to_pylist() == [f"images/{picture(1)}"]
    assert flat["file"].to_pylist() == ["images/N_0000000001_00001.jpg"]


def test_a_wrong_root_is_told_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="looked for images, Images, imgs; there is nothing"):
        layout.recognise(tmp_path, Options())
    write_copy(tmp_path, "", name="readme.txt")
    with pytest.raises(DataError, match=r"or dataFile_\*\.txt; there is images, readme\.txt"):
        layout.recognise(tmp_path, Options())
    with pytest.raises(DataError, match="looked for photographs"):
        layout.recognise(tmp_path, Options(images="photographs"))


def test_images_outside_the_copy_are_not_looked_for(tmp_path):
    root = tmp_path / "copy"
    write_copy(root, f"URL,URL orig,AU 1\n{link(1)},x,1\n")
    (root / "images").rename(tmp_path / "outside")
    (root / "images").symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="no folder of images"):
        layout.recognise(root, Options())


# -------------------------------------------------------------------------------------------------- the shipped specs


@pytest.mark.parametrize(
    ("name", "task", "variant", "count"),
    [
        ("emotionet", "action_units", "manual_2017", 11),
        ("emotionet", "action_units", "automatic", 11),
        ("emotionet_2020", "action_units_23", "manual_2020", 23),
    ],
)
def test_the_shipped_spec_names_each_unit_rightly(tmp_path, name, task, variant, count):
    """Of each image one unit is present and two are not known; all come out under their own names."""
    spec, tasks = shipped(name)
    declared = tasks[task]
    assert spec.copy_name == "emotionet"
    assert spec.layout is not None
    units = list(columns_of(spec.tasks[task], declared))
    assert len(units) == count
    codes = {
        unit: ["1" if i == k else "999" if i == (k + 1) % count else "" if i == (k + 2) % count else "0"
               for i in range(count)]
        for k, unit in enumerate(units)
    }  # fmt: skip
    layout.write(tmp_path, rows_with([(1, i + 1) for i in range(count)], **codes), Options(), variant)
    listed = count + {"manual_2017": 1, "manual_2020": 2, "automatic": 0}[variant]
    options = read_options(Options, spec.layout.options | {"rows": listed})
    labels = labels_from_codes(layout.read(tmp_path, options, units).rows, spec, {task: declared}).labels
    for image, values in zip(labels.images.tolist(), labels.tasks[task].tolist(), strict=True):
        i = int(image[-9:-4]) - 1
        found = dict(zip(declared.labels, values, strict=True))
        assert [label for label, value in found.items() if value == 1] == [units[i]]
        unknown = {label for label, value in found.items() if value == -1}
        assert unknown == {units[i - 1], units[i - 2]} | (set(declared.labels) - set(units))
