"""Which licence terms a user has accepted: once for each data set, and again where its terms have changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bench.data.copies import configuration_file
from bench.errors import UsageError
from bench.files import write_whole
from bench.specs.dataset import DatasetSpec, Fetch


def are_accepted(dataset: DatasetSpec, fetch: Fetch) -> bool:
    """Whether the user accepted these very terms before."""
    return _accepted().get(dataset.copy_name) == _digest(dataset, fetch)


def accept(dataset: DatasetSpec, fetch: Fetch) -> None:
    """Remember that the user accepts the terms as they stand in the spec."""
    content = _accepted() | {dataset.copy_name: _digest(dataset, fetch)}
    write_whole(_file(), json.dumps(content, indent=1, sort_keys=True))


def _file() -> Path:
    return configuration_file().with_name("accepted.json")


def _accepted() -> dict[str, str]:
    """Digests of accepted terms by name of the copy."""
    file = _file()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="mend it or remove it") from error


def _digest(dataset: DatasetSpec, fetch: Fetch) -> str:
    return hashlib.sha256("\n".join((dataset.licence, fetch.terms)).encode()).hexdigest()
