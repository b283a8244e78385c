"""What is said of data: what a preparation read and left out, where copies and stores stand, what an audit found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.audit import EXPLAINED
from bench.data.expectations import expected_of
from bench.data.labels import MISSING, label_counts
from bench.data.store import Audit, Manifest, Store
from bench.reports.table import STANDIN_WARNING, Table
from bench.specs.dataset import SPLITS, DatasetSpec, Expected

MOST_LABELS = 60
"""Labels of a task that are listed one by one."""
MOST_NAMES = 5


def preparation_tables(store: Store, dataset: DatasetSpec) -> list[Table]:
    """What became of the rows of a data set, and how often each label stands in each split."""
    warning = STANDIN_WARNING if store.manifest.standin else ""
    tables = [
        Table(f"{dataset.title} ({dataset.name})", ("", "rows", "which"), _fates(store, dataset), warning=warning)
    ]
    counts = label_counts(store.labels, store.manifest.labels)
    return tables + [_label_table(store, dataset, task, by_split) for task, by_split in counts.items()]


def _fates(store: Store, dataset: DatasetSpec) -> tuple[tuple[str, str, str], ...]:
    manifest = store.manifest
    lines: list[tuple[str, str, str]] = []
    reading = manifest.reading
    if reading is not None:
        lines.append(("read", f"{reading.read:,}", f"{manifest.made_from} ({reading.variant})"))
        for reason, count in reading.skipped.items():
            lines.append((f"skipped: {reason}", f"{count:,}", _some(reading.skipped_names[reason], count)))
        lines += [
            (f"left out: {reason}", f"{count:,}", "by the dataset spec") for reason, count in reading.left_out.items()
        ]
    for reason in sorted(set(manifest.refused.values())):
        names = [name for name, why in manifest.refused.items() if why == reason]
        lines.append((f"refused: {reason}", f"{len(names):,}", _some(names, len(names))))
    lines.append(
        ("used", f"{len(store.labels):,}", ", ".join(f"{n:,} {split}" for split, n in manifest.counts.items()))
    )
    for task, values in store.labels.tasks.items():
        known = values if values.ndim == 1 else values[:, (values != MISSING).any(0)]
        masked, cells = int((known == MISSING).sum()), known.size
        what = "labels" if values.ndim == 1 else "single labels"
        lines.append((f"masked: {task}", f"{masked:,}", f"of {cells:,} {what} are not known"))
    if reading is not None and reading.tiny:
        lines.append(
            (
                "tiny",
                f"{len(reading.tiny):,}",
                _some([f"{n} ({s})" for n, s in reading.tiny.items()], len(reading.tiny)),
            )
        )
    expected = expected_of(dataset, reading.variant) if reading is not None else None
    if expected is not None and expected.images:
        stated = ", ".join(f"{count:,} {split}" for split, count in expected.images.items())
        lines.append(("as stated", f"{_stated(expected):,}", f"{stated}: {expected.source}"))
    return tuple(lines)


def _stated(expected: Expected) -> int:
    """Images of all splits, as the literature states them."""
    return expected.images.get("all") or sum(expected.images.values())


def _some(names: Sequence[str], count: int) -> str:
    more = count - min(len(names), MOST_NAMES)
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _label_table(store: Store, dataset: DatasetSpec, task: str, by_split: Mapping[str, Mapping[str, int]]) -> Table:
    """Images of each label by split; beside it what the literature states of all splits together."""
    reading = store.manifest.reading
    expected = expected_of(dataset, reading.variant) if reading is not None else None
    stated: dict[str, int] = {}
    given = expected.labels.get(task, {}) if expected is not None else {}
    for counts in [given["all"]] if "all" in given else given.values():
        for label, count in counts.items():
            stated[label] = stated.get(label, 0) + count
    totals = {name: sum(by_split[split][name] for split in SPLITS) for name in store.manifest.labels[task]}
    order = list(totals) if len(totals) <= MOST_LABELS else sorted(totals, key=lambda name: -totals[name])
    values = store.labels.tasks[task]
    annotated = (values != MISSING).any(0) if values.ndim == 2 else [True] * len(totals)
    unknown = {name for name, known in zip(store.manifest.labels[task], annotated, strict=True) if not known}
    rows = tuple(
        (name, *(["–"] * (len(SPLITS) + 1)), *(["–"] if stated else []))
        if name in unknown
        else (name, *(f"{by_split[split][name]:,}" for split in SPLITS), f"{totals[name]:,}")
        + ((f"{stated[name]:,}" if name in stated else "–",) if stated else ())
        for name in order[:MOST_LABELS]
    )
    notes: list[str] = []
    if unknown:
        notes.append("–: the data set does not annotate this label.")
    if len(order) > MOST_LABELS:
        rest = [totals[name] for name in order[MOST_LABELS:]]
        notes.append(f"and {len(rest):,} more labels with {min(rest):,} to {max(rest):,} images each.")
    if stated:
        notes.append("stated: by the literature, of all official splits before anything is left out.")
    headers = (task, *SPLITS, "all", *(("stated",) if stated else ()))
    return Table(
        f"{task}: images by label", headers, rows, notes=tuple(notes), numeric=frozenset(range(1, len(headers)))
    )


@dataclass(frozen=True)
class DataStatus:
    """One data set as `bench data status` shows it; a line for each size that it is prepared at, at least one."""

    dataset: DatasetSpec
    copy: Path | None
    size: int | None = None
    manifest: Manifest | None = None
    bytes: int = 0
    problem: str = ""


def status_table(found: Sequence[DataStatus]) -> Table:
    """A line for every data set and size of its images."""
    headers = (
        "data set", "local copy", "prepared", "train", "validation", "test", "stated", "MB", "fingerprint", "audit",
        "licence", "how to get it",
    )  # fmt: skip
    rows = tuple(_status_row(entry) for entry in found)
    numeric = frozenset({3, 4, 5, 6, 7})
    notes = ("stated: images by the literature, before validation is carved and parts are left out; – where unknown.",)
    return Table(
        f"{len({entry.dataset.name for entry in found})} data sets", headers, rows, notes=notes, numeric=numeric,
        optional=("how to get it", "fingerprint", "licence", "stated", "MB"),
    )  # fmt: skip


def _status_row(entry: DataStatus) -> tuple[str, ...]:
    dataset, manifest = entry.dataset, entry.manifest
    prepared = f"{entry.size} px" if manifest is not None else entry.problem or "no"
    if manifest is not None and manifest.standin:
        prepared += " (stand-in)"
    counts = [f"{manifest.counts[split]:,}" for split in SPLITS] if manifest is not None else ["–"] * len(SPLITS)
    variant = manifest.reading.variant if manifest is not None and manifest.reading is not None else ""
    expected = expected_of(dataset, variant) or next(iter(dataset.expected.values()), None)
    stated = f"{_stated(expected):,}" if expected is not None and expected.images else "–"
    source = str(entry.copy) if entry.copy else "none" if dataset.layout else "none (stand-in only)"
    size = f"{entry.bytes / 1e6:,.1f}" if manifest is not None else "–"
    fingerprint = manifest.fingerprint if manifest is not None else "–"
    access = f"`bench data get {dataset.name}`" if dataset.fetch is not None else dataset.access or "–"
    audited = "–" if manifest is None else _all_audits(manifest)
    return (dataset.name, source, prepared, *counts, stated, size, fingerprint, audited, dataset.licence, access)


def _all_audits(manifest: Manifest) -> str:
    found = (f"{audit_words(audit)} ({name})" for name, audit in sorted(manifest.audits.items()))
    return "; ".join(found) or audit_words(None)


def audit_words(audit: Audit | None) -> str:
    """An audit in a few words, for tables."""
    if audit is None:
        return "not audited"
    if not audit.findings:
        return "nothing found"
    return ", ".join(f"{finding.count:,} {finding.what.replace('_', ' ')}" for finding in audit.findings)


def audit_note(audits: Mapping[str, Audit | None]) -> str:
    """One sentence for a leaderboard."""
    told: dict[str, list[str]] = {}
    for name, audit in audits.items():
        told.setdefault(audit_words(audit), []).append(name)
    return "audit of the data: " + "; ".join(f"{', '.join(names)}: {words}" for words, names in told.items()) + "."


def audit_table(name: str, audits: Mapping[str, Audit]) -> Table:
    """A row a finding, with its first cases."""
    rows = tuple(
        (dataset, finding.what.replace("_", " "), f"{finding.count:,}", "; ".join(finding.cases[:MOST_NAMES]))
        for dataset, audit in audits.items()
        for finding in audit.findings
    )
    kinds = dict.fromkeys(finding.what for audit in audits.values() for finding in audit.findings)
    notes = [f"{kind.replace('_', ' ')}: {EXPLAINED[kind]}." for kind in kinds]
    clean = [dataset for dataset, audit in audits.items() if not audit.findings]
    if clean:
        notes.append(f"nothing was found in {', '.join(clean)}.")
    return Table(
        f"audit of {name}", ("data set", "finding", "count", "such as"), rows, tuple(notes), numeric=frozenset({2})
    )
