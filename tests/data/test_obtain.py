"""Copies from a real server: fetched, unpacked and put together, from wherever an earlier call stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from functools import partial

import pytest
from filelock import FileLock

from bench.data import obtain as module
from bench.data.obtain import WORK, default_folder, obtain
from bench.errors import DataError, InfrastructureError, UsageError
from bench.specs.dataset import Download, Fetch

from . import faulty_server
from .archives import archive
from .faulty_server import breaking, stating, status

LABELS = {"shoes/labels.csv": b"file,kind\n", "readme.txt": b"read me"}
IMAGES = {"shoes/images/1.jpg": b"one", "shoes/images/2.jpg": b"two", "readme.txt": b"read me"}
WHOLE = LABELS | IMAGES


@pytest.fixture(scope="module")
def site():
    with faulty_server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(module, "WAITS", (0.0, 0.0))


@pytest.fixture
def shoes(site):
    """What a spec says of two archives that belong into one folder."""
    site.files.clear()
    site.serve("labels.zip", archive("zip", LABELS))
    site.serve("images.tgz", archive("tgz", IMAGES))
    return fetching(site, "labels.zip", "images.tgz")


def fetching(site, *names, **stated):
    return Fetch(files=tuple(Download(url=site.url(name), **stated) for name in names), terms="none")


def ignore(step, done, total):
    pass


def content(folder):
    """Files of a copy by name, without the work folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith(WORK)}


def requests(site):
    return sum(len(served.requests) for served in site.files.values())


def assert_no_work_is_left(folder):
    left = [folder / WORK / name for name in work_on(folder) if not name.endswith(".json")]
    assert not [path for path in left if path.is_file() or any(path.iterdir())]


def work_on(folder):
    """What is left in the work folder besides the lock."""
    return sorted(path.name for path in (folder / WORK).iterdir() if path.name != ".lock")


# ---- as it should be ----


def test_archives_are_put_together_into_one_copy(tmp_path, shoes):
    obtain(shoes, tmp_path / "deep/copy", ignore)
    assert content(tmp_path / "deep/copy") == WHOLE
    assert work_on(tmp_path / "deep/copy") == ["images.tgz.json", "labels.zip.json"]


@pytest.mark.usefixtures("shoes")
def test_a_file_that_is_no_archive_is_put_beside_them(tmp_path, site):
    site.serve("split.txt", b"train")
    obtain(fetching(site, "labels.zip", "split.txt"), tmp_path / "copy", ignore)
    assert content(tmp_path / "copy") == LABELS | {"split.txt": b"train"}
    assert work_on(tmp_path / "copy") == ["labels.zip.json", "split.txt.json"]


def test_what_is_done_is_not_done_again(tmp_path, site, shoes):
    obtain(shoes, tmp_path, ignore)
    before = requests(site)
    told = []
    obtain(shoes, tmp_path, lambda *line: told.append(line))
    assert (requests(site), told) == (before, [])


def test_what_somebody_removed_is_fetched_again(tmp_path, shoes):
    obtain(shoes, tmp_path, ignore)
    shutil.rmtree(tmp_path / "shoes")
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE
    assert work_on(tmp_path) == ["images.tgz.json", "labels.zip.json"]


def test_the_default_folder_is_in_the_cache(tmp_path):
    assert default_folder("cub") == tmp_path / "cache/copies/cub"


# ---- where it stopped, it goes on ----


def test_an_archive_is_not_fetched_again_because_a_later_one_failed(tmp_path, site, shoes):
    site.files["/images.tgz"].always = status(503)
    with pytest.raises(InfrastructureError):
        obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == LABELS
    site.files["/images.tgz"].always = None
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE
    assert len(site.files["/labels.zip"].requests) == 1


class _Stop(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True])
def test_a_stop_at_any_step_is_gone_on_from(tmp_path, site, shoes, monkeypatch, after):
    """The process stops just before, or just after, the n-th change of a folder, for every n; no file comes twice."""
    n = stopped = 0
    while n == stopped:
        calls, folder = 0, tmp_path / str(n)
        folder.mkdir()

        def stopping(true, *arguments, n=n, **options):
            nonlocal calls, stopped
            calls += 1
            if calls != n + 1:
                return true(*arguments, **options)
            stopped += 1
            if after:
                with suppress(OSError):
                    true(*arguments, **options)
            raise _Stop

        with monkeypatch.context() as patch, suppress(_Stop):
            for operation in ("mkdir", "replace", "rmdir", "unlink"):
                patch.setattr(os, operation, partial(stopping, getattr(os, operation)))
            obtain(shoes, folder, ignore)
        obtain(shoes, folder, ignore)
        assert content(folder) == WHOLE
        assert_no_work_is_left(folder)
        n += 1
        assert requests(site) == 2 * n
    assert n > 20


def test_a_stop_at_any_sign_of_progress_is_gone_on_from(tmp_path, shoes):
    told = []
    obtain(shoes, tmp_path / "whole", lambda *line: told.append(line))
    assert len(told) > 6
    for n in range(len(told)):
        left = [n]

        def stop(*_, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            obtain(shoes, tmp_path / str(n), stop)
        obtain(shoes, tmp_path / str(n), ignore)
        assert content(tmp_path / str(n)) == WHOLE


def test_a_full_disk_while_unpacking_leaves_nothing_half_done(tmp_path, shoes, monkeypatch):
    def full(_, folder, __):
        folder.mkdir()
        (folder / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", full)
        with pytest.raises(OSError, match="No space left"):
            obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == {}
    assert work_on(tmp_path) == ["labels.zip"]
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE


def test_a_damaged_note_of_what_was_done_is_no_harm(tmp_path, shoes):
    obtain(shoes, tmp_path, ignore)
    (tmp_path / WORK / "labels.zip.json").write_text("{")
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE


# ---- what is wrong is never unpacked ----


def test_a_wrong_archive_is_never_unpacked(tmp_path, site):
    site.serve("labels.zip", archive("zip", IMAGES))
    right = archive("zip", LABELS)
    wanted = fetching(site, "labels.zip", sha256=hashlib.sha256(right).hexdigest())
    with pytest.raises(DataError, match="not the file that the spec states"):
        obtain(wanted, tmp_path, ignore)
    assert (content(tmp_path), work_on(tmp_path)) == ({}, [])
    site.files["/labels.zip"].content = right
    obtain(wanted, tmp_path, ignore)
    assert content(tmp_path) == LABELS


@pytest.mark.parametrize("kind", ["zip", "tgz", "tar"])
def test_an_archive_cut_short_by_a_lie_about_its_length_is_refused_and_fetched_anew(tmp_path, site, kind):
    data = archive(kind, WHOLE)
    served = site.serve(f"all.{kind}", data, always=stating(len(data) // 3))
    with pytest.raises(DataError, match=f"all.{kind} is not unpacked"):
        obtain(fetching(site, f"all.{kind}"), tmp_path, ignore)
    assert (content(tmp_path), work_on(tmp_path)) == ({}, [])
    served.always = breaking(100)
    with pytest.raises(InfrastructureError):
        obtain(fetching(site, f"all.{kind}"), tmp_path, ignore)
    served.always = None
    obtain(fetching(site, f"all.{kind}"), tmp_path, ignore)
    assert content(tmp_path) == WHOLE


def test_an_archive_may_not_bring_files_of_bench_s_own(tmp_path, site):
    for name in (WORK, WORK.upper()):
        site.serve("evil.zip", archive("zip", {f"{name}/other.zip.json": b"{}"}))
        with pytest.raises(DataError, match="bench's own"):
            obtain(fetching(site, "evil.zip"), tmp_path / "copy", ignore)
        assert (content(tmp_path / "copy"), work_on(tmp_path / "copy")) == ({}, [])


def test_what_stands_in_the_way_is_told_and_nothing_is_fetched_twice(tmp_path, site, shoes):
    (tmp_path / WORK).mkdir()
    (tmp_path / "shoes").write_text("mine")
    with pytest.raises(DataError, match="shoes is there already, with other content") as caught:
        obtain(shoes, tmp_path, ignore)
    assert caught.value.hint == "move it away, then repeat"
    assert (tmp_path / "shoes").read_text() == "mine"
    (tmp_path / "shoes").unlink()
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE
    assert requests(site) == 2


def test_archives_that_disagree_are_told(tmp_path, site, shoes):
    site.serve("images.tgz", archive("tgz", IMAGES | {"readme.txt": b"other"}))
    with pytest.raises(DataError, match=r"readme\.txt is there already, with other content"):
        obtain(shoes, tmp_path, ignore)
    assert (tmp_path / "readme.txt").read_bytes() == b"read me"


def test_nothing_is_written_through_a_link_in_the_copy(tmp_path, shoes):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy" / WORK).mkdir(parents=True)
    (tmp_path / "copy/shoes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="shoes is there already"):
        obtain(shoes, tmp_path / "copy", ignore)
    assert not list((tmp_path / "elsewhere").iterdir())


# ---- folders that will not do ----


def test_a_folder_of_something_else_is_left_alone(tmp_path, site, shoes):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty") as caught:
        obtain(shoes, tmp_path, ignore)
    assert "--to" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert requests(site) == 0


def test_a_file_is_no_folder(tmp_path, shoes):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UsageError, match="cannot be used"):
            obtain(shoes, folder, ignore)


def test_another_process_at_the_same_folder_is_told(tmp_path, shoes):
    (tmp_path / WORK).mkdir()
    with FileLock(tmp_path / WORK / ".lock"), pytest.raises(UsageError, match="another bench fetches into"):
        obtain(shoes, tmp_path, ignore)
    obtain(shoes, tmp_path, ignore)
    assert content(tmp_path) == WHOLE


def test_a_folder_of_another_release_is_told(tmp_path, site, shoes):
    obtain(shoes, tmp_path, ignore)
    for other in (fetching(site, "labels.zip", sha256="0" * 64), fetching(site, "old/labels.zip")):
        with pytest.raises(UsageError, match=r"holds another release: labels\.zip came from") as caught:
            obtain(other, tmp_path, ignore)
        assert "--to" in caught.value.hint
    same = fetching(site, "labels.zip", sha256=hashlib.sha256(site.files["/labels.zip"].content).hexdigest())
    obtain(same, tmp_path, ignore)
    assert content(tmp_path) == WHOLE


def test_two_files_of_one_name_are_told(tmp_path, site):
    with pytest.raises(DataError, match=r"two files to fetch are named labels\.zip"):
        obtain(fetching(site, "labels.zip", "more/labels.zip"), tmp_path / "copy", ignore)
    assert not (tmp_path / "copy").exists()
