"""Snapshots of a Hub on this machine: huggingface_hub itself, in a process of its own, against a server of ours."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from . import faulty_server
from .faulty_server import reply, status

COMMIT = "a" * 40
TRAIN, TEST = b"PAR1" * 1000, b"PAR1" * 10

FETCH = """
import json, sys
from pathlib import Path
from bench.data.hub import fetch_snapshot
from bench.errors import BenchError
from bench.specs.dataset import HubSnapshot

for call in json.load(sys.stdin):
    told = []
    snapshot = HubSnapshot.model_validate_json(json.dumps(call["snapshot"]))
    try:
        fetch_snapshot(snapshot, Path(call["folder"]), lambda *line: told.append(line))
        print(json.dumps({"told": told}))
    except BenchError as error:
        print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
"""


@pytest.fixture(scope="module")
def site():
    with faulty_server.running() as running:
        yield running


class Hub:
    """Repositories of the Hub that a server plays, and what a process that fetches from it has to tell."""

    def __init__(self, site, folder):
        self.site, self.root = site, folder

    def publish(self, name, files):
        """A repository at its only commit; large files come with their SHA-256, as the Hub gives it."""
        entries = [{"type": "directory", "path": "data", "oid": "d" * 40}]
        for path, data in files.items():
            large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            entries.append({"type": "file", "path": path, "size": len(data), "oid": "b" * 40, "lfs": large})
            headers = {"X-Repo-Commit": COMMIT}
            self.site.serve(
                f"datasets/owner/{name}/resolve/{COMMIT}/{path}", data, etag=f'"{"b" * 40}"', headers=headers
            )
        self.site.serve(f"api/datasets/owner/{name}/tree/{COMMIT}", json.dumps(entries).encode())

    def file(self, name, path):
        return self.site.files[f"/datasets/owner/{name}/resolve/{COMMIT}/{path}"]

    def answer(self, name, answer):
        self.site.serve(f"api/datasets/owner/{name}/tree/{COMMIT}", always=answer)

    def fetch(self, *names, offline=False, **snapshot):
        """What comes of fetching repositories, one after another, each into a folder of its name."""
        calls = [
            {
                "snapshot": {"repository": f"owner/{name}", "revision": COMMIT} | snapshot,
                "folder": str(self.root / name),
            }
            for name in names
        ]
        own = {
            "HF_ENDPOINT": self.site.root,
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HOME": str(self.root / "home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-c", FETCH],
            input=json.dumps(calls),
            env=os.environ | own,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def content(self, name):
        files = (path for path in (self.root / name).rglob("*") if path.is_file())
        found = {path.relative_to(self.root / name).as_posix(): path.read_bytes() for path in files}
        return {path: data for path, data in found.items() if not path.startswith(".cache/")}


@pytest.fixture
def hub(site, tmp_path):
    site.files.clear()
    return Hub(site, tmp_path)


def test_the_files_of_a_commit_arrive_once_and_only_those_that_are_needed(hub):
    hub.publish("shoes", {"data/train.parquet": TRAIN, "test.parquet": TEST, "README.md": b"read me"})
    first, second = hub.fetch("shoes", "shoes")
    assert hub.content("shoes") == {"data/train.parquet": TRAIN, "test.parquet": TEST}
    total = len(TRAIN) + len(TEST)
    assert (
        first["told"]
        == second["told"]
        == [
            ["fetching data/train.parquet", 0, total],
            ["fetching data/train.parquet", len(TRAIN), total],
            ["fetching test.parquet", len(TRAIN), total],
            ["fetching test.parquet", total, total],
        ]
    )
    asked = [request["method"] for request in hub.file("shoes", "data/train.parquet").requests]
    assert asked.count("GET") == 1


def test_a_partial_copy_is_completed_never_taken_for_whole(hub):
    hub.publish("shoes", {"data/train.parquet": TRAIN, "test.parquet": TEST})
    (hub.root / "shoes").mkdir()
    (hub.root / "shoes/test.parquet").write_bytes(TEST)
    (told,) = hub.fetch("shoes", offline=True)
    assert (told["error"], told["hint"]) == ("UsageError", "take HF_HUB_OFFLINE out of the environment")
    assert "owner/shoes at aaaaaaaa cannot be fetched: the Hub is switched off" in told["message"]
    hub.fetch("shoes")
    assert hub.content("shoes") == {"data/train.parquet": TRAIN, "test.parquet": TEST}


def test_what_goes_wrong_is_told(hub):
    files = {"data/train.parquet": TRAIN}
    for name in ("changed", "short", "text"):
        hub.publish(name, {"notes.txt": b"1"} if name == "text" else files)
    hub.file("changed", "data/train.parquet").content = TRAIN[::-1]
    hub.file("short", "data/train.parquet").content = TRAIN[:100]
    hub.publish("climbing", {"../../up.parquet": TEST})
    hub.publish("hidden", {".bench-get/x.parquet": TEST})
    hub.answer("private", status(401, X_Error_Code="RepoNotFound"))
    hub.answer("gated", status(403, X_Error_Code="GatedRepo"))
    hub.answer("moved", status(404, X_Error_Code="RevisionNotFound"))
    hub.answer("portal", lambda handler, served: reply(handler, served, 200, b"<html>log in first</html>"))
    expected = {
        "changed": ("DataError", "is not the file that the Hub told of", "repeat the command"),
        "short": ("DataError", "is not the file that the Hub told of", "repeat the command"),
        "text": ("DataError", "has no file like *.parquet, **/*.parquet", "dataset spec"),
        "climbing": ("DataError", "would not lie in the copy", ""),
        "hidden": ("DataError", "would not lie in the copy", ""),
        "private": ("DataError", "Repository Not Found", "hf auth login"),
        "gated": ("DataError", "gated", "ask for access"),
        "moved": ("DataError", "Revision Not Found", ""),
        "portal": ("InfrastructureError", "cannot be fetched", "repeat the command later"),
    }
    for name, told in zip(expected, hub.fetch(*expected), strict=True):
        kind, message, hint = expected[name]
        assert told["error"] == kind, name
        assert message in told["message"]
        assert hint in told["hint"]
        assert "\n" not in told["message"]
        assert hub.content(name) == {}
    assert not list(hub.root.parent.glob("up.parquet")) and not list(hub.root.glob("up.parquet"))
