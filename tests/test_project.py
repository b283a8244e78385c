"""The project as a whole: its layers, its wheel, and the command lines that its documents show."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import typer.main

import bench as package
from bench.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def run(*command, cwd, **variables):
    """Run a process without settings of bench or of Python."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | {"OMP_NUM_THREADS": "1"} | variables,
        capture_output=True,
        text=True,
        timeout=240,
    )


# ---- layers ----


def lint_imports(folder):
    return run(BIN / "lint-imports", "--no-cache", cwd=folder)


def test_rooms_import_downwards_only():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert "Contracts: 1 kept, 0 broken." in done.stdout


UPWARDS = {
    "specs/task.py": "bench.cli.app",
    "specs/streams.py": "bench.data.labels",
    "errors.py": "bench.specs.task",
    "models/network.py": "bench.data.labels",
    "analysis/scores.py": "bench.reports.table",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """What the linter says of a copy of the package in which some rooms import what stands above or beside them."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "bench", folder / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, module in UPWARDS.items():
        with (folder / "bench" / file).open("a", encoding="utf-8") as stream:
            stream.write(f"\n\ndef _planted():\n    import {module}\n")
    return lint_imports(folder)


@pytest.mark.parametrize("file", UPWARDS)
def test_an_import_upwards_or_sideways_breaks_the_contract_even_inside_a_function(planted, file):
    importer = "bench." + file.removesuffix(".py").replace("/", ".")
    assert planted.returncode == 1
    assert re.search(rf"{re.escape(importer)} -> {re.escape(UPWARDS[file])} \(l\.\d+\)", planted.stdout), planted.stdout


# ---- the wheel ----


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return file


def shipped():
    """All spec files of the checkout, as they stand in the wheel."""
    roots = {"tasks": ROOT, "baselines": ROOT, "published": ROOT / "results"}
    return {file.relative_to(root) for name, root in roots.items() for file in (root / name).rglob("*.yaml")}


def test_the_wheel_holds_the_code_and_the_specs_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    code = {file.relative_to(ROOT).as_posix() for file in (ROOT / "bench").rglob("*.py")}
    specs = {f"bench/_specs/{file.as_posix()}" for file in shipped()}
    assert code <= names
    site = (ROOT / "bench" / "reports" / "site").rglob("*.*")
    assert {f.relative_to(ROOT).as_posix() for f in site if f.suffix in (".html", ".css", ".js")} <= names
    assert specs <= names
    beside = {name for name in names - code - specs if not name.startswith("bench/") or name.endswith(".pyc")}
    assert beside == set()


def test_the_wheel_says_what_it_is(wheel):
    assert wheel.name == f"mtl_bench-{package.__version__}-py3-none-any.whl"
    archive = zipfile.ZipFile(wheel)
    info = f"mtl_bench-{package.__version__}.dist-info"
    assert archive.read(f"{info}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "bench",
        "=",
        "bench.cli.app:main",
    ]
    metadata = archive.read(f"{info}/METADATA").decode()
    for needed in PROJECT["project"]["dependencies"]:
        name = re.split("[><=]", needed)[0].replace(".", "-")
        assert f"Requires-Dist: {name}" in metadata


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with bench from the wheel and all else from this one; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel)
    done = run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    assert done.returncode == 0, done.stderr
    # Only afterwards, so that pip does not see (and replace) the development install. The .pth files there, this
    # checkout among them, are not followed from here.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder


@pytest.fixture
def elsewhere(installed, tmp_path):
    """Call the installed command in an empty folder."""

    def call(*arguments):
        folder = tmp_path / "empty"
        folder.mkdir(exist_ok=True)
        user = {"BENCH_CONFIG": str(tmp_path / "config"), "BENCH_CACHE": str(tmp_path / "cache")}
        done = run(installed / "bin" / "bench", *arguments, cwd=folder, **user)
        assert list(folder.iterdir()) == []
        return done

    return call


def test_the_installed_command_lists_the_specs_of_the_wheel(installed, elsewhere):
    done = elsewhere("list", "--json")
    assert done.returncode == 0, done.stderr
    files = [Path(entry["file"]) for entry in json.loads(done.stdout)]
    (home,) = installed.resolve().glob("lib/python*/site-packages/bench/_specs")
    assert {file.relative_to(home) for file in files} == shipped()


def test_the_installed_command_validates_a_suite(elsewhere):
    done = elsewhere("validate", "faces")
    assert (done.returncode, done.stdout) == (0, "1 spec checked, 0 problems\n"), done.stderr


def test_the_installed_command_tells_its_version(elsewhere):
    assert elsewhere("--version").stdout == f"bench {package.__version__}\n"


# ---- command lines in documents ----

PAGES = sorted((ROOT / ".github" / "docs" / "pages").rglob("*.md"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(page.relative_to(ROOT).as_posix() for page in PAGES)]
FENCED = re.compile(r"^```[^`\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_lines(text):
    """What follows `bench` on each command line in fenced code."""
    blocks = "\n".join(FENCED.findall(text)).replace("\\\n", " ")
    found = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?bench (.*)$", blocks, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def parse(arguments):
    """Parse a command line as the command does, without running it; raises what the command would print."""
    command, name, rest = typer.main.get_command(app), "bench", list(arguments)
    context = None
    while hasattr(command, "commands"):
        context = command.make_context(name, rest, parent=context)
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, rest, parent=context)


def tree(command, path=()):
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from tree(inner, (*path, name))
        else:
            yield (*path, name), inner


COMMANDS = dict(tree(typer.main.get_command(app)))
SHOWN = {
    f"{name}: {shlex.join(line)}": line
    for name in DOCUMENTS
    for line in command_lines((ROOT / name).read_text("utf-8"))
}


@pytest.mark.parametrize("benchmark", ["measure.py", "peers.py"])
def test_benchmarks_can_be_started(benchmark):
    """They are run by hand: what they build on must not move away from under them unseen."""
    found = run(sys.executable, f"tests/performance/{benchmark}", "--help", cwd=ROOT)
    assert found.returncode == 0, found.stderr
    assert "--repeats" in found.stdout


def test_growth_is_measured(tmp_path):
    answer = tmp_path / "answer.json"
    command = ("tests/performance/growth.py", "--one", "tasks", "--size", "2", "--answer", answer)
    found = run(sys.executable, *command, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    costs = json.loads(answer.read_text(encoding="utf-8"))
    assert set(costs) == {"planning", "24 joint steps"}
    assert all(seconds > 0 and mebibytes > 50 for seconds, mebibytes in costs.values())


def test_the_readme_shows_command_lines():
    assert any(shown.startswith("README.md: run --suite ") for shown in SHOWN)


@pytest.mark.parametrize("shown", SHOWN)
def test_a_command_line_in_a_document_exists(shown):
    parse(SHOWN[shown])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_line_of_help_and_an_example_that_exists(path):
    text = COMMANDS[path].help
    (example,) = re.findall(r"^\s*Example: bench (.+)$", text, re.MULTILINE)
    arguments = shlex.split(example)
    assert tuple(arguments[: len(path)]) == path
    parse(arguments)


@pytest.mark.parametrize(
    "line", ["lst", "list --jsn", "data frobnicate", "data add affectnet", "show", "run", "list suite task"]
)
def test_a_command_line_that_does_not_exist_would_be_seen(line):
    (arguments,) = command_lines(f"Text\n```sh\n$ bench {line}  # a comment\n```\n")
    assert arguments == line.split()
    with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
        parse(arguments)
