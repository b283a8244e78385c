"""The catalog: every spec that can be named, from the package, from folders and from installed packages.

Looking for names reads only the first lines of each file; a spec is parsed and checked when it is asked for, so
that `bench list` takes milliseconds however many specs there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from bench.errors import Problem, SpecError, UnknownName, UsageError, did_you_mean
from bench.specs.backbone import BackboneSpec
from bench.specs.budget import BudgetSpec
from bench.specs.components import origin_of
from bench.specs.dataset import DatasetSpec
from bench.specs.document import Document, read_document, refuse_no_file
from bench.specs.method import MethodSpec
from bench.specs.model import Spec
from bench.specs.published import Published
from bench.specs.relatedness import RelatednessSpec
from bench.specs.suite import SuiteSpec
from bench.specs.task import TaskSpec
from bench.specs.validation import read_model

AnySpec = TypeVar("AnySpec", bound=Spec)

KINDS: dict[str, type[Spec]] = {
    "dataset": DatasetSpec,
    "task": TaskSpec,
    "relatedness": RelatednessSpec,
    "backbone": BackboneSpec,
    "method": MethodSpec,
    "budget": BudgetSpec,
    "suite": SuiteSpec,
    "published": Published,
}
KIND_OF: dict[type[Spec], str] = {model: kind for kind, model in KINDS.items()}
ENVIRONMENT = "BENCH_SPECS"
ENTRY_POINTS = "bench.specs"
EXTENDS = "extends"
OWN = ("kind", "name", "title", "description")
"""Keys that a data set never takes over from the one that it extends."""

_HEAD = re.compile(r"^(kind|name|title):[ ]+(.+?)[ ]*$", re.MULTILINE)
_PLAIN = re.compile(r"^[^\s'\"#&*!|>%@`\[\]{},][^#]*$")


@dataclass(frozen=True)
class Entry:
    """Where a spec stands, and the line that tables show of it."""

    kind: str
    name: str
    title: str
    file: Path


class Catalog:
    """All specs under some folders. Loaded specs are kept, so that asking again costs nothing.

    `lent` are folders of other packages, looked at between the others: a name that is taken already is passed over
    there, and told among the `faults`, which start with those that were found on the way to these folders.
    """

    def __init__(self, folders: Iterable[Path], *, lent: Iterable[Path] = (), faults: Iterable[str] = ()) -> None:
        self.folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))
        self._lent = tuple(folder.resolve() for folder in lent)
        self._faults = tuple(faults)
        self._documents: dict[Path, Document] = {}
        self._specs: dict[Path, Spec] = {}

    def beside(self, folders: Iterable[Path]) -> Catalog:
        """A catalog of the same and of some more folders."""
        return Catalog([*self.folders, *folders], lent=self._lent, faults=self._faults)

    @cached_property
    def _index(self) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
        entries: list[Entry] = []
        problems: list[Problem] = []
        for file in self.files:
            try:
                entries.append(self._entry(file))
            except SpecError as error:
                problems.extend(error.problems)
        return tuple(entries), tuple(problems)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """All YAML files, in order of folder and path; one that links lead to as well stands here once."""
        found: dict[Path, Path] = {}
        for folder in self.folders:
            for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
                found.setdefault(Path(os.path.realpath(file)), file)  # unlike `resolve`, at ease with loops
        return tuple(found.values())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that has a kind and a name. Raises `SpecError` if a name is defined twice in a kind."""
        first, _, twice = self._by_name
        if twice:
            raise SpecError(twice, hint="rename one of the two or take its folder away")
        return first

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with other packages, a line each; it takes nothing else down."""
        return (*self._faults, *map(str, self._by_name[1]))

    @cached_property
    def _by_name(self) -> tuple[tuple[Entry, ...], tuple[Problem, ...], tuple[Problem, ...]]:
        """Entries with names of their own, and problems of names that are taken: of other packages, and of ours."""
        first: dict[tuple[str, str], Entry] = {}
        passed_over: list[Problem] = []
        twice: list[Problem] = []
        for entry in self._index[0]:
            other = first.setdefault((entry.kind, entry.name), entry)
            if other is not entry:
                message = f"{entry.kind} '{entry.name}' is already defined in {other.file}"
                problem = self._problem_of_name(entry.file, message)
                lent = any(Path(os.path.realpath(entry.file)).is_relative_to(folder) for folder in self._lent)
                (passed_over if lent else twice).append(problem)
        return tuple(first.values()), tuple(passed_over), tuple(twice)

    @property
    def unreadable(self) -> tuple[Problem, ...]:
        """Problems of files of which not even kind and name could be read."""
        return self._index[1]

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of all specs of a kind, sorted."""
        return tuple(sorted(entry.name for entry in self.entries if entry.kind == kind))

    def entry(self, kind: str, name: str) -> Entry:
        """Where a spec stands. Raises `UnknownName`, which also names files that could not be read."""
        for entry in self.entries:
            if (entry.kind, entry.name) == (kind, name):
                return entry
        raise UnknownName(kind, name, self.names(kind), hint=f"`bench list {kind}` shows all{self.unread}")

    @property
    def unread(self) -> str:
        """The end of a hint: files that might hold a name that was not found."""
        files = sorted({str(problem.file) for problem in self.unreadable})
        told = f"; unreadable: {', '.join(files)}" if files else ""
        return told + "".join(f"; {fault}" for fault in self.faults)

    def document(self, kind: str, name: str) -> Document:
        """What a spec says, with positions; with what it takes over from another."""
        return self._whole(self._document(self.entry(kind, name).file))

    def get(self, model: type[AnySpec], name: str) -> AnySpec:
        """One checked spec. Raises `UnknownName`, or `SpecError` with all problems of its file."""
        spec = self._load(self.entry(KIND_OF[model], name).file)
        assert isinstance(spec, model)
        return spec

    def load_file(self, file: Path) -> Spec:
        """The checked spec in a file of the catalog."""
        return self._load(file.resolve())

    def _load(self, file: Path) -> Spec:
        if file not in self._specs:
            document = self._whole(self._document(file))
            self._specs[file] = read_model(_model_of(document), document)
        return self._specs[file]

    def _whole(self, document: Document, trail: tuple[str, ...] = ()) -> Document:
        """A document with the keys that it takes over by `extends`. Raises `SpecError` if there is no such spec."""
        data = document.data
        if EXTENDS not in data or data.get("kind") != "dataset":
            return document
        name, other = str(data.get("name")), data[EXTENDS]
        if not isinstance(other, str):
            raise SpecError([document.problem((EXTENDS,), "expected the name of one data set")])
        if other in (name, *trail):
            way = " -> ".join((*trail, name, other))
            raise SpecError([document.problem((EXTENDS,), f"the data set extends itself: {way}")])
        try:
            base = self._whole(self._document(self.entry("dataset", other).file), (*trail, name))
        except UnknownName as error:
            raise SpecError([document.problem((EXTENDS,), error.message)]) from error
        own = {key: value for key, value in data.items() if key != EXTENDS}
        taken = {key: value for key, value in base.data.items() if key not in OWN}
        return document.over(base, {"source": base.data.get("name")} | taken | own)

    def _document(self, file: Path) -> Document:
        if file not in self._documents:
            self._documents[file] = read_document(file)
        return self._documents[file]

    def _problem_of_name(self, file: Path, message: str) -> Problem:
        try:
            return self._document(file).problem(("name",), message)
        except SpecError:
            return Problem(file, 1, 1, "name", message)

    def _entry(self, file: Path) -> Entry:
        head = dict(_HEAD.findall(_first_lines(file)))
        plain = {"kind", "name", "title"} <= head.keys() and all(_PLAIN.match(value) for value in head.values())
        if plain and head["kind"] in KINDS:
            return Entry(head["kind"], head["name"], head["title"], file)
        document = self._document(file)  # anything unusual is left to the real parser
        _model_of(document)
        kind, name, title = (str(document.data.get(key, "")) for key in ("kind", "name", "title"))
        if not name:
            raise SpecError([document.problem(("name",), "this key is needed and is not there")])
        return Entry(kind, name, title, file)


def open_catalog(folders: Sequence[Path] = ()) -> Catalog:
    """The catalog of shipped specs, installed packages (`bench.specs` entry points), `BENCH_SPECS` and `folders`."""
    named = [Path(part) for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part]
    for folder in (*named, *folders):
        if not folder.is_dir():
            raise UsageError(
                f"the spec folder {folder} does not exist", hint=f"give an existing folder to --specs or {ENVIRONMENT}"
            )
    lent, faults = _installed_folders()
    return Catalog([*shipped_folders(), *lent, *named, *folders], lent=lent, faults=faults)


def shipped_folders() -> tuple[Path, ...]:
    """Folders of the specs that come with bench: beside the checkout, or inside the installed package."""
    package = Path(__file__).resolve().parent.parent
    for root in (package / "_specs", package.parent):
        if (root / "tasks").is_dir() and (root / "baselines").is_dir():
            published = root / "published" if root == package / "_specs" else root / "results" / "published"
            return (root / "tasks", root / "baselines", published)
    raise UsageError("the specs that come with bench are not there", hint="reinstall the package mtl-bench")


def _installed_folders() -> tuple[list[Path], list[str]]:
    """Folders of spec packages, which are not imported, and what is wrong with those that declare none."""
    folders: list[Path] = []
    faults: list[str] = []
    for point in entry_points(group=ENTRY_POINTS):
        found, told = None, ""
        try:
            found = find_spec(point.value)
        except Exception as error:  # what the package stands in is imported, and anything may go wrong in others' code
            told = f" ({type(error).__name__}: {error})"
        if found is None or not found.submodule_search_locations:
            faults.append(
                f"the entry point {point.name} = {point.value} ({ENTRY_POINTS}) of {origin_of(point)} names no package"
                f"{told}; uninstall or mend that package"
            )
            continue
        folders.extend(Path(location) for location in found.submodule_search_locations)
    return folders, faults


def _model_of(document: Document) -> type[Spec]:
    kind = document.data.get("kind")
    if kind is None:
        raise SpecError(
            [document.problem(("kind",), f"this key is needed and is not there; one of {', '.join(KINDS)}")]
        )
    if not isinstance(kind, str) or kind not in KINDS:
        message = f"{kind!r} is not a kind of spec{did_you_mean(str(kind), KINDS)}"
        raise SpecError([document.problem(("kind",), message)])
    return KINDS[kind]


def _first_lines(file: Path, size: int = 2048) -> str:
    """Whole lines among the first bytes: half a line would be half a name."""
    refuse_no_file(file)
    try:
        with file.open("rb") as stream:
            text = stream.read(size).decode("utf-8", errors="replace")
            return text if len(stream.peek(1)) == 0 else text.rpartition("\n")[0]
    except OSError as error:
        raise SpecError([Problem(file, 1, 1, "", f"cannot be read: {error.strerror}")]) from error
