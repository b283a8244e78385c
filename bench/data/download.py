"""One file over HTTPS: resumed where it broke off, checked before it stands under its name.

    <place>.part        what has arrived so far
    <place>.part.json   which file of the server that is (address, ETag or date, length), so that only the rest is asked
    <place>             the whole file, once its length and checksums are those that the spec states

Breaks and busy servers are tried again after a while; what has arrived is kept, and a later call goes on from there.
Ranges are asked for with `If-Range` (RFC 9110, section 13.1.5), so that a file that changed meanwhile starts anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
from pydantic import ValidationError

import bench
from bench.errors import DataError, InfrastructureError
from bench.specs.dataset import Download
from bench.specs.model import Frozen

Report = Callable[[str, int, int], None]
"""Told of a step (in words), the bytes of it that are done, and all of them."""

WAITS = (1.0, 3.0, 10.0, 30.0)
"""Seconds before each further try."""

TIMEOUT = 30.0
"""Seconds without an answer, or without a byte, after which a try has failed."""

MOST_REDIRECTS = 8
LONGEST_WAIT = 60.0
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_NAME = 200
BLOCK = 1 << 20
_NO_ADDRESS = (httpx.InvalidURL, UnicodeError)


class _Broken(Exception):
    """A try failed in a way that another may not; `wait` is how many seconds the server asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def download(file: Download, place: Path, report: Report, *, waits: Sequence[float] = WAITS) -> str:
    """Fetch a file to `place` and give its SHA-256; a whole file that is there already is only checked.

    Raises `DataError` where the server has not the file that the spec states (nothing is kept then), and
    `InfrastructureError` where the network, the server or the disk failed (what has arrived is kept).
    """
    part = _Part(place.with_name(place.name + ".part"), file)
    if not place.exists():
        with httpx.Client(verify=_authorities(), timeout=TIMEOUT, headers=_headers()) as client:
            _complete(client, part, waits, report)
    path = place if place.exists() else part.path
    try:
        digest = _checked(path, file, report)
    except DataError:
        path.unlink()
        part.remove()
        raise
    os.replace(path, place)
    part.note.unlink(missing_ok=True)
    return digest


def file_name(url: str) -> str:
    """The name of the file at an address. Raises `DataError` where the address ends in none."""
    try:
        name = httpx.URL(url).path.rpartition("/")[2]
    except _NO_ADDRESS as error:
        raise DataError(f"{url}: no address: {error}", hint="mend `fetch` in the dataset spec") from error
    if not re.fullmatch(r"[^\x00-\x1f/\\.][^\x00-\x1f/\\]*", name) or len(name.encode()) > LONGEST_NAME:
        raise DataError(f"{url}: the address ends in no name of a file", hint="mend `fetch` in the dataset spec")
    return name


# ---- one file, in as many tries as it takes ----


class _Remote(Frozen):
    """Which content of a server a part is of; `validator` tells it from a later one, and is empty if nothing does."""

    url: str
    validator: str
    length: int


class _Part:
    """What has arrived of a file, and of which content of the server it is."""

    def __init__(self, path: Path, file: Download) -> None:
        self.path, self.file = path, file
        self.note = path.with_name(path.name + ".json")

    @property
    def name(self) -> str:
        """The name of the file that it will be."""
        return self.path.name.removesuffix(".part")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def remote(self) -> _Remote | None:
        """None where nothing is known of the content, so that it cannot be gone on with."""
        try:
            remote = _Remote.model_validate_json(self.note.read_bytes())
        except (FileNotFoundError, ValidationError):  # none yet, or cut off when the machine stopped
            return None
        return remote if remote.url == self.file.url and self.size <= remote.length else None

    @property
    def is_whole(self) -> bool:
        return (remote := self.remote) is not None and self.size == remote.length

    def restart(self, remote: _Remote) -> None:
        """Empty the part before the note: the other way round, a stop between them would mix two contents."""
        self.path.write_bytes(b"")
        self.note.write_text(remote.model_dump_json(), encoding="utf-8")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _complete(client: httpx.Client, part: _Part, waits: Sequence[float], report: Report) -> None:
    """Try until the part is whole; a try that got further than any before it gives all tries back."""
    failed, furthest = 0, part.size
    while not part.is_whole:
        try:
            _try(client, part, report)
        except (_Broken, httpx.TransportError) as error:
            failed = 0 if part.size > furthest else failed + 1
            furthest = max(furthest, part.size)
            if failed > len(waits):
                raise InfrastructureError(
                    f"{part.file.url} cannot be fetched: {_words(error)}",
                    hint=f"repeat the command later: it goes on from the {part.size:,} bytes that are here",
                ) from error
            _wait(error, waits[max(failed - 1, 0)] if waits else 0.0, part, report)


def _wait(error: Exception, seconds: float, part: _Part, report: Report) -> None:
    """Wait before another try, as long as the server asks for if that is longer."""
    seconds = max(seconds, error.wait if isinstance(error, _Broken) else 0.0)
    report(f"{part.name}: {_words(error)}; trying again in {seconds:.0f} s", part.size, part.size)
    time.sleep(seconds)


def _try(client: httpx.Client, part: _Part, report: Report) -> None:
    """Ask for what is missing and append what comes."""
    with _answer(client, part) as response:
        if response.status_code == 206:
            _check_range(response, part)
        else:
            part.restart(_remote_of(response, part.file))
        remote = part.remote
        if remote is None:
            raise _Broken("the part on disk was changed by somebody else")
        done = part.size
        _check_space(part.path.parent, remote.length - done)
        step = f"fetching {part.name}"
        report(step, done, remote.length)
        with part.path.open("ab") as sink:
            for block in response.iter_raw():
                done += len(block)
                if done > remote.length:
                    raise _refused(part, f"the server sends more than the {remote.length:,} bytes that were stated")
                sink.write(block)
                report(step, done, remote.length)
        if done < remote.length:
            raise _refused(part, f"the server ends after {done:,} of the {remote.length:,} bytes that were stated")


@contextmanager
def _answer(client: httpx.Client, part: _Part) -> Iterator[httpx.Response]:
    """The answer with the file or the rest of it, redirections followed. Raises `DataError`, `_Broken`."""
    request = client.build_request("GET", part.file.url, headers=_range(part))
    for _ in range(MOST_REDIRECTS):
        try:
            response = client.send(request, stream=True)
        except _NO_ADDRESS as error:
            raise DataError(f"{part.file.url}: the server leads to no address: {error}") from error
        try:
            if response.next_request is None:
                _check_status(response, part)
                yield response
                return
            _check_redirect(request.url, response.next_request.url)
            request = response.next_request
        finally:
            response.close()
    raise DataError(f"{part.file.url}: the server redirects in circles", hint="mend `fetch` in the dataset spec")


def _range(part: _Part) -> dict[str, str]:
    """Headers that ask for the rest only, if the server still has the same content."""
    remote = part.remote
    if remote is None or not remote.validator or part.size == 0:
        return {}
    return {"Range": f"bytes={part.size}-", "If-Range": remote.validator}


def _check_status(response: httpx.Response, part: _Part) -> None:
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code in BUSY:
        asked = response.headers.get("Retry-After", "")
        raise _Broken(f"the server answers {status}", min(float(asked), LONGEST_WAIT) if asked.isdecimal() else 0.0)
    if response.status_code == 416:
        part.remove()
        raise _Broken("the server has not the rest of this file")
    if response.status_code not in (200, 206):
        raise DataError(
            f"{part.file.url}: the server answers {status}",
            hint="look at the home page of the data set: the file may have moved, or may need a form by now",
        )


def _check_range(response: httpx.Response, part: _Part) -> None:
    """That the rest is the rest of the same content; some servers pay no heed to `If-Range`."""
    remote = part.remote
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    changed = remote is None or _validator(response) not in ("", remote.validator)
    if remote is None or changed or found is None or _numbers(found) != (part.size, remote.length - 1, remote.length):
        part.remove()
        raise _Broken("the file changed on the server while it was fetched")


def _numbers(found: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(text) for text in found.groups())


def _remote_of(response: httpx.Response, file: Download) -> _Remote:
    """What the server says of its content. Raises `DataError` where that is not what the spec states."""
    stated = response.headers.get("Content-Length", "")
    length = int(stated) if stated.isdecimal() else file.bytes
    if not length:
        said = "is empty" if stated else "has no length that the server tells"
        raise DataError(f"{file.url}: the file {said}", hint="state `bytes` beside the address in the dataset spec")
    if file.bytes is not None and length != file.bytes:
        raise DataError(f"{file.url}: the server has {length:,} bytes, the spec states {file.bytes:,}", hint=_CHANGED)
    return _Remote(url=file.url, validator=_validator(response), length=length)


def _validator(response: httpx.Response) -> str:
    """What tells this content from a later one: a strong ETag, or else the date; empty if there is neither."""
    tag: str = response.headers.get("ETag", "")
    date: str = response.headers.get("Last-Modified", "")
    return tag if tag and not tag.startswith("W/") else date


def _check_redirect(here: httpx.URL, there: httpx.URL) -> None:
    """HTTPS leads to HTTPS only. Plain HTTP, which specs may name on this machine only, may stay on this machine."""
    if there.scheme == "https" or (_is_local(here) and _is_local(there)):
        return
    raise DataError(f"{here} redirects to {there}, which is not HTTPS", hint="look at the home page of the data set")


def _is_local(url: httpx.URL) -> bool:
    return url.scheme == "http" and url.host in ("127.0.0.1", "localhost")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InfrastructureError(
            f"{folder} has {free:,} bytes free, and {needed:,} are still to be fetched",
            hint="free some space, or give a folder on another disk (`--to`), then repeat",
        )


# ---- whether it is the right file ----

_CHANGED = (
    "repeat the command; if this stays so, the owners may have put another file there: "
    "look at the home page, and mend `fetch` in the dataset spec"
)


def _refused(part: _Part, why: str) -> DataError:
    """The error for a file that is not the stated one, of which nothing is kept."""
    part.remove()
    return DataError(f"{part.file.url}: {why}", hint=_CHANGED)


def _checked(path: Path, file: Download, report: Report) -> str:
    """The SHA-256 of a whole file. Raises `DataError` where it is not what the spec states."""
    kinds = ("sha256", "md5") if file.md5 else ("sha256",)
    total = path.stat().st_size
    digests = _digests(path, kinds, lambda done: report(f"checking {file_name(file.url)}", done, total))
    stated = {"bytes": file.bytes, "sha256": file.sha256, "md5": file.md5}
    for kind, found in {"bytes": total, **digests}.items():
        if stated[kind] is not None and found != stated[kind]:
            raise DataError(
                f"{file.url}: not the file that the spec states: {kind} is {found}, expected {stated[kind]}",
                hint=_CHANGED,
            )
    return digests["sha256"]


def _digests(path: Path, kinds: Sequence[str], report: Callable[[int], None]) -> dict[str, str]:
    hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    done = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            for digest in hashes.values():
                digest.update(block)
            done += len(block)
            report(done)
    return {kind: digest.hexdigest() for kind, digest in hashes.items()}


@cache
def _authorities() -> ssl.SSLContext:
    """Who may vouch for servers; reading them takes long beside a small file."""
    return httpx.create_ssl_context()


def _headers() -> dict[str, str]:
    # `identity`: archives are compressed already, and ranges of a file packed for transport would be other bytes.
    return {"User-Agent": f"mtl-bench/{bench.__version__}", "Accept-Encoding": "identity"}


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
