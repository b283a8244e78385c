"""bench data get: terms, a copy from a real server that is ready to be used, breaks, and what cannot be fetched."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import signal
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.cli import fetch_progress
from bench.cli.fetch_progress import FetchProgress
from bench.data import obtain

from ..data import faulty_server
from ..data.archives import archive
from ..data.faulty_server import breaking, silent, status
from ..data.samples import Copy

SPEC = """
    kind: dataset
    name: {name}
    title: Shoes [open]
    domain: shopping
    source: shoes
    tasks:
      expression: {{column: kind, codes: {{cat: happiness, dog: sadness}}}}
    layout: {{name: csv, split: split}}
    splits: {{official: {{train: train, val: validation, test: test}}}}
    {fetch}
    licence: Research only
    access: Write to the owners.
    home_page: https://example.org/shoes
    citation: none
"""
FETCH = """
    fetch:
      files: [{{url: {url}{stated}}}]
      terms: Belongs to the [b]owners[/b] of shoes.
"""


@pytest.fixture(scope="module")
def site():
    with faulty_server.running() as running:
        yield running


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A zip archive of a copy that can be prepared."""
    root = tmp_path_factory.mktemp("packed") / "copy"
    Copy(root).fill(8).write()
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    return archive("zip", files)


@pytest.fixture
def served(site, world, packed, monkeypatch):
    """The archive at its address, and a spec `open_shoes` that names it."""
    monkeypatch.setattr(obtain, "WAITS", (0.0, 0.0))
    site.files.clear()
    served = site.serve("shoes.zip", packed)
    declare(world, site)
    return served


def declare(world, site, name="open_shoes", stated=""):
    declared = FETCH.format(url=site.url("shoes.zip"), stated=stated).strip()
    world.write(name, SPEC.format(name=name, fetch=declared))


def default_folder(world):
    return world.cache / "copies/shoes"


def remembered(world):
    file = world.root / "config/copies.json"
    return json.loads(file.read_text()) if file.exists() else {}


# ---- the terms ----


def test_terms_are_shown_and_accepted_once(world, bench, served):
    refused = bench("data", "get", "open_shoes")
    assert refused.code == 2
    shown = ("Shoes [open]", "Licence: Research only", "[b]owners[/b] of shoes", "Home page: https://example.org/shoes")
    assert all(line in refused.out for line in shown)
    assert "error: the licence terms of 'open_shoes' are not accepted yet" in refused.err
    assert "`bench data get open_shoes --accept-licence` accepts them" in refused.err
    assert not served.requests
    assert not (world.root / "config").exists() and not world.cache.exists()

    accepted = bench("data", "get", "open_shoes", "--accept-licence")
    assert accepted.code == 0
    assert all(line in accepted.out for line in shown)

    assert bench("data", "remove", "shoes").code == 0
    again = bench("data", "get", "open_shoes")
    assert (again.code, "Licence" in again.out) == (0, False)
    assert remembered(world) == {"shoes": str(default_folder(world))}
    assert len(served.requests) == 1


@pytest.mark.usefixtures("served")
def test_changed_terms_are_asked_again(world, bench):
    assert bench("data", "get", "open_shoes", "--accept-licence").code == 0
    world.change("open_shoes", "Research only", "Nobody may")
    refused = bench("data", "get", "open_shoes")
    assert (refused.code, "Licence: Nobody may" in refused.out) == (2, True)
    assert bench("data", "get", "open_shoes", "--accept-licence").code == 0
    assert bench("data", "get", "open_shoes").code == 0


@pytest.mark.usefixtures("served")
def test_a_damaged_list_of_accepted_terms_is_named_and_not_overwritten(world, bench):
    file = world.root / "config/accepted.json"
    file.parent.mkdir()
    for content in (b"{", b"[]", b"\xff\xfe"):
        file.write_bytes(content)
        told = bench("data", "get", "open_shoes", "--accept-licence")
        assert (told.code, f"{file} cannot be read" in told.err, file.read_bytes()) == (2, True, content)


# ---- a copy that is ready to be used ----


@pytest.mark.usefixtures("served")
def test_what_was_fetched_is_remembered_recognised_and_prepared(world, bench):
    done = bench("data", "get", "open_shoes", "--accept-licence")
    assert done.code == 0
    assert f"shoes: {default_folder(world)}" in done.out
    assert "open_shoes: recognised as 'table' by the layout 'csv'" in done.out
    assert done.out.endswith("next: `bench data prepare open_shoes`\n")
    assert "fetching shoes.zip" in done.err and "unpacking shoes.zip" in done.err
    assert bench("data", "prepare", "open_shoes", "--size", "16").code == 0


@pytest.mark.usefixtures("served")
def test_a_copy_goes_where_it_is_wanted(world, bench):
    assert bench("data", "get", "open_shoes", "--accept-licence", "--to", "my shoes").code == 0
    assert (world.root / "my shoes/labels.csv").is_file()
    assert remembered(world) == {"shoes": str(world.root / "my shoes")}
    assert not default_folder(world).exists()


@pytest.mark.usefixtures("served")
def test_data_sets_of_one_copy_share_it(world, bench, site, served):
    declare(world, site, "open_boots")
    assert bench("data", "get", "open_boots", "--accept-licence").code == 0
    assert bench("data", "get", "open_shoes").code == 0
    assert len(served.requests) == 1


# ---- what cannot be done as asked ----


@pytest.mark.usefixtures("served")
def test_a_copy_that_is_known_is_not_replaced(world, bench, served):
    (world.root / "mine").mkdir()
    assert bench("data", "add", "shoes", "mine", "--anyway").code == 0
    told = bench("data", "get", "open_shoes", "--accept-licence")
    assert told.code == 2
    assert f"a copy of 'shoes' is known already: {world.root / 'mine'}" in told.err
    assert "`bench data remove shoes`" in told.err
    assert not served.requests


def test_what_is_not_openly_served_says_how_it_is_got(world, bench):
    world.write("closed_shoes", SPEC.format(name="closed_shoes", fetch=""))
    told = bench("data", "get", "closed_shoes", "--accept-licence")
    assert told.code == 2
    assert "'closed_shoes' is not openly served" in told.err
    assert "Write to the owners; home page: https://example.org/shoes; then `bench data add shoes PATH`" in told.err


@pytest.mark.usefixtures("served")
def test_names_and_folders_that_will_not_do(world, bench):
    assert "did you mean 'open_shoes'" in bench("data", "get", "open_shoe").err
    for folder, said in (("specs", "is not empty"), ("specs/tiny.yaml", "cannot be used")):
        told = bench("data", "get", "open_shoes", "--accept-licence", "--to", folder)
        assert (told.code, said in told.err) == (2, True)
    assert remembered(world) == {}


# ---- what goes wrong ----


def test_a_wrong_file_is_not_taken_and_a_later_call_gets_the_right_one(world, bench, site, served, packed):
    declare(world, site, stated=f", sha256: {hashlib.sha256(packed).hexdigest()}")
    served.content = packed[::-1]
    told = bench("data", "get", "open_shoes", "--accept-licence")
    assert told.code == 2
    assert "not the file that the spec states: sha256 is" in told.err
    assert remembered(world) == {}
    served.content = packed
    assert bench("data", "get", "open_shoes").code == 0
    assert remembered(world)


def test_a_break_ends_with_what_to_do(bench, served, packed):
    served.always = breaking(1000)
    told = bench("data", "get", "open_shoes", "--accept-licence")
    assert told.code == 4
    assert "what to do: repeat the command later: it goes on from the 1,000 bytes that are here" in told.err
    assert "trying again in 0 s" in told.err
    served.always = None
    going_on = bench("data", "get", "open_shoes")
    assert going_on.code == 0
    assert f"fetching shoes.zip: going on from 1.0 kB of {len(packed) / 1000:.1f} kB" in going_on.err
    assert served.ranges[-1] == "bytes=1000-"


def test_a_file_that_is_gone_ends_with_the_home_page(bench, served):
    served.always = status(404)
    told = bench("data", "get", "open_shoes", "--accept-licence")
    assert (told.code, "the server answers 404" in told.err, "home page" in told.err) == (2, True, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_stopped_process_keeps_what_arrived(world, bench, served, packed, number, code):
    release = threading.Event()
    served.answers = [silent(release)]
    process = world.process("data", "get", "open_shoes", "--accept-licence")
    part = default_folder(world) / ".bench-get/shoes.zip.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    release.set()
    assert process.returncode == code, err
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert "error: stopped; what has arrived is kept" in err
        assert "what to do: repeat the command: it goes on from there" in err
    kept = part.stat().st_size
    assert remembered(world) == {}

    assert bench("data", "get", "open_shoes").code == 0
    assert served.ranges == [None, f"bytes={kept}-"]
    assert 0 < kept < len(packed)
    assert (default_folder(world) / "labels.csv").is_file()


@pytest.mark.parametrize("room", [1000, 2000], ids=["fetching", "unpacking"])
def test_a_full_disk_is_told_and_gone_on_from(world, bench, site, served, room):
    """A limit on the size of files stands in for a full disk."""
    if room == 2000:
        served = site.serve("shoes.zip", archive("zip", {"zeros": bytes(100_000), "labels.csv": b"file,split,kind\n"}))
    assert (len(served.content) > room) == (room == 1000)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, room))
    full = world.run("data", "get", "open_shoes", "--accept-licence", preexec_fn=limit)
    assert full.code == 4, full.err
    assert "error: the machine failed: [Errno 27] File too large" in full.err
    assert "Traceback" not in full.err
    assert remembered(world) == {}
    assert bench("data", "get", "open_shoes").code == 0
    assert (default_folder(world) / "labels.csv").is_file()


# ---- how far it is ----


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""
    time = SimpleNamespace(now=0.0)
    monkeypatch.setattr(fetch_progress, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def test_without_a_terminal_there_is_a_line_now_and_then_with_rate_and_time_left(clock):
    stream = io.StringIO()
    with FetchProgress(Console(file=stream, width=200)) as progress:
        for second in range(61):
            clock.now = second
            progress.report("fetching [a].zip", second * 1_000_000, 600_000_000)
        progress.report("checking [a].zip", 0, 600_000_000)
        progress.report("fetching b.zip", 300_000_000, 600_000_000)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "fetching [a].zip"
    assert lines[1] == "fetching [a].zip: 10.0 MB of 600.0 MB, 1.0 MB/s, 10 min left"
    assert lines[7:] == ["checking [a].zip", "fetching b.zip: going on from 300.0 MB of 600.0 MB"]


def test_on_a_terminal_there_is_a_bar(clock):
    stream = io.StringIO()
    with FetchProgress(Console(file=stream, width=200, force_terminal=True)) as progress:
        progress.report("fetching [a].zip", 0, 600_000_000)
        clock.now = 20.0
        progress.report("fetching [a].zip", 300_000_000, 600_000_000)
        progress.bars.refresh()
    assert "fetching [a].zip" in stream.getvalue()
    assert "300.0/600.0 MB" in stream.getvalue()
    assert "10.0 MB of" not in stream.getvalue()
