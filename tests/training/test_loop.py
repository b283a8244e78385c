"""The training loop: twins in numbers, selection, one look at the test split, precision, stopping and going on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data.store import Store
from bench.errors import Diverged, InfrastructureError, Interrupted, UsageError
from bench.models.network import build_network
from bench.specs.dataset import SPLITS
from bench.specs.run import RunSpec
from bench.training import checkpoint as checkpoints
from bench.training import loop
from bench.training.loop import evenly_spaced, make_accelerator, train

from .samples import assert_same, changed, go, run_of, sources_of

STEPS = 6


def test_a_joint_run_over_one_data_set_and_task_is_its_twin_to_the_last_bit(planned, tmp_path):
    """The pairing that all verdicts rest on: with nothing to share, nothing differs."""
    one = planned("alone")
    joint, single = run_of(one, "multi_task"), run_of(one, "single_task", "expression")
    assert joint.spec.id != single.spec.id
    assert_same(go(one, joint.spec, tmp_path / "joint"), go(one, single.spec, tmp_path / "single"))


def test_twins_see_the_images_of_the_joint_run_in_the_same_order(planned, tmp_path, monkeypatch):
    one = planned()
    seen: dict[str, list[np.ndarray]] = {}

    def note(method):
        gather = Store.gather

        def recording(store, rows):
            seen.setdefault(f"{method} {store.manifest.dataset}", []).append(np.asarray(rows))
            return gather(store, rows)

        return recording

    for run in (run_of(one, "multi_task"), run_of(one, "single_task", "expression")):
        with monkeypatch.context() as patch:
            patch.setattr(Store, "gather", note(run.method))
            go(one, run.spec, tmp_path / run.method)
    joint, single = seen["multi_task tiny_faces"], seen["single_task tiny_faces"]
    assert [rows.tolist() for rows in joint] == [rows.tolist() for rows in single]
    assert len(seen["multi_task tiny_units"]) == STEPS + 3


class RecordingStore(Store):
    """A store that remembers which rows were gathered."""

    def __init__(self, store: Store, looks: list[list[int]]) -> None:
        super().__init__(store.folder, store.manifest, store.limit)
        object.__setattr__(self, "looks", looks)

    def gather(self, rows):
        self.looks.append(np.asarray(rows).tolist())
        return super().gather(rows)


def test_the_test_split_is_read_once_and_last(planned, tmp_path):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    looks: list[list[int]] = []
    (source,) = sources_of(one, run, lambda store: RecordingStore(store, looks))
    train(run, [source], checkpoint=tmp_path / "c", checkpoint_every=2)
    split_of = {row: split for split in SPLITS for row in source.store.rows(split).tolist()}
    splits = [split_of[rows[0]] for rows in looks]
    assert splits == ["train"] * 3 + ["validation"] + ["train"] * 3 + ["validation", "test"]
    assert sorted(looks[-1]) == sorted(source.store.rows("test").tolist())
    assert all(len({split_of[row] for row in rows}) == 1 for rows in looks)


@pytest.mark.parametrize(
    ("scores", "selected"), [([0.1, 0.9, 0.5], 4), ([0.9, 0.9, 0.1], 2), ([float("nan"), 0.2, float("nan")], 4)]
)
def test_the_best_step_on_validation_is_kept(planned, tmp_path, monkeypatch, scores, selected):
    """Of equals the first; a step that validation says nothing about only where there is no other."""
    one = planned("alone")
    run = changed(run_of(one, "single_task", "expression").spec, evaluations=3)
    weights: dict[int, list[torch.Tensor]] = {}
    given = iter(scores)
    validate = loop._Training._validate

    def watched(training):
        weights[training.state.step] = [p.detach().clone() for p in training.network.parameters()]
        validate(training)

    used: list[torch.Tensor] = []
    outcome_of = loop._Training.outcome

    def ended(training):
        found = outcome_of(training)
        used.extend(p.detach().clone() for p in training.network.parameters())
        return found

    monkeypatch.setattr(loop, "selection_score", lambda *_: next(given))
    monkeypatch.setattr(loop._Training, "_validate", watched)
    monkeypatch.setattr(loop._Training, "outcome", ended)
    outcome = go(one, run, tmp_path / "c")
    assert outcome.selected_step == selected
    assert outcome.validation_score == max(score for score in scores if score == score)
    assert all(map(torch.equal, used, weights[selected]))
    assert not all(map(torch.equal, used, weights[6]))


def test_without_any_defined_validation_score_the_last_step_is_used(planned, tmp_path, monkeypatch):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    monkeypatch.setattr(loop, "selection_score", lambda *_: float("nan"))
    outcome = go(one, run, tmp_path / "c")
    assert (outcome.selected_step, outcome.validation_score) == (STEPS, None)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adam", "lamb", "nadamw", "rmsprop", "adafactorbv"])
@pytest.mark.parametrize("step", [1, 4])
def test_a_stopped_run_goes_on_to_the_same_numbers(planned, tmp_path, optimizer, step):
    one = planned()
    recipe = run_of(one, "distribution_matching").spec.recipe.optimizer.model_dump(mode="json")
    run = changed(run_of(one, "distribution_matching").spec, optimizer=recipe | {"name": optimizer})
    whole = go(one, run, tmp_path / "whole")
    file, done = tmp_path / "parts", []
    with pytest.raises(Interrupted):
        go(one, run, file, progress=lambda n, _: done.append(n), should_stop=lambda: len(done) + 1 >= step)
    assert file.is_file()
    assert done == list(range(1, step))
    parts = go(one, run, file, progress=lambda n, total: done.append((n, total)))
    assert done[step - 1 :] == [(n, STEPS) for n in range(step + 1, STEPS + 1)]
    assert_same(parts, whole)


def test_a_checkpoint_of_another_run_is_not_used(planned, tmp_path):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    other = run_of(one, "multi_task").spec
    whole = go(one, run, tmp_path / "whole")
    with pytest.raises(Interrupted):
        go(one, other, tmp_path / "c", should_stop=lambda: True)
    steps: list[int] = []
    assert_same(go(one, run, tmp_path / "c", progress=lambda n, _: steps.append(n)), whole)
    assert steps[0] == 1


def test_a_checkpoint_that_cannot_be_written_is_the_machines_fault_and_leaves_nothing(planned, tmp_path, monkeypatch):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec

    def half(_, file, **__):
        file.write_bytes(b"half")
        raise checkpoints.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(InfrastructureError, match="No space left"):
        go(one, run, tmp_path / "work" / "c", checkpoint_every=1)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_request_in_the_last_step_lets_the_run_end(planned, tmp_path):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    done: list[int] = []
    outcome = go(
        one, run, tmp_path / "c", progress=lambda n, _: done.append(n), should_stop=lambda: len(done) >= STEPS - 1
    )
    assert outcome.predictions and done == list(range(1, STEPS + 1))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_loss_that_is_not_finite_ends_the_run(planned, tmp_path, name):
    one = planned("alone")
    spec = run_of(one, "single_task", "expression").spec
    hot = spec.recipe.optimizer.model_dump(mode="json") | {"name": name, "learning_rate": 1e30}
    for steps in (1, STEPS):
        with pytest.raises(Diverged) as told:
            go(one, changed(spec, optimizer=hot, steps=steps), tmp_path / "c")
        assert "learning rate" in told.value.hint


def test_two_precisions_in_one_process(planned, world, tmp_path):
    """The second run's precision is its own, and the first can be repeated to the bit afterwards."""
    world.change("tiny_budget", "image_size: 16", "image_size: 32")  # torch 2.13 gives NaN of maps of one pixel
    one = planned("alone")
    plain = run_of(one, "single_task", "expression").spec
    short = changed(plain, precision="bfloat16")
    first = go(one, plain, tmp_path / "a")
    mixed = go(one, short, tmp_path / "b")
    assert make_accelerator("bfloat16").mixed_precision == "bf16"
    assert_same(go(one, plain, tmp_path / "c"), first)
    assert make_accelerator("float32").mixed_precision == "no"
    assert not np.array_equal(mixed.predictions[0].scores, first.predictions[0].scores)
    assert mixed.predictions[0].scores.dtype == np.float32
    assert np.allclose(mixed.predictions[0].scores.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("method", ["pcgrad", "mgda_ub"])
def test_gradients_that_are_balanced_in_bfloat16_reach_the_backbone(planned, world, tmp_path, method):
    world.change("tiny", "distribution_matching]", f"{method}]")
    world.change("tiny_budget", "image_size: 16", "image_size: 32")  # torch 2.13 gives NaN of maps of one pixel
    one = planned()
    run = run_of(one, method).spec
    untrained = build_network(run.backbone, {task.name: len(task.labels) for task in run.tasks}, run.seed)
    plain, mixed = (go(one, changed(run, precision=name), tmp_path / name) for name in ("float32", "bfloat16"))
    for name, before in untrained.backbone.named_parameters():
        moved, wanted = (outcome.network[f"backbone.{name}"] - before.detach() for outcome in (mixed, plain))
        assert moved.norm() > 0.5 * wanted.norm(), name


def test_bfloat16_goes_on_to_the_same_numbers_too(planned, world, tmp_path):
    world.change("tiny_budget", "image_size: 16", "image_size: 32")  # torch 2.13 gives NaN of maps of one pixel
    one = planned("alone")
    run = changed(run_of(one, "single_task", "expression").spec, precision="bfloat16")
    whole = go(one, run, tmp_path / "whole")
    stops = iter([False, False, True])
    with pytest.raises(Interrupted):
        go(one, run, tmp_path / "c", should_stop=lambda: next(stops))
    assert_same(go(one, run, tmp_path / "c"), whole)


def test_float16_without_a_gpu_is_refused_before_anything_is_done(world, bench, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="needs a GPU"):
        make_accelerator("float16")
    world.change("tiny_budget", "evaluations: 2", "evaluations: 2\nprecision: float16")
    told = bench("run", "--suite", "tiny")
    assert told.code == 2
    assert "the budget asks for float16, which needs a GPU" in told.err
    assert "--budget NAME" in told.err
    assert not world.results.exists() and not world.cache.exists()


def test_global_random_state_is_left_alone(planned, tmp_path):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = go(one, run, tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_same(go(one, run, tmp_path / "b"), first)


def test_seeds_give_other_runs(planned, tmp_path):
    one = planned("alone")
    run = run_of(one, "single_task", "expression").spec
    other = RunSpec.model_validate_json(run.model_dump_json().replace('"seed":0', '"seed":1'))
    assert other.seed == 1 and other.id != run.id
    ours, theirs = go(one, run, tmp_path / "a"), go(one, other, tmp_path / "b")
    assert not np.array_equal(ours.predictions[0].scores, theirs.predictions[0].scores)


@pytest.mark.parametrize(
    ("steps", "looks", "at"),
    [(6, 2, {3, 6}), (6, 1, {6}), (5, 2, {2, 5}), (3, 10, {1, 2, 3}), (1, 4, {1})],
)
def test_looks_at_validation_are_evenly_spaced_and_end_with_the_last_step(steps, looks, at):
    assert evenly_spaced(steps, looks) == frozenset(at)
