"""A copy of a data set that is openly served: fetched, checked, unpacked; an interrupted one goes on where it stopped.

<folder>/                    the copy, as its owners ship it
<folder>/.bench-get/         the work on it
    <file>.part, <file>      a download (bench.data.download); an archive is removed once it is unpacked
    <file>.fresh/            being unpacked; worth nothing
    <file>.staged/           unpacked whole: `content/` and `done.json`; `content` is being moved into the copy
    <file>.json              which file it was, and what of it stands in the copy: nothing is left to be done
    .lock                    held by the process that works here
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bench.data.copies import cache_folder
from bench.data.download import WAITS, Report, download, file_name
from bench.data.hub import fetch_snapshot
from bench.data.unpacking import is_archive, unpack
from bench.errors import DataError, UsageError, is_infrastructure
from bench.specs.dataset import Download, Fetch
from bench.specs.model import Frozen

WORK = ".bench-get"


def default_folder(name: str) -> Path:
    """Where the copy of that name goes unless the user says where."""
    return cache_folder() / "copies" / name


def obtain(fetch: Fetch, folder: Path, report: Report) -> None:
    """Bring a copy into `folder`, which must be new, empty, or one that an earlier call worked on.

    Raises `UsageError` for a folder of something else, `DataError` where the files are not what the spec states, and
    `InfrastructureError` where the network or the disk failed. Whatever is raised, the same call goes on from there.
    """
    names = [file_name(file.url) for file in fetch.files or ()]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two files to fetch are named {name}", hint="mend `fetch` in the dataset spec")
    with _claimed(folder) as work:
        items = [_Item(file, name, folder, work) for file, name in zip(fetch.files or (), names, strict=True)]
        for item in [item for item in items if not item.is_done()]:
            item.obtain(report)
        if fetch.hub is not None:
            fetch_snapshot(fetch.hub, folder, report)


@contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    """The work folder, held against other processes."""
    work = folder / WORK
    try:
        if folder.is_dir() and not work.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty",
                hint="give a new folder (`--to`); if this is the copy, `bench data add` makes it known",
            )
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another bench fetches into {folder}", hint="let it end, or stop it, then repeat") from error
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise UsageError(f"{folder} cannot be used: {error.strerror}", hint="give another folder (`--to`)") from error
    try:
        yield work
    finally:
        lock.release()


class _Done(Frozen):
    """A file of which all is in the copy: where it came from, and the names at the top of what it brought."""

    url: str
    sha256: str
    entries: tuple[str, ...]


class _Item:
    """One file on its way into the copy. Each step ends with a rename, so that a stop leaves it done or undone."""

    def __init__(self, file: Download, name: str, folder: Path, work: Path) -> None:
        self.file, self.folder = file, folder
        self.download = work / name
        self.fresh = work / f"{name}.fresh"
        self.staged = work / f"{name}.staged"
        self.done = work / f"{name}.json"

    def is_done(self) -> bool:
        """Whether all of it stands in the copy, as far as the names at the top tell."""
        done = self._read(self.done)
        return done is not None and all(os.path.lexists(self.folder / entry) for entry in done.entries)

    def obtain(self, report: Report) -> None:
        if self._read(self.staged / "done.json") is None:
            self._stage(download(self.file, self.download, report, waits=WAITS), report)
        if (self.staged / "content").is_dir():
            _move_into(self.staged / "content", self.folder)
            (self.staged / "content").rmdir()
        self.download.unlink(missing_ok=True)
        os.replace(self.staged / "done.json", self.done)
        self.staged.rmdir()

    def _read(self, file: Path) -> _Done | None:
        """What was done before, if anything. Raises `UsageError` if that was done with another file."""
        try:
            done = _Done.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError):  # not done, or cut off when the machine stopped
            return None
        same = done.sha256 == self.file.sha256 if self.file.sha256 is not None else done.url == self.file.url
        if same:
            return done
        raise UsageError(
            f"{self.folder} holds another release: {self.download.name} came from {done.url}, its SHA-256 was "
            f"{done.sha256}",
            hint="give another folder (`--to`)",
        )

    def _stage(self, sha256: str, report: Report) -> None:
        """Unpack beside the copy; a broken archive is removed, so that a repeated call fetches it anew."""
        for left in (self.fresh, self.staged):
            if left.exists():
                shutil.rmtree(left)
        self.fresh.mkdir()
        try:
            content = self.fresh / "content"
            if is_archive(self.download.name):
                unpack(self.download, content, report)
            else:
                content.mkdir()
                os.replace(self.download, content / self.download.name)
            entries = tuple(sorted(entry.name for entry in content.iterdir()))
            if any(entry.casefold() == WORK for entry in entries):
                raise DataError(f"{self.download.name} is not unpacked: it holds {WORK}, which is bench's own")
            done = _Done(url=self.file.url, sha256=sha256, entries=entries)
            (self.fresh / "done.json").write_text(done.model_dump_json(), encoding="utf-8")
            os.replace(self.fresh, self.staged)
        except DataError:
            self.download.unlink(missing_ok=True)
            raise
        finally:
            if self.fresh.exists():
                shutil.rmtree(self.fresh)


def _move_into(source: Path, target: Path) -> None:
    """Move what is in a folder into another. Raises `DataError` where something else stands there already."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if not os.path.lexists(place):
            os.replace(entry, place)
        elif entry.is_dir() and place.is_dir() and not place.is_symlink():
            _move_into(entry, place)
            entry.rmdir()
        elif entry.is_file() and place.is_file() and filecmp.cmp(entry, place, shallow=False):
            entry.unlink()
        else:
            raise DataError(f"{place} is there already, with other content", hint="move it away, then repeat")
