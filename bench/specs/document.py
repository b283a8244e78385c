"""A YAML file as plain data plus the position of every key and value.

YAML 1.2 through ruamel.yaml, restricted to what JSON can hold: mappings with text keys, sequences, and plain
scalars. Anchors, aliases and tags are refused: a spec is read by people, and nothing in it may expand or execute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bench.errors import Problem, SpecError

KeyPath = tuple[str | int, ...]
MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_CORE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"  # JSON has no dates: a date in a spec is text


@dataclass(frozen=True)
class Position:
    """A place in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One parsed spec file.

    `data` is JSON-like; `keys` and `values` give the position of each mapping key and of each value by key path.
    """

    file: Path
    data: Any
    keys: Mapping[KeyPath, Position]
    values: Mapping[KeyPath, Position]

    def problem(self, path: Iterable[str | int], message: str, *, at_key: bool = False) -> Problem:
        """A problem at `path`, placed at the nearest enclosing value that the file has."""
        wanted = tuple(path)
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
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        raise SpecError([_syntax_problem(error, file)]) from error
    except (YAMLError, RecursionError) as error:
        raise SpecError([Problem(file, 1, 1, "", f"not readable as YAML: {error}")]) from error
    if not isinstance(node, MappingNode):
        raise SpecError([Problem(file, 1, 1, "", "expected a mapping with `kind:` and `name:`")])
    reading = _Reading(file, yaml)
    data = reading.value(node, ())
    if reading.problems:
        raise SpecError(reading.problems)
    return Document(file, data, reading.keys, reading.values)


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SpecError([Problem(file, 1, 1, "", f"larger than {MAX_BYTES} bytes, too large for a spec")])
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError([Problem(file, 1, 1, "", f"not UTF-8 text (byte {error.start})")]) from error
    except OSError as error:
        raise SpecError([Problem(file, 1, 1, "", f"cannot be read: {error.strerror}")]) from error


def _syntax_problem(error: MarkedYAMLError, file: Path) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = error.problem or "not valid YAML"
    if "\\t" in message or "'\t'" in message:
        message = "a tab is used for indentation; YAML allows spaces only"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file, line, column, "", message)


class _Reading:
    """One walk over the node tree; collects data, positions and problems."""

    def __init__(self, file: Path, yaml: YAML) -> None:
        self.file = file
        self.constructor = yaml.constructor
        self.keys: dict[KeyPath, Position] = {}
        self.values: dict[KeyPath, Position] = {}
        self.problems: list[Problem] = []

    def value(self, node: Node, path: KeyPath) -> Any:
        self.values[path] = _position(node)
        if node.anchor:
            self._complain(node, path, "anchors and aliases are not used in specs; write the value out")
            return None
        if len(path) > MAX_DEPTH:
            self._complain(node, path, "nested too deeply")
            return None
        if node.tag is not None and str(node.tag) not in _CORE_TAGS | {_TIMESTAMP}:
            self._complain(node, path, f"the tag {node.tag} is not used in specs")
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
            # The text as written: `no`, `1` and `01` are codes in many label files and must stay what they are.
            key = str(key_node.value)
            entry = (*path, key)
            if key in result:
                first = self.keys[entry]
                self._complain(key_node, entry, f"the key '{key}' is given twice (first in line {first.line})")
                continue
            self.keys[entry] = _position(key_node)
            result[key] = self.value(value_node, entry)
        return result

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        if node.tag == _TIMESTAMP:
            return str(node.value)
        try:
            return self.constructor.construct_object(node, deep=True)
        except (YAMLError, ValueError) as error:
            self._complain(node, path, f"not a valid value: {error}")
            return None

    def _complain(self, node: Node, path: KeyPath, message: str) -> None:
        position = _position(node)
        self.problems.append(Problem(self.file, position.line, position.column, dotted(path), message))


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
