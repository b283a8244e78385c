"""The folder of a site: built beside its place, then put there whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UsageError

MARKER = ".bench-site"
"""A file that only our sites have, so that nothing else is ever replaced."""


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `out` when the block ends well; else `out` stays as it was.

    Raises `UsageError` if `out` is anything but absent, empty, or a site of ours.
    """
    refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.{os.getpid()}.new")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        (fresh / MARKER).write_text("A site made by bench; `bench site build` replaces this folder.\n", "utf-8")
        yield fresh
        if out.exists():
            os.replace(out, old)
        try:
            os.replace(fresh, out)
        except OSError:
            if old.exists():
                os.replace(old, out)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def refuse_foreign(out: Path) -> None:
    """Raises `UsageError` for a place that holds anything but a site of ours."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is not a folder", hint="give another place with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UsageError(
            f"{out} holds something that is not a site of bench; it is left alone",
            hint="give an empty or a new folder with --out",
        )
