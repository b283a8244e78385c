"""The tutorial is carried out from its own page: what it says to save is saved, what it says to type is typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / ".github" / "docs" / "pages" / "tutorial.md"
BLOCK = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FASTER = {"steps: 200": "steps: 4", "seeds: 5": "seeds: 2", "evaluations: 4": "evaluations: 1"}
"""A test need not learn anything; all else is as printed."""


def test_every_step_of_the_tutorial_works_as_printed(world, bench):
    for file in world.specs.iterdir():
        file.unlink()
    typed = []
    for info, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        title = re.search(r'title="(.+?)"', info)
        if title is not None:
            save(world.root / title[1], body)
        if info == "sh":
            typed += [type_in(line, world.root, bench) for line in body.splitlines()]
    assert {"python", "new", "validate", "data", "plan", "run", "transfer", "leaderboard", "why", "site"} <= set(typed)
    assert (world.root / "site" / "index.html").is_file()
    verdicts = bench("transfer", "together", "--specs", "my_specs", "--json").json[0]["verdicts"]
    assert len(verdicts) == 4


def save(file, body):
    if "kind: budget" in body:
        for slow, fast in FASTER.items():
            assert slow in body
            body = body.replace(slow, fast)
    file.parent.mkdir(exist_ok=True)
    file.write_text(body, encoding="utf-8")


def type_in(line, folder, bench):
    """Carry out one command line; returns its first word, or that after `bench`."""
    program, *arguments = shlex.split(line)
    if program == "bench":
        done = bench(*arguments)
        assert done.code == 0, f"{line}\n{done.err}"
        return arguments[0]
    assert program == "python"
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
    return program


def test_the_training_images_of_the_tutorial_carry_one_label_each(tmp_path):
    """As the page says; images to measure on carry both."""
    import csv

    (script,) = (body for info, body in BLOCK.findall(PAGE.read_text("utf-8")) if 'title="draw.py"' in info)
    (tmp_path / "draw.py").write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, "draw.py"], cwd=tmp_path, check=True)
    with (tmp_path / "shapes" / "labels.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    labels = {
        split: {bool(r["shape"]) + bool(r["colour"]) for r in rows if r["split"] == split}
        for split in ("train", "test")
    }
    assert labels == {"train": {1}, "test": {2}}
