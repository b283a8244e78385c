"""Worlds with a finished tiny suite, made once and shared or copied, and what results are compared by."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ..conftest import SPECS, Finished, World

DEADLINE = 120.0


def make_world(root: Path) -> World:
    """A world with the tiny suite and nothing done."""
    made = World(root)
    for name, text in SPECS.items():
        made.write(name, text)
    return made


def call(world: World, *arguments: str) -> int:
    """Run bench's command line in this process; what it prints goes where it goes."""
    from bench.cli.app import main

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BENCH_")]:
            patch.delenv(name)
        for name, value in world.variables.items():
            patch.setenv(name, value)
        patch.chdir(world.root)
        patch.setattr(sys, "argv", ["bench", *arguments])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@cache
def finished_root() -> Path:
    """The folder of a world in which the tiny suite has ended; nobody may change it."""
    root = Path(tempfile.mkdtemp(prefix="bench-finished-"))
    world = make_world(root)
    if call(world, "run", "--suite", "tiny") != 0:
        raise AssertionError("the tiny suite did not end well")
    return root


def forget_finished_root() -> None:
    if finished_root.cache_info().currsize:
        shutil.rmtree(finished_root())
        finished_root.cache_clear()


def copy_of_finished(root: Path) -> World:
    """A world of its own in which the tiny suite has ended."""
    shutil.copytree(finished_root(), root, dirs_exist_ok=True)
    return World(root)


def caller(world: World, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Calls bench in this process and gives what it printed."""

    def run(*arguments: str) -> Finished:
        capsys.readouterr()
        code = call(world, *arguments)
        out, err = capsys.readouterr()
        return Finished(code, out, err)

    return run


def results_of(world: World) -> dict[str, Any]:
    """All that must be equal between runs that are the same: scores, curves, selected steps and every prediction."""
    found = world.scores()
    for file in sorted(world.results.glob("runs/[a-z]*/*/*.parquet")):
        found[file.parent.name][file.name] = pq.read_table(file).to_pydict()
    return found


def wait_for(happened: Callable[[], object], process: Any = None) -> None:
    """Poll until something has happened; an error if the deadline passes or the process ends before."""
    end = time.monotonic() + DEADLINE
    while not happened():
        if process is not None and process.poll() is not None and not happened():
            raise AssertionError(f"bench ended with {process.returncode} too early: {process.communicate()[1]}")
        if time.monotonic() > end:
            raise AssertionError("the deadline has passed")
        time.sleep(0.002)
