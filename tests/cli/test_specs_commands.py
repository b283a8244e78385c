"""bench list, show, validate: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench as package
from bench.specs.catalog import KINDS, open_catalog

CHECKOUT = Path(__file__).resolve().parents[2]

SUITES = sorted([*open_catalog().names("suite"), "tiny"])


# ---- help ----


@pytest.mark.parametrize("command", ["list", "show", "validate"])
def test_help_shows_an_example_that_works(bench, command):
    done = bench(command, "--help")
    assert done.code == 0
    (example,) = (line.split("Example: bench ")[1] for line in done.out.splitlines() if "Example:" in line)
    assert example.startswith(command)
    assert bench(*example.split()).code == 0


def test_help_names_every_command(bench):
    done = bench("--help")
    assert done.code == 0
    for command in ("list", "show", "validate", "plan", "run", "status", "transfer", "leaderboard", "why", "data"):
        assert f"\n  {command} " in done.out


def test_without_a_command_there_is_help_and_an_error(bench):
    done = bench()
    assert done.code == 2
    assert "Usage: " in done.out + done.err
    assert "  validate " in done.out + done.err


def test_the_version_is_the_package_s(bench):
    done = bench("--version")
    assert (done.code, done.out) == (0, f"bench {package.__version__}\n")


@pytest.mark.parametrize("arguments", [["lst"], ["list", "--jsn"], ["list", "suite", "task"], ["show"]])
def test_what_is_no_command_line_is_a_usage_error(bench, arguments):
    done = bench(*arguments)
    assert done.code == 2
    assert done.err.startswith("Usage: ")
    assert "Error: " in done.err


# ---- list ----


def test_list_shows_everything_by_kind_and_name(bench):
    done = bench("list", "--json")
    assert (done.code, done.err) == (0, "")
    listed = [(entry["kind"], entry["name"]) for entry in done.json]
    order = list(KINDS)
    assert listed == sorted(listed, key=lambda pair: (order.index(pair[0]), pair[1]))
    assert {("suite", "faces"), ("suite", "tiny"), ("dataset", "tiny_faces")} <= set(listed)
    assert all(entry.keys() == {"kind", "name", "title", "file"} for entry in done.json)
    assert all(Path(entry["file"]).is_file() for entry in done.json)


def test_list_as_a_table_has_the_same_rows(bench):
    done = bench("list", "suite")
    assert done.code == 0
    assert f"{len(SUITES)} specs" in done.out
    rows = [re.split(r"\s{2,}|\s*│\s*", line.strip("│ ")) for line in done.out.splitlines()]
    listed = [row for row in rows if row[0] == "suite"]
    assert [row[1] for row in listed] == SUITES
    assert ["suite", "tiny", "A suite for tests"] in listed


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_one_kind(bench, kind):
    done = bench("list", kind, "--json")
    assert {entry["kind"] for entry in done.json} == {kind}


def test_list_of_an_unknown_kind(bench):
    done = bench("list", "datasets")
    assert done.code == 2
    assert "kind of spec 'datasets' is unknown; did you mean 'dataset'?" in done.err


def test_list_with_further_folders(world, bench):
    for name in ("one", "two"):
        folder = world.root / name
        folder.mkdir()
        (folder / "net.yaml").write_text(f"kind: backbone\nname: {name}\ntitle: A [net]\n", "utf-8")
    done = bench("list", "backbone", "--specs", "one", "--specs", "two")
    assert done.code == 0
    assert done.out.count("A [net]") == 2
    assert "one" not in [entry["name"] for entry in bench("list", "--json").json]


def test_list_with_a_folder_that_is_not_there(bench):
    done = bench("list", "--specs", "absent")
    assert done.code == 2
    assert "the spec folder absent does not exist" in done.err
    assert "what to do:" in done.err


def test_a_file_that_cannot_be_read_is_warned_of_and_takes_nothing_down(world, bench):
    file = world.write("broken", "kind: backbone\n\tname: broken\n")
    done = bench("list", "suite", "--json")
    assert done.code == 0
    assert [entry["name"] for entry in done.json] == SUITES
    assert done.err.startswith(f"warning: {file}:2:1: a tab is used for indentation")


@pytest.mark.parametrize("kind", ["[/x]", "[bold]", "[link=a]"])
def test_what_a_file_says_is_printed_as_it_is_and_never_as_markup(world, bench, kind):
    file = world.write("odd", f"kind: '{kind}'\nname: odd\ntitle: Odd\n")
    done = bench("list")
    assert done.code == 0
    assert done.err.startswith(f"warning: {file}:1:7: kind: '{kind}' is not a kind of spec")
    world.write("odd", f"kind: suite\nname: odd\ntitle: '{kind}'\n")
    assert f" {kind} " in bench("list", "suite").out
    shown = bench("show", "odd")
    assert shown.code == 2
    assert f"{file}:1:1: a suite needs `datasets`" in shown.err


def test_a_file_that_cannot_be_read_is_an_error_where_it_is_asked_for(world, bench):
    file = world.write("broken", "kind: backbone\n\tname: broken\n")
    for command in ("show", "validate"):
        done = bench(command, "broken")
        assert done.code == 2
        assert "spec 'broken' is unknown" in done.err
        assert f"unreadable: {file}" in done.err
    assert bench("show", "tiny").code == 0


def test_a_file_with_a_good_head_is_an_error_only_where_it_is_asked_for(world, bench):
    file = world.change("tiny_net", "family: ResNet", "famly: ResNet")
    listed = bench("list", "backbone")
    assert (listed.code, listed.err) == (0, "")
    assert "tiny_net" in listed.out
    shown = bench("show", "tiny_net")
    assert shown.code == 2
    assert f"{file}:4:1: famly: unknown key 'famly'; did you mean 'family'?" in shown.err
    assert f"{file}:1:1: family: this key is needed" in shown.err


@pytest.mark.parametrize("command", [["list"], ["show", "tiny"], ["validate"], ["validate", "tiny"]])
def test_a_name_defined_twice_is_an_error_that_names_both_files(world, bench, command):
    file = world.write("zz_copy", (world.specs / "tiny_net.yaml").read_text("utf-8"))
    done = bench(*command)
    assert done.code == 2
    assert f"{file}:2:7: name: backbone 'tiny_net' is already defined in {world.specs / 'tiny_net.yaml'}" in done.err


# ---- show ----


@pytest.mark.parametrize("name", ["faces", "affectnet", "expression", "emotion_action_units", "multi_task", "quick"])
def test_show_prints_the_file_as_it_is(bench, name):
    done = bench("show", name)
    assert (done.code, done.err) == (0, "")
    (file,) = (entry["file"] for entry in bench("list", "--json").json if entry["name"] == name)
    heading, _, rest = done.out.partition("\n")
    assert heading.endswith(f" {name}  {file}")
    assert rest.startswith(Path(file).read_text("utf-8").rstrip())


def test_show_as_json_fills_in_what_the_file_leaves_out(bench):
    done = bench("show", "tiny_budget", "--json")
    assert done.code == 0
    assert done.json["file"].endswith("tiny_budget.yaml")
    assert done.json["spec"]["steps"] == 6
    assert done.json["spec"]["batch"] == {"size": 16, "allocation": "proportional", "least": 2}
    assert done.json["spec"]["epochs"] is None
    assert done.json["derived"] == {}


@pytest.mark.parametrize("name", ["resnet_micro", "efficientnet_micro", "resnet50"])
def test_show_counts_a_backbone_as_timm_does(bench, name):
    from bench.models._timm import timm

    shown = bench("show", name, "--json").json
    model = timm().create_model(shown["spec"]["timm"], num_classes=0)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert shown["derived"] == {"parameters": f"{parameters:,}", "features": model.num_features}
    printed = bench("show", name).out
    assert f"parameters: {parameters:,}\n" in printed
    assert f"features: {model.num_features}\n" in printed


def test_show_says_where_the_copy_of_a_data_set_is(world, bench):
    assert bench("show", "affectnet", "--json").json["derived"] == {
        "local copy": "none (`bench data add affectnet PATH`)"
    }
    (world.root / "copies" / "affectnet").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_DATA", str(world.root / "copies"))
        copy = bench("show", "affectnet", "--json").json["derived"]["local copy"]
    assert copy == str(world.root / "copies" / "affectnet")


def test_a_name_of_two_kinds_is_asked_back_and_kind_slash_name_answers(world, bench):
    world.write("quick", (world.specs / "tiny_net.yaml").read_text("utf-8").replace("name: tiny_net", "name: quick"))
    done = bench("show", "quick")
    assert done.code == 2
    assert "what to do: write budget/quick or backbone/quick" in done.err
    assert bench("show", "backbone/quick", "--json").json["spec"]["kind"] == "backbone"
    assert bench("show", "budget/quick", "--json").json["spec"]["kind"] == "budget"
    assert bench("validate", "budget/quick").code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_mikro", "spec 'resnet_mikro' is unknown; did you mean 'resnet_micro'"),
        ("backbone/resnet_mikro", "backbone 'resnet_mikro' is unknown; did you mean 'resnet_micro'"),
        ("suite/resnet_micro", "suite 'resnet_micro' is unknown"),
        ("backbones/resnet_micro", "kind of spec 'backbones' is unknown; did you mean 'backbone'?"),
        ("a/b/c", "kind of spec 'a/b' is unknown"),
        ("/resnet_micro", "kind of spec '' is unknown"),
    ],
)
def test_a_name_that_nothing_has_is_told_with_the_nearest(bench, name, message):
    done = bench("show", name)
    assert done.code == 2
    assert message in done.err


# ---- validate ----


def test_validate_everything(bench):
    done = bench("validate", "--json")
    assert done.code == 0
    assert done.json["problems"] == []
    checked = {(entry["kind"], entry["name"]) for entry in done.json["checked"]}
    assert checked == {(entry["kind"], entry["name"]) for entry in bench("list", "--json").json}


def test_validate_problems_as_json(world, bench):
    file = world.change("tiny_budget", "steps: 6", "steps: six")
    done = bench("validate", "tiny_budget", "--json")
    assert done.code == 2
    assert done.json["problems"] == [
        {
            "file": str(file),
            "line": 4,
            "column": 8,
            "key": "steps",
            "message": "should be a valid integer (found 'six')",
        }
    ]
    assert [entry["name"] for entry in done.json["checked"]] == ["tiny_budget"]


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        (["specs/tiny.yaml"], 1),
        (["specs"], 5),
        (["specs/"], 5),
        (["specs", "specs/tiny.yaml"], 5),
        (["specs/tiny.yaml", "faces", "suite/faces"], 2),
        (["."], 5),
    ],
)
def test_validate_paths_and_names(bench, targets, count):
    done = bench("validate", *targets, "--no-conformance")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{count} spec{'' if count == 1 else 's'} checked, 0 problems\n"


def test_validate_a_folder_that_is_in_no_catalog(world, bench):
    folder = world.root / "mine"
    folder.mkdir()
    (folder / "net.yaml").write_text("kind: backbone\nname: net\ntitle: T\nfamily: F\ntimm: test_resnet\n", "utf-8")
    (folder / "suite.yaml").write_text("kind: suite\nname: all\ntitle: T\nincludes: [tiny, al]\n", "utf-8")
    done = bench("validate", "mine")
    assert done.code == 2
    assert done.err == f"{folder / 'suite.yaml'}:4:18: includes[1]: suite 'al' is unknown; did you mean 'all'?\n"
    assert done.out == "2 specs checked, 1 problem\n"
    assert bench("validate", "mine/net.yaml").code == 0


def test_validate_tells_of_unreadable_files_among_those_meant_only(world, bench):
    folder = world.root / "mine"
    folder.mkdir()
    (folder / "broken.yaml").write_text("kind: [\n", "utf-8")
    world.write("other", "kind: [\n")
    done = bench("validate", "mine")
    assert done.code == 2
    assert [line.split(": ")[0] for line in done.err.splitlines()] == [f"{folder / 'broken.yaml'}:2:1"]
    assert bench("validate", "tiny").code == 0
    assert bench("validate").err.count("broken.yaml") == 0
    assert bench("validate").err.count("other.yaml") == 1


def test_validate_through_a_link(world, bench):
    (world.root / "link.yaml").symlink_to(world.specs / "tiny.yaml")
    (world.root / "link").symlink_to(world.specs)
    assert bench("validate", "link.yaml", "--no-conformance").out == "1 spec checked, 0 problems\n"
    assert bench("validate", "link", "--no-conformance").out == "5 specs checked, 0 problems\n"


def test_validate_through_a_link_of_another_name_that_leads_elsewhere(world, bench):
    (world.root / "elsewhere").mkdir()
    (world.root / "links").mkdir()
    fresh = (world.specs / "tiny_net.yaml").read_text("utf-8").replace("tiny_net", "fresh_net")
    (world.root / "elsewhere" / "fresh_net.yaml").write_text(fresh, "utf-8")
    (world.root / "links" / "current").symlink_to("../elsewhere/fresh_net.yaml")
    (world.root / "links" / "folder").symlink_to("../elsewhere")
    assert bench("validate", "links/current").out == "1 spec checked, 0 problems\n"
    done = bench("validate", "links")
    assert done.code == 2 and "links to folders within it are not followed" in done.err
    assert bench("validate", "links/folder").out == "1 spec checked, 0 problems\n"


@pytest.mark.parametrize("target", ["absent.yaml", "absent/", "absent"])
def test_validate_what_is_not_there(bench, target):
    done = bench("validate", target)
    assert done.code == 2
    assert target in done.err
    assert "is unknown" in done.err or "there is no file or folder" in done.err


@pytest.mark.parametrize("target", ["notes.txt", "nothing"])
def test_validate_what_holds_no_spec_does_not_pass(world, bench, target):
    (world.root / "notes.txt").write_text("kind: suite\n", "utf-8")
    (world.root / "nothing").mkdir()
    done = bench("validate", target)
    assert done.code == 2
    assert f"{target} holds no spec" in done.err


# ---- what is imported ----

HEAVY = ("torch", "timm", "pandas", "datasets", "evaluate", "scipy", "sklearn", "pyarrow", "matplotlib")
REPORT = """
import json, sys
from bench.cli.app import main
sys.argv = ["bench", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def modules_after(world, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments],
        env=os.environ | world.variables,
        cwd=world.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["list"], ["list", "--json"], ["show", "faces"], ["run", "--help"], ["data", "--help"]],
    ids=" ".join,
)
def test_words_about_specs_import_nothing_heavy(world, arguments):
    imported = modules_after(world, *arguments)
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY)


def test_the_look_at_imports_can_see_them(world):
    assert "torch" in modules_after(world, "show", "resnet_micro")


def test_the_command_as_a_process(world):
    done = world.run("list", "suite", "--json")
    assert done.code == 0
    assert [entry["name"] for entry in done.json] == SUITES
    assert world.run("show", "absent").code == 2
