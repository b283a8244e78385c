"""A method from somebody else's package: one module, one YAML, an entry point; nothing of bench is edited."""

from __future__ import annotations

import json
import textwrap

import pytest

ENTROPY = '''
    """Predictions are made certain: the mean entropy of the classes on images without a class."""

    from pydantic import Field

    from bench.specs.model import Frozen

    NEEDS_RELATEDNESS = False
    NEEDS_TEACHERS = False
    BALANCED = False


    class Options(Frozen):
        weight: float = Field(default=1.0, ge=0)


    def losses(options, tasks, relatedness, outputs, targets):
        found = {}
        for name, task in tasks.items():
            if task.type == "multiclass":
                log = outputs[name].float().log_softmax(1)
                entropy = -(log.exp() * log).sum(1)
                missing = targets.labels[name] < 0
                found[name] = (entropy * missing).sum() / missing.sum().clamp(min=1)
        return found
'''
METHOD = """
    kind: method
    name: certain
    title: Multi-task learning with certain predictions
    type: joint
    terms:
      - {name: supervised}
      - {name: entropy, weight: 0.5}
"""


@pytest.fixture
def installed(world):
    """A distribution with an entry point on the path of the world's processes."""
    site = world.root / "site"
    package, about = site / "their_package", site / "their_package-2.1.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text("")
    (package / "entropy.py").write_text(textwrap.dedent(ENTROPY))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 2.1\n")
    (about / "entry_points.txt").write_text("[bench.methods.terms]\nentropy = their_package.entropy\n")
    world.environment["PYTHONPATH"] = str(site)
    world.write("certain", METHOD)
    world.change("tiny", "methods: [single_task, multi_task, distribution_matching]", "methods: [single_task, certain]")
    return world


def records(world):
    return [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]


def test_a_term_from_another_package_is_used_recorded_and_told_apart_by_its_code(installed):
    world = installed
    assert world.run("validate", "tiny").code == 0
    run = world.run("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 0, run.err
    (record,) = [r for r in records(world) if r["run"]["method"] == "certain"]
    assert record["curve"][-1]["losses"]["entropy.expression"] > 0
    assert record["run"]["terms"][1] == {
        "name": "entropy",
        "options": {"weight": 0.5},
        "code": record["run"]["terms"][1]["code"],
    }

    module = world.root / "site" / "their_package" / "entropy.py"
    module.write_text(module.read_text().replace("mean entropy", "average entropy"))
    plan = world.run("plan", "tiny", "--seeds", "1", "--json").json[0]["runs"]
    assert {r["method"]: r["state"] for r in plan} == {"single_task": "done", "certain": "missing"}


def test_a_broken_package_is_named_and_takes_nothing_else_down(installed):
    world = installed
    (world.root / "site" / "their_package" / "entropy.py").write_text("import no_such_library\n")
    told = world.run("validate", "certain")
    assert told.code == 2
    assert "Traceback" not in told.err
    assert "the package 'their-package' 2.1" in told.err + told.out and "no_such_library" in told.err + told.out
    assert world.run("validate", "multi_task").code == 0


def test_what_a_package_forgot_is_named_where_it_is_asked_for(installed):
    world = installed
    module = world.root / "site" / "their_package" / "entropy.py"
    module.write_text(module.read_text().replace("BALANCED =", "BALANCE =").replace("def losses", "def loss"))
    told = world.run("validate", "certain")
    assert told.code == 2 and "internal" not in told.err
    said = " ".join((told.out + told.err).split())
    assert "certain.yaml:7:" in said
    assert "the package 'their-package' 2.1, whose module their_package.entropy lacks `BALANCED`, `losses`" in said
    assert world.run("validate", "multi_task").code == 0


def test_options_and_names_of_a_foreign_term_are_checked_with_position(installed):
    world = installed
    world.change("certain", "name: entropy, weight: 0.5", "name: entropy, wieght: 0.5")
    told = world.run("validate", "certain")
    assert told.code == 2 and "certain.yaml:7:" in told.out + told.err and "weight" in told.out + told.err
    world.change("certain", "name: entropy, wieght: 0.5", "name: entropi")
    told = world.run("validate", "certain")
    assert told.code == 2 and "did you mean 'entropy'" in told.out + told.err
