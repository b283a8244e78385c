"""Downloads from a real server that breaks off, lies, changes its mind and serves wrong files."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data import download as module
from bench.data.download import download, file_name
from bench.errors import DataError, InfrastructureError
from bench.specs.dataset import Download

from . import faulty_server
from .faulty_server import (
    breaking,
    endless,
    ignoring_if_range,
    ignoring_range,
    redirecting,
    reply,
    silent,
    stating,
    status,
    without_length,
)

CONTENT = random.Random(0).randbytes(200_000)
OTHER = random.Random(1).randbytes(200_000)
NO_WAIT = (0.0, 0.0, 0.0)
DATE, LATER = "Mon, 02 Jan 2006 15:04:05 GMT", "Tue, 03 Jan 2006 15:04:05 GMT"


@pytest.fixture(scope="module")
def site():
    with faulty_server.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def ignore(step, done, total):
    pass


def get(site, folder, *, name="birds.zip", report=ignore, waits=NO_WAIT, **stated):
    return download(Download(url=site.url(name), **stated), folder / name, report, waits=waits)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_whole(folder, content=CONTENT):
    """Only the file stands there, and all of it."""
    assert names(folder) == ["birds.zip"]
    assert (folder / "birds.zip").read_bytes() == content


# ---- as it should be ----


def test_a_file_arrives_and_its_hash_is_told(site, tmp_path):
    served = site.serve("birds.zip", CONTENT)
    assert get(site, tmp_path) == hashlib.sha256(CONTENT).hexdigest()
    assert_whole(tmp_path)
    assert served.ranges == [None]
    assert served.requests[0]["Accept-Encoding"] == "identity"
    assert served.requests[0]["User-Agent"].startswith("mtl-bench/")


def test_a_whole_file_is_checked_but_not_fetched_again(site, tmp_path):
    served = site.serve("birds.zip", CONTENT)
    get(site, tmp_path)
    assert get(site, tmp_path, md5=hashlib.md5(CONTENT).hexdigest()) == hashlib.sha256(CONTENT).hexdigest()
    assert len(served.requests) == 1


def test_what_the_spec_states_may_all_be_true(site, tmp_path):
    site.serve("birds.zip", CONTENT)
    sums = {kind: hashlib.new(kind, CONTENT).hexdigest() for kind in ("sha256", "md5")}
    assert get(site, tmp_path, bytes=len(CONTENT), **sums) == sums["sha256"]


def test_a_file_in_chunks_needs_a_stated_length(site, tmp_path):
    site.serve("birds.zip", CONTENT, always=without_length)
    with pytest.raises(DataError, match="no length") as caught:
        get(site, tmp_path)
    assert "state `bytes`" in caught.value.hint
    get(site, tmp_path, bytes=len(CONTENT))
    assert_whole(tmp_path)


def test_progress_counts_up_to_the_whole_of_each_step(site, tmp_path):
    site.serve("birds.zip", CONTENT)
    told = []
    get(site, tmp_path, report=lambda *line: told.append(line))
    steps = list(dict.fromkeys(step for step, _, _ in told))
    assert steps == ["fetching birds.zip", "checking birds.zip"]
    for step in steps:
        done = [line[1] for line in told if line[0] == step]
        assert done == sorted(done)
        assert done[-1] == len(CONTENT) == told[-1][2]


# ---- what breaks off goes on ----


def test_a_break_is_gone_on_with_where_it_broke(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, answers=[breaking(70_000), breaking(150_000)])
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert served.ranges == [None, "bytes=70000-", "bytes=150000-"]
    assert served.requests[1]["If-Range"] == '"first"'
    assert served.sent == len(CONTENT)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 200_000),
    points=st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=3),
)
def test_breaks_anywhere_never_change_what_arrives(site, tmp_path_factory, size, points):
    folder = tmp_path_factory.mktemp("broken")
    answers = [breaking(point) if resumes else ignoring_range for point, resumes in points]
    site.serve("birds.zip", CONTENT[:size], answers=answers)
    get(site, folder)
    assert_whole(folder, CONTENT[:size])


def test_breaks_without_end_are_told_and_a_later_call_goes_on(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, always=breaking(70_000))
    with pytest.raises(InfrastructureError, match=r"birds\.zip cannot be fetched: ") as caught:
        get(site, tmp_path)
    assert caught.value.hint == "repeat the command later: it goes on from the 70,000 bytes that are here"
    assert served.ranges == [None] + ["bytes=70000-"] * 4
    assert not (tmp_path / "birds.zip").exists()
    served.always = None
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert served.sent == len(CONTENT)


def test_tries_that_get_further_are_not_counted(site, tmp_path):
    site.serve("birds.zip", CONTENT, answers=[breaking(n * 20_000) for n in range(1, 10)])
    get(site, tmp_path, waits=(0.0,))
    assert_whole(tmp_path)


def test_a_server_that_knows_no_ranges_starts_anew(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, answers=[breaking(70_000)], always=ignoring_range)
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert served.ranges == [None, "bytes=70000-"]


def test_without_etag_the_date_tells_whether_it_is_the_same(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, etag="", date=DATE, answers=[breaking(70_000)])
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert served.requests[1]["If-Range"] == DATE


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_nothing_is_gone_on_with_that_nothing_identifies(site, tmp_path, etag):
    served = site.serve("birds.zip", CONTENT, etag=etag, answers=[breaking(70_000)])
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert served.ranges == [None, None]


@pytest.mark.parametrize("always", [None, ignoring_if_range])
@pytest.mark.parametrize("tags", [("first", "second"), (DATE, LATER)], ids=["etag", "date"])
def test_a_file_that_changes_between_two_tries_is_fetched_anew(site, tmp_path, always, tags):
    kind = "date" if DATE in tags else "etag"
    served = site.serve("birds.zip", CONTENT, **({"etag": ""} | {kind: tags[0]}), always=breaking(70_000))
    with pytest.raises(InfrastructureError):
        get(site, tmp_path)
    served.content, served.always = OTHER, always
    setattr(served, kind, tags[1])
    get(site, tmp_path)
    assert_whole(tmp_path, OTHER)


@pytest.mark.parametrize("found", ["bytes 0-199999/200000", "bytes 70000-199999/300000", "bytes 70000-199999/*", ""])
def test_another_part_than_the_one_asked_for_is_not_taken(site, tmp_path, found):
    def other_part(handler, served):
        reply(handler, served, 206, OTHER[70_000:], Content_Range=found)

    site.serve("birds.zip", CONTENT, answers=[breaking(70_000), other_part])
    get(site, tmp_path)
    assert_whole(tmp_path)


def test_a_rest_that_the_server_has_not_is_fetched_anew(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, always=breaking(150_000))
    with pytest.raises(InfrastructureError):
        get(site, tmp_path)
    served.content, served.always = CONTENT[:100_000], ignoring_if_range
    get(site, tmp_path)
    assert_whole(tmp_path, CONTENT[:100_000])


@pytest.mark.parametrize(
    "note",
    [b"", b"{", b"[]", b"\xff", b'{"url": "u", "validator": "\\"first\\"", "length": 200000}', b'{"length": "x"}'],
)
def test_a_part_whose_note_is_damaged_is_fetched_anew(site, tmp_path, note):
    served = site.serve("birds.zip", CONTENT, always=breaking(70_000))
    with pytest.raises(InfrastructureError):
        get(site, tmp_path)
    (tmp_path / "birds.zip.part.json").write_bytes(note)
    (tmp_path / "birds.zip.part").write_bytes(OTHER[:70_000])
    served.always = None
    get(site, tmp_path)
    assert_whole(tmp_path)


def test_a_part_longer_than_the_file_is_fetched_anew(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, always=breaking(70_000))
    with pytest.raises(InfrastructureError):
        get(site, tmp_path)
    (tmp_path / "birds.zip.part").write_bytes(CONTENT + b"more")
    served.always = None
    get(site, tmp_path)
    assert_whole(tmp_path)


def test_a_part_is_kept_when_somebody_interrupts(site, tmp_path):
    served = site.serve("birds.zip", CONTENT)

    def interrupt(*told):
        if told[1] >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(site, tmp_path, report=interrupt)
    assert (tmp_path / "birds.zip.part").stat().st_size >= 100_000
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert int(served.ranges[1].removeprefix("bytes=").removesuffix("-")) >= 100_000


# ---- lies and wrong files ----


def test_a_server_that_states_more_than_it_sends(site, tmp_path):
    site.serve("birds.zip", CONTENT, always=stating(len(CONTENT) + 1))
    with pytest.raises(InfrastructureError, match="cannot be fetched"):
        get(site, tmp_path)
    assert not (tmp_path / "birds.zip").exists()


def test_a_server_that_states_less_than_it_sends(site, tmp_path):
    site.serve("birds.zip", CONTENT, always=stating(len(CONTENT) - 1))
    with pytest.raises(DataError, match="not the file that the spec states: sha256 is"):
        get(site, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(DataError, match="the server has 199,999 bytes, the spec states 200,000"):
        get(site, tmp_path, bytes=len(CONTENT))
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_file_is_refused_and_not_kept(site, tmp_path, kind):
    served = site.serve("birds.zip", OTHER)
    right = hashlib.new(kind, CONTENT).hexdigest()
    wrong = hashlib.new(kind, OTHER).hexdigest()
    with pytest.raises(DataError, match=f"{kind} is {wrong}, expected {right}") as caught:
        get(site, tmp_path, **{kind: right})
    assert site.url("birds.zip") in caught.value.message
    assert not list(tmp_path.glob("birds.zip*[!n]")), "neither the file nor its part may stay"
    served.content = CONTENT
    get(site, tmp_path, **{kind: right})
    assert_whole(tmp_path)


def test_a_length_that_the_spec_does_not_state_is_refused_at_once(site, tmp_path):
    served = site.serve("birds.zip", OTHER, always=stating(1 << 40))
    with pytest.raises(DataError, match="the server has 1,099,511,627,776 bytes, the spec states 200,000"):
        get(site, tmp_path, bytes=len(CONTENT))
    assert len(served.requests) == 1
    assert names(tmp_path) == []


def test_endless_data_is_stopped_at_the_stated_length(site, tmp_path):
    served = site.serve("birds.zip", always=endless)
    with pytest.raises(DataError, match="sends more than the 200,000 bytes"):
        get(site, tmp_path, bytes=200_000)
    assert served.sent < 32 << 20
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [199_999, 200_001])
def test_chunks_of_another_length_than_stated_are_refused(site, tmp_path, size):
    site.serve("birds.zip", (CONTENT + b"x")[:size], always=without_length)
    with pytest.raises(DataError, match="that were stated"):
        get(site, tmp_path, bytes=200_000)
    assert names(tmp_path) == []


def test_an_empty_file_is_none(site, tmp_path):
    site.serve("birds.zip", b"")
    with pytest.raises(DataError, match="is empty"):
        get(site, tmp_path)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 501, 204])
def test_what_the_server_will_not_give_is_told_at_once(site, tmp_path, code):
    served = site.serve("birds.zip", CONTENT, always=status(code))
    with pytest.raises(DataError, match=f"the server answers {code}") as caught:
        get(site, tmp_path)
    assert "home page" in caught.value.hint
    assert len(served.requests) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(site, tmp_path, code):
    site.serve("birds.zip", CONTENT, answers=[status(code), status(code)])
    get(site, tmp_path)
    assert_whole(tmp_path)


def test_a_server_that_stays_busy_is_told(site, tmp_path):
    served = site.serve("birds.zip", CONTENT, always=status(503))
    with pytest.raises(InfrastructureError, match="the server answers 503 Service Unavailable"):
        get(site, tmp_path)
    assert len(served.requests) == 1 + len(NO_WAIT)


def test_waits_grow_and_the_server_may_ask_for_longer_ones(site, tmp_path, monkeypatch):
    slept, told = [], []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=slept.append))
    answers = [status(503), status(503, Retry_After="7"), status(503, Retry_After="86400"), status(503)]
    site.serve("birds.zip", CONTENT, answers=answers)
    get(site, tmp_path, waits=(1.0, 2.0, 4.0, 8.0), report=lambda *line: told.append(line[0]))
    assert slept == [1.0, 7.0, 60.0, 8.0]
    assert "birds.zip: the server answers 503 Service Unavailable; trying again in 7 s" in told


# ---- redirections ----


def test_redirections_are_followed(site, tmp_path):
    site.serve("birds.zip", always=redirecting("/deeper/file"))
    site.serve("deeper/file", CONTENT, answers=[breaking(70_000)])
    get(site, tmp_path)
    assert_whole(tmp_path)
    assert site.files["/deeper/file"].ranges == [None, "bytes=70000-"]


@pytest.mark.parametrize(
    "place", ["http://example.org/birds.zip", "http://127.0.0.1.example.org/", "ftp://127.0.0.1/x"]
)
def test_redirections_to_what_is_not_https_are_refused(site, tmp_path, place):
    served = site.serve("birds.zip", always=redirecting(place))
    with pytest.raises(DataError, match="which is not HTTPS"):
        get(site, tmp_path)
    assert len(served.requests) == 1


def test_redirections_to_https_are_followed(site, tmp_path):
    site.serve("birds.zip", always=redirecting(site.url("birds.zip").replace("http:", "https:")))
    with pytest.raises(InfrastructureError, match="SSL"):
        get(site, tmp_path)


@pytest.mark.parametrize("place", ["https://example..org/x", "https://xn--/x", "https://[::/x", "http://:x/"])
def test_redirections_to_what_is_no_address_are_told(site, tmp_path, place):
    site.serve("birds.zip", always=redirecting(place))
    with pytest.raises((DataError, InfrastructureError)):
        get(site, tmp_path)


def test_redirections_in_circles_end(site, tmp_path):
    site.serve("birds.zip", always=redirecting("/birds.zip"))
    with pytest.raises(DataError, match="redirects in circles"):
        get(site, tmp_path)


# ---- no network, no room, no name ----


def test_nobody_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InfrastructureError, match="cannot be fetched"):
        download(Download(url=f"http://127.0.0.1:{port}/birds.zip"), tmp_path / "birds.zip", ignore, waits=NO_WAIT)
    assert names(tmp_path) == []


def test_a_server_that_falls_silent_is_given_up_and_tried_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    release = threading.Event()
    served = site.serve("birds.zip", CONTENT, answers=[silent(release)])
    began = time.monotonic()
    get(site, tmp_path)
    release.set()
    assert time.monotonic() - began < 5
    assert_whole(tmp_path)
    assert served.ranges == [None, "bytes=100000-"]


def test_a_disk_without_room_is_told_before_anything_is_fetched(site, tmp_path, monkeypatch):
    site.serve("birds.zip", CONTENT)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=199_999))
    with pytest.raises(InfrastructureError, match=r"199,999 bytes free, and 200,000 are still to be fetched") as caught:
        get(site, tmp_path)
    assert "--to" in caught.value.hint
    assert (tmp_path / "birds.zip.part").stat().st_size == 0
    monkeypatch.undo()
    get(site, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/files/CUB_200_2011.tgz?download=1", "CUB_200_2011.tgz"),
        ("https://example.org/file/druid:tb980qz1002/A%20B.zip#x", "A B.zip"),
    ],
)
def test_names_come_from_addresses(url, name):
    assert file_name(url) == name


@pytest.mark.parametrize(
    "rest",
    ["", "/", "/files/", "/..", "/%2e%2e", "/.hidden", "/a%5Cb", "/a%0Ab", "/%00", f"/{201 * 'x'}", "/a%2F..", ":x/a"],
)
def test_addresses_without_a_name_are_refused(rest):
    with pytest.raises(DataError, match=r"no name|no address"):
        file_name(f"https://example.org{rest}")
