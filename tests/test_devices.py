"""What a run asks of a machine; GPUs are pretended."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deblur_lit import runs
from deblur_lit.config import build, compose
from deblur_lit.data.sampler import EpochBatchSampler
from deblur_lit.devices import accumulation, check_devices, check_single, lightning_node


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """As many GPUs as the test says."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return int(request.param)


def check(*overrides: str) -> int:
    cfg = compose("train", overrides)
    return check_devices(cfg.trainer, cfg.data.batch_size)


@pytest.mark.parametrize(
    ("gpus", "overrides", "processes"),
    [
        (0, ["trainer=cpu"], 1),
        (0, ["trainer=ddp_cpu"], 2),
        (8, ["trainer=gpu"], 1),
        (4, ["trainer=ddp"], 4),
        (4, ["trainer=fsdp", "trainer.num_nodes=2", "data.batch_size=8"], 8),
        (4, ["trainer=ddp", "trainer.devices=[1,3]"], 2),
        (4, ["trainer=ddp", "trainer.devices='1,3'"], 2),
        (8, ["experiment=paper_8gpu"], 8),
        (2, ["experiment=paper_8gpu", "trainer.devices=auto", "trainer.keep_global_batch=true"], 2),
    ],
    indirect=["gpus"],
)
def test_what_the_machine_has_is_counted(gpus: int, overrides: list[str], processes: int) -> None:
    assert check(*overrides) == processes


@pytest.mark.parametrize(
    ("gpus", "overrides", "named"),
    [
        (0, ["trainer=gpu"], r"trainer\.accelerator=gpu: there is no GPU here \(torch .*\d+ CPU cores: .*trainer=cpu"),
        (0, ["trainer=fsdp"], r"trainer\.strategy=fsdp: there is no GPU here"),
        (0, ["trainer=fsdp", "trainer.accelerator=cpu"], r"trainer\.strategy=fsdp .* not on a CPU: .*trainer=ddp_cpu"),
        (
            2,
            ["trainer=ddp", "trainer.devices=4"],
            r"trainer\.devices=4 wants 4 GPUs .* shows 2: choose trainer\.devices=2",
        ),
        (8, ["trainer=ddp"], r"batch_size=4 .* among 8 devices: choose data\.batch_size=8 .*, or 1 or 2 or 4 devices"),
        (3, ["trainer=ddp"], r"batch_size=4 .* among 3 devices: choose data\.batch_size=6 .*, or 1 or 2 devices"),
        (0, ["trainer=cpu", "data.batch_size=0"], r"data\.batch_size=0 .* choose data\.batch_size=1"),
        (
            3,
            ["experiment=paper_8gpu", "trainer.devices=3", "trainer.keep_global_batch=true"],
            r"plays 8 devices .* on 3, .* choose trainer\.devices=1 or 2",
        ),
    ],
    indirect=["gpus"],
)
def test_what_is_not_there_is_refused_with_the_ways_out(gpus: int, overrides: list[str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check(*overrides)


@pytest.mark.parametrize(("keep", "processes", "steps"), [(True, 2, 4), (True, 8, 1), (True, 16, 1), (None, 2, 1)])
def test_fewer_devices_play_those_of_the_recipe_in_turn(keep: bool | None, processes: int, steps: int) -> None:
    word = "null" if keep is None else "true"
    node = compose("train", ["experiment=paper_8gpu", f"trainer.keep_global_batch={word}"]).trainer
    assert accumulation(node, processes) == steps


@pytest.mark.parametrize("length", [64, 45, 33])
def test_accumulated_batches_are_those_of_the_devices_they_stand_for(length: int) -> None:
    eight = [list(EpochBatchSampler(length, 32, 0, rank, 8)) for rank in range(8)]
    two = [list(EpochBatchSampler(length, 32, 0, rank, 2, accumulate=4)) for rank in range(2)]
    for step in range(len(eight[0])):
        parts = [two[rank][4 * step + turn] for turn in range(4) for rank in range(2)]
        assert parts == [eight[rank][step] for rank in range(8)]
    assert len(two[0]) == 4 * len(eight[0])


def test_lightning_gets_the_accumulation_and_none_of_our_own_keys() -> None:
    overrides = ["trainer.recipe_devices=4", "trainer.keep_global_batch=true", "trainer.limit_train_batches=3"]
    cfg = compose("train", [*overrides, "run_dir=here"])
    node = lightning_node(cfg.trainer, 1)
    assert not {"recipe_devices", "keep_global_batch"} & set(node)
    assert (node.accumulate_grad_batches, node.limit_train_batches, node.default_root_dir) == (4, 12, "here")
    assert build(node, {"logger": False, "callbacks": []}).accumulate_grad_batches == 4
    assert cfg.trainer.limit_train_batches == 3


def test_the_recipe_for_8_gpus_is_not_the_papers() -> None:
    paper, ours = (compose("train", [f"experiment={name}"]) for name in ("paper", "paper_8gpu"))
    assert set(runs.differing_keys(paper, ours)) == {
        "data.batch_size",
        "optimizer.lr",
        "scheduler._target_",
        "scheduler.warmup",
        "trainer.devices",
        "trainer.recipe_devices",
        "trainer.strategy",
    }
    assert (ours.data.batch_size, ours.data.val, ours.trainer.max_epochs) == (32, "none", 3000)
    assert ours.optimizer.lr == pytest.approx(paper.optimizer.lr * 8**0.5, rel=0.02)
    assert len(EpochBatchSampler(2103, ours.data.batch_size, 0)) == 66


def test_several_processes_in_the_process_of_a_sweep_are_refused_with_the_fix() -> None:
    check_single(compose("train", ["trainer=cpu"]).trainer, "basic")
    for overrides in (["trainer=ddp_cpu"], ["trainer=ddp"], ["trainer=gpu", "trainer.num_nodes=2"]):
        with pytest.raises(ValueError, match=r"hydra/launcher=joblib .* Leave hydra/launcher out \(subprocess\), or"):
            check_single(compose("train", overrides).trainer, "joblib")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-m", "hydra/launcher=basic", "trainer=ddp_cpu"], "hydra/launcher=basic with trainer.devices=2: "),
        (["-m", "hydra/launcher=subproces"], "hydra/launcher=subproces: no such launcher is installed; did you mean"),
        (["trainer=fsdp"], "trainer.accelerator=gpu, trainer.strategy=fsdp: there is no GPU here"),
    ],
)
def test_a_wrong_combination_ends_in_one_line(words: list[str], error: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deblur_lit.train", *words],
        cwd=tmp_path,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"error: {re.escape(error)}.*\n", done.stderr)
    assert not list(tmp_path.rglob("last.ckpt"))
