"""Photographs through the whole way, in small: specs over the csv layout, disjoint annotations, verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SPECS = Path(__file__).parent / "specs"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the photograph sets are not in {DATA}")


@pytest.fixture
def photographs(world):
    """The tiny world with the photograph suites and a budget that trains in seconds."""
    for file in SPECS.glob("*.yaml"):
        world.write(file.stem, file.read_text(encoding="utf-8"))
    world.change("photographs", "steps: 600", "steps: 8")
    world.change("photographs", "seeds: 5", "seeds: 2")
    world.change("photographs", "image_size: 64", "image_size: 16")
    world.change("photographs", "evaluations: 6", "evaluations: 1")
    world.environment["BENCH_DATA"] = str(DATA)
    return world


@pytest.mark.usefixtures("photographs")
@pytest.mark.parametrize("suite", ["grocery", "fairface"])
def test_the_suites_on_photographs_are_valid(suite, bench):
    done = bench("validate", suite)
    assert done.code == 0, done.err


def test_grocery_halves_are_disjoint_and_complete(photographs, bench):
    from bench.data.store import open_store

    for name in ("grocery_a", "grocery_b"):
        assert bench("data", "prepare", name, "--size", "16").code == 0
    stores = [open_store(next((photographs.cache / "stores").glob(f"{n}-*[!k]"))) for n in ("grocery_a", "grocery_b")]
    first, second = (set(store.labels.images[store.rows("train")]) for store in stores)
    counts = json.loads((DATA / "grocery5k" / "stats.json").read_text())["split"]
    assert not first & second
    assert len(first) + len(second) == counts["train"]
    for store in stores:
        assert len(store.rows("validation")) == counts["val"]
        assert len(store.rows("test")) == counts["test"]


def test_photographs_give_real_verdicts(photographs, bench):
    done = bench("run", "--suite", "fairface", "--only", "photo_gender", "--only", "multi_task")
    assert done.code == 0, done.err
    assert "STAND-IN" not in done.out
    report = bench("transfer", "fairface", "--only", "photo_gender", "--only", "multi_task", "--json").json[0]
    assert report["provenance"] == "real"
    judged = {(v["cell"]["dataset"], v["cell"]["task"], v["cell"]["method"]) for v in report["verdicts"]}
    assert judged == {("fairface_gender", "photo_gender", "multi_task")}
    assert (photographs.results / "leaderboards" / "fairface.md").is_file()
