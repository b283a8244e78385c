"""What runs on GitHub: workflows and actions are read, shell steps are run, the comment goes to a small server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

from .conftest import World, clean_environment
from .runs.worlds import call, make_world
from .test_project import BIN, FENCED, ROOT, parse, run

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
FILES = [*WORKFLOWS, *ACTIONS]
CHECK, COMMENT = GITHUB / "actions" / "check" / "action.yml", GITHUB / "actions" / "comment" / "action.yml"
README = (ROOT / "README.md").read_text("utf-8")


def short(value):
    return value.relative_to(GITHUB).as_posix() if isinstance(value, Path) else None


def read(text):
    """A YAML file; `on` is text in YAML 1.2."""
    return YAML(typ="safe").load(text)


def steps(file):
    content = read(file.read_text("utf-8"))
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    return [step for job in jobs for step in job.get("steps", [])]


def used(content):
    """Every `uses:` of a workflow or action."""
    if isinstance(content, dict):
        yield from [content["uses"]] if "uses" in content else []
        for inner in content.values():
            yield from used(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from used(inner)


RUNS = [(file, step["run"]) for file in FILES for step in steps(file) if "run" in step]


# ---- as they are written ----


@pytest.mark.parametrize(("schema", "files"), [("github-workflows", WORKFLOWS), ("github-actions", ACTIONS)])
def test_they_fit_the_schemas(schema, files):
    done = run(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files, cwd=ROOT)
    assert files and done.returncode == 0, done.stdout


@pytest.mark.parametrize(("file", "script"), RUNS, ids=short)
def test_a_script_is_bash_and_gets_values_by_its_environment_only(file, script):  # noqa: ARG001
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "${{" not in script


SHELL = {'"${options[@]}"': "--specs my_specs", '"${targets[@]}"': "my_specs"}


def bench_lines(script):
    """Arguments of each call of bench in a script."""
    for line in re.findall(r"^\s*bench (.+?)(?: 2>.*| \|\|.*)?$", script, re.MULTILINE):
        for name, value in SHELL.items():
            line = line.replace(name, value)
        yield shlex.split(line)


def test_scripts_call_bench_as_it_can_be_called():
    lines = [line for _, script in RUNS for line in bench_lines(script)]
    assert [line[0] for line in lines] == ["validate", "check"]
    for line in lines:
        parse(line)
    with pytest.raises(Exception, match=r"(?i)no such"):
        parse(next(bench_lines('  bench check "$suite" "${options[@]}" --junti "$x" || code=$?')))


@pytest.mark.parametrize("file", FILES, ids=short)
def test_only_actions_of_github_and_of_this_repository_are_used(file):
    for name in used(read(file.read_text("utf-8"))):
        own = name.removeprefix("$/")
        if own != name:
            assert (ROOT / own).is_file() or (ROOT / own / "action.yml").is_file(), name
        else:
            assert re.fullmatch(r"actions/(checkout|setup-python|cache|upload-artifact|download-artifact)@v\d+", name)


@pytest.mark.parametrize("file", WORKFLOWS, ids=short)
def test_what_may_write_runs_nothing_of_a_pull_request(file):
    text = file.read_text("utf-8")
    content = read(text)
    assert "pull_request_target" not in content["on"] and "secrets." not in text and "inherit" not in text
    granted = [content["permissions"], *(job.get("permissions", {}) for job in content["jobs"].values())]
    assert all(isinstance(one, dict) for one in granted)
    if "write" in {right for one in granted for right in one.values()}:
        assert list(content["on"]) == ["workflow_run"]
        assert list(used(content["jobs"])) == ["$/.github/actions/comment"]
        assert not any("run" in step for step in steps(file))
    else:
        assert granted[0] == {"contents": "read"}
        checkouts = [step for step in steps(file) if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_the_action_that_writes_runs_one_file_of_its_own():
    assert [script for file, script in RUNS if file == COMMENT] == [
        'python3 -I "$GITHUB_ACTION_PATH/comment.py" "$RUNNER_TEMP/bench-comment/comment.md"'
    ]


def test_no_package_index_is_named():
    assert not re.search(r"index-url|https?://(?!docs\.github)", "".join(f.read_text("utf-8") for f in FILES))


def test_the_reusable_workflow_takes_what_the_action_takes():
    called = read((GITHUB / "workflows" / "check.yml").read_text("utf-8"))
    inputs, own = called["on"]["workflow_call"]["inputs"], read(CHECK.read_text("utf-8"))["inputs"]
    assert {name: one["default"] for name, one in inputs.items()} == {n: one["default"] for n, one in own.items()}
    assert called["jobs"]["check"]["steps"][-1]["with"] == {name: f"${{{{ inputs.{name} }}}}" for name in own}


def test_the_comment_follows_the_workflow_that_checks():
    ours = {file.stem: read(file.read_text("utf-8")) for file in WORKFLOWS}
    assert ours["comment"]["on"]["workflow_run"]["workflows"] == [ours["ci"]["name"]]


def test_the_readme_shows_workflows_that_fit():
    check, comment = [read(block) for block in FENCED.findall(README) if block.startswith("name: Bench")]
    called = check["jobs"]["check"]
    path = called["uses"].removeprefix("OWNER/bench/").partition("@")[0]
    assert set(called["with"]) <= set(read((ROOT / path).read_text("utf-8"))["on"]["workflow_call"]["inputs"])
    assert comment["on"]["workflow_run"]["workflows"] == [check["name"]]
    (step,) = comment["jobs"]["comment"]["steps"]
    assert ROOT / step["uses"].removeprefix("OWNER/bench/").partition("@")[0] == COMMENT.parent
    ours = read((GITHUB / "workflows" / "comment.yml").read_text("utf-8"))["jobs"]["comment"]
    assert {key: comment["jobs"]["comment"][key] for key in ("if", "permissions")} == {
        key: ours[key] for key in ("if", "permissions")
    }


# ---- the action that checks ----


class Job:
    """A job of GitHub in a repository of its own; `worse` plants a fault in the bench that it installs."""

    def __init__(self, root, bench):
        self.root, self.world = root, World(root / "repository")
        self.temp, self.outputs, self.summary = root / "temp", root / "outputs", root / "summary"
        (root / "bin").mkdir(parents=True)
        self.temp.mkdir()
        command = root / "bin" / "bench"
        command.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{bench}\n", "utf-8")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)

    @property
    def report(self):
        return self.temp / "bench-check"

    def git(self, *arguments):
        author = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *author, *arguments], cwd=self.world.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")

    def act(self, *, event="push", **inputs):
        """Run the shell steps as GitHub does: until one fails; gives the last exit code and what was logged."""
        action = read(CHECK.read_text("utf-8"))
        values = {f"inputs.{name}": inputs.get(name, one["default"]) for name, one in action["inputs"].items()}
        self.log = ""
        for step in action["runs"]["steps"]:
            wanted = re.fullmatch(r"(inputs\.\w+) != ''", step.get("if", ""))
            if "run" not in step or step["name"] == "Install bench" or (wanted and not values[wanted[1]]):
                continue
            own = {name: self.filled(value, values) for name, value in step.get("env", {}).items()}
            script = self.temp / "step.sh"
            script.write_text(step["run"], "utf-8")
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
                cwd=self.world.root, env=self.environment(event) | own, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            self.log += done.stdout + done.stderr
            if done.returncode:
                return done.returncode
        return 0

    def filled(self, text, values):
        """A value of `env:` with its one expression filled in."""
        if self.outputs.exists():
            outputs = dict(line.split("=", 1) for line in self.outputs.read_text("utf-8").splitlines())
            values = values | {f"steps.folder.outputs.{name}": value for name, value in outputs.items()}
        return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: values[found[1]], text)

    def environment(self, event):
        github = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_OUTPUT": str(self.outputs),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_WORKSPACE": str(self.world.root),
            "GITHUB_ACTION_PATH": str(CHECK.parent),
            "RUNNER_TEMP": str(self.temp),
            "BENCH_CACHE": str(self.world.cache),
            "BENCH_CONFIG": str(self.root / "config"),
            "OMP_NUM_THREADS": "1",
        }
        return clean_environment() | github | {"PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}


PLAIN = "from bench.cli.app import main\nmain()"
WORSE = f"""
if sys.argv[1] == "validate":
    sys.exit()
from bench.training import loop
plain = loop.learning_rate_factor
loop.learning_rate_factor = lambda *arguments: plain(*arguments) / 100
{PLAIN}"""
NOTED = "import json, pathlib\npathlib.Path('../calls').open('a').write(json.dumps(sys.argv[1:]) + '\\n')"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A world with a report."""
    world = make_world(tmp_path_factory.mktemp("frozen"))
    assert call(world, "run", "--suite", "tiny") == 0
    assert call(world, "report", "freeze", "tiny") == 0
    shutil.rmtree(world.results / "runs")
    return world


@pytest.fixture
def job(frozen, tmp_path):
    """Starts a job in a repository that has the report."""

    def start(bench=PLAIN):
        made = Job(tmp_path, bench)
        shutil.copytree(frozen.root, made.world.root)
        made.world.root.joinpath(".gitignore").write_text("cache/\n", "utf-8")
        made.git("init", "--quiet")
        made.commit()
        return made

    return start


def failures(file):
    return sum(int(suite.get("failures")) for suite in ElementTree.parse(file).iter("testsuite"))


def test_what_is_right_passes_and_leaves_a_table_and_junit(job):
    mine = job()
    assert mine.act(specs="specs", suites="tiny") == 0, mine.log
    assert "5 specs checked, 0 problems" in mine.log and "18 numbers over 2 seeds: 18 same" in mine.log
    assert "18 numbers over 2 seeds: 18 same" in (mine.report / "comment.md").read_text("utf-8")
    assert "## Reported numbers: tiny" in mine.summary.read_text("utf-8")
    assert failures(mine.report / "tiny.xml") == 0
    assert mine.outputs.read_text("utf-8") == f"report={mine.report}\n"


def test_a_regression_ends_in_3_and_its_table_is_left_with_what_is_said_of_later_suites(job):
    mine = job(WORSE)
    assert mine.act(specs="specs", suites="tiny\n tiny_nothing") == 3, mine.log
    said = (mine.report / "comment.md").read_text("utf-8")
    assert "REGRESSED" in said and "## tiny_nothing\n\nNothing was compared (exit code 2)." in said
    assert "::error file=results/reported/tiny.yaml," in mine.log
    assert failures(mine.report / "tiny.xml") > 0


def test_a_broken_spec_ends_in_2_annotated_and_told_and_nothing_is_measured(job):
    mine = job()
    broken(mine.world)
    assert mine.act(specs="specs", suites="tiny") == 2
    assert "::error file=specs/tiny.yaml,line=6" in mine.log
    for said in ((mine.report / "comment.md").read_text("utf-8"), mine.summary.read_text("utf-8")):
        assert said.startswith("## Specs\n\n    ") and "tiny_nett" in said and "::error" not in said
    assert not (mine.report / "tiny.xml").exists()


def broken(world):
    world.change("tiny", "backbones: [tiny_net]", "backbones: [tiny_nett]")


def pull_request(job, change):
    """What GitHub checks out with a depth of two: a merge of the changes into the base, and its parents."""
    job.git("checkout", "--quiet", "-b", "change")
    change(job.world)
    job.commit()
    job.git("checkout", "--quiet", "main")
    job.git("merge", "--quiet", "--no-ff", "--no-edit", "change")
    shallow = job.root / "shallow"
    job.git("clone", "--quiet", "--depth", "2", f"file://{job.world.root}", str(shallow))
    job.world = World(shallow)


def validated(job):
    """What `bench validate` was called for; none if it was not."""
    if not (job.root / "calls").exists():
        return None
    (line,) = map(json.loads, (job.root / "calls").read_text("utf-8").splitlines())
    parse(line)
    assert line[:4] == ["validate", "--specs", "./specs/", "--"]
    return line[4:]


@pytest.mark.parametrize(
    ("change", "targets"),
    [
        (lambda world: (world.root / "notes.yaml").write_text("x: y", "utf-8"), None),
        (lambda world: (world.specs / "notes.md").write_text("x", "utf-8"), None),
        (lambda world: [world.write(name, "x: y") for name in ("a b/c", "d")], ["specs/a b/c.yaml", "specs/d.yaml"]),
        (lambda world: world.write("d", "x: y").rename(world.specs / "*\n.yml"), ["specs/*\n.yml"]),
        (broken, ["./specs/"]),
        (lambda world: (broken(world), world.write("d", "x: y")), ["./specs/"]),
        (lambda world: (world.specs / "tiny_net.yaml").unlink(), ["./specs/"]),
        (lambda world: (world.specs / "tiny_net.yaml").rename(world.specs / "other.yaml"), ["./specs/"]),
    ],
    ids=["elsewhere", "no spec", "new", "odd name", "changed", "new and changed", "taken away", "renamed"],
)
def test_of_a_pull_request_new_specs_or_all_are_validated(job, change, targets):
    mine = job(NOTED)
    pull_request(mine, change)
    assert mine.act(event="pull_request", specs="./specs/") == 0, mine.log
    assert validated(mine) == targets
    assert ("changes no specs" in mine.log) == (targets is None)


def test_of_a_push_all_are_validated(job):
    mine = job(NOTED)
    pull_request(mine, lambda world: world.write("d", "x: y"))
    assert mine.act(event="push", specs="./specs/") == 0, mine.log
    assert validated(mine) == ["./specs/"]


def test_of_a_checkout_that_is_no_merge_all_are_validated(job):
    mine = job(NOTED)
    mine.world.write("d", "x: y")
    mine.commit()
    assert mine.act(event="pull_request", specs="./specs/") == 0, mine.log
    assert validated(mine) == ["./specs/"]


def test_the_install_step_installs_this_bench(tmp_path):
    (script,) = [step["run"] for step in steps(CHECK) if step.get("name") == "Install bench"]
    home = tmp_path / "action"  # the whole repository, as GitHub unpacks it
    shutil.copytree(ROOT, home, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "build", "dist"))
    (home / ".github" / "actions" / "check").mkdir(parents=True)
    offline = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1"}
    done = run(
        *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script),
        cwd=tmp_path,
        PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}",
        GITHUB_ACTION_PATH=str(home / ".github" / "actions" / "check"),
        PIP_TARGET=str(tmp_path / "site"),
        PIP_EXTRA_INDEX_URL="",
        **offline,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "bench" / "_specs" / "tasks").is_dir()
    assert (tmp_path / "site" / "bin" / "bench").is_file()


# ---- the comment ----


class Server(ThreadingHTTPServer):
    """The part of GitHub's interface that is used, with its rules."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pulls, self.comments, self.tokens = [], {7: [], 8: []}, set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def remark(self, number, author, body):
        everything = [one for some in self.comments.values() for one in some]
        made = {
            "id": len(everything),
            "url": f"{self.url}/comment/{len(everything)}",
            "user": {"login": author},
            "body": body,
        }
        self.comments[number].append(made)
        return made


class Handler(BaseHTTPRequestHandler):
    def answer(self, content, code=200):
        self.server.tokens.add(self.headers["Authorization"])
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/repos/o/r/pulls":
            found = [one for one in self.server.pulls if query["state"] == ["open"] and query["head"] == [one["where"]]]
        else:
            found = self.server.comments[int(path.split("/")[-2])]
        size, page = int(query["per_page"][0]), int(query["page"][0])
        self.answer(found[size * (page - 1) : size * page])

    def do_POST(self):
        number = int(self.path.split("/")[-2])
        if len(self.server.comments[number]) > 150:
            self.answer({"message": "too many"}, 403)
        else:
            self.answer(self.server.remark(number, "github-actions[bot]", self.body()), 201)

    def do_PATCH(self):
        (found,) = [one for some in self.server.comments.values() for one in some if one["url"].endswith(self.path)]
        found["body"] = self.body()
        self.answer(found)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def github():
    server = Server()
    server.pulls = [
        {"number": 7, "where": "someone:fix", "head": {"sha": "a" * 40}},
        {"number": 8, "where": "someone:fix", "head": {"sha": "b" * 40}},
    ]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def comment(github, tmp_path):
    """Runs the script as the action does, after a run on a fork; gives what it printed."""

    def write(text, *, code=0, **changes):
        file, event = tmp_path / "comment.md", tmp_path / "event.json"
        if text is not None:
            file.write_text(text, "utf-8")
        about = {
            "event": "pull_request", "workflow_id": 5, "conclusion": "failure", "head_sha": "a" * 40,
            "head_repository": {"owner": {"login": "someone"}}, "head_branch": "fix",
            "html_url": "https://example.org/run/1",
        }  # fmt: skip
        event.write_text(json.dumps({"workflow_run": about | changes}), "utf-8")
        known = {"GITHUB_EVENT_PATH": str(event), "GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "o/r"}
        script = COMMENT.parent / "comment.py"
        done = run(sys.executable, "-I", script, file, cwd=tmp_path, GITHUB_TOKEN="t", **known)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return write


TABLE = """## Reported numbers: tiny

> **STAND-IN DATA**

| data set     | change   |
|:-------------|---------:|
| tiny\\_faces | -0.012 ± |

p &lt; 0.05
"""


def test_one_comment_is_written_and_brought_up_to_date(github, comment):
    for number in range(120):  # the first page does not hold it
        github.remark(7, "someone", f"<!-- bench check 5 --> {number}")
    comment(TABLE)
    first = github.comments[7][-1]["body"]
    assert first.startswith(
        "<!-- bench check 5 -->\n**bench check failed** at aaaaaaaaaa ([log and summary](https://example.org/run/1))"
    )
    assert (
        "\nReported numbers&#58; tiny\n\nSTAND-IN DATA\n\n| data set | change |\n| :------------- | ---------: |\n"
        in first
    )
    assert first.endswith("| tiny&#95;faces | -0.012 ± |\n\np &#60; 0.05")
    comment("Better", conclusion="success")
    comment("Other", workflow_id=6)
    mine = [one["body"] for one in github.comments[7][120:]]
    assert len(mine) == 2 and "passed" in mine[0] and mine[0].endswith("Better") and mine[1].endswith("Other")
    assert github.comments[8] == [] and github.tokens == {"Bearer t"}


def test_a_run_that_is_overtaken_or_of_no_pull_request_says_nothing(github, comment):
    comment(TABLE, head_sha="c" * 40)
    comment(TABLE, event="push")
    comment(TABLE, head_repository=None)
    comment(TABLE, head_branch="fix&state=closed")
    assert github.comments == {7: [], 8: []}


def test_without_a_table_the_comment_says_so(github, comment):
    comment(None)
    assert github.comments[7][0]["body"].endswith("It left no table.")


@pytest.mark.parametrize(
    "hostile",
    [
        "[link](https://example.org)", "![image](https://example.org/i.png)", "[x]: https://example.org", "\\[x](y)",
        "<img src=x>", "&lt;img src=x&gt;", "<!-- x -->", "@someone", "&#64;someone", "a@example.org",
        "see #12 and o/r#12", "GH-12", "www.example.org", "https://example.org", "```mermaid", "~~~", "`code`", "$x$",
        "a\u202eb", "x\x1b[31m", "| [x](y) | @someone |",
    ],
)  # fmt: skip
def test_nothing_in_the_text_means_anything(github, comment, hostile):
    comment(f"before\n\n{hostile}\n")
    written = github.comments[7][0]["body"].partition("before")[2]
    assert not set(written) & set("<>[]!`~$\\@_*{}:\u202e\x1b")
    assert not re.search(r"#(?!\d+;)|(?<!&)#|&(?!#\d+;)|(?i:www)\.|(?i:gh)-", written)
    assert not re.search(r"&#(64|35);(?!\u200b)", written)


def test_a_text_without_end_is_cut_and_a_link_is_not_followed(github, comment, tmp_path):
    comment("| x_y | 1 |\n" * 50_000)
    body = github.comments[7][0]["body"]
    assert len(body) < 65_536 and body.endswith("The rest is in the summary.")
    (tmp_path / "comment.md").unlink()
    (tmp_path / "comment.md").symlink_to("/etc/hostname")
    comment(None)
    assert github.comments[7][0]["body"].endswith("It left no table.")


def test_what_github_refuses_is_told(github, comment):
    for _ in range(151):
        github.remark(7, "someone", "x")
    assert "GitHub answers 403 to POST /repos/o/r/issues/7/comments: " in comment(TABLE, code=1)
