"""Memory that does not hold a batch: the same training in pieces, told, or a clear end.

A network that refuses more than so many images at once stands in for a GPU of so much memory.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.models.network import Network, build_network
from bench.specs.run import RunBackbone
from bench.training.pieces import in_pieces, respond

from .samples import go, run_of

METHODS = "single_task, multi_task, distribution_matching, pcgrad, mgda_ub, famo"


@pytest.fixture
def memory_for(monkeypatch):
    """Let networks hold no more than so many images at a time."""
    features = Network.features

    def limit(images: int) -> None:
        def limited(network, batch):
            if len(batch) > images:
                raise torch.OutOfMemoryError("no room on the device")
            return features(network, batch)

        monkeypatch.setattr(Network, "features", limited)

    return limit


@pytest.fixture
def without_batch_norm(world):
    world.change("tiny_net", "timm: test_resnet", "timm: test_vit\noptions: {img_size: 16}")
    world.change("tiny", "[single_task, multi_task, distribution_matching]", f"[{METHODS}]")


def records(world):
    return [json.loads(file.read_text()) for file in world.results.glob("runs/standin/*/record.json")]


@pytest.mark.usefixtures("without_batch_norm")
def test_a_divided_batch_gives_the_numbers_of_the_whole_one(planned, tmp_path, memory_for):
    """Whatever looks at the whole batch: couplings, balancers at both places, and a second look after the step."""
    one = planned()
    runs = [run_of(one, name).spec for name in METHODS.split(", ")[2:]]
    whole = [go(one, run, tmp_path / run.id) for run in runs]
    memory_for(5)
    for run, expected in zip(runs, whole, strict=True):
        told: list[str] = []
        found = go(one, run, tmp_path / f"{run.id}-divided", warn=told.append)
        assert (expected.pieces, found.pieces) == (1, 4)
        assert [message.split(": it is ")[1].split(";")[0] for message in told] == [
            "divided into 2 pieces",
            "divided into 4 pieces",
        ]
        assert found.selected_step == expected.selected_step
        for mine, theirs in zip(found.curve, expected.curve, strict=True):
            assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-4)
        for mine, theirs in zip(found.predictions, expected.predictions, strict=True):
            assert np.allclose(mine.scores, theirs.scores, atol=1e-4)


def test_each_piece_is_normalised_by_itself_and_counted_once():
    backbone = RunBackbone(name="net", timm="test_resnet", options={}, weights=None, input_size=None)
    ours, theirs = (build_network(backbone, {"task": 3}, seed=0).train() for _ in range(2))
    images = torch.randn(7, 3, 32, 32)
    said = respond(ours, images, 3)
    parts = [theirs(images[start::3]) for start in range(3)]
    expected = torch.empty(7, 3)
    for start, part in enumerate(parts):
        expected[start::3] = part.logits["task"]
    assert torch.allclose(said.logits["task"], expected, atol=1e-5)
    assert said.features.shape == (7, parts[0].features.shape[1])
    answers = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    F.cross_entropy(said.logits["task"], answers).backward()
    F.cross_entropy(expected, answers).backward()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, rtol=1e-3, atol=1e-5), name
    for (name, mine), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-6), name


def test_pieces_are_told_on_the_terminal_and_in_the_record(world, bench, memory_for):
    memory_for(10)
    run = bench("run", "--suite", "tiny", "--seeds", "1", "--only", "multi_task")
    assert run.code == 0, run.err
    assert "warning: multi_task tiny_net seed 0: memory of the device did not hold a batch of 16 images" in run.err
    pieces = {record["run"]["method"]: record["cost"]["pieces"] for record in records(world)}
    assert pieces == {"single_task": 1, "multi_task": 2}


def test_where_batch_normalisation_would_see_one_image_nothing_is_trained(planned, tmp_path, bench, memory_for):
    one = planned()
    memory_for(1)
    with pytest.raises(
        MemoryError, match="a batch of 16 images in fewer than 16 pieces, and batch normalisation needs"
    ):
        go(one, run_of(one, "multi_task").spec, tmp_path / "c")
    run = bench("run", "--suite", "tiny", "--seeds", "1")
    assert run.code == 4
    assert "the machine failed: the device does not hold a batch of 32 images" in run.err
    assert "Traceback" not in run.err


@pytest.mark.usefixtures("without_batch_norm")
def test_where_not_even_one_image_fits_the_run_fails(planned, tmp_path, memory_for):
    one = planned()
    memory_for(0)
    told: list[str] = []
    with pytest.raises(MemoryError, match="does not even hold one image at a time: no room on the device"):
        go(one, run_of(one, "multi_task").spec, tmp_path / "c", warn=told.append)
    assert len(told) == 4


@pytest.mark.parametrize(("images", "holds", "tried"), [(16, 16, [1]), (15, 2, [1, 2, 4, 8]), (5, 1, [1, 2, 4, 5])])
def test_work_is_divided_until_it_fits(images, holds, tried):
    attempts = []

    def work(pieces):
        attempts.append(pieces)
        if -(-images // pieces) > holds:
            raise torch.OutOfMemoryError("no room")
        return "done"

    assert in_pieces(work, images) == "done"
    assert attempts == tried


def test_an_attempt_that_failed_holds_no_memory_any_more():
    """Else there would be less room for the smaller pieces."""
    alive = []

    class Activations:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            gone.append(True)

    gone: list[bool] = []

    def work(pieces):
        held = Activations()
        alive.clear()
        if pieces == 1:
            raise torch.OutOfMemoryError("no room")
        assert held
        return len(gone)

    assert in_pieces(work, 4) == 1
