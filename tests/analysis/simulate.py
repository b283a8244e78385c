"""What verdicts are worth: families with known truths, many times over, as a table. Run by `make simulation`."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

from scipy import stats

from bench.reports.table import Table, to_markdown
from tests.analysis.verdict_simulation import Truth, detectable, outcomes

REPEATS = 10_000
CELLS = 10
TARGET = Path(__file__).parents[2] / "results" / "simulations" / "verdicts.md"


def main() -> None:
    settings = list(product((3, 5, 8), (0.0, 0.7)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        rows = []
        for setting, row in zip(settings, pool.map(_row, settings), strict=True):
            rows.append(row)
            print(f"{len(rows)} of {len(settings)}: {setting[0]} seeds, correlation {setting[1]}", file=sys.stderr)
    table = Table(
        title="What verdicts are worth, by simulation",
        headers=(
            "seeds", "correlation between cells", "families with a false harm", "with a false harm or benefit",
            "intervals that hold the truth", "a lone effect of the detectable size found",
        ),
        rows=tuple(rows),
        notes=(
            f"{REPEATS:,} families of {CELLS} cells each, differences normal with one spread, a seed's own effect on "
            "both scores taken out by the pairing; correlation: the share of the variance of differences that all "
            "cells of a seed have in common. In brackets 95 % intervals (Clopper and Pearson) over families; cells of "
            "one family are not independent, so coverage has none.",
            "wanted: at most 5 % of families with a false harm, 95 % of intervals, 80 % of lone effects.",
        ),
        numeric=frozenset(range(6)),
    )  # fmt: skip
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(to_markdown(table), encoding="utf-8")
    print(TARGET.read_text(encoding="utf-8"))


def _row(setting: tuple[int, float]) -> tuple[str, ...]:
    seeds, shared = setting
    truth = Truth(cells=CELLS, seeds=seeds, shared=shared)
    families, cells = outcomes(truth, REPEATS)
    _, found = outcomes(replace(truth, effect=-detectable(truth), affected=1), REPEATS)
    return (
        str(seeds),
        f"{shared:g}",
        _share(families["harm"]),
        _share(families["different"]),
        f"{cells['covered'] / (CELLS * REPEATS):.2%}",
        _share(found["harm"]),
    )


def _share(count: int) -> str:
    low, high = stats.binomtest(count, REPEATS).proportion_ci(method="exact")
    return f"{count / REPEATS:.2%} [{low:.2%}, {high:.2%}]"


if __name__ == "__main__":
    main()
