"""Fixtures that the rooms of runs, reports and end to end share; each room's conftest names those it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Finished, World
from .worlds import caller, copy_of_finished, finished_root, forget_finished_root


@pytest.fixture(scope="session")
def finished() -> Iterator[World]:
    """A world in which the tiny suite has ended; look, and change nothing."""
    yield World(finished_root())
    forget_finished_root()


@pytest.fixture
def ask(finished: World, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Calls commands that change nothing in the finished world."""
    return caller(finished, capsys)


@pytest.fixture
def done(finished: World, tmp_path: Path) -> World:
    """A copy of the finished world that may be changed."""
    assert finished.results.is_dir()
    return copy_of_finished(tmp_path / "done")


@pytest.fixture
def redo(done: World, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Calls commands in the copy of the finished world."""
    return caller(done, capsys)
