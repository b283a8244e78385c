"""Specs, copies and prepared data of a benchmark, in a place of their own that nothing is left of."""

from __future__ import annotations

import os
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.runs.check import checked_suite
from bench.runs.plan import SuitePlan, find_preparations, plan
from bench.specs.catalog import open_catalog

PLACES = {
    "BENCH_SPECS": "specs",
    "BENCH_DATA": "data",
    "BENCH_CACHE": "cache",
    "BENCH_CONFIG": "config",
    "BENCH_RESULTS": "results",
}


@contextmanager
def declared(specs: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these specs by name; while in here, bench in this process and its children works there."""
    before = {name: os.environ.get(name) for name in PLACES}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for variable, place in PLACES.items():
            (root / place).mkdir()
            os.environ[variable] = str(root / place)
        write_specs(root, specs)
        try:
            yield root
        finally:
            for variable, value in before.items():
                if value is None:
                    del os.environ[variable]
                else:
                    os.environ[variable] = value


def write_specs(root: Path, specs: Mapping[str, str]) -> None:
    """Put specs by name where `declared` has them."""
    for name, text in specs.items():
        (root / "specs" / f"{name}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")


def prepared(root: Path, suite: str) -> tuple[SuitePlan, float]:
    """The plan of a suite whose data sets are prepared, and the seconds that preparing them took."""
    catalog = open_catalog([root / "specs"])
    started = time.perf_counter()
    for one in checked_suite(catalog, suite):
        for preparation in find_preparations(catalog, one).values():
            preparation.prepare()
    seconds = time.perf_counter() - started
    return plan(catalog, suite)[0], seconds
