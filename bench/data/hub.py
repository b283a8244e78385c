"""A data set repository of the Hugging Face Hub at one commit, file by file into a folder.

Which files there are is always asked of the Hub itself, so that a folder that holds some of them is never taken for the
whole. Files that stand there already are not fetched again, and one that broke off is gone on with (huggingface_hub).
`HF_ENDPOINT` names another Hub; private and gated repositories need a token (`hf auth login`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from bench.data.download import Report
from bench.errors import DataError, InfrastructureError, UsageError, is_infrastructure
from bench.specs.dataset import HubSnapshot


@dataclass(frozen=True)
class _Listed:
    """A file as the Hub tells of it; only large files come with a checksum."""

    name: str
    size: int
    sha256: str | None


def fetch_snapshot(snapshot: HubSnapshot, folder: Path, report: Report) -> None:
    """Bring the files of a snapshot into a folder, under their names.

    Raises `DataError` where the Hub has not what the spec names, `UsageError` where bench is told to stay offline, and
    `InfrastructureError` where the network or the Hub failed (what has arrived is kept).
    """
    from huggingface_hub import hf_hub_download

    with _told(snapshot):
        files = _listed(snapshot)
        done, total = 0, sum(file.size for file in files)
        for file in files:
            report(f"fetching {file.name}", done, total)
            hf_hub_download(
                snapshot.repository, file.name, repo_type="dataset", revision=snapshot.revision, local_dir=folder
            )
            _check(folder / file.name, file)
            done += file.size
            report(f"fetching {file.name}", done, total)


def _listed(snapshot: HubSnapshot) -> list[_Listed]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    entries = HfApi().list_repo_tree(
        snapshot.repository, recursive=True, revision=snapshot.revision, repo_type="dataset"
    )
    files = [
        _Listed(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
        for entry in entries
        if isinstance(entry, RepoFile) and any(fnmatchcase(entry.path, pattern) for pattern in snapshot.files)
    ]
    if not files:
        patterns = ", ".join(snapshot.files)
        raise DataError(f"{_name(snapshot)} has no file like {patterns}", hint="mend `fetch` in the dataset spec")
    for file in files:
        parts = PurePosixPath(file.name).parts
        if not parts or ".." in parts or parts[0].startswith((".", "/")):
            raise DataError(f"{_name(snapshot)} has a file {file.name[:120]!r}, which would not lie in the copy")
    return sorted(files, key=lambda file: file.name)


def _check(path: Path, file: _Listed) -> None:
    """Removes a file and raises `DataError` where it is not what the Hub told of."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if path.stat().st_size == file.size and file.sha256 in (None, found):
        return
    path.unlink()
    raise DataError(f"{file.name} is not the file that the Hub told of, and was removed", hint="repeat the command")


@contextmanager
def _told(snapshot: HubSnapshot) -> Iterator[None]:
    from huggingface_hub import errors

    # First the root of what its HTTP library raises: which library that is differs between releases of
    # huggingface_hub. Failures of hf_xet are RuntimeErrors, answers that are no JSON ValueErrors.
    failed: tuple[type[BaseException], ...] = (errors.HfHubHTTPError.__mro__[1], OSError, RuntimeError, ValueError)
    missing = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError)
    later = "repeat the command later: files that are here are not fetched again"
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        hint = "take HF_HUB_OFFLINE out of the environment"
        raise UsageError(f"{_name(snapshot)} cannot be fetched: the Hub is switched off", hint=hint) from error
    except errors.LocalEntryNotFoundError as error:
        raise InfrastructureError(f"{_name(snapshot)} cannot be fetched: {_line(error)}", hint=later) from error
    except missing as error:
        hint = "if it is private or gated, ask for access on its page and log in (`hf auth login`)"
        raise DataError(f"{_name(snapshot)} cannot be fetched: {_line(error)}", hint=hint) from error
    except failed as error:
        if is_infrastructure(error):
            raise
        raise InfrastructureError(f"{_name(snapshot)} cannot be fetched: {_line(error)}", hint=later) from error


def _name(snapshot: HubSnapshot) -> str:
    return f"{snapshot.repository} at {snapshot.revision[:8]}"


def _line(error: BaseException) -> str:
    """A message of several lines as one."""
    return " ".join(str(error).split()) or type(error).__name__
