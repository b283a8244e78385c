"""Reported numbers as a YAML file, and their comparison with what is measured now as tables, JUnit and annotations."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from bench.analysis.regression import ALPHA, STATUSES, Comparison, Finding, Status
from bench.files import write_whole
from bench.reports.annotations import Level, annotation
from bench.reports.table import Table, number, one_line, warning_of
from bench.specs.document import Document
from bench.specs.reported import Reported

WORDS: dict[Status, str] = {
    "same": "same",
    "within_noise": "moved within noise",
    "improved": "improved",
    "regressed": "REGRESSED",
    "incomparable": "cannot be compared",
    "missing": "missing",
}
HEADER = "Written by `bench report freeze`, read by `bench check`. Not to be edited: freeze anew with --update."


def write_reported(reported: Reported, file: Path) -> None:
    """Write a report; it appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, to_yaml(reported))


def to_yaml(reported: Reported) -> str:
    """A report as YAML that a diff reads well: scores on one line, cells in order."""
    yaml = YAML()
    yaml.width = 150
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    content = reported.model_dump(mode="json", exclude={"limit"} if reported.limit is None else set())
    yaml.dump(_flow({"kind": content.pop("kind"), "format": content.pop("format")} | content), stream)
    return f"# {HEADER}\n{stream.getvalue()}"


def _flow(value: Any) -> Any:
    """Lists of plain values on one line."""
    if isinstance(value, dict):
        return {key: _flow(inner) for key, inner in value.items()}
    if isinstance(value, list):
        found = CommentedSeq([_flow(inner) for inner in value])
        if not any(isinstance(inner, dict | list) for inner in value):
            found.fa.set_flow_style()
        return found
    return value


def comparison_table(found: Comparison, *, every: bool = True) -> Table:
    """A row a number, the gravest first; without `every` those that are the same are counted only."""
    ordered = sorted(found.findings, key=lambda finding: (STATUSES.index(finding.status), finding.key, finding.metric))
    shown = [finding for finding in ordered if every or finding.status != "same"]
    judged_by = (
        "the same surroundings as reported, where repeats agreed to the bit: any fall is a regression"
        if found.exact
        else f"other surroundings, or repeats that differed: the tolerance follows from the spread between seeds "
        f"({ALPHA:.0%} over all numbers)"
    )
    notes = [summary(found), f"judged in {judged_by}."]
    if found.differing:
        notes.append(f"surroundings that differ: {'; '.join(found.differing)}.")
    if found.unreported:
        notes.append(f"{found.unreported} numbers of the suite are not in the report; `bench report freeze` adds them.")
    return Table(
        title=f"Reported numbers: {found.suite}",
        headers=(
            "data set", "task", "backbone", "method", "metric", "reported", "now", "change", "tolerance", "",
        ),
        rows=tuple(_row(finding) for finding in shown),
        notes=tuple(notes),
        warning=warning_of(found.provenance, found.standin),
        numeric=frozenset({5, 6, 7, 8}),
        optional=("tolerance", "reported"),
    )  # fmt: skip


def summary(found: Comparison) -> str:
    """One line: how many numbers are what."""
    counts = ", ".join(f"{found.count(status)} {WORDS[status]}" for status in STATUSES if found.count(status))
    return f"{len(found.findings)} numbers over {found.seeds} seeds: {counts}"


def junit_xml(found: Comparison) -> str:
    """JUnit XML, a test case a number: a regression is a failure, what could not be compared an error."""
    broken = found.count("incomparable") + found.count("missing")
    counts = {"tests": len(found.findings), "failures": found.count("regressed"), "errors": broken}
    suites = ElementTree.Element("testsuites")
    about = {"name": f"bench check {found.suite}", **{key: str(value) for key, value in counts.items()}}
    suite = ElementTree.SubElement(suites, "testsuite", {**about, "skipped": "0", "time": "0"})
    for finding in found.findings:
        names = {"classname": one_line(".".join(finding.key)), "name": one_line(finding.metric), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        if finding.status in ("regressed", "incomparable", "missing"):
            kind = "failure" if finding.status == "regressed" else "error"
            ElementTree.SubElement(case, kind, {"message": one_line(sentence(finding)), "type": finding.status})
        else:
            ElementTree.SubElement(case, "system-out").text = one_line(sentence(finding))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def log_lines(found: Comparison, document: Document) -> list[str]:
    """A line of GitHub's log for each number that is not as it should be, at its place in the report."""
    lines = []
    for finding in found.findings:
        if finding.status in ("same", "within_noise"):
            continue
        place = document.problem(("cells", finding.place, "numbers", finding.metric), "")
        level: Level = "notice" if finding.status == "improved" else "error"
        title = f"{finding.title}: {WORDS[finding.status]}"
        lines.append(annotation(level, sentence(finding), file=place.file, line=place.line, title=title))
    return lines


def sentence(finding: Finding) -> str:
    """What there is to say of one number."""
    if finding.now is None:
        return f"{finding.title}: {WORDS[finding.status]}: {finding.why}"
    moved = f"reported {number(finding.then, 4)}, now {number(finding.now, 4)} ({number(finding.change, 4, sign=True)})"
    return f"{finding.title}: {WORDS[finding.status]}: {moved}, tolerance {number(finding.tolerance, 4)}"


def _row(finding: Finding) -> tuple[str, ...]:
    plan, dataset, task, backbone, method = finding.key
    point = plan.partition("[")[2].rstrip("]")
    word = WORDS[finding.status] + (f": {finding.why}" if finding.why else "")
    return (
        f"{dataset} ({point})" if point else dataset,
        task,
        backbone,
        method,
        finding.metric,
        number(finding.then, 4),
        number(finding.now, 4),
        number(finding.change, 4, sign=True),
        number(finding.tolerance, 4),
        word,
    )
