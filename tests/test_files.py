"""Files that appear whole or not at all."""

from __future__ import annotations

import os

import pytest

from bench.files import write_whole


@pytest.mark.parametrize(("content", "found"), [("é\n", b"\xc3\xa9\n"), (b"\x00\r\n", b"\x00\r\n")])
def test_what_is_written_stands_there_and_nothing_beside_it(tmp_path, content, found):
    file = tmp_path / "made" / "file.txt"
    write_whole(file, "before")
    write_whole(file, content, durable=True)
    assert file.read_bytes() == found
    assert list(file.parent.iterdir()) == [file]


def test_what_fails_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "file.txt"
    write_whole(file, "before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "after", durable=True)
    assert file.read_text("utf-8") == "before"
    assert list(tmp_path.iterdir()) == [file]
