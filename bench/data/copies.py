"""Where local copies of data sets and prepared stores are.

A copy is given by `bench data add NAME PATH` (kept in the user's configuration) or stands under `BENCH_DATA/NAME`;
the configuration wins. `BENCH_CONFIG` and `BENCH_CACHE` move the two folders.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from bench.errors import UsageError, is_infrastructure
from bench.files import write_whole
from bench.specs.dataset import DatasetSpec

APPLICATION = "mtl-bench"


def cache_folder() -> Path:
    """Folder of prepared stores."""
    return Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_path(APPLICATION)).absolute()


def make_folder(folder: Path) -> None:
    """Make a folder with all above it. Raises `UsageError` where none can stand there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise UsageError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="BENCH_CACHE and BENCH_CONFIG say where bench keeps prepared data and its settings",
        ) from error


def copy_hint(dataset: DatasetSpec) -> str:
    """How to come by a copy."""
    get = f"`bench data get {dataset.name}`, or " if dataset.fetch is not None else ""
    return f"{get}`bench data add {dataset.copy_name} PATH`"


def configuration_file() -> Path:
    """The file that remembers where copies are."""
    folder = os.environ.get("BENCH_CONFIG") or platformdirs.user_config_path(APPLICATION)
    return Path(folder).absolute() / "copies.json"


def known_copies() -> dict[str, Path]:
    """Copies by name, as remembered in the configuration."""
    file = configuration_file()
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): Path(path) for name, path in content.items()}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError, TypeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="mend it or remove it") from error


def find_copy(name: str) -> Path | None:
    """The local copy of that name, or None."""
    remembered = known_copies().get(name)
    if remembered is not None:
        return remembered
    folder = os.environ.get("BENCH_DATA")
    if folder and (Path(folder) / name).is_dir():
        return (Path(folder) / name).resolve()
    return None


def remember_copy(name: str, path: Path) -> None:
    """Keep the place of a copy. Raises `UsageError` if there is no such folder."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder", hint="give the folder that the data set was unpacked into")
    _write(known_copies() | {name: path.resolve()})


def forget_copy(name: str) -> None:
    """Forget the place of a copy; the copy itself is not touched. Raises `UsageError` if none is remembered."""
    copies = known_copies()
    if name not in copies:
        raise UsageError(f"no copy of '{name}' is remembered", hint="`bench data list` shows all")
    del copies[name]
    _write(copies)


def _write(copies: dict[str, Path]) -> None:
    file = configuration_file()
    make_folder(file.parent)
    write_whole(file, json.dumps({name: str(path) for name, path in sorted(copies.items())}, indent=1))
