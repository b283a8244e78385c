"""Annotations of GitHub's log: one line each, whatever names hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reports.annotations import annotation


def test_an_annotation_names_file_and_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = annotation("error", "wrong", file=tmp_path / "specs" / "a.yaml", line=3, column=5, title="a, b: c")
    assert told == "::error file=specs/a.yaml,line=3,col=5,title=a%2C b%3A c::wrong"
    assert annotation("notice", "well") == "::notice::well"
    assert "file=/elsewhere/a.yaml," in annotation("warning", "x", file=Path("/elsewhere/a.yaml"), line=1)


@given(st.text(), st.text(min_size=1))
def test_nothing_ends_an_annotation_or_begins_another(message, title):
    told = annotation("error", message, title=title)
    assert told.isprintable() and len(told.splitlines()) == 1
    properties = told.removeprefix("::error title=").partition("::")[0]
    assert ":" not in properties and "," not in properties


@pytest.mark.parametrize("text", ["100 %\n::error::owned", "a\r\n::set-output name=x::y", "%0A::warning::z"])
def test_escapes_come_back_as_they_were(text):
    told = annotation("error", text).removeprefix("::error::")
    assert told.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") == text


def test_validate_annotates_in_a_workflow(world, bench, monkeypatch):
    world.change("tiny", "budget: tiny_budget", "budget: tiny_budgte")
    assert "::error" not in bench("validate", "tiny").err
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.chdir(world.root)
    told = bench("validate", "tiny")
    (line,) = [line for line in told.err.splitlines() if line.startswith("::error ")]
    assert told.code == 2 and line.startswith("::error file=specs/tiny.yaml,line=") and "tiny_budgte" in line
