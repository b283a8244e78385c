"""A submission: someone's results of a suite as a folder for a pull request.

    <folder>/submission.json                                          the manifest: plan, files and hashes
    <folder>/specs/own/<kind>/<name>.yaml                             specs that did not come with bench
    <folder>/specs/bench/<kind>/<name>.yaml                           specs that did, as they were
    <folder>/runs/<real|standin>/<run id>/record.json
    <folder>/runs/<real|standin>/<run id>/<data set>.<task>.parquet   per-sample test predictions

It is a results folder, too: `bench leaderboard SUITE --results <folder> --specs <folder>/specs/own`. Predictions that
are too large for a pull request stand in a second folder, under the same paths; the manifest has their hashes.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bench.data.store import file_sha256
from bench.errors import RecordError, UsageError
from bench.runs.assembly import Slot
from bench.runs.privacy import harmless
from bench.runs.records import RECORD
from bench.specs.catalog import KINDS
from bench.specs.document import MAX_BYTES as MAX_SPEC_BYTES
from bench.specs.fingerprint import fingerprint
from bench.specs.model import Frozen, Name
from bench.specs.run import RunSpec

SUBMISSION_VERSION: Literal[1] = 1
MANIFEST = "submission.json"
OWN_SPECS, BENCH_SPECS = PurePosixPath("specs/own"), PurePosixPath("specs/bench")

MEBIBYTE = 1 << 20
MAX_MANIFEST_BYTES = 16 * MEBIBYTE
MAX_RECORD_BYTES = 8 * MEBIBYTE
MAX_PREDICTION_BYTES = 256 * MEBIBYTE
MAX_PREDICTIONS_INSIDE = 50 * MEBIBYTE
"""All predictions of a submission together, where they stand in its folder; larger ones stand apart."""
MAX_FILES = 50_000
MAX_DEPTH = 4

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", max_length=500)]
_NAME = r"[a-z][a-z0-9_]{0,63}"
_KIND = "|".join(KINDS)
PLACE = (
    rf"^(specs/(own|bench)/({_KIND})/{_NAME}\.yaml"
    rf"|runs/(real|standin)/[0-9a-f]{{16}}/(record\.json|{_NAME}\.{_NAME}\.parquet))$"
)
"""Where files of a submission may stand, and nowhere else."""
Place = Annotated[str, StringConstraints(pattern=PLACE)]


class SubmittedFile(Frozen):
    """A file by its path inside the submission. `apart`: predictions that stand in a second folder."""

    path: Place
    bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256
    apart: bool = False


class SubmittedRun(Frozen):
    """A run of the plan and what came of it; `id` is None where trials have not decided yet on what it would be.

    `suite` has the point where the suite has axes. `dataset` and `task` are given where the run is about these only.
    `why` says what is known of a run that is missing.
    """

    id: RunId | None
    suite: Line
    backbone: Name
    method: Name
    dataset: Name | None = None
    task: Name | None = None
    seed: Annotated[int, Field(ge=0)]
    trial: bool = False
    state: Literal["done", "diverged", "missing"]
    why: str = ""

    @property
    def slot(self) -> Slot:
        return Slot(self.backbone, self.method, self.dataset, self.task)

    @property
    def title(self) -> str:
        where = "/".join(name for name in (self.dataset, self.task) if name)
        point = self.suite.partition("[")[2].rstrip("]")
        what = f"{'trial ' if self.trial else ''}seed {self.seed}"
        return " ".join(filter(None, (point, self.method, self.backbone, where, what)))


class Submission(Frozen):
    """The manifest. `by`, `contact`, `licence` and `note` are as their author gave them, or blank.

    `environments`: what the runs ran on, each different one once. `id` is a hash of all else, so that an edited
    manifest is seen; whoever means to deceive can compute it anew, which is why everything is checked against files.
    """

    submission_version: Literal[1]
    id: RunId
    name: Line
    suite: Name
    budget: Name | None
    seeds: Annotated[int, Field(ge=1, le=10_000)]
    packed: datetime
    bench: Line
    by: Line | None = None
    contact: Line | None = None
    licence: Line | None = None
    note: Line | None = None
    complete: bool
    runs: Annotated[tuple[SubmittedRun, ...], Field(min_length=1, max_length=MAX_FILES)]
    environments: Annotated[tuple[dict[str, Any], ...], Field(max_length=1000)]
    files: Annotated[tuple[SubmittedFile, ...], Field(max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        path, count = next(iter(Counter(file.path for file in self.files).most_common(1)), ("", 0))
        if count > 1:
            raise PydanticCustomError("files", "'{path}' is listed twice", {"path": path})
        if wrong := next((file for file in self.files if file.apart and not is_predictions(file.path)), None):
            raise PydanticCustomError("files", "'{path}' may not stand apart", {"path": wrong.path})
        return self

    @property
    def own_id(self) -> str:
        """What `id` is if nobody edited the manifest."""
        return fingerprint(self.model_dump(mode="json", exclude={"id"}))


def is_predictions(path: str) -> bool:
    return path.endswith(".parquet")


def record_place(run: RunSpec) -> PurePosixPath:
    """The folder of a run's record inside a submission, which is as in a results folder."""
    return PurePosixPath("runs", run.provenance, run.id)


def slot_of(run: RunSpec) -> Slot:
    """The slot that a run is of, by its own description."""
    dataset = run.sources[0].dataset if run.type == "single" and run.sources else None
    task = run.tasks[0].name if run.type != "joint" and run.tasks else None
    return Slot(run.backbone.name, run.method, dataset, task)


def read_manifest(folder: Path) -> Submission:
    """The manifest of a submission. Raises `UsageError` for a folder that is none."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="give the folder that `bench submit pack` has made")
    file = folder / MANIFEST
    try:
        about = file.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise _no_submission(folder, f"its {MANIFEST} is not a file")
        if about.st_size > MAX_MANIFEST_BYTES:
            raise _no_submission(folder, f"its {MANIFEST} has {about.st_size:,} bytes, over {MAX_MANIFEST_BYTES:,}")
        content = json.loads(file.read_bytes(), object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except FileNotFoundError:
        raise _no_submission(folder, f"it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _no_submission(folder, f"its {MANIFEST} cannot be read: {error}") from error
    version = content.get("submission_version") if isinstance(content, dict) else None
    if version != SUBMISSION_VERSION:
        raise _no_submission(
            folder, f"its {MANIFEST} has version {version!r}, and this bench reads {SUBMISSION_VERSION}"
        )
    try:
        return Submission.model_validate_json(json.dumps(content))
    except ValueError as error:
        raise _no_submission(folder, f"its {MANIFEST} is not as it must be: {error}") from error


def _no_submission(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder} is not a submission: {harmless(why)}",
        hint="`bench submit pack SUITE --out DIR` makes one from results",
    )


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


@dataclass(frozen=True)
class Found:
    """What stands in a folder: sizes of plain files by path, and by path what is wrong with everything else."""

    sizes: dict[str, int]
    wrong: dict[str, str]


def walk(folder: Path) -> Found:
    """All that stands in a folder, without following a link or opening a file.

    Stops at more than `MAX_FILES` entries, and looks no deeper than `MAX_DEPTH` folders.
    """
    sizes: dict[str, int] = {}
    wrong: dict[str, str] = {}
    for count, (place, entry) in enumerate(_entries(folder, PurePosixPath())):
        if count >= MAX_FILES:
            wrong[""] = f"more than {MAX_FILES:,} files; the others were not looked at"
            break
        if entry.is_symlink():
            wrong[str(place)] = "a link; a submission holds plain files"
        elif entry.is_dir(follow_symlinks=False):
            if len(place.parts) >= MAX_DEPTH:
                wrong[str(place)] = "a folder where there should be none; what it holds was not looked at"
        elif entry.is_file(follow_symlinks=False):
            sizes[str(place)] = entry.stat(follow_symlinks=False).st_size
        else:
            wrong[str(place)] = "neither a file nor a folder"
    return Found(sizes, wrong)


def _entries(folder: Path, place: PurePosixPath) -> Iterator[tuple[PurePosixPath, os.DirEntry[str]]]:
    with os.scandir(folder / place) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        yield place / entry.name, entry
        if entry.is_dir(follow_symlinks=False) and len(place.parts) + 1 < MAX_DEPTH:
            yield from _entries(folder, place / entry.name)


def largest(path: str) -> int:
    """How many bytes a file may have at most."""
    if is_predictions(path):
        return MAX_PREDICTION_BYTES
    return MAX_RECORD_BYTES if path.endswith(f"/{RECORD}") else MAX_SPEC_BYTES


def submitted_file(folder: Path, path: str, *, apart: bool) -> SubmittedFile:
    """What the manifest says of a file. Raises `RecordError` for one that is larger than may be submitted."""
    file = folder / path
    size = file.stat().st_size
    if size > largest(path):
        raise RecordError(f"{path} has {size:,} bytes, and at most {largest(path):,} can be submitted")
    return SubmittedFile(path=path, bytes=size, sha256=file_sha256(file), apart=apart)
