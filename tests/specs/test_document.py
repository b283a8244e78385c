"""YAML files as plain data: what is read, what is refused, and where."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench.errors import SpecError
from bench.specs.document import MAX_BYTES, MAX_DEPTH, Document, Position, dotted, parse_document, read_document

FILE = Path("spec.yaml")


def data_of(text):
    return parse_document(text, FILE).data


def problems_of(text):
    with pytest.raises(SpecError) as caught:
        parse_document(text, FILE)
    return [str(problem) for problem in caught.value.problems]


def test_positions_count_from_one_and_are_those_of_keys_and_of_values():
    document = parse_document(
        "# a comment\nkind: task\ntitle: >\n  folded\nlabels:\n  - red\n  - {deep:   'er'}\nlast: [1,\n  2]\n", FILE
    )
    assert document.keys == {
        ("kind",): Position(2, 1),
        ("title",): Position(3, 1),
        ("labels",): Position(5, 1),
        ("labels", 1, "deep"): Position(7, 6),
        ("last",): Position(8, 1),
    }
    assert document.values == {
        (): Position(2, 1),
        ("kind",): Position(2, 7),
        ("title",): Position(3, 8),
        ("labels",): Position(6, 3),
        ("labels", 0): Position(6, 5),
        ("labels", 1): Position(7, 5),
        ("labels", 1, "deep"): Position(7, 14),
        ("last",): Position(8, 7),
        ("last", 0): Position(8, 8),
        ("last", 1): Position(9, 3),
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_positions_do_not_depend_on_the_kind_of_line_end(newline):
    document = parse_document(newline.join(["a: 1", "b:", "  c: 2", ""]), FILE)
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.keys["b", "c"] == Position(3, 3)


@pytest.mark.parametrize(
    ("path", "at_key", "expected"),
    [
        (("terms", 0, "name"), False, "spec.yaml:2:11: terms[0].name: wrong"),
        (("terms", 0, "name"), True, "spec.yaml:2:5: terms[0].name: wrong"),
        (("terms", 0, "absent"), False, "spec.yaml:2:5: terms[0].absent: wrong"),
        (("terms", 0, "absent"), True, "spec.yaml:2:5: terms[0].absent: wrong"),
        (("terms", 7, "absent"), False, "spec.yaml:2:3: terms[7].absent: wrong"),
        (("absent",), False, "spec.yaml:1:1: absent: wrong"),
        ((), False, "spec.yaml:1:1: wrong"),
    ],
)
def test_a_problem_stands_at_the_nearest_place_that_the_file_has(path, at_key, expected):
    document = parse_document("terms:\n  - name: supervised\n", FILE)
    assert str(document.problem(path, "wrong", at_key=at_key)) == expected


def test_key_paths_are_written_as_a_reader_would():
    assert dotted(("terms", 0, "options", "a")) == "terms[0].options.a"
    assert dotted((0, 1, "a")) == "[0][1].a"
    assert dotted(()) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["spec.yaml:3:1: a: the key 'a' is given twice (first in line 1)"]),
        (
            "a: 1\nb:\n  - c: 1\n    d: 2\n    c: 3\n",
            ["spec.yaml:5:5: b[0].c: the key 'c' is given twice (first in line 3)"],
        ),
        ("a: {x: 1, y: 2, x: 3}\n", ["spec.yaml:1:17: a.x: the key 'x' is given twice (first in line 1)"]),
        (
            "a: 1\na: 2\na: 3\n",
            [
                "spec.yaml:2:1: a: the key 'a' is given twice (first in line 1)",
                "spec.yaml:3:1: a: the key 'a' is given twice (first in line 1)",
            ],
        ),
        ("1: x\n'1': y\n", ["spec.yaml:2:1: 1: the key '1' is given twice (first in line 1)"]),
    ],
)
def test_a_key_given_twice_is_refused_with_both_places(text, expected):
    assert problems_of(text) == expected


def test_the_same_key_in_two_mappings_is_fine():
    assert data_of("a: {x: 1}\nb: {x: 1}\n") == {"a": {"x": 1}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a:\n\tb: 1\n", "2:1", "a tab is used for indentation"),
        ("a:\n  b: 1\n\tc: 2\n", "3:1", "a tab is used for indentation"),
        ("\ta: 1\n", "1:1", "a tab is used for indentation"),
        ("a:\n  b: 1\n c: 2\n", "3:2", "does not belong to what begins in line 1"),
        ("a: 1\n  b: 2\n", "2:4", "not allowed here"),
        ("a: b: c\n", "1:5", "not allowed here"),
        ("a: [1, 2\n", "2:1", "what opens in line 1 is not closed"),
        ("a: 'x\n", "2:1", "the quote that opens in line 1 is not closed"),
        ("a: @x\n", "1:4", "must be in quotes"),
        ('a: "\\q"\n', "1:6", "escape"),
        ('a: "\\U00110000"\n', "1:1", "not readable as YAML"),
        ('a: 1\nb: "\\ud800"\n', "2:4", "surrogate"),
        ('a: 1\n"\\ud800": 1\n', "2:1", "surrogate"),
        ("a: \x00\n", "1:4", "the control character U+0000 is no text"),
        ("a: 1\n---\nb: 2\n", "2:1", "a second document"),
        ("a: 1\n---\n", "2:1", "a second document"),
        ("a: 1\r\nb: \x1b[31m\n", "2:4", "the control character U+001B is no text"),
        ('a: 1\nb: "x\\0"\n', "2:4", "the control character U+0000 is no text"),
        ('a: 1\n"\\e[2J": 1\n', "2:1", "the control character U+001B is no text"),
        ("kind:task\nname: x\n", "2:5", "a blank is missing after a colon"),
        ("kind: x\nlabels:\n-a\n-b\n", "3:1", "with a blank after the colon or the dash"),
        ("title: 'it's'\n", "1:12", "quotes of the other kind"),
        ("a:\n  - b: 1\n    c: 2\n   d: 3\n", "4:4", "does not belong to what begins in line 2"),
        ("a: {b: 1\nc: 2\n", "2:2", "what opens in line 1 is not closed"),
        ("a: 1\nb: 'x\nc: 2\n", "4:1", "the quote that opens in line 2 is not closed"),
        ('a: "C:\\data"\n', "1:8", "use single quotes, or write two"),
        ("a: *\n", "1:5", "anchors and aliases are not used in specs"),
        ("a: & b\n", "1:5", "anchors and aliases are not used in specs"),
        ("kind:\u00a0task\n", "1:1", "with a blank after each colon"),
        ("kind = 'task'\n", "1:1", "expected a mapping"),
        ("", "1:1", "expected a mapping"),
        ("# only a comment\n", "1:1", "expected a mapping"),
        ("---\n", "1:1", "expected a mapping"),
        ("- a\n- b\n", "1:1", "expected a mapping"),
        ("just text\n", "1:1", "expected a mapping"),
        ("null\n", "1:1", "expected a mapping"),
        ("? [a]\n: 1\n", "1:3", "a key must be plain text"),
        ("b: 1\n{a: 1}: 2\n", "2:1", "a key must be plain text"),
        ("a: " + "9" * 5000 + "\n", "1:4", "a whole number of 5000 characters is no value of a spec"),
        ("a: 0x" + "f" * 5000 + "\n", "1:4", "a whole number of 5002 characters is no value of a spec"),
    ],
)
def test_what_is_no_spec_file_is_refused_with_its_place(text, place, words):
    (problem,) = problems_of(text)
    assert problem.startswith(f"spec.yaml:{place}: ")
    assert words in problem


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a: &x 1\nb: *x\n", ["1:4: a: anchors", "2:4: b: anchors"]),
        ("a: *nowhere\n", ["1:4: a: anchors"]),
        ("a: &x [*x]\n", ["1:4: a: anchors"]),
        ("&top\na: 1\n", ["1:1: anchors"]),
        ("&x a: 1\n", ["1:1: anchors"]),
        ("a: 1\n*x : 1\n", ["2:1: anchors"]),
        ("a: !thing x\n", ["1:4: a: tags"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["1:4: a: tags"]),
        ("a: !!int 12\n", ["1:4: a: tags"]),
        ("a: !!bool maybe\n", ["1:4: a: tags"]),
        ("a: !!binary aGk=\n", ["1:4: a: tags"]),
        ("a: ! 12\n", ["1:4: a: tags"]),
        ("b:\n  - !!str a: 1\n", ["2:5: b[0]: tags"]),
        ("a: !x 1\nb: [!y 2]\n", ["1:4: a: tags", "2:5: b[0]: tags"]),
        ("%YAML 1.1\n---\na: no\n", ["2:1: directives"]),
        ("%TAG ! tag:example.org,2000:\n---\na: 1\n", ["2:1: directives"]),
    ],
)
def test_nothing_in_a_spec_expands_executes_or_changes_the_reading(text, places):
    found = problems_of(text)
    assert len(found) == len(places)
    for problem, place in zip(found, places, strict=True):
        assert problem.startswith(f"spec.yaml:{place}")


def test_aliases_that_would_expand_without_end_are_refused_at_once():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}1]\n" for i in range(1, 30))
    assert len(problems_of(bomb)) == 30


@pytest.mark.parametrize("key", ["no", "yes", "on", "1", "01", "1.0", "null", "~", "true", "2020-01-01", "<<", "=", ""])
def test_keys_stay_the_text_that_is_written(key):
    written = key or "''"
    assert data_of(f"{written}: x\n") == {key: "x"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("1e-3", 0.001),
        ("3E2", 300.0),
        ("-1.5e3", -1500.0),
        ("0.02", 0.02),
        ("12", 12),
        ("'12'", "12"),
        ("'01'", "01"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01T10:00:00Z", "2020-01-01T10:00:00Z"),
        ("2020-13-45", "2020-13-45"),
        ("<<", "<<"),
        ("=", "="),
        (".inf", math.inf),
        ("1e999", math.inf),
        ("a#b", "a#b"),
        ("a # b", "a"),
        ("|\n  one\n  two", "one\ntwo\n"),
        (">\n  one\n  two", "one two\n"),
    ],
)
def test_values_are_those_of_yaml_1_2_and_json(written, value):
    (read,) = data_of(f"a: {written}\n").values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_depth_has_a_limit_that_does_not_depend_on_the_stack(opening, closing):
    def nested(levels):
        return f"a: {opening * levels}1{closing * levels}\n"

    assert data_of(nested(MAX_DEPTH - 2)).keys() == {"a"}
    (problem,) = problems_of(nested(MAX_DEPTH))
    assert problem.startswith("spec.yaml:1:")
    assert problem.endswith(": nested too deeply")
    assert problems_of(f"a: {opening * 20_000}")[0].endswith(": nested too deeply")


def in_file(folder, content):
    file = folder / "spec.yaml"
    file.write_bytes(content)
    return file


def file_problem(file):
    with pytest.raises(SpecError) as caught:
        read_document(file)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    document = read_document(in_file(tmp_path, b"\xef\xbb\xbfkind: task\n"))
    assert document.data == {"kind": "task"}
    assert document.keys["kind",] == Position(1, 1)


@pytest.mark.parametrize(("content", "byte"), [(b"a: \xff\n", 3), ("ü: 1\n".encode("latin-1"), 0)])
def test_other_encodings_are_refused(tmp_path, content, byte):
    file = in_file(tmp_path, content)
    assert file_problem(file) == f"{file}:1:1: not UTF-8 text (byte {byte}); save it as UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_told_by_name(tmp_path, encoding):
    file = in_file(tmp_path, "kind: task\n".encode(encoding))
    assert file_problem(file) == f"{file}:1:1: UTF-16 or UTF-32 text; save it as UTF-8"


def test_a_tag_is_told_as_it_is_written():
    (problem,) = problems_of("a: !!python/object/apply:os.system [ls]\n")
    assert problem == "spec.yaml:1:4: a: tags such as !!python/object/apply:os.system are not used in specs"


def test_a_file_as_large_as_allowed_is_read_and_a_larger_one_is_not(tmp_path):
    text = b"a: 1\n"
    assert read_document(in_file(tmp_path, text + b"#" * (MAX_BYTES - len(text)))).data == {"a": 1}
    file = in_file(tmp_path, text + b"#" * (MAX_BYTES + 1 - len(text)))
    assert file_problem(file) == f"{file}:1:1: larger than {MAX_BYTES} bytes, too large for a spec"


def test_a_missing_file_and_a_folder_are_told_as_such(tmp_path):
    assert file_problem(tmp_path / "absent.yaml").endswith("absent.yaml:1:1: cannot be read: No such file or directory")
    assert file_problem(tmp_path).endswith(":1:1: cannot be read: Is a directory")


def test_a_file_that_may_not_be_read_is_told_as_such(tmp_path, monkeypatch):
    file = in_file(tmp_path, b"a: 1\n")

    def denied(path):
        raise PermissionError(13, os.strerror(13), str(path))

    # Not by chmod: tests may run as root, for whom every file is readable.
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert file_problem(file) == f"{file}:1:1: cannot be read: Permission denied"


# ---- for all files ----

# Without what ruamel itself writes so that it cannot read it: control characters, unusual line ends, leading `?`.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="?\ufeff"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


CONTENTS = st.dictionaries(TEXT, VALUES, max_size=4)


@given(content=CONTENTS)
@example(content={"a": "no", "b": "1e-3", "c": "2020-01-01", "d": "", "e": [], "f": {}, "g": "0x1", "no": "~"})
def test_what_ruamel_writes_is_read_back_equal(content):
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.representer.ignore_aliases = lambda _: True
    stream = io.StringIO()
    yaml.dump(content, stream)
    document = parse_document(stream.getvalue(), FILE)
    assert document.data == content
    assert set(document.keys) <= set(document.values)


@given(content=CONTENTS, indent=st.sampled_from([None, 1, 4]))
def test_json_is_read_as_what_it_is(content, indent):
    finite = json.loads(json.dumps(content).replace("Infinity", "1e308"))
    assert data_of(json.dumps(finite, indent=indent, ensure_ascii=False)) == finite


WORDS = (
    "a",
    "1",
    "0x",
    "_",
    "~",
    "<<",
    "2020-01-01",
    "&x ",
    "*x ",
    "!!int ",
    "! ",
    "\\ud800",
    "\\U00110000",
    "---\n",
    "%YAML 1.1\n",
)
MARKS = ("b: ", "- ", "? ", ": ", "\n", "  ", "\t", "[", "]", "{", "}", ",", "'", '"', "|", ">", "#", "...\n")
YAML_LIKE = st.lists(st.sampled_from(WORDS + MARKS), max_size=25).map("".join)


@given(text=st.text(max_size=60) | YAML_LIKE)
@example(text='a: "\\ud800"')
@example(text='a: "\\U00110000"')
@example(text="a: !!bool x")
@example(text="a: 0x_")
def test_any_text_is_a_document_or_a_spec_error_with_places(text):
    try:
        document = parse_document(text, FILE)
    except SpecError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    else:
        assert isinstance(document, Document)
        assert isinstance(document.data, dict)


@given(content=st.binary(max_size=80))
def test_any_bytes_are_a_document_or_a_spec_error(tmp_path_factory, content):
    file = in_file(tmp_path_factory.getbasetemp(), content)
    try:
        assert isinstance(read_document(file), Document)
    except SpecError as error:
        assert all(problem.file == file for problem in error.problems)
