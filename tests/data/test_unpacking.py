"""Archives: what is honest arrives as it is; what is malicious or broken is refused, and writes nothing elsewhere."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import warnings
import zipfile
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bench.data import unpacking as module
from bench.data.unpacking import is_archive, unpack
from bench.errors import DataError, InfrastructureError

from .archives import KINDS, archive, member, tar_of, zip_of

many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
FILES = {
    "CUB/images/001.Albatross/one.jpg": bytes(range(256)) * 9,
    "CUB/images/001.Albatross/two.jpg": b"x" * 512,
    "CUB/classes.txt": b"1 001.Albatross\n",
    "attributes.txt": b"",
}


def ignore(step, done, total):
    pass


def unpacked(folder, kind, data, report=ignore):
    """Unpack into `folder/copy`; gives the files by name."""
    file = folder / f"birds.{kind}"
    file.write_bytes(data)
    unpack(file, folder / "copy", report)
    return tree(folder / "copy")


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(folder, kind, data, said):
    """Refused in one sentence that names the archive, and nothing stands outside of where it was unpacked."""
    with pytest.raises(DataError, match=said) as caught:
        unpacked(folder, kind, data)
    assert caught.value.message.startswith(f"birds.{kind} is not unpacked: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert_inside(folder, kind)


def assert_inside(folder, kind):
    assert {path.name for path in folder.iterdir()} <= {f"birds.{kind}", "copy"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


# ---- honest archives ----


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_arrive_as_they_are(tmp_path, kind):
    assert unpacked(tmp_path, kind, archive(kind, FILES)) == FILES


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\:"), min_size=1, max_size=8
)
TREES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in (".", "..") and name.strip()), min_size=1, max_size=3).map("/".join),
    st.binary(max_size=2000),
    max_size=6,
)


@settings(many, max_examples=60)
@given(files=TREES, kind=st.sampled_from(KINDS))
def test_random_trees_arrive_as_they_are(tmp_path_factory, files, kind):
    folders = {name.rpartition("/")[0] for name in files}
    assume(not any(f"{folder}/".startswith(f"{name}/") for name in files for folder in folders))
    assert unpacked(tmp_path_factory.mktemp("tree"), kind, archive(kind, files)) == files


@pytest.mark.parametrize("kind", KINDS)
def test_folders_may_stand_in_any_order_and_twice(tmp_path, kind):
    files = {"./": b"", "./a/b/one": b"1", "a/": b"", "./a/b/": b"", "a//": b"", "a/empty/": b""}
    assert unpacked(tmp_path, kind, archive(kind, files)) == {"a/b/one": b"1"}
    assert (tmp_path / "copy/a/empty").is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_differ_in_case_only_are_two_files(tmp_path, kind):
    files = {"Shoes/A.jpg": b"1", "shoes/a.jpg": b"2", "shoes/A.jpg": b"3"}
    assert unpacked(tmp_path, kind, archive(kind, files)) == files


@pytest.mark.parametrize("kind", KINDS)
def test_what_macos_adds_is_left_out(tmp_path, kind):
    files = {"a.txt": b"1", "__MACOSX/._a.txt": b"2", "__MACOSX/b/": b""}
    assert unpacked(tmp_path, kind, archive(kind, files)) == {"a.txt": b"1"}
    assert not (tmp_path / "copy/__MACOSX").exists()


def test_modes_and_owners_are_not_taken_over(tmp_path):
    data = tar_of([member("a", b"1", mode=0o4777, uid=12345, gid=12345), member("b/", mode=0)])
    unpacked(tmp_path, "tar", data)
    assert (tmp_path / "copy/a").stat().st_mode & 0o7111 == 0
    assert (tmp_path / "copy/a").stat().st_uid == tmp_path.stat().st_uid
    assert (tmp_path / "copy/b").stat().st_mode & 0o700 == 0o700


def test_long_names_and_large_members_arrive(tmp_path):
    files = {"/".join(["long" * 20] * 5): b"deep", "large": bytes(3 << 20)}
    for kind, form in (("tar", tarfile.PAX_FORMAT), ("tgz", tarfile.GNU_FORMAT)):
        (tmp_path / kind).mkdir()
        assert (
            unpacked(tmp_path / kind, kind, tar_of([member(*file) for file in files.items()], kind, format=form))
            == files
        )


@pytest.mark.parametrize("kind", KINDS)
def test_progress_ends_with_the_whole(tmp_path, kind):
    told = []
    unpacked(tmp_path, kind, archive(kind, FILES), lambda *line: told.append(line))
    assert {step for step, _, _ in told} == {f"unpacking birds.{kind}"}
    done = [done for _, done, _ in told]
    assert done == sorted(done)
    assert done[-1] == told[-1][2] > 0


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a.zip", True),
        ("A.ZIP", True),
        ("a.tar.gz", True),
        ("a.tgz", True),
        ("a.tar", True),
        ("a.csv", False),
        ("zip", False),
    ],
)
def test_archives_are_known_by_their_endings(name, answer):
    assert is_archive(name) is answer


# ---- names that lead elsewhere ----

BAD_NAMES = [
    "../up",
    "a/../../up",
    "/etc/bench-test",
    "//host/a",
    "a/..",
    "..",
    "a\\..\\..\\up",
    "C:\\up",
    "c:up",
    "a\x01b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_names_that_lead_elsewhere_are_refused(tmp_path, kind, name):
    assert_refused(tmp_path, kind, archive(kind, {"good": b"1", name: b"2"}), "leads out of the folder")


@pytest.mark.parametrize("name", [b"abcd\0jpg", b"\0bcd.jpg"])
def test_a_zip_name_with_a_null_is_refused(tmp_path, name):
    data = zip_of({"abcd.jpg": b"1"}).replace(b"abcd.jpg", name)
    assert_refused(tmp_path, "zip", data, "odd characters")


def test_a_tar_name_that_is_no_text_is_refused(tmp_path):
    data = tar_of([member("caf\udce9", b"1")], format=tarfile.GNU_FORMAT)
    assert_refused(tmp_path, "tar", data, "odd characters")


EVIL = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "A", "copy", "\\", "C:", "~", "é", "x" * 300, "\n"]), max_size=5
)


@settings(many, max_examples=120)
@given(names=st.lists(EVIL.map("/".join).filter(bool), min_size=1, max_size=4), kind=st.sampled_from(KINDS))
def test_nothing_is_ever_written_elsewhere(tmp_path_factory, names, kind):
    folder = tmp_path_factory.mktemp("evil")
    files = dict.fromkeys(names, b"content")
    try:
        found = unpacked(folder, kind, archive(kind, files))
    except DataError:
        found = {}
    assert_inside(folder, kind)
    assert set(found.values()) <= {b"content"}


# ---- what is no plain file ----

LINKS = {
    "symbolic": {"type": tarfile.SYMTYPE, "linkname": "good"},
    "symbolic, out": {"type": tarfile.SYMTYPE, "linkname": "/etc"},
    "hard": {"type": tarfile.LNKTYPE, "linkname": "good"},
    "fifo": {"type": tarfile.FIFOTYPE},
    "device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block device": {"type": tarfile.BLKTYPE},
    "unknown": {"type": b"Z"},
}


@pytest.mark.parametrize("what", LINKS)
@pytest.mark.parametrize("kind", ["tar", "tgz"])
def test_links_and_devices_are_refused(tmp_path, kind, what):
    data = tar_of([member("good", b"1"), member("bad", **LINKS[what]), member("bad/in", b"2")], kind)
    assert_refused(tmp_path, kind, data, "its entry 'bad' is a link, a device or a sparse file")


def test_a_sparse_file_is_refused(tmp_path):
    pax = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "big",
        "GNU.sparse.realsize": str(1 << 50),
    }
    data = tar_of([member("big", b"1\n0\n1\n".ljust(512, b"\0") + b"x", pax_headers=pax)], format=tarfile.PAX_FORMAT)
    assert_refused(tmp_path, "tar", data, "sparse")


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o020644, 0o140644])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    info = zipfile.ZipInfo("bad")
    info.external_attr = mode << 16
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr(info, "/etc/passwd")
    assert_refused(tmp_path, "zip", made.getvalue(), "its entry 'bad' is a link or a device")


# ---- what stands twice ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("a", "a", "stands twice"),
        ("a/b", "./a/b", "stands twice"),
        ("a/b", "a", "stands twice"),
        ("a", "a/b", "lies in a file"),
        ("a", "a/", "stands twice"),
    ],
)
def test_an_entry_may_not_take_the_place_of_another(tmp_path, kind, first, second, said):
    if kind == "zip":
        made = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as opened:
            warnings.simplefilter("ignore", UserWarning)
            opened.writestr(first, b"1")
            opened.writestr(second, b"2" if second[-1] != "/" else b"")
        data = made.getvalue()
    else:
        data = tar_of([member(first, b"1"), member(second, b"2" if second[-1] != "/" else b"")], kind)
    assert_refused(tmp_path, kind, data, said)


# ---- too much ----


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(module, "ALWAYS_ALLOWED", 1 << 20)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bombs_are_refused(tmp_path, kind):
    assert_refused(tmp_path, kind, archive(kind, {"zeros": bytes(8 << 20)}), "far more than data packs to")
    assert sum(map(len, tree(tmp_path / "copy").values())) <= 1 << 20


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bombs_of_many_files_are_refused(tmp_path, kind):
    files = {f"{i}": bytes(1 << 18) for i in range(32)}
    assert_refused(tmp_path, kind, archive(kind, files), "far more than data packs to")


def test_bombs_of_empty_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ALWAYS_ALLOWED", 100_000)
    monkeypatch.setattr(module, "MOST_INFLATION", 10)
    data = tar_of([member(f"{i:04d}") for i in range(400)])
    assert_refused(tmp_path, "tgz", gzip.compress(data), "far more than data packs to")


@pytest.mark.usefixtures("small_limits")
def test_bombs_behind_the_end_are_refused(tmp_path):
    assert_refused(
        tmp_path, "tgz", gzip.compress(archive("tar", FILES) + bytes(8 << 20)), "far more than data packs to"
    )


def test_a_header_that_fills_memory_is_refused(tmp_path):
    data = tar_of([member("a", b"1", pax_headers={"comment": "x" * (2 << 20)})], "tgz", format=tarfile.PAX_FORMAT)
    assert_refused(tmp_path, "tgz", data, r"has a header of 2,097,\d+ bytes")


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    data = zip_of({"a": b"1" * 100, "b": b"2" * 100})
    at = data.rindex(b"PK\1\2")
    data = data[: at + 20] + struct.pack("<L", len(data)) + data[at + 24 :]
    assert_refused(tmp_path, "zip", data, "its entries overlap")


@pytest.mark.parametrize("size", [1, 99, 101, 100_000])
def test_an_entry_of_another_length_than_stated_is_refused(tmp_path, size):
    data = zip_of({"a": b"12" * 50})
    at = data.rindex(b"PK\1\2")
    for place in (22, at + 24):  # of the entry itself, and of the table
        data = data[:place] + struct.pack("<L", size) + data[place + 4 :]
    assert_refused(tmp_path, "zip", data, "broken archive|is not of the")


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_without_room_is_told_before_it_is_full(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100_000))
    with pytest.raises(InfrastructureError, match="100,000 bytes free") as caught:
        unpacked(tmp_path, kind, archive(kind, {"small": b"1", "large": bytes(100_000)}))
    assert "--to" in caught.value.hint
    assert sum(map(len, tree(tmp_path / "copy").values())) <= 1


# ---- broken ----


def without_second_entry(data):
    """The table of contents of a zip archive in which the comment of the first entry swallows the second."""
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 1)
    third = data.index(b"PK\1\2", second + 1)
    return data[: first + 32] + struct.pack("<H", third - second) + data[first + 34 :]


def wide(data):
    """A zip archive of which only the record for large archives states how many entries there are."""
    at = data.rindex(b"PK\5\6")
    return data[: at + 8] + b"\xff\xff\xff\xff" + data[at + 12 :]


def test_an_entry_that_is_lost_in_the_table_of_contents_is_missed(tmp_path, monkeypatch):
    assert_refused(tmp_path, "zip", without_second_entry(zip_of(FILES)), "3 entries are left")
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    large = wide(zip_of(FILES))
    (tmp_path / "whole").mkdir()
    assert unpacked(tmp_path / "whole", "zip", large) == FILES
    (tmp_path / "large").mkdir()
    assert_refused(tmp_path / "large", "zip", without_second_entry(large), "3 entries are left")


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(zip_of({"secret": b"1" * 100}))
    data[6] |= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    assert_refused(tmp_path, "zip", bytes(data), "its entry 'secret' is encrypted")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b", b"\x1f\x8b\x08\x00" * 9, b"text " * 200])
def test_what_is_no_archive_is_refused(tmp_path, kind, data):
    assert_refused(tmp_path, kind, data, "broken archive|damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_a_web_page_in_place_of_an_archive_is_told(tmp_path, kind):
    assert_refused(
        tmp_path, kind, b"\n<!DOCTYPE html><html>Log in</html>" + b" " * 600, re.escape("(it is a web page)")
    )


def whole_length(kind):
    """How much of an archive of FILES must be there: of the zeros at the end of a tar archive, one block."""
    data = archive(kind, FILES)
    return len(data.rstrip(b"\0")) // 512 * 512 + 1024 if kind == "tar" else len(data)


@settings(many, max_examples=80)
@given(kind=st.sampled_from(KINDS), part=st.floats(0, 1, exclude_max=True))
def test_an_archive_that_was_cut_off_is_never_taken_for_whole(tmp_path_factory, kind, part):
    folder = tmp_path_factory.mktemp("cut")
    assert_refused(folder, kind, archive(kind, FILES)[: int(part * whole_length(kind))], "is not unpacked")


@settings(many, max_examples=250)
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damage_is_refused_or_without_effect(tmp_path_factory, kind, changes):
    """A tar archive without gzip has no checksum of its content; there damage may pass, but never as another crash."""
    folder = tmp_path_factory.mktemp("damaged")
    data = bytearray(archive(kind, FILES))
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        found = unpacked(folder, kind, bytes(data))
    except DataError:
        found = None
    assert_inside(folder, kind)
    if found is not None and kind in ("tgz", "tar.gz"):
        assert found == FILES
    if found is not None and kind == "zip":
        assert sorted(found.values()) == sorted(FILES.values())


def test_the_checksum_of_a_gzip_is_checked_though_tar_does_not_read_that_far(tmp_path):
    data = bytearray(archive("tgz", FILES))
    data[-8] ^= 0xFF
    assert_refused(tmp_path, "tgz", bytes(data), "broken archive: CRC")
