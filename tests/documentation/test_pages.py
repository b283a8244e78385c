"""The documentation as built: without warnings, complete, its links lead somewhere, and nothing remote is loaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer.main

from bench.cli.app import app
from bench.methods import terms
from bench.specs.catalog import KINDS, Catalog, shipped_folders
from bench.specs.components import part_names
from tests.documentation.test_tutorial import BLOCK

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / ".github" / "docs"
TEXT = ("p", "li", "td", "dd")
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


@dataclass
class Page(HTMLParser):
    """What a page links to, loads, and offers as targets of links; `loose` formulas stand in no sentence."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    within: list[str] = field(default_factory=list)
    loose: int = 0

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if tag in TEXT:
            self.within.append(tag)
        if tag == "math" and given.get("display") == "inline":
            self.loose += not self.within
        self.anchors.update({given[key] for key in ("id", "name") if given.get(key)})
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADING.get(tag, "")) and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given[LOADING[tag]])

    def handle_endtag(self, tag):
        if tag in self.within:
            self.within.remove(tag)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "mkdocs", "build", "--strict", "--config-file", SOURCES / "mkdocs.yml", "--site-dir", folder]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=clean, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    found = {}
    for file in site.rglob("*.html"):
        found[file] = Page()
        found[file].feed(file.read_text(encoding="utf-8"))
    return found


def test_every_link_leads_somewhere(site, pages):
    lost = []
    for file, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or file.name == "404.html":
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and anchor not in pages[target].anchors):
                lost.append(f"{file.relative_to(site)}: {link}")
    assert lost == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert [one for page in pages.values() for one in page.loaded if "//" in one] == []
    styles = "\n".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", styles) == []


def test_formulas_are_mathml(site, pages):
    science = {file.name: file.read_text(encoding="utf-8") for file in (site / "science").glob("*.html")}
    assert {name for name in science if "math" in pages[site / "science" / name].tags} >= {
        "verdicts.html",
        "coupling.html",
    }
    assert sum(page.loose for page in pages.values()) == 0
    assert not any("$`" in text or "language-math" in text for text in science.values())


def test_every_command_kind_part_and_data_set_has_its_place(site):
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        for path in [f"bench-{name}-{inner}" for inner in getattr(command, "commands", ())] or [f"bench-{name}"]:
            assert f'id="{path}"' in commands
    specs = (site / "reference" / "specs.html").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'id="{kind}"' not in specs] == []
    parts = (site / "reference" / "parts.html").read_text(encoding="utf-8")
    assert [name for name in part_names(terms.__name__) if f'id="{name}"' not in parts] == []
    catalog = Catalog(shipped_folders())
    shown = {file.stem for file in (site / "datasets").glob("*.html")} - {"index"}
    assert shown == set(catalog.names("dataset"))


def test_a_page_of_a_data_set_says_what_its_spec_says(site):
    text = re.sub(r"<[^>]+>", "", (site / "datasets" / "cub.html").read_text(encoding="utf-8"))
    for fact in (
        "Non-commercial research and education",
        "5,994",
        "312:",
        "@techreport{wah2011caltech",
        "10% of training",
    ):
        assert fact in text


def test_no_markup_of_a_docstring_is_taken_for_html(pages):
    known = {"html", "head", "body", "math", "table", "p", "code", "pre", "div", "svg"}
    foreign = {
        tag for page in pages.values() for tag in page.tags if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z]+)?", tag)
    }
    assert foreign == set()
    assert known <= {tag for page in pages.values() for tag in page.tags}


SPECS = {
    page.relative_to(SOURCES / "pages").as_posix(): blocks
    for page in sorted((SOURCES / "pages").rglob("*.md"))
    if page.name != "tutorial.md"  # is carried out, whole
    and (blocks := [body for _, body in BLOCK.findall(page.read_text(encoding="utf-8")) if body.startswith("kind: ")])
}


@pytest.mark.parametrize("page", SPECS)
def test_the_specs_of_a_page_are_valid(page, bench, world):
    for number, block in enumerate(SPECS[page]):
        (world.root / "shown").mkdir(exist_ok=True)
        (world.root / "shown" / f"{number}.yaml").write_text(block, encoding="utf-8")
    checked = bench("validate", "shown", "--no-conformance")
    count = "1 spec" if len(SPECS[page]) == 1 else f"{len(SPECS[page])} specs"
    assert (checked.code, checked.out) == (0, f"{count} checked, 0 problems\n"), checked.err
