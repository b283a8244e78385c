"""The README's own example works as printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_example_of_own_data_runs_as_printed(world, bench):
    from bench.data.layouts import csv

    rng = np.random.default_rng(0)
    count = 120
    table = pa.table(
        {
            "image": [f"images/{i:03d}.png" for i in range(count)],
            "split": (["train"] * 4 + ["val", "test"]) * (count // 6),
            "group": [f"p{i // 6}" for i in range(count)],
            "value:category": rng.choice(["dress", "hat", "shoes", ""], count).tolist(),
            "value:kids": rng.choice(["no", "yes"], count).tolist(),
        }
    )
    csv.write(world.root / "garments", table, csv.Options(split="split", group="photographer"))
    specs = world.root / "my_specs"
    specs.mkdir()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)):
        (specs / f"{number}.yaml").write_text(block, encoding="utf-8")

    checked = bench("validate", "my_specs", "--no-conformance")
    assert (checked.code, checked.out) == (0, "5 specs checked, 0 problems\n"), checked.err
    assert bench("data", "add", "garments", "garments", "--specs", "my_specs").code == 0
    done = bench("run", "--suite", "wardrobe", "--specs", "my_specs", "--limit", "12")
    assert done.code == 0, done.err
    board = bench("leaderboard", "wardrobe", "--specs", "my_specs", "--limit", "12", "--json").json[0]
    assert [row["method"] for row in board["rows"]]
    assert board["provenance"] == "limited"


def test_specs_of_ones_own_data_are_written_as_printed(world, bench):
    from bench.data.layouts import csv

    count = 48
    table = pa.table(
        {
            "image": [f"images/{i:03d}.png" for i in range(count)],
            "split": ["train", "train", "val", "test"] * (count // 4),
            "value:category": ["dress", "hat", "shoes"] * (count // 3),
            "value:kids": ["no", "no", "yes", "yes"] * (count // 4),
        }
    )
    csv.write(world.root / "garments", table, csv.Options(split="split"))
    text = README.read_text(encoding="utf-8").partition("## Your own data")[2]
    block = re.findall(r"^```\n(.*?)```", text, re.DOTALL | re.MULTILINE)[0].replace("/data/garments", "garments")
    lines = [shlex.split(line, comments=True)[1:] for line in block.splitlines()]
    assert [line[0] for line in lines] == ["new", "new", "validate", "list", "show"]
    for line in lines:
        done = bench(*line)
        assert done.code == 0, done.err
    assert len(list((world.root / "my_specs").glob("*.yaml"))) == 4
