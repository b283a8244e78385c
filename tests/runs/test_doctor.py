"""What the doctor makes of what it sees, and how it sees."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs.doctor import Accelerators, Place, PlugIn, Survey, _quota, findings, survey

GIB = 2**30
SOUND = Survey(
    bench="0.1.0",
    git=None,
    packages={"python": "3.11.7", "torch": "2.13.0+cpu"},
    hardware={"system": "Linux x86_64", "processor": "any", "cores": 8, "threads": 4, "gpus": []},
    cores=8,
    quota=None,
    memory=16 * GIB,
    variables={"OMP_NUM_THREADS": "4"},
    pins={"torch": "2.13.0"},
    compiled_operators=True,
    accelerators=Accelerators(usable=False, driver=False, tf32=False, benchmark=False, deterministic=False),
    cache=Place(Path("/cache"), 100 * GIB),
    results=Place(Path("/results"), 100 * GIB),
    stores=0,
    specs={},
    copies={},
    plug_ins=(PlugIn("bench.metrics", "theirs", "their-package 1.0"),),
)
GPU = Accelerators(usable=True, driver=True, tf32=True, benchmark=True, deterministic=False)


def told(seen):
    return [(finding.weight, finding.what) for finding in findings(seen)]


def test_of_a_sound_machine_nothing_is_said():
    assert findings(SOUND) == ()


@pytest.mark.parametrize(
    ("change", "weight", "words", "advice"),
    [
        ({"variables": {}}, "repeatability", "OMP_NUM_THREADS is not set", "OMP_NUM_THREADS=4"),
        ({"variables": {"OMP_NUM_THREADS": "16"}}, "speed", "16 threads share 8 cores", "OMP_NUM_THREADS=8"),
        ({"quota": 1.5}, "speed", "4 threads share 1 core;", "OMP_NUM_THREADS=1"),
        ({"pins": {"torch": "2.12.0"}}, "repeatability", "torch is 2.13.0+cpu; constraints.txt pins 2.12.0", "pip"),
        ({"pins": {"no-such-package": "1"}}, "repeatability", "no-such-package is not installed", "pip"),
        ({"memory": GIB}, "space", "1.0 GiB of memory", "batches"),
        ({"cache": Place(Path("/cache"), GIB)}, "space", "1.0 GiB are free for prepared data (/cache)", "BENCH_CACHE"),
        ({"results": Place(Path("/out"), 0)}, "space", "0.0 GiB are free for results (/out)", "BENCH_RESULTS"),
        ({"copies": {"disfa": Path("/no/such")}}, "fault", "the copy of 'disfa' is not at /no/such", "data add disfa"),
        ({"faults": ("my.yaml:1:1: odd",)}, "fault", "my.yaml:1:1: odd", "mend"),
        ({"plug_ins": (PlugIn("bench.metrics", "odd", "p", "why"),)}, "fault", "'odd' (bench.metrics) of p", "mend"),
    ],
)  # fmt: skip
def test_what_is_unwise_is_said_with_what_to_do(change, weight, words, advice):
    (found,) = findings(replace(SOUND, **change))
    assert found.weight == weight
    assert words in found.what
    assert advice in found.advice


def test_a_gpu_that_repeats_exactly_is_not_warned_of():
    every = ["sums may be taken in another order", "TF32", "cudnn.benchmark"]
    found = told(replace(SOUND, accelerators=GPU))
    assert [any(word in what for weight, what in found if weight == "repeatability") for word in every] == [True] * 3
    exact = replace(GPU, tf32=False, benchmark=False, deterministic=True)
    assert told(replace(SOUND, accelerators=exact)) == []


def test_a_gpu_that_torch_cannot_use_is_told_of():
    ((weight, what),) = told(replace(SOUND, accelerators=replace(GPU, usable=False)))
    assert weight == "speed"
    assert "cannot use it" in what


@given(threads=st.integers(1, 64), cores=st.integers(1, 64), quota=st.none() | st.floats(0.1, 64))
def test_threads_are_too_many_exactly_where_they_cannot_all_run(threads, cores, quota):
    hardware = SOUND.hardware | {"threads": threads}
    variables = {"OMP_NUM_THREADS": str(threads)}
    found = told(replace(SOUND, hardware=hardware, cores=cores, quota=quota, variables=variables))
    usable = cores if quota is None else min(cores, max(1, int(quota)))
    assert bool(found) == (threads > usable)


@pytest.mark.parametrize(("text", "quota"), [("max 100000\n", None), ("250000 100000\n", 2.5), (None, None)])
def test_the_quota_of_a_container_is_read(tmp_path, text, quota):
    file = tmp_path / "cpu.max"
    if text is not None:
        file.write_text(text)
    assert _quota(file) == quota


def test_what_it_sees_is_what_is_there(world, monkeypatch):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    seen = survey([], world.results)
    assert seen.cores == len(os.sched_getaffinity(0))
    assert seen.specs[str(world.specs)] == len(list(world.specs.iterdir()))
    assert seen.pins["torch"] == seen.packages["torch"].partition("+")[0]
    assert seen.faults == ()

    free, total = (os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    assert 0.5 * free < seen.memory <= total  # free memory is part of what is available
    status = os.statvfs(world.root)
    assert abs(seen.cache.free - status.f_bavail * status.f_frsize) < 2 * GIB
