"""Every test of this folder has a cache and a configuration of its own."""

from __future__ import annotations

import pytest

from .samples import Copy


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Prepared stores and remembered copies go under the test's own folder."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture
def copy(tmp_path):
    """An empty copy of the `pets` data set."""
    return Copy(tmp_path / "copy")
