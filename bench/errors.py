"""Every error that `bench` raises on purpose, in one place.

    BenchError                    exit code 1: a fault of the harness itself
    ├── UsageError                2: what was asked for cannot be done as asked
    │   ├── UnknownName           2: a name that nothing has, with the nearest one that exists
    │   ├── SpecError             2: problems in YAML specs, each with file:line:col
    │   ├── DataError             2: a data set on disk is missing, incomplete, altered or mislabelled
    │   └── RecordError           2: a stored result cannot be read as what it claims to be
    ├── NothingMeasured           5: there is no result to show or to judge
    ├── Diverged                  4: a loss was no longer finite (ends one run, not the others)
    ├── InfrastructureError       4: the machine failed (disk full, file system gone), the run may be retried
    └── Interrupted             130: a person or the system asked to stop; work is kept

A message says what is wrong and where; `hint` says what to do next.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class BenchError(Exception):
    """Root of all deliberate errors; carries the exit code of the process and a hint."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Errors come back from other processes as they were, whatever their own `__init__` takes."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[BenchError], args: tuple[object, ...], content: dict[str, object]) -> BenchError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(content)
    return error


class UsageError(BenchError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that nothing has."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.name = name
        super().__init__(f"{what} '{name}' is unknown{did_you_mean(name, known)}", hint=hint)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in one spec file; lines and columns count from 1."""

    file: Path
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.key}: {self.message}" if self.key else self.message)


class SpecError(UsageError):
    """One or more problems in spec files, in order of file and line."""

    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)), hint=hint)


class DataError(UsageError):
    """A data set on disk is missing, incomplete, altered or mislabelled."""


class RecordError(UsageError):
    """A stored result cannot be read as what it claims to be; `reason` says in a word or two what is wrong."""

    def __init__(self, message: str, *, reason: str = "cannot be read", hint: str = "") -> None:
        self.reason = reason
        super().__init__(message, hint=hint)


class NothingMeasured(BenchError):
    """There is no result to show or to judge."""

    exit_code = 5


class Diverged(BenchError):
    """A loss was no longer finite."""

    exit_code = 4


class InfrastructureError(BenchError):
    """The machine failed under a run."""

    exit_code = 4


class Interrupted(BenchError):
    """Somebody asked to stop (Ctrl-C, SIGTERM); everything finished so far is kept."""

    exit_code = 130


_STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOMEM}


def is_infrastructure(error: BaseException) -> bool:
    """Whether the machine, not the run, is at fault: storage is full or gone, or memory ran out."""
    if isinstance(error, InfrastructureError | MemoryError):
        return True
    return isinstance(error, OSError) and error.errno in _STORAGE_ERRORS


def did_you_mean(name: str, known: Iterable[str], *, most_listed: int = 8) -> str:
    """The end of a sentence that offers the nearest known names, or lists what there is."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(repr(n) for n in near)}?"
    if not names:
        return "; there is none"
    listed = ", ".join(names[:most_listed]) + (", ..." if len(names) > most_listed else "")
    return f"; there is {listed}"
