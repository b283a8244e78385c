"""Fair effort: as many trials for one method as for another, chosen on validation, whatever happens meanwhile."""

# ruff: noqa: E501  (a case a line: what is wrong with a tuning, and how the problem starts)

from __future__ import annotations

import csv
import itertools
import json
import math
import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import Interrupted, SpecError, UsageError
from bench.runs.assembly import Slot
from bench.runs.execute import InThisProcess, execute
from bench.runs.parts import TERMS, run_parts
from bench.runs.plan import plan
from bench.runs.records import RecordStore
from bench.runs.tuning import (
    DIVERGED,
    FIRST_TRIAL_SEED,
    Trial,
    choose,
    drawn_trials,
    grid_trials,
    space_of,
    trials_each,
    tuned_method,
    tuned_optimizer,
)
from bench.specs.budget import Optimizer, Range, Tuning
from bench.specs.catalog import open_catalog
from bench.specs.method import MethodSpec
from bench.specs.model import Component

from ..conftest import World
from .worlds import call, caller, make_world, results_of

TWIN = MethodSpec(name="single_task", title="-", type="single", terms=(Component(name="supervised"),))


def joint(*terms, **more):
    components = [Component(name=name) for name in ("supervised", *terms)]
    return MethodSpec(name="_".join(("with", *terms)), title="-", type="joint", terms=tuple(components), **more)


# ---- the same number for all ----

OPTIONS = ("distribution_matching.weight", "soft_co_annotation.weight", "distillation.weight")


@st.composite
def grids(draw):
    """A tuning by a grid, and methods that have some of what it tunes."""
    values = st.lists(st.floats(0.01, 10), unique=True, max_size=3, min_size=1).map(tuple)
    space = {"learning_rate": draw(values.filter(lambda found: len(found) > 1))}
    space |= draw(st.dictionaries(st.sampled_from(("weight_decay", *OPTIONS)), values))
    parts = st.sets(st.sampled_from([name.split(".")[0] for name in OPTIONS]))
    return Tuning(space=space), [TWIN, *(joint(*sorted(found)) for found in draw(st.lists(parts, max_size=3)))]


@given(grids())
@settings(max_examples=60)
def test_every_method_gets_the_same_number_and_each_of_its_combinations_equally_often(given_grid):
    tuning, methods = given_grid
    spaces = [space_of(tuning, method) for method in methods]
    counts = [math.prod(len(choice) for choice in space.values()) for space in spaces]
    total = trials_each(tuning, spaces)
    assert all(total % count == 0 for count in counts)
    assert not any(all(fewer % count == 0 for count in counts) for fewer in range(1, total))
    for space, count in zip(spaces, counts, strict=True):
        trials = grid_trials(space, total)
        assert len(trials) == total
        by_settings = {}
        for trial in trials:
            by_settings.setdefault(tuple(trial.settings.items()), []).append(trial.seed)
        assert len(by_settings) == count
        repeats = list(range(FIRST_TRIAL_SEED, FIRST_TRIAL_SEED + total // count))
        assert all(seeds == repeats for seeds in by_settings.values())
        assert all(value in space[name] for found in by_settings for name, value in found)


def test_the_number_is_the_least_that_all_divide():
    space = {"learning_rate": (0.1, 0.2), OPTIONS[0]: (1.0, 2.0), OPTIONS[1]: (1.0, 2.0, 3.0), OPTIONS[2]: (0.5, 0.7)}
    methods = [TWIN, joint("distribution_matching"), joint("soft_co_annotation")]
    assert trials_each(Tuning(space=space), [space_of(Tuning(space=space), method) for method in methods]) == 12
    drawn = Tuning(space=space, search="random", trials=5)
    assert trials_each(drawn, [space_of(drawn, method) for method in methods]) == 5


def test_a_method_has_what_is_of_every_method_and_of_its_own_parts():
    space = dict.fromkeys(("learning_rate", "weight_decay", *OPTIONS, "pseudo_labels.threshold", "rlw.x"), (0.1, 0.2))
    tuning = Tuning(space=space)
    assert list(space_of(tuning, TWIN)) == ["learning_rate", "weight_decay"]
    method = joint("distribution_matching", labels=(Component(name="pseudo_labels"),), balancer=Component(name="rlw"))
    assert [*space_of(tuning, method)][2:] == ["distribution_matching.weight", "pseudo_labels.threshold", "rlw.x"]
    assert [*space_of(tuning, method, fixed=["distribution_matching"])][2:] == ["pseudo_labels.threshold", "rlw.x"]


# ---- the choice ----

SCORE = st.one_of(st.floats(-1, 1), st.just(DIVERGED), st.just(math.nan))


@given(st.lists(st.tuples(st.integers(0, 3), SCORE), min_size=1, max_size=12))
def test_the_best_mean_is_chosen_the_earliest_of_equals_and_nothing_that_failed_once(tried):
    trials = [Trial({"learning_rate": float(which)}, 1000 + i) for i, (which, _) in enumerate(tried)]
    chosen = choose(trials, [score for _, score in tried])
    means = {}
    for which, _ in tried:
        mine = np.array([score for other, score in tried if other == which])
        if np.isfinite(mine).all():
            means[which] = float(np.mean(mine))
    if not means:
        assert chosen is None
        return
    assert chosen is not None
    best = means[int(chosen["learning_rate"])]
    assert best >= max(means.values()) - 1e-12
    scores = {0: (0.5, 0.1), 1: (0.3, 0.3)}
    even = [Trial({"learning_rate": float(which)}, 1000 + i) for i in (0, 1) for which in scores]
    assert choose(even, [scores[which][i] for i in (0, 1) for which in scores]) == {"learning_rate": 0.0}


def test_one_seed_that_diverged_rules_settings_out():
    trials = [Trial({"learning_rate": rate}, seed) for seed in (1000, 1001) for rate in (0.1, 0.2)]
    assert choose(trials, [0.2, 0.9, 0.2, DIVERGED]) == {"learning_rate": 0.1}
    assert choose(trials, [0.2, 0.9, 0.2, math.nan]) == {"learning_rate": 0.1}
    assert choose(trials, [0.2, 0.9, 0.2, -0.4]) == {"learning_rate": 0.2}
    assert choose(trials, [DIVERGED] * 4) is None


def test_settings_replace_what_specs_say_and_nothing_else():
    method = joint("distribution_matching", balancer=Component(name="cagrad", c=0.5))
    tuned = tuned_method(method, {"learning_rate": 0.5, "distribution_matching.weight": 2.0, "cagrad.c": 0.4})
    assert [term.options for term in tuned.terms] == [{}, {"weight": 2}]
    assert tuned.balancer is not None and tuned.balancer.options == {"c": 0.4}
    assert tuned_method(method, {"learning_rate": 0.5}) == method
    # A run is the same whether the spec or the tuning says so.
    said = Component(name="distribution_matching", weight=2)
    assert run_parts(TERMS, [tuned.terms[1]]) == run_parts(TERMS, [said])
    before = Optimizer(name="sgd", learning_rate=0.1, weight_decay=0.01, momentum=0.8)
    after = tuned_optimizer(before, {"learning_rate": 1.0, "distribution_matching.weight": 2.0})
    assert after == before.model_copy(update={"learning_rate": 1.0})


# ---- search by Optuna ----

SPACE = {"learning_rate": Range(low=1e-4, high=1e-1, log=True), "weight_decay": (0.0, 0.1)}


def tuning_of(search, trials):
    return Tuning(space=SPACE, search=search, trials=trials)


def score(trial):
    """Best at a learning rate of 0.01; it diverges above 0.05."""
    rate = trial.settings["learning_rate"]
    return DIVERGED if rate > 0.05 else -abs(math.log(rate / 0.01)) - trial.settings["weight_decay"]


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_trials_are_those_that_optuna_makes_by_itself(search):
    samplers = {"random": optuna.samplers.RandomSampler(seed=7), "tpe": optuna.samplers.TPESampler(seed=7)}
    study = optuna.create_study(direction="maximize", sampler=samplers[search])

    def objective(trial):
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        decay = trial.suggest_categorical("weight_decay", (0.0, 0.1))
        found = score(Trial({"learning_rate": rate, "weight_decay": decay}, 0))
        if found == DIVERGED:
            raise ValueError
        return found

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    study.optimize(objective, n_trials=25, catch=(ValueError,))
    found = drawn_trials(tuning_of(search, 25), SPACE, 7, score)
    assert [dict(trial.settings) for trial in found] == [trial.params for trial in study.trials]
    assert any(trial.state == optuna.trial.TrialState.FAIL for trial in study.trials)
    assert choose(found, [score(trial) for trial in found]) == study.best_params


def test_a_tpe_search_that_was_interrupted_goes_on_with_the_same_trials():
    whole = drawn_trials(tuning_of("tpe", 13), SPACE, 3, score)
    scores = {}
    for known in range(13):
        so_far = drawn_trials(
            tuning_of("tpe", 13), SPACE, 3, lambda trial: scores.get((*trial.settings.values(), trial.seed))
        )
        assert so_far == whole[: known + 1]  # the next one is known when the last one has a score, no other is
        scores[*so_far[-1].settings.values(), so_far[-1].seed] = score(so_far[-1])


def test_random_trials_wait_for_nothing_and_settings_drawn_again_get_another_seed():
    drawn = drawn_trials(tuning_of("random", 9), SPACE, 5, lambda trial: None)
    assert len(drawn) == 9 and {trial.seed for trial in drawn} == {FIRST_TRIAL_SEED}
    assert drawn != drawn_trials(tuning_of("random", 9), SPACE, 6, lambda trial: None)
    space = {"weight_decay": (0.0, 0.1)}
    few = drawn_trials(Tuning(space=space, search="random", trials=9), space, 5, lambda trial: None)
    assert len({(trial.settings["weight_decay"], trial.seed) for trial in few}) == 9


def test_without_optuna_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="not installed") as told:
        drawn_trials(tuning_of("tpe", 2), SPACE, 0, score)
    assert "pip install" in told.value.hint
    assert len(grid_trials({"learning_rate": (0.1, 0.2)}, 2)) == 2  # a grid needs none


# ---- what is wrong with a spec ----

BAD = {
    "space: {}": "space: should have at least 1 item",
    "space: {learning_rate: []}": "space.learning_rate: should have at least 1 item",
    "space: {learning_rate: 0.1}": "space.learning_rate: should be a valid array (found 0.1)",
    "space: {learning_rate: [0.1, 0.1]}": "space.learning_rate: '0.1' is given twice",
    "space: {learning_rate: [0.1]}": "space: needs a choice of `learning_rate` or `weight_decay`",
    "space: {distribution_matching.weight: [1, 2]}": "space: needs a choice of `learning_rate` or `weight_decay`",
    "space: {learning_rate: [0, 0.1]}": "space.learning_rate[0]: should be greater than 0 (found 0)",
    "space: {learning_rate: [0.1, x]}": "space.learning_rate[1]: should be a valid number (found 'x')",
    "space: {learning_rate: {low: 1, high: 2}}": "space: a range has no places for a grid",
    "space: {learning_rate: {low: 2, high: 1}}, search: tpe, trials: 2": "space.learning_rate.high: must be above `low` (2)",
    "space: {learning_rate: {low: 0, high: 1, log: true}}, search: tpe, trials: 2": "space.learning_rate.low: has no logarithm",
    "space: {learning_rate: {low: -1, high: 1}}, search: tpe, trials: 2": "space.learning_rate.low: should be greater than 0",
    "space: {learning_rate: [1, 2]}, trials: 2": "trials: a grid has as many as it has places",
    "space: {learning_rate: [1, 2]}, search: random": "search: `random` needs the number of `trials`",
    "space: {learning_rate: [1, 2]}, search: random, trials: 0": "trials: should be greater than 0 (found 0)",
    "space: {learning_rate: [1, 2]}, search: rand, trials: 1": "search: 'rand' is not allowed; did you mean 'random'?",
    "space: {learning_rate: [1, 2], wieght_decay: [1]}": "space.wieght_decay: nothing to tune is named so; did you mean 'weight_decay'?",
    "space: {learning_rate: [1, 2], distilation.weight: [1]}": "space.distilation.weight: no term, label transform or balancer is named 'distilation'; did you mean 'distillation'",
    "space: {learning_rate: [1, 2], distillation.wight: [1]}": "space.distillation.wight: 'distillation' has no option 'wight'; did you mean 'weight'?",
    "space: {learning_rate: [1, 2], distillation.weight: [1, -2]}": "space.distillation.weight[1]: should be greater than or equal to 0 (found -2)",
    "space: {learning_rate: [1, 2], distribution_matching.form: [1]}": "space.distribution_matching.form[0]: should be 'positive', 'bernoulli' or 'kl' (found 1)",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_with_a_tuning_is_found_where_it_stands(world, bench, text):
    file = world.specs / "tiny_budget.yaml"
    file.write_text(f"{file.read_text()}tuning: {{{text}}}\n")
    found = bench("validate", "tiny_budget")
    assert found.code == 2
    (line,) = (line for line in found.err.splitlines() + found.out.splitlines() if "tiny_budget.yaml:" in line)
    assert f": tuning.{BAD[text]}" in line
    assert int(line.split(":")[1]) == 12


# ---- from end to end ----

GRID = """
tuning:
  space:
    learning_rate: [1e-3, 1e-2]
    distribution_matching.weight: [0.5, 1]
"""


def tuned_world(root: Path, tuning: str = GRID) -> World:
    made = make_world(root)
    file = made.change("tiny_budget", "steps: 6", "steps: 2")
    made.change("tiny_budget", "evaluations: 2\ncheckpoint_every: 2", "checkpoint_every: 1")
    file.write_text(file.read_text() + tuning.lstrip("\n"))
    return made


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A world in which a tuned suite has ended; look, and change nothing."""
    world = tuned_world(tmp_path_factory.mktemp("tuned"))
    world.change("tiny", "distribution_matching]", "distribution_matching, distillation]")
    assert call(world, "run", "--suite", "tiny") == 0
    return world


@pytest.fixture
def copy(tuned, tmp_path, capsys):
    """A copy of it, and a way to call bench there."""
    shutil.copytree(tuned.root, tmp_path / "copy")
    world = World(tmp_path / "copy")
    return world, caller(world, capsys)


def records(world):
    return [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]


def settings_in(record):
    weights = [term["options"]["weight"] for term in record["run"]["terms"] if term["name"] == "distribution_matching"]
    return (record["run"]["recipe"]["optimizer"]["learning_rate"], *weights)


def slot_in(record):
    run = record["run"]
    return run["method"], tuple(source["dataset"] for source in run["sources"])


def planned(world, monkeypatch, suite="tiny", **choices):
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    (one,) = plan(open_catalog([]), suite, store=RecordStore(world.results), **choices)
    return one


def test_twins_and_methods_have_the_same_number_of_trials_and_run_with_the_best_of_them(tuned):
    by_slot = {}
    for record in records(tuned):
        by_slot.setdefault(slot_in(record), []).append(record)
    assert len(by_slot) == 5
    for found in by_slot.values():
        trials = [record for record in found if record["run"]["seed"] >= FIRST_TRIAL_SEED]
        final = [record for record in found if record["run"]["seed"] < FIRST_TRIAL_SEED]
        assert len(trials) == 4 and [record["run"]["seed"] for record in final].sort() is None and len(final) == 2
        validation = {}
        for record in trials:
            validation.setdefault(settings_in(record), []).append(record["validation_score"])
        means = {given: sum(scores) / len(scores) for given, scores in validation.items()}
        assert {settings_in(record) for record in final} <= {g for g in means if means[g] == max(means.values())}
        assert len({settings_in(record) for record in final}) == 1
    assert len(records(tuned)) == 5 * 6


def test_trials_of_distillation_learn_from_the_chosen_twins_of_their_seed(tuned):
    by_id = {record["id"]: record for record in records(tuned)}
    taught = [record for record in by_id.values() if record["run"]["method"] == "distillation"]
    final = {slot_in(r): settings_in(r) for r in by_id.values() if r["run"]["seed"] == 0}
    assert len(taught) == 6
    for record in taught:
        for teacher in record["run"]["teachers"]:
            lesson = by_id[teacher["id"]]
            assert lesson["run"]["seed"] == record["run"]["seed"]
            assert settings_in(lesson) == final[slot_in(lesson)]


def test_what_is_shown_states_the_effort(copy):
    _, ask = copy
    board = ask("leaderboard", "tiny")
    assert "effort: 4 trials each (grid over learning_rate, distribution_matching.weight)" in board.out
    assert "left out" not in board.out  # trials are no records of another fingerprint
    (row, *_) = ask("leaderboard", "tiny", "--json").json
    assert row["effort"]["trials"] == 4
    lines = list(csv.DictReader(ask("leaderboard", "tiny", "--format", "csv").out.splitlines()))
    assert len(lines) == 8 and {line["trials"] for line in lines} == {"4"}
    (told,) = ask("status", "tiny", "--json").json
    assert [search["ended"] for search in told["tuning"]] == [4] * 5
    assert sum(run["trial"] is not None for run in told["runs"]) == 20 and told["waiting"] == 0
    shown = ask("plan", "tiny").out
    assert "20 trials and 10 runs, 0 to do" in shown
    assert "4 of 4" in shown and "learning_rate=0.0" in shown
    assert "distribution_matching.weight=" in ask("status", "tiny").out
    again = ask("run", "--suite", "tiny")
    assert again.code == 0 and "trial learning_rate" not in again.err  # nothing is made twice


def change_records(world, wanted, change):
    for file in world.results.glob("runs/standin/*/record.json"):
        record = json.loads(file.read_text())
        if wanted(record):
            change(record)
            file.write_text(json.dumps(record))


def test_validation_alone_chooses(copy, monkeypatch):
    world, _ = copy
    slot = Slot("tiny_net", "multi_task")

    def give(good, bad):
        """Settings `good` do better on validation, `bad` on the test split."""

        def change(record):
            best = settings_in(record) == (good,)
            record["validation_score"] = 0.6 if best else 0.5
            for tasks in record["scores"].values():
                for metrics in tasks.values():
                    for found in metrics.values():
                        found["value"] = 0.1 if best else 0.9

        assert good != bad
        change_records(world, lambda r: r["run"]["method"] == "multi_task" and r["run"]["seed"] >= 1000, change)
        return planned(world, monkeypatch).searches[slot].chosen

    assert give(1e-3, 1e-2) == {"learning_rate": 1e-3}
    assert give(1e-2, 1e-3) == {"learning_rate": 1e-2}


def test_a_search_that_is_interrupted_within_a_trial_ends_as_if_it_had_not_been(tuned, copy, monkeypatch):
    world, redo = copy
    shutil.rmtree(world.results)
    one = planned(world, monkeypatch, only=["multi_task"])
    asked = itertools.count()
    with pytest.raises(Interrupted):
        execute(
            [one],
            RecordStore(world.results),
            Mock(),
            executor=InThisProcess(),
            seconds_of=lambda _: 1.0,
            should_stop=lambda: next(asked) == 7,
        )
    assert 0 < len(records(world)) < 12
    (told,) = redo("status", "tiny", "--only", "multi_task", "--json").json
    assert told["waiting"] == 6 and {run["state"] for run in told["runs"]} == {"done", "started", "missing"}
    assert redo("leaderboard", "tiny", "--only", "multi_task").code == 5  # nothing is measured by trials alone
    assert redo("run", "--suite", "tiny", "--only", "multi_task").code == 0
    before, after = results_of(tuned), results_of(world)
    assert len(after) == 18
    assert after == {name: before[name] for name in after}


def test_only_keeps_the_number_of_trials_of_the_whole_suite(tuned, monkeypatch):
    one = planned(tuned, monkeypatch, only=["multi_task"])
    assert {slot.method for slot in one.searches} == {"single_task", "multi_task"}
    assert {search.total for search in one.searches.values()} == {4}
    assert len(one.trials) == 12 and len(one.runs) == 6
    part = planned(tuned, monkeypatch, only=["tiny_faces"])
    assert {slot.dataset for slot in part.searches} == {"tiny_faces", None}


@pytest.fixture
def fresh(tmp_path, capsys):
    """Makes a world with a tuning of its own, in which nothing is done."""

    def make(tuning: str) -> tuple[World, caller]:
        world = tuned_world(tmp_path / "fresh", tuning)
        return world, caller(world, capsys)

    return make


def weights(*values):
    return f"tuning: {{space: {{learning_rate: [1e-3, 1e-2], distribution_matching.weight: {list(values)}}}}}\n"


def search_of(told, method):
    (search,) = (one for one in told.json[0]["tuning"] if one["method"] == method)
    return search


def test_diverging_trials_are_not_chosen_and_where_all_diverge_the_cell_says_so(fresh):
    world, ask = fresh(weights(3e38))
    run = ask("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    found = {(record["run"]["method"], record["status"]) for record in records(world)}
    assert found == {("single_task", "done"), ("multi_task", "done"), ("distribution_matching", "failed")}
    (board,) = ask("leaderboard", "tiny", "--seeds", "1", "--json").json
    rows = {row["method"]: row for row in board["rows"]}
    assert rows["multi_task"]["average"] is not None
    diverged = rows["distribution_matching"]
    assert diverged["average"] is None and diverged["rank"] is None and diverged["cost"] is None
    shown = [(entry["mean"], entry["n"], entry["expected"], entry["absent"]) for entry in diverged["entries"]]
    assert shown == [(None, 0, 1, ["all trials diverged"])] * 2
    assert "all trials diverged" in ask("transfer", "tiny", "--seeds", "1").out
    search = search_of(ask("status", "tiny", "--seeds", "1", "--json"), "distribution_matching")
    assert (search["state"], search["diverged"], search["chosen"]) == ("failed", 2, None)

    # One weight that does not diverge is enough; that others do is no failure of the suite.
    world.change("tiny_budget", "[3e+38]", "[3e+38, 1]")
    again = ask("run", "--suite", "tiny", "--seeds", "1")
    assert again.code == 0, again.err
    search = search_of(ask("status", "tiny", "--seeds", "1", "--json"), "distribution_matching")
    assert (search["ended"], search["diverged"]) == (4, 2) and search["chosen"]["distribution_matching.weight"] == 1


def test_a_search_by_tpe_goes_from_trial_to_trial_and_starts_alike_for_methods_with_the_same_space(fresh, monkeypatch):
    text = "tuning: {space: {learning_rate: {low: 1e-4, high: 1e-1, log: true}}, search: tpe, trials: 2}\n"
    world, ask = fresh(text)
    world.change("tiny", "multi_task, distribution_matching]", "multi_task]")
    first = planned(world, monkeypatch, seeds=1)
    assert [len(search.trials) for search in first.searches.values()] == [1, 1, 1]
    assert len(first.to_come) == 3 + 3
    run = ask("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 0, run.err
    last = planned(world, monkeypatch, seeds=1)
    assert [search.ended for search in last.searches.values()] == [2, 2, 2] and not last.to_come
    for search in last.searches.values():
        rates = [trial.trial.settings["learning_rate"] for trial in search.trials]
        assert len(set(rates)) == 2 and search.chosen["learning_rate"] in rates
        (made,) = (run for run in last.runs if run.slot == search.slot)
        assert made.spec.recipe.optimizer.learning_rate == search.chosen["learning_rate"]


@pytest.mark.parametrize("search", ["", ", search: random, trials: 4"])
def test_a_control_without_coupling_is_tuned_as_the_method_without_it(fresh, monkeypatch, search):
    world, _ = fresh(weights(0.5, 1).replace("]}}", f"]}}{search}}}"))
    one = planned(world, monkeypatch, controls=True)
    tried = {
        slot.method: [(trial.trial.settings, trial.trial.seed) for trial in found.trials]
        for slot, found in one.searches.items()
        if slot.dataset is None
    }
    assert tried["distribution_matching_zero"] == tried["multi_task"]
    assert tried["distribution_matching_uniform"] == tried["distribution_matching"] != tried["multi_task"]
    assert {len(trials) for trials in tried.values()} == {4}


def test_seeds_of_trials_are_never_reported(fresh, monkeypatch):
    world, _ = fresh(GRID)
    with pytest.raises(UsageError, match="count from 1000"):
        planned(world, monkeypatch, seeds=1001)
    world.change("tiny_budget", "seeds: 2", "seeds: 1001")
    with pytest.raises(SpecError, match="seeds: at most 1000"):
        planned(world, monkeypatch)
