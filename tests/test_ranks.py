"""Two processes on a CPU, talking through gloo, are one: the same losses, the same scores, the same weights."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rank_program
import shard_program
import torch
from test_reproduce import write_gopro

HERE = Path(__file__).parent
STEPS = 20


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Twenty steps of four crops of eight images, and five images to validate on."""
    root = tmp_path_factory.mktemp("data")
    for number, (sequence, frames) in enumerate((("a", 4), ("b", 4), ("c", 5))):
        write_gopro(root, "train", sequence, frames, seed=number)
    return f"""ablation=dffm_msrm data=gopro data.root={root} data.val=[c] data.crop_size=16 data.batch_size=4
        data.num_workers=0 network.channels=4 network.num_blocks=1 trainer.max_epochs={STEPS // 2}
        trainer.check_val_every_n_epoch=100 optimizer.lr=1e-3 run_dir={root}/run""".split()


@pytest.fixture(scope="module")
def one(overrides: list[str]) -> dict[str, Any]:
    return rank_program.run(overrides)


def test_two_processes_have_the_losses_and_exactly_the_scores_of_one(
    one: dict[str, Any], overrides: list[str], tmp_path: Path
) -> None:
    found = tmp_path / "two.json"
    command = [sys.executable, HERE / "rank_program.py", found, *overrides, "trainer=ddp_cpu"]
    subprocess.run(command, check=True, timeout=200, cwd=tmp_path)
    two = json.loads(found.read_text())
    assert (one["world_size"], two["world_size"]) == (1, 2)
    assert len(one["losses"]) == STEPS
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert min(one["losses"][-4:]) < 0.9 * one["losses"][0]  # the steps moved the weights
    assert two["scores"] == one["scores"]  # of five images, three on one rank and two on the other


def test_accumulated_batches_have_the_losses_of_whole_ones(one: dict[str, Any], overrides: list[str]) -> None:
    found = rank_program.run([*overrides, "trainer.recipe_devices=2", "trainer.keep_global_batch=true"])
    halves = found["losses"]
    assert len(halves) == 2 * STEPS
    means = [(first + second) / 2 for first, second in zip(halves[::2], halves[1::2], strict=True)]
    assert means == pytest.approx(one["losses"], rel=1e-5)


def test_weights_shared_out_by_fully_shard_train_as_whole_ones(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, HERE / "shard_program.py", tmp_path / "two.pt", "3"]
    processes = [subprocess.Popen(command, env=os.environ | world | {"RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    whole, shared = shard_program.train(3, 0, 1), torch.load(tmp_path / "two.pt", weights_only=True)
    held, all_of_them = shared.pop("held"), whole.pop("held")
    assert all_of_them / 2 <= held < 0.6 * all_of_them
    for key, value in whole.items():
        torch.testing.assert_close(shared[key], value, rtol=1e-5, atol=1e-6)
    start = shard_program.train(0, 0, 1)
    assert max((whole[key] - start[key]).abs().max().item() for key in whole) > 1e-4
