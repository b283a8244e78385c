"""What a text tells of the machine it was made on: local paths, the names of its user and of itself.

Paths are known by their shape wherever a text comes from. Names are known only on the machine itself, so they are
looked for when results are packed, and again by whoever packs them on.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

PATHS = re.compile(
    r"""
      file://\S+
    | (?<![\w./\\)\]}~%-]) / [\w.@+-]+ (?: / [\w.@+%-]* )+            # /home/ann/data
    | (?<![\w~/]) ~ (?: [A-Za-z_][\w.-]* )? / [\w.-]+                     # ~/data, ~ann/data
    | (?<!\w) [A-Za-z]: (?: \\+ | /(?!/) ) [\w.-]+ (?: [\\/]+ [\w.-]* )*  # C:\Users\ann
    | (?<![\w\\]) \\\\ [\w.-]+ \\ [\w.$-]+ (?: \\ [\w.-]* )*             # \\server\share
    """,
    re.VERBOSE,
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that steer a terminal, or the direction of text; tab and newline are none."""

COMMON = frozenset(
    """
    admin administrator bench box build ci container debian default docker guest home host jenkins linux local
    localhost machine nobody owner root runner server student test tester ubuntu user users vagrant work workspace
    """.split()  # noqa: SIM905  # a list of forty words reads worse
)
"""Names of users and machines that tell of nobody."""
LEAST_LENGTH = 3


def local_names() -> frozenset[str]:
    """Names of this user and this machine that would tell of them, in lower case."""
    host = socket.gethostname()
    found = {host, host.partition(".")[0]}
    with suppress(OSError, KeyError, RuntimeError):  # a user without an entry, as in some containers, has no name
        found |= {getpass.getuser(), Path.home().name}
    lower = {name.lower() for name in found}
    return frozenset(name for name in lower if len(name) >= LEAST_LENGTH and name not in COMMON)


def traces(text: str, names: Collection[str] = ()) -> Iterator[str]:
    """What in a text tells of a machine, in words: each local path, each of `names`, and control characters."""
    for path in dict.fromkeys(PATHS.findall(text)):
        yield f"the local path {path!r}"
    pattern = _names(names)
    if pattern is not None:
        for name in dict.fromkeys(pattern.findall(text)):
            yield f"the name {name!r} of a user or machine"
    if CONTROLS.search(text):
        yield "control characters"


def scrubbed(text: str, names: Collection[str] = ()) -> str:
    """The text with every local path and every name replaced by what it was."""
    pattern = _names(names)
    text = PATHS.sub("[path]", text)
    return CONTROLS.sub("", pattern.sub("[name]", text) if pattern is not None else text)


def harmless(text: str, length: int = 500) -> str:
    """The text of a stranger as it may be printed: no control characters, on one line, and not endless."""
    line = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= length else line[: length - 4] + " ..."


def _names(names: Collection[str]) -> re.Pattern[str] | None:
    """Names as words of their own, whatever their case; an underscore or a digit beside them hides nothing."""
    if not names:
        return None
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![^\W\d_])(?:{either})(?![^\W\d_])", re.IGNORECASE)
