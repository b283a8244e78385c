"""Which runs were carried out a second time, and gave what: evidence for records that say the same.

`bench check` carries runs out again, in continuous integration or by hand, and leaves the scores of each in
`results/verified/`. That folder vouches for what was done on the machine that it lies on, and is not handed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic_core import to_jsonable_python

from bench.files import write_whole
from bench.runs.records import Record
from bench.specs.fingerprint import fingerprint

FOLDER = "verified"


def leave_repeated(results: Path, suite: str, records: Iterable[Record]) -> None:
    """Keep what these runs gave; those of the same suite that were repeated earlier are forgotten."""
    done = {record.id: _scores(record) for record in records if record.status == "done"}
    write_whole(results / FOLDER / f"{suite}.json", json.dumps(done, indent=1, sort_keys=True) + "\n")


def repeated(results: Path, records: Mapping[str, Record]) -> frozenset[str]:
    """Ids of the runs among `records` that gave the very same scores when they were carried out again."""
    known: dict[str, str] = {}
    for file in sorted((results / FOLDER).glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:  # half a file vouches for nothing
            continue
        known |= content if isinstance(content, dict) else {}
    return frozenset(run_id for run_id in records.keys() & known.keys() if known[run_id] == _scores(records[run_id]))


def _scores(record: Record) -> str:
    return fingerprint(to_jsonable_python(record.scores))
