"""One run over several processes: the numbers of one process, nothing lost or doubled, and one of them that leads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import distributed, nn

from bench.data.batches import SourceData
from bench.errors import UsageError
from bench.models._timm import timm
from bench.models.batch_norm import synchronised
from bench.training.loop import train
from bench.training.processes import Processes

from ..conftest import clean_environment

# couplings of whole batches, weights from losses and a second look, inner products at both places, teachers
METHODS = "single_task, distribution_matching, famo, pcgrad, mgda_ub, distillation"
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bench")


def together(world, *arguments: str) -> subprocess.Popen[str]:
    """`bench` in two processes."""
    return subprocess.Popen(
        [sys.executable, *TWO, *arguments],
        env=clean_environment() | world.variables,
        cwd=world.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def records(results):
    found = {}
    for file in results.glob("runs/standin/*/record.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        found[record["id"]] = record | {"folder": file.parent}
    return found


def test_two_processes_give_the_numbers_of_one(world, bench):
    """Also where neither a step nor a split can be halved."""
    world.change("tiny", "[single_task, multi_task, distribution_matching]", f"[{METHODS}]")
    world.change("tiny_budget", "batch: {size: 16}", "batch: {size: 15}")
    for name in ("tiny_faces", "tiny_units"):
        world.change(name, "validation: 24, test: 24", "validation: 23, test: 25")
    alone = bench("run", "--suite", "tiny", "--seeds", "1")
    assert alone.code == 0, alone.err
    expected = records(world.results)
    world.environment["BENCH_RESULTS"] = str(world.root / "shared")
    process = together(world, "run", "--suite", "tiny", "--seeds", "1")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.count("Plan of tiny") == 1
    found = records(world.root / "shared")
    assert found.keys() == expected.keys() and len(found) == 7
    for name, record in found.items():
        other = expected[name]
        assert (record["cost"]["processes"], other["cost"]["processes"]) == (2, 1)
        assert record["selected_step"] == other["selected_step"]
        for mine, theirs in zip(record["curve"], other["curve"], strict=True):
            assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-4, abs=1e-5)
        for file in record["predictions"]:
            mine, theirs = (pq.read_table(one["folder"] / file["file"]) for one in (record, other))
            assert mine.drop(["scores"]).equals(theirs.drop(["scores"]))
            assert np.allclose(mine["scores"].to_pylist(), theirs["scores"].to_pylist(), atol=1e-4)


def test_ctrl_c_ends_all_processes_and_one_process_goes_on(world, bench):
    """A terminal sends it to the launcher and to both processes, and the launcher sends it to them once more."""
    world.change("tiny_budget", "steps: 6", "steps: 80")
    world.change("tiny_budget", "checkpoint_every: 2", "checkpoint_every: 20")
    asked = ("run", "--suite", "tiny", "--seeds", "1", "--only", "multi_task")
    process = together(world, *asked)
    deadline = time.monotonic() + 120
    while not list(world.results.glob("runs/.work/*/checkpoint.safetensors")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert err.count("error: stopped on request; the run goes on from here") == 1
    assert not records(world.results)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    alone = bench(*asked)
    assert alone.code == 0, alone.err
    assert "going on from its checkpoint" in alone.err
    assert {record["status"] for record in records(world.results).values()} == {"done"}


def test_what_processes_cannot_share_is_refused(planned, tmp_path, monkeypatch):
    one = planned()
    run = next(run.spec for run in one.runs if run.method == "multi_task")
    sources = [SourceData(source, one.preparations[source.dataset].open()) for source in run.sources]
    with monkeypatch.context() as patch:
        patch.setattr(Processes, "of", lambda _: Processes(0, 17))
        with pytest.raises(UsageError, match="a step of 16 images cannot be shared by 17 processes"):
            train(run, sources, checkpoint=tmp_path / "c", checkpoint_every=10)
    monkeypatch.setattr(Processes, "of", lambda _: Processes(0, 2))
    with pytest.raises(UsageError, match="in one process"):
        train(run, sources, checkpoint=tmp_path / "c", checkpoint_every=10, probe=object())


def test_other_commands_are_not_for_several_processes(bench, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert "several processes can share `bench run` and nothing else" in bench("status", "tiny").err
    assert bench("run", "--suite", "tiny", "--dry-run").out == ""
    monkeypatch.setenv("RANK", "0")
    assert bench("status", "tiny").code == 2
    assert "Plan of tiny" in bench("run", "--suite", "tiny", "--dry-run").out


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("rows", [0, 1, 4, 15])
def test_shares_are_all_of_it_once(count, rows):
    shares = [list(range(rows)[Processes(rank, count).share(rows)]) for rank in range(count)]
    assert sorted(row for share in shares for row in share) == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_has_nothing_to_share():
    alone, tensor = Processes(), torch.ones(3, requires_grad=True)
    assert alone.joined_logits({"task": tensor}, 3)["task"] is tensor
    assert alone.total(tensor) is tensor
    assert alone.told("word") == "word"


@pytest.fixture
def group(tmp_path):
    """A process group of this process alone."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("layer", [nn.BatchNorm2d, timm().layers.BatchNormAct2d])
def test_synchronised_batch_normalisation_of_one_process_is_torchs(layer, momentum):
    torch.manual_seed(0)
    plain, ours = layer(3, momentum=momentum), layer(3, momentum=momentum)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 2), plain.bias.normal_()
    ours.load_state_dict(plain.state_dict())
    ours = synchronised(nn.Sequential(ours), torch.device("cpu"))
    values = torch.randn(4, 3, 5, 5) * 3 + 100
    one, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    for _ in range(2):
        (plain(one) ** 3).sum().backward()
        (ours(other) ** 3).sum().backward()
    assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-3)
    assert torch.allclose(plain.weight.grad, ours[0].weight.grad, rtol=1e-4)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, ours[0].state_dict()[name], rtol=1e-4), name
    assert torch.allclose(plain.eval()(values), ours.eval()(values), rtol=1e-4, atol=1e-3)
