"""Where copies of data sets are: remembered, found, forgotten."""

from __future__ import annotations

import pytest

from bench.data.copies import configuration_file, find_copy, forget_copy, known_copies, remember_copy
from bench.errors import UsageError


@pytest.fixture
def unpacked(tmp_path):
    (tmp_path / "unpacked").mkdir()
    return tmp_path / "unpacked"


def test_a_copy_is_remembered_until_it_is_forgotten(unpacked):
    assert find_copy("pets") is None
    remember_copy("pets", unpacked)
    remember_copy("others", unpacked)
    assert known_copies() == {"pets": unpacked, "others": unpacked}
    assert find_copy("pets") == unpacked
    forget_copy("pets")
    assert known_copies() == {"others": unpacked}
    assert unpacked.is_dir()


def test_a_relative_place_is_remembered_as_an_absolute_one(unpacked, monkeypatch):
    monkeypatch.chdir(unpacked.parent)
    remember_copy("pets", unpacked.relative_to(unpacked.parent))
    assert find_copy("pets") == unpacked


def test_a_folder_of_copies_is_looked_through_after_the_configuration(unpacked, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "all"))
    (tmp_path / "all" / "pets").mkdir(parents=True)
    assert find_copy("pets") == tmp_path / "all" / "pets"
    assert find_copy("others") is None
    remember_copy("pets", unpacked)
    assert find_copy("pets") == unpacked


def test_what_cannot_be_is_refused(unpacked):
    with pytest.raises(UsageError, match="is not a folder"):
        remember_copy("pets", unpacked / "none")
    with pytest.raises(UsageError, match="no copy of 'pets' is remembered"):
        forget_copy("pets")


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b'{"pets": 3}'])
def test_a_damaged_configuration_is_named(content):
    configuration_file().parent.mkdir(parents=True)
    configuration_file().write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        find_copy("pets")
    assert str(configuration_file()) in caught.value.message
