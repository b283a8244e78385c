"""Annotations of GitHub's workflow log: messages that appear beside the line that they are about.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Level = Literal["notice", "warning", "error"]


def annotation(
    level: Level, message: str, *, file: Path | None = None, line: int | None = None, column: int | None = None,
    title: str = "",
) -> str:  # fmt: skip
    """One line of the log. Nothing in a message or a name can end the command or begin another."""
    told = {"file": file and _relative(file).as_posix(), "line": line, "col": column, "title": title}
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in told.items() if value)
    return f"::{level}{' ' * bool(properties)}{properties}::{_data(message)}"


def _relative(file: Path) -> Path:
    """As GitHub names files: from the folder that the job works in."""
    absolute, here = file.absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return "".join(character if character.isprintable() else " " for character in escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
