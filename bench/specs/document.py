"""A YAML file as plain data plus the position of every key and value.

YAML 1.2 through ruamel.yaml, restricted to what JSON can hold: mappings with text keys, sequences, and plain
scalars. Directives, anchors, aliases and tags are refused: a spec is read by people, and nothing in it may expand,
execute, or change how the rest is read.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bench.errors import Problem, SpecError

KeyPath = tuple[str | int, ...]
MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_INT = 100
"""Characters of a whole number; Python itself refuses to print some of thousands."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""Characters that are no text, among them those that steer a terminal; tabs and line ends are."""
_PLAIN_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null")}


@dataclass(frozen=True)
class Position:
    """A place in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One parsed spec file.

    `data` is JSON-like; `keys` and `values` give the position of each mapping key and of each value by key path.
    `extended` is the document that top-level keys were taken over from, if any.
    """

    file: Path
    data: Any
    keys: Mapping[KeyPath, Position]
    values: Mapping[KeyPath, Position]
    extended: Document | None = None

    def over(self, other: Document, data: Any) -> Document:
        """This document with `data` that was taken in part from another; positions are told where each part stands."""
        return replace(self, data=data, extended=other)

    def problem(self, path: Iterable[str | int], message: str, *, at_key: bool = False) -> Problem:
        """A problem at `path`, placed at the nearest enclosing value that the file has."""
        wanted = tuple(path)
        if self.extended is not None and wanted and wanted[:1] not in self.values and wanted[0] in self.extended.data:
            return self.extended.problem(wanted, message, at_key=at_key)
        table = self.keys if at_key and wanted in self.keys else self.values
        known = wanted
        while known and known not in table:
            known = known[:-1]
        position = table.get(known, Position(1, 1))
        return Problem(self.file, position.line, position.column, dotted(wanted), message)


def dotted(path: Iterable[str | int]) -> str:
    """`("terms", 0, "form")` as `terms[0].form`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def read_document(file: Path) -> Document:
    """Read one YAML file. Raises `SpecError` with every structural problem found."""
    return parse_document(_read_text(file), file)


def parse_document(text: str, file: Path) -> Document:
    """Parse the text of one YAML file; `file` is only used to say where problems are."""
    _refuse_controls(text, file)
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _PlainComposer
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        raise SpecError([_syntax_problem(error, file)]) from error
    except (YAMLError, ValueError) as error:  # ValueError: an escape such as "\U00110000" that is no character
        raise SpecError([Problem(file, 1, 1, "", f"not readable as YAML: {error}")]) from error
    if not isinstance(node, MappingNode):
        raise SpecError(
            [Problem(file, 1, 1, "", "expected a mapping with `kind:` and `name:`, with a blank after each colon")]
        )
    reading = _Reading(file, yaml)
    data = reading.value(node, ())
    if reading.problems:
        raise SpecError(reading.problems)
    return Document(file, data, reading.keys, reading.values)


def refuse_no_file(file: Path) -> None:
    """Raise `SpecError` for a pipe or a device, which would be read for ever."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise SpecError([Problem(file, 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise SpecError([Problem(file, 1, 1, "", "a pipe or a device, not a file")])


def _read_text(file: Path) -> str:
    refuse_no_file(file)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SpecError([Problem(file, 1, 1, "", f"larger than {MAX_BYTES} bytes, too large for a spec")])
        content = file.read_bytes()
        if content.startswith(_UTF_16) or b"\x00" in content[:4]:
            raise SpecError([Problem(file, 1, 1, "", "UTF-16 or UTF-32 text; save it as UTF-8")])
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        raise SpecError([Problem(file, 1, 1, "", f"not UTF-8 text ({place}); save it as UTF-8")]) from error
    except OSError as error:
        raise SpecError([Problem(file, 1, 1, "", f"cannot be read: {error.strerror}")]) from error


def _refuse_controls(text: str, file: Path) -> None:
    """Raise `SpecError` for characters that no text file has, with the place of the first."""
    found = _CONTROL.search(text)
    if found is None:
        return
    before = re.split(r"\r\n|\r|\n", text[: found.start()])
    message = f"the control character U+{ord(found[0]):04X} is no text"
    raise SpecError([Problem(file, len(before), len(before[-1]) + 1, "", message)])


_SYNTAX = {
    r"\\t|'\t'": "a tab is used for indentation; YAML allows spaces only",
    r"another document": "a second document starts here; a spec file holds one",
    r"mapping values are not allowed": "`key: value` is not allowed here: the line is indented wrongly, a blank is "
    "missing after a colon above, or a text that holds `: ` is not in quotes",
    r"expected <block end>": "this does not belong to what begins in {opened}: the line is indented wrongly, or a text "
    "that holds quotes is not in quotes of the other kind",
    r"flow .*expected": "expected `,` or a closing bracket: what opens in {opened} is not closed",
    r"could not find expected ':'": "expected `key: value` or `- value`, with a blank after the colon or the dash",
    r"quoted scalar.*end of": "the quote that opens in {opened} is not closed",
    r"unknown escape": "a backslash in double quotes starts an escape, and this is none; use single quotes, or "
    "write two",
    r"cannot start any token": "a text that starts with this character must be in quotes",
    r"scanning an (alias|anchor)": "`*` and `&` at the start of a text must be in quotes; anchors and aliases are "
    "not used in specs",
}
"""What the parser says (its context and problem, as a pattern), and what that means to an author; the first holds."""


def _syntax_problem(error: MarkedYAMLError, file: Path) -> Problem:
    said = f"{error.context or ''} {error.problem or 'not valid YAML'}".strip()
    opened = f"line {error.context_mark.line + 1}" if error.context_mark else "a line above"
    known = next((message for pattern, message in _SYNTAX.items() if re.search(pattern, said)), None)
    message = " ".join(said.split()) if known is None else known.format(opened=opened)
    mark = error.problem_mark or error.context_mark
    if "could not find expected ':'" in said:  # noticed only where the next line begins
        mark = error.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file, line, column, "", message)


class _PlainComposer(Composer):
    """Composes nodes and remembers what of them is more than plain YAML: tags, anchors, aliases, directives."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.refused: dict[int, str] = {}
        self._level = 0

    def compose_document(self) -> Any:
        event = self.parser.peek_event()
        if event.version or event.tags:
            problem = "directives (lines that start with %) are not used in specs"
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_document()

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        self._level += 1
        if self._level > MAX_DEPTH:
            raise MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        if isinstance(event, AliasEvent):
            # Not looked up: the place of the alias is told, and nothing expands.
            self.parser.get_event()
            node = ScalarNode("", event.anchor, event.start_mark, event.end_mark)
        else:
            node = super().compose_node(parent, index)
        self._level -= 1
        if event.anchor is not None:
            self.refused[id(node)] = "anchors and aliases are not used in specs; write the value out"
        elif event.ctag is not None:
            self.refused[id(node)] = f"tags such as {_as_written(str(event.ctag))} are not used in specs"
        return node


class _Reading:
    """One walk over the node tree; collects data, positions and problems."""

    def __init__(self, file: Path, yaml: YAML) -> None:
        self.file = file
        self.constructor = yaml.constructor
        self.refused = yaml.composer.refused
        self.keys: dict[KeyPath, Position] = {}
        self.values: dict[KeyPath, Position] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: KeyPath) -> Any:
        self.values[path] = _position(node)
        if id(node) in self.refused:
            self._complain(node, path, self.refused[id(node)])
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, path, "a key must be plain text")
                continue
            if id(key_node) in self.refused:
                self._complain(key_node, path, self.refused[id(key_node)])
                continue
            # The text as written: `no`, `1` and `01` are codes in many label files and must stay what they are.
            key = self._text(key_node, path)
            entry = (*path, key)
            if key in result:
                first = self.keys[entry]
                self._complain(key_node, entry, f"the key '{key}' is given twice (first in line {first.line})")
                continue
            self.keys[entry] = _position(key_node)
            result[key] = self.value(value_node, entry)
        return result

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        if str(node.tag) not in _PLAIN_SCALARS:
            return self._text(node, path)  # dates too: JSON has none
        if str(node.tag) == "tag:yaml.org,2002:int" and len(node.value) > MAX_INT:
            self._complain(node, path, f"a whole number of {len(node.value)} characters is no value of a spec")
            return None
        try:
            return self.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError) as error:
            self._complain(node, path, f"not a valid value: {error}")
            return None

    def _text(self, node: ScalarNode, path: KeyPath) -> str:
        text = str(node.value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._complain(node, path, "half of a surrogate pair is not a character")
        elif found := _CONTROL.search(text):
            self._complain(node, path, f"the control character U+{ord(found[0]):04X} is no text")
        return text

    def _complain(self, node: Node, path: KeyPath, message: str) -> None:
        position = _position(node)
        self.problems.append(Problem(self.file, position.line, position.column, dotted(path), message))


def _as_written(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
