"""`bench doctor` as it is typed: sound, and with plug-ins, copies and specs that are broken."""

from __future__ import annotations

import json
import os
import textwrap

PLUG_INS = {
    "sound": """
        from bench.methods.terms.supervised import BALANCED, NEEDS_RELATEDNESS, NEEDS_TEACHERS, Options, losses
        __all__ = ["BALANCED", "NEEDS_RELATEDNESS", "NEEDS_TEACHERS", "Options", "losses"]
    """,
    "raising": "raise RuntimeError('on \\x1b[31mpurpose')",
    "lacking": "NEEDS_RELATEDNESS = False",
    "supervised": "",
}


def install(world):
    """A distribution that offers several terms, only one of which can be used."""
    site = world.root / "site"
    about = site / "their_package-2.1.dist-info"
    about.mkdir(parents=True)
    (site / "their_package").mkdir()
    (site / "their_package" / "__init__.py").touch()
    for name, text in PLUG_INS.items():
        (site / "their_package" / f"{name}.py").write_text(textwrap.dedent(text))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 2.1\n")
    lines = [f"{name} = their_package.{name}\n" for name in [*PLUG_INS, "absent"]]
    (about / "entry_points.txt").write_text("[bench.methods.terms]\n" + "".join(lines))
    world.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


def test_a_sound_place_ends_in_0_and_shows_what_is_there(world, bench):
    done = bench("doctor")
    assert done.code == 0, done.out
    for shown in ("torch 2.", "OMP_NUM_THREADS=1", str(world.cache), str(world.specs)):
        assert shown in done.out
    content = bench("doctor", "--json").json
    assert content["survey"]["hardware"]["threads"] == 1
    assert [f for f in content["findings"] if f["weight"] == "fault"] == []


def test_each_broken_plug_in_is_named_and_the_sound_one_is_listed(world):
    install(world)
    done = world.run("doctor", "--json")
    assert done.code == 2
    content = json.loads(done.out)
    faults = [f["what"] for f in content["findings"] if f["weight"] == "fault"]
    reasons = {
        "raising": "RuntimeError: on",
        "lacking": "lacks `Options`",
        "absent": "No module named 'their_package.absent'",
        "supervised": "bench has one of that name itself",
    }
    assert len(faults) == len(reasons)
    for name, reason in reasons.items():
        (fault,) = (
            fault for fault in faults if fault.startswith(f"'{name}' (bench.methods.terms) of their-package 2.1")
        )
        assert reason in fault
    assert [one["name"] for one in content["survey"]["plug_ins"] if not one["fault"]] == ["sound"]


def test_a_copy_that_is_gone_and_a_spec_that_cannot_be_read_are_faults(world, bench):
    (world.root / "copy").mkdir()
    world.write("broken", "kind: [task\n")
    from bench.data.copies import remember_copy

    remember_copy("disfa", world.root / "copy")
    (world.root / "copy").rmdir()
    done = bench("doctor")
    assert done.code == 2
    assert "the copy of 'disfa' is not at" in done.out
    assert "broken.yaml:" in done.out


def test_settings_that_cannot_be_read_are_told_and_nothing_is_hidden_by_them(world, bench, monkeypatch):
    (world.root / "config").mkdir()
    (world.root / "config" / "copies.json").write_text("{")
    monkeypatch.setenv("BENCH_DATA", str(world.root / "nowhere"))
    done = bench("doctor")
    assert done.code == 2
    assert "copies.json cannot be read" in done.out
    assert "nowhere, which is not a folder" in done.out
    assert "torch 2." in done.out


def test_names_cannot_paint_the_terminal(world, bench, monkeypatch):
    (world.root / "data" / "a\x1b[31m[red]b").mkdir(parents=True)
    monkeypatch.setenv("BENCH_DATA", str(world.root / "data"))
    done = bench("doctor")
    assert "\x1b" not in done.out
    assert "[red]b" in done.out
