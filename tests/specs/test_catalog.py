"""The catalog: where specs are found, what is told of those that cannot be, and what is read only when asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import bench.specs.catalog as catalog_module
from bench.errors import SpecError, UnknownName, UsageError
from bench.runs.check import validate_spec
from bench.specs.backbone import BackboneSpec
from bench.specs.catalog import KINDS, Catalog, open_catalog, shipped_folders
from bench.specs.method import MethodSpec
from bench.specs.suite import SuiteSpec

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = open_catalog()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    monkeypatch.delenv("BENCH_SPECS", raising=False)


def net(folder, name="net", *, file=None, title="A net", head=""):
    """Write a backbone spec."""
    path = folder / (file or f"{name}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}kind: backbone\nname: {name}\ntitle: {title}\nfamily: ResNet\ntimm: test_resnet\n", "utf-8")
    return path


# ---- what ships ----


def test_what_ships_is_beside_the_checkout():
    assert shipped_folders() == (CHECKOUT / "tasks", CHECKOUT / "baselines", CHECKOUT / "results" / "published")


def test_every_yaml_file_that_ships_is_in_the_catalog_and_reads():
    catalog = open_catalog()
    files = {
        file for folder in ("tasks", "baselines", "results/published") for file in (CHECKOUT / folder).rglob("*.y*ml")
    }
    assert set(catalog.files) == files
    assert catalog.unreadable == ()
    assert {entry.file for entry in catalog.entries} == files
    for entry in catalog.entries:
        spec = catalog.load_file(entry.file)
        assert (type(spec), spec.name, spec.title) == (KINDS[entry.kind], entry.name, entry.title)
        assert entry.file.stem == entry.name


@pytest.mark.parametrize("kind", KINDS)
def test_something_of_every_kind_ships(kind):
    assert open_catalog().names(kind)


@pytest.mark.parametrize("file", [f.relative_to(CHECKOUT).as_posix() for f in open_catalog().files])
def test_every_spec_that_ships_is_valid(file):
    assert validate_spec(SHIPPED, SHIPPED.load_file(CHECKOUT / file)) == []


def test_all_specs_that_ship_are_valid_at_once(bench):
    done = bench("validate", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["problems"] == []
    assert {Path(entry["file"]).name for entry in done.json["checked"]} >= {file.name for file in SHIPPED.files}


# ---- where specs are found ----


def test_folders_are_searched_through_and_through(tmp_path):
    net(tmp_path, "one", file="deep/er/one.yaml")
    net(tmp_path, "two", file="two.yml")
    net(tmp_path, "three", file="three.yaml.txt")
    shipped, found = (set(open_catalog(folders).names("backbone")) for folders in ([], [tmp_path]))
    assert found - shipped == {"one", "two"}


def test_several_folders_from_the_environment_and_from_the_command(tmp_path, monkeypatch):
    for name in ("one", "two", "three"):
        net(tmp_path / name, name)
    monkeypatch.setenv("BENCH_SPECS", os.pathsep.join([str(tmp_path / "one"), "", str(tmp_path / "two")]))
    names = open_catalog([tmp_path / "three"]).names("backbone")
    assert {"one", "two", "three", "resnet50"} <= set(names)


def test_a_folder_given_twice_or_inside_another_defines_nothing_twice(tmp_path, monkeypatch):
    net(tmp_path / "inner", "one")
    (tmp_path / "link").symlink_to(tmp_path / "inner")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_SPECS", "inner")
    assert "one" in open_catalog([tmp_path / "inner", tmp_path, tmp_path / "link"]).names("backbone")


@pytest.mark.parametrize("by", ["environment", "command"])
def test_a_folder_that_is_not_there_is_an_error(tmp_path, monkeypatch, by):
    absent = tmp_path / "absent"
    if by == "environment":
        monkeypatch.setenv("BENCH_SPECS", str(absent))
    with pytest.raises(UsageError, match=f"the spec folder {absent} does not exist"):
        open_catalog([absent] if by == "command" else [])


def package(site, value, *, folder="lent_specs"):
    """A package of specs as an installer leaves it, with an entry point of that value."""
    net(site / folder, "lent", file="backbones/lent.yaml")
    (site / folder / "__init__.py").write_text("raise RuntimeError('a package of specs is not imported')\n", "utf-8")
    info = site / "lent_specs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lent-specs\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[bench.specs]\nlent = {value}\n", "utf-8")


def test_specs_of_an_installed_package_are_found_without_importing_it(tmp_path, monkeypatch):
    package(tmp_path, "lent_specs")
    monkeypatch.syspath_prepend(tmp_path)
    catalog = open_catalog()
    assert catalog.entry("backbone", "lent").file == tmp_path / "lent_specs/backbones/lent.yaml"
    assert catalog.get(BackboneSpec, "lent").timm == "test_resnet"


@pytest.mark.parametrize("value", ["absent_specs", "absent.specs", "single_module"])
def test_an_entry_point_to_no_package_is_told_with_its_name(tmp_path, monkeypatch, value):
    package(tmp_path, value)
    (tmp_path / "single_module.py").write_text("", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    told = f"the entry point lent = {value} (bench.specs) of the package 'lent-specs' 1.0 names no package"
    assert open_catalog().names("suite")
    (fault,) = open_catalog().faults
    assert fault.startswith(told)
    with pytest.raises(UnknownName, match="backbone 'lent' is unknown") as caught:
        open_catalog().get(BackboneSpec, "lent")
    assert told in caught.value.hint


def test_a_name_of_a_package_that_is_taken_is_passed_over_and_told(tmp_path, monkeypatch):
    package(tmp_path, "lent_specs")
    file = net(tmp_path / "lent_specs", "resnet_micro", file="backbones/taken.yaml")
    monkeypatch.syspath_prepend(tmp_path)
    catalog = open_catalog()
    assert catalog.get(BackboneSpec, "resnet_micro").timm == "test_resnet"
    assert catalog.entry("backbone", "resnet_micro").file.name == "resnet_micro.yaml"
    assert catalog.get(BackboneSpec, "lent").timm == "test_resnet"
    (fault,) = catalog.faults
    assert fault.startswith(f"{file}:2:7: name: backbone 'resnet_micro' is already defined in ")


# ---- names ----


def test_a_name_defined_twice_names_both_files_and_the_place(tmp_path):
    first, second = net(tmp_path, file="a.yaml"), net(tmp_path, file="b.yaml", head="# a line\n")
    with pytest.raises(SpecError) as caught:
        _ = Catalog([tmp_path]).entries
    assert caught.value.message == f"{second}:3:7: name: backbone 'net' is already defined in {first}"


def test_a_name_of_what_ships_cannot_be_taken(tmp_path):
    mine = net(tmp_path, "resnet50")
    with pytest.raises(SpecError) as caught:
        open_catalog([tmp_path]).get(BackboneSpec, "resnet50")
    shipped = CHECKOUT / "baselines/backbones/resnet50.yaml"
    assert caught.value.message == f"{mine}:2:7: name: backbone 'resnet50' is already defined in {shipped}"


def test_a_name_defined_twice_is_told_even_where_the_rest_of_the_file_is_broken(tmp_path):
    net(tmp_path, file="a.yaml")
    broken = net(tmp_path, file="b.yaml")
    broken.write_text(broken.read_text("utf-8") + "x: [\n", "utf-8")
    with pytest.raises(SpecError, match="already defined"):
        _ = Catalog([tmp_path]).entries


def test_kinds_have_names_of_their_own(tmp_path):
    net(tmp_path, "single_task")
    catalog = open_catalog([tmp_path])
    assert isinstance(catalog.get(BackboneSpec, "single_task"), BackboneSpec)
    assert isinstance(catalog.get(MethodSpec, "single_task"), MethodSpec)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (BackboneSpec, "resnet5", "backbone 'resnet5' is unknown; did you mean 'resnet50'"),
        (SuiteSpec, "face", "suite 'face' is unknown; did you mean 'faces'?"),
        (SuiteSpec, "zzz", "suite 'zzz' is unknown; there is all_methods, face_attributes, "),
        (SuiteSpec, "facse", "suite 'facse' is unknown; did you mean 'faces'"),
    ],
)
def test_a_name_that_nothing_has_is_told_with_the_nearest(model, name, message):
    with pytest.raises(UnknownName) as caught:
        open_catalog().get(model, name)
    assert caught.value.message.startswith(message)
    assert "`bench list " in caught.value.hint


# ---- files that cannot be read ----

BROKEN = {
    "tab.yaml": "kind: backbone\n\tname: tab\n",
    "empty.yaml": "",
    "list.yaml": "- kind\n",
    "latin.yaml": "kind: \xfc\n",
    "unknown_kind.yaml": "kind: backbon\nname: x\ntitle: y\n",
    "unnamed.yaml": "kind: backbone\ntitle: y\n",
    "binary.yaml": "\x00\x01\x02",
}


@pytest.mark.parametrize("file", BROKEN)
def test_a_broken_file_is_told_and_the_others_are_still_there(tmp_path, file):
    (tmp_path / file).write_bytes(BROKEN[file].encode("latin-1"))
    net(tmp_path)
    catalog = Catalog([tmp_path])
    assert catalog.names("backbone") == ("net",)
    (problem,) = catalog.unreadable
    assert problem.file == tmp_path / file
    with pytest.raises(UnknownName) as caught:
        catalog.get(BackboneSpec, "tab")
    assert str(tmp_path / file) in caught.value.hint


def test_a_folder_and_a_dead_link_that_look_like_files(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dead.yaml").symlink_to(tmp_path / "absent")
    net(tmp_path)
    catalog = Catalog([tmp_path])
    assert catalog.names("backbone") == ("net",)
    assert [problem.message for problem in catalog.unreadable] == [
        "cannot be read: No such file or directory",
        "cannot be read: Is a directory",
    ]


# ---- what is read, and when ----


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that were parsed."""
    seen = []
    original = catalog_module.read_document

    def watching(file):
        seen.append(file.name)
        return original(file)

    monkeypatch.setattr(catalog_module, "read_document", watching)
    return seen


def test_listing_parses_no_plain_file_and_asking_parses_one_once(parsed):
    catalog = open_catalog()
    assert len(catalog.entries) == len(catalog.files)
    assert parsed == []
    assert catalog.get(BackboneSpec, "resnet50") is catalog.get(BackboneSpec, "resnet50")
    assert catalog.document("backbone", "resnet50").data["name"] == "resnet50"
    assert parsed == ["resnet50.yaml"]


UNUSUAL = {
    "quoted": 'kind: "backbone"\nname: "net"\ntitle: "A: net"\n',
    "commented": "kind: backbone  # one\nname: net # two\ntitle: \"A: net\" # three\n",
    "flow": '{kind: backbone, name: net, title: "A: net"}\n',
    "folded": "kind: backbone\nname: net\ntitle: >-\n  A:\n  net\n",
    "carriage returns": 'kind: backbone\r\nname: net\r\ntitle: "A: net"\r\n',
    "byte order mark": '\ufeffkind: backbone\nname: net\ntitle: "A: net"\n',
    "long description first": f'description: {"x" * 5000}\nkind: backbone\nname: net\ntitle: "A: net"\n',
}  # fmt: skip


@pytest.mark.parametrize("form", UNUSUAL)
def test_a_file_of_unusual_form_is_listed_as_what_it_is(tmp_path, parsed, form):
    (tmp_path / "file.yaml").write_bytes(UNUSUAL[form].encode())
    (entry,) = Catalog([tmp_path]).entries
    assert (entry.kind, entry.name, entry.title) == ("backbone", "net", "A: net")
    assert parsed == ["file.yaml"]


@pytest.mark.parametrize("before", range(2020, 2050))
def test_a_name_is_read_whole_wherever_it_stands(tmp_path, before):
    head = "kind: backbone\ntitle: A net\n"
    name = "a_name_that_is_long"
    filler = "#" + "x" * (before - len(head) - 2) + "\n"
    (tmp_path / "file.yaml").write_text(f"{head}{filler}name: {name}\n", "utf-8")
    assert Catalog([tmp_path]).names("backbone") == (name,)
