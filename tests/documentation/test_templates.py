"""Forms that people are asked to fill in, by the schemas of those who show them (they come with the validator)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GITHUB = Path(__file__).parents[2] / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))


def validate(schema, file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_an_issue_form_is_one(file):
    done = validate("github-issue-config" if file.stem == "config" else "github-issue-forms", file)
    assert done.returncode == 0, done.stdout


def test_a_form_that_is_none_would_be_seen(tmp_path):
    file = tmp_path / "fault.yml"
    file.write_text(
        FORMS[-1].read_text(encoding="utf-8").replace("type: textarea", "type: text_area"), encoding="utf-8"
    )
    assert validate("github-issue-forms", file).returncode == 1
