"""An archive, unpacked as if it came from an enemy: nothing is written outside the folder, and no disk is filled.

Of .zip, .tar, .tgz and .tar.gz only folders and plain files are taken, with their names and content: no owners, modes
or dates. Links of any kind, devices, sparse files, encrypted or repeated entries, and names that are absolute, climb up
or hold odd characters are refused, and with them the archive. What macOS adds of its own (`__MACOSX`) is left out.
Names that differ in case only are two files; a disk that takes them for one is told so.

Each content is checked against its stated length and checksum (zip: of each entry; gzip: of the whole), and a tar
archive must end as such, so that one that was cut is never taken for whole.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from bench.data.download import Report
from bench.errors import BenchError, DataError, InfrastructureError, is_infrastructure

ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz")

MOST_INFLATION = 100
"""An archive may hold so many times its own size; text packs to a tenth or so, images not at all."""

ALWAYS_ALLOWED = 64 << 20
"""Bytes that any archive may hold, however small it is."""

BLOCK = 1 << 20
LONGEST_HEADER = 1 << 20
LONGEST_END = (1 << 16) + 256


@dataclass(frozen=True)
class _Entry:
    """A file of an archive, or a folder (which has nothing to open)."""

    name: str
    size: int = 0
    open: Callable[[], IO[bytes]] | None = None


def is_archive(name: str) -> bool:
    """Whether a file of that name is unpacked."""
    return name.lower().endswith(ENDINGS)


def unpack(archive: Path, folder: Path, report: Report) -> None:
    """Unpack all of an archive into a new folder.

    Raises `DataError` for an archive that is broken or holds what it should not, and `InfrastructureError` where the
    disk has no room for it; what was unpacked so far stays, and is not to be used.
    """
    folder.mkdir()
    names = _Names(folder)
    with _understood(archive):
        for entry in _entries(archive, folder, report):
            place = names.place(entry)
            if place is not None and entry.open is not None:
                with entry.open() as source:
                    _copy(source, place, entry)


# ---- what archives hold ----


def _entries(archive: Path, folder: Path, report: Report) -> Iterator[_Entry]:
    room = _Room(archive, folder)
    if archive.name.lower().endswith(".zip"):
        return _zip_entries(archive, room, report)
    return _tar_entries(archive, room, report)


def _zip_entries(archive: Path, room: _Room, report: Report) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        listed = opened.infolist()
        if (len(listed) - _stated_entries(archive)) % (1 << 16):
            raise _Refused(f"its table of contents is damaged: {len(listed)} entries are left")
        for info in listed:
            room.take(info.file_size)
        # Entries that share their packed bytes make a small archive endless (Fifield, WOOT 2019).
        if sum(info.compress_size for info in listed) > archive.stat().st_size:
            raise _Refused("its entries overlap")
        done, total = 0, sum(info.file_size for info in listed)
        for info in listed:
            report(f"unpacking {archive.name}", done, total)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 0x1:
                raise _Refused("is encrypted", info.orig_filename)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Refused("is a link or a device", info.orig_filename)
            if info.orig_filename.endswith("/"):
                yield _Entry(info.orig_filename)
            else:
                yield _Entry(info.orig_filename, info.file_size, partial(opened.open, info))
            done += info.file_size
        report(f"unpacking {archive.name}", total, total)


def _stated_entries(archive: Path) -> int:
    """How many entries the end of a zip archive states; zipfile does not look, and may pass over some.

    Large archives state 65535 there and the true number in a wider record before (zip64), or only its last 16 bits.
    """
    with archive.open("rb") as stream:
        stream.seek(max(archive.stat().st_size - LONGEST_END, 0))
        tail = stream.read()
    end = tail.rindex(b"PK\5\6")
    wide = tail.rfind(b"PK\6\6", 0, end)
    (count,) = struct.unpack_from("<H", tail, end + 10)
    if count == 0xFFFF and wide >= 0:
        (count,) = struct.unpack_from("<Q", tail, wide + 32)
    return int(count)


def _tar_entries(archive: Path, room: _Room, report: Report) -> Iterator[_Entry]:
    size = archive.stat().st_size
    with archive.open("rb") as packed, _unpacked(packed) as stream:
        blocks = _Blocks(stream)
        with tarfile.open(fileobj=cast(IO[bytes], blocks), mode="r:") as opened:
            while (member := opened.next()) is not None:
                report(f"unpacking {archive.name}", packed.tell(), size)
                opened.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if member.size < 0 or member.issparse() or not (member.isreg() or member.isdir()):
                    raise _Refused("is a link, a device or a sparse file", member.name)
                room.take(member.size)
                if member.isdir():
                    yield _Entry(member.name)
                else:
                    yield _Entry(member.name, member.size, partial(_content, opened, member))
        if blocks.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header, or none, for the end
            raise _Refused("is damaged, or cut off")
        while block := stream.read(BLOCK):  # gzip checks its content at the end only
            room.take(len(block))
        report(f"unpacking {archive.name}", size, size)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return cast(IO[bytes], opened.extractfile(member))  # None only for what is no file


@contextmanager
def _unpacked(packed: IO[bytes]) -> Iterator[IO[bytes]]:
    """The tar archive in a file that may be compressed."""
    is_gzip = packed.read(2) == b"\x1f\x8b"
    packed.seek(0)
    if not is_gzip:
        yield packed
        return
    with gzip.open(packed) as stream:
        yield cast(IO[bytes], stream)


class _Blocks:
    """A stream for tarfile that remembers what was read last, and reads no header into memory that fills it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.last = stream, b""
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        if size > LONGEST_HEADER:
            raise _Refused(f"has a header of {size:,} bytes")
        self.last = self.stream.read(size)
        return self.last


# ---- where they go ----


class _Names:
    """Where entries are put. Raises `_Refused` for names that lead elsewhere, or stand twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: set[PurePosixPath] = set()
        self._folders = {PurePosixPath()}

    def place(self, entry: _Entry) -> Path | None:
        """The path of a file whose folders are there, or None for folders and for what is left out."""
        path = _relative(entry.name)
        if path.parts[:1] == ("__MACOSX",):
            return None
        is_file = entry.open is not None
        if path in self._files or (is_file and path in self._folders):
            raise _Refused("stands twice in it", entry.name)
        self._make(path.parent if is_file else path, entry)
        if not is_file:
            return None
        self._files.add(path)
        return self.folder / path

    def _make(self, path: PurePosixPath, entry: _Entry) -> None:
        if path in self._folders:
            return
        if path in self._files:
            raise _Refused("lies in a file", entry.name)
        self._make(path.parent, entry)
        (self.folder / path).mkdir(exist_ok=True)
        self._folders.add(path)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    odd = re.search(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:|^$", name)
    if odd or path.is_absolute() or ".." in path.parts:
        raise _Refused("leads out of the folder, or has odd characters", name)
    return path


def _copy(source: IO[bytes], place: Path, entry: _Entry) -> None:
    left = entry.size
    try:
        sink = place.open("xb")
    except FileExistsError:
        raise _Refused(
            "differs from another only in how the name is written; this disk needs more", entry.name
        ) from None
    with sink:
        while left and (block := source.read(min(BLOCK, left))):
            sink.write(block)
            left -= len(block)
    if left or source.read(1):
        raise _Refused(f"is not of the {entry.size:,} bytes that are stated", entry.name)


# ---- how much, and what goes wrong ----


class _Room:
    """How much an archive may hold."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.folder = folder
        self.most = max(MOST_INFLATION * archive.stat().st_size, ALWAYS_ALLOWED)
        self.free = shutil.disk_usage(folder).free
        self.taken = 0

    def take(self, size: int) -> None:
        """Count an entry of so many bytes. Raises `_Refused` for a bomb, `InfrastructureError` for a small disk."""
        self.taken += size + tarfile.BLOCKSIZE  # so that empty entries count too
        if self.taken > self.most:
            raise _Refused(f"holds more than {self.most:,} bytes, far more than data packs to")
        if self.taken > self.free:
            raise InfrastructureError(
                f"{self.folder} has {self.free:,} bytes free, which is too little to unpack there",
                hint="free some space, or give a folder on another disk (`--to`), then repeat",
            )


class _Refused(Exception):
    """Why an archive, or its entry of that name, is not taken."""

    def __init__(self, why: str, name: str | None = None) -> None:
        super().__init__(f"its entry {name[:120]!r} {why}" if name is not None else why)


_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError),
    *(struct.error, ValueError, ArithmeticError, RuntimeError),
)
"""What the readers of archives raise for broken ones."""


@contextmanager
def _understood(archive: Path) -> Iterator[None]:
    """Raises `DataError` where an archive is refused or broken."""
    hint = "get the file anew; if it stays like this, take it from the home page by hand, and tell its owners"
    try:
        yield
    except BenchError:
        raise
    except _Refused as error:
        raise DataError(f"{archive.name} is not unpacked: {error}", hint=hint) from error
    except _BROKEN as error:
        if is_infrastructure(error):
            raise
        said = f"{os.strerror(error.errno)}: {error.filename}" if isinstance(error, OSError) and error.errno else error
        raise DataError(
            f"{archive.name} is not unpacked: a broken archive: {said}{_page(archive)}", hint=hint
        ) from error


def _page(archive: Path) -> str:
    """Servers that want a form or a login answer with a page where a file is asked for."""
    with archive.open("rb") as stream:
        return " (it is a web page)" if stream.read(200).lstrip().startswith(b"<") else ""
